"""More points than a picture has room for, as an image: colour says what, opacity how many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAINTEST = 0.35  # opacity of a cell with one point
_FULL = 0.98  # the share of occupied cells that are not yet opaque


def shade(
    cells: NDArray[np.intp], colors: NDArray[np.float64], n_cells: int
) -> NDArray[np.float64]:
    """Mix the colours of the points of each cell, and make cells the more opaque the fuller.

    Parameters
    ----------
    cells : ndarray of intp, shape (n_samples,)
        The cell of each point.

    colors : ndarray of shape (n_samples, 3)
        Red, green and blue of each point, 0 to 1.

    n_cells : int
        How many cells there are.

    Returns
    -------
    rgba : ndarray of shape (n_cells, 4)
        White and transparent where there is no point.
    """
    counts = np.bincount(cells, minlength=n_cells)
    occupied = counts > 0
    rgba = np.ones((n_cells, 4))
    for channel in range(3):
        # Light adds in squares of these numbers, nearly: a mean of them would be too dark.
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
    """Find the cell of each point in a grid of rows and columns, counted from the lower left.

    Parameters
    ----------
    Y : ndarray of shape (n_samples, 2)
        The map; points outside the window count to the nearest cell.

    low, high : ndarray of shape (2,)
        Corners of the window.

    shape : tuple of int
        Rows and columns of the grid.

    Returns
    -------
    cells : ndarray of intp, shape (n_samples,)
        Row times columns plus column.
    """
    rows, columns = shape
    column, row = ((Y - low) / (high - low) * [columns, rows]).T
    column = np.clip(column.astype(np.intp), 0, columns - 1)
    row = np.clip(row.astype(np.intp), 0, rows - 1)
    cells: NDArray[np.intp] = row * columns + column
    return cells
