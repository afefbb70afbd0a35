"""Labels of any kind -> values, which are missing, and class numbers: the one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def label_values(labels: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the labels as an array that keeps every value, and a mask of those missing.

    Missing are None, NaN and NaT of any kind, pandas.NA and what a mask hides.
    """
    values = _as_array(labels)
    if values.dtype.kind == "T":  # NumPy's variable-length strings
        values = values.astype(object)
    missing: NDArray[np.bool_]
    if values.dtype.kind in "fcmM":
        missing = np.asarray(values != values)
    elif values.dtype.kind == "O":
        flat = np.fromiter(map(is_missing, values.flat), dtype=bool, count=values.size)
        missing = flat.reshape(values.shape)
    else:
        missing = np.zeros(values.shape, dtype=bool)
    return values, missing | np.ma.getmaskarray(labels) if np.ma.isMA(labels) else missing


def class_codes(
    labels: Any,
    n_samples: int,
    *,
    name: str = "labels",
    minus_one_is_missing: bool = False,
    any_numbers: bool = False,
    are: str = "one label per sample",
    of_missing: str = "use None or NaN for a missing label",
) -> NDArray[np.int64]:
    """Return the number of every sample's class, from 0, int64, and -1 where the label is missing.

    Classes ascend, or are in order of appearance where labels of mixed types have no order. With
    `minus_one_is_missing` the number -1 marks a missing label too, as in scikit-learn. Errors call
    the labels `name` and what they must be `are`, and advise `of_missing` where one is infinite.
    Fractions are quantities and no classes, unless `any_numbers`.
    """
    if sparse.issparse(labels):
        raise ValueError(f"{name} is sparse, but must be dense; pass {name}.toarray().ravel()")
    try:
        values, missing = label_values(labels)
        if values.dtype.kind == "O" and any(
            isinstance(label, list | tuple) for label in values.flat
        ):
            # Also rows of unequal lengths, of which NumPy before 1.24 only warns.
            raise ValueError("entries are lists or tuples; convert each to text")
    except ValueError as error:
        raise ValueError(f"{name} must be {are}: {error}") from error
    if values.shape == (n_samples, 1):
        values, missing = values[:, 0], missing[:, 0]
    if values.shape != (n_samples,):
        remedy = f"; pass {name}.ravel()" if values.size == n_samples else ""
        raise ValueError(
            f"{name} has shape {values.shape}, but must be {are}: ({n_samples},){remedy}"
        )
    if minus_one_is_missing:
        missing[~missing] = [_is_number(label) and label == -1 for label in values[~missing]]
    present = as_numbers(values[~missing])
    objects = present if present.dtype.kind in "cO" else present[:0]
    if any(isinstance(label, complex | np.complexfloating) for label in objects):
        raise ValueError(f"{name} has complex numbers; use integers or text for classes")
    if present.dtype.kind == "f" and not np.isfinite(present).all():
        raise ValueError(f"{name} contains infinity; {of_missing}")
    if not any_numbers and has_fractions(labels):
        raise ValueError(
            f"Unknown label type: {name} is continuous, numbers with fractions, but must be "
            "classes; bin it, for example by numpy.digitize"
        )
    codes = np.full(n_samples, -1, dtype=np.int64)
    if present.dtype.kind not in "OSU":
        codes[~missing] = np.unique(present, return_inverse=True)[1]
        return codes
    listed = present.tolist()  # a dictionary is faster than sorting text
    try:
        distinct = list(dict.fromkeys(listed))
    except TypeError as error:
        raise ValueError(f"{name} has objects without a hash; use numbers or text") from error
    numbers = {label: i for i, label in enumerate(ascending(distinct) or distinct)}
    codes[~missing] = [numbers[label] for label in listed]
    return codes


def ascending(distinct: list[Any]) -> list[Any] | None:
    """Return distinct objects in order, or None if they have none, as mixed types or sets."""
    try:
        found = sorted(distinct)
        return found if all(a < b for a, b in pairwise(found)) else None
    except TypeError:
        return None


def has_fractions(labels: Any) -> bool:
    """Return whether labels are numbers with fractions, a quantity; categories are classes."""
    values, missing = label_values(labels)
    present = as_numbers(values[~missing])
    is_quantity = present.dtype.kind == "f" and bool(np.any(present != np.round(present)))
    return is_quantity and categories_of(labels) is None


def categories_of(labels: Any) -> list[Any] | None:
    """Return the categories of a categorical column of pandas, in their own order."""
    categories = getattr(getattr(labels, "cat", labels), "categories", None)
    return None if categories is None else list(categories)


def as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return objects that are all numbers as integers or floats, if that loses nothing."""
    if values.dtype.kind != "O" or not all(map(_is_number, values)):
        return values
    try:
        floats = values.astype(np.float64)
    except OverflowError:  # of integers that no type holds
        return values
    if not np.isfinite(floats).all() or np.any(floats != np.round(floats)):
        return floats
    whole = [int(value) for value in values]  # floats would merge those beyond 2**53
    smallest, largest = min(whole, default=0), max(whole, default=0)
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        if limits.min <= smallest and largest <= limits.max:
            return np.array(whole, dtype=dtype)
    return values


def _as_array(labels: Any) -> NDArray[Any]:
    if np.ma.isMA(labels):
        return np.asarray(labels.data)
    categories = categories_of(labels)
    if categories is not None:
        # By codes: pandas turns integers into floats where one is missing.
        codes: NDArray[np.intp] = np.asarray(getattr(labels, "cat", labels).codes, dtype=np.intp)
        return _filled([*categories, None])[codes]
    if isinstance(labels, Sequence) and not isinstance(labels, str | bytes):
        if any(label is np.ma.masked for label in labels):
            return _filled([None if label is np.ma.masked else label for label in labels])
        array: NDArray[Any] = np.asarray(labels)
        if array.dtype.kind not in "USTf":
            return array
        # NumPy would turn None and NaN among strings into text.
        return _filled(labels) if array.ndim == 1 else np.array(labels, dtype=object)
    if hasattr(labels, "to_pylist") and getattr(labels, "null_count", None):  # of pyarrow
        return _filled(labels.to_pylist())
    array, own_type = np.asarray(labels), getattr(labels, "dtype", None)
    is_column = type(labels).__module__.partition(".")[0] in ("pandas", "polars")
    if array.dtype.kind == "f" and is_column and own_type and not isinstance(own_type, np.dtype):
        return _filled(list(labels))  # integers beside nulls, which floats could merge
    return array


def _filled(values: Sequence[Any]) -> NDArray[Any]:
    """Return an array of the objects as they are, sequences included."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def is_missing(value: Any) -> bool:
    """Return whether a label is None, NaN, NaT, pandas.NA or masked."""
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)
    except (TypeError, ArithmeticError):  # pandas.NA, and a signalling NaN of decimals
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)
