"""Distances and cosines of a batch, and the way back from their derivatives to the embeddings.

One backward pass serves every loss of squared distances: with W the derivatives by the squared
distances of rows to all samples, d|a - b|^2 / da = 2 (a - b).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.metric_learning.checks import Floats, check_squares

# Values of a block of rows of distances.
_BLOCK_VALUES = 1 << 21

# Squared distances below this share of squared lengths have lost digits to cancellation, and are
# computed again from differences.
_CANCELLED = 1e-4


def block_rows(width: int) -> int:
    """Rows of so many values that make a block, at least one."""
    return max(1, _BLOCK_VALUES // width)


class Batch:
    """A batch of samples whose distances are asked for a few rows at a time.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        The samples.

    Raises
    ------
    ValueError
        If their squares overflow.
    """

    def __init__(self, X: Floats) -> None:
        check_squares(X, "X")
        # Near the origin products of samples cancel less.
        self.X = X - X.mean(axis=0)
        self.squared_lengths = np.einsum("ij,ij->i", self.X, self.X)
        self.gradient = np.zeros_like(X)

    def __len__(self) -> int:
        return len(self.X)

    def blocks(self, rows: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.int64]]:
        """Rows, by default all, in blocks whose distances fit into little memory."""
        rows = np.arange(len(self)) if rows is None else rows
        step = block_rows(len(self))
        for first in range(0, len(rows), step):
            yield rows[first : first + step]

    def squared_distances(self, rows: NDArray[np.int64]) -> Floats:
        """Of these rows to all samples, (n_rows, n_samples), never negative."""
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

    def add_gradient(self, rows: NDArray[np.int64], by_squared: Floats) -> None:
        """Add what derivatives by `squared_distances(rows)` mean for the samples."""
        A = self.X[rows]
        self.gradient[rows] += 2.0 * (
            by_squared.sum(axis=1)[:, np.newaxis] * A - by_squared @ self.X
        )
        self.gradient += 2.0 * (by_squared.sum(axis=0)[:, np.newaxis] * self.X - by_squared.T @ A)


def summed_by_row(rows: NDArray[np.int64], values: Floats, n_rows: int) -> Floats:
    """Add up values, (n, n_features), that belong to one row: (n_rows, n_features)."""
    n = len(rows)
    places = sparse.csr_matrix((np.ones(n), (rows, np.arange(n))), shape=(n_rows, n))
    summed: Floats = places @ values
    return summed


def by_squared_of(by_distance: Floats, distances: Floats) -> Floats:
    """Turn into derivatives by squared distances those by distances; 0 where a distance is 0."""
    twice = 2.0 * distances
    return np.divide(by_distance, twice, out=np.zeros_like(by_distance), where=twice > 0.0)


def normalized(X: Floats) -> tuple[Floats, Floats]:
    """Scale samples to length 1; returns them and their lengths, (n_samples, 1). Zeros stay."""
    # In a range where squares neither overflow nor vanish.
    _, exponents = np.frexp(np.abs(X).max(axis=1, keepdims=True))
    scaled = np.ldexp(X, -exponents)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, np.newaxis]
    units = np.divide(scaled, lengths, out=np.zeros_like(X), where=lengths > 0.0)
    return units, np.ldexp(lengths, exponents)


def through_normalized(by_units: Floats, units: Floats, lengths: Floats) -> Floats:
    """Turn into derivatives by samples those by `normalized` ones: (I - u u') / |x|, 0 at zeros."""
    along = np.einsum("ij,ij->i", by_units, units)[:, np.newaxis]
    across: Floats = by_units - along * units
    with np.errstate(over="ignore"):  # beside lengths next to 0
        np.divide(across, lengths, out=across, where=lengths > 0.0)
    return np.where(lengths > 0.0, across, 0.0)
