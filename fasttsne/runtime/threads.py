"""Threads outside the kernels: how many a call may use, and work that is shared among them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import RLock
from typing import TypeVar

import joblib
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

from fasttsne import _kernels

Item = TypeVar("Item")
Result = TypeVar("Result")


def effective_n_threads(n_jobs: int | None) -> int:
    """Turn `n_jobs` into a number of threads.

    None means all cores that this process may use: joblib's count (affinity masks and container
    quotas respected), no more than OpenMP's own limit (OMP_NUM_THREADS, threadpoolctl). Inside
    joblib, None means what `joblib.parallel_config(n_jobs=...)` says, and one thread in a worker
    thread, so that parallel fits do not oversubscribe the machine. More threads than cores can
    only slow a fit down, so the number of cores is the limit in any case. A forked process has
    one thread, as the kernels do: see src/parallel.c.

    Parameters
    ----------
    n_jobs : int or None
        A number of threads; -1 for all cores, -2 for all but one, and so on.

    Returns
    -------
    n_threads : int
        At least 1.

    Raises
    ------
    ValueError
        If `n_jobs` is 0.
    """
    if n_jobs == 0:
        raise ValueError(
            "n_jobs == 0 has no meaning; use None or -1 for all cores, or the number of threads"
        )
    if _kernels.in_forked_child():
        return 1
    cores = int(joblib.cpu_count())
    if n_jobs is None:
        backend, context_n_jobs = get_active_backend()
        in_worker_thread = backend.nesting_level and multiprocessing.parent_process() is None
        if in_worker_thread:
            return 1
        if context_n_jobs is None or backend.nesting_level:
            return max(1, min(cores, _kernels.openmp_max_threads()))
        n_jobs = int(context_n_jobs)
    if n_jobs < 0:
        return max(1, cores + 1 + n_jobs)
    return min(n_jobs, cores)


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> list[Result]:
    """``[function(item) for item in items]``, on several threads.

    Threads and nothing else, whatever backend joblib is told to use: functions here write into
    the caller's arrays. None of them is left running when this returns or raises.
    """
    items = list(items)
    n_threads = min(n_threads, len(items))
    if n_threads <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))  # which cancels the rest if one fails


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS on the calling thread.

    Kernels call BLAS from threads of their own, and its results in the last bits can depend on
    its number of threads. That number belongs to the whole process: fits in several Python
    threads take turns here, or one would restore it under another, or restore the other's limit.
    No code of the user's runs under it, as that may want a turn itself.
    """
    with _blas_lock, threadpool_limits(limits=1, user_api="blas"):
        yield


_blas_lock = RLock()


def _renew_lock() -> None:
    """In a forked child: the thread that held the lock is not there any more."""
    global _blas_lock
    _blas_lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
