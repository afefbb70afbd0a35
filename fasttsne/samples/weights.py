"""sample_weight -> counts: how many copies each sample stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.samples.arrays import as_array

# Affinities of a sample with a smaller count are those of one with this count: they place the
# sample, which is a neighbour of none.
LEAST_COUNT = 1e-6

# The largest number of points in a map.
_LARGEST_SUM = 2.0**31


def check_sample_weight(sample_weight: Any, n_samples: int) -> NDArray[np.float64] | None:
    """Return the counts, float64 of shape (n_samples,), or None where all are 1.

    Raises ValueError unless they are finite, not negative, and enough for a map of two samples.
    """
    if sample_weight is None:
        return None
    counts = as_array(sample_weight, "sample_weight")
    if counts.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight must be numbers; got an array of {counts.dtype}")
    if counts.shape != (n_samples,):
        remedy = "; pass sample_weight.ravel()" if counts.size == n_samples else ""
        raise ValueError(
            f"sample_weight has shape {counts.shape}, but must be (n_samples,) = "
            f"({n_samples},){remedy}"
        )
    counts = counts.astype(np.float64)
    if not np.isfinite(counts).all():
        raise ValueError("sample_weight contains NaN or infinity; weights are numbers of copies")
    if (counts < 0.0).any():
        raise ValueError(
            f"sample_weight[{int(np.argmin(counts))}] is negative; weights are numbers of copies, "
            "0 for a sample that is placed and does not count"
        )
    if not counts.any():
        raise ValueError("sample_weight is zero for all samples; some positive ones are needed")
    if np.count_nonzero(counts) < 2 or counts.sum() < 2.0:
        raise ValueError(
            f"sample_weight has {np.count_nonzero(counts)} positive values with sum "
            f"{counts.sum():g}; a map needs two samples. Weights are numbers of copies, not shares"
        )
    if counts.sum() > _LARGEST_SUM:
        raise ValueError(f"the sum of sample_weight is {counts.sum():g}, more than 2**31; scale it")
    return None if (counts == 1.0).all() else counts


def own_copies(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many other copies of its own sample a copy meets: count - 1, at least 0."""
    return np.maximum(counts - 1.0, 0.0)
