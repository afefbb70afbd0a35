"""Neighbourhoods of one size: who is new in them, who is lost, and who keeps his rank.

For a point i, rho_ij is the rank of j in the data, 1 for the nearest, and r_ij its rank on the
map; no point has a rank among its own neighbours, and of equal distances the smaller index is
nearer. All measures are means over the points, or with `sample` over some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.metric_learning.ranking.ndcg import discount
from fasttsne.quality.checks import (
    Anchors,
    RandomState,
    Sample,
    as_embedding,
    blocks_of,
    check_less_than_half,
    check_n_neighbors,
    check_same_length,
    chosen_anchors,
)
from fasttsne.quality.distances import Distances, Metric, Points, as_distances, as_known
from fasttsne.runtime.threads import effective_n_threads

__all__ = ["continuity", "neighbor_recall", "neighborhood_ndcg", "trustworthiness"]

Floats = NDArray[np.float64]


def trustworthiness(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    sample: Sample = None,
    random_state: RandomState = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""How far neighbours on the map can be trusted to be neighbours in the data.

    Points that are among the k nearest on the map without being so in the data count by how much
    further down they rank there:

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
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them is
        ranked against all points. None judges all.

    random_state : int, RandomState instance or None, default=None
        Source of the drawing.

    per_sample : bool, default=False
        Return the value of every point that is judged instead of their mean.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    trustworthiness : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Points in ascending order, or in that of the rows given.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, or if the metric gives what is no distance.

    See Also
    --------
    sklearn.manifold.trustworthiness : The same number, in memory for all pairs of points.

    Notes
    -----
    Time grows with the square of `n_samples`, or with `n_samples` times the sample; memory with
    `n_samples`. Distances are compared as they come out in double precision, Euclidean ones by
    differences of coordinates.

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
    judged = _judged(X, embedding, metric, metric_params, None, 1, sample, random_state, n_jobs)
    check_less_than_half(n_neighbors, judged.n_samples)
    ranks = judged.ranks_in_data(n_neighbors)
    return _summary(rank_penalties(ranks, judged.n_samples), per_sample)


def continuity(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: RandomState = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""How far neighbours in the data stay neighbours on the map.

    Trustworthiness with data and map exchanged: points that are among the k nearest in the data
    without being so on the map count by how much further down they rank there:

    .. math:: C(k) = 1 - \frac{2}{n k (2n - 3k - 1)} \sum_i \sum_{j: \rho_{ij} \le k}
        \max(0, r_{ij} - k)

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a matrix of distances, or a
        sparse graph of neighbours. Not used, and may be None, where `data_neighbors` is given.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    n_neighbors : int, default=10
        k, the size of a neighbourhood: at least 1 and less than half of `n_samples`.

    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    data_neighbors : array-like of int, shape (n_samples, at least n_neighbors), default=None
        The nearest neighbours in the data where they are known, the nearest first, without the
        sample itself, as :func:`fasttsne.neighbors.nearest_neighbors` finds them. They save the
        search among the data; several maps of the same data can share them.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them is
        ranked against all points. None judges all.

    random_state : int, RandomState instance or None, default=None
        Source of the drawing.

    per_sample : bool, default=False
        Return the value of every point that is judged instead of their mean.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    continuity : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Points in ascending order, or in that of the rows given.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, or if the metric gives what is no distance.

    References
    ----------
    .. [1] J. Venna, S. Kaski (2001). Neighborhood preservation in nonlinear projection methods:
       an experimental study. Artificial Neural Networks - ICANN 2001, 485-491. Equation 2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import continuity, trustworthiness
    >>> X = load_iris().data
    >>> continuity(X, X[:, :2]) == trustworthiness(X[:, :2], X)
    True
    """
    judged = _judged(
        X,
        embedding,
        metric,
        metric_params,
        data_neighbors,
        n_neighbors,
        sample,
        random_state,
        n_jobs,
    )
    check_less_than_half(n_neighbors, judged.n_samples)
    ranks = judged.ranks_on_map(n_neighbors)
    return _summary(rank_penalties(ranks, judged.n_samples), per_sample)


