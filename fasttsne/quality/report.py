"""Measures of a map in one record: those of one pass over the distances, and on demand more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.neighbors.metrics import Metric
from fasttsne.quality import checks, tables
from fasttsne.quality.arrangement import (
    accuracy_of,
    centroid_recall,
    drawn_triplets,
    error_of_accuracy,
    in_metric_unit,
    stress_between,
)
from fasttsne.quality.checks import Anchors, Floats, Sample
from fasttsne.quality.classes import as_classes, knn_hits
from fasttsne.quality.correlation import (
    NoOrder,
    correlation_between,
    drawn_pairs,
    standard_error,
    takes_all_pairs,
)
from fasttsne.quality.curves import area_under, curve_of, over_chance
from fasttsne.quality.distances import Distances, both_sides
from fasttsne.quality.neighborhoods import ndcgs, rank_penalties
from fasttsne.quality.reliability import Reliability
from fasttsne.quality.reliability import reliability as reliability_of
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.random_state import Seed
from fasttsne.runtime.threads import effective_n_threads

N_PAIRS = 100_000  # pairs of points whose distances are compared, and triplets

# Title and meaning of each measure in the table.
_MEASURES = {
    "trustworthiness": ("trustworthiness", "neighbours on the map are near in the data"),
    "continuity": ("continuity", "neighbours in the data are near on the map"),
    "neighbor_recall": ("neighbour recall", "neighbours that are the same"),
    "neighborhood_ndcg": ("neighbourhood NDCG", "neighbours ranked as in the data"),
    "r_nx_auc": ("R_NX AUC", "neighbourhoods of all sizes, 0 is chance"),
    "distance_correlation": ("distance correlation", "near and far as in the data"),
    "triplet_accuracy": (
        "triplet accuracy",
        "the nearer of two as in the data, 0.5 is chance",
    ),
    "scale_free_stress": ("scale-free stress", "error of distances at the best scale, 0 is best"),
    "centroid_recall": ("class centroids", "nearest classes that are the same"),
    "knn_accuracy": ("kNN accuracy", "neighbours on the map predict the class"),
}


@dataclass(frozen=True, eq=False)
class Report:
    """Measures of a map, returned by `report`.

    It prints as a table; notebooks show an HTML table.

    Attributes
    ----------
    n_samples, n_neighbors : int
        Number of points, and size of a neighbourhood.
    metric : str
        Distance in the data.
    trustworthiness, continuity, neighbor_recall, neighborhood_ndcg : float
        See the functions of these names.
    r_nx_auc, distance_correlation, knn_accuracy : float or None
        See the functions of these names. None, in this order, if not all ranks were counted; if all
        distances are equal, in the data or on the map; if no evaluated point has a label.
    rows : ndarray of int32, shape (n_judged,)
        The evaluated points.
    sizes, r_nx : ndarray of int64 and of float64, shape (n_samples - 2,)
        The curve of `fasttsne.quality.r_nx`. Empty if not all ranks were counted.
    per_sample : dict of str to ndarray of float64, shape (n_judged,)
        Values of every evaluated point by measure, for the measures that have them, and the scores
        of `reliability`.
    triplet_accuracy, scale_free_stress, centroid_recall : float or None
        See the functions of these names. None if they were not computed: the stress if all
        distances are 0 in the data or on the map, the recall without labels of at least 3 classes
        or by a metric other than Euclidean distances.
    stress_error : float or None
        Standard error of `scale_free_stress`; None if all pairs were used.
    reliability : Reliability or None
        The result of `reliability` for these points, if it was asked for.
    n_judged : int
        Number of evaluated points.
    standard_errors : dict of str to float
        Standard error of each mean over a sample, corrected for the finite number of points, and
        of "distance_correlation", "scale_free_stress" and "triplet_accuracy" if their pairs or
        triplets are random, which they are from 448 and from 60 points on. Empty if all points and
        all pairs were used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import report
    >>> X, y = load_iris(return_X_y=True)
    >>> found = report(X, X[:, :2], y)
    >>> round(found.neighbor_recall, 2)
    0.58
    >>> sorted(found.per_sample)
    ['continuity', 'knn_accuracy', 'neighbor_recall', 'neighborhood_ndcg', 'trustworthiness']
    """

    n_samples: int
    n_neighbors: int
    metric: str
    trustworthiness: float
    continuity: float
    neighbor_recall: float
    neighborhood_ndcg: float
    r_nx_auc: float | None
    distance_correlation: float | None
    knn_accuracy: float | None
    rows: Anchors
    sizes: NDArray[np.int64]
    r_nx: Floats
    per_sample: dict[str, Floats]
    triplet_accuracy: float | None = None
    scale_free_stress: float | None = None
    centroid_recall: float | None = None
    stress_error: float | None = None
    reliability: Reliability | None = None

    @property
    def n_judged(self) -> int:
        """Return the number of evaluated points."""
        return len(self.rows)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Return the standard errors of means over a sample, and of random pairs and triplets."""
        errors = {}
        left_out = 1.0 - self.n_judged / self.n_samples
        for name, values in self.per_sample.items():
            if name not in _MEASURES:
                continue
            values = values[~np.isnan(values)]
            if left_out > 0.0 and len(values) > 1:
                errors[name] = float(values.std(ddof=1) * np.sqrt(left_out / len(values)))
        if self.distance_correlation is not None:
            error = standard_error(self.distance_correlation, self.n_samples, N_PAIRS)
            if error is not None:
                errors["distance_correlation"] = error
        if self.triplet_accuracy is not None:
            error = error_of_accuracy(self.triplet_accuracy, self.n_samples, N_PAIRS)
            if error is not None:
                errors["triplet_accuracy"] = error
        if self.stress_error is not None:
            errors["scale_free_stress"] = self.stress_error
        return errors

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers and strings, ready for JSON.

        Returns
        -------
        figures : dict
            The measures, the settings, "standard_errors", and "reliability" if it was asked for;
            without the curve and without the values of points.
        """
        names = ("n_samples", "n_judged", "n_neighbors", "metric", *_MEASURES, "standard_errors")
        figures = {name: getattr(self, name) for name in names}
        if self.reliability is not None:
            figures["reliability"] = self.reliability.to_dict()
        return figures

    def __repr__(self) -> str:
        return tables.as_text(self._headline(), self._table())

    def _repr_html_(self) -> str:
        return tables.as_html(self._headline(), self._table())

    def _headline(self) -> str:
        points = tables.counted(self.n_samples, self.n_judged)
        return f"{points}; {self.n_neighbors} neighbours, {self.metric}"

    def _table(self) -> list[tuple[str, str, str]]:
        """Return title, value and meaning of every measure that was computed."""
        errors = self.standard_errors
        rows = []
        for name, (title, text) in _MEASURES.items():
            value = getattr(self, name)
            if value is not None:
                error = f" ± {errors[name]:.4f}" if name in errors else ""
                value = round(value, 4) + 0.0  # turns -0.0 into 0.0
                rows.append((title, f"{value:.4f}{error}", text))
            elif name == "distance_correlation":
                rows.append((title, "-", "undefined: all distances are equal"))
        return rows + ([] if self.reliability is None else self.reliability.table())


@with_plain_numbers
def report(
    X: Any,
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    n_neighbors: int = 10,
    sample: Sample = None,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    reliability: bool = False,
    perplexity: Positive = 30.0,
    degrees_of_freedom: Positive | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> Report:
    """Evaluate a map by the measures of `fasttsne.quality` that need no perplexity.

    Each number equals the result of the function of that name for the same points. One pass over
    the distances computes them all, in little more time than `r_nx` alone. `reliability` takes more
    time and is computed on demand; `kl_divergence`, `density_correlation` and `stability` are not
    part of a report.

    Parameters
    ----------
    X, embedding
        See `trustworthiness`.
    labels : array-like of shape (n_samples,), default=None
        The class of each point: numbers or strings; None or NaN where it is not known. Without
        labels there is no `knn_accuracy`, and without Euclidean distances no `centroid_recall`.
    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than half of `n_samples`.
    sample, metric, metric_params
        See `trustworthiness`. All points take time that grows with the square of `n_samples`. For
        more than about 10,000 points, ``sample=5000`` is enough.
    reliability : bool, default=False
        Whether to judge single points too, by :func:`reliability`, whose table follows.
    perplexity, degrees_of_freedom
        Of the fit, for `reliability` alone: see the function of that name.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the random sample, and of the 100,000 random pairs and triplets of points whose
        distances are compared if there are more than that. With None reports differ by about the
        standard errors, which the table shows after "±".
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    found : Report
        The measures. It prints as a table.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        As in `trustworthiness`, or if all labels are missing.

    Notes
    -----
    If all points of the data or of the map coincide, all distances are equal and neighbours are
    ordered by index. Most measures then have the value of a random map, and `distance_correlation`
    is None.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import report
    >>> X, y = load_iris(return_X_y=True)
    >>> print(report(X, X[:, 2:], y))
    150 points; 10 neighbours, euclidean
    <BLANKLINE>
    trustworthiness       0.9378  neighbours on the map are near in the data
    ...
    """
    Y = checks.as_embedding(embedding)
    data, on_map = both_sides(X, Y, metric, metric_params)
    checks.check_at_least(3, len(Y))
    checks.check_less_than_half(n_neighbors, len(Y))
    classes = None if labels is None else as_classes(labels, len(Y), n_neighbors)
    anchors = checks.chosen_anchors(len(Y), sample, random_state)
    n_threads = effective_n_threads(n_jobs)
    correlation, further = _of_pairs_and_triplets(data, on_map, random_state, n_threads)
    in_data, there, counts = _ranks(data, on_map, anchors, n_neighbors, n_threads)
    per_sample = {
        "trustworthiness": rank_penalties(in_data, len(Y)),
        "continuity": rank_penalties(there, len(Y)),
        "neighbor_recall": (in_data <= n_neighbors).mean(axis=1),
        "neighborhood_ndcg": ndcgs(there, len(Y)),
    }
    if classes is not None and labels is not None:
        per_sample["knn_accuracy"] = knn_hits(Y, classes, anchors, n_neighbors, n_threads)
        if metric in ("euclidean", "l2") and len(np.unique(classes[classes >= 0])) >= 3:
            further["centroid_recall"] = centroid_recall(X, Y, labels)
    if reliability:
        further["reliability"] = reliability_of(
            X,
            Y,
            perplexity=perplexity,
            degrees_of_freedom=degrees_of_freedom,
            sample=anchors,
            metric=metric,
            metric_params=metric_params,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        per_sample |= further["reliability"].per_sample
    found = assembled(len(Y), n_neighbors, metric, anchors, per_sample, correlation, counts=counts)
    return replace(found, **further)


def assembled(
    n_samples: int,
    n_neighbors: int,
    metric: Metric,
    anchors: Anchors,
    per_sample: dict[str, Floats],
    correlation: float | None,
    *,
    counts: NDArray[np.int64] | None,
) -> Report:
    """Return the report of values per point; counts of larger ranks, by rank, give the curve."""
    sizes, improvement, area = np.empty(0, dtype=np.int64), np.empty(0), None
    if counts is not None:
        sizes, improvement = over_chance(*curve_of(counts, len(anchors)))
        area = area_under(sizes, improvement)
    measured = {name: values for name, values in per_sample.items() if name in _MEASURES}
    known = {name: values[~np.isnan(values)] for name, values in measured.items()}
    means: dict[str, Any] = {
        name: float(values.mean()) for name, values in known.items() if len(values)
    }
    return Report(
        n_samples=n_samples,
        n_neighbors=int(n_neighbors),
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "function"),
        r_nx_auc=area,
        distance_correlation=correlation,
        rows=anchors,
        sizes=sizes,
        r_nx=improvement,
        per_sample=per_sample,
        knn_accuracy=means.pop("knn_accuracy", None),
        **means,
    )


def _of_pairs_and_triplets(
    data: Distances, on_map: Distances, random_state: Seed, n_threads: int
) -> tuple[float | None, dict[str, Any]]:
    """Return the correlation of distances, None if undefined, and fields of triplets and stress."""
    n_samples = data.n_samples
    pairs = drawn_pairs(n_samples, N_PAIRS, random_state)
    distances = data.pairs(*pairs, n_threads), on_map.pairs(*pairs, n_threads)
    try:
        correlation = correlation_between(*distances)
    except NoOrder:
        correlation = None
    triplets = drawn_triplets(n_samples, N_PAIRS, random_state)
    fields: dict[str, Any] = {"triplet_accuracy": accuracy_of(data, on_map, triplets, n_threads)}
    own = in_metric_unit(data, distances[0]), in_metric_unit(on_map, distances[1])
    if own[0].max() > 0.0 and own[1].max() > 0.0:
        fields["scale_free_stress"], error = stress_between(*own)
        if not takes_all_pairs(n_samples, N_PAIRS):
            fields["stress_error"] = error
    return correlation, fields


def _ranks(
    data: Distances, on_map: Distances, anchors: Anchors, k: int, n_threads: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Return the ranks on each side of the k nearest on the other, and counts of larger ranks."""
    in_data, there = (np.empty((len(anchors), k), np.int32) for _ in range(2))
    counts = np.zeros(data.n_samples, dtype=np.int64)
    for block, rows in checks.blocks_of(anchors, data.n_samples):
        distances = data.rows(rows, n_threads)
        near_in_data = _kernels.nearest_in_rows(distances, rows, k, n_threads)
        ranks_in_data = _kernels.all_ranks_in_rows(distances, rows, n_threads)
        distances = on_map.rows(rows, n_threads)
        near_on_map = _kernels.nearest_in_rows(distances, rows, k, n_threads)
        ranks_on_map = _kernels.all_ranks_in_rows(distances, rows, n_threads)
        _kernels.count_larger_ranks(ranks_in_data, ranks_on_map, counts, n_threads)
        in_data[block] = np.take_along_axis(ranks_in_data, near_on_map, axis=1)
        there[block] = np.take_along_axis(ranks_on_map, near_in_data, axis=1)
    return in_data, there, counts
