"""The estimator of large data: landmarks are fitted, all other rows are placed among them."""

from __future__ import annotations

import inspect
import warnings
from numbers import Integral
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_scalar

import fasttsne.tsne
from fasttsne.affinity.build import AffinityParameters
from fasttsne.dask.blocks import Rows, as_rows
from fasttsne.dask.landmarks import Landmarks, landmarks_by_density, take, uniform_rows
from fasttsne.dask.memory import check_workers_hold
from fasttsne.dask.transform import place, transform

__all__ = ["TSNE"]

_SELECTIONS = "uniform", "density"
_OWN = inspect.Parameter("landmarks", inspect.Parameter.KEYWORD_ONLY, default=200_000)
_SELECTION = inspect.Parameter(
    "landmark_selection", inspect.Parameter.KEYWORD_ONLY, default="uniform"
)
_PLAIN = inspect.signature(fasttsne.tsne.TSNE).parameters

# How much of a model goes to every worker for a landmark, in rows of the data: the samples, what
# the search for neighbours makes of them, and the place on the map.
_ROWS_OF_LANDMARK = 2.5
_BYTES_OF_LANDMARK = 64


class TSNE(ClassNamePrefixFeaturesOutMixin, BaseEstimator):
    """t-SNE of more samples than fit into memory: a map of landmarks, all others placed on it.

    A seeded sample of the rows, the landmarks, is fitted by `fasttsne.TSNE` in the calling
    process. Every other row goes, block by block on Dask's workers, where `fasttsne.TSNE.transform`
    puts it, which depends on no other row. So the map is the same, to the last bit, for threads,
    processes and any number of workers, however the rows are cut into blocks; between processor
    models the last bits may differ.

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the map.
    landmarks : int, default=200_000
        Number of rows that are fitted. Where there are no more rows than that, all are fitted, as
        `fasttsne.TSNE` would, and a warning says so.
    landmark_selection : {"uniform", "density"}, default="uniform"
        How landmarks are drawn: every row as likely as any other, or evenly over the cells of
        k-means, so that rare groups keep enough of them. The second reads `X` once more,
        for a sample on which cells are found, by Euclidean distances whatever the metric.
    **parameters
        Those of :class:`fasttsne.TSNE`, by the same names and with the same defaults. They go to
        the fit of the landmarks, so that `perplexity` counts landmarks, and an `init` array has a
        row for each. `random_state` is also the source of the drawing. `metric` must be one of
        samples, not "precomputed" or "precomputed_affinity". With `warm_start` a fit still starts
        anew. `n_jobs` is the number of threads of the fit and, where it is a number, of each
        process that places blocks.

    Attributes
    ----------
    estimator_ : fasttsne.TSNE
        Fitted on the landmarks; its `embedding_` is their map. It can be pickled, and
        `fasttsne.dask.transform` or its own `transform` places more samples.
    landmark_rows_ : ndarray of int64, shape (n_landmarks,)
        Which rows of `X` the landmarks are, ascending.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` is a frame whose names are all strings.

    Raises
    ------
    TypeError
        If a parameter is unknown, or `X` is none of the things that it may be.
    ValueError
        If a parameter or the data make no sense; see `fit`.
    MemoryError
        If the memory limit of a worker is too small for the model and a block.

    See Also
    --------
    fasttsne.TSNE : Of all rows, in memory.
    fasttsne.dask.transform : Rows on a map that was fitted anywhere.

    Notes
    -----
    `X` is read once for the landmarks, when every block is also checked for NaN and infinity, and
    once more when the map is computed. It is never gathered in one process: the calling process
    holds the landmarks, a worker a block for each of its threads and the model.

    Landmarks and a map on which to place the rest are due to [1]_.

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

    landmarks: int
    landmark_selection: str

    # What is shown of it; get_params and clone go by that of __init__, below.
    __signature__ = inspect.Signature(
        [
            _PLAIN["n_components"],
            _OWN,
            _SELECTION,
            inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD),
        ]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = inspect.signature(type(self).__init__)
        given = names.bind(self, *args, **kwargs)
        given.apply_defaults()
        for name, value in list(given.arguments.items())[1:]:
            setattr(self, name, value)

    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            _PLAIN["n_components"],
            _OWN,
            _SELECTION,
            *[parameter for name, parameter in _PLAIN.items() if name != "n_components"],
        ]
    )

    def fit(self, X: Any, y: Any = None) -> TSNE:
        """Draw landmarks from `X`, and their map.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
            Samples, (n_samples, n_features). An array is cut into blocks of rows, dense or SciPy
            sparse matrices; chunks along columns are joined, chunks of no rows are skipped, and
            chunk sizes must be known. Of a frame the lengths of the parts are computed first, and
            of delayed blocks the shapes; `dask.array.from_delayed` takes them from who knows them.
        y : array-like or dask.array.Array of shape (n_samples,), default=None
            Labels of classes, for `label_weight`; those of the landmarks are taken.

        Returns
        -------
        self : TSNE
            The fitted estimator. Only the landmarks are computed.

        Raises
        ------
        ValueError
            If `X` has no rows or unknown chunk sizes, if a block has NaN or infinity or is not of
            the type and width that `X` announces (the message names the rows), or if a parameter
            makes no sense.
        """
        self._fit(as_rows(X), y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Draw landmarks from `X` and their map, and place all other rows on it.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
            Samples, as `fit` takes them.
        y : array-like or dask.array.Array of shape (n_samples,), default=None
            Labels of classes, for `label_weight`.

        Returns
        -------
        placed : dask.array.Array of float32, shape (n_samples, n_components)
            The map, lazily, in blocks of the same rows as `X`. Landmarks are where the fit put
            them. Compute it, or store it block by block. Where a distributed client is active, it
            is for that client to compute.
        """
        rows = as_rows(X)
        self._fit(rows, y)
        if len(self.landmark_rows_) == rows.n_samples:
            embedding = self.estimator_.embedding_
            return da.from_array(embedding, chunks=(rows.lengths, embedding.shape[1]))
        return place(self.estimator_, rows, landmarks=self.landmark_rows_)

    def transform(self, X: Any, *, perplexity: float | None = None) -> Any:
        """Place new samples on the map, which stays as it is.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
            Samples, as `fit` takes them.
        perplexity : float or None, default=None
            Effective number of neighbours that decide where a sample goes.

        Returns
        -------
        placed : dask.array.Array of float32, shape (n_new, n_components)
            Places of the samples, lazily; see :func:`fasttsne.dask.transform`.
        """
        return transform(self, X, perplexity=perplexity)

    # ---- What fit is made of -------------------------------------------------------------------

    def _fit(self, rows: Rows, y: Any) -> None:
        plain = self._checked(rows)
        landmarks = self._drawn(rows)
        numbers, n_samples = landmarks.numbers, rows.n_samples
        plain.fit(landmarks.samples, None if y is None else _labels(y, numbers, n_samples))
        self.estimator_, self.landmark_rows_ = plain, numbers
        self.n_features_in_ = rows.n_features
        self.__dict__.pop("feature_names_in_", None)
        if rows.names is not None:
            self.feature_names_in_ = rows.names

    def _checked(self, rows: Rows) -> fasttsne.tsne.TSNE:
        """Make the estimator of the landmarks, and refuse now what would fail after the pass."""
        plain = self._plain()
        size = min(self.landmarks, rows.n_samples)
        AffinityParameters.of(plain).neighborhood(float(size))
        plain._check_max_iter(None)
        check_workers_hold(
            int(size * (_ROWS_OF_LANDMARK * rows.bytes_of_row + _BYTES_OF_LANDMARK)), rows
        )
        return plain

    def _plain(self) -> fasttsne.tsne.TSNE:
        """Make the estimator of the landmarks, and check all parameters."""
        check_scalar(self.landmarks, "landmarks", Integral, min_val=2)
        if self.landmark_selection not in _SELECTIONS:
            raise ValueError(
                "landmark_selection must be 'uniform' or 'density'; got"
                f" {self.landmark_selection!r}"
            )
        plain = fasttsne.tsne.TSNE(**{name: getattr(self, name) for name in _PLAIN})
        plain.set_params(warm_start=False)
        plain._validate_params()
        if plain.metric in ("precomputed", "precomputed_affinity"):
            raise ValueError(
                f"metric={plain.metric!r} needs a row of all samples for each; landmarks need a"
                " metric of samples"
            )
        return plain

    def _drawn(self, rows: Rows) -> Landmarks:
        """Draw the landmarks, or take all rows where there are no more."""
        n_samples, size = rows.n_samples, int(self.landmarks)
        if size >= n_samples:
            warnings.warn(
                f"landmarks={size} is no less than the number of rows, {n_samples}: all are"
                " fitted, in memory, and none is placed",
                stacklevel=4,
            )
            numbers = np.arange(n_samples)
            return Landmarks(numbers, take(rows, numbers))
        if self.verbose:
            print(f"[t-SNE] Drawing {size} landmarks from {n_samples} rows...")
        if self.landmark_selection == "density":
            return landmarks_by_density(rows, size, self.random_state)
        numbers = uniform_rows(n_samples, size, self.random_state)
        return Landmarks(numbers, take(rows, numbers))

    @property
    def _n_features_out(self) -> int:
        return int(self.estimator_.embedding_.shape[1])


def _labels(y: Any, numbers: NDArray[np.int64], n_samples: int) -> NDArray[Any]:
    """Take the labels of the landmarks."""
    if len(y) != n_samples:
        raise ValueError(f"y has {len(y)} labels, but X has {n_samples} rows")
    if isinstance(y, da.Array):
        return np.asarray(y[numbers].compute())
    return np.asarray(y)[numbers]
