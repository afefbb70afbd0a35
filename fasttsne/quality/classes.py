"""Whether points of one class lie together on the map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.quality import checks
from fasttsne.quality.checks import Anchors, Floats, Sample
from fasttsne.quality.distances import as_distances
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.labels import class_codes


@with_plain_numbers
def knn_accuracy(
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int = 10,
    sample: Sample = None,
    random_state: Seed = 0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    """Return the share of points whose nearest neighbours on the map vote for their class.

    This is leave-one-out classification on the map. The class with most votes among the
    `n_neighbors` nearest other points is predicted, one vote per neighbour. A tie goes to the tied
    class with the nearest member. Equal distances are ordered by the smaller index.

    Points without a label are ignored: they are not evaluated and have no vote.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, n_components)
        The map, one point per row.
    labels : array-like of shape (n_samples,)
        The class of each point: numbers or strings; None or NaN where it is not known.
    n_neighbors : int, default=10
        Number of voters: at least 1 and less than the number of points that have a label.
    sample, random_state
        See `trustworthiness`. Points without a label are left out afterwards.
    per_sample : bool, default=False
        Return 1 or 0 for every evaluated point instead of the mean, and NaN for points without a
        label.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    accuracy : float, or ndarray of shape (n_judged,)
        From 0 to 1; larger is better. With a single class it is always 1. Points are in ascending
        order, or in the order of the rows given.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if `n_neighbors` is not less than the number of
        points that have a label, if there is not one label per point, if a label is infinite, or if
        no evaluated point has a label.

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
    Y = checks.as_embedding(embedding)
    classes = as_classes(labels, len(Y), n_neighbors)
    anchors = checks.chosen_anchors(len(Y), sample, random_state)
    hits = knn_hits(Y, classes, anchors, n_neighbors, effective_n_threads(n_jobs))
    if np.isnan(hits).all():
        raise ValueError("labels are missing for all points in sample")
    return hits if per_sample else float(np.nanmean(hits))


def as_classes(labels: ArrayLike, n_samples: int, n_neighbors: Any) -> NDArray[np.int64]:
    """Return the class of every point, -1 if missing; more than n_neighbors must be known."""
    classes = class_codes(labels, n_samples)
    checks.check_n_neighbors(n_neighbors, n_samples)
    n_known = int((classes >= 0).sum())
    if n_known == 0:
        raise ValueError("labels are all missing: None or NaN")
    if n_neighbors >= n_known:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than the number of points that have a "
            f"label ({n_known} of {n_samples})"
        )
    return classes


def knn_hits(
    embedding: NDArray[np.floating],
    classes: NDArray[np.int64],
    anchors: Anchors,
    n_neighbors: int,
    n_threads: int,
) -> Floats:
    """Return per anchor 1 if the vote is right, 0 if it is wrong, and NaN without a label."""
    known = np.flatnonzero(classes >= 0)
    judged = classes[anchors] >= 0
    hits = np.full(len(anchors), np.nan)
    if judged.any():
        rows = np.searchsorted(known, anchors[judged]).astype(np.int32)
        voters = as_distances(embedding[known]).nearest(rows, n_neighbors, n_threads)
        hits[judged] = elected(classes[known][voters]) == classes[anchors[judged]]
    return hits


def elected(ballots: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the most frequent class of each row, of equally frequent ones the first."""
    votes = np.empty_like(ballots)
    for voter in range(ballots.shape[1]):
        votes[:, voter] = np.sum(ballots == ballots[:, voter, np.newaxis], axis=1)
    # argmax takes the first of equal counts, and voters are in order of distance.
    first = votes.argmax(axis=1)[:, np.newaxis]
    return np.asarray(np.take_along_axis(ballots, first, axis=1)[:, 0])
