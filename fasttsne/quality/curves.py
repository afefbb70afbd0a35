"""Neighbourhoods of every size: how many of the K nearest neighbours are kept, for all K at once.

The co-ranking matrix is never stored. A pair is kept for every K that is at least the larger of
its two ranks, so that one histogram of the larger ranks gives the whole curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.neighbors.metrics import Metric
from fasttsne.quality import checks
from fasttsne.quality.checks import Floats, Sample
from fasttsne.quality.distances import both_sides
from fasttsne.runtime.random_state import Seed
from fasttsne.runtime.threads import effective_n_threads

Sizes = NDArray[np.int64]


def q_nx(
    X: Any,
    embedding: ArrayLike,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> tuple[Sizes, Floats]:
    r"""Return the share of the K nearest neighbours that the map keeps, for every K.

    .. math:: Q_{NX}(K) = \frac{1}{n K} \sum_i |\{j: \rho_{ij} \le K, r_{ij} \le K\}|

    with the ranks :math:`\rho` in the data and :math:`r` on the map. This is `neighbor_recall` for
    every number of neighbours.

    Parameters
    ----------
    X, embedding, metric, metric_params, sample, random_state, n_jobs
        See `trustworthiness`.

    Returns
    -------
    sizes : ndarray of int64, shape (n_samples - 1,)
        K: 1, 2, ..., n_samples - 1.
    q_nx : ndarray of float64, shape (n_samples - 1,)
        From 0 to 1, and 1 at the end. For a random map it is ``K / (n_samples - 1)``.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if there are fewer than three points.

    Notes
    -----
    Every evaluated point requires two sorts of all points: time grows with the number of evaluated
    points times ``n_samples log(n_samples)``, memory with `n_samples`.

    References
    ----------
    .. [1] J. A. Lee, M. Verleysen (2009). Quality assessment of dimensionality reduction:
       rank-based criteria. Neurocomputing 72, 1431-1443. Equation 15.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import q_nx
    >>> X = np.arange(5.0).reshape(-1, 1)
    >>> sizes, kept = q_nx(X, np.abs(X - 1.6))
    >>> sizes
    array([1, 2, 3, 4])
    >>> kept.round(4)
    array([0.2, 0.4, 0.8, 1. ])
    """
    return _curve(X, embedding, metric, metric_params, sample, random_state, n_jobs)


def r_nx(
    X: Any,
    embedding: ArrayLike,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> tuple[Sizes, Floats]:
    r"""Return how much better than chance the map keeps the K nearest neighbours, for every K.

    .. math:: R_{NX}(K) = \frac{(n - 1) Q_{NX}(K) - K}{n - 1 - K}

    with :math:`Q_{NX}` from `q_nx`. A perfect map has 1 and a random map 0, for every K.

    Parameters
    ----------
    X, embedding, metric, metric_params, sample, random_state, n_jobs
        See `q_nx`, also for errors.

    Returns
    -------
    sizes : ndarray of int64, shape (n_samples - 2,)
        K: 1, 2, ..., n_samples - 2.
    r_nx : ndarray of float64, shape (n_samples - 2,)
        At most 1; larger is better. Below 0 the map is worse than a random one.

    References
    ----------
    .. [1] J. A. Lee, E. Renard, G. Bernard, P. Dupont, M. Verleysen (2013). Type 1 and 2 mixtures
       of Kullback-Leibler divergences as cost functions in dimensionality reduction based on
       similarity preservation. Neurocomputing 112, 92-108. Section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import r_nx
    >>> X = np.arange(5.0).reshape(-1, 1)
    >>> sizes, improvement = r_nx(X, np.abs(X - 1.6))
    >>> improvement.round(4)
    array([-0.0667, -0.2   ,  0.2   ])
    """
    curve = _curve(X, embedding, metric, metric_params, sample, random_state, n_jobs)
    return over_chance(*curve)


def r_nx_auc(
    X: Any,
    embedding: ArrayLike,
    *,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    sample: Sample = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> float:
    r"""Return the area under the curve of `r_nx` over log K: one number for all scales.

    .. math:: AUC = \sum_K \frac{R_{NX}(K)}{K} \Big/ \sum_K \frac{1}{K}

    Small neighbourhoods have the largest weight; every doubling of K has the same weight.

    Parameters
    ----------
    X, embedding, metric, metric_params, sample, random_state, n_jobs
        See `q_nx`, also for errors.

    Returns
    -------
    area : float
        At most 1, for a perfect map; 0 for a random one.

    References
    ----------
    .. [1] J. A. Lee, D. H. Peluffo-Ordóñez, M. Verleysen (2015). Multi-scale similarities in
       stochastic neighbour embedding: reducing dimensionality while preserving both local and
       global structure. Neurocomputing 169, 246-261. Section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import r_nx_auc
    >>> X = load_iris().data
    >>> r_nx_auc(X, X) == 1.0
    True
    >>> r_nx_auc(X, X[:, :2]) < r_nx_auc(X, X[:, :3])
    True
    """
    curve = _curve(X, embedding, metric, metric_params, sample, random_state, n_jobs)
    return area_under(*over_chance(*curve))


def _curve(
    X: Any,
    embedding: ArrayLike,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    sample: Sample,
    random_state: Seed,
    n_jobs: int | None,
) -> tuple[Sizes, Floats]:
    """Return K and Q_NX, see `q_nx`."""
    data, on_map = both_sides(X, embedding, metric, metric_params)
    checks.check_at_least(3, data.n_samples)
    anchors = checks.chosen_anchors(data.n_samples, sample, random_state)
    n_threads = effective_n_threads(n_jobs)
    counts = np.zeros(data.n_samples, dtype=np.int64)
    for _, rows in checks.blocks_of(anchors, data.n_samples):
        in_data = _kernels.all_ranks_in_rows(data.rows(rows, n_threads), rows, n_threads)
        there = _kernels.all_ranks_in_rows(on_map.rows(rows, n_threads), rows, n_threads)
        _kernels.count_larger_ranks(in_data, there, counts, n_threads)
    return curve_of(counts, len(anchors))


def curve_of(counts: NDArray[np.int64], n_judged: int) -> tuple[Sizes, Floats]:
    """Return K and Q_NX from the number of pairs with r as the larger rank, by r from 0."""
    sizes = np.arange(1, len(counts), dtype=np.int64)
    return sizes, np.cumsum(counts[1:]) / (sizes * float(n_judged))


def over_chance(sizes: Sizes, kept: Floats) -> tuple[Sizes, Floats]:
    """Return K and R_NX from K and Q_NX."""
    n_others = len(sizes)
    sizes, kept = sizes[:-1], kept[:-1]
    return sizes, (n_others * kept - sizes) / (n_others - sizes)


def area_under(sizes: Sizes, improvement: Floats) -> float:
    """Return the mean of a curve with weights 1 / K."""
    return float(np.average(improvement, weights=1.0 / sizes))
