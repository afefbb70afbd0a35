"""Blocks of rows -> their places on a fitted map."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

import fasttsne.tsne
from fasttsne.dask.blocks import Rows, as_rows
from fasttsne.dask.memory import check_workers_hold
from fasttsne.dask.shares import share_of_threads
from fasttsne.dask.workers import Shared, share, size_of
from fasttsne.runtime.threads import effective_n_threads

__all__ = ["transform"]


def transform(model: Any, X: Any, *, perplexity: float | None = None) -> Any:
    """Place the rows of a large matrix on a fitted map, block by block.

    Every row gets the place that `fasttsne.TSNE.transform` gives it, to the last bit, whatever
    the blocks, the scheduler and the number of workers.

    Parameters
    ----------
    model : fasttsne.TSNE or fasttsne.dask.TSNE
        A fitted estimator. Not changed; it may be dropped before the result is computed.
    X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
        New samples, (n_new, n_features), also in blocks that are SciPy sparse matrices, as
        :class:`fasttsne.dask.TSNE` takes them.
    perplexity : float or None, default=None
        Effective number of neighbours that decide where a sample goes, as in
        `fasttsne.TSNE.transform`.

    Returns
    -------
    placed : dask.array.Array of float32, shape (n_new, n_components)
        Places of the samples, lazily, in blocks of the same rows as `X`. Where a distributed client
        is active, it is for that client to compute.

    Raises
    ------
    NotFittedError
        If there is no map yet.
    TypeError
        If `model` or `X` is something else.
    ValueError
        If `X` has no rows, unknown chunk sizes, or another number or other names of features than
        the data of the fit, or if `perplexity` makes no sense. While the result is computed: if a
        block has NaN or infinity, or is not of the type and width that `X` announces; the message
        names the rows.
    MemoryError
        If the memory limit of a worker is too small for the model and a block.

    Notes
    -----
    The model travels as one node of the graph: each worker gets it once, and keeps it as long as
    the result, or a graph that is computed, has need of it. A block is placed by as many threads
    as `n_jobs` of the model says, or where that is None by those that the process may use (workers
    of Dask set OMP_NUM_THREADS to 1), shared among the blocks that it is placing at the time.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_digits
    >>> from fasttsne import TSNE
    >>> from fasttsne.dask import transform
    >>> X, _ = load_digits(return_X_y=True)
    >>> tsne = TSNE(random_state=0).fit(X[:500])
    >>> placed = transform(tsne, da.from_array(X[500:900], chunks=(150, 64)))
    >>> placed.chunks
    ((150, 150, 100), (2,))
    >>> bool((placed.compute() == tsne.transform(X[500:900])).all())
    True
    """
    estimator = fitted_estimator(model)
    rows = as_rows(X)
    check_features(model, rows)
    return place(estimator, rows, perplexity=perplexity)


def fitted_estimator(model: Any) -> fasttsne.tsne.TSNE:
    """Get at the estimator that has the map.

    Raises
    ------
    NotFittedError
        If there is no map yet.
    TypeError
        If it is an estimator of another kind.
    ValueError
        If its map is not of samples.
    """
    if hasattr(model, "landmarks"):
        check_is_fitted(model, "estimator_")
        model = model.estimator_
    if not isinstance(model, fasttsne.tsne.TSNE):
        raise TypeError(
            "model must be a fitted fasttsne.TSNE or fasttsne.dask.TSNE, whose transform places"
            f" each sample for itself; got {type(model).__name__}"
        )
    check_is_fitted(model, "embedding_")
    if model.placement_.X is None:
        raise ValueError(
            f"model was fitted with metric={model.placement_.metric!r}, so that its map is of"
            " distances or affinities; blocks of rows need a metric of samples"
        )
    return model


def check_features(model: Any, rows: Rows) -> None:
    """Refuse data of other features than those of the fit, before anything is computed."""
    if rows.n_features != model.n_features_in_:
        raise ValueError(
            f"X has {rows.n_features} features, but model was fitted with {model.n_features_in_}"
        )
    known = getattr(model, "feature_names_in_", None)
    if known is not None and rows.names is not None and not np.array_equal(known, rows.names):
        odd = [f"{a} for {b}" for a, b in zip(rows.names, known, strict=True) if a != b]
        raise ValueError(
            "The names and order of the columns of X must be those of the fit; X has "
            + ", ".join(odd[:3])
            + (", ..." if len(odd) > 3 else "")
        )


def place(
    estimator: fasttsne.tsne.TSNE,
    rows: Rows,
    *,
    perplexity: float | None = None,
    landmarks: NDArray[np.int64] | None = None,
) -> Any:
    """Place rows on the map of an estimator; landmarks, given by their row, stay where they are.

    Parameters
    ----------
    estimator : fasttsne.TSNE
        As `fitted_estimator` returns it.
    rows : Rows
        What is to be placed.
    perplexity : float or None, default=None
        As for `transform`.
    landmarks : ndarray of int64, shape (n_landmarks,), default=None
        Rows that `estimator` was fitted on, ascending.

    Returns
    -------
    placed : dask.array.Array of float32, shape (n_samples, n_components)
        Lazy, in blocks of the same rows.
    """
    estimator.placement_.prepare(perplexity, n_threads=effective_n_threads(estimator.n_jobs))
    placer = Placer(_bare(estimator), perplexity, landmarks)
    check_workers_hold(size_of(placer), rows)
    width = estimator.embedding_.shape[1]
    return rows.map(
        _place_block,
        share(placer),
        lengths=rows.lengths,
        like=np.empty((0, width), dtype=np.float32),
    )


@dataclass(frozen=True)
class Placer:
    """All that a worker needs to place blocks.

    Attributes
    ----------
    estimator : fasttsne.TSNE
        Fitted, its search for neighbours and its tree prepared.
    perplexity : float or None
        As for `transform`.
    landmarks : ndarray of int64, shape (n_landmarks,), or None
        Rows whose places are those of the map.
    """

    estimator: fasttsne.tsne.TSNE
    perplexity: float | None
    landmarks: NDArray[np.int64] | None

    def __call__(self, block: Any, start: int, n_threads: int) -> NDArray[np.float32]:
        """Place the rows from `start` on."""
        embedding = self.estimator.embedding_
        n_rows = block.shape[0]
        placed = np.empty((n_rows, embedding.shape[1]), dtype=np.float32)
        new = np.ones(n_rows, dtype=bool)
        if self.landmarks is not None:
            first, last = np.searchsorted(self.landmarks, (start, start + n_rows))
            here = self.landmarks[first:last] - start
            placed[here], new[here] = embedding[first:last], False
        if new.any():
            estimator = copy.copy(self.estimator).set_params(n_jobs=n_threads)
            wanted = block if new.all() else block[new]
            placed[new] = estimator.transform(wanted, perplexity=self.perplexity)
        return placed


def _place_block(block: Any, start: int, placer: Shared) -> NDArray[np.float32]:
    with share_of_threads(placer.value.estimator.n_jobs) as n_threads:
        placed: NDArray[np.float32] = placer.value(block, start, n_threads)
    return placed


def _bare(estimator: fasttsne.tsne.TSNE) -> fasttsne.tsne.TSNE:
    """Leave behind what `transform` does not use, and what might not be fit to travel."""
    bare = copy.copy(estimator)
    bare.set_params(
        callback=None, init="random", neighbors="auto", random_state=None, warm_start=False
    )
    for name in ("_descent", "kl_per_sample_", "history_", "feature_names_in_"):
        bare.__dict__.pop(name, None)
    bare.placement_ = copy.copy(bare.placement_)  # whose index another perplexity may replace
    return bare
