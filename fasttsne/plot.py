"""A map drawn so that it can be read: colours everybody can tell apart, classes named in place.

Matplotlib is imported when a map is drawn, not before: it is the extra ``plot``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PALETTE", "plot_embedding"]

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

_MAX_CLASSES = 50  # more numbers than this are a quantity, not classes
_INK = "#1a1a1a"


def plot_embedding(
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    size: float | None = None,
    annotate: bool = True,
) -> Axes:
    """Draw a two-dimensional map.

    Points of a class share a colour and the class is named at its median on the map, moved
    as little as it takes for no two names to overlap. Both axes have the same scale, and no
    ticks: the coordinates of a t-SNE map mean nothing, only its neighbourhoods do.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, 2)
        The map, one point per row.

    labels : array-like of shape (n_samples,), default=None
        The class of each point, numbers or strings. Numbers with fractions, or more than 50
        different numbers, are taken as a quantity and drawn on a colour scale instead.
        With None all points look alike.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a new figure of 6 x 6 inches.

    title : str, default=None
        Written above the map, at the left.

    size : float, default=None
        Area of a mark in square points. None chooses it by the number of points and the
        area there is to draw on.

    annotate : bool, default=True
        Whether to write the names of the classes on the map.

    Returns
    -------
    ax : matplotlib.axes.Axes
        What was drawn on. ``ax.figure.savefig("map.png")`` keeps it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `embedding` has not two columns, or holds NaN or infinity; if `labels` is not
        one-dimensional or not as long as the map.

    Notes
    -----
    The names are placed for the figure as it is when this function is called: give the
    figure its size and its subplots first. Names that find no room even in small type are
    left out, the smallest classes first. Colours repeat after ten classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import plot_embedding
    >>> iris = load_iris()
    >>> flat = PCA(2).fit_transform(iris.data)
    >>> ax = plot_embedding(flat, iris.target_names[iris.target], title="Iris")
    >>> sorted(text.get_text() for text in ax.texts)
    ['setosa', 'versicolor', 'virginica']
    """
    Y: NDArray[Any] = check_array(embedding, dtype=np.float64, input_name="embedding")
    n_samples, n_components = Y.shape
    if n_components != 2:
        raise ValueError(
            f"embedding must have 2 columns to be drawn in the plane; got {n_components}. "
            "Fit with n_components=2, or choose two columns: embedding[:, [0, 1]]"
        )
    values = None if labels is None else _check_labels(labels, Y)
    if ax is None:
        _, ax = _import_pyplot().subplots(figsize=(6, 6), layout="constrained")
    _prepare_axes(ax, Y, title)
    # In any order that goes by class one class would hide another.
    order = np.random.default_rng(0).permutation(n_samples)
    x, y = Y[order].T
    marks: dict[str, Any] = {
        "s": _mark_size(ax, n_samples) if size is None else size,
        "linewidths": 0,
        "rasterized": n_samples > 5_000,
    }
    if values is None:
        ax.scatter(x, y, color=PALETTE[0], **marks)
    elif _is_quantity(values):
        points = ax.scatter(x, y, c=values[order].astype(float), cmap="viridis", **marks)
        ax.figure.colorbar(points, ax=ax, shrink=0.6)
    else:
        classes, codes = np.unique(values, return_inverse=True)
        ax.scatter(x, y, color=np.array(PALETTE)[codes[order] % len(PALETTE)], **marks)
        if annotate:
            medians = [np.median(Y[codes == code], axis=0) for code in range(len(classes))]
            names = [f"{name:g}" if values.dtype.kind == "f" else str(name) for name in classes]
            _write_names(ax, names, np.array(medians), np.bincount(codes))
    return ax


def _check_labels(labels: ArrayLike, embedding: NDArray[Any]) -> NDArray[Any]:
    """Check labels: a vector of numbers or strings, one for each point."""
    values: NDArray[Any] = check_array(labels, ensure_2d=False, dtype=None, input_name="labels")
    if values.ndim != 1:
        raise ValueError(f"labels must be one-dimensional; got an array of shape {values.shape}")
    check_consistent_length(embedding, values)
    return values.astype(str) if values.dtype == object else values


def _import_pyplot() -> Any:
    """Import matplotlib's pyplot, or raise an error that says how to get it."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ImportError("drawing a map needs matplotlib: pip install 'fasttsne[plot]'") from error
    return pyplot


def _is_quantity(labels: NDArray[Any]) -> bool:
    """Tell whether labels are numbers to be drawn on a scale rather than classes to be named."""
    if labels.dtype.kind not in "iuf":
        return False
    return bool(np.any(labels != np.round(labels))) or len(np.unique(labels)) > _MAX_CLASSES


