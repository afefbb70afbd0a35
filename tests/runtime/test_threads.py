"""fasttsne.runtime.threads: how many threads, and BLAS kept to one."""

import threading
import time

import joblib
import numpy as np
import pytest
from fits import needs_fork, needs_proc, run_python
from threadpoolctl import threadpool_info, threadpool_limits

from fasttsne import TSNE
from fasttsne.neighbors import nearest_neighbors
from fasttsne.runtime import threads as ours
from fasttsne.runtime.threads import effective_n_threads, in_threads, single_threaded_blas

CORES = joblib.cpu_count()


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


@pytest.mark.parametrize(("n_jobs", "expected"), [(1, 1), (-1, CORES), (10_000, CORES), (-999, 1)])
def test_numbers_of_jobs_are_threads_up_to_the_cores(n_jobs, expected):
    assert effective_n_threads(n_jobs) == expected


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("1000", CORES)])
def test_none_means_all_cores_that_openmp_may_use(limit, expected):
    code = """
from fasttsne.runtime.threads import effective_n_threads
print(effective_n_threads(None))
"""
    assert run_python(code, OMP_NUM_THREADS=limit) == f"{expected}\n"


def test_none_means_what_threadpoolctl_or_joblib_says():
    with threadpool_limits(limits=1, user_api="openmp"):
        assert effective_n_threads(None) == 1
    with joblib.parallel_config(n_jobs=1):
        assert effective_n_threads(None) == 1
    jobs = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(effective_n_threads)(None) for _ in range(2)
    )
    assert jobs == [1, 1]


def test_a_scikit_learn_without_openmp_sets_no_limit(monkeypatch):
    monkeypatch.setattr(ours.joblib, "cpu_count", lambda: 3)
    monkeypatch.setattr(ours, "_openmp_effective_n_threads", lambda only_physical_cores: 1)
    assert effective_n_threads(None) == 1
    monkeypatch.setattr(ours, "_openmp_parallelism_enabled", lambda: False)
    assert effective_n_threads(None) == 3


@pytest.mark.parametrize("n_jobs", [0, True, False])
def test_what_is_no_number_of_jobs_is_refused_by_name(n_jobs):
    with pytest.raises(ValueError, match=f"n_jobs={n_jobs}"):
        TSNE(n_jobs=n_jobs).fit(np.zeros((100, 2)))


@pytest.mark.parametrize("n_threads", [1, 2, 100])
def test_work_in_threads_comes_back_in_order(n_threads):
    assert in_threads(lambda i: i * i, range(50), n_threads) == [i * i for i in range(50)]


def test_work_is_done_by_several_threads():
    together = threading.Barrier(2)  # two that wait for each other are not on one thread
    assert in_threads(lambda _: together.wait(timeout=10), range(2), 2) in ([0, 1], [1, 0])


def test_no_thread_goes_on_after_one_has_failed():
    done, started = [], threading.Event()

    def work(item):
        if item == 0:
            started.wait(timeout=10)
            raise RuntimeError("no result")
        started.set()
        time.sleep(0.1)
        done.append(item)

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no result"):
        in_threads(work, range(1000), 2)
    assert threading.active_count() == before
    assert len(done) < 100
    assert done


def test_users_of_blas_in_several_threads_have_one_thread_and_leave_blas_as_it_was():
    # No limit around it: threadpoolctl lets only the thread that set one change it.
    before = blas_threads()
    together, seen = threading.Barrier(4), []

    def use(_):
        together.wait(timeout=10)
        for _ in range(20):
            with single_threaded_blas():
                seen.append(blas_threads())

    in_threads(use, range(4), 4)
    assert seen == [{1}] * 80
    assert blas_threads() == before


def test_a_metric_that_raises_leaves_blas_as_it_was():
    X = np.random.default_rng(0).normal(size=(1100, 2))
    X[:, 1] = np.arange(len(X))

    def metric(a, b):
        if a[1] == 1050:  # in the second block of rows, while the first is under way
            raise RuntimeError("no distance")
        return abs(a[0] - b[0])

    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(RuntimeError, match="no distance"):
            nearest_neighbors(X, 5, metric=metric, n_threads=2)
        assert blas_threads() == before


