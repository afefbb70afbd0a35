"""Neighbours that the user brings -> k nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fasttsne.neighbors.metrics import Found, squared
from fasttsne.samples.arrays import as_array, row_numbers
from fasttsne.samples.checks import check_readable


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
            "(indices, distances), or a sparse matrix of distances"
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
