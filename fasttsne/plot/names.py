"""Names of classes written on a map: where their points are, and without overlaps."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fasttsne.plot.axes import drawn_window, window_around
from fasttsne.plot.colors import INK
from fasttsne.plot.density import grid_cells
from fasttsne.plot.groups import Classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT_SIZES = (13, 11, 9, 8)
_FEW, _SOME = 12, 24  # numbers of names up to which the largest font sizes are tried
_MAX_NAMES = 100  # more than this find no room on any map
_MAX_COVER = 0.2  # share of the axes that names may hide
_MAX_WIDTH, _MAX_LINES = 18, 3  # of a name, in characters and lines
_LONG = 20  # characters of a name, of which a legend with many columns shows no more
_REACH = 0.18  # how far from its class a name may be, as a share of the axes' shorter side
_N_RINGS, _N_DIRECTIONS = 18, 24

_CELLS = 64  # along a side of the window
_BLUR = 3.0  # cells: about half the length of a short name
_DENSE = 0.25  # share of the greatest density below which a median lies in a gap


def plain(text: str, max_length: int | None = None) -> str:
    """Return text as one line that matplotlib writes literally, dollars included."""
    text = shortened(" ".join(text.split()), max_length or len(text))
    return text.replace("$", r"\$")


def distinct(names: list[str]) -> list[str]:
    """Return names without the words that all begin with, except the last, if one name is long."""
    if len(names) < 2 or max(map(len, names)) <= _LONG:
        return names
    first, last = min(names), max(names)
    common = first[: [*map(str.__eq__, first, last), False].index(False)]
    start = len(re.sub(r"\w*\W*\w*$", "", common))
    return [f"…{name[start:]}" for name in names] if start else names


def shortened(text: str, max_length: int) -> str:
    """Return text without its middle if it is longer; names of classes often differ at the end."""
    if len(text) <= max_length:
        return text
    end = max_length // 3
    return f"{text[: max_length - 1 - end].rstrip()}…{text[-end:].lstrip()}"


def write_names(
    ax: Axes,
    Y: NDArray[Any],
    classes: Classes,
    shapes: tuple[NDArray[np.float64], NDArray[Any], list[str]],
    chosen: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Write the names of chosen classes near their medians, or above a small class to be seen.

    A name is outlined in the colour of its class, and a thin line ties it to its class if it had to
    move. If some names have no room nearby, none is written, and those are returned.
    """
    from matplotlib.patheffects import withStroke

    medians, radii, colors = shapes
    window = drawn_window(ax)
    low, high = np.array(window.min), np.array(window.max)
    order, rest = chosen[:_MAX_NAMES], chosen[_MAX_NAMES:]
    positions = _name_places(Y, classes.codes, medians, order)
    anchors = ax.transData.transform(positions)
    radii = radii[order] * ((high[0] - low[0]) / np.ptp(ax.get_xlim()))  # in pixels
    middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "multialignment": "center"}
    style = {**middle, "linespacing": 1.1, "color": INK, "weight": "bold", "zorder": 5}
    inner = withStroke(linewidth=2.5, foreground="white")
    texts = []
    for k, (x, y) in zip(order, positions.tolist(), strict=True):
        outline = [withStroke(linewidth=4.5, foreground=colors[k]), inner]
        texts.append(ax.text(x, y, _broken(classes.names[k]), path_effects=outline, **style))
    halo = 4.5 * ax.figure.dpi / 72
    skipped = (len(order) > _FEW) + (len(order) > _SOME)
    for font_size in _FONT_SIZES[skipped:]:
        for text in texts:
            text.set_fontsize(font_size)
        extents = [text.get_window_extent() for text in texts]
        sizes = np.array([(extent.width, extent.height) for extent in extents]).reshape(-1, 2)
        # A name that would hide its class belongs above it.
        hides = np.all(sizes > np.outer(radii, (1.4, 0.7)), axis=1)
        lift = np.where(hides, 1.2 * radii + sizes[:, 1] / 2, 0.0)
        wanted = anchors + np.outer(lift, (0, 1))
        centers = place_boxes(wanted, sizes + halo, low, high, _REACH * np.min(high - low))
        centers[np.cumsum(sizes.prod(axis=1)) > _MAX_COVER * np.prod(high - low)] = np.nan
        if not np.isnan(centers).any():
            break
    homeless = np.append(order[np.isnan(centers).any(axis=1)], rest)
    if len(homeless):
        for text in texts:
            text.remove()
        return homeless
    inverse = ax.transData.inverted()
    for i, (text, extent, center) in enumerate(zip(texts, extents, centers, strict=True)):
        # The extent's middle is not the anchor: descenders and baselines shift it.
        shift = center - (np.array(extent.min) + extent.max) / 2
        text.set_position(tuple(inverse.transform(anchors[i] + shift)))
        tip = np.clip(anchors[i], center - sizes[i] / 2, center + sizes[i] / 2)
        if np.any(tip != anchors[i]) and np.any(center != wanted[i]):
            x, y = inverse.transform(np.array([anchors[i], tip])).T
            ax.plot(x, y, color=INK, linewidth=0.6, alpha=0.7, zorder=4, scalex=False, scaley=False)
    return homeless


