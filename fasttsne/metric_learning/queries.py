"""Documents of many queries -> blocks of queries with equally many documents.

A block is a matrix, a query a row, so that everything after this is vectorised, however ragged
the queries are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import Floats, as_numbers

# Documents of a block, at the most, or pairs of them: its matrices stay near the processor.
_BLOCK_DOCUMENTS = 1 << 16


@dataclass(frozen=True)
class Block:
    """Queries of one size.

    Attributes
    ----------
    queries : ndarray of int64, shape (n_queries,)
        Their numbers.
    relevance, scores : ndarray of shape (n_queries, size)
        Of their documents.
    places : slice, or ndarray of int64, shape (n_queries, size)
        Where these stand among all documents.
    """

    queries: NDArray[np.int64]
    relevance: Floats
    scores: Floats
    places: slice | NDArray[np.int64]

    def put(self, values: Floats, into: Floats) -> None:
        """Write a matrix of the block's documents to their places among all."""
        into[self.places] = values.ravel() if isinstance(self.places, slice) else values


@dataclass(frozen=True)
class Queries:
    """What was judged, and in which queries.

    Attributes
    ----------
    relevance, scores : ndarray of shape (n_documents,)
        All documents, query by query.
    sizes : ndarray of int64, shape (n_queries,)
        Documents of each query, at least 1.
    """

    relevance: Floats
    scores: Floats
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    def blocks(self, *, of_pairs: bool = False) -> Iterator[Block]:
        """All queries; `of_pairs`: so few at once that their pairs of documents fit as well."""
        starts = np.cumsum(self.sizes) - self.sizes
        by_size = np.argsort(self.sizes, kind="stable")
        size_changes = np.flatnonzero(np.diff(self.sizes[by_size])) + 1
        for queries in np.split(by_size, size_changes):
            size = int(self.sizes[queries[0]])
            n_rows = max(1, _BLOCK_DOCUMENTS // (size**2 if of_pairs else size))
            for first in range(0, len(queries), n_rows):
                block = queries[first : first + n_rows]
                yield self._block(block, starts[block], size)

    def _block(self, queries: NDArray[np.int64], starts: NDArray[np.int64], size: int) -> Block:
        places: slice | NDArray[np.int64]
        if starts[-1] - starts[0] == (len(starts) - 1) * size:  # one after the other
            places = slice(int(starts[0]), int(starts[-1]) + size)
        else:
            places = starts[:, np.newaxis] + np.arange(size)
        shape = (len(starts), size)
        relevance, scores = self.relevance[places], self.scores[places]
        return Block(queries, relevance.reshape(shape), scores.reshape(shape), places)


def as_queries(
    relevance: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None,
    names: tuple[str, str] = ("y_true", "y_score"),
) -> Queries:
    """Check the arguments of a measure or a loss.

    Parameters
    ----------
    relevance, scores : array-like of shape (n_queries, n_documents) or (n_documents,)
        A query a row; or all documents in a row, of one query or of those that `groups` tells.
    groups : array-like of int, shape (n_queries,), or None
        Sizes of the queries, for one-dimensional arrays.
    names : tuple of str, default=("y_true", "y_score")
        What the caller calls `relevance` and `scores`.

    Returns
    -------
    queries : Queries
        In double precision.

    Raises
    ------
    ValueError
        If shapes disagree, values are not numbers or not finite, or relevance is negative.
    """
    name = names[0]
    relevance, scores = _as_floats(relevance, name), _as_floats(scores, names[1])
    if relevance.shape != scores.shape:
        raise ValueError(
            f"{name} and {names[1]} must have one shape, got {relevance.shape} and {scores.shape}"
        )
    if relevance.size and relevance.min() < 0.0:
        raise ValueError(f"{name} has negative values; relevance starts at 0, for irrelevant")
    if relevance.ndim == 2:
        if groups is not None:
            raise ValueError(f"groups is for one-dimensional {name}: rows are the queries here")
        sizes = np.full(relevance.shape[0], relevance.shape[1], dtype=np.int64)
    elif groups is None:
        sizes = np.array([relevance.size], dtype=np.int64)
    else:
        sizes = _as_sizes(groups, relevance.size)
    if not sizes.size or not sizes.all():
        raise ValueError(f"{name} is empty or has queries without documents: {relevance.shape}")
    return Queries(relevance.ravel(), scores.ravel(), sizes)


def _as_floats(values: ArrayLike, name: str) -> Floats:
    array = as_numbers(values, name)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} must be (n_queries, n_documents) or (n_documents,), got shape {array.shape}"
        )
    return np.ascontiguousarray(array)


def _as_sizes(groups: ArrayLike, n_documents: int) -> NDArray[np.int64]:
    sizes: NDArray[Any] = np.asarray(groups)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise ValueError(
            "groups must be a row of integers, the sizes of the queries; got "
            f"shape {sizes.shape}, dtype {sizes.dtype}"
        )
    if sizes.size and sizes.min() < 1:
        raise ValueError("groups must hold sizes of at least 1; leave out empty queries")
    if sizes.sum() != n_documents:
        raise ValueError(f"groups sum to {sizes.sum()}, but there are {n_documents} documents")
    return sizes.astype(np.int64)
