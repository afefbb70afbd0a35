"""Fits in several Python threads at once; on free-threaded Python, all at the same time."""

import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fits import run_python

from fasttsne import TSNE


def fit(X, seed):
    model = TSNE(perplexity=10, max_iter=250, random_state=seed, n_jobs=1)
    return model.fit_transform(X), model.kl_divergence_


def test_eight_threads_that_fit_at_once_get_the_maps_of_fits_in_turn(small_digits):
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(fit, [small_digits] * 16, range(16)))
    for seed, (embedding, divergence) in enumerate(at_once):
        expected, expected_divergence = fit(small_digits, seed)
        assert divergence == expected_divergence
        np.testing.assert_array_equal(embedding, expected)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="Python has a GIL")
def test_free_threaded_python_keeps_the_gil_off():
    code = """
import sys
import numpy as np
import fasttsne
fasttsne.TSNE(perplexity=5, max_iter=250).fit_transform(np.random.default_rng(0).random((50, 3)))
print(sys._is_gil_enabled())
"""
    assert not sys._is_gil_enabled()
    assert run_python(code) == "False\n"
