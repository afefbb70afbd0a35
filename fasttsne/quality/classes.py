"""Whether classes that the map never saw lie together on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from fasttsne.quality.checks import (
    Anchors,
    RandomState,
    Sample,
    as_embedding,
    check_n_neighbors,
    chosen_anchors,
)
from fasttsne.quality.distances import as_distances
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.labels import as_numbers, label_values

__all__ = ["knn_accuracy"]


def knn_accuracy(
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    sample: Sample = None,
    random_state: RandomState = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    """Share of points whose nearest neighbours on the map vote for their class.

    Leave-one-out classification on the map: the class of each point is predicted by the
    majority among its `n_neighbors` nearest others, each with one vote. A tie goes to the
    tied class that has the nearest member. Equal distances are ordered by the smaller index.

    Points without a label are left out, as if they were not on the map: they are not judged and
    have no vote.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, n_components)
        The map, one point per row.

    labels : array-like of shape (n_samples,)
        The class of each point: numbers or strings; None or NaN where it is not known.

    n_neighbors : int, default=10
        Number of voters: at least 1 and less than the number of points that have a label.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them has
        its neighbours among all points. None judges all. Those without a label drop out.

    random_state : int, RandomState instance or None, default=None
        Source of the drawing.

    per_sample : bool, default=False
        Return 1 or 0 for every point that is judged instead of their mean, and NaN for those
        without a label.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    accuracy : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. With one class alone it is 1 and says nothing. Points in
        ascending order, or in that of the rows given.

    Raises
    ------
    TypeError
        If `n_neighbors` is not an integer, or if `labels` mixes types that have no order.
    ValueError
        If `n_neighbors` is below 1 or not less than the number of points that have a label, if
        `labels` is not one-dimensional or not as long as the map, if either holds infinity, if
        the map holds NaN, or if no point that is judged has a label.

    References
    ----------
    .. [1] T. M. Cover, P. E. Hart (1967). Nearest neighbor pattern classification. IEEE
       Transactions on Information Theory 13, 21-27.

    Examples
    --------
    >>> from fasttsne.quality import knn_accuracy
    >>> embedding = [[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [3.0]]
    >>> knn_accuracy(embedding, ["a", "a", "a", "b", "b", "b", "a"], n_neighbors=2)
    1.0
    >>> knn_accuracy(embedding, ["a", "a", "a", "b", "b", "b", "b"], n_neighbors=2) < 1
    True
    >>> knn_accuracy(embedding, ["a", "a", "a", "b", "b", "b", None], n_neighbors=2)
    1.0
    """
    Y = as_embedding(embedding)
    classes = as_classes(labels, len(Y))
    check_n_voters(n_neighbors, classes)
    anchors = chosen_anchors(len(Y), sample, random_state)
    hits = knn_hits(Y, classes, anchors, n_neighbors, effective_n_threads(n_jobs))
    if np.isnan(hits).all():
        raise ValueError("labels are missing for all points that are judged")
    return hits if per_sample else float(np.nanmean(hits))


def as_classes(labels: ArrayLike, n_samples: int) -> NDArray[np.int64]:
    """Give classes numbers from 0, and -1 where a label is missing.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Numbers or strings, None or NaN.
    n_samples : int
        How many there must be.

    Returns
    -------
    classes : ndarray of int64, shape (n_samples,)
        Numbers in the order of the labels.

    Raises
    ------
    TypeError
        If labels have no order.
    ValueError
        If they are not one to a sample, hold infinity, or are all missing.
    """
    values, missing = label_values(labels)
    if values.ndim != 1:
        raise ValueError(f"labels must be one-dimensional; got an array of shape {values.shape}")
    if len(values) != n_samples:
        raise ValueError(
            f"embedding and labels have inconsistent numbers of samples: {n_samples} and "
            f"{len(values)}; label i must be that of point i"
        )
    known = ~missing
    if not known.any():
        raise ValueError("labels are all missing: None or NaN")
    given: NDArray[Any] = check_array(
        as_numbers(values[known]), ensure_2d=False, dtype=None, input_name="labels"
    )
    classes = np.full(n_samples, -1, dtype=np.int64)
    try:
        _, classes[known] = np.unique(given, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            "labels must be all numbers or all strings; sorting them failed: " + str(error)
        ) from error
    return classes


def check_n_voters(n_neighbors: Any, classes: NDArray[np.int64]) -> None:
    """Refuse more voters than points with a label can have."""
    check_n_neighbors(n_neighbors, len(classes))
    n_known = int((classes >= 0).sum())
    if n_neighbors >= n_known:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than the number of points that have a "
            f"label ({n_known} of {len(classes)})"
        )


def knn_hits(
    embedding: NDArray[np.floating],
    classes: NDArray[np.int64],
    anchors: Anchors,
    n_neighbors: int,
    n_threads: int,
) -> NDArray[np.float64]:
    """1 where the vote is right, 0 where it is wrong, NaN without a label; one an anchor."""
    known = np.flatnonzero(classes >= 0)
    judged = classes[anchors] >= 0
    hits = np.full(len(anchors), np.nan)
    if judged.any():
        rows = np.searchsorted(known, anchors[judged]).astype(np.int32)
        voters = as_distances(embedding[known]).nearest(rows, n_neighbors, n_threads)
        winners = elected(classes[known][voters])
        hits[judged] = winners == classes[anchors[judged]]
    return hits


def elected(ballots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the class with most votes of each row; of equal ones the first."""
    votes = np.empty_like(ballots)
    for voter in range(ballots.shape[1]):
        votes[:, voter] = np.sum(ballots == ballots[:, voter, np.newaxis], axis=1)
    # argmax takes the first of equal counts, and voters stand in order of distance.
    first = votes.argmax(axis=1)[:, np.newaxis]
    elected: NDArray[np.int64] = np.take_along_axis(ballots, first, axis=1)[:, 0]
    return elected
