"""Input files of every kind: the numbers to map, and the columns that go along."""

from __future__ import annotations

import argparse
import csv
import re
import stat
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.cli.messages import Refusal, shortened, unknown_name

#: Endings of files that can be read, and that a map can be written to.
KINDS = (".csv", ".tsv", ".npy", ".npz", ".parquet", ".h5ad")

_OTHER_SEPARATORS = ";\t|"
_LEAST_ROWS_TO_COUNT = 10  # fewer integers may be in order by chance
_LARGE_RATIO = 100.0  # of standard deviations


@dataclass
class Table:
    """What a file holds."""

    X: Any  # (n_samples, n_features), dense or sparse
    columns: dict[str, Any] = field(default_factory=dict)  # asked for by name: labels and --keep
    notes: list[str] = field(default_factory=list)  # what the user should know of the reading
    names: list[str] = field(default_factory=list)  # of the columns of X; empty without names

    def description(self) -> str:
        """Return text like "150 rows of 2 columns: length, width"."""
        n_rows, n_columns = self.X.shape
        named = f": {shortened(self.names)}" if self.names else ""
        return f"{n_rows:,} rows of {n_columns:,} columns{named}"


class Format(NamedTuple):
    """How a table is written as text."""

    separator: str | None = None  # None: tab in .tsv, comma in .csv
    decimal: str = "."
    header: bool | None = None  # None: the first line is a header unless all of it are numbers


_PLAIN = Format()


# ---- options ------------------------------------------------------------------------------------


def add_columns(parser: argparse.ArgumentParser, *, judging: bool = False) -> None:
    """Add the options that say what each column of the input is."""
    label = "class of each row; shown, not mapped"
    keep = "columns that are not mapped, and are copied into OUT and the page"
    features = "columns to map (default: all columns of numbers)"
    if judging:
        label = "class of each row, for the kNN accuracy; no feature"
        keep = "columns that are no features, as for map"
        features = "the features (default: all columns of numbers)"
    group = parser.add_argument_group(f"columns of {'X' if judging else 'INPUT'}")
    group.add_argument("--label", metavar="COLUMN", help=label)
    group.add_argument("--keep", type=_names, default=[], metavar="A,B", help=keep)
    group.add_argument("--features", type=_names, metavar="A,B", help=features)
    group.add_argument("--drop", type=_names, default=[], metavar="A,B", help="columns to ignore")
    group.add_argument(
        "--array",
        metavar="NAME",
        help="array of an .npz or .h5ad file (map --landmarks: of .zarr or .h5)",
    )
    group.add_argument(
        "--sep",
        metavar="SIGN",
        help="separator of a .csv or .tsv, such as ';' or tab (default: by the ending)",
    )
    group.add_argument(
        "--decimal", metavar="SIGN", help="decimal point of a .csv or .tsv (default: .)"
    )
    group.add_argument(
        "--no-header", action="store_true", help="the first line of a .csv or .tsv is data"
    )


def read_input(args: argparse.Namespace, path: Path) -> Table:
    """Read a file with the options of `add_columns`."""
    return read_table(
        path,
        extra=columns_beside(vars(args)),
        features=args.features,
        drop=args.drop,
        array=args.array,
        written=text_format(args),
    )


