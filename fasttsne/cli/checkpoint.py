"""Checkpoints: an interrupted fit on disk, which continues to the same map."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne import TSNE, __version__
from fasttsne.cli.messages import Progress, Refusal, reason_of, rounded
from fasttsne.cli.read import check_kind
from fasttsne.descent.state import Check, Descent, Problem, State
from fasttsne.runtime import archive
from fasttsne.runtime.files import replacing
from fasttsne.saving import estimator_of

_KIND, _VERSION = "checkpoint", 5
_EVERY = 60.0  # seconds
_ARRAYS = ("order", "embedding", "velocity", "gains")  # of a State


class _Due(Exception):
    """Raised by the callback to stop the estimator between two iterations."""


def fit_with_checkpoints(
    tsne: TSNE, X: Any, path: Path, *, progress: Progress, regularly: bool
) -> None:
    """Fit; write a checkpoint on Ctrl-C, which is raised again, and if `regularly` every minute."""
    start = written = time.monotonic()
    paused_at = 0

    def callback(state: Any) -> None:
        nonlocal paused_at
        progress(state)
        # The next call of fit may begin with the iteration that this one stopped at.
        if regularly and state.iteration > paused_at and time.monotonic() - written > _EVERY:
            paused_at = state.iteration
            raise _Due

    tsne.set_params(warm_start=True, callback=callback, callback_every=10)
    progress.max_iter = tsne.max_iter
    try:
        while True:
            try:
                tsne.fit(X)
                progress.conclude(tsne.n_iter_ + 1)
                break
            except _Due:  # a warm start continues this fit
                try:
                    save(tsne, X, path)
                except OSError as error:
                    progress.note(f"no checkpoint written to {path}: {reason_of(error)}")
                written = time.monotonic()
    except KeyboardInterrupt:
        if hasattr(tsne, "embedding_"):
            save(tsne, X, path)
        raise
    finally:
        progress.close()
        tsne.set_params(warm_start=False, callback=None)
    progress.note(
        f"KL divergence {rounded(tsne.kl_divergence_)} after {tsne.n_iter_ + 1} iterations, "
        f"{time.monotonic() - start:.1f} s"
    )


def save(tsne: TSNE, X: Any, path: Path) -> None:
    """Write an interrupted estimator and a digest of its data; an existing file is replaced."""
    descent = tsne._descent
    assert descent is not None
    state, copies = descent.state, descent.point_of_sample
    facts = {"data": _digest(X), "parameters": {**tsne.get_params(), "callback": None}}
    numbers = (
        *(state.iteration, state.gradient_norm, state.degrees_of_freedom),
        *(state.learned_at, state.seconds, state.is_coarse),
    )
    checks = [[*check[:5], *check.problem, *check[6:]] for check in state.checks]
    arrays = {name: getattr(state, name) for name in _ARRAYS}
    arrays |= {"copies": np.arange(len(state.order), dtype=np.int64) if copies is None else copies}
    arrays |= {"numbers": np.array(numbers)}
    arrays |= {"checks": np.array(checks, dtype=np.float64).reshape(-1, 13)}
    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        archive.write(file, _KIND, _VERSION, facts, arrays)


def is_one(path: Path) -> bool:
    """Return whether a file begins like a checkpoint of any version, without loading it."""
    return archive.is_one(path, _KIND)


def load(path: Path, X: Any) -> TSNE:
    """Return an estimator, interrupted on the same data, whose next fit continues."""
    check_kind(path, f"--resume {path}")
    try:
        facts, arrays = archive.read(path, _KIND, _VERSION)
        if facts["fasttsne"] != __version__:  # would not continue to the same bits
            raise ValueError("another version")
        same_data = facts["data"] == _digest(X)
        tsne = estimator_of(facts["parameters"])
        if facts["parameters"].keys() != tsne.get_params().keys():
            raise ValueError("a parameter is missing")
        if same_data:
            tsne._descent = descent = _descent(facts, arrays, X.shape[0])
            tsne.embedding_ = descent.state.of_samples(descent.point_of_sample)
            tsne.n_features_in_ = X.shape[1]
    except OSError as error:
        raise Refusal(f"cannot read the checkpoint {path}: {reason_of(error)}") from error
    except Exception as error:  # a damaged file can fail in any way
        raise Refusal(
            f"{path} is no checkpoint of this version of fasttsne; start without --resume"
        ) from error
    if not same_data:
        raise Refusal(
            f"{path} is a checkpoint of other data; give the same INPUT, columns and preparation"
        )
    return tsne


def _descent(facts: dict[str, Any], arrays: dict[str, NDArray[Any]], n_samples: int) -> Descent:
    """Return the descent of a checkpoint; raise an error if its arrays do not belong together."""
    iteration, norm, nu, learned_at, seconds, is_coarse = arrays["numbers"].tolist()
    checks = tuple(
        Check._make([int(row[0]), *row[1:5], Problem(*row[5:9]), bool(row[9]), *row[10:]])
        for row in arrays["checks"].tolist()
    )
    order, *floats = (arrays[name] for name in _ARRAYS)
    embedding, velocity, gains = floats
    copies, shape = arrays["copies"], (len(order), embedding.shape[1])
    sound = (
        order.dtype == np.int32
        and (copies.dtype, copies.shape) == (np.dtype(np.int64), (n_samples,))
        and np.array_equal(np.sort(order), np.arange(len(order)))
        and np.array_equal(np.unique(copies), np.arange(len(order)))
        and all(array.shape == shape and array.dtype == np.float32 for array in floats)
        and all(np.isfinite(array).all() for array in floats)
        and iteration >= 0
        and (np.isnan(nu) or 1e-3 <= nu <= 1e3)
    )
    if not sound:
        raise ValueError("arrays do not belong together")
    place = int(iteration), order, embedding, velocity, gains
    state = State(*place, norm, nu, int(learned_at), checks, seconds, bool(is_coarse))
    return Descent(state, None if len(order) == n_samples else copies)


def _digest(X: Any) -> str:
    """Return a hash of the shape and values of an array or sparse matrix."""
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X.ravel(),)
    return str(joblib.hash((X.shape, *parts)))
