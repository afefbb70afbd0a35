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
from fasttsne.metric_learning.checks import Floats, Gradient, Indices, Loss, Reduction
from fasttsne.samples.arrays import as_array
from fasttsne.samples.labels import ascending, class_codes, label_values

Undefined = float | Literal["skip"]

# A loss, its gradient by the scores, and on request a positive diagonal of its Hessian.
RankingLoss = Loss | tuple[float | Floats, Gradient, Gradient]

# The losses of a block's queries, the numbers of their terms, the gradient by the scores, and a
# positive diagonal of the Hessian, which is ignored unless `Block.hessian`.
Part = tuple[Floats, Floats | float, Floats, Floats]

# Largest number of documents, or of pairs, in a block: its matrices fit into the processor's cache.
_BLOCK_DOCUMENTS = 1 << 16


@dataclass(frozen=True)
class Block:
    """Queries of one size: relevance, scores, weights of their documents, (n_queries, size)."""

    queries: Indices  # numbers of the queries
    relevance: Floats
    scores: Floats
    weights: Floats  # in measures propensities
    places: slice | Indices  # of the block's documents among all documents
    hessian: bool = False  # whether the Hessian is asked for

    def rows(self) -> Iterator[slice]:
        """Yield all documents in slices whose pairs with all documents fit into a block."""
        n_queries, size = self.scores.shape
        step = max(1, _BLOCK_DOCUMENTS // (n_queries * size))
        for first in range(0, size, step):
            yield slice(first, first + step)

    def put(self, values: Floats, into: Floats) -> None:
        """Write a matrix of the block's documents to their places among all documents."""
        into[self.places] = values.ravel() if isinstance(self.places, slice) else values


@dataclass(frozen=True)
class Queries:
    """Relevance, scores and weights of all documents, query by query, and every query's size."""

    relevance: Floats
    scores: Floats
    sizes: Indices  # at least 1
    weights: Floats  # of the documents, or a single 1
    order: Indices | None  # the places where the documents were given, None for the same

    def __len__(self) -> int:
        return len(self.sizes)

    def blocks(self, *, of_pairs: bool = False, hessian: bool = False) -> Iterator[Block]:
        """Yield all queries; with `of_pairs` in blocks whose pairs of documents fit as well."""
        starts = np.cumsum(self.sizes) - self.sizes
        by_size = np.argsort(self.sizes, kind="stable")
        size_changes = np.flatnonzero(np.diff(self.sizes[by_size])) + 1
        for queries in np.split(by_size, size_changes):
            size = int(self.sizes[queries[0]])
            n_rows = max(1, _BLOCK_DOCUMENTS // (size**2 if of_pairs else size))
            for first in range(0, len(queries), n_rows):
                block = queries[first : first + n_rows]
                yield self._block(block, starts[block], size, hessian)

    def _block(self, queries: Indices, starts: Indices, size: int, hessian: bool) -> Block:
        places: slice | Indices
        if starts[-1] - starts[0] == (len(starts) - 1) * size:  # one after the other
            places = slice(int(starts[0]), int(starts[-1]) + size)
        else:
            places = starts[:, np.newaxis] + np.arange(size)
        shape = (len(starts), size)
        weights = self.weights
        weights = (
            weights[places].reshape(shape) if weights.ndim else np.broadcast_to(weights, shape)
        )
        relevance, scores = self.relevance[places], self.scores[places]
        documents = relevance.reshape(shape), scores.reshape(shape), weights
        return Block(queries, *documents, places, hessian)

    def as_given(self, values: Floats) -> Floats:
        """Return values of the documents in the order in which these were given."""
        if self.order is None:
            return values
        given = np.empty_like(values)
        given[self.order] = values
        return given


def as_queries(
    relevance: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None,
    qid: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    names: tuple[str, str, str] = ("y_true", "y_score", "sample_weight"),
    *,
    unranked: bool = False,
) -> Queries:
    """Return the checked arguments of a measure or a loss; `names` are those in its signature.

    `weights` are of documents. With `qid` queries are in order of their ids. With `unranked` scores
    may be minus infinity, and only their order counts.
    """
    name, other, weights_name = names
    relevance = checks.as_numbers(relevance, name)
    scores = checks.as_ranked(scores, other) if unranked else scores
    scores = checks.as_numbers(scores, other, unranked=unranked)
    _check_documents(relevance, scores, name, other)
    sizes, order = _sizes_and_order(relevance, groups, qid, name)
    if not sizes.size or not sizes.all():
        raise ValueError(f"{name} is empty or has queries without documents: {relevance.shape}")
    given: Any = np.ones(())
    if weights is not None:
        given = checks.as_weights(weights, weights_name, relevance.shape, "document").ravel()
    relevance, scores = relevance.ravel(), scores.ravel()
    if order is not None:
        relevance, scores = relevance[order], scores[order]
        given = given[order] if given.ndim else given
    return Queries(relevance, scores, sizes, given, order)


def _check_documents(relevance: Floats, scores: Floats, name: str, other: str) -> None:
    """Check shapes, and that relevance is not negative."""
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
            f"{name} and {other} have shape {relevance.shape}, a query of one document per row: "
            "pass both in one dimension, and for queries of one document groups=[1, 1, ...]"
        )
    if relevance.size and relevance.min() < 0.0:
        raise ValueError(f"{name} has negative values; the relevance of irrelevant documents is 0")


def _sizes_and_order(
    relevance: Floats, groups: ArrayLike | None, qid: ArrayLike | None, name: str
) -> tuple[Indices, Indices | None]:
    """Return the sizes of the queries, and the documents by query where `qid` sorts them."""
    for key, given in ("groups", groups), ("qid", qid):
        if given is not None and relevance.ndim == 2:
            raise ValueError(f"{key} is for one-dimensional {name}: here every row is a query")
    if groups is not None and qid is not None:
        raise ValueError("groups are the sizes of queries and qid are ids; pass only one of them")
    if relevance.ndim == 2:
        return np.full(relevance.shape[0], relevance.shape[1], dtype=np.int64), None
    if qid is not None:
        codes = query_numbers(qid, relevance.size)
        in_order = bool((codes[1:] >= codes[:-1]).all())
        return np.bincount(codes), None if in_order else np.argsort(codes, kind="stable")
    if groups is not None:
        return as_sizes(groups, relevance.size), None
    return np.array([relevance.size], dtype=np.int64), None


def query_numbers(qid: ArrayLike, n_documents: int) -> Indices:
    """Return the number of every document's query, from 0, in ascending order of the ids."""
    remedy = "leave these documents out, or give them an id"
    words: dict[str, Any] = {"name": "qid", "are": "one id per document", "of_missing": remedy}
    numbers = class_codes(qid, n_documents, any_numbers=True, **words)
    values, missing = label_values(qid)
    if missing.any():
        raise ValueError(f"qid has missing ids (NaN, None); {remedy}")
    if values.dtype.kind == "O" and ascending(list(set(values.flat))) is None:
        types = sorted({type(value).__name__ for value in values.flat})
        kind = "mixed types" if len(types) > 1 else "a type without order"
        raise ValueError(
            f"qid has ids of {kind}, {', '.join(types)}; convert all to text, for example by "
            "[str(i) for i in qid]"
        )
    return numbers


def as_sizes(groups: ArrayLike, n_documents: int) -> Indices:
    """Return the checked sizes of the queries of all documents."""
    sizes = as_array(groups, "groups")
    remedy = ""
    if sizes.shape == (n_documents,):
        remedy = "; ids of queries, one per document, are qid="
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
    qid: ArrayLike | None,
    sample_weight: ArrayLike | None,
    per_query: bool,
    undefined: Any = 0.0,
    propensity: ArrayLike | None = None,
    names: tuple[str, str] = ("y_true", "y_score"),
) -> float | Floats:
    """Return the mean of the queries' values, or the values with `per_query`.

    `measure` returns the values of a block, NaN where undefined. It gets propensities as the
    weights of documents.
    """
    all_names = (*names, "propensity")
    queries = as_queries(y_true, y_score, groups, qid, propensity, all_names, unranked=True)
    if not (queries.weights > 0.0).all() or queries.weights.max() > 1.0:
        raise ValueError("propensity must hold probabilities above 0 and up to 1")
    values = np.empty(len(queries))
    with np.errstate(over="ignore"):
        for block in queries.blocks():
            values[block.queries] = measure(block)
    if np.isinf(values).any():
        raise _overflow(queries, names[0])
    weights = np.ones(len(values))
    if sample_weight is not None:
        weights = _weights_of_queries(sample_weight, queries, by_document=qid is not None)
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
    if not weights.any():
        raise ValueError("sample_weight must not be 0 for all queries")
    weights = np.ldexp(weights, -np.frexp(weights.max())[1])  # sums of large ones would overflow
    with np.errstate(over="ignore"):
        mean = float(np.average(values, weights=weights))
    if np.isinf(mean) and not np.isinf(values).any():
        raise _overflow(queries, names[0])
    return mean


