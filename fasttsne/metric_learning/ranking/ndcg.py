"""DCG and NDCG: the gain of every document times the discount of its rank.

NDCG is the DCG divided by `ideal_dcg`, the DCG of the best ranking of the same documents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices
from fasttsne.metric_learning.queries import Block, Undefined, mean_of_queries
from fasttsne.metric_learning.ties import Ties
from fasttsne.runtime.numbers import Count, with_plain_numbers

Gain = Literal["linear", "exponential"] | Callable[[Floats], ArrayLike]
TieOrder = Literal["average", "stable"]

# 2 to a larger power overflows.
_LARGEST_EXPONENT = 1023.0


@with_plain_numbers
def dcg_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count | None = None,
    gain: Gain = "linear",
    ties: TieOrder = "average",
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the discounted cumulative gain of rankings.

    DCG = sum over ranks r from 1 of gain(relevance_r) / log2(1 + r) (Järvelin and Kekäläinen 2002).

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance, at least 0: one query per row, or all documents in one dimension.
    y_score : array-like, same shape
        Scores; the document with the highest score has rank 1. Minus infinity marks a document that
        was not retrieved: it has no rank, and counts among the documents to be found.
    k : int, default=None
        Number of ranks that count; None and numbers above the number of documents count all.
    gain : {"linear", "exponential"} or callable, default="linear"
        "linear" is the relevance itself, as in `sklearn.metrics.dcg_score`; "exponential" is
        2^relevance - 1 (Burges et al. 2005). A callable gets an array of relevance and returns
        gains of the same shape.
    ties : {"average", "stable"}, default="average"
        Order of documents with equal scores. "average" is the mean over all orders (McSherry and
        Najork 2008). "stable" ranks documents that were given later higher, as scikit-learn does
        with ``ignore_ties=True``; so equal scores for all documents bring no advantage. (The
        opposite order, earlier documents first, is ``ties="given"`` of `lambdarank_loss`.)
    groups : array-like of int, shape (n_queries,), default=None
        Number of documents per query, for one-dimensional `y_true` query by query.
    qid : array-like of shape (n_documents,), default=None
        Instead of `groups`: the id of every document's query, of any type, in any order.
    sample_weight : array-like of shape (n_queries,) or (n_documents,), default=None
        Weights of the queries in the mean. With `qid` one per document, equal within a query.
    per_query : bool, default=False
        Return the value of every query instead of their mean; with `qid` in ascending order of ids.

    Returns
    -------
    dcg : float, or ndarray of shape (n_queries,)
        In the unit of the gain.

    Raises
    ------
    ValueError
        If arrays disagree in shape, hold NaN, infinity or negative relevance, if the sizes in
        `groups` do not sum to the number of documents, if ids in `qid` are missing or of mixed
        types, if `k` is not a positive integer, or if gains overflow.

    Examples
    --------
    >>> from fasttsne.metric_learning import dcg_score
    >>> round(dcg_score([10, 0, 0, 1, 5], [0.1, 0.2, 0.3, 4, 70]), 4)
    9.4995
    """

    def measure(block: Block) -> Floats:
        return _dcg(_gain(block.relevance, gain), block.scores, k, ties)

    return mean_of_queries(measure, y_true, y_score, groups, qid, sample_weight, per_query)


@with_plain_numbers
def ndcg_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: Count | None = None,
    gain: Gain = "linear",
    ties: TieOrder = "average",
    undefined: Undefined = 0.0,
    propensity: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    qid: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    per_query: bool = False,
) -> float | Floats:
    """Return the normalized DCG: the DCG divided by that of the best possible ranking.

    See `dcg_score` for the source. By default the values are those of `sklearn.metrics.ndcg_score`.

    Parameters
    ----------
    y_true, y_score : see `dcg_score`, also for errors
    k : int, default=None
        Number of ranks that count, in the ranking and in the best one.
    gain, ties : see `dcg_score`
    undefined : float or "skip", default=0.0
        Value of a query without gain, for which all rankings are equally good. "skip" leaves it
        out of the mean (an error if no query has a gain), and makes it NaN with `per_query`.
    propensity : array-like in the shape of `y_true`, default=None
        Probabilities above 0 with which documents are observed; gains are divided by them, in the
        ranking and in the best one (Jain et al. 2016).
    groups, qid, sample_weight, per_query : see `dcg_score`

    Returns
    -------
    ndcg : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Examples
    --------
    >>> from fasttsne.metric_learning import ndcg_score
    >>> round(ndcg_score([3, 2, 3, 0, 1, 2], [6, 5, 4, 3, 2, 1], gain="exponential"), 4)
    0.9488

    Two queries, of three documents and of two:

    >>> ndcg_score([2, 1, 0, 0, 1], [3, 2, 1, 2, 1], groups=[3, 2], per_query=True).round(4)
    array([1.    , 0.6309])
    """

    def measure(block: Block) -> Floats:
        gains = relative_gain(block.relevance, gain)
        gains = gains * (block.weights.min(axis=1, keepdims=True) / block.weights)
        with np.errstate(invalid="ignore"):  # NaN without gain
            values = _dcg(gains, block.scores, k, ties) / ideal_dcg(gains, k)
        return np.minimum(values, 1.0)

    arguments = y_true, y_score, groups, qid, sample_weight, per_query, undefined, propensity
    return mean_of_queries(measure, *arguments)


