"""A map and its columns as plain data for view.js, which draws them in a browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.plot.axes import check_map, window_around
from fasttsne.plot.colors import PALETTE, SYMBOLS, class_looks
from fasttsne.plot.groups import Classes, Quantity, read_labels
from fasttsne.plot.names import distinct, shortened
from fasttsne.runtime.numbers import plain
from fasttsne.samples.labels import as_numbers, is_missing, label_values

_MAX_NAME = 36  # characters in the legend and on the map
_MAX_SHOWN = 60  # classes with an entry in the legend
_MAX_COLORED = 1_000  # classes of a column that can be chosen as the colour
_SHEET = 4096  # pixels along a side of an image of thumbnails
_WHOLE = (np.int8, np.int16, np.int32)


def view_data(
    Y: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    hover: Sequence[Any] | None = None,
    thumbnails: ArrayLike | None = None,
    columns: Any = None,
    color: str | None = None,
    title: str = "",
    size: float | None = None,
    label_name: str | None = None,
) -> dict[str, Any]:
    """Return what view.js draws: lists, texts, numbers, and NumPy arrays in small types.

    `packed` turns the arrays into bytes. Parameters are those of `fasttsne.plot.html`.
    """
    Y = check_map(Y)
    number = plain(size)
    if size is not None and not (type(number) in (int, float) and 0.0 < number < np.inf):
        raise ValueError(f"size={size!r:.80} must be a number of pixels above 0")
    listed = [] if labels is None else [_label(labels, Y, label_name)]
    if hover is not None:
        if isinstance(hover, str | bytes) or not hasattr(hover, "__len__"):
            raise ValueError(f"hover must be a list of texts; got {type(hover).__name__}")
        if len(hover) != len(Y):
            raise ValueError(f"hover must have one entry per point ({len(Y)}); got {len(hover)}")
        texts = Classes(*_coded([None if is_missing(text) else str(text) for text in hover]))
        listed.append({"bare": True, **_column("hover", texts, Y, colored=False)})
    for name, values in _named(columns):
        if labels is not None and name == listed[0]["name"]:
            continue
        try:
            what = _read(values, len(Y))
        except ValueError as error:
            reason = str(error).removeprefix("labels ")
            raise ValueError(f"column {name!r} of columns {reason}") from error
        colored = isinstance(what, Quantity) or len(what.names) <= _most_classes(len(Y))
        listed.append(_column(name, what, Y, colored=colored))
    _check_names([column["name"] for column in listed], color)
    able = [column["name"] for column in listed if "values" in column or "colors" in column]
    if color is not None and color not in able:
        raise ValueError(f"color {color!r} has too many different texts; choose one of {able}")
    if color is None and able:
        color = able[0]
    return {
        **_placed(Y),
        "title": "" if title is None else str(title),
        "size": float(np.clip(400 / np.sqrt(len(Y)), 1.5, 9)) if size is None else float(size),
        "color": color,
        "plain": PALETTE[0],
        "columns": listed,
        "thumbnails": None if thumbnails is None else _thumbnails(thumbnails, len(Y)),
    }


def packed(data: Any, *, text: bool) -> Any:
    """Return data with each array as its type and its bytes, in base64 for a page of text."""
    if isinstance(data, np.ndarray):
        content = np.asarray(data, dtype=data.dtype.newbyteorder("<")).tobytes()
        packed_array = base64.b64encode(content).decode("ascii") if text else content
        return {"dtype": data.dtype.name, "data": packed_array}
    if isinstance(data, dict):
        return {name: packed(value, text=text) for name, value in data.items()}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return [packed(value, text=text) for value in data]
    return data


def view_script() -> str:
    """Return the program that draws, which defines one function: `draw`."""
    return files("fasttsne.plot").joinpath("view.js").read_text(encoding="utf-8")


def _placed(Y: NDArray[np.float64]) -> dict[str, Any]:
    """Return the points in single precision, and their window."""
    low, high = window_around(Y)
    middle, half = (low + high) / 2, (high - low) / 2
    origin, unit, placed = np.zeros(2), 1.0, Y
    fits = half.min() > 1e-30 and np.abs(Y).max() < 1e30
    if not (fits and np.array_equal(Y.astype(np.float32), Y)):
        # Relative to the middle, so that a map far from 0 keeps its digits.
        unit = 1.0 if 1e-30 < half.min() <= half.max() < 1e30 else float(half.max())
        origin, placed = middle, (Y - middle) / unit
    return {
        "points": placed.astype(np.float32),
        "origin": origin.tolist(),
        "unit": unit,
        "middle": ((middle - origin) / unit).tolist(),
        "half": (half / unit).tolist(),
    }


def _named(columns: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the values of each column of a frame or of a dictionary."""
    if columns is None:
        return
    if isinstance(columns, Mapping):
        yield from ((str(name), values) for name, values in columns.items())
        return
    names = None if hasattr(columns, "collect") else getattr(columns, "columns", None)  # not lazy
    if hasattr(columns, "column_names") and not hasattr(columns, "iloc"):  # of pyarrow
        names = columns.column_names
    if names is None or not hasattr(columns, "__getitem__"):
        raise ValueError(
            f"columns must be a DataFrame or a dictionary of arrays; got {type(columns).__name__}"
        )
    if hasattr(columns, "iloc"):  # pandas, where two columns may have one name
        index = columns.index
        if type(index).__name__ != "RangeIndex":
            yield str(index.name or "index"), np.array([str(name) for name in index], dtype=object)
        for k, name in enumerate(names):
            yield str(name), columns.iloc[:, k]
        return
    for name in names:
        yield str(name), columns[name]


