"""Checks of arguments, and the reduction of losses, for every loss and measure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.samples.arrays import as_array, row_numbers
from fasttsne.samples.labels import class_codes

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Gradient = NDArray[np.floating]
Loss = tuple[float | Floats, Gradient]
Reduction = Literal["mean", "sum", "none"]
PairReduction = Literal["mean", "mean_nonzero", "sum", "none"]
SimilarLabel = Literal[0, 1]

# Near the square root of the largest number in double precision.
_LARGEST = 1e152
# Up to here, double precision has every integer.
_WHOLE = 2**53


def as_numbers(
    values: ArrayLike, name: str, *, unranked: bool = False, keep_single: bool = False
) -> Floats:
    """Return finite numbers in double precision; with `unranked` also minus infinity.

    With `keep_single` numbers in single precision stay as they are.
    """
    array = as_array(values, name)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be numbers, got an array of dtype {array.dtype}")
    if not (keep_single and array.dtype == np.float32):
        with np.errstate(over="ignore"):  # of longer floats: infinity, which is refused
            array = array.astype(np.float64, copy=False)
    finite = np.isfinite(array)
    if not finite.all() and not (unranked and np.isneginf(array[~finite]).all()):
        raise ValueError(f"{name} contains NaN or infinity; remove or replace them")
    return array


def as_ranked(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return scores of which only the order counts: ranks of integers that doubles would merge."""
    array = as_array(values, name)
    whole = array.dtype.kind in "iu" and array.size > 0
    if whole and (int(array.max()) > _WHOLE or int(array.min()) < -_WHOLE):
        return np.unique(array, return_inverse=True)[1].reshape(array.shape)
    return array


def as_weights(weights: ArrayLike, name: str, shape: tuple[int, ...], of: str) -> Floats:
    """Return finite weights of at least 0 in this shape, one per `of`."""
    array = as_numbers(weights, name)
    if array.shape != shape or (array < 0.0).any():
        raise ValueError(
            f"{name} must hold {int(np.prod(shape))} finite weights of at least 0, one per {of}; "
            f"got shape {array.shape}"
        )
    return array


def as_embeddings(X: ArrayLike, name: str = "X", *, keep_single: bool = False) -> Floats:
    """Return embeddings, (n_samples, n_features), in double precision; see `as_numbers`."""
    array = as_numbers(X, name, keep_single=keep_single)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be (n_samples, n_features), got shape {array.shape}")
    return array


def check_squares(array: Floats, name: str) -> None:
    """Check that sums of squares, over triplets of rows, cannot overflow."""
    largest = np.abs(array).max(initial=0.0)
    if largest > _LARGEST / np.sqrt(max(array.size, 1)) / len(array):
        raise ValueError(f"{name} has values up to {largest:.3g}, whose squares overflow; scale it")


def as_classes(labels: ArrayLike, n_samples: int, name: str = "labels") -> Indices:
    """Return the number of every sample's class, from 0; a missing label is an error."""
    classes = class_codes(labels, n_samples, name=name)
    if (classes < 0).any():
        raise ValueError(
            f"{name} contains missing values (NaN or None); remove these samples or label them"
        )
    return classes


def as_indices(indices: ArrayLike, width: int, n_samples: int, name: str) -> Indices:
    """Return rows of sample numbers, (n, width)."""
    array = row_numbers(indices, name, n_samples)
    if not array.size:
        return np.empty((0, width), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"{name} must be of shape (n, {width}), got {array.shape}")
    return array


def as_targets(target: ArrayLike, n_samples: int, n_classes: int) -> Indices:
    """Return the class number of every sample, (n_samples,)."""
    targets = as_array(target, "target")
    if targets.shape not in ((n_samples,), (n_samples, 1)):
        raise ValueError(
            f"target must hold {n_samples} classes, one per sample, got shape {targets.shape}"
        )
    return as_indices(targets.reshape(-1, 1), 1, n_classes, "target")[:, 0]


def check_params(
    name: str,
    loss: Callable[..., Any],
    params: Mapping[str, Any],
    not_params: Collection[str],
    prefix: str,
) -> None:
    """Check that a loss has these optional arguments, apart from `not_params`."""
    known = [
        parameter.name
        for parameter in inspect.signature(loss).parameters.values()
        if parameter.default is not parameter.empty and parameter.name not in not_params
    ]
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(
            f"{prefix}loss={name!r} does not take {', '.join(map(repr, unknown))}; it takes "
            f"{', '.join(map(repr, known)) or 'no parameters'}"
        )


def without_data(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that can be checked on other data: no functions, no arrays of data."""
    of_data = ("propensity", "sample_weight")
    return {
        name: value for name, value in params.items() if name not in of_data and not callable(value)
    }


def reduced(
    losses: Floats, reduction: Any, n_terms: float | None = None, n_nonzero: float | None = None
) -> tuple[float | Floats, float]:
    """Return the reduced losses, and the count by which their derivatives are divided.

    "mean_nonzero" is known only to losses that pass `n_nonzero`.
    """
    counts = {"mean": len(losses) if n_terms is None else n_terms, "sum": 1.0, "none": 1.0}
    if n_nonzero is not None:
        counts["mean_nonzero"] = n_nonzero
    count = max(float(counts[reduction]), 1.0)
    return (losses if reduction == "none" else float(losses.sum()) / count), count


def same_type(gradient: Floats, given: ArrayLike) -> Gradient:
    """Return a gradient in the precision of its input, clipped to the largest number there.

    Slopes of cosines beside a vector of zeros are steeper than single precision can hold.
    """
    dtype = np.asarray(given).dtype
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    with np.errstate(over="ignore"):
        cast = gradient.astype(dtype, copy=False)
    if np.isinf(cast).any():
        steepest = np.finfo(dtype).max
        cast = np.clip(cast, -steepest, steepest)
    return cast
