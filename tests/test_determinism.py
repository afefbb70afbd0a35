"""The same bits from fasttsne.TSNE, however many threads and processes."""

import json
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit, needs_fork, run_python
from scipy import sparse
from threadpoolctl import threadpool_limits

from fasttsne import TSNE

CASES = {
    "barnes_hut": {},
    "barnes_hut-1": {"n_components": 1},
    "barnes_hut-3": {"n_components": 3},
    "random": {"init": "random"},
    "float32": {"dtype": np.float32},
    "cosine": {"metric": "cosine"},
    "cosine of many": {"metric": "cosine", "n": 2100},
    "manhattan": {"metric": "manhattan"},
    "chebyshev": {"metric": "chebyshev"},
    "sparse": {"form": sparse.csr_array},
    "sparse manhattan": {"form": sparse.csr_array, "metric": "manhattan"},
    "exact": {"method": "exact", "n": 500},
    "exact-4": {"method": "exact", "n_components": 4, "n": 200},
    "exact manhattan": {"method": "exact", "metric": "manhattan", "n": 300},
    "exact manhattan float32": {
        "method": "exact",
        "metric": "manhattan",
        "n": 300,
        "dtype": np.float32,
        "form": lambda X: X / 7,
    },
    "exact cosine": {"method": "exact", "metric": "cosine", "n": 500},
}


@pytest.fixture
def many_cores(monkeypatch):
    """n_jobs is at most the number of cores."""
    monkeypatch.setattr(joblib, "cpu_count", lambda **_: 40)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize("case", CASES)
def test_the_number_of_threads_changes_no_bit(digits, case):
    # Digits are integers: distances are tied, and which neighbours win must not depend on chance.
    params = {"n": 1000, "form": np.asarray, "dtype": np.float64, **CASES[case]}
    X = np.tile(digits, (2, 1))[: params.pop("n")].astype(params.pop("dtype"))
    X = params.pop("form")(X)
    alone = fit(X, n_jobs=1, **params)
    for n_jobs in (2, 3, 33, None):
        assert_same_bits(fit(X, n_jobs=n_jobs, **params), alone)


NO_THREADS = """
#include <errno.h>
#include <pthread.h>
#include <unistd.h>
int pthread_create(pthread_t *thread, const pthread_attr_t *a, void *(*f)(void *), void *x)
{
    return write(1, "#", 1) == 1 ? EAGAIN : EINVAL;
}
"""


