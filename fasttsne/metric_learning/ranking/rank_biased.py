"""Measures of a reader who reads on with one probability, as means over orders of equal scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.queries import Block, mean_of_queries
from fasttsne.metric_learning.ranking.binary import ranking_of
from fasttsne.metric_learning.ranking.ndcg import TieOrder, descending
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import with_plain_numbers


@with_plain_numbers
def rank_biased_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    persistence: float = 0.8,
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return RBP, the relevant documents per document that a reader reads (Moffat and Zobel 2008).

    (1 - p) times the sum of p^(r - 1) over the ranks r of relevant documents: after each document
    the reader goes on with probability p.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
        Relevance above 0 is relevant.
    persistence : float, default=0.8
        p, at least 0 and below 1.
    ties, groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    rbp : float, or ndarray of shape (n_queries,)
        From 0 to 1 - p^R with R relevant documents; 0 for a query without any.

    Examples
    --------
    >>> from fasttsne.metric_learning import rank_biased_precision
    >>> rank_biased_precision([1, 0, 1], [3, 2, 1], persistence=0.5)
    0.625
    """
    _check_persistence(persistence)

    def measure(block: Block) -> Floats:
        hits = ranking_of(block.scores, block.relevance > 0.0, ties).share_of_hits()
        return hits @ ((1.0 - persistence) * persistence ** np.arange(hits.shape[1]))

    return mean_of_queries(measure, y_true, y_score, groups, qid, sample_weight, per_query)


@with_plain_numbers
def rank_biased_overlap(
    scores: ArrayLike,
    other_scores: ArrayLike,
    *,
    persistence: float = 0.9,
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return RBO, the similarity of two rankings of the same documents (Webber et al. 2010).

    (1 - p) times the sum over depths d of p^(d - 1) times the share of documents that are among the
    first d of both rankings. Beyond the last document the share is 1. Documents with equal scores
    are among the first d with the share of orders in which they are. The time of queries with equal
    scores grows with the number of depths that count.

    Parameters
    ----------
    scores, other_scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        Scores of the documents in the two rankings.
    persistence : float, default=0.9
        p, at least 0 and below 1; the weight of the first d ranks grows as p falls.
    groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    rbo : float, or ndarray of shape (n_queries,)
        From 0 to 1; 1 for the same ranking without ties.

    Examples
    --------
    >>> from fasttsne.metric_learning import rank_biased_overlap
    >>> round(rank_biased_overlap([3, 2, 1], [2, 3, 1], persistence=0.5), 4)
    0.5
    """
    _check_persistence(persistence)
    first = checks.as_numbers(checks.as_ranked(scores, "scores"), "scores")
    second = checks.as_numbers(checks.as_ranked(other_scores, "other_scores"), "other_scores")
    # Relevance has to be at least 0. Only the order of scores counts, so ranks replace them.
    levels = np.unique(first.ravel(), return_inverse=True)[1].reshape(first.shape)

    def measure(block: Block) -> Floats:
        places = [_places(values) for values in (block.relevance, block.scores)]
        n_queries, size = block.scores.shape
        depths = np.arange(1, size + 1)
        weights = (1.0 - persistence) * persistence ** (depths - 1) / depths
        # Without ties a document is in both from the depth of its later rank on.
        later = np.maximum(places[0][0], places[1][0]).astype(np.int64)
        later += size * np.arange(n_queries)[:, np.newaxis]
        entering = np.bincount(later.ravel(), minlength=later.size).reshape(later.shape)
        overlap = np.cumsum(entering, axis=1) @ weights
        tied = np.flatnonzero((np.maximum(places[0][1], places[1][1]) > 1.0).any(axis=1))
        if tied.size:
            overlap[tied] = _overlap_of_ties([(a[tied], n[tied]) for a, n in places], weights)
        return np.asarray(overlap + persistence**size)

    arguments = levels, second, groups, qid, sample_weight, per_query
    return mean_of_queries(measure, *arguments, names=("scores", "other_scores"))


def _overlap_of_ties(places: list[tuple[Floats, Floats]], weights: Floats) -> Floats:
    """Return the weighted sum over depths of the expected number of documents in both rankings."""
    overlap = np.zeros(len(places[0][0]))
    for depth, weight in enumerate(weights, 1):
        if weight < np.finfo(np.float64).tiny:
            break
        inside = [np.clip((depth - above) / size, 0.0, 1.0) for above, size in places]
        overlap += weight * np.sum(inside[0] * inside[1], axis=1)
    return overlap


def _places(scores: Floats) -> tuple[Floats, Floats]:
    """Return of every document the number of documents above its tie, and the tie's size."""
    order = descending(scores)
    ties = Ties(np.take_along_axis(scores, order, axis=1))
    found = np.empty((2, *scores.shape))
    above = np.arange(scores.shape[1]) - ties.places
    for into, values in zip(found, (above, ties.sizes), strict=True):
        np.put_along_axis(into, order, values, axis=1)
    return found[0], found[1]


def _check_persistence(persistence: Any) -> None:
    if not 0.0 <= persistence < 1.0:
        raise ValueError(f"persistence={persistence} must be at least 0 and below 1")
