"""Blocks of rows -> their places on a fitted map."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import fasttsne.tsne
from fasttsne.dask.blocks import Rows, as_rows
from fasttsne.dask.workers import Shared, share, share_of_threads
from fasttsne.runtime.threads import effective_n_threads


def transform(model: Any, X: Any, *, perplexity: float | None = None) -> Any:
    """Place the rows of a large matrix on a fitted map, block by block.

    The result equals that of `fasttsne.TSNE.transform`, bit for bit, for any blocks, scheduler and
    number of workers.

    Parameters
    ----------
    model : fasttsne.TSNE or fasttsne.dask.TSNE
        A fitted estimator. It is not changed, and it may be deleted before the result is computed.
    X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
        New samples, (n_new, n_features), as for `fasttsne.dask.TSNE.fit_transform`.
    perplexity : float or None, default=None
        Effective number of neighbours that determine a sample's place. See
        `fasttsne.TSNE.transform`.

    Returns
    -------
    placed : dask.array.Array of float32, shape (n_new, n_components)
        Coordinates of the samples, lazy, in the blocks of `X`. If a distributed client is active,
        this client must compute the result.

    Raises
    ------
    NotFittedError, TypeError
        If `model` is not fitted or another estimator, or `X` has another type.
    ValueError
        If `X` has no rows, unknown chunk sizes, or another number or other names of features than
        the data of the fit, or if `perplexity` is out of range. During the computation: if a block
        has NaN or infinity, or another type or width than `X` declares; the message names the rows.
    MemoryError
        If the memory limit of a worker is too small for the model and a block.

    Notes
    -----
    Each worker receives the model once and keeps it while a result needs it. A block uses `n_jobs`
    threads of the model. If `n_jobs` is None, it uses the threads available to the process (1 on
    Dask's workers, which set OMP_NUM_THREADS). Blocks that a process places at the same time share
    its threads.

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
    estimator = _fitted_estimator(model)
    rows = as_rows(X)
    _check_features(model, rows)
    return place(estimator, rows, perplexity=perplexity)


def place(
    estimator: fasttsne.tsne.TSNE,
    rows: Rows,
    *,
    perplexity: float | None = None,
    landmarks: NDArray[np.int64] | None = None,
) -> Any:
    """Return a lazy array of the places of rows on the map of a fitted estimator.

    `landmarks` are the rows, ascending, of which `estimator` has the map; they keep their places.
    """
    needed = share((_prepared(estimator, perplexity), perplexity, landmarks), rows)
    return rows.map(_place_block, needed, like=estimator.embedding_[:0])


def _place_block(block: Any, start: int, shared: Shared) -> NDArray[np.float32]:
    estimator, perplexity, landmarks = shared.value
    embedding = estimator.embedding_
    n_rows = block.shape[0]
    placed = np.empty((n_rows, embedding.shape[1]), dtype=np.float32)
    new = np.ones(n_rows, dtype=bool)
    if landmarks is not None:
        first, last = np.searchsorted(landmarks, (start, start + n_rows))
        here = landmarks[first:last] - start
        placed[here], new[here] = embedding[first:last], False
    if new.any():
        with share_of_threads(estimator.n_jobs) as n_threads:
            estimator = copy.copy(estimator).set_params(n_jobs=n_threads)
            wanted = block if new.all() else block[new]
            placed[new] = estimator.transform(wanted, perplexity=perplexity)
    return placed


def _prepared(estimator: fasttsne.tsne.TSNE, perplexity: float | None) -> fasttsne.tsne.TSNE:
    """Return a copy that is ready to place samples, without what placing does not need.

    What is left out may be large, as the arrays of `neighbors`, or not picklable, as a callback.
    """
    estimator.placement_.prepare(perplexity, n_threads=effective_n_threads(estimator.n_jobs))
    bare: fasttsne.tsne.TSNE = fasttsne.tsne.forget_descent(copy.copy(estimator)).set_params(
        callback=None, init="random", neighbors="auto", random_state=None, warm_start=False
    )
    for name in ("kl_per_sample_", "history_", "feature_names_in_"):
        bare.__dict__.pop(name, None)
    # A later `estimator.transform` at another perplexity replaces the search of the original.
    bare.placement_ = copy.copy(bare.placement_)
    return bare


def _fitted_estimator(model: Any) -> Any:
    """Return the fitted `fasttsne.TSNE` of a model."""
    if hasattr(model, "landmarks"):
        check_is_fitted(model, "estimator_")
        model = model.estimator_
    if not isinstance(model, fasttsne.tsne.TSNE):
        raise TypeError(
            "model must be a fitted fasttsne.TSNE or fasttsne.dask.TSNE; got"
            f" {type(model).__name__}"
        )
    check_is_fitted(model, "embedding_")
    if get_tags(model).input_tags.pairwise:
        raise ValueError(
            "model was fitted on distances or affinities between samples; blocks of rows require a"
            " model that was fitted on samples"
        )
    return model


def _check_features(model: Any, rows: Rows) -> None:
    """Raise ValueError if the data have other features than those of the fit."""
    if rows.n_features != model.n_features_in_:
        raise ValueError(
            f"X has {rows.n_features} features, but model was fitted with {model.n_features_in_}"
        )
    known = getattr(model, "feature_names_in_", None)
    if known is not None and rows.names is not None and not np.array_equal(known, rows.names):
        odd = [f"{a} for {b}" for a, b in zip(rows.names, known, strict=True) if a != b]
        raise ValueError(
            "The names and order of the columns of X must equal those of the fit; X has "
            f"{', '.join(odd[:3])}{', ...' if odd[3:] else ''}"
        )
