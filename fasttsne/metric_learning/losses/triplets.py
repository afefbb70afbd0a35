"""Triplet loss: an anchor should be nearer to a positive than to a negative, by a margin.

All triplets of a batch are a cubic number, but not a cubic amount of work. For one anchor, with
distances p to positives and q to negatives, what counts is how many q are below p + margin, and
their sum: sorting both together gives that for all p at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning.batches import (
    Floats,
    Reduction,
    as_classes,
    as_embeddings,
    as_indices,
    check_positive,
    n_terms,
    same_type,
)
from fasttsne.metric_learning.distances import Batch, by_squared_of

__all__ = ["triplet_loss"]

Mining = Literal["all", "hard", "semihard"]

# Sums of losses, numbers of triplets and of such as have a loss, a row each; and derivatives by
# the distances to positives and to negatives.
Part = tuple[Floats, Floats, Floats, Floats, Floats]


def triplet_loss(
    X: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    triplets: ArrayLike | None = None,
    margin: float = 1.0,
    squared: bool = False,
    mining: Mining = "all",
    reduction: Reduction = "mean_nonzero",
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
    mining : {"all", "hard", "semihard"}, default="all"
        Which triplets of `labels` count: all; of each anchor the farthest positive and the nearest
        negative [2]_; those whose negative is further away than the positive, by less than the
        margin [1]_.
    reduction : {"mean", "mean_nonzero", "sum", "none"}, default="mean_nonzero"
        Over the triplets that count; "mean_nonzero" over those whose loss is not 0. "none" gives,
        with `labels`, the sum of every anchor, with `triplets` the loss of each; the gradient is
        then that of their sum.

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
    All triplets of n samples take O(n^2 log n) time, and memory linear in n.

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
    if mining not in _MINED:
        raise ValueError(f"mining={mining!r} must be one of {', '.join(map(repr, _MINED))}")
    if (labels is None) == (triplets is None):
        raise ValueError("give either labels or triplets")
    if labels is not None:
        losses, gradient, n_all, n_nonzero = _of_classes(
            X, as_classes(labels, len(X)), margin, squared, mining
        )
    else:
        assert triplets is not None
        numbers = as_indices(triplets, 3, len(X), "triplets")
        losses, gradient = _of_triplets(X, numbers, margin, squared)
        n_all, n_nonzero = float(len(numbers)), float(np.count_nonzero(losses))
    count = n_terms(reduction, n_all, n_nonzero)
    loss = losses if reduction == "none" else float(losses.sum()) / count
    return loss, same_type(gradient / count, given)


def _of_triplets(
    X: Floats, triplets: NDArray[np.int64], margin: float, squared: bool
) -> tuple[Floats, Floats]:
    anchor, positive, negative = triplets.T
    gradient = np.zeros_like(X)
    ways, distances = [], []
    for other in positive, negative:
        way = X[anchor] - X[other]
        square = np.einsum("ij,ij->i", way, way)
        ways.append(way)
        distances.append(square if squared else np.sqrt(square))
    losses = np.maximum(distances[0] - distances[1] + margin, 0.0)
    for other, way, distance, sign in zip(
        (positive, negative), ways, distances, (1.0, -1.0), strict=True
    ):
        slopes = sign * np.sign(losses)
        by_squared = slopes if squared else by_squared_of(slopes, distance)
        pulls = 2.0 * by_squared[:, np.newaxis] * way
        np.add.at(gradient, anchor, pulls)
        np.add.at(gradient, other, -pulls)
    return losses, gradient


# ---- Triplets of classes --------------------------------------------------------------------


def _of_classes(
    X: Floats, classes: NDArray[np.int64], margin: float, squared: bool, mining: Mining
) -> tuple[Floats, Floats, float, float]:
    batch = Batch(X)
    losses, n_all, n_nonzero = np.zeros(len(X)), 0.0, 0.0
    for rows, positives, negatives in _anchors(batch, classes):
        distances = batch.squared_distances(rows)
        if not squared:
            distances = np.sqrt(distances)
        # A sample is not its own positive: beyond every bound, it takes part in nothing.
        to_positives = np.where(rows[:, np.newaxis] == positives, np.nan, distances[:, positives])
        part = _MINED[mining](to_positives, distances[:, negatives], margin)
        losses[rows], counts, nonzero, by_positives, by_negatives = part
        n_all += counts.sum()
        n_nonzero += nonzero.sum()
        by_distances = np.zeros_like(distances)
        by_distances[:, positives] = by_positives
        by_distances[:, negatives] = by_negatives
        batch.add_gradient(
            rows, by_distances if squared else by_squared_of(by_distances, distances)
        )
    return losses, batch.gradient, n_all, n_nonzero


def _anchors(
    batch: Batch, classes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Anchors of one class, a block at a time, with the samples of that class and all others."""
    for label in range(classes.max() + 1):
        own = classes == label
        positives, negatives = np.flatnonzero(own), np.flatnonzero(~own)
        if len(positives) > 1 and len(negatives):
            for rows in batch.blocks(positives):
                yield rows, positives, negatives


