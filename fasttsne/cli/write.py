"""Output files: checked before any work, and written whole or not at all."""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from io import BytesIO, FileIO
from itertools import islice
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal, check_package, unknown_name
from fasttsne.cli.read import check_kind, import_anndata, values_of
from fasttsne.cli.text import TEXT, kind_of
from fasttsne.neighbors.metrics import METRICS
from fasttsne.runtime.archive import write_npz
from fasttsne.runtime.files import replacing
from fasttsne.samples.labels import label_values

if TYPE_CHECKING:
    from fasttsne.quality import Report

#: Endings of files that a map can be written to.
KINDS = (*TEXT, ".npy", ".npz", ".parquet", ".h5ad")

_NEEDS = {".parquet": ("pyarrow", "tables"), ".h5ad": ("anndata", "h5ad")}
_USUAL_METRICS = ("euclidean", "cosine", "correlation", "manhattan", "chebyshev", "hamming")
_NEED_PARAMETERS = {
    "mahalanobis": "takes a matrix, which an option cannot give; use fasttsne.TSNE",
    "seuclidean": "takes variances; euclidean with --standardize is the same",
}
_JUDGED = 5_000  # points: enough for three digits of every measure


# ---- checks before any work ---------------------------------------------------------------------


def check_output(path: Path, option: str, kinds: tuple[str, ...], force: bool) -> None:
    """Check that a file can be written and has one of the endings `kinds`, or any if empty."""
    if kinds and kind_of(path) not in kinds:
        raise Refusal(f"{option} {path}: the ending must be one of {', '.join(kinds)}")
    if kinds and str(path) == "-":
        return
    check_kind(path, f"{option} {path}")
    if path.is_dir():
        raise Refusal(f"{option} {path}: it is a directory; name a file in it")
    if not path.parent.is_dir():
        raise Refusal(f"{option} {path}: there is no directory {path.parent}; make it first")
    if path.exists() and not force:
        raise Refusal(f"{option} {path}: it exists; --force replaces it")
    try:  # os.access says yes to root, even where nothing can be written
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        denied = isinstance(error, PermissionError)
        reason = "no permission to write there" if denied else f"cannot write: {error.strerror}"
        raise Refusal(f"{option} {path}: {reason}; choose another place") from error
    # A checkpoint may have any ending, and needs no package.
    if kinds and path.suffix.lower() in _NEEDS:
        check_package(f"{option} {path}", *_NEEDS[path.suffix.lower()])


def check_distinct(paths: Mapping[str, Path | None]) -> None:
    """Check that no two options name the same file."""
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None or str(path) == "-":
            continue
        # Unlike Path.resolve this raises nothing where links lead in a circle.
        first = seen.setdefault(os.path.realpath(path), option)
        if first != option:
            raise Refusal(f"{first} and {option} both name {path}; give each its own file")


def check_columns(
    path: Path, columns: Mapping[str, Any], n_components: int, *, in_parts: bool = False
) -> None:
    """Check that a file or its parts can hold the columns that go along, beside the map's own."""
    kind = kind_of(path)
    is_store = kind in (".zarr", ".h5", ".hdf5")
    ours = ["embedding"] if is_store or kind == ".npz" else []
    if in_parts or kind in (*TEXT, ".parquet"):
        ours += coordinates(n_components)
    taken = [name for name in columns if name in ours]
    if taken:
        raise Refusal(
            f"--output {path}: the map's own columns are called {', '.join(ours)}, and so is the "
            f"column {taken[0]!r} that is to go along; rename it in INPUT"
        )
    slashes = [(name, slash) for name in [*columns, *ours] for slash in re.finditer("/", name)]
    groups = {name[: slash.start()] for name, slash in slashes}
    for name in columns:
        inner = any(name.startswith(f"{other}/") for other in ours)
        if is_store and (
            name in groups or inner or "\0" in name or {"", ".", ".."} & {*name.split("/")}
        ):
            raise Refusal(f"--output {path}: no array there can be called {name!r}; rename it")
    if is_store or kind in (*TEXT, ".npz"):
        check_printable(f"--output {path}", columns)


def check_printable(option: str, columns: Mapping[str, Any]) -> None:
    """Check that columns of pyarrow, which may be nested, are numbers or print as text."""
    for name, column in columns.items():
        try:
            if hasattr(column, "null_count"):
                arrow_values(column.slice(0, 0), False, False)
        except (ValueError, NotImplementedError) as error:  # as pyarrow's are
            raise Refusal(
                f"{option}: column {name!r} holds {column.type}, which has no place "
                "there; choose a .parquet, or leave the column out"
            ) from error


