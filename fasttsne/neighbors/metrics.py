"""A metric -> how its distances and neighbours are computed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import PAIRWISE_BOOLEAN_FUNCTIONS, euclidean_distances
from sklearn.neighbors import VALID_METRICS, VALID_METRICS_SPARSE, NearestNeighbors
from sklearn.utils import check_array
from sklearn.utils.extmath import row_norms
from threadpoolctl import ThreadpoolController

from fasttsne.runtime.numbers import plain, with_plain_numbers
from fasttsne.runtime.threads import in_threads, single_threaded_blas
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import check_readable
from fasttsne.samples.scaling import ANGULAR

Array = TypeVar("Array", bound=NDArray[Any])
Metric = str | Callable[..., float]
SearchMethod = Literal["auto", "exact", "approximate"]

# k nearest neighbours of some rows: int32 indices and float64 squared distances, nearest first.
Found = tuple[NDArray[np.int32], NDArray[np.float64]]

# The names that `metric` accepts.
METRICS = set().union(*VALID_METRICS.values()) - {"pyfunc"} | {"precomputed"}

# Some searches of scikit-learn know a metric by one name only.
_SYNONYMS = {"p": "minkowski", "infinity": "chebyshev", "sokalmichener": "rogerstanimoto"}
_SYNONYMS |= {"nan_euclidean": "euclidean"}  # no sample has NaN
_MINKOWSKI = {1.0: "manhattan", 2.0: "euclidean", np.inf: "chebyshev"}

# What `metric_params` may name. scikit-learn ignores others in some searches.
_PARAMETERS = {"minkowski": ("p", "w"), "seuclidean": ("V",), "mahalanobis": ("V", "VI")}

# Trees find the nearest by these. Others break the triangle inequality, which trees rely on.
_IN_TREES = frozenset(VALID_METRICS["kd_tree"]) | {
    *("seuclidean", "mahalanobis", "hamming", "canberra", "haversine")
}

# 0 / 0 between two rows of zeros.
NOT_OF_ZEROS = ("braycurtis", "dice", "sokalsneath")

# Squares of larger values overflow double precision.
LARGEST_VALUE = 1e150

# Rows of a matrix of all distances that are computed at once, so that Ctrl-C need not wait long.
_DENSE_ROWS = 256


def complete_metric(
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    X: Any,
    counts: NDArray[np.float64] | None = None,
) -> tuple[Metric, Mapping[str, Any] | None]:
    """Return a metric's name and parameters as every search takes them, or raise ValueError.

    Variances that are not given are those of `X`, whose rows count `counts` times.
    """
    if not isinstance(metric_params, Mapping | None):
        raise TypeError(f"metric_params must be a dict or None, got {metric_params!r}")
    if callable(metric) or metric == "precomputed":
        return metric, metric_params
    if not isinstance(metric, str) or metric not in METRICS:
        hint = "; P itself is for TSNE(affinity='precomputed')" if "affin" in str(metric) else ""
        raise ValueError(f"metric={metric!r} must be one of {sorted(METRICS)}{hint}")
    name = _SYNONYMS.get(metric, metric)
    given = {key: value for key, value in (metric_params or {}).items() if value is not None}
    known = _PARAMETERS.get(name, ())
    if not {*given} <= {*known}:
        raise ValueError(
            f"metric={metric!r} takes metric_params of {[*known]}, got {sorted(given)}"
        )
    p = plain(given.pop("p", 2))
    if not (isinstance(p, int | float) and p > 0 and (p < np.inf or not given)):
        raise ValueError(
            f"metric={metric!r} takes p greater than 0 in metric_params, finite beside w; got {p!r}"
        )
    if "VI" in given:
        given.pop("V", None)
    params: dict[str, Any] = {
        key: _checked_parameter(name, key, value, X) for key, value in given.items()
    }
    if name == "minkowski" and not params:
        name = _MINKOWSKI.get(p, name)
    if name == "minkowski":
        params["p"] = p
    if sparse.issparse(X):
        if name not in VALID_METRICS_SPARSE["brute"]:
            raise ValueError(f"metric={metric!r} takes no sparse X; pass X.toarray()")
    elif name in NOT_OF_ZEROS and np.count_nonzero(~X.any(axis=1)) > 1:
        raise ValueError(f"metric={metric!r} is undefined between rows of zeros; leave these out")
    elif name == "correlation":
        check_not_constant(X)
    elif name == "braycurtis" and X.min() < 0:  # scikit-learn has two definitions for these
        raise ValueError(f"metric={metric!r} takes no negative values in X")
    elif name == "haversine" and X.shape[1] != 2:
        raise ValueError(f"metric={metric!r} takes X of 2 features, latitude and longitude")
    if name == "seuclidean" and not params:
        n = X.shape[0] if counts is None else counts.sum()
        deviations = X - np.average(X.astype(np.float64), axis=0, weights=counts)
        V = np.average(deviations**2, axis=0, weights=counts) * (n / (n - 1.0))
        params["V"] = np.where(V > 0.0, V, 1.0)
    if name == "mahalanobis" and "VI" not in params:
        if not params:
            raise ValueError(
                "Must provide either V or VI for Mahalanobis distance: metric_params={'V': ...}, "
                "such as np.cov(X.T)"
            )
        if np.linalg.matrix_rank(params["V"]) < X.shape[1]:
            raise ValueError(
                "metric='mahalanobis' needs V of all features with an inverse; drop constant and "
                "dependent columns of X, or give metric_params={'VI': ...}"
            )
        params["VI"] = np.linalg.inv(params.pop("V"))
    return name, params or None


def _checked_parameter(metric: str, key: str, value: Any, X: Any) -> NDArray[np.float64]:
    """Return an array of `metric_params`; scikit-learn checks it in some searches only."""
    array = as_array(value, f"metric_params[{key!r}]")
    shape = X.shape[1:] * (2 if metric == "mahalanobis" else 1)
    sign = {"seuclidean": " above 0", "minkowski": " of at least 0"}.get(metric, "")
    fits = array.shape == shape and array.dtype.kind in "fiub" and np.isfinite(array).all()
    if not fits or (sign and array.min() < 0) or (metric == "seuclidean" and not array.all()):
        raise ValueError(
            f"metric={metric!r} takes {key} of shape {shape} in metric_params, finite numbers"
            f"{sign}; got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.float64)


def checked_rows(X: Any, order: str | None = None) -> Any:
    """Return samples of any container as floats in memory that kernels can read."""
    kinds: Any = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "input_name": "X"}
    return check_array(check_readable(X), order=order, **kinds)


def kernel_of(X: Any, metric: Metric, metric_params: Any, method: str) -> str | None:
    """Return which of our kernels searches: "points", "directions", "sparse", "bits" or None.

    None is for scikit-learn. Directions are of rows that are not zero: the angle to a zero vector
    is a convention, and scikit-learn's holds. Raises ValueError for an impossible search method.
    """
    is_dense = not sparse.issparse(X)
    if is_dense and metric == "euclidean" and not metric_params:
        return "points"
    if is_dense and metric in ANGULAR and not metric_params:
        return "directions" if metric == "correlation" or X.any(axis=1).all() else None
    if method == "approximate":
        raise ValueError(
            "neighbors='approximate' needs dense X, metric='euclidean', 'cosine' or "
            "'correlation' and no metric_params; use neighbors='auto' or 'exact'"
        )
    if not is_dense and metric in ("euclidean", "cosine") and not metric_params:
        return "sparse"
    if metric == "jaccard" or (metric == "hamming" and ((X == 0) | (X == 1)).all()):
        return "bits"
    return None


def checked_points(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return `X` as the kernels take it; raise ValueError where squares of values overflow."""
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    check_magnitude(X)
    return np.require(X, requirements=["C", "A"])


