"""Neighbours that the user, or an estimator of the user's, brings -> k nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted

from fasttsne.neighbors.metrics import Found, squared
from fasttsne.samples.arrays import as_array, row_numbers
from fasttsne.samples.checks import check_readable

# Of a parameter `neighbors`, as scikit-learn checks it.
CONSTRAINT: list[Any] = [
    StrOptions({"auto", "exact", "approximate"}),
    tuple,
    list,
    "sparse matrix",
    HasMethods(["fit_transform", "transform"]),
]


def checked_neighbors(neighbors: Any, n_samples: int) -> Found:
    """Return the neighbours that the user passes, nearest first: as many as every row has.

    `neighbors` is a graph whose stored entries are distances, or a pair of arrays in the order of
    most indices, (indices, distances). scikit-learn's `kneighbors` returns the other order.
    """
    shape = n_samples, n_samples
    if sparse.issparse(neighbors):
        if neighbors.shape != shape:
            raise ValueError(f"neighbors, a graph, has shape {neighbors.shape}, not {shape}")
        return nearest_in_graph(neighbors, name="neighbors")
    if not (isinstance(neighbors, (tuple, list)) and len(neighbors) == 2):
        raise ValueError(
            "neighbors must be 'auto', 'exact', 'approximate', a pair of arrays, "
            "(indices, distances), a sparse matrix of distances, or a transformer such as "
            "NeighborsTransformer"
        )
    indices, distances = (as_array(part, "neighbors") for part in neighbors)
    if indices.ndim != 2 or indices.shape != distances.shape or len(indices) != n_samples:
        raise ValueError(
            f"neighbors: indices of shape {indices.shape} and distances of shape "
            f"{distances.shape} must both have the shape (n_samples, n_neighbors), with "
            f"n_samples={n_samples}"
        )
    if indices.dtype.kind not in "iu" or distances.dtype.kind not in "fiu":
        raise ValueError(
            f"neighbors: indices must be integers, got {indices.dtype}, and distances numbers, "
            f"got {distances.dtype}; the pair is (indices, distances), the other way round than "
            "scikit-learn's kneighbors returns it"
        )
    if indices.size == 0:
        raise ValueError("neighbors: rows are empty; every sample needs neighbours")
    indices = row_numbers(indices, "indices of neighbors", n_samples)
    pointers = np.arange(0, indices.size + 1, indices.shape[1])
    graph = sparse.csr_matrix((distances.ravel(), indices.ravel(), pointers), shape=shape)
    return nearest_in_graph(graph, name="neighbors")


def is_transformer(neighbors: Any) -> bool:
    """Return whether `neighbors` is an estimator that makes neighbour graphs."""
    return hasattr(neighbors, "fit_transform") and hasattr(neighbors, "transform")


def neighbors_by(transformer: Any, X: Any) -> tuple[Any, Found]:
    """Return a transformer that is fitted on `X`, and the neighbours that it finds there.

    One that is not fitted yet is cloned and fitted. A fitted one has to know the samples `X`.
    """
    try:
        check_is_fitted(transformer)
    except NotFittedError:
        transformer = clone(transformer)
        graph = _graph_of(transformer, transformer.fit_transform(X))
    else:
        graph = _graph_of(transformer, transformer.transform(X))
        n_samples = X.shape[0]
        rows = np.repeat(np.arange(n_samples), np.diff(graph.indptr))
        # A row has its own sample, or with many copies some of them.
        known = np.unique(rows[(graph.indices == rows) | (graph.data == 0.0)])
        if graph.shape[1] != n_samples or 2 * len(known) < n_samples:
            raise ValueError(
                f"neighbors, a fitted {type(transformer).__name__}, was fitted on other samples "
                f"than X: its graph has shape {graph.shape}; fit it on X, or pass it unfitted"
            )
    return transformer, nearest_in_graph(graph, name="neighbors")


def graph_to_fitted(transformer: Any, X: Any) -> Any:
    """Return the graph from new samples to those that a transformer was fitted on."""
    return _graph_of(transformer, transformer.transform(X))


def _graph_of(transformer: Any, graph: Any) -> Any:
    """Return a transformer's output as CSR; raise ValueError if it is no graph of distances."""
    name, mode = type(transformer).__name__, getattr(transformer, "mode", "distance")
    if mode != "distance":
        raise ValueError(f"neighbors: {name} has mode={mode!r}; it needs mode='distance'")
    if not sparse.issparse(graph):
        raise ValueError(
            f"neighbors: {name} returned {type(graph).__name__} and not a sparse matrix of "
            "distances; use a transformer such as NeighborsTransformer or KNeighborsTransformer"
        )
    return check_readable(graph, "neighbors").tocsr()


def nearest_in_graph(
    graph: Any, n_neighbors: int | None = None, *, name: str = "X", itself: bool = False
) -> Found:
    """Return the k nearest in every row of a graph, by default as many as every row has.

    Errors call the graph `name`. The diagonal counts with `itself`, for rows that are new samples.
    """
    graph = check_readable(graph, name).tocsr()
    n_rows = graph.shape[0]
    rows = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(graph.indptr))
    columns = graph.sorted_indices().indices
    twice = (columns[1:] == columns[:-1]) & (rows[1:] == rows[:-1])
    if twice.any():
        raise ValueError(
            f"{name}, a neighbour graph, has duplicate entries in row {rows[np.argmax(twice)]}; "
            "store each neighbour once (X.sum_duplicates() adds them up)"
        )
    other = (graph.indices != rows) | itself
    rows, columns = rows[other], graph.indices[other].astype(np.int32)
    distances = graph.data[other]
    if not (np.isfinite(distances).all() and (distances >= 0).all()):
        raise ValueError(f"{name}: distances must be finite and not negative")
    squares = squared(distances)
    counts = np.bincount(rows, minlength=n_rows)
    fewest = int(counts.min())
    if fewest < (n_neighbors or 0):
        raise ValueError(
            f"{name}, a neighbour graph, has only {fewest} neighbors in row {counts.argmin()}, but "
            f"{n_neighbors} are required, itself not counted; lower perplexity (or "
            "n_neighbors), or make the graph with more neighbors"
        )
    if ((squares[1:] < squares[:-1]) & (rows[1:] == rows[:-1])).any():
        order = np.lexsort((squares, rows))
        columns, squares = columns[order], squares[order]
    first = np.cumsum(counts) - counts
    nearest = first[:, None] + np.arange(fewest if n_neighbors is None else n_neighbors)
    return columns[nearest], squares[nearest]
