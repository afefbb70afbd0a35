"""All measures that most people want to know of a map, in one pass over the distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.quality.checks import (
    Anchors,
    RandomState,
    Sample,
    as_embedding,
    blocks_of,
    check_less_than_half,
    check_same_length,
    chosen_anchors,
)
from fasttsne.quality.classes import as_classes, check_n_voters, knn_hits
from fasttsne.quality.correlation import NoOrder, correlation_of_pairs, standard_error
from fasttsne.quality.curves import area_under, check_at_least_three, curve_of, over_chance
from fasttsne.quality.distances import Distances, Metric, as_distances
from fasttsne.quality.neighborhoods import ndcgs, rank_penalties
from fasttsne.runtime.threads import effective_n_threads

__all__ = ["Report", "report"]

Floats = NDArray[np.float64]

# Pairs of points whose distances are correlated.
N_PAIRS = 100_000

# What the table calls a measure, and what it says of it.
_MEASURES = {
    "trustworthiness": ("trustworthiness", "neighbours on the map are near in the data"),
    "continuity": ("continuity", "neighbours in the data are near on the map"),
    "neighbor_recall": ("neighbour recall", "neighbours that are the same"),
    "neighborhood_ndcg": ("neighbourhood NDCG", "neighbours ranked as in the data"),
    "r_nx_auc": ("R_NX AUC", "neighbourhoods of all sizes, 0 is chance"),
    "distance_correlation": ("distance correlation", "near and far as in the data"),
    "knn_accuracy": ("kNN accuracy", "neighbours on the map tell the class"),
}


@dataclass(frozen=True, eq=False)
class Report:
    """How good a map is: what `report` returns.

    It prints as a table, in a notebook as a formatted one.

    Parameters
    ----------
    n_samples, n_neighbors : int
        Number of points, and size of a neighbourhood.
    metric : str
        Distance of the data.
    trustworthiness, continuity, neighbor_recall, neighborhood_ndcg : float
        As the functions of these names.
    r_nx_auc : float or None
        As the function of this name; None where not all ranks were counted.
    distance_correlation : float or None
        As the function of this name; None where all distances are equal, in the data or on the
        map, as they are if all points coincide: no order is there to correlate.
    knn_accuracy : float or None
        As the function of this name; None without labels, or if no judged point has one.
    rows : ndarray of int32, shape (n_judged,)
        The points that were judged.
    sizes : ndarray of int64, shape (n_samples - 2,)
        Numbers K of neighbours.
    r_nx : ndarray of float64, shape (n_samples - 2,)
        What `fasttsne.quality.r_nx` has for each of them. Both are empty where not all ranks were
        counted.
    per_sample : dict of str to ndarray of float64, shape (n_judged,)
        Values of every judged point, of those measures that have them, by name.

    Attributes
    ----------
    n_judged : int
        Number of points that were judged.
    standard_errors : dict of str to float
        What the means over a sample may be off by, by name: the standard deviation over the
        points, divided by the root of their number, corrected for a finite number of points. And
        what "distance_correlation" may be off by where its pairs of points were drawn, which they
        are from 448 points on. Empty if all points were judged, and all pairs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import report
    >>> X, y = load_iris(return_X_y=True)
    >>> found = report(X, X[:, :2], y)
    >>> round(found.neighbor_recall, 2)
    0.58
    >>> sorted(found.per_sample) == sorted(
    ...     [
    ...         "trustworthiness",
    ...         "continuity",
    ...         "neighbor_recall",
    ...         "neighborhood_ndcg",
    ...         "knn_accuracy",
    ...     ]
    ... )
    True
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

    @property
    def n_judged(self) -> int:
        """Number of points that were judged."""
        return len(self.rows)

    @property
    def standard_errors(self) -> dict[str, float]:
        """What means over a sample of points, or a correlation of drawn pairs, may be off by."""
        errors = {}
        left_out = 1.0 - self.n_judged / self.n_samples
        for name, values in self.per_sample.items():
            values = values[~np.isnan(values)]
            if left_out > 0.0 and len(values) > 1:
                errors[name] = float(values.std(ddof=1) * np.sqrt(left_out / len(values)))
        if self.distance_correlation is not None:
            error = standard_error(self.distance_correlation, self.n_samples, N_PAIRS)
            if error is not None:
                errors["distance_correlation"] = error
        return errors

    def to_dict(self) -> dict[str, Any]:
        """Numbers and words alone, as they go into JSON.

        Returns
        -------
        figures : dict
            The measures and the circumstances by their names, and "standard_errors"; without the
            curve and without the values of points.
        """
        circumstances = {
            "n_samples": self.n_samples,
            "n_judged": self.n_judged,
            "n_neighbors": self.n_neighbors,
            "metric": self.metric,
        }
        measures = {name: getattr(self, name) for name in _MEASURES}
        return circumstances | measures | {"standard_errors": self.standard_errors}

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [self._headline(), ""]
        lines += [f"{name:{widths[0]}}  {value:{widths[1]}}  {text}" for name, value, text in rows]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(f"<td style='text-align: left'>{escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self._table()
        )
        caption = f"<caption>{escape(self._headline())}</caption>"
        return f"<table>{caption}<tbody>{rows}</tbody></table>"

    def _headline(self) -> str:
        judged = "" if self.n_judged == self.n_samples else f", {self.n_judged:,} of them judged"
        return f"{self.n_samples:,} points{judged}; {self.n_neighbors} neighbours, {self.metric}"

    def _table(self) -> list[tuple[str, str, str]]:
        """Name, value and meaning of every measure that there is."""
        errors = self.standard_errors
        rows = []
        for name, (title, text) in _MEASURES.items():
            value = getattr(self, name)
            if value is not None:
                error = f" ± {errors[name]:.4f}" if name in errors else ""
                value = round(value, 4) + 0.0  # which is not -0.0
                rows.append((title, f"{value:.4f}{error}", text))
            elif name == "distance_correlation":
                rows.append((title, "-", "undefined: all distances are equal"))
        return rows


