"""Contrastive loss: pairs that belong together attract, others repel up to a margin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import (
    Floats,
    Reduction,
    as_classes,
    as_embeddings,
    as_indices,
    check_positive,
    check_squares,
    n_terms,
    same_type,
)
from fasttsne.metric_learning.distances import Batch, by_squared_of, summed_by_row

__all__ = ["contrastive_loss"]


def contrastive_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    pairs: ArrayLike | None = None,
    margin: float = 1.0,
    squared: bool = True,
    similar_label: int = 0,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, NDArray[np.floating]]:
    """Contrastive loss of pairs of samples.

    With D the Euclidean distance of a pair, 1/2 D^2 if it is similar and 1/2 max(0, margin - D)^2
    if not ([1]_, equation 4); with ``squared=False`` D and max(0, margin - D).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    labels : array-like of shape (n_samples,), default=None
        Classes, of any type. All pairs of samples are taken, those of one class are similar.
    pairs : array-like of int, shape (n_pairs, 3), default=None
        Instead of `labels`: numbers of two samples, and the label of the pair.
    margin : float, default=1.0
        Distance from which on dissimilar pairs are left alone, above 0.
    squared : bool, default=True
        Whether distances and hinges are squared, and halved.
    similar_label : {0, 1}, default=0
        Label of similar pairs in `pairs`; 0 is that of [1]_, 1 that of many others.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean"
        Over pairs; "mean_nonzero" over those whose loss is not 0. "none" gives, with `labels`,
        the sums over each sample's pairs with later samples, with `pairs` every pair's loss; the
        gradient is then that of their sum.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,) or (n_pairs,)
        In (squared) units of the embeddings.
    gradient : ndarray of shape (n_samples, n_features)
        Its derivative by the embeddings; 0 at a distance of 0 and at the margin, where there is
        none.

    Raises
    ------
    ValueError
        If not one of `labels` and `pairs` is given, if shapes disagree, values are NaN, infinite
        or no numbers, or if a parameter is out of range.

    Notes
    -----
    The memory is linear in the number of samples and pairs.

    References
    ----------
    .. [1] Hadsell, R., Chopra, S. and LeCun, Y. (2006). Dimensionality reduction by learning an
       invariant mapping. IEEE Conference on Computer Vision and Pattern Recognition, 1735-1742.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import contrastive_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = contrastive_loss(X, [0, 0, 1, 1], margin=3.0)
    >>> round(loss, 4), gradient.shape
    (1.0973, (4, 2))
    """
    given, X = X, as_embeddings(X)
    check_positive("margin", margin)
    n_terms(reduction, 0, 0)
    if similar_label not in (0, 1):
        raise ValueError(f"similar_label={similar_label!r} must be 0 or 1")
    if (labels is None) == (pairs is None):
        raise ValueError("give either labels or pairs")
    if labels is not None:
        losses, gradient, n_pairs, n_nonzero = _of_classes(
            X, as_classes(labels, len(X)), margin, squared
        )
    else:
        assert pairs is not None
        check_squares(X, "X")
        numbers = as_indices(pairs, 3, max(len(X), 2), "pairs")
        losses, gradient, n_nonzero = _of_pairs(X, numbers, margin, squared, similar_label)
        n_pairs = len(numbers)
    count = n_terms(reduction, n_pairs, n_nonzero)
    loss = losses if reduction == "none" else float(losses.sum()) / count
    return loss, same_type(gradient / count, given)


def _of_classes(
    X: Floats, classes: NDArray[np.int64], margin: float, squared: bool
) -> tuple[Floats, Floats, int, int]:
    batch = Batch(X)
    losses, n_nonzero = np.zeros(len(X)), 0
    for rows in batch.blocks():
        distances = np.sqrt(batch.squared_distances(rows))
        similar = classes[rows, np.newaxis] == classes
        later = rows[:, np.newaxis] < np.arange(len(X))
        values, slopes = _loss_of(distances, similar, margin, squared)
        values, slopes = np.where(later, values, 0.0), np.where(later, slopes, 0.0)
        losses[rows] = values.sum(axis=1)
        n_nonzero += int(np.count_nonzero(values))
        batch.add_gradient(rows, by_squared_of(slopes, distances))
    return losses, batch.gradient, len(X) * (len(X) - 1) // 2, n_nonzero


def _of_pairs(
    X: Floats, pairs: NDArray[np.int64], margin: float, squared: bool, similar_label: int
) -> tuple[Floats, Floats, int]:
    i, j, label = pairs.T
    if (pairs[:, :2] >= len(X)).any():
        raise ValueError(f"pairs must hold numbers of samples, 0 to {len(X) - 1}")
    if (label > 1).any():
        raise ValueError("labels of pairs, the last column, must be 0 or 1")
    ways = X[i] - X[j]
    distances = np.sqrt(np.einsum("ij,ij->i", ways, ways))
    values, slopes = _loss_of(distances, label == similar_label, margin, squared)
    pulls = 2.0 * by_squared_of(slopes, distances)[:, np.newaxis] * ways
    gradient = summed_by_row(i, pulls, len(X)) - summed_by_row(j, pulls, len(X))
    return values, gradient, int(np.count_nonzero(values))


def _loss_of(
    distances: Floats, similar: NDArray[np.bool_], margin: float, squared: bool
) -> tuple[Floats, Floats]:
    """Losses of pairs, and their derivatives by the distances."""
    short = np.maximum(margin - distances, 0.0)
    if squared:
        return 0.5 * np.where(similar, distances, short) ** 2, np.where(similar, distances, -short)
    return np.where(similar, distances, short), np.where(similar, 1.0, -np.sign(short))
