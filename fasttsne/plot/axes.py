"""Axes to draw on, checked maps, and a window around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from fasttsne.plot.colors import FRAME, INK
from fasttsne.samples.arrays import unmasked_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_LARGEST = 1e100


def check_map(Y: ArrayLike) -> NDArray[np.float64]:
    """Return a map as two columns of finite numbers, or raise ValueError."""
    checked: NDArray[np.float64] = check_array(
        unmasked_map(Y, "Y"), dtype=np.float64, input_name="Y"
    )
    if np.abs(checked).max() > _LARGEST:
        raise ValueError(
            f"Y must have coordinates of magnitude up to {_LARGEST:g}, because larger squares "
            "overflow; their unit has no meaning, so divide them: Y / np.abs(Y).max()"
        )
    if checked.shape[1] != 2:
        raise ValueError(
            f"Y must have 2 columns to be drawn in the plane; got {checked.shape[1]}. "
            "Fit with n_components=2, or choose two columns: Y[:, [0, 1]]"
        )
    return checked


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure, whose size is in inches."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ImportError("drawing needs matplotlib: pip install 'fasttsne[plot]'") from error
    _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
    return ax


def window_around(Y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the corners of a window around a map, with a margin; no side is below a tenth."""
    low, high = Y.min(axis=0), Y.max(axis=0)
    # If all coordinates are (almost) equal, the corners must still differ.
    longest = max(np.max(high - low) or 1.0, 1e-12 * np.abs(Y).max())
    half = np.maximum((high - low) / 2, 0.07 * longest) + 0.03 * longest
    return (low + high) / 2 - half, (low + high) / 2 + half


def map_size(Y: NDArray[Any], side: float) -> tuple[float, float]:
    """Return the width and height in inches of a figure for a map, the longer one `side`."""
    low, high = window_around(Y)
    size = side * (high - low) / np.max(high - low)
    width, height = np.maximum(size, [side / 2, side / 3])  # wide enough for names
    return float(width), float(height)


def prepare_map(ax: Axes, Y: NDArray[Any], title: str | None) -> None:
    """Set a window around the map, without ticks, with the same scale on both axes."""
    (left, bottom), (right, top) = window_around(Y)
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_color(FRAME)
    _write_title(ax, title)


def prepare_curve(ax: Axes, title: str | None, xlabel: str, ylabel: str) -> None:
    """Name the axes of a curve, and draw a grid instead of a box."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    _write_title(ax, title)


def _write_title(ax: Axes, title: str | None) -> None:
    if title is not None:
        ax.set_title(title.replace("$", r"\$"), loc="left", color=INK)


def write_legend(ax: Axes, handles: Sequence[Any], names: Sequence[str], **options: Any) -> None:
    """Write a legend with any names, including those that begin with an underscore."""
    placeholders = ["name"] * len(handles)  # matplotlib omits names with an underscore
    legend = ax.legend(handles, placeholders, frameon=False, labelcolor=INK, **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)


def drawn_window(ax: Axes) -> Bbox:
    """Settle the layout of the figure, and return the window of the axes in pixels."""
    ax.figure.canvas.figure.draw_without_rendering()
    return ax.get_window_extent()
