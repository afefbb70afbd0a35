"""Threads outside the kernels: how many a call may use, and loops on several threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock, Thread, local
from typing import Any, TypeVar

import joblib
from joblib.parallel import get_active_backend
from sklearn.utils._openmp_helpers import (
    _openmp_effective_n_threads,
    _openmp_parallelism_enabled,
)
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def effective_n_threads(n_jobs: int | None) -> int:
    """Return the number of threads of `n_jobs`, at least 1: see `TSNE`.

    None means all cores that the process may use, by joblib (affinity masks, container quotas), or
    the fewer threads that scikit-learn would use (OMP_NUM_THREADS, threadpoolctl); a scikit-learn
    without OpenMP sets no limit. Inside joblib it means `joblib.parallel_config`, and one thread in
    a worker thread, so that parallel fits do not share cores. More threads than cores slow a fit
    down.
    """
    if n_jobs == 0 or isinstance(n_jobs, bool):
        raise ValueError(
            f"n_jobs={n_jobs} has no meaning; use None or -1 for all cores, or a number of threads"
        )
    cores = int(joblib.cpu_count())
    if n_jobs is None:
        backend, context_n_jobs = get_active_backend()
        in_worker_thread = backend.nesting_level and multiprocessing.parent_process() is None
        if in_worker_thread:
            return 1
        if context_n_jobs is None or backend.nesting_level:
            if not _openmp_parallelism_enabled():
                return max(1, cores)
            return max(1, min(cores, _openmp_effective_n_threads(only_physical_cores=False)))
        n_jobs = int(context_n_jobs)
    if n_jobs < 0:
        return max(1, cores + 1 + n_jobs)
    return min(n_jobs, cores)


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> list[Result]:
    """Return ``[function(item) for item in items]``, computed on several threads.

    Always threads, whatever joblib's backend, because functions write into arrays of the caller.
    No thread runs on after a return or an exception. Executors do not start once the main thread
    has ended; these threads do.
    """
    items = list(items)
    n_threads = min(n_threads, len(items))
    if n_threads <= 1:
        return [function(item) for item in items]
    results: list[Any] = [None] * len(items)
    errors: dict[int, BaseException] = {}
    places = iter(range(len(items)))

    def work() -> None:
        for place in places:
            try:
                results[place] = function(items[place])
            except BaseException as error:
                errors[place] = error
            if errors:
                return

    threads = []
    try:
        for _ in range(n_threads):
            thread = Thread(target=work)
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                break
            threads.append(thread)
        if not threads:
            work()
        for thread in threads:
            thread.join()
    finally:  # after Ctrl-C no further item is begun
        for _ in places:
            pass
        for thread in threads:
            thread.join()
    if errors:
        raise errors[min(errors)]
    return results


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS on the calling thread.

    Kernels' threads call BLAS themselves, and its last bits can depend on its number of threads.
    That number belongs to the process, so fits in several Python threads take turns: otherwise one
    would reset it under another. Functions of the user do not run inside, as they may fit a map.
    """
    with _blas_lock, _libraries.limit(limits=1, user_api="blas"):
        yield


_blas_lock = RLock()
_libraries = ThreadpoolController()


# Seconds that a fork waits for other threads to leave BLAS.
_PATIENCE = 10.0

_forking = local()


def _wait_for_others() -> None:
    """Fork outside of BLAS and ARPACK: locks of theirs that a thread holds hang in the child."""
    _forking.has_lock = _blas_lock.acquire(timeout=_PATIENCE)


def _go_on() -> None:
    if getattr(_forking, "has_lock", False):
        _blas_lock.release()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where the thread that holds it does not exist."""
    global _blas_lock
    _blas_lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_others, after_in_parent=_go_on, after_in_child=_renew_lock)
