"""Steps of the descent in C, against the equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse

from fasttsne import _kernels
from fasttsne.descent.forces import make_forces

pytestmark = pytest.mark.usefixtures("isa")


def make_joint(n, seed):
    """A dense P of random points at perplexity n / 5, float32."""
    X = np.random.default_rng(seed).normal(size=(n, 5))
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), n / 5)
    return joint.astype(np.float32)


def make_state(n, n_components, seed):
    """Map, velocity and gains in the middle of a descent, float32."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, n_components)).astype(np.float32)
    velocity = rng.normal(scale=0.1, size=(n, n_components)).astype(np.float32)
    gains = rng.uniform(0.01, 2.0, size=(n, n_components)).astype(np.float32)
    return embedding, velocity, gains


def copies(*arrays):
    return [array.copy() for array in arrays]


def descend(forces, embedding, velocity, gains, n_iter, *step):
    """_kernels.descend from forces evaluated at the embedding, as it expects them."""
    forces.evaluate(embedding, False)
    return _kernels.descend(forces, embedding, velocity, gains, n_iter, *step)


def start(n, seed=0):
    """A random start of standard deviation 1e-4, at rest, with gains 1."""
    embedding = 1e-4 * np.random.default_rng(seed).normal(size=(n, 2))
    embedding = embedding.astype(np.float32)
    return embedding, np.zeros_like(embedding), np.ones_like(embedding)


@given(
    n_components=st.integers(1, 4),
    nu=st.sampled_from([0.5, 1.0, 2.0]),
    momentum=st.floats(0.0, 0.95),
    learning_rate=st.floats(0.1, 20.0),
    exaggeration=st.floats(1.0, 12.0),
    seed=st.integers(0, 1000),
)
def test_one_step_equals_the_reference(
    n_components, nu, momentum, learning_rate, exaggeration, seed
):
    joint = make_joint(40, seed=0)
    Y, velocity, gains = make_state(40, n_components, seed)
    expected_Y, expected_velocity, expected_gains, expected_norm = reference.descend(
        joint, Y, velocity, gains, 1, learning_rate, momentum, nu, exaggeration
    )
    norm = descend(
        make_forces(joint, n_components, nu),
        Y,
        velocity,
        gains,
        1,
        learning_rate,
        momentum,
        exaggeration,
    )
    assert_allclose(gains, expected_gains, rtol=1e-6)
    # float32 forces of order exaggeration times 1/n, times the rate; map of order 1
    atol = 1e-6 * (1 + learning_rate * exaggeration)
    assert_allclose(velocity, expected_velocity, atol=atol)
    assert_allclose(Y, expected_Y, atol=atol)
    assert_allclose(norm, expected_norm, rtol=1e-5)


@pytest.mark.parametrize("exaggeration", [1.0, 12.0])
def test_ten_steps_equal_the_reference(exaggeration):
    joint = make_joint(60, seed=1)
    Y, velocity, gains = make_state(60, 2, seed=1)
    expected = reference.descend(joint, Y, velocity, gains, 10, 5.0, 0.8, 1.0, exaggeration)
    norm = descend(make_forces(joint, 2, 1.0), Y, velocity, gains, 10, 5.0, 0.8, exaggeration)
    assert_allclose(gains, expected[2], rtol=1e-5)
    assert_allclose(velocity, expected[1], atol=1e-4)
    assert_allclose(Y, expected[0], atol=1e-4)
    assert_allclose(norm, expected[3], rtol=1e-4)


def test_barnes_hut_at_angle_zero_descends_like_the_reference(small_digits):
    indices, squared = reference.nearest_neighbors(small_digits, 30)
    conditional, _ = reference.conditional_probabilities(squared, 10.0)
    P = reference.joint_probabilities(indices, conditional).astype(np.float32)
    P.sort_indices()
    forces = make_forces(P, 2, 1.0, angle=0.0)
    Y, velocity, gains = make_state(300, 2, seed=2)
    expected = reference.descend(P, Y, velocity, gains, 5, 5.0, 0.5, 1.0, 4.0)
    norm = descend(forces, Y, velocity, gains, 5, 5.0, 0.5, 4.0)
    assert_allclose(gains, expected[2], rtol=1e-5)
    assert_allclose(velocity, expected[1], atol=1e-4)
    assert_allclose(Y, expected[0], atol=1e-4)
    assert_allclose(norm, expected[3], rtol=1e-4)


