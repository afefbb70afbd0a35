"""Input files of every kind: the numbers to map, and the columns that go along."""

from __future__ import annotations

import argparse
import gzip
import re
import stat
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.anndata import in_memory, representations, usual_representation
from fasttsne.cli.messages import Refusal, check_package, counted, shortened, unknown_name
from fasttsne.cli.options import Along, check_plain, choose, columns_beside, text_format
from fasttsne.cli.text import TEXT, Format, TextTable, kind_of, labels_of
from fasttsne.runtime.memory import physical_memory

#: Endings of files that can be read.
KINDS = (*TEXT, ".npy", ".npz", ".parquet", ".xlsx", ".h5ad")

_NOT_AS_NAMED = {  # of files whose libraries raise another exception for each fault
    ".npy": "not an array of numbers written by numpy.save; objects need .astype(float)",
    ".npz": "not arrays of numbers or text written by numpy.savez; objects need .astype(str)",
    ".xlsx": "not a workbook of Excel",
    ".h5ad": "not a file written by AnnData",
}
COORDINATE = r"tsne\d+"  # a name of a column of a map
_LEAST_ROWS_TO_COUNT = 10  # fewer integers may be in order by chance
_LARGE_RATIO = 100.0  # of standard deviations


@dataclass
class Table:
    """What a file holds."""

    X: Any  # (n_samples, n_features), dense or sparse
    columns: dict[str, Any] = field(default_factory=dict)  # that go along, by name
    notes: list[str] = field(default_factory=list)  # what the user should know of the reading
    names: list[str] = field(default_factory=list)  # of the columns of X; empty without names
    all_names: Sequence[str] = ()  # of all columns of the file
    along: Along = field(default_factory=Along)  # names of `columns`
    where: Callable[[int], str] = lambda row: f"row {row + 1:,}"  # as a message names it
    written: Format | None = None  # of a table of text
    variables: list[str] = field(default_factory=list)  # names of AnnData's for its columns

    @property
    def labels(self) -> Any:
        """The column of the label, as values to draw and to judge by; None without one."""
        if self.along.label is None:
            return None
        labels = values_of(self.columns[self.along.label])
        return labels if self.written is None else labels_of(labels, self.written)

    def page_columns(self) -> dict[str, Any]:
        """Return the columns that go along as values to show, columns of numbers as numbers."""
        values = {name: values_of(column) for name, column in self.columns.items()}
        if self.written is None:
            return values
        return {name: labels_of(column, self.written) for name, column in values.items()}

    def description(self) -> str:
        """Return text like "150 rows of 2 columns: length, width"."""
        n_rows, n_columns = self.X.shape
        named = f": {shortened(self.names)}" if self.names else ""
        return f"{counted(n_rows, 'row')} of {counted(n_columns, 'column')}{named}"


def values_of(column: Any) -> Any:
    """Return a column that goes along for NumPy and pandas; whole numbers stay so beside gaps."""
    if hasattr(column, "to_pandas"):  # of pyarrow
        return column.to_pandas(integer_object_nulls=True)
    return column


def read_input(args: argparse.Namespace, path: Path) -> Table:
    """Read a file with the options of `add_columns`."""
    if args.transpose and (args.label or args.keep):
        raise Refusal("--label and --keep name columns, which --transpose maps; leave them out")
    written, wanted = text_format(args), vars(args)
    table = read_table(path, wanted, array=args.array, written=written, fill=args.fill)
    if args.transpose:
        names = table.names or table.variables
        columns = {"index": np.array(names)} if names else {}
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
        raise Refusal(
            f"--pca {args.pca}: give 1 to {most:,}, the number of principal components that these "
            "data have"
        )
    return PCA(args.pca, random_state=0).fit_transform(X)


def read_table(
    path: Path,
    wanted: Mapping[str, Any] | None = None,
    *,
    array: str | None = None,
    written: Format | None = None,
    fill: str | float | None = None,
) -> Table:
    """Read a file into a `Table` of finite numbers.

    `wanted` has label, keep, features and drop as on the command line; without features all columns
    of numbers are taken, or those whose names match the pattern `preferred`. `fill` replaces NaN.
    """
    wanted, written, kind = wanted or {}, written or Format(), kind_of(path)
    _check_options(path, kind, wanted, array, written)
    failures = Exception if kind in _NOT_AS_NAMED else (OSError, EOFError, zlib.error)
    try:
        if str(path) != "-":  # the libraries report missing permission in other ways
            with open(path, "rb") as file:
                _check_fits(file.seek(0, 2), path)
        if kind.endswith(".gz"):
            with gzip.open(path) as packed:
                _check_fits(packed.seek(int(min(physical_memory() + 1, 1 << 62))), path)
        if kind == ".npy":
            table = _read_npy(path, wanted)
        elif kind == ".npz":
            table = _read_npz(path, wanted, array)
        elif kind == ".h5ad":
            table = _read_h5ad(path, wanted, array)
        elif kind == ".parquet":
            table = _read_parquet(path, wanted)
        elif kind == ".xlsx":
            table = _read_excel(path, wanted, array, written)
        else:
            table = _read_text(TextTable(path, written), wanted)
    except (Refusal, ImportError, MemoryError):
        raise
    except failures as error:
        reason = _NOT_AS_NAMED.get(kind, "it is not what its ending says")
        reason = getattr(error, "strerror", None) or reason
        raise Refusal(f"cannot read {path}: {reason}") from error
    _check_numbers(table, "standard input" if str(path) == "-" else str(path), fill)
    return table