def check_magnitude(values: NDArray[np.floating]) -> None:
    """Raise ValueError where squares of values overflow."""
    if values.size and not max(abs(float(values.max())), abs(float(values.min()))) <= LARGEST_VALUE:
        raise ValueError(
            f"X has NaN, or values of magnitude above {LARGEST_VALUE:g}, whose squared distances "
            "overflow; remove NaN, or rescale X, which does not change the map"
        )


def directions_of(X: NDArray[np.floating], metric: Metric = "cosine") -> NDArray[np.float64]:
    """Return rows divided by their lengths, for "correlation" less their means; zeros stay.

    The cosine or correlation distance of two rows is half the squared distance of these.
    """
    if metric == "correlation":
        check_not_constant(X)
    # Each row is summed alone, so that it has the same bits in any batch.
    rows: NDArray[np.float64] = X.astype(np.float64, order="C")
    # Scaled by powers of two, which round nothing, no square is too large or too small.
    _, exponents = np.frexp(np.abs(rows).max(axis=1))
    np.ldexp(rows, -exponents[:, None], out=rows)
    if metric == "correlation":
        rows -= rows.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(rows).sum(axis=1))
    rows /= np.where(norms == 0.0, 1.0, norms)[:, None]
    return rows


def check_not_constant(X: NDArray[np.floating], first_row: int = 0) -> None:
    """Raise ValueError where a correlation is undefined; SciPy may return any number for it."""
    constant = X.min(axis=1) == X.max(axis=1)
    if constant.any():
        raise ValueError(
            "metric='correlation' is undefined for rows whose values are all equal, such as row "
            f"{first_row + constant.argmax()}; leave these out"
        )


def checked_distances(distances: Array) -> Array:
    """Return distances, or raise ValueError if some are NaN, infinite or negative."""
    if not np.isfinite(distances).all():
        raise ValueError(
            "The metric gave distances that are NaN or infinite; check metric, metric_params and "
            "the scale of X"
        )
    if (distances < 0).any():
        raise ValueError(
            "All distances should be positive, the metric given is not correct: check metric, and "
            "X if precomputed"
        )
    return distances


