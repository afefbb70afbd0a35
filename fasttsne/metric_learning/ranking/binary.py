"""Measures of binary relevance: documents of relevance above 0 are relevant.

Documents with equal scores have no order: every measure is the mean over their orders (McSherry
and Najork 2008). Precision, recall, R-precision and average precision are those of Manning,
Raghavan and Schütze (2008), sections 8.3 and 8.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.queries import Block, Undefined, mean_of_queries
from fasttsne.metric_learning.ranking.ndcg import TieOrder, descending
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, with_plain_numbers


@with_plain_numbers
def average_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count | None = None,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the mean of the precision at the ranks of all relevant documents.

    Its mean over queries is known as MAP (Manning et al. 2008, section 8.4).

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int, default=None
        Sum over the first `k` ranks only, and divide by min(k, R), R the number of relevant
        documents, so that a perfect ranking has 1. trec_eval's "map_cut" divides by R instead.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents; see `ndcg_score`.
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    average_precision : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Examples
    --------
    >>> from fasttsne.metric_learning import average_precision
    >>> round(average_precision([1, 0, 1, 0], [4, 3, 2, 1]), 4)
    0.8333
    """

    def measure(ranking: Ranking) -> Any:
        n_summed = ranking.n_relevant if k is None else np.minimum(ranking.n_relevant, k)
        return ranking.precision_of_hits()[:, :k].sum(axis=1) / n_summed

    return _mean(measure, y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined)


@with_plain_numbers
def reciprocal_rank(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count | None = None,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return one over the rank of the first relevant document.

    Its mean over queries is known as MRR (Voorhees 1999).

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int, default=None
        The value is 0 if the first relevant document is beyond rank `k`.
    undefined : see `ndcg_score`
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    reciprocal_rank : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import reciprocal_rank
    >>> reciprocal_rank([[0, 1, 0], [1, 0, 0]], [[3, 2, 1], [3, 2, 1]])
    0.75
    """

    def measure(ranking: Ranking) -> Any:
        first = -np.diff(ranking.without_hit(), axis=1, prepend=1.0)
        reciprocal = first / np.arange(1, first.shape[1] + 1)
        return reciprocal[:, :k].sum(axis=1) / (ranking.n_relevant > 0.0)

    return _mean(measure, y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined)


@with_plain_numbers
def precision_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of relevant documents among the first `k` (source: `average_precision`).

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int
        Number of ranks. Ranks that a query does not have count as irrelevant.
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    precision : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import precision_at_k
    >>> precision_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=2)
    0.5
    """
    arguments = y_true, y_score, ties, groups, qid, sample_weight, per_query
    return _mean(lambda ranking: ranking.n_found(k) / k, *arguments)


@with_plain_numbers
def recall_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of relevant documents found in the first `k` (source: `average_precision`).

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int
        Number of ranks that count.
    undefined : see `ndcg_score`
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    recall : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=3)
    1.0
    """
    arguments = y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined
    return _mean(lambda ranking: ranking.n_found(k) / ranking.n_relevant, *arguments)


@with_plain_numbers
def r_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the precision among the first R documents, R the number of relevant ones.

    See `average_precision` for the source.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    undefined : see `ndcg_score`
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    precision : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import r_precision
    >>> r_precision([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """
    arguments = y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined
    return _mean(Ranking.r_precision, *arguments)


