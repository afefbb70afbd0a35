"""Distances from some points to all points, by any metric, a block of rows at a time.

Only their order counts for most measures, so that Euclidean distances stay squared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.metrics import pairwise_distances
from sklearn.utils import check_array
from sklearn.utils.extmath import row_norms

from fasttsne import _kernels
from fasttsne.neighbors.metrics import as_metric_takes, squared
from fasttsne.neighbors.search import nearest_neighbors
from fasttsne.quality.checks import Anchors, blocks_of, check_same_length
from fasttsne.runtime.threads import in_threads, single_threaded_blas
from fasttsne.samples.checks import check_sparse_indices, without_duplicates
from fasttsne.samples.scaling import in_safe_range

Metric = str | Callable[..., float]

_EUCLIDEAN = ("euclidean", "l2", "sqeuclidean")

# What the estimator's search for neighbours knows by other names.
_ALIASES = {"p": "minkowski", "infinity": "chebyshev"}

# A tree finds neighbours sooner where there are few features, few neighbours and many pairs.
_FEW_FEATURES = 3
_FEW_NEIGHBORS = 200
_MANY_PAIRS = 1 << 24

# Rows that it looks up at once, those of one thread, and neighbours beyond those that are wanted.
_TREE_ROWS = 8192
_QUERIES = 256
_SPARE = 4

# Rows that scikit-learn works on at once, and pairs of rows.
_BLOCK_ROWS = 16
_BLOCK_PAIRS = 32


class Distances(ABC):
    """Points and what is far from what.

    Parameters
    ----------
    n_samples : int
        Number of points.
    """

    def __init__(self, n_samples: int) -> None:
        self.n_samples = n_samples

    @abstractmethod
    def rows(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure distances, or their squares, from the anchors to all points."""

    @abstractmethod
    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure distances, or their squares, from first[i] to second[i]."""

    def squares(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Square the distances from the anchors to all points, in the metric's own unit."""
        return squared(self.rows(anchors, n_threads))

    def squares_back(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Square the distances from all points to the anchors, a row an anchor."""
        return self.squares(anchors, n_threads)

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Find the nearest of the others, the nearest first, ties to the smaller index."""
        indices = np.empty((len(anchors), n_neighbors), dtype=np.int32)
        for block, rows in blocks_of(anchors, self.n_samples):
            distances = self.rows(rows, n_threads)
            indices[block] = _kernels.nearest_in_rows(distances, rows, n_neighbors, n_threads)
        return indices


class Points(Distances):
    """Dense points, squared Euclidean distances.

    Parameters
    ----------
    X : ndarray of float32 or float64, shape (n_samples, n_features)
        C-contiguous, finite, and of a magnitude that can be squared.
    metric : str, default="euclidean"
        What the squared distances stand for: "cosine" if `X` has rows of unit length, or
        "sqeuclidean", whose distances are squares already.
    """

    def __init__(self, X: NDArray[np.floating], metric: str = "euclidean") -> None:
        super().__init__(len(X))
        self.X = np.require(X, requirements=["C", "A"])
        self.metric = metric

    def rows(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure squared Euclidean distances from the anchors to all points."""
        return _kernels.distances_to_all(self.X, anchors, n_threads)

    def squares(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Square the metric's distances from the anchors to all points."""
        rows = self.rows(anchors, n_threads)
        if self.metric == "cosine":
            rows *= 0.5  # 1 - cos = |u - v|^2 / 2
        return squared(rows) if self.metric in ("cosine", "sqeuclidean") else rows

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure squared Euclidean distances from first[i] to second[i]."""
        chunk = max(1, (1 << 16) // self.X.shape[1])
        starts = range(0, len(first), chunk)

        def measured(start: int) -> NDArray[np.float64]:
            part = slice(start, start + chunk)
            differences = self.X[first[part]].astype(np.float64) - self.X[second[part]]
            squares: NDArray[np.float64] = row_norms(differences, squared=True)
            return squares

        return np.concatenate(in_threads(measured, starts, n_threads))

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Find the nearest, on maps by a tree where that is quicker."""
        n_samples, n_features = self.X.shape
        by_tree = n_features <= _FEW_FEATURES and n_neighbors <= _FEW_NEIGHBORS
        if not by_tree or len(anchors) * n_samples < _MANY_PAIRS:
            return super().nearest(anchors, n_neighbors, n_threads)
        tree = cKDTree(self.X, balanced_tree=False)
        indices = np.empty((len(anchors), n_neighbors), dtype=np.int32)
        for start in range(0, len(anchors), _TREE_ROWS):
            rows = anchors[start : start + _TREE_ROWS]
            found, sure = self._by_tree(tree, rows, n_neighbors, n_threads)
            if not sure.all():
                found[~sure] = super().nearest(rows[~sure], n_neighbors, n_threads)
            indices[start : start + _TREE_ROWS] = found
        return indices

    def _by_tree(
        self, tree: cKDTree, anchors: Anchors, n_neighbors: int, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Find the nearest, and say for which anchors none can have been missed.

        The tree orders ties as it likes: it is asked for a few more, and where the last of these
        is clearly farther than the last wanted, all that tie with that one are among them.
        """
        width = min(n_neighbors + 1 + _SPARE, self.n_samples)
        reach = np.empty((len(anchors), width))
        found = np.empty((len(anchors), width), dtype=np.int32)

        def ask(start: int) -> None:
            part = slice(start, start + _QUERIES)
            reach[part], found[part] = tree.query(self.X[anchors[part]], width)

        # The tree's own threads would go on after Ctrl-C, in memory that is not there any more.
        in_threads(ask, range(0, len(anchors), _QUERIES), n_threads)
        distances = _kernels.distances_to_some(self.X, anchors, found, n_threads)
        distances[found == anchors[:, np.newaxis]] = np.inf
        order = np.lexsort((found, distances), axis=1)[:, :n_neighbors]
        last = np.take_along_axis(distances, order[:, -1:], axis=1)[:, 0]
        sure = reach[:, -1] ** 2 > last * (1.0 + 1e-9)
        return np.take_along_axis(found, order, axis=1), sure | (width == self.n_samples)


class Pairwise(Distances):
    """Points, dense or sparse, with any metric of scikit-learn's or of the user's.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Finite values.
    metric : str or callable
        Of `sklearn.metrics.pairwise_distances`.
    metric_params : mapping
        Further arguments of the metric.
    """

    def __init__(self, X: Any, metric: Metric, metric_params: Mapping[str, Any]) -> None:
        super().__init__(X.shape[0])
        X = as_metric_takes(X, metric)
        self.X, self.metric, self.metric_params = X, metric, metric_params

    def rows(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure distances from the anchors to all points."""
        distances = np.empty((len(anchors), self.n_samples))

        def fill(start: int) -> None:
            part = slice(start, start + _BLOCK_ROWS)
            distances[part] = self._between(self.X[anchors[part]], self.X)

        self._in_threads(fill, range(0, len(anchors), _BLOCK_ROWS), n_threads)
        return checked(distances)

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Measure distances from first[i] to second[i]."""
        distances = np.empty(len(first))

        def fill(start: int) -> None:
            part = slice(start, start + _BLOCK_PAIRS)
            a, b = self.X[first[part]], self.X[second[part]]
            if callable(self.metric) and not sparse.issparse(a):
                pairs = zip(a, b, strict=True)
                distances[part] = [self.metric(*pair, **self.metric_params) for pair in pairs]
            else:
                distances[part] = np.diagonal(self._between(a, b))

        self._in_threads(fill, range(0, len(first), _BLOCK_PAIRS), n_threads)
        return checked(distances)

    def _between(self, A: Any, B: Any) -> NDArray[np.float64]:
        return np.asarray(pairwise_distances(A, B, metric=self.metric, **self.metric_params))

    def _in_threads(self, fill: Callable[[int], None], starts: range, n_threads: int) -> None:
        with ExitStack() as limits:
            if not callable(self.metric):
                limits.enter_context(single_threaded_blas())
            in_threads(fill, starts, n_threads)


class Precomputed(Distances):
    """A matrix of all distances, which the caller has.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_samples)
        Row i has the distances from point i.
    """

    def __init__(self, X: NDArray[np.floating]) -> None:
        super().__init__(len(X))
        self.X = X

    def rows(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Look up distances from the anchors to all points."""
        return checked(self.X[anchors].astype(np.float64))

    def squares_back(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Square the distances from all points to the anchors."""
        return squared(np.ascontiguousarray(self.X[:, anchors].T, dtype=np.float64))

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Look up distances from first[i] to second[i]."""
        return checked(self.X[first, second].astype(np.float64))


class Known(Distances):
    """Neighbours that the caller has, and no distances.

    Parameters
    ----------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        The nearest first.
    """

    def __init__(self, indices: NDArray[np.int32]) -> None:
        super().__init__(len(indices))
        self.indices = indices

    def rows(self, anchors: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Say that there are no distances."""
        raise ValueError(
            "X with metric='precomputed' is a sparse graph, which knows the nearest neighbours and "
            "not the ranks of all points; give X as a dense matrix of distances, or the data"
        )

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> NDArray[np.float64]:
        """Say that there are no distances."""
        return self.rows(first, n_threads)

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Look up the nearest."""
        return np.ascontiguousarray(self.indices[anchors, :n_neighbors])


class Graph(Known):
    """A sparse graph of neighbours, as the estimator takes it.

    Parameters
    ----------
    X : sparse matrix of shape (n_samples, n_samples)
        Distances to the nearest, as `sklearn.neighbors.KNeighborsTransformer` makes it.
    """

    def __init__(self, X: Any) -> None:
        Distances.__init__(self, X.shape[0])
        self.X = X

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Search the graph for the nearest."""
        found, _ = nearest_neighbors(self.X, n_neighbors, metric="precomputed", n_threads=n_threads)
        return np.ascontiguousarray(found[anchors])


def as_distances(
    X: Any, metric: Metric = "euclidean", metric_params: Mapping[str, Any] | None = None
) -> Distances:
    """Check data, and choose how their distances are computed.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        As `fasttsne.TSNE` takes it.
    metric : str or callable, default="euclidean"
        As `fasttsne.TSNE` takes it.
    metric_params : mapping, default=None
        Further arguments of the metric.

    Returns
    -------
    distances : Distances
        Euclidean distances of dense data are squared.

    Raises
    ------
    TypeError
        If `metric` is neither a string nor a function.
    ValueError
        If `X` has NaN or infinity, or, with ``metric="precomputed"``, negative values or a shape
        that is not square.
    """
    if not isinstance(metric, str) and not callable(metric):
        raise TypeError(f"metric must be a string or a function; got {metric!r}")
    if sparse.issparse(X):
        X = check_sparse_indices(X)
    # A matrix of distances stays as it is: a copy would be as large.
    order = None if isinstance(metric, str) and metric == "precomputed" else "C"
    X = check_array(
        X, accept_sparse="csr", dtype=[np.float64, np.float32], order=order, input_name="X"
    )
    if order is None:
        return _precomputed(X)
    dense = not sparse.issparse(X)
    if not dense:
        X = without_duplicates(X).astype(np.float64, copy=False)
    if not metric_params and metric in (*_EUCLIDEAN, "cosine"):
        X = in_safe_range(X)
        if dense and metric in _EUCLIDEAN:
            return Points(X, "sqeuclidean" if metric == "sqeuclidean" else "euclidean")
        if dense:
            norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))
            if norms.all():  # the angle to a zero vector is a convention, scikit-learn's
                return Points(X / norms[:, np.newaxis], "cosine")
    if isinstance(metric, str):
        metric = _ALIASES.get(metric, metric)
    return Pairwise(X, metric, metric_params or {})


def _precomputed(X: Any) -> Distances:
    if X.shape[0] != X.shape[1]:
        raise ValueError(
            f"X must be a square matrix of distances with metric='precomputed'; got {X.shape}"
        )
    if sparse.issparse(X):
        return Graph(X)
    return Precomputed(X)


def as_known(data_neighbors: ArrayLike, n_samples: int, n_neighbors: int) -> Known:
    """Check neighbours that the caller found before.

    Parameters
    ----------
    data_neighbors : array-like of int, shape (n_samples, at least n_neighbors)
        Rows, the nearest first, without the sample itself.
    n_samples, n_neighbors : int
        How many points there are on the map, and how many neighbours of each are wanted.

    Returns
    -------
    known : Known
        The same as distances without ranks.

    Raises
    ------
    ValueError
        If they are too few or too many, out of range, or not distinct.
    """
    indices: NDArray[Any] = np.asarray(data_neighbors)
    if indices.ndim != 2 or indices.dtype.kind not in "iu":
        raise ValueError(
            "data_neighbors must be integers of shape (n_samples, n_neighbors); got "
            f"{indices.dtype} of shape {indices.shape}"
        )
    n_known = indices.shape[1]
    check_same_length(len(indices), n_samples, "data_neighbors")
    if n_known < n_neighbors:
        raise ValueError(
            f"data_neighbors has {n_known} neighbours a sample, fewer than n_neighbors "
            f"({n_neighbors})"
        )
    indices = indices[:, :n_neighbors]
    if not indices.size or indices.min() < 0 or indices.max() >= n_samples:
        raise ValueError(f"data_neighbors must hold rows from 0 to {n_samples - 1}")
    ordered = np.sort(indices, axis=1)
    own = indices == np.arange(n_samples)[:, np.newaxis]
    if own.any() or (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError(
            "data_neighbors must be distinct, and without the sample itself, in every row"
        )
    return Known(indices.astype(np.int32))


def checked(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Refuse what is no distance.

    Raises
    ------
    ValueError
        If some are NaN, infinite or negative.
    """
    if not np.isfinite(distances).all():
        raise ValueError(
            "The metric gave distances that are NaN or infinite; check metric, metric_params and "
            "the scale of X"
        )
    if distances.size and distances.min() < 0.0:
        raise ValueError("The metric gave negative distances; check metric, and X if precomputed")
    return distances
