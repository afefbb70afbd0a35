"""The estimator for large data: `fasttsne.TSNE` fits landmarks, `transform` places all others."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import dask.array as da
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, StrOptions

import fasttsne.tsne
from fasttsne.affinity import AffinityParameters
from fasttsne.dask.blocks import Rows, as_rows
from fasttsne.dask.landmarks import draw_landmarks
from fasttsne.dask.transform import place, transform
from fasttsne.dask.workers import check_workers_hold
from fasttsne.descent.loop import Callback
from fasttsne.neighbors.metrics import Metric
from fasttsne.runtime.random_state import Seed
from fasttsne.samples.labels import class_codes

# What a worker receives per landmark, in rows of the data: the samples and the index for the
# search. And in bytes: the map.
_ROWS_PER_LANDMARK = 2.5
_BYTES_PER_LANDMARK = 64


class TSNE(ClassNamePrefixFeaturesOutMixin, BaseEstimator):
    """t-SNE of more samples than fit into memory: a map of landmarks, all others placed on it.

    A seeded sample of the rows, the landmarks, is fitted by `fasttsne.TSNE` in the calling process.
    Dask's workers place every other row, block by block, by `fasttsne.TSNE.transform`. The place of
    a row depends on no other row. So the map is the same, bit for bit, for threads, processes, any
    number of workers and any blocks. Between processor models the last bits may differ.

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the map.
    landmarks : int, default=200_000
        Number of rows that are fitted, at least 2. If there are no more rows, all are fitted as by
        `fasttsne.TSNE`, with a warning.
    landmark_selection : {"uniform", "density"}, default="uniform"
        How landmarks are drawn. "uniform": every row is equally likely. "density": evenly over the
        cells of k-means by Euclidean distances, whatever the metric, so that rare groups keep
        enough landmarks. "density" reads `X` once more, for a sample on which cells are found.
    perplexity, early_exaggeration, learning_rate, max_iter, n_iter_without_progress
    min_grad_norm, metric, metric_params, init, verbose, random_state, method, angle, n_jobs
    degrees_of_freedom, neighbors, affinity, sigma, n_neighbors, label_weight
    early_exaggeration_iter, exaggeration, density, warm_start, callback, callback_every, progress
    kl_per_sample
        See :class:`fasttsne.TSNE`, which fits the landmarks: `perplexity` counts landmarks, and an
        `init` array has one row per landmark. Distances or affinities must not be precomputed.
        `random_state` also draws the landmarks. `n_jobs`, if not None, also limits the threads of
        each process that places blocks. `warm_start` has no effect.

    Attributes
    ----------
    estimator_ : fasttsne.TSNE
        The model of the landmarks; its `embedding_` is their map. It can be pickled, and
        `fasttsne.dask.transform` or its own `transform` places more samples.
    landmark_rows_ : ndarray of int64, shape (n_landmarks,)
        Row numbers of the landmarks in `X`, ascending.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` is a frame whose column names are all strings.

    See Also
    --------
    fasttsne.TSNE : A map of all rows, in memory.
    fasttsne.dask.transform : Place rows on a fitted map.

    Notes
    -----
    `X` is read once for the landmarks, when every block is also checked for NaN and infinity, and
    once more when the map is computed. No process holds all of `X`: the calling process holds the
    landmarks, a worker the model and one block per thread.

    The method is that of [1]_: embed a part of the data, and place the rest on this map.

    References
    ----------
    .. [1] P. G. Poličar, M. Stražar, B. Zupan (2023). Embedding to reference t-SNE space addresses
       batch effects in single-cell classification. Machine Learning 112, 721-740.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_digits
    >>> from fasttsne.dask import TSNE
    >>> X, _ = load_digits(return_X_y=True)
    >>> blocks = da.from_array(X, chunks=(500, 64))
    >>> placed = TSNE(landmarks=600, random_state=0).fit_transform(blocks)
    >>> placed
    dask.array<..., shape=(1797, 2), dtype=float32, chunksize=(500, 2), chunktype=numpy.ndarray>
    >>> placed.compute().shape
    (1797, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        **fasttsne.tsne.TSNE._parameter_constraints,
        "landmarks": [Interval(Integral, 2, None, closed="left")],
        "landmark_selection": [StrOptions({"uniform", "density"})],
        "max_iter": [Interval(Integral, 250, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        landmarks: int = 200_000,
        landmark_selection: str = "uniform",
        perplexity: float | str | Sequence[float] = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Metric = "euclidean",
        metric_params: dict[str, Any] | None = None,
        init: str | NDArray[Any] = "pca",
        verbose: int = 0,
        random_state: Seed = None,
        method: str = "barnes_hut",
        angle: float = 0.5,
        n_jobs: int | None = None,
        degrees_of_freedom: float | str | None = None,
        neighbors: str | tuple[ArrayLike, ArrayLike] = "auto",
        affinity: str = "gaussian",
        sigma: float | None = None,
        n_neighbors: int | None = None,
        label_weight: float = 0.0,
        early_exaggeration_iter: int | None = None,
        exaggeration: float | Sequence[tuple[int, float]] = 1.0,
        density: float = 0.0,
        warm_start: bool = False,
        callback: Callback | None = None,
        callback_every: int = 50,
        progress: bool = False,
        kl_per_sample: bool = False,
    ) -> None:
        self.n_components = n_components
        self.landmarks = landmarks
        self.landmark_selection = landmark_selection
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.verbose = verbose
        self.random_state = random_state
        self.method = method
        self.angle = angle
        self.n_jobs = n_jobs
        self.degrees_of_freedom = degrees_of_freedom
        self.neighbors = neighbors
        self.affinity = affinity
        self.sigma = sigma
        self.n_neighbors = n_neighbors
        self.label_weight = label_weight
        self.early_exaggeration_iter = early_exaggeration_iter
        self.exaggeration = exaggeration
        self.density = density
        self.warm_start = warm_start
        self.callback = callback
        self.callback_every = callback_every
        self.progress = progress
        self.kl_per_sample = kl_per_sample

    def fit(self, X: Any, y: Any = None) -> TSNE:
        """Draw landmarks from `X` and fit their map; see `fit_transform`.

        Returns
        -------
        self : TSNE
            The fitted estimator. No other row is placed.
        """
        self._fit(as_rows(X), y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Draw landmarks from `X`, fit their map, and place all other rows on it.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
            Samples, (n_samples, n_features). The blocks of an array may be dense or SciPy sparse
            matrices; its chunk sizes must be known, and chunks along columns are joined. For a
            frame the lengths of its parts, and for delayed blocks their shapes, are computed first;
            arrays from `dask.array.from_delayed` save this.
        y : array-like or dask.array.Array of shape (n_samples,), default=None
            Class labels, for `label_weight`. Only those of the landmarks are used.

        Returns
        -------
        placed : dask.array.Array of float32, shape (n_samples, n_components)
            The map, lazy, in the blocks of `X`. Landmarks have the coordinates of the fit. Compute
            it, or store it block by block. If a distributed client is active, this client must
            compute the result.

        Raises
        ------
        TypeError, ValueError, MemoryError
            See :func:`fasttsne.dask.transform`; ValueError also if a parameter is out of range.
        """
        rows = as_rows(X)
        self._fit(rows, y)
        if len(self.landmark_rows_) == rows.n_samples:
            embedding = self.estimator_.embedding_
            return da.from_array(embedding, chunks=(rows.lengths, embedding.shape[1]))
        return place(self.estimator_, rows, landmarks=self.landmark_rows_)

    def transform(self, X: Any, *, perplexity: float | None = None) -> Any:
        """Place new samples on the fitted map.

        Parameters
        ----------
        X, perplexity
            See :func:`fasttsne.dask.transform`.

        Returns
        -------
        placed : dask.array.Array of float32, shape (n_new, n_components)
            Coordinates of the samples, lazy.
        """
        return transform(self, X, perplexity=perplexity)

    def check(self, X: Any) -> None:
        """Raise the errors that do not depend on the values of `X`; see `fit_transform`."""
        rows = as_rows(X)
        self._validate_params()
        if get_tags(self._estimator_of_landmarks()).input_tags.pairwise:
            raise ValueError(
                f"metric={self.metric!r} and affinity={self.affinity!r}: landmarks require samples,"
                " not distances or affinities between all samples"
            )
        size = min(self.landmarks, rows.n_samples)
        AffinityParameters.of(self).neighborhood(size)
        row = _ROWS_PER_LANDMARK * rows.bytes_of_row + _BYTES_PER_LANDMARK
        check_workers_hold(int(size * row), rows)

    def _fit(self, rows: Rows, y: Any) -> None:
        self.check(rows)
        n_samples = rows.n_samples
        if y is not None and len(y) != n_samples:
            raise ValueError(f"y has {len(y)} labels, but X has {n_samples} rows")
        if self.verbose and self.landmarks < n_samples:
            print(f"[t-SNE] Drawing {self.landmarks} landmarks from {n_samples} rows...")
        numbers, samples = draw_landmarks(
            rows, int(self.landmarks), self.landmark_selection, self.random_state
        )
        if y is not None and self.label_weight > 0.0:
            y = y.compute() if isinstance(y, da.Array) else y
            y = class_codes(y, n_samples, name="y", minus_one_is_missing=True)[numbers]
        self.estimator_ = self._estimator_of_landmarks().fit(samples, y)
        self.landmark_rows_ = numbers
        self.n_features_in_, self._n_features_out = rows.n_features, self.n_components
        self.__dict__.pop("feature_names_in_", None)
        if rows.names is not None:
            self.feature_names_in_ = rows.names

    def _estimator_of_landmarks(self) -> fasttsne.tsne.TSNE:
        params = self.get_params(deep=False) | {"warm_start": False}
        del params["landmarks"], params["landmark_selection"]
        return fasttsne.tsne.TSNE(**params)
