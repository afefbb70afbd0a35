"""The scale of the map as a separate coordinate."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse

from fasttsne import TSNE, _kernels
from fasttsne.descent.forces import make_forces
from fasttsne.descent.loop import _has_converged
from fasttsne.descent.state import Check, Problem


def problem(n=300, n_components=2, seed=0):
    """P of random points, a map off the origin, and a velocity, float32."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), n / 10)
    Y = rng.normal(loc=5.0, scale=3.0, size=(n, n_components)).astype(np.float32)
    velocity = rng.normal(scale=0.1, size=Y.shape).astype(np.float32)
    return joint.astype(np.float32), Y, velocity


def step_of_scale(forces, Y, velocity, exaggeration=1.0):
    """Where one step of the points leads, without and with a step of the scale."""
    ends = []
    for scale in (False, True):
        state = Y.copy(), velocity.copy(), np.ones_like(Y)
        forces.evaluate(state[0], False)
        _kernels.descend(forces, *state, 1, 5.0, 0.8, exaggeration, True, None, scale)
        ends.append(state)
    return ends


def factor_between(before, after):
    centered = [end[0] - end[0].mean(axis=0, dtype=np.float64) for end in (before, after)]
    return np.vdot(*centered) / np.vdot(centered[0], centered[0])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("exaggeration", [0.5, 1.0, 6.0])
def test_slope_is_that_of_the_objective_along_the_scale(nu, n_components, exaggeration):
    joint, Y, _ = problem(100, n_components)
    forces = make_forces(joint, n_components, nu)
    forces.evaluate(Y, True)
    slope, radius = forces.slope_and_radius(Y, exaggeration)
    centered = Y - Y.mean(axis=0, dtype=np.float64)
    expected = reference.scale_slope(joint, Y, nu, exaggeration)
    assert slope == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert radius == pytest.approx(np.sqrt(np.mean(np.sum(centered**2, axis=1))), rel=1e-6)
    # A central difference; log Z is the part of the objective beside e E_p[-log w].
    h = 1e-4
    up, down = (
        exaggeration * reference.kl_divergence(joint, by * centered, nu)
        - (exaggeration - 1.0) * np.log(reference.sum_q(by * centered, nu))
        for by in (np.exp(h), np.exp(-h))
    )
    assert slope == pytest.approx((up - down) / (2 * h), rel=1e-3, abs=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("kind", ["barnes_hut", "exact"])
@pytest.mark.parametrize("spread", [0.05, 1.0, 30.0])
def test_step_multiplies_map_and_velocity_about_the_mean(kind, spread):
    joint, Y, velocity = problem()
    Y = (5.0 + spread * (Y - 5.0)).astype(np.float32)
    P = joint if kind == "exact" else sparse.csr_matrix(joint)
    before, after = step_of_scale(make_forces(P, 2, 1.0, angle=0.0, n_threads=2), Y, velocity)
    # Twice the slope over the bound of the curvature, 2, and at most log 1.15.
    step = -reference.scale_slope(joint, before[0] - before[1], 1.0)
    factor = np.exp(np.clip(step, -np.log(1.15), np.log(1.15)))
    assert factor_between(before, after) == pytest.approx(factor, rel=1e-4)
    mean = before[0].mean(axis=0, dtype=np.float64)
    scale = np.abs(before[0] - mean).max()
    assert_allclose(after[0], mean + factor * (before[0] - mean), atol=1e-4 * scale)
    assert_allclose(after[1], factor * before[1], rtol=1e-4)
    assert_array_equal(after[2], before[2])


@pytest.mark.parametrize("nu", [0.5, 1.0, 3.0, 50.0])
@pytest.mark.parametrize("exaggeration", [1.0, 4.0])
@pytest.mark.parametrize("spread", [0.01, 0.1, 1.0, 10.0, 1000.0])
def test_step_lowers_the_objective(nu, exaggeration, spread):
    joint, Y, velocity = problem()
    Y = (spread * Y).astype(np.float32)
    forces = make_forces(joint, 2, nu)
    before, after = step_of_scale(forces, Y, np.zeros_like(velocity), exaggeration)
    start, end = (
        exaggeration * reference.kl_divergence(joint, Y - step, nu)
        - (exaggeration - 1.0) * np.log(reference.sum_q(Y - step, nu))
        for Y, step, _ in (before, after)
    )
    assert end <= start + 1e-6  # coordinates up to 50,000 are rounded to single precision


def test_masses_count_as_copies():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(60, 4)), 3, axis=0)
    X = np.concatenate([X, rng.normal(size=(40, 4))])
    squared = reference.squared_distances(X)
    joint = reference.joint_probabilities_dense(squared, 15.0)
    points = np.concatenate([np.arange(0, 180, 3), np.arange(180, 220)])
    masses = np.concatenate([np.full(60, 3.0), np.ones(40)]).astype(np.float32)
    Y = rng.normal(scale=3.0, size=(100, 2)).astype(np.float32)
    whole = np.repeat(np.arange(100), masses.astype(int))
    np.fill_diagonal(joint, 0.0)
    # Row of a point: what one of its copies is drawn to, all copies of the other together.
    grouped = np.stack([joint[points][:, whole == j].sum(axis=1) for j in range(100)], axis=1)
    np.fill_diagonal(grouped, 0.0)
    forces = _kernels.ExactForces(
        np.ascontiguousarray(grouped, dtype=np.float32), 2, 1.0, 1, masses
    )
    forces.evaluate(Y, True)
    slope, radius = forces.slope_and_radius(Y, 1.0)
    everyone = Y[whole].astype(np.float64)
    assert slope == pytest.approx(reference.scale_slope(joint, everyone, 1.0), rel=1e-3)
    assert radius == pytest.approx(np.sqrt(np.sum(everyone.var(axis=0))), rel=1e-5)


