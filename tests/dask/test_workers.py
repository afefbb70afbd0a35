"""Workers: of a cluster with one thread and little memory each, and threads of this process."""

import gc
import os
import pickle
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
from dask_support import SHORT, blocks, counting_unpicklings, da, dask, processes_noted
from numpy.testing import assert_array_equal
from sklearn.base import clone

from fasttsne.dask import TSNE, quality, transform, workers
from fasttsne.dask.blocks import as_rows
from fasttsne.quality import report

distributed = pytest.importorskip("distributed")

# Servers and the processes of workers disturb sanitizers.
pytestmark = pytest.mark.nosan

PATIENCE = 300  # seconds, on a busy machine


def local_cluster(n_workers):
    limits = {"threads_per_worker": 1, "memory_limit": "1GiB"}
    # Dask's memory manager would drop copies of the model that are idle for a moment.
    with dask.config.set({"distributed.scheduler.active-memory-manager.start": False}):
        return distributed.LocalCluster(n_workers=n_workers, dashboard_address=":0", **limits)


@pytest.fixture(scope="module")
def cluster():
    with local_cluster(3) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(3)
        yield client


def assert_nothing_left(cluster):
    """All that was on the cluster is gone, or goes soon."""
    deadline = time.monotonic() + PATIENCE
    while cluster.scheduler.tasks:
        assert time.monotonic() < deadline, list(cluster.scheduler.tasks)[:5]
        gc.collect()
        time.sleep(0.05)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_the_same_bits_for_any_number_of_workers(client, digits, fitted, placed, n_workers):
    used = sorted(client.run(os.getpid))[:n_workers]
    lazy = transform(fitted, blocks(digits, 100))
    assert_array_equal(client.compute(lazy, workers=used).result(), placed)


def test_fits_and_reports_are_those_without_a_cluster(client, cluster, digits):
    model = TSNE(landmarks=300, landmark_selection="density", **SHORT)
    y = np.arange(1797) % 5
    with dask.config.set(scheduler="threads"):
        expected = clone(model).fit_transform(blocks(digits, 700)).compute()
    lazy = model.fit_transform(blocks(digits, 200))
    assert_array_equal(lazy.compute(), expected)
    found = quality(blocks(digits, 300), expected, y, sample=30, curve=True, random_state=0)
    of_sample = report(digits, expected, y, sample=found.rows, random_state=0)
    for name in ("trustworthiness", "neighbor_recall", "distance_correlation", "knn_accuracy"):
        assert getattr(found, name) == getattr(of_sample, name)
    assert_array_equal(found.r_nx, of_sample.r_nx)
    del lazy
    assert_nothing_left(cluster)


@pytest.mark.parametrize("function", ["fit", "transform"])
def test_an_error_leaves_nothing_on_the_cluster(client, cluster, digits, fitted, function):
    X = digits.copy()
    X[1432, 5] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in 1 of rows 1200 to 1599"):
        if function == "fit":
            TSNE(landmarks=50, **SHORT).fit(blocks(X, 400))
        else:
            transform(fitted, blocks(X, 400)).compute()
    assert_nothing_left(cluster)


def test_a_worker_gets_the_model_once_whatever_the_number_of_blocks(
    client, cluster, digits, fitted, placed, tmp_path
):
    lazy = transform(counting_unpicklings(fitted, tmp_path / "seen"), blocks(digits, 20))
    assert lazy.npartitions == 90
    assert_array_equal(lazy.compute(), placed)
    assert_array_equal(lazy[:400].compute(), placed[:400])
    seen = processes_noted(tmp_path / "seen")
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(client.run(os.getpid).values())
    del lazy
    assert_nothing_left(cluster)


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_worker_that_is_killed_changes_nothing(digits, fitted, placed, n_workers):
    X = np.tile(digits, (4, 1))
    with local_cluster(n_workers) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(n_workers)
        before = client.run(os.getpid)
        lazy = transform(fitted, blocks(X, 100).map_blocks(slowly, dtype=X.dtype))
        future = client.compute(lazy)
        deadline = time.monotonic() + PATIENCE
        while n_in_memory(cluster) < 10 * n_workers:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not future.done()
        os.kill(min(before.values()), signal.SIGKILL)
        assert_array_equal(future.result(timeout=PATIENCE), np.tile(placed, (4, 1)))
        client.wait_for_workers(n_workers)
        assert set(client.run(os.getpid).values()) != set(before.values())
        del lazy, future
        assert_nothing_left(cluster)


def n_in_memory(cluster):
    return sum(task.state == "memory" for task in list(cluster.scheduler.tasks.values()))


def slowly(block):
    time.sleep(0.05)
    return block


def test_too_small_a_memory_limit_is_refused_before_the_work_starts(monkeypatch, fitted):
    info = {"workers": {"tcp://a": {"memory_limit": 1 << 30, "nthreads": 1}}}
    client = SimpleNamespace(scheduler_info=lambda n_workers: info)
    monkeypatch.setattr(workers, "active_client", lambda: client)
    big = da.zeros((4_000_000, 64), chunks=(1_000_000, 64))
    message = r"has a memory limit of 1,024 MiB, but needs about 2,\d\d\d MiB for .*X.rechunk"
    with pytest.raises(MemoryError, match=message):
        transform(fitted, big)
    with pytest.raises(MemoryError, match=message):
        TSNE(landmarks=300, **SHORT).fit(big)
    big = big.rechunk((10_000, 64))
    with pytest.raises(MemoryError, match="fewer landmarks"):
        TSNE(landmarks=3_000_000, **SHORT).fit(big)
    TSNE(landmarks=300, **SHORT).check(big)


def test_the_file_for_processes_goes_with_the_graph():
    node = workers.share(np.arange(5), as_rows(blocks(np.zeros((5, 1)))))
    local = node.compute()
    assert pickle.loads(pickle.dumps(local)).value.tolist() == [0, 1, 2, 3, 4]
    path, _ = local.parts
    assert os.path.exists(path)
    with np.load(path, allow_pickle=False) as file:  # arrays alone
        assert file["0"].view(np.int64).tolist() == [0, 1, 2, 3, 4]
    del node, local
    gc.collect()  # a delayed object may refer to itself
    assert not os.path.exists(path)


def test_blocks_share_the_threads_of_a_process(monkeypatch):
    monkeypatch.setattr(workers, "effective_n_threads", lambda n_jobs: n_jobs or 8)
    share = workers.share_of_threads
    with share(None) as first, share(None) as second:
        assert (first, second) == (8, 4)
        with share(None) as third, share(3) as fourth:
            assert (third, fourth) == (2, 1)
    with share(None) as alone:
        assert alone == 8
    with pytest.raises(ZeroDivisionError), share(None):
        raise ZeroDivisionError
    with share(None) as alone:
        assert alone == 8
