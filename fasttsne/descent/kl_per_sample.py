"""KL(P||Q) point by point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import BarnesHutForces, ExactForces, Forces
from fasttsne.samples.weights import own_copies

_EDGES_AT_ONCE = 2**20

# -log w is counted as this where it is larger, as the kernels do.
_LARGEST_LOG = 87.0


def kl_per_copy(
    forces: Forces, embedding: NDArray[np.float32], rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Share of the divergence that one copy of each sample has, sum_j p_ij log(p_ij / q_ij).

    Parameters
    ----------
    forces : Forces
        Evaluated at the map.
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map, in the order of the samples.
    rows : ndarray of int64, shape (n_samples,), default=None
        Which point each sample is, where several are one. None means each its own.

    Returns
    -------
    divergences : ndarray of float64, shape (n_samples,)
        Their sum, times the number of copies, is KL(P||Q), but for rounding. Single ones may be
        negative.
    """
    if rows is not None:
        _, first = np.unique(rows, return_index=True)
        return _of_points(forces, embedding[first])[rows]
    return _of_points(forces, embedding)


def _of_points(forces: Forces, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    masses = forces.masses
    n_samples, order = len(embedding), forces.order
    if isinstance(forces, ExactForces):
        joint = forces.joint
        indptr = np.arange(n_samples + 1, dtype=np.int64) * n_samples
        n_edges = n_samples * (n_samples - 1)
    else:
        assert isinstance(forces, BarnesHutForces)
        indptr, indices, data = forces.joint
        n_edges = len(data)
    log_sum_q = np.log(forces.sum_q + n_edges * np.exp(-_LARGEST_LOG))
    Y = embedding[order].astype(np.float64)
    sums = np.empty(n_samples)
    begin = 0
    while begin < n_samples:
        end = int(np.searchsorted(indptr, indptr[begin] + _EDGES_AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), n_samples)
        if isinstance(forces, ExactForces):
            p = joint[begin:end].ravel()
            columns = np.tile(np.arange(n_samples, dtype=np.int32), end - begin)
        else:
            edges = slice(indptr[begin], indptr[end])
            p, columns = data[edges], indices[edges]
        p = p.astype(np.float64)
        row = np.repeat(np.arange(end - begin), np.diff(indptr[begin : end + 1]))
        squared = np.square(Y[begin + row] - Y[columns]).sum(axis=1)
        nu = forces.degrees_of_freedom
        log_w = np.minimum(0.5 * (nu + 1.0) * np.log1p(squared / nu), _LARGEST_LOG)
        pair: NDArray[np.floating] = p
        if masses is not None:
            # What a copy has with all other copies is stored; the logarithm is of one pair.
            copies = masses[columns].astype(np.float64)
            copies = np.where(columns == begin + row, own_copies(copies), copies)
            pair = p / np.where(p > 0.0, copies, 1.0)
        log_p = np.log(np.where(p > 0.0, pair, 1.0))
        terms = p * (log_p + log_w + log_sum_q)
        sums[begin:end] = np.bincount(row, weights=terms, minlength=end - begin)
        begin = end
    in_callers_order = np.empty(n_samples)
    in_callers_order[order] = sums
    return in_callers_order
