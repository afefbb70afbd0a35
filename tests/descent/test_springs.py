"""Points on springs: the step of the kernels, and the narrow start."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fasttsne import _kernels
from fasttsne.affinity import joint_probabilities_dense
from fasttsne.descent.forces import make_forces
from fasttsne.descent.springs import Springs


def test_a_held_row_goes_part_of_the_way_home_after_its_step(isa):
    rng = np.random.default_rng(0)
    joint = joint_probabilities_dense(rng.uniform(size=(30, 30)) ** 2, 5.0)
    Y, V, homes = (rng.normal(size=(30, 2)).astype(np.float32) for _ in range(3))
    held = np.arange(30) % 3 == 0

    def step(*how):
        forces = make_forces(joint, 2, 1.0, angle=0.5, n_threads=1)
        forces.evaluate(Y, True)
        state = Y.copy(), 0.1 * V, np.ones_like(Y)
        _kernels.descend(forces, *state, 1, 20.0, 0.8, 1.0, True, *how)
        return state

    moved, velocity, gains = step()
    grown, pulled, same = step(held.astype(np.uint8), False, homes, 0.25)
    expected = np.where(held[:, None], 0.75 * moved + 0.25 * homes, moved)
    assert_allclose(grown, expected, rtol=1e-6, atol=1e-6)
    assert_allclose(pulled, velocity + expected - moved, rtol=1e-6, atol=1e-6)
    assert_array_equal(same, gains)


def test_a_step_of_the_scale_takes_homes_along(isa):
    rng = np.random.default_rng(1)
    joint = joint_probabilities_dense(rng.uniform(size=(30, 30)) ** 2, 5.0)
    Y, homes = (rng.normal(size=(30, 2)).astype(np.float32) for _ in range(2))
    held = (np.arange(30) % 3 == 0).astype(np.uint8)
    maps = []
    for scale in (False, True):
        forces = make_forces(joint, 2, 1.0, angle=0.5, n_threads=1)
        forces.evaluate(Y, True)
        state = Y.copy(), np.zeros_like(Y), np.ones_like(Y)
        scaled = homes.copy()
        _kernels.descend(forces, *state, 1, 20.0, 0.8, 1.0, True, held, scale, scaled, 0.25)
        maps.append((state[0], scaled))
    (moved, same), (scaled, along) = maps
    assert_array_equal(same, homes)
    mean = moved.mean(axis=0)
    factor = np.linalg.norm(scaled - mean) / np.linalg.norm(moved - mean)
    assert abs(factor - 1.0) > 0.01
    assert_allclose(scaled, mean + factor * (moved - mean), rtol=1e-5, atol=1e-5)
    assert_allclose(along, mean + factor * (homes - mean), rtol=1e-5, atol=1e-5)


def test_a_map_on_springs_begins_narrow_and_is_never_widened():
    Y = np.random.default_rng(2).normal(scale=10.0, size=(600, 2)).astype(np.float32)
    Y -= Y.mean(axis=0)
    held = np.arange(len(Y)) < 500
    narrow = 0.4 * np.sqrt(len(Y))
    for scale in (0.1, 10.0):
        places = scale * Y
        homes = Springs.of(places, held, 0.1).homes
        radius = np.sqrt(places.var(axis=0).sum())
        assert (radius > narrow) == (scale == 10.0)
        assert_allclose(homes, min(1.0, narrow / radius) * places, rtol=1e-5, atol=1e-5)
