"""What every picture needs of matplotlib: axes to draw on, checked maps, a window around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from fasttsne.plot.colors import FRAME, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 1e100


def check_map(Y: ArrayLike) -> NDArray[np.float64]:
    """Check a map to be drawn in the plane: two columns of finite numbers."""
    checked: NDArray[np.float64] = check_array(Y, dtype=np.float64, input_name="Y")
    if np.abs(checked).max() > _LARGEST:
        raise ValueError(
            f"Y must have coordinates of magnitude up to {_LARGEST:g}, whose squares do not "
            "overflow; their unit means nothing, so divide them: Y / np.abs(Y).max()"
        )
    if checked.shape[1] != 2:
        raise ValueError(
            f"Y must have 2 columns to be drawn in the plane; got {checked.shape[1]}. "
            "Fit with n_components=2, or choose two columns: Y[:, [0, 1]]"
        )
    return checked


def new_axes(width: float, height: float) -> Axes:
    """Make a figure of so many inches with one pair of axes."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ImportError("drawing needs matplotlib: pip install 'fasttsne[plot]'") from error
    _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
    return ax


def window_around(Y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Find the corners of a square window around a map, with a margin."""
    low, high = Y.min(axis=0), Y.max(axis=0)
    # Where all coordinates are equal, or all but, the corners must still differ.
    half = 0.53 * max(np.max(high - low) or 1.0, 1e-12 * np.abs(Y).max())
    return (low + high) / 2 - half, (low + high) / 2 + half


def prepare_map(ax: Axes, Y: NDArray[Any], title: str | None) -> None:
    """Show a square window around the map, without ticks, in one scale along both axes."""
    (left, bottom), (right, top) = window_around(Y)
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_color(FRAME)
    write_title(ax, title)


def prepare_curve(ax: Axes, title: str | None, xlabel: str, ylabel: str) -> None:
    """Name the axes of a curve, without a box around it."""
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    write_title(ax, title)


def write_title(ax: Axes, title: str | None) -> None:
    """Write a title at the left, if there is one."""
    if title is not None:
        ax.set_title(title, loc="left", color=INK)


def write_legend(ax: Axes, handles: Sequence[Any], names: Sequence[str], **options: Any) -> None:
    """Write a legend of any names, also those that begin with an underscore."""
    placeholders = ["name"] * len(handles)  # it would not take those names
    legend = ax.legend(handles, placeholders, frameon=False, labelcolor=INK, **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)


def window_size(ax: Axes) -> tuple[float, float]:
    """Tell width and height of the axes as they will be drawn, in points (1/72 inch)."""
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()
    window = ax.get_window_extent()
    return window.width * 72 / figure.dpi, window.height * 72 / figure.dpi
