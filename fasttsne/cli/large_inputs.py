"""Inputs of ``fasttsne map --landmarks``: tables and arrays on disk, read in ranges of rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal, shortened, unknown_name
from fasttsne.cli.options import Along, choose, columns_beside
from fasttsne.cli.read import check_exists, check_kind, check_matrix
from fasttsne.cli.text import Format

_READ = (".parquet", ".pq", ".npy", ".zarr", ".h5", ".hdf5")
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
    check_exists(path, lambda other: other.suffix.lower() in _READ or other.is_dir())
    kind: type[Source] = _KINDS.get(ending, ParquetSource)
    for file in path.rglob("*"):
        check_kind(file, str(file))
    if path.is_dir():
        kind = StoreSource if ending == ".zarr" or is_zarr(path) else ParquetSource
    elif ending in (".csv", ".tsv", ".npz", ".h5ad"):
        raise Refusal(
            f"{path}: --landmarks reads files in blocks, which {ending} does not allow; convert it "
            "to .parquet, .npy, .zarr or .h5, or leave out --landmarks"
        )
    elif ending not in _READ:
        raise Refusal(
            f"{path}: unknown ending {ending!r}; --landmarks reads {', '.join(_READ)} and folders "
            "of .parquet files"
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
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise Refusal(
            f"cannot read {path}: its ending does not fit its content, or it is not whole: {reason}"
        ) from error


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr store."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


def imported(module: str, purpose: str, path: Path) -> Any:
    """Import h5py or zarr; the error names the extra to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = {"h5py": "hdf5"}.get(module, module)
        raise Refusal(
            f"{purpose} {path} needs {module}: pip install 'fasttsne[{extra}]'"
        ) from error


class Source:
    """Rows of numbers and columns beside them; it can be pickled and read by several processes."""

    ndim = 2
    names: Sequence[str] = ()  # of the columns of numbers, where they have names
    notes: Sequence[str] = ()  # for the user, on how the input is read
    is_complete = True  # whether `files` hold all values
    on_read: Callable[[int], None] | None = None  # called with the number of rows just read

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.along = path, Along()
        shape, dtype, chunk_rows = self._inspect(settings)
        check_matrix(shape, dtype, self)
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

    def _inspect(
        self, settings: Mapping[str, Any]
    ) -> tuple[tuple[int, ...], np.dtype[Any], int | None]:
        """Return shape and type of the numbers, and how many rows are stored together."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.path)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.bounds) - 1

    def block(self, number: int) -> tuple[int, int]:
        """Return the first row of a block and the one after its last."""
        return int(self.bounds[number]), int(self.bounds[number + 1])

    def read(self, start: int, stop: int, *, finite: bool = True) -> NDArray[Any]:
        """Return rows of numbers, after a check that they are finite unless told otherwise."""
        try:
            rows = self._read(start, stop).astype(self.dtype, copy=False)
        except (OSError, EOFError, ValueError, LookupError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise Refusal(
                f"cannot read rows {start + 1:,} to {stop:,} of {self.path}: {reason}; is the file "
                "whole?"
            ) from error
        if rows.shape != (stop - start, self.shape[1]):
            raise Refusal(
                f"{self.path} changed while it was read: rows {start + 1:,} to {stop:,} are no "
                "longer all there; start again with --force"
            )
        are_finite = np.isfinite(rows) if finite else np.ones((1, 1), dtype=bool)
        if not are_finite.all():
            faulty = np.flatnonzero(~are_finite.all(axis=1))
            first, column = faulty[0], int(np.argmin(are_finite[faulty[0]]))
            where = f"row {start + first + 1:,}"
            if len(faulty) > 1:
                where = f"rows {start + first + 1:,} to {start + faulty[-1] + 1:,}"
            raise Refusal(
                f"{self.path} holds {rows[first, column]} in {where}, first in "
                f"{self._column_name(column)}; fill in missing values, or leave out these rows"
            )
        if self.on_read is not None:
            self.on_read(len(rows))
        return rows

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        raise NotImplementedError

    def beside(self, start: int, stop: int) -> Any:
        """Return rows of the columns beside the numbers, as a pyarrow.Table."""
        import pyarrow

        return pyarrow.table({})

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
        return {name: value for name, value in vars(self).items() if name != "on_read"}

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        """Return what slices of rows and columns select, as ``dask.array.from_array`` asks."""
        start, stop, step = index[0].indices(self.shape[0])
        return self.read(start, max(start, stop))[::step, index[1]]


# ---- arrays -------------------------------------------------------------------------------------


class NpySource(Source):
    """Rows of an ``.npy`` file.

    The file is not mapped into memory: mapped pages count as memory of the process, and a mapped
    file that is cut short kills it.
    """

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
            shapes = {name: tuple(array.shape) for name, array in arrays.items()}
            self.along = columns_beside(settings, list(shapes), str(self.path), "array")
            self._array = _chosen(shapes, settings.get("array"), self.along.names, self.path)
            chosen = arrays[self._array]
            virtual = getattr(chosen, "is_virtual", False) or getattr(chosen, "external", None)
            self.is_complete = not virtual
            found = shapes[self._array], np.dtype(chosen.dtype), (chosen.chunks or [None])[0]
        for name in self.along.names:
            if shapes[name] != found[0][:1]:
                raise Refusal(
                    f"{self.path}, array {name!r} has shape {shapes[name]}; one value for each of "
                    f"the {found[0][0]:,} rows is needed"
                )
        self.notes = [f"mapping {self._array} of {self.path.name}"] if self._array else []
        return found

    def __str__(self) -> str:
        return f"{self.path}, array {self._array!r}," if self._array else str(self.path)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        if self.path.is_dir():
            yield imported("zarr", "reading", self.path).open(str(self.path), mode="r")
            return
        with imported("h5py", "reading", self.path).File(self.path, "r") as file:
            yield file

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        with self._opened() as store:
            return np.asarray((store[self._array] if self._array else store)[start:stop])

    def beside(self, start: int, stop: int) -> Any:
        """Return arrays of one value per row."""
        import pyarrow

        with self._opened() as store:
            columns = {name: _column(store[name][start:stop]) for name in self.along.names}
            return pyarrow.table(columns)


def _arrays(store: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays in a store by their paths; the path of a store that is one array is ""."""
    if hasattr(store, "shape"):
        if store.shape is not None:  # as of an HDF5 dataset without a value
            yield prefix, store
    elif hasattr(store, "keys"):  # not an HDF5 type that has a name
        for name in store:
            yield from _arrays(store.get(name), f"{prefix}/{name}" if prefix else name)