def clumps(n, seed):
    """Points in eight clumps of different size, float32."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-6, 6, size=(8, 2))
    return rng.normal(centres[np.arange(n) % 8], 0.4).astype(np.float32)


@pytest.mark.parametrize("way", ["shuffle", "expand", "collapse", "shift"])
@pytest.mark.parametrize("n_iter", [2, 5, 14])
def test_repulsion_is_right_on_the_way_however_points_move(way, n_iter):
    # momentum 1 and rate 0 carry the points along straight lines; in the norm of the last step
    # there is the repulsion alone, at the place that they have reached by then
    Y = clumps(1500, seed=12)
    targets = {"shuffle": Y[::-1], "expand": 2.5 * Y, "collapse": 0.1 * Y, "shift": Y + 300}
    # no step is longer than the bound
    velocity = np.clip((targets[way] - Y) / n_iter, -1, 1).astype(np.float32)
    gains = np.ones_like(Y)
    joint = reference.joint_probabilities(
        np.roll(np.arange(1500), 1)[:, None], np.ones((1500, 1))
    ).astype(np.float32)
    expected = reference.descend(joint, Y, velocity, gains, n_iter, 0.0, 1.0, 1.0, 0.0)
    forces = make_forces(joint, 2, 1.0, n_threads=2)
    norm = descend(forces, Y, velocity, gains, n_iter, 0.0, 1.0, 0.0)
    assert_allclose(Y, expected[0], atol=1e-4 * abs(Y).max())
    assert_allclose(norm, expected[3], rtol=5e-3)


def test_gain_never_falls_below_one_hundredth():
    joint = make_joint(40, seed=3)
    Y, velocity, gains = make_state(40, 2, seed=3)
    gains[:] = 0.011
    descend(make_forces(joint, 2, 1.0), Y, velocity, gains, 1, 1.0, 0.5, 1.0)
    assert gains.min() == np.float32(0.01)


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
def test_no_step_is_longer_than_the_root_of_two(n_components):
    joint = make_joint(40, seed=18)
    before, velocity, gains = make_state(40, n_components, seed=18)
    Y = before.copy()
    expected = reference.descend(joint, Y, velocity, gains, 3, 100.0, 0.8, n_components)
    forces = make_forces(joint, n_components, n_components)
    descend(forces, Y, velocity, gains, 3, 100.0, 0.8, 1.0)
    lengths = np.linalg.norm(velocity, axis=1)
    assert_allclose(lengths.max(), np.sqrt(2.0), rtol=1e-6)
    assert (lengths < 1.4).any()
    assert np.linalg.norm(Y - before, axis=1).max() <= 3.0 * 1.4143
    assert_allclose(velocity, expected[1], atol=1e-3)


@pytest.mark.parametrize("n_components", [2, 3])
def test_no_direction_is_special(n_components):
    joint = make_joint(60, seed=5)
    state = make_state(60, n_components, seed=5)
    state[2][:] = state[2][:, :1]
    turn, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(n_components, n_components)))
    turned = [(a @ turn).astype(np.float32) for a in state[:2]] + [state[2].copy()]
    for Y, velocity, gains in (state, turned):
        forces = make_forces(joint, n_components, 1.0)
        descend(forces, Y, velocity, gains, 5, 50.0, 0.8, 4.0)
    assert_allclose(turned[0], state[0] @ turn, atol=1e-3)
    assert_allclose(turned[2], state[2], rtol=1e-6)


def test_point_at_rest_under_no_force_stays():
    joint = make_joint(30, seed=4)
    Y = np.full((30, 2), 3.0, dtype=np.float32)
    velocity, gains = np.zeros_like(Y), np.ones_like(Y)
    norm = descend(make_forces(joint, 2, 1.0), Y, velocity, gains, 3, 100.0, 0.8, 1.0)
    assert norm == 0.0
    assert_array_equal(Y, 3.0)
    assert_array_equal(velocity, 0.0)


@pytest.mark.parametrize("kind", ["barnes_hut", "exact"])
def test_fixed_rows_stay_and_act_on_the_others(kind):
    joint = make_joint(600, seed=24)
    P = joint if kind == "exact" else sparse.csr_matrix(joint)
    forces = make_forces(P, 2, 1.0, angle=0.0, n_threads=2)
    before, velocity, gains = make_state(600, 2, seed=24)
    fixed = np.random.default_rng(24).random(600) < 0.4
    Y, moving = before.copy(), ~fixed
    forces.evaluate(Y, False)
    norm = _kernels.descend(
        forces, Y, velocity, gains, 1, 5.0, 0.8, 2.0, True, fixed.astype(np.uint8)
    )
    free = make_state(600, 2, seed=24)
    expected = reference.descend(joint, *free, 1, 5.0, 0.8, 1.0, 2.0)
    assert_array_equal(Y[fixed], before[fixed])
    assert_array_equal(velocity[fixed], 0.0)
    assert_allclose(Y[moving], expected[0][moving], atol=1e-4)
    gradient = reference.gradient(joint, free[0], 1.0, 2.0) * expected[2]
    assert_allclose(norm, np.linalg.norm(gradient[moving]), rtol=1e-4)


def test_none_fixed_changes_no_bit(digits_graph):
    states = [start(1797), start(1797)]
    for state, fixed in zip(states, [None, np.zeros(1797, dtype=np.uint8)], strict=True):
        forces = make_forces(digits_graph, 2, 1.0)
        forces.evaluate(state[0], False)
        _kernels.descend(forces, *state, 20, 37.0, 0.8, 12.0, True, fixed)
    for array, expected in zip(*states, strict=True):
        assert_array_equal(array, expected)


def test_an_order_can_be_restored(digits_graph):
    Y, velocity, gains = start(1797)
    forces = make_forces(digits_graph, 2, 1.0)
    descend(forces, Y, velocity, gains, 20, 37.0, 0.8, 12.0)
    forces.reorder(Y, velocity, gains)
    other = make_forces(digits_graph, 2, 1.0)
    other.restore_order(forces.order)
    for both in (forces, other):
        both.evaluate(Y, True)
    assert_array_equal(other.order, forces.order)
    for mine, theirs in zip(other.joint, forces.joint, strict=True):
        assert_array_equal(mine, theirs)
    assert_array_equal(other.attractive, forces.attractive)
    assert_array_equal(other.repulsive, forces.repulsive)
    assert other.kl_divergence == forces.kl_divergence


def test_reordering_twice_is_reordering_once(digits_graph):
    state = start(1797)
    forces = make_forces(digits_graph, 2, 1.0)
    descend(forces, *state, 20, 37.0, 0.8, 12.0)
    forces.reorder(*state)
    once = copies(*state, forces.order, forces.attractive, forces.repulsive)
    forces.evaluate(state[0], True)
    forces.reorder(*state)
    for array, expected in zip(
        (*state, forces.order, forces.attractive, forces.repulsive), once, strict=True
    ):
        assert_array_equal(array, expected)


@pytest.mark.parametrize("order", [np.zeros(1797), np.arange(1796), np.arange(1797) + 1])
def test_what_is_no_order_is_refused(digits_graph, order):
    forces = make_forces(digits_graph, 2, 1.0)
    with pytest.raises(ValueError, match="order"):
        forces.restore_order(order.astype(np.int32))


@pytest.mark.parametrize("n_iter", [1, 5])
def test_forces_are_those_of_the_map_where_the_descent_ends(n_iter):
    joint = make_joint(60, seed=11)
    Y, velocity, gains = make_state(60, 2, seed=11)
    forces, afresh = make_forces(joint, 2, 1.0), make_forces(joint, 2, 1.0)
    descend(forces, Y, velocity, gains, n_iter, 5.0, 0.8, 4.0)
    afresh.evaluate(Y, True)
    assert_array_equal(forces.attractive, afresh.attractive)
    assert_array_equal(forces.repulsive, afresh.repulsive)
    assert forces.sum_q == afresh.sum_q
    assert forces.kl_divergence == afresh.kl_divergence


def test_divergence_is_computed_only_on_demand():
    joint = make_joint(60, seed=19)
    forces = make_forces(joint, 2, 1.0)
    Y, velocity, gains = make_state(60, 2, seed=19)
    forces.evaluate(Y, True)
    cross_entropy = forces.kl_divergence - np.log(forces.sum_q)
    _kernels.descend(forces, Y, velocity, gains, 2, 5.0, 0.8, 1.0, False)
    assert forces.kl_divergence - np.log(forces.sum_q) == pytest.approx(cross_entropy, rel=1e-9)
    _kernels.descend(forces, Y, velocity, gains, 2, 5.0, 0.8, 1.0, True)
    assert forces.kl_divergence == pytest.approx(reference.kl_divergence(joint, Y, 1.0), rel=1e-5)


def test_exaggeration_is_not_written_into_the_graph(digits_graph):
    forces = make_forces(digits_graph, 2, 1.0)
    data = digits_graph.data.copy()
    Y, velocity, gains = start(1797)
    descend(forces, Y, velocity, gains, 2, 50.0, 0.5, 12.0)
    forces.evaluate(Y, True)
    untouched = make_forces(digits_graph, 2, 1.0)
    untouched.evaluate(Y, True)
    assert_array_equal(digits_graph.data, data)
    assert_allclose(forces.kl_divergence, untouched.kl_divergence, rtol=1e-6)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
@pytest.mark.parametrize("kind", ["barnes_hut", "exact"])
def test_the_number_of_threads_changes_no_bit(digits_graph, kind, n_threads):
    results = []
    for threads in (1, n_threads):
        joint = make_joint(300, seed=8) if kind == "exact" else digits_graph
        state = start(300 if kind == "exact" else 1797)
        forces = make_forces(joint, 2, 1.0, n_threads=threads)
        norm = descend(forces, *state, 30, 20.0, 0.5, 12.0)
        results.append((*(array.tobytes() for array in state), norm))
    assert results[0] == results[1]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_arrays_of_another_shape_and_read_only_ones_are_refused(position):
    forces = make_forces(make_joint(20, seed=9), 2, 1.0)
    for change in ("shape", "flag"):
        arrays = list(make_state(20, 2, seed=9))
        if change == "shape":
            arrays[position] = np.ones((19, 2), dtype=np.float32)
        else:
            arrays[position].flags.writeable = False
        with pytest.raises(ValueError):
            descend(forces, *arrays, 1, 1.0, 0.5, 1.0)
