"""Input files of every kind: the numbers to map, and the columns that go along."""

from __future__ import annotations

import argparse
import codecs
import csv
import math
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.cli.messages import Refusal, shortened, unknown_name
from fasttsne.cli.text import (
    TEXT,
    UNITS,
    Cells,
    Format,
    TextTable,
    as_printed,
    comma_remedy,
    import_pandas,
    kind_of,
    numbers,
)
from fasttsne.runtime.memory import physical_memory

#: Endings of files that can be read.
KINDS = (*TEXT, ".npy", ".npz", ".parquet", ".xlsx", ".h5ad")

_LEAST_ROWS_TO_COUNT = 10  # fewer integers may be in order by chance
_LARGE_RATIO = 100.0  # of standard deviations
_MOST_COMMAS = 20  # in the name of a column
_CELLS = 1 << 20  # that are converted at a time

_PLAIN = Format()


class Along(NamedTuple):
    """Names of the columns that go along."""

    label: str | None = None
    kept: Sequence[str] = ()
    row_names: Sequence[str] = ()  # columns of them, as of a DataFrame, which go along unasked

    @property
    def names(self) -> list[str]:
        """All names, those of the index first and then the label."""
        label = [] if self.label is None else [self.label]
        return list(dict.fromkeys([*self.row_names, *label, *self.kept]))


def _row(number: int) -> str:
    return f"row {number + 1:,}"


@dataclass
class Table:
    """What a file holds."""

    X: Any  # (n_samples, n_features), dense or sparse
    columns: dict[str, Any] = field(default_factory=dict)  # asked for by name: label, then --keep
    notes: list[str] = field(default_factory=list)  # what the user should know of the reading
    names: list[str] = field(default_factory=list)  # of the columns of X; empty without names
    where: Callable[[int], str] = _row  # what to call a row of X in the file
    written: Format = _PLAIN
    along: Along = field(default_factory=Along)  # names of `columns`

    @property
    def labels(self) -> Any:
        """The column of the label, as values to draw and to judge by; None without one."""
        label = self.along.label
        return None if label is None else values_of(self.columns[label], self.written)

    def description(self) -> str:
        """Return text like "150 rows of 2 columns: length, width"."""
        n_rows, n_columns = self.X.shape
        named = f": {shortened(self.names)}" if self.names else ""
        return f"{n_rows:,} rows of {n_columns:,} columns{named}"


# ---- options ------------------------------------------------------------------------------------


def add_columns(parser: argparse.ArgumentParser, *, judging: bool = False) -> None:
    """Add the options that say what each column of the input is."""
    label = "class of each row, shown and not mapped"
    keep = "columns that are not mapped, and are copied into OUT and the page"
    features = "columns to map (default: all columns of numbers)"
    if judging:
        label = "class of each row, for the kNN accuracy and no feature"
        keep = "columns that are no features, as for map"
        features = "the features (default: all columns of numbers)"
    group = parser.add_argument_group(f"columns of {'X' if judging else 'INPUT'}")
    group.add_argument("--label", metavar="COLUMN", help=label)
    several: dict[str, Any] = {"action": "append", "metavar": "A,B"}
    group.add_argument("--keep", default=[], help=keep, **several)
    group.add_argument("--features", help=features, **several)
    group.add_argument("--drop", default=[], help="columns to ignore", **several)
    for option, metavar, meaning in (
        ("--array", "NAME", "array of .npz, .h5ad (with --landmarks: .zarr, .h5), sheet of .xlsx"),
        ("--sep", "SIGN", "separator of a .csv or .tsv: ';', tab, space ... (default: by ending)"),
        ("--decimal", "SIGN", "decimal point of a .csv or .tsv (default: .)"),
        ("--thousands", "SIGN", "sign between groups of three digits (default: none)"),
        ("--encoding", "NAME", "of a .csv or .tsv, as cp1252 (default: by first bytes or utf-8)"),
    ):
        group.add_argument(option, metavar=metavar, help=meaning)
    group.add_argument(
        "--header",
        choices=("yes", "no", "auto"),
        default="auto",
        help="whether the first line names the columns (default: auto, by its content)",
    )
    group.add_argument(
        "--no-header", dest="header", action="store_const", const="no", help="as --header no"
    )
    group.add_argument(
        "--fill",
        type=_filling,
        metavar="WITH",
        help="mean, median or a number for empty cells and NaN (default: an error)",
    )

    group = parser.add_argument_group("preparation, in this order")
    group.add_argument(
        "--transpose", action="store_true", help="map the columns, as of a table of genes by cells"
    )
    group.add_argument("--log1p", action="store_true", help="replace x by log(1 + x)")
    group.add_argument(
        "--standardize", action="store_true", help="scale all columns to mean 0 and variance 1"
    )
    group.add_argument("--pca", type=int, metavar="N", help="map N principal components")


