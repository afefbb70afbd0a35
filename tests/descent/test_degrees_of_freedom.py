"""Pinned points, and degrees of freedom that are learned."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse

from fasttsne import TSNE, _kernels
from fasttsne.descent.degrees_of_freedom import slopes

# Pinned points -----------------------------------------------------------------------


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
    plain = fit(X, method=method, init=init)
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
    # the map from which a further call goes on, before it settled
    fixed = np.arange(len(X)) < 60
    place = estimator._descent.state.of_samples(None)
    estimator.set_params(max_iter=100).fit(X, fixed=fixed)
    assert_array_equal(estimator.embedding_[fixed], place[fixed])
    assert np.abs(estimator.embedding_[~fixed] - place[~fixed]).max() > 1e-3


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


# Learned degrees of freedom ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["barnes_hut", "exact"])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0, 7.0])
@pytest.mark.parametrize("exaggeration", [1.0, 3.0])
def test_the_slope_is_that_of_the_objective(small_digits, kind, nu, exaggeration):
    squared = reference.squared_distances(small_digits)
    joint = reference.joint_probabilities_dense(squared, 30).astype(np.float32)
    Y = np.random.default_rng(0).normal(scale=3.0, size=(300, 2)).astype(np.float32)
    if kind == "exact":
        forces = _kernels.ExactForces(joint, 2, nu, 1)
    else:
        P = sparse.csr_matrix(joint)
        forces = _kernels.BarnesHutForces(
            P.indptr.astype(np.int64), P.indices, P.data, 2, nu, 0.5, 1
        )
    forces.evaluate(Y, True)
    first, second = slopes(forces, Y, exaggeration)
    P = joint.astype(np.float64)

    def derivative(nu):
        return nu * reference.degrees_of_freedom_gradient(P, Y, nu, exaggeration)

    assert_allclose(first, derivative(nu), rtol=5e-3, atol=2e-3)
    step = 1e-4
    expected = (derivative(nu * np.exp(step)) - derivative(nu * np.exp(-step))) / (2 * step)
    assert_allclose(second, expected, rtol=3e-2, atol=2e-2)
    assert forces.degrees_of_freedom == nu


@pytest.mark.parametrize("nu", [0.5, 1.0, 3.0])
def test_the_reference_is_the_central_difference(nu):
    rng = np.random.default_rng(3)
    P = reference.joint_probabilities_dense(
        reference.squared_distances(rng.normal(size=(30, 4))), 8
    )
    Y, step = rng.normal(size=(30, 2)), 1e-5
    expected = (
        reference.kl_divergence(P, Y, nu + step) - reference.kl_divergence(P, Y, nu - step)
    ) / (2 * step)
    assert reference.degrees_of_freedom_gradient(P, Y, nu) == pytest.approx(expected, rel=1e-6)


@both_methods
def test_what_is_learned_is_about_the_best(digits, method):
    X = digits[:500]
    learned = fit(X, method=method, degrees_of_freedom="auto", perplexity=30, max_iter=700)
    fixed = {
        nu: fit(X, method=method, degrees_of_freedom=nu, perplexity=30, max_iter=700)
        for nu in (0.5, 1.0, 1.5, 3.0)
    }
    # Which arrangement 500 points settle in is worth 1 per cent, and may depend on the build.
    assert learned.kl_divergence_ < 1.02 * min(one.kl_divergence_ for one in fixed.values())
    assert learned.degrees_of_freedom_ != 1.0
    assert {nu: one.degrees_of_freedom_ for nu, one in fixed.items()} == {nu: nu for nu in fixed}


def test_what_is_learned_does_not_depend_on_threads(digits):
    one, two = (fit(digits[:500], degrees_of_freedom="auto", n_jobs=n_jobs) for n_jobs in (1, 2))
    assert_same_bits(one, two)
    assert one.degrees_of_freedom_ == two.degrees_of_freedom_


def test_nothing_to_tell_a_kernel_by_is_no_harm():
    assert np.isfinite(
        TSNE(degrees_of_freedom="auto", perplexity=3, init="random")
        .fit(np.zeros((10, 2)))
        .embedding_
    ).all()
