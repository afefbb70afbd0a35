"""The forces on a map, Barnes-Hut and exact, against the equations in float64."""

import functools
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from reference.gradients import central_differences
from scipy import sparse

from fasttsne import _kernels

pytestmark = pytest.mark.usefixtures("isa")

EPS = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)
DEGREES_OF_FREEDOM = [0.5, 1.0, 2.0, 3.7]


MAPS = {
    "normal": lambda Y, rng: Y,
    "duplicates": lambda Y, rng: Y[rng.integers(0, max(len(Y) // 4, 1), size=len(Y))],
    "coincident": lambda Y, rng: np.repeat(Y[:1], len(Y), axis=0),
    "collinear": lambda Y, rng: Y[:, :1] * rng.normal(size=Y.shape[1]),
    "on one axis": lambda Y, rng: np.where(np.arange(Y.shape[1]) > 0, 0.25, Y),
    "outlier": lambda Y, rng: Y,  # see make_map
    "tiny": lambda Y, rng: Y * 1e-5,
    "wide": lambda Y, rng: Y * 100.0,
    "off centre": lambda Y, rng: Y + 500.0,
    "grid": lambda Y, rng: np.round(Y / 5),
}


def make_map(kind, n, n_components, seed):
    """A map of n points, float32."""
    rng = np.random.default_rng(seed)
    Y = MAPS[kind](rng.normal(scale=10.0, size=(n, n_components)), rng)
    if kind == "outlier":
        Y[seed % n] = 1e4 * np.abs(Y).max()
    return np.ascontiguousarray(Y, dtype=np.float32)


@functools.cache
def make_graph(n, k, seed):
    """A symmetric sparse P of random neighbours and values that sums to 1, float32 CSR."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=(n, n))
    np.fill_diagonal(scores, np.inf)
    indices = np.argsort(scores, axis=1)[:, :k]
    conditional = rng.exponential(size=(n, k))
    conditional /= conditional.sum(axis=1, keepdims=True)
    graph = reference.joint_probabilities(indices, conditional).astype(np.float32)
    graph.sort_indices()
    return graph


def make_forces(method, graph, n_components=2, nu=1.0, angle=0.5, n_threads=1):
    if method == "exact":
        joint = np.ascontiguousarray(graph.toarray(), dtype=np.float32)
        return _kernels.ExactForces(joint, n_components, nu, n_threads)
    arrays = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
    return _kernels.BarnesHutForces(*arrays, n_components, nu, angle, n_threads)


barnes_hut = functools.partial(make_forces, "barnes_hut")
every_method = pytest.mark.parametrize("method", ["barnes_hut", "exact"])


def assert_rounding_only(forces, graph, Y, nu):
    """Forces, Z and KL differ from the equations by float32 rounding alone.

    In units of the float32 epsilon, relative to the sum of the terms' magnitudes where terms may
    cancel: a term has about eight roundings; a sum of n terms adds about sqrt(n);
    w = exp(-(nu+1)/2 log(1 + d²/nu)) adds one per unit of its exponent. Attraction has few terms
    and no power. Values below the smallest normal number may be lost.
    """
    forces.evaluate(Y, True)
    n = len(Y)
    w = reference.student_kernel(Y, nu)
    units = 8 + np.sqrt(n)
    if nu not in (1.0, 2.0):
        units -= np.log(w[~np.eye(n, dtype=bool)].min())
    lost = n * TINY * np.abs(Y).max()

    weights = reference.attractive_weights(graph, Y, nu)
    error = np.abs(forces.attractive - reference.pair_sum(weights, Y))
    assert np.all(error <= 8 * EPS * reference.pair_magnitude(weights, Y) + lost)

    weights = reference.repulsive_weights(Y, nu)
    error = np.abs(forces.repulsive - reference.pair_sum(weights, Y))
    assert np.all(error <= units * EPS * reference.pair_magnitude(weights, Y) + lost)

    assert_allclose(forces.sum_q, w.sum(), rtol=units * EPS)

    # sum p (log p - log w + log Z): the logarithms cancel, their rounding does not
    P = graph.toarray().astype(np.float64)
    p, q = P[P > 0], w[P > 0] / w.sum()
    tolerance = EPS * (units + 2 * np.sum(p * np.abs(np.log(p)) + p * np.abs(np.log(q))))
    expected = reference.kl_divergence(P, Y, nu)
    assert_allclose(forces.kl_divergence, expected, rtol=0, atol=tolerance)


# Against the equations ---------------------------------------------------------------


@every_method
@given(
    kind=st.sampled_from([*MAPS]),
    n=st.integers(2, 150),
    n_components=st.integers(1, 5),
    nu=st.sampled_from(DEGREES_OF_FREEDOM),
    seed=st.integers(0, 10_000),
)
@example(kind="normal", n=2, n_components=2, nu=1.0, seed=0)
@example(kind="coincident", n=2, n_components=3, nu=0.5, seed=0)
@example(kind="coincident", n=150, n_components=2, nu=1.0, seed=0)
@example(kind="outlier", n=150, n_components=2, nu=1.0, seed=0)
@example(kind="outlier", n=150, n_components=5, nu=3.7, seed=0)
@example(kind="outlier", n=3, n_components=1, nu=2.0, seed=2)
def test_forces_equal_the_equations(method, kind, n, n_components, nu, seed):
    if method == "barnes_hut":
        n_components = min(n_components, 3)
    graph = make_graph(n, min(10, n - 1), seed)
    Y = make_map(kind, n, n_components, seed)
    assert_rounding_only(make_forces(method, graph, n_components, nu, angle=0.0), graph, Y, nu)


@pytest.mark.parametrize(
    ("method", "kind", "n_components"),
    [
        *(("barnes_hut", kind, n_components) for kind in MAPS for n_components in (1, 2, 3)),
        *(("exact", "normal", n_components) for n_components in (1, 2, 3, 5)),
    ],
)
def test_forces_equal_the_equations_on_a_deep_tree_and_beyond_a_block(method, kind, n_components):
    n = 800 if method == "exact" else 500
    graph = make_graph(n, 30, seed=1)
    Y = make_map(kind, n, n_components, seed=1)
    assert_rounding_only(make_forces(method, graph, n_components, angle=0.0), graph, Y, 1.0)


def slope_of_divergence(P, Y, nu):
    return central_differences(lambda at: reference.kl_divergence(P, at, nu), Y, step=1e-5)


@every_method
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_gradient_is_the_slope_of_the_divergence(method, nu, n_components):
    graph = make_graph(24, 5, seed=3)
    Y = make_map("normal", 24, n_components, seed=3) / np.float32(10)
    forces = make_forces(method, graph, n_components, nu, angle=0.0)
    forces.evaluate(Y, False)
    slope = slope_of_divergence(graph, Y, nu)
    gradient = 2 * (nu + 1) / nu * (forces.attractive - forces.repulsive / forces.sum_q)
    assert_allclose(gradient, slope, rtol=0, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("nu", DEGREES_OF_FREEDOM)
def test_reference_gradient_is_the_slope_of_the_reference_divergence(nu):
    P = make_graph(20, 6, seed=4).toarray().astype(np.float64)
    P /= P.sum()
    Y = np.random.default_rng(4).normal(size=(20, 2))
    assert_allclose(reference.gradient(P, Y, nu), slope_of_divergence(P, Y, nu), atol=1e-9)


@every_method
def test_point_without_edges_is_only_repelled(method):
    linked = make_graph(49, 8, seed=5)
    graph = sparse.csr_array(sparse.block_diag([linked, np.zeros((1, 1))]), dtype=np.float32)
    Y = make_map("normal", 50, 2, seed=5)
    forces = make_forces(method, graph, angle=0.0)
    assert_rounding_only(forces, graph, Y, 1.0)
    assert_array_equal(forces.attractive[49], 0.0)


@every_method
@pytest.mark.parametrize("exaggeration", [1.0, 4.0, 12.0])
def test_exaggerated_divergence_equals_the_equation(method, exaggeration):
    graph = make_graph(60, 8, seed=22)
    Y = make_map("normal", 60, 2, seed=22)
    forces = make_forces(method, graph, angle=0.0)
    forces.evaluate(Y, True)
    expected = reference.kl_divergence(graph, Y, 1.0, exaggeration)
    assert_allclose(forces.kl_divergence_exaggerated(exaggeration), expected, rtol=1e-6)


# The angle ---------------------------------------------------------------------------


@functools.cache
def map_and_repulsion(kind, n_components, nu):
    """A map, and its F / Z by the equations."""
    Y = make_map(kind, 1500, n_components, seed=6)
    return Y, reference.repulsive(Y, nu) / reference.sum_q(Y, nu)


def repulsion_error(Y, expected, nu, angle):
    """||F/Z - F*/Z*|| / ||F*/Z*||."""
    n, n_components = Y.shape
    forces = barnes_hut(make_graph(n, 1, seed=0), n_components, nu, angle)
    forces.evaluate(Y, False)
    actual = forces.repulsive / forces.sum_q
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


# Maps of up to 512 points are summed point by point: the map of these tests is larger.
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "nu"),
    [
        *(("normal", nu) for nu in DEGREES_OF_FREEDOM),
        *((kind, 1.0) for kind in ("outlier", "duplicates", "collinear", "tiny", "wide", "grid")),
    ],
)
def test_repulsion_at_angle_one_half_is_within_two_per_cent(kind, nu, n_components):
    Y, expected = map_and_repulsion(kind, n_components, nu)
    assert repulsion_error(Y, expected, nu, 0.5) < 0.02


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_smaller_angle_is_more_accurate(n_components):
    Y, expected = map_and_repulsion("normal", n_components, 1.0)
    errors = [repulsion_error(Y, expected, 1.0, angle) for angle in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert errors == sorted(errors)
    assert errors[0] < 1e-5 < errors[-1]  # the angle is in use


@pytest.mark.parametrize("angle", [0.5, 1.0])
def test_coincident_points_do_not_repel(angle):
    Y = make_map("coincident", 700, 2, seed=8)
    forces = barnes_hut(make_graph(700, 1, seed=0), 2, 1.0, angle)
    forces.evaluate(Y, False)
    assert_allclose(forces.sum_q, 700 * 699, rtol=1e-6)
    # the centre of a cell is rounded once: an ulp of the coordinate for each of 699 points
    assert np.all(np.abs(forces.repulsive) <= 700 * EPS * np.abs(Y).max())


@pytest.fixture(scope="module", params=[0, 1], ids=["exaggerated", "finished"])
def digits_map_and_repulsion(digits_maps, request):
    """A map of the digits, and its F / Z by the equations."""
    Y = digits_maps[request.param].copy()
    return Y, reference.repulsive(Y, 1.0) / reference.sum_q(Y, 1.0)


@pytest.mark.parametrize("angle", [0.2, 0.5, 0.8])
def test_repulsion_is_as_accurate_as_scikit_learn_on_digits(digits_map_and_repulsion, angle):
    sklearn_tsne = pytest.importorskip("sklearn.manifold._barnes_hut_tsne")
    Y, expected = digits_map_and_repulsion
    # its gradient with no edges is -F/Z
    sklearn_force = np.zeros_like(Y)
    no_values, no_columns = np.zeros(0, np.float32), np.zeros(0, np.int64)
    no_rows = np.zeros(len(Y) + 1, np.int64)
    sklearn_tsne.gradient(no_values, Y, no_columns, no_rows, sklearn_force, angle, 2, 0, dof=1)
    sklearn_error = np.linalg.norm(-sklearn_force - expected) / np.linalg.norm(expected)
    error = repulsion_error(Y, expected, 1.0, angle)
    assert error <= sklearn_error


# State -------------------------------------------------------------------------------


@every_method
def test_evaluation_after_the_map_moved_forgets_the_old_one(method):
    graph = make_graph(300, 10, seed=9)
    forces = make_forces(method, graph, angle=0.0)
    for kind in ["normal", "coincident", "outlier", "tiny", "wide", "normal"]:
        assert_rounding_only(forces, graph, make_map(kind, 300, 2, seed=9), 1.0)


@every_method
def test_asking_for_the_divergence_changes_neither_forces_nor_map_nor_graph(method):
    graph = make_graph(300, 10, seed=10)
    Y = make_map("normal", 300, 2, seed=10)
    Y_before, data_before = Y.copy(), graph.data.copy()
    results = []
    for compute_kl in [False, True]:
        forces = make_forces(method, graph)
        forces.evaluate(Y, compute_kl)
        results.append(bits(forces, with_kl=False))
    assert results[0] == results[1]
    assert_array_equal(Y, Y_before)
    assert_array_equal(graph.data, data_before)


@every_method
def test_map_of_another_shape_or_not_finite_or_too_wide_is_refused(method):
    forces = make_forces(method, make_graph(100, 10, seed=12))
    for shape in [(99, 2), (101, 2), (100, 3), (100, 1)]:
        with pytest.raises(ValueError):
            forces.evaluate(np.zeros(shape, dtype=np.float32), False)
    for bad in [np.nan, np.inf, -np.inf, 1e30]:
        Y = make_map("normal", 100, 2, seed=23)
        Y[50, 1] = bad
        with pytest.raises(FloatingPointError):
            forces.evaluate(Y, False)


@every_method
@pytest.mark.parametrize("nu", DEGREES_OF_FREEDOM)
@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_point_far_out_leaves_all_finite(method, n_components, nu):
    graph = make_graph(600, 1, seed=0)
    Y = make_map("normal", 600, n_components, seed=24)
    Y[50] = 9e12
    forces = make_forces(method, graph, n_components, nu)
    forces.evaluate(Y, True)
    assert_array_equal(np.isfinite(forces.attractive), True)
    assert_array_equal(np.isfinite(forces.repulsive), True)
    assert np.isfinite([forces.sum_q, forces.kl_divergence]).all()


@pytest.mark.parametrize("n_components", [0, 4])
def test_barnes_hut_is_for_one_to_three_components(n_components):
    with pytest.raises(ValueError):
        barnes_hut(make_graph(20, 3, seed=13), n_components, 1.0, 0.5)


# Threads and processes ---------------------------------------------------------------


def bits(forces, with_kl=True):
    scalars = np.array([forces.sum_q, forces.kl_divergence] if with_kl else [forces.sum_q])
    return [array.tobytes() for array in (forces.attractive, forces.repulsive, scalars)]


@pytest.mark.parametrize("nu", [1.0, 0.5])
@pytest.mark.parametrize(
    ("method", "n_components", "angle"),
    [
        ("barnes_hut", 1, 0.5),
        ("barnes_hut", 2, 0.0),
        ("barnes_hut", 2, 0.5),
        ("barnes_hut", 3, 0.5),
        *(("exact", n_components, None) for n_components in (1, 2, 3, 4)),
    ],
)
def test_forces_have_the_same_bits_with_any_number_of_threads(method, n_components, angle, nu):
    n = 1700 if method == "barnes_hut" else 700
    Y = make_map("normal", n, n_components, seed=14)
    results = []
    for n_threads in (1, 2, 3, 8):
        graph = make_graph(n, 20, seed=14)
        forces = make_forces(method, graph, n_components, nu, angle, n_threads)
        forces.evaluate(Y, True)
        results.append(bits(forces))
    assert results == results[:1] * 4


@pytest.mark.parametrize("kind", ["normal", "duplicates", "outlier"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_tree_that_several_threads_build_is_the_same_and_right(kind, weighted):
    # Fewer points are sorted and cut by one thread. P joins every point to the next one.
    n, few = 70_000, np.arange(0, 70_000, 7_000)
    Y = make_map("normal" if kind == "duplicates" else kind, n, 2, seed=3)
    if kind == "duplicates":  # some 100 of each
        Y = Y[np.random.default_rng(3).integers(0, n // 100, size=n)]
    masses = np.random.default_rng(4).integers(1, 5, n).astype(np.float32) if weighted else None
    ends = np.arange(n + 1), np.roll(np.arange(n, dtype=np.int32), -1)
    graph = *ends, np.full(n, 1 / n, dtype=np.float32)
    found = []
    for n_threads in (1, 2, 8):
        forces = _kernels.BarnesHutForces(*graph, 2, 1.0, 0.1, n_threads, masses)
        forces.evaluate(Y, False)
        found.append((forces.sum_q, forces.repulsive.copy()))
    for sum_q, repulsive in found[1:]:
        assert sum_q == found[0][0]
        assert_array_equal(repulsive, found[0][1])
    way = Y[few, None].astype(np.float64) - Y
    weight = 1 / (1 + np.square(way).sum(axis=2, keepdims=True)) ** 2
    expected = (way * weight * (1.0 if masses is None else masses[:, None])).sum(axis=1)
    scale = np.linalg.norm(expected, axis=1).max()
    assert_allclose(found[0][1][few], expected, rtol=0, atol=2e-4 * scale)


def evaluate_large(seed):
    forces = barnes_hut(make_graph(1700, 20, seed=14), 2, 1.0, 0.5, n_threads=2)
    forces.evaluate(make_map("normal", 1700, 2, seed), True)
    return bits(forces)


def test_several_python_threads_get_what_one_gets():
    expected = [evaluate_large(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(evaluate_large, range(6))) == expected


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this platform"
)
@pytest.mark.nosan
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_child_gets_what_its_parent_gets():
    expected = evaluate_large(0)  # with two threads, before the fork
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(evaluate_large, (0,)).get(timeout=60) == expected


# Reordering --------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_reorder_permutes_every_array_alike_but_the_callers_graph(n_components):
    graph = make_graph(300, 10, seed=16)
    arrays = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
    before = [array.copy() for array in arrays]
    Y = make_map("normal", 300, n_components, seed=16)
    velocity = make_map("normal", 300, n_components, seed=17)
    moved, moved_velocity = Y.copy(), velocity.copy()
    forces = _kernels.BarnesHutForces(*arrays, n_components, 1.0, 0.0, 1)
    forces.evaluate(Y, False)
    attractive, repulsive = forces.attractive.copy(), forces.repulsive.copy()
    forces.reorder(moved, moved_velocity)
    assert_array_equal(np.sort(forces.order), np.arange(300))
    assert not np.array_equal(forces.order, np.arange(300))
    assert_array_equal(moved, Y[forces.order])
    assert_array_equal(moved_velocity, velocity[forces.order])
    assert_array_equal(forces.attractive, attractive[forces.order])
    assert_array_equal(forces.repulsive, repulsive[forces.order])
    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)
    reordered = sparse.csr_array(graph[forces.order][:, forces.order])
    assert_rounding_only(forces, reordered, moved, 1.0)


def test_order_leads_back_to_the_caller_after_several_reorders():
    graph = make_graph(300, 10, seed=19)
    original = make_map("normal", 300, 2, seed=19)
    Y = original.copy()
    labels = np.arange(600, dtype=np.float32).reshape(300, 2)  # moves with Y, is never read
    forces = barnes_hut(graph, 2, 1.0, 0.0)
    assert_array_equal(forces.order, np.arange(300))
    for turn in ([[0, -1], [1, 0]], [[-1, 0], [0, 1]], [[0, 1], [1, 0]]):  # new orders on the curve
        forces.evaluate(Y, False)
        forces.reorder(Y, labels)
        assert_array_equal(labels[:, 0] / 2, forces.order)
        Y[:] = Y @ np.array(turn, dtype=np.float32)
        original = original @ np.array(turn, dtype=np.float32)
    assert_array_equal(Y, original[forces.order])
    reordered = sparse.csr_array(graph[forces.order][:, forces.order])
    assert_rounding_only(forces, reordered, Y, 1.0)


@pytest.mark.parametrize("n", [2, 3, 1000])
@pytest.mark.parametrize("kind", ["coincident", "outlier", "collinear"])
def test_reorder_of_degenerate_maps_is_a_permutation(kind, n):
    graph = make_graph(n, min(5, n - 1), seed=21)
    Y = make_map(kind, n, 2, seed=21)
    forces = barnes_hut(graph, 2, 1.0, 0.5)
    forces.evaluate(Y, False)
    forces.reorder(Y)
    assert_array_equal(np.sort(forces.order), np.arange(n))


def test_reorder_needs_an_evaluation_of_the_present_order_and_arrays_of_its_shape():
    Y = make_map("normal", 200, 2, seed=25)
    before = Y.copy()
    forces = barnes_hut(make_graph(200, 10, seed=25))
    with pytest.raises(ValueError):
        forces.reorder(Y)
    forces.evaluate(Y, False)
    for shape in [(199, 2), (201, 2), (200, 1)]:
        with pytest.raises(ValueError):
            forces.reorder(Y, np.zeros(shape, dtype=np.float32))
    assert_array_equal(Y, before)
    assert_array_equal(forces.order, np.arange(200))
    forces.reorder(Y)
    with pytest.raises(ValueError):  # the tree is still that of the old order
        forces.reorder(Y)
