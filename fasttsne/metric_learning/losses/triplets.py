"""Triplet loss: an anchor should be nearer to a positive than to a negative, by a margin.

All triplets of a batch are a cubic number, but not a cubic amount of work. For one anchor, with
distances p to positives and q to negatives, what counts is how many q are below p + margin, and
their sum: numbers and sums of the q between sorted p, running along, give that for all p at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.checks import (
    Floats,
    Reduction,
    as_classes,
    as_embeddings,
    as_indices,
    check_positive,
    check_squares,
    n_terms,
    same_type,
)
from fasttsne.metric_learning.distances import Batch, block_rows, by_squared_of, summed_by_row
from fasttsne.metric_learning.mining import mine_triplets

__all__ = ["triplet_loss"]

Mining = Literal["all", "hard", "semihard", "easy", "distance_weighted", "random"]

# The sum of the losses of every anchor, numbers of triplets and of such as have a loss, and
# derivatives by the distances.
Part = tuple[Floats, float, float, Floats]


def triplet_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    triplets: ArrayLike | None = None,
    margin: float = 1.0,
    squared: bool = False,
    mining: Mining = "all",
    reduction: Reduction = "mean_nonzero",
    random_state: int | np.random.RandomState | None = None,
) -> tuple[float | Floats, NDArray[np.floating]]:
    """Triplet loss: max(0, D(anchor, positive) - D(anchor, negative) + margin) [1]_.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    labels : array-like of shape (n_samples,), default=None
        Classes, of any type. Positives are others of the anchor's class, negatives all the rest.
    triplets : array-like of int, shape (n_triplets, 3), default=None
        Instead of `labels`: numbers of anchors, positives and negatives.
    margin : float, default=1.0
        By how much negatives should be further away, above 0, in the unit of the distance.
    squared : bool, default=False
        Whether D is the squared Euclidean distance, as in [1]_, or the plain one.
    mining : str, default="all"
        Which triplets of `labels` count:

        - "all": all triplets.
        - "hard": of each anchor the farthest positive and the nearest negative [2]_.
        - "semihard": all whose negative is further away than the positive, by less than the
          margin [1]_.
        - "easy", "distance_weighted", "random": those that
          `fasttsne.metric_learning.mining.mine_triplets` finds.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean_nonzero"
        Over the triplets that count; "mean_nonzero" over those whose loss is not 0. "none" gives,
        with `labels`, the sum of every anchor, with `triplets` the loss of each; the gradient is
        then that of their sum.
    random_state : int, RandomState instance or None, default=None
        Source of chance for "distance_weighted" and "random".

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,) or (n_triplets,)
        0 without triplets.
    gradient : ndarray of shape (n_samples, n_features)
        Its derivative by the embeddings, for the triplets as they were chosen; 0 for plain
        distances of 0 and for triplets exactly at the margin, where there is none.

    Raises
    ------
    ValueError
        If not one of `labels` and `triplets` is given, if shapes disagree, values are NaN,
        infinite or no numbers, or if a parameter is out of range.

    Notes
    -----
    All triplets of n samples take O(n^2 log n) time at the most, less in small classes, and memory
    linear in n; so do "hard" and "semihard". The memory of the others is linear in the number of
    triplets as well.

    References
    ----------
    .. [1] Schroff, F., Kalenichenko, D. and Philbin, J. (2015). FaceNet: a unified embedding for
       face recognition and clustering. IEEE Conference on Computer Vision and Pattern Recognition,
       815-823.
    .. [2] Hermans, A., Beyer, L. and Leibe, B. (2017). In defense of the triplet loss for person
       re-identification. arXiv:1703.07737.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import triplet_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = triplet_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (1.7537, (4, 2))
    >>> loss, _ = triplet_loss(X, [0, 0, 1, 1], mining="hard", reduction="mean")
    >>> round(loss, 4)
    1.0221
    """
    given, X = X, as_embeddings(X)
    check_positive("margin", margin)
    n_terms(reduction, 0, 0)
    if mining not in get_args(Mining):
        known = ", ".join(map(repr, get_args(Mining)))
        raise ValueError(f"mining={mining!r} must be one of {known}")
    if (labels is None) == (triplets is None):
        raise ValueError("give either labels or triplets")
    if labels is not None and mining in _MINED:
        losses, gradient, n_all, n_nonzero = _of_classes(
            X, as_classes(labels, len(X)), margin, squared, mining
        )
    else:
        check_squares(X, "X")
        if labels is not None:
            numbers = mine_triplets(
                X, labels, strategy=mining, margin=margin, random_state=random_state
            )
        else:
            assert triplets is not None
            numbers = as_indices(triplets, 3, len(X), "triplets")
        losses, gradient = _of_triplets(X, numbers, margin, squared)
        n_all, n_nonzero = float(len(numbers)), float(np.count_nonzero(losses))
        if labels is not None:
            losses = _per_anchor(numbers[:, 0], losses, len(X))
    count = n_terms(reduction, n_all, n_nonzero)
    loss = losses if reduction == "none" else float(losses.sum()) / count
    return loss, same_type(gradient / count, given)


def _per_anchor(anchors: NDArray[np.int64], losses: Floats, n_anchors: int) -> Floats:
    return np.asarray(np.bincount(anchors, losses, minlength=n_anchors), dtype=np.float64)


# ---- Triplets given one by one ----------------------------------------------------------------


def _of_triplets(
    X: Floats, triplets: NDArray[np.int64], margin: float, squared: bool
) -> tuple[Floats, Floats]:
    """Losses of triplets, and the gradient of their sum, in memory linear in their number."""
    losses, gradient = np.empty(len(triplets)), np.zeros_like(X)
    step = block_rows(X.shape[1])
    for first in range(0, len(triplets), step):
        anchor, positive, negative = triplets[first : first + step].T
        near, far = X[anchor] - X[positive], X[anchor] - X[negative]
        to_positive, to_negative = (np.einsum("ij,ij->i", way, way) for way in (near, far))
        if not squared:
            to_positive, to_negative = np.sqrt(to_positive), np.sqrt(to_negative)
        values = np.maximum(to_positive - to_negative + margin, 0.0)
        losses[first : first + step] = values
        slopes = np.sign(values)
        for other, way, distance, by_distance in (
            (positive, near, to_positive, slopes),
            (negative, far, to_negative, -slopes),
        ):
            by_squared = by_distance if squared else by_squared_of(by_distance, distance)
            pulls = 2.0 * by_squared[:, np.newaxis] * way
            gradient += summed_by_row(anchor, pulls, len(X)) - summed_by_row(other, pulls, len(X))
    return losses, gradient


# ---- Triplets of classes ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Anchors:
    """A few anchors of a batch whose classes stand one after the other.

    Attributes
    ----------
    distances : ndarray of shape (n_anchors, n_samples)
        To all samples.
    starts, ends : ndarray of int64, shape (n_anchors,)
        Where the anchor's own class starts and ends.
    row, column : ndarray of int64, shape (n_pairs,)
        All pairs of an anchor and a positive: the anchor's place in this block, and the
        positive's among the samples; anchor by anchor.
    """

    distances: Floats
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    def to_negatives(self) -> Floats:
        """Return the distances, infinite to the anchor's own class."""
        found = self.distances.copy()
        for row, first, last in zip(found, self.starts, self.ends, strict=True):
            row[first:last] = np.inf
        return found


