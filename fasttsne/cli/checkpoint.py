"""A descent put down on disk, and taken up again as if nothing had been."""

from __future__ import annotations

import hashlib
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from fasttsne import TSNE, __version__
from fasttsne.cli.messages import Refusal
from fasttsne.cli.progress import Progress
from fasttsne.runtime.files import replacing

_FORMAT = "fasttsne checkpoint 1"
_EVERY = 60.0  # seconds


class _Due(Exception):
    """Raised by the callback, so that the estimator stops where it can be put down."""


def fit_with_checkpoints(
    tsne: TSNE, X: Any, path: Path, *, progress: Progress, regularly: bool
) -> None:
    """Fit, and leave a checkpoint when interrupted, or also every minute.

    Parameters
    ----------
    tsne : TSNE
        To be fitted: new, or as :func:`load` returned it.

    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The data.

    path : pathlib.Path
        The checkpoint; removed once the map is complete.

    progress : Progress
        Shown on the way.

    regularly : bool
        Whether to write every minute, too.

    Raises
    ------
    KeyboardInterrupt
        As it came, after the checkpoint was written.
    """
    written, paused_at = time.monotonic(), 0

    def callback(state: Any) -> None:
        nonlocal paused_at
        progress(state)
        # The next call may begin by showing the iteration that this one stopped at.
        if regularly and state.iteration > paused_at and time.monotonic() - written > _EVERY:
            paused_at = state.iteration
            raise _Due

    tsne.set_params(warm_start=True, callback=callback, callback_every=10)
    try:
        while True:
            try:
                tsne.fit(X)
                progress.conclude(tsne.n_iter_ + 1)
                break
            except _Due:  # the next call takes what is left of this one
                save(tsne, X, path)
                written = time.monotonic()
    except KeyboardInterrupt:
        if hasattr(tsne, "embedding_"):
            save(tsne, X, path)
        raise
    finally:
        progress.close()


def concluded(tsne: TSNE) -> TSNE:
    """Let go of all that only a further call of fit would need, P above all.

    Parameters
    ----------
    tsne : TSNE
        After :func:`fit_with_checkpoints`.

    Returns
    -------
    tsne : TSNE
        The same, which can still place samples.
    """
    tsne.set_params(warm_start=False, callback=None)
    tsne.__dict__.pop("_descent", None)
    return tsne


def save(tsne: TSNE, X: Any, path: Path) -> None:
    """Write an interrupted estimator.

    Parameters
    ----------
    tsne : TSNE
        With what it has of a map.

    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Its data, of which only a digest is kept.

    path : pathlib.Path
        The file; what is there is replaced once the new one is complete.
    """
    callback = tsne.callback
    try:
        tsne.callback = None
        with replacing(path) as unfinished, open(unfinished, "wb") as file:
            content = {"format": _FORMAT, "fasttsne": __version__, "data": _digest(X), "tsne": tsne}
            pickle.dump(content, file)
    finally:
        tsne.callback = callback


def is_one(path: Path) -> bool:
    """Tell whether a file is a checkpoint of any version, without reading it as one.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    is_one : bool
        Whether it begins like one.
    """
    try:
        with open(path, "rb") as file:
            return _FORMAT.rstrip("0123456789").encode() in file.read(100)
    except OSError:
        return False


def load(path: Path, X: Any) -> TSNE:
    """Read an estimator that was interrupted on the same data.

    Parameters
    ----------
    path : pathlib.Path
        What :func:`save` wrote. It is a pickle: reading one runs what its author put into it.

    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The data.

    Returns
    -------
    tsne : TSNE
        Whose next fit goes on where it was.

    Raises
    ------
    Refusal
        If there is no such file, it is no checkpoint, or one of other data.
    """
    try:
        with open(path, "rb") as file:
            content = pickle.load(file)
        tsne = content["tsne"]
        if content["format"] != _FORMAT or content["fasttsne"] != __version__:
            raise ValueError
        if not (isinstance(tsne, TSNE) and vars(TSNE()).keys() | {"_descent"} <= vars(tsne).keys()):
            raise ValueError
    except OSError as error:
        raise Refusal(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # a pickle can fail in any way
        raise Refusal(f"{path} is no checkpoint of this version of fasttsne; start anew") from error
    if content["data"] != _digest(X):
        raise Refusal(
            f"{path} is a checkpoint of other data; give the INPUT, the columns and --standardize "
            "as they were"
        )
    return tsne


def _digest(X: Any) -> str:
    """Tell data from others, in short."""
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
    digest = hashlib.sha256(repr(X.shape).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