def _chosen(shapes: dict[str, Any], array: str | None, extra: Sequence[str], path: Path) -> str:
    """Return the path of the array to map."""
    matrices = [name for name, shape in shapes.items() if len(shape) == 2 and name not in extra]
    if array is not None and array not in shapes:
        raise unknown_name("array", array, shapes, str(path))
    for name in (array, "", "X"):
        if name in shapes:
            return str(name)
    if len(matrices) != 1:
        names = ", ".join(list(matrices or shapes)[:8]) or "none"
        raise Refusal(f"{path} holds {len(matrices)} tables ({names}); choose one with --array")
    return matrices[0]


def _column(values: Any) -> Any:
    """Return values as a pyarrow.Array; HDF5 returns text as bytes."""
    import pyarrow

    values = np.asarray(values)
    if values.dtype.kind in "OSUT":
        text = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
        return pyarrow.array(text, pyarrow.string())
    return pyarrow.array(values.astype(values.dtype.newbyteorder("="), copy=False))


# ---- Parquet ------------------------------------------------------------------------------------


class ParquetSource(Source):
    """Rows of a Parquet file, or of all Parquet files in a folder in the order of their names.

    Opening reads the footers only. Row groups are decoded a batch at a time, because one row group
    may be larger than memory.
    """

    def _inspect(self, settings: Mapping[str, Any]) -> Any:
        self._files = self.files()
        self._streams: dict[tuple[str, ...], tuple[int, Any, Any]] = {}
        schema, path = self._read_footers(), self.path
        along, features, rest = choose(schema.names, settings, path, Format())
        # The index of a DataFrame goes along, unless it was asked for or left out.
        there = {*rest, *along.kept} - {*(features or ()), along.label}
        index = [name for name in _index(schema) if isinstance(name, str) and name in there]
        self.along = along._replace(row_names=index)
        rest = [name for name in rest if name not in index]
        if self._starts[-1] == 0:
            raise Refusal(f"{path} has column names and no rows")
        self._features, self.notes = _features(schema, rest, features, path)
        kinds = [schema.field(name).type for name in self._features]
        self._listed, width = _is_list(kinds[0]), len(kinds)
        if self._listed:
            width = getattr(kinds[0], "list_size", -1)
            if width < 0:  # not in the type: the first row decides
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

    def beside(self, start: int, stop: int) -> Any:
        """Return columns in the types that they have in the file."""
        names = self.along.names
        return self._table(names, start, stop) if names else super().beside(start, stop)

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
        rows, done = np.empty((stop - start, self.shape[1]), dtype=self.dtype), 0
        for batch in self._table(self._features, start, stop).to_batches():
            target = rows[done : done + len(batch)]
            if self._listed:
                target[...] = self._lists(batch.column(0), start + done)
            else:
                for number, column in enumerate(batch.columns):  # a missing number becomes NaN
                    values = column.to_numpy(zero_copy_only=False)
                    if values.dtype == object:  # decimals, and booleans beside gaps
                        values = np.where(column.is_null(), np.nan, values)
                    target[:, number] = values
            done += len(batch)
        return rows[:done]

    def _lists(self, column: Any, row: int) -> NDArray[Any]:
        """Return lists of equal lengths as rows."""
        import pyarrow.compute

        width, lengths = self.shape[1], pyarrow.compute.list_value_length(column)
        wrong = np.flatnonzero(lengths.to_numpy(zero_copy_only=False) != width)  # or NaN
        if len(wrong):
            raise Refusal(
                f"{self.path}: the list of column {self._features[0]!r} in row "
                f"{row + wrong[0] + 1:,} does not have {width} numbers like the first; all lists "
                "must have the same length"
            )
        values: NDArray[Any] = pyarrow.compute.list_flatten(column).to_numpy(zero_copy_only=False)
        return values.reshape(-1, width)

    def _table(self, names: Sequence[str], start: int, stop: int) -> Any:
        """Decode rows, going on from where the last call for these columns stopped if possible."""
        import pyarrow

        key = tuple(names)
        # Out of the dict meanwhile: two threads must not share a stream.
        position, rest, batches = self._streams.pop(key, (stop, None, None))
        if position > start:
            group = int(np.searchsorted(self._starts, start, side="right")) - 1
            position, rest, batches = int(self._starts[group]), None, self._batches(group, names)
        taken = []
        while position < stop:
            rest = rest or next(batches, None)
            if rest is None:
                raise EOFError("the file has become shorter")
            first, last = max(start - position, 0), min(stop - position, len(rest))
            if first < last:
                taken.append(rest.slice(first, last - first))
            position, rest = position + last, rest.slice(last) if last < len(rest) else None
        self._streams[key] = position, rest, batches
        return pyarrow.Table.from_batches(taken).select(list(names))

    def _batches(self, group: int, names: Sequence[str]) -> Iterator[Any]:
        """Decode columns batch by batch, from a row group on to the end of the last file."""
        from pyarrow.parquet import ParquetFile

        file, first = self._groups[group]
        for path in self._files[file:]:
            # By default pyarrow buffers whole row groups.
            opened = ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            groups = list(range(first, opened.num_row_groups))
            yield from opened.iter_batches(_BATCH, row_groups=groups, columns=list(names))
            first = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_streams": {}}


