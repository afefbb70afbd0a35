"""The degrees of freedom of the map's kernel: their default, and how they are learned."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces

# Iterations from one step of the degrees of freedom to the next.
N_ITER_LEARNING = 10

# No map has converged while log nu changes by more than this between two checks.
STEADY = 0.02

# Bounds of what is learned: beyond them maps hardly differ, but forces lose digits.
SMALLEST, LARGEST = 0.1, 100.0

# In the logarithm of nu: between two evaluations, and the longest step.
_DIFFERENCE = 0.05
_LONGEST_STEP = 0.2


def default_degrees_of_freedom(n_components: int) -> float:
    """One less than there are components, but at least 1 (van der Maaten 2009, section 3).

    Parameters
    ----------
    n_components : int
        Dimension of the map.

    Returns
    -------
    degrees_of_freedom : float
        What scikit-learn always uses.
    """
    return float(max(n_components - 1, 1))


class Slopes(NamedTuple):
    """First and second derivative of the objective by the logarithm of nu."""

    first: float
    second: float


def slopes(forces: Forces, embedding: NDArray[np.float32], exaggeration: float = 1.0) -> Slopes:
    """Differentiate the objective by log nu where the map is, by central differences.

    Two evaluations of the sums that the descent needs anyway, tree included: with p_ij and q_ij
    the derivative is sum_ij (q_ij - e p_ij) d log w_ij / d log nu, whose second part would else
    need a tree of its own.

    Parameters
    ----------
    forces : Forces
        Evaluated at the map together with the KL divergence; left evaluated elsewhere.
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map.
    exaggeration : float, default=1.0
        e, the factor on the attraction.

    Returns
    -------
    slopes : Slopes
        Derivatives with respect to log nu.
    """
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
    return Slopes((above - below) / (2 * _DIFFERENCE), (above - 2 * here + below) / _DIFFERENCE**2)


def learn(forces: Forces, embedding: NDArray[np.float32], exaggeration: float = 1.0) -> float:
    """Take a step of Newton's method in log nu, of which no map is the judge but this one.

    Parameters
    ----------
    forces, embedding, exaggeration
        See `slopes`; forces are left with the degrees of freedom that they had, not evaluated.

    Returns
    -------
    degrees_of_freedom : float
        What suits the map better.
    """
    first, second = slopes(forces, embedding, exaggeration)
    # Where the objective is not convex, or hardly, as far as a step may go.
    step = -first / max(second, abs(first) / _LONGEST_STEP, 1e-12)
    nu = forces.degrees_of_freedom * math.exp(step)
    return min(max(nu, SMALLEST), LARGEST)
