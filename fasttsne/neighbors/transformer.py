"""NeighborsTransformer: our search behind the interface of scikit-learn's KNeighborsTransformer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fasttsne.neighbors.index import NeighborIndex, neighbor_index
from fasttsne.neighbors.metrics import METRICS, Found, Metric
from fasttsne.neighbors.screen import RECALL_OF_GRAPHS
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.runtime.numbers import plain, with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import check_new_samples, check_samples
from fasttsne.samples.scaling import ANGULAR


class NeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Samples to the sparse graph of their k nearest neighbours.

    Takes the place of `sklearn.neighbors.KNeighborsTransformer` wherever one is accepted: in front
    of scikit-learn's estimators with ``metric="precomputed"``, in
    ``scanpy.pp.neighbors(transformer=...)`` and in ``TSNE(neighbors=...)``.

    Parameters
    ----------
    n_neighbors : int, default=5
        k, less than n_samples. As in scikit-learn, rows have k + 1 entries in mode "distance", the
        sample itself and k others, and k entries in mode "connectivity", the sample itself
        included.
    mode : {"distance", "connectivity"}, default="distance"
        Stored entries are distances, or 1.
    metric : str or callable, default="euclidean"
        As in `TSNE`. With "precomputed" `X` has distances.
    metric_params : dict, default=None
        Further arguments of the metric, such as ``{"p": 3}`` of "minkowski".
    method : {"auto", "exact", "approximate"}, default="auto"
        As in `fasttsne.neighbors.nearest_neighbors`: "approximate" finds about 0.99 of the
        neighbours, with exact distances; "auto" uses it where an exact search would be slow.
    n_jobs : int or None, default=None
        Number of threads, as in `TSNE`. The result does not depend on it, bit for bit.

    Attributes
    ----------
    n_samples_fit_ : int
        Number of samples of the fit.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.

    Raises
    ------
    ValueError
        If a parameter or the data are invalid; the message names the parameter.

    See Also
    --------
    fasttsne.neighbors.nearest_neighbors : The same search as a function.
    sklearn.neighbors.KNeighborsTransformer : The same interface, always exact.

    Notes
    -----
    In graphs of `fit_transform` a row begins with the sample itself at distance 0, also where
    others coincide with it. `transform` searches for each row in an index of the samples of the
    fit, independent of the other rows, and gives equal distances in the order of the samples. The
    index is made at its first use and kept. Until then the estimator has only a reference to `X`
    if that is an array of floats, and otherwise a copy; do not change that array.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.manifold import Isomap
    >>> from sklearn.pipeline import make_pipeline
    >>> from fasttsne.neighbors import NeighborsTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> graph = NeighborsTransformer(n_neighbors=15).fit_transform(X)
    >>> graph.shape, graph.nnz // len(X)
    ((1797, 1797), 16)
    >>> isomap = make_pipeline(
    ...     NeighborsTransformer(n_neighbors=15), Isomap(n_neighbors=15, metric="precomputed")
    ... )
    >>> isomap.fit_transform(X[:500]).shape
    (500, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "mode": [StrOptions({"distance", "connectivity"})],
        "metric": [StrOptions(METRICS), callable],
        "metric_params": [dict, None],
        "method": [StrOptions({"auto", "exact", "approximate"})],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        mode: str = "distance",
        metric: Metric = "euclidean",
        metric_params: dict[str, Any] | None = None,
        method: str = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.metric = metric
        self.metric_params = metric_params
        self.method = method
        self.n_jobs = n_jobs

    # The metric is checked where it is used.
    @with_plain_numbers
    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: None = None) -> NeighborsTransformer:
        """Keep samples for later searches among them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, at least two. With ``metric="precomputed"`` their distances, (n_samples,
            n_samples), dense or a sparse graph.
        y : None
            Ignored.

        Returns
        -------
        self : NeighborsTransformer
            The fitted estimator.
        """
        X, exponent = check_samples(X, metric=self.metric, estimator=self)
        self.n_samples_fit_ = X.shape[0]
        self._searched = _Searched(X, exponent, self.metric, self.metric_params, self.method)
        return self

    def fit_transform(self, X: Any, y: None = None) -> sparse.csr_matrix:
        """Return the graph of the samples `X`, and keep them as `fit` does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            As for `fit`.
        y : None
            Ignored.

        Returns
        -------
        graph : csr_matrix of float64, shape (n_samples, n_samples)
            Rows begin with the sample itself; the others follow by distance.
        """
        self.fit(X)
        k = self.n_neighbors - (self.mode == "connectivity")
        n_samples = self.n_samples_fit_
        indices, distances = np.empty((n_samples, 0), np.int32), np.empty((n_samples, 0))
        if k > 0:
            indices, distances = self._searched.others(k, effective_n_threads(self.n_jobs))
        itself = np.arange(n_samples, dtype=np.int32)[:, None]
        return _graph(
            np.hstack([itself, indices]),
            np.hstack([np.zeros((n_samples, 1)), distances]),
            n_samples,
            self.mode,
        )

    def transform(self, X: Any) -> sparse.csr_matrix:
        """Return the graph from new samples to those of the fit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features)
            New samples. With ``metric="precomputed"`` their distances to the samples of the fit,
            (n_new, n_samples_fit).

        Returns
        -------
        graph : csr_matrix of float64, shape (n_new, n_samples_fit)
            The nearest samples first, k + 1 in mode "distance" and k in mode "connectivity".

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        """
        check_is_fitted(self, "n_samples_fit_")
        has_more = self.mode == "distance"
        k = self._checked(self.n_neighbors, self.n_samples_fit_ - has_more)
        return self.kneighbors_graph(X, k + has_more, self.mode)

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the k nearest samples of the fit, as scikit-learn's `kneighbors` does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features), default=None
            New samples. None searches for every sample of the fit among the others.
        n_neighbors : int, default=None
            k; None is `n_neighbors` of the estimator.
        return_distance : bool, default=True
            Also return `distances`, before `indices`.

        Returns
        -------
        distances : ndarray of float64, shape (n_new, n_neighbors)
            Their distances, the nearest first.
        indices : ndarray of int32, shape (n_new, n_neighbors)
            The neighbours.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If there are fewer samples than neighbours wanted.

        Examples
        --------
        >>> import numpy as np
        >>> from fasttsne.neighbors import NeighborsTransformer
        >>> search = NeighborsTransformer(n_neighbors=2).fit([[0.0], [1.0], [3.0], [7.0]])
        >>> search.kneighbors([[1.25]])
        (array([[0.25, 1.25]]), array([[1, 0]], dtype=int32))
        """
        check_is_fitted(self, "n_samples_fit_")
        known, n_threads = self._searched, effective_n_threads(self.n_jobs)
        n_neighbors = self.n_neighbors if n_neighbors is None else n_neighbors
        k = self._checked(n_neighbors, self.n_samples_fit_ - (X is None))
        if X is None:
            indices, distances = known.others(k, n_threads)
        else:
            n_columns = self.n_samples_fit_ if known.X_of_index is None else known.X.shape[1]
            X = check_new_samples(X, known.X_of_index, n_columns, known.exponent, estimator=self)
            indices, distances = known.nearest(X, k, n_threads)
        return (distances, indices) if return_distance else indices

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """Return the neighbours of `kneighbors` as a graph, as scikit-learn's method does.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features), default=None
            As for `kneighbors`.
        n_neighbors : int, default=None
            As for `kneighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Stored entries are 1, or distances.

        Returns
        -------
        graph : csr_matrix of float64, shape (n_new, n_samples_fit)
            The graph, the nearest first in every row.
        """
        if mode not in ("connectivity", "distance"):
            raise ValueError(f"mode={mode!r} must be 'connectivity' or 'distance'")
        distances, indices = self.kneighbors(X, n_neighbors)
        return _graph(indices, distances, self.n_samples_fit_, mode)

    def _checked(self, n_neighbors: Any, most: int) -> int:
        """Return a number of neighbours, or raise ValueError if it is not in 1 .. `most`."""
        k = plain(n_neighbors)
        if not (isinstance(k, int) and 1 <= k <= most):
            raise ValueError(
                f"n_neighbors={k!r} must be an integer in 1 .. {most} for these samples"
            )
        return k

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        distances = isinstance(self.metric, str) and self.metric == "precomputed"
        tags.input_tags.pairwise = tags.input_tags.positive_only = distances
        tags.input_tags.sparse = True
        return tags


