"""Tables in Parquet, one file or a folder of them, read by row groups or pieces of these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.blocks.source import BLOCK_BYTES, BLOCK_ROWS, Source
from fasttsne.cli.messages import Refusal, unknown_name

_BUFFER = 1 << 16  # bytes of a column that are fetched at a time
_BATCH = 1 << 14  # rows


class Piece(NamedTuple):
    """Rows of a row group.

    Attributes
    ----------
    file, group : int
        Which one.
    start, n_rows : int
        Its first row, counted in the group, and how many.
    """

    file: int
    group: int
    start: int
    n_rows: int


class ParquetSource(Source):
    """Rows of a Parquet file, or of all in a folder, in the order of their names.

    Nothing but the footers is read to open one. Numbers in names count as numbers, so that part 10
    comes after part 9. A row group that is larger than a block is decoded piece by piece.

    Parameters
    ----------
    path : pathlib.Path
        The file or the folder.

    extra : sequence of str
        Columns that go along.

    features : sequence of str or None
        The columns to map. None takes all that hold numbers, but for those in `extra` and `drop`;
        if there are none, the only column of lists of numbers.

    drop : sequence of str
        Columns to leave out.

    block_rows : int or None, default=None
        Rows of a block at the most; None chooses.
    """

    def __init__(
        self,
        path: Path,
        extra: Sequence[str],
        features: Sequence[str] | None,
        drop: Sequence[str],
        block_rows: int | None = None,
    ) -> None:
        self.path = path
        self._files = parquet_files(path)
        self._streams: dict[tuple[Any, ...], _Stream] = {}
        schema, groups = self._footers()
        known = list(schema.names)
        for name in (*extra, *(features or ()), *drop):
            if name not in known:
                raise unknown_name("column", name, known, str(path))
        doubled = sorted({name for name in known if known.count(name) > 1})
        if doubled:
            raise Refusal(f"{path} has more than one column {doubled[0]!r}; give each its own name")
        if not any(piece.n_rows for piece in groups):
            raise Refusal(f"{path} has column names and no rows")
        rest = [name for name in known if name not in extra and name not in drop]
        self._features, notes = _features(schema, rest, features, path)
        self._listed = _is_list(schema.field(self._features[0]).type)
        self._pieces: list[list[Piece]] = []
        n_features, dtype = len(self._features), _dtype(schema, self._features)
        if self._listed:
            n_features = self._list_width(schema, next(piece for piece in groups if piece.n_rows))
        rows = block_rows or max(1, min(BLOCK_ROWS, BLOCK_BYTES // (n_features * dtype.itemsize)))
        self._pieces = list(_blocks(groups, rows))
        sizes = [sum(piece.n_rows for piece in block) for block in self._pieces]
        bounds = np.append(0, np.cumsum(sizes)).astype(np.int64)
        super().__init__(path, n_features, dtype, bounds, notes)

    def files(self) -> list[Path]:
        """List the files that the table is of, as they are there now.

        Returns
        -------
        files : list of pathlib.Path
            In order.
        """
        return parquet_files(self.path)

    @property
    def names(self) -> Sequence[str]:
        """What the columns of numbers are called; none where all are of one list."""
        return () if self._listed else self._features

    def feature(self, column: int) -> str:
        """Name a column of numbers, as an error does.

        Parameters
        ----------
        column : int
            From 0.

        Returns
        -------
        name : str
            Its name, and its number where it is one of a list.
        """
        if self._listed:
            return f"column {self._features[0]!r}, number {column + 1}"
        return f"column {self._features[column]!r}"

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        rows = np.empty((stop - start, self.shape[1]), dtype=self.dtype)
        done = 0
        for table in self._tables(self._features, start, stop):
            target = rows[done : done + len(table)]
            if self._listed:
                target[...] = self._lists(table.column(0), start + done)
            else:
                for number, column in enumerate(table.columns):
                    target[:, number] = _numbers(column)
            done += len(table)
        return rows[:done]

    def columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """Read rows of columns that go along.

        Parameters
        ----------
        names : sequence of str
            What they are called.

        start, stop : int
            The first row, and the one after the last.

        Returns
        -------
        columns : dict of str to pyarrow.ChunkedArray
            In the types that they have in the file.
        """
        if not names:
            return {}
        import pyarrow

        table = pyarrow.concat_tables(list(self._tables(list(names), start, stop)))
        return {name: table.column(name) for name in names}

    def gaps(self, names: Sequence[str]) -> frozenset[str]:
        """Tell which columns have, or may have, empty cells, by the statistics in the footers.

        Parameters
        ----------
        names : sequence of str
            Columns that go along.

        Returns
        -------
        names : frozenset of str
            Some of them.
        """
        found: set[str] = set()
        for path in self._files if names else ():
            metadata = open_parquet(path).metadata
            for group in range(metadata.num_row_groups):
                for number in range(metadata.num_columns):
                    column = metadata.row_group(group).column(number)
                    statistics = column.statistics
                    if statistics is None or statistics.null_count != 0:
                        found.add(column.path_in_schema)
        return frozenset(found.intersection(names))

    # ---- reading --------------------------------------------------------------------------------

    def _tables(self, names: list[str], start: int, stop: int) -> Iterator[Any]:
        """Read the pieces that rows lie in, cut to these rows."""
        block = int(np.searchsorted(self.bounds, start, side="right")) - 1
        row = int(self.bounds[block])
        while row < stop:
            for piece in self._pieces[block]:
                first, last = max(start - row, 0), min(stop - row, piece.n_rows)
                if first < last:
                    yield self._piece(names, piece, first, last)
                row += piece.n_rows
            block += 1

    def _piece(self, names: list[str], piece: Piece, first: int, last: int) -> Any:
        key = (piece.file, piece.group, *names)
        # Two readers never share a stream: whoever takes one out puts it back.
        stream = self._streams.pop(key, None)
        if stream is None or stream.position > piece.start + first:
            self._streams = {k: s for k, s in self._streams.items() if k[2:] != key[2:]}
            try:
                stream = _Stream(self._files[piece.file], piece.group, names)
            except (KeyError, IndexError) as error:
                raise EOFError("its columns are others than before") from error
        table = stream.take(piece.start + first, last - first)
        self._streams[key] = stream
        return table

    def _lists(self, column: Any, row: int) -> NDArray[Any]:
        """Turn lists of equal lengths into rows."""
        import pyarrow.compute

        width = self.shape[1]
        lengths = pyarrow.compute.list_value_length(column).to_numpy()
        wrong = np.flatnonzero(lengths != width)  # a missing list has length NaN
        if len(wrong):
            raise Refusal(
                f"{self.path}: the list of column {self._features[0]!r} in row "
                f"{row + wrong[0] + 1:,} has not {width} numbers as the first has; make all equal"
            )
        return _numbers(pyarrow.compute.list_flatten(column)).reshape(-1, width)

    def _list_width(self, schema: Any, piece: Piece) -> int:
        """Tell how many numbers a list has: by the type, or as the first row has."""
        width = getattr(schema.field(self._features[0]).type, "list_size", -1)
        if width < 0:
            first = self._piece(self._features, piece, 0, 1).column(0)[0].as_py()
            width = len(first or ())
        if width < 1:
            raise Refusal(f"{self.path}: column {self._features[0]!r} begins with an empty list")
        return int(width)

    def _footers(self) -> tuple[Any, list[Piece]]:
        """Read what columns there are, and all row groups."""
        schema, groups = None, []
        for number, name in enumerate(self._files):
            file = open_parquet(name)
            if schema is None:
                schema = file.schema_arrow
            elif file.schema_arrow.names != schema.names or file.schema_arrow.types != schema.types:
                raise Refusal(
                    f"{name} has other columns than {self._files[0]}; {self.path} must hold one "
                    "table"
                )
            groups += [
                Piece(number, group, 0, file.metadata.row_group(group).num_rows)
                for group in range(file.metadata.num_row_groups)
            ]
        return schema, groups

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_streams": {}}


class _Stream:
    """A row group, decoded on from where the last piece ended."""

    def __init__(self, path: Path, group: int, names: list[str]) -> None:
        # A buffer of the whole row group, which is the default, can be larger than memory.
        file = open_parquet(path, buffer_size=_BUFFER, pre_buffer=False)
        self._file, self._names = file, names
        self._batches = file.iter_batches(_BATCH, row_groups=[group], columns=names)
        self._rest: Any = None
        self.position = 0

    def take(self, start: int, n_rows: int) -> Any:
        """Decode rows, none of which lies before `position`."""
        import pyarrow

        stop, taken = start + n_rows, []
        while self.position < stop:
            if not self._rest:
                self._rest = next(self._batches, None)
            if not self._rest:
                raise EOFError("the file has become shorter")
            here = len(self._rest)
            first, last = max(start - self.position, 0), min(stop - self.position, here)
            if first < last:
                taken.append(self._rest.slice(first, last - first))
            step = min(last, here)
            self._rest = self._rest.slice(step)
            self.position += step
        return pyarrow.Table.from_batches(taken).select(self._names)


def parquet_files(path: Path) -> list[Path]:
    """List the files of a table.

    Parameters
    ----------
    path : pathlib.Path
        A file, or a folder of files with the ending ``.parquet``, in folders of their own or not.
        What begins with a dot or an underscore is not part of a table.

    Returns
    -------
    files : list of pathlib.Path
        In the order of their names; numbers in these count as numbers.

    Raises
    ------
    Refusal
        If there are none in the folder.
    """
    if not path.is_dir():
        return [path]
    files = [
        file
        for file in path.rglob("*")
        if file.suffix.lower() in (".parquet", ".pq")
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    if not files:
        raise Refusal(f"{path} is a directory without .parquet files, and no Zarr store")
    return sorted(files, key=lambda file: _natural(file.relative_to(path).as_posix()))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]


def open_parquet(path: Path, **options: Any) -> Any:
    """Open a file and read its footer.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    **options
        For ``pyarrow.parquet.ParquetFile``.

    Returns
    -------
    file : pyarrow.parquet.ParquetFile
        The file.

    Raises
    ------
    Refusal
        If pyarrow is missing, or the file is empty or not Parquet.
    """
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise Refusal("reading .parquet needs pyarrow: pip install 'fasttsne[tables]'") from error
    if path.stat().st_size == 0:
        raise Refusal(f"{path} is empty")
    try:
        return ParquetFile(path, **options)
    except (ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Refusal(f"cannot read {path}: not a Parquet file, or not a whole one") from error


def _blocks(groups: Sequence[Piece], rows: int) -> Iterator[list[Piece]]:
    """Gather small row groups, and cut large ones, into blocks of about so many rows."""
    block: list[Piece] = []
    room = rows
    for group in groups:
        if group.n_rows == 0:
            continue
        if group.n_rows > room and block:
            yield block
            block, room = [], rows
        if group.n_rows <= rows:
            block.append(group)
            room -= group.n_rows
            continue
        n_pieces = -(-group.n_rows // rows)
        cuts = np.linspace(0, group.n_rows, n_pieces + 1).astype(int).tolist()
        for start, stop in pairwise(cuts):
            yield [Piece(group.file, group.group, start, stop - start)]
    if block:
        yield block


# ---- columns ------------------------------------------------------------------------------------


def _features(
    schema: Any, rest: list[str], chosen: Sequence[str] | None, path: Path
) -> tuple[list[str], list[str]]:
    """Choose the columns to map, by their types alone."""
    if chosen is not None:
        lists = [name for name in chosen if _is_list(schema.field(name).type)]
        if lists and len(chosen) > 1:
            raise Refusal(f"--features: {lists[0]!r} holds lists, which are mapped alone")
        for name in chosen:
            kind = schema.field(name).type
            if not _is_number(kind) and not _is_list(kind):
                raise Refusal(f"{path}: column {name!r} holds {kind}, not numbers; leave it out")
        if not chosen:
            raise Refusal("--features names no column")
        return list(chosen), []
    index = set(_index_columns(schema))
    rest = [name for name in rest if name not in index]
    numbers = [name for name in rest if _is_number(schema.field(name).type)]
    lists = [name for name in rest if _is_list(schema.field(name).type)]
    if not numbers and len(lists) == 1:
        return lists, [f"mapping the lists of column {lists[0]}"]
    if not numbers:
        hint = f"; choose one of {', '.join(lists)} with --features" if lists else ""
        raise Refusal(f"{path} has no column of numbers{hint}")
    others = [name for name in rest if name not in numbers]
    return numbers, ["left out, being no numbers: " + ", ".join(others)] if others else []


def _index_columns(schema: Any) -> list[str]:
    """List the columns that pandas wrote as the index of a table."""
    try:
        columns = (schema.pandas_metadata or {}).get("index_columns", ())
    except ValueError:  # not what pandas writes
        return []
    return [name for name in columns if isinstance(name, str)]


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
        and _is_number(kind.value_type)
    )


def _dtype(schema: Any, names: Sequence[str]) -> np.dtype[Any]:
    """Choose single precision where it holds all columns as they are."""
    from pyarrow import types

    kinds = [schema.field(name).type for name in names]
    kinds = [kind.value_type if _is_list(kind) else kind for kind in kinds]
    single = all(
        types.is_boolean(kind)
        or (
            not types.is_decimal(kind) and kind.bit_width <= (32 if types.is_floating(kind) else 16)
        )
        for kind in kinds
    )
    return np.dtype(np.float32 if single else np.float64)


def _numbers(column: Any) -> NDArray[Any]:
    """Turn a column into floats; what is missing becomes NaN."""
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_boolean(kind):
        column = column.cast(pyarrow.int8())
    elif types.is_decimal(kind):
        column = column.cast(pyarrow.float64())
    values: NDArray[Any] = np.asarray(column.to_numpy())
    return values
