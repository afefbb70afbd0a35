"""Users' data as blocks of rows of known lengths, each checked when it arrives."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.samples.arrays import unmasked
from fasttsne.samples.checks import check_readable


@dataclass(frozen=True)
class Rows:
    """A matrix as a dask array in blocks of rows, each with all columns."""

    array: Any
    names: NDArray[Any] | None = None  # of the columns, if all are strings
    name: str = "X"  # of the matrix, in messages

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.array.shape[1])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of rows of each block."""
        return tuple(int(length) for length in self.array.chunks[0])

    @property
    def bytes_of_row(self) -> int:
        """Number of bytes of a dense row."""
        return self.n_features * int(self.array.dtype.itemsize)

    def map(self, function: Callable[..., Any], *others: Any, like: Any) -> Any:
        """Return a lazy array of `function(block, start, *others)` for each block, once checked.

        Dask arrays among `others` have the same blocks of rows; anything else is one object for all
        blocks. The array has the rows of `self`, and columns and dtype as the empty array `like`.
        """
        return self.array.map_blocks(
            partial(_call_on_checked, function, self.name, self.array.dtype),
            *others,
            chunks=(self.lengths, like.shape[1:]),
            dtype=like.dtype,
            meta=like,
        )

    def results(self, function: Callable[..., Any], *others: Any) -> list[Delayed]:
        """Return what `map` calls, for each block that has rows, as delayed objects of any kind."""
        # Not as an array, whose blocks Dask might join on a worker.
        results = self.map(function, *others, like=np.empty((0, 1))).to_delayed().ravel()
        return list(results[np.flatnonzero(self.lengths)])


def as_rows(X: Any, name: str = "X") -> Rows:
    """Return a user's matrix as `Rows`; raise ValueError or TypeError if it is unsuitable.

    The lengths of a frame's parts, and the shapes of delayed blocks, take a pass over the data.
    """
    if isinstance(X, Rows):
        return X
    names = None
    if isinstance(X, Delayed):
        X = [X]
    if isinstance(X, list | tuple) and X and all(isinstance(block, Delayed) for block in X):
        X = _from_delayed(X, name)
    elif hasattr(X, "to_dask_array") and hasattr(X, "columns"):
        X, names = _from_frame(X, name)
    if not isinstance(X, da.Array):
        raise TypeError(
            f"{name} must be a dask array, a dask dataframe or a list of delayed blocks; got"
            f" {type(X).__name__}. For data in memory use fasttsne.TSNE, or cut the data into"
            " blocks by dask.array.from_array"
        )
    if X.ndim != 2:
        raise ValueError(f"{name} must be a matrix, one sample per row; got {X.ndim} dimensions")
    if np.isnan(X.shape).any():
        raise ValueError(
            f"{name} has unknown chunk sizes; call {name}.compute_chunk_sizes() first, which reads"
            " every block once"
        )
    if 0 in X.shape:
        raise ValueError(f"{name} has no {'rows' if X.shape[0] == 0 else 'columns'}: {X.shape}")
    if X.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; its dtype is {X.dtype}")
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    return Rows(X, names, name)


def joined(parts: Sequence[Any]) -> Any:
    """Return arrays or sparse matrices stacked by rows."""
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


# ---- Checks of a block on arrival ----------------------------------------------------------------


def _call_on_checked(
    function: Callable[..., Any],
    name: str,
    dtype: np.dtype[Any],
    block: Any,
    *others: Any,
    block_info: Any = None,
) -> Any:
    """Call a function on a block of the declared type, shape and dtype, with finite values."""
    start, stop = (int(row) for row in block_info[0]["array-location"][0])
    shape, here = (stop - start, int(block_info[0]["shape"][1])), _range(start, stop - start)
    if not sparse.issparse(block) and not isinstance(block, np.ndarray):
        raise TypeError(f"{here} of {name} are a {type(block).__name__}, not an array")
    for what, declared in {"shape": shape, "dtype": dtype}.items():
        if getattr(block, what) != declared:
            raise ValueError(
                f"{here} of {name} have the {what} {getattr(block, what)}, but {name} declares"
                f" {declared}; correct one of them where the blocks are made"
            )
    block = check_readable(block, f"{name}, {here},")
    if sparse.issparse(block):
        block = block.tocsr()
    bad = _not_finite(block)
    if len(bad):
        raise ValueError(
            f"{name} has NaN or infinity in {len(bad):,} of {here}, first in row"
            f" {start + int(bad[0])}; drop these rows, or impute missing values"
        )
    return function(block, start, *others)


def _not_finite(block: Any) -> NDArray[np.integer]:
    """Return the rows of a block that contain NaN or infinity."""
    if sparse.issparse(block):
        return np.unique(block.tocoo().row[~np.isfinite(block.data)])
    return np.flatnonzero(~np.isfinite(block).all(axis=1))


def _range(start: int, length: int) -> str:
    return f"rows {start} to {start + max(length, 1) - 1}"


# ---- Frames and delayed blocks -------------------------------------------------------------------


def _from_frame(X: Any, name: str) -> tuple[Any, NDArray[Any] | None]:
    """Return a frame as an array of float32 or float64, and its names."""
    X = unmasked(X, name)
    single = len(X.dtypes) > 0 and all(kind == np.float32 for kind in X.dtypes)
    # The lengths are those of the array's blocks: on conversion Dask may join parts of the frame,
    # such as those of files from which few columns are read.
    array = X.astype("float32" if single else "float64").to_dask_array().compute_chunk_sizes()
    names = np.asarray(X.columns, dtype=object)
    return array, names if all(isinstance(column, str) for column in names) else None


def _from_delayed(blocks: Sequence[Delayed], name: str) -> Any:
    """Return delayed blocks, once their shapes are computed, as one array."""
    facts = dask.compute(*[dask.delayed(_shape_and_dtype)(block) for block in blocks])
    start = 0
    for number, (shape, dtype) in enumerate(facts):
        if len(shape) != 2:
            raise ValueError(
                f"{name} has a block that is not a matrix, number {number}; delayed blocks must be"
                " arrays or sparse matrices of shape (n_rows, n_features)"
            )
        (_, first_width), first_dtype = facts[0]
        if (shape[1], dtype) != (first_width, first_dtype):
            raise ValueError(
                f"{name} has {_range(start, shape[0])} with {shape[1]} columns of {dtype}, but"
                f" {first_width} of {first_dtype} in the first block; all blocks must agree"
            )
        start += shape[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", da.PerformanceWarning)
        return da.concatenate(
            [da.from_delayed(block, *fact) for block, fact in zip(blocks, facts, strict=True)]
        )


def _shape_and_dtype(block: Any) -> tuple[tuple[int, ...], Any]:
    is_array = sparse.issparse(block) or isinstance(block, np.ndarray)
    return (block.shape, block.dtype) if is_array else ((), None)
