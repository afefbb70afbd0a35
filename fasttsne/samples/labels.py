"""Labels of any kind -> values, which are missing, and class numbers: the one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        flat = np.fromiter(map(_is_missing, values.flat), dtype=bool, count=values.size)
        missing = flat.reshape(values.shape)
    else:
        missing = np.zeros(values.shape, dtype=bool)
    return values, missing | np.ma.getmaskarray(labels) if np.ma.isMA(labels) else missing


def class_codes(
    labels: Any, n_samples: int, *, name: str = "labels", minus_one_is_missing: bool = False
) -> NDArray[np.int64]:
    """Return the number of every sample's class, from 0, and -1 where the label is missing.

    Parameters
    ----------
    labels : array-like of shape (n_samples,) or (n_samples, 1)
        As for `label_values`.
    n_samples : int
        Number of samples.
    name : str, default="labels"
        Name of the argument in error messages.
    minus_one_is_missing : bool, default=False
        Whether the number -1 also marks a missing label, as in scikit-learn's semi-supervised
        estimators.

    Returns
    -------
    codes : ndarray of int64, shape (n_samples,)
        Classes in ascending order; in order of appearance where labels of mixed types have no
        order.

    Raises
    ------
    ValueError
        If there is not one label per sample, or a label is infinite.

    Examples
    --------
    >>> from fasttsne.samples.labels import class_codes
    >>> class_codes(["dog", None, "cat", "dog"], 4)
    array([ 1, -1,  0,  1])
    """
    values, missing = label_values(labels)
    if values.shape == (n_samples, 1):
        values, missing = values[:, 0], missing[:, 0]
    if values.shape != (n_samples,):
        raise ValueError(
            f"{name} has shape {values.shape}, but must be one label per sample: ({n_samples},)"
        )
    if minus_one_is_missing:
        missing = missing | np.fromiter(map(_is_minus_one, values), dtype=bool, count=n_samples)
    present = as_numbers(values[~missing])
    if present.dtype.kind == "f" and not np.isfinite(present).all():
        raise ValueError(f"{name} contains infinity; use None or NaN for a missing label")
    codes = np.full(n_samples, -1, dtype=np.int64)
    try:
        codes[~missing] = np.unique(present, return_inverse=True)[1]
    except TypeError:  # mixed types
        numbers = {label: number for number, label in enumerate(dict.fromkeys(present.tolist()))}
        codes[~missing] = [numbers[label] for label in present.tolist()]
    return codes


def categories_of(labels: Any) -> list[Any] | None:
    """Return the categories of a categorical column of pandas, in their own order."""
    categories = getattr(_categorical(labels), "categories", None)
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
        codes: NDArray[np.intp] = np.asarray(_categorical(labels).codes, dtype=np.intp)
        return _filled([*categories, None])[codes]
    if isinstance(labels, Sequence) and not isinstance(labels, str | bytes):
        if any(label is np.ma.masked for label in labels):
            return _filled([None if label is np.ma.masked else label for label in labels])
        array: NDArray[Any] = np.asarray(labels)
        # NumPy would turn None and NaN among strings into text.
        return _filled(labels) if array.ndim == 1 and array.dtype.kind in "USTf" else array
    return np.asarray(labels)


def _filled(values: Sequence[Any]) -> NDArray[Any]:
    """Return an array of the objects as they are, sequences included."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _categorical(labels: Any) -> Any:
    return getattr(labels, "cat", labels)


def _is_missing(value: Any) -> bool:
    if value is None or value is np.ma.masked:
        return True
    try:
        return bool(value != value)
    except (TypeError, ArithmeticError):  # pandas.NA, and a signalling NaN of decimals
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_minus_one(label: Any) -> bool:
    return _is_number(label) and bool(label == -1)