def check_pictures(args: argparse.Namespace, *, flat: bool) -> None:
    """Check --plot, --html and --report; only `flat` maps, of two dimensions, can be drawn."""
    for option, path in (("--plot", args.plot), ("--html", args.html)):
        if path is not None and not flat:
            raise Refusal(f"{option} draws in the plane; leave it out, or --n-components")
    if args.plot is not None:
        check_package("--plot", "matplotlib", "plot")
        check_picture(args.plot, "--plot", args.force)
    elif args.legend:
        raise Refusal("--legend goes with --plot; give both")
    if args.html is not None:
        check_output(args.html, "--html", (".html", ".htm"), args.force)
    if args.report is not None:
        check_output(args.report, "--report", (".txt", ".json"), args.force)


def check_picture(path: Path, option: str, force: bool) -> None:
    """Check a picture by drawing one of its kind, which may require TeX or a codec."""
    from matplotlib.figure import Figure

    figure, kind = Figure(figsize=(1, 1)), path.suffix.lower().removeprefix(".")
    known = sorted(figure.canvas.get_supported_filetypes())
    check_output(path, option, tuple(f".{kind}" for kind in known), force)
    figure.text(0, 0, "name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure.savefig(BytesIO(), format=kind)
    except Exception as error:  # every format has errors of its own
        reason = f"{error}".strip().partition("\n")[0]
        raise Refusal(
            f"{option} {path}: matplotlib cannot write .{kind} here: {reason.rstrip('.')}; "
            "choose .png, .pdf or .svg"
        ) from error


def check_metric(name: str) -> None:
    """Check that a metric exists and can be given by its name alone."""
    known = [*_USUAL_METRICS, *sorted(METRICS - {*_USUAL_METRICS})]
    if name not in known:
        raise unknown_name("metric", name, known, "fasttsne")
    if name in _NEED_PARAMETERS:
        raise Refusal(f"--metric {name} {_NEED_PARAMETERS[name]}")


# ---- the map ------------------------------------------------------------------------------------


def coordinates(n_components: int) -> list[str]:
    """Return the names of a map's columns, those of `TSNE.get_feature_names_out`."""
    return [f"tsne{i}" for i in range(n_components)]


def indexed(table: Any, index: Sequence[str], gaps: Collection[str] = ()) -> Any:
    """Return a table of pyarrow for pandas: columns `index` name rows, integers may have gaps.

    `gaps` are columns of which other parts have some.
    """
    import pyarrow

    with_gaps = [f for f in table.schema if f.name in gaps or table[f.name].null_count]
    whole = {f.name: str(f.type) for f in with_gaps if pyarrow.types.is_integer(f.type)}
    kinds = {name: kind.replace("int", "Int").replace("u", "U") for name, kind in whole.items()}
    frame = table.slice(0, 0).to_pandas().astype(kinds)  # else integers become floats
    if index:
        frame = frame.set_index(list(index))
        frame.index.names = [None if name.startswith("__index_level_") else name for name in index]
    schema = pyarrow.Schema.from_pandas(frame, preserve_index=bool(index))
    return table.replace_schema_metadata(schema.metadata if {*index} <= {*schema.names} else None)


def named_index(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns, of which an index without a name, as pandas stores it, is called "index"."""
    named = {} if "index" in columns else {"__index_level_0__": "index"}
    return {named.get(name, name): column for name, column in columns.items()}


def write_text(
    file: Any, Y: Any, columns: Mapping[str, Any], n_names: int, sep: str, header: bool = True
) -> None:
    """Write a table of text: the first `n_names` columns, which are names of rows, then the map.

    Coordinates have nine digits, which is all; other columns are unchanged.
    """
    import pandas

    places = dict(zip(coordinates(Y.shape[1]), np.char.mod("%.9g", Y.T), strict=True))
    beside = {name: values_of(column) for name, column in named_index(columns).items()}
    frame = pandas.DataFrame({**dict(islice(beside.items(), n_names)), **places, **beside})
    text = (cell for column in beside.values() for cell in column if isinstance(cell, str))
    # Python before 3.13 does not quote a carriage return, which ends a line.
    quoting: Any = csv.QUOTE_ALL if any("\r" in cell for cell in text) else csv.QUOTE_MINIMAL
    frame.to_csv(file, sep=sep, header=header, index=False, quoting=quoting)


def write_map(
    path: Path,
    Y: NDArray[np.float32],
    columns: Mapping[str, Any],
    source: Path,
    record: Mapping[str, Any] | None = None,
    index: Sequence[str] = (),
) -> None:
    """Write a map with the columns that go along, of which those of `index` are names of rows.

    An .h5ad file is a copy of `source`, which also gets the record of the fit.
    """
    kind, places = kind_of(path), coordinates(Y.shape[1])
    output: Any = nullcontext(sys.stdout) if str(path) == "-" else replacing(path)
    with output as unfinished:
        if kind == ".npy":
            _write_npy(unfinished, Y)
        elif kind == ".npz":
            arrays = {name: _plain(values) for name, values in named_index(columns).items()}
            write_npz(unfinished, {**arrays, "embedding": Y})
        elif kind == ".h5ad":
            _copy_h5ad(source, unfinished, Y, record or {})
        elif kind == ".parquet":
            import pyarrow
            from pyarrow.parquet import write_table

            ours = dict(zip(places, np.ascontiguousarray(Y.T), strict=True))
            beside = {name: arrow_column(values) for name, values in columns.items()}
            write_table(indexed(pyarrow.table({**ours, **beside}), index), unfinished)
        else:
            separator = "\t" if kind.startswith(".tsv") else ","
            if columns:
                write_text(unfinished, Y, columns, len(index), separator)
            else:  # needs no pandas
                header: Any = {"header": separator.join(places), "comments": ""}
                np.savetxt(unfinished, Y, fmt="%.9g", delimiter=separator, **header)


def _write_npy(path: Path, Y: NDArray[np.float32]) -> None:
    content = BytesIO()  # into a file numpy.save hides the error of a full disk by another
    np.save(content, Y)
    # Not getbuffer: after an error, Python 3.12 crashes when it collects a buffer in a cycle.
    path.write_bytes(content.getvalue())


def rescued(path: Path, Y: NDArray[np.float32]) -> Path | None:
    """Write a map that cannot be written to `path` as a new .npy file in the next best place."""
    for folder in (path.parent, Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
        place = folder / f"fasttsne-map-{uuid4().hex[:8]}.npy"
        with suppress(OSError), replacing(place) as unfinished:
            _write_npy(unfinished, Y)
        if place.exists():
            return place
    return None


def arrow_column(column: Any) -> Any:
    """Return a column for Parquet."""
    import pyarrow

    if isinstance(column, pyarrow.ChunkedArray):
        return column
    with suppress(TypeError, ValueError):  # of objects of several types
        array = pyarrow.array(column, from_pandas=True)
        if not pyarrow.types.is_null(array.type):
            return array
    return pyarrow.array(_texts(column), pyarrow.string())


def _plain(column: Any) -> NDArray[Any]:
    """Return an array that can be saved without pickle."""
    if hasattr(column, "to_pandas"):  # of pyarrow
        column = arrow_values(column, column.null_count > 0, is_wide(column))
    array = np.asarray(column)
    return np.array([text or "" for text in _texts(array)]) if array.dtype == object else array


def texts_of(column: Any) -> list[str | None]:
    """Return the cells of a column that goes along as text, None where they are missing."""
    return _texts(values_of(column).astype(object))


def _texts(column: Any) -> list[str | None]:
    """Return objects as text, None where they are missing."""
    values, missing = label_values(column)
    return [None if gone else str(value) for value, gone in zip(values, missing, strict=True)]


def is_wide(column: Any) -> bool:
    """Return whether a column of pyarrow has integers that a float does not hold."""
    from pyarrow import compute, types

    ends = compute.min_max(column).as_py() if types.is_integer(column.type) else {}
    return any(value is not None and abs(value) > 2**53 for value in ends.values())


def arrow_values(column: Any, has_gaps: bool, wide: bool) -> NDArray[Any]:
    """Return numbers, or objects that are text; a gap becomes NaN or empty text."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column = column.cast(kind := kind.value_type)
    if types.is_decimal(kind):  # which old versions of pyarrow do not cast to text
        text = ["" if value is None else str(value) for value in column.to_pylist()]
        return np.array(text, dtype=object)
    is_number = types.is_integer(kind) or types.is_boolean(kind)
    if is_number and not has_gaps:
        return np.asarray(column.to_numpy(), dtype=kind.to_pandas_dtype())
    if is_number and not wide:
        column = column.cast(pyarrow.float64())
    elif not types.is_floating(kind):
        column = column.cast(pyarrow.string()).fill_null("")
    return np.asarray(column.to_numpy())


def _copy_h5ad(source: Path, path: Path, Y: NDArray[np.float32], record: Mapping[str, Any]) -> None:
    """Copy an .h5ad file byte by byte, and put the map and its record where scanpy does."""
    write_elem = import_anndata("writing .h5ad").io.write_elem
    shutil.copyfile(source, path)
    with hdf5_file(path, "r") as file:
        write_elem(file.require_group("obsm"), "X_tsne", Y)
        write_elem(file.require_group("uns"), "tsne", record)


class _RawHDF5(FileIO):
    """A file that keeps the first error and writes no more: HDF5 crashes where a write fails."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        length = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return length

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def hdf5_file(path: Path, mode: Literal["r", "w"]) -> Iterator[Any]:
    """Open an HDF5 file to change, "r", or to write, "w"; raise OSError if the disk is full."""
    import h5py

    with _RawHDF5(path, f"{mode}+") as raw:
        try:
            with h5py.File(raw, "w" if mode == "w" else "r+") as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


# ---- picture, page and report -------------------------------------------------------------------


def title_of(args: argparse.Namespace, n_points: int) -> str:
    """Return the title of a page, and the beginning of that of a picture."""
    name = "t-SNE map" if str(args.input) == "-" else args.input.stem
    return f"{name}: {n_points:,} points"


def draw(args: argparse.Namespace, Y: NDArray[np.float32], labels: Any) -> bool:
    """Draw a map into --plot, and return whether the font has a glyph for every character."""
    from matplotlib.figure import Figure

    from fasttsne.plot import scatter
    from fasttsne.plot.axes import map_size

    size, path = map_size(Y, 8), args.plot
    title = title_of(args, len(Y)) + (f", coloured by {args.label}" if args.label else "")
    title = fill(title, int(size[0] * 10))  # ten letters per inch
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names: Any = "legend" if args.legend else "map"
        ax = figure.add_subplot()
        scatter(Y, labels, ax=ax, title=title, names=names, label_name=args.label)
        has_legend = ax.get_legend() is not None
        if has_legend:
            figure.set_size_inches(size[0] + 3.0, size[1])
        # In memory first: some versions of matplotlib hide the error of a full disk by another.
        picture = BytesIO()
        kind = path.suffix.lower().removeprefix(".")
        figure.savefig(picture, format=kind, bbox_inches="tight" if has_legend else None)
    with replacing(path) as unfinished:
        unfinished.write_bytes(picture.getvalue())
    # Glyphs are "missing from font(s) ..." or, in older versions, "missing from current font".
    return not any(re.search("missing from .*font", str(warning.message)) for warning in caught)


def write_page(
    args: argparse.Namespace,
    Y: NDArray[np.float32],
    labels: Any,
    columns: Mapping[str, Any],
    report: Report | None = None,
) -> None:
    """Write --html with columns of the input, and the quality of points from a report."""
    from fasttsne.plot import html

    shown = {name: values for name, values in named_index(columns).items() if name != args.label}
    if report is not None:
        for name, values in report.per_sample.items():
            quality = np.full(len(Y), np.nan, dtype=np.float32)
            quality[report.rows] = values
            heading = name.replace("_", " ")
            taken = heading in shown or heading == args.label
            shown[f"{heading} (quality)" if taken else heading] = quality
    title = title_of(args, len(Y))
    html(Y, labels, args.html, columns=shown, title=title, label_name=args.label)


def report_of(
    X: Any,
    Y: NDArray[Any],
    labels: Any,
    *,
    n_neighbors: int | None = None,
    sample: int | None = _JUDGED,
    **parameters: Any,
) -> Report:
    """Return `fasttsne.quality.report` of at most `sample` points, 10 neighbours each or fewer."""
    from fasttsne.quality import report

    if n_neighbors is None:
        n_neighbors = min(10, (len(Y) - 1) // 2)
    sample = None if sample is None or len(Y) <= sample else sample
    parameters |= {"n_neighbors": n_neighbors, "sample": sample, "random_state": 0}
    return report(X, Y, labels, **parameters)


def write_report(path: Path, report: Report) -> None:
    """Write a report as .json or as text."""
    if path.suffix.lower() == ".json":
        text = json.dumps(report.to_dict(), indent=2, default=lambda array: array.tolist())
    else:
        text = str(report)
    with replacing(path) as unfinished:
        unfinished.write_text(f"{text}\n", encoding="utf-8")