def _all(to_positives: Floats, to_negatives: Floats, margin: float) -> Part:
    return _between(to_positives, to_negatives, -np.inf, margin)


def _semihard(to_positives: Floats, to_negatives: Floats, margin: float) -> Part:
    return _between(to_positives, to_negatives, 0.0, margin)


def _hard(to_positives: Floats, to_negatives: Floats, margin: float) -> Part:
    rows = np.arange(len(to_positives))
    farthest, nearest = np.nanargmax(to_positives, axis=1), np.argmin(to_negatives, axis=1)
    losses = to_positives[rows, farthest] - to_negatives[rows, nearest] + margin
    losses = np.maximum(losses, 0.0)
    by_positives, by_negatives = np.zeros_like(to_positives), np.zeros_like(to_negatives)
    by_positives[rows, farthest] = np.sign(losses)
    by_negatives[rows, nearest] = -np.sign(losses)
    return losses, np.ones(len(rows)), np.sign(losses), by_positives, by_negatives


_MINED = {"all": _all, "hard": _hard, "semihard": _semihard}


def _between(to_positives: Floats, to_negatives: Floats, least: float, margin: float) -> Part:
    """All triplets with p + least < q, and the losses of those with q < p + margin.

    Whatever lies between the two bounds has a loss; without the lower bound, what lies beyond the
    upper one has a loss of 0 and counts as well.
    """
    n_below, sum_below, n_upper = _below(to_positives + margin, to_negatives)
    counts = np.broadcast_to(np.float64(to_negatives.shape[1]), n_below.shape)
    if np.isfinite(least):
        n_out, sum_out, n_lower = _below(to_positives + least, to_negatives, inclusive=True)
        n_below, sum_below, n_upper = n_below - n_out, sum_below - sum_out, n_upper - n_lower
        counts = n_below
    real = ~np.isnan(to_positives)
    bounds = np.where(real, to_positives + margin, 0.0)
    losses = np.maximum(n_below * bounds - sum_below, 0.0)
    return (
        losses.sum(axis=1, where=real),
        counts.sum(axis=1, where=real),
        n_below.sum(axis=1, where=real),
        np.where(real, n_below, 0.0),
        -n_upper,
    )


def _below(
    bounds: Floats, values: Floats, *, inclusive: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Count, row by row, values below bounds.

    For every bound how many values are below it (`inclusive`: or equal), and their sum; for every
    value how many bounds are above it (or equal). A NaN among the bounds is above nothing.
    """
    n_bounds = bounds.shape[1]
    # Of equal ones, those that come first here are the ones below.
    together = np.hstack([values, bounds] if inclusive else [bounds, values])
    order = np.argsort(together, axis=1, kind="stable")  # NaN last
    is_bound = order >= values.shape[1] if inclusive else order < n_bounds
    ranked = np.take_along_axis(together, order, axis=1)
    n_values = np.cumsum(~is_bound, axis=1)
    sums = np.cumsum(np.where(is_bound, 0.0, ranked), axis=1)
    n_real = np.sum(~np.isnan(bounds), axis=1, keepdims=True)
    n_above = n_real - np.cumsum(is_bound & ~np.isnan(ranked), axis=1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(order.shape[1])[np.newaxis], axis=1)
    of_values, of_bounds = np.split(
        places if inclusive else np.roll(places, -n_bounds, axis=1), [values.shape[1]], axis=1
    )
    return (
        np.take_along_axis(n_values, of_bounds, axis=1).astype(np.float64),
        np.take_along_axis(sums, of_bounds, axis=1),
        np.take_along_axis(n_above, of_values, axis=1).astype(np.float64),
    )
