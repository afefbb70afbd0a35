"""Measures of graded relevance other than DCG, as means over the orders of equal scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.queries import Block, Undefined, mean_of_queries
from fasttsne.metric_learning.ranking.binary import rankings_of
from fasttsne.metric_learning.ranking.ndcg import Gain, TieOrder, descending, relative_gain
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, with_plain_numbers

# Chances of a reader to go on that no sum notices.
_NEGLIGIBLE = 1e-25


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
        of_relevant = rankings_of(block.scores, ties)
        total, expected = np.zeros((2, len(gains)))
        for level, share in _levels(gains):
            ranking = of_relevant(gains >= level[:, np.newaxis])
            total += share * ranking.precision_of_hits().sum(axis=1)
            expected += share * ranking.n_relevant
        with np.errstate(invalid="ignore"):  # NaN without gain
            return np.asarray(total / expected)

    arguments = y_true, y_score, groups, qid, sample_weight, per_query, undefined
    return mean_of_queries(measure, *arguments)


def _levels(gains: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield the levels of gain above 0 of every query, from below, and their steps from the last.

    Queries with fewer levels than others end with infinite ones, of step 0.
    """
    by_gain = np.sort(gains, axis=1)
    steps = np.diff(by_gain, axis=1, prepend=0.0)
    numbers = np.cumsum(steps > 0.0, axis=1)
    rows, columns = np.nonzero(steps)
    levels = np.full((len(gains), int(numbers.max()) + 1), np.inf)
    shares = np.zeros_like(levels)
    for into, values in (levels, by_gain), (shares, steps):
        into[rows, numbers[rows, columns]] = values[rows, columns]
    yield from zip(levels.T[1:], shares.T[1:], strict=True)


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
        A reader who reads `k` documents without being satisfied adds 0. The time of a tie grows
        with its documents times the ranks, up to `k`, that a reader may reach.
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
        runs = Ties(scores if ties == "average" else order)
        read = _mean_products(ranked, runs, k or scores.shape[1])[:, :k]
        stopped = -np.diff(read, axis=1, prepend=1.0)
        return np.asarray(np.sum(stopped / np.arange(1, stopped.shape[1] + 1), axis=1))

    return mean_of_queries(measure, y_true, y_score, groups, qid, sample_weight, per_query)


def _mean_products(values: Floats, ties: Ties, n_ranks: int) -> Floats:
    """Return the products of the values up to each rank, as means over the orders within ties.

    They are right up to rank `n_ranks`, and 0 where below `_NEGLIGIBLE`; values are at most 1.
    """
    size = values.shape[1]
    products = np.cumprod(values, axis=1).ravel()
    counts = np.where(ties.starts % size < n_ranks, ties.counts, 0)
    for length in np.unique(counts[counts > 1]):
        starts = ties.starts[counts == length, np.newaxis]
        of_ties = -np.sort(-values.ravel()[starts + np.arange(length)], axis=1)
        before = np.where(starts % size > 0, products[starts - 1], 1.0)
        last = min(int(length), n_ranks)
        # After n documents of a tie, column p has the mean product of p of these n. The first
        # documents may be all of value 1.
        n_ones = int((of_ties == 1.0).sum(axis=1).min())
        means = np.zeros((len(starts), last + 1))
        means[:, : n_ones + 1] = 1.0
        for n in range(n_ones + 1, int(length) + 1):
            share = np.arange(1, min(n, last) + 1) / n
            one_fewer = of_ties[:, n - 1, np.newaxis] * means[:, : len(share)]
            means[:, 1 : len(share) + 1] += share * (one_fewer - means[:, 1 : len(share) + 1])
            # The means fall along the ranks, and with every document that is added.
            while len(share) > 1 and means[:, len(share)].max() < _NEGLIGIBLE:
                share = share[:-1]
                last = len(share)
                means[:, last + 1] = 0.0
        last = means.shape[1] - 1
        products[starts + np.arange(last)] = before * means[:, 1:]
    return np.asarray(products.reshape(values.shape))
