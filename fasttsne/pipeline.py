"""Samples -> P and the first coordinates of the map: all that comes before the descent."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.affinity.build import (
    AffinityParameters,
    Joint,
    axes_for_search,
    centered_samples,
    check_memory,
    conditional_of,
    given_joint,
    joint_of,
    neighbors_of,
)
from fasttsne.affinity.weights import WeightedJoint
from fasttsne.initialization.start import initial_embedding
from fasttsne.samples.checks import Samples


def joint_and_start(
    samples: Samples,
    parameters: AffinityParameters,
    n_components: int,
    random_state: np.random.RandomState,
    *,
    needs_start: bool = True,
    n_threads: int = 1,
    verbose: int = 0,
) -> tuple[Joint, NDArray[np.float32] | None]:
    """Return P and the first coordinates of the map, or None where `needs_start` is False."""
    X, init, counts = samples.X, samples.init, samples.counts
    how: Any = {"n_threads": n_threads, "verbose": verbose}
    neighborhood = parameters.neighborhood(samples.n_copies, weighted=counts is not None)
    check_memory(X, parameters, neighborhood)
    # The search for neighbours and the start share these.
    centered = centered_samples(X, parameters, n_threads)
    axes = axes_for_search(samples, centered, parameters, n_components, n_threads)
    start_of = partial(initial_embedding, X, init, n_components, random_state, counts=counts)
    start, from_joint = None, isinstance(init, str) and init == "spectral"
    if needs_start and not from_joint:
        start = start_of(centered=centered, axes=axes, n_threads=n_threads)

    if parameters.is_given:
        joint = given_joint(samples, parameters)
    else:
        neighbors = neighbors_of(samples, parameters, neighborhood, centered, axes, **how)
        del centered, axes
        conditional = conditional_of(neighbors, neighborhood, samples, parameters, **how)
        indices = neighbors.indices
        del neighbors
        joint = joint_of(indices, conditional, counts, neighborhood.symmetrization, **how)
    if needs_start and from_joint:
        start = start_of(joint=joint.joint() if isinstance(joint, WeightedJoint) else joint)
    return joint, start
