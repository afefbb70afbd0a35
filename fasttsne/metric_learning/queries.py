"""Queries of any size as blocks of queries with equally many documents; means and losses of them.

A block is a matrix with a row per query, so that all computations on it are vectorized.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices, Loss, Reduction
from fasttsne.samples.arrays import as_array

Undefined = float | Literal["skip"]

# The losses of a block's queries, the numbers of their terms, and the gradient by the scores.
Part = tuple[Floats, Floats | float, Floats]

# Documents of a block at most, or pairs of them: its matrices stay in the processor's cache.
_BLOCK_DOCUMENTS = 1 << 16


@dataclass(frozen=True)
class Block:
    """Queries of one size: relevance and scores of their documents, (n_queries, size)."""

    queries: Indices  # numbers of the queries
    relevance: Floats
    scores: Floats
    places: slice | Indices  # of the block's documents among all documents

    def put(self, values: Floats, into: Floats) -> None:
        """Write a matrix of the block's documents to their places among all documents."""
        into[self.places] = values.ravel() if isinstance(self.places, slice) else values


@dataclass(frozen=True)
class Queries:
    """Relevance and scores of all documents, query by query, and the size of every query."""

    relevance: Floats
    scores: Floats
    sizes: Indices  # at least 1

    def __len__(self) -> int:
        return len(self.sizes)

    def blocks(self, *, of_pairs: bool = False) -> Iterator[Block]:
        """Yield all queries; with `of_pairs` in blocks whose pairs of documents fit as well."""
        starts = np.cumsum(self.sizes) - self.sizes
        by_size = np.argsort(self.sizes, kind="stable")
        size_changes = np.flatnonzero(np.diff(self.sizes[by_size])) + 1
        for queries in np.split(by_size, size_changes):
            size = int(self.sizes[queries[0]])
            n_rows = max(1, _BLOCK_DOCUMENTS // (size**2 if of_pairs else size))
            for first in range(0, len(queries), n_rows):
                block = queries[first : first + n_rows]
                yield self._block(block, starts[block], size)

    def _block(self, queries: Indices, starts: Indices, size: int) -> Block:
        places: slice | Indices
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
    """Return the checked arguments of a measure or a loss; `names` are those in its signature."""
    name, other = names
    relevance, scores = checks.as_numbers(relevance, name), checks.as_numbers(scores, other)
    for key, array in (name, relevance), (other, scores):
        if array.ndim not in (1, 2):
            raise ValueError(
                f"{key} must be (n_queries, n_documents) or (n_documents,), got shape {array.shape}"
            )
    if relevance.shape != scores.shape:
        remedy = "; pass both as .ravel()" if relevance.size == scores.size else ""
        raise ValueError(
            f"{name} and {other} must have one shape, got {relevance.shape} and "
            f"{scores.shape}{remedy}"
        )
    if relevance.ndim == 2 and relevance.shape[1] == 1 < len(relevance):
        raise ValueError(
            f"{name} and {other} of shape {relevance.shape} are queries of one document each; pass "
            "both as .ravel(), and if the queries are meant also groups, a 1 for each"
        )
    if relevance.size and relevance.min() < 0.0:
        raise ValueError(f"{name} has negative values; the relevance of irrelevant documents is 0")
    if relevance.ndim == 2:
        if groups is not None:
            raise ValueError(f"groups is for one-dimensional {name}: here every row is a query")
        sizes = np.full(relevance.shape[0], relevance.shape[1], dtype=np.int64)
    elif groups is None:
        sizes = np.array([relevance.size], dtype=np.int64)
    else:
        sizes = _as_sizes(groups, relevance.size)
    if not sizes.size or not sizes.all():
        raise ValueError(f"{name} is empty or has queries without documents: {relevance.shape}")
    return Queries(relevance.ravel(), scores.ravel(), sizes)


def _as_sizes(groups: ArrayLike, n_documents: int) -> Indices:
    sizes = as_array(groups, "groups")
    remedy = ""
    if sizes.shape == (n_documents,):
        remedy = "; ids of queries, in order, become sizes by np.unique(ids, return_counts=True)[1]"
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise ValueError(
            "groups must be a row of integers, the sizes of the queries; got "
            f"shape {sizes.shape}, dtype {sizes.dtype}{remedy}"
        )
    if (sizes < 1).any() or sizes.sum() != n_documents:
        raise ValueError(
            f"groups must hold sizes of at least 1 for all {n_documents} documents, but sum to "
            f"{sizes.sum()} from {sizes.min(initial=n_documents)} up{remedy}"
        )
    return sizes.astype(np.int64)


def mean_of_queries(
    measure: Callable[[Block], Floats],
    y_true: ArrayLike,
    y_score: ArrayLike,
    groups: ArrayLike | None,
    sample_weight: ArrayLike | None,
    per_query: bool,
    undefined: Any = 0.0,
) -> float | Floats:
    """Return the mean of the queries' values, or the values; `measure` marks undefined by NaN."""
    queries = as_queries(y_true, y_score, groups)
    values = np.empty(len(queries))
    for block in queries.blocks():
        values[block.queries] = measure(block)
    weights = np.ones(len(values))
    if sample_weight is not None:
        weights = checks.as_numbers(sample_weight, "sample_weight")
    if weights.shape != values.shape or not (weights >= 0.0).all():
        raise ValueError(
            f"sample_weight must hold {len(values)} finite weights of at least 0, one per query; "
            f"got shape {weights.shape}"
        )
    if not isinstance(undefined, Real) and not (isinstance(undefined, str) and undefined == "skip"):
        raise ValueError(f"undefined={undefined!r} must be a number or 'skip'")
    missing = np.isnan(values)
    if isinstance(undefined, Real):
        values = np.where(missing, float(undefined), values)
    if per_query:
        return values
    if undefined == "skip":
        values, weights = values[~missing], weights[~missing]
        if not values.size:
            raise ValueError("undefined='skip' leaves no query: none has a relevant document")
    if not weights.sum() > 0.0:
        raise ValueError("sample_weight must not be 0 for all queries")
    return float(np.average(values, weights=weights))


def loss_of_queries(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    part: Callable[[Block], Part],
    reduction: Reduction,
    *,
    of_pairs: bool = False,
) -> Loss:
    """Return the reduced loss of all queries, `part` being that of a block, and its gradient."""
    queries = as_queries(relevance, scores, groups, names=("relevance", "scores"))
    largest = np.abs(queries.scores).max()
    if largest > 1e300:
        raise ValueError(f"scores has values up to {largest:.3g}, whose sums overflow; scale it")
    losses, gradient = np.empty(len(queries)), np.empty(queries.scores.size)
    n_terms = 0.0
    for block in queries.blocks(of_pairs=of_pairs):
        block_losses, terms, block_gradient = part(block)
        losses[block.queries] = block_losses
        block.put(block_gradient, into=gradient)
        n_terms += float(np.sum(np.broadcast_to(terms, block_losses.shape)))
    loss, count = checks.reduced(losses, reduction, n_terms)
    gradient /= count
    return loss, checks.same_type(gradient.reshape(np.shape(scores)), scores)


def differences(values: Floats) -> Floats:
    """Return v_i - v_j of every query, (n_queries, size, size)."""
    return values[:, :, np.newaxis] - values[:, np.newaxis, :]
