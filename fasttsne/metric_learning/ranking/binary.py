"""Measures of binary relevance: documents of relevance above 0 are relevant.

Of documents with equal scores, those given later rank higher. Precision, recall, R-precision and
average precision are those of Manning, Raghavan and Schütze (2008), sections 8.3 and 8.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning.checks import Floats, check_count
from fasttsne.metric_learning.queries import Block, Undefined, mean_of_queries
from fasttsne.metric_learning.ranking.ndcg import descending


def average_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the mean of the precision at the ranks of all relevant documents.

    Its mean over queries is known as MAP (Manning et al. 2008, section 8.4).

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int, default=None
        Relevant documents beyond rank `k` have precision 0.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents; see `ndcg_score`.
    groups, sample_weight, per_query : see `dcg_score`

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
    check_count("k", k, optional=True)

    def measure(hits: Floats, n: Floats) -> Any:
        return np.sum((_precision(hits) * hits)[:, :k], axis=1) / n

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def reciprocal_rank(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return one over the rank of the first relevant document.

    Its mean over queries is known as MRR (Voorhees 1999).

    Parameters
    ----------
    y_true, y_score : see `average_precision`
    k : int, default=None
        The value is 0 if the first relevant document is beyond rank `k`.
    undefined, groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    reciprocal_rank : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import reciprocal_rank
    >>> reciprocal_rank([[0, 1, 0], [1, 0, 0]], [[3, 2, 1], [3, 2, 1]])
    0.75
    """
    check_count("k", k, optional=True)

    def measure(hits: Floats, n: Floats) -> Any:
        return hits[:, :k].max(axis=1) / ((1.0 + hits.argmax(axis=1)) * (n > 0.0))

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def precision_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of relevant documents among the first `k` (source: `average_precision`).

    Parameters
    ----------
    y_true, y_score : see `average_precision`
    k : int
        Number of ranks. Ranks that a query does not have count as irrelevant.
    groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    precision : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import precision_at_k
    >>> precision_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=2)
    0.5
    """
    check_count("k", k)

    def measure(hits: Floats, n: Floats) -> Any:
        return hits[:, :k].sum(axis=1) / k

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query)


def recall_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of relevant documents found in the first `k` (source: `average_precision`).

    Parameters
    ----------
    y_true, y_score : see `average_precision`
    k : int
        Number of ranks that count.
    undefined, groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    recall : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=3)
    1.0
    """
    check_count("k", k)

    def measure(hits: Floats, n: Floats) -> Any:
        return hits[:, :k].sum(axis=1) / n

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def r_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the precision among the first R documents, R the number of relevant ones.

    See `average_precision` for the source.

    Parameters
    ----------
    y_true, y_score, undefined, groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    precision : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import r_precision
    >>> r_precision([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """

    def measure(hits: Floats, n: Floats) -> Any:
        return np.sum(_first_r(hits, n), axis=1) / n

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def map_at_r(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the average precision among the first R documents, R the number of relevant ones.

    (1/R) sum over ranks i up to R of the precision at i if document i is relevant (Musgrave et al.
    2020, equation 7). Unlike `r_precision` it rewards relevant documents at higher ranks.

    Parameters
    ----------
    y_true, y_score, undefined, groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    map_at_r : between 0 and 1; see `average_precision`

    Examples
    --------
    >>> from fasttsne.metric_learning import map_at_r
    >>> map_at_r([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """

    def measure(hits: Floats, n: Floats) -> Any:
        return np.sum(_precision(hits) * _first_r(hits, n), axis=1) / n

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def hit_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the share of queries with a relevant document among the first `k`.

    See Deshpande and Karypis 2004, section 5.2.

    Parameters
    ----------
    y_true, y_score : see `average_precision`
    k : int
        Number of ranks that count.
    undefined, groups, sample_weight, per_query : see `average_precision`

    Returns
    -------
    hit_rate : float, or ndarray of shape (n_queries,)
        0 or 1 for a query.

    Examples
    --------
    >>> from fasttsne.metric_learning import hit_rate
    >>> hit_rate([[0, 1, 0], [0, 0, 1]], [[3, 2, 1], [3, 2, 1]], k=2)
    0.5
    """
    check_count("k", k)

    def measure(hits: Floats, n: Floats) -> Any:
        return hits[:, :k].max(axis=1) / (n > 0.0)

    return _mean(measure, y_true, y_score, groups, sample_weight, per_query, undefined)


def _mean(measure: Callable[[Floats, Floats], Any], *arguments: Any) -> float | Floats:
    """Return the mean of `measure` of every query's hits by rank, 1 or 0, and number of hits.

    A measure that divides by this number is NaN where it is 0.
    """

    def of_block(block: Block) -> Floats:
        order = descending(block.scores)
        hits = np.take_along_axis(block.relevance > 0.0, order, axis=1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(measure(hits, hits.sum(axis=1)))

    return mean_of_queries(of_block, *arguments)


def _precision(hits: Floats) -> Floats:
    """Return the precision at every rank, (n_queries, n_documents)."""
    return np.asarray(np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1))


def _first_r(hits: Floats, n_relevant: Floats) -> Floats:
    """Return the hits, 0 beyond the rank that equals the number of relevant documents."""
    return np.where(np.arange(hits.shape[1]) < n_relevant[:, np.newaxis], hits, 0.0)