def _prepare_axes(ax: Axes, embedding: NDArray[Any], title: str | None) -> None:
    """Show a square window around the map, without ticks, in one scale along both axes."""
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    half = 0.53 * (np.max(high - low) or 1.0)
    (left, bottom), (right, top) = (low + high) / 2 - half, (low + high) / 2 + half
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_color("#cccccc")
    if title is not None:
        ax.set_title(title, loc="left", color=_INK)


def _mark_size(ax: Axes, n_samples: int) -> float:
    """Choose the area of a mark, in square points, so that all marks cover a tenth of the axes."""
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()
    window = ax.get_window_extent()
    area = window.width * window.height * (72 / figure.dpi) ** 2
    return float(np.clip(0.1 * area / n_samples, 0.3, 40))


def _write_names(
    ax: Axes, names: list[str], positions: NDArray[Any], priorities: NDArray[Any]
) -> None:
    """Write each class's name near its position, no two of them overlapping."""
    from matplotlib.patheffects import withStroke

    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()  # settles layout and aspect, so that extents are final
    window = ax.get_window_extent()
    low, high = np.array(window.min), np.array(window.max)
    halo = 3 * figure.dpi / 72
    wanted = ax.transData.transform(positions)
    texts = [
        ax.text(
            x,
            y,
            name,
            ha="center",
            va="center_baseline",
            color=_INK,
            weight="bold",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        for name, (x, y) in zip(names, positions, strict=True)
    ]
    for font_size in (13, 11, 9, 7, 5):
        for text in texts:
            text.set_fontsize(font_size)
        extents = [text.get_window_extent() for text in texts]
        sizes = np.array([(extent.width, extent.height) for extent in extents]) + halo
        centers = _separate(wanted, sizes, low, high)
        if not _overlaps(centers, sizes, low, high).any():
            break
    inverse = ax.transData.inverted()
    shown: list[int] = []
    for i in sorted(range(len(texts)), key=lambda i: -priorities[i]):
        rivals = [*shown, i]
        if _overlaps(centers[rivals], sizes[rivals], low, high)[-1]:
            texts[i].remove()
            continue
        shown.append(i)
        # The extent's middle is not the anchor: descenders and baselines shift it.
        shift = centers[i] - (np.array(extents[i].min) + extents[i].max) / 2
        texts[i].set_position(tuple(inverse.transform(wanted[i] + shift)))


def _separate(
    centers: NDArray[Any], sizes: NDArray[Any], low: Any, high: Any, n_steps: int = 500
) -> NDArray[Any]:
    """Move boxes apart and into the window low..high, each by as little as it takes.

    Parameters
    ----------
    centers, sizes : ndarray of shape (n_boxes, 2)
        Middles of the boxes and their widths and heights.

    low, high : array-like of shape (2,)
        Corners of the window.

    n_steps : int, default=500
        After this many steps whatever still overlaps stays so.

    Returns
    -------
    centers : ndarray of shape (n_boxes, 2)
        The new middles.
    """
    low, high = np.asarray(low) + sizes / 2, np.asarray(high) - sizes / 2
    middle = (low + high) / 2
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    centers = np.clip(centers, low, high)
    first, second = np.triu_indices(len(centers), 1)
    reach = (sizes[first] + sizes[second]) / 2
    for step in range(n_steps):
        offset = centers[first] - centers[second]
        depth = reach - np.abs(offset)
        pairs = np.flatnonzero((depth > 0).all(axis=1))
        if len(pairs) == 0:
            break
        # Along the axis that needs least; now and then along the other, to get out of corners.
        axis = np.argmin(depth[pairs], axis=1)
        if step % 7 == 6:
            axis = 1 - axis
        side = np.where(offset[pairs, axis] < 0, -1.0, 1.0)
        push = side * (0.5 * depth[pairs, axis] + 0.01)
        centers = centers.copy()
        np.add.at(centers, (first[pairs], axis), push)
        np.add.at(centers, (second[pairs], axis), -push)
        centers = np.clip(centers, low, high)
    return centers


def _overlaps(centers: NDArray[Any], sizes: NDArray[Any], low: Any, high: Any) -> NDArray[Any]:
    """Tell which boxes overlap another or stick out of the window."""
    distance = np.abs(centers[:, np.newaxis] - centers)
    touching = (distance < (sizes[:, np.newaxis] + sizes) / 2).all(axis=2)
    np.fill_diagonal(touching, False)
    outside = (centers - sizes / 2 < low - 1e-6) | (centers + sizes / 2 > high + 1e-6)
    hidden: NDArray[Any] = touching.any(axis=1) | outside.any(axis=1)
    return hidden
