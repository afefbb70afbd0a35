"""The widget of a notebook: the view of view.js, its points and its selection."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from fasttsne.plot.axes import check_map
from fasttsne.plot.view import packed, view_data, view_script

_EVERY = 0.1  # seconds between two frames, at least
_RATE = 8e6  # bytes per second of frames, at most: 100,000 points ten times


class _Rows(traitlets.TraitType[NDArray[np.int64], Any]):
    """Row numbers, ascending and different: an array here, bytes of int32 on the way."""

    def validate(self, obj: Any, value: Any) -> NDArray[np.int64]:
        n = obj.n_points
        rows = np.asarray(value)
        if rows.dtype == np.bool_:
            if rows.shape != (n,):
                raise ValueError(
                    f"a mask for selection must have one entry per point ({n}); got {rows.shape}"
                )
            rows = np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise ValueError(
                "selection must be a list of row numbers or a mask; "
                f"got shape {rows.shape} of {rows.dtype}"
            )
        if rows.size and not 0 <= rows.min() <= rows.max() < n:
            wrong = rows[(rows < 0) | (rows >= n)][0]
            reach = f"from 0 to {n - 1}" if n else "of a map, and there is none yet"
            raise ValueError(f"selection must have row numbers {reach}; got {wrong}")
        rows = np.unique(rows.astype(np.int64))
        rows.flags.writeable = False
        return rows

    def set(self, obj: Any, value: Any) -> None:
        new: Any = self._validate(obj, value)
        old: Any = self.get(obj)
        # traitlets compares by ==, which is an array here.
        if not np.array_equal(new, old):
            obj._trait_values[self.name] = new
            obj._notify_trait(self.name, old, new)


class MapWidget(anywidget.AnyWidget):
    """A map in a notebook, as `fasttsne.plot.widget` returns it."""

    _esm = view_script() + files("fasttsne.plot").joinpath("widget.js").read_text(encoding="utf-8")
    _data = traitlets.Dict().tag(sync=True)  # of view.js; empty before the first map
    _places = traitlets.Bytes().tag(sync=True)  # after a move: x of all points, then y
    height = traitlets.Int().tag(sync=True)
    selection = _Rows(np.empty(0, dtype=np.int64)).tag(
        sync=True,
        to_json=lambda rows, widget: rows.astype("<i4").tobytes(),
        from_json=lambda content, widget: np.frombuffer(content, dtype="<i4"),
    )

    def __init__(self, Y: ArrayLike | None, height: int, options: dict[str, Any]) -> None:
        self._options, self._drawn = options, -np.inf
        self.n_points = 0
        if Y is None:
            lengths = map(_length_of, (options[name] for name in _PER_POINT))
            n = next((n for n in lengths if n), 0)
            if n:  # errors now instead of in a fit
                view_data(np.zeros((n, 2)), **options)
        super().__init__(height=height)
        if Y is not None:
            self.move(Y)

    def move(self, Y: ArrayLike) -> None:
        """Show other coordinates of the same points; the first coordinates begin the view."""
        checked = check_map(Y)
        if self.n_points and np.abs(checked).max() > np.finfo(np.float32).max:
            raise ValueError("Y must fit into single precision; divide it: Y / np.abs(Y).max()")
        self._move(checked)

    def callback(self, state: Any) -> None:
        """Show the map of a running fit, at most ten times per second: ``TSNE(callback=)``."""
        embedding = state.embedding
        if embedding.shape[1] != 2:
            raise ValueError(
                f"the widget draws maps of 2 columns; got {embedding.shape[1]}. Fit with "
                "n_components=2, or without its callback"
            )
        now = time.monotonic()
        if now - self._drawn >= max(_EVERY, 8 * len(embedding) / _RATE):
            self._drawn = now
            self._move(embedding)

    def _move(self, Y: NDArray[np.floating]) -> None:
        if self.n_points == 0:
            data = view_data(Y, **self._options)
            self._options = {}
            self.n_points = len(Y)
            self._data = packed(data, text=False)
        elif len(Y) != self.n_points:
            raise ValueError(
                f"the widget has {self.n_points} points and cannot change their number; got "
                f"{len(Y)}. Make another widget"
            )
        else:
            self._places = Y.astype("<f4", copy=False).tobytes(order="F")

    def __deepcopy__(self, memo: Any) -> MapWidget:
        """Return the widget: clones of an estimator draw on the same view."""
        return self


_PER_POINT = ("labels", "hover", "thumbnails", "columns")


def _length_of(values: Any) -> int:
    """Return how many points labels, texts, images or columns are for; 0 if there are none."""
    if isinstance(values, dict):
        values = next(iter(values.values()), None)
    return 0 if values is None or not hasattr(values, "__len__") else len(values)
