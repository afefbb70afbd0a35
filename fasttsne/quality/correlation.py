"""Whether points that are far apart in the data are far apart on the map."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.utils import check_scalar

from fasttsne.neighbors.metrics import Metric
from fasttsne.quality.checks import Anchors, Floats, check_at_least
from fasttsne.quality.distances import Distances, both_sides
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import effective_n_threads


class NoOrder(ValueError):
    """All distances are equal, so that they have no order to correlate."""


@with_plain_numbers
def distance_correlation(
    X: Any,
    embedding: ArrayLike,
    *,
    n_pairs: int = 100_000,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> float:
    """Return Spearman's rank correlation between distances in the data and on the map.

    It measures the arrangement of clusters, which t-SNE does not optimise: a map may be excellent
    for neighbours and poor for large distances.

    Parameters
    ----------
    X, embedding
        See `trustworthiness`.
    n_pairs : int, default=100_000
        Number of random pairs of points, at least 2. If there are no more pairs than that, all
        pairs are used.
    metric, metric_params
        See `trustworthiness`.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the random pairs; None draws others at every call.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    correlation : float
        From -1 to 1; larger is better. With random pairs its standard error is at most about
        ``1 / sqrt(n_pairs)``, and less if the correlation is strong.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if all distances in the data or on the map are equal.

    References
    ----------
    .. [1] C. Spearman (1904). The proof and measurement of association between two things. The
       American Journal of Psychology 15, 72-101.
    .. [2] D. Kobak, P. Berens (2019). The art of using t-SNE for single-cell transcriptomics.
       Nature Communications 10, 5416. Section "Preserving global geometry".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import distance_correlation
    >>> X = load_iris().data
    >>> round(distance_correlation(X, X[:, 2:]), 4)
    0.9756
    """
    sides = both_sides(X, embedding, metric, metric_params)
    return correlation_between(*distances_of_pairs(*sides, n_pairs, random_state, n_jobs))


def distances_of_pairs(
    data: Distances, on_map: Distances, n_pairs: int, random_state: Seed, n_jobs: int | None
) -> tuple[Floats, Floats]:
    """Check the arguments, and return the distances of random pairs, or of all, on both sides."""
    check_at_least(2, data.n_samples)
    check_scalar(n_pairs, "n_pairs", Integral, min_val=2)
    pairs = drawn_pairs(data.n_samples, n_pairs, random_state)
    n_threads = effective_n_threads(n_jobs)
    return data.pairs(*pairs, n_threads), on_map.pairs(*pairs, n_threads)


def correlation_between(distances: Floats, on_map: Floats) -> float:
    """Return Spearman's correlation of distances in the data with distances on the map."""
    in_data = _centred_ranks(distances, "X")
    there = _centred_ranks(on_map, "embedding")
    product = (in_data * there).sum() / np.sqrt((in_data**2).sum() * (there**2).sum())
    return float(np.clip(product, -1.0, 1.0))


def standard_error(correlation: float, n_samples: int, n_pairs: int) -> float | None:
    """Return the standard error of a correlation of random pairs; None if all pairs were used."""
    if takes_all_pairs(n_samples, n_pairs):
        return None
    # For normal variables: D. G. Bonett, T. A. Wright (2000). Sample size requirements for
    # estimating Pearson, Kendall and Spearman correlations. Psychometrika 65, 23-28.
    return float((1.0 - correlation**2) * np.sqrt((1.0 + correlation**2 / 2.0) / n_pairs))


def takes_all_pairs(n_samples: int, n_pairs: int) -> bool:
    """Return whether there are at most n_pairs pairs of points."""
    return n_samples * (n_samples - 1) // 2 <= n_pairs


def drawn_pairs(n_samples: int, n_pairs: int, random_state: Seed) -> tuple[Anchors, Anchors]:
    """Return the rows of n_pairs random pairs of points, or of all pairs if there are no more."""
    if takes_all_pairs(n_samples, n_pairs):
        first, second = np.triu_indices(n_samples, 1)
    else:
        random = check_random_state(random_state)
        first = random.randint(n_samples, size=n_pairs)
        second = random.randint(n_samples - 1, size=n_pairs)
        second += second >= first
    return first.astype(np.int32), second.astype(np.int32)


def _centred_ranks(distances: Floats, name: str) -> Floats:
    if not len(distances) or distances.min() == distances.max():
        raise NoOrder(f"{name} is constant or too small: all distances are equal")
    ranks = rankdata(distances)
    return np.asarray(ranks - ranks.mean())
