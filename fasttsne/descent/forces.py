"""P -> the forces on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fasttsne._kernels import BarnesHutForces, ExactForces, Forces
from fasttsne.affinity.joint import JointProbabilities
from fasttsne.affinity.weights import WeightedJoint
from fasttsne.samples.checks import check_readable


def make_forces(
    joint: Any,
    n_components: int,
    degrees_of_freedom: float,
    *,
    angle: float = 0.5,
    n_threads: int = 1,
) -> Forces:
    """Return the forces of P: through a tree if P is sparse, of all pairs if it is dense."""
    counts, negative_entropy = None, 0.0
    if isinstance(joint, WeightedJoint):
        joint, counts, negative_entropy = joint
    joint = check_readable(joint, "joint")
    common = n_components, degrees_of_freedom
    if isinstance(joint, np.ndarray):
        dense = np.ascontiguousarray(joint, dtype=np.float32)
        return ExactForces(dense, *common, n_threads, counts, negative_entropy)
    if sparse.issparse(joint):
        joint = sparse.csr_matrix(joint)
    elif not isinstance(joint, JointProbabilities):
        kind = type(joint).__name__
        raise TypeError(
            f"joint must be JointProbabilities or a matrix, sparse or dense; got {kind}"
        )
    return BarnesHutForces(
        np.asarray(joint.indptr, dtype=np.int64),
        np.asarray(joint.indices, dtype=np.int32),
        np.asarray(joint.data, dtype=np.float32),
        *common,
        angle,
        n_threads,
        counts,
        negative_entropy,
    )
