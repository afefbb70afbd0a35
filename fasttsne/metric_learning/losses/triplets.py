"""Triplet loss: an anchor should be nearer to a positive than to a negative, by a margin.

A batch has a cubic number of triplets, but they need no cubic amount of work. For one anchor, with
distances p to positives and q to negatives, the loss depends only on how many q are below
p + margin and on their sum. Running counts and sums of the q between sorted p give both for all p.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices, Loss, PairReduction
from fasttsne.metric_learning.distances import Batch, block_rows, by_squared_of, summed_by_row
from fasttsne.metric_learning.mining import Strategy, mine_triplets
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.random_state import Seed


@with_plain_numbers
def triplet_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    triplets: ArrayLike | None = None,
    margin: Positive = 1.0,
    squared: bool = False,
    mining: Strategy = "all",
    reduction: PairReduction = "mean_nonzero",
    random_state: Seed = None,
) -> Loss:
    """Return the triplet loss, max(0, D(anchor, positive) - D(anchor, negative) + margin).

    Parameters
    ----------
    X : see `contrastive_loss`
    labels : array-like of shape (n_samples,), default=None
        Classes, of any type. Positives are the other samples of the anchor's class, negatives are
        the samples of other classes.
    triplets : array-like of int, shape (n_triplets, 3), default=None
        Instead of `labels`: the numbers of anchors, positives and negatives.
    margin : float, default=1.0
        Distance by which negatives should be further away than positives, above 0.
    squared : bool, default=False
        Whether D is the squared Euclidean distance, as in Schroff et al. 2015, or the plain one.
    mining : str, default="all"
        Which triplets of `labels` count:

        - "all": all triplets.
        - "semihard": all triplets whose negative is further away than the positive, by less than
          the margin (Schroff et al. 2015).
        - "hard", "easy", "distance_weighted", "random": the triplets that
          `fasttsne.metric_learning.mining.mine_triplets` finds; "hard" are the farthest positive
          and the nearest negative of each anchor (Hermans et al. 2017).
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean_nonzero"
        Over the triplets that count; see `fasttsne.metric_learning.losses`. With `labels`, "none"
        returns the sum of every anchor.
    random_state : int, RandomState, Generator or None, default=None
        Random numbers for "distance_weighted" and "random".

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,) or (n_triplets,), ndarray like `X`
        In (squared) units of the embeddings; 0 without triplets. Derivative by the embeddings, with
        the choice of triplets held fixed; 0 at plain distances of 0 and for triplets exactly at the
        margin, where there is none.

    Notes
    -----
    All strategies take at most O(n^2 log n) time for n samples. The memory is linear in n, and for
    mined triplets also in their number.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import triplet_loss
    >>> X = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]
    >>> loss, gradient = triplet_loss(X, [0, 0, 1, 1])
    >>> round(loss, 4), gradient.shape
    (1.7537, (4, 2))
    """
    given, X = X, checks.as_embeddings(X)
    checks.check_squares(X, "X")
    if triplets is not None and labels is None:
        numbers = checks.as_indices(triplets, 3, len(X), "triplets")
        losses, gradient = _of_triplets(X, numbers, margin, squared)
        n_terms, n_nonzero = float(len(numbers)), float(np.count_nonzero(losses))
    elif triplets is not None or labels is None:
        raise ValueError("give either labels or triplets")
    elif mining in ("all", "semihard"):
        classes = checks.as_classes(labels, len(X))
        losses, gradient, n_terms, n_nonzero = _of_classes(
            X, classes, margin, squared, mining == "semihard"
        )
    else:
        numbers = mine_triplets(X, labels, mining, margin=margin, random_state=random_state)
        each, gradient = _of_triplets(X, numbers, margin, squared)
        n_terms, n_nonzero = float(len(numbers)), float(np.count_nonzero(each))
        losses = np.asarray(np.bincount(numbers[:, 0], each, minlength=len(X)), dtype=np.float64)
    loss, count = checks.reduced(losses, reduction, n_terms, n_nonzero)
    return loss, checks.same_type(gradient / count, given)


def _of_triplets(
    X: Floats, triplets: Indices, margin: float, squared: bool
) -> tuple[Floats, Floats]:
    """Return the losses of triplets, and the gradient of their sum."""
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


def _of_classes(
    X: Floats, classes: Indices, margin: float, squared: bool, semihard: bool
) -> tuple[Floats, Floats, float, float]:
    """Return losses per anchor, the gradient of their sum, numbers of terms and nonzero terms."""
    order = np.argsort(classes, kind="stable")
    batch = Batch(X[order])
    sizes = np.bincount(classes)
    ends = np.cumsum(sizes)
    own = classes[order]
    losses, n_nonzero = np.zeros(len(X)), 0.0
    # A sample alone in its class has no positives; a sample in the only class has no negatives.
    anchors = np.flatnonzero((sizes[own] > 1) & (sizes[own] < len(X)))
    for rows in batch.blocks(anchors):
        distances = batch.squared_distances(rows)
        if not squared:
            np.sqrt(distances, out=distances)
        slopes = np.zeros_like(distances)
        for row, anchor in enumerate(rows):
            start, end = ends[own[anchor]] - sizes[own[anchor]], ends[own[anchor]]
            found = _of_anchor(distances[row], anchor, start, end, margin, semihard)
            losses[order[anchor]], n_within, slopes[row] = found
            n_nonzero += n_within
        batch.add_gradient(rows, slopes if squared else by_squared_of(slopes, distances))
    gradient = np.empty_like(X)
    gradient[order] = batch.gradient
    n_all = float((sizes * (sizes - 1.0) * (len(X) - sizes)).sum())
    return losses, gradient, n_nonzero if semihard else n_all, n_nonzero


def _of_anchor(
    distances: Floats, anchor: int, start: int, end: int, margin: float, semihard: bool
) -> tuple[float, int, Floats]:
    """Return loss, number of triplets and derivatives by `distances`; the class is start to end."""
    # The triplets are those with q < p + margin, and with p < q if `semihard`: every p has a range
    # of q. The bounds of all ranges, sorted, divide the line into bins. Cumulative counts and sums
    # of the q per bin give the total in each range. The number of ranges that are open in a bin is
    # the pull on each q in it.
    positives = np.concatenate([np.arange(start, anchor), np.arange(anchor + 1, end)])
    p = distances[positives]
    ends = p + margin
    # A bound belongs to the bin above it; p itself is outside its range.
    begins = np.nextafter(p, np.inf) if semihard else np.full_like(p, -np.inf)
    ends = np.maximum(ends, begins)  # margins below the last digit of a distance
    bounds = np.concatenate([begins, ends])
    order = np.argsort(bounds, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))

    bins = np.searchsorted(bounds[order], distances, side="right")
    counts, sums = np.zeros((2, len(order) + 1))
    for others in slice(0, start), slice(end, None):
        counts += np.bincount(bins[others], minlength=len(counts))
        sums += np.bincount(bins[others], distances[others], minlength=len(sums))
    below, sum_below = np.cumsum(counts), np.cumsum(sums)
    first, last = place[: len(p)], place[len(p) :]
    n_within = below[last] - below[first]
    within = n_within * (p + margin) - (sum_below[last] - sum_below[first])

    n_open = np.zeros(len(counts))
    np.cumsum(np.where(order < len(p), -1.0, 1.0), out=n_open[1:])
    slopes = n_open[bins]
    slopes[start:end] = 0.0
    slopes[positives] = n_within
    return float(np.maximum(within, 0.0).sum()), int(n_within.sum()), slopes
