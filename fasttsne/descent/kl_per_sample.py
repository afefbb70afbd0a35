"""KL(P||Q), sample by sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import BarnesHutForces, ExactForces, Forces
from fasttsne.samples.weights import own_copies

_EDGES_AT_ONCE = 2**20

# The kernels bound -log w by this too.
_LARGEST_LOG = 87.0


def kl_per_copy(
    forces: Forces, embedding: NDArray[np.float32], point_of_sample: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return sum_j p_ij log(p_ij / q_ij) of one copy of each sample; single ones may be negative.

    `forces` are evaluated at the map. Where samples share points, `point_of_sample` says which.
    """
    if point_of_sample is not None:
        _, first = np.unique(point_of_sample, return_index=True)
        return kl_per_copy(forces, embedding[first])[point_of_sample]
    masses, nu, order = forces.masses, forces.degrees_of_freedom, forces.order
    n_points = len(embedding)
    if isinstance(forces, ExactForces):
        joint = forces.joint
        indptr = np.arange(n_points + 1, dtype=np.int64) * n_points
        n_edges = n_points * (n_points - 1)
    else:
        assert isinstance(forces, BarnesHutForces)
        indptr, indices, data = forces.joint
        n_edges = len(data)
    log_sum_q = np.log(forces.sum_q + n_edges * np.exp(-_LARGEST_LOG))
    Y = embedding[order].astype(np.float64)
    sums = np.empty(n_points)
    begin = 0
    while begin < n_points:
        end = int(np.searchsorted(indptr, indptr[begin] + _EDGES_AT_ONCE, side="right")) - 1
        end = min(max(end, begin + 1), n_points)
        if isinstance(forces, ExactForces):
            p = joint[begin:end].ravel()
            columns = np.tile(np.arange(n_points, dtype=np.int32), end - begin)
        else:
            edges = slice(indptr[begin], indptr[end])
            p, columns = data[edges], indices[edges]
        p = p.astype(np.float64)
        row = np.repeat(np.arange(begin, end), np.diff(indptr[begin : end + 1]))
        squared = np.square(Y[row] - Y[columns]).sum(axis=1)
        log_w = np.minimum(0.5 * (nu + 1.0) * np.log1p(squared / nu), _LARGEST_LOG)
        pair: NDArray[np.floating] = p
        if masses is not None:
            # p is of one copy of i with all copies of j; the logarithm is of one pair of copies.
            copies = masses[columns].astype(np.float64)
            copies = np.where(columns == row, own_copies(copies), copies)
            pair = p / np.where(p > 0.0, copies, 1.0)
        terms = p * (np.log(np.where(p > 0.0, pair, 1.0)) + log_w + log_sum_q)
        sums[order[begin:end]] = np.bincount(row - begin, weights=terms, minlength=end - begin)
        begin = end
    return sums
