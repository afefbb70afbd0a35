"""P and first coordinates -> better ones, from the map of groups of points."""

from __future__ import annotations

from time import perf_counter

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

# Groups have at most this many times the edges of points. Groups of noise in 20 dimensions have
# 3.5 times as many, those of the other data in benchmarks/NOTES.md 0.2 to 1.6 times.
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
    verbose: int = 0,
) -> NDArray[np.float32] | None:
    """Return the first map of all points from that of groups of about eight.

    Early exaggeration fades to 1 on the map of groups; docs/algorithm.md has the equations. None is
    returned if no edges join the groups, or more than `_MOST_EDGES` allows, as in noise.
    """
    begin = perf_counter()
    groups, n_groups = find_groups(*joint, n_threads)
    most_edges = int(_MOST_EDGES * n_groups * len(joint.data) / len(start))
    graph = joint_of_groups(*joint, groups, n_groups, most_edges, n_threads)
    if graph is None or not graph[0][-1]:
        return None
    sizes = np.bincount(groups)
    coarse = of_groups(JointProbabilities(*graph), sizes)
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
    if verbose:
        seconds = perf_counter() - begin
        print(f"[t-SNE] Computed the map of {n_groups} groups in {seconds:.3f}s...")
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
