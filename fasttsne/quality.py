"""How well a map keeps what the data say: neighbourhoods, classes, similarities.

Every function here takes the data (or their labels) and a map and returns one number, so that
maps of the same data can be compared whoever drew them. None of them trusts a figure the
estimator reports about itself.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, check_scalar

from fasttsne import _kernels
from fasttsne.affinity import joint_probabilities_dense
from fasttsne.centering import in_safe_range
from fasttsne.degrees_of_freedom import default_degrees_of_freedom
from fasttsne.neighbors import nearest_neighbors, pairwise_squared_distances, without_duplicates

__all__ = ["kl_divergence", "knn_accuracy", "neighbor_recall"]


def neighbor_recall(X: Any, embedding: ArrayLike, *, n_neighbors: int = 10) -> float:
    """Mean share of each point's nearest neighbours that are still its nearest on the map.

    For every point the `n_neighbors` nearest others are found in the data and on the map,
    both by Euclidean distance; the recall is the size of the intersection over `n_neighbors`,
    averaged over the points. 1 means that the map keeps every neighbourhood, and a map that
    knows nothing of the data scores about ``n_neighbors / (n_samples - 1)``.

    A point never counts as its own neighbour, even where others lie exactly on it. Equal
    distances are ordered by the smaller index, in dense data and on the map alike.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, one sample per row.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than `n_samples`.

    Returns
    -------
    recall : float
        Between 0 and 1; larger is better.

    Raises
    ------
    TypeError
        If `n_neighbors` is not an integer.
    ValueError
        If `n_neighbors` is below 1 or not less than `n_samples`, if the numbers of rows
        differ, or if either array holds NaN or infinity.

    References
    ----------
    .. [1] J. Venna, J. Peltonen, K. Nybo, H. Aidos, S. Kaski (2010). Information retrieval
       perspective to nonlinear dimensionality reduction for data visualization. Journal of
       Machine Learning Research 11, 451-490. Section 2.2: with equally many retrieved and
       relevant neighbours, recall and precision are this number.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import neighbor_recall
    >>> X = np.arange(8.0).reshape(-1, 1)
    >>> neighbor_recall(X, 10 * X, n_neighbors=2)
    1.0
    >>> neighbor_recall(X, np.abs(X - 3.4), n_neighbors=2)
    0.25
    """
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], input_name="X")
    embedding = _check_embedding(embedding)
    check_consistent_length(X, embedding)
    _check_n_neighbors(n_neighbors, len(embedding))
    in_data, _ = nearest_neighbors(without_duplicates(X), n_neighbors)
    on_map, _ = nearest_neighbors(embedding, n_neighbors)
    pair = np.arange(len(in_data), dtype=np.int64)[:, np.newaxis] * len(in_data)
    shared = np.intersect1d(pair + in_data, pair + on_map, assume_unique=True)
    return shared.size / in_data.size


def knn_accuracy(embedding: ArrayLike, labels: ArrayLike, *, n_neighbors: int = 10) -> float:
    """Share of points whose nearest neighbours on the map vote for their class.

    Leave-one-out classification on the map: the class of each point is predicted by the
    majority among its `n_neighbors` nearest others, each with one vote. A tie goes to the
    tied class that has the nearest member. Equal distances are ordered by the smaller index.

    Parameters
    ----------
    embedding : array-like of shape (n_samples, n_components)
        The map, one point per row.

    labels : array-like of shape (n_samples,)
        The class of each point: numbers or strings.

    n_neighbors : int, default=10
        Number of voters: at least 1 and less than `n_samples`.

    Returns
    -------
    accuracy : float
        Between 0 and 1; larger is better.

    Raises
    ------
    TypeError
        If `n_neighbors` is not an integer, or if `labels` mixes types that have no order.
    ValueError
        If `n_neighbors` is below 1 or not less than `n_samples`, if `labels` is not
        one-dimensional or not as long as the map, or if either holds NaN or infinity.

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
    """
    embedding = _check_embedding(embedding)
    classes: NDArray[Any] = check_array(labels, ensure_2d=False, dtype=None, input_name="labels")
    if classes.ndim != 1:
        raise ValueError(f"labels must be one-dimensional; got an array of shape {classes.shape}")
    check_consistent_length(embedding, classes)
    _check_n_neighbors(n_neighbors, len(embedding))
    try:
        _, classes = np.unique(classes, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            "labels must be all numbers or all strings; sorting them failed: " + str(error)
        ) from error
    ballots = classes[nearest_neighbors(embedding, n_neighbors)[0]]
    votes = np.empty_like(ballots)
    for voter in range(n_neighbors):
        votes[:, voter] = np.sum(ballots == ballots[:, voter, np.newaxis], axis=1)
    # argmax takes the first of equal counts, and voters stand in order of distance.
    winner = np.take_along_axis(ballots, votes.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    return float(np.mean(winner == classes))


def kl_divergence(
    X: Any,
    embedding: ArrayLike,
    *,
    perplexity: float = 30.0,
    degrees_of_freedom: float | None = None,
) -> float:
    r"""Exact Kullback-Leibler divergence of a map from its data: the objective of t-SNE.

    Computed over all pairs of points, from the full matrix of joint probabilities, without
    neighbour lists and trees. Maps of the same data can be compared by it whichever method
    drew them, as long as perplexity and degrees of freedom are the same.

    .. math:: KL(P \| Q) = \sum_{i \ne j} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
        q_{ij} \propto (1 + \|y_i - y_j\|^2 / \nu)^{-(\nu + 1) / 2}

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, compared by Euclidean distance.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    perplexity : float, default=30.0
        Perplexity of the conditional probabilities; above 0 and less than `n_samples`.

    degrees_of_freedom : float or None, default=None
        :math:`\nu` of Student's t-distribution on the map. None is what
        :class:`~fasttsne.TSNE` takes it to be: ``max(n_components - 1, 1)``.

    Returns
    -------
    divergence : float
        In nats, not negative; smaller is better.

    Raises
    ------
    TypeError
        If `perplexity` or `degrees_of_freedom` is not a number.
    ValueError
        If either is not positive, if `perplexity` is not less than `n_samples`, if the
        numbers of rows differ, or if either array holds NaN or infinity.

    Notes
    -----
    Time and memory grow with the square of `n_samples`: 10,000 points take about 2 GB.

    References
    ----------
    .. [1] L. van der Maaten, G. Hinton (2008). Visualizing data using t-SNE. Journal of
       Machine Learning Research 9, 2579-2605. Equations 1, 4 and section 3.3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.quality import kl_divergence
    >>> X = load_iris().data
    >>> flat = PCA(2).fit_transform(X)
    >>> kl_divergence(X, flat) < kl_divergence(X, flat[::-1])
    True
    """
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], input_name="X")
    Y = np.ascontiguousarray(_check_embedding(embedding), dtype=np.float32)
    check_consistent_length(X, Y)
    check_scalar(perplexity, "perplexity", Real, min_val=0, include_boundaries="neither")
    if degrees_of_freedom is None:
        degrees_of_freedom = default_degrees_of_freedom(Y.shape[1])
    check_scalar(
        degrees_of_freedom, "degrees_of_freedom", Real, min_val=0, include_boundaries="neither"
    )
    if perplexity >= X.shape[0]:
        raise ValueError(f"perplexity ({perplexity}) must be less than n_samples ({X.shape[0]})")
    X = in_safe_range(without_duplicates(X))
    squared_distances = pairwise_squared_distances(X)
    joint = joint_probabilities_dense(squared_distances, perplexity, n_threads=1)
    forces = _kernels.ExactForces(joint, Y.shape[1], float(degrees_of_freedom), 1)
    forces.evaluate(Y, True)
    return max(forces.kl_divergence, 0.0)  # which rounding can take below


def _check_embedding(embedding: ArrayLike) -> NDArray[Any]:
    """Check a map: two-dimensional, floating-point, without NaN."""
    checked: NDArray[Any] = check_array(
        embedding, dtype=[np.float64, np.float32], input_name="embedding"
    )
    return checked


def _check_n_neighbors(n_neighbors: int, n_samples: int) -> None:
    """Refuse neighbourhoods that n_samples points cannot fill."""
    check_scalar(n_neighbors, "n_neighbors", Integral, min_val=1)
    if n_neighbors >= n_samples:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than n_samples ({n_samples}): "
            "a point is not its own neighbour"
        )
