"""One object for all blocks, which every worker gets once.

A graph has it as a single node that all blocks depend on. On a cluster that node is a task whose
argument is the pickled object: the scheduler hands the task to one worker, the others take the
result from each other when their first block comes, and when all that hold it are lost the task
runs again; data that were merely scattered would be gone then. Pools of processes are handed what
a task needs with every task: for them the node pickles as the name of a file, which a process
reads once.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import warnings
import weakref
from functools import cached_property
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import cloudpickle
import dask
from dask.base import get_scheduler


class Shared:
    """Anything, and how it gets to where it is used.

    Parameters
    ----------
    value : object
        What is shared. It can be pickled, and used from several threads at once.
    n_bytes : int, default=0
        How large it is, where Dask has to know.
    """

    def __init__(self, value: Any, n_bytes: int = 0) -> None:
        self.value, self.n_bytes = value, n_bytes

    def __sizeof__(self) -> int:
        return self.n_bytes  # by which Dask plans and spills


class _Local(Shared):
    """Shared in this process, and with processes of this machine through a file."""

    @cached_property
    def path(self) -> str:
        handle, path = tempfile.mkstemp(prefix="fasttsne-", suffix=".pickle")
        weakref.finalize(self, _remove, path)
        with os.fdopen(handle, "wb") as file:
            file.write(_pickled(self.value))
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        if active_client() is not None:  # its workers may not see our files
            return _restore, (_pickled(self.value),)
        return _read_once, (self.path,)


def share(value: Any) -> Any:
    """Make a node of it, of which graphs may have any number of dependents.

    Parameters
    ----------
    value : object
        Can be pickled, by cloudpickle at least, and used from several threads at once.

    Returns
    -------
    node : Delayed or distributed.Future
        A `Shared`, to be handed to `dask.array.map_blocks` and the like. A Future where a
        distributed client is active: graphs with it are for that client.
    """
    client = active_client()
    if client is None:
        return dask.delayed(_Local(value), name=f"fasttsne-{uuid4().hex}", traverse=False)
    payload = _pickled(value)
    key = f"fasttsne-{blake2b(payload, digest_size=16).hexdigest()}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        return client.submit(_restore, payload, key=key)


def size_of(value: Any) -> int:
    """How many bytes an object takes once it is pickled."""
    buffers: list[pickle.PickleBuffer] = []
    head = cloudpickle.dumps(
        value, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append
    )
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers)


def active_client() -> Any:
    """Find the distributed client that would compute, or None for a scheduler of this machine."""
    found = getattr(get_scheduler(), "__self__", None)
    return found if hasattr(found, "scheduler_info") else None


def _pickled(value: Any) -> bytes:
    """Pickle by value what is defined in a script, too."""
    payload: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return payload


def _restore(payload: bytes) -> Shared:
    return Shared(pickle.loads(payload), len(payload))


# What a process of a pool has read: the last object alone.
_read: dict[str, Shared] = {}


def _read_once(path: str) -> Shared:
    if path not in _read:
        with open(path, "rb") as file:
            value = pickle.load(file)
        _read.clear()
        _read[path] = Shared(value)
    return _read[path]


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