def _filling(text: str) -> str | float:
    if text in ("mean", "median"):
        return text
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


_filling.__name__ = "mean, median or number"  # which argparse shows in an error


def read_input(args: argparse.Namespace, path: Path) -> Table:
    """Read a file with the options of `add_columns`."""
    if args.transpose and (args.label or args.keep):
        raise Refusal("--label and --keep name columns, which --transpose maps; leave them out")
    written, wanted = text_format(args), vars(args)
    table = read_table(path, wanted, array=args.array, written=written, fill=args.fill)
    if args.transpose:
        columns = {"index": np.array(table.names)} if table.names else {}
        table = Table(table.X.T, columns, table.notes, along=Along(row_names=list(columns)))
    if args.log1p:
        least = table.X.min()
        if least < 0:
            raise Refusal(f"--log1p needs numbers of at least 0, and {path} holds {least:g}")
        table.X = np.log1p(table.X)
    return table


def scaled(X: Any, args: argparse.Namespace) -> Any:
    """Return what --standardize and --pca make of rows of numbers."""
    if args.standardize:
        from sklearn.preprocessing import StandardScaler

        X = StandardScaler(with_mean=not sparse.issparse(X)).fit_transform(X)
    if args.pca is None:
        return X
    from sklearn.decomposition import PCA

    most = min(X.shape) - sparse.issparse(X)
    if not 1 <= args.pca <= most:
        raise Refusal(f"--pca {args.pca}: these data have 1 to {most:,} components")
    return PCA(args.pca, random_state=0).fit_transform(X)


def columns_beside(
    settings: Mapping[str, Any], known: Sequence[str], where: str, kind: str = "column"
) -> Along:
    """Return the names that --label and --keep choose among those that are there."""
    label: list[str] = []
    if settings.get("label"):
        label = chosen([settings["label"]], known, where, kind)
        if len(label) > 1:
            raise unknown_name(kind, settings["label"], known, where)
    kept = chosen(settings.get("keep") or (), known, where, kind)
    return Along(label[0] if label else None, kept)


def chosen(
    texts: Iterable[str], known: Sequence[str], where: str, kind: str = "column"
) -> list[str]:
    """Return the names that texts like "a,b" list; a name with commas needs no quotes.

    Spaces around a name may be left out.
    """
    names = {**{name.strip(): name for name in known}, **{name: name for name in known}}
    found = []
    for text in texts:
        if text in names:
            found.append(names[text])
            continue
        pieces = next(csv.reader([" ".join(text.splitlines())]), [])
        start = 0
        while start < len(pieces):
            for stop in range(min(len(pieces), start + _MOST_COMMAS), start, -1):
                name = ",".join(pieces[start:stop]).strip()
                if name in names or not name:
                    break
            else:
                raise unknown_name(kind, pieces[start].strip(), known, where)
            found += [names[name]] if name in names else []
            start = stop
    return list(dict.fromkeys(found))


def text_format(args: argparse.Namespace) -> Format:
    """Return how a table of text is written, by the options of `add_columns`."""
    names = {"\\t": "\t", "tab": "\t", "space": " "}
    separator, decimal = names.get(args.sep, args.sep), args.decimal or "."
    signs = {"--sep": separator, "--decimal": args.decimal, "--thousands": args.thousands}
    for option, sign in signs.items():
        if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '\r\n\0"'):
            raise Refusal(f"{option} must be one sign, such as ';'; got {sign!r}")
        if sign == decimal and option != "--decimal":
            raise Refusal(f"{option} and --decimal are both {decimal!r}; they must differ")
    encoding = args.encoding
    try:
        if encoding is not None and codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"  # the byte order mark is no part of the first name
        "".encode(encoding or "utf-8")
    except LookupError as error:
        raise Refusal(
            f"--encoding {encoding}: unknown; give one such as utf-8, cp1252 or utf-16"
        ) from error
    return Format(separator, decimal, args.thousands, args.header, encoding)


