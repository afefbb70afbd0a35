"""Neighbourhoods of one size: which neighbours the map adds, loses, and ranks differently.

rho_ij is the rank of j among the neighbours of i in the data, 1 for the nearest, and r_ij its rank
on the map. A point has no rank among its own neighbours. Of equal distances the smaller index is
nearer. All measures are means over the points, or over a sample of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.metric_learning.ranking.ndcg import discount
from fasttsne.neighbors.metrics import Metric
from fasttsne.quality import checks
from fasttsne.quality.checks import Floats, Sample
from fasttsne.quality.distances import Distances, as_distances, as_known, both_sides
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed
from fasttsne.runtime.threads import effective_n_threads


@with_plain_numbers
def trustworthiness(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return to what degree neighbours on the map are neighbours in the data.

    A point among the k nearest on the map but not in the data is penalised by how far its rank in
    the data exceeds k:

    .. math:: T(k) = 1 - \frac{2}{n k (2n - 3k - 1)} \sum_i \sum_{j: r_{ij} \le k}
        \max(0, \rho_{ij} - k)

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a dense matrix of distances.
    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.
    n_neighbors : int, default=10
        k, the size of a neighbourhood: at least 1 and less than half of `n_samples`.
    metric : str or callable, default="euclidean"
        Distance in the data, as in :class:`~fasttsne.TSNE`. On the map it is always Euclidean.
    metric_params : dict, default=None
        Further arguments of the metric.
    sample : int, float or array-like of int, default=None
        Evaluate this many random points, this share of the points, or these rows, each against all
        points. None evaluates all.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the random sample; None draws another at every call.
    per_sample : bool, default=False
        Return the value of every evaluated point instead of the mean.
    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    trustworthiness : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Points are in ascending order, or in the order of the rows
        given.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range, if the numbers of rows differ, if an array contains NaN or
        infinity, or if the metric returns values that are not distances.

    See Also
    --------
    sklearn.manifold.trustworthiness : The same number, in memory for all pairs of points.

    Notes
    -----
    Time grows with `n_samples` times the number of evaluated points, memory with `n_samples`.
    Distances are computed in double precision, Euclidean ones from differences of coordinates.

    References
    ----------
    .. [1] J. Venna, S. Kaski (2001). Neighborhood preservation in nonlinear projection methods:
       an experimental study. Artificial Neural Networks - ICANN 2001, 485-491. Equation 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import trustworthiness
    >>> X = load_iris().data
    >>> round(trustworthiness(X, X[:, :2], n_neighbors=5), 4)
    0.9125
    """
    data, on_map = _sides(X, embedding, n_neighbors, metric, metric_params, None)
    checks.check_less_than_half(n_neighbors, data.n_samples)
    ranks = _ranks(data, on_map, n_neighbors, sample, random_state, n_jobs)
    return _summary(rank_penalties(ranks, data.n_samples), per_sample)


