"""A map and the columns beside it, written block by block."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fasttsne.cli.blocks.stores import imported
from fasttsne.cli.messages import Refusal
from fasttsne.cli.write import check_output, coordinates, frame_of_text

#: Endings of what a map can be written to block by block.
KINDS = (".parquet", ".npy", ".zarr", ".h5", ".hdf5", ".csv", ".tsv")

#: Places of a block of rows, and what stands beside them.
Blocks = Iterable[tuple[NDArray[np.float32], Mapping[str, Any]]]

_CHUNK_ROWS = 1 << 16  # of an array in HDF5 or Zarr
_ZARR = ("zarr.json", ".zgroup", ".zarray")


def check_map(path: Path, force: bool, *, with_columns: bool) -> None:
    """Refuse an output that could not, or should not, be written.

    Parameters
    ----------
    path : pathlib.Path
        The map that is to be.

    force : bool
        Whether one that is there may be replaced.

    with_columns : bool
        Whether columns go along.

    Raises
    ------
    Refusal
        Naming the option and the remedy.
    """
    kind = path.suffix.lower()
    if kind in (".npz", ".h5ad"):
        raise Refusal(
            f"--output {path}: with --landmarks a map is written block by block, which {kind} does "
            f"not allow; choose one of {', '.join(KINDS)}"
        )
    if kind == ".zarr" and path.is_dir():
        if not force:
            raise Refusal(f"--output {path}: it exists; --force replaces it")
        if not any((path / name).exists() for name in _ZARR):
            raise Refusal(f"--output {path}: it is a directory and no Zarr store; move it away")
    else:
        check_output(path, "--output", KINDS, force)
    if kind == ".zarr":
        imported("zarr", "writing", path)
    elif kind in (".h5", ".hdf5"):
        imported("h5py", "writing", path)
    elif with_columns and kind in (".csv", ".tsv") and find_spec("pandas") is None:
        raise Refusal(f"--output {path} needs pandas: pip install 'fasttsne[tables]'")


def check_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Refuse columns that have no room in an output.

    Parameters
    ----------
    path : pathlib.Path
        The map that is to be.

    columns : dict of str to array
        A row or more of the columns that go along.

    Raises
    ------
    Refusal
        Naming one, what it holds, and the remedy.
    """
    if path.suffix.lower() in (".parquet", ".npy"):  # all have room there, or none
        return
    for name, values in columns.items():
        try:
            _plain(values, has_gaps=False)
        except (ValueError, NotImplementedError) as error:  # as pyarrow's are
            raise Refusal(
                f"--output {path}: column {name!r} holds {values.type}, which has no room there; "
                "choose a .parquet, or leave the column out"
            ) from error


def write_blocks(
    path: Path,
    blocks: Blocks,
    n_rows: int,
    n_components: int,
    gaps: frozenset[str] = frozenset(),
    *,
    run: Path,
) -> None:
    """Write a map whole or not at all, with a block of it in memory at a time.

    Parameters
    ----------
    path : pathlib.Path
        The file, or the folder of a Zarr store; what is there is replaced once the new one is
        complete.

    blocks : iterable of (ndarray of shape (n, n_components), dict of str to array)
        Places of rows in order, and columns that go along; these have no room in ``.npy``.

    n_rows : int
        How many rows there are in all blocks.

    n_components : int
        Coordinates of a place.

    gaps : frozenset of str, default=frozenset()
        Columns with empty cells. Where these must be something, in HDF5 and Zarr, they are NaN in a
        column of numbers and empty text in one of text.

    run : pathlib.Path
        The folder of the run, by which its unfinished file is told from that of another run.
    """
    kind = path.suffix.lower()
    with _unfinished(path, run) as unfinished:
        if kind == ".npy":
            _write_npy(unfinished, blocks, (n_rows, n_components))
        elif kind == ".parquet":
            _write_parquet(unfinished, blocks)
        elif kind in (".h5", ".hdf5"):
            h5py = imported("h5py", "writing", path)
            with h5py.File(unfinished, "w") as file:
                _fill(file.create_dataset, blocks, n_rows, gaps, h5py.string_dtype())
        elif kind == ".zarr":
            group = imported("zarr", "writing", path).open_group(str(unfinished), mode="w")
            create = getattr(group, "create_array", None) or group.create_dataset
            _fill(create, blocks, n_rows, gaps, str)
        else:
            _write_text(unfinished, blocks, "\t" if kind == ".tsv" else ",")


