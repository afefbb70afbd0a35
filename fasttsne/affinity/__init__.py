"""Neighbours -> conditional probabilities p_j|i -> joint probabilities P."""

from fasttsne.affinity.build import AffinityParameters
from fasttsne.affinity.conditional import (
    conditional_probabilities,
    gaussian_probabilities,
    uniform_probabilities,
)
from fasttsne.affinity.given import checked_affinities
from fasttsne.affinity.joint import (
    JointProbabilities,
    as_csr,
    joint_probabilities,
    joint_probabilities_dense,
    symmetrize_dense,
)
from fasttsne.affinity.supervised import guided_by_labels

__all__ = [
    "AffinityParameters",
    "JointProbabilities",
    "as_csr",
    "checked_affinities",
    "conditional_probabilities",
    "gaussian_probabilities",
    "guided_by_labels",
    "joint_probabilities",
    "joint_probabilities_dense",
    "symmetrize_dense",
    "uniform_probabilities",
]