def squared(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return squares in double precision; raise ValueError for NaN, negative or huge values."""
    with np.errstate(over="ignore"):
        squares: NDArray[np.float64] = checked_distances(distances).astype(np.float64) ** 2
    if np.isinf(squares).any():
        raise ValueError("The metric gave distances that are too large to square; rescale X")
    return squares


def as_metric_takes(X: Any, metric: Metric) -> Any:
    """Return boolean samples for boolean metrics: scikit-learn warns at every conversion."""
    boolean = not callable(metric) and metric in PAIRWISE_BOOLEAN_FUNCTIONS
    return X.astype(bool) if boolean and not sparse.issparse(X) else X


def on_copies(metric: Metric) -> Metric:
    """Return the metric; a user's function gets copies of samples, in case it writes into them."""
    return partial(_on_copies, metric) if callable(metric) else metric


def _on_copies(metric: Callable[..., float], a: Any, b: Any, **params: Any) -> float:
    return metric(a.copy(), b.copy(), **params)


class ScikitLearnSearch:
    """Neighbours by scikit-learn: any metric, dense or sparse samples, precomputed distances.

    Parameters are those of `nearest_neighbors`. Rows are searched in blocks whose size does not
    depend on the number of threads: how scikit-learn rounds and breaks ties depends on how many
    rows it gets at once.
    """

    def __init__(
        self, X: Any, n_neighbors: int, metric: Metric, metric_params: Mapping[str, Any] | None
    ) -> None:
        self.metric = metric
        params = dict(metric_params or {})
        p = params.pop("p", 2) if metric == "minkowski" else 2
        self.search = NearestNeighbors(
            n_neighbors=n_neighbors,
            metric=on_copies(metric),
            p=p,
            metric_params=params or None,
            algorithm="auto" if metric in _IN_TREES and 1 <= p < np.inf else "brute",
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mind that for 0 < p < 1", UserWarning)
            self.search.fit(as_metric_takes(X, metric))

    def query(
        self, X: Any, block_rows: int, *, one_by_one: bool, n_threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
        """Return indices and distances; with `one_by_one` no row depends on the others."""
        X = as_metric_takes(X, self.metric)
        controller = ThreadpoolController().select(user_api="openmp")

        def block_from(first: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
            stop = min(first + block_rows, X.shape[0])
            step = 1 if one_by_one else block_rows
            # The limit holds for the thread that sets it. In a forked child several threads of
            # OpenMP would hang.
            with nullcontext() if callable(self.metric) else controller.limit(limits=1):
                return [self.search.kneighbors(X[i : i + step]) for i in range(first, stop, step)]

        # scikit-learn's ball tree shares one work buffer among threads for this metric.
        n_threads = 1 if self.metric == "mahalanobis" else n_threads
        with nullcontext() if callable(self.metric) else single_threaded_blas():
            blocks = in_threads(block_from, range(0, X.shape[0], block_rows), n_threads)
        distances, indices = (
            np.concatenate(parts)
            for parts in zip(*(found for block in blocks for found in block), strict=True)
        )
        return indices.astype(np.int32), distances


@with_plain_numbers
def pairwise_squared_distances(
    X: Any,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    n_threads: int = 1,
) -> NDArray[np.float64]:
    """Return the squared distances of all pairs of samples.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        Samples, or with ``metric="precomputed"`` their distances.
    metric : str or callable, default="euclidean"
        Any metric of `sklearn.metrics.pairwise_distances`, or "precomputed".
    metric_params : dict, default=None
        Further arguments of the metric.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    squared_distances : ndarray of float64, shape (n_samples, n_samples)
        Squares of the distances, for every metric.

    Raises
    ------
    ValueError
        If a distance is negative, NaN or too large to square.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.neighbors import pairwise_squared_distances
    >>> pairwise_squared_distances(np.array([[0.0], [3.0]]))
    array([[0., 9.],
           [9., 0.]])
    """
    if metric == "precomputed":
        distances = as_array(X, "X").astype(np.float64)
        np.fill_diagonal(distances, 0.0)  # not read, so never a reason for an error
        return squared(distances)
    X = checked_rows(X)
    metric, metric_params = complete_metric(metric, metric_params, X)
    if metric == "euclidean" and not metric_params:
        return _squared_euclidean_distances(X, n_threads)
    X = as_metric_takes(X, metric)
    with nullcontext() if callable(metric) else single_threaded_blas():
        # On one thread: cut into slices, some metrics round differently.
        return squared(pairwise_distances(X, metric=on_copies(metric), **(metric_params or {})))


def _squared_euclidean_distances(X: Any, n_threads: int) -> NDArray[np.float64]:
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

    blocks = (slice(start, start + _DENSE_ROWS) for start in range(0, X.shape[0], _DENSE_ROWS))
    with single_threaded_blas():
        in_threads(fill, blocks, n_threads)
    return distances