def place_boxes(
    anchors: NDArray[Any], sizes: NDArray[Any], low: NDArray[Any], high: NDArray[Any], reach: float
) -> NDArray[np.float64]:
    """Return the centers of boxes, each as near to its anchor as the boxes before it allow.

    No box leaves the window from low to high. A box without room within `reach` of its anchor, or
    of the nearest place inside the window, has NaN.
    """
    angles = 2 * np.pi * np.arange(_N_DIRECTIONS) / _N_DIRECTIONS
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radii = reach * np.arange(1, _N_RINGS + 1) / _N_RINGS
    offsets = np.vstack([np.zeros((1, 2)), (radii[:, None, None] * directions).reshape(-1, 2)])
    centers = np.full(anchors.shape, np.nan)
    for i, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        lowest, highest = low + size / 2, high - size / 2
        if np.any(lowest > highest):
            continue
        tries = np.clip(anchor, lowest, highest) + offsets
        fits = np.all((tries >= lowest) & (tries <= highest), axis=1)
        distance = np.abs(tries[:, None] - centers[:i])
        touches = np.all(distance < (size + sizes[:i]) / 2, axis=2)  # NaN touches nothing
        fits &= ~touches.any(axis=1)
        if fits.any():
            centers[i] = tries[np.argmax(fits)]
    return centers


def _name_places(
    Y: NDArray[Any], codes: NDArray[np.int64], medians: NDArray[np.float64], order: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the places for the names of the classes `order`: medians, unless these lie in gaps.

    A class in two groups or in a ring may have no points near its median. Its name belongs to the
    point nearest to its densest cell.
    """
    low, high = window_around(Y)
    shape = (_CELLS, _CELLS)
    cells = grid_cells(Y, low, high, shape)
    middles = grid_cells(medians, low, high, shape)
    by_class = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[by_class], np.arange(len(medians) + 1))
    places = medians[order]
    for i, k in enumerate(order):
        members = by_class[starts[k] : starts[k + 1]]
        grid = np.bincount(cells[members], minlength=_CELLS * _CELLS).reshape(shape)
        density = gaussian_filter(grid.astype(np.float64), _BLUR, mode="constant").ravel()
        densest = int(density.argmax())
        if density[middles[k]] < _DENSE * density[densest]:
            row, column = divmod(densest, _CELLS)
            middle = low + (np.array([column, row]) + 0.5) / _CELLS * (high - low)
            distances = np.square(Y[members] - middle).sum(axis=1)
            places[i] = Y[members[distances.argmin()]]
    return places


def _broken(name: str) -> str:
    """Return a long name in a few lines, without its middle if it is longer still."""
    name, length = " ".join(name.split()), _MAX_LINES * _MAX_WIDTH
    while len(lines := textwrap.wrap(shortened(name, length), _MAX_WIDTH)) > _MAX_LINES:
        length -= 1
    return "\n".join(map(plain, lines))
