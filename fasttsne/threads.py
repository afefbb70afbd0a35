"""How many threads a call may use: one answer for every stage."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import joblib
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

from fasttsne import _kernels


def effective_n_threads(n_jobs: int | None) -> int:
    """Turn `n_jobs` into a number of threads.

    None means all cores that this process may use: joblib's count (affinity masks and container
    quotas respected), no more than OpenMP's own limit (OMP_NUM_THREADS, threadpoolctl). Inside
    joblib, None means what `joblib.parallel_config(n_jobs=...)` says, and one thread in a worker
    thread, so that parallel fits do not oversubscribe the machine. More threads than cores can
    only slow a fit down, so the number of cores is the limit in any case.

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


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS on the calling thread.

    Kernels call BLAS from threads of their own, and its results in the last bits can depend on
    its number of threads. That number belongs to the whole process: fits in several Python
    threads take turns here, or one would restore it under another, or restore the other's limit.
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
