"""How many threads a call may use: one answer for every stage."""

from __future__ import annotations

import multiprocessing
import os
from threading import Lock

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


class _SingleThreadedBlas:
    """Holds BLAS at one thread from the first entry to the last exit.

    BLAS has one setting for the whole process. If every user restored what it found, those that
    overlap in time, as parallel fits do, could leave behind the limit that they found.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limits = threadpool_limits(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limits.restore_original_limits()


_blas = _SingleThreadedBlas()


def single_threaded_blas() -> _SingleThreadedBlas:
    """Context in which BLAS stays on the calling thread.

    Kernels call BLAS from threads of their own, and its results in the last bits can depend on
    its number of threads.
    """
    return _blas


def _forget_other_threads() -> None:
    """In a forked child: whoever held the lock or the limit is not there any more."""
    global _blas
    _blas = _SingleThreadedBlas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
