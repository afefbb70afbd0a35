"""The degrees of freedom nu of the map's kernel: their default, and how they are learned."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces

# Iterations between two steps of the degrees of freedom.
N_ITER_LEARNING = 10

# A map has not converged while log nu changes by more than this between two checks.
STEADY = 0.02

# Bounds of learned values: beyond them maps hardly differ, but forces lose digits.
SMALLEST, LARGEST = 0.1, 100.0

# In log nu: distance to the two evaluations of the central difference, and the longest step.
_DIFFERENCE = 0.05
_LONGEST_STEP = 0.2


def default_degrees_of_freedom(n_components: int) -> float:
    """Return max(n_components - 1, 1), as scikit-learn (van der Maaten 2009, section 3)."""
    return float(max(n_components - 1, 1))


def first_degrees_of_freedom(given: float | str | None, n_components: int) -> float:
    """Return nu as given, or the default where it is None or learned ("auto")."""
    if given is None or given == "auto":
        return default_degrees_of_freedom(n_components)
    return float(given)


def slopes(
    forces: Forces, embedding: NDArray[np.float32], exaggeration: float = 1.0
) -> tuple[float, float]:
    """Return the first two derivatives of the objective by log nu, by central differences.

    Forces must be evaluated at the map, and are left evaluated for another nu.
    """
    # In closed form, sum_ij (q_ij - e p_ij) d log w_ij / d log nu needs a second tree.
    nu = forces.degrees_of_freedom
    here, factor = forces.objective(exaggeration), math.exp(_DIFFERENCE)
    beside = []
    try:
        for other in (nu / factor, nu * factor):
            forces.degrees_of_freedom = other
            forces.evaluate(embedding, True)
            beside.append(forces.objective(exaggeration))
    finally:
        forces.degrees_of_freedom = nu
    below, above = beside
    return (above - below) / (2 * _DIFFERENCE), (above - 2 * here + below) / _DIFFERENCE**2


def learn(forces: Forces, embedding: NDArray[np.float32], exaggeration: float = 1.0) -> float:
    """Return nu after one step of Newton's method in log nu; forces are left as by `slopes`."""
    first, second = slopes(forces, embedding, exaggeration)
    # The longest step where the objective is not convex, or hardly.
    step = -first / max(second, abs(first) / _LONGEST_STEP, 1e-12)
    return min(max(forces.degrees_of_freedom * math.exp(step), SMALLEST), LARGEST)
