"""X -> k nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics.pairwise import PAIRWISE_BOOLEAN_FUNCTIONS, euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import row_norms
from threadpoolctl import ThreadpoolController

from fasttsne import _kernels
from fasttsne.runtime.threads import in_threads, single_threaded_blas
from fasttsne.samples.principal_axes import LARGEST_N_FEATURES, PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale

__all__ = ["nearest_neighbors"]

Metric = str | Callable[..., float]

# Squares of larger values overflow double precision.
LARGEST_VALUE = 1e150

# Up to here scikit-learn's dense cosine distances cost nothing, and give to the last bit what a
# user who passes them as metric="precomputed" gets.
_SMALL_COSINE = 2048

# What an exact search may cost where the choice is free, in seconds of one core, roughly; a fit
# of that many samples takes longer.
_AFFORDABLE_SECONDS = 0.5

# Candidates for exact distances, beyond the neighbours wanted: few where the estimates only
# round, more where they leave out the lesser principal axes.
_SPARE = 8
_SPARE_SHARE_OF_AXES = 0.25

# Leading axes stand for all where they hold this share of the variance, and are at most this
# share of the features. So few features as the last are not worth it.
_VARIANCE_OF_AXES = 0.93
_LARGEST_SHARE_OF_AXES = 0.5
_FEW_FEATURES = 96
# A few samples far out have most of the variance and hardly any of the distances.
_LEAST_SHARE_OF_DISTANCES = 0.8

# What lies further out than so many times the extent of most samples is moved there, lest it
# squeeze the others into the lowest digits of single precision.
_FAR = 2.0**20

_SAMPLE_ROWS = 1024

# Rows that scikit-learn works on at once: in searches, and in matrices of all distances.
_BLOCK_ROWS = 1024
_DENSE_ROWS = 256


def nearest_neighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    method: str = "auto",
    centered: NDArray[np.float32] | None = None,
    axes: PrincipalAxes | None = None,
    n_threads: int = 1,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the k nearest neighbours of every sample among the others.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        Finite float32 or float64 values. With ``metric="precomputed"`` distances, dense or as a
        sparse graph with at least `n_neighbors` + 1 stored entries a row, the point itself
        included, as `sklearn.neighbors.KNeighborsTransformer` makes it.
    n_neighbors : int
        k, at least 1 and less than n_samples.
    metric : str or callable, default="euclidean"
        Euclidean and cosine distances of dense data have kernels of their own; everything else
        goes through `sklearn.neighbors.NearestNeighbors`.
    metric_params : dict, default=None
        Further arguments of the metric.
    method : {"auto", "exact", "approximate"}, default="auto"
        "approximate" looks only through those cells of a partition that are near a sample
        [1]_, [2]_, as many as find about 0.99 of the neighbours of a few hundred samples that are
        also compared with all. It needs dense `X` and Euclidean or cosine distances. "auto" is
        "exact" where the other is not possible, and up to a number of samples that depends on
        the number of features: 14,900 at 50.
    centered : ndarray of float32, shape (n_samples, n_features), default=None
        ``center_and_scale(X)`` where it is known, for Euclidean distances. Not changed.
    axes : PrincipalAxes, default=None
        Its axes where they are known.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    indices : ndarray of int32, shape (n_samples, n_neighbors)
        Neighbours, the nearest first. A sample is not its own neighbour, even where others
        coincide with it. Euclidean ties go to the smaller index.
    squared_distances : ndarray of float64, shape (n_samples, n_neighbors)
        Squares of the distances, whatever the metric, in its squared unit.

    Raises
    ------
    ValueError
        If `n_neighbors` is not less than the number of samples, if `method` is not one of the
        three or not possible for the data and the metric, if values are too large to square, if
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
    >>> indices, squared_distances = nearest_neighbors(X, 2)
    >>> indices
    array([[1, 2],
           [0, 2],
           [1, 0],
           [2, 1]], dtype=int32)
    >>> squared_distances[3]
    array([16., 36.])
    """
    n_samples = X.shape[0]
    if not 1 <= n_neighbors < n_samples:
        raise ValueError(
            f"n_neighbors={n_neighbors} must be at least 1 and less than n_samples={n_samples}"
        )
    plain = not sparse.issparse(X) and not metric_params
    check_method(method, plain and metric in ("euclidean", "cosine"))
    if plain and metric == "euclidean":
        return _euclidean(X, n_neighbors, method, centered, axes, n_threads)
    large = n_samples > _SMALL_COSINE or method == "approximate"
    # The angle to a zero vector is a convention, scikit-learn's.
    if plain and metric == "cosine" and large and X.any(axis=1).all():
        X = directions_of(X)
        indices, squared_chords = _euclidean(X, n_neighbors, method, None, None, n_threads)
        return indices, (0.5 * squared_chords) ** 2  # 1 - cos = |u - v|^2 / 2
    return _by_scikit_learn(X, n_neighbors, metric, metric_params, n_threads)


