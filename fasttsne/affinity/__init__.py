"""Neighbours -> conditional probabilities p_j|i -> joint probabilities P."""

from fasttsne.affinity.conditional import (
    conditional_probabilities,
    gaussian_probabilities,
    uniform_probabilities,
)
from fasttsne.affinity.joint import (
    JointProbabilities as JointProbabilities,
)
from fasttsne.affinity.joint import (
    as_csr,
    joint_probabilities,
    joint_probabilities_dense,
    symmetrize_dense,
)

__all__ = [
    "as_csr",
    "conditional_probabilities",
    "gaussian_probabilities",
    "joint_probabilities",
    "joint_probabilities_dense",
    "symmetrize_dense",
    "uniform_probabilities",
]