def neighbor_recall(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: RandomState = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    """Mean share of each point's nearest neighbours that are still its nearest on the map.

    For every point the `n_neighbors` nearest others are found in the data and on the map; the
    recall is the size of the intersection over `n_neighbors`, averaged over the points. 1 means
    that the map keeps every neighbourhood, and a map that knows nothing of the data scores about
    ``n_neighbors / (n_samples - 1)``.

    A point never counts as its own neighbour, even where others lie exactly on it. Equal
    distances are ordered by the smaller index.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a matrix of distances, or a
        sparse graph of neighbours. Not used, and may be None, where `data_neighbors` is given.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than `n_samples`.

    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    data_neighbors : array-like of int, shape (n_samples, at least n_neighbors), default=None
        The nearest neighbours in the data where they are known, the nearest first, without the
        sample itself, as :func:`fasttsne.neighbors.nearest_neighbors` finds them. They save the
        search among the data; several maps of the same data can share them.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them has
        its neighbours among all points. None judges all.

    random_state : int, RandomState instance or None, default=None
        Source of the drawing.

    per_sample : bool, default=False
        Return the value of every point that is judged instead of their mean.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    recall : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. Points in ascending order, or in that of the rows given.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, or if the metric gives what is no distance.

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
    judged = _judged(
        X,
        embedding,
        metric,
        metric_params,
        data_neighbors,
        n_neighbors,
        sample,
        random_state,
        n_jobs,
    )
    check_n_neighbors(n_neighbors, judged.n_samples)
    return _summary(recalls(*judged.nearest(n_neighbors)), per_sample)


def neighborhood_ndcg(
    X: Any,
    embedding: ArrayLike,
    *,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    data_neighbors: ArrayLike | None = None,
    sample: Sample = None,
    random_state: RandomState = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""How well the map ranks the nearest neighbours in the data, the nearest above all.

    The map as a search engine: a point is the query, its neighbours on the map are the answer,
    the nearest first, and the k nearest in the data are relevant, the nearest most of all. The
    measure is the normalised discounted cumulative gain of that ranking,

    .. math:: \frac{\sum_j \max(0, k + 1 - \rho_{ij}) / \log_2(1 + r_{ij})}
        {\sum_{\rho=1}^{k} (k + 1 - \rho) / \log_2(1 + \rho)},

    averaged over the points. Unlike recall it tells near neighbours from less near ones, and it
    tells a neighbour that is just missed from one that is far off.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a matrix of distances, or a
        sparse graph of neighbours. Not used, and may be None, where `data_neighbors` is given.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    n_neighbors : int, default=10
        k, the number of relevant neighbours: at least 1 and less than `n_samples`.

    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    data_neighbors : array-like of int, shape (n_samples, at least n_neighbors), default=None
        The nearest neighbours in the data where they are known, the nearest first, without the
        sample itself, as :func:`fasttsne.neighbors.nearest_neighbors` finds them. They save the
        search among the data; several maps of the same data can share them.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them is
        ranked against all points. None judges all.

    random_state : int, RandomState instance or None, default=None
        Source of the drawing.

    per_sample : bool, default=False
        Return the value of every point that is judged instead of their mean.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    ndcg : float, or ndarray of shape (n_judged,)
        Above 0, at most 1; larger is better. Points in ascending order, or in that of the rows
        given.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, or if the metric gives what is no distance.

    See Also
    --------
    fasttsne.metric_learning.ndcg_score : The same of any ranking.

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
    judged = _judged(
        X,
        embedding,
        metric,
        metric_params,
        data_neighbors,
        n_neighbors,
        sample,
        random_state,
        n_jobs,
    )
    check_n_neighbors(n_neighbors, judged.n_samples)
    return _summary(ndcgs(judged.ranks_on_map(n_neighbors), judged.n_samples), per_sample)


# ---- From ranks to measures --------------------------------------------------------------------


def rank_penalties(ranks: NDArray[np.int32], n_samples: int) -> Floats:
    """One minus the relative excess of ranks over k, (n_judged,), of the k nearest elsewhere."""
    k = ranks.shape[1]
    excess = np.maximum(ranks.astype(np.int64) - k, 0).sum(axis=1)
    values: Floats = 1.0 - excess * (2.0 / (k * (2.0 * n_samples - 3.0 * k - 1.0)))
    return values


def recalls(in_data: NDArray[np.int32], on_map: NDArray[np.int32]) -> Floats:
    """Share of neighbours in common, (n_judged,), from the neighbours in both."""
    n_judged, k = in_data.shape
    # A number for each pair of a point and its neighbour; their order is of no consequence.
    offset = np.arange(n_judged, dtype=np.int64)[:, np.newaxis] << 32
    kept = np.isin(in_data + offset, on_map + offset, assume_unique=True)
    shares: Floats = kept.reshape(n_judged, k).mean(axis=1)
    return shares


def ndcgs(ranks: NDArray[np.int32], n_samples: int) -> Floats:
    """Normalised DCG, (n_judged,), from the ranks on the map of the k nearest in the data."""
    k = ranks.shape[1]
    gains = np.arange(k, 0, -1, dtype=np.float64)
    by_rank = discount(n_samples - 1, None)
    # Both sums in the same order, so that a perfect ranking has exactly 1.
    dcg = (gains * by_rank[ranks - 1]).sum(axis=1)
    values: Floats = dcg / (gains * by_rank[np.newaxis, :k]).sum(axis=1)
    return values


def _summary(values: Floats, per_sample: bool) -> float | Any:
    return values if per_sample else float(values.mean())


# ---- From data and map to ranks ----------------------------------------------------------------


@dataclass(frozen=True)
class _Judged:
    """Data, a map of them, and the points that are judged."""

    data: Distances
    on_map: Points
    anchors: Anchors
    n_threads: int

    @property
    def n_samples(self) -> int:
        return self.data.n_samples

    def nearest(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Find the k nearest in the data, and on the map."""
        in_data = self.data.nearest(self.anchors, k, self.n_threads)
        return in_data, self.on_map.nearest(self.anchors, k, self.n_threads)

    def ranks_in_data(self, k: int) -> NDArray[np.int32]:
        """Ranks in the data of the k nearest on the map, these in the order of the map."""
        return self._ranks(self.data, self.on_map, k)

    def ranks_on_map(self, k: int) -> NDArray[np.int32]:
        """Ranks on the map of the k nearest in the data, these in the order of the data."""
        return self._ranks(self.on_map, self.data, k)

    def _ranks(self, where: Distances, nearest: Distances, k: int) -> NDArray[np.int32]:
        neighbors = nearest.nearest(self.anchors, k, self.n_threads)
        ranks = np.empty_like(neighbors)
        for block, rows in blocks_of(self.anchors, self.n_samples):
            distances = where.rows(rows, self.n_threads)
            ranks[block] = _kernels.ranks_in_rows(distances, rows, neighbors[block], self.n_threads)
        return ranks


def _judged(
    X: Any,
    embedding: ArrayLike,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    data_neighbors: ArrayLike | None,
    n_neighbors: int,
    sample: Sample,
    random_state: RandomState,
    n_jobs: int | None,
) -> _Judged:
    """Check what all measures here take."""
    Y = as_embedding(embedding)
    data: Distances
    if data_neighbors is None:
        data = as_distances(X, metric, metric_params)
        check_same_length(data.n_samples, len(Y))
    else:
        check_n_neighbors(n_neighbors, len(Y))
        data = as_known(data_neighbors, len(Y), n_neighbors)
    anchors = chosen_anchors(len(Y), sample, random_state)
    return _Judged(data, as_distances_of_map(Y), anchors, effective_n_threads(n_jobs))


def as_distances_of_map(embedding: NDArray[np.floating]) -> Points:
    """Euclidean distances of a checked map."""
    distances = as_distances(embedding)
    assert isinstance(distances, Points)
    return distances