def test_a_system_without_more_threads_uses_those_it_has(monkeypatch):
    def fail(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert in_threads(lambda i: i * i, range(50), 2) == [i * i for i in range(50)]


def test_the_error_is_that_of_the_first_item_that_fails():
    def work(item):
        time.sleep(0.01 * (item == 3))
        raise RuntimeError(f"item {item}")

    for _ in range(5):
        with pytest.raises(RuntimeError, match="item 0"):
            in_threads(work, range(8), 4)


def test_a_thread_that_outlives_the_main_thread_can_fit():
    code = """
import threading
import numpy as np
from fasttsne import TSNE
from fasttsne.runtime.threads import in_threads

def late():
    threading.main_thread().join()
    X = np.random.default_rng(0).normal(size=(300, 4))
    map = TSNE(metric="manhattan", max_iter=250, n_jobs=2).fit(X)
    print(map.transform(X + 0.1).shape, in_threads(abs, [-1, 2], 2))

threading.Thread(target=late).start()
"""
    assert run_python(code).strip() == "(300, 2) [1, 2]"


@needs_proc
@pytest.mark.nosan
def test_kernels_of_a_daemon_thread_end_with_the_interpreter():
    # A thread that asks for the GIL then ends in Python below 3.14, and its stack is gone, on which
    # the threads of its kernel work: a crash, now and then.
    code = """
import json, os, threading, time
import numpy as np
from fasttsne import _kernels

n = 5_000
Y = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
others = np.roll(np.arange(n, dtype=np.int32), 1)
P = np.arange(n + 1), others, np.full(n, 1 / n, dtype=np.float32)
forces = _kernels.BarnesHutForces(*P, 2, 1.0, 0.5, 4)
forces.evaluate(Y, False)

def count(list=os.listdir):
    return len(list("/proc/self/task"))

class Last:
    def __del__(self, sleep=time.sleep, before=count(), count=count, write=os.write):
        sleep(0.3)  # without the GIL
        write(1, str(count() - before).encode())

def descend():
    zeros, ones = np.zeros_like(Y), np.ones_like(Y)
    _kernels.descend(forces, Y, zeros, ones, 10**8, 1.0, 0.8, 1.0)

thread = threading.Thread(target=descend, daemon=True)
thread.start()
time.sleep(0.1)
json.last = Last()  # goes with the module, after threads were told to end
print(count() - Last.__del__.__defaults__[1], end=" ", flush=True)
"""
    assert run_python(code) == "4 0"


@pytest.mark.nosan
@pytest.mark.parametrize("size", ["16K", "32K", "1000000G"])
def test_stacks_do_not_depend_on_the_environment(size):
    code = """
import numpy as np
from fasttsne import TSNE
from fasttsne.quality import report
X = np.random.default_rng(0).normal(size=(1500, 20))
map = TSNE(n_jobs=2, max_iter=250, random_state=0).fit(X)
print(map.transform(1.1 * X[:200]).sum(), report(X, map.embedding_).trustworthiness)
"""
    assert run_python(code, OMP_STACKSIZE=size) == run_python(code)


@needs_fork
@pytest.mark.nosan
@pytest.mark.parametrize("work", ["TSNE(**params).fit(X)", "fitted.transform(X + 0.1)"])
def test_a_child_forked_while_another_thread_works_does_not_hang(work):
    code = f"""
import os, threading, time, warnings
import numpy as np
from fasttsne import TSNE
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(600, 20))
params = dict(perplexity=10, max_iter=250, n_jobs=2)
fitted = TSNE(**params).fit(X)

def forever():
    while True:
        {work}

threading.Thread(target=forever, daemon=True).start()
for _ in range(10):
    time.sleep(0.03)
    child = os.fork()
    if child == 0:
        {work}
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("done", flush=True)
os._exit(0)
"""
    assert run_python(code, timeout=60) == "done\n"


@needs_fork
@pytest.mark.nosan
def test_a_fork_waits_until_no_other_thread_is_in_blas():
    code = """
import os, threading, time, warnings
from fasttsne.runtime.threads import single_threaded_blas
warnings.simplefilter("ignore")
inside, left = threading.Event(), []

def hold():
    with single_threaded_blas():
        inside.set()
        time.sleep(0.3)
        left.append(True)

threading.Thread(target=hold).start()
inside.wait()
child = os.fork()
with single_threaded_blas():
    if child == 0:
        os._exit(len(left))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code, timeout=60) == "1\n"
