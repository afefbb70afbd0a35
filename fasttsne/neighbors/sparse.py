"""Sparse samples, by rows and by columns -> the exact k nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import row_norms

from fasttsne import _kernels
from fasttsne.neighbors.metrics import Found, check_magnitude
from fasttsne.samples.checks import without_duplicates

# Row or column pointers, indices, values.
Compressed = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]


@dataclass(frozen=True)
class SparsePoints:
    """Samples to search, for "cosine" of unit length; `src/sparse.c` explains the search."""

    metric: str  # "euclidean" or "cosine"
    n_features: int
    rows: Compressed
    columns: Compressed  # with one more for each row of zeros
    squared_norms: NDArray[np.float64]  # (n_samples,)

    @classmethod
    def of(cls, X: Any, metric: str) -> SparsePoints:
        """Prepare a sparse matrix of finite values."""
        prepared, squared_norms = _prepared(X, metric, X.shape[1], apart=True)
        rows, columns = _compressed(prepared), _compressed(prepared.tocsc())
        return cls(metric, X.shape[1], rows, columns, squared_norms)

    def nearest(self, X: Any, n_neighbors: int, n_threads: int) -> Found:
        """Return indices and squared distances of the k nearest for every row of `X`.

        None stands for the samples themselves, which are not their own neighbours.
        """
        n_columns = len(self.columns[0]) - 1
        queries, squared_norms = self.rows, self.squared_norms
        if X is not None:
            prepared, squared_norms = _prepared(X, self.metric, n_columns, apart=False)
            queries = _compressed(prepared)
        indices, squares = _kernels.find_sparse_neighbors(
            queries,
            squared_norms,
            self.rows,
            self.columns,
            self.squared_norms,
            n_columns,
            n_neighbors,
            X is None,
            n_threads,
        )
        return indices, (0.5 * squares) ** 2 if self.metric == "cosine" else squares


def _prepared(
    X: Any, metric: str, n_columns: int, *, apart: bool
) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Return rows as the search takes them, and their squared norms.

    For "cosine" rows have unit length. The distance of a row of zeros to any other is 1, that of
    orthogonal rows: it gets an entry in a column from `n_columns` on, each in another one if they
    are to be `apart`.
    """
    X = without_duplicates(sparse.csr_matrix(X)).astype(np.float64, copy=False)
    if metric == "euclidean":
        check_magnitude(X.data)
        return X, row_norms(X, squared=True)
    # Scaled by powers of two, which round nothing, no square is too large or too small.
    largest = abs(X).max(axis=1).toarray().ravel()
    lengths = np.diff(X.indptr)
    data = np.ldexp(X.data, np.repeat(-np.frexp(largest)[1], lengths))
    X = sparse.csr_matrix((data, X.indices, X.indptr), shape=X.shape)
    norms = row_norms(X)
    X.data /= np.repeat(np.where(largest == 0.0, 1.0, norms), lengths)
    zero = np.flatnonzero(largest == 0.0)
    if len(zero):
        own = n_columns - X.shape[1] + (np.arange(len(zero)) if apart else 0 * zero)
        entries = (np.ones(len(zero)), (zero, own))
        X = sparse.hstack([X, sparse.csr_matrix(entries, shape=(X.shape[0], own.max() + 1))], "csr")
    return X, np.ones(X.shape[0])


def _compressed(X: Any) -> Compressed:
    return X.indptr.astype(np.int64), X.indices.astype(np.int32), X.data
