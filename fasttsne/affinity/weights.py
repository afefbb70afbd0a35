"""Samples that stand for several copies: their neighbours, and P over all copies.

A sample of count w is w copies of it. This is t-SNE of all copies, written for one copy of each
sample; docs/algorithm.md has the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.affinity.joint import JointProbabilities, Symmetrization, as_csr, joint_probabilities
from fasttsne.samples.weights import LEAST_COUNT, own_copies


class WeightedJoint(NamedTuple):
    """P over copies of samples; s_ij is the probability of one pair of copies, w_i a count."""

    # w_j s_ij: one copy of i with all copies of j. Not symmetric.
    attraction: JointProbabilities | NDArray[np.float32]
    counts: NDArray[np.float32]  # w_i
    negative_entropy: float  # the sum of s_ij log s_ij over all pairs of copies

    def joint(self) -> sparse.csr_matrix:
        """Return w_i w_j s_ij, symmetric with sum 1; the diagonal joins copies of one sample."""
        graph = as_csr(self.attraction).astype(np.float64)
        scale = sparse.diags(np.maximum(self.counts.astype(np.float64), LEAST_COUNT))
        return sparse.csr_matrix(scale @ graph)


def neighbors_of_copies(
    search: Callable[[int], tuple[NDArray[np.int32], NDArray[np.float64]]],
    counts: NDArray[np.float64],
    n_copies: int,
    *,
    given: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float32]]:
    """Return indices, squared distances and counts of the `n_copies` copies nearest to one copy.

    `search(k)` returns the k nearest other samples of each; with `given` all there are. It is
    repeated with more until every row has enough copies.
    """
    most = len(counts) - 1
    n_neighbors = min(most, n_copies)
    while True:
        found = with_own_copies(*search(n_neighbors), counts, n_copies)
        if found is not None:
            return found
        if given:
            raise ValueError(
                f"neighbors: {n_copies} copies near a sample are needed, but by sample_weight "
                "some samples have fewer; lower perplexity, or search for more"
            )
        n_neighbors = min(most, 2 * n_neighbors)


def with_own_copies(
    indices: NDArray[np.int32],
    squared_distances: NDArray[np.float64],
    counts: NDArray[np.float64],
    n_copies: float,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float32]] | None:
    """Return the neighbours of one copy of every sample, or None where they are too few.

    The sample itself comes first, at distance 0, with its other copies. The farthest neighbour may
    count in part.
    """
    n_samples = len(counts)
    itself = np.arange(n_samples, dtype=np.int32)[:, None]
    indices = np.hstack([itself, indices])
    squares = np.hstack([np.zeros((n_samples, 1)), squared_distances])
    copies = np.maximum(counts, LEAST_COUNT)[indices]
    copies[:, 0] = own_copies(counts)
    up_to = np.cumsum(copies, axis=1)
    if up_to[:, -1].min() < n_copies * (1.0 - 1e-9):
        return None
    copies = np.clip(n_copies - (up_to - copies), 0.0, copies).astype(np.float32)
    n_needed = 1 + int(np.flatnonzero(copies.any(axis=0))[-1])
    return (
        np.ascontiguousarray(indices[:, :n_needed]),
        np.ascontiguousarray(squares[:, :n_needed]),
        np.ascontiguousarray(copies[:, :n_needed]),
    )


def counts_of_all_pairs(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how many copies of j are neighbours of one copy of i, (n_samples, n_samples)."""
    copies = np.tile(np.maximum(counts, LEAST_COUNT).astype(np.float32), (len(counts), 1))
    np.fill_diagonal(copies, own_copies(counts))
    return copies


def weighted_joint(
    indices: NDArray[np.int32] | None,
    conditional: NDArray[np.float32],
    counts: NDArray[np.float64],
    *,
    symmetrization: Symmetrization = "mean",
    n_threads: int = 1,
) -> WeightedJoint:
    """Symmetrise over copies: s_ij = (p_j|i / w_j + p_i|j / w_i) / 2 sum(w).

    `indices` are the neighbours that p_j|i, of all copies of j together, belongs to; None stands
    for all pairs, and P is then dense.
    """
    n_samples = len(counts)
    if indices is None:
        copies = np.tile(np.maximum(counts, LEAST_COUNT), (n_samples, 1))
        np.fill_diagonal(copies, own_copies(counts))
    else:
        copies = np.maximum(counts, LEAST_COUNT)[indices]
        itself = indices == np.arange(n_samples)[:, None]
        copies[itself] = np.repeat(own_copies(counts)[:, None], indices.shape[1], axis=1)[itself]
    pairs = np.divide(conditional, copies, out=np.zeros_like(copies), where=conditional > 0.0)
    if indices is None:
        both = pairs + pairs.T if symmetrization == "mean" else np.maximum(pairs, pairs.T)
        return dense(of_pairs(sparse.csr_matrix(both), counts))
    joint = joint_probabilities(
        indices, pairs.astype(np.float32), symmetrization=symmetrization, n_threads=n_threads
    )
    graph = as_csr(joint)
    graph.eliminate_zeros()
    return of_pairs(graph, counts)


def of_pairs(graph: sparse.csr_matrix, counts: NDArray[np.float64]) -> WeightedJoint:
    """Return P from symmetric affinities of one copy with another, of any sum."""
    graph = sparse.csr_matrix(graph)
    graph.sort_indices()
    rows = np.repeat(np.arange(len(counts)), np.diff(graph.indptr))
    copies = np.where(graph.indices == rows, own_copies(counts)[rows], counts[graph.indices])
    n_pairs = counts[rows] * copies
    pair = graph.data.astype(np.float64)
    pair /= np.sum(n_pairs * pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(pair > 0.0, n_pairs * pair * np.log(pair), 0.0)
    attraction = JointProbabilities(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        (copies * pair).astype(np.float32),
    )
    return WeightedJoint(attraction, counts.astype(np.float32), float(terms.sum()))


def dense(joint: WeightedJoint) -> WeightedJoint:
    """Return the same P as a dense matrix, for the exact method."""
    return joint._replace(attraction=as_csr(joint.attraction).toarray())
