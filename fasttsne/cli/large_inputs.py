"""Inputs of ``fasttsne map --landmarks``: tables and arrays on disk, read in ranges of rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli import read
from fasttsne.cli.messages import Refusal, check_package, reason_of, shortened
from fasttsne.cli.options import Along, choose, columns_beside
from fasttsne.cli.text import Format

_BLOCK_BYTES = 32 << 20  # of a block, unless chunks of the file or --block-rows ask otherwise
_BLOCK_ROWS = 1 << 18  # of a block at most
_LARGEST_CHUNK_BYTES = 8 * _BLOCK_BYTES  # chunks up to this size are blocks
_LARGEST_READ = 2 * _LARGEST_CHUNK_BYTES  # bytes of the chunks that hold a row, at most
_MOST_PACKED = 10_000  # times that compressed values may be smaller
_MOST_BLOCKS = 1_000_000
_BUFFER = 1 << 16  # bytes of a Parquet column that are fetched at a time
_BATCH = 1 << 14  # rows of Parquet that are decoded at a time


def open_source(path: Path, settings: Mapping[str, Any]) -> Source:
    """Open an input and check its columns; no rows are read."""
    ending = path.suffix.lower()
    if str(path) == "-":
        raise Refusal("--landmarks reads INPUT several times; write standard input to a file first")
    read.check_exists(path, lambda other: other.suffix.lower() in _KINDS or other.is_dir())
    for file in path.rglob("*"):
        read.check_kind(file, str(file))
    kind = _KINDS.get(ending)
    if path.is_dir():
        kind = StoreSource if ending == ".zarr" or is_zarr(path) else ParquetSource
    if kind is None:
        raise Refusal(
            f"{path}: --landmarks reads files in blocks, not {ending!r} but {', '.join(_KINDS)} "
            "and folders of .parquet files; convert it, or leave out --landmarks"
        )
    if settings.get("array") and kind is not StoreSource:
        raise Refusal(f"--array is for HDF5 and Zarr; {path.name} holds one table")
    if kind is not ParquetSource and ("features" in settings or settings.get("drop")):
        raise Refusal(f"--features and --drop are for tables with named columns, not {path.name}")
    try:
        return kind(path, settings)
    except (Refusal, ImportError):
        raise
    except Exception as error:  # numpy, pyarrow, h5py and zarr have their own
        raise Refusal(
            f"cannot read {path}: its ending does not fit its content, or it is not whole: "
            f"{reason_of(error)}"
        ) from error


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr store."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


class Source:
    """Rows of numbers and columns beside them; it can be pickled and read by several processes."""

    ndim = 2
    names: Sequence[str] = ()  # of the columns of numbers, where they have names
    all_names: Sequence[str] = ()  # of all columns
    notes: Sequence[str] = ()  # for the user, on how the input is read
    is_complete = True  # whether `files` hold all values
    on_read: Callable[[int], None] | None = None  # called with the row after the last one read
    # Defined by every kind of input: shape, type of the numbers, and rows that are stored together;
    _inspect: Callable[[Mapping[str, Any]], Any]
    _read: Callable[[int, int], NDArray[Any]]  # and rows of numbers

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.along = path, Along()
        shape, dtype, chunk_rows = self._inspect(settings)
        read.check_matrix(shape, dtype, self)
        self.shape, self.dtype = (int(shape[0]), int(shape[1])), dtype.newbyteorder("=")
        row_bytes, wanted = self.shape[1] * dtype.itemsize, settings.get("block_rows")
        size = wanted or max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // row_bytes))
        if chunk_rows and not wanted:  # a chunk is read as a whole
            if chunk_rows <= size:
                size -= size % chunk_rows
            elif chunk_rows * row_bytes <= _LARGEST_CHUNK_BYTES:
                size = chunk_rows
        self._check_size(row_bytes, size, min(chunk_rows or 1, self.shape[0]))
        self.bounds = np.append(np.arange(0, shape[0], size), shape[0])  # of blocks
        self.lengths = tuple(np.diff(self.bounds).tolist())  # of blocks

    def _check_size(self, row_bytes: int, size: int, chunk_rows: int) -> None:
        """Refuse what would take days to read: rows that are not there, and chunks of many rows."""
        n_rows, n_bytes = self.shape[0], self.shape[0] * row_bytes
        stored = sum(file.stat().st_size for file in self.files())
        if self.is_complete and n_bytes > _MOST_PACKED * max(stored, 1 << 20):
            raise Refusal(
                f"{self} has {n_rows:,} rows, {n_bytes / 1e9:,.0f} GB, but {stored / 1e9:.3f} GB "
                "are stored; write all rows, or give an array of the rows that are there"
            )
        if size < chunk_rows and chunk_rows * row_bytes > _LARGEST_READ:
            raise Refusal(
                f"{self} is stored in chunks of {chunk_rows:,} rows, and each block of {size:,} "
                f"would read {chunk_rows * row_bytes / 1e9:,.1f} GB; write it in chunks of fewer "
                f"rows, or give --block-rows {chunk_rows}"
            )
        if n_rows > _MOST_BLOCKS * size:
            raise Refusal(
                f"{self} has {n_rows:,} rows, more than {_MOST_BLOCKS:,} blocks of {size:,}; map "
                "parts of it, or give a larger --block-rows"
            )

    def __str__(self) -> str:
        return str(self.path)

    def block(self, number: int) -> tuple[int, int]:
        """Return the first row of a block and the one after its last."""
        return int(self.bounds[number]), int(self.bounds[number + 1])

    def read(self, start: int, stop: int, *, finite: bool = True) -> NDArray[Any]:
        """Return rows of numbers, after a check that they are finite unless told otherwise."""
        try:
            rows = self._read(start, stop).astype(self.dtype, copy=False)
        except (OSError, EOFError, ValueError, LookupError) as error:
            raise Refusal(
                f"cannot read rows {start + 1:,} to {stop:,} of {self.path}: {reason_of(error)}; "
                "is the file whole?"
            ) from error
        if rows.shape != (stop - start, self.shape[1]):
            raise Refusal(
                f"{self.path} changed while it was read: rows {start + 1:,} to {stop:,} are no "
                "longer all there; start again with --force"
            )
        if finite and not (are_finite := np.isfinite(rows)).all():
            faulty = np.flatnonzero(~are_finite.all(axis=1))
            row, column = faulty[0], int(np.argmin(are_finite[faulty[0]]))
            first, last = start + 1 + faulty[[0, -1]]
            where = f"row {first:,}" if first == last else f"rows {first:,} to {last:,}"
            raise Refusal(
                f"{self.path} holds {rows[row, column]} in {where}, first in "
                f"{self._column_name(column)}; fill in missing values, or leave out these rows"
            )
        if self.on_read is not None:
            self.on_read(stop)
        return rows

    def beside(self, start: int, stop: int) -> dict[str, Any]:
        """Return rows of the columns beside the numbers, as pyarrow.ChunkedArrays."""
        return {}

    def files(self) -> list[Path]:
        """List the files of the input as they are now."""
        if self.path.is_file():
            return [self.path]
        return [file for file in self.path.rglob("*") if file.is_file()]

    def identity(self) -> dict[str, Any]:
        """Return what shows whether the input has changed: schema, and names, sizes and times."""
        facts = [
            (file.relative_to(self.path).as_posix(), file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(self.files())
        ]
        return {
            "bytes": sum(size for _, size, _ in facts),
            "digest": hashlib.sha256(repr(facts).encode()).hexdigest(),
            "schema": [*self.shape, self.dtype.str, *self.names],
        }

    def _column_name(self, column: int) -> str:
        return f"column {column + 1}"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "on_read": None, "_streams": {}}

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        """Return what slices of rows and columns select, as ``dask.array.from_array`` asks."""
        start, stop, step = index[0].indices(self.shape[0])
        return self.read(start, max(start, stop))[::step, index[1]]


# ---- arrays -------------------------------------------------------------------------------------


class NpySource(Source):
    """Rows of an ``.npy`` file, not mapped: one that is cut short would kill the process."""

    def _inspect(self, settings: Mapping[str, Any]) -> Any:
        if named := [*filter(None, [settings.get("label")]), *settings.get("keep", ())]:
            raise Refusal(
                f"{self.path} has no named columns, so none called {named[0]!r}; use "
                ".parquet, .zarr or .h5"
            )
        array: Any = np.load(self.path, mmap_mode="r")
        self._offset, self._stored = array.offset, array.dtype
        self._by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
        return array.shape, array.dtype, None

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        n_rows, width = self.shape
        if not self._by_columns:
            return self._values(start * width, (stop - start) * width).reshape(-1, width)
        columns = [self._values(k * n_rows + start, stop - start) for k in range(width)]
        return np.stack(columns, axis=1)

    def _values(self, first: int, count: int) -> NDArray[Any]:
        offset = self._offset + first * self._stored.itemsize
        return np.fromfile(self.path, self._stored, count, offset=offset)


class StoreSource(Source):
    """Rows of an array in an HDF5 file or a Zarr store, which may hold others."""

    def _inspect(self, settings: Mapping[str, Any]) -> Any:
        with self._opened() as store:
            arrays = dict(_arrays(store))
            self.along = columns_beside(settings, list(arrays), str(self.path), "array")
            wanted, beside = settings.get("array"), self.along.names
            self._array = read.chosen_array(arrays, wanted, beside, self.path)
            X = arrays[self._array]
            self.is_complete = not (getattr(X, "is_virtual", False) or getattr(X, "external", None))
            read.check_beside({name: arrays[name] for name in beside}, X.shape, self.path)
            self.notes = [f"reading {self._array} of {self.path.name}"] if self._array else []
            return X.shape, np.dtype(X.dtype), (X.chunks or [None])[0]

    def __str__(self) -> str:
        return f"{self.path}, array {self._array!r}," if self._array else str(self.path)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        if self.path.is_dir():
            check_package(f"reading {self.path}", "zarr", "dask")
            import zarr

            yield zarr.open(str(self.path), mode="r")
            return
        check_package(f"reading {self.path}", "h5py", "dask")
        import h5py

        with h5py.File(self.path, "r") as file:
            yield file

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        with self._opened() as store:
            return np.asarray((store[self._array] if self._array else store)[start:stop])

    def beside(self, start: int, stop: int) -> dict[str, Any]:
        """Return arrays of one value per row."""
        with self._opened() as store:
            return {name: _column(store[name][start:stop]) for name in self.along.names}


def _arrays(store: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays in a store by their paths; the path of a store that is one array is ""."""
    if hasattr(store, "shape"):
        if store.shape is not None:  # as of an HDF5 dataset without a value
            yield prefix, store
    elif hasattr(store, "keys"):  # not an HDF5 type that has a name
        for name in store:
            yield from _arrays(store.get(name), f"{prefix}/{name}" if prefix else name)


