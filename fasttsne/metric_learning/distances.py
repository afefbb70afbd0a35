"""Distances and cosines of a batch, and gradients through them.

One backward pass serves every loss of squared distances: d|a - b|^2 / da = 2 (a - b).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from fasttsne.metric_learning.checks import Floats, Indices, check_squares

# Number of distances that are held at once.
_BLOCK_VALUES = 1 << 21

# Squared distances below this share of the squared lengths have lost digits to cancellation. They
# are computed again from differences.
_CANCELLED = 1e-4


def block_rows(width: int) -> int:
    """Return the number of rows of this width per block, at least one."""
    return max(1, _BLOCK_VALUES // width)


class Batch:
    """Samples, (n_samples, n_features), whose distances are computed a few rows at a time."""

    def __init__(self, X: Floats) -> None:
        check_squares(X, "X")
        # Products of samples near the origin cancel less.
        self.X = X - X.mean(axis=0)
        self.squared_lengths = np.einsum("ij,ij->i", self.X, self.X)
        self.gradient = np.zeros_like(X)

    def __len__(self) -> int:
        return len(self.X)

    def blocks(self, rows: Indices | None = None) -> Iterator[Indices]:
        """Yield blocks of rows, by default of all, whose distances fit into little memory."""
        rows = np.arange(len(self)) if rows is None else rows
        step = block_rows(len(self))
        for first in range(0, len(rows), step):
            yield rows[first : first + step]

    def squared_distances(self, rows: Indices) -> Floats:
        """Return squared distances of these rows to all samples, (n_rows, n_samples)."""
        A = self.X[rows]
        scale = self.squared_lengths[rows, np.newaxis] + self.squared_lengths
        squared: Floats = scale - 2.0 * (A @ self.X.T)
        near_rows, near = np.nonzero(squared <= _CANCELLED * scale)
        step = block_rows(self.X.shape[1])
        for first in range(0, len(near), step):
            i, j = near_rows[first : first + step], near[first : first + step]
            differences = A[i] - self.X[j]
            squared[i, j] = np.einsum("ij,ij->i", differences, differences)
        return squared

    def add_gradient(self, rows: Indices, by_squared: Floats) -> None:
        """Add to `gradient` the effect of derivatives by `squared_distances(rows)`."""
        A = self.X[rows]
        self.gradient[rows] += 2.0 * (
            by_squared.sum(axis=1)[:, np.newaxis] * A - by_squared @ self.X
        )
        self.gradient += 2.0 * (by_squared.sum(axis=0)[:, np.newaxis] * self.X - by_squared.T @ A)


def summed_by_row(rows: Indices, values: Floats, n_rows: int) -> Floats:
    """Add up values, (n, n_features), of the same row: (n_rows, n_features)."""
    n = len(rows)
    places = sparse.csr_matrix((np.ones(n), (rows, np.arange(n))), shape=(n_rows, n))
    return places @ values


def by_squared_of(by_distance: Floats, distances: Floats) -> Floats:
    """Return derivatives by squared distances from those by distances; 0 at distances of 0."""
    twice = 2.0 * distances
    return np.divide(by_distance, twice, out=np.zeros_like(by_distance), where=twice > 0.0)


def normalized(X: Floats) -> tuple[Floats, Floats]:
    """Scale samples to length 1; return them and their lengths, (n_samples, 1). Zeros stay."""
    # Powers of two keep squares from overflow and underflow.
    _, exponents = np.frexp(np.abs(X).max(axis=1, keepdims=True))
    scaled = np.ldexp(X, -exponents)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, np.newaxis]
    units = np.divide(scaled, lengths, out=np.zeros_like(X), where=lengths > 0.0)
    return units, np.ldexp(lengths, exponents)


def through_normalized(by_units: Floats, units: Floats, lengths: Floats) -> Floats:
    """Return derivatives by samples from those by `normalized` ones: (I - u u') / |x|, 0 at 0."""
    along = np.einsum("ij,ij->i", by_units, units)[:, np.newaxis]
    across: Floats = by_units - along * units
    with np.errstate(over="ignore"):  # lengths next to 0
        np.divide(across, lengths, out=across, where=lengths > 0.0)
    return np.where(lengths > 0.0, across, 0.0)
