"""Is a ranking good? (D)CG with both gains and fair ties, and the measures of binary relevance.

All of them take relevance and scores of one query, of a matrix of queries, or of ragged queries
with `groups`, and give the mean over the queries or, with ``per_query=True``, each query's value.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.queries import Queries, as_queries

__all__ = [
    "average_precision",
    "dcg_score",
    "hit_rate",
    "map_at_r",
    "ndcg_score",
    "precision_at_k",
    "r_precision",
    "recall_at_k",
    "reciprocal_rank",
]

Gain = Literal["linear", "exponential"] | Callable[[Floats], ArrayLike]
Undefined = float | Literal["skip"]

# 2 to a larger power overflows.
_LARGEST_EXPONENT = 1023.0


def dcg_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    gain: Gain = "linear",
    ties: Literal["average", "stable"] = "average",
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Discounted cumulative gain: relevance counts the more the further up it is ranked.

    DCG = sum over ranks r of gain(relevance_r) / log2(1 + r), the first rank being 1 [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance, at least 0; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int, default=None
        Only the first `k` ranks count. More than there are documents is all of them.
    gain : {"linear", "exponential"} or callable, default="linear"
        "linear" is the relevance itself, as in `sklearn.metrics.dcg_score`, "exponential"
        2^relevance - 1 [2]_. A callable gets relevance as an array and returns gains of the
        same shape.
    ties : {"average", "stable"}, default="average"
        Documents of equal scores: every order of them counts alike [3]_, or those given last come
        first, as with scikit-learn's ``ignore_ties=True``: nobody gains by scoring all alike.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    dcg : float, or ndarray of shape (n_queries,)
        In the unit of the gain.

    Raises
    ------
    ValueError
        If arrays disagree in shape, hold NaN, infinity or negative relevance, if the sizes in
        `groups` do not sum to the number of documents, if `k` is not a positive integer, or if
        gains overflow.

    References
    ----------
    .. [1] Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR
       techniques. ACM Transactions on Information Systems 20, 422-446.
    .. [2] Burges, C. et al. (2005). Learning to rank using gradient descent. Proceedings of the
       22nd International Conference on Machine Learning, 89-96.
    .. [3] McSherry, F. and Najork, M. (2008). Computing information retrieval performance
       measures efficiently in the presence of tied scores. Advances in Information Retrieval,
       414-421.

    Examples
    --------
    >>> from fasttsne.metric_learning import dcg_score
    >>> round(dcg_score([10, 0, 0, 1, 5], [0.1, 0.2, 0.3, 4, 70]), 4)
    9.4995
    """
    queries = as_queries(y_true, y_score, groups)
    _check_ranking(k, gain, ties)
    values = np.empty(len(queries))
    for block in queries.blocks():
        values[block.queries] = _dcg(_gains(block.relevance, gain), block.scores, k, ties)
    return _summary(values, per_query, sample_weight)


def ndcg_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    gain: Gain = "linear",
    ties: Literal["average", "stable"] = "average",
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """DCG as a share of the best that any ranking of the same documents has [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance, at least 0; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int, default=None
        Only the first `k` ranks count, of the ranking and of the best one.
    gain : {"linear", "exponential"} or callable, default="linear"
        As in `dcg_score`.
    ties : {"average", "stable"}, default="average"
        As in `dcg_score`.
    undefined : float or "skip", default=0.0
        Value of a query without gain, which every ranking serves alike. "skip" leaves it out of
        the mean, and makes it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    ndcg : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `dcg_score`; also if `undefined` is "skip" and no query has a gain.

    See Also
    --------
    sklearn.metrics.ndcg_score : The same values by default, for matrices, more slowly.

    References
    ----------
    .. [1] Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR
       techniques. ACM Transactions on Information Systems 20, 422-446.

    Examples
    --------
    >>> from fasttsne.metric_learning import ndcg_score
    >>> round(ndcg_score([3, 2, 3, 0, 1, 2], [6, 5, 4, 3, 2, 1], gain="exponential"), 4)
    0.9488

    Two queries, of three documents and of two:

    >>> ndcg_score([2, 1, 0, 0, 1], [3, 2, 1, 2, 1], groups=[3, 2], per_query=True).round(4)
    array([1.    , 0.6309])
    """
    queries = as_queries(y_true, y_score, groups)
    _check_ranking(k, gain, ties)
    values = np.empty(len(queries))
    for block in queries.blocks():
        gains = relative_gains(block.relevance, gain)
        best = _discounted(-np.sort(-gains, axis=1), k)
        with np.errstate(invalid="ignore"):  # NaN where there is no gain
            values[block.queries] = _dcg(gains, block.scores, k, ties) / best
    return _summary(np.minimum(values, 1.0), per_query, sample_weight, undefined)


