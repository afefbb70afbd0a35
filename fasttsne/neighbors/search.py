"""X -> the k nearest neighbours of every sample among the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne import _kernels
from fasttsne.neighbors.bits import BitPoints
from fasttsne.neighbors.given import nearest_in_graph
from fasttsne.neighbors.metrics import (
    Found,
    Metric,
    ScikitLearnSearch,
    SearchMethod,
    checked_points,
    complete_metric,
    directions_of,
    kernel_of,
    squared,
)
from fasttsne.neighbors.screen import (
    RECALL,
    RECALL_OF_GRAPHS,
    Screen,
    n_lists_for_search,
    resolved_method,
)
from fasttsne.neighbors.sparse import SparsePoints
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.checks import check_samples
from fasttsne.samples.principal_axes import PrincipalAxes
from fasttsne.samples.scaling import ANGULAR, center_and_scale

# Up to this many samples scikit-learn's dense cosine distances cost nothing, and give the same
# bits as distances that the user passes with metric="precomputed".
_SMALL_COSINE = 2048

# Rows that scikit-learn searches at once.
_BLOCK_ROWS = 1024


@with_plain_numbers
def nearest_neighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    method: SearchMethod = "auto",
    n_threads: int = 1,
) -> Found:
    """Find the k nearest neighbours of every sample among the others.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        Finite values. With ``metric="precomputed"`` distances, dense or as a sparse graph with at
        least `n_neighbors` stored entries a row, not counting the diagonal, as
        `sklearn.neighbors.KNeighborsTransformer` makes it.
    n_neighbors : int
        k, at least 1 and less than n_samples.
    metric : str or callable, default="euclidean"
        Kernels compute Euclidean and cosine distances, dense and sparse, correlation, Jaccard
        distances, and Hamming distances of zeros and ones; everything else goes through
        `sklearn.neighbors.NearestNeighbors`.
    metric_params : dict, default=None
        Further arguments of the metric.
    method : {"auto", "exact", "approximate"}, default="auto"
        "approximate" looks only through those cells of a partition that are near a sample
        [1]_, [2]_, as many as find about 0.99 of the neighbours of a few hundred samples that are
        also compared with all. It needs dense `X` and Euclidean, cosine or correlation
        distances. "auto" is "exact" where the other is not possible, and up to a number of
        samples that depends on the number of features: 14,900 at 50.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbours, the nearest first. A sample is not its own neighbour, even where others
        coincide with it. Ties that a kernel decides go to the smaller index.
    distances : ndarray of float64, shape (n_samples, n_neighbors)
        Their distances, not squared: the pair is what ``TSNE(neighbors=)`` takes.
        `fasttsne.affinity.conditional_probabilities` takes their squares.

    Raises
    ------
    ValueError
        If `n_neighbors` is not less than the number of samples, if `method` is not one of the
        three or not possible for the data and the metric, if values are too large to square, if
        the correlation with a row is undefined because its values are all equal, if
        a metric gives negative or non-finite distances, or if a precomputed graph is malformed
        or has too few neighbours.

    Notes
    -----
    The result does not depend on the number of threads nor on any random state. Every sample
    has k distinct neighbours, whatever the method, and their distances are exact.

    References
    ----------
    .. [1] Sivic, J. and Zisserman, A. (2003). Video Google: a text retrieval approach to object
       matching in videos. Proceedings of the Ninth IEEE International Conference on Computer
       Vision, 1470-1477.
    .. [2] Jégou, H., Douze, M. and Schmid, C. (2011). Product quantization for nearest neighbor
       search. IEEE Transactions on Pattern Analysis and Machine Intelligence 33, 117-128.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.neighbors import nearest_neighbors
    >>> X = np.array([[0.0], [1.0], [3.0], [7.0]])
    >>> indices, distances = nearest_neighbors(X, 2)
    >>> indices
    array([[1, 2],
           [0, 2],
           [1, 0],
           [2, 1]], dtype=int32)
    >>> distances[3]
    array([4., 6.])
    """
    X, exponent = check_samples(X, metric=metric)
    how: Any = {"metric": metric, "metric_params": metric_params, "method": method}
    indices, squares = squared_neighbors(
        X, n_neighbors, **how, recall=RECALL_OF_GRAPHS, n_threads=n_threads
    )
    return indices, np.ldexp(np.sqrt(squares), 0 if metric in ANGULAR else exponent)


def squared_neighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    method: str = "auto",
    recall: float = RECALL,
    centered: NDArray[np.float32] | None = None,
    axes: PrincipalAxes | None = None,
    n_threads: int = 1,
) -> Found:
    """Return the indices of `nearest_neighbors` and squared distances, for checked samples.

    An approximate search finds about the share `recall` of the neighbours.
    `centered` is ``center_and_scale(X)`` and `axes` are its axes, where they are known.
    """
    n_samples = X.shape[0]
    if not 1 <= n_neighbors < n_samples:
        raise ValueError(
            f"n_neighbors={n_neighbors} must be at least 1 and less than n_samples={n_samples}"
        )
    metric, metric_params = complete_metric(metric, metric_params, X)
    kernel = kernel_of(X, metric, metric_params, method)
    if metric == "precomputed" and sparse.issparse(X):
        return nearest_in_graph(X, n_neighbors)
    if kernel == "points":
        return _euclidean(X, n_neighbors, method, recall, centered, axes, n_threads)
    is_small = metric == "cosine" and method != "approximate" and n_samples <= _SMALL_COSINE
    if kernel == "directions" and not is_small:
        directions = directions_of(X, metric)
        indices, chords = _euclidean(directions, n_neighbors, method, recall, None, None, n_threads)
        return indices, (0.5 * chords) ** 2  # 1 - cos = |u - v|^2 / 2, chords are squared
    if kernel == "sparse":
        return SparsePoints.of(X, str(metric)).nearest(None, n_neighbors, n_threads)
    if kernel == "bits":
        return BitPoints.of(X, str(metric)).nearest(None, n_neighbors, n_threads)
    return _by_scikit_learn(X, n_neighbors, metric, metric_params, n_threads)


def _euclidean(
    X: NDArray[np.floating],
    n_neighbors: int,
    method: str,
    recall: float,
    centered: NDArray[np.float32] | None,
    axes: PrincipalAxes | None,
    n_threads: int,
) -> Found:
    X = checked_points(X)
    if centered is None:
        centered = center_and_scale(X, n_threads=n_threads)
    found = None
    if resolved_method(method, *X.shape) == "approximate":
        screen = Screen.of(X, centered, n_neighbors, axes, n_threads)
        with single_threaded_blas():
            found = _kernels.find_neighbors_approximately(
                screen.coordinates,
                screen.tails,
                X,
                n_neighbors,
                screen.n_candidates,
                n_lists_for_search(len(X)),
                recall,
                n_threads,
            )
    if found is None:  # also where single precision cannot tell neighbours apart
        with single_threaded_blas():
            found = _kernels.find_neighbors(centered, X, n_neighbors, n_threads)
    return found


def _by_scikit_learn(
    X: Any,
    n_neighbors: int,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    n_threads: int,
) -> Found:
    """Search one neighbour more than wanted, and leave out the sample itself."""
    search = ScikitLearnSearch(X, n_neighbors + 1, metric, metric_params)
    indices, distances = search.query(X, _BLOCK_ROWS, one_by_one=False, n_threads=n_threads)
    own = indices == np.arange(len(indices))[:, None]
    squares = squared(np.where(own, 0.0, distances))  # 0 / 0 for a row of zeros
    # Where many samples coincide, the sample itself need not be among those found.
    own[~own.any(axis=1), -1] = True
    shape = (len(indices), n_neighbors)
    return indices[~own].reshape(shape), squares[~own].reshape(shape)
