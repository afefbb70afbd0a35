"""Local radii on a map and the force of the density term, against the equations in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference import density as reference
from reference.gradients import central_differences

from fasttsne import _kernels

pytestmark = pytest.mark.usefixtures("isa")

every_method = pytest.mark.parametrize("method", ["barnes_hut", "exact"])


def problem(n=60, n_components=2, spread=1.0, seed=0, *, weighted=False):
    """A symmetric graph, targets, a map and counts; a count above 1 has an edge to itself."""
    rng = np.random.default_rng(seed)
    edges = rng.uniform(size=(n, n)) < 0.2
    edges |= np.roll(np.eye(n, dtype=bool), 1, axis=1)  # no point without neighbours
    edges |= edges.T
    counts = rng.integers(1, 4, size=n).astype(float) if weighted else np.ones(n)
    np.fill_diagonal(edges, counts > 1)
    targets = reference.standardized(rng.normal(size=n), counts).astype(np.float32)
    Y = (spread * rng.normal(size=(n, n_components))).astype(np.float32)
    return edges, targets, Y, counts if weighted else None


def csr(edges):
    indptr = np.concatenate([[0], np.cumsum(edges.sum(axis=1))]).astype(np.int64)
    return indptr, np.nonzero(edges)[1].astype(np.int32)


def forces_of(method, edges, targets, n_components, counts=None, *, nu=1.0, n_threads=1):
    masses = None if counts is None else counts.astype(np.float32)
    given = masses, 0.0
    if method == "exact":
        joint = edges / edges.sum(dtype=np.float32)
        forces = _kernels.ExactForces(joint.astype(np.float32), n_components, nu, n_threads, *given)
        forces.aim_at_radii(targets, *csr(edges))
    else:
        indptr, indices = csr(edges)
        joint = np.full(len(indices), 1.0 / len(indices), dtype=np.float32)
        forces = _kernels.BarnesHutForces(
            indptr, indices, joint, n_components, nu, 0.0, n_threads, *given
        )
        forces.aim_at_radii(targets)
    return forces


def density_force(forces, Y, density):
    """What the term adds to the gradient, without exaggeration."""
    attractive = []
    for weight in (0.0, density):
        forces.density = weight
        forces.evaluate(Y, True)
        attractive.append(forces.attractive.astype(np.float64))
    nu = forces.degrees_of_freedom
    return 2.0 * (nu + 1.0) / nu * (attractive[1] - attractive[0])


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0])
def test_radii_equal_the_equations(n_components, spread):
    edges, _, Y, _ = problem(300, n_components, spread)
    radii = _kernels.local_radii(*csr(edges), Y, 2)
    assert_allclose(radii, reference.map_log_radii(edges, Y), rtol=1e-5, atol=1e-5)


@every_method
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_gradient_is_that_of_the_correlation(method, weighted, n_components, spread):
    if method == "barnes_hut" and n_components > 3:
        pytest.skip("trees have at most three components")
    edges, targets, Y, counts = problem(40, n_components, spread, weighted=weighted)
    forces = forces_of(method, edges, targets, n_components, counts, nu=1.5)
    # The term outweighs the rounding of the attraction that it is added to.
    gradient = density_force(forces, Y, 1000.0)

    def term(at):
        return -1000.0 * reference.correlation(edges, at, targets, counts)

    expected = central_differences(term, Y.astype(np.float64), step=1e-6 * spread)
    if weighted:  # the kernel's is of one copy
        expected /= counts[:, None]
    assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert forces.density_correlation == pytest.approx(
        reference.correlation(edges, Y, targets, counts), abs=1e-5
    )


@every_method
def test_objective_has_the_term(method):
    edges, targets, Y, _ = problem()
    forces = forces_of(method, edges, targets, 2)
    forces.evaluate(Y, True)
    without, divergence = forces.objective(2.0), forces.kl_divergence
    forces.density = 0.3
    forces.evaluate(Y, True)
    term = 2.0 * 0.3 * reference.correlation(edges, Y, targets)
    assert forces.objective(2.0) == pytest.approx(without - term, abs=1e-6)
    assert forces.kl_divergence == divergence


@every_method
def test_steps_lower_the_objective_to_one_minimum_in_any_number_of_threads(method):
    edges, targets, start, _ = problem(1000)
    ends = []
    for n_threads in (1, 2, 5):
        forces = forces_of(method, edges, targets, 2, n_threads=n_threads)
        forces.density = 0.5
        Y, velocity, gains = start.copy(), np.zeros_like(start), np.ones_like(start)
        forces.evaluate(Y, True)
        before, correlation = forces.objective(1.0), forces.density_correlation
        forces.reorder(Y, velocity, gains)
        forces.evaluate(Y, True)
        for _ in range(3):
            _kernels.descend(forces, Y, velocity, gains, 10, 100.0, 0.8, 1.0, True, None, True)
        assert forces.objective(1.0) < before
        assert forces.density_correlation > correlation + 0.2
        ends.append((Y, forces.objective(1.0)))
    for Y, objective in ends[1:]:
        assert_array_equal(Y, ends[0][0])
        assert objective == ends[0][1]


@every_method
def test_targets_go_with_their_points(method):
    edges, targets, Y, _ = problem(300)
    forces = forces_of(method, edges, targets, 2)
    force = density_force(forces, Y, 1000.0)
    order = forces.order
    moved = Y.copy()
    forces.reorder(moved)
    assert_array_equal(forces.targets, targets[forces.order])
    assert_allclose(density_force(forces, moved, 1000.0), force[forces.order], rtol=1e-4, atol=1e-4)
    forces.restore_order(order)
    assert_array_equal(forces.targets, targets)


@every_method
def test_coinciding_neighbours_have_no_force_and_a_radius(method):
    edges, targets, Y, _ = problem()
    forces = forces_of(method, edges, targets, 2)
    force = density_force(forces, np.zeros_like(Y), 1.0)
    assert_array_equal(force, 0.0)
    assert forces.density_correlation == pytest.approx(0.0, abs=1e-6)
    assert_allclose(_kernels.local_radii(*csr(edges), np.zeros_like(Y), 1), np.log(reference.EPS))


def test_equal_targets_have_no_force():
    edges, targets, Y, _ = problem()
    forces = forces_of("barnes_hut", edges, 0.0 * targets, 2)
    assert_array_equal(density_force(forces, Y, 1.0), 0.0)


def test_gate_refuses_what_does_not_belong_together():
    edges, targets, Y, _ = problem()
    forces = forces_of("barnes_hut", edges, targets, 2)
    indptr, indices = csr(edges)
    for wrong in (targets[:-1], np.full_like(targets, np.nan)):
        with pytest.raises(ValueError, match="targets"):
            forces.aim_at_radii(wrong)
    with pytest.raises(ValueError, match="row a point"):
        _kernels.local_radii(indptr[:-1], indices, Y, 1)
    with pytest.raises(ValueError, match="out of range"):
        _kernels.local_radii(indptr, indices + 1, Y, 1)
    exact = forces_of("exact", edges, targets, 2)
    with pytest.raises(ValueError, match="row a point"):
        exact.aim_at_radii(targets, indptr[:-1], indices)
