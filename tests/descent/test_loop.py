"""The loop: phases one after the other, stopping rules, settling."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference

from fasttsne import _kernels
from fasttsne.descent import optimize_embedding
from fasttsne.descent.forces import make_forces
from fasttsne.descent.loop import Rules, optimize
from fasttsne.descent.schedule import N_ITER_HELD, Phase, Schedule, Settings
from fasttsne.descent.state import Descent

pytestmark = pytest.mark.usefixtures("isa")


def problem(n, seed):
    """P of random points at perplexity n / 5, its forces, and a random map, float32."""
    X = np.random.default_rng(seed).normal(size=(n, 5))
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), n / 5)
    joint = joint.astype(np.float32)
    Y = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    return joint, make_forces(joint, 2, 1.0), Y


def steady(n_iter, exaggeration=1.0, momentum=0.8, learning_rate=3.0, **kwargs):
    """A phase of constant settings."""
    settings = Settings(learning_rate, momentum, exaggeration)
    return Phase(n_iter, settings, settings, **kwargs)


def minimize(
    forces, Y, phases, n_iter_without_progress=300, min_grad_norm=0.0, n_iter_check=50, settling=0
):
    """The map where a run down all phases leads, and the index of its last iteration."""
    descent = Descent.at_rest(Y)
    optimize(
        forces,
        descent,
        Schedule(phases, n_iter_settling=settling),
        max_iter=sum(phase.n_iter for phase in phases) + settling,
        rules=Rules(n_iter_without_progress, min_grad_norm, n_iter_check),
    )
    return descent.outcome.embedding, descent.outcome.n_iter - 1


def test_phases_go_on_from_where_the_last_one_ended():
    joint, forces, Y = problem(60, seed=12)
    at_rest, unit = np.zeros_like(Y), np.ones_like(Y)
    *middle, _ = reference.descend(joint, Y, at_rest, unit, 7, 3.0, 0.5, 1.0, 4.0)
    expected, *_ = reference.descend(joint, *middle, 6, 3.0, 0.8, 1.0)
    embedding, n_iter = minimize(forces, Y, [steady(7, 4.0, 0.5), steady(6)])
    assert_allclose(embedding, expected, atol=1e-4)
    assert n_iter == 12


def test_settings_on_the_move_are_held_for_a_few_iterations():
    joint, forces, Y = problem(60, seed=20)
    phase = Phase(N_ITER_HELD + 5, Settings(2.0, 0.5, 4.0), Settings(6.0, 0.8, 1.0))
    first, later = phase.first, phase.settings(N_ITER_HELD / phase.n_iter)
    state = Y, np.zeros_like(Y), np.ones_like(Y)
    for n_iter, (rate, momentum, exaggeration) in [(N_ITER_HELD, first), (5, later)]:
        *state, _ = reference.descend(joint, *state, n_iter, rate, momentum, 1.0, exaggeration)
    embedding, _ = minimize(forces, Y, [phase])
    assert_allclose(embedding, state[0], atol=1e-3)


def test_barnes_hut_map_comes_back_in_the_order_of_the_caller(digits_graph):
    start = 1e-4 * np.random.default_rng(0).normal(size=(1797, 2)).astype(np.float32)
    forces, afresh = (make_forces(digits_graph, 2, 1.0, angle=0.0) for _ in range(2))
    phases = [steady(6, 12.0, 0.5, learning_rate=50.0)]
    original, Y = start.copy(), start.copy()
    embedding, _ = minimize(forces, start, phases, n_iter_check=2)  # reorders as often
    assert_array_equal(start, original)
    afresh.evaluate(Y, False)
    _kernels.descend(afresh, Y, np.zeros_like(Y), np.ones_like(Y), 6, 50.0, 0.5, 12.0)
    assert_allclose(embedding, Y, rtol=1e-4, atol=1e-5 * np.abs(Y).max())


@pytest.mark.parametrize("end", [20, 50])
@pytest.mark.parametrize("last", [1.0, 2.0])
def test_forces_are_left_at_the_final_map(end, last):
    joint, forces, Y = problem(60, seed=13)
    embedding, _ = minimize(
        forces, Y, [Phase(end, Settings(3.0, 0.8, 1.0), Settings(3.0, 0.8, last))]
    )
    expected = reference.kl_divergence(joint, embedding, 1.0)
    assert_allclose(forces.kl_divergence, expected, rtol=1e-5)


@pytest.mark.parametrize(("patience", "last"), [(49, 99), (50, 149), (99, 149), (100, 199)])
def test_stops_when_more_than_so_many_iterations_brought_no_progress(patience, last):
    _, forces, Y = problem(40, seed=14)
    # At this rate nothing moves: the first check, after 50 iterations, is never bettered.
    _, n_iter = minimize(
        forces,
        Y,
        [steady(1000, learning_rate=1e-30), steady(2000)],
        n_iter_without_progress=patience,
    )
    assert n_iter == last


@pytest.mark.parametrize(("factor", "last"), [(0.99, 299), (1.01, 49)])
def test_stops_at_a_check_where_the_gradient_norm_is_small(factor, last):
    joint, forces, Y = problem(40, seed=15)
    # At this rate nothing moves, but every step goes downhill: the gains are 0.8 after the
    # first and grow by 0.2 in each of the 49 that follow.
    norm = (0.8 + 49 * 0.2) * np.linalg.norm(reference.gradient(joint, Y, 1.0))
    _, n_iter = minimize(forces, Y, [steady(300, learning_rate=1e-20)], min_grad_norm=factor * norm)
    assert n_iter == last


def test_no_rule_looks_while_the_exaggeration_moves():
    _, forces, Y = problem(40, seed=16)
    early = Phase(250, Settings(3.0, 0.5, 12.0), Settings(3.0, 0.8, 1.0))
    _, n_iter = minimize(forces, Y, [early, steady(400)], min_grad_norm=1e9)
    assert n_iter == 299  # the first check of the second phase


def test_too_small_a_gain_lets_the_map_settle():
    _, forces, Y = problem(40, seed=22)
    divergences = []
    for n_iter in [50, 100, 150]:
        minimize(forces, Y, [steady(n_iter)])
        divergences.append(forces.kl_divergence)
    first, second, third = divergences
    gain, later = (first - second) / second / 50, (second - third) / third / 50
    assert later < gain
    for least_gain, check in [(1.01 * gain, 100), (0.99 * gain, 150), (1.01 * later, 150)]:
        phases = [steady(150, least_gain=least_gain)]
        assert minimize(forces, Y, phases, settling=20)[1] == check + 19


def test_gain_is_measured_since_the_last_check_of_the_phase_before():
    _, forces, Y = problem(40, seed=22)
    demanding = steady(500, learning_rate=1e-30, least_gain=1e-12)
    _, n_iter = minimize(forces, Y, [steady(50, learning_rate=1e-30), demanding])
    assert n_iter == 99


def test_map_that_flies_apart_raises():
    _, forces, Y = problem(40, seed=17)
    Y[0] = 1e30
    with pytest.raises(FloatingPointError):
        minimize(forces, Y, [steady(100)])


@pytest.mark.parametrize("name", ["n_iter_check", "callback_every"])
def test_periods_are_at_least_one(name):
    P = np.full((20, 20), 1 / 380) - np.eye(20) / 380
    with pytest.raises(ValueError, match=f"{name} == 0, must be >= 1"):
        optimize_embedding(P, np.eye(20, 2), callback=lambda state: None, **{name: 0})


def test_a_descent_continues_with_as_many_samples():
    P, Q = (np.full((n, n), 1 / (n * n - n)) - np.eye(n) / (n * n - n) for n in (20, 21))
    descent = optimize_embedding(P, np.random.default_rng(0).normal(size=(20, 2)), max_iter=10)
    with pytest.raises(ValueError, match="joint is of 21 samples, but start is a map of 20"):
        optimize_embedding(Q, descent)


@pytest.mark.parametrize(
    ("joint", "start", "message"),
    [
        (np.eye(9), np.ones(9), r"start must be numbers of shape \(n_samples, n_components\)"),
        (np.eye(9), np.full((9, 2), "a"), "start must be numbers"),
        ("joint", np.ones((9, 2)), "joint must be JointProbabilities or a matrix.*got str"),
    ],
)
def test_arguments_that_are_no_matrices_are_named(joint, start, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optimize_embedding(joint, start)
