"""Measures of graded relevance other than DCG, as means over the orders of equal scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.queries import Block, Undefined, mean_of_queries
from fasttsne.metric_learning.ranking.binary import ranking_of
from fasttsne.metric_learning.ranking.ndcg import Gain, TieOrder, descending, relative_gain
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, with_plain_numbers


@with_plain_numbers
def graded_average_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    gain: Gain = "linear",
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the average precision of graded relevance (Robertson et al. 2010).

    A reader takes documents from some level of relevance on for relevant; the gain of a level is
    the probability, up to a factor, that the reader's threshold is not above it. The measure is the
    expected sum of the precision at the ranks of relevant documents, divided by their expected
    number. For relevance of 0 and 1 it is `average_precision`. The time is linear in the number of
    levels.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    gain : see `dcg_score`
        It must not fall with relevance.
    undefined : float or "skip", default=0.0
        Value of a query without gain; see `ndcg_score`.
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    graded_average_precision : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Examples
    --------
    >>> from fasttsne.metric_learning import graded_average_precision
    >>> round(graded_average_precision([1, 2, 0, 1], [4, 3, 2, 1]), 4)
    0.8125
    """

    def measure(block: Block) -> Floats:
        gains = relative_gain(block.relevance, gain)
        total, expected = np.zeros((2, len(gains)))
        below = 0.0
        for level in np.unique(gains[gains > 0.0]):
            ranking = ranking_of(block.scores, gains >= level, ties)
            share = level - below
            total += share * ranking.precision_of_hits().sum(axis=1)
            expected += share * ranking.n_relevant
            below = level
        with np.errstate(invalid="ignore"):  # NaN without gain
            return np.asarray(total / expected)

    arguments = y_true, y_score, groups, qid, sample_weight, per_query, undefined
    return mean_of_queries(measure, *arguments)


@with_plain_numbers
def expected_reciprocal_rank(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count | None = None,
    max_relevance: float | None = None,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return ERR, the expected reciprocal rank at which a reader stops (Chapelle et al. 2009).

    The reader goes down the ranking and is satisfied by a document with probability
    (2^relevance - 1) / 2^max_relevance.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int, default=None
        A reader who reads `k` documents without being satisfied adds 0.
    max_relevance : float, default=None
        The highest level of relevance; None takes the largest value in `y_true`. Give it to compare
        values of different queries.
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    err : float, or ndarray of shape (n_queries,)
        From 0 to below 1; 0 for a query without relevant documents.

    Examples
    --------
    >>> from fasttsne.metric_learning import expected_reciprocal_rank
    >>> expected_reciprocal_rank([0, 1, 0], [3, 2, 1])
    0.25
    """
    highest = float(np.max(checks.as_numbers(y_true, "y_true"), initial=0.0))
    if max_relevance is not None and max_relevance < highest:
        raise ValueError(f"max_relevance={max_relevance} is below {highest:g}, the largest y_true")
    highest = highest if max_relevance is None else max_relevance

    def measure(block: Block) -> Floats:
        stops = np.exp2(block.relevance - highest) - np.exp2(-highest)
        going_on = 1.0 - np.where(np.isneginf(block.scores), 0.0, stops)
        order = descending(block.scores)
        ranked = np.take_along_axis(going_on, order, axis=1)
        scores = np.take_along_axis(block.scores, order, axis=1)
        read = _mean_products(ranked, Ties(scores if ties == "average" else order))
        stopped = -np.diff(read, axis=1, prepend=1.0)
        return np.asarray(np.sum((stopped / np.arange(1, stopped.shape[1] + 1))[:, :k], axis=1))

    return mean_of_queries(measure, y_true, y_score, groups, qid, sample_weight, per_query)


def _mean_products(values: Floats, ties: Ties) -> Floats:
    """Return the products of the values up to each rank, as means over the orders within ties."""
    # After n documents of a tie, column p has the mean product of p of these n.
    n_queries, size = values.shape
    means = np.zeros((n_queries, int(ties.sizes.max()) + 1))
    products, before = np.empty_like(values), np.ones(n_queries)
    for rank in range(size):
        place = ties.places[:, rank]
        means[place == 0] = np.eye(1, means.shape[1])
        n = (place + 1.0)[:, np.newaxis]
        share = np.minimum(np.arange(means.shape[1]) / n, 1.0)
        one_fewer = np.roll(means, 1, axis=1) * values[:, rank, np.newaxis]
        means = (1.0 - share) * means + share * one_fewer
        for query in np.flatnonzero(place + 1 == ties.sizes[:, rank]):
            length = int(ties.sizes[query, rank])
            of_tie = before[query] * means[query, 1 : length + 1]
            products[query, rank + 1 - length : rank + 1] = of_tie
            before[query] = of_tie[-1]
    return products
