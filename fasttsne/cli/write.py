"""Output files: checked before any work, and written whole or not at all."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal, unknown_name
from fasttsne.cli.read import check_kind, import_anndata
from fasttsne.neighbors.metrics import METRICS
from fasttsne.runtime.files import replacing

if TYPE_CHECKING:
    from fasttsne.quality import Report

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
    if kinds and path.suffix.lower() not in kinds:
        raise Refusal(f"{option} {path}: the ending must be one of {', '.join(kinds)}")
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
    module, extra = _NEEDS.get(path.suffix.lower() if kinds else "", ("numpy", ""))
    if find_spec(module) is None:
        raise Refusal(f"{option} {path} needs {module}: pip install 'fasttsne[{extra}]'")


def check_distinct(paths: Mapping[str, Path | None]) -> None:
    """Check that no two options name the same file."""
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        # Unlike Path.resolve this raises nothing where links lead in a circle.
        first = seen.setdefault(os.path.realpath(path), option)
        if first != option:
            raise Refusal(f"{first} and {option} both name {path}; give each its own file")


def check_columns(
    path: Path, names: Sequence[str], n_components: int, *, in_parts: bool = False
) -> None:
    """Check that no column that goes along has a name of the map's own, in a file or its parts."""
    kind = path.suffix.lower()
    ours = ["embedding"] if kind in (".npz", ".zarr", ".h5", ".hdf5") else []
    if in_parts or kind in (".csv", ".tsv", ".parquet"):
        ours += coordinates(n_components)
    taken = [name for name in names if name in ours]
    if taken:
        raise Refusal(
            f"--output {path}: the map's own columns are called {', '.join(ours)}, and so is the "
            f"column {taken[0]!r} that is to go along; rename it in INPUT"
        )


def check_pictures(args: argparse.Namespace, *, flat: bool) -> None:
    """Check --plot, --html and --report; only `flat` maps, of two dimensions, can be drawn."""
    for option, path in (("--plot", args.plot), ("--html", args.html)):
        if path is not None and not flat:
            raise Refusal(f"{option} draws in the plane; leave it out, or --n-components")
    if args.plot is not None:
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError as error:
            raise Refusal("--plot needs matplotlib: pip install 'fasttsne[plot]'") from error
        kinds = tuple(f".{kind}" for kind in sorted(Figure().canvas.get_supported_filetypes()))
        check_output(args.plot, "--plot", kinds, args.force)
    if args.html is not None:
        check_output(args.html, "--html", (".html", ".htm"), args.force)
        if find_spec("plotly") is None:
            raise Refusal("--html needs plotly: pip install 'fasttsne[html]'")
    if args.report is not None:
        check_output(args.report, "--report", (".txt", ".json"), args.force)


def check_metric(name: str) -> None:
    """Check that a metric exists and can be given by its name alone."""
    known = [*_USUAL_METRICS, *sorted(METRICS - {"pyfunc", *_USUAL_METRICS})]
    if name not in known:
        raise unknown_name("metric", name, known, "fasttsne")
    if name in _NEED_PARAMETERS:
        raise Refusal(f"--metric {name} {_NEED_PARAMETERS[name]}")


def check_judgeable(affinity: str) -> None:
    """Check that a map can be judged by the data, which affinities do not allow."""
    if affinity == "precomputed":
        raise Refusal(
            "a map is judged by the data or their distances, not by affinities; leave out --report"
        )


# ---- the map ------------------------------------------------------------------------------------


def coordinates(n_components: int) -> list[str]:
    """Return the names of a map's columns in a table, from "tsne_1"."""
    return [f"tsne_{i + 1}" for i in range(n_components)]


def frame_of_text(Y: NDArray[np.float32], columns: Mapping[str, Any]) -> Any:
    """Return a DataFrame to write as text: coordinates of six digits, other columns unchanged."""
    import pandas

    places = {
        name: [f"{value:.6g}" for value in column.tolist()]
        for name, column in zip(coordinates(Y.shape[1]), Y.T, strict=True)
    }
    return pandas.DataFrame({**places, **{name: np.asarray(columns[name]) for name in columns}})


def write_map(path: Path, Y: NDArray[np.float32], columns: Mapping[str, Any], source: Path) -> None:
    """Write a map with the columns that go along; an .h5ad file is a copy of `source`."""
    kind = path.suffix.lower()
    with replacing(path) as unfinished:
        if kind == ".npy":
            with open(unfinished, "wb") as file:
                np.save(file, Y)
        elif kind == ".npz":
            arrays: dict[str, Any] = {name: _plain(values) for name, values in columns.items()}
            _write_npz(unfinished, {**arrays, "embedding": Y})
        elif kind == ".h5ad":
            _copy_h5ad(source, unfinished, Y)
        elif kind == ".parquet":
            import pandas

            beside = {name: np.asarray(values) for name, values in columns.items()}
            places = dict(zip(coordinates(Y.shape[1]), Y.T, strict=True))
            frame = pandas.DataFrame({**places, **beside})
            frame.to_parquet(unfinished, index=False)
        else:
            _write_text_table(unfinished, "\t" if kind == ".tsv" else ",", Y, columns)


