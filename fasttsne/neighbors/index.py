"""Training samples, prepared once -> the k nearest of them for new samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne import _kernels
from fasttsne.neighbors.bits import BitPoints
from fasttsne.neighbors.given import graph_to_fitted, nearest_in_graph
from fasttsne.neighbors.metrics import (
    Found,
    Metric,
    ScikitLearnSearch,
    SearchMethod,
    checked_points,
    checked_rows,
    complete_metric,
    directions_of,
    kernel_of,
    squared,
)
from fasttsne.neighbors.screen import (
    RECALL,
    Screen,
    n_lists_for_search,
    resolved_method,
    some_of,
    usual_extent,
)
from fasttsne.neighbors.sparse import SparsePoints
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.scaling import Centering, times_power_of_two

# Beyond this many extents of most samples single precision cannot tell which are nearer.
_FAR = 2.0**10

# Rows that a thread searches at a time.
_BLOCK_ROWS = 256


class NeighborIndex(ABC):
    """Samples prepared for searches; made by `neighbor_index`.

    An index can be pickled, and queried from several threads at once.
    """

    def query(self, X: Any, *, n_threads: int = 1) -> Found:
        """Return the k nearest samples of the index for every row of `X`.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_queries, n_features)
            Finite values; with ``metric="precomputed"`` distances to the samples of the index,
            (n_queries, n_samples), dense or a sparse graph with at least k entries a row.
        n_threads : int, default=1
            Number of threads.

        Returns
        -------
        indices : ndarray of int32, shape (n_queries, n_neighbors)
            Neighbours, the nearest first.
        distances : ndarray of float64, shape (n_queries, n_neighbors)
            Their distances, not squared.

        Notes
        -----
        A row's result depends neither on the other rows nor on the number of threads, bit for bit.
        """
        indices, squares = self.squares(checked_rows(X), n_threads=n_threads)
        return indices, np.sqrt(squares)

    @abstractmethod
    def squares(self, X: Any, *, n_threads: int = 1) -> Found:
        """Return the indices of `query` and squared distances, of rows that are checked."""


@with_plain_numbers
def neighbor_index(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    method: SearchMethod = "auto",
    recall: float = RECALL,
    n_threads: int = 1,
) -> NeighborIndex:
    """Prepare samples for searches of their k nearest for other samples.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features) or None
        Finite float32 or float64 values; the index keeps a reference, or a converted copy. None
        with ``metric="precomputed"``.
    n_neighbors : int
        k, from 1 to n_samples.
    metric, metric_params, method
        As for `fasttsne.neighbors.nearest_neighbors`; both search approximately for the same data.
    recall : float, default=0.99
        Share of the neighbours that an approximate search finds, roughly.
    n_threads : int, default=1
        Number of threads of the preparation.

    Returns
    -------
    index : NeighborIndex
        Call its `query`.

    Raises
    ------
    ValueError
        If `n_neighbors` or `method` is impossible for `X`.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.neighbors.index import neighbor_index
    >>> index = neighbor_index(np.array([[0.0], [1.0], [3.0], [7.0]]), 2)
    >>> indices, distances = index.query(np.array([[1.25], [9.0]]))
    >>> indices
    array([[1, 0],
           [3, 2]], dtype=int32)
    >>> distances
    array([[0.25, 1.25],
           [2.  , 6.  ]])
    """
    if metric == "precomputed":
        return _Precomputed(n_neighbors)
    X = checked_rows(X)
    n_samples = X.shape[0]
    if not 1 <= n_neighbors <= n_samples:
        raise ValueError(f"n_neighbors={n_neighbors} must be in 1 .. n_samples={n_samples}")
    metric, metric_params = complete_metric(metric, metric_params, X)
    kernel = kernel_of(X, metric, metric_params, method)
    if kernel == "points":
        return _Euclidean(X, n_neighbors, method, recall, n_threads)
    if kernel == "directions":
        return _Directions(X, metric, n_neighbors, method, recall, n_threads)
    if kernel == "sparse":
        return _Exact(SparsePoints.of(X, str(metric)), n_neighbors)
    if kernel == "bits":
        return _Exact(BitPoints.of(X, str(metric)), n_neighbors)
    return _ByScikitLearn(X, n_neighbors, metric, metric_params)


class _Euclidean(NeighborIndex):
    """Dense samples: exact distances to all where there are few, inverted lists otherwise."""

    def __init__(
        self,
        X: NDArray[np.floating],
        n_neighbors: int,
        method: str,
        recall: float,
        n_threads: int,
    ) -> None:
        self.points = checked_points(X)
        self.n_neighbors = n_neighbors
        self.centering = Centering.of(self.points, n_threads=n_threads)
        self.screen: NDArray[np.float32] | None = self.centering.apply(
            self.points, n_threads=n_threads
        )
        self.lists: _Lists | None = None
        if n_neighbors < len(X) and resolved_method(method, *X.shape) == "approximate":
            self.lists = _Lists.of(self.points, self.screen, n_neighbors, recall, n_threads)
        if self.lists is not None:
            self.screen = None

    def squares(self, X: NDArray[np.floating], *, n_threads: int = 1) -> Found:
        with np.errstate(over="ignore"):
            queries = np.asarray(X, dtype=self.points.dtype)
        if np.isinf(queries).any():
            raise ValueError(
                f"X has values of magnitude above {np.finfo(queries.dtype).max:.1g}, beyond "
                f"{queries.dtype}, which the map was fitted in; fit it in float64"
            )
        queries = checked_points(queries)
        if self.lists is None:
            images = self.centering.apply(queries, n_threads=n_threads)
            with single_threaded_blas():
                return _kernels.find_neighbors_among(
                    images, queries, self.screen, self.points, self.n_neighbors, n_threads
                )
        images = self.lists.centering.apply(queries, n_threads=n_threads)
        far = np.abs(images).max(axis=1) > self.lists.reach
        if not far.any():
            return self._in_lists(images, queries, n_threads)
        indices = np.empty((len(queries), self.n_neighbors), dtype=np.int32)
        distances = np.empty(indices.shape)
        if not far.all():
            indices[~far], distances[~far] = self._in_lists(images[~far], queries[~far], n_threads)
        indices[far], distances[far] = _kernels.find_neighbors_among(
            None, queries[far], None, self.points, self.n_neighbors, n_threads
        )
        return indices, distances

    def _in_lists(
        self, images: NDArray[np.float32], queries: NDArray[np.floating], n_threads: int
    ) -> Found:
        lists = self.lists
        assert lists is not None
        return lists.inverted.find(
            lists.project(images, n_threads),
            queries,
            self.points,
            self.n_neighbors,
            lists.n_candidates,
            n_threads,
        )


class _Lists(NamedTuple):
    """Inverted lists of the samples, and how queries are brought to them."""

    inverted: _kernels.InvertedLists
    centering: Centering
    reach: float  # of the search in single precision
    n_candidates: int
    matrix: NDArray[np.float32] | None  # from features to the screen; None leaves them as they are
    shift: NDArray[np.float32] | None

    @classmethod
    def of(
        cls,
        points: NDArray[np.floating],
        centered: NDArray[np.float32],
        n_neighbors: int,
        recall: float,
        n_threads: int,
    ) -> _Lists | None:
        """Make them; None where single precision can't tell neighbours apart."""
        screen = Screen.of(points, centered, n_neighbors, None, n_threads)
        with single_threaded_blas():
            inverted = _kernels.prepare_lists(
                screen.coordinates,
                screen.tails,
                points,
                n_neighbors,
                screen.n_candidates,
                n_lists_for_search(len(points)),
                recall,
                n_threads,
            )
        if inverted is None:
            return None
        drawn_in = points if screen.limits is None else np.clip(points, *screen.limits)
        centering = Centering.of(drawn_in, n_threads=n_threads)
        reach = _FAR * usual_extent(centering.apply(some_of(points)))
        if screen.axes is None:
            return cls(inverted, centering, reach, screen.n_candidates, None, None)
        components = screen.axes.components[: screen.coordinates.shape[1]]
        matrix = np.ascontiguousarray(components.T, dtype=np.float32)
        shift = (components @ screen.axes.mean).astype(np.float32)
        return cls(inverted, centering, reach, screen.n_candidates, matrix, shift)

    def project(self, images: NDArray[np.float32], n_threads: int) -> NDArray[np.float32]:
        """Coordinates on the screen of what the centering made of queries."""
        if self.matrix is None or self.shift is None:
            return images
        return _kernels.project_rows(images, self.matrix, self.shift, n_threads)


