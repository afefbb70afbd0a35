"""Known classes -> p_j|i that lean towards a sample's own class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.affinity.joint import JointProbabilities, from_csr

__all__ = ["guided_by_labels"]

# Rows at work at once.
_BLOCK_ROWS = 4096


def guided_by_labels(
    conditional: NDArray[np.float32],
    classes: NDArray[np.int64],
    weight: float,
    *,
    indices: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """Turn probability from other classes over to the rest of the row.

    Parameters
    ----------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i. Not changed.
    classes : ndarray of int64, shape (n_samples,)
        Class of every sample, -1 where it is not known.
    weight : float
        Share of p_j|i, from 0 to 1, that a neighbour of another class loses. Rows then get back
        the sum that they had.
    indices : ndarray of int32, shape (n_samples, n_neighbors), default=None
        The neighbours; None means all samples, in order.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        The very p_j|i where no two known classes meet, and in rows of which nothing would be left.

    Notes
    -----
    UMAP weakens edges between classes in this way before it normalises locally [1]_, by a factor
    exp(-5) by default.

    References
    ----------
    .. [1] McInnes, L., Healy, J. and Melville, J. (2018). UMAP: uniform manifold approximation and
       projection for dimension reduction. arXiv:1802.03426.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity.supervised import guided_by_labels
    >>> indices = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
    >>> conditional = np.full((3, 2), 0.5, dtype=np.float32)
    >>> guided_by_labels(conditional, np.array([0, 1, -1]), 0.5, indices=indices)
    array([[0.33333334, 0.6666667 ],
           [0.33333334, 0.6666667 ],
           [0.5       , 0.5       ]], dtype=float32)
    """
    guided = conditional.copy()
    for start in range(0, len(guided), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        own = classes[rows, None]
        other = classes[None, :] if indices is None else classes[indices[rows]]
        apart = (own != other) & (own >= 0) & (other >= 0)
        kept = conditional[rows] * (1.0 - weight * apart)
        left = kept.sum(axis=1)
        change = apart.any(axis=1) & (left > 0.0)
        whole = conditional[rows].sum(axis=1, dtype=np.float64)
        guided[rows][change] = kept[change] * (whole[change] / left[change])[:, None]
    return guided


def guide_joint(
    joint: JointProbabilities,
    classes: NDArray[np.int64],
    weight: float,
    *,
    masses: NDArray[np.float64] | None = None,
) -> JointProbabilities:
    """Do the same to a P that was given: to n p_ij in place of p_j|i, and symmetrise anew.

    Parameters
    ----------
    joint : JointProbabilities
        P. Not changed.
    classes : ndarray of int64, shape (n_samples,)
        Class of every sample, -1 where it is not known.
    weight : float
        Share that an edge between two classes loses, from 0 to 1.
    masses : ndarray of float64, shape (n_samples,), default=None
        Copies that every sample stands for, where P is that of one copy with another.

    Returns
    -------
    joint : JointProbabilities
        Symmetric, with sum 1.
    """
    n_samples = len(classes)
    rows = np.repeat(np.arange(n_samples), np.diff(joint.indptr))
    own, other = classes[rows], classes[joint.indices]
    apart = (own != other) & (own >= 0) & (other >= 0)
    if not apart.any():
        return joint
    copies = 1.0 if masses is None else masses[joint.indices]
    whole = np.bincount(rows, joint.data * copies, minlength=n_samples)
    kept = joint.data * (1.0 - weight * apart)
    left = np.bincount(rows, kept * copies, minlength=n_samples)
    change = (left > 0.0)[rows]
    ratio = np.divide(whole, left, out=np.ones_like(whole), where=left > 0.0)
    values = np.where(change, kept * ratio[rows], joint.data)
    guided = sparse.csr_matrix((values, joint.indices, joint.indptr), shape=(n_samples, n_samples))
    return from_csr((guided + guided.T) / 2.0)
