"""Losses of the whole ranking of a query: likelihoods of an order, and smooth NDCG."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc, expit, log_softmax, softmax

from fasttsne.metric_learning.checks import Floats, Reduction
from fasttsne.metric_learning.queries import (
    Block,
    Part,
    RankingLoss,
    differences,
    loss_of_queries,
)
from fasttsne.metric_learning.ranking.ndcg import Gain, discount, normalized_gain
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, Positive, with_plain_numbers

# Leads, in units of 2 sigma, beyond which the order is certain in double precision.
_CERTAIN = 40.0

# Values of the rank distributions that SoftRank holds at once.
_RANK_VALUES = 1 << 22

# Terms of a sum of exponentials that is the discount of every rank to 1e-12 up to rank 10,000.
_N_EXPONENTIALS = 40


@with_plain_numbers
def listnet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return the cross-entropy of being first, - sum_i softmax(y)_i log softmax(s)_i.

    It is the loss of top one probabilities (Cao et al. 2007, section 4.2).

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    reduction : {"mean", "sum", "none"} over queries; see `squared_loss`
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : in nats; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import listnet_loss
    >>> loss, gradient = listnet_loss([0.0, 0.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.6931, array([-0.2311,  0.2311]))
    """

    def part(block: Block) -> Part:
        wanted = block.weights * softmax(block.relevance, axis=1)
        log_shares = log_softmax(block.scores, axis=1)
        shares, total = np.exp(log_shares), wanted.sum(axis=1, keepdims=True)
        losses = -np.sum(wanted * log_shares, axis=1)
        return losses, 1.0, total * shares - wanted, total * shares * (1.0 - shares)

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments)


@with_plain_numbers
def listmle_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return minus the log likelihood of the order by relevance.

    sum_i log sum_(j >= i) e^(s_j) - s_i, with documents numbered by falling relevance: the
    Plackett-Luce model, which draws one document after the other (Xia et al. 2008). Documents of
    equal relevance have no order: while m of t of them are drawn, each of the t counts as 1 - m/t
    in the sum (Efron 1977). With equal scores this is the mean over their orders.

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    reduction : {"mean", "sum", "none"} over queries; see `squared_loss`
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : in nats; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import listmle_loss
    >>> loss, gradient = listmle_loss([0.5, 0.3], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.5981, array([-0.4502,  0.4502]))
    """

    def part(block: Block) -> Part:
        order = np.argsort(-block.relevance, axis=1, kind="stable")
        # Only differences count; those of large scores are exact.
        scores = block.scores - block.scores.max(axis=1, keepdims=True)
        ranked = np.take_along_axis(scores, order, axis=1)
        ties = Ties(np.take_along_axis(block.relevance, order, axis=1))
        # Logarithms of the sums over a tie, over all documents after it, and over those left.
        of_tie = ties.sums(ranked, np.logaddexp)
        after = np.logaddexp.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]
        after = np.column_stack([after[:, 1:], np.full(len(after), -np.inf)])
        log_left = np.log1p(-ties.places / ties.sizes)
        log_sums = np.logaddexp(
            ties.spread(after.ravel()[ties.starts + ties.counts - 1]), of_tie + log_left
        )
        # A tie's terms have the mean weight of its documents.
        weights = np.take_along_axis(block.weights, order, axis=1)
        with np.errstate(divide="ignore"):  # minus infinity for no weight
            log_weights = np.log(ties.sums(weights) / ties.sizes)
        # Each score enters the sums of earlier ties, and those of its own by the share left.
        both = []
        for power in (1.0, 2.0) if block.hessian else (1.0,):
            by_place = log_weights - power * log_sums
            earlier = np.logaddexp.accumulate(by_place, axis=1)
            earlier = np.column_stack([np.full(len(after), -np.inf), earlier[:, :-1]])
            earlier = ties.spread(earlier.ravel()[ties.starts])
            own = ties.sums(power * log_left + by_place, np.logaddexp)
            both.append(np.exp(power * ranked + np.logaddexp(earlier, own)))
        gradient, hessian = np.empty((2, *ranked.shape))
        np.put_along_axis(gradient, order, both[0] - weights, axis=1)
        np.put_along_axis(hessian, order, np.maximum(both[0] - both[-1], 0.0), axis=1)
        losses = np.sum(np.exp(log_weights) * log_sums - weights * ranked, axis=1)
        return losses, 1.0, gradient, hessian

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments)


@with_plain_numbers
def approx_ndcg_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    alpha: Positive = 10.0,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return minus NDCG with smooth ranks, rank_i = 1/2 + sum_j sigmoid(alpha (s_j - s_i)).

    The sum includes j = i, so a document far ahead has rank 1 (Qin et al. 2010, equation 6).

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    alpha : float, default=10.0
        Steepness, above 0; larger values are nearer to true ranks.
    gain : see `fasttsne.metric_learning.dcg_score`
    reduction : {"mean", "sum", "none"} over queries; see `squared_loss`
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : from -1 to 0, 0 for queries without gain; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import approx_ndcg_loss
    >>> loss, _ = approx_ndcg_loss([0.5, 0.3, 0.5], [0.5, 0.3, 0.5], alpha=1.0)
    >>> round(loss, 4)
    -0.8499
    """

    def part(block: Block) -> Part:
        gains = block.weights * normalized_gain(block.relevance, gain, None)
        losses = np.zeros(len(gains))
        gradient, hessian = np.zeros((2, *gains.shape))
        for some in block.rows():
            behind = expit(-alpha * differences(block.scores, some))  # of i, behind j
            log_rank = np.log2(1.5 + behind.sum(axis=2))
            losses -= np.sum(gains[:, some] / log_rank, axis=1)
            # d(-gain / log2(1 + rank)) / d rank
            by_rank = gains[:, some] / (np.log(2.0) * np.exp2(log_rank) * log_rank**2)
            slopes = alpha * by_rank[..., np.newaxis] * behind * (1.0 - behind)
            by_i, by_j = slopes.sum(axis=2), slopes.sum(axis=1)
            gradient += by_j
            gradient[:, some] -= by_i
            # The loss is concave in the ranks, and those curve by alpha of their slope at most.
            hessian += alpha * by_j
            hessian[:, some] += alpha * by_i
        return losses, 1.0, gradient, hessian

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments, of_pairs=True)


