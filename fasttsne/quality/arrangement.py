"""Whether a map keeps the arrangement as a whole: random triplets, class centroids, stress."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_scalar

from fasttsne.neighbors.metrics import Metric
from fasttsne.quality.checks import (
    Anchors,
    Floats,
    as_embedding,
    check_at_least,
    check_same_length,
)
from fasttsne.quality.correlation import distances_of_pairs
from fasttsne.quality.distances import Distances, Points, as_distances, both_sides
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import check_samples
from fasttsne.samples.labels import class_codes

_N_CENTROIDS = 4  # neighbours of a class

Triplets = tuple[Anchors, Anchors, Anchors]  # rows i, j and k


@with_plain_numbers
def triplet_accuracy(
    X: Any,
    embedding: ArrayLike,
    *,
    n_triplets: int = 100_000,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> float:
    """Return the share of random triplets that a map orders as the data do.

    In a triplet (i, j, k) the question is whether j or k is nearer to i. A random map has 0.5.

    Parameters
    ----------
    X, embedding
        See `trustworthiness`.
    n_triplets : int, default=100_000
        Number of random triplets of different points, at least 1. If there are no more triplets
        than that, all are used.
    metric, metric_params
        See `trustworthiness`.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the triplets; None draws others at every call.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    accuracy : float
        From 0 to 1; larger is better. A tie on one side counts one half. With random triplets the
        standard error is ``sqrt(accuracy * (1 - accuracy) / n_triplets)``, at most 0.0016 for
        100,000.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if there are fewer than 3 points.

    References
    ----------
    .. [1] H. Huang, Y. Wang, C. Rudin, E. P. Browne (2022). Towards a comprehensive evaluation of
       dimension reduction methods for transcriptomic data visualization. Communications Biology 5,
       719.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import triplet_accuracy
    >>> X = load_iris().data
    >>> round(triplet_accuracy(X, X[:, 2:]), 2)
    0.93
    """
    data, on_map = both_sides(X, embedding, metric, metric_params)
    check_at_least(3, data.n_samples)
    check_scalar(n_triplets, "n_triplets", Integral, min_val=1)
    n_threads = effective_n_threads(n_jobs)
    triplets = drawn_triplets(data.n_samples, n_triplets, random_state)
    return accuracy_of(data, on_map, triplets, n_threads)


def drawn_triplets(n_samples: int, n_triplets: int, random_state: Seed) -> Triplets:
    """Return the rows of random triplets of different points, or of all if there are no more."""
    if takes_all_triplets(n_samples, n_triplets):
        j, k = np.triu_indices(n_samples, 1)
        i = np.repeat(np.arange(n_samples), len(j))
        j, k = np.tile(j, n_samples), np.tile(k, n_samples)
        different = (i != j) & (i != k)
        i, j, k = i[different], j[different], k[different]
    else:
        random = check_random_state(random_state)
        i = random.randint(n_samples, size=n_triplets)
        j = random.randint(n_samples - 1, size=n_triplets)
        j += j >= i
        k = random.randint(n_samples - 2, size=n_triplets)
        k += k >= np.minimum(i, j)
        k += k >= np.maximum(i, j)
    return i.astype(np.int32), j.astype(np.int32), k.astype(np.int32)


def takes_all_triplets(n_samples: int, n_triplets: int) -> bool:
    """Return whether there are at most n_triplets triplets."""
    return n_samples * (n_samples - 1) * (n_samples - 2) // 2 <= n_triplets


def accuracy_of(data: Distances, on_map: Distances, triplets: Triplets, n_threads: int) -> float:
    """Return the share of triplets with the same order on both sides, half of one-sided ties."""
    i, j, k = triplets
    in_data = np.sign(data.pairs(i, j, n_threads) - data.pairs(i, k, n_threads))
    there = np.sign(on_map.pairs(i, j, n_threads) - on_map.pairs(i, k, n_threads))
    return float(1.0 - 0.5 * np.abs(in_data - there).mean())


def error_of_accuracy(accuracy: float, n_samples: int, n_triplets: int) -> float | None:
    """Return the standard error of the accuracy of random triplets; None if all were used."""
    if takes_all_triplets(n_samples, n_triplets):
        return None
    return float(np.sqrt(accuracy * (1.0 - accuracy) / n_triplets))


@with_plain_numbers
def centroid_recall(
    X: Any,
    embedding: ArrayLike,
    labels: ArrayLike,
    *,
    n_neighbors: int | None = None,
) -> float:
    """Return the share of a class's nearest classes that are the same in the data and on the map.

    Classes are compared by the Euclidean distances of their means. The result is the mean over
    classes.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, one sample per row.
    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.
    labels : array-like of shape (n_samples,)
        The class of each point: numbers or strings. Points with None or NaN are left out.
    n_neighbors : int or None, default=None
        Number of nearest classes, at least 1 and at most the number of classes less 2. None is 4,
        or the largest possible number if that is smaller.

    Returns
    -------
    recall : float
        From 0 to 1; larger is better. It is exact. A random map has about
        ``n_neighbors / (n_classes - 1)``.

    Raises
    ------
    TypeError, ValueError
        See `knn_accuracy`. ValueError also if there are fewer than 3 classes.

    References
    ----------
    .. [1] H. Huang, Y. Wang, C. Rudin, E. P. Browne (2022). Towards a comprehensive evaluation of
       dimension reduction methods for transcriptomic data visualization. Communications Biology 5,
       719.
    .. [2] D. Kobak, P. Berens (2019). The art of using t-SNE for single-cell transcriptomics.
       Nature Communications 10, 5416. Section "Preserving global geometry".

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fasttsne.quality import centroid_recall
    >>> X, y = load_digits(return_X_y=True)
    >>> centroid_recall(X, X, y)
    1.0
    >>> round(centroid_recall(X, X[:, [20, 21]], y), 2)
    0.53
    """
    Y = as_embedding(embedding)
    X, _ = check_samples(X)
    check_same_length(X.shape[0], len(Y))
    classes = class_codes(labels, len(Y))
    n_classes = len(np.unique(classes[classes >= 0]))
    if n_classes < 3:
        raise ValueError(f"labels must have at least 3 classes; got {n_classes}")
    if n_neighbors is None:
        n_neighbors = min(_N_CENTROIDS, n_classes - 2)
    if not 1 <= n_neighbors <= n_classes - 2:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be from 1 to the number of classes less 2 "
            f"({n_classes - 2}): with one more, all classes would be neighbours"
        )
    return recall_of_centroids(X, Y, classes, n_neighbors)


def recall_of_centroids(
    X: Any, Y: NDArray[np.floating], classes: NDArray[np.int64], n_neighbors: int
) -> float:
    """Return the mean over classes of the shared nearest classes; -1 is no class."""
    near = [_nearest_classes(points, classes, n_neighbors) for points in (X, Y)]
    shared = (near[0][:, :, np.newaxis] == near[1][:, np.newaxis, :]).any(axis=2)
    return float(shared.mean())


def _nearest_classes(
    points: Any, classes: NDArray[np.int64], n_neighbors: int
) -> NDArray[np.int32]:
    known = np.flatnonzero(classes >= 0)
    _, codes, sizes = np.unique(classes[known], return_inverse=True, return_counts=True)
    members = sparse.csr_matrix(
        (1.0 / sizes[codes], (codes, known)), shape=(len(sizes), points.shape[0])
    )
    means = members @ points
    means = means.toarray() if sparse.issparse(means) else np.asarray(means)
    every = np.arange(len(means), dtype=np.int32)
    return as_distances(means).nearest(every, n_neighbors, 1)


@with_plain_numbers
def scale_free_stress(
    X: Any,
    embedding: ArrayLike,
    *,
    n_pairs: int = 100_000,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> float:
    r"""Return the normalized stress of a map at the scale where it is smallest.

    .. math:: \min_\alpha \sqrt{\frac{\sum_{ij} (d_{ij} - \alpha e_{ij})^2}{\sum_{ij} d_{ij}^2}}
        = \sqrt{1 - \frac{(\sum_{ij} d_{ij} e_{ij})^2}{\sum_{ij} d_{ij}^2 \sum_{ij} e_{ij}^2}}

    with the distances :math:`d_{ij}` in the data and :math:`e_{ij}` on the map. Without the minimum
    a map could be improved by scaling it.

    Parameters
    ----------
    X, embedding, n_pairs, metric, metric_params, random_state, n_jobs
        See `distance_correlation`.

    Returns
    -------
    stress : float
        From 0 to 1; smaller is better. With random pairs the standard error is well below 0.001 for
        100,000 pairs; `report` estimates it.

    Raises
    ------
    TypeError, ValueError
        See `distance_correlation`.

    References
    ----------
    .. [1] K. Smelser, J. Miller, S. Kobourov (2024). "Normalized stress" is not normalized: how to
       interpret stress correctly. BELIV workshop. arXiv:2408.07724.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import scale_free_stress
    >>> X = load_iris().data
    >>> scale_free_stress(X, 7.0 * X) < 1e-7
    True
    >>> round(scale_free_stress(X, X[:, 2:]), 2)
    0.11
    """
    sides = both_sides(X, embedding, metric, metric_params)
    distances = distances_of_pairs(*sides, n_pairs, random_state, n_jobs)
    stress, _ = stress_between(*map(in_metric_unit, sides, distances))
    return stress


def in_metric_unit(points: Distances, distances: Floats) -> Floats:
    """Return the distances that `Distances.pairs` returned in the unit of the metric."""
    if not isinstance(points, Points) or points.metric == "sqeuclidean":
        return distances
    return 0.5 * distances if points.metric == "cosine" else np.sqrt(distances)


def stress_between(distances: Floats, on_map: Floats) -> tuple[float, float]:
    """Return the stress at the best scale, and its standard error if the pairs are random."""
    if distances.max() == 0.0 or on_map.max() == 0.0:
        name = "X" if distances.max() == 0.0 else "embedding"
        raise ValueError(f"{name} is constant or too small: all distances are 0")
    d, e = distances / distances.max(), on_map / on_map.max()
    products = d @ e, d @ d, e @ e
    cosine = products[0] / np.sqrt(products[1] * products[2])
    # |d / |d| - cos e / |e||, which does not cancel where the stress is small.
    rest = d / np.sqrt(products[1]) - cosine * e / np.sqrt(products[2])
    stress = float(np.sqrt(rest @ rest))
    if stress == 0.0:
        return 0.0, 0.0
    # By the delta method, of a ratio of means.
    terms = d * e / products[0] - d * d / (2.0 * products[1]) - e * e / (2.0 * products[2])
    error = cosine**2 * float(np.sqrt((terms**2).sum())) / stress
    return stress, error
