"""A map as a page for a browser: one file that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import warnings
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.plot.axes import check_map, window_around
from fasttsne.plot.colors import MISSING, PALETTE, SYMBOLS, class_looks
from fasttsne.plot.groups import Classes, Quantity, read_labels
from fasttsne.plot.names import distinct, shortened
from fasttsne.runtime.files import replacing

_MAX_NAME = 36  # characters in the legend
_MAX_TRACES = 60  # classes with their own entry in the legend
_SHEET = 4096  # pixels along a side of an image of thumbnails


def html(
    Y: ArrayLike,
    labels: ArrayLike | None = None,
    path: str | os.PathLike[str] = "map.html",
    *,
    hover: Sequence[Any] | None = None,
    thumbnails: ArrayLike | None = None,
    title: str = "t-SNE map",
    size: float | None = None,
    label_name: str | None = None,
) -> Path:
    """Write a map as a page to explore in a browser, a single file that works offline.

    The page pans and zooms. Pointing at a point shows its class, text and thumbnail. A click on a
    class in the legend hides it, a double click hides all others. The search box looks in classes
    and texts, and highlights the points it finds.

    Parameters
    ----------
    Y : array-like of shape (n_samples, 2)
        The map, one point per row.
    labels : array-like of shape (n_samples,), default=None
        Classes or a quantity, see :func:`scatter`. The legend has the 60 largest classes; all
        others share one entry.
    path : str or path-like, default="map.html"
        File to write. An existing file is replaced when the new one is complete.
    hover : sequence of n_samples objects, default=None
        Text to show for each point. It is never interpreted as markup.
    thumbnails : array-like of shape (n_samples, height, width) or \
            (n_samples, height, width, 3), default=None
        An image for each point, grey or red, green and blue: bytes, or other numbers that are
        scaled from their minimum to their maximum.
    title : str, default="t-SNE map"
        Title above the map.
    size : float, default=None
        Diameter of a mark in pixels. None chooses it from the number of points.
    label_name : str, default=None
        Name of a quantity, see :func:`scatter`.

    Returns
    -------
    path : pathlib.Path
        The file.

    Raises
    ------
    ImportError
        If plotly is not installed, or Pillow for thumbnails.
    ValueError
        If `Y` does not have two columns, or contains NaN, infinity or magnitudes above 1e100; if
        `labels`, `hover` or `thumbnails` do not have one entry per point; if `thumbnails` has
        another shape or contains NaN.

    Notes
    -----
    The page contains plotly.js (about 5 MB), 8 bytes per point for its place and 4 for its class,
    texts and thumbnails. Its content security policy forbids any connection and any other script,
    and no button sends the map anywhere, with any version of plotly.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import html
    >>> iris = load_iris()
    >>> flat = PCA(2).fit_transform(iris.data)
    >>> page = html(flat, iris.target_names[iris.target], "iris.html", title="Iris")
    >>> page.name
    'iris.html'
    """
    Y = check_map(Y)
    what = None if labels is None else read_labels(labels, len(Y), label_name)
    if hover is not None and len(hover) != len(Y):
        raise ValueError(f"hover must have one entry per point ({len(Y)}); got {len(hover)}")
    low, high = window_around(Y)
    half = (high - low) / 2
    unit = 1.0 if 1e-30 < half.min() <= half.max() < 1e30 else half.max()  # to fit into float32
    data = {
        # Relative to the middle, so that a map far from 0 keeps its digits.
        "points": _packed((Y - (low + high) / 2) / unit, np.float32),
        "half": (half / unit).tolist(),
        "size": float(np.clip(400 / np.sqrt(len(Y)), 1.5, 9)) if size is None else float(size),
        "hover": None if hover is None else [str(text) for text in hover],
        "thumbnails": None if thumbnails is None else _thumbnails(thumbnails, len(Y)),
        "missing": MISSING,
        **_colours(what, Y),
    }
    folder = files("fasttsne.plot")
    # Ends of lines as a browser reads them: hashes in the security policy allow no other script.
    scripts = [_plotly_js(), folder.joinpath("page.js").read_text(encoding="utf-8")]
    scripts = [re.sub("\r\n?", "\n", text) for text in scripts]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    text = Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        plotly=scripts[0],
        script=scripts[1],
        allowed=" ".join(f"'sha256-{code.decode()}'" for code in hashes),
        # Escaped brackets, so that no text can end the element with the data.
        data=json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    )
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return Path(path)


def _colours(what: Classes | Quantity | None, Y: NDArray[Any]) -> dict[str, Any]:
    """Return the class or value of each point, with names and colours of classes."""
    if isinstance(what, Quantity):
        name = shortened(what.name or "", _MAX_NAME)
        return {"values": _packed(what.values, np.float32), "quantity": name}
    if what is None:
        return {"codes": _packed(np.zeros(len(Y)), np.int32), "names": [], "colors": [PALETTE[0]]}
    medians, _ = what.medians_and_radii(Y)
    colors, marks = class_looks(medians, what.counts())
    shown = np.sort(np.argsort(-what.counts(), kind="stable")[:_MAX_TRACES])
    return {
        "codes": _packed(what.codes, np.int32),
        "names": what.names,
        "short": [shortened(name, _MAX_NAME) for name in distinct(what.names)],
        "colors": colors,
        "symbols": [SYMBOLS[mark] for mark in marks],
        "shown": shown.tolist(),
    }


def _packed(values: NDArray[Any], dtype: Any) -> str:
    """Return numbers as little-endian bytes in base64."""
    little = np.asarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _thumbnails(thumbnails: ArrayLike, n_samples: int) -> dict[str, Any]:
    """Return images side by side on sheets, each a PNG in base64, and their layout."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ImportError("thumbnails need Pillow: pip install 'fasttsne[html]'") from error
    images = np.asarray(thumbnails)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ValueError(
            f"thumbnails must have shape (n_samples, height, width[, 3]); got {images.shape}"
        )
    if len(images) != n_samples:
        raise ValueError(f"thumbnails must be one per point ({n_samples}); got {len(images)}")
    height, width = images.shape[1:3]
    if min(height, width) < 1 or max(height, width) > _SHEET:
        raise ValueError(f"thumbnails must have 1 to {_SHEET} pixels per side; got {images.shape}")
    images = _as_bytes(images)
    rows, columns = _SHEET // height, _SHEET // width
    sheets = []
    for start in range(0, n_samples, rows * columns):
        part = images[start : start + rows * columns]
        n_rows = -(-len(part) // columns)
        sheet = np.zeros((n_rows * columns, *images.shape[1:]), dtype=np.uint8)
        sheet[: len(part)] = part
        tiled = sheet.reshape(n_rows, columns, *images.shape[1:]).swapaxes(1, 2)
        pixels = tiled.reshape(n_rows * height, columns * width, *images.shape[3:])
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        sheets.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return {"sheets": sheets, "rows": rows, "columns": columns, "height": height, "width": width}


def _as_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return bytes, scaled from minimum and maximum if the images are other numbers."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "biuf" or not np.isfinite(images).all():
        raise ValueError("thumbnails must be finite numbers")
    low, high = float(images.min()), float(images.max())
    scaled = np.round((images - low) * (255 / ((high - low) or 1.0)))
    return np.asarray(scaled, dtype=np.uint8)


def _plotly_js() -> str:
    try:
        with warnings.catch_warnings():  # plotly adds a filter
            from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ImportError("writing a page needs plotly: pip install 'fasttsne[html]'") from error
    return str(get_plotlyjs())
