"""Losses of all pairs of a batch together: lifted structure and multi-similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from fasttsne.metric_learning.checks import (
    Loss,
    PairReduction,
    Reduction,
    as_classes,
    as_embeddings,
    check_positive,
    reduced,
    same_type,
)
from fasttsne.metric_learning.distances import (
    Batch,
    by_squared_of,
    normalized,
    through_normalized,
)


def lifted_structure_loss(
    X: ArrayLike, labels: ArrayLike, *, margin: float = 1.0, reduction: PairReduction = "mean"
) -> Loss:
    """Return the lifted structure loss, and its gradient.

    1/2 max(0, J_ij)^2 for every positive pair, with J_ij = log(sum_k e^(margin - D_ik) +
    sum_l e^(margin - D_jl)) + D_ij, k the negatives of i, l the negatives of j, and D plain
    Euclidean distances ([1]_, equation 4).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings (errors: see `contrastive_loss`).
    labels : array-like of shape (n_samples,)
        Classes, of any type.
    margin : float, default=1.0
        Above 0, in the unit of the embeddings.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean"
        Over pairs of one class; see `fasttsne.metric_learning.losses`. "none" returns the sum of
        every sample's pairs with later samples.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,)
        0 without positive pairs that have negatives.
    gradient : ndarray of shape (n_samples, n_features)
        Derivative by the embeddings; 0 at a distance of 0, where there is none.

    References
    ----------
    .. [1] Song, H. O., Xiang, Y., Jegelka, S. and Savarese, S. (2016). Deep metric learning via
       lifted structured feature embedding. IEEE Conference on Computer Vision and Pattern
       Recognition, 4004-4012.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import lifted_structure_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = lifted_structure_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (2.881, (4, 2))
    """
    check_positive("margin", margin)
    Z = as_embeddings(X)
    classes = as_classes(labels, len(Z))
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
    loss, count = reduced(losses, reduction, float(pairs.sum()), int(np.count_nonzero(short)))
    return loss, same_type(batch.gradient / count, X)


def multi_similarity_loss(
    X: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    threshold: float = 0.5,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the multi-similarity loss, and its gradient.

    1/alpha log(1 + sum_p e^(-alpha (s_ip - threshold))) + 1/beta log(1 + sum_n e^(beta (s_in -
    threshold))) for every sample i, a soft count of its far positives p and near negatives n. s
    are cosines ([1]_, equation 15, without its mining).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings (errors: see `contrastive_loss`).
    labels : array-like of shape (n_samples,)
        Classes, of any type.
    alpha, beta : float, default=2.0 and 50.0
        Steepness for positives and for negatives, above 0.
    threshold : float, default=0.5
        Cosine that positives should exceed and negatives should not, lambda in [1]_.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over samples; see `fasttsne.metric_learning.losses`.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,)
        Not negative; 0 for a single sample.
    gradient : ndarray of shape (n_samples, n_features)
        Derivative by the embeddings; 0 for vectors of zeros, whose cosine is taken as 0.

    References
    ----------
    .. [1] Wang, X., Han, X., Huang, W., Dong, D. and Scott, M. (2019). Multi-similarity loss with
       general pair weighting for deep metric learning. IEEE Conference on Computer Vision and
       Pattern Recognition, 5022-5030.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import multi_similarity_loss
    >>> X = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> loss, gradient = multi_similarity_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (0.158, (4, 2))
    """
    check_positive("alpha", alpha)
    check_positive("beta", beta)
    if not np.isfinite(threshold):
        raise ValueError(f"threshold={threshold!r} must be a finite number")
    Z = as_embeddings(X)
    classes = as_classes(labels, len(Z))
    units, lengths = normalized(Z)
    excess = units @ units.T - threshold
    same = classes[:, np.newaxis] == classes
    losses, by_cosines = np.zeros(len(Z)), np.zeros_like(excess)
    for chosen, steepness in ((same & ~np.eye(len(Z), dtype=bool), -alpha), (~same, beta)):
        exponents = np.where(chosen, steepness * excess, -np.inf)
        sums = logsumexp(np.column_stack([np.zeros(len(Z)), exponents]), axis=1)
        losses += sums / abs(steepness)
        by_cosines += np.sign(steepness) * np.exp(exponents - sums[:, np.newaxis])
    loss, count = reduced(losses, reduction)
    by_units = (1.0 / count) * (by_cosines + by_cosines.T) @ units
    return loss, same_type(through_normalized(by_units, units, lengths), X)
