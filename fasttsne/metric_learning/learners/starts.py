"""Where a linear metric begins, and how good a map is at telling classes apart.

A map is a matrix of shape (n_axes, n_components), and takes coordinates of `features.Axes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.distances import Batch, normalized
from fasttsne.metric_learning.learners.features import (
    Axes,
    common_scaling,
    principal_axes_of,
    standard_scaling,
)

Classes = NDArray[np.int64]

# Samples by which a start is judged, and at the most those that a sample is compared with.
_N_JUDGED = 2_000
_N_COMPARED = 10_000

# Share of the variance that a class has along any axis, for discriminants: with fewer samples than
# axes, classes seem to have none along some.
_LEAST_SPREAD = 0.01


def choose_axes(
    X: Floats,
    classes: Classes,
    n_components: int,
    standardize: bool | str,
    chance: np.random.RandomState,
) -> Axes:
    """Find the coordinates to train in; "auto": where neighbours agree in class more often.

    Raises
    ------
    ValueError
        If all samples are the same.
    """
    standard = standard_scaling(X)
    if not standard.scale.any():
        raise ValueError("X is constant: samples that are all the same have no metric")
    if standardize != "auto":
        return principal_axes_of(X, standard if standardize else common_scaling(X))
    some = chance.permutation(len(X))[:_N_JUDGED]

    def share(axes: Axes) -> float:
        E = axes.coordinates(X[some]) @ principal(axes, n_components)
        return own_agreement(E, classes[some])

    own, common = (principal_axes_of(X, scaling) for scaling in (standard, common_scaling(X)))
    expected = share(own)
    # By more than chance, so that units do not decide where neighbours know nothing.
    by_chance = np.sqrt(expected * (1.0 - expected) / len(some))
    return common if share(common) > expected + by_chance else own


# ---- Starts ---------------------------------------------------------------------------------


def principal(axes: Axes, n_components: int) -> Floats:
    """Take the first axes as they are; 0 where there are no more."""
    W = np.zeros((len(axes.lengths), n_components))
    np.fill_diagonal(W, axes.lengths)
    return W


def discriminants(Z: Floats, classes: Classes, n_components: int) -> Floats:
    """Take directions along which classes differ most, compared with their own spread (Fisher)."""
    means = class_means(Z, classes)[classes]
    spread = (Z - means).T @ (Z - means) / len(Z)
    between = means.T @ means / len(Z)
    total = np.trace(spread) + np.trace(between)
    spread[np.diag_indices_from(spread)] += _LEAST_SPREAD * total / len(spread)
    first = len(spread) - n_components
    _, directions = eigh(between, spread, subset_by_index=(first, len(spread) - 1))
    return np.ascontiguousarray(directions[:, ::-1])


def class_means(Z: Floats, classes: Classes) -> Floats:
    """Mean of every class, (n_classes, n_axes)."""
    sums = np.zeros((classes.max() + 1, Z.shape[1]))
    np.add.at(sums, classes, Z)
    means: Floats = sums / np.bincount(classes)[:, np.newaxis]
    return means


def first_proxies(E: Floats, classes: Classes, chance: np.random.RandomState) -> Floats:
    """Give each class a vector of length 1 towards its mean; somewhere, if that is the origin."""
    means = class_means(E, classes)
    noise = 1e-3 * np.sqrt(np.mean(E**2)) * chance.standard_normal(means.shape)
    return normalized(means + noise)[0]


def typical_length(E: Floats) -> float:
    """Root mean square length of embeddings."""
    return float(np.sqrt(np.mean(np.einsum("ij,ij->i", E, E))))


# ---- How good a map is ----------------------------------------------------------------------


def agreement(E: Floats, classes: Classes, judged: Floats, expected: Classes) -> float:
    """Share of the judged samples whose nearest one among the others is of the same class."""
    E, n_judged, n_right = E[:_N_COMPARED], len(judged), 0
    batch = Batch(np.vstack([judged, E]))
    for rows in batch.blocks(np.arange(n_judged)):
        nearest = np.argmin(batch.squared_distances(rows)[:, n_judged:], axis=1)
        n_right += int(np.count_nonzero(classes[nearest] == expected[rows]))
    return n_right / n_judged


def own_agreement(E: Floats, classes: Classes) -> float:
    """Share of samples whose nearest other one is of the same class."""
    batch, n_right = Batch(E), 0
    for rows in batch.blocks():
        squared = batch.squared_distances(rows)
        squared[np.arange(len(rows)), rows] = np.inf
        n_right += int(np.count_nonzero(classes[np.argmin(squared, axis=1)] == classes[rows]))
    return n_right / len(E)