def columns_beside(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that go along, the label first."""
    label = settings.get("label")
    return list(dict.fromkeys([*([label] if label else []), *settings.get("keep", ())]))


def text_format(args: argparse.Namespace) -> Format:
    """Return how a table of text is written, by --sep, --decimal and --no-header."""
    separator = {"\\t": "\t", "tab": "\t"}.get(args.sep, args.sep)
    for option, sign in (("--sep", separator), ("--decimal", args.decimal)):
        if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '\r\n\0"'):
            raise Refusal(f"{option} must be one sign, such as ';'; got {sign!r}")
    decimal = args.decimal or "."
    if separator == decimal:
        raise Refusal(f"--sep and --decimal are both {decimal!r}; they must differ")
    return Format(separator, decimal, False if args.no_header else None)


def check_plain(written: Format, path: Path) -> None:
    """Check that no option for tables of text was given."""
    if written != _PLAIN:
        raise Refusal(
            f"--sep, --decimal and --no-header are for .csv and .tsv, not {path.name}; leave it out"
        )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


# ---- any file -----------------------------------------------------------------------------------


def read_table(
    path: Path,
    *,
    extra: Sequence[str] = (),
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    array: str | None = None,
    written: Format = _PLAIN,
) -> Table:
    """Read a file into a `Table` of finite numbers.

    `extra` names columns that are no features; None as `features` takes all columns of numbers.
    """
    kind = path.suffix.lower()
    _check_options(path, kind, features, drop, array, written)
    try:
        with open(path, "rb"):
            pass  # the libraries below report missing permission in other ways
        if kind == ".npy":
            table = _read_npy(path, extra)
        elif kind == ".npz":
            table = _read_npz(path, extra, array)
        elif kind == ".h5ad":
            table = _read_h5ad(path, extra, array)
        elif kind == ".parquet":
            table = _from_frame(_read_parquet(path), path, extra, features, drop, written)
        else:
            frame, notes = _read_text(path, written, extra)
            table = _from_frame(frame, path, extra, features, drop, written)
            table.notes = notes + table.notes
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not what its ending says"
        raise Refusal(f"cannot read {path}: {reason}") from error
    _check_numbers(table.X, path)
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a table; none if they have no names or no file exists."""
    kind = path.suffix.lower()
    if not path.is_file() or path.stat().st_size == 0:
        return []
    if kind == ".parquet":
        return [str(name) for name in _read_parquet(path).columns]
    return (_header(path, _PLAIN) or []) if kind in (".csv", ".tsv") else []


def _check_options(
    path: Path,
    kind: str,
    features: Sequence[str] | None,
    drop: Sequence[str],
    array: str | None,
    written: Format,
) -> None:
    """Check that the file can be read, and that the options are for its kind."""
    if path.is_dir():
        raise Refusal(f"{path} is a directory; name a file")
    check_exists(path, lambda other: other.suffix.lower() in KINDS)
    if kind not in KINDS:
        raise Refusal(f"{path}: unknown ending {kind!r}; {', '.join(KINDS)} can be read")
    if kind not in (".csv", ".tsv"):
        check_plain(written, path)
    if array is not None and kind not in (".npz", ".h5ad"):
        raise Refusal(f"--array is for .npz and .h5ad; {path.name} holds one table")
    if kind in (".npy", ".npz", ".h5ad") and (features is not None or drop):
        raise Refusal(f"--features and --drop are for tables with named columns, not {path.name}")


def check_exists(path: Path, is_input: Callable[[Path], bool]) -> None:
    """Check that an input exists and is not empty; an error suggests one of the same directory."""
    check_kind(path, str(path))
    where = path.parent
    if not where.is_dir():
        raise Refusal(f"there is no file {path}: there is no directory {where}")
    if not path.exists():
        known = sorted(other.name for other in where.iterdir() if is_input(other))
        raise unknown_name("file", path.name, known, str(where))
    if path.is_file() and path.stat().st_size == 0:
        raise Refusal(f"{path} is empty")


def check_kind(path: Path, what: str) -> None:
    """Check that a path, if it exists, is a regular file or a directory: others may never end."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Refusal(f"{what}: it is a link to a file that does not exist") from None
        return
    except OSError as error:  # as of links in a circle
        raise Refusal(f"{what}: {error.strerror}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Refusal(f"{what}: it is no regular file; copy its content into one")


def check_matrix(shape: tuple[int, ...], dtype: np.dtype[Any], where: object) -> None:
    """Check that an array has rows and columns of numbers."""
    if len(shape) != 2:
        raise Refusal(f"{where} holds an array of shape {shape}; rows and columns are needed")
    if dtype.kind not in "biuf":
        raise Refusal(f"{where} holds {dtype} rather than numbers")
    if 0 in shape:
        raise Refusal(f"{where} holds no numbers: {shape[0]} rows, {shape[1]} columns")


def _check_numbers(X: Any, path: Path) -> None:
    """Check that an array has rows and columns of finite numbers."""
    check_matrix(X.shape, X.dtype, path)
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        if sparse.issparse(X):
            raise Refusal(f"{path} holds NaN or infinity; replace these values")
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise Refusal(
            f"{path} holds {X[row, column]} in row {row + 1}, column {column + 1}; fill it in, or "
            "leave out the row"
        )


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
    except Exception as error:  # zipfile, zlib and numpy raise different ones
        raise Refusal(
            f"cannot read {path}: not arrays of numbers written by numpy.savez"
        ) from error


def _only_matrix(file: Any, path: Path, extra: Sequence[str]) -> str:
    """Return the name of the array to map where --array names none."""
    if "X" in file.files:
        return "X"
    matrices = [name for name in file.files if name not in extra and file[name].ndim == 2]
    if len(matrices) != 1:
        names = ", ".join(matrices or file.files)
        raise Refusal(f"{path} holds {len(matrices)} tables ({names}); choose one with --array")
    name: str = matrices[0]
    return name


def _read_h5ad(path: Path, extra: Sequence[str], array: str | None) -> Table:
    anndata = import_anndata("reading .h5ad")
    import h5py

    if not h5py.is_hdf5(path):
        raise Refusal(f"cannot read {path}: not a file written by AnnData")
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # h5py, pandas and anndata raise different ones
        raise Refusal(
            f"cannot read {path} by {_versions()}: {error}; is it a file written by AnnData?"
        ) from error
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
    if hasattr(X, "to_numpy"):  # obsm may hold a DataFrame
        X = X.to_numpy()
    columns = {name: data.obs[name].reset_index(drop=True) for name in extra}
    return Table(X, columns, [f"mapping {array} of {path.name}"])


def import_anndata(purpose: str) -> ModuleType:
    """Import anndata with its module io, or raise an error that says what to install."""
    try:
        import anndata
        import anndata.io
    except ModuleNotFoundError as error:
        raise Refusal(f"{purpose} needs anndata: pip install 'fasttsne[h5ad]'") from error
    except Exception as error:  # incompatible versions of packages fail in any way
        raise Refusal(
            f"{purpose} needs anndata, and {_versions()} do not work together ({error}); "
            "pip install --upgrade anndata"
        ) from error
    module: ModuleType = anndata
    return module


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("anndata", "pandas"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return " and ".join(found)


# ---- tables of text -----------------------------------------------------------------------------


def _read_text(path: Path, written: Format, extra: Sequence[str]) -> tuple[Any, list[str]]:
    """Read a .csv or .tsv file into a DataFrame and notes for the user.

    Text like "NA" stays text in the columns of `extra`; only empty cells are missing there.
    """
    kind = path.suffix.lower()
    pandas = _import_pandas(kind)
    names = _header(path, written)
    options: dict[str, Any] = {
        "sep": _separator(path, written),
        "decimal": written.decimal,
        "header": None if names is None else 0,
        "low_memory": False,
        "skipinitialspace": True,
        "encoding": "utf-8-sig",
    }
    try:
        with warnings.catch_warnings():
            # pandas warns of rows longer than the header, and cuts them.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(path, index_col=False, **options)
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        if "Length of header" in reason:
            reason = "rows are longer than the header"
        raise Refusal(
            f"{path} is ragged or not {kind[1:].upper()}: {reason}{_separator_hint(path, written)}"
        ) from error
    except pandas.errors.EmptyDataError as error:
        raise Refusal(f"{path} is empty") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not text in UTF-8; save it as UTF-8") from error
    if names is None:
        frame.columns = [f"column {i + 1}" for i in range(frame.shape[1])]
        return frame, []
    notes = _check_names(path, names, written)
    frame.columns = [str(name) for name in frame.columns]
    for place, name in enumerate(frame.columns):
        if name in extra and frame[name].dtype.kind == "O" and frame[name].isna().any():
            as_text = {"dtype": str, "keep_default_na": False, "na_values": [""]}
            frame[name] = pandas.read_csv(path, usecols=[place], **options, **as_text).iloc[:, 0]
    return frame, notes


def _import_pandas(kind: str) -> Any:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise Refusal(f"reading {kind} needs pandas: pip install 'fasttsne[tables]'") from error
    return pandas


def _header(path: Path, written: Format) -> list[str] | None:
    """Return the names of the columns, or None where the first line is data."""
    cells = _first_line(path, written)
    if written.header is not None:
        return cells if written.header else None
    return None if all(_is_number(cell, written.decimal) for cell in cells) else cells


def _first_line(path: Path, written: Format) -> list[str]:
    """Return the cells of the first line that is not empty."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            separator = _separator(path, written)
            lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
            return next((line for line in lines if line), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{path} is not text in UTF-8; save it as UTF-8") from error


def _separator(path: Path, written: Format) -> str:
    return written.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")


def _check_names(path: Path, names: list[str], written: Format) -> list[str]:
    """Check that names are unique, as pandas renames others, and return a note of numbers."""
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    numbers = [name for name in names if _is_number(name, written.decimal)]
    if doubled:
        data = "; is the first line data? --no-header" if doubled[0] in numbers else ""
        raise Refusal(
            f"{path} has more than one column {doubled[0]!r}; give each its own name{data}"
        )
    if numbers and written.header is None:
        return [
            f"the first line is read as names of columns, but {len(numbers):,} of its "
            f"{len(names):,} are numbers, like {numbers[0]!r}; if it is data: --no-header"
        ]
    return []


def _is_number(text: str, decimal: str = ".") -> bool:
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _has_decimal_comma(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text) is not None


def _hint(path: Path, frame: Any, columns: Sequence[str], written: Format) -> str:
    """Return a guess why columns were not read as numbers, to append to a message."""
    if frame.shape[1] == 1:
        return _separator_hint(path, written)
    for column in columns:
        cells = frame[column].dropna().astype(str).head(20)
        if len(cells) and all(map(_has_decimal_comma, cells)):
            return f"; has column {column!r} decimal commas? --decimal ,"
    return ""


def _separator_hint(path: Path, written: Format) -> str:
    cells = _first_line(path, written)
    for other in _OTHER_SEPARATORS:
        if any(other in cell for cell in cells):
            return f"; are its cells separated by {other!r}? --sep {other!r}"
    return ""


# ---- columns of tables --------------------------------------------------------------------------


def _read_parquet(path: Path) -> Any:
    pandas = _import_pandas(".parquet")
    try:
        return pandas.read_parquet(path)
    except ImportError as error:
        raise Refusal("reading .parquet needs pyarrow: pip install 'fasttsne[tables]'") from error
    except Exception as error:  # pyarrow raises its own
        raise Refusal(f"cannot read {path}: not a Parquet file") from error


def _from_frame(
    frame: Any,
    path: Path,
    extra: Sequence[str],
    features: Sequence[str] | None,
    drop: Sequence[str],
    written: Format,
) -> Table:
    """Select the columns of a DataFrame, and check that those to map hold numbers."""
    frame.columns = [str(name) for name in frame.columns]
    names = list(frame.columns)
    for name in (*extra, *(features or ()), *drop):
        if name not in names:
            unknown = unknown_name("column", name, names, str(path))
            raise Refusal(
                f"{unknown}{_hint(path, frame, names, written) if len(names) == 1 else ''}"
            )
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
            left_out = f"columns of text, left out: {', '.join(text)}"
            notes.append(left_out + _hint(path, frame, text, written))
        if not features:
            raise Refusal(f"{path} has no column of numbers{_hint(path, frame, names, written)}")
    X = np.stack([_numbers(frame[name], name, path) for name in features], axis=1)
    return Table(X, {name: frame[name] for name in extra}, notes, list(features))


def _is_text(column: Any) -> bool:
    """Return whether no cell of a column holds a number."""
    if column.dtype.kind in "biuf":
        return False
    if column.dtype.kind in "mM" or getattr(column.dtype, "name", "") == "category":
        return True
    present = column.dropna()
    return not any(isinstance(value, int | float) or _is_number(str(value)) for value in present)


def _numbers(column: Any, name: str, path: Path) -> NDArray[np.float64]:
    """Return a column as numbers, or raise an error that names the first cell without one."""
    import pandas

    numbers = pandas.to_numeric(column, errors="coerce")
    values: NDArray[np.float64] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
    if len(text):
        found = str(column.iloc[text[0]])[:40]
        remedy = "--decimal , if that is a number" if _has_decimal_comma(found) else "correct it"
        holds = "holds text" if _is_text(column) else "mixes numbers and text"
        raise Refusal(
            f"{path}: column {name!r} {holds}, {found!r} in row {text[0] + 1}; "
            f"{remedy}, or leave the column out (--drop, or not among --features)"
        )
    empty = np.flatnonzero(np.isnan(values))
    if len(empty):
        raise Refusal(
            f"{path}: column {name!r} has {len(empty):,} empty cells, the first in row "
            f"{empty[0] + 1}; fill them in, leave out those rows, or the column with --drop"
        )
    return values


def doubts(table: Table, *, chosen: bool, scaled: bool) -> list[str]:
    """Return notes on columns that number the rows or outweigh other columns.

    `chosen` columns were named by the user; `scaled` ones have the same variance.
    """
    if not table.names:
        return []
    notes = []
    if not chosen and len(table.X) >= _LEAST_ROWS_TO_COUNT:
        notes += [
            f"column {name!r} only counts upwards, as identifiers do; --drop {name!r} leaves it out"
            for name, column in zip(table.names, table.X.T, strict=True)
            if (np.diff(column) > 0).all() and (column == np.round(column)).all()
        ]
    if not scaled:
        deviation = table.X.std(axis=0)
        varying = np.flatnonzero(deviation)
        order = varying[np.argsort(deviation[varying], kind="stable")]
        if len(order) > 1:
            # The first quartile, because a single column may vary little by exception.
            small, large = order[(len(order) - 1) // 4], order[-1]
            ratio = deviation[large] / deviation[small]
            if ratio >= _LARGE_RATIO:
                notes.append(
                    f"column {table.names[large]!r} varies {ratio:,.0f} times as much as "
                    f"{table.names[small]!r}; --standardize gives all columns the same weight"
                )
    return notes