def _gain(relevance: Floats, gain: Gain) -> Floats:
    if gain == "linear":
        return relevance
    if gain == "exponential":
        if relevance.max() > _LARGEST_EXPONENT:
            raise ValueError(
                f"y_true up to {relevance.max():g} with gain='exponential' overflows; rescale it "
                "or use gain='linear'"
            )
        return np.exp2(relevance) - 1.0
    if not callable(gain):
        raise ValueError(f"gain={gain!r} must be 'linear', 'exponential' or a function")
    gains = checks.as_numbers(gain(relevance.copy()), "what gain returned")
    if gains.shape != relevance.shape or not (np.isfinite(gains) & (gains >= 0.0)).all():
        raise ValueError(
            "gain must return finite values of at least 0 in the shape of its argument, "
            f"{relevance.shape}; it returned shape {gains.shape}"
        )
    return gains


def relative_gain(relevance: Floats, gain: Gain) -> Floats:
    """Return gains, (n_queries, size), divided by a number per query that prevents overflow."""
    if gain == "exponential":
        largest = relevance.max(axis=1, keepdims=True)
        return np.asarray(np.exp2(relevance - largest) - np.exp2(-largest))
    gains = _gain(relevance, gain)
    _, exponents = np.frexp(gains.max(axis=1, keepdims=True))
    return np.asarray(np.ldexp(gains, -exponents))


def discount(n_ranks: int, k: int | None) -> Floats:
    """Return the discount of every rank r from 1, 1 / log2(1 + r), and 0 beyond rank `k`."""
    by_rank: Floats = 1.0 / np.log2(np.arange(2, n_ranks + 2))
    by_rank[n_ranks if k is None else k :] = 0.0
    return by_rank


def ideal_dcg(gains: Floats, k: int | None) -> Floats:
    """Return the DCG of every query when its documents are ranked by gain, (n_queries,)."""
    return -np.sort(-gains, axis=1) @ discount(gains.shape[1], k)


def normalized_gain(relevance: Floats, gain: Gain, k: int | None) -> Floats:
    """Return gains, (n_queries, size), divided by the ideal DCG; 0 for queries without gain."""
    gains = relative_gain(relevance, gain)
    best = ideal_dcg(gains, k)
    return gains / np.where(best > 0.0, best, 1.0)[:, np.newaxis]


def descending(scores: Floats) -> Indices:
    """Return the documents of each query by falling score; of equal scores the last comes first."""
    return np.argsort(scores, axis=1, kind="stable")[:, ::-1]


def _dcg(gains: Floats, scores: Floats, k: int | None, ties: str) -> Floats:
    # The order of ties does not matter if they are averaged; an unstable sort is faster.
    order = np.argsort(-scores, axis=1) if ties == "average" else descending(scores)
    found = np.where(np.isneginf(scores), 0.0, gains)
    ranked = np.take_along_axis(found, order, axis=1)
    if ties == "average":  # McSherry and Najork 2008, section 3
        by_rank = np.take_along_axis(scores, order, axis=1)
        tied = np.flatnonzero((by_rank[:, 1:] == by_rank[:, :-1]).any(axis=1))
        if tied.size:
            runs = Ties(by_rank[tied])
            ranked[tied] = runs.sums(ranked[tied]) / runs.sizes
    return ranked @ discount(ranked.shape[1], k)
