"""Labels as what can be drawn: classes or a quantity, and which are missing."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.samples.labels import as_numbers, categories_of, class_codes, label_values

_MAX_CLASSES = 50  # more different numbers than this are a quantity
_DIGITS = 20  # up to which numbers in names are ordered by value


@dataclass(frozen=True)
class Classes:
    """Names of classes in order, and the number of each point's class, -1 if missing."""

    names: list[str]
    codes: NDArray[np.int64]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return which points have no label."""
        return self.codes < 0

    def counts(self) -> NDArray[np.intp]:
        """Return the number of points of each class."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))

    def medians_and_radii(self, Y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the median of each class on the map, and the radius with three quarters of it."""
        if not self.names:
            return np.empty((0, Y.shape[1])), np.empty(0)
        known = ~self.missing
        codes, Y = self.codes[known], Y[known]
        medians = np.stack([self._quantile(codes, column, 0.5) for column in Y.T], axis=1)
        distance = np.linalg.norm(Y - medians[codes], axis=1)
        return medians, self._quantile(codes, distance, 0.75)

    def _quantile(
        self, codes: NDArray[np.int64], values: NDArray[Any], share: float
    ) -> NDArray[np.float64]:
        """Return a quantile of each class, the mean of two values if it lies between them."""
        ordered = values[np.lexsort((values, codes))]
        counts = self.counts()
        place = np.cumsum(counts) - counts + share * (counts - 1)
        below, above = np.floor(place).astype(np.intp), np.ceil(place).astype(np.intp)
        return np.asarray((ordered[below] + ordered[above]) / 2)


@dataclass(frozen=True)
class Quantity:
    """A number for each point, NaN if missing, and the name of the quantity."""

    values: NDArray[np.float64]
    name: str | None = None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return which points have no label."""
        return np.isnan(self.values)


def read_labels(labels: Any, n_samples: int, name: str | None = None) -> Classes | Quantity:
    """Return labels as classes, or as a quantity if numbers have fractions or many values.

    `name` is the name of a quantity; None takes the name of the column, if it has one.
    """
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise ValueError(f"labels must be one-dimensional; got {type(labels).__name__}")
    codes = class_codes(labels, n_samples, any_numbers=True)
    known = codes >= 0
    first = np.unique(codes[known], return_index=True)[1]
    members = label_values(labels)[0].reshape(n_samples)[known][first]  # one label of each class
    categories = categories_of(labels)
    if categories is not None:
        place = {category: i for i, category in enumerate(categories)}
        found, order = np.unique([place[member] for member in members], return_inverse=True)
        names = [str(categories[int(i)]) for i in found]
        # Categories that pandas has sorted as text have no order of their own.
        return _classes(names, np.append(order, -1)[codes], natural=names == sorted(names))
    members = as_numbers(members)
    is_number = members.dtype.kind in "iuf"
    if is_number and (len(members) > _MAX_CLASSES or np.any(members != np.round(members))):
        if name is None and hasattr(labels, "to_numpy"):  # a column of pandas or polars
            own = getattr(labels, "name", None)
            name = own if isinstance(own, str) and own else None
        return Quantity(np.append(members, np.nan)[codes], name)
    if members.dtype.kind == "M":
        unit: Any = np.datetime_data(members.dtype)[0]
        unit = unit if unit in ("Y", "M") else "auto"
        return Classes(np.datetime_as_string(members, unit=unit).tolist(), codes)
    if members.dtype.kind == "m":
        return Classes([str(member) for member in _in_largest_unit(members)], codes)
    style = "{:.0f}" if members.dtype.kind == "f" else "{}"
    texts = [style.format(member) for member in members.tolist()]
    is_text = any(isinstance(member, str | bytes) for member in members.tolist())
    return _classes(texts, codes, natural=is_text)


def _classes(texts: list[str], codes: NDArray[np.int64], *, natural: bool) -> Classes:
    """Return classes with these names by code; labels of different types may have one name."""
    names = list(dict.fromkeys(texts))
    names = _in_natural_order(names) if natural else names
    place = {name: i for i, name in enumerate(names)}
    return Classes(names, np.array([*map(place.__getitem__, texts), -1])[codes])


def _in_natural_order(names: list[str]) -> list[str]:
    """Return names in the order of dictionaries: numbers by value, dates by date, any case."""
    with suppress(ValueError):
        if all(np.isfinite(float(name)) for name in names):
            return sorted(names, key=lambda name: (float(name), name))
    date = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})\b")
    day_first = any(d and (d[2] == "." or int(d[1]) > 12) for d in map(date.match, names))
    year_first = r"\4-\3-\1" if day_first else r"\4-\1-\3"

    def key(name: str) -> tuple[str, str]:
        dated = date.sub(year_first, name)
        return re.sub(r"\d+", lambda digits: digits[0].zfill(_DIGITS), dated.casefold()), name

    return sorted(names, key=key)


def _in_largest_unit(durations: NDArray[np.timedelta64]) -> NDArray[np.timedelta64]:
    """Return durations in the largest unit, up to days, that all are multiples of."""
    units = ("D", "h", "m", "s", "ms", "us", "ns")
    for unit in units if np.datetime_data(durations.dtype)[0] in units else ():
        converted = durations.astype(f"m8[{unit}]")
        if (converted.astype(durations.dtype) == durations).all():
            return converted
    return durations
