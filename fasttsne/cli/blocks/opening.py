"""Which reader a big input takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fasttsne.cli.blocks.npy import NpySource
from fasttsne.cli.blocks.parquet import ParquetSource
from fasttsne.cli.blocks.source import Source
from fasttsne.cli.blocks.stores import Hdf5Source, ZarrSource, imported
from fasttsne.cli.messages import Refusal, unknown_name

#: Endings of what can be read block by block.
KINDS = (".parquet", ".pq", ".npy", ".zarr", ".h5", ".hdf5")

_ZARR = ("zarr.json", ".zgroup", ".zarray")


def open_source(
    path: Path,
    *,
    extra: Sequence[str] = (),
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    array: str | None = None,
    block_rows: int | None = None,
) -> Source:
    """Open a file or a folder to be read block by block.

    Parameters
    ----------
    path : pathlib.Path
        A file with one of the endings in `KINDS`, a Zarr store, or a folder of Parquet files.

    extra : sequence of str, default=()
        Columns that go along; in HDF5 and Zarr names of arrays.

    features : sequence of str, default=None
        The columns of a table to map. None takes all that hold numbers, but for those in `extra`
        and `drop`.

    drop : sequence of str, default=()
        Columns to leave out.

    array : str, default=None
        Which array of an HDF5 file or a Zarr store to map.

    block_rows : int or None, default=None
        Rows of a block; None chooses.

    Returns
    -------
    source : Source
        No rows have been read.

    Raises
    ------
    Refusal
        If it cannot be read, or is not what it should be.
    """
    if not path.exists():
        raise _no_such_file(path)
    kind = _kind(path)
    if path.is_file() and path.stat().st_size == 0:
        raise Refusal(f"{path} is empty")
    if array is not None and kind not in ("hdf5", "zarr"):
        raise Refusal(f"--array is for HDF5 and Zarr; {path.name} holds one table")
    if kind != "parquet" and (features is not None or drop):
        raise Refusal(f"--features and --drop are for tables with named columns, not {path.name}")
    try:
        if kind == "parquet":
            return ParquetSource(path, extra, features, drop, block_rows)
        if kind == "npy":
            if extra:
                raise Refusal(
                    f"{path} has no named columns, so none called {extra[0]!r}; use .parquet, "
                    ".zarr or .h5"
                )
            return NpySource(path, block_rows)
        if kind == "hdf5":
            if not imported("h5py", "reading", path).is_hdf5(path):
                raise Refusal(f"cannot read {path}: not an HDF5 file")
            return Hdf5Source(path, array, extra, block_rows)
        return _open_zarr(path, array, extra, block_rows)
    except OSError as error:
        reason = error.strerror or "it is not what its ending says, or not whole"
        raise Refusal(f"cannot read {path}: {reason}") from error


def _kind(path: Path) -> str:
    ending = path.suffix.lower()
    if path.is_dir():
        is_zarr = ending == ".zarr" or any((path / name).exists() for name in _ZARR)
        return "zarr" if is_zarr else "parquet"
    kinds = {".parquet": "parquet", ".pq": "parquet", ".npy": "npy", ".h5": "hdf5"}
    if ending in (*kinds, ".hdf5"):
        return kinds.get(ending, "hdf5")
    if ending in (".csv", ".tsv", ".npz", ".h5ad"):
        raise Refusal(
            f"{path}: --landmarks reads files block by block, which {ending} does not allow; write "
            "it as .parquet, .npy, .zarr or .h5 first, or leave out --landmarks"
        )
    raise Refusal(
        f"{path}: unknown ending {ending or 'of no letters'!r}; with --landmarks "
        f"{', '.join(KINDS)} and folders of .parquet can be read"
    )


def _open_zarr(
    path: Path, array: str | None, extra: Sequence[str], block_rows: int | None
) -> Source:
    try:
        return ZarrSource(path, array, extra, block_rows)
    except (Refusal, OSError, ImportError):
        raise
    except Exception as error:  # zarr has its own, in every version others
        raise Refusal(f"cannot read {path}: not a Zarr store") from error


def _no_such_file(path: Path) -> Refusal:
    if path.parent.is_dir():
        known = sorted(
            p.name for p in path.parent.iterdir() if p.suffix.lower() in KINDS or p.is_dir()
        )
        return unknown_name("file", path.name, known, str(path.parent))
    return Refusal(f"there is no file {path}: there is no directory {path.parent}")