@with_plain_numbers
def map_at_r(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the average precision among the first R documents, R the number of relevant ones.

    (1/R) sum over ranks i up to R of the precision at i if document i is relevant (Musgrave et al.
    2020, equation 7). Unlike `r_precision` it rewards relevant documents at higher ranks.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    undefined : see `ndcg_score`
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    map_at_r : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import map_at_r
    >>> map_at_r([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """
    arguments = y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined
    return _mean(Ranking.map_at_r, *arguments)


@with_plain_numbers
def hit_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count,
    undefined: Undefined = 0.0,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of queries with a relevant document among the first `k`.

    See Deshpande and Karypis 2004, section 5.2.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int
        Number of ranks that count.
    undefined : see `ndcg_score`
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    hit_rate : float, or ndarray of shape (n_queries,)
        0 or 1 for a query, or the share of orders with a hit if documents tie at rank `k`.

    Examples
    --------
    >>> from fasttsne.metric_learning import hit_rate
    >>> hit_rate([[0, 1, 0], [0, 0, 1]], [[3, 2, 1], [3, 2, 1]], k=2)
    0.5
    """
    arguments = y_true, y_score, ties, groups, qid, sample_weight, per_query, undefined
    return _mean(lambda ranking: ranking.hit_rate(k), *arguments)


class Ranking:
    """Relevant documents of queries by rank, as means over the orders of documents that tie.

    `hits` are those at the ranks; `n_relevant` also counts documents without a rank.
    """

    def __init__(self, hits: Floats, n_relevant: Floats, ties: Ties) -> None:
        self.n_relevant = n_relevant
        self._sizes, self._places = ties.sizes, ties.places
        self._tied: Floats = ties.sums(hits)  # relevant documents in the tie of each rank
        above = np.cumsum(hits, axis=1) - hits
        self._above: Floats = ties.spread(above.ravel()[ties.starts])  # and in the ties above

    def n_found(self, n_ranks: Any) -> Floats:
        """Return the number of relevant documents in the first ranks, one number or many."""
        found = self._above + self._tied * ((self._places + 1.0) / self._sizes)
        last = np.clip(np.broadcast_to(n_ranks, len(found)), 1, found.shape[1]).astype(np.intp)
        return np.take_along_axis(found, last[:, np.newaxis] - 1, axis=1)[:, 0]

    def precision_of_hits(self) -> Floats:
        """Return the precision at each rank, counted as 0 without a relevant document there."""
        others = self._places * (self._tied - 1.0) / np.maximum(self._sizes - 1.0, 1.0)
        found = 1.0 + self._above + others  # if there is a relevant document at this rank
        precision: Floats = found / np.arange(1, found.shape[1] + 1)
        return self.share_of_hits() * precision

    def share_of_hits(self) -> Floats:
        """Return the share of orders with a relevant document at each rank."""
        return self._tied / self._sizes

    def without_hit(self) -> Floats:
        """Return the share of orders in which no document up to each rank is relevant."""
        chance = np.minimum(self._tied / (self._sizes - self._places), 1.0)
        return np.cumprod(1.0 - chance, axis=1, dtype=np.float64)

    def r_precision(self) -> Floats:
        """Return the precision among the first documents, as many as there are relevant ones."""
        return self.n_found(self.n_relevant) / self.n_relevant

    def map_at_r(self) -> Floats:
        """Return the average precision among these documents."""
        precision = self.precision_of_hits()
        first_r = np.arange(precision.shape[1]) < self.n_relevant[:, np.newaxis]
        return precision.sum(axis=1, where=first_r) / self.n_relevant

    def hit_rate(self, k: int) -> Floats:
        """Return the chance that there is a relevant document up to rank k."""
        return (1.0 - self.without_hit()[:, :k].min(axis=1)) / (self.n_relevant > 0.0)


def ranking_of(scores: Floats, relevant: NDArray[np.bool_], ties: TieOrder) -> Ranking:
    """Return the ranking of a block's documents; those with a score of -inf are not retrieved."""
    return rankings_of(scores, ties)(relevant)


def rankings_of(scores: Floats, ties: TieOrder) -> Callable[[NDArray[np.bool_]], Ranking]:
    """Return a function of the relevant documents: see `ranking_of`."""
    order = descending(scores)
    retrieved = ~np.isneginf(scores)
    runs = Ties(np.take_along_axis(scores, order, axis=1) if ties == "average" else order)

    def ranking(relevant: NDArray[np.bool_]) -> Ranking:
        hits = np.take_along_axis(relevant & retrieved, order, axis=1).astype(np.float64)
        return Ranking(hits, relevant.sum(axis=1).astype(np.float64), runs)

    return ranking


def _mean(
    measure: Callable[[Ranking], Any],
    y_true: ArrayLike,
    y_score: ArrayLike,
    ties: TieOrder,
    *arguments: Any,
) -> float | Floats:
    """Return the mean of `measure` over queries; a division by 0 relevant documents marks NaN."""

    def of_block(block: Block) -> Floats:
        ranking = ranking_of(block.scores, block.relevance > 0.0, ties)
        with np.errstate(invalid="ignore", under="ignore"):
            return np.asarray(measure(ranking))

    return mean_of_queries(of_block, y_true, y_score, *arguments)