def _check_names(names: list[str], color: str | None) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two columns are called {twice[0]!r}; rename one")
    if color is not None and color not in names:
        raise ValueError(f"color must be the name of a column, one of {names}; got {color!r}")


def _label(labels: Any, Y: NDArray[Any], name: str | None) -> dict[str, Any]:
    """Return the column of the labels, of which every class has a colour."""
    what = read_labels(labels, len(Y), name)
    if isinstance(what, Quantity):
        what = _huge_integers(labels, len(Y)) or what
    own = getattr(labels, "name", None)
    name = str(name) if name else own if isinstance(own, str) and own else "label"
    return _column(name, what, Y)


def _read(values: Any, n_samples: int) -> Classes | Quantity:
    """Return a column as classes or as a quantity; names of rows and huge integers are texts.

    Infinity is a value, unlike in labels.
    """
    objects, missing = label_values(values)
    if objects.shape == (n_samples,):
        huge = _huge_integers(values, n_samples)
        if huge is not None:
            return huge
        present, most = as_numbers(objects[~missing]), _most_classes(n_samples)
        kind = present.dtype.kind
        if kind == "U" or any(isinstance(one, str) for one in present[:1]):
            listed = [None if gap else str(one) for one, gap in zip(objects, missing, strict=True)]
            texts = Classes(*_coded(listed))
            if len(texts.names) > most:  # sorting many names takes long
                return texts
        elif (kind == "f" and np.isinf(present).any()) or (
            kind in "iuf" and len(np.unique(present)) > most
        ):
            return Quantity(_with_gaps(present, missing))
    return read_labels(values, n_samples)


def _huge_integers(values: Any, n_samples: int) -> Classes | None:
    """Return integers as texts if a quantity, which is made of doubles, would round them."""
    objects, missing = label_values(values)
    present = as_numbers(objects[~missing])
    if present.dtype.kind not in "iu" or not np.any(np.abs(present.astype(np.float64)) > 2**53):
        return None
    if objects.shape != (n_samples,):
        return None
    listed = [None if gap else str(one) for one, gap in zip(objects, missing, strict=True)]
    return Classes(*_coded(listed))


def _with_gaps(present: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a number per point, NaN where it is missing."""
    values = np.full(len(missing), np.nan)
    values[~missing] = present
    return values


def _coded(texts: Sequence[str | None]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different texts in order of appearance, and the number of the text in each row."""
    numbers: dict[str | None, int] = {None: -1}
    codes = [numbers.setdefault(text, len(numbers) - 1) for text in texts]
    return [text for text in numbers if text is not None], np.array(codes, dtype=np.int64)


def _most_classes(n_samples: int) -> int:
    """Return how many classes a column can have to be a colour; names of rows have more."""
    return min(_MAX_COLORED, max(n_samples // 2, 12))


def _column(
    name: str, what: Classes | Quantity, Y: NDArray[Any], *, colored: bool = True
) -> dict[str, Any]:
    """Return a column of numbers, of classes with colours, or of texts."""
    if isinstance(what, Quantity):
        return {"name": name, "values": _smallest(what.values)}
    column: dict[str, Any] = {"name": name, "names": what.names, "codes": None}
    if len(what.names) > len(Y) // 2:  # a list of texts is shorter than codes and names
        texts = [*what.names, None]
        column["names"] = [texts[code] for code in what.codes.tolist()]
    if not colored:
        if column["names"] is what.names:
            column["codes"] = _smallest(what.codes)
        return column
    medians, _ = what.medians_and_radii(Y)
    colors, marks = class_looks(medians, what.counts())
    shown = np.sort(np.argsort(-what.counts(), kind="stable")[:_MAX_SHOWN])
    return {
        "name": name,
        "names": what.names,
        "codes": _smallest(what.codes),
        "short": [shortened(name, _MAX_NAME) for name in distinct(what.names)],
        "colors": colors,
        "symbols": [SYMBOLS[mark] for mark in marks],
        "shown": shown.tolist(),
    }


def _smallest(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the smallest type that holds them exactly."""
    if not np.isnan(values).any() and np.array_equal(values, np.round(values)):
        for whole in _WHOLE:
            limits = np.iinfo(whole)
            if limits.min <= values.min() and values.max() <= limits.max:
                return values.astype(whole)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if np.array_equal(single, values, equal_nan=True) else values.astype(np.float64)


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
