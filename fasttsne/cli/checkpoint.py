"""Checkpoints: an interrupted fit on disk, which continues to the same map."""

from __future__ import annotations

import copy
import hashlib
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from fasttsne import TSNE, __version__
from fasttsne.cli.messages import Progress, Refusal
from fasttsne.runtime.files import replacing
from fasttsne.tsne import forget_descent

_FORMAT = "fasttsne checkpoint 1"
_EVERY = 60.0  # seconds


class _Due(Exception):
    """Raised by the callback to stop the estimator where it can be pickled."""


def fit_with_checkpoints(
    tsne: TSNE, X: Any, path: Path, *, progress: Progress, regularly: bool
) -> None:
    """Fit; write a checkpoint on Ctrl-C, which is raised again, and if `regularly` every minute.

    `tsne` is a new estimator, or one that `load` returned.
    """
    written, paused_at = time.monotonic(), 0

    def callback(state: Any) -> None:
        nonlocal paused_at
        progress(state)
        # The next call of fit may begin with the iteration that this one stopped at.
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
            except _Due:  # a warm start continues this fit
                save(tsne, X, path)
                written = time.monotonic()
    except KeyboardInterrupt:
        if hasattr(tsne, "embedding_"):
            save(tsne, X, path)
        raise
    finally:
        progress.close()


def concluded(tsne: TSNE) -> TSNE:
    """Return the estimator without what only a further fit needs, above all P."""
    fitted: TSNE = forget_descent(tsne).set_params(warm_start=False, callback=None)
    return fitted


def save(tsne: TSNE, X: Any, path: Path) -> None:
    """Write an interrupted estimator and a digest of its data; an existing file is replaced."""
    content = {
        "format": _FORMAT,
        "fasttsne": __version__,
        "data": _digest(X),
        "tsne": copy.copy(tsne).set_params(callback=None),
    }
    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        pickle.dump(content, file)


def is_one(path: Path) -> bool:
    """Return whether a file begins like a checkpoint of any version, without unpickling it."""
    try:
        with open(path, "rb") as file:
            return _FORMAT.rstrip("0123456789").encode() in file.read(100)
    except OSError:
        return False


def load(path: Path, X: Any) -> TSNE:
    """Return an estimator, interrupted on the same data, whose next fit continues.

    The file is a pickle: loading one can run code of its author.
    """
    try:
        with open(path, "rb") as file:
            content = pickle.load(file)
        tsne = content["tsne"]
        same_version = content["format"] == _FORMAT and content["fasttsne"] == __version__
        # get_params fails where a parameter is missing
        if not (same_version and isinstance(tsne, TSNE) and tsne.get_params()["warm_start"]):
            raise ValueError
        check_is_fitted(tsne, "embedding_")
    except OSError as error:
        raise Refusal(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except Exception as error:  # a pickle can fail in any way
        raise Refusal(
            f"{path} is no checkpoint of this version of fasttsne; start without --resume"
        ) from error
    if content["data"] != _digest(X):
        raise Refusal(
            f"{path} is a checkpoint of other data; give the same INPUT, columns and --standardize"
        )
    return tsne


def _digest(X: Any) -> str:
    """Return a hash of the shape and values of an array or sparse matrix."""
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
    digest = hashlib.sha256(repr(X.shape).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
