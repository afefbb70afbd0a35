"""Neighbours and p_j|i -> local radii in the data, for the density term and for its measure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import gen_batches

from fasttsne.samples.weights import LEAST_COUNT

# Rows computed at once.
_BLOCK_ROWS = 1 << 16

# Logarithms that vary less differ by rounding only.
_SPREAD = 1e-6


class Radii(NamedTuple):
    """Local radii of the samples, and the graph of neighbours over which they are means."""

    logarithms: NDArray[np.float64]  # of the squared radii, (n_samples,)
    # Symmetric, as CSR arrays indptr and indices; None where these are the edges of a sparse P.
    edges: tuple[NDArray[np.int64], NDArray[np.int32]] | None


def log_radii(
    indices: NDArray[np.int32] | None,
    squared_distances: NDArray[np.float64],
    conditional: NDArray[np.float32],
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return log R_i of the mean squared distance R_i to neighbours, weighted by p_j|i + p_i|j.

    `indices` None stands for all pairs. A sample all of whose neighbours coincide with it has the
    smallest radius of the others.
    """
    n_samples = len(conditional)
    count = np.ones(n_samples) if counts is None else np.maximum(counts, LEAST_COUNT)
    sums = np.zeros((2, n_samples))  # of p d^2 and of p, over the neighbours
    back = np.zeros((2, n_samples))  # the same over samples whose neighbour this one is
    for rows in gen_batches(n_samples, _BLOCK_ROWS):
        p = conditional[rows].astype(np.float64)
        for at, terms in enumerate((p * squared_distances[rows], p)):
            sums[at, rows] = terms.sum(axis=1)
            terms *= count[rows, np.newaxis]
            if indices is None:
                back[at] += terms.sum(axis=0)
            else:
                there = indices[rows].ravel()
                back[at] += np.bincount(there, terms.ravel(), minlength=n_samples)
    squares, weights = sums + back / count
    radii = squares / weights
    positive = radii > 0.0
    if not positive.any():
        return np.zeros(n_samples)
    return np.asarray(np.log(np.where(positive, radii, radii[positive].min())))


def nearest_edges(
    conditional: NDArray[np.float32], n_neighbors: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the symmetric graph of the `n_neighbors` largest p_j|i of every row of all pairs."""
    n_samples = len(conditional)
    k = min(n_neighbors, n_samples)
    columns = np.argpartition(-conditional, k - 1, axis=1)[:, :k]
    rows = np.repeat(np.arange(n_samples), k)
    present = (np.take_along_axis(conditional, columns, axis=1) > 0.0).ravel()
    places = rows[present], columns.ravel()[present]
    shape = n_samples, n_samples
    graph = sparse.csr_matrix((np.ones(len(places[0]), dtype=np.float32), places), shape=shape)
    graph = sparse.csr_matrix(graph + graph.T)
    graph.sort_indices()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32)


def standardized(
    logarithms: NDArray[np.float64], counts: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return values of mean 0 and variance 1 over all copies; zeros where all are equal."""
    mean = np.average(logarithms, weights=counts)
    deviations = logarithms - mean
    spread = np.sqrt(np.average(np.square(deviations), weights=counts))
    if spread <= _SPREAD * max(1.0, abs(mean)):
        return np.zeros(len(logarithms), dtype=np.float32)
    return np.asarray(deviations / spread, dtype=np.float32)