@pytest.mark.nosan
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is of Linux")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_system_without_more_threads_finds_the_same_bits(tmp_path):
    source, library = tmp_path / "no_threads.c", tmp_path / "no_threads.so"
    source.write_text(NO_THREADS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    code = """
import joblib
import numpy as np
joblib.cpu_count = lambda **_: 8
from fasttsne import TSNE
X = np.random.default_rng(0).normal(size=(1000, 20))
print("begin", flush=True)
for neighbors in ("exact", "approximate"):
    map = TSNE(neighbors=neighbors, max_iter=250, n_jobs=4, random_state=0).fit(X)
    print(map.kl_divergence_.hex(), map.transform(1.1 * X[:200]).tobytes().hex())
"""
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS")}
    without = run_python(code, LD_PRELOAD=str(library), **one)
    assert "#" in without.partition("begin")[2]
    assert without.replace("#", "") == run_python(code, **one)


def test_threads_do_not_share_the_metric():
    # scikit-learn's Mahalanobis distance has one buffer for all threads of a ball tree.
    X = np.random.default_rng(0).normal(size=(300, 10))
    params = {"metric": "mahalanobis", "metric_params": {"V": np.cov(X.T)}, "perplexity": 40}
    alone = fit(X, n_jobs=1, **params)
    for _ in range(10):
        assert_same_bits(fit(X, n_jobs=2, **params), alone)


@both_methods
def test_the_threads_of_blas_change_no_bit(digits, method):
    X = digits[:700]
    alone = fit(X, method=method)
    for limit in (1, 4, None):
        with threadpool_limits(limit):
            assert_same_bits(fit(X, method=method, n_jobs=None), alone)


DIGEST = """
import hashlib, json, sys
from sklearn.datasets import load_digits
from fasttsne import TSNE

def digest(estimator):
    map = hashlib.sha256(estimator.embedding_.tobytes()).hexdigest()
    return [map, float(estimator.kl_divergence_).hex()]

X = load_digits().data[:500]
estimators = [
    TSNE(perplexity=10, max_iter=300, random_state=0, method=method, n_jobs=n_jobs)
    for method in ("barnes_hut", "exact")
    for n_jobs in (None, -1, 8)
]
"""


@pytest.fixture(scope="module")
def digests():
    """What DIGEST has to print, computed in this process."""
    namespace = {}
    exec(DIGEST, namespace)
    return [namespace["digest"](e.fit(namespace["X"])) for e in namespace["estimators"]]


@pytest.mark.parametrize("threads", ["1", "3", "8"])
def test_another_process_with_other_threads_finds_the_same_bits(digests, threads):
    out = run_python(
        DIGEST + "print(json.dumps([digest(e.fit(X)) for e in estimators]))",
        OMP_NUM_THREADS=threads,
        OPENBLAS_NUM_THREADS=threads,
    )
    assert json.loads(out) == digests


def test_fits_in_several_python_threads_do_not_meet(digits):
    jobs = [
        (digits[start : start + 300], method)
        for start in range(0, 1500, 300)
        for method in ("barnes_hut", "exact")
    ]
    expected = [fit(X, method=method) for X, method in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = pool.map(lambda job: fit(job[0], method=job[1], n_jobs=None), jobs)
    for a, b in zip(found, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.nosan
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib_workers_find_the_same_bits(X, backend):
    estimator = TSNE(**{**SHORT, "n_jobs": None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = joblib.Parallel(n_jobs=2, backend=backend)(
            joblib.delayed(estimator.fit)(X) for _ in range(3)
        )
    for each in fitted:
        assert_same_bits(each, fit(X))


@both_methods
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblibs_backend_does_not_matter(backend, method, X):
    expected = fit(X, method=method, n_jobs=2)
    with joblib.parallel_config(backend=backend, n_jobs=3):
        for n_jobs in (2, None):
            assert_same_bits(fit(X, method=method, n_jobs=n_jobs), expected)


def test_a_metric_may_fit_a_map_itself():
    # Whoever holds a lock while the metric runs waits for the metric's fit for ever.
    code = """
import numpy as np
from fasttsne import TSNE

X = np.random.default_rng(0).normal(size=(60, 3))
fitted = []

def metric(a, b):
    if not fitted:
        fitted.append(True)
        TSNE(perplexity=5, max_iter=250, n_jobs=2).fit(X)
    return float(abs(a - b).sum())

for method in "barnes_hut", "exact":
    fitted.clear()
    TSNE(metric=metric, method=method, perplexity=5, max_iter=250, n_jobs=2).fit(X)
print("done")
"""
    assert run_python(code, timeout=60) == "done\n"


@needs_fork
@pytest.mark.nosan
@pytest.mark.parametrize(
    "params", [{}, {"method": "exact"}, {"metric": "manhattan"}, {"metric": "cosine"}]
)
def test_a_forked_child_can_fit_after_its_parent_did(params):
    # scikit-learn's searches hang in the child on more than one thread of OpenMP.
    code = f"""
import os, warnings
from sklearn.neighbors import NearestNeighbors
warnings.simplefilter("ignore")
NearestNeighbors(algorithm="brute").fit(X).kneighbors(X)
estimator = TSNE(perplexity=10, max_iter=300, random_state=0, n_jobs=2, **{params!r})
here = digest(estimator.fit(X))
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, json.dumps(digest(estimator.fit(X))).encode())
    os._exit(0)
os.close(writer)
there = json.loads(os.fdopen(reader).read())
os.waitpid(child, 0)
assert there == here, (there, here)
assert digest(estimator.fit(X)) == here
print("done")
"""
    assert run_python(DIGEST + code, timeout=60, OMP_NUM_THREADS="2") == "done\n"


@needs_fork
@pytest.mark.nosan
@pytest.mark.skipif(joblib.cpu_count() == 1, reason="one core runs one thread")
def test_a_forked_child_uses_several_threads():
    code = """
import os, time
import numpy as np
from fasttsne.neighbors import nearest_neighbors
X = np.random.default_rng(0).normal(size=(10_000, 30))

def search():  # one long job: a thread that takes no chunk of it soon sleeps
    nearest_neighbors(X, 10, method="exact", n_threads=2)

search()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    all, own = time.process_time(), time.thread_time()
    search()
    all, own = time.process_time() - all, time.thread_time() - own
    os.write(writer, str((all - own) / all).encode())
    os._exit(0)
os.close(writer)
print(os.fdopen(reader).read())
os.waitpid(child, 0)
"""
    # Threads of BLAS would use time of their own.
    one = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "BLIS")}
    share_of_other_threads = float(run_python(DIGEST + code, timeout=60, **one))
    assert share_of_other_threads > 0.2


@needs_fork
@pytest.mark.nosan
def test_a_forked_pool_can_fit_after_its_parent_did():
    code = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
X = X[:300]
here = [digest(e.fit(X)) for e in estimators]

def work(estimator):
    return digest(estimator.fit(X))

with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, estimators) == here
print("done")
"""
    assert run_python(DIGEST + code, timeout=60, OMP_NUM_THREADS="2") == "done\n"
