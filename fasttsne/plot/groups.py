"""Labels as what can be drawn: classes or a quantity, and which are missing."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median

from fasttsne.samples.labels import as_numbers, categories_of, class_codes, label_values

_MAX_CLASSES = 50  # more different numbers than this are a quantity
_DIGITS = 20  # up to which numbers in names are ordered by value
_MONTHS = ("%m %Y", "%b %Y", "%b %y", "%d %b %Y", "%d %b %y", "%b %d %Y")  # with months by name


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
        """Return the median of each class on the map, and the radius of three quarters of it."""
        if not self.names:
            return np.empty((0, Y.shape[1])), np.empty(0)
        of_classes = {"labels": self.codes, "index": np.arange(len(self.names))}
        medians = np.stack([median(column, **of_classes) for column in Y.T], axis=1)
        distances = np.linalg.norm(Y - medians[self.codes], axis=1)
        return medians, np.sqrt(2) * median(distances, **of_classes)  # of a 2-D Gaussian


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
    members = as_numbers(members)
    categories = categories_of(labels)
    if categories is not None:
        place = {category: i for i, category in enumerate(categories)}
        places = [place[member] for member in members.tolist()]
        _, first, order = np.unique(places, return_index=True, return_inverse=True)
        names = _names(members[first])
        # Categories that pandas has sorted as text have no order of their own.
        return _classes(names, np.append(order, -1)[codes], natural=names == sorted(names))
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
    is_text = any(isinstance(member, str | bytes) for member in members.tolist())
    return _classes(_names(members), codes, natural=is_text)


def _names(labels: NDArray[Any]) -> list[str]:
    """Return labels as text, whole numbers without a point."""
    whole = labels.dtype.kind == "f" and bool(np.all(labels == np.round(labels)))
    values = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in labels.tolist()]
    return [f"{value:.0f}" if whole else str(value) for value in values]


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
    forms = ["%m %d %Y", "%d %m %Y"]
    for form in reversed(forms) if "." in "".join(names) else forms:
        with suppress(ValueError):
            return [name for _, name in sorted((_date(name, form), name) for name in names)]

    def key(name: str) -> tuple[str, str]:
        return re.sub(r"\d+", lambda digits: digits[0].zfill(_DIGITS), name.casefold()), name

    return sorted(names, key=key)


def _date(name: str, numeric: str) -> datetime:
    """Return the day of a date, with its month by name or as in `numeric`; else ValueError."""
    short = re.sub("([A-Za-z]{3})[a-z]+", r"\1", name)
    text = " ".join(re.split(r"[\s,./-]+|\b\d+:[\d:.]+", short)).strip()
    for dated in (text, f"{text} 2000"):
        for form in (numeric, *_MONTHS):
            with suppress(ValueError):
                return datetime.strptime(dated, form)
    raise ValueError


def _in_largest_unit(durations: NDArray[np.timedelta64]) -> NDArray[np.timedelta64]:
    """Return durations in the largest unit, up to days, that all are multiples of."""
    units = ("D", "h", "m", "s", "ms", "us", "ns")
    for unit in units if np.datetime_data(durations.dtype)[0] in units else ():
        converted = durations.astype(f"m8[{unit}]")
        if (converted.astype(durations.dtype) == durations).all():
            return converted
    return durations
