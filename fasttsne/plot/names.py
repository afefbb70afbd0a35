"""Names of classes written on a map: none over another, none far from its class."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.plot.colors import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT_SIZES = (13, 11, 9, 8, 7, 6)
_FEW, _SOME = 12, 24  # names: up to these many the largest types are tried
MAX_NAMES = 100  # more than this find no room on any map
_MAX_WIDTH, _MAX_LINES = 18, 3  # of a name, in characters and lines
_REACH = 0.18  # how far from its class a name may stand, in parts of the axes' shorter side
_N_RINGS, _N_DIRECTIONS = 18, 24


def plain(text: str, max_length: int | None = None) -> str:
    """Make text one line that matplotlib writes as it is, dollars included."""
    text = " ".join(text.split())
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 1].rstrip() + "…"
    return text.replace("$", r"\$")


def write_names(
    ax: Axes,
    names: list[str],
    positions: NDArray[Any],
    radii: NDArray[Any],
    priorities: NDArray[Any],
) -> list[str]:
    """Write each class's name near its position, no two of them overlapping.

    A name that would hide a small class stands above it.

    A name that had to leave its place is tied to it by a thin line. Those that find no room
    nearby, even in small type, are left out.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to write.

    names : list of n_classes str
        What to write; long names are broken into lines.

    positions : ndarray of shape (n_classes, 2)
        Where on the map each belongs.

    radii : ndarray of shape (n_classes,)
        How far most points of each class are from there.

    priorities : ndarray of shape (n_classes,)
        The largest are placed first.

    Returns
    -------
    left_out : list of str
        The names that found no room, in the order of their priorities.
    """
    from matplotlib.patheffects import withStroke

    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()  # settles layout and aspect, so that extents are final
    window = ax.get_window_extent()
    low, high = np.array(window.min), np.array(window.max)
    order = np.argsort(-priorities, kind="stable")
    left_out = [names[i] for i in order[MAX_NAMES:]]
    order = order[:MAX_NAMES]
    anchors = ax.transData.transform(positions[order].reshape(-1, 2))
    scale = (high[0] - low[0]) / np.ptp(ax.get_xlim())
    texts = [
        ax.text(
            float(positions[i, 0]),
            float(positions[i, 1]),
            _broken(names[i]),
            ha="center",
            va="center_baseline",
            multialignment="center",
            linespacing=1.1,
            color=INK,
            weight="bold",
            zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        for i in order
    ]
    halo = 2.5 * figure.dpi / 72
    skipped = (len(order) > _FEW) + (len(order) > _SOME)
    for font_size in _FONT_SIZES[skipped:]:
        for text in texts:
            text.set_fontsize(font_size)
        extents = [text.get_window_extent() for text in texts]
        sizes = np.array([(extent.width, extent.height) for extent in extents]).reshape(-1, 2)
        wanted = anchors + [0, 1] * _lift(sizes, radii[order] * scale)[:, np.newaxis]
        centers = place_boxes(wanted, sizes + halo, low, high, _REACH * np.min(high - low))
        if not np.isnan(centers).any():
            break
    inverse = ax.transData.inverted()
    for i, (text, extent, center) in enumerate(zip(texts, extents, centers, strict=True)):
        if np.isnan(center).any():
            left_out.insert(len(left_out) - max(len(names) - MAX_NAMES, 0), names[order[i]])
            text.remove()
            continue
        # The extent's middle is not the anchor: descenders and baselines shift it.
        shift = center - (np.array(extent.min) + extent.max) / 2
        text.set_position(tuple(inverse.transform(anchors[i] + shift)))
        tip = np.clip(anchors[i], center - sizes[i] / 2, center + sizes[i] / 2)
        if np.any(tip != anchors[i]) and np.any(center != wanted[i]):
            ends = inverse.transform(np.array([anchors[i], tip]))
            ax.plot(
                *ends.T, color=INK, linewidth=0.6, alpha=0.7, zorder=4, scalex=False, scaley=False
            )
    return left_out


def place_boxes(
    anchors: NDArray[Any], sizes: NDArray[Any], low: NDArray[Any], high: NDArray[Any], reach: float
) -> NDArray[np.float64]:
    """Place boxes one after the other, each as near to its anchor as those before it allow.

    Parameters
    ----------
    anchors, sizes : ndarray of shape (n_boxes, 2)
        Where the boxes want their middles, and their widths and heights.

    low, high : ndarray of shape (2,)
        Corners of the window that no box may leave.

    reach : float
        How far a middle may be from its anchor, once that is far enough inside the window.

    Returns
    -------
    centers : ndarray of shape (n_boxes, 2)
        The middles; NaN where a box found no room.
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


def _lift(sizes: NDArray[Any], radii: NDArray[Any]) -> NDArray[Any]:
    """Tell how far above its class a name has to stand: not at all unless it would hide it."""
    hides = (sizes[:, 1] > 0.7 * radii) & (sizes[:, 0] > 1.4 * radii)
    lift: NDArray[Any] = np.where(hides, 1.2 * radii + sizes[:, 1] / 2, 0.0)
    return lift


def _broken(name: str) -> str:
    """Break a long name into a few lines, and cut what is longer still."""
    lines = textwrap.wrap(name, _MAX_WIDTH, max_lines=_MAX_LINES, placeholder="…")
    return "\n".join(plain(line) for line in lines)
