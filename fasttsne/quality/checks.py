"""Which points are judged, and what every measure checks."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state, check_scalar

Sample = int | float | ArrayLike | None
RandomState = int | np.random.RandomState | None
Anchors = NDArray[np.int32]

# Distances in a block of rows, at the most, unless rows are longer than that: 32 MB of them.
_BLOCK_VALUES = 1 << 22
_FEWEST_ROWS = 16


def as_embedding(embedding: ArrayLike) -> NDArray[np.floating]:
    """Check a map: two-dimensional, floating-point, without NaN.

    Raises
    ------
    ValueError
        If it is something else.
    """
    checked: NDArray[np.floating] = check_array(
        embedding, dtype=[np.float64, np.float32], order="C", input_name="embedding"
    )
    return checked


def check_same_length(n_samples: int, n_points: int, name: str = "X") -> None:
    """Refuse a map of other data."""
    if n_samples != n_points:
        raise ValueError(
            f"{name} and embedding have inconsistent numbers of samples: {n_samples} and "
            f"{n_points}; row i of both must be the same sample"
        )


def check_at_least_two(n_points: int) -> None:
    """Refuse a map without a pair of points."""
    if n_points < 2:
        raise ValueError(
            f"X and embedding must have at least 2 samples, which make a pair; got {n_points}"
        )


def check_n_neighbors(n_neighbors: Any, n_samples: int) -> None:
    """Refuse neighbourhoods that n_samples points cannot fill."""
    if isinstance(n_neighbors, bool | np.bool_):  # which Python takes for an integer
        raise TypeError(f"n_neighbors must be an integer; got {n_neighbors!r}")
    check_scalar(n_neighbors, "n_neighbors", Integral, min_val=1)
    if n_neighbors >= n_samples:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than n_samples ({n_samples}): "
            "a point is not its own neighbour"
        )


def check_less_than_half(n_neighbors: Any, n_samples: int) -> None:
    """Refuse neighbourhoods for which trustworthiness and continuity have no worst case."""
    check_n_neighbors(n_neighbors, n_samples)
    if 2 * n_neighbors >= n_samples:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than half of n_samples ({n_samples}) for "
            "trustworthiness and continuity"
        )


def chosen_anchors(n_samples: int, sample: Sample, random_state: RandomState) -> Anchors:
    """Choose the points that are judged.

    Parameters
    ----------
    n_samples : int
        How many there are.
    sample : int, float, array-like of int, or None
        How many to draw at random, which share of them, or their rows; None means all.
    random_state : int, RandomState instance or None
        Source of the drawing.

    Returns
    -------
    anchors : ndarray of int32, shape (n_anchors,)
        Rows: in ascending order, except that given ones are in the order given.

    Raises
    ------
    TypeError
        If `sample` is something else.
    ValueError
        If it asks for no points or for more than there are.
    """
    if sample is None:
        return np.arange(n_samples, dtype=np.int32)
    if isinstance(sample, bool | np.bool_ | str):
        raise TypeError(f"sample must be an integer, a float, or rows; got {sample!r}")
    if isinstance(sample, Integral):
        size = int(sample)
        if not 1 <= size <= n_samples:
            raise ValueError(f"sample={sample} must be from 1 to n_samples ({n_samples})")
    elif isinstance(sample, Real):
        if not 0.0 < float(sample) <= 1.0:
            raise ValueError(
                f"sample={sample} must be above 0 and at most 1 where it is a share of the points; "
                "a number of points must be an integer"
            )
        size = max(1, round(float(sample) * n_samples))
    else:
        return _given(np.asarray(sample), n_samples)
    if size == n_samples:
        return np.arange(n_samples, dtype=np.int32)
    drawn = check_random_state(random_state).choice(n_samples, size, replace=False)
    return np.sort(drawn).astype(np.int32)


def _given(rows: NDArray[Any], n_samples: int) -> Anchors:
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise TypeError(
            "sample must be an integer, a float, or a one-dimensional array of rows; got an array "
            f"of {rows.dtype} of shape {rows.shape}"
        )
    if not rows.size or rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError(f"sample must hold rows from 0 to {n_samples - 1}, and at least one")
    if len(np.unique(rows)) < len(rows):
        raise ValueError("sample must not hold a row twice")
    return rows.astype(np.int32)


def blocks_of(anchors: Anchors, n_samples: int) -> Iterator[tuple[slice, Anchors]]:
    """Anchors in blocks whose distances to all points fit into little memory.

    They depend on the number of points alone, so that no result depends on that of threads.
    """
    size = max(_FEWEST_ROWS, _BLOCK_VALUES // n_samples)
    for first in range(0, len(anchors), size):
        block = slice(first, min(first + size, len(anchors)))
        yield block, anchors[block]