class _Directions(NeighborIndex):
    """Dense samples without rows of zeros, by the chords between their directions."""

    def __init__(
        self,
        X: NDArray[np.floating],
        metric: Metric,
        n_neighbors: int,
        method: str,
        recall: float,
        n_threads: int,
    ) -> None:
        self.metric = metric
        points = directions_of(X, metric)
        self.directions = _Euclidean(points, n_neighbors, method, recall, n_threads)

    def squares(self, X: NDArray[np.floating], *, n_threads: int = 1) -> Found:
        directions = directions_of(X, self.metric)
        indices, chords = self.directions.squares(directions, n_threads=n_threads)
        squares = (0.5 * chords) ** 2  # 1 - cos = |u - v|^2 / 2
        # A zero vector has no direction: scikit-learn's distance to all is then 1.
        lost = ~X.any(axis=1)
        indices[lost], squares[lost] = np.arange(indices.shape[1]), 1.0
        return indices, squares


class _Exact(NeighborIndex):
    """Sparse samples or bits, by exact distances to all."""

    def __init__(self, points: SparsePoints | BitPoints, n_neighbors: int) -> None:
        self.points, self.n_neighbors = points, n_neighbors

    def squares(self, X: Any, *, n_threads: int = 1) -> Found:
        if X.shape[1] != self.points.n_features:
            raise ValueError(
                f"X has {X.shape[1]} columns, but the samples of the index {self.points.n_features}"
            )
        return self.points.nearest(X, self.n_neighbors, n_threads)


