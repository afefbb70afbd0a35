"""Degrees of freedom that are learned."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose
from reference import tsne as reference
from scipy import sparse

from fasttsne import TSNE
from fasttsne.descent.degrees_of_freedom import slopes
from fasttsne.descent.forces import make_forces


@pytest.mark.parametrize("kind", ["barnes_hut", "exact"])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0, 7.0])
@pytest.mark.parametrize("exaggeration", [1.0, 3.0])
def test_the_slope_is_that_of_the_objective(small_digits, kind, nu, exaggeration):
    squared = reference.squared_distances(small_digits)
    joint = reference.joint_probabilities_dense(squared, 30).astype(np.float32)
    Y = np.random.default_rng(0).normal(scale=3.0, size=(300, 2)).astype(np.float32)
    forces = make_forces(joint if kind == "exact" else sparse.csr_matrix(joint), 2, nu)
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
@pytest.mark.nosan
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
