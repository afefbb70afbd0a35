"""P and first coordinates -> better ones, from the map of groups of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import find_groups, joint_of_groups, prolong
from fasttsne.affinity.joint import JointProbabilities
from fasttsne.affinity.weights import WeightedJoint
from fasttsne.descent.loop import optimize_embedding
from fasttsne.descent.schedule import SLOW, Phase, Schedule, Settings

# Iterations of the map of groups.
_N_ITER = 100

# Standard deviation of the first map over the root of the number of points; that of the final map
# at its best scale is about 1.
_WIDTH = 0.16

# Groups have at most this many times the edges of points. Of noise in 20 dimensions they have 3.5
# times as many, of blobs and digits 1.3 to 1.5.
_MOST_EDGES = 2.0

# Points are moved apart by this share of the width: some have the same neighbours.
_APART = 1e-3


def coarse_start(
    joint: JointProbabilities,
    start: NDArray[np.float32],
    early_exaggeration: float,
    *,
    angle: float = 0.5,
    n_threads: int = 1,
) -> NDArray[np.float32] | None:
    """Return the first map of all points from that of groups of about eight.

    Early exaggeration fades to 1 on the map of groups; docs/algorithm.md has the equations. None is
    returned where groups say little about points: their neighbours are in too many other groups.
    """
    groups, n_groups = find_groups(*joint, n_threads)
    graph = JointProbabilities(*joint_of_groups(*joint, groups, n_groups, n_threads))
    edges_of_point, edges_of_group = (len(g.data) / (len(g.indptr) - 1) for g in (joint, graph))
    if not 0 < edges_of_group <= _MOST_EDGES * edges_of_point:
        return None
    sizes = np.bincount(groups)
    coarse = of_groups(graph, sizes)
    means = np.stack([np.bincount(groups, column) / sizes for column in start.T], axis=1)
    rate = float(coarse.counts.sum(dtype=np.float64))
    first = Settings(rate / early_exaggeration, SLOW, early_exaggeration)
    schedule = Schedule([Phase(_N_ITER, first, Settings(rate, SLOW, 1.0))], n_iter_early=_N_ITER)
    descent = optimize_embedding(
        coarse, means, schedule, max_iter=_N_ITER, angle=angle, n_threads=n_threads
    )
    assert descent.outcome is not None
    embedding = prolong(*joint, groups, descent.outcome.embedding, n_threads)
    embedding -= embedding.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = float(np.sqrt(np.mean(np.square(embedding, dtype=np.float64))))
    pattern = np.random.RandomState(0).standard_normal(embedding.shape).astype(np.float32)
    width = _WIDTH * len(embedding) ** 0.5
    embedding *= np.float32(width / max(deviation, 1e-30))
    embedding += np.float32(_APART * width) * pattern
    return embedding


def of_groups(graph: JointProbabilities, sizes: NDArray[np.int64]) -> WeightedJoint:
    """Return P between groups of these sizes, with sum 1, from sums of p; `graph` is overwritten.

    Counts are divided by the largest, so that none is above 1 and Z has no pairs in a group either.
    """
    counts = sizes / sizes.max()
    total = graph.data.sum(dtype=np.float64)
    of_row = (total * counts).astype(np.float32)
    np.divide(graph.data, np.repeat(of_row, np.diff(graph.indptr)), out=graph.data)
    # The descent does not need its KL divergence, to which the entropy would belong.
    return WeightedJoint(graph, counts.astype(np.float32), 0.0)