# ---- checks -------------------------------------------------------------------------------------


def _check_options(
    path: Path, kind: str, wanted: Mapping[str, Any], array: str | None, written: Format
) -> None:
    """Check that there is a file of a kind that can be read, and that the options are for it."""
    if path.is_dir():
        raise Refusal(f"{path} is a directory; name a file")
    if str(path) != "-":
        check_exists(path, lambda other: kind_of(other) in KINDS)
    if kind not in KINDS:
        raise Refusal(f"{path}: unknown ending {kind!r}; {', '.join(KINDS)} can be read")
    if kind not in TEXT:
        if kind == ".xlsx":
            written = written._replace(header="auto", decimal=".", thousands=None)
        check_plain(written, path)
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


def _check_numbers(table: Table, path: str, fill: str | float | None) -> None:
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
        table.X = X = _filled(table, empty, fill, path)
    faulty = ~np.isfinite(X)
    if not faulty.any():
        return
    row, column = np.argwhere(faulty)[0]
    holds = f"holds {X[row, column]} in {table.where(row)}"
    remedy = "--fill mean fills it in" if np.isnan(X[row, column]) else "correct it"
    if not table.names:
        raise Refusal(f"{path} {holds}, column {column + 1}; {remedy}, or leave out the row")
    if np.isnan(X[row, column]):
        count = int(empty[:, column].sum())
        if count == len(X):
            raise Refusal(f"{path}: column {table.names[column]!r} is empty; leave it out (--drop)")
        holds = f"has {counted(count, 'empty cell')}, the first in {table.where(row)}"
    raise Refusal(
        f"{path}: column {table.names[column]!r} {holds}; {remedy}, --drop leaves the column out"
    )


def _filled(table: Table, empty: NDArray[np.bool_], fill: str | float, path: str) -> NDArray[Any]:
    """Return the numbers with a value for NaN, and note how many there were."""
    names = table.names or range(1, empty.shape[1] + 1)
    for axis, what in ((1, table.where), (0, lambda k: f"column {str(names[k])!r}")):
        if (nothing := empty.all(axis=axis)).any():
            where = what(int(np.argmax(nothing)))
            raise Refusal(f"{path}: {where} has no value, which --fill requires; leave it out")
    cells = counted(int(empty.sum()), "empty cell")
    table.notes.append(f"filled {cells} with --fill {fill}")
    value = getattr(np, f"nan{fill}")(table.X, axis=0) if isinstance(fill, str) else fill
    return np.where(empty, value, table.X)


# ---- kinds of file ------------------------------------------------------------------------------


def _read_text(text: TextTable, wanted: Mapping[str, Any]) -> Table:
    along, features, rest = choose(text.names, wanted, text.path, text.written, text.hint())
    X, names, columns = text.numbers(features, rest, along.names)
    return Table(X, columns, text.notes, names, text.names, along, text.line, text.written)


def _read_excel(path: Path, wanted: Mapping[str, Any], sheet: str | None, written: Format) -> Table:
    """Read a sheet as the text of a .csv."""
    for module in ("pandas", "openpyxl"):
        check_package("reading .xlsx", module, "tables")
    import pandas

    with pandas.ExcelFile(path, engine="openpyxl") as book:
        sheets = list(map(str, book.sheet_names))
        if sheet is not None and sheet not in sheets:
            raise unknown_name("sheet", sheet, sheets, str(path))
        text = {"dtype": object, "keep_default_na": False, "na_values": [""]}
        cells = pandas.read_excel(book, sheet_name=sheet or 0, header=None, **text)
    table = TextTable(path, written, cells.to_csv(header=False, index=False).encode())
    if sheet is None and len(sheets) > 1:
        table.notes.insert(0, f"reading sheet {sheets[0]!r}; --array names another")
    return _read_text(table, wanted)


def _read_parquet(path: Path, wanted: Mapping[str, Any]) -> Table:
    from fasttsne.cli.large_inputs import open_source

    check_package("reading .parquet", "pyarrow", "tables")
    source = open_source(path, wanted)
    columns = source.beside(0, source.shape[0])
    X = source.read(0, source.shape[0], finite=False).astype(np.float64)
    names = list(source.names)
    return Table(X, columns, list(source.notes), names, source.all_names, source.along)