def _write_text_table(
    path: Path, separator: str, Y: NDArray[np.float32], columns: Mapping[str, Any]
) -> None:
    if columns:
        frame_of_text(Y, columns).to_csv(path, sep=separator, index=False)
    else:  # needs no pandas
        header = separator.join(coordinates(Y.shape[1]))
        np.savetxt(path, Y, fmt="%.6g", delimiter=separator, header=header, comments="")


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as numpy.savez does, which takes "file" and some other names for its own."""
    with ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def rescued(path: Path, Y: NDArray[np.float32]) -> Path | None:
    """Write a map that cannot be written to `path` as a new .npy file in the next best place."""
    for folder in (path.parent, Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
        with suppress(OSError):
            handle, name = tempfile.mkstemp(prefix="fasttsne-map-", suffix=".npy", dir=folder)
            try:
                with open(handle, "wb") as file:
                    np.save(file, Y)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            return Path(name)
    return None


def _plain(values: Any) -> NDArray[Any]:
    """Return an array that can be saved without pickle."""
    array = np.asarray(values)
    return array.astype(str) if array.dtype == object else array


def _copy_h5ad(source: Path, path: Path, Y: NDArray[np.float32]) -> None:
    """Copy an .h5ad file byte by byte, and put the map into ``obsm["X_tsne"]`` of the copy."""
    write_elem = import_anndata("writing .h5ad").io.write_elem
    import h5py

    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        if not isinstance(file.get("obsm"), h5py.Group):
            raise Refusal(
                f"{source} is of AnnData before 0.7, and its copy could not hold the map; choose "
                ".csv or .npz, or write it anew: anndata.read_h5ad(...).write_h5ad(...)"
            )
        write_elem(file["obsm"], "X_tsne", Y)


# ---- picture, page and report -------------------------------------------------------------------


def draw(path: Path, Y: NDArray[np.float32], labels: Any, title: str) -> bool:
    """Draw a map into a file, and return whether the font has a glyph for every character."""
    from matplotlib.figure import Figure

    from fasttsne.plot import scatter

    figure = Figure(figsize=(8, 8), dpi=150, layout="constrained")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # A dollar sign would start a formula.
        scatter(Y, labels, ax=figure.add_subplot(), title=title.replace("$", r"\$"))
        # In memory first: some versions of matplotlib hide the error of a full disk by another.
        picture = BytesIO()
        figure.savefig(picture, format=path.suffix.lower().removeprefix("."))
    with replacing(path) as unfinished:
        unfinished.write_bytes(picture.getbuffer())
    # Glyphs are "missing from font(s) ..." or, in older versions, "missing from current font".
    unknown = [w for w in caught if "missing from" in str(w.message) and "font" in str(w.message)]
    for warning in caught:
        if warning not in unknown:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return not unknown


def hover_texts(columns: Mapping[str, Any], keep: list[str]) -> list[str] | None:
    """Return the text of each point on the page, of the columns `keep`; None if there are none."""
    if not keep:
        return None
    kept = [np.asarray(columns[name]).astype(object) for name in keep]
    return [
        "\n".join(f"{name}: {value}" for name, value in zip(keep, row, strict=True))
        for row in zip(*kept, strict=True)
    ]


def report_of(
    X: Any,
    Y: NDArray[Any],
    labels: Any,
    *,
    metric: Any = "euclidean",
    n_neighbors: int | None = None,
    sample: int | None = _JUDGED,
    n_jobs: int | None = None,
) -> Report:
    """Return `fasttsne.quality.report` of at most `sample` points, 10 neighbours each or fewer."""
    from fasttsne.quality import report

    n_samples = len(Y)
    return report(
        X,
        Y,
        labels,
        metric=metric,
        n_neighbors=min(10, (n_samples - 1) // 2) if n_neighbors is None else n_neighbors,
        sample=None if sample is None or n_samples <= sample else sample,
        random_state=0,
        n_jobs=n_jobs,
    )


def write_report(path: Path, report: Report) -> None:
    """Write a report as .json or as text."""
    if path.suffix.lower() == ".json":
        text = json.dumps(report.to_dict(), indent=2, default=lambda array: array.tolist())
    else:
        text = str(report)
    with replacing(path) as unfinished:
        unfinished.write_text(f"{text}\n", encoding="utf-8")