@with_plain_numbers
def soft_rank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    sigma: Positive = 1.0,
    k: Count | None = None,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return minus the expected NDCG of uncertain scores, SoftNDCG (Taylor et al. 2008).

    Every score is the mean of a Gaussian of standard deviation `sigma`, so document i is ahead of j
    with probability Phi((s_i - s_j) / (sqrt(2) sigma)). A document's rank is one more than a sum of
    such independent trials; the distribution of the rank gives the expected discount. The memory
    is linear in the number of documents of a query. The time is quadratic, because the discount is
    a sum of 40 exponentials of the rank, right to 1e-11 up to 10,000 documents, whose expectations
    are products. With a smaller `k` the time is that of the square times `k`.

    Parameters
    ----------
    scores, relevance, groups, qid, document_weight : see `squared_loss`
    sigma : float, default=1.0
        Uncertainty of a score, above 0; smaller values are nearer to true ranks.
    k, gain : see `fasttsne.metric_learning.dcg_score`
    reduction : {"mean", "sum", "none"} over queries; see `squared_loss`
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : from -1 to 0, 0 for queries without gain; see `squared_loss`

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import soft_rank_loss
    >>> loss, gradient = soft_rank_loss([0.0, 0.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (-0.8155, array([-0.1041,  0.1041]))
    """

    def part(block: Block) -> Part:
        gains = block.weights * normalized_gain(block.relevance, gain, k)
        n_queries, size = gains.shape
        by_rank = discount(size, k)
        # Second differences of the discount by which a cut at k makes it concave.
        concavity = np.max(-np.diff(by_rank, 2), initial=0.0)
        losses = np.zeros(n_queries)
        gradient, hessian = np.zeros((2, *gains.shape))
        own = np.arange(size)
        for some in block.rows():
            # Probability that i is ahead of j, and its derivative by s_i - s_j.
            lead = -differences(block.scores, some).swapaxes(1, 2) / (2.0 * sigma)
            lead = np.clip(lead, -_CERTAIN, _CERTAIN)
            ahead = 0.5 * erfc(-lead)
            density = np.exp(-(lead**2)) / (2.0 * sigma * np.sqrt(np.pi))
            for values in ahead, density:  # no document is ahead of itself
                values[:, own[some], np.arange(len(own[some]))] = 0.0
            if k is None or k >= size:
                expected, by_ahead = _expected_discounts(ahead)
            else:
                expected, by_ahead = _expected_discounts_up_to(k, ahead)
            losses -= np.sum(gains[:, some] * expected, axis=1)
            slopes = gains[:, np.newaxis, some] * by_ahead * density
            gradient -= slopes.sum(axis=2)
            gradient[:, some] += slopes.sum(axis=1)
            # The density changes by |lead| / sigma of itself.
            curves = np.abs(slopes) * (1.0 + np.abs(lead)) / sigma
            hessian += curves.sum(axis=2)
            hessian[:, some] += curves.sum(axis=1)
            hessian[:, some] += gains[:, some] * concavity * density.sum(axis=1) ** 2
        return losses, 1.0, gradient, hessian

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments, of_pairs=True)


def _expected_discounts(ahead: Floats) -> tuple[Floats, Floats]:
    """Return the expected discounts of some documents, and their derivatives by `ahead`.

    `ahead`, (n_queries, size, n_some), is the probability that document i is ahead of one of them.
    """
    # An exponential of the rank, x^(1 + number ahead), has the mean x prod_i (1 - (1 - x) ahead_i).
    bases, weights = _exponentials(ahead.shape[1])
    expected, by_ahead = np.zeros(ahead[:, 0].shape), np.zeros(ahead.shape)
    factors = np.empty_like(ahead)
    for base, weight in zip(bases, weights, strict=True):
        np.multiply(ahead, base - 1.0, out=factors)
        factors += 1.0
        with np.errstate(under="ignore"):
            means = weight * base * np.prod(factors, axis=1)
        expected += means
        by_ahead += np.divide((base - 1.0) * means[:, np.newaxis], factors, out=factors)
    return expected, by_ahead


@lru_cache(maxsize=256)
def _exponentials(n_ranks: int) -> tuple[Floats, Floats]:
    """Return x and w of the sum of w x^r that is the discount of ranks r from 1."""
    # 1 / log(1 + r) is a Laplace transform (of a Volterra function), so rates at equal distances of
    # their logarithms fit it. Relative errors are least.
    rates = np.geomspace(0.1 / n_ranks, 10.0, _N_EXPONENTIALS)
    ranks = np.unique(np.round(np.geomspace(1, n_ranks, 400)))
    wanted = 1.0 / np.log2(1.0 + ranks)
    powers = np.exp(-np.outer(ranks, rates)) / wanted[:, np.newaxis]
    weights = np.linalg.lstsq(powers, np.ones(len(ranks)), rcond=None)[0]
    return np.asarray(np.exp(-rates)), np.asarray(weights)


def _expected_discounts_up_to(k: int, ahead: Floats) -> tuple[Floats, Floats]:
    """Return the same with a discount that is 0 beyond rank k: by the distributions of the rank."""
    # Forward, each step adds another document to the distribution of the first k ranks. Backward,
    # each step removes one from the discount that is expected from there on. Distributions of many
    # documents are kept where segments start, and computed again.
    n_queries, size, n_some = ahead.shape
    by_rank = discount(k, None)
    ahead = ahead[..., np.newaxis]
    length = size if ahead.size * k <= _RANK_VALUES else int(np.sqrt(size))
    starts = range(0, size, length)
    states = [np.eye(1, k) * np.ones((n_queries, n_some, 1))]
    for start in starts:
        ranks = _rank_distributions(states[-1], ahead[:, start : start + length])
        states.append(ranks[-1].copy())
    expected = states.pop() @ by_rank
    by_ahead = np.empty((n_queries, size, n_some))
    later = np.broadcast_to(by_rank, (n_queries, n_some, k)).copy()
    for start, state in zip(reversed(starts), reversed(states), strict=True):
        if start != starts[-1]:
            ranks = _rank_distributions(state, ahead[:, start : start + length])
        for i in range(len(ranks) - 2, -1, -1):
            drop = np.diff(later, axis=2, append=0.0)
            by_ahead[:, start + i] = np.sum(ranks[i] * drop, axis=2)
            later += ahead[:, start + i] * drop
    return expected, by_ahead


def _rank_distributions(ranks: Floats, ahead: Floats) -> Floats:
    """Return the distributions of the first ranks, (n_queries, n_some, k), around each trial."""
    found = np.empty((ahead.shape[1] + 1, *ranks.shape))
    found[0] = ranks
    for i in range(ahead.shape[1]):
        found[i + 1] = (1.0 - ahead[:, i]) * found[i]
        found[i + 1, :, :, 1:] += ahead[:, i] * found[i, :, :, :-1]
    return found