def _read_npy(path: Path, wanted: Mapping[str, Any]) -> Table:
    names = [*filter(None, [wanted.get("label")]), *(wanted.get("keep") or ())]
    if names:
        raise Refusal(f"{path} has no named columns, so none called {names[0]!r}; use .npz or .csv")
    return Table(np.load(path, allow_pickle=False))


def _read_npz(path: Path, wanted: Mapping[str, Any], array: str | None) -> Table:
    with np.load(path, allow_pickle=False) as file:
        names = list(file.files)
        _check_fits(sum(part.file_size for part in file.zip.infolist()), path)
        if {"format", "shape", "data"} <= set(names):
            return Table(sparse.load_npz(path).tocsr())
        along = columns_beside(wanted, names, str(path), "array")
        X = file[chosen_array(file, array, along.names, path)]
        columns = {name: file[name] for name in along.names}
        check_beside(columns, X.shape, path)
        return Table(X, {name: decoded(column) for name, column in columns.items()}, along=along)


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


def check_beside(columns: Mapping[str, Any], shape: tuple[int, ...], path: Path) -> None:
    """Check that arrays have one value for each row of the array to map."""
    for name, column in columns.items():
        if column.shape != shape[:1]:
            raise Refusal(
                f"{path}, array {name!r} has shape {column.shape}; one value for each of the "
                f"{shape[0]:,} rows is needed"
            )


def decoded(values: NDArray[Any]) -> NDArray[Any]:
    """Return values with text as strings instead of bytes, as HDF5 has it."""
    if values.dtype.kind not in "OS":
        return values
    text = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    return np.array(text, dtype=object)


def _check_fits(n_bytes: int, path: Path) -> None:
    """Check that arrays fit in memory, before they are read."""
    if n_bytes > physical_memory():
        raise Refusal(
            f"cannot read {path}: it takes {n_bytes / 1e9:,.0f} GB of memory or more; write fewer "
            "rows into it"
        )


def _read_h5ad(path: Path, wanted: Mapping[str, Any], array: str | None) -> Table:
    anndata = import_anndata("reading .h5ad")
    import h5py

    sizes: list[int] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: sizes.append(getattr(item, "nbytes", 0)))
    _check_fits(sum(sizes), path)
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # h5py, pandas and anndata raise different ones
        raise Refusal(
            f"cannot read {path} by {_versions()}: {error}; is it a file written by AnnData?"
        ) from error
    arrays = representations(data)
    usual = usual_representation(data)
    array = chosen_array(arrays, array or (usual if usual in arrays else None), (), path)
    X = in_memory(arrays[array])
    index = str(data.obs.index.name or "index")
    observed = {index: data.obs_names.to_series(), **data.obs}
    along = columns_beside(wanted, list(observed), f"the observations of {path}")
    along = along._replace(row_names=[index])
    columns = {name: observed[name].reset_index(drop=True) for name in along.names}
    variables = [] if array in data.obsm else list(data.var_names)
    return Table(X, columns, [f"reading {array} of {path.name}"], along=along, variables=variables)


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
    return anndata


def _versions() -> str:
    names = ("anndata", "pandas")
    return " and ".join(f"{name} {d.version}" for name in names for d in distributions(name=name))


# ---- doubts about columns -----------------------------------------------------------------------


def doubts(table: Table, *, chosen: bool, scaled: bool) -> list[str]:
    """Return notes on columns that number the rows or outweigh other columns.

    `chosen` columns were named by the user; `scaled` ones have the same variance.
    """
    notes, names, X = [], table.names, table.X
    if names and not chosen and len(X) >= _LEAST_ROWS_TO_COUNT:
        # The first rows tell for nearly all columns, and cost little.
        rising = (np.diff(X[:_LEAST_ROWS_TO_COUNT], axis=0) > 0).all(axis=0)
        counting = [names[k] for k in np.flatnonzero(rising) if _counts(X[:, k])]
        suspects = {
            "that only count upwards, as identifiers do": counting,
            "of an earlier map": [name for name in names if re.fullmatch(COORDINATE, name)],
        }
        notes += [
            f"columns {which}: {shortened(columns)}; --drop leaves them out"
            for which, columns in suspects.items()
            if columns
        ]
    if names and not scaled:
        deviation = X.std(axis=0)
        order = np.argsort(deviation, kind="stable")[np.count_nonzero(deviation == 0) :]
        if len(order) > 1:
            # The first quartile, because a single column may vary little by exception.
            small, large = order[(len(order) - 1) // 4], order[-1]
            ratio = deviation[large] / deviation[small]
            if ratio >= _LARGE_RATIO:
                notes.append(
                    f"column {names[large]!r} varies {ratio:,.0f} times as much as "
                    f"{names[small]!r}; --standardize gives all columns the same weight"
                )
    return notes


def _counts(column: NDArray[Any]) -> bool:
    return bool((np.diff(column) > 0).all() and (column == np.round(column)).all())