@with_plain_numbers
def continuity(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return to what degree neighbours in the data stay neighbours on the map.

    This is `trustworthiness` with data and map exchanged, equation 2 of its reference. A point
    among the k nearest in the data but not on the map is penalised by how far its rank on the map
    exceeds k:

    .. math:: C(k) = 1 - \frac{2}{n k (2n - 3k - 1)} \sum_i \sum_{j: \rho_{ij} \le k}
        \max(0, r_{ij} - k)

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a matrix of distances or a
        sparse graph of neighbours. Ignored, and may be None, if `data_neighbors` is given.
    embedding, n_neighbors, metric, metric_params
        See `trustworthiness`.
    data_neighbors : array-like of int, shape (n_samples, at least n_neighbors), default=None
        The nearest neighbours in the data if they are known, nearest first, without the sample
        itself, as returned by :func:`fasttsne.neighbors.nearest_neighbors`. They replace the
        search in the data, and several maps of the same data can share them.
    sample, random_state, per_sample, n_jobs
        See `trustworthiness`, also for errors.

    Returns
    -------
    continuity : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Order as in `trustworthiness`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import continuity, trustworthiness
    >>> X = load_iris().data
    >>> continuity(X, X[:, :2]) == trustworthiness(X[:, :2], X)
    True
    """
    data, on_map = _sides(X, embedding, n_neighbors, metric, metric_params, data_neighbors)
    checks.check_less_than_half(n_neighbors, data.n_samples)
    ranks = _ranks(on_map, data, n_neighbors, sample, random_state, n_jobs)
    return _summary(rank_penalties(ranks, data.n_samples), per_sample)


@with_plain_numbers
def neighbor_recall(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    """Return the mean share of each point's nearest neighbours that are nearest on the map too.

    The recall of a point is the number of common points among its `n_neighbors` nearest in the
    data and on the map, divided by `n_neighbors`. A map that keeps every neighbourhood has 1, a
    random map about ``n_neighbors / (n_samples - 1)``.

    A point is never its own neighbour, even if others coincide with it. Equal distances are ordered
    by the smaller index.

    Parameters
    ----------
    X, embedding
        See `continuity`.
    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than `n_samples`.
    metric, metric_params, data_neighbors, sample, random_state, per_sample, n_jobs
        See `continuity`, also for errors.

    Returns
    -------
    recall : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Order as in `trustworthiness`.

    References
    ----------
    .. [1] J. Venna, J. Peltonen, K. Nybo, H. Aidos, S. Kaski (2010). Information retrieval
       perspective to nonlinear dimensionality reduction for data visualization. Journal of
       Machine Learning Research 11, 451-490. Section 2.2: with equally many retrieved and
       relevant neighbours, recall and precision are this number.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import neighbor_recall
    >>> X = np.arange(8.0).reshape(-1, 1)
    >>> neighbor_recall(X, 10 * X, n_neighbors=2)
    1.0
    >>> neighbor_recall(X, np.abs(X - 3.4), n_neighbors=2)
    0.25
    """
    sides = _sides(X, embedding, n_neighbors, metric, metric_params, data_neighbors)
    anchors = checks.chosen_anchors(sides[0].n_samples, sample, random_state)
    n_threads = effective_n_threads(n_jobs)
    in_data, on_map = (side.nearest(anchors, n_neighbors, n_threads) for side in sides)
    return _summary(recalls(in_data, on_map), per_sample)


@with_plain_numbers
def neighborhood_ndcg(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return how well the map ranks the nearest neighbours in the data, the nearest above all.

    The map is treated as a search engine. A point is the query, and its neighbours on the map are
    the results, nearest first. The k nearest in the data are relevant, the nearest most of all.
    The measure is the normalised discounted cumulative gain of that ranking,

    .. math:: \frac{\sum_j \max(0, k + 1 - \rho_{ij}) / \log_2(1 + r_{ij})}
        {\sum_{\rho=1}^{k} (k + 1 - \rho) / \log_2(1 + \rho)},

    averaged over the points. Unlike recall it weighs near neighbours more than less near ones, and
    penalises a neighbour that is just missed less than one that is far off.

    Parameters
    ----------
    X, embedding
        See `continuity`.
    n_neighbors : int, default=10
        k, the number of relevant neighbours: at least 1 and less than `n_samples`.
    metric, metric_params, data_neighbors, sample, random_state, per_sample, n_jobs
        See `continuity`, also for errors.

    Returns
    -------
    ndcg : float, or ndarray of shape (n_judged,)
        Above 0, at most 1; larger is better. Order as in `trustworthiness`.

    See Also
    --------
    fasttsne.metric_learning.ndcg_score : The same measure of any ranking.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen (2002). Cumulated gain-based evaluation of IR techniques.
       ACM Transactions on Information Systems 20, 422-446.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import neighborhood_ndcg
    >>> X = np.arange(8.0).reshape(-1, 1)
    >>> neighborhood_ndcg(X, 10 * X, n_neighbors=2)
    1.0
    >>> round(neighborhood_ndcg(X, np.abs(X - 3.4), n_neighbors=2), 4)
    0.6444
    """
    data, on_map = _sides(X, embedding, n_neighbors, metric, metric_params, data_neighbors)
    ranks = _ranks(on_map, data, n_neighbors, sample, random_state, n_jobs)
    return _summary(ndcgs(ranks, data.n_samples), per_sample)


def rank_penalties(ranks: NDArray[np.int32], n_samples: int) -> Floats:
    """Return per point one minus the scaled excess over k of its k neighbours' ranks elsewhere."""
    k = ranks.shape[1]
    excess = np.maximum(ranks.astype(np.int64) - k, 0).sum(axis=1)
    return np.asarray(1.0 - excess * (2.0 / (k * (2.0 * n_samples - 3.0 * k - 1.0))))


def recalls(in_data: NDArray[np.int32], on_map: NDArray[np.int32]) -> Floats:
    """Return per point the share of common neighbours."""
    n_judged, k = in_data.shape
    # One number for each pair of a point and its neighbour, in any order.
    offset = np.arange(n_judged, dtype=np.int64)[:, np.newaxis] << 32
    kept = np.isin(in_data + offset, on_map + offset, assume_unique=True)
    return np.asarray(kept.reshape(n_judged, k).mean(axis=1))


def ndcgs(ranks: NDArray[np.int32], n_samples: int) -> Floats:
    """Return per point the normalised DCG from the map's ranks of the k nearest in the data."""
    k = ranks.shape[1]
    gains = np.arange(k, 0, -1, dtype=np.float64)
    by_rank = discount(n_samples - 1, None)
    # Both sums in the same order, so that a perfect ranking has exactly 1.
    dcg = (gains * by_rank[ranks - 1]).sum(axis=1)
    return np.asarray(dcg / (gains * by_rank[np.newaxis, :k]).sum(axis=1))


def _summary(values: Floats, per_sample: bool) -> float | Any:
    return values if per_sample else float(values.mean())


def _sides(
    X: Any,
    embedding: ArrayLike,
    n_neighbors: int,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    data_neighbors: ArrayLike | None,
) -> tuple[Distances, Distances]:
    """Return the distances of the data, or the known neighbours, and the distances of the map."""
    Y = checks.as_embedding(embedding)
    checks.check_n_neighbors(n_neighbors, len(Y))
    if data_neighbors is not None:
        return as_known(data_neighbors, len(Y), n_neighbors), as_distances(Y)
    return both_sides(X, Y, metric, metric_params)


def _ranks(
    where: Distances,
    nearest: Distances,
    k: int,
    sample: Sample,
    random_state: Seed,
    n_jobs: int | None,
) -> NDArray[np.int32]:
    """Return per evaluated point the ranks in `where` of its k nearest in `nearest`, in order."""
    anchors = checks.chosen_anchors(where.n_samples, sample, random_state)
    n_threads = effective_n_threads(n_jobs)
    neighbors = nearest.nearest(anchors, k, n_threads)
    ranks = np.empty_like(neighbors)
    for block, rows in checks.blocks_of(anchors, where.n_samples):
        distances = where.rows(rows, n_threads)
        ranks[block] = _kernels.ranks_in_rows(distances, rows, neighbors[block], n_threads)
    return ranks
