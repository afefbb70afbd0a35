"""fasttsne.TSNE on whatever Hypothesis comes up with: a finite map, for every finite input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from fasttsne import TSNE


@st.composite
def points(draw, max_samples=40):
    """(n, d) of one scale or of several, with duplicates, constant columns and an offset."""
    n = draw(st.integers(2, max_samples), label="n")
    d = draw(st.integers(1, 6), label="d")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    kind = draw(st.sampled_from(["normal", "grid", "line", "heavy tails"]), label="kind")
    X = {
        "normal": lambda: rng.normal(size=(n, d)),
        "grid": lambda: rng.integers(0, 3, size=(n, d)).astype(float),
        "line": lambda: np.outer(np.arange(n), rng.normal(size=d)),
        "heavy tails": lambda: 10.0 ** rng.uniform(-30, 30, size=(n, d)),
    }[kind]()
    distinct = draw(st.integers(1, n), label="distinct rows")
    X = X[rng.integers(0, distinct, size=n)] if draw(st.booleans(), label="duplicates") else X
    X[:, rng.uniform(size=d) < draw(st.sampled_from([0.0, 0.5, 1.0]), label="constant")] = 1.0
    if kind != "heavy tails":
        X *= 10.0 ** draw(st.integers(-30, 30), label="scale")
    X += draw(st.sampled_from([0.0, 1.0, -1e6, 1e30]), label="offset")
    return X.astype(draw(st.sampled_from([np.float64, np.float32]), label="dtype"))


@st.composite
def parameters(draw, n_samples):
    """Any valid parameters for n samples, of one short fit."""
    method = draw(st.sampled_from(["barnes_hut", "exact"]))
    return {
        "method": method,
        "n_components": draw(st.integers(1, 3 if method == "barnes_hut" else 5)),
        "perplexity": draw(
            st.floats(0.0, n_samples, exclude_min=True, exclude_max=True, allow_subnormal=False)
        ),
        "early_exaggeration": draw(st.floats(1.0, 100.0)),
        "angle": draw(st.floats(0.0, 1.0)),
        "degrees_of_freedom": draw(
            st.one_of(st.sampled_from(["auto", None]), st.floats(0.1, 100.0))
        ),
        "random_state": draw(st.integers(0, 2**32 - 1)),
        "max_iter": draw(st.integers(250, 260)),
        "n_jobs": 1,
    }


def assert_sound(estimator, n_samples):
    """Finite coordinates and a divergence that is one."""
    assert estimator.embedding_.shape == (n_samples, estimator.n_components)
    assert np.isfinite(estimator.embedding_).all()
    assert np.isfinite(estimator.kl_divergence_)
    # Not below 0 but by the error of Barnes and Hut's sum.
    assert estimator.kl_divergence_ > -0.1


def halved(X):
    """The larger half of the values, sparse."""
    return sparse.csr_array(np.where(np.abs(X) < np.median(np.abs(X)), 0.0, X))


@pytest.mark.parametrize(
    ("form", "choices"),
    [
        (np.asarray, {"init": ["pca", "random"]}),
        (halved, {"init": ["pca", "random"]}),
        (lambda X: np.abs(X[:, :1] - X[:, :1].T), {"metric": ["precomputed"], "init": ["random"]}),
        (np.asarray, {"metric": ["cosine", "manhattan", "chebyshev", "canberra"]}),
    ],
    ids=["points", "sparse points", "distances", "metrics"],
)
@given(data=st.data())
def test_finite_data_have_a_finite_map(form, choices, data):
    X = data.draw(points())
    params = data.draw(parameters(len(X)))
    params |= {name: data.draw(st.sampled_from(values)) for name, values in choices.items()}
    assert_sound(TSNE(**params).fit(form(X)), len(X))


@pytest.mark.filterwarnings("ignore:init has a standard deviation")
@given(st.data())
def test_an_init_array_has_a_finite_map(data):
    X = data.draw(points())
    params = data.draw(parameters(len(X)))
    scale = 10.0 ** data.draw(st.integers(-30, 15), label="scale of init")
    rng = np.random.default_rng(params["random_state"])
    init = scale * rng.normal(size=(len(X), params["n_components"]))
    init[:-1][rng.uniform(size=len(X) - 1) < 0.3] = init[0]  # not all
    assert_sound(TSNE(init=init, **params).fit(X), len(X))


@given(st.data())
def test_the_number_of_threads_never_matters(data):
    X = data.draw(points())
    params = data.draw(parameters(len(X)))
    alone, together = (TSNE(**{**params, "n_jobs": n_jobs}).fit(X) for n_jobs in (1, 3))
    assert_array_equal(alone.embedding_, together.embedding_)
    assert alone.kl_divergence_ == together.kl_divergence_


@given(st.data())
def test_any_array_of_floats_is_a_map_or_a_value_error(data):
    """Beyond the scales that have to work: infinities, overflow, denormals."""
    n, d = data.draw(st.integers(0, 8)), data.draw(st.integers(0, 3))
    values = data.draw(st.lists(st.floats(), min_size=n * d, max_size=n * d))
    params = data.draw(parameters(max(n, 2)))
    try:
        estimator = TSNE(**params).fit(np.reshape(values, (n, d)))
    except ValueError as error:
        assert str(error)
    else:
        assert_sound(estimator, n)
