"""How good a large map is: the measures of `fasttsne.quality` on some of its rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from fasttsne.dask.blocks import Rows, as_rows
from fasttsne.dask.landmarks import take, uniform_rows
from fasttsne.dask.memory import check_workers_hold
from fasttsne.dask.ranking import (
    Judged,
    Nearest,
    count_larger_ranks,
    nearest_of_all,
    ranks_among_all,
)
from fasttsne.dask.workers import active_client, size_of
from fasttsne.quality import Report
from fasttsne.quality.checks import (
    RandomState,
    check_less_than_half,
    check_same_length,
    chosen_anchors,
)
from fasttsne.quality.classes import as_classes, check_n_voters, elected
from fasttsne.quality.correlation import NoOrder, correlation_between, drawn_pairs
from fasttsne.quality.curves import check_at_least_three
from fasttsne.quality.distances import Metric, as_distances
from fasttsne.quality.neighborhoods import ndcgs, rank_penalties
from fasttsne.quality.report import N_PAIRS, assembled
from fasttsne.runtime.threads import effective_n_threads

__all__ = ["quality"]

Floats = NDArray[np.float64]

# What the samples of pairs, whose distances are correlated, take at a time.
_PAIRS_BYTES = 1 << 28

# Rows of a report have numbers of 32 bits.
_MOST_SAMPLES = 2**31 - 1

# Metrics that scikit-learn derives from the data at hand, which would be each block.
_OF_THE_DATA = {"seuclidean": "V", "mahalanobis": "VI"}


def quality(
    X: Any,
    Y: Any,
    labels: Any = None,
    *,
    sample: int | float | ArrayLike = 1000,
    n_neighbors: int = 10,
    curve: bool = False,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Report:
    """Judge a large map by some of its points, each of them ranked against all, block by block.

    The numbers are those of `fasttsne.quality.report` for the same points, in memory that grows
    neither with the number of rows nor with that of blocks.

    Parameters
    ----------
    X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
        The data, (n_samples, n_features), as :class:`fasttsne.dask.TSNE` takes them.
    Y : dask.array.Array or ndarray of shape (n_samples, n_components)
        The map, rows in the order of `X`. A lazy one is computed with every pass: store it, or
        `persist` it, before it is judged.
    labels : array-like or dask.array.Array of shape (n_samples,), default=None
        The class of each point: numbers or strings; None or NaN where it is not known. They are
        held in memory.
    sample : int, float or array-like of int, default=1000
        How many points to judge, drawn at random, or all where there are no more; which share of
        them; or which rows.
    n_neighbors : int, default=10
        Size of a neighbourhood: at least 1 and less than half of `n_samples`.
    curve : bool, default=False
        Count all ranks, for `r_nx` and `r_nx_auc` of the report. That takes 24 bytes a row for
        every point that is judged: a few points in every pass over the data.
    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`fasttsne.TSNE`, but not "precomputed". The map's is
        always Euclidean.
    metric_params : dict, default=None
        Further arguments of the metric.
    random_state : int, RandomState instance or None, default=None
        Source of the points that are drawn, and of the pairs of points whose distances are
        correlated.
    n_jobs : int or None, default=None
        Number of threads of each process. The result does not depend on it.

    Returns
    -------
    found : fasttsne.quality.Report
        The numbers; printed, a table. Without `curve`, `r_nx_auc` is None.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if a block has NaN or
        infinity or is not what `X` announces, or if a metric would depend on the block.
    MemoryError
        If the memory limit of a worker is too small for a block and the points that are judged.

    Notes
    -----
    There are three passes over `X` and `Y`: for what the points and the pairs hold, for the
    nearest neighbours of the points on either side, and for the ranks of these. Each costs the
    distances of all rows to the points that are judged.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.dask import quality
    >>> X = da.from_array(load_iris().data, chunks=(40, 4))
    >>> found = quality(X, X[:, 2:], sample=50, random_state=0)
    >>> print(found)
    150 points, 50 of them judged; 10 neighbours, euclidean
    <BLANKLINE>
    trustworthiness       ...
    """
    rows = as_rows(X)
    places = _map_of(Y, rows)
    n_samples = rows.n_samples
    if n_samples > _MOST_SAMPLES:
        raise ValueError(f"X has {n_samples:,} rows, more than the {_MOST_SAMPLES:,} of a report")
    check_at_least_three(n_samples)
    check_less_than_half(n_neighbors, n_samples)
    _check_metric(metric, metric_params)
    classes = None
    if labels is not None:
        classes = as_classes(
            labels.compute() if isinstance(labels, da.Array) else labels, n_samples
        )
        check_n_voters(n_neighbors, classes)
    numbers = _anchors(n_samples, sample, random_state)
    ascending = np.sort(numbers)
    back = np.searchsorted(ascending, numbers)
    judged = Judged(
        numbers,
        take(rows, ascending)[back],
        take(places, ascending)[back],
        int(n_neighbors),
        metric,
        metric_params,
        n_jobs,
        classes,
    )
    check_workers_hold(size_of(judged), rows)
    n_threads = effective_n_threads(n_jobs)
    in_data, on_map, *voters = nearest_of_all(rows, places, judged)
    ranks_in_data, ranks_on_map = ranks_among_all(rows, places, judged, on_map, in_data)
    per_sample = {
        "trustworthiness": rank_penalties(ranks_in_data, n_samples),
        "continuity": rank_penalties(ranks_on_map, n_samples),
        "neighbor_recall": (ranks_in_data <= n_neighbors).mean(axis=1),
        "neighborhood_ndcg": ndcgs(ranks_on_map, int(ranks_on_map.max()) + 1),
    }
    if classes is not None:
        per_sample["knn_accuracy"] = _hits(voters[0], classes[numbers])
    return assembled(
        n_samples,
        n_neighbors,
        metric,
        numbers.astype(np.int32),
        per_sample,
        _correlation(rows, places, metric, metric_params, random_state, n_threads),
        counts=count_larger_ranks(rows, places, judged, n_threads) if curve else None,
    )


def _map_of(Y: Any, rows: Rows) -> Rows:
    """Bring the map into the blocks of the data."""
    if isinstance(Y, np.ndarray):
        check_same_length(rows.n_samples, len(Y))
        Y = da.from_array(Y, chunks=(rows.lengths, *Y.shape[1:]))
        if active_client() is not None:  # to which it goes once, and not with every pass
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                Y = Y.persist()
    places = as_rows(Y, "Y")
    check_same_length(rows.n_samples, places.n_samples)
    if places.array.dtype not in (np.float32, np.float64):
        raise TypeError(f"Y must be of float32 or float64; got {places.array.dtype}")
    return Rows(places.array.rechunk({0: rows.array.chunks[0]}), None, "Y")


def _check_metric(metric: Metric, metric_params: Mapping[str, Any] | None) -> None:
    if metric in ("precomputed", "precomputed_affinity"):
        raise ValueError(f"metric={metric!r} is no metric of samples, which blocks of rows need")
    needed = _OF_THE_DATA.get(metric) if isinstance(metric, str) else None
    if needed is not None and needed not in (metric_params or {}):
        raise ValueError(
            f"metric={metric!r} would be another one for each block; give metric_params={{"
            f"{needed!r}: ...}}"
        )


def _anchors(
    n_samples: int, sample: int | float | ArrayLike, random_state: RandomState
) -> NDArray[np.int64]:
    """Choose who is judged, in memory that does not grow with who there is."""
    if type(sample) is float and 0.0 < sample <= 1.0:
        size = max(1, round(sample * n_samples))
    elif np.ndim(sample) == 0 and not isinstance(sample, bool | float | str):
        check_scalar(sample, "sample", Integral, min_val=1)
        size = min(int(np.asarray(sample)), n_samples)
    else:
        return chosen_anchors(n_samples, sample, random_state).astype(np.int64)
    return uniform_rows(n_samples, size, random_state)


def _hits(voters: Nearest, expected: NDArray[np.int64]) -> Floats:
    """1 where the vote is right, 0 where it is wrong, NaN without a label; one an anchor."""
    hits: Floats = (elected(voters.there.astype(np.int64)) == expected).astype(np.float64)
    hits[expected < 0] = np.nan
    return hits


def _correlation(
    rows: Rows,
    places: Rows,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    random_state: RandomState,
    n_threads: int,
) -> float | None:
    """Correlate the distances of pairs, whose rows are fetched for some pairs at a time."""
    first, second = drawn_pairs(rows.n_samples, N_PAIRS, random_state)
    step = max(1, _PAIRS_BYTES // (2 * rows.bytes_of_row))
    distances, on_map = np.empty(len(first)), np.empty(len(first))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        numbers, where = np.unique(np.concatenate((first[part], second[part])), return_inverse=True)
        a, b = np.split(where.ravel().astype(np.int32), 2)
        data = as_distances(take(rows, numbers.astype(np.int64)), metric, metric_params)
        distances[part] = data.pairs(a, b, n_threads)
        there = as_distances(take(places, numbers.astype(np.int64)))
        on_map[part] = there.pairs(a, b, n_threads)
    try:
        return correlation_between(distances, on_map)
    except NoOrder:
        return None
