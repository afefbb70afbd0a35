"""Losses of pairs: contrastive; and of all pairs of a batch: lifted structure, multi-similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import (
    Floats,
    Indices,
    Loss,
    PairReduction,
    Reduction,
    SimilarLabel,
)
from fasttsne.metric_learning.distances import (
    Batch,
    by_squared_of,
    normalized,
    summed_by_row,
    through_normalized,
)
from fasttsne.runtime.numbers import Positive, with_plain_numbers


@with_plain_numbers
def contrastive_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    pairs: ArrayLike | None = None,
    margin: Positive = 1.0,
    squared: bool = True,
    similar_label: SimilarLabel = 0,
    reduction: PairReduction = "mean",
) -> Loss:
    """Return the contrastive loss of pairs of samples, and its gradient.

    With D the Euclidean distance of a pair, the loss is 1/2 D^2 for a similar pair and
    1/2 max(0, margin - D)^2 for a dissimilar one (Hadsell et al. 2006, equation 4). With
    ``squared=False`` it is D and max(0, margin - D). The memory is linear in the number of samples
    and pairs.

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
        Label of similar pairs in `pairs`: 0 as in Hadsell et al., or 1 as in other packages.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean"
        Over pairs; see `fasttsne.metric_learning.losses`. With `labels`, "none" returns the sum of
        every sample's pairs with later samples.

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,) or (n_pairs,), ndarray like `X`
        In (squared) units of the embeddings. Derivative by the embeddings; 0 at distances of 0 and
        at the margin, where there is none.

    Raises
    ------
    ValueError
        If not exactly one of `labels` and `pairs` is given, shapes disagree, values are NaN,
        infinite, not numbers or so large that squares overflow, a label is missing, or a parameter
        is out of range.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import contrastive_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = contrastive_loss(X, [0, 0, 1, 1], margin=3.0)
    >>> round(loss, 4), gradient.shape
    (1.0973, (4, 2))
    """
    given, X = X, checks.as_embeddings(X)
    if labels is not None and pairs is None:
        losses, gradient, n_nonzero = _of_classes(
            X, checks.as_classes(labels, len(X)), margin, squared
        )
        n_pairs = len(X) * (len(X) - 1) // 2
    elif pairs is not None and labels is None:
        checks.check_squares(X, "X")
        numbers = checks.as_indices(pairs, 3, max(len(X), 2), "pairs")
        losses, gradient = _of_pairs(X, numbers, margin, squared, similar_label)
        n_pairs, n_nonzero = len(numbers), int(np.count_nonzero(losses))
    else:
        raise ValueError("give either labels or pairs")
    loss, count = checks.reduced(losses, reduction, n_pairs, n_nonzero)
    return loss, checks.same_type(gradient / count, given)


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
    X: Floats, pairs: Indices, margin: float, squared: bool, similar_label: SimilarLabel
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


@with_plain_numbers
def lifted_structure_loss(
    X: ArrayLike, labels: ArrayLike, *, margin: Positive = 1.0, reduction: PairReduction = "mean"
) -> Loss:
    """Return the lifted structure loss, and its gradient.

    1/2 max(0, J_ij)^2 for every positive pair, with J_ij = log(sum_k e^(margin - D_ik) +
    sum_l e^(margin - D_jl)) + D_ij, k the negatives of i, l the negatives of j, and D plain
    Euclidean distances (Song et al. 2016, equation 4).

    Parameters
    ----------
    X, labels : see `contrastive_loss`
    margin : float, default=1.0
        Above 0, in the unit of the embeddings.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean"
        Over pairs of one class; see `fasttsne.metric_learning.losses`. "none" returns the sum of
        every sample's pairs with later samples.

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,), ndarray in the shape of `X`
        0 without positive pairs that have negatives. Derivative by the embeddings; 0 at a
        distance of 0, where there is none.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import lifted_structure_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = lifted_structure_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (2.881, (4, 2))
    """
    Z = checks.as_embeddings(X)
    classes = checks.as_classes(labels, len(Z))
    batch, rows = Batch(Z), np.arange(len(Z))
    distances = np.sqrt(batch.squared_distances(rows))
    same = classes[:, np.newaxis] == classes
    # log sum over the negatives of every sample, e^(margin - D).
    repulsions = np.where(same, -np.inf, margin - distances)
    if same.all():
        sums = np.full(len(Z), -np.inf)
    else:
        sums = logsumexp(repulsions, axis=1)
    pairs = same & (rows[:, np.newaxis] < rows) & np.isfinite(sums)[:, np.newaxis]
    both = np.logaddexp(sums[:, np.newaxis], sums, out=np.zeros_like(distances), where=pairs)
    short = np.where(pairs, np.maximum(both + distances, 0.0), 0.0)
    losses = 0.5 * np.sum(short**2, axis=1)
    # The shares of a pair's J that the negatives of its first and of its second member have.
    first = short * np.exp(sums[:, np.newaxis] - both, where=pairs, out=np.zeros_like(both))
    second = short * np.exp(sums - both, where=pairs, out=np.zeros_like(both))
    pushes = first.sum(axis=1) + second.sum(axis=0)
    finite = np.where(np.isfinite(sums), sums, 0.0)[:, np.newaxis]
    by_distances = short - pushes[:, np.newaxis] * np.exp(repulsions - finite)
    batch.add_gradient(rows, by_squared_of(by_distances, distances))
    loss, count = checks.reduced(
        losses, reduction, float(pairs.sum()), int(np.count_nonzero(short))
    )
    return loss, checks.same_type(batch.gradient / count, X)


@with_plain_numbers
def multi_similarity_loss(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Positive = 2.0,
    beta: Positive = 50.0,
    threshold: float = 0.5,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the multi-similarity loss, and its gradient.

    1/alpha log(1 + sum_p e^(-alpha (s_ip - threshold))) + 1/beta log(1 + sum_n e^(beta (s_in -
    threshold))) for every sample i, a soft count of its far positives p and near negatives n. s
    are cosines (Wang et al. 2019, equation 15, without its mining).

    Parameters
    ----------
    X, labels : see `contrastive_loss`
    alpha, beta : float, default=2.0 and 50.0
        Steepness for positives and for negatives, above 0.
    threshold : float, default=0.5
        Cosine that positives should exceed and negatives should not, lambda in Wang et al. 2019.
    reduction : {"mean", "sum", "none"} over samples; see `contrastive_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,), ndarray in the shape of `X`
        Not negative; 0 for a single sample.
        Derivative by the embeddings; 0 for vectors of zeros, whose cosine is taken as 0.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import multi_similarity_loss
    >>> X = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> loss, gradient = multi_similarity_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (0.158, (4, 2))
    """
    Z = checks.as_embeddings(X)
    classes = checks.as_classes(labels, len(Z))
    units, lengths = normalized(Z)
    excess = units @ units.T - threshold
    same = classes[:, np.newaxis] == classes
    losses, by_cosines = np.zeros(len(Z)), np.zeros_like(excess)
    for chosen, steepness in ((same & ~np.eye(len(Z), dtype=bool), -alpha), (~same, beta)):
        exponents = np.where(chosen, steepness * excess, -np.inf)
        sums = logsumexp(np.column_stack([np.zeros(len(Z)), exponents]), axis=1)
        losses += sums / abs(steepness)
        by_cosines += np.sign(steepness) * np.exp(exponents - sums[:, np.newaxis])
    loss, count = checks.reduced(losses, reduction)
    by_units = (1.0 / count) * (by_cosines + by_cosines.T) @ units
    return loss, checks.same_type(through_normalized(by_units, units, lengths), X)
