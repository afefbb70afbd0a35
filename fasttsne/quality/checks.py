"""Checks that all measures share, and the choice of the points to evaluate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, gen_batches

from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.samples.arrays import row_numbers, unmasked_map

Sample = int | float | ArrayLike | None
Anchors = NDArray[np.int32]  # rows of the points that are evaluated
Floats = NDArray[np.float64]

# A block has at most this many distances (32 MB), but at least _FEWEST_ROWS rows.
_BLOCK_VALUES = 1 << 22
_FEWEST_ROWS = 16


def as_embedding(embedding: ArrayLike, name: str = "embedding") -> NDArray[np.floating]:
    """Return a map as a two-dimensional array of finite floats, or raise ValueError."""
    return check_array(
        unmasked_map(embedding, name), dtype=[np.float64, np.float32], order="C", input_name=name
    )


def check_same_length(n_samples: int, n_points: int, name: str = "X") -> None:
    """Raise ValueError unless data and map have the same number of rows."""
    if n_samples != n_points:
        raise ValueError(
            f"{name} and embedding have inconsistent numbers of samples: {n_samples} and "
            f"{n_points}; row i of both must be the same sample"
        )


def check_at_least(fewest: int, n_points: int) -> None:
    """Raise ValueError if there are fewer points than a measure requires."""
    if n_points < fewest:
        raise ValueError(f"X and embedding must have at least {fewest} samples; got {n_points}")


def check_n_neighbors(n_neighbors: int, n_samples: int) -> None:
    """Raise ValueError unless n_neighbors is from 1 to n_samples - 1."""
    if not 1 <= n_neighbors < n_samples:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be at least 1 and less than n_samples "
            f"({n_samples}): a point is not its own neighbour"
        )


def check_less_than_half(n_neighbors: int, n_samples: int) -> None:
    """Check n_neighbors for trustworthiness and continuity, whose scale needs n_samples > 2 k."""
    check_n_neighbors(n_neighbors, n_samples)
    if 2 * n_neighbors >= n_samples:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than half of n_samples ({n_samples}) for "
            "trustworthiness and continuity"
        )


def chosen_anchors(n_samples: int, sample: Sample, random_state: Seed) -> Anchors:
    """Return the rows to evaluate: all, a random sample in ascending order, or the rows given."""
    if sample is None:
        sample = n_samples
    if type(sample) is int:
        size = sample
        if not 1 <= size <= n_samples:
            raise ValueError(f"sample={sample} must be from 1 to n_samples ({n_samples})")
    elif type(sample) is float:
        if not 0.0 < sample <= 1.0:
            raise ValueError(
                f"sample={sample} must be above 0 and at most 1 as a share of the points; "
                "give a number of points as an integer"
            )
        size = max(1, round(sample * n_samples))
    else:
        return _given_anchors(row_numbers(sample, "sample", n_samples))
    if size == n_samples:
        return np.arange(n_samples, dtype=np.int32)
    drawn = check_random_state(random_state).choice(n_samples, size, replace=False)
    return np.sort(drawn).astype(np.int32)


def _given_anchors(rows: NDArray[np.int64]) -> Anchors:
    if rows.ndim != 1 or not rows.size:
        raise ValueError(
            "sample must be an integer, a float, or a one-dimensional array of at least one row; "
            f"got shape {rows.shape}"
        )
    if len(np.unique(rows)) < len(rows):
        raise ValueError("sample must not contain a row twice")
    return rows.astype(np.int32)


def blocks_of(anchors: Anchors, n_samples: int) -> Iterator[tuple[slice, Anchors]]:
    """Yield anchors in blocks whose distances to all points take little memory.

    The size of a block does not depend on the number of threads, so that no result does.
    """
    size = max(_FEWEST_ROWS, _BLOCK_VALUES // n_samples)
    for block in gen_batches(len(anchors), size):
        yield block, anchors[block]
