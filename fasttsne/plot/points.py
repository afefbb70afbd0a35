"""The points of a map, coloured by class, by a quantity, or by their quality."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.plot.axes import (
    check_map,
    drawn_window,
    map_size,
    new_axes,
    prepare_map,
    write_legend,
)
from fasttsne.plot.colors import INK, MARKERS, MISSING, PALETTE, class_looks
from fasttsne.plot.density import grid_cells, shade
from fasttsne.plot.groups import Classes, Quantity, read_labels
from fasttsne.plot.names import distinct, plain, write_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DENSE = 100_000  # more points than this are drawn as an image of densities
_RASTERIZED = 5_000  # more points than this are an image inside a PDF or SVG
_MAX_LEGEND = 40  # entries
_FEW = 0.05  # share of points without a label up to which they are drawn above the others
_GREY = "#555555"


def scatter(
    Y: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    size: float | None = None,
    alpha: float | None = None,
    names: Literal["map", "legend"] | None = "map",
    cmap: str = "viridis",
    label_name: str | None = None,
) -> Axes:
    """Draw a two-dimensional map.

    Points of a class have the same colour and mark. The class is named on the map or in a legend.
    Both axes have the same scale and no ticks, because coordinates of a t-SNE map have no meaning.
    Maps of more than 100,000 points are drawn as an image: each cell mixes the colours of its
    points, and is more opaque the more points it has.

    Parameters
    ----------
    Y : array-like of shape (n_samples, 2)
        The map, one point per row.
    labels : array-like of shape (n_samples,), default=None
        The class of each point, numbers or strings. Numbers with fractions, or more than 50
        different numbers, are a quantity and drawn on a colour scale. Points without a label (None,
        NaN) are grey, below the others or, if few, above. With None all points look the same.
    ax : matplotlib.axes.Axes, default=None
        Axes to draw on. None makes a new figure of the map's shape, whose longer side is 6 inches.
    title : str, default=None
        Title above the map, at the left.
    size : float, default=None
        Area of a mark in square points. None chooses it from the number of points and the area of
        the axes.
    alpha : float, default=None
        Opacity of a mark, above 0 and at most 1. None chooses it from the number of points.
    names : {"map", "legend"} or None, default="map"
        Where to name the classes: on the map, in a legend beside it, or nowhere. On the map a name
        has an outline in the colour of its class and is at the median of the class, or where the
        class is densest if few of its points are near the median. Names without room on the map
        are in a legend.
    cmap : str, default="viridis"
        Name of a matplotlib colour scale for a quantity.
    label_name : str, default=None
        Name of the quantity beside its colour scale. None takes the name of the column if `labels`
        is one of pandas or polars.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes. ``ax.figure.savefig("map.png")`` saves the picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `Y` does not have two columns, or contains NaN, infinity or magnitudes above 1e100; if
        there is not one label per point; if a label is infinite; if `size`, `alpha` or `names` is
        out of range.

    Notes
    -----
    Names are placed for the present size of the figure: set size and subplots before. A name that
    makes way for another is tied to its class by a line. Names are at least 8 points high and cover
    at most a fifth of the map; those of the smallest classes move to the legend, which has the 40
    largest of its classes. Classes are in the order of their numbers, dates or categories; names
    are in natural order, "T2" before "T10".

    There are forty colours. Up to 280 classes, those that share a colour have different marks,
    except in the image of more than 100,000 points, and are far from each other on the map.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import scatter
    >>> iris = load_iris()
    >>> flat = PCA(2).fit_transform(iris.data)
    >>> ax = scatter(flat, iris.target_names[iris.target], title="Iris")
    >>> sorted(text.get_text() for text in ax.texts)
    ['setosa', 'versicolor', 'virginica']
    """
    Y = check_map(Y)
    what = None if labels is None else read_labels(labels, len(Y), label_name)
    if names not in ("map", "legend", None):
        raise ValueError(f'names must be "map", "legend" or None; got {names!r}')
    if size is not None and not size > 0:
        raise ValueError(f"size must be above 0; got {size!r}")
    if alpha is not None and not 0 < alpha <= 1:
        raise ValueError(f"alpha must be above 0 and at most 1; got {alpha!r}")
    ax = ax or new_axes(*map_size(Y, 6))
    from matplotlib.colors import to_rgb, to_rgba_array

    prepare_map(ax, Y, title)
    in_legend = False
    if isinstance(what, Classes):
        what = replace(what, names=distinct(what.names))
        medians, radii = what.medians_and_radii(Y)
        colors, marks = looks = class_looks(medians, what.counts())
        if _is_image(len(Y), size):
            marks[:] = 0  # an image has no marks
        largest = np.argsort(-what.counts(), kind="stable")
        in_legend = names == "legend"
        if in_legend:
            _write_legend(ax, what, looks, largest)
        rgb = to_rgba_array([*colors, MISSING])[:, :3]
        _draw(ax, Y, rgb[what.codes], what.missing, size, alpha, np.append(marks, 0)[what.codes])
        on_map, shapes = largest if names == "map" else largest[:0], (medians, radii, colors)
        # Each legend narrows the map, so that its names are placed again.
        while len(on_map) and len(homeless := write_names(ax, Y, what, shapes, on_map)):
            in_legend, on_map = True, on_map[~np.isin(on_map, homeless)]
            _write_legend(ax, what, looks, largest[~np.isin(largest, on_map)])
    elif isinstance(what, Quantity):
        _draw(ax, Y, _scaled(ax, what, cmap), what.missing, size, alpha)
    else:
        _draw(ax, Y, np.tile(to_rgb(PALETTE[0]), (len(Y), 1)), None, size, alpha)
    if what is not None and what.missing.any() and not in_legend:
        ax.set_xlabel(f"grey: {what.missing.sum():,} missing", loc="right", color=_GREY, size=9)
    return ax


def quality_map(
    X: Any,
    Y: ArrayLike,
    *,
    measure: Literal["neighbor_recall", "kl_divergence"] = "neighbor_recall",
    n_neighbors: int = 10,
    perplexity: float = 30.0,
    metric: str = "euclidean",
    n_jobs: int | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    size: float | None = None,
) -> Axes:
    """Draw a map in the colours of its quality, to see which regions are trustworthy.

    Parameters
    ----------
    X, Y
        See :func:`fasttsne.quality.trustworthiness`; `Y` with two columns.
    measure : {"neighbor_recall", "kl_divergence"}, default="neighbor_recall"
        What the colour of a point shows: the share of its nearest neighbours in the data that are
        nearest on the map too, or its part of the KL divergence over all pairs of points. The scale
        of the divergence omits 2 % at either end.
    n_neighbors, perplexity, metric, n_jobs
        See :func:`fasttsne.quality.neighbor_recall` and :func:`fasttsne.quality.kl_divergence`.
    ax, title, size
        See :func:`scatter`. The default title is the measure with its mean or sum.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ImportError, ValueError
        If `measure` is unknown, or as :func:`scatter`, :func:`fasttsne.quality.neighbor_recall` and
        :func:`fasttsne.quality.kl_divergence`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import quality_map
    >>> X = load_iris().data
    >>> ax = quality_map(X, PCA(2).fit_transform(X))
    >>> ax.get_title(loc="left")
    'neighbour recall@10: mean 0.7...'
    """
    from fasttsne.quality import kl_divergence, neighbor_recall

    Y = check_map(Y)
    options: dict[str, Any] = {"metric": metric, "per_sample": True, "n_jobs": n_jobs}
    if measure == "neighbor_recall":
        values = np.asarray(neighbor_recall(X, Y, n_neighbors=n_neighbors, **options))
        limits, heading = (0.0, 1.0), f"neighbour recall@{n_neighbors}: mean {values.mean():.3f}"
    elif measure == "kl_divergence":
        values = np.asarray(kl_divergence(X, Y, perplexity=perplexity, **options))
        low, high = np.quantile(values, [0.02, 0.98])
        limits, heading = (float(low), float(high)), f"KL divergence: sum {values.sum():.3f}"
    else:
        raise ValueError(f'measure must be "neighbor_recall" or "kl_divergence"; got {measure!r}')
    ax = ax or new_axes(*map_size(Y, 6))
    prepare_map(ax, Y, heading if title is None else title)
    _draw(ax, Y, _scaled(ax, Quantity(values), "cividis", limits), None, size, None)
    return ax


def _draw(
    ax: Axes,
    Y: NDArray[Any],
    colors: NDArray[Any],
    missing: NDArray[Any] | None,
    size: float | None,
    alpha: float | None,
    shapes: NDArray[np.intp] | None = None,
) -> None:
    """Draw the points in random order, but those without a label first, or last if they are few."""
    n_samples = len(Y)
    window, inch = drawn_window(ax), ax.figure.dpi
    width, height = window.width * 72 / inch, window.height * 72 / inch  # in points
    if _is_image(n_samples, size):
        _draw_density(ax, Y, colors, (round(height * 1.5), round(width * 1.5)), alpha)
        return
    if size is None:  # all marks cover a sixth of the axes, but none is tiny or huge
        size = float(np.clip(width * height / n_samples / 6, 0.8, 40))
    if alpha is None:  # less where more marks overlap, but never faint
        alpha = float(np.clip(1.2 - 0.1 * np.log10(n_samples), 0.7, 0.9))
    # In the order of classes, one class would hide another.
    order = np.random.default_rng(0).permutation(n_samples)
    if missing is not None:
        last = missing if missing.mean() < _FEW else ~missing
        order = np.concatenate([order[~last[order]], order[last[order]]])
    x, y = Y[order].T
    marks = ax.scatter(x, y, color=colors[order], s=size, alpha=alpha, linewidths=0)
    marks.set_rasterized(n_samples > _RASTERIZED)
    if shapes is not None and shapes.any():
        from matplotlib.markers import MarkerStyle

        styles = [MarkerStyle(marker) for marker in MARKERS]
        paths = [style.get_path().transformed(style.get_transform()) for style in styles]
        # A single collection keeps the random order, so that no class covers the others.
        marks.set_paths([paths[shape] for shape in shapes[order]])


def _is_image(n_samples: int, size: float | None) -> bool:
    """Return whether the points are drawn as an image of their densities."""
    return n_samples > _DENSE and size is None


def _draw_density(
    ax: Axes, Y: NDArray[Any], colors: NDArray[Any], shape: tuple[int, int], alpha: float | None
) -> None:
    """Draw the points as an image of their densities with cells of two thirds of a point."""
    rows, columns = max(shape[0], 1), max(shape[1], 1)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    cells = grid_cells(Y, np.array([left, bottom]), np.array([right, top]), (rows, columns))
    image = shade(cells, colors, rows * columns).reshape(rows, columns, 4)
    style: dict[str, Any] = {"origin": "lower", "interpolation": "antialiased", "zorder": 1}
    ax.imshow(image, extent=(left, right, bottom, top), alpha=alpha, **style)


def _scaled(
    ax: Axes, quantity: Quantity, cmap: str, limits: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Return the colour of each value, and draw the scale beside the map."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgb

    present = quantity.values[~quantity.missing]
    if limits is None:
        limits = (present.min(), present.max()) if len(present) else (0.0, 1.0)
    scale = ScalarMappable(Normalize(*limits), cmap)
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.6)
    bar.outline.set_visible(False)
    if quantity.name is not None:
        bar.set_label(plain(quantity.name, 40), color=INK)
    colors = np.asarray(scale.to_rgba(quantity.values), dtype=np.float64)[:, :3]
    colors[quantity.missing] = to_rgb(MISSING)
    return colors


def _write_legend(ax: Axes, classes: Classes, looks: Any, largest: NDArray[np.intp]) -> None:
    """Name the first of the largest classes beside the map, in the order of the classes."""
    from matplotlib.lines import Line2D

    colors, marks = looks
    listed = np.sort(largest[:_MAX_LEGEND])
    entries = [(classes.names[i], colors[i], MARKERS[marks[i]]) for i in listed]
    if len(largest) > _MAX_LEGEND:
        entries.append((f"and {len(largest) - _MAX_LEGEND:,} more", "none", MARKERS[0]))
    if classes.missing.any():
        entries.append(("missing", MISSING, MARKERS[0]))
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=7, color=color)
        for _, color, marker in entries
    ]
    font_size = 9 if len(entries) <= 25 else 7
    width, height = np.divide(ax.figure.bbox.size, ax.figure.dpi)  # in inches
    n_columns = int(-(-len(entries) * font_size * 1.75 // (72 * height)))
    n_letters = int(np.clip(6 * width / n_columns, 20, 40))
    names = [plain(name, n_letters) for name, _, _ in entries]
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "handletextpad": 0.2}
    write_legend(ax, handles, names, fontsize=font_size, ncol=n_columns, **beside)