def report(
    X: Any,
    embedding: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    n_neighbors: int = 10,
    sample: Sample = None,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Report:
    """Judge a map by all measures that need no more than the data and, for one, classes.

    Each number is what the function of its name returns for the same points. All come from one
    pass over the distances, so that together they take little longer than `r_nx` alone. The KL
    divergence is not among them: it needs a perplexity, and `kl_divergence` has it.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a dense matrix of distances.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    labels : array-like of shape (n_samples,), default=None
        The class of each point: numbers or strings; None or NaN where it is not known.

    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than half of `n_samples`.

    sample : int, float or array-like of int, default=None
        Judge so many points drawn at random, this share of them, or these rows; each of them is
        ranked against all points. None judges all, which takes time that grows with the square of
        `n_samples`: from some 10,000 points on a few thousand are enough.

    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    random_state : int, RandomState instance or None, default=None
        Source of the points that are drawn, and of the 100,000 pairs of points whose distances
        are correlated where there are more. An integer gives the same report at every call; with
        None they differ by about the standard errors, which the table writes behind "±".

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    found : Report
        The numbers; printed, a table.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, if the metric gives what is no distance, or if labels are given and all
        missing.

    Notes
    -----
    Where all points of the data or of the map coincide, all distances are ties, which go to the
    smaller index: most measures are then what chance would have, and `distance_correlation`,
    which nothing can be said of, is None.

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
    Y = as_embedding(embedding)
    data = as_distances(X, metric, metric_params)
    check_same_length(data.n_samples, len(Y))
    check_at_least_three(len(Y))
    check_less_than_half(n_neighbors, len(Y))
    classes = None
    if labels is not None:
        classes = as_classes(labels, len(Y))
        check_n_voters(n_neighbors, classes)
    anchors = chosen_anchors(len(Y), sample, random_state)
    n_threads = effective_n_threads(n_jobs)
    on_map = as_distances(Y)
    try:
        correlation = correlation_of_pairs(data, on_map, N_PAIRS, random_state, n_threads)
    except NoOrder:
        correlation = None
    ranks = _Ranks(data, on_map, anchors, n_neighbors, n_threads)
    per_sample = {
        "trustworthiness": rank_penalties(ranks.in_data, len(Y)),
        "continuity": rank_penalties(ranks.on_map, len(Y)),
        "neighbor_recall": (ranks.in_data <= n_neighbors).mean(axis=1),
        "neighborhood_ndcg": ndcgs(ranks.on_map, len(Y)),
    }
    if classes is not None:
        per_sample["knn_accuracy"] = knn_hits(Y, classes, anchors, n_neighbors, n_threads)
    return assembled(
        len(Y), n_neighbors, metric, anchors, per_sample, correlation, counts=ranks.counts
    )


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
    """Make the report of what was measured.

    Parameters
    ----------
    n_samples, n_neighbors, metric
        As `report` knows them.
    anchors : ndarray of int32, shape (n_judged,)
        The points that were judged.
    per_sample : dict of str to ndarray of float64, shape (n_judged,)
        Their values, by measure.
    correlation : float or None
        Of distances.
    counts : ndarray of int64, shape (n_samples,), or None
        How many pairs have r as the larger of their ranks, by r; None leaves the curve out.

    Returns
    -------
    found : Report
        With the means.
    """
    sizes, improvement, area = np.empty(0, dtype=np.int64), np.empty(0), None
    if counts is not None:
        sizes, improvement = over_chance(*curve_of(counts, len(anchors)))
        area = area_under(sizes, improvement)
    return Report(
        n_samples=n_samples,
        n_neighbors=int(n_neighbors),
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "function"),
        trustworthiness=float(per_sample["trustworthiness"].mean()),
        continuity=float(per_sample["continuity"].mean()),
        neighbor_recall=float(per_sample["neighbor_recall"].mean()),
        neighborhood_ndcg=float(per_sample["neighborhood_ndcg"].mean()),
        r_nx_auc=area,
        distance_correlation=correlation,
        knn_accuracy=_mean_of_known(per_sample.get("knn_accuracy")),
        rows=anchors,
        sizes=sizes,
        r_nx=improvement,
        per_sample=per_sample,
    )


class _Ranks:
    """Ranks on either side of the nearest on the other, and how often which rank is the larger."""

    def __init__(
        self, data: Distances, on_map: Distances, anchors: Anchors, k: int, n_threads: int
    ) -> None:
        n_samples = data.n_samples
        self.in_data, self.on_map = (np.empty((len(anchors), k), np.int32) for _ in range(2))
        self.counts = np.zeros(n_samples, dtype=np.int64)
        for block, rows in blocks_of(anchors, n_samples):
            distances = data.rows(rows, n_threads)
            near_in_data = _kernels.nearest_in_rows(distances, rows, k, n_threads)
            ranks_in_data = _kernels.all_ranks_in_rows(distances, rows, n_threads)
            distances = on_map.rows(rows, n_threads)
            near_on_map = _kernels.nearest_in_rows(distances, rows, k, n_threads)
            ranks_on_map = _kernels.all_ranks_in_rows(distances, rows, n_threads)
            _kernels.count_larger_ranks(ranks_in_data, ranks_on_map, self.counts, n_threads)
            self.in_data[block] = np.take_along_axis(ranks_in_data, near_on_map, axis=1)
            self.on_map[block] = np.take_along_axis(ranks_on_map, near_in_data, axis=1)


def _mean_of_known(hits: Floats | None) -> float | None:
    if hits is None or np.isnan(hits).all():
        return None
    return float(np.nanmean(hits))
