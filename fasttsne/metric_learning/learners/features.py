"""From raw features to the coordinates in which the learners train, and back.

Steps of equal length in all parameters suit coordinates of one scale. The result is converted to
coefficients of the raw features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasttsne.metric_learning.checks import Floats

# A spread below this share of the largest value is rounding: the feature is constant.
_CONSTANT = 1e-13
# Axes whose variance is below this share of the largest are rounding as well.
_NO_VARIANCE = 1e-10
# Variances are increased by this share of the largest: small axes are mostly noise.
_SHRINKAGE = 0.01


@dataclass(frozen=True)
class Scaling:
    """Centring and scaling of features."""

    mean: Floats
    scale: Floats  # 0 for a constant feature, which becomes 0

    def __call__(self, X: Floats) -> Floats:
        """Return scaled samples, (n_samples, n_features)."""
        return self.per_unit(X - self.mean)

    def per_unit(self, coefficients: Floats) -> Floats:
        """Return coefficients of raw features from those of scaled ones, along the last axis."""
        zeros = np.zeros_like(coefficients)
        return np.divide(coefficients, self.scale, out=zeros, where=self.scale > 0.0)


def standard_scaling(X: Floats) -> Scaling:
    """Return scaling by means and standard deviations, for features of any magnitude."""
    largest = np.abs(X).max(axis=0)
    relative = np.divide(X, largest, out=np.zeros_like(X), where=largest > 0.0)
    means, deviations = relative.mean(axis=0), relative.std(axis=0)
    deviations[deviations <= _CONSTANT] = 0.0
    return Scaling(means * largest, deviations * largest)


def common_scaling(X: Floats) -> Scaling:
    """Return scaling by one number, the root mean square of the standard deviations."""
    own = standard_scaling(X)
    largest = own.scale.max()
    common = largest * np.sqrt(np.mean((own.scale / largest) ** 2)) if largest > 0.0 else 0.0
    return Scaling(own.mean, np.where(own.scale > 0.0, common, 0.0))


@dataclass(frozen=True)
class Axes:
    """Principal axes of scaled features, nearly whitened: the coordinates of a linear map."""

    scaling: Scaling
    directions: Floats  # (n_features, n_axes), orthonormal, by falling variance
    lengths: Floats  # divisors of the coordinates, with which samples have mean square length 1

    def coordinates(self, X: Floats) -> Floats:
        """Return the coordinates of raw samples, (n_samples, n_axes)."""
        return (self.scaling(X) @ self.directions) / self.lengths

    def to_raw(self, W: Floats) -> Floats:
        """Return a map of raw features, (n_components, n_features), from one of coordinates."""
        return self.scaling.per_unit((self.directions @ (W / self.lengths[:, np.newaxis])).T)

    def from_raw(self, components: Floats) -> Floats:
        """Return a map of coordinates, (n_axes, n_components), from one of raw features."""
        return self.from_scaled(components * self.scaling.scale)

    def from_scaled(self, components: Floats) -> Floats:
        """Return a map of coordinates, (n_axes, n_components), from one of scaled features."""
        return self.lengths[:, np.newaxis] * (self.directions.T @ components.T)


def principal_axes_of(X: Floats, scaling: Scaling) -> Axes:
    """Return the axes along which raw samples X vary."""
    scaled = scaling(X)
    n_samples, n_features = scaled.shape
    if n_features <= n_samples:
        variances, directions = np.linalg.eigh(scaled.T @ scaled / n_samples)
    else:
        variances, left = np.linalg.eigh(scaled @ scaled.T / n_samples)
        directions = scaled.T @ left
        norms = np.sqrt(np.einsum("ij,ij->j", directions, directions))
        np.divide(directions, norms, out=directions, where=norms > 0.0)
    order = np.argsort(-variances, kind="stable")
    order = order[variances[order] > _NO_VARIANCE * max(variances[order[0]], 0.0)]
    variances, directions = variances[order], directions[:, order]
    # The sign of an axis is arbitrary: make its largest entry positive.
    largest = np.argmax(np.abs(directions), axis=0)
    directions = directions * np.sign(directions[largest, np.arange(len(order))])
    squared = variances + _SHRINKAGE * variances[:1]
    return Axes(scaling, directions, np.sqrt(squared * np.sum(variances / squared)))
