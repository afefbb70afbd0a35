"""Labels of any kind as what can be drawn: classes, a quantity, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.samples.labels import as_numbers, categories_of, label_values

_MAX_CLASSES = 50  # more numbers than this are a quantity, not classes


@dataclass(frozen=True)
class Classes:
    """Points in classes: the names in order, and each point's place in it, -1 where missing."""

    names: list[str]
    codes: NDArray[np.intp]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which points have no label."""
        return self.codes < 0

    def counts(self) -> NDArray[np.intp]:
        """Count the points of each class."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))

    def medians_and_radii(self, Y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find the median of each class on the map, and how far three quarters are from it."""
        if not self.names:
            return np.empty((0, Y.shape[1])), np.empty(0)
        known = ~self.missing
        codes, Y = self.codes[known], Y[known]
        medians = np.stack([self._quantile(codes, column, 0.5) for column in Y.T], axis=1)
        distance = np.linalg.norm(Y - medians[codes], axis=1)
        return medians, self._quantile(codes, distance, 0.75)

    def _quantile(
        self, codes: NDArray[np.intp], values: NDArray[Any], share: float
    ) -> NDArray[np.float64]:
        """Find a quantile within each class, the mean of two values where it lies between them."""
        ordered = values[np.lexsort((values, codes))]
        counts = self.counts()
        place = np.cumsum(counts) - counts + share * (counts - 1)
        below, above = np.floor(place).astype(np.intp), np.ceil(place).astype(np.intp)
        quantile: NDArray[np.float64] = (ordered[below] + ordered[above]) / 2
        return quantile


@dataclass(frozen=True)
class Quantity:
    """A number for each point, NaN where missing, and what it is the number of, if known."""

    values: NDArray[np.float64]
    name: str | None = None

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which points have no label."""
        return np.isnan(self.values)


def read_labels(labels: Any, n_samples: int, name: str | None = None) -> Classes | Quantity:
    """Tell whether labels are classes or a quantity, and which are missing.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Numbers, strings, booleans, a categorical column, or a mixture; some may be missing, as
        for :func:`fasttsne.samples.labels.label_values`. Numbers with fractions, or more than 50
        different ones, are a quantity.

    n_samples : int
        How many there must be.

    name : str, default=None
        What a quantity is called. None takes the name of the column, if it has one.

    Returns
    -------
    labels : Classes or Quantity
        What to draw.

    Raises
    ------
    ValueError
        If `labels` is not one-dimensional, not of length `n_samples`, or holds infinity.
    """
    if isinstance(labels, str | bytes) or not hasattr(labels, "__len__"):
        raise ValueError(f"labels must be one-dimensional; got {type(labels).__name__}")
    categories = categories_of(labels)
    values, missing = label_values(labels)
    if values.ndim != 1:
        raise ValueError(f"labels must be one-dimensional; got an array of shape {values.shape}")
    if len(values) != n_samples:
        raise ValueError(
            f"labels must be as many as the map has points; got {len(values)} labels "
            f"for {n_samples} points"
        )
    present = values[~missing] if categories is not None else as_numbers(values[~missing])
    if present.dtype.kind == "f" and not np.isfinite(present).all():
        raise ValueError("labels must not hold infinity; use NaN or None where one is missing")
    if _is_quantity(present) and categories is None:
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = present
        return Quantity(numbers, _name_of(labels) if name is None else name)
    codes = np.full(len(values), -1, dtype=np.intp)
    names, codes[~missing] = _classes(present, categories)
    return Classes(names, codes)


def _name_of(labels: Any) -> str | None:
    """Return the name of a column of pandas, or of another library that names columns."""
    name = getattr(labels, "name", None) if hasattr(labels, "to_numpy") else None
    return name if isinstance(name, str) and name else None


def _is_quantity(values: NDArray[Any]) -> bool:
    """Tell whether labels are numbers to be drawn on a scale rather than classes to be named."""
    if values.dtype.kind not in "iuf":
        return False
    return bool(np.any(values != np.round(values))) or len(np.unique(values)) > _MAX_CLASSES


def _classes(
    values: NDArray[Any], categories: list[Any] | None
) -> tuple[list[str], NDArray[np.intp]]:
    """Name the classes, in the order of numbers, letters or categories, and code the values."""
    if categories is not None:
        place = {category: i for i, category in enumerate(categories)}
        found, codes = np.unique([place[value] for value in values], return_inverse=True)
        return [str(categories[int(i)]) for i in found], codes
    if values.dtype.kind == "O":
        values = np.array([str(value) for value in values], dtype=str)
    found, codes = np.unique(values, return_inverse=True)
    style = "{:.0f}" if values.dtype.kind == "f" else "{}"
    return [style.format(value) for value in found.tolist()], codes
