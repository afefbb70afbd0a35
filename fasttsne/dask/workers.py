"""What workers receive, how many threads a block gets, and whether a worker's memory suffices.

All blocks depend on one graph node that holds the shared object. On a cluster this node is a task
with the pickled object as its argument. Each worker fetches the result once. When all workers that
hold it are lost, the task runs again; scattered data would be gone. For a pool of processes, which
receives every argument with every task, arrays are in a file, in the format of `TSNE.save`.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import cloudpickle
import dask
import numpy as np
from dask.base import get_scheduler

from fasttsne.dask.blocks import Rows
from fasttsne.runtime import archive
from fasttsne.runtime.threads import effective_n_threads

_KIND, _VERSION = "shared", 1  # of the file of arrays

# Memory of a worker that has loaded Dask, NumPy, SciPy and scikit-learn and does nothing.
_IDLE_BYTES = 200 << 20

# Copies of the model while it arrives and is unpickled; copies of a block while it is checked,
# centred and scaled for the search.
_COPIES_OF_MODEL = 2.0
_COPIES_OF_BLOCK = 3.0

# Neighbours, distances and probabilities of the rows that `fasttsne.transform` places at a time.
_BYTES_OF_ROW = 1500
_ROWS_AT_A_TIME = 1 << 16


# ---- One object for all blocks -------------------------------------------------------------------


class Shared:
    """An object for all blocks; `n_bytes` is its size where Dask has to know it."""

    def __init__(self, value: Any, n_bytes: int = 0) -> None:
        self.value, self.n_bytes = value, n_bytes

    def __sizeof__(self) -> int:
        return self.n_bytes  # Dask plans and spills by this number


class _Local(Shared):
    """An object shared within this process, and with processes of this machine.

    These receive its arrays through a file, and the rest, without which the file is of no use, with
    every task: nothing is unpickled that was in a file.
    """

    @cached_property
    def parts(self) -> tuple[str, bytes]:
        """Return the name of the file, and a pickle that lacks its arrays."""
        buffers: list[pickle.PickleBuffer] = []
        payload = _pickled(self.value, buffers.append)
        arrays = {str(i): np.frombuffer(part.raw(), np.uint8) for i, part in enumerate(buffers)}
        with tempfile.NamedTemporaryFile(prefix="fasttsne-", suffix=".npz", delete=False) as file:
            weakref.finalize(self, Path(file.name).unlink, missing_ok=True)
            archive.write(file, _KIND, _VERSION, {}, arrays)
        return file.name, payload

    def __reduce__(self) -> tuple[Any, ...]:
        if active_client() is not None:  # workers of a cluster may not see this file system
            return _restore, (_pickled(self.value),)
        return _read_once, self.parts


def share(value: Any, rows: Rows) -> Any:
    """Return a graph node (Delayed, or Future of the active client) of a `Shared` for all blocks.

    Tasks use `value` from several threads at once, and cloudpickle must be able to pickle it.
    """
    client = active_client()
    if client is None:
        return dask.delayed(_Local(value), name=f"fasttsne-{uuid4().hex}", traverse=False)
    payload = _pickled(value)
    check_workers_hold(len(payload), rows)
    key = f"fasttsne-{blake2b(payload, digest_size=16).hexdigest()}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        return client.submit(_restore, payload, key=key)


def active_client() -> Any:
    """Return the distributed client that would compute, or None for a scheduler of this machine."""
    found = getattr(get_scheduler(), "__self__", None)
    return found if hasattr(found, "scheduler_info") else None


def _pickled(value: Any, take: Callable[[pickle.PickleBuffer], object] | None = None) -> bytes:
    """Return a pickle that contains the classes and functions of a script by value.

    Arrays are given to `take`, and then are not in it.
    """
    return cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=take)


def _restore(payload: bytes) -> Shared:
    return Shared(pickle.loads(payload), len(payload))


@lru_cache(maxsize=1)  # a process of a pool keeps the object that it read last
def _read_once(path: str, payload: bytes) -> Shared:
    _, arrays = archive.read(Path(path), _KIND, _VERSION)
    return Shared(pickle.loads(payload, buffers=arrays.values()))


# ---- Threads -------------------------------------------------------------------------------------

_n_running = 0
_running_lock = Lock()


@contextmanager
def share_of_threads(n_jobs: int | None) -> Iterator[int]:
    """Yield a block's number of threads: those of this process over its blocks in progress."""
    global _n_running
    with _running_lock:
        _n_running += 1
        n_running = _n_running
    try:
        yield max(1, _threads_of_process(n_jobs) // n_running)
    finally:
        with _running_lock:
            _n_running -= 1


def _threads_of_process(n_jobs: int | None) -> int:
    in_child = multiprocessing.parent_process() is not None
    if n_jobs is None and in_child and not _on_cluster():
        return 1  # a pool has one process per core
    return effective_n_threads(n_jobs)


def _on_cluster() -> bool:
    """Return whether this is a task on a worker of a cluster."""
    try:
        return bool(sys.modules["distributed"].get_worker())
    except (KeyError, ValueError):
        return False


# ---- Memory --------------------------------------------------------------------------------------


def check_workers_hold(model_bytes: int, rows: Rows) -> None:
    """Raise MemoryError if a worker of the active client cannot hold the model and its blocks.

    A worker holds one block per thread. Without this check, such a worker would stall.
    """
    client = active_client()
    if client is None:
        return
    longest = max(rows.lengths)
    block = longest * rows.bytes_of_row * _COPIES_OF_BLOCK
    block += min(longest, _ROWS_AT_A_TIME) * _BYTES_OF_ROW
    # The share of its memory limit at which a worker stops taking tasks.
    usable = float(dask.config.get("distributed.worker.memory.pause", 0.8) or 1.0)
    for address, worker in _workers(client).items():
        limit, n_threads = worker.get("memory_limit"), worker.get("nthreads", 1)
        needed = (_IDLE_BYTES + _COPIES_OF_MODEL * model_bytes + n_threads * block) / usable
        if limit and needed > limit:
            raise MemoryError(
                f"The worker {address} has a memory limit of {_megabytes(limit)}, but needs about"
                f" {_megabytes(needed)} for {_megabytes(model_bytes)} of model and blocks of"
                f" {longest:,} rows on {n_threads} thread{'s' if n_threads > 1 else ''}: raise"
                " memory_limit, or use shorter blocks (X.rechunk) or fewer landmarks"
            )


def _workers(client: Any) -> dict[str, Any]:
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # older versions lack the argument and return all workers
        workers = client.scheduler_info()["workers"]
    return dict(workers)


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