def directions_of(X: NDArray[np.floating]) -> NDArray[np.float64]:
    """Divide rows by their lengths, but for zero rows."""
    # Each length is summed by itself: a sum that casts on its way need not be.
    rows: NDArray[np.float64] = X.astype(np.float64, order="C")
    # Scaled by powers of two, which rounds nothing, no square is too large or too small.
    _, exponents = np.frexp(np.abs(rows).max(axis=1))
    np.ldexp(rows, -exponents[:, None], out=rows)
    norms = np.sqrt(np.square(rows).sum(axis=1))
    rows /= np.where(norms == 0.0, 1.0, norms)[:, None]
    return rows


def uses_axes(shape: tuple[int, int], method: str) -> bool:
    """Whether a Euclidean search of dense data makes use of principal axes."""
    n_samples, n_features = shape
    return (
        _FEW_FEATURES < n_features <= LARGEST_N_FEATURES
        and resolved_method(method, n_samples, n_features) == "approximate"
    )


def n_axes_for_search(n_features: int) -> int:
    """How many principal axes an approximate search may ask for."""
    return int(_LARGEST_SHARE_OF_AXES * n_features)


def check_method(method: str, approximate_possible: bool) -> None:
    if method not in ("auto", "exact", "approximate"):
        raise ValueError(
            f"neighbors={method!r} must be 'auto', 'exact' or 'approximate' (the parameter method "
            "of nearest_neighbors)"
        )
    if method == "approximate" and not approximate_possible:
        raise ValueError(
            "neighbors='approximate' needs dense X, metric='euclidean' or 'cosine' and no "
            "metric_params; use neighbors='auto' or 'exact'"
        )


def resolved_method(method: str, n_samples: int, n_features: int) -> str:
    """Turn "auto" into what it stands for."""
    if method != "auto":
        return method
    seconds = 1e-9 * n_samples**2 * (0.025 * n_features + 1.0)
    return "exact" if seconds <= _AFFORDABLE_SECONDS else "approximate"