def _of_classes(
    X: Floats, classes: NDArray[np.int64], margin: float, squared: bool, mining: Mining
) -> tuple[Floats, Floats, float, float]:
    order = np.argsort(classes, kind="stable")
    batch = Batch(X[order])
    sizes = np.bincount(classes)
    ends = np.cumsum(sizes)
    own = classes[order]
    losses, n_all, n_nonzero = np.zeros(len(X)), 0.0, 0.0
    # Who is alone in a class has no positives, and who is in the only one has no negatives.
    anchors = np.flatnonzero((sizes[own] > 1) & (sizes[own] < len(X)))
    for rows in batch.blocks(anchors):
        distances = batch.squared_distances(rows)
        if not squared:
            np.sqrt(distances, out=distances)
        last = ends[own[rows]]
        first = last - sizes[own[rows]]
        row, column = _positives(rows, first, last)
        part = _MINED[mining](_Anchors(distances, first, last, row, column), margin)
        losses[order[rows]], counts, nonzero, slopes = part
        n_all += counts
        n_nonzero += nonzero
        batch.add_gradient(rows, slopes if squared else by_squared_of(slopes, distances))
    gradient = np.empty_like(X)
    gradient[order] = batch.gradient
    return losses, gradient, n_all, n_nonzero


def _positives(
    anchors: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair anchors with all others between their start and end."""
    sizes = ends - starts
    row = np.repeat(np.arange(len(anchors)), sizes)
    column = np.arange(len(row)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    others = column != anchors[row]
    return row[others], column[others]


def _hard(block: _Anchors, margin: float) -> Part:
    rows = np.arange(len(block.distances))
    to_positives = np.full_like(block.distances, -np.inf)
    to_positives[block.row, block.column] = block.distances[block.row, block.column]
    farthest, nearest = np.argmax(to_positives, axis=1), np.argmin(block.to_negatives(), axis=1)
    losses = block.distances[rows, farthest] - block.distances[rows, nearest] + margin
    losses = np.maximum(losses, 0.0)
    slopes = np.zeros_like(block.distances)
    slopes[rows, farthest] = np.sign(losses)
    slopes[rows, nearest] = -np.sign(losses)
    return losses, float(len(rows)), float(np.count_nonzero(losses)), slopes


def _all(block: _Anchors, margin: float) -> Part:
    losses, _, nonzero, slopes = _between(block, margin, semihard=False)
    n_negatives = block.distances.shape[1] - (block.ends - block.starts)
    return losses, float(n_negatives[block.row].sum()), nonzero, slopes


def _semihard(block: _Anchors, margin: float) -> Part:
    return _between(block, margin, semihard=True)


_MINED = {"all": _all, "hard": _hard, "semihard": _semihard}


def _between(block: _Anchors, margin: float, *, semihard: bool) -> Part:
    """All triplets with q < p + margin, if semihard also p < q: those that have a loss.

    For every p the q of a range. The bounds of all ranges of an anchor, sorted, cut the line into
    bins. The numbers of q in these and their sums, summed up along the line, tell what is within
    each range; the ranges that are open in a bin, what pulls each q in it.
    """
    n_rows, n_samples = block.distances.shape
    slopes = np.zeros((n_rows, n_samples))
    losses, n_triplets = np.zeros(n_rows), 0
    pairs = np.searchsorted(block.row, np.arange(n_rows + 1))
    for row in range(n_rows):
        own = slice(block.starts[row], block.ends[row])
        positives = block.column[pairs[row] : pairs[row + 1]]
        distances = block.distances[row]
        p = distances[positives]
        ends = p + margin
        # A bound belongs to the bin above it, and p itself is not within its range.
        begins = np.nextafter(p, np.inf) if semihard else np.full_like(p, -np.inf)
        ends = np.maximum(ends, begins)  # margins below the last digit of a distance
        bounds = np.concatenate([begins, ends])
        order = np.argsort(bounds, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))

        bins = np.searchsorted(bounds[order], distances, side="right")
        counts, sums = np.zeros((2, len(order) + 1))
        for others in slice(0, own.start), slice(own.stop, n_samples):
            counts += np.bincount(bins[others], minlength=len(counts))
            sums += np.bincount(bins[others], distances[others], minlength=len(sums))
        below, sum_below = np.cumsum(counts), np.cumsum(sums)
        begin, end = place[: len(p)], place[len(p) :]
        n_within = below[end] - below[begin]
        within = n_within * (p + margin) - (sum_below[end] - sum_below[begin])
        losses[row] = np.maximum(within, 0.0).sum()

        n_open = np.zeros(len(counts))
        np.cumsum(np.where(order < len(p), -1.0, 1.0), out=n_open[1:])
        np.take(n_open, bins, out=slopes[row])
        slopes[row, own] = 0.0
        slopes[row, positives] = n_within
        n_triplets += int(n_within.sum())
    return losses, float(n_triplets), float(n_triplets), slopes
