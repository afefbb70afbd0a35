"""A map in a notebook: Jupyter, marimo and others that show widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fasttsne.runtime.numbers import with_plain_numbers

if TYPE_CHECKING:
    from fasttsne.plot.map_widget import MapWidget

_LEAST_HEIGHT = 200  # pixels: less has no room for the map


@with_plain_numbers
def widget(
    Y: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    hover: Sequence[Any] | None = None,
    thumbnails: ArrayLike | None = None,
    columns: Any = None,
    color: str | None = None,
    title: str = "t-SNE map",
    size: float | None = None,
    label_name: str | None = None,
    height: int = 600,
) -> MapWidget:
    """Return a map to work with in a notebook, whose selection is an array of Python.

    The view is that of :func:`html`: hover, lasso and box, colours by column, search, zoom. It
    needs no network. Points selected on the view are in ``selection``, and rows assigned to
    ``selection`` are highlighted on the view. ``callback`` draws a map while it is fitted.

    Parameters
    ----------
    Y : array-like of shape (n_samples, 2), default=None
        The map, one point per row. None waits for the first coordinates of ``callback`` or
        ``move``.
    labels, hover, thumbnails, columns, color, title, size, label_name
        As for :func:`html`.
    height : int, default=600
        Height of the view in pixels, at least 200.

    Returns
    -------
    widget : anywidget.AnyWidget
        The last expression of a cell shows it. It has these attributes and methods:

        ``selection`` : ndarray of int64
            Numbers of the selected rows, counted from 0, ascending. Assign row numbers or a boolean
            mask of shape (n_samples,) to select. ``observe(function, "selection")`` calls a
            function on each change.
        ``callback(state)``
            Pass it as ``TSNE(callback=widget.callback)``: it draws the map of the running fit, at
            most ten times per second, of more than 100,000 points less often.
        ``move(Y)``
            Show other coordinates of the same points, such as the end of a fit.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    ValueError
        As :func:`html`; if `height` is not an integer of at least 200.

    Notes
    -----
    Arrays go to the browser as bytes. A frame of a running fit is x and y in single precision,
    8 bytes per point. While a cell runs, Python receives no selection; it arrives when the cell has
    ended.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne import TSNE
    >>> from fasttsne.plot import widget
    >>> X, y = load_iris(return_X_y=True)
    >>> view = widget(labels=y)  # in a notebook: view, alone at the end of a cell
    >>> tsne = TSNE(callback=view.callback, callback_every=10, random_state=0).fit(X)
    >>> view.move(tsne.embedding_)  # the end of the fit
    >>> view.selection = y == 2
    >>> view.selection[:3]
    array([100, 101, 102])
    """
    try:
        from fasttsne.plot.map_widget import MapWidget
    except ModuleNotFoundError as error:
        if error.name not in ("anywidget", "ipywidgets", "traitlets"):
            raise
        raise ImportError(
            f"a widget needs {error.name}: pip install 'fasttsne[notebook]'"
        ) from error
    if height < _LEAST_HEIGHT:
        raise ValueError(f"height must be at least {_LEAST_HEIGHT} pixels; got {height}")
    options = {
        "labels": labels,
        "hover": hover,
        "thumbnails": thumbnails,
        "columns": columns,
        "color": color,
        "title": title,
        "size": size,
        "label_name": label_name,
    }
    return MapWidget(Y, int(height), options)
