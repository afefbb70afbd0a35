"""Neighbours -> conditional probabilities p_j|i -> joint probabilities P."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne import _kernels

__all__ = [
    "conditional_probabilities",
    "joint_probabilities",
    "joint_probabilities_dense",
    "symmetrize_dense",
]


class JointProbabilities(NamedTuple):
    """A sparse P as CSR arrays: symmetric, stored whole, with sum 1.

    Parameters
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


def conditional_probabilities(
    squared_distances: NDArray[np.float64] | NDArray[np.float32],
    perplexity: float,
    *,
    skip_diagonal: bool = False,
    n_threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Gaussian similarities p_j|i whose perplexity is the wanted one in every row.

    Parameters
    ----------
    squared_distances : ndarray of float64 or float32, shape (n_samples, n_neighbors)
        Finite and not negative, in any order within a row.
    perplexity : float
        2 to the power of a row's entropy in bits, greater than 0.
    skip_diagonal : bool, default=False
        Whether `squared_distances` is square and every sample's distance to itself, which then
        counts for nothing, is on the diagonal.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i, rows with sum 1 (van der Maaten & Hinton 2008, equation 1).
    beta : ndarray of float64, shape (n_samples,)
        1 / (2 sigma_i^2), in the inverse unit of `squared_distances`.

    Notes
    -----
    Where no sigma has the wanted perplexity, the row is the limit that comes closest: uniform if
    all distances are equal or `perplexity` is at least n_neighbors (beta = 0), and uniform over
    the nearest if at least `perplexity` of them are tied (beta = inf).

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import conditional_probabilities
    >>> conditional, beta = conditional_probabilities(np.array([[1.0, 4.0, 9.0, 16.0]]), 2.0)
    >>> entropy = -(conditional * np.log2(conditional)).sum()
    >>> print(f"{2**entropy:.4f}")
    2.0000
    """
    return _kernels.calibrate(squared_distances, perplexity, skip_diagonal, n_threads)


def joint_probabilities(
    indices: NDArray[np.int32], conditional: NDArray[np.float32], *, n_threads: int = 1
) -> JointProbabilities:
    """Symmetrise: p_ij = (p_j|i + p_i|j) / 2n.

    Parameters
    ----------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbours of every sample, in any order, none twice.
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i for these neighbours.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    joint : JointProbabilities
        P as CSR arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import joint_probabilities
    >>> indices = np.array([[1], [2], [1]], dtype=np.int32)
    >>> joint_probabilities(indices, np.ones((3, 1), dtype=np.float32)).indices
    array([1, 0, 2, 1], dtype=int32)
    """
    return JointProbabilities(*_kernels.symmetrize(indices, conditional, n_threads))


def joint_probabilities_dense(
    squared_distances: NDArray[np.float64] | NDArray[np.float32],
    perplexity: float,
    *,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """P over all pairs, for the exact method.

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


def symmetrize_dense(
    conditional: NDArray[np.float32], *, n_threads: int = 1
) -> NDArray[np.float32]:
    """Symmetrise over all pairs, in place: p_ij = (p_j|i + p_i|j) / 2n.

    Parameters
    ----------
    conditional : ndarray of float32, shape (n_samples, n_samples)
        p_j|i; overwritten.
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
    return _kernels.symmetrize_dense(conditional, n_threads)