def test_map_at_one_place_stays():
    joint, Y, velocity = problem(50)
    Y[:], velocity[:] = 3.0, 0.0
    _, (after, *_) = step_of_scale(make_forces(joint, 2, 1.0), Y, velocity)
    assert_array_equal(after, 3.0)


@both_methods
def test_finished_map_is_at_its_best_scale(digits, method):
    fitted = TSNE(random_state=0, method=method).fit(digits[:500])
    joint = reference.joint_probabilities_dense(reference.squared_distances(digits[:500]), 30.0)
    at = {by: reference.kl_divergence(joint, by * fitted.embedding_, 1.0) for by in (0.8, 1, 1.25)}
    assert at[1] < at[0.8]
    assert at[1] < at[1.25]


@pytest.mark.parametrize("max_iter", [263, 270], ids=["between two steps", "at a step"])
def test_runs_continue_to_the_same_bits_around_a_step_of_the_scale(X, max_iter):
    whole = fit(X, max_iter=320)
    parts = TSNE(**{**whole.get_params(), "max_iter": max_iter, "warm_start": True}).fit(X)
    assert_same_bits(parts.set_params(max_iter=320 - max_iter).fit(X), whole)


def test_fixed_points_fix_the_scale(X):
    start = fit(X).embedding_
    fixed = np.zeros(len(X), dtype=bool)
    fixed[:2] = True
    steps = []

    def watch(snapshot):
        steps.append(snapshot.embedding)

    TSNE(init=start, random_state=0, max_iter=250, callback=watch, callback_every=1).fit(
        X, fixed=fixed
    )
    for embedding in steps:
        assert_array_equal(embedding[:2], start[:2])


@pytest.mark.parametrize("counts_scale", [False, True])
def test_counts_scale_decides_whether_the_gain_by_the_scale_counts(counts_scale):
    problem = Problem(1.0, -9.0, 1.0)

    def check(iteration, objective, slope, radius):
        return Check(iteration, objective, 1.0, 0.0, objective, problem, True, 1.0, slope, radius)

    # The scale grows e-fold at slopes from -0.3 to -0.1, whose logarithmic mean is 0.2 / log 3.
    gain = 0.2 / np.log(3.0) + 0.01
    checks = [check(100, 2.0 + gain, -0.3, 10.0), check(150, 2.0, -0.1, 10.0 * np.e)]
    assert _has_converged(checks, 1.01 * 0.01 / 2.0 / 50, counts_scale) != counts_scale
    assert not _has_converged(checks, 0.99 * 0.01 / 2.0 / 50, counts_scale)


def test_a_slow_map_whose_objective_rises_by_more_than_the_least_gain_has_not_converged():
    problem = Problem(1.0, -9.0, 1.0)

    def check(iteration, objective):
        return Check(iteration, objective, 1.0, 0.0, objective, problem, True, 1.0, 0.0, 1.0)

    for change in (0.01, -0.01):
        checks = [check(100, 2.0), check(150, 2.0 + change)]
        assert not _has_converged(checks, 0.99 * 0.01 / (2.0 + change) / 50, True, is_slow=True)
        assert _has_converged(checks, 1.01 * 0.01 / (2.0 + change) / 50, True, is_slow=True)