def _index(schema: Any) -> list[Any]:
    """Return the columns of a Parquet schema that were the index of a DataFrame."""
    try:
        return list((schema.pandas_metadata or {}).get("index_columns", ()))
    except ValueError:  # metadata that pandas did not write
        return []


def _natural(name: Path) -> list[tuple[int, str]]:
    """Return a key that sorts part 10 after part 9."""
    parts = re.split(r"(\d+)", name.as_posix())
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


def _features(
    schema: Any, rest: list[str], chosen: Sequence[str] | None, path: Path
) -> tuple[list[str], list[str]]:
    """Choose the columns to map by their types; also return notes for the user."""
    kinds = dict(zip(schema.names, schema.types, strict=True))
    if chosen is not None:
        for name in chosen:
            if not _is_number(kinds[name]) and not _is_list(kinds[name]):
                raise Refusal(
                    f"{path}: column {name!r} holds {kinds[name]}, not numbers; leave it out"
                )
            if _is_list(kinds[name]) and len(chosen) > 1:
                raise Refusal(f"--features: {name!r} holds lists, so it must be the only feature")
        return list(chosen), []
    numbers = [name for name in rest if _is_number(kinds[name])]
    lists = [name for name in rest if _is_list(kinds[name])]
    if not numbers and len(lists) == 1:
        return lists, [f"mapping the lists of column {lists[0]}"]
    if not numbers:
        hint = f"; choose one of {', '.join(lists)} with --features" if lists else ""
        raise Refusal(f"{path} has no column of numbers{hint}")
    others = [name for name in rest if not _is_number(kinds[name])]
    return numbers, [f"left out, not numbers: {shortened(others)}"] if others else []


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(check(kind) for check in checks) and _is_number(kind.value_type)


_KINDS: dict[str, type[Source]] = {".npy": NpySource, ".h5": StoreSource, ".hdf5": StoreSource}
