"""Online mining: choose the pairs and triplets of a batch to learn from.

Anchors are processed a few at a time, so memory is linear in the batch and in the number found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices, SimilarLabel
from fasttsne.metric_learning.distances import Batch, normalized
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state

__all__ = ["mine_pairs", "mine_triplets"]

PairStrategy = Literal["all", "hard", "easy", "random"]
Strategy = Literal["all", "hard", "semihard", "easy", "distance_weighted", "random"]
Rows = tuple[Indices, Indices, Indices]

# Of two samples of length 1. Smaller distances get the density of this one (Wu et al. 2017).
_LEAST_DISTANCE = 0.5
# Negatives beyond this distance hardly have a gradient.
_LARGEST_DISTANCE = 1.4


@with_plain_numbers
def mine_pairs(
    X: ArrayLike,
    labels: ArrayLike,
    strategy: PairStrategy = "hard",
    *,
    similar_label: SimilarLabel = 0,
    random_state: Seed = None,
) -> Indices:
    """Return pairs of a batch, chosen by plain Euclidean distances.

    Parameters
    ----------
    X, labels : see `losses.contrastive_loss`
    strategy : {"all", "hard", "easy", "random"}, default="hard"
        "all" takes every pair once. The others pair every sample with one positive and one
        negative: "hard" with the farthest positive and the nearest negative, "easy" with the
        nearest positive and the farthest negative, "random" with random ones.
    similar_label : {0, 1}, default=0
        Label of pairs of one class.
    random_state : int, RandomState, Generator or None, default=None
        Random numbers for "random".

    Returns
    -------
    pairs : ndarray of int64, shape (n_pairs, 3)
        Two samples and the label of the pair, for the `pairs` of `contrastive_loss`.

    Examples
    --------
    >>> from fasttsne.metric_learning.mining import mine_pairs
    >>> mine_pairs([[0.0], [1.0], [3.0]], [0, 0, 1])
    array([[0, 1, 0],
           [1, 0, 0],
           [0, 2, 1],
           [1, 2, 1],
           [2, 1, 1]])
    """
    Z = checks.as_embeddings(X)
    classes = checks.as_classes(labels, len(Z))
    if strategy == "all":
        return _all_pairs(classes, similar_label)
    chance = check_random_state(random_state)
    found: dict[int, list[Indices]] = {similar_label: [], 1 - similar_label: []}
    for block in _blocks(Z, classes):
        distances = chance.random_sample(block.distances.shape)
        if strategy != "random":
            distances = block.distances if strategy == "hard" else -block.distances
        for label, values, chosen in (
            (similar_label, distances, block.positive),
            (1 - similar_label, -distances, block.negative),
        ):
            rows, others = _largest(values, chosen)
            labels_of = np.full(len(rows), label)
            found[label].append(np.column_stack([block.rows[rows], others, labels_of]))
    return np.vstack(found[similar_label] + found[1 - similar_label])


@with_plain_numbers
def mine_triplets(
    X: ArrayLike,
    labels: ArrayLike,
    strategy: Strategy = "semihard",
    *,
    margin: Positive = 1.0,
    random_state: Seed = None,
) -> Indices:
    """Return triplets of a batch, chosen by plain Euclidean distances D.

    Parameters
    ----------
    X, labels : see `losses.contrastive_loss`
    strategy : str, default="semihard"
        - "all": all triplets, a cubic number.
        - "hard": the farthest positive and the nearest negative of an anchor (Hermans et al. 2017).
        - "easy": the nearest positive and the nearest negative of an anchor (Xuan et al. 2020).
        - "semihard": for every anchor and positive p the nearest negative n with
          D(p) < D(n) < D(p) + `margin`, if there is one (Schroff et al. 2015).
        - "random": for every anchor and positive a random negative.
        - "distance_weighted": for every anchor and positive a random negative, such that distances
          after scaling to length 1 are drawn evenly where there are negatives (Wu et al. 2017).
    margin : float, default=1.0
        Margin of "semihard", above 0.
    random_state : int, RandomState, Generator or None, default=None
        Random numbers for "random" and "distance_weighted".

    Returns
    -------
    triplets : ndarray of int64, shape (n_triplets, 3)
        Anchors, positives and negatives, for the `triplets` of `triplet_loss`, in the order of the
        anchors.

    Examples
    --------
    >>> from fasttsne.metric_learning.mining import mine_triplets
    >>> mine_triplets([[0.0], [1.0], [1.5], [4.0]], [0, 0, 1, 1])
    array([[0, 1, 2],
           [3, 2, 1]])
    """
    Z = checks.as_embeddings(X)
    classes = checks.as_classes(labels, len(Z))
    if strategy == "distance_weighted":
        Z, _ = normalized(Z)
    chance = check_random_state(random_state)
    found = [np.empty((0, 3), dtype=np.int64)]
    for block in _blocks(Z, classes):
        anchors, positives, negatives = _STRATEGIES[strategy](block, margin, chance, Z.shape[1])
        found.append(np.column_stack([block.rows[anchors], positives, negatives]))
    return np.vstack(found)


def _all_pairs(classes: Indices, similar_label: SimilarLabel) -> Indices:
    n = len(classes)
    pairs = np.empty((n * (n - 1) // 2, 3), dtype=np.int64)
    end = 0
    for i in range(n - 1):
        start, end = end, end + n - 1 - i
        pairs[start:end, 0] = i
        pairs[start:end, 1] = np.arange(i + 1, n)
        same = classes[i + 1 :] == classes[i]
        pairs[start:end, 2] = np.where(same, similar_label, 1 - similar_label)
    return pairs


@dataclass(frozen=True)
class _Block:
    """A few anchors: their numbers, and distances to all samples and classes, a row per anchor."""

    rows: Indices
    distances: Floats
    positive: NDArray[np.bool_]
    negative: NDArray[np.bool_]


def _blocks(X: Floats, classes: Indices) -> Iterator[_Block]:
    batch = Batch(X)
    for rows in batch.blocks():
        same = classes[rows, np.newaxis] == classes
        distances = np.sqrt(batch.squared_distances(rows))
        yield _Block(rows, distances, same & (rows[:, np.newaxis] != np.arange(len(X))), ~same)


def _largest(values: Floats, chosen: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Return the rows with any chosen value, and the column of the largest of these."""
    rows = np.flatnonzero(chosen.any(axis=1))
    return rows, np.argmax(np.where(chosen[rows], values[rows], -np.inf), axis=1)


