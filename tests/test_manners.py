"""fasttsne.TSNE as a guest: it leaves data alone, keeps no memory, and goes when asked to."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fits import both_methods, fit, needs_proc, needs_sigint, run_python
from numpy.testing import assert_array_equal
from sklearn.metrics.pairwise import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer


@both_methods
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "precomputed"])
@pytest.mark.filterwarnings("ignore:init has a standard deviation")
def test_x_and_init_are_not_modified(X, method, dtype, metric):
    # scikit-learn squares precomputed distances in place.
    data = (pairwise_distances(X) if metric == "precomputed" else X).astype(dtype)
    init = np.random.default_rng(0).normal(size=(len(X), 2)).astype(dtype)
    before = data.copy(), init.copy()
    fit(data, method=method, init=init, metric=metric)
    assert_array_equal(data, before[0])
    assert_array_equal(init, before[1])


@pytest.mark.parametrize("params", [{}, {"metric": "precomputed", "init": "random"}], ids=str)
@pytest.mark.filterwarnings("ignore:Precomputed sparse input was not sorted")
def test_a_sparse_matrix_is_not_modified(X, params):
    graph = KNeighborsTransformer(n_neighbors=40).fit_transform(X)
    for row in range(len(X)):  # unsorted, so that there is something to sort
        part = slice(*graph.indptr[row : row + 2])
        graph.indices[part] = graph.indices[part][::-1].copy()
        graph.data[part] = graph.data[part][::-1].copy()
    parts = (graph.data, graph.indices, graph.indptr)
    before = [part.copy() for part in parts]
    fit(graph, **params)
    for part, copied in zip(parts, before, strict=True):
        assert_array_equal(part, copied)


@needs_proc
@pytest.mark.nosan
@pytest.mark.parametrize("method", ["barnes_hut", "exact"])
def test_ten_fits_do_not_grow_memory(method):
    code = f"""
import os
from sklearn.datasets import load_digits
from fasttsne import TSNE

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

X = load_digits().data[:600]
sizes = []
for _ in range(15):
    TSNE(max_iter=250, random_state=0, method={method!r}).fit(X)
    sizes.append(resident())
print(sizes[-1] - sizes[4])
"""
    # One leaked P or list of neighbours is more than half a million bytes at each of ten fits.
    # What is freed goes back to the system at once, lest memory that glibc keeps for later,
    # several million bytes in some runs, look like a leak.
    at_once = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), "65536")
    assert int(run_python(code, MALLOC_ARENA_MAX="1", **at_once)) < 3e6


FOREVER = "max_iter=10**9, min_grad_norm=0, n_iter_without_progress=10**9"

ENDLESS = """
import numpy as np
from fasttsne import TSNE
from fasttsne.descent import loop

loop._has_converged = lambda *args: False

def points(n, d):
    return np.random.default_rng(0).normal(size=(n, d))

try:
    TSNE({params}, init="random", verbose=2).fit(points{shape})
except KeyboardInterrupt:
    print("interrupted")
TSNE(perplexity=5, max_iter=250).fit(points(50, 3))
print("fitted again")
"""


@needs_sigint
@pytest.mark.nosan
@pytest.mark.parametrize(
    ("params", "shape", "cue", "too_late"),
    [
        # 640 billion multiplications on one thread.
        ("n_jobs=1", (40_000, 200), "nearest neighbors...", "Computed neighbors"),
        (FOREVER, (3000, 3), "Iteration 200:", "Finished"),
        (f"{FOREVER}, angle=0.0", (3000, 3), "Iteration 200:", "Finished"),
        (f"{FOREVER}, method='exact'", (1500, 3), "Iteration 200:", "Finished"),
    ],
    ids=["neighbors", "barnes_hut", "angle 0", "exact"],
)
def test_ctrl_c_ends_a_fit(params, shape, cue, too_late):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", ENDLESS.format(params=params, shape=shape)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout:
            if cue in line:
                break
        time.sleep(0.3)  # well into the stage that was announced
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("interrupted"):
                break
        waited = time.monotonic() - sent
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert lines[-1] == "interrupted"
    assert not any(too_late in line for line in lines)
    assert "fitted again" in rest
    assert waited < 2.0
