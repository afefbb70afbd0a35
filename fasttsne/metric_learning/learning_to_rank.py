"""Losses of scores that are to rank documents: a document, a pair, or a list at a time.

Each is ``loss(scores, relevance, groups=None, ...) -> (loss, gradient)``. Scores are compared
within a query alone; `groups` tells the sizes of ragged queries. Everything is computed in double
precision, and the gradient has the shape and the precision of the scores.

====================  =========================  ==============================================
losses                are sums over              of
====================  =========================  ==============================================
pointwise             documents                  squared, logistic, ordinal loss
pairwise              pairs of unlike relevance  hinge, RankNet, LambdaRank
listwise              queries                    ListNet, ListMLE, ApproxNDCG, SoftRank
====================  =========================  ==============================================

``reduction="sum"`` is that sum, "mean" divides it by the number of its terms (1 if there are
none), "none" gives the part of every query; the gradient is then that of their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc, expit, softmax

from fasttsne.metric_learning.checks import (
    Floats,
    as_numbers,
    check_positive,
    check_squares,
    same_type,
)
from fasttsne.metric_learning.queries import Block, Queries, as_queries
from fasttsne.metric_learning.ranking import Gain, check_k, descending, discounts, relative_gains

__all__ = [
    "approx_ndcg_loss",
    "hinge_loss",
    "lambdarank_loss",
    "listmle_loss",
    "listnet_loss",
    "logistic_loss",
    "ordinal_loss",
    "ranknet_loss",
    "soft_rank_loss",
    "squared_loss",
]

Reduction = Literal["mean", "sum", "none"]
Loss = tuple[float | Floats, NDArray[np.floating]]

# What a loss of a block is: losses of its queries, numbers of their terms, and the gradient.
Part = tuple[Floats, Floats | float, Floats]

# Standard deviations, times sqrt(2), beyond which double precision knows no doubt.
_CERTAIN = 40.0

# Values of the rank distributions that SoftRank holds at once.
_RANK_VALUES = 1 << 22


# ---- Pointwise ------------------------------------------------------------------------------


def squared_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    reduction: Reduction = "mean",
) -> Loss:
    """Squared error of scores as estimates of relevance: (s - y)^2.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In squared units of relevance.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        If arrays disagree in shape, hold NaN, infinity or negative relevance, or if the sizes in
        `groups` do not sum to the number of documents.

    References
    ----------
    .. [1] Cossock, D. and Zhang, T. (2006). Subset ranking using regression. Conference on
       Learning Theory, 605-619.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import squared_loss
    >>> loss, gradient = squared_loss([2.0, 1.0], [1, 1])
    >>> loss, gradient
    (0.5, array([1., 0.]))
    """

    def part(block: Block) -> Part:
        errors = block.scores - block.relevance
        check_squares(errors, "scores")
        return np.sum(errors**2, axis=1), errors.shape[1], 2.0 * errors

    return _loss(scores, relevance, groups, part, reduction)


def logistic_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    reduction: Reduction = "mean",
) -> Loss:
    """Cross-entropy of scores as log odds that a document is relevant: log(1 + e^s) - [y > 0] s.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Log odds; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance; above 0 is relevant.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`.

    References
    ----------
    .. [1] Nallapati, R. (2004). Discriminative models for information retrieval. Proceedings of
       the 27th International ACM SIGIR Conference, 64-71.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import logistic_loss
    >>> loss, gradient = logistic_loss([0.0, 0.0], [1, 0])
    >>> round(loss, 4), gradient
    (0.6931, array([-0.25,  0.25]))
    """

    def part(block: Block) -> Part:
        relevant = block.relevance > 0.0
        losses = np.logaddexp(0.0, block.scores) - relevant * block.scores
        return losses.sum(axis=1), losses.shape[1], expit(block.scores) - relevant

    return _loss(scores, relevance, groups, part, reduction)


def ordinal_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    thresholds: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, NDArray[np.floating] | tuple[NDArray[np.floating], Floats]]:
    """Logistic loss at every threshold between levels of relevance.

    A document of relevance y should score above the first y thresholds and below the others:
    sum over l < y of log(1 + e^(t_l - s)) + sum over l >= y of log(1 + e^(s - t_l)), the
    "all-threshold" loss of [1]_, thresholds numbered from 0.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Levels, integers from 0 to the number of thresholds.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    thresholds : array-like of shape (n_levels - 1,), default=None
        Where levels meet, in the unit of the scores; usually ascending, and learned. None fixes
        them halfway between levels, at 1/2, 3/2, ... up to the highest level in `relevance`.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats.
    gradient : ndarray, or tuple of ndarray
        Derivatives by the scores, in their shape, and by the thresholds if these are given.

    Raises
    ------
    ValueError
        As `squared_loss`; also if relevance holds other values than levels, or `thresholds` is
        not a row of finite numbers.

    References
    ----------
    .. [1] Rennie, J. and Srebro, N. (2005). Loss functions for preference levels: regression with
       discrete ordered labels. IJCAI Workshop on Advances in Preference Handling, 180-186.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import ordinal_loss
    >>> loss, (by_scores, by_thresholds) = ordinal_loss([0.0, 3.0], [0, 2], thresholds=[1.0, 2.0])
    >>> round(loss, 4), by_thresholds.round(4)
    (0.4402, array([-0.0749,  0.0749]))
    """
    if thresholds is None:
        highest = np.max(as_numbers(relevance, "relevance"), initial=1.0)
        levels = np.arange(0.5, highest)
    else:
        levels = np.asarray(thresholds, dtype=np.float64)
    if levels.ndim != 1 or not levels.size or not np.isfinite(levels).all():
        raise ValueError("thresholds must be a row of finite numbers, one fewer than levels")
    by_thresholds = np.zeros_like(levels)

    def part(block: Block) -> Part:
        if (block.relevance > levels.size).any() or (block.relevance % 1.0).any():
            raise ValueError(
                f"relevance must hold integers from 0 to {levels.size}, the number of thresholds"
            )
        # 1 where the score should be below the threshold, -1 where above.
        side = np.where(np.arange(levels.size) < block.relevance[..., np.newaxis], -1.0, 1.0)
        excess = side * (block.scores[..., np.newaxis] - levels)
        slopes = side * expit(excess)
        by_thresholds[:] -= slopes.sum(axis=(0, 1))
        losses = np.logaddexp(0.0, excess).sum(axis=(1, 2))
        return losses, excess.shape[1], slopes.sum(axis=2)

    loss, by_scores = _loss(scores, relevance, groups, part, reduction)
    if thresholds is None:
        return loss, by_scores
    scale = np.size(scores) if reduction == "mean" else 1
    return loss, (by_scores, by_thresholds / scale)


# ---- Pairwise -------------------------------------------------------------------------------


def hinge_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    margin: float = 1.0,
    reduction: Reduction = "mean",
) -> Loss:
    """Shortfall of pairs from a margin: max(0, margin - (s_i - s_j)) wherever y_i > y_j.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    margin : float, default=1.0
        What the more relevant document should score more, above 0.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over pairs of unlike relevance; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In the unit of the scores; 0 without such pairs.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores; 0 where a pair is exactly at the margin.

    Raises
    ------
    ValueError
        As `squared_loss`; also if `margin` is not above 0.

    References
    ----------
    .. [1] Herbrich, R., Graepel, T. and Obermayer, K. (2000). Large margin rank boundaries for
       ordinal regression. Advances in Large Margin Classifiers, 115-132.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import hinge_loss
    >>> loss, gradient = hinge_loss([0.5, 0.0], [1, 0])
    >>> loss, gradient
    (0.5, array([-1.,  1.]))
    """
    check_positive("margin", margin)

    def slope(lead: Floats, _: Block) -> tuple[Floats, Floats]:
        return np.maximum(margin - lead, 0.0), np.where(lead < margin, -1.0, 0.0)

    return _pairwise_loss(scores, relevance, groups, slope, reduction)


def ranknet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sigma: float = 1.0,
    reduction: Reduction = "mean",
) -> Loss:
    """Cross-entropy of pairs: log(1 + e^(-sigma (s_i - s_j))) wherever y_i > y_j.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    sigma : float, default=1.0
        Steepness, above 0.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over pairs of unlike relevance; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats; 0 without such pairs.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`; also if `sigma` is not above 0.

    References
    ----------
    .. [1] Burges, C. et al. (2005). Learning to rank using gradient descent. Proceedings of the
       22nd International Conference on Machine Learning, 89-96.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import ranknet_loss
    >>> loss, _ = ranknet_loss([0.5, 0.3, 0.5], [0.5, 0.3, 0.5], reduction="sum")
    >>> round(loss, 4)
    1.1963
    """
    check_positive("sigma", sigma)

    def slope(lead: Floats, _: Block) -> tuple[Floats, Floats]:
        return np.logaddexp(0.0, -sigma * lead), -sigma * expit(-sigma * lead)

    return _pairwise_loss(scores, relevance, groups, slope, reduction)


def lambdarank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sigma: float = 1.0,
    k: int | None = None,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
) -> Loss:
    """RankNet's loss, each pair weighted by what NDCG would change if its documents traded places.

    The weight ``|gain_i - gain_j| |discount_i - discount_j| / ideal DCG`` is that of the present
    ranking, and the gradient takes it for a constant ([1]_, section 4).

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    sigma : float, default=1.0
        Steepness, above 0.
    k : int, default=None
        NDCG counts only the first `k` ranks.
    gain : {"linear", "exponential"} or callable, default="exponential"
        As in `fasttsne.metric_learning.ndcg_score`.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over pairs of unlike relevance; "none" gives the sum of every query.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        0 without such pairs.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores at constant weights.

    Raises
    ------
    ValueError
        As `squared_loss`; also if `sigma` is not above 0 or `k` is not a positive integer.

    Notes
    -----
    Of documents of equal scores the last given ranks first, as in the measures.

    References
    ----------
    .. [1] Burges, C. (2010). From RankNet to LambdaRank to LambdaMART: an overview. Microsoft
       Research Technical Report MSR-TR-2010-82.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import lambdarank_loss
    >>> loss, gradient = lambdarank_loss([0.0, 1.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.4847, array([-0.2698,  0.2698]))
    """
    check_positive("sigma", sigma)
    check_k(k)

    def slope(lead: Floats, block: Block) -> tuple[Floats, Floats]:
        weights = _swaps(block, k, gain)
        losses = weights * np.logaddexp(0.0, -sigma * lead)
        return losses, -sigma * weights * expit(-sigma * lead)

    return _pairwise_loss(scores, relevance, groups, slope, reduction)


def _swaps(block: Block, k: int | None, gain: Gain) -> Floats:
    """How much NDCG changes when two documents trade places, (n_queries, size, size)."""
    gains = _normalized_gains(block, k, gain)
    order = descending(block.scores)
    by_document = np.empty_like(gains)
    np.put_along_axis(by_document, order, discounts(gains.shape[1], k)[np.newaxis], axis=1)
    return np.abs(_differences(gains) * _differences(by_document))


def _pairwise_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    slope: Callable[[Floats, Block], tuple[Floats, Floats]],
    reduction: Reduction,
) -> Loss:
    """Sum up `slope`, losses and derivatives by the lead s_i - s_j, where y_i > y_j."""

    def part(block: Block) -> Part:
        pairs = _differences(block.relevance) > 0.0
        losses, slopes = slope(_differences(block.scores), block)
        losses, slopes = np.where(pairs, losses, 0.0), np.where(pairs, slopes, 0.0)
        n_pairs = pairs.sum(axis=(1, 2)).astype(np.float64)
        return losses.sum(axis=(1, 2)), n_pairs, slopes.sum(axis=2) - slopes.sum(axis=1)

    return _loss(scores, relevance, groups, part, reduction, of_pairs=True)


# ---- Listwise -------------------------------------------------------------------------------


def listnet_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    reduction: Reduction = "mean",
) -> Loss:
    """Cross-entropy of who is first: - sum_i softmax(y)_i log softmax(s)_i.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over queries.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`.

    References
    ----------
    .. [1] Cao, Z., Qin, T., Liu, T.-Y., Tsai, M.-F. and Li, H. (2007). Learning to rank: from
       pairwise approach to listwise approach. Proceedings of the 24th International Conference on
       Machine Learning, 129-136. Section 4.2, top one probability.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import listnet_loss
    >>> loss, gradient = listnet_loss([0.0, 0.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.6931, array([-0.2311,  0.2311]))
    """

    def part(block: Block) -> Part:
        wanted = softmax(block.relevance, axis=1)
        relative = block.scores - block.scores.max(axis=1, keepdims=True)
        log_shares = relative - np.log(np.exp(relative).sum(axis=1, keepdims=True))
        return -np.sum(wanted * log_shares, axis=1), 1.0, np.exp(log_shares) - wanted

    return _loss(scores, relevance, groups, part, reduction)


def listmle_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    reduction: Reduction = "mean",
) -> Loss:
    """Minus the log likelihood of the order by relevance, drawn one document after the other.

    sum_i log sum_(j >= i) e^(s_j) - s_i, documents numbered by falling relevance: the
    Plackett-Luce model [1]_. Documents of equal relevance are taken in the order in which they
    were given.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over queries.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`.

    References
    ----------
    .. [1] Xia, F., Liu, T.-Y., Wang, J., Zhang, W. and Li, H. (2008). Listwise approach to learning
       to rank: theory and algorithm. Proceedings of the 25th International Conference on Machine
       Learning, 1192-1199.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import listmle_loss
    >>> loss, gradient = listmle_loss([0.5, 0.3], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (0.5981, array([-0.4502,  0.4502]))
    """

    def part(block: Block) -> Part:
        order = np.argsort(-block.relevance, axis=1, kind="stable")
        ranked = np.take_along_axis(block.scores, order, axis=1)
        # Of each document and all that come after it.
        log_sums = np.logaddexp.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]
        # Each score is part of the sums up to its own: of e^(s_j - log_sums_i), i <= j.
        shares = np.exp(ranked + np.logaddexp.accumulate(-log_sums, axis=1))
        gradient = np.empty_like(ranked)
        np.put_along_axis(gradient, order, shares - 1.0, axis=1)
        return np.sum(log_sums - ranked, axis=1), 1.0, gradient

    return _loss(scores, relevance, groups, part, reduction)


def approx_ndcg_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    alpha: float = 10.0,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
) -> Loss:
    """Minus an NDCG whose ranks are smooth: rank_i = 1/2 + sum_j sigmoid(alpha (s_j - s_i)).

    The sum includes j = i, so that a document far ahead has rank 1 ([1]_, equation 6).

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    alpha : float, default=10.0
        Steepness, above 0; the larger, the nearer to true ranks.
    gain : {"linear", "exponential"} or callable, default="exponential"
        As in `fasttsne.metric_learning.ndcg_score`.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over queries.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        Between -1 and 0; 0 for queries without gain.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`; also if `alpha` is not above 0.

    References
    ----------
    .. [1] Qin, T., Liu, T.-Y. and Li, H. (2010). A general approximation framework for direct
       optimization of information retrieval measures. Information Retrieval 13, 375-397.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import approx_ndcg_loss
    >>> loss, _ = approx_ndcg_loss([0.5, 0.3, 0.5], [0.5, 0.3, 0.5], alpha=1.0)
    >>> round(loss, 4)
    -0.8499
    """
    check_positive("alpha", alpha)

    def part(block: Block) -> Part:
        gains = _normalized_gains(block, None, gain)
        behind = expit(-alpha * _differences(block.scores))  # of i, behind j
        log_rank = np.log2(1.5 + behind.sum(axis=2))
        # d(-gain / log2(1 + rank)) / d rank
        by_rank = gains / (np.log(2.0) * np.exp2(log_rank) * log_rank**2)
        slopes = alpha * by_rank[..., np.newaxis] * behind * (1.0 - behind)
        gradient = slopes.sum(axis=1) - slopes.sum(axis=2)
        return -np.sum(gains / log_rank, axis=1), 1.0, gradient

    return _loss(scores, relevance, groups, part, reduction, of_pairs=True)


def soft_rank_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sigma: float = 1.0,
    k: int | None = None,
    gain: Gain = "exponential",
    reduction: Reduction = "mean",
) -> Loss:
    """Minus the NDCG to be expected when scores are uncertain, SoftNDCG [1]_.

    Every score is the mean of a Gaussian of standard deviation `sigma`. Then document i is ahead of
    j with probability Phi((s_i - s_j) / (sqrt(2) sigma)), and a document's rank is one more than a
    sum of such independent trials, whose distribution gives the expected discount.

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores; a query a row, or all documents one after the other.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `scores` of several queries.
    sigma : float, default=1.0
        Uncertainty of a score, above 0; the smaller, the nearer to true ranks.
    k : int, default=None
        Only the first `k` ranks count.
    gain : {"linear", "exponential"} or callable, default="exponential"
        As in `fasttsne.metric_learning.ndcg_score`.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over queries.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        Between -1 and 0; 0 for queries without gain.
    gradient : ndarray, shape of `scores`
        Its derivative by the scores.

    Raises
    ------
    ValueError
        As `squared_loss`; also if `sigma` is not above 0 or `k` is not a positive integer.

    Notes
    -----
    The time is cubic in the number of documents of a query.

    References
    ----------
    .. [1] Taylor, M., Guiver, J., Robertson, S. and Minka, T. (2008). SoftRank: optimizing
       non-smooth rank metrics. International Conference on Web Search and Data Mining, 77-86.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import soft_rank_loss
    >>> loss, gradient = soft_rank_loss([0.0, 0.0], [1, 0])
    >>> round(loss, 4), gradient.round(4)
    (-0.8155, array([-0.1041,  0.1041]))
    """
    check_positive("sigma", sigma)
    check_k(k)

    def part(block: Block) -> Part:
        gains = _normalized_gains(block, k, gain)
        n_queries, size = gains.shape
        by_rank = discounts(size, k)
        # Of i ahead of j, and its derivative by s_i - s_j.
        lead = np.clip(_differences(block.scores) / (2.0 * sigma), -_CERTAIN, _CERTAIN)
        ahead = 0.5 * erfc(-lead)
        density = np.exp(-(lead**2)) / (2.0 * sigma * np.sqrt(np.pi))
        losses, gradient = np.zeros(n_queries), np.zeros_like(gains)
        step = max(1, _RANK_VALUES // (n_queries * size**2))
        for first in range(0, size, step):
            some = slice(first, first + step)
            expected, by_ahead = _expected_discounts(ahead[:, :, some], first, by_rank)
            losses -= np.sum(gains[:, some] * expected, axis=1)
            slopes = gains[:, np.newaxis, some] * by_ahead * density[:, :, some]
            gradient -= slopes.sum(axis=2)
            gradient[:, some] += slopes.sum(axis=1)
        return losses, 1.0, gradient

    return _loss(scores, relevance, groups, part, reduction, of_pairs=True)


def _expected_discounts(ahead: Floats, first: int, by_rank: Floats) -> tuple[Floats, Floats]:
    """Find the expected discount of some documents, and its derivative by who is ahead of them.

    ahead : (n_queries, size, n_some), probability that i is ahead of the document `first` + j.
    The distribution of the rank grows by one other document at a time; the derivative meets it
    with the discount to be expected from there on, which shrinks by one from the other end.
    """
    n_queries, size, n_some = ahead.shape
    own = np.arange(size)[:, np.newaxis] == first + np.arange(n_some)
    ahead = np.where(own, 0.0, ahead)[..., np.newaxis]
    ranks = np.zeros((size + 1, n_queries, n_some, size))
    ranks[0, :, :, 0] = 1.0
    for i in range(size):
        ranks[i + 1] = (1.0 - ahead[:, i]) * ranks[i]
        ranks[i + 1, :, :, 1:] += ahead[:, i] * ranks[i, :, :, :-1]
    expected = ranks[size] @ by_rank
    by_ahead = np.empty((n_queries, size, n_some))
    later = np.broadcast_to(by_rank, (n_queries, n_some, size)).copy()
    for i in range(size - 1, -1, -1):
        # The last rank is never moved on from: there are only size - 1 others.
        drop = np.diff(later, axis=2, append=later[:, :, -1:])
        by_ahead[:, i] = np.sum(ranks[i] * drop, axis=2)
        later += ahead[:, i] * drop
    by_ahead[:, own] = 0.0
    return expected, by_ahead


# ---- What they share ------------------------------------------------------------------------


def _loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    part: Callable[[Block], Part],
    reduction: Reduction,
    *,
    of_pairs: bool = False,
) -> Loss:
    """Put the parts of all blocks together."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r} must be 'mean', 'sum' or 'none'")
    queries = as_queries(relevance, scores, groups, names=("relevance", "scores"))
    losses, gradient = np.empty(len(queries)), np.empty(queries.scores.size)
    n_terms = 0.0
    for block, (block_losses, terms, block_gradient) in _parts(queries, part, of_pairs):
        losses[block.queries] = block_losses
        block.put(block_gradient, into=gradient)
        n_terms += float(np.sum(np.broadcast_to(terms, block_losses.shape)))
    if reduction == "mean":
        gradient /= max(n_terms, 1.0)
    shaped = same_type(gradient.reshape(np.shape(scores)), scores)
    if reduction == "none":
        return losses, shaped
    total = float(losses.sum())
    return total / max(n_terms, 1.0) if reduction == "mean" else total, shaped


def _parts(
    queries: Queries, part: Callable[[Block], Part], of_pairs: bool
) -> Iterator[tuple[Block, Part]]:
    for block in queries.blocks(of_pairs=of_pairs):
        yield block, part(block)


def _differences(values: Floats) -> Floats:
    """v_i - v_j of every query, (n_queries, size, size)."""
    return values[:, :, np.newaxis] - values[:, np.newaxis, :]


def _normalized_gains(block: Block, k: int | None, gain: Gain) -> Floats:
    """Gains over the ideal DCG; 0 where there is none."""
    gains = relative_gains(block.relevance, gain)
    ideal_dcg = -np.sort(-gains, axis=1) @ discounts(gains.shape[1], k)
    return gains / np.where(ideal_dcg > 0.0, ideal_dcg, 1.0)[:, np.newaxis]
