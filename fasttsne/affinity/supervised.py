"""Classes and p_j|i -> p_j|i with less between different classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.affinity.joint import JointProbabilities, from_csr
from fasttsne.samples.arrays import unmasked

# Rows computed at once.
_BLOCK_ROWS = 4096


def guided_by_labels(
    conditional: NDArray[np.float32],
    classes: NDArray[np.int64],
    weight: float,
    *,
    indices: NDArray[np.int32] | None = None,
) -> NDArray[np.float32]:
    """Return p_j|i of which a neighbour of another class has lost the share `weight`.

    Parameters
    ----------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i. Not changed.
    classes : ndarray of int64, shape (n_samples,)
        Class of every sample, -1 where it is unknown.
    weight : float
        Share of p_j|i, from 0 to 1, that a neighbour of another class loses. The row is then
        scaled back to its sum.
    indices : ndarray of int32, shape (n_samples, n_neighbors), default=None
        The neighbours; None means all samples, in order.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        Rows without a neighbour of another known class, and rows of which nothing would be left,
        are unchanged.

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
    >>> from fasttsne.affinity import guided_by_labels
    >>> indices = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
    >>> conditional = np.full((3, 2), 0.5, dtype=np.float32)
    >>> guided_by_labels(conditional, np.array([0, 1, -1]), 0.5, indices=indices)
    array([[0.33333334, 0.6666667 ],
           [0.33333334, 0.6666667 ],
           [0.5       , 0.5       ]], dtype=float32)
    """
    unmasked(conditional, "conditional")
    unmasked(classes, "classes")
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
    counts: NDArray[np.float64] | None = None,
) -> JointProbabilities:
    """Apply `guided_by_labels` to n p_ij of a given P in place of p_j|i, and symmetrise again.

    `counts` are the copies that samples stand for, where P is that of one copy with another.
    """
    n_samples = len(classes)
    rows = np.repeat(np.arange(n_samples), np.diff(joint.indptr))
    own, other = classes[rows], classes[joint.indices]
    apart = (own != other) & (own >= 0) & (other >= 0)
    if not apart.any():
        return joint
    copies = 1.0 if counts is None else counts[joint.indices]
    whole = np.bincount(rows, joint.data * copies, minlength=n_samples)
    kept = joint.data * (1.0 - weight * apart)
    left = np.bincount(rows, kept * copies, minlength=n_samples)
    change = (left > 0.0)[rows]
    ratio = np.divide(whole, left, out=np.ones_like(whole), where=left > 0.0)
    values = np.where(change, kept * ratio[rows], joint.data)
    guided = sparse.csr_matrix((values, joint.indices, joint.indptr), shape=(n_samples, n_samples))
    return from_csr((guided + guided.T) / 2.0)
