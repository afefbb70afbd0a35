"""Losses of single documents: scores as estimates of relevance, of log odds, or of levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Reduction
from fasttsne.metric_learning.queries import Block, Part, RankingLoss, loss_of_queries
from fasttsne.runtime.numbers import with_plain_numbers

# The time of the ordinal loss grows with the number of thresholds.
_MOST_THRESHOLDS = 10_000


@with_plain_numbers
def squared_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return the squared error of estimates of relevance, (s - y)^2 (Cossock and Zhang 2006).

    Parameters
    ----------
    scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores: one query per row, or all documents in one dimension.
    relevance : array-like, same shape
        Relevance, at least 0.
    groups : array-like of int, shape (n_queries,), default=None
        Number of documents per query, for one-dimensional `scores` query by query.
    qid : array-like of shape (n_documents,), default=None
        Instead of `groups`: the id of every document's query, of any type, in any order.
    document_weight : array-like in the shape of `scores`, default=None
        Weights of the documents. A weight multiplies the document's term: that of the pairs in
        which it is the more relevant one; of a listwise loss, the term of the document in the sum.
        The number of terms, which "mean" divides by, stays. For clicks, the weight of a clicked
        document is its inverse propensity, and that of others 1.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" returns the sum of every query.
    hessian : bool, default=False
        Return as a third value the diagonal of the Hessian by the scores, or where it can be
        negative or 0 (hinge, ApproxNDCG, SoftRank) an upper bound: weights for Newton steps.

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_queries,), ndarray in the shape of `scores`
        In squared units of relevance. Derivative by the scores. With `hessian` a third array in
        this shape.

    Raises
    ------
    ValueError
        If arrays disagree in shape, hold NaN, infinity or negative relevance, if the sizes in
        `groups` do not sum to the number of documents, if ids in `qid` are missing or of mixed
        types, or if a parameter is out of range.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import squared_loss
    >>> loss, gradient = squared_loss([2.0, 1.0], [1, 1])
    >>> loss, gradient
    (0.5, array([1., 0.]))
    """

    def part(block: Block) -> Part:
        errors = block.scores - block.relevance
        checks.check_squares(errors, "scores")
        weights = block.weights
        losses = np.sum(weights * errors**2, axis=1)
        return losses, errors.shape[1], 2.0 * weights * errors, 2.0 * weights

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments)


@with_plain_numbers
def logistic_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> RankingLoss:
    """Return the cross-entropy of scores as log odds of relevance (Nallapati 2004).

    log(1 + e^s) - [y > 0] s.

    Parameters
    ----------
    scores, relevance : array-like
        Log odds, and relevance, above 0 for relevant documents.
    groups, qid, document_weight : see `squared_loss`
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" returns the sum of every query.
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : in nats; see `squared_loss`

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
        odds, weights = expit(block.scores), block.weights
        gradient = weights * (odds - relevant)
        return (
            np.sum(weights * losses, axis=1),
            losses.shape[1],
            gradient,
            weights * odds * (1 - odds),
        )

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    return loss_of_queries(part, *arguments)


@with_plain_numbers
def ordinal_loss(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    qid: ArrayLike | None = None,
    document_weight: ArrayLike | None = None,
    thresholds: ArrayLike | None = None,
    reduction: Reduction = "mean",
    hessian: bool = False,
) -> Any:
    """Return the logistic loss at every threshold between levels of relevance.

    A document of relevance y should score above the first y thresholds and below the others:
    sum over l < y of log(1 + e^(t_l - s)) + sum over l >= y of log(1 + e^(s - t_l)), with
    thresholds numbered from 0. This is the "all-threshold" loss of Rennie and Srebro 2005.

    Parameters
    ----------
    scores, relevance : array-like
        Scores, and levels from 0 to the number of thresholds.
    groups, qid, document_weight : see `squared_loss`
    thresholds : array-like of shape (n_levels - 1,), default=None
        Scores at which levels meet, usually ascending, and learned. None fixes them halfway
        between levels, at 1/2, 3/2, ... up to the highest level in `relevance`.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over documents; "none" returns the sum of every query.
    hessian : see `squared_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_queries,), ndarray or tuple of ndarray
        In nats. Derivative by the scores, and that by the thresholds if these are given.

    Examples
    --------
    >>> from fasttsne.metric_learning.learning_to_rank import ordinal_loss
    >>> loss, (by_scores, by_thresholds) = ordinal_loss([0.0, 3.0], [0, 2], thresholds=[1.0, 2.0])
    >>> round(loss, 4), by_thresholds.round(4)
    (0.4402, array([-0.0749,  0.0749]))
    """
    if thresholds is None:
        highest = np.max(checks.as_numbers(relevance, "relevance"), initial=1.0)
        levels = np.arange(0.5, min(highest, _MOST_THRESHOLDS + 1))
    else:
        levels = checks.as_numbers(thresholds, "thresholds")
    if levels.ndim != 1 or not levels.size:
        raise ValueError("thresholds must be a row of finite numbers, one fewer than levels")
    if levels.size > _MOST_THRESHOLDS:
        raise ValueError(
            f"relevance has more than {_MOST_THRESHOLDS:,} levels; rescale or bin it, or use "
            "squared_loss"
        )
    by_thresholds = np.zeros_like(levels)

    def part(block: Block) -> Part:
        if (block.relevance > levels.size).any() or (block.relevance % 1.0).any():
            raise ValueError(
                f"relevance must hold integers from 0 to {levels.size}, the number of thresholds"
            )
        losses = np.zeros(len(block.scores))
        gradient, hessian = np.zeros((2, *block.scores.shape))
        for number, level in enumerate(levels):
            # 1 if the score should be below the threshold, -1 if above.
            side = np.where(number < block.relevance, -1.0, 1.0)
            excess = side * (block.scores - level)
            wrong = expit(excess)
            slopes = block.weights * side * wrong
            by_thresholds[number] -= slopes.sum()
            losses += np.sum(block.weights * np.logaddexp(0.0, excess), axis=1)
            gradient += slopes
            hessian += block.weights * wrong * (1.0 - wrong)
        return losses, block.scores.shape[1], gradient, hessian

    arguments = scores, relevance, groups, qid, document_weight, reduction, hessian
    loss, by_scores, *curvature = loss_of_queries(part, *arguments)
    if thresholds is None:
        return loss, by_scores, *curvature
    scale = np.size(scores) if reduction == "mean" else 1
    return loss, (by_scores, by_thresholds / scale), *curvature
