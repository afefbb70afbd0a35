"""Colours and marks that are easy to tell apart, and which class has which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Ten colours found by search: all pairs differ clearly in normal vision and under protanopia,
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

# Thirty more for more classes: all forty differ by at least 10 in CIEDE2000, and by 5 in the three
# kinds of colour blindness.
_COLORS = (
    *PALETTE,
    *"""
    #008769 #f01e5a #f0b4c3 #2d00c3 #78e187 #004b3c #786996 #a58787 #69694b #782dff
    #b4a55a #69b4a5 #784b5a #0fe1f0 #2da5ff #4b7878 #b4a5c3 #871e3c #e10087 #690087
    #4b873c #a587d2 #a5001e #ff002d #e1c3b4 #0078c3 #5a2d4b #a56969 #f087a5 #698796
    """.split(),  # noqa: SIM905
)

# Marks of matplotlib and, in the same order, of view.js.
MARKERS = ("o", "s", "^", "P", "D", "v", "X")
SYMBOLS = ("circle", "square", "triangle-up", "cross", "diamond", "triangle-down", "x")

INK = "#1a1a1a"
FRAME = "#cccccc"
MISSING = "#c4c4c4"


def class_looks(medians: NDArray[Any], counts: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Return a colour and the index of a mark per class; up to 280 classes, no two have both alike.

    The largest classes choose first. Beyond forty classes a colour is reused far away.
    """
    n_classes, n_colors = len(medians), len(_COLORS)
    chosen = np.arange(n_classes)
    if n_classes <= len(PALETTE):
        return [_COLORS[color] for color in chosen], np.zeros_like(chosen)
    x, y = np.ascontiguousarray(medians.T)
    marks, used = np.zeros_like(chosen), np.zeros(n_colors, dtype=np.intp)
    # Squared distance from each class to the nearest class of each colour.
    nearest = np.full((n_classes, n_colors), np.inf)
    for turn, i in enumerate(np.argsort(-counts, kind="stable")):
        color = int(np.where(used == turn // n_colors, nearest[i], -1.0).argmax())
        chosen[i], marks[i] = color, (color // len(PALETTE) + used[color]) % len(MARKERS)
        used[color] += 1
        distance = (x - x[i]) ** 2 + (y - y[i]) ** 2
        np.minimum(nearest[:, color], distance, out=nearest[:, color])
    return [_COLORS[color] for color in chosen], marks
