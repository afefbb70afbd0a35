"""Neighbours that the user brings -> k nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fasttsne.neighbors.metrics import Found, squared
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import check_readable

__all__ = ["checked_neighbors"]


def checked_neighbors(neighbors: Any, n_samples: int, n_neighbors: int | None) -> Found:
    """Return the k nearest of the neighbours that the user passes.

    Parameters
    ----------
    neighbors : tuple (indices, distances) or sparse matrix of shape (n_samples, n_samples)
        Two arrays of shape (n_samples, n_neighbors), or a graph whose stored entries are distances.
        Most indices return the arrays in this order; scikit-learn's `kneighbors` does not.
        Distances are not squared. A row may list its own sample, and may be in any order.
    n_samples : int
        Number of samples.
    n_neighbors : int or None
        k, the number of neighbours to return; None is the number that every row has.

    Returns
    -------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        The k nearest neighbours, the nearest first. A sample is not its own neighbour.
    squared_distances : ndarray of float64, like `indices`
        Squares of the distances.

    Raises
    ------
    ValueError
        If `neighbors` is not a pair of such arrays, an index is out of range or twice in a row, a
        distance is negative or not finite, or a row has too few neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.neighbors.given import checked_neighbors
    >>> indices = np.array([[0, 1], [1, 0], [2, 1]])
    >>> checked_neighbors((indices, np.array([[0.0, 3.0], [0.0, 3.0], [0.0, 4.0]])), 3, 1)
    (array([[1], [0], [1]], dtype=int32), array([[ 9.], [ 9.], [16.]]))
    """
    shape = n_samples, n_samples
    if sparse.issparse(neighbors):
        return nearest_in_graph(neighbors, shape, n_neighbors, name="neighbors")
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
    if indices.min() < 0 or indices.max() >= n_samples:
        raise ValueError(
            f"neighbors: indices must lie in 0 .. {n_samples - 1}, found {indices.min()} .. "
            f"{indices.max()}"
        )
    if not (np.isfinite(distances).all() and (distances >= 0).all()):
        raise ValueError("neighbors: distances must be finite and not negative")
    pointers = np.arange(0, indices.size + 1, indices.shape[1])
    graph = sparse.csr_matrix((distances.ravel(), indices.ravel(), pointers), shape=shape)
    return nearest_in_graph(graph, shape, n_neighbors, name="neighbors")


def nearest_in_graph(
    graph: Any,
    shape: tuple[int, ...],
    n_neighbors: int | None,
    *,
    name: str = "X",
    itself: bool = False,
) -> Found:
    """Return the k nearest in every row of a graph, which errors call `name`.

    The diagonal counts with `itself`, for rows that are new samples.
    """
    graph = check_readable(graph, name).tocsr()
    if graph.shape != shape:
        raise ValueError(f"{name}, a neighbour graph, has shape {graph.shape}, not {shape}")
    rows = np.repeat(np.arange(shape[0], dtype=np.int32), np.diff(graph.indptr))
    columns = graph.sorted_indices().indices
    twice = (columns[1:] == columns[:-1]) & (rows[1:] == rows[:-1])
    if twice.any():
        raise ValueError(
            f"{name}, a neighbour graph, has duplicate entries in row {rows[np.argmax(twice)]}; "
            "store each neighbour once (X.sum_duplicates() adds them up)"
        )
    other = (graph.indices != rows) | itself
    rows, columns = rows[other], graph.indices[other].astype(np.int32)
    squares = squared(graph.data[other])
    counts = np.bincount(rows, minlength=shape[0])
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
