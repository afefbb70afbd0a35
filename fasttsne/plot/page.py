"""A map as a page for a browser: one file that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from numpy.typing import ArrayLike

from fasttsne.plot.view import packed, view_data, view_script
from fasttsne.runtime.files import replacing


def html(
    Y: ArrayLike,
    labels: ArrayLike | None = None,
    path: str | os.PathLike[str] = "map.html",
    *,
    hover: Sequence[Any] | None = None,
    thumbnails: ArrayLike | None = None,
    columns: Any = None,
    color: str | None = None,
    title: str = "t-SNE map",
    size: float | None = None,
    label_name: str | None = None,
) -> Path:
    """Write a map as a page to work with in a browser, a single file that works offline.

    Pointing at a point shows its class, its columns and its thumbnail. A lasso or a box selects
    points; the selected rows can be copied as a table or downloaded as CSV. A menu changes the
    column that colours the points. The search box looks in texts and highlights the points it
    finds. A click on a class in the legend hides it, a double click hides all others. Names of
    classes are on the map, and more of them appear on zooming in. Everything works by keyboard.

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
    columns : DataFrame or dict of str to array-like of shape (n_samples,), default=None
        Columns to show for each point, to colour by, to search, and to write beside the selected
        rows, such as a table of pandas or polars, or ``report(...).per_sample`` of
        :func:`fasttsne.quality.report`. Each is a quantity, classes or, with more than 1,000 or
        n_samples / 2 different texts, text without colours. A column with the name of the labels is
        left out.
    color : str, default=None
        Name of the column that colours the points at first. None takes the labels, or without
        labels the first column that can be a colour.
    title : str, default="t-SNE map"
        Title above the map.
    size : float, default=None
        Diameter of a mark in pixels. None chooses it from the number of points.
    label_name : str, default=None
        Name of the labels. None takes the name of the column, or "label".

    Returns
    -------
    path : pathlib.Path
        The file.

    Raises
    ------
    ImportError
        If Pillow is not installed, which thumbnails require.
    ValueError
        If `Y` does not have two columns, or contains NaN, infinity or magnitudes above 1e100; if
        `labels`, `hover`, `thumbnails` or a column does not have one entry per point; if a number
        is infinite in `labels`; if `thumbnails` has another shape or contains NaN; if two columns
        have the same name; if `color` is not the name of a column with a colour.

    Notes
    -----
    The page contains 8 bytes per point for its place, 1 to 4 for each column of classes, 1 to 8 for
    each quantity, which lose no digit, and in addition the texts and the thumbnails. Its content
    security policy forbids any connection and any other script. Drawing requires WebGL 2, which
    all browsers have since 2021.

    Rows of a selection are numbered from 0. Coordinates in single precision, as those of
    :class:`fasttsne.TSNE`, are written to the selection exactly.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import html
    >>> iris = load_iris()
    >>> flat = PCA(2).fit_transform(iris.data)
    >>> columns = dict(zip(iris.feature_names, iris.data.T))
    >>> names = iris.target_names[iris.target]
    >>> page = html(flat, names, "iris.html", columns=columns, title="Iris")
    >>> page.name
    'iris.html'
    """
    data = view_data(
        Y,
        labels,
        hover=hover,
        thumbnails=thumbnails,
        columns=columns,
        color=color,
        title=title,
        size=size,
        label_name=label_name,
    )
    content = packed(data, text=True)
    folder = files("fasttsne.plot")
    # Ends of lines as a browser reads them: the hash in the security policy allows no other script.
    script = view_script() + folder.joinpath("page.js").read_text(encoding="utf-8")
    script = re.sub("\r\n?", "\n", script)
    code = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(data["title"]),
        script=script,
        allowed=f"'sha256-{code}'",
        # Escaped brackets, so that no text can end the element with the data.
        data=json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    )
    with replacing(path) as unfinished:
        unfinished.write_bytes(text.encode(errors="replace"))
    return Path(path)
