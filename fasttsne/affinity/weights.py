"""Samples that stand for several: sample weights, and P and Q over what they stand for.

A sample of weight w is w copies of it. What follows is t-SNE of all copies, written down for one of
each sample: docs/algorithm.md has the equations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.affinity import JointProbabilities, as_csr, joint_probabilities

# Affinities of a sample that weighs less are those of one that weighs this: they are wanted, to
# place it, although it is no one's neighbour.
_LEAST_WEIGHT = 1e-6

# As many points as there can be in a map.
_LARGEST_SUM = 2.0**31


class WeightedJoint(NamedTuple):
    """P over copies of samples.

    Attributes
    ----------
    attraction : JointProbabilities or ndarray of float32, shape (n_samples, n_samples)
        What one copy of i has with all copies of j: w_j s_ij, with s_ij the probability of one pair
        of copies. Not symmetric.
    weights : ndarray of float32, shape (n_samples,)
        w_i.
    negative_entropy : float
        The sum over all pairs of copies of s_ij log s_ij.
    """

    attraction: JointProbabilities | NDArray[np.float32]
    weights: NDArray[np.float32]
    negative_entropy: float

    def joint(self) -> sparse.csr_matrix:
        """P summed up over copies: w_i w_j s_ij, and on the diagonal that of copies of one sample.

        Returns
        -------
        joint : csr_matrix of float64, shape (n_samples, n_samples)
            Symmetric, with sum 1.
        """
        graph = as_csr(self.attraction).astype(np.float64)
        scale = sparse.diags(np.maximum(self.weights.astype(np.float64), _LEAST_WEIGHT))
        return sparse.csr_matrix(scale @ graph)


def checked_weights(sample_weight: Any, n_samples: int) -> NDArray[np.float64] | None:
    """Take weights from the user.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Number of copies of every sample.
    n_samples : int
        Number of samples.

    Returns
    -------
    weights : ndarray of float64, shape (n_samples,), or None
        None where all are 1.

    Raises
    ------
    ValueError
        If there are not as many weights as samples, or some are negative or not finite, or hardly
        any is positive, or their sum is too large.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.array(sample_weight)
        if np.iscomplexobj(weights):
            raise ValueError("some are complex")
        weights = weights.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must be numbers: {error}") from error
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}, but must be (n_samples,) = ({n_samples},)"
        )
    if not np.isfinite(weights).all():
        raise ValueError("sample_weight contains NaN or infinity; weights are numbers of copies")
    if (weights < 0.0).any():
        raise ValueError(
            f"sample_weight[{int(np.argmin(weights))}] is negative; weights are numbers of copies, "
            "0 for a sample that is to be placed and not to count"
        )
    if not weights.any():
        raise ValueError("sample_weight is zero for all samples; some positive ones are needed")
    if np.count_nonzero(weights) < 2 or weights.sum() < 2.0:
        raise ValueError(
            f"sample_weight has {np.count_nonzero(weights)} positive values with sum "
            f"{weights.sum():g}; a map needs two samples. Weights are numbers of copies, not shares"
        )
    if weights.sum() > _LARGEST_SUM:
        raise ValueError(
            f"the sum of sample_weight is {weights.sum():g}, more than 2**31; scale it"
        )
    return None if (weights == 1.0).all() else weights


