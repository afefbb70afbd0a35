"""Files that are written: looked at before any work, and whole when they are there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli import annotated
from fasttsne.cli.messages import Refusal
from fasttsne.runtime.files import replacing

#: Endings of files that a map can be written to.
KINDS = (".csv", ".tsv", ".npy", ".npz", ".parquet", ".h5ad")

_NEEDS = {".parquet": ("pyarrow", "tables"), ".h5ad": ("anndata", "h5ad")}


def check_output(path: Path, option: str, kinds: tuple[str, ...], force: bool) -> None:
    """Refuse a file that could not, or should not, be written.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    option : str
        The option it was given by.

    kinds : tuple of str
        Its possible endings; empty if any will do.

    force : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    Refusal
        Naming the option and the remedy.
    """
    if kinds and path.suffix.lower() not in kinds:
        raise Refusal(f"{option} {path}: the ending must be one of {', '.join(kinds)}")
    if path.is_dir():
        raise Refusal(f"{option} {path}: it is a directory; name a file in it")
    if not path.parent.is_dir():
        raise Refusal(f"{option} {path}: there is no directory {path.parent}; make it first")
    if path.exists() and not force:
        raise Refusal(f"{option} {path}: it exists; --force replaces it")
    try:  # root may write anywhere, but for where nothing can be written
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        denied = isinstance(error, PermissionError)
        reason = "no permission to write there" if denied else f"cannot write: {error.strerror}"
        raise Refusal(f"{option} {path}: {reason}; choose another place") from error
    # Where any ending will do, it says nothing of what is in the file.
    module, extra = _NEEDS.get(path.suffix.lower() if kinds else "", ("numpy", ""))
    if find_spec(module) is None:
        raise Refusal(f"{option} {path} needs {module}: pip install 'fasttsne[{extra}]'")


def check_distinct(paths: Mapping[str, Path | None]) -> None:
    """Refuse two options that name the same file.

    Parameters
    ----------
    paths : dict of str to pathlib.Path or None
        What each option names.

    Raises
    ------
    Refusal
        Naming both.
    """
    seen: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        first = seen.setdefault(path.resolve(), option)
        if first != option:
            raise Refusal(f"{first} and {option} both name {path}; give each its own file")


def check_columns(path: Path, names: Sequence[str], n_components: int) -> None:
    """Refuse columns that are called what the map's own are.

    Parameters
    ----------
    path : pathlib.Path
        The file that the map goes to.

    names : sequence of str
        Columns that go along.

    n_components : int
        Dimensions of the map.

    Raises
    ------
    Refusal
        Naming one.
    """
    kind = path.suffix.lower()
    ours = coordinates(n_components) if kind in (".csv", ".tsv", ".parquet") else ["embedding"]
    taken = [name for name in names if name in ours]
    if taken and kind not in (".npy", ".h5ad"):
        raise Refusal(
            f"--output {path}: the map's own columns are called {', '.join(ours)}, and so is the "
            f"column {taken[0]!r} that is to go along; rename it in INPUT"
        )


def coordinates(n_components: int) -> list[str]:
    """Name the coordinates of a map, as columns of a table.

    Parameters
    ----------
    n_components : int
        How many there are.

    Returns
    -------
    names : list of str
        From "tsne_1".
    """
    return [f"tsne_{i + 1}" for i in range(n_components)]


def frame_of_text(Y: NDArray[np.float32], columns: Mapping[str, Any]) -> Any:
    """Make a table to be written as text: places have six digits, all else what it had.

    Parameters
    ----------
    Y : ndarray of shape (n_samples, n_components)
        The map.

    columns : dict of str to array-like of shape (n_samples,)
        What stands beside it.

    Returns
    -------
    frame : pandas.DataFrame
        Whose places are text.
    """
    import pandas

    names = coordinates(Y.shape[1])
    places = {
        name: [f"{value:.6g}" for value in column.tolist()]
        for name, column in zip(names, Y.T, strict=True)
    }
    return pandas.DataFrame({**places, **{name: np.asarray(columns[name]) for name in columns}})


def write_map(path: Path, Y: NDArray[np.float32], columns: Mapping[str, Any], source: Path) -> None:
    """Write a map, with the columns that go along.

    Parameters
    ----------
    path : pathlib.Path
        The file; what is there is replaced once the new one is complete.

    Y : ndarray of shape (n_samples, n_components)
        The map.

    columns : dict of str to array-like
        What stands beside it in a table; arrays of their own in ``.npz``; not in ``.npy``.

    source : pathlib.Path
        The file that was mapped: one of AnnData is copied, with the map in ``obsm["X_tsne"]``.
    """
    kind = path.suffix.lower()
    with replacing(path) as unfinished:
        if kind == ".npy":
            with open(unfinished, "wb") as file:
                np.save(file, Y)
        elif kind == ".npz":
            arrays: dict[str, Any] = {name: _plain(values) for name, values in columns.items()}
            with open(unfinished, "wb") as file:
                np.savez(file, **{**arrays, "embedding": Y})
        elif kind == ".h5ad":
            annotated.write_copy(source, unfinished, Y)
        else:
            _write_table(unfinished, kind, Y, columns)


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    text : str
        What is to be in it.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _plain(values: Any) -> NDArray[Any]:
    """Make an array that needs no pickle."""
    array = np.asarray(values)
    return array.astype(str) if array.dtype == object else array


def _write_table(path: Path, kind: str, Y: NDArray[np.float32], columns: Mapping[str, Any]) -> None:
    names, separator = coordinates(Y.shape[1]), "\t" if kind == ".tsv" else ","
    if kind == ".parquet":
        import pandas

        frame = pandas.DataFrame(Y, columns=names).assign(
            **{name: np.asarray(values) for name, values in columns.items()}
        )
        frame.to_parquet(path, index=False)
        return
    if columns:
        frame_of_text(Y, columns).to_csv(path, sep=separator, index=False)
        return
    np.savetxt(path, Y, fmt="%.6g", delimiter=separator, header=separator.join(names), comments="")