def _overflow(queries: Queries, name: str) -> ValueError:
    largest = queries.relevance.max()
    return ValueError(f"{name} has values up to {largest:.3g}, whose gains overflow; scale it")


def _weights_of_queries(weights: ArrayLike, queries: Queries, *, by_document: bool) -> Floats:
    if not by_document:
        return checks.as_weights(weights, "sample_weight", (len(queries),), "query")
    of_documents = checks.as_weights(
        weights, "sample_weight", queries.scores.shape, "document (as qid is given)"
    )
    if queries.order is not None:
        of_documents = of_documents[queries.order]
    of_queries = of_documents[np.cumsum(queries.sizes) - queries.sizes]
    if (np.repeat(of_queries, queries.sizes) != of_documents).any():
        raise ValueError("sample_weight must be equal for all documents of a query")
    return of_queries


def loss_of_queries(
    part: Callable[[Block], Part],
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    qid: ArrayLike | None,
    document_weight: ArrayLike | None,
    reduction: Reduction,
    hessian: bool,
    *,
    of_pairs: bool = False,
) -> RankingLoss:
    """Return the reduced loss of all queries, `part` being that of a block, and its gradient."""
    names = ("relevance", "scores", "document_weight")
    queries = as_queries(relevance, scores, groups, qid, document_weight, names)
    largest = np.abs(queries.scores).max()
    if largest > 1e300:
        raise ValueError(f"scores has values up to {largest:.3g}, whose sums overflow; scale it")
    losses = np.empty(len(queries))
    derivatives = [np.empty(queries.scores.size) for _ in range(1 + hessian)]
    n_terms = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in queries.blocks(of_pairs=of_pairs, hessian=hessian):
            block_losses, terms, *of_block = part(block)
            losses[block.queries] = block_losses
            for values, into in zip(of_block, derivatives, strict=False):
                block.put(values, into)
            n_terms += float(np.sum(np.broadcast_to(terms, block_losses.shape)))
        loss, count = checks.reduced(losses, reduction, n_terms)
    if not all(np.isfinite(values).all() for values in (loss, *derivatives)):
        heaviest = queries.weights.max()
        raise ValueError(
            f"the loss overflows with scores up to {largest:.3g} and document_weight up to "
            f"{heaviest:.3g}; scale them"
        )
    shape = np.shape(scores)
    found = [
        checks.same_type((queries.as_given(values) / count).reshape(shape), scores)
        for values in derivatives
    ]
    return (loss, found[0], found[1]) if hessian else (loss, found[0])


def differences(values: Floats, some: slice = slice(None)) -> Floats:
    """Return v_i - v_j of every query for some i and all j, (n_queries, n_some, size)."""
    return values[:, some, np.newaxis] - values[:, np.newaxis, :]
