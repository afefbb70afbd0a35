"""Losses of pairs of documents of one query, of which one is more relevant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning.checks import Floats, Reduction
from fasttsne.metric_learning.queries import (
    Block,
    Part,
    RankingLoss,
    differences,
    loss_of_queries,
)
from fasttsne.metric_learning.ranking.ndcg import Gain, descending, discount, normalized_gain
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, Positive, with_plain_numbers

PairTies = Literal["average", "given"]
# Losses of pairs, their derivatives by the lead s_i - s_j, and a function that returns the second
# derivatives.
PairTerms = tuple[Floats, Floats, Callable[[], Floats]]
# PairTerms of the leads of some documents over all.
PairLoss = Callable[[Floats, slice], PairTerms]


@with_plain_numbers
def hinge_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    margin: Positive = 1.0,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return the hinge loss of pairs (Herbrich et al. 2000).

    max(0, margin - (s_i - s_j)) for all y_i > y_j.

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    margin : float, default=1.0
        Lead in score that the more relevant document should have, above 0.
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`
    hessian : see `squared_loss`

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

    def slope(lead: Floats, _: slice) -> PairTerms:
        inside = np.where(lead < margin, 1.0, 0.0)
        return np.maximum(margin - lead, 0.0), -inside, lambda: inside / margin

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return _loss(lambda _: slope, *arguments)


@with_plain_numbers
def ranknet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    sigma: Positive = 1.0,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return RankNet's loss, the cross-entropy of pairs (Burges et al. 2005).

    log(1 + e^(-sigma (s_i - s_j))) for all y_i > y_j.

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    sigma : float, default=1.0
        Steepness, above 0.
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`
    hessian : see `squared_loss`

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
    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return _loss(lambda _: lambda lead, _: _cross_entropy(lead, sigma), *arguments)


@with_plain_numbers
def lambdarank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    sigma: Positive = 1.0,
    k: Count | None = None,
    gain: Gain = "exponential",
    truncation: Count | None = None,
    normalize: bool = False,
    ties: PairTies = "average",
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return RankNet's loss with each pair weighted by the change of NDCG if its documents swap.

    The weight ``|gain_i - gain_j| |discount_i - discount_j| / ideal_dcg`` is that of the present
    ranking; of equal scores, by default, its mean over their orders. The derivatives treat it as a
    constant (Burges 2010, section 4).

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    sigma : float, default=1.0
        Steepness, above 0.
    k, gain : see `fasttsne.metric_learning.dcg_score`
    truncation : int, default=None
        Leave out pairs with both documents beyond this rank, and take the ideal DCG there. Unlike
        `k`, it does not cut the discount. LightGBM's default is 30.
    normalize : bool, default=False
        As LightGBM's default: divide the weight of a pair by 0.01 + ``|s_i - s_j|`` in queries
        whose scores differ, and then multiply those of a query by log2(1 + z) / z, where z is
        the sum of the absolute derivatives over all pairs, by both scores.
    ties : {"average", "given"}, default="average"
        Ranks of documents with equal scores: the mean over their orders, or the order of the rows,
        as in LightGBM. With "given" a ranking by relevance of the rows leaks into the first steps.
        (Measures have no "given", but the opposite order, "stable"; see `dcg_score`.)
    reduction : {"mean", "sum", "none"} over pairs of different relevance; see `squared_loss`
    hessian : see `squared_loss`

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

    def prepare(block: Block) -> PairLoss:
        swap = _swaps(block, k, truncation, gain, ties)
        constant = np.ptp(block.scores, axis=1) == 0.0

        def slope(lead: Floats, some: slice) -> PairTerms:
            weights = swap(some)
            if normalize:
                distance = np.where(constant[:, np.newaxis, np.newaxis], 1.0, 0.01 + np.abs(lead))
                weights /= distance
            losses, slopes, curvature = _cross_entropy(lead, sigma)
            return weights * losses, weights * slopes, lambda: weights * curvature()

        return slope

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return _loss(prepare, *arguments, normalize=normalize)


def _cross_entropy(lead: Floats, sigma: float) -> PairTerms:
    # log(1 + e^-x) and 1 / (1 + e^x) by one exponential, which does not overflow.
    x = sigma * lead
    small = np.exp(-np.abs(x))
    losses = np.log1p(small) - np.minimum(x, 0.0)
    wrong = np.where(x > 0.0, small, 1.0) / (1.0 + small)  # probability of the opposite order
    return losses, -sigma * wrong, lambda: sigma**2 * wrong * (1.0 - wrong)


def _swaps(
    block: Block, k: int | None, truncation: int | None, gain: Gain, order_of_ties: PairTies
) -> Callable[[slice], Floats]:
    """Return the change of NDCG if some documents i swap ranks with all j."""
    size = block.scores.shape[1]
    gains = normalized_gain(block.relevance, gain, k or truncation)
    # Ranks fall with the keys, which differ where documents do not tie.
    keys = block.scores
    if order_of_ties == "given":
        ranks = np.argsort(np.argsort(-keys, axis=1, kind="stable"), axis=1)
        keys = -ranks.astype(np.float64)
    order = descending(keys)
    ties = Ties(np.take_along_axis(keys, order, axis=1))
    by_rank = np.broadcast_to(discount(size, k), gains.shape)
    counted = np.broadcast_to(np.arange(size) < (truncation or size), gains.shape)
    # The mean of |a - b| over two places of one tie, of which the first has the larger discount.
    running = np.cumsum(by_rank, axis=1)
    later = ties.spread(running.ravel()[ties.starts + ties.counts - 1]) - running
    leads = ties.sums(counted * ((ties.sizes - 1.0 - ties.places) * by_rank - later))
    within = 2.0 * leads / np.maximum(ties.sizes * (ties.sizes - 1.0), 1.0)
    # Of two ties, the higher document has to be counted.
    by_document = np.empty((4, *gains.shape))
    values = by_rank, counted * by_rank, counted.astype(np.float64)
    means = (ties.sums(value) / ties.sizes for value in values)
    for into, ranked in zip(by_document, (within, *means), strict=True):
        np.put_along_axis(into, order, ranked, axis=1)
    spread, mean, upper, share = by_document

    def change(some: slice) -> Floats:
        lead = differences(keys, some)
        i, j = (slice(None), some, np.newaxis), (slice(None), np.newaxis)
        ahead, behind = upper[i] - share[i] * mean[j], upper[j] - share[j] * mean[i]
        changes = np.where(lead > 0.0, ahead, np.where(lead < 0.0, behind, spread[i]))
        return np.abs(differences(gains, some)) * changes

    return change


def _loss(
    prepare: Callable[[Block], PairLoss],
    *arguments: Any,
    normalize: bool = False,
) -> RankingLoss:
    """Sum over all y_i > y_j what `prepare` returns for a block, a function of leads s_i - s_j.

    A pair has the weight of its more relevant document (Joachims et al. 2017).
    """

    def part(block: Block) -> Part:
        slope = prepare(block)
        losses, n_pairs, total = np.zeros((3, len(block.queries)))
        gradient, hessian = np.zeros((2, *block.scores.shape))
        for some in block.rows():
            pairs = differences(block.relevance, some) > 0.0
            weights = block.weights[:, some, np.newaxis]
            values, slopes, curvature = slope(differences(block.scores, some), some)
            losses += np.sum(np.where(pairs, values, 0.0) * weights, axis=(1, 2))
            n_pairs += pairs.sum(axis=(1, 2))
            slopes = np.where(pairs, slopes, 0.0)
            total -= slopes.sum(axis=(1, 2))
            slopes *= weights
            gradient[:, some] += slopes.sum(axis=2)
            gradient -= slopes.sum(axis=1)
            if block.hessian:
                curves = np.where(pairs, curvature(), 0.0) * weights
                hessian[:, some] += curves.sum(axis=2)
                hessian += curves.sum(axis=1)
        if normalize:
            both = np.where(total > 0.0, 2.0 * total, 1.0)
            scale = np.log2(1.0 + both) / both
            return losses * scale, n_pairs, gradient * scale[:, None], hessian * scale[:, None]
        return losses, n_pairs, gradient, hessian

    return loss_of_queries(part, *arguments, of_pairs=True)
