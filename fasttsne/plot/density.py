"""A map of very many points as an image: colour shows classes, opacity the number of points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAINTEST = 0.35  # opacity of a cell with one point
_FULL = 0.98  # share of occupied cells that are not yet opaque


def shade(
    cells: NDArray[np.intp], colors: NDArray[np.float64], n_cells: int
) -> NDArray[np.float64]:
    """Return red, green, blue and opacity of each cell, from the cell and colour of each point."""
    counts = np.bincount(cells, minlength=n_cells)
    occupied = counts > 0
    rgba = np.ones((n_cells, 4))
    for channel in range(3):
        # Light is about the square of these numbers: their mean would be too dark.
        light = np.bincount(cells, weights=np.square(colors[:, channel]), minlength=n_cells)
        rgba[occupied, channel] = np.sqrt(light[occupied] / counts[occupied])
    depth = np.log1p(counts)
    full = np.quantile(depth[occupied], _FULL) if occupied.any() else 1.0
    opacity = _FAINTEST + (1 - _FAINTEST) * np.minimum(depth / full, 1.0)
    rgba[:, 3] = np.where(occupied, opacity, 0.0)
    return rgba


def grid_cells(
    Y: NDArray[Any], low: NDArray[Any], high: NDArray[Any], shape: tuple[int, int]
) -> NDArray[np.intp]:
    """Return the cell of each point in a grid of rows and columns between two corners.

    Cells count row by row from the lower left; points outside belong to the nearest cell.
    """
    rows, columns = shape
    place = ((Y - low) / (high - low) * [columns, rows]).astype(np.intp)
    column, row = np.clip(place, 0, [columns - 1, rows - 1]).T
    return np.asarray(row * columns + column)