def _euclidean(
    X: NDArray[np.floating],
    n_neighbors: int,
    method: str,
    centered: NDArray[np.float32] | None,
    axes: PrincipalAxes | None,
    n_threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    X = checked_points(X)
    screen = center_and_scale(X, n_threads=n_threads) if centered is None else centered
    if resolved_method(method, *X.shape) == "approximate":
        found = _approximate(X, screen, n_neighbors, axes, n_threads)
        if found is not None:
            return found
    with single_threaded_blas():
        return _kernels.find_neighbors(screen, X, n_neighbors, n_threads)


def checked_points(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """`X` as the kernels take it; values whose squares overflow are refused."""
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if not max(abs(float(X.max())), abs(float(X.min()))) <= LARGEST_VALUE:
        raise ValueError(
            f"X has NaN, or values of magnitude above {LARGEST_VALUE:g}, whose squared distances "
            "overflow; remove the first, rescale the others, which does not change the map"
        )
    return np.require(X, requirements=["C", "A"])


def _approximate(
    X: NDArray[np.floating],
    centered: NDArray[np.float32],
    n_neighbors: int,
    axes: PrincipalAxes | None,
    n_threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]] | None:
    """Neighbours from the cells around each sample; None where single precision won't do."""
    screen = Screen.of(X, centered, n_neighbors, axes, n_threads)
    with single_threaded_blas():
        return _kernels.find_neighbors_approximately(
            screen.coordinates,
            screen.tails,
            X,
            n_neighbors,
            screen.n_candidates,
            n_cells_for_search(len(X)),
            n_threads,
        )


def n_cells_for_search(n_samples: int) -> int:
    """About sqrt(n) both of cells and of points in one keeps both comparisons cheap."""
    return min(n_samples, max(1, int(2.0 * np.sqrt(n_samples))))


@dataclass(frozen=True)
class Screen:
    """Samples as an approximate search looks at them.

    Attributes
    ----------
    coordinates : ndarray of float32, shape (n_samples, n_coordinates)
        The samples near the origin, or along their leading principal axes.
    tails : ndarray of float32, shape (n_samples,), or None
        Squared lengths of what the axes leave out.
    n_candidates : int
        How many a search should compare by exact distances.
    limits : pair of ndarray of float64, shape (n_features,), or None
        Between which all values were drawn in beforehand.
    axes : PrincipalAxes or None
        Where there are `tails`, the axes.
    """

    coordinates: NDArray[np.float32]
    tails: NDArray[np.float32] | None
    n_candidates: int
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    axes: PrincipalAxes | None

    @classmethod
    def of(
        cls,
        X: NDArray[np.floating],
        centered: NDArray[np.float32],
        n_neighbors: int,
        axes: PrincipalAxes | None,
        n_threads: int,
    ) -> Screen:
        """See what serves for `X`, which `centered` is the centered image of."""
        n_samples, n_features = X.shape
        limits = _limits(X, centered)
        if limits is not None:
            centered, axes = center_and_scale(np.clip(X, *limits), n_threads=n_threads), None
        coordinates, tails, n_candidates = centered, None, n_neighbors + _SPARE
        if uses_axes(X.shape, "approximate"):
            most = n_axes_for_search(n_features)
            if axes is None or len(axes.variances) < most:
                axes = principal_axes(centered, most, n_threads=n_threads)
            shares = np.cumsum(axes.variances)
            n_axes = 16 * (1 + int(np.sum(shares < _VARIANCE_OF_AXES * axes.total_variance)) // 16)
            if n_axes <= most:
                coordinates = axes.project(centered, n_axes, n_threads=n_threads)
            if n_axes <= most and (
                _share_of_distances(centered, coordinates) >= _LEAST_SHARE_OF_DISTANCES
            ):
                tails = axes.squared_rest(centered, coordinates, n_threads=n_threads)
                n_candidates += int(_SPARE_SHARE_OF_AXES * n_neighbors)
            else:
                coordinates = centered
        n_candidates = min(n_candidates, n_samples - 1)
        return cls(coordinates, tails, n_candidates, limits, axes if tails is not None else None)


def _limits(
    X: NDArray[np.floating], centered: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Where to draw in values that are extremely far out, so that others keep their digits."""
    if usual_extent(some_of(centered)) * _FAR >= 1.0:
        return None
    sample = some_of(X)
    origin = np.median(sample, axis=0).astype(np.float64)
    reach = _FAR * usual_extent(sample - origin)
    return None if reach == 0.0 else (origin - reach, origin + reach)


def some_of(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """About a thousand of the rows, evenly spaced."""
    return X[:: max(1, len(X) // _SAMPLE_ROWS)]


def usual_extent(deviations: NDArray[np.floating]) -> float:
    """Where all but a hundredth of samples end."""
    return float(np.quantile(np.abs(deviations).max(axis=1), 0.99, method="higher"))


def _share_of_distances(screen: NDArray[np.float32], coordinates: NDArray[np.float32]) -> float:
    """Median share of a squared distance that the coordinates hold."""
    squares = row_norms(np.diff(some_of(screen), axis=0), squared=True)
    held = row_norms(np.diff(some_of(coordinates), axis=0), squared=True)
    apart = squares > 0.0
    return float(np.median(held[apart] / squares[apart])) if apart.any() else 1.0


def _by_scikit_learn(
    X: Any,
    n_neighbors: int,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    n_threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    if metric == "precomputed" and sparse.issparse(X):
        check_graph(X, n_neighbors)
    search = NearestNeighbors(
        n_neighbors=n_neighbors + 1,
        metric=metric,
        metric_params=metric_params,
        # A function of the user's need not obey the inequality that trees rely on.
        algorithm="brute" if callable(metric) else "auto",
    )
    search.fit(X)
    # How scikit-learn breaks ties and rounds depends on how many rows it works on at once, so
    # threads share blocks of rows that do not depend on their number. Its ball tree has one work
    # buffer for this metric, which threads must not share.
    n_threads = 1 if metric == "mahalanobis" else n_threads
    controller = ThreadpoolController().select(user_api="openmp")

    def neighbors_of(start: int) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        rows = np.arange(start, min(start + _BLOCK_ROWS, X.shape[0]))
        if callable(metric):
            return _block_neighbors(search, X, rows)
        with controller.limit(limits=1):  # holds for the thread that sets it
            return _block_neighbors(search, X, rows)

    with ExitStack() as limits:
        if not callable(metric):
            limits.enter_context(single_threaded_blas())
        blocks = in_threads(neighbors_of, range(0, X.shape[0], _BLOCK_ROWS), n_threads)
    indices, distances = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return indices.astype(np.int32), squared(distances)


def _block_neighbors(
    search: NearestNeighbors, X: Any, rows: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Neighbours of a block of rows; the samples themselves, searched as well, left out."""
    distances, indices = search.kneighbors(X[rows[0] : rows[-1] + 1])
    own = indices == rows[:, None]
    # Where many points coincide, the sample itself need not be among those found.
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), indices.shape[1] - 1)
    return indices[~own].reshape(shape), distances[~own].reshape(shape)


def pairwise_squared_distances(X: Any, *, n_threads: int = 1) -> NDArray[np.float64]:
    """Squared Euclidean distances of all pairs of samples, dense or sparse."""
    if sparse.issparse(X):
        X = X.tocsr().astype(np.float64, copy=False)
    else:
        # Products of values near the origin: a common offset cancels before they round.
        X = X - np.median(X, axis=0).astype(np.float64)
    norms = row_norms(X, squared=True)
    distances = np.empty((X.shape[0], X.shape[0]))

    def fill(rows: slice) -> None:
        distances[rows] = euclidean_distances(
            X[rows], X, squared=True, X_norm_squared=norms[rows], Y_norm_squared=norms
        )

    # Blocks, so that Ctrl-C need not wait for the whole.
    blocks = (slice(start, start + _DENSE_ROWS) for start in range(0, X.shape[0], _DENSE_ROWS))
    with single_threaded_blas():
        in_threads(fill, blocks, n_threads)
    return distances


def as_metric_takes(X: Any, metric: Metric) -> Any:
    """Make dense samples boolean where the metric is of such: scikit-learn warns at every call."""
    boolean = metric in PAIRWISE_BOOLEAN_FUNCTIONS and not sparse.issparse(X)
    return X.astype(bool) if boolean else X


def squared(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Square distances of any metric in double precision, and refuse those that are none."""
    if np.isnan(distances).any():
        raise ValueError("The metric gave NaN for some distances; check metric and metric_params")
    if (distances < 0).any():
        raise ValueError(
            "All distances should be positive, the metric given is not correct: check metric"
        )
    with np.errstate(over="ignore"):
        squares = distances.astype(np.float64) ** 2
    if not np.isfinite(squares).all():
        raise ValueError(
            "The metric gave distances that are infinite or too large to square; rescale X"
        )
    return squares


def check_graph(graph: Any, n_neighbors: int) -> None:
    """Refuse a precomputed graph with too few neighbours in a row, or with the same one twice."""
    graph = graph.tocsr()
    fewest = np.diff(graph.indptr).min()
    if fewest <= n_neighbors:
        raise ValueError(
            f"{n_neighbors + 1} neighbors per samples are required, but some samples have only "
            f"{fewest} neighbors in the precomputed graph X, themselves included. Lower perplexity "
            "or make the graph with more neighbors."
        )
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    order = np.lexsort((graph.indices, rows))
    columns = graph.indices[order]
    twice = np.flatnonzero((columns[1:] == columns[:-1]) & (rows[1:] == rows[:-1]))
    if len(twice):
        raise ValueError(
            f"X, the precomputed neighbour graph, has duplicate entries in row {rows[twice[0]]}; "
            "store each neighbour once (X.sum_duplicates() adds them up)"
        )


def check_sparse_indices(X: Any) -> Any:
    """Refuse a sparse matrix whose indices lead out of it, which C code would follow.

    Returns it in a format whose indices could be checked.
    """
    if X.format not in ("csr", "csc", "bsr", "coo"):
        X = X.tocsr()
    if X.format in ("csr", "csc", "bsr"):
        n_minor = X.shape[0 if X.format == "csc" else 1] // (
            X.blocksize[1] if X.format == "bsr" else 1
        )
        pointers, places = X.indptr, [(X.indices, n_minor)]
        sound = pointers[0] == 0 and (np.diff(pointers) >= 0).all() and pointers[-1] <= len(X.data)
        if not sound:
            raise ValueError("X is a malformed sparse matrix: indptr must ascend from 0 to X.nnz")
    else:
        places = [(X.row, X.shape[0]), (X.col, X.shape[1])]
    for indices, size in places:
        if len(indices) and not (indices.min() >= 0 and indices.max() < size):
            raise ValueError(
                f"X is a malformed sparse matrix: indices must lie in 0 .. {size - 1}, found "
                f"{indices.min()} .. {indices.max()}"
            )
    return X


def without_duplicates(X: Any) -> Any:
    """Sum up entries of one place: scikit-learn would square them one by one."""
    if not sparse.issparse(X) or X.format not in ("csr", "csc") or X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X
