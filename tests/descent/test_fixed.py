"""Points that do not move: `fixed`."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_array_equal
from reference import tsne as reference

from fasttsne import TSNE


@pytest.fixture(scope="module")
def init(X):
    return np.random.default_rng(0).normal(scale=3.0, size=(len(X), 2))


@both_methods
def test_pinned_points_stay_where_the_array_puts_them(X, init, method):
    fixed = np.arange(len(X)) % 3 == 0
    fitted = TSNE(method=method, init=init, perplexity=10, max_iter=300).fit(X, fixed=fixed)
    assert_array_equal(fitted.embedding_[fixed], init[fixed].astype(np.float32))
    moved = np.linalg.norm(fitted.embedding_[~fixed] - init[~fixed], axis=1)
    assert np.median(moved) > 0.5
    # The free ones are drawn to pinned ones of their cluster.
    free = TSNE(method=method, init=init, perplexity=10, max_iter=300)
    assert_array_equal(free.fit_transform(X, fixed=fixed.tolist()), fitted.embedding_)


@both_methods
def test_none_pinned_is_no_mask(X, init, method):
    fixed = np.zeros(len(X), dtype=bool)
    plain = fit(X, method=method, init=init, early_exaggeration_iter=0)
    masked = TSNE(**plain.get_params()).fit(X, fixed=fixed)
    assert_same_bits(plain, masked)


@both_methods
def test_with_all_pinned_the_map_is_the_one_given(X, init, method):
    estimator = TSNE(method=method, init=init, perplexity=40)
    embedding = estimator.fit_transform(X, fixed=np.ones(len(X), dtype=bool))
    assert_array_equal(embedding, init.astype(np.float32))
    assert estimator.n_iter_ == 0
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    expected = reference.kl_divergence(P, embedding, 1.0)
    assert estimator.kl_divergence_ == pytest.approx(expected, rel=2e-2)


@both_methods
def test_points_may_be_pinned_where_they_are(X, method):
    estimator = fit(X, method=method, warm_start=True, learning_rate=20.0)
    fixed = np.arange(len(X)) < 60
    place = estimator.embedding_.copy()
    estimator.set_params(max_iter=100).fit(X, fixed=fixed)
    assert_array_equal(estimator.embedding_[fixed], place[fixed])
    assert np.abs(estimator.embedding_[~fixed] - place[~fixed]).max() > 1e-3
    place = estimator.embedding_.copy()
    estimator.fit(X, fixed=~fixed)
    assert_array_equal(estimator.embedding_[~fixed], place[~fixed])
    assert_array_equal(estimator.fit(X, fixed=fixed | ~fixed).embedding_, estimator.embedding_)


@both_methods
def test_with_all_pinned_after_a_fit_the_map_stays(X, method):
    copies = np.repeat(X[:60], 2, axis=0)  # copies share a point
    for data in (X, copies):
        estimator = fit(data, method=method, warm_start=True)
        place = estimator.embedding_.copy()
        estimator.fit(data, fixed=np.ones(len(data), dtype=bool))
        assert_array_equal(estimator.embedding_, place)


def test_runs_with_the_same_pins_continue_each_other(X, init):
    fixed = np.arange(len(X)) < 60
    params = {"init": init, "learning_rate": 20.0, "warm_start": True}
    halves = TSNE(perplexity=10, max_iter=250, **params).fit(X, fixed=fixed).fit(X, fixed=fixed)
    assert_same_bits(halves, TSNE(perplexity=10, max_iter=500, **params).fit(X, fixed=fixed))


@pytest.mark.parametrize(
    "fixed",
    [np.zeros(119, dtype=bool), np.arange(120), np.zeros((120, 1), dtype=bool), [0, 5], True, "a"],
    ids=lambda fixed: str(np.shape(fixed)),
)
def test_a_mask_has_a_boolean_for_every_sample(X, init, fixed):
    with pytest.raises(ValueError, match="fixed must be a mask"):
        TSNE(init=init, perplexity=10).fit(X, fixed=fixed)


@pytest.mark.parametrize("start", ["pca", "random"])
def test_pinned_points_need_positions(X, start):
    with pytest.raises(ValueError, match="give init an array"):
        TSNE(init=start, perplexity=10).fit(X, fixed=np.arange(len(X)) < 5)
