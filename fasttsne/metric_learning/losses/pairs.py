"""Contrastive loss: similar pairs attract each other, dissimilar pairs repel up to a margin."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import (
    Floats,
    Indices,
    Loss,
    PairReduction,
    as_classes,
    as_embeddings,
    as_indices,
    check_positive,
    check_squares,
    reduced,
    same_type,
)
from fasttsne.metric_learning.distances import Batch, by_squared_of, summed_by_row


def contrastive_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    pairs: ArrayLike | None = None,
    margin: float = 1.0,
    squared: bool = True,
    similar_label: int = 0,
    reduction: PairReduction = "mean",
) -> Loss:
    """Return the contrastive loss of pairs of samples, and its gradient.

    With D the Euclidean distance of a pair, the loss is 1/2 D^2 for a similar pair and
    1/2 max(0, margin - D)^2 for a dissimilar one ([1]_, equation 4). With ``squared=False`` it is
    D and max(0, margin - D).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    labels : array-like of shape (n_samples,), default=None
        Classes, of any type. All pairs count; pairs of one class are similar.
    pairs : array-like of int, shape (n_pairs, 3), default=None
        Instead of `labels`: the numbers of two samples, and the label of the pair.
    margin : float, default=1.0
        Distance from which on dissimilar pairs have no loss, above 0.
    squared : bool, default=True
        Whether distances and hinges are squared and halved.
    similar_label : {0, 1}, default=0
        Label of similar pairs in `pairs`: 0 as in [1]_, or 1 as in many other packages.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean"
        Over pairs; see `fasttsne.metric_learning.losses`. With `labels`, "none" returns the sum of
        every sample's pairs with later samples.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,) or (n_pairs,)
        In (squared) units of the embeddings.
    gradient : ndarray of shape (n_samples, n_features)
        Derivative by the embeddings; 0 at distances of 0 and at the margin, where there is none.

    Raises
    ------
    ValueError
        If not exactly one of `labels` and `pairs` is given, shapes disagree, values are NaN,
        infinite, not numbers or so large that squares overflow, a label is missing, or a parameter
        is out of range.

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
    if similar_label not in (0, 1):
        raise ValueError(f"similar_label={similar_label!r} must be 0 or 1")
    if labels is not None and pairs is None:
        losses, gradient, n_nonzero = _of_classes(X, as_classes(labels, len(X)), margin, squared)
        n_pairs = len(X) * (len(X) - 1) // 2
    elif pairs is not None and labels is None:
        check_squares(X, "X")
        numbers = as_indices(pairs, 3, max(len(X), 2), "pairs")
        losses, gradient = _of_pairs(X, numbers, margin, squared, similar_label)
        n_pairs, n_nonzero = len(numbers), int(np.count_nonzero(losses))
    else:
        raise ValueError("give either labels or pairs")
    loss, count = reduced(losses, reduction, n_pairs, n_nonzero)
    return loss, same_type(gradient / count, given)


def _of_classes(
    X: Floats, classes: Indices, margin: float, squared: bool
) -> tuple[Floats, Floats, int]:
    """Return the losses per sample, the gradient of their sum, and the number of nonzero pairs."""
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
    return losses, batch.gradient, n_nonzero


def _of_pairs(
    X: Floats, pairs: Indices, margin: float, squared: bool, similar_label: int
) -> tuple[Floats, Floats]:
    """Return the losses per pair, and the gradient of their sum."""
    i, j, label = pairs.T
    if (pairs[:, :2] >= len(X)).any():
        raise ValueError(f"pairs must hold numbers of samples, from 0 to {len(X) - 1}")
    if (label > 1).any():
        raise ValueError("pairs must have a last column of labels, 0 or 1")
    ways = X[i] - X[j]
    distances = np.sqrt(np.einsum("ij,ij->i", ways, ways))
    values, slopes = _loss_of(distances, label == similar_label, margin, squared)
    pulls = 2.0 * by_squared_of(slopes, distances)[:, np.newaxis] * ways
    return values, summed_by_row(i, pulls, len(X)) - summed_by_row(j, pulls, len(X))


def _loss_of(
    distances: Floats, similar: NDArray[np.bool_], margin: float, squared: bool
) -> tuple[Floats, Floats]:
    """Return the losses of pairs, and their derivatives by the distances."""
    short = np.maximum(margin - distances, 0.0)
    if squared:
        return 0.5 * np.where(similar, distances, short) ** 2, np.where(similar, distances, -short)
    return np.where(similar, distances, short), np.where(similar, 1.0, -np.sign(short))
