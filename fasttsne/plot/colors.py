"""Ten colours everybody can tell apart, marks for more classes, and which class gets which."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE"]

#: Ten colours found by search: all pairs stay apart in normal vision and under protanopia,
#: deuteranopia and tritanopia, and no two have the same lightness.
PALETTE = (
    "#2859b3",
    "#fb7704",
    "#394d17",
    "#24c6fc",
    "#94206b",
    "#f5bf00",
    "#7d71f2",
    "#8c6807",
    "#a0b08c",
    "#ba79ad",
)

# Marks as matplotlib calls them, for classes that share a colour.
MARKERS = ("o", "s", "^", "P", "D", "v", "X")

INK = "#1a1a1a"
FRAME = "#cccccc"
MISSING = "#c4c4c4"


def class_colors(medians: NDArray[Any], counts: NDArray[Any]) -> list[str]:
    """Give each class a colour: its own while there are ten, and then one used only far away.

    Parameters
    ----------
    medians : ndarray of shape (n_classes, 2)
        Where the classes lie on the map.

    counts : ndarray of shape (n_classes,)
        Their numbers of points; the largest choose first.

    Returns
    -------
    colors : list of n_classes str
        Elements of `PALETTE`.
    """
    n_classes, n_colors = len(medians), len(PALETTE)
    if n_classes <= n_colors:
        return list(PALETTE[:n_classes])
    x, y = np.ascontiguousarray(medians.T)
    chosen = np.zeros(n_classes, dtype=np.intp)
    # How near the nearest class of each colour lies to each class.
    nearest = np.full((n_classes, n_colors), np.inf)
    for turn, i in enumerate(np.argsort(-counts, kind="stable")):
        color = turn if turn < n_colors else int(np.argmax(nearest[i]))
        chosen[i] = color
        distance = (x - x[i]) ** 2 + (y - y[i]) ** 2
        np.minimum(nearest[:, color], distance, out=nearest[:, color])
    return [PALETTE[color] for color in chosen]


def class_markers(colors: list[str], counts: NDArray[Any]) -> NDArray[np.intp]:
    """Give each class a mark: a disc, and another where a larger class has its colour too.

    Parameters
    ----------
    colors : list of n_classes str
        Their colours.

    counts : ndarray of shape (n_classes,)
        Their numbers of points.

    Returns
    -------
    markers : ndarray of intp, shape (n_classes,)
        Places in `MARKERS`. Classes of one colour have different ones, while there are enough.
    """
    markers = np.zeros(len(colors), dtype=np.intp)
    used: Counter[str] = Counter()
    for i in np.argsort(-counts, kind="stable"):
        markers[i] = used[colors[i]] % len(MARKERS)
        used[colors[i]] += 1
    return markers


def rgb(colors: list[str]) -> NDArray[np.float64]:
    """Turn colours like "#2859b3" into rows of red, green and blue from 0 to 1."""
    values = [[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in colors]
    return np.array(values, dtype=np.float64).reshape(-1, 3)
