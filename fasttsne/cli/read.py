"""Files of many kinds, read as numbers to map and columns that go along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.cli import annotated
from fasttsne.cli.messages import Refusal, shortened, unknown_name
from fasttsne.cli.text import (
    Format,
    has_decimal_comma,
    header,
    hint,
    import_pandas,
    is_number,
    read_text,
)

#: Endings of files that can be read.
KINDS = (".csv", ".tsv", ".npy", ".npz", ".parquet", ".h5ad")

_PLAIN = Format()


@dataclass
class Table:
    """What a file holds.

    Attributes
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The numbers.
    columns : dict of str to array
        Columns that were asked for by name: labels, and what is to be kept.
    notes : list of str
        What the user should know about how the file was read.
    names : list of str
        What the columns of `X` are called; empty where they have no names.
    """

    X: Any
    columns: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Tell how many rows and columns there are, and what the columns are called.

        Returns
        -------
        told : str
            Like "150 rows of 2 columns: length, width".
        """
        n_rows, n_columns = self.X.shape
        named = f": {shortened(self.names)}" if self.names else ""
        return f"{n_rows:,} rows of {n_columns:,} columns{named}"


def read_table(
    path: Path,
    *,
    extra: Sequence[str] = (),
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    array: str | None = None,
    written: Format = _PLAIN,
) -> Table:
    """Read a file.

    Parameters
    ----------
    path : pathlib.Path
        A file with one of the endings in `KINDS`.

    extra : sequence of str, default=()
        Columns that are no features; for ``.npz`` the names of arrays.

    features : sequence of str, default=None
        The columns to map. None takes all that hold numbers, but for those in `extra` and `drop`.

    drop : sequence of str, default=()
        Columns to leave out.

    array : str, default=None
        Which array of an ``.npz`` or ``.h5ad`` file to take.

    written : Format, default=Format()
        How a table of text is written.

    Returns
    -------
    table : Table
        Its numbers are finite.

    Raises
    ------
    Refusal
        If the file cannot be read, or is not what it should be.
    """
    kind = path.suffix.lower()
    if path.is_dir():
        raise Refusal(f"{path} is a directory; name a file")
    if not path.exists():
        raise _no_such_file(path)
    if kind not in KINDS:
        raise Refusal(
            f"{path}: unknown ending {kind or 'of no letters'!r}; {', '.join(KINDS)} can be read"
        )
    if path.stat().st_size == 0:
        raise Refusal(f"{path} is empty")
    if kind not in (".csv", ".tsv"):
        check_plain(written, path)
    if array is not None and kind not in (".npz", ".h5ad"):
        raise Refusal(f"--array is for .npz and .h5ad; {path.name} holds one table")
    if kind in (".npy", ".npz", ".h5ad") and (features is not None or drop):
        raise Refusal(f"--features and --drop are for tables with named columns, not {path.name}")
    try:
        with open(path, "rb"):
            pass  # whoever reads it below may call a lack of permission anything
        if kind == ".npy":
            table = _read_npy(path, extra)
        elif kind == ".npz":
            table = _read_npz(path, extra, array)
        elif kind == ".h5ad":
            table = _read_h5ad(path, extra, array)
        elif kind == ".parquet":
            table = _from_frame(_read_parquet(path), path, extra, features, drop, written)
        else:
            frame, notes = read_text(path, written, extra)
            table = _from_frame(frame, path, extra, features, drop, written)
            table.notes = notes + table.notes
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not what its ending says"
        raise Refusal(f"cannot read {path}: {reason}") from error
    _check_numbers(table.X, path)
    return table


def columns_beside(settings: Mapping[str, Any]) -> list[str]:
    """List the columns that go along.

    Parameters
    ----------
    settings : dict
        Options by name.

    Returns
    -------
    names : list of str
        The label first.
    """
    label = settings.get("label")
    return list(dict.fromkeys([*([label] if label else []), *settings.get("keep", ())]))


def column_names(path: Path) -> list[str]:
    """List the columns of a table that are called something.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv``, ``.tsv`` or ``.parquet`` file.

    Returns
    -------
    names : list of str
        Empty where the columns have none, or where there is no such file to read.
    """
    kind = path.suffix.lower()
    if not path.is_file() or path.stat().st_size == 0:
        return []
    if kind == ".parquet":
        return [str(name) for name in _read_parquet(path).columns]
    if kind not in (".csv", ".tsv"):
        return []
    return header(path, _PLAIN) or []


def check_plain(written: Format, path: Path) -> None:
    """Refuse options for text where a file is none.

    Parameters
    ----------
    written : Format
        What the options say.

    path : pathlib.Path
        The file.

    Raises
    ------
    Refusal
        If they say anything.
    """
    if written != _PLAIN:
        raise Refusal(
            f"--sep, --decimal and --no-header are for .csv and .tsv, not {path.name}; leave it out"
        )


def _no_such_file(path: Path) -> Refusal:
    if path.parent.is_dir():
        known = sorted(p.name for p in path.parent.iterdir() if p.suffix.lower() in KINDS)
        return unknown_name("file", path.name, known, str(path.parent))
    return Refusal(f"there is no file {path}: there is no directory {path.parent}")


# ---- arrays -------------------------------------------------------------------------------------