def own_copies(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many other copies of its sample a copy meets: w - 1, and none below."""
    return np.maximum(weights - 1.0, 0.0)


def with_own_copies(
    indices: NDArray[np.int32],
    squared_distances: NDArray[np.float64],
    weights: NDArray[np.float64],
    n_copies: float,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float32]] | None:
    """Neighbours of one copy of every sample, as many copies as are wanted.

    Parameters
    ----------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbouring samples, the nearest first, itself not among them.
    squared_distances : ndarray of float64, like `indices`
        To them.
    weights : ndarray of float64, shape (n_samples,)
        Copies of every sample.
    n_copies : float
        How many are neighbours.

    Returns
    -------
    indices, squared_distances, masses : ndarray, shape (n_samples, n_needed)
        The sample itself comes first, at distance 0, with its other copies; masses say how many
        copies are neighbours, of the farthest perhaps not all. Or None, if all those given have
        too few copies.
    """
    n_samples = len(weights)
    itself = np.arange(n_samples, dtype=np.int32)[:, None]
    indices = np.hstack([itself, indices])
    squares = np.hstack([np.zeros((n_samples, 1)), squared_distances])
    masses = np.maximum(weights, _LEAST_WEIGHT)[indices]
    masses[:, 0] = own_copies(weights)
    up_to = np.cumsum(masses, axis=1)
    if up_to[:, -1].min() < n_copies * (1.0 - 1e-9):
        return None
    masses = np.clip(n_copies - (up_to - masses), 0.0, masses).astype(np.float32)
    n_needed = 1 + int(np.flatnonzero(masses.any(axis=0))[-1])
    return (
        np.ascontiguousarray(indices[:, :n_needed]),
        np.ascontiguousarray(squares[:, :n_needed]),
        np.ascontiguousarray(masses[:, :n_needed]),
    )


def dense_masses(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """How often every sample counts as a neighbour of one copy of every other, over all pairs."""
    masses = np.tile(np.maximum(weights, _LEAST_WEIGHT).astype(np.float32), (len(weights), 1))
    np.fill_diagonal(masses, own_copies(weights))
    return masses


def weighted_joint(
    indices: NDArray[np.int32],
    conditional: NDArray[np.float32],
    weights: NDArray[np.float64],
    *,
    symmetrization: str = "mean",
    n_threads: int = 1,
) -> WeightedJoint:
    """Symmetrise over copies: s_ij = (p_j|i / w_j + p_i|j / w_i) / 2 sum(w).

    Parameters
    ----------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbours of one copy of every sample, perhaps with itself.
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i of all copies of j together.
    weights : ndarray of float64, shape (n_samples,)
        Copies of every sample.
    symmetrization : {"mean", "max"}, default="mean"
        As in `fasttsne.affinity.joint_probabilities`.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    joint : WeightedJoint
        A sparse P.
    """
    copies = np.maximum(weights, _LEAST_WEIGHT)[indices]
    itself = indices == np.arange(len(weights))[:, None]
    copies[itself] = np.repeat(own_copies(weights)[:, None], indices.shape[1], axis=1)[itself]
    pairs = np.divide(conditional, copies, out=np.zeros_like(copies), where=conditional > 0.0)
    joint = joint_probabilities(
        indices, pairs.astype(np.float32), symmetrization=symmetrization, n_threads=n_threads
    )
    graph = as_csr(joint)
    graph.eliminate_zeros()
    return of_pairs(graph, weights)


def weighted_joint_dense(
    conditional: NDArray[np.float32],
    weights: NDArray[np.float64],
    *,
    symmetrization: str = "mean",
) -> WeightedJoint:
    """Do the same over all pairs, for the exact method."""
    copies = np.tile(np.maximum(weights, _LEAST_WEIGHT), (len(weights), 1))
    np.fill_diagonal(copies, own_copies(weights))
    pairs = np.divide(conditional, copies, out=np.zeros_like(copies), where=conditional > 0.0)
    both = pairs + pairs.T if symmetrization == "mean" else np.maximum(pairs, pairs.T)
    joint = of_pairs(sparse.csr_matrix(both), weights)
    return joint._replace(attraction=as_csr(joint.attraction).toarray())


def of_pairs(graph: sparse.csr_matrix, weights: NDArray[np.float64]) -> WeightedJoint:
    """P from the symmetric affinities of one copy with another, whatever they sum to."""
    graph = sparse.csr_matrix(graph)
    graph.sort_indices()
    rows = np.repeat(np.arange(len(weights)), np.diff(graph.indptr))
    copies = np.where(graph.indices == rows, own_copies(weights)[rows], weights[graph.indices])
    n_pairs = weights[rows] * copies
    pair = graph.data.astype(np.float64)
    pair /= np.sum(n_pairs * pair)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(pair > 0.0, n_pairs * pair * np.log(pair), 0.0)
    attraction = JointProbabilities(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        (copies * pair).astype(np.float32),
    )
    return WeightedJoint(attraction, weights.astype(np.float32), float(terms.sum()))
