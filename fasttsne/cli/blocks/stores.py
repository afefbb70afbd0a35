"""Arrays in HDF5 files and in Zarr stores, which are much the same to whoever reads them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.blocks.source import Source, check_array, even_bounds
from fasttsne.cli.messages import Refusal, unknown_name

_EXTRAS = {"h5py": "hdf5", "zarr": "zarr"}


class StoreSource(Source):
    """Rows of an array among others.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder.

    array : str or None
        Which array to map; None takes the one called X, or the only one with rows and columns.

    extra : sequence of str
        Arrays of one number, or text, for each row: they go along.

    block_rows : int or None, default=None
        Rows of a block; None chooses.
    """

    def __init__(
        self, path: Path, array: str | None, extra: Sequence[str], block_rows: int | None = None
    ) -> None:
        self.path = path
        with self._open() as arrays:
            self._name = name = _chosen(arrays, array, extra, path)
            chosen = arrays[name]
            dtype = np.dtype(chosen.dtype) if name or hasattr(chosen, "dtype") else np.dtype("O")
            check_array(chosen.shape, dtype, path, name)
            for other in extra:
                if other not in arrays:
                    raise unknown_name("array", other, arrays, str(path))
                if tuple(arrays[other].shape) != (chosen.shape[0],):
                    raise Refusal(
                        f"{path}, array {other!r} has shape {tuple(arrays[other].shape)}; one "
                        f"value for each of the {chosen.shape[0]:,} rows is needed"
                    )
            parts = getattr(chosen, "chunks", None)
            bounds = even_bounds(
                chosen.shape[0],
                dtype.itemsize * chosen.shape[1],
                parts[0] if parts else None,
                block_rows,
            )
            notes = [f"mapping {name} of {path.name}"] if name else []
            super().__init__(path, chosen.shape[1], dtype.newbyteorder("="), bounds, notes)

    @contextmanager
    @abstractmethod
    def _open(self) -> Iterator[dict[str, Any]]:
        """Offer the arrays by their names while the store is open."""

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        with self._open() as arrays:
            rows = np.asarray(arrays[self._name][start:stop])
        return rows.astype(self.dtype, copy=False)

    def columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """Read rows of arrays that go along.

        Parameters
        ----------
        names : sequence of str
            What they are called.

        start, stop : int
            The first row, and the one after the last.

        Returns
        -------
        columns : dict of str to ndarray
            Numbers, or text in arrays of objects.
        """
        if not names:
            return {}
        with self._open() as arrays:
            return {name: _text(arrays[name][start:stop]) for name in names}


class Hdf5Source(StoreSource):
    """Rows of a dataset of an HDF5 file; see `StoreSource`."""

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        h5py = imported("h5py", "reading", self.path)
        with h5py.File(self.path, "r") as file:
            arrays: dict[str, Any] = {}

            def visit(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset) and item.shape is not None:
                    arrays[name] = item

            file.visititems(visit)
            yield arrays


class ZarrSource(StoreSource):
    """Rows of an array of a Zarr store, or of one that is nothing but an array."""

    def files(self) -> list[Path]:
        """List the files of the store, as they are there now.

        Returns
        -------
        files : list of pathlib.Path
            All in its folder.
        """
        return [file for file in self.path.rglob("*") if file.is_file()]

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        zarr = imported("zarr", "reading", self.path)
        store = zarr.open(str(self.path), mode="r")
        yield {"": store} if hasattr(store, "shape") else dict(_members(store))


def _members(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, array in group.arrays():
        yield prefix + name, array
    for name, inner in group.groups():
        yield from _members(inner, f"{prefix}{name}/")


def imported(module: str, purpose: str, path: Path) -> Any:
    """Import what reads and writes a kind of store, or say what to install.

    Parameters
    ----------
    module : {"h5py", "zarr"}
        The package.

    purpose : str
        "reading" or "writing".

    path : pathlib.Path
        What.

    Returns
    -------
    package : module
        The package.

    Raises
    ------
    Refusal
        Naming the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = _EXTRAS[module]
        raise Refusal(
            f"{purpose} {path} needs {module}: pip install 'fasttsne[{extra}]'"
        ) from error


def _chosen(arrays: dict[str, Any], array: str | None, extra: Sequence[str], path: Path) -> str:
    """Name the array that is meant."""
    if array is not None:
        if array not in arrays:
            raise unknown_name("array", array, arrays, str(path))
        return array
    if list(arrays) == [""]:
        return ""
    if "X" in arrays:
        return "X"
    matrices = [name for name, item in arrays.items() if len(item.shape) == 2 and name not in extra]
    if len(matrices) != 1:
        names = ", ".join(list(matrices or arrays)[:8]) or "none"
        raise Refusal(f"{path} holds {len(matrices)} tables ({names}); choose one with --array")
    return matrices[0]


def _text(values: Any) -> NDArray[Any]:
    """Decode text, which HDF5 hands over as bytes."""
    array = np.asarray(values)
    if array.dtype.kind == "S" or (
        array.dtype == object and isinstance(next(iter(array), 0), bytes)
    ):
        return np.array(
            [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in array],
            dtype=object,
        )
    if array.dtype.kind in "UT":
        return array.astype(object)
    return array
