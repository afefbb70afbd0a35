"""Conditional probabilities p_j|i -> joint probabilities P."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne import _kernels
from fasttsne.affinity.conditional import conditional_probabilities
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.samples.arrays import unmasked
from fasttsne.samples.checks import check_readable

Symmetrization = Literal["mean", "max"]


class JointProbabilities(NamedTuple):
    """A sparse P as CSR arrays: symmetric, stored whole, with sum 1.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_samples + 1,)
        Where each row begins.
    indices : ndarray of int32, shape (n_edges,)
        Columns, ascending within a row.
    data : ndarray of float32, shape (n_edges,)
        p_ij.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from fasttsne.affinity import joint_probabilities
    >>> indices = np.array([[1], [0]], dtype=np.int32)
    >>> joint = joint_probabilities(indices, np.ones((2, 1), dtype=np.float32))
    >>> sparse.csr_array((joint.data, joint.indices, joint.indptr)).toarray()
    array([[0. , 0.5],
           [0.5, 0. ]], dtype=float32)
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]


@with_plain_numbers
def joint_probabilities(
    indices: NDArray[np.int32],
    conditional: NDArray[np.float32],
    *,
    symmetrization: Symmetrization = "mean",
    n_threads: int = 1,
) -> JointProbabilities:
    """Return P, symmetric: p_ij = (p_j|i + p_i|j) / 2n.

    Parameters
    ----------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbours of every sample, each once, in any order.
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i for these neighbours.
    symmetrization : {"mean", "max"}, default="mean"
        "mean" is the formula above (van der Maaten & Hinton 2008, section 3.1). "max" is
        max(p_j|i, p_i|j), divided by the sum over all pairs: of uniform rows it makes a graph
        whose edges all weigh the same [1]_.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    joint : JointProbabilities
        P as CSR arrays.

    Raises
    ------
    ValueError
        If an index is out of range, or `symmetrization` is not one of the two.

    References
    ----------
    .. [1] Böhm, J. N., Berens, P. and Kobak, D. (2022). Attraction-repulsion spectrum in neighbor
       embeddings. Journal of Machine Learning Research 23(95), 1-32.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import joint_probabilities
    >>> indices = np.array([[1], [2], [1]], dtype=np.int32)
    >>> conditional = np.ones((3, 1), dtype=np.float32)
    >>> joint_probabilities(indices, conditional).data
    array([0.16666667, 0.16666667, 0.33333334, 0.33333334], dtype=float32)
    >>> joint_probabilities(indices, conditional, symmetrization="max").data
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    unmasked([indices, conditional], "indices or conditional")
    if symmetrization == "mean":
        return JointProbabilities(*_kernels.symmetrize(indices, conditional, n_threads))
    n_samples, n_neighbors = indices.shape
    if indices.size and not 0 <= indices.min() <= indices.max() < n_samples:
        raise ValueError(f"a neighbour's index is out of range: it must be in 0 .. {n_samples - 1}")
    starts = np.arange(n_samples + 1, dtype=np.int64) * n_neighbors
    rows = sparse.csr_matrix(
        (conditional.ravel(), indices.ravel(), starts), shape=(n_samples, n_samples)
    )
    return from_csr(rows.maximum(rows.T))


def as_csr(
    joint: JointProbabilities | NDArray[np.float32] | sparse.csr_matrix,
) -> sparse.csr_matrix:
    """Return P, sparse or dense, as a SciPy sparse matrix.

    Parameters
    ----------
    joint : {JointProbabilities, ndarray of float32, sparse matrix}, (n_samples, n_samples)
        P.

    Returns
    -------
    graph : csr_matrix of float32, shape (n_samples, n_samples)
        P.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import as_csr, joint_probabilities
    >>> indices = np.array([[1], [0]], dtype=np.int32)
    >>> as_csr(joint_probabilities(indices, np.ones((2, 1), dtype=np.float32))).toarray()
    array([[0. , 0.5],
           [0.5, 0. ]], dtype=float32)
    """
    if not isinstance(joint, JointProbabilities):
        return sparse.csr_matrix(check_readable(joint, "joint"))
    n_samples = len(joint.indptr) - 1
    return sparse.csr_matrix(
        (joint.data, joint.indices, joint.indptr), shape=(n_samples, n_samples)
    )


def from_csr(graph: Any, *, normalize: bool = True) -> JointProbabilities:
    """Return P from a symmetric sparse matrix: divided by its sum, columns ascending."""
    graph = sparse.csr_matrix(graph)
    graph.sort_indices()
    total = graph.data.sum(dtype=np.float64) if normalize else 1.0
    return JointProbabilities(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        (graph.data / total).astype(np.float32),
    )


def joint_probabilities_dense(
    squared_distances: NDArray[np.float64] | NDArray[np.float32],
    perplexity: float,
    *,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Return P over all pairs, for the exact method.

    Parameters
    ----------
    squared_distances : ndarray of float64 or float32, shape (n_samples, n_samples)
        Finite and not negative; the diagonal is not read.
    perplexity : float
        See `conditional_probabilities`.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    joint : ndarray of float32, shape (n_samples, n_samples)
        Symmetric, with sum 1 and a diagonal of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import joint_probabilities_dense
    >>> squared_distances = np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 1.0], [4.0, 1.0, 0.0]])
    >>> joint_probabilities_dense(squared_distances, 2.0)[1]
    array([0.16666667, 0.        , 0.16666667], dtype=float32)
    """
    conditional, _ = conditional_probabilities(
        squared_distances, perplexity, skip_diagonal=True, n_threads=n_threads
    )
    return symmetrize_dense(conditional, n_threads=n_threads)


@with_plain_numbers
def symmetrize_dense(
    conditional: NDArray[np.float32], *, symmetrization: Symmetrization = "mean", n_threads: int = 1
) -> NDArray[np.float32]:
    """Return P over all pairs, as `joint_probabilities` does over neighbours.

    Parameters
    ----------
    conditional : ndarray of float32, shape (n_samples, n_samples)
        p_j|i; overwritten.
    symmetrization : {"mean", "max"}, default="mean"
        See `joint_probabilities`.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    joint : ndarray of float32, shape (n_samples, n_samples)
        The same array, now p_ij.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import symmetrize_dense
    >>> symmetrize_dense(np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32))
    array([[0. , 0.5],
           [0.5, 0. ]], dtype=float32)
    """
    unmasked(conditional, "conditional")
    if symmetrization == "max":
        np.maximum(conditional, conditional.T.copy(), out=conditional)
        conditional *= len(conditional) / conditional.sum(dtype=np.float64)
    return _kernels.symmetrize_dense(conditional, n_threads)
