"""Rows of a file, read a range at a time; what is in it is known before any row is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal

#: What a block takes, as it is read, where the file has no blocks of its own.
BLOCK_BYTES = 32 << 20
#: Rows of a block at the most.
BLOCK_ROWS = 1 << 18
#: Parts that a file is stored in are blocks up to this size, and beyond are read in pieces.
LARGEST_PART_BYTES = 8 * BLOCK_BYTES


class Source(ABC):
    """Numbers to map, and columns that go along, of a file or a folder.

    A source can be pickled, and read from several processes; every one opens the file anew.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder.

    n_features : int
        Columns of numbers.

    dtype : numpy.dtype
        Of the numbers.

    bounds : ndarray of int64, shape (n_blocks + 1,)
        Where blocks of rows begin, and the number of rows.

    notes : sequence of str, default=()
        What the user should know about how the file is read.
    """

    def __init__(
        self,
        path: Path,
        n_features: int,
        dtype: np.dtype[Any],
        bounds: NDArray[np.int64],
        notes: Sequence[str] = (),
    ) -> None:
        self.path, self.dtype, self.bounds, self.notes = path, dtype, bounds, list(notes)
        self.shape = (int(bounds[-1]), n_features)

    ndim = 2
    #: Called with the number of rows whenever some were read in this process.
    on_read: Callable[[int], None] | None = None

    @property
    def names(self) -> Sequence[str]:
        """What the columns of numbers are called; empty where they have no names."""
        return ()

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.bounds) - 1

    def block(self, number: int) -> tuple[int, int]:
        """Tell the rows of a block.

        Parameters
        ----------
        number : int
            From 0.

        Returns
        -------
        start, stop : int
            The first row, and the one after the last.
        """
        return int(self.bounds[number]), int(self.bounds[number + 1])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows to map.

        Parameters
        ----------
        start, stop : int
            The first row, and the one after the last.

        Returns
        -------
        rows : ndarray of shape (stop - start, n_features)
            Finite numbers.

        Raises
        ------
        Refusal
            If there is NaN or infinity among them, or the file can't be read any more.
        """
        try:
            rows = self._read(start, stop)
        except (OSError, EOFError, ValueError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise Refusal(
                f"cannot read rows {start + 1:,} to {stop:,} of {self.path}: {reason}; is the file "
                "whole?"
            ) from error
        if rows.shape != (stop - start, self.shape[1]):
            raise Refusal(
                f"{self.path} has changed while it was read: rows {start + 1:,} to {stop:,} are "
                "not all there any more; start anew with --force"
            )
        self._check_finite(rows, start)
        if self.on_read is not None:
            self.on_read(len(rows))
        return rows

    @abstractmethod
    def _read(self, start: int, stop: int) -> NDArray[Any]:
        """Read rows to map, whatever they hold."""

    def files(self) -> list[Path]:
        """List the files that are read, as they are there now.

        Returns
        -------
        files : list of pathlib.Path
            One, or those in the folder.
        """
        return [self.path]

    @abstractmethod
    def columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
        """Read rows of columns that go along.

        Parameters
        ----------
        names : sequence of str
            Among those that the source was opened with.

        start, stop : int
            The first row, and the one after the last.

        Returns
        -------
        columns : dict of str to array
            Arrays of NumPy, or of pyarrow where the file has its types.
        """

    def gaps(self, names: Sequence[str]) -> frozenset[str]:
        """Tell which columns have, or may have, empty cells that are not NaN.

        Parameters
        ----------
        names : sequence of str
            Columns that go along.

        Returns
        -------
        names : frozenset of str
            Some of them.
        """
        return frozenset()

    def feature(self, column: int) -> str:
        """Name a column of numbers, as an error does.

        Parameters
        ----------
        column : int
            From 0.

        Returns
        -------
        name : str
            Its name, or its number from 1.
        """
        return f"column {column + 1}"

    def _check_finite(self, rows: NDArray[Any], start: int) -> None:
        if rows.dtype.kind != "f":
            return
        finite = np.isfinite(rows)
        if finite.all():
            return
        faulty = np.flatnonzero(~finite.all(axis=1))
        first, column = faulty[0], int(np.argmin(finite[faulty[0]]))
        where = f"row {start + first + 1:,}"
        if len(faulty) > 1:
            where = f"rows {start + first + 1:,} to {start + faulty[-1] + 1:,}"
        raise Refusal(
            f"{self.path} holds {rows[first, column]} in {where}, first in "
            f"{self.feature(column)}; fill in what is missing, or leave out such rows"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "on_read"}

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read what slices of rows and of columns choose, as ``dask.array.from_array`` asks."""
        rows, *columns = index if isinstance(index, tuple) else (index,)
        start, stop, step = rows.indices(self.shape[0])
        return self.read(start, max(start, stop))[(slice(None, None, step), *columns)]


def even_bounds(
    n_rows: int, row_bytes: int, part_rows: int | None = None, block_rows: int | None = None
) -> NDArray[np.int64]:
    """Cut rows into blocks that are read in one go.

    Parameters
    ----------
    n_rows : int
        How many there are.

    row_bytes : int
        What one takes.

    part_rows : int or None, default=None
        Rows of the parts that the file is stored in, each of which is read whole.

    block_rows : int or None, default=None
        Rows of a block, if that was asked for.

    Returns
    -------
    bounds : ndarray of int64, shape (n_blocks + 1,)
        Where blocks begin, and `n_rows`.

    Examples
    --------
    >>> from fasttsne.cli.blocks.source import even_bounds
    >>> even_bounds(10, 8, block_rows=4).tolist()
    [0, 4, 8, 10]
    >>> even_bounds(3_000_000, 8, part_rows=100_000)[:3].tolist()
    [0, 200000, 400000]
    """
    size = block_rows or max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(row_bytes, 1)))
    if part_rows and not block_rows:
        if part_rows <= size:
            size -= size % part_rows
        elif part_rows * row_bytes <= LARGEST_PART_BYTES:
            size = part_rows
    return np.append(np.arange(0, n_rows, size, dtype=np.int64), np.int64(n_rows))


def check_array(shape: Sequence[int], dtype: np.dtype[Any], path: Path, name: str = "") -> None:
    """Refuse an array that has no rows and columns of numbers.

    Parameters
    ----------
    shape : sequence of int
        Its shape.

    dtype : numpy.dtype
        Its type.

    path : pathlib.Path
        Where it is.

    name : str, default=""
        What it is called there.

    Raises
    ------
    Refusal
        Telling what it is.
    """
    where = f"{path}, array {name!r}," if name else f"{path}"
    if len(shape) != 2:
        raise Refusal(
            f"{where} holds an array of shape {tuple(shape)}; rows and columns are needed"
        )
    if dtype.kind not in "biuf":
        raise Refusal(f"{where} holds {dtype} rather than numbers")
    if 0 in shape:
        raise Refusal(f"{where} holds no numbers: {shape[0]} rows, {shape[1]} columns")
