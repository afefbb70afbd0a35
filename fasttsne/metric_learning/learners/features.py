"""Raw features -> the coordinates that the learners train in, and back.

Steps of one length in all parameters suit coordinates of one scale. What is learned there is turned
into coefficients of the raw features, so that nobody has to know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fasttsne.metric_learning.checks import Floats

# A spread below this share of the largest value is that of rounding: the feature is constant.
_CONSTANT = 1e-13
# Axes whose variance is below this share of the largest one are taken for rounding as well.
_NO_VARIANCE = 1e-10
# Small axes are not blown up beyond this share of the largest variance: they are mostly noise.
_SHRINKAGE = 0.01


@dataclass(frozen=True)
class Scaling:
    """Features around 0, in a unit of their own.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        What is subtracted, and what the rest is divided by; a scale of 0 marks a feature that
        says nothing and becomes 0.
    """

    mean: Floats
    scale: Floats

    def __call__(self, X: Floats) -> Floats:
        """Scale samples, (n_samples, n_features)."""
        return self.per_unit(X - self.mean)

    def per_unit(self, coefficients: Floats) -> Floats:
        """Divide by the scales along the last axis.

        That turns coefficients of scaled features into those of raw ones.
        """
        zeros = np.zeros_like(coefficients)
        return np.divide(coefficients, self.scale, out=zeros, where=self.scale > 0.0)


def standard_scaling(X: Floats) -> Scaling:
    """Find means and standard deviations, whatever the magnitude of the features."""
    largest = np.abs(X).max(axis=0)
    relative = np.divide(X, largest, out=np.zeros_like(X), where=largest > 0.0)
    means, deviations = relative.mean(axis=0), relative.std(axis=0)
    deviations[deviations <= _CONSTANT] = 0.0
    return Scaling(means * largest, deviations * largest)


def common_scaling(X: Floats) -> Scaling:
    """One unit for all features: the root mean square of their standard deviations."""
    own = standard_scaling(X)
    largest = own.scale.max()
    common = largest * np.sqrt(np.mean((own.scale / largest) ** 2)) if largest > 0.0 else 0.0
    return Scaling(own.mean, np.where(own.scale > 0.0, common, 0.0))


@dataclass(frozen=True)
class Axes:
    """Principal axes of scaled features, nearly whitened: the coordinates of a linear map.

    Attributes
    ----------
    scaling : Scaling
        What comes first.
    directions : ndarray of shape (n_features, n_axes)
        Orthonormal, by falling variance.
    lengths : ndarray of shape (n_axes,)
        What coordinates are divided by, so that the mean square length of a sample is 1.
    """

    scaling: Scaling
    directions: Floats
    lengths: Floats

    def coordinates(self, X: Floats) -> Floats:
        """Of raw samples, (n_samples, n_axes)."""
        return (self.scaling(X) @ self.directions) / self.lengths

    def to_raw(self, W: Floats) -> Floats:
        """Turn a map of coordinates, (n_axes, n_components), into one of raw features.

        The latter is (n_components, n_features).
        """
        return self.scaling.per_unit((self.directions @ (W / self.lengths[:, np.newaxis])).T)

    def from_raw(self, components: Floats) -> Floats:
        """Find the map of coordinates that does to the data what `components` do."""
        return self.from_scaled(components * self.scaling.scale)

    def from_scaled(self, components: Floats) -> Floats:
        """Find the map of coordinates that does what `components` do to scaled features."""
        W: Floats = self.lengths[:, np.newaxis] * (self.directions.T @ components.T)
        return W


def principal_axes_of(X: Floats, scaling: Scaling) -> Axes:
    """Find the axes of X along which it varies.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Raw samples.
    scaling : Scaling
        Of their features.

    Returns
    -------
    axes : Axes
        As many as the data have dimensions.
    """
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
    # The sign of an axis is nobody's choice: its largest entry is positive.
    largest = np.argmax(np.abs(directions), axis=0)
    directions = directions * np.sign(directions[largest, np.arange(len(order))])
    squared = variances + _SHRINKAGE * variances[:1]
    return Axes(scaling, directions, np.sqrt(squared * np.sum(variances / squared)))