class _ByScikitLearn(NeighborIndex):
    """Any other metric, one query at a time."""

    def __init__(
        self, X: Any, n_neighbors: int, metric: Metric, metric_params: Mapping[str, Any] | None
    ) -> None:
        self.search = ScikitLearnSearch(X, n_neighbors, metric, metric_params)

    def squares(self, X: Any, *, n_threads: int = 1) -> Found:
        indices, distances = self.search.query(X, _BLOCK_ROWS, one_by_one=True, n_threads=n_threads)
        return indices, squared(distances)


class _Precomputed(NeighborIndex):
    """The queries are the distances themselves."""

    def __init__(self, n_neighbors: int) -> None:
        self.n_neighbors = n_neighbors

    def squares(self, X: Any, *, n_threads: int = 1) -> Found:
        k = self.n_neighbors
        if sparse.issparse(X):
            return nearest_in_graph(X.sorted_indices(), k, itself=True)
        indices = np.empty((X.shape[0], k), dtype=np.int32)
        distances = np.empty((X.shape[0], k))
        for row, values in enumerate(X):
            within = np.flatnonzero(values <= np.partition(values, k - 1)[k - 1])
            nearest = within[np.argsort(values[within], kind="stable")][:k]
            indices[row], distances[row] = nearest, values[nearest]
        return indices, squared(distances)


class IndexOfTransformer(NeighborIndex):
    """A fitted transformer, such as scikit-learn's KNeighborsTransformer, that makes the graph."""

    def __init__(self, transformer: Any, n_neighbors: int, exponent: int) -> None:
        self.transformer = transformer  # fitted on the user's samples, ours times 2**exponent
        self.n_neighbors = n_neighbors
        self.exponent = exponent

    def squares(self, X: Any, *, n_threads: int = 1) -> Found:
        """Return the indices of `query` and squared distances, of rows that are checked."""
        graph = graph_to_fitted(self.transformer, times_power_of_two(X, self.exponent))
        return nearest_in_graph(graph, self.n_neighbors, name="neighbors", itself=True)