def _read_npy(path: Path, extra: Sequence[str]) -> Table:
    if extra:
        raise Refusal(f"{path} has no named columns, so none called {extra[0]!r}; use .npz or .csv")
    try:
        return Table(np.load(path, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise Refusal(
            f"cannot read {path}: not an array of numbers written by numpy.save"
        ) from error


def _read_npz(path: Path, extra: Sequence[str], array: str | None) -> Table:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            if {"format", "shape", "data"} <= set(names):
                return Table(sparse.load_npz(path).tocsr())
            if array is None:
                array = _only_matrix(file, path, extra)
            for name in (array, *extra):
                if name not in names:
                    raise unknown_name("array", name, names, str(path))
            return Table(file[array], {name: file[name] for name in extra})
    except Refusal:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise Refusal(
            f"cannot read {path}: not arrays of numbers written by numpy.savez"
        ) from error


def _only_matrix(file: Any, path: Path, extra: Sequence[str]) -> str:
    """Name the array that is meant, where none was."""
    matrices: list[str] = [
        name for name in file.files if name not in extra and file[name].ndim == 2
    ]
    if "X" in file.files:
        return "X"
    if len(matrices) != 1:
        names = ", ".join(matrices or file.files)
        raise Refusal(f"{path} holds {len(matrices)} tables ({names}); choose one with --array")
    return matrices[0]


def _read_h5ad(path: Path, extra: Sequence[str], array: str | None) -> Table:
    data = annotated.read(path)
    known = ["X", *data.obsm, *data.layers]
    if array is None:
        array = "X_pca" if "X_pca" in data.obsm else "X"
    if array not in known:
        raise unknown_name("array", array, known, str(path))
    for name in extra:
        if name not in data.obs:
            raise unknown_name("column", name, map(str, data.obs), f"the observations of {path}")
    X = data.X if array == "X" else (data.obsm if array in data.obsm else data.layers)[array]
    if X is None:
        raise Refusal(f"{path} has no X; choose one of {', '.join(known[1:])} with --array")
    if hasattr(X, "to_numpy"):  # a table among the arrays
        X = X.to_numpy()
    notes = [f"mapping {array} of {path.name}"]
    return Table(X, {name: data.obs[name].reset_index(drop=True) for name in extra}, notes)


# ---- tables -------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Any:
    pandas = import_pandas(".parquet")
    try:
        return pandas.read_parquet(path)
    except ImportError as error:
        raise Refusal("reading .parquet needs pyarrow: pip install 'fasttsne[tables]'") from error
    except Exception as error:  # pyarrow has its own
        raise Refusal(f"cannot read {path}: not a Parquet file") from error


def _from_frame(
    frame: Any,
    path: Path,
    extra: Sequence[str],
    features: Sequence[str] | None,
    drop: Sequence[str],
    written: Format,
) -> Table:
    """Choose the columns, and refuse what is no number among those to map."""
    frame.columns = [str(name) for name in frame.columns]
    names = list(frame.columns)
    for name in (*extra, *(features or ()), *drop):
        if name not in names:
            unknown = unknown_name("column", name, names, str(path))
            raise Refusal(f"{unknown}{hint(path, frame, written) if len(names) == 1 else ''}")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Refusal(f"{path} has more than one column {doubled[0]!r}; give each its own name")
    if len(frame) == 0:
        raise Refusal(f"{path} has column names and no rows")
    notes = []
    if features is None:
        rest = [name for name in names if name not in extra and name not in drop]
        text = [name for name in rest if _is_text(frame[name])]
        features = [name for name in rest if name not in text]
        if text:
            told = "left out, being text: " + ", ".join(text)
            notes.append(told + hint(path, frame[text], written))
        if not features:
            raise Refusal(f"{path} has no column of numbers{hint(path, frame, written)}")
    columns = [_numbers(frame[name], name, path) for name in features]
    X = np.stack(columns, axis=1)
    return Table(X, {name: frame[name] for name in extra}, notes, list(features))


def _is_text(column: Any) -> bool:
    """Tell whether a column holds no number at all."""
    if column.dtype.kind in "biuf":
        return False
    if column.dtype.kind in "mM" or getattr(column.dtype, "name", "") == "category":
        return True
    present = column.dropna()
    return not any(isinstance(value, int | float) or is_number(str(value)) for value in present)


def _numbers(column: Any, name: str, path: Path) -> NDArray[np.float64]:
    """Turn a column into numbers, or say which row is none."""
    import pandas

    numbers = pandas.to_numeric(column, errors="coerce")
    values: NDArray[np.float64] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
    if len(text):
        found = str(column.iloc[text[0]])[:40]
        remedy = "--decimal , if that is a number" if has_decimal_comma(found) else "mend it"
        raise Refusal(
            f"{path}: column {name!r} mixes numbers and text, {found!r} in row {text[0] + 1}; "
            f"{remedy}, or leave the column out with --drop"
        )
    empty = np.flatnonzero(np.isnan(values))
    if len(empty):
        raise Refusal(
            f"{path}: column {name!r} has {len(empty):,} empty cells, the first in row "
            f"{empty[0] + 1}; fill them in, leave out those rows, or the column with --drop"
        )
    return values


# ---- what is common to all ----------------------------------------------------------------------


def _check_numbers(X: Any, path: Path) -> None:
    """Refuse what cannot be mapped, whatever file it came from."""
    if X.ndim != 2:
        raise Refusal(f"{path} holds an array of shape {X.shape}; rows and columns are needed")
    if X.dtype.kind not in "biuf":
        raise Refusal(f"{path} holds {X.dtype} rather than numbers")
    if 0 in X.shape:
        raise Refusal(f"{path} holds no numbers: {X.shape[0]} rows, {X.shape[1]} columns")
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        if sparse.issparse(X):
            raise Refusal(f"{path} holds NaN or infinity; fill in what is missing")
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise Refusal(
            f"{path} holds {X[row, column]} in row {row + 1}, column {column + 1}; fill it in, or "
            "leave out the row"
        )
