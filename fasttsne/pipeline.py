"""X -> samples -> P, the first coordinates and the schedule: all that comes before the descent."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces
from fasttsne.affinity import build
from fasttsne.affinity.build import AffinityParameters, Joint
from fasttsne.affinity.joint import JointProbabilities
from fasttsne.affinity.radii import Radii, log_radii, nearest_edges, standardized
from fasttsne.affinity.weights import WeightedJoint
from fasttsne.descent.coarse import coarse_start
from fasttsne.descent.degrees_of_freedom import first_degrees_of_freedom
from fasttsne.descent.forces import make_forces
from fasttsne.descent.schedule import (
    COARSE,
    COARSE_EXAGGERATION,
    LARGE,
    N_COARSE,
    N_LARGE,
    USUAL,
    Schedule,
    check_exaggeration,
    standard_schedule,
)
from fasttsne.descent.state import Descent
from fasttsne.initialization.start import check_start, initial_embedding
from fasttsne.runtime.random_state import check_random_state
from fasttsne.runtime.warn import warn
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import Samples, check_fixed, check_samples
from fasttsne.samples.labels import class_codes
from fasttsne.samples.weights import check_sample_weight

# Below this share of the automatic learning rate KL divergence is 2 per cent higher or more.
_LOW_RATE = 1 / 4


def checked_samples(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    fixed: Any = None,
    *,
    is_new: bool = True,
) -> Samples:
    """Return the samples and what is known of each; a map that is not new has its init."""
    known, init = AffinityParameters.of(estimator), estimator.init
    init = init if isinstance(init, str) else as_array(init, "init")
    method = getattr(estimator, "method", None)  # "barnes_hut" limits the number of components
    check_start(init, method, estimator.n_components, known.metric, known.affinity)
    X, exponent = check_samples(
        X,
        metric=known.metric,
        method=known.method,
        is_affinity=known.is_given,
        estimator=estimator,
        reset=is_new,
    )
    n_samples = X.shape[0]
    fixed = check_fixed(fixed, n_samples, init if is_new else None)
    classes = None
    if known.label_weight > 0.0:
        if y is None:
            raise ValueError(
                f"label_weight={known.label_weight} needs labels: call fit(X, y), or leave it at 0"
            )
        classes = class_codes(y, n_samples, name="y", minus_one_is_missing=True)
    counts = check_sample_weight(sample_weight, n_samples)
    return Samples(X, exponent, classes, counts, init, fixed)


def may_start_coarse(tsne: Any, samples: Samples) -> bool:
    """Whether a map of groups may come first: for many samples, in the usual descent."""
    usual = (
        tsne.method == "barnes_hut"
        and tsne.n_components == 2
        and tsne.degrees_of_freedom in (None, 1.0)
        and tsne.early_exaggeration_iter is None
        and COARSE_EXAGGERATION <= tsne.early_exaggeration <= 100.0
        and tsne.exaggeration == 1.0
        and tsne.learning_rate == "auto"
    )
    is_plain = isinstance(samples.init, str) and samples.counts is None
    is_given = AffinityParameters.of(tsne).is_given
    return usual and is_plain and not is_given and samples.n_copies > N_COARSE


def schedule_of(
    tsne: Any, n_samples: float, n_iter_early: int, *, is_coarse: bool = False
) -> Schedule:
    """Return the schedule of an estimator; its automatic learning rate is `n_samples`."""
    pace = LARGE if n_samples > N_LARGE else USUAL
    early_exaggeration = tsne.early_exaggeration
    if is_coarse:
        pace, early_exaggeration = COARSE, min(early_exaggeration, COARSE_EXAGGERATION)
    if tsne.early_exaggeration_iter is not None:
        n_iter_early = tsne.early_exaggeration_iter
    elif pace is not USUAL:
        n_iter_early = min(n_iter_early, pace.n_iter_early)
    rate = automatic = float(n_samples)
    if not isinstance(tsne.learning_rate, str):
        rise = tsne.early_exaggeration if n_iter_early else 1.0
        rate = min(automatic, tsne.learning_rate * rise)
    share = rate / automatic
    if share < _LOW_RATE:
        warn(
            f"learning_rate={tsne.learning_rate:g} is low for {n_samples:g} samples;"
            ' learning_rate="auto" gives a map of lower KL divergence.',
        )
    if share < 1.0:  # an iteration gains less, and a larger part of the gain is by the scale
        pace = pace._replace(least_gain=pace.least_gain * max(share, 0.25), counts_scale=True)
    return standard_schedule(
        rate,
        early_exaggeration=early_exaggeration,
        early_exaggeration_iter=n_iter_early,
        exaggeration=check_exaggeration(tsne.exaggeration),
        pace=pace,
    )


def forces_and_start(
    tsne: Any,
    samples: Samples,
    parameters: AffinityParameters,
    n_threads: int,
    *,
    is_new: bool = True,
) -> tuple[Forces, Descent | None]:
    """Return the forces of P, and the descent at its first map; None for a map that is not new."""
    how: Any = {"n_threads": n_threads, "verbose": tsne.verbose}
    joint, start, radii = joint_and_start(
        samples,
        parameters,
        tsne.n_components,
        check_random_state(tsne.random_state),
        needs_start=is_new,
        needs_radii=tsne.density > 0.0,
        **how,
    )
    descent = None
    if start is not None:
        coarse = None
        if may_start_coarse(tsne, samples):
            assert isinstance(joint, JointProbabilities)
            # None if no edges join the groups, or too many.
            coarse = coarse_start(joint, start, tsne.early_exaggeration, angle=tsne.angle, **how)
        descent = Descent.at_rest(
            start if coarse is None else coarse,
            samples.point_of_sample,
            is_coarse=coarse is not None,
        )
    nu = first_degrees_of_freedom(tsne.degrees_of_freedom, tsne.n_components)
    forces = make_forces(joint, tsne.n_components, nu, angle=tsne.angle, n_threads=n_threads)
    if radii is not None:
        targets = standardized(radii.logarithms, samples.counts)
        forces.aim_at_radii(targets, *(radii.edges or ()))
    return forces, descent


def joint_and_start(
    samples: Samples,
    parameters: AffinityParameters,
    n_components: int,
    random_state: np.random.RandomState,
    *,
    needs_start: bool = True,
    needs_radii: bool = False,
    n_threads: int = 1,
    verbose: int = 0,
) -> tuple[Joint, NDArray[np.float32] | None, Radii | None]:
    """Return P, the first coordinates of the map and the local radii; None for what is not needed.

    Local radii need distances, so `needs_radii` is for samples and not for a given P.
    """
    X, init, counts = samples.X, samples.init, samples.counts
    how: Any = {"n_threads": n_threads, "verbose": verbose}
    neighborhood = parameters.neighborhood(samples.n_copies, weighted=counts is not None)
    build.check_memory(X, parameters, neighborhood)
    # The search for neighbours and the start share these.
    centered = build.centered_samples(X, parameters, n_threads)
    axes = build.axes_for_search(samples, centered, parameters, n_components, n_threads)
    start_of = partial(initial_embedding, X, init, n_components, random_state, counts=counts)
    start, radii, from_joint = None, None, isinstance(init, str) and init == "spectral"
    if needs_start and not from_joint:
        start = start_of(centered=centered, axes=axes, n_threads=n_threads)

    if parameters.is_given:
        joint = build.given_joint(samples, parameters)
    else:
        neighbors = build.neighbors_of(samples, parameters, neighborhood, centered, axes, **how)
        del centered, axes
        conditional = build.conditional_of(neighbors, neighborhood, samples, parameters, **how)
        indices = neighbors.indices
        if needs_radii:
            logarithms = log_radii(indices, neighbors.squared_distances, conditional, counts)
            k = neighborhood.n_neighbors
            radii = Radii(logarithms, nearest_edges(conditional, k) if indices is None else None)
        del neighbors
        joint = build.joint_of(indices, conditional, counts, neighborhood.symmetrization, **how)
    if needs_start and from_joint:
        start = start_of(joint=joint.joint() if isinstance(joint, WeightedJoint) else joint)
    return joint, start, radii