def check_plain(written: Format, path: Path) -> None:
    """Check that no option for tables of text was given."""
    if written != _PLAIN:
        raise Refusal(
            "--sep, --decimal, --thousands, --header and --encoding are for .csv and .tsv, not "
            f"{path.name}; leave it out"
        )


# ---- any file -----------------------------------------------------------------------------------


def read_table(
    path: Path,
    wanted: Mapping[str, Any] | None = None,
    *,
    array: str | None = None,
    written: Format = _PLAIN,
    fill: str | float | None = None,
) -> Table:
    """Read a file into a `Table` of finite numbers.

    `wanted` has label, keep, features and drop as on the command line; without features all columns
    of numbers are taken. `fill` replaces NaN.
    """
    wanted, kind = wanted or {}, kind_of(path)
    _check_options(path, kind, wanted, array, written)
    try:
        if kind == ".npy":
            table = _read_npy(path, wanted)
        elif kind == ".npz":
            table = _read_npz(path, wanted, array)
        elif kind == ".h5ad":
            table = _read_h5ad(path, wanted, array)
        elif kind == ".parquet":
            table = _read_parquet(path, wanted)
        else:
            content, notes = _read_excel(path, array) if kind == ".xlsx" else (None, [])
            table = _read_text(path, wanted, written, content)
            table.notes = notes + table.notes
            path = Path("standard input") if str(path) == "-" else path
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is not what its ending says"
        raise Refusal(f"cannot read {path}: {reason}") from error
    _check_numbers(table, path, fill)
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a table; none if they have no names or no file exists."""
    kind = kind_of(path)
    if not path.is_file() or path.stat().st_size == 0:
        return []
    if kind == ".parquet":
        return list(_parquet(path, {}).names)
    return TextTable(path, _PLAIN).names if kind in TEXT else []


def _check_options(
    path: Path, kind: str, wanted: Mapping[str, Any], array: str | None, written: Format
) -> None:
    """Check that the file can be read, and that the options are for its kind."""
    if path.is_dir():
        raise Refusal(f"{path} is a directory; name a file")
    if str(path) != "-":
        check_exists(path, lambda other: kind_of(other) in KINDS)
        try:
            with open(path, "rb"):
                pass  # the libraries report missing permission in other ways
        except OSError as error:
            raise Refusal(f"cannot read {path}: {error.strerror}") from error
    if kind not in KINDS:
        raise Refusal(f"{path}: unknown ending {kind!r}; {', '.join(KINDS)} can be read")
    if kind not in TEXT:
        check_plain(written._replace(header="auto") if kind == ".xlsx" else written, path)
    if array is not None and kind not in (".npz", ".h5ad", ".xlsx"):
        raise Refusal(f"--array is for .npz, .h5ad and .xlsx; {path.name} holds one table")
    if kind in (".npy", ".npz", ".h5ad") and (wanted.get("features") or wanted.get("drop")):
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


def _check_numbers(table: Table, path: Path, fill: str | float | None) -> None:
    """Check that a table has rows and columns of finite numbers, after NaN is filled."""
    X = table.X
    check_matrix(X.shape, X.dtype, path)
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    if sparse.issparse(X):
        raise Refusal(f"{path} holds NaN or infinity; replace these values")
    empty = np.isnan(X)
    if fill is not None:
        table.X = X = _filled(X, empty, fill, table, path)
        empty[:] = False
    rows, columns = np.nonzero(~np.isfinite(X))
    if not len(rows):
        return
    row, column = rows[0], columns[0]
    where = table.where(row)
    remedy = "--fill mean fills it in" if empty[row, column] else "correct it"
    if not table.names:
        raise Refusal(
            f"{path} holds {X[row, column]} in {where}, column {column + 1}; {remedy}, or leave "
            "out the row"
        )
    holds = f"holds {X[row, column]} in {where}"
    if empty[row, column]:
        count = np.count_nonzero(empty[:, column])
        holds = f"has {count:,} empty cells, the first in {where}"
    raise Refusal(
        f"{path}: column {table.names[column]!r} {holds}; {remedy}, --drop leaves the column out"
    )


def _filled(
    X: NDArray[Any], empty: NDArray[np.bool_], fill: str | float, table: Table, path: Path
) -> NDArray[Any]:
    """Return an array with a value for NaN, and note how many there were."""
    names = table.names or [str(k + 1) for k in range(X.shape[1])]
    for axis, what in ((1, table.where), (0, lambda k: f"column {names[k]!r}")):
        if (nothing := empty.all(axis=axis)).any():
            where = what(int(np.argmax(nothing)))
            raise Refusal(f"{path}: {where} has no value, which --fill requires; leave it out")
    table.notes.append(f"filled {np.count_nonzero(empty):,} empty cells with --fill {fill}")
    if isinstance(fill, str):
        fill = getattr(np, f"nan{fill}")(X, axis=0)
    return np.where(empty, fill, X)


# ---- arrays -------------------------------------------------------------------------------------


def _read_npy(path: Path, wanted: Mapping[str, Any]) -> Table:
    names = [*filter(None, [wanted.get("label")]), *(wanted.get("keep") or ())]
    if names:
        raise Refusal(f"{path} has no named columns, so none called {names[0]!r}; use .npz or .csv")
    try:
        return Table(np.load(path, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise Refusal(
            f"cannot read {path}: not an array of numbers written by numpy.save"
        ) from error


def _read_npz(path: Path, wanted: Mapping[str, Any], array: str | None) -> Table:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            _check_fits(sum(part.file_size for part in file.zip.infolist()), path)
            if {"format", "shape", "data"} <= set(names):
                return Table(sparse.load_npz(path).tocsr())
            along = columns_beside(wanted, names, str(path), "array")
            array = chosen_array(file, array, along.names, path)
            columns = {name: file[name] for name in along.names}
            return Table(file[array], columns, along=along)
    except Refusal:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise different ones
        raise Refusal(
            f"cannot read {path}: not arrays of numbers written by numpy.savez"
        ) from error


def _check_fits(n_bytes: int, path: Path) -> None:
    """Check that arrays fit in memory, before they are read."""
    if n_bytes > physical_memory():
        raise Refusal(
            f"cannot read {path}: its arrays take {n_bytes / 1e9:,.0f} GB of memory; write fewer "
            "rows into it"
        )


def chosen_array(
    arrays: Mapping[str, Any], array: str | None, extra: Sequence[str], path: Path
) -> str:
    """Return the name of the array to map: that of --array, else X, else the only matrix."""
    for name in ("X", "") if array is None else (array,):
        if name in arrays:
            return name
    if array is not None:
        raise unknown_name("array", array, arrays, str(path))
    matrices = [name for name in arrays if name not in extra and len(arrays[name].shape) == 2]
    if len(matrices) != 1:
        names = shortened(matrices or list(arrays)) or "none"
        raise Refusal(f"{path} holds {len(matrices)} tables ({names}); choose one with --array")
    return matrices[0]


def _read_h5ad(path: Path, wanted: Mapping[str, Any], array: str | None) -> Table:
    anndata = import_anndata("reading .h5ad")
    import h5py

    if not h5py.is_hdf5(path):
        raise Refusal(f"cannot read {path}: not a file written by AnnData")
    sizes: list[int] = []
    try:
        with h5py.File(path) as file:
            file.visititems(lambda name, item: sizes.append(getattr(item, "nbytes", 0)))
        _check_fits(sum(sizes), path)
        data = anndata.read_h5ad(path)
    except Refusal:
        raise
    except Exception as error:  # h5py, pandas and anndata raise different ones
        raise Refusal(
            f"cannot read {path} by {_versions()}: {error}; is it a file written by AnnData?"
        ) from error
    known = ["X", *data.obsm, *data.layers]
    if array is None:
        array = "X_pca" if "X_pca" in data.obsm else "X"
    if array not in known:
        raise unknown_name("array", array, known, str(path))
    index = str(data.obs.index.name or "index")
    observed = {index: data.obs_names.to_series(), **data.obs}
    along = columns_beside(wanted, list(observed), f"the observations of {path}")
    along = along._replace(row_names=[index])
    X = data.X if array == "X" else (data.obsm if array in data.obsm else data.layers)[array]
    if X is None:
        raise Refusal(f"{path} has no X; choose one of {', '.join(known[1:])} with --array")
    if hasattr(X, "to_numpy"):  # obsm may hold a DataFrame
        X = X.to_numpy()
    columns = {name: observed[name].reset_index(drop=True) for name in along.names}
    return Table(X, columns, [f"mapping {array} of {path.name}"], along=along)


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


# ---- tables with named columns ------------------------------------------------------------------


class Choice(NamedTuple):
    """Which columns of a table are taken."""

    along: Along
    features: list[str] | None  # None: all columns of numbers among `rest`
    rest: list[str]


def choose(
    names: Sequence[str], wanted: Mapping[str, Any], path: Path, written: Format, hint: str = ""
) -> Choice:
    """Find the columns that are wanted; `hint` ends the error for a table of one column."""
    _check_unique(names, path, written)
    try:
        along = columns_beside(wanted, names, str(path))
        features = chosen(wanted.get("features") or (), names, str(path))
        drop = chosen(wanted.get("drop") or (), names, str(path))
    except Refusal as error:
        raise Refusal(f"{error}{hint if len(names) == 1 else ''}") from None
    others = {*drop, *along.names}
    return Choice(along, features or None, [name for name in names if name not in others])


def _check_unique(names: Sequence[str], path: Path, written: Format = _PLAIN) -> None:
    """Check that no two columns have the same name."""
    for name, count in Counter(map(str.strip, names)).items():
        if count > 1:
            is_number = path.suffix != ".parquet" and not np.isnan(numbers([name], written)[0][0])
            data = "; is the first line data? --header no" if is_number else ""
            raise Refusal(f"{path} has more than one column {name!r}; give each its own name{data}")


def _read_text(
    path: Path, wanted: Mapping[str, Any], written: Format, content: bytes | None
) -> Table:
    text = TextTable(path, written, content)
    path = text.path
    choice = choose(text.names, wanted, path, written, text.hint())
    frame, columns = text.frame(choice.along.names)
    table = _from_frame(frame, choice, path, written, text.line, text.hint())
    table.columns, table.notes = columns, text.notes + table.notes
    return table


def _parquet(path: Path, wanted: Mapping[str, Any]) -> Any:
    from fasttsne.cli.large_inputs import open_source

    try:
        return open_source(path, wanted)
    except ImportError as error:
        raise Refusal("reading .parquet needs pyarrow: pip install 'fasttsne[tables]'") from error


def _read_parquet(path: Path, wanted: Mapping[str, Any]) -> Table:
    source = _parquet(path, wanted)
    columns = source.beside(0, source.shape[0])
    X = source.read(0, source.shape[0], finite=False).astype(np.float64)
    return Table(X, columns, list(source.notes), list(source.names), along=source.along)


def _read_excel(path: Path, sheet: str | None) -> tuple[bytes, list[str]]:
    """Return a sheet as the text of a .csv, and a note on other sheets."""
    pandas = import_pandas(".xlsx")
    try:
        book = pandas.ExcelFile(path, engine="openpyxl")
    except ImportError as error:
        raise Refusal("reading .xlsx needs openpyxl: pip install 'fasttsne[excel]'") from error
    except Exception as error:  # zipfile and openpyxl have their own
        raise Refusal(f"cannot read {path}: not a workbook of Excel") from error
    with book:
        sheets = book.sheet_names
        if sheet is not None and sheet not in sheets:
            raise unknown_name("sheet", sheet, sheets, str(path))
        text = {"dtype": object, "keep_default_na": False, "na_values": [""]}
        cells = pandas.read_excel(book, sheet_name=sheet or 0, header=None, **text)
    is_open = sheet is None and len(sheets) > 1
    notes = [f"reading sheet {sheets[0]!r}; --array names another"] if is_open else []
    return cells.to_csv(header=False, index=False).encode(), notes


def _from_frame(
    frame: Any,
    choice: Choice,
    path: Path,
    written: Format,
    where: Callable[[int], str],
    hint: str = "",
) -> Table:
    """Return the table of the columns to map, after a check that they hold numbers."""
    if len(frame) == 0:
        raise Refusal(f"{path} has column names and no rows")
    rest = set(choice.rest)
    names = choice.features or [name for name in frame.columns if name in rest]
    frame = frame[names]
    X = np.empty(frame.shape)
    are_numbers = np.array([dtype.kind in "biuf" for dtype in frame.dtypes], dtype=bool)
    X[:, are_numbers] = frame.loc[:, are_numbers].to_numpy(dtype=np.float64)
    left_out, as_read = dict[str, None](), list[str]()
    others = np.flatnonzero(~are_numbers)
    size = max(1, _CELLS // len(frame))
    for start in range(0, len(others), size):  # many columns at once, as pandas is slow for each
        some = others[start : start + size]
        cells = frame.iloc[:, some].to_numpy(dtype=object)
        values, missing = (part.reshape(cells.shape) for part in numbers(cells.ravel(), written))
        for k, name in enumerate(frame.columns[some]):
            words = np.isnan(values[:, k]) & ~missing[:, k]
            present = cells[~missing[:, k], k] if words.any() else []
            if len(present) and all(isinstance(cell, bool) for cell in present):  # beside gaps
                values[~missing[:, k], k] = present
                words[:], present = False, []
            there = list(map(str, present))
            if units := "".join(sign for sign in UNITS if there and all(sign in t for t in there)):
                values[:, k], _ = numbers(cells[:, k], written, units)
                words = np.isnan(values[:, k]) & ~missing[:, k]
                if not words.any():
                    row = int(np.argmin(missing[:, k]))
                    as_read.append(f"{there[0]} as {values[row, k]:g} in {name!r}")
            remedy = comma_remedy(there, written)
            is_text = np.isnan(values[:, k]).all()
            if is_text and choice.features is None and not remedy:
                left_out[name] = None
            elif words.any():
                row = int(np.argmax(words))
                holds = "holds text" if is_text else "mixes numbers and text"
                cell = str(cells[row, k])[:40]
                raise Refusal(
                    f"{path}: column {name!r} {holds}, {cell!r} in {where(row)}; "
                    f"{remedy or 'correct it'}, or leave the column out (--drop, or not among "
                    "--features)"
                )
        X[:, some] = values
    notes = [f"read without the sign: {shortened(as_read)}"] if as_read else []
    if left_out:
        notes.append(f"columns of text, left out: {shortened(list(left_out))}")
        X = X.compress([name not in left_out for name in names], axis=1)
        names = [name for name in names if name not in left_out]
    if not names:
        raise Refusal(f"{path} has no column of numbers{hint}")
    return Table(X, {}, notes, names, where, written, choice.along)


def values_of(column: Any, written: Format = _PLAIN) -> Any:
    """Return a column that goes along as values to draw: text that is numbers becomes numbers."""
    if isinstance(column, Cells):
        text = np.array([cell or None for cell in column], dtype=object)
        values, _ = numbers(column, written)
        is_name = any(cell[:1] == "0" and cell[1:2].isdigit() for cell in column)  # as "01" is
        if is_name or (np.isnan(values) & (text != None)).any():  # noqa: E711
            return text
        printed = as_printed(column)
        if printed is None or any(isinstance(value, float) for value in printed):
            return values
        return np.array(printed)
    if hasattr(column, "to_pandas"):  # of pyarrow
        return column.to_pandas(integer_object_nulls=True)
    return column


def doubts(table: Table, *, chosen: bool, scaled: bool) -> list[str]:
    """Return notes on columns that number the rows or outweigh other columns.

    `chosen` columns were named by the user; `scaled` ones have the same variance.
    """
    if not table.names:
        return []
    notes = []
    if not chosen and len(table.X) >= _LEAST_ROWS_TO_COUNT:
        # The first rows tell for nearly all columns, and cost little.
        first = table.X[:_LEAST_ROWS_TO_COUNT]
        candidates = np.flatnonzero((np.diff(first, axis=0) > 0).all(axis=0))
        counting = [table.names[k] for k in candidates if _counts(table.X[:, k])]
        if len(counting) == 1:
            notes.append(
                f"column {counting[0]!r} only counts upwards, as identifiers do; "
                f"--drop {counting[0]!r} leaves it out"
            )
        elif counting:
            notes.append(
                f"{len(counting):,} columns only count upwards, as identifiers do: "
                f"{shortened(counting)}; --drop leaves them out"
            )
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


def _counts(column: NDArray[Any]) -> bool:
    return bool((np.diff(column) > 0).all() and (column == np.round(column)).all())
