"""Distances from some points to all points, by any metric, a block of rows at a time.

Most measures use only the order of distances, so Euclidean distances stay squared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.metrics import pairwise_distances
from sklearn.utils import gen_batches
from sklearn.utils.extmath import row_norms

from fasttsne import _kernels
from fasttsne.neighbors.given import nearest_in_graph
from fasttsne.neighbors.metrics import (
    Metric,
    as_metric_takes,
    checked_distances,
    checked_rows,
    complete_metric,
    directions_of,
    kernel_of,
    on_copies,
    squared,
)
from fasttsne.quality.checks import Anchors, Floats, as_embedding, blocks_of, check_same_length
from fasttsne.runtime.threads import in_threads, single_threaded_blas
from fasttsne.samples.arrays import row_numbers
from fasttsne.samples.checks import without_duplicates
from fasttsne.samples.scaling import ANGULAR, in_safe_range

_EUCLIDEAN = ("euclidean", "l2", "sqeuclidean")

# A tree is faster for few features, few neighbours and many pairs.
_FEW_FEATURES = 3
_FEW_NEIGHBORS = 200
_MANY_PAIRS = 1 << 24

_TREE_ROWS = 8192  # anchors per call of the tree
_QUERIES = 256  # anchors per thread
_SPARE = 4  # neighbours beyond those that are wanted

# Rows, and pairs of rows, per call of scikit-learn.
_BLOCK_ROWS = 16
_BLOCK_PAIRS = 32
# A pair in such a block takes about as long as this many distances between rows and all points.
_DISTANCES_PER_PAIR = 64


class Distances(ABC):
    """Points, and the distances between them."""

    def __init__(self, n_samples: int) -> None:
        self.n_samples = n_samples

    @abstractmethod
    def rows(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the distances, or their squares, from the anchors to all points."""

    @abstractmethod
    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> Floats:
        """Return the distances, or their squares, from first[i] to second[i]."""

    def squares(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the squared distances from the anchors to all points, in the metric's own unit."""
        return squared(self.rows(anchors, n_threads))

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Return the nearest other points, nearest first, ties ordered by index."""
        indices = np.empty((len(anchors), n_neighbors), dtype=np.int32)
        for block, rows in blocks_of(anchors, self.n_samples):
            distances = self.rows(rows, n_threads)
            indices[block] = _kernels.nearest_in_rows(distances, rows, n_neighbors, n_threads)
        return indices


class Points(Distances):
    """Dense points with squared Euclidean distances, which stand for `metric`.

    `metric` is "euclidean", "sqeuclidean", or "cosine" if `X` are directions.
    """

    def __init__(self, X: NDArray[np.floating], metric: str = "euclidean") -> None:
        super().__init__(len(X))
        self.X = np.require(X, requirements=["C", "A"])
        self.metric = metric

    def rows(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the squared Euclidean distances from the anchors to all points."""
        return _kernels.distances_to_all(self.X, anchors, n_threads)

    def squares(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the squared distances from the anchors to all points, in the metric's own unit."""
        rows = self.rows(anchors, n_threads)
        if self.metric == "cosine":
            rows *= 0.5  # 1 - cos = |u - v|^2 / 2
        return squared(rows) if self.metric in ("cosine", "sqeuclidean") else rows

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> Floats:
        """Return the squared Euclidean distances from first[i] to second[i]."""
        parts = gen_batches(len(first), max(1, (1 << 16) // self.X.shape[1]))

        def measured(part: slice) -> Floats:
            differences = self.X[first[part]].astype(np.float64) - self.X[second[part]]
            return np.asarray(row_norms(differences, squared=True))

        return np.concatenate(in_threads(measured, parts, n_threads))

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Return the nearest other points, found by a tree if that is faster."""
        n_samples, n_features = self.X.shape
        by_tree = n_features <= _FEW_FEATURES and n_neighbors <= _FEW_NEIGHBORS
        if not by_tree or len(anchors) * n_samples < _MANY_PAIRS:
            return super().nearest(anchors, n_neighbors, n_threads)
        tree = cKDTree(self.X, balanced_tree=False)
        indices = np.empty((len(anchors), n_neighbors), dtype=np.int32)
        for part in gen_batches(len(anchors), _TREE_ROWS):
            rows = anchors[part]
            found, sure = self._by_tree(tree, rows, n_neighbors, n_threads)
            if not sure.all():
                found[~sure] = super().nearest(rows[~sure], n_neighbors, n_threads)
            indices[part] = found
        return indices

    def _by_tree(
        self, tree: cKDTree, anchors: Anchors, n_neighbors: int, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the nearest other points, and for which anchors they are certain.

        The tree orders ties arbitrarily. It returns a few more neighbours than wanted: if the last
        of these is clearly farther than the last wanted one, every tie with it was found.
        """
        width = min(n_neighbors + 1 + _SPARE, self.n_samples)
        reach = np.empty((len(anchors), width))
        found = np.empty((len(anchors), width), dtype=np.int32)

        def ask(part: slice) -> None:
            reach[part], found[part] = tree.query(self.X[anchors[part]], width)

        # The tree's own threads would continue after Ctrl-C, in memory that has been freed.
        in_threads(ask, gen_batches(len(anchors), _QUERIES), n_threads)
        distances = _kernels.distances_to_some(self.X, anchors, found, n_threads)
        distances[found == anchors[:, np.newaxis]] = np.inf
        order = np.lexsort((found, distances), axis=1)[:, :n_neighbors]
        last = np.take_along_axis(distances, order[:, -1:], axis=1)[:, 0]
        sure = reach[:, -1] ** 2 > last * (1.0 + 1e-9)
        return np.take_along_axis(found, order, axis=1), sure | (width == self.n_samples)


class Pairwise(Distances):
    """Points, dense or sparse, with any metric of `sklearn.metrics.pairwise_distances`."""

    def __init__(self, X: Any, metric: Metric, metric_params: Mapping[str, Any]) -> None:
        super().__init__(X.shape[0])
        X = as_metric_takes(X, metric)
        self.X, self.metric, self.metric_params = X, on_copies(metric), metric_params

    def rows(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the distances from the anchors to all points."""
        distances = np.empty((len(anchors), self.n_samples))

        def fill(part: slice) -> None:
            distances[part] = self._between(self.X[anchors[part]], self.X)

        self._in_threads(fill, gen_batches(len(anchors), _BLOCK_ROWS), n_threads)
        distances[np.arange(len(anchors)), anchors] = 0.0  # 0 / 0 for a row of zeros
        return checked_distances(distances)

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> Floats:
        """Return the distances from first[i] to second[i]."""
        distances = np.empty(len(first))
        if self.n_samples**2 <= len(first) * (1 if callable(self.metric) else _DISTANCES_PER_PAIR):
            every = np.arange(self.n_samples, dtype=np.int32)
            for block, rows in blocks_of(every, self.n_samples):
                here = np.flatnonzero((first >= block.start) & (first < block.stop))
                from_rows = self.rows(rows, n_threads)
                distances[here] = from_rows[first[here] - block.start, second[here]]
            return distances

        def fill(part: slice) -> None:
            a, b = self.X[first[part]], self.X[second[part]]
            if callable(self.metric) and not sparse.issparse(a):
                pairs = zip(a, b, strict=True)
                distances[part] = [self.metric(*pair, **self.metric_params) for pair in pairs]
            else:
                distances[part] = np.diagonal(self._between(a, b))

        self._in_threads(fill, gen_batches(len(first), _BLOCK_PAIRS), n_threads)
        return checked_distances(distances)

    def _between(self, A: Any, B: Any) -> Floats:
        return np.asarray(pairwise_distances(A, B, metric=self.metric, **self.metric_params))

    def _in_threads(
        self, fill: Callable[[slice], None], parts: Iterable[slice], n_threads: int
    ) -> None:
        with nullcontext() if callable(self.metric) else single_threaded_blas():
            in_threads(fill, parts, n_threads)


class Precomputed(Distances):
    """A matrix of all distances; row i has the distances from point i."""

    def __init__(self, X: NDArray[np.floating]) -> None:
        super().__init__(len(X))
        self.X = X

    def rows(self, anchors: Anchors, n_threads: int) -> Floats:
        """Return the distances from the anchors to all points."""
        return checked_distances(self.X[anchors].astype(np.float64))

    def squares_back(self, anchors: Anchors) -> Floats:
        """Return the squared distances from all points to the anchors, one row per anchor."""
        return squared(np.ascontiguousarray(self.X[:, anchors].T, dtype=np.float64))

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> Floats:
        """Return the distances from first[i] to second[i]."""
        return checked_distances(self.X[first, second].astype(np.float64))


class Known(Distances):
    """Known nearest neighbours without distances: row numbers, or a sparse graph."""

    def __init__(self, neighbors: Any) -> None:
        super().__init__(neighbors.shape[0])
        self.neighbors = neighbors

    def rows(self, anchors: Anchors, n_threads: int) -> Floats:
        """Raise ValueError: there are no distances."""
        raise ValueError(
            "X with metric='precomputed' is a sparse graph, which has the nearest neighbours but "
            "not the ranks of all points; give X as a dense matrix of distances, or the data"
        )

    def pairs(self, first: Anchors, second: Anchors, n_threads: int) -> Floats:
        """Raise ValueError: there are no distances."""
        return self.rows(first, n_threads)

    def nearest(self, anchors: Anchors, n_neighbors: int, n_threads: int) -> NDArray[np.int32]:
        """Return the nearest other points, nearest first."""
        found = self.neighbors
        if sparse.issparse(found):
            found, _ = nearest_in_graph(found, n_neighbors)
        return np.ascontiguousarray(found[anchors, :n_neighbors])


def as_distances(
    X: Any, metric: Metric = "euclidean", metric_params: Mapping[str, Any] | None = None
) -> Distances:
    """Check data as `fasttsne.TSNE` does, and return the class that computes their distances."""
    # A matrix of distances is not copied into another order: a copy would be as large.
    order = None if metric == "precomputed" else "C"
    X = checked_rows(X, order)
    if order is None:
        if X.shape[0] != X.shape[1]:
            raise ValueError(
                f"X must be a square matrix of distances with metric='precomputed'; got {X.shape}"
            )
        return Known(X) if sparse.issparse(X) else Precomputed(X)
    metric, metric_params = complete_metric(metric, metric_params, X)
    dense = not sparse.issparse(X)
    if not dense:
        X = without_duplicates(X).astype(np.float64, copy=False)
    if not metric_params and metric in (*_EUCLIDEAN, *ANGULAR):
        X = in_safe_range(X)
        if dense and metric in _EUCLIDEAN:
            return Points(X, "sqeuclidean" if metric == "sqeuclidean" else "euclidean")
        if kernel_of(X, metric, None, "exact") == "directions":
            return Points(directions_of(X, metric), "cosine")
    return Pairwise(X, metric, metric_params or {})


def both_sides(
    X: Any, embedding: ArrayLike, metric: Metric, metric_params: Mapping[str, Any] | None
) -> tuple[Distances, Distances]:
    """Check data and map, and return the distances of both."""
    Y = as_embedding(embedding)
    data = as_distances(X, metric, metric_params)
    check_same_length(data.n_samples, len(Y))
    return data, as_distances(Y)


def as_known(data_neighbors: ArrayLike, n_samples: int, n_neighbors: int) -> Known:
    """Check `data_neighbors`, and return the first n_neighbors of every point."""
    indices = row_numbers(data_neighbors, "data_neighbors", n_samples)
    if indices.ndim != 2:
        raise ValueError(
            f"data_neighbors must have shape (n_samples, n_neighbors); got {indices.shape}"
        )
    check_same_length(len(indices), n_samples, "data_neighbors")
    if indices.shape[1] < n_neighbors:
        raise ValueError(
            f"data_neighbors has {indices.shape[1]} neighbours per sample, fewer than n_neighbors "
            f"({n_neighbors})"
        )
    indices = indices[:, :n_neighbors]
    ordered = np.sort(indices, axis=1)
    own = indices == np.arange(n_samples)[:, np.newaxis]
    if own.any() or (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError(
            "data_neighbors must be distinct in every row, and without the sample itself"
        )
    return Known(indices.astype(np.int32))
