"""Which share of a worker's threads a block gets, where several are worked on at once."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from fasttsne.runtime.threads import effective_n_threads

_running = 0
_running_lock = Lock()


@contextmanager
def share_of_threads(n_jobs: int | None) -> Iterator[int]:
    """Give a block its threads: those of this process, among the blocks it works on just now.

    Parameters
    ----------
    n_jobs : int or None
        As for `fasttsne.TSNE`. None also means one thread in a process of a pool, which has a
        process for every core.

    Returns
    -------
    n_threads : context manager
        Of an int, at least 1.
    """
    global _running
    with _running_lock:
        _running += 1
        running = _running
    try:
        yield max(1, _threads_of_process(n_jobs) // running)
    finally:
        with _running_lock:
            _running -= 1


def _threads_of_process(n_jobs: int | None) -> int:
    in_child = multiprocessing.parent_process() is not None
    if n_jobs is None and in_child and not _in_worker():  # of a pool, a process for every core
        return 1
    return effective_n_threads(n_jobs)


def _in_worker() -> bool:
    """Whether this is a task on a worker of a cluster."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
