"""Array-likes of any library -> NumPy arrays of numbers, in which nothing is hidden."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.samples.labels import label_values

_NUMBERS = r"(u?int|float)\d|double|half|bool|decimal|sparse"  # types of columns


def unmasked(values: Any, name: str) -> Any:
    """Return `values`, or raise ValueError if a mask hides some or a column has no real numbers.

    NumPy would ignore a mask, and read dates of some libraries as numbers. Tables of pyarrow become
    frames of pandas, and lazy frames of polars are collected.
    """
    if hasattr(values, "to_pylist"):  # of pyarrow
        values = values.to_pandas()
    if hasattr(values, "collect") and hasattr(values, "lazy"):  # of polars
        values = values.collect()
    if hasattr(values, "columns") and hasattr(values, "dtypes"):
        _check_columns(values, name)
    parts = values if isinstance(values, list | tuple) else [values]
    if any(np.ma.isMA(part) and np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{name} has masked values; leave these samples out, or fill them by .filled()"
        )
    return values


def unmasked_map(values: Any, name: str) -> Any:
    """Return a map as `unmasked` does, or raise TypeError for the estimator that drew it."""
    if hasattr(values, "fit") and hasattr(values, "get_params"):
        raise TypeError(
            f"{name} must be an array, got the estimator {type(values).__name__}; its map is "
            ".embedding_ after a fit"
        )
    return unmasked(values, name)


def _check_columns(frame: Any, name: str) -> None:
    for i, (column, dtype) in enumerate(zip(frame.columns, map(str, frame.dtypes), strict=True)):
        if re.match(_NUMBERS, dtype.lower()):
            continue
        values = frame.iloc[:, i] if hasattr(frame, "iloc") else frame[:, i]
        first = next(iter(values), None)
        if hasattr(first, "__len__") and not isinstance(first, str | bytes):
            raise ValueError(
                f"{name} has vectors in column {column!r} ({dtype}); pass them as a matrix, "
                f"np.stack({name}[{column!r}])"
            )
        if not re.search("date|time|period|duration|complex", dtype.lower()):
            with suppress(ValueError, TypeError):
                np.asarray(values, float)
                continue
        raise ValueError(
            f"{name} has values that are no real numbers in column {column!r} ({dtype}); leave it "
            "out, or turn it into numbers"
        )


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Return a dense array; objects that are numbers become numbers, NaN where one is missing.

    Frames of nullable types, for example, are objects to NumPy.
    """
    if sparse.issparse(values):
        raise TypeError(f"{name} is sparse, but must be dense; pass {name}.toarray()")
    values = unmasked(values, name)
    try:
        array: NDArray[Any] = np.asarray(values)
    except (ValueError, RuntimeError) as error:  # rows of unequal lengths; tensors with gradients
        raise ValueError(f"{name} is not an array: {error}") from error
    if array.dtype.kind != "O":
        return array
    numbers, missing = label_values(array)
    numbers = np.where(missing, np.nan, numbers)
    types = {*map(type, numbers.flat)}
    if not all(issubclass(kind, Real | np.bool_ | Decimal) for kind in types):
        return array
    if types and types <= {bool, np.bool_}:
        return numbers.astype(bool)
    whole = all(issubclass(kind, Integral) for kind in types)
    try:
        return numbers.astype(np.int64 if whole else np.float64)
    except OverflowError:
        return numbers.astype(np.float64)


def row_numbers(values: Any, name: str, n_rows: int) -> NDArray[np.int64]:
    """Return row numbers; raise ValueError if they are no integers, or out of range."""
    array = as_array(values, name)
    if not array.size:
        return array.astype(np.int64)
    found = f"{array.min()} to {array.max()}" if array.dtype.kind in "iu" else str(array.dtype)
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= n_rows:
        raise ValueError(f"{name} must hold integers from 0 to {n_rows - 1}; got {found}")
    return array.astype(np.int64)
