"""Samples that occur again and again -> each once, with its number of copies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Share of the samples that are copies of others, from which on they are drawn as one.
MANY = 0.25

# Rows compared at once.
_BLOCK_ROWS = 4096


class Collapsed(NamedTuple):
    """Samples, each once.

    Attributes
    ----------
    first : ndarray of int64, shape (n_distinct,)
        Where each occurs first, ascending.
    weights : ndarray of float64, shape (n_distinct,)
        How often each occurs, or the sum of the weights it has.
    rows : ndarray of int64, shape (n_samples,)
        Which of them each sample is.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    rows: NDArray[np.int64]


def collapsed(
    X: Any, weights: NDArray[np.float64] | None, *known: NDArray[Any] | None
) -> Collapsed | None:
    """Find samples that occur several times, if there are many.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Finite values.
    weights : ndarray of float64, shape (n_samples,), or None
        Copies of every sample; None means one each.
    *known : ndarray of shape (n_samples, ...), or None
        What else is known of samples: copies agree in it.

    Returns
    -------
    collapsed : Collapsed or None
        None if less than `MANY` of the samples are copies of others, or all are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.samples.duplicates import collapsed
    >>> X = np.array([[1.0, 2.0], [0.0, 3.0], [1.0, 2.0], [1.0, 2.0]])
    >>> collapsed(X, None).weights
    array([3., 1.])
    >>> collapsed(X, None, np.array([0, 0, 1, 0])).first
    array([0, 1, 2])
    """
    n_samples = X.shape[0]
    parts = [sparse.csr_matrix(X) if sparse.issparse(X) else X]
    parts += [part.reshape(n_samples, -1) for part in known if part is not None]
    first, rows = np.unique(_first_equal(parts), return_inverse=True)
    if n_samples - len(first) < max(1.0, MANY * n_samples) or len(first) < 2:
        return None
    return Collapsed(first, np.bincount(rows, weights).astype(np.float64), rows.astype(np.int64))


def _first_equal(parts: list[Any]) -> NDArray[np.int64]:
    """For every row of all parts side by side, the first one that equals it."""
    # Equal rows have equal products with anything, so that they come to stand side by side. A
    # different row of the same product may part them; they then count as different.
    probes = np.random.RandomState(0)
    products = np.zeros(parts[0].shape[0])
    for part in parts:
        products += _products(part, probes.standard_normal(part.shape[1]))
    order = np.argsort(products, kind="stable")
    same = np.concatenate(([False], products[order[1:]] == products[order[:-1]]))
    candidates = np.flatnonzero(same)
    for start in range(0, len(candidates), _BLOCK_ROWS):
        block = candidates[start : start + _BLOCK_ROWS]
        same[block] = np.all(
            [_rows_equal(part[order[block]], part[order[block - 1]]) for part in parts], axis=0
        )
    starts = np.flatnonzero(~same)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return first


def _products(part: Any, probe: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(part @ probe if sparse.issparse(part) else np.einsum("ij,j->i", part, probe))


def _rows_equal(A: Any, B: Any) -> NDArray[np.bool_]:
    if not sparse.issparse(A):
        return np.asarray((A == B).all(axis=1))
    difference = sparse.csr_matrix(A - B)
    difference.eliminate_zeros()
    return np.asarray(np.diff(difference.indptr) == 0)
