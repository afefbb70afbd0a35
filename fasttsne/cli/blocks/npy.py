"""Arrays written by ``numpy.save``, read in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fasttsne.cli.blocks.source import Source, check_array, even_bounds
from fasttsne.cli.messages import Refusal


class NpySource(Source):
    """Rows of an ``.npy`` file.

    They are read, not mapped into memory: a mapping of a file that becomes shorter kills the
    process, and its pages count as memory of the process.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    block_rows : int or None, default=None
        Rows of a block; None chooses.
    """

    def __init__(self, path: Path, block_rows: int | None = None) -> None:
        self._offset, shape, self._by_columns, dtype = _header(path)
        check_array(shape, dtype, path)
        needed = self._offset + dtype.itemsize * shape[0] * shape[1]
        if path.stat().st_size < needed:
            raise Refusal(
                f"{path} is cut off: it should have {needed:,} bytes and has "
                f"{path.stat().st_size:,}; write it anew"
            )
        super().__init__(
            path,
            shape[1],
            dtype.newbyteorder("="),
            even_bounds(shape[0], dtype.itemsize * shape[1], block_rows=block_rows),
        )
        self._stored = dtype

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        n_rows, n_features = self.shape
        with open(self.path, "rb") as file:
            if not self._by_columns:
                rows = self._piece(file, start * n_features, (stop - start) * n_features)
                return rows.reshape(-1, n_features)
            columns = [
                self._piece(file, column * n_rows + start, stop - start)
                for column in range(n_features)
            ]
        return np.stack(columns, axis=1)

    def _piece(self, file: Any, first: int, count: int) -> NDArray[Any]:
        file.seek(self._offset + first * self._stored.itemsize)
        values: NDArray[Any] = np.fromfile(file, self._stored, count)
        if len(values) < count:
            raise EOFError("the file has become shorter")
        return values.astype(self.dtype, copy=False)

    def columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """Read no columns: there are none.

        Parameters
        ----------
        names : sequence of str
            Empty.

        start, stop : int
            Rows.

        Returns
        -------
        columns : dict
            Empty.
        """
        return {}


def _header(path: Path) -> tuple[int, tuple[int, ...], bool, np.dtype[Any]]:
    """Read where the numbers begin, and their shape, order and type."""
    try:
        with open(path, "rb") as file:
            version = npy_format.read_magic(file)
            read = (
                npy_format.read_array_header_1_0
                if version == (1, 0)
                else npy_format.read_array_header_2_0
            )
            shape, by_columns, dtype = read(file)
            return file.tell(), shape, by_columns, dtype
    except (ValueError, EOFError) as error:
        raise Refusal(
            f"cannot read {path}: not an array of numbers written by numpy.save"
        ) from error