@contextmanager
def _unfinished(path: Path, run: Path) -> Iterator[Path]:
    """Offer a name for a file or a folder, and put that in the place of `path` once complete.

    The name, beside `path`, is always the same for the same folder of a run: what a run leaves
    there that was killed, the next one replaces, however large it is. Whoever holds the folder has
    the name to itself, and another run on the same `path` has another one.
    """
    told = zlib.crc32(os.fsencode(run.resolve()))
    unfinished = path.with_name(f".{path.name}.{told:08x}.unfinished")
    _remove(unfinished)
    try:
        yield unfinished
        if path.is_dir():  # which a rename does not replace
            _remove(path)
        elif path.exists():
            unfinished.chmod(path.stat().st_mode & 0o777)
        os.replace(unfinished, path)
    except BaseException:
        _remove(unfinished)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_npy(path: Path, blocks: Blocks, shape: tuple[int, int]) -> None:
    header = {
        "descr": npy_format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": shape,
    }
    with open(path, "wb") as file:
        npy_format.write_array_header_1_0(file, header)
        for Y, _ in blocks:
            file.write(np.ascontiguousarray(Y).data)


def _write_parquet(path: Path, blocks: Blocks) -> None:
    """Write a row group a block."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    writer = None
    try:
        for Y, columns in blocks:
            table = pyarrow.table(
                {
                    **dict(
                        zip(coordinates(Y.shape[1]), map(np.ascontiguousarray, Y.T), strict=True)
                    ),
                    **columns,
                }
            )
            if writer is None:
                writer = ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema), row_group_size=len(table))
    finally:
        if writer is not None:
            writer.close()


def _write_text(path: Path, blocks: Blocks, separator: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for number, (Y, columns) in enumerate(blocks):
            if columns:
                beside = {name: as_numpy(values) for name, values in columns.items()}
                frame = frame_of_text(Y, beside)
                frame.to_csv(file, sep=separator, header=number == 0, index=False)
                continue
            if number == 0:
                file.write(separator.join(coordinates(Y.shape[1])) + "\n")
            np.savetxt(file, Y, fmt="%.6g", delimiter=separator)


def as_numpy(values: Any) -> NDArray[Any]:
    """Make an array of a column, as pandas would.

    Parameters
    ----------
    values : array or pyarrow.ChunkedArray
        The column.

    Returns
    -------
    array : ndarray
        In which empty cells are None or NaN.
    """
    return np.asarray(values.to_pandas() if hasattr(values, "to_pandas") else values)


def _fill(
    create: Callable[..., Any], blocks: Blocks, n_rows: int, gaps: frozenset[str], text: Any
) -> None:
    """Make an array for the map and for each column, and fill them."""
    arrays: dict[str, Any] = {}
    row = 0
    for Y, columns in blocks:
        plain = {name: _plain(values, name in gaps) for name, values in columns.items()}
        for name, values in {"embedding": Y, **plain}.items():
            if name not in arrays:
                arrays[name] = create(
                    name,
                    shape=(n_rows, *values.shape[1:]),
                    dtype=text if values.dtype == object else values.dtype,
                    chunks=(min(n_rows, _CHUNK_ROWS), *values.shape[1:]),
                )
            arrays[name][row : row + len(Y)] = values
        row += len(Y)


def _plain(values: Any, has_gaps: bool) -> NDArray[Any]:
    """Make an array of numbers, or of objects that are text."""
    if not hasattr(values, "null_count"):
        return np.asarray(values)
    import pyarrow
    from pyarrow import types

    kind = values.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        values = values.cast(kind)
    if types.is_floating(kind) or (types.is_integer(kind) and not has_gaps):
        return np.asarray(values.to_numpy())
    if types.is_boolean(kind) and not has_gaps:
        return np.asarray(values.to_numpy()).astype(bool)
    if types.is_integer(kind) or types.is_boolean(kind):
        return np.asarray(values.cast(pyarrow.int64()).to_numpy()).astype(np.float64)
    return np.asarray(values.cast(pyarrow.string()).fill_null("").to_numpy()).astype(object)
