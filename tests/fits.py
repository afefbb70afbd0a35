"""Fits for tests, and what compares them."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import sklearn.manifold
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from fasttsne import TSNE

both_methods = pytest.mark.parametrize("method", ["barnes_hut", "exact"])
both_inits = pytest.mark.parametrize("init", ["pca", "random"])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc"
)
needs_sigint = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")


SHORT = {"perplexity": 10, "max_iter": 300, "random_state": 0, "n_jobs": 1}


def fit(X, **params):
    """A short fit with a seed, on one thread unless threads matter."""
    return TSNE(**{**SHORT, **params}).fit(X)


def fit_theirs(X, **params):
    """scikit-learn's fit, on one thread: several would wait for each other, busily."""
    with threadpool_limits(1):
        return sklearn.manifold.TSNE(**params).fit(X)


def assert_same_bits(a, b):
    """The same map and the same KL divergence, to the last bit."""
    assert_array_equal(a.embedding_.view(np.uint32), b.embedding_.view(np.uint32))
    assert a.kl_divergence_ == b.kl_divergence_


def calm_map(X, n_components=2, **params):
    """The map after a descent too calm to blow up differences of rounding.

    The usual one amplifies them beyond any tolerance, so that maps of inputs which agree to
    rounding can only be compared by quality. This one starts from a given, wide map, has no
    exaggeration and takes small steps.
    """
    init = np.random.default_rng(0).normal(size=(X.shape[0], n_components))
    calm = {"early_exaggeration": 1.0, "learning_rate": 2.0, "max_iter": 250, "init": init}
    return fit(X, **{**calm, "n_components": n_components, **params}).embedding_


def assert_maps_close(a, b):
    """As close as rounding of the input leaves calm maps: see test_calm_maps_tell_..."""
    assert_allclose(a, b, rtol=0, atol=1e-3 * np.ptp(b))


def run_python(code, *, timeout=120, **environment):
    """What `code` prints in a fresh interpreter, which, if it hangs, dies with all it forked."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, err
    return out