def _with_nearest(block: _Block, to_positives: Floats) -> Rows:
    """Return the positive with the largest value, and the nearest negative, of every anchor."""
    has_negative = block.negative.any(axis=1, keepdims=True)
    rows, positives = _largest(to_positives, block.positive & has_negative)
    has_positive = block.positive.any(axis=1, keepdims=True)
    _, negatives = _largest(-block.distances, block.negative & has_positive)
    return rows, positives, negatives


def _every(distances: Floats, p: Indices, n: Indices, margin: float) -> tuple[Indices, Indices]:
    return np.repeat(p, len(n)), np.tile(n, len(p))


def _semihard(distances: Floats, p: Indices, n: Indices, margin: float) -> tuple[Indices, Indices]:
    n = n[np.argsort(distances[n], kind="stable")]
    next_one = np.searchsorted(distances[n], distances[p], side="right")
    p, next_one = p[next_one < len(n)], next_one[next_one < len(n)]
    within = distances[n[next_one]] < distances[p] + margin
    return p[within], n[next_one[within]]


def _by_anchor(
    choose: Callable[[Floats, Indices, Indices, float], tuple[Indices, Indices]],
    block: _Block,
    margin: float,
) -> Rows:
    """Return the triplets that `choose` picks of every anchor's positives and negatives."""
    found = []
    for row, distances in enumerate(block.distances):
        of_row = np.flatnonzero(block.positive[row]), np.flatnonzero(block.negative[row])
        p, n = choose(distances, *of_row, margin)
        found.append((np.full(len(p), row), p, n))
    rows, positives, negatives = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, positives, negatives


def _distance_weighted(block: _Block, margin: float, chance: RandomState, n_features: int) -> Rows:
    distances = np.maximum(block.distances, _LEAST_DISTANCE)
    within = np.minimum(distances, _LARGEST_DISTANCE)
    # log density of the distance of two random samples on the sphere (Wu et al. 2017, equation 2).
    log_density = (n_features - 2.0) * np.log(within)
    log_density += 0.5 * (n_features - 3.0) * np.log1p(-0.25 * within**2)
    far = distances > _LARGEST_DISTANCE
    log_weights = np.where(block.negative & ~far, -log_density, -np.inf)
    none = np.isinf(log_weights).all(axis=1)
    log_weights[none] = np.where(block.negative[none], 0.0, -np.inf)  # all are far: even chances
    largest = log_weights.max(axis=1, keepdims=True, initial=-1e300)
    return _drawn(block, np.exp(log_weights - largest), chance)


def _drawn(block: _Block, weights: Floats, chance: RandomState) -> Rows:
    """Return every positive with a negative drawn by weight."""
    positive = block.positive & block.negative.any(axis=1, keepdims=True)
    rows, positives = np.nonzero(positive)
    sums = np.cumsum(np.where(block.negative, weights, 0.0), axis=1)
    # One search for all rows: the scaled sums of row r lie between r and r + 1, and its targets
    # below r + 1 in spite of rounding.
    totals = np.where(sums[:, -1:] > 0.0, sums[:, -1:], 1.0)
    scaled = np.minimum(sums / totals, 1.0) + np.arange(len(sums))[:, np.newaxis]
    targets = rows + (1.0 - 1e-9) * chance.random_sample(len(rows))
    negatives = np.searchsorted(scaled.ravel(), targets, side="right") - rows * sums.shape[1]
    return rows, positives, negatives


_STRATEGIES: dict[str, Callable[[_Block, float, RandomState, int], Rows]] = {
    "all": lambda block, margin, *_: _by_anchor(_every, block, margin),
    "hard": lambda block, *_: _with_nearest(block, block.distances),
    "semihard": lambda block, margin, *_: _by_anchor(_semihard, block, margin),
    "easy": lambda block, *_: _with_nearest(block, -block.distances),
    "random": lambda block, _, chance, __: _drawn(block, np.ones_like(block.distances), chance),
    "distance_weighted": _distance_weighted,
}
