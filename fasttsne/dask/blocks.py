"""What users bring, as blocks of rows of known lengths, each checked when it comes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import sparse

_FEW = 3  # names that a message lists


@dataclass(frozen=True)
class Rows:
    """A matrix in blocks of rows.

    Attributes
    ----------
    array : dask.array.Array of shape (n_samples, n_features)
        Numbers, in chunks of known length and of all columns.
    names : ndarray of str, shape (n_features,), or None
        Names of the columns, where they have some that are all strings.
    name : str
        What messages call the matrix.
    """

    array: Any
    names: NDArray[Any] | None = None
    name: str = "X"

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
        """What a dense row takes."""
        return self.n_features * int(self.array.dtype.itemsize)

    def map(self, function: Any, *others: Any, lengths: Sequence[int], like: Any) -> Any:
        """Make an array of what a function returns for each block, once that is found in order.

        Parameters
        ----------
        function : callable
            Of the block, the number of its first row, and the others.
        *others : dask.array.Array, Delayed or distributed.Future
            Arrays of the same blocks of rows; anything else is one object for all blocks.
        lengths : sequence of int
            Number of rows that each call returns.
        like : array of shape (0, n_columns)
            Of the type and width that are returned.

        Returns
        -------
        mapped : dask.array.Array
            Lazy, in as many blocks.
        """
        check = partial(_checked, name=self.name, width=self.n_features, dtype=self.array.dtype.str)
        return self.array.map_blocks(
            partial(_checked_call, function, check),
            *others,
            chunks=(tuple(lengths), like.shape[1:]),
            dtype=like.dtype,
            meta=like,
        )

    def empty(self) -> Any:
        """Make an array of no rows, of the kind that the blocks are."""
        meta = self.array._meta
        if sparse.issparse(meta):
            return sparse.csr_matrix((0, self.n_features), dtype=self.array.dtype)
        return np.empty((0, self.n_features), dtype=self.array.dtype)


def as_rows(X: Any, name: str = "X") -> Rows:
    """Bring what users have into blocks of rows.

    Parameters
    ----------
    X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
        A matrix. The lengths of the parts of a frame, and the shapes of delayed blocks, are looked
        at first, in a pass of their own.
    name : str, default="X"
        What messages call it.

    Returns
    -------
    rows : Rows
        The same, lazily.

    Raises
    ------
    TypeError
        If it is none of these, or holds something else than real numbers.
    ValueError
        If it has no rows or no columns, if its chunk sizes are unknown, or if blocks do not fit
        together.
    """
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
            f" {type(X).__name__}. For data in memory there is fasttsne.TSNE, and"
            " dask.array.from_array cuts them into blocks"
        )
    if X.ndim != 2:
        raise ValueError(f"{name} must be a matrix, one sample per row; got {X.ndim} dimensions")
    if np.isnan(X.shape).any():
        raise ValueError(
            f"{name} has unknown chunk sizes: call {name}.compute_chunk_sizes() first, which looks"
            " at every block once"
        )
    if 0 in X.shape:
        raise ValueError(f"{name} has no {'rows' if X.shape[0] == 0 else 'columns'}: {X.shape}")
    if X.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; its dtype is {X.dtype}")
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    return Rows(X, names, name)


# ---- Blocks, when they come ----------------------------------------------------------------------


def _checked_call(
    function: Any,
    check: Callable[[Any, int, int], Any],
    block: Any,
    *others: Any,
    block_info: Any = None,
) -> Any:
    start, stop = (int(row) for row in block_info[0]["array-location"][0])
    return function(check(block, start, stop), start, *others)


def _checked(block: Any, start: int, stop: int, *, name: str, width: int, dtype: str) -> Any:
    """Look whether a block is what was announced, and finite."""
    here = _range(start, stop - start)
    if not sparse.issparse(block) and not isinstance(block, np.ndarray):
        raise TypeError(f"{here} of {name} come as {type(block).__name__}, not as an array")
    if block.shape != (stop - start, width):
        raise ValueError(
            f"{here} of {name} come as a block of shape {block.shape}, not {(stop - start, width)}"
            f" as {name} announces; check what makes the blocks"
        )
    if block.dtype != np.dtype(dtype):
        raise ValueError(
            f"{here} of {name} come as {block.dtype}, not {np.dtype(dtype)} as {name} announces;"
            " convert them where they are made"
        )
    if sparse.issparse(block):
        block = block.tocsr()
    bad = _not_finite(block)
    if len(bad):
        raise ValueError(
            f"{name} has NaN or infinity in {len(bad):,} of {here}, first in row"
            f" {start + int(bad[0])}; leave such rows out, or impute what is missing"
        )
    return block


def _not_finite(block: Any) -> NDArray[np.integer]:
    """Find rows with NaN or infinity."""
    values = block.data if sparse.issparse(block) else block
    if values.dtype.kind != "f":
        return np.empty(0, dtype=np.int64)
    with np.errstate(all="ignore"):
        if np.isfinite(values.sum()):  # quicker than to look at each
            return np.empty(0, dtype=np.int64)
    if sparse.issparse(block):
        entries = block.tocoo()
        return np.unique(entries.row[~np.isfinite(entries.data)])
    return np.flatnonzero(~np.isfinite(block).all(axis=1))


def _range(start: int, length: int) -> str:
    """Name rows, of which the last is one of them."""
    return f"rows {start} to {start + max(length, 1) - 1}"


# ---- Other forms ---------------------------------------------------------------------------------


def _from_frame(X: Any, name: str) -> tuple[Any, NDArray[Any] | None]:
    """Turn a frame into an array of one floating-point type, and its names."""
    from pandas.api.types import is_numeric_dtype

    odd = [str(column) for column, kind in X.dtypes.items() if not is_numeric_dtype(kind)]
    if odd:
        others = f" and {len(odd) - _FEW} more" if len(odd) > _FEW else ""
        raise TypeError(
            f"{name} has columns that are no numbers: {', '.join(odd[:_FEW])}{others}; leave them"
            " out, or encode them"
        )
    for column, kind in X.dtypes.items():
        if kind.kind == "c":
            raise TypeError(f"{name} must hold real numbers; column {str(column)!r} is {kind}")
    single = len(X.dtypes) > 0 and all(kind == np.float32 for kind in X.dtypes)
    # The array is asked for its lengths, not the frame: Dask may join parts on the way from one to
    # the other, such as those of files of which few columns are read.
    array = X.astype("float32" if single else "float64").to_dask_array().compute_chunk_sizes()
    names = np.asarray(X.columns, dtype=object)
    return array, names if all(isinstance(column, str) for column in names) else None


def _from_delayed(blocks: Sequence[Delayed], name: str) -> Any:
    """Look at the shapes of delayed blocks, and join them."""
    facts = dask.compute(*[dask.delayed(_facts)(block) for block in blocks])
    starts = list(accumulate((shape[0] for shape, _, _ in facts if shape), initial=0))
    arrays = []
    for number, (block, (shape, dtype, is_sparse)) in enumerate(zip(blocks, facts, strict=True)):
        if len(shape) != 2:
            raise ValueError(
                f"{name} has a block that is no matrix, number {number}; delayed blocks must be"
                " arrays or sparse matrices of shape (n_rows, n_features)"
            )
        if (shape[1], dtype) != (facts[0][0][1], facts[0][1]):
            raise ValueError(
                f"{name} has {_range(starts[number], shape[0])} with {shape[1]} columns of {dtype},"
                f" but {facts[0][0][1]} of {facts[0][1]} in the first block; all blocks must agree"
            )
        like = sparse.csr_matrix((0, 0), dtype=dtype) if is_sparse else np.empty((0, 0), dtype)
        arrays.append(da.from_delayed(block, shape, dtype=np.dtype(dtype), meta=like))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", da.PerformanceWarning)
        return da.concatenate(arrays)


def _facts(block: Any) -> tuple[tuple[int, ...], str, bool]:
    if not sparse.issparse(block) and not isinstance(block, np.ndarray):
        return (), type(block).__name__, False
    return tuple(block.shape), str(block.dtype), sparse.issparse(block)