def average_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Mean of the precision at the ranks of all relevant documents.

    Its mean over queries is known as MAP [1]_. Documents of relevance above 0 are relevant; of
    equal scores those come first that were given last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int, default=None
        Relevant documents beyond rank `k` have precision 0.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    average_precision : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information
       Retrieval. Cambridge University Press. Section 8.4.

    Examples
    --------
    >>> from fasttsne.metric_learning import average_precision
    >>> round(average_precision([1, 0, 1, 0], [4, 3, 2, 1]), 4)
    0.8333
    """
    check_k(k)

    def measure(hits: Floats, n_relevant: Floats) -> Floats:
        precision = np.cumsum(hits, axis=1)[:, :k] / np.arange(1, hits[:, :k].shape[1] + 1)
        found: Floats = np.sum(precision * hits[:, :k], axis=1)
        return found / n_relevant

    queries = as_queries(y_true, y_score, groups)
    return _summary(_binary(queries, measure), per_query, sample_weight, undefined)


def reciprocal_rank(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int | None = None,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """One over the rank of the first relevant document.

    Its mean over queries is known as MRR [1]_. Documents of relevance above 0 are relevant; of
    equal scores those come first that were given last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int, default=None
        0 where the first relevant document is beyond rank `k`.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    reciprocal_rank : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Voorhees, E. (1999). The TREC-8 question answering track report. Proceedings of the
       8th Text Retrieval Conference, 77-82.

    Examples
    --------
    >>> from fasttsne.metric_learning import reciprocal_rank
    >>> reciprocal_rank([[0, 1, 0], [1, 0, 0]], [[3, 2, 1], [3, 2, 1]])
    0.75
    """
    check_k(k)

    def measure(hits: Floats, n_relevant: Floats) -> Floats:
        rank = 1.0 + np.argmax(hits, axis=1)
        within = (n_relevant > 0.0) & (rank <= (np.inf if k is None else k))
        return np.where(n_relevant == 0.0, np.nan, within / rank)

    queries = as_queries(y_true, y_score, groups)
    return _summary(_binary(queries, measure), per_query, sample_weight, undefined)


def precision_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Share of relevant documents among the first `k`.

    Ranks that a query of fewer than `k` documents does not have count as irrelevant. Documents of
    relevance above 0 are relevant; of equal scores those come first that were given last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int
        How many ranks count.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    precision : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `dcg_score`.

    References
    ----------
    .. [1] Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information
       Retrieval. Cambridge University Press. Section 8.4.

    Examples
    --------
    >>> from fasttsne.metric_learning import precision_at_k
    >>> precision_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=2)
    0.5
    """
    check_k(k, optional=False)
    queries = as_queries(y_true, y_score, groups)
    values = _binary(queries, lambda hits, n_relevant: hits[:, :k].sum(axis=1) / k)
    return _summary(values, per_query, sample_weight)


def recall_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Share of the relevant documents that are among the first `k`.

    Documents of relevance above 0 are relevant; of equal scores those come first that were given
    last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int
        How many ranks count.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    recall : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information
       Retrieval. Cambridge University Press. Section 8.3.

    Examples
    --------
    >>> from fasttsne.metric_learning import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [4, 3, 2, 1], k=3)
    1.0
    """
    check_k(k, optional=False)
    queries = as_queries(y_true, y_score, groups)
    values = _binary(queries, lambda hits, n_relevant: hits[:, :k].sum(axis=1) / n_relevant)
    return _summary(values, per_query, sample_weight, undefined)


def r_precision(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Precision among as many documents as are relevant, R.

    Documents of relevance above 0 are relevant; of equal scores those come first that were given
    last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    precision : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information
       Retrieval. Cambridge University Press. Section 8.4.

    Examples
    --------
    >>> from fasttsne.metric_learning import r_precision
    >>> r_precision([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """

    def measure(hits: Floats, n_relevant: Floats) -> Floats:
        found: Floats = np.sum(_first_r(hits, n_relevant), axis=1)
        return found / n_relevant

    queries = as_queries(y_true, y_score, groups)
    return _summary(_binary(queries, measure), per_query, sample_weight, undefined)


