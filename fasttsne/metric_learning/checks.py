"""What every loss does first and last: checks, and the reduction."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
# Near the root of the largest number in double precision.
_LARGEST = 1e152

Reduction = Literal["mean", "mean_nonzero", "sum", "none"]


def _as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # rows of unlike lengths
        raise ValueError(f"{name} is no array: {error}") from error
    return array


def as_numbers(values: ArrayLike, name: str) -> Floats:
    """Check that values are finite numbers; in double precision.

    Raises
    ------
    ValueError
        If they are something else.
    """
    array = _as_array(values, name)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers, got an array of dtype {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity; remove or replace them")
    return array


def as_embeddings(X: ArrayLike, name: str = "X") -> Floats:
    """Check embeddings: finite numbers, (n_samples, n_features); in double precision.

    Raises
    ------
    ValueError
        If they are something else.
    """
    array = as_numbers(X, name)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be (n_samples, n_features), got shape {array.shape}")
    return array


def check_squares(array: Floats, name: str) -> None:
    """Refuse numbers so large that sums of their squares, over triplets of rows, may overflow.

    Raises
    ------
    ValueError
        If there are such.
    """
    largest = np.abs(array).max(initial=0.0)
    if largest > _LARGEST / np.sqrt(max(array.size, 1)) / len(array):
        raise ValueError(f"{name} has values up to {largest:.3g}, whose squares overflow; scale it")


def as_classes(labels: ArrayLike, n_samples: int, name: str = "labels") -> NDArray[np.int64]:
    """Turn into numbers the classes that `labels` of any type tell apart, (n_samples,).

    Raises
    ------
    ValueError
        If there is not one label a sample, or one is missing.
    """
    array = _as_array(labels, name)
    if array.shape != (n_samples,):
        raise ValueError(f"{name} must hold {n_samples} labels, one a sample; got {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} contains NaN; remove such samples or give them a class")
    try:
        _, classes = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"{name} mixes types that have no order: {error}") from error
    return classes.astype(np.int64)


def as_indices(indices: ArrayLike, width: int, n_samples: int, name: str) -> NDArray[np.int64]:
    """Check rows of sample numbers, (n, width).

    Raises
    ------
    ValueError
        If they are something else.
    """
    array = _as_array(indices, name)
    if not array.size:
        return np.empty((0, width), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integers of shape (n, {width}), got {array.dtype} of {array.shape}"
        )
    if array.min() < 0 or array.max() >= n_samples:
        raise ValueError(
            f"{name} must hold numbers of samples, 0 to {n_samples - 1}; got {array.min()} to "
            f"{array.max()}"
        )
    return array.astype(np.int64)


def same_type(gradient: Floats, given: ArrayLike) -> NDArray[np.floating]:
    """Give a gradient the precision of what it is the gradient by.

    Slopes too steep for that, as those of cosines near a vector of zeros, become the steepest.
    """
    dtype = np.asarray(given).dtype
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    with np.errstate(over="ignore"):
        cast = gradient.astype(dtype, copy=False)
    if np.isinf(cast).any():
        steepest = np.finfo(dtype).max
        cast = np.clip(cast, -steepest, steepest)
    return cast


def n_terms(reduction: Any, n_all: float, n_nonzero: float, *, nonzero: bool = True) -> float:
    """Find what a sum of terms is divided by; 1 where there is nothing to divide.

    Raises
    ------
    ValueError
        If `reduction` is none of those that the loss knows.
    """
    known = ("mean", "mean_nonzero", "sum", "none") if nonzero else ("mean", "sum", "none")
    if reduction not in known:
        raise ValueError(f"reduction={reduction!r} must be one of {', '.join(map(repr, known))}")
    count = {"mean": n_all, "mean_nonzero": n_nonzero}.get(reduction, 1.0)
    return max(float(count), 1.0)


def reduced(
    losses: Floats, reduction: Any, n_all: int | None = None
) -> tuple[float | Floats, float]:
    """Reduce the losses; returns also what derivatives are multiplied by."""
    count = n_terms(reduction, len(losses) if n_all is None else n_all, 0.0, nonzero=False)
    return (losses if reduction == "none" else float(losses.sum()) / count), 1.0 / count


def check_positive(name: str, value: Any) -> None:
    """Refuse what is not a finite number above 0."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not 0.0 < value < np.inf:
        raise ValueError(f"{name}={value!r} must be a number above 0, and finite")