def _column(values: Any) -> Any:
    """Return values as a pyarrow.ChunkedArray; HDF5 returns text as bytes."""
    import pyarrow

    values = read.decoded(np.asarray(values))
    if values.dtype.kind in "OUT":
        return pyarrow.chunked_array([values.tolist()], pyarrow.string())
    return pyarrow.chunked_array([values.astype(values.dtype.newbyteorder("="), copy=False)])


# ---- Parquet ------------------------------------------------------------------------------------


class ParquetSource(Source):
    """Rows of a Parquet file, or of all in a folder in the order of their names.

    Row groups are decoded a batch at a time, because one may be larger than memory.
    """

    def _inspect(self, settings: Mapping[str, Any]) -> Any:
        self._files = self.files()
        self._streams: dict[tuple[str, ...], tuple[Any, int, Any]] = {}
        schema, path = self._read_footers(), self.path
        self.all_names = schema.names
        along, features, rest = choose(schema.names, settings, path, Format())
        # The index of a DataFrame goes along, unless it was asked for or left out.
        there = {*rest, *along.kept} - {*(features or ()), along.label}
        index = (schema.pandas_metadata or {}).get("index_columns", ())
        index = [name for name in index if isinstance(name, str) and name in there]
        self.along = along._replace(row_names=index)
        rest = [name for name in rest if name not in index]
        if self._starts[-1] == 0:
            raise Refusal(f"{path} has column names and no rows")
        self._features, self.notes = _features(schema, rest, features, path)
        kinds = [schema.field(name).type for name in self._features]
        self._listed, width = _is_list(kinds[0]), len(kinds)
        if self._listed:
            width = len(self._table(self._features, 0, 1).column(0)[0].as_py() or ())
            if width < 1:
                raise Refusal(f"{path}: column {self._features[0]!r} begins with an empty list")
            kinds = [kinds[0].value_type]
        self.names = [] if self._listed else self._features
        # Single precision if it holds all columns exactly; a decimal is an object to NumPy.
        dtype = np.result_type(np.float32, *(kind.to_pandas_dtype() for kind in kinds))
        dtype = np.dtype(np.float64) if dtype.kind == "O" else dtype
        return (int(self._starts[-1]), width), dtype, None

    def files(self) -> list[Path]:
        """List the files of the table; numbers in their names are compared as numbers."""
        if self.path.is_file():
            return [self.path]
        names = [path.relative_to(self.path) for path in super().files()]
        names = [name for name in names if name.suffix.lower() in (".parquet", ".pq")]
        # As usual, names that begin with a dot or an underscore are not part of the table.
        names = [name for name in names if not re.search(r"(^|/)[._]", name.as_posix())]
        if not names:
            raise Refusal(f"{self.path} is a directory without .parquet files, and no Zarr store")
        return [self.path / name for name in sorted(names, key=_natural)]

    def beside(self, start: int, stop: int) -> dict[str, Any]:
        """Return columns in the types that they have in the file."""
        if not (names := self.along.names):
            return {}
        return dict(zip(names, self._table(names, start, stop).columns, strict=True))

    def _column_name(self, column: int) -> str:
        if self._listed:
            return f"column {self._features[0]!r}, number {column + 1}"
        return f"column {self._features[column]!r}"

    def _read_footers(self) -> Any:
        """Return the schema; keep the file and number of every row group, and where it starts."""
        from pyarrow.parquet import ParquetFile

        schema, lengths = None, []
        self._groups: list[tuple[int, int]] = []
        for number, path in enumerate(self._files):
            file = ParquetFile(path)
            schema = schema or file.schema_arrow
            if not file.schema_arrow.equals(schema):
                raise Refusal(
                    f"{path} has other columns than {self._files[0]}; {self.path} must hold one "
                    "table"
                )
            self._groups += [(number, group) for group in range(file.num_row_groups)]
            lengths += [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        self._starts = np.append(0, np.cumsum(lengths, dtype=np.int64))
        return schema

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        table = self._table(self._features, start, stop)
        if self._listed:
            return self._lists(table.column(0), start)
        rows = np.empty((len(table), len(self._features)), dtype=self.dtype)
        for number, column in enumerate(table.columns):
            rows[:, number] = column.to_numpy()  # a missing number becomes NaN
        return rows

    def _lists(self, column: Any, start: int) -> NDArray[Any]:
        """Return lists of equal lengths as rows."""
        import pyarrow.compute

        width, lengths = self.shape[1], pyarrow.compute.list_value_length(column)
        wrong = np.flatnonzero(lengths.to_numpy() != width)  # or NaN
        if len(wrong):
            raise Refusal(
                f"{self.path}: the list of column {self._features[0]!r} in row "
                f"{start + wrong[0] + 1:,} does not have {width} numbers like the first; all lists "
                "must have the same length"
            )
        return pyarrow.compute.list_flatten(column).to_numpy().reshape(-1, width)

    def _table(self, names: Sequence[str], start: int, stop: int) -> Any:
        """Decode rows, going on from where the last call for these columns stopped if possible."""
        import pyarrow

        key = tuple(names)
        # Out of the dict meanwhile: two threads must not share a stream.
        batches, row, batch = self._streams.pop(key, (None, start + 1, None))
        if row > start:
            batches = self._batches(names, start)
            row, batch = next(batches)
        while row + len(batch) <= start:
            row, batch = next(batches)
        skipped, taken = start - row, [batch]
        while row + len(batch) < stop:
            row, batch = next(batches)
            taken.append(batch)
        self._streams[key] = batches, row, batch
        return pyarrow.Table.from_batches(taken).slice(skipped, stop - start).select(list(names))

    def _batches(self, names: Sequence[str], start: int) -> Iterator[tuple[int, Any]]:
        """Yield the first row and the values of every batch, from the row group of `start` on."""
        from pyarrow.parquet import ParquetFile

        group = int(np.searchsorted(self._starts, start, side="right")) - 1
        (file, first), row = self._groups[group], int(self._starts[group])
        for path in self._files[file:]:
            # By default pyarrow buffers whole row groups.
            opened = ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            groups = list(range(first, opened.num_row_groups))
            for batch in opened.iter_batches(_BATCH, row_groups=groups, columns=list(names)):
                yield row, batch
                row += len(batch)
            first = 0
        raise EOFError("the file has become shorter")


def _natural(name: Path) -> list[tuple[int, str]]:
    """Return a key that sorts part 10 after part 9."""
    parts = re.split(r"(\d+)", name.as_posix())
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


def _features(
    schema: Any, rest: list[str], chosen: Sequence[str] | None, path: Path
) -> tuple[list[str], list[str]]:
    """Choose the columns to map by their types; also return notes for the user."""
    kinds = dict(zip(schema.names, schema.types, strict=True))
    names = rest if chosen is None else chosen
    numbers = [name for name in names if _is_number(kinds[name])]
    lists = [name for name in names if _is_list(kinds[name])]
    others = [name for name in names if not _is_number(kinds[name])]
    if chosen is not None and others:
        name = others[0]
        if name not in lists:
            raise Refusal(f"{path}: column {name!r} holds {kinds[name]}, not numbers; leave it out")
        if len(chosen) > 1:
            raise Refusal(f"--features: {name!r} holds lists, so it must be the only feature")
    if numbers:
        return numbers, [f"left out, not numbers: {shortened(others)}"] if others else []
    if len(lists) == 1:
        return lists, [f"mapping the lists of column {lists[0]}"]
    hint = f"; choose one of {', '.join(lists)} with --features" if lists else ""
    raise Refusal(f"{path} has no column of numbers{hint}")


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(check(kind) for check in checks) and _is_number(kind.value_type)


#: Endings that can be read.
_KINDS: dict[str, type[Source]] = {
    **dict.fromkeys((".parquet", ".pq"), ParquetSource),
    ".npy": NpySource,
    **dict.fromkeys((".zarr", ".h5", ".hdf5"), StoreSource),
}