def _graph(
    indices: NDArray[np.int32], distances: NDArray[np.float64], n_columns: int, mode: str
) -> sparse.csr_matrix:
    n_rows, k = indices.shape
    values = distances.ravel() if mode == "distance" else np.ones(indices.size)
    pointers = np.arange(0, indices.size + 1, k)
    return sparse.csr_matrix((values, indices.ravel(), pointers), shape=(n_rows, n_columns))


@dataclass(eq=False, repr=False)
class _Searched:
    """The samples of a fit, how they are searched, and the index of the last k, once it is made."""

    X: Any  # the user's times 2**-exponent
    exponent: int
    metric: Metric
    metric_params: Mapping[str, Any] | None
    method: Any
    _index: tuple[int, NeighborIndex] | None = field(default=None, init=False)

    @property
    def X_of_index(self) -> Any:
        """The samples, or None where queries are distances."""
        return None if isinstance(self.metric, str) and self.metric == "precomputed" else self.X

    @property
    def _how(self) -> dict[str, Any]:
        how = {"metric": self.metric, "metric_params": self.metric_params}
        return {**how, "method": self.method, "recall": RECALL_OF_GRAPHS}

    def others(self, k: int, n_threads: int) -> Found:
        """Return the k nearest others of every sample, and their distances."""
        found = squared_neighbors(self.X, k, **self._how, n_threads=n_threads)
        return self._in_users_unit(*found)

    def nearest(self, X: Any, k: int, n_threads: int) -> Found:
        """Return the k samples nearest to each of `X`, and their distances."""
        kept = self._index
        if kept is None or kept[0] != k:
            index = neighbor_index(self.X_of_index, k, **self._how, n_threads=n_threads)
            kept = self._index = k, index
        return self._in_users_unit(*kept[1].squares(X, n_threads=n_threads))

    def _in_users_unit(self, indices: NDArray[np.int32], squares: NDArray[np.float64]) -> Found:
        exponent = 0 if self.metric in ANGULAR else self.exponent
        distances = np.sqrt(squares, out=squares)
        return indices, np.ldexp(distances, exponent) if exponent else distances
