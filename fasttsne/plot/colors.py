"""Ten colours that are easy to tell apart, marks for more classes, and which class has which."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PALETTE"]

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

MARKERS = ("o", "s", "^", "P", "D", "v", "X")  # matplotlib's, for classes that share a colour

INK = "#1a1a1a"
FRAME = "#cccccc"
MISSING = "#c4c4c4"


def class_colors(medians: NDArray[Any], counts: NDArray[Any]) -> list[str]:
    """Return a colour per class; beyond ten classes the same colour is reused far away.

    The largest classes choose first.
    """
    n_classes, n_colors = len(medians), len(PALETTE)
    if n_classes <= n_colors:
        return list(PALETTE[:n_classes])
    x, y = np.ascontiguousarray(medians.T)
    chosen = np.zeros(n_classes, dtype=np.intp)
    # Squared distance from each class to the nearest class of each colour.
    nearest = np.full((n_classes, n_colors), np.inf)
    for turn, i in enumerate(np.argsort(-counts, kind="stable")):
        color = turn if turn < n_colors else int(np.argmax(nearest[i]))
        chosen[i] = color
        distance = (x - x[i]) ** 2 + (y - y[i]) ** 2
        np.minimum(nearest[:, color], distance, out=nearest[:, color])
    return [PALETTE[color] for color in chosen]


def class_markers(colors: list[str], counts: NDArray[Any]) -> NDArray[np.intp]:
    """Return the index in `MARKERS` per class: 0, or another if a larger class has its colour."""
    markers = np.zeros(len(colors), dtype=np.intp)
    used: Counter[str] = Counter()
    for i in np.argsort(-counts, kind="stable"):
        markers[i] = used[colors[i]] % len(MARKERS)
        used[colors[i]] += 1
    return markers
