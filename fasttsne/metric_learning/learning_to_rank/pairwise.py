"""Losses of pairs of documents of one query, of which one is more relevant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from fasttsne.metric_learning.checks import Floats, Loss, Reduction
from fasttsne.metric_learning.queries import Block, Part, differences, loss_of_queries
from fasttsne.metric_learning.ranking.ndcg import Gain, descending, discount, normalized_gain
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, Positive, with_plain_numbers


@with_plain_numbers
def hinge_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    margin: Positive = 1.0,
    reduction: Reduction = "mean",
) -> Loss:
    """Return the hinge loss of pairs (Herbrich et al. 2000).

    max(0, margin - (s_i - s_j)) for all y_i > y_j.

    Parameters
    ----------
    scores, relevance, groups : see `squared_loss`
    margin : float, default=1.0
        Lead in score that the more relevant document should have, above 0.
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_queries,), ndarray in the shape of `scores`
        In the unit of the scores; 0 without such pairs. Derivative by the scores; 0 for a pair
        exactly at the margin.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import hinge_loss
    >>> loss, gradient = hinge_loss([0.5, 0.0], [1, 0])
    >>> loss, gradient
    (0.5, array([-1.,  1.]))
    """

    def slope(lead: Floats, _: Block) -> tuple[Floats, Floats]:
        return np.maximum(margin - lead, 0.0), np.where(lead < margin, -1.0, 0.0)

    return _loss(scores, relevance, groups, slope, reduction)


@with_plain_numbers
def ranknet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sigma: Positive = 1.0,
    reduction: Reduction = "mean",
) -> Loss:
    """Return RankNet's loss, the cross-entropy of pairs (Burges et al. 2005).

    log(1 + e^(-sigma (s_i - s_j))) for all y_i > y_j.

    Parameters
    ----------
    scores, relevance, groups : see `squared_loss`
    sigma : float, default=1.0
        Steepness, above 0.
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`

    Returns
    -------
    loss, gradient : in nats; 0 without such pairs; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import ranknet_loss
    >>> loss, _ = ranknet_loss([0.5, 0.3, 0.5], [0.5, 0.3, 0.5], reduction="sum")
    >>> round(loss, 4)
    1.1963
    """

    def slope(lead: Floats, _: Block) -> tuple[Floats, Floats]:
        return np.logaddexp(0.0, -sigma * lead), -sigma * expit(-sigma * lead)

    return _loss(scores, relevance, groups, slope, reduction)


@with_plain_numbers
def lambdarank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sigma: Positive = 1.0,
    k: Count | None = None,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
) -> Loss:
    """Return RankNet's loss with each pair weighted by the change of NDCG if its documents swap.

    The weight ``|gain_i - gain_j| |discount_i - discount_j| / ideal_dcg`` is that of the present
    ranking; of equal scores, its mean over their orders. The gradient treats it as a constant
    (Burges 2010, section 4).

    Parameters
    ----------
    scores, relevance, groups : see `squared_loss`
    sigma : float, default=1.0
        Steepness, above 0.
    k, gain : see `fasttsne.metric_learning.dcg_score`
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`

    Returns
    -------
    loss, gradient : 0 without such pairs, by the scores at constant weights; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import lambdarank_loss
    >>> loss, gradient = lambdarank_loss([0.0, 1.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.4847, array([-0.2698,  0.2698]))
    """

    def slope(lead: Floats, block: Block) -> tuple[Floats, Floats]:
        weights = _swaps(block, k, gain)
        losses = weights * np.logaddexp(0.0, -sigma * lead)
        return losses, -sigma * weights * expit(-sigma * lead)

    return _loss(scores, relevance, groups, slope, reduction)


def _swaps(block: Block, k: int | None, gain: Gain) -> Floats:
    """Return the change of NDCG if two documents swap ranks, (n_queries, size, size)."""
    gains = normalized_gain(block.relevance, gain, k)
    order = descending(block.scores)
    ties = Ties(np.take_along_axis(block.scores, order, axis=1))
    by_rank = np.broadcast_to(discount(gains.shape[1], k), gains.shape)
    # The mean of |a - b| over two places of one tie, of which the first has the larger discount.
    leads = ties.sums((ties.sizes - 1.0 - 2.0 * ties.places) * by_rank)
    within = 2.0 * leads / np.maximum(ties.sizes * (ties.sizes - 1.0), 1.0)
    mean, spread = np.empty_like(gains), np.empty_like(gains)
    np.put_along_axis(mean, order, ties.sums(by_rank) / ties.sizes, axis=1)
    np.put_along_axis(spread, order, within, axis=1)
    equal = differences(block.scores) == 0.0
    changes = np.where(equal, spread[:, :, np.newaxis], np.abs(differences(mean)))
    return np.abs(differences(gains)) * changes


def _loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    slope: Callable[[Floats, Block], tuple[Floats, Floats]],
    reduction: Reduction,
) -> Loss:
    """Sum `slope`, the losses and their derivatives by the lead s_i - s_j, over all y_i > y_j."""

    def part(block: Block) -> Part:
        pairs = differences(block.relevance) > 0.0
        losses, slopes = slope(differences(block.scores), block)
        losses, slopes = np.where(pairs, losses, 0.0), np.where(pairs, slopes, 0.0)
        n_pairs = pairs.sum(axis=(1, 2)).astype(np.float64)
        return losses.sum(axis=(1, 2)), n_pairs, slopes.sum(axis=2) - slopes.sum(axis=1)

    return loss_of_queries(scores, relevance, groups, part, reduction, of_pairs=True)
