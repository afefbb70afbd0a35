"""Where on a map a class is to be named: in its middle, if anything of it is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fasttsne.plot.density import grid_cells

_CELLS = 64  # along a side of the window
_BLUR = 3.0  # cells: about half the length of a short name
_DENSE = 0.25  # of the greatest density: with less than that a median lies in a gap


def name_places(
    Y: NDArray[Any],
    codes: NDArray[np.intp],
    medians: NDArray[np.float64],
    low: NDArray[Any],
    high: NDArray[Any],
    *,
    n_classes: int,
) -> NDArray[np.float64]:
    """Move the places of names out of the gaps of their classes.

    A class in two groups, or in the shape of a ring, has its median where none of its points
    need be. Its name belongs to its densest place instead.

    Parameters
    ----------
    Y : ndarray of shape (n_samples, 2)
        The map.

    codes : ndarray of intp, shape (n_samples,)
        The class of each point, -1 where it is missing.

    medians : ndarray of shape (n_all_classes, 2)
        The median of each class.

    low, high : ndarray of shape (2,)
        Corners of the window.

    n_classes : int
        How many are looked at, the largest first; the others stay at their medians.

    Returns
    -------
    places : ndarray of shape (n_all_classes, 2)
        The medians, or, of a class that is much denser elsewhere, the point of it that is nearest
        to its densest place.
    """
    places = medians.copy()
    shape = (_CELLS, _CELLS)
    cells = grid_cells(Y, low, high, shape)
    middles = grid_cells(medians, low, high, shape)
    counts = np.bincount(codes[codes >= 0], minlength=len(medians))
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(medians)), side="right")
    for k in np.argsort(-counts, kind="stable")[:n_classes]:
        members = order[ends[k] - counts[k] : ends[k]]
        grid = np.bincount(cells[members], minlength=_CELLS * _CELLS).reshape(shape)
        density = gaussian_filter(grid.astype(np.float64), _BLUR, mode="constant").ravel()
        densest = int(density.argmax())
        if density[middles[k]] < _DENSE * density[densest]:
            row, column = divmod(densest, _CELLS)
            middle = low + (np.array([column, row]) + 0.5) / _CELLS * (high - low)
            distances = np.square(Y[members] - middle).sum(axis=1)
            places[k] = Y[members[distances.argmin()]]
    return places