def map_at_r(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Average precision among as many documents as are relevant, R.

    (1/R) sum over ranks i up to R of precision at i where document i is relevant ([1]_,
    equation 7): unlike `r_precision` it rewards relevant documents further up. Documents of
    relevance above 0 are relevant; of equal scores those come first that were given last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    map_at_r : float, or ndarray of shape (n_queries,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Musgrave, K., Belongie, S. and Lim, S.-N. (2020). A metric learning reality check.
       European Conference on Computer Vision, 681-699.

    Examples
    --------
    >>> from fasttsne.metric_learning import map_at_r
    >>> map_at_r([1, 0, 1, 0], [4, 3, 2, 1])
    0.5
    """

    def measure(hits: Floats, n_relevant: Floats) -> Floats:
        precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
        found: Floats = np.sum(precision * _first_r(hits, n_relevant), axis=1)
        return found / n_relevant

    queries = as_queries(y_true, y_score, groups)
    return _summary(_binary(queries, measure), per_query, sample_weight, undefined)


def hit_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: int,
    undefined: Undefined = 0.0,
    groups: ArrayLike | None = None,
    per_query: bool = False,
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Whether there is a relevant document among the first `k`: the share of such queries.

    Documents of relevance above 0 are relevant; of equal scores those come first that were given
    last.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_documents) or (n_documents,)
        Relevance; a query a row, or all documents one after the other.
    y_score : array-like, same shape
        What documents are ranked by, the highest first.
    k : int
        How many ranks count.
    undefined : float or "skip", default=0.0
        Value of a query without relevant documents. "skip" leaves it out of the mean, and makes
        it NaN among the values per query.
    groups : array-like of int, shape (n_queries,), default=None
        How many documents each query has, for one-dimensional `y_true` of several queries.
    per_query : bool, default=False
        Return the value of every query instead of their mean.
    sample_weight : array-like of shape (n_queries,), default=None
        Weights of the queries in the mean.

    Returns
    -------
    hit_rate : float, or ndarray of shape (n_queries,)
        0 or 1 for a query.

    Raises
    ------
    ValueError
        As `ndcg_score`.

    References
    ----------
    .. [1] Deshpande, M. and Karypis, G. (2004). Item-based top-N recommendation algorithms. ACM
       Transactions on Information Systems 22, 143-177. Section 5.2.

    Examples
    --------
    >>> from fasttsne.metric_learning import hit_rate
    >>> hit_rate([[0, 1, 0], [0, 0, 1]], [[3, 2, 1], [3, 2, 1]], k=2)
    0.5
    """
    check_k(k, optional=False)

    def measure(hits: Floats, n_relevant: Floats) -> Floats:
        found = hits[:, :k].any(axis=1)
        return np.where(n_relevant == 0.0, np.nan, found)

    queries = as_queries(y_true, y_score, groups)
    return _summary(_binary(queries, measure), per_query, sample_weight, undefined)


# ---- Gains ----------------------------------------------------------------------------------


def _gains(relevance: Floats, gain: Gain) -> Floats:
    if gain == "linear":
        return relevance
    if gain == "exponential":
        if relevance.max() > _LARGEST_EXPONENT:
            raise ValueError(
                f"y_true up to {relevance.max():g} with gain='exponential' overflows; rescale it "
                "or use gain='linear'"
            )
        return np.exp2(relevance) - 1.0
    assert callable(gain)
    gains = np.asarray(gain(relevance.copy()), dtype=np.float64)
    if gains.shape != relevance.shape or not (np.isfinite(gains) & (gains >= 0.0)).all():
        raise ValueError(
            "gain must return finite values of at least 0 in the shape of its argument, "
            f"{relevance.shape}; it returned shape {gains.shape}"
        )
    return gains


def relative_gains(relevance: Floats, gain: Gain) -> Floats:
    """Gains in proportion, each query in a unit of its own, so that nothing overflows."""
    if gain == "exponential":
        largest = relevance.max(axis=1, keepdims=True)
        gains: Floats = np.exp2(relevance - largest) - np.exp2(-largest)
        return gains
    gains = _gains(relevance, gain)
    _, exponents = np.frexp(gains.max(axis=1, keepdims=True))
    gains = np.ldexp(gains, -exponents)
    return gains


# ---- Discounts ------------------------------------------------------------------------------


def discounts(n_documents: int, k: int | None) -> Floats:
    """1 / log2(1 + rank) of the ranks from 1, 0 beyond `k`."""
    by_rank: Floats = 1.0 / np.log2(np.arange(2, n_documents + 2))
    by_rank[n_documents if k is None else k :] = 0.0
    return by_rank


def _discounted(ranked_gains: Floats, k: int | None) -> Floats:
    return ranked_gains @ discounts(ranked_gains.shape[1], k)


def _dcg(gains: Floats, scores: Floats, k: int | None, ties: str) -> Floats:
    # Where ties are averaged their order does not matter, and sorting is quicker.
    order = np.argsort(-scores, axis=1) if ties == "average" else descending(scores)
    ranked = np.take_along_axis(gains, order, axis=1)
    dcg = _discounted(ranked, k)
    if ties == "average":
        by_rank = np.take_along_axis(scores, order, axis=1)
        differs = np.ones(scores.shape, dtype=bool)
        np.not_equal(by_rank[:, 1:], by_rank[:, :-1], out=differs[:, 1:])
        tied = np.flatnonzero(~differs.all(axis=1))
        if tied.size:
            dcg[tied] = _dcg_of_ties(ranked[tied], differs[tied], k)
    return dcg


def descending(scores: Floats) -> NDArray[np.int64]:
    """Documents of each query by falling score, of equal scores the last first."""
    return np.argsort(scores, axis=1, kind="stable")[:, ::-1]


def _dcg_of_ties(ranked: Floats, differs: NDArray[np.bool_], k: int | None) -> Floats:
    """DCG where the documents of equal scores share their gains: McSherry & Najork, section 3."""
    n_queries, n_documents = ranked.shape
    starts = np.flatnonzero(differs)
    sizes = np.diff(starts, append=ranked.size)
    gains = np.add.reduceat(ranked.ravel(), starts)
    by_tie = np.add.reduceat(np.tile(discounts(n_documents, k), n_queries), starts)
    shared = gains / sizes * by_tie
    return np.asarray(np.bincount(starts // n_documents, shared, minlength=n_queries), dtype=float)


# ---- Binary relevance -----------------------------------------------------------------------


def _binary(queries: Queries, measure: Callable[[Floats, Floats], Any]) -> Floats:
    """`measure` of 1 for relevant documents and 0 for others by rank, and of how many there are.

    A measure that divides by the latter is NaN where there are none.
    """
    values = np.empty(len(queries))
    for block in queries.blocks():
        order = descending(block.scores)
        hits = np.take_along_axis(block.relevance > 0.0, order, axis=1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            values[block.queries] = measure(hits, hits.sum(axis=1))
    return values


def _first_r(hits: Floats, n_relevant: Floats) -> Floats:
    """Keep the hits among as many ranks as there are relevant documents."""
    return np.where(np.arange(hits.shape[1]) < n_relevant[:, np.newaxis], hits, 0.0)


# ---- Checks and means -----------------------------------------------------------------------


def _check_ranking(k: int | None, gain: Any, ties: Any) -> None:
    check_k(k)
    if not callable(gain) and gain not in ("linear", "exponential"):
        raise ValueError(f"gain={gain!r} must be 'linear', 'exponential' or a function")
    if ties not in ("average", "stable"):
        raise ValueError(f"ties={ties!r} must be 'average' or 'stable'")


def check_k(k: Any, optional: bool = True) -> None:
    """Refuse what is not a number of ranks."""
    if k is None and optional:
        return
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise ValueError(
            f"k={k!r} must be an integer of at least 1: the number of ranks that count"
        )


def _summary(
    values: Floats,
    per_query: bool,
    sample_weight: ArrayLike | None,
    undefined: Any = 0.0,
) -> float | Floats:
    """Mean of the values, or the values; NaN marks those that are undefined."""
    weights = _weights(sample_weight, len(values))
    if not isinstance(undefined, Real) and undefined != "skip":
        raise ValueError(f"undefined={undefined!r} must be a number or 'skip'")
    missing = np.isnan(values)
    if isinstance(undefined, Real):
        values = np.where(missing, float(undefined), values)
    if per_query:
        return values
    if undefined == "skip":
        values, weights = values[~missing], weights[~missing]
        if not values.size:
            raise ValueError("undefined='skip' leaves no query: none has a relevant document")
    if not weights.sum() > 0.0:
        raise ValueError("sample_weight must not be 0 for all queries")
    return float(np.average(values, weights=weights))


def _weights(sample_weight: ArrayLike | None, n_queries: int) -> Floats:
    if sample_weight is None:
        return np.ones(n_queries)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_queries,) or not (np.isfinite(weights) & (weights >= 0.0)).all():
        raise ValueError(
            f"sample_weight must hold {n_queries} finite weights of at least 0, one a query; got "
            f"shape {weights.shape}"
        )
    return weights
