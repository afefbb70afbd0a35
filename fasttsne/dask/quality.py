"""The measures of `fasttsne.quality` for a large map, on a sample of its rows, the anchors.

One pass over data and map finds the nearest neighbours of the anchors in both, and their distances
in the other. Another counts the rows that are nearer than these, which gives their ranks. A block
returns a few numbers per anchor, and a few blocks at a time are merged, so that nothing grows with
the number of rows. The curves over all neighbourhood sizes gather the distances of an anchor to all
rows in this process, for as many anchors at a time as fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import gen_batches

from fasttsne import _kernels
from fasttsne.dask.blocks import Rows, as_rows, joined
from fasttsne.dask.landmarks import take, uniform_rows
from fasttsne.dask.workers import Shared, active_client, share, share_of_threads
from fasttsne.neighbors.metrics import Metric, check_not_constant
from fasttsne.quality import Report, checks
from fasttsne.quality.checks import Floats
from fasttsne.quality.classes import as_classes, elected
from fasttsne.quality.correlation import NoOrder, correlation_between, drawn_pairs
from fasttsne.quality.distances import as_distances
from fasttsne.quality.neighborhoods import ndcgs, rank_penalties
from fasttsne.quality.report import N_PAIRS, assembled
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.scaling import safe_exponent

Indices = NDArray[np.int64]

# Bytes, at a time, of the rows of the pairs whose distances are correlated, and of the distances of
# anchors to all rows.
_PAIRS_BYTES = 1 << 28
_WHOLE_BYTES = 1 << 28

# Blocks whose results are merged at a time.
_MERGED = 16

# Row numbers of a report have 32 bits.
_MOST_SAMPLES = 2**31 - 1


@with_plain_numbers
def quality(
    X: Any,
    Y: Any,
    labels: Any = None,
    *,
    sample: int | float | ArrayLike = 1000,
    curve: bool = False,
    n_neighbors: int = 10,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> Report:
    """Report how good a large map is, from a sample of its points ranked against all points.

    The numbers equal those of `fasttsne.quality.report` for the same points. Triplet accuracy,
    scale-free stress, class centroids and reliability are not computed: they are None. `X` and
    `Y` are read three times or more, in memory that does not depend on the number of rows or
    blocks. Time grows with the number of rows times the sample.

    Parameters
    ----------
    X : dask.array.Array, dask.dataframe.DataFrame, or list of dask.delayed.Delayed
        The data, (n_samples, n_features), as for `fasttsne.dask.TSNE.fit_transform`.
    Y : dask.array.Array or ndarray of shape (n_samples, n_components)
        The map, rows in the order of `X`. A lazy map is computed in every pass: store it, or
        `persist` it, first.
    labels : array-like or dask.array.Array of shape (n_samples,), default=None
        The class of each point: numbers or strings; None or NaN if unknown. Held in memory.
    sample : int, float or array-like of int, default=1000
        The points to evaluate: their number, drawn at random (all points if there are no more),
        their share, or their row numbers.
    curve : bool, default=False
        Compute `r_nx` and `r_nx_auc`, which need all ranks: 24 bytes per row for every point of the
        sample, a few points in every pass over the data.
    n_neighbors, metric, metric_params, random_state
        See :func:`fasttsne.quality.report`. `metric` must not be "precomputed".
    n_jobs : int or None, default=None
        Number of threads of each process. The result does not depend on it.

    Returns
    -------
    found : fasttsne.quality.Report
        The measures; it prints as a table. Without `curve`, `r_nx_auc` is None.

    Raises
    ------
    TypeError, ValueError, MemoryError
        See :func:`fasttsne.quality.report` and `fasttsne.dask.TSNE.fit_transform`; ValueError also
        if the metric would differ between blocks.

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
    places = _map_in_blocks_of(rows, Y)
    n_samples = rows.n_samples
    if n_samples > _MOST_SAMPLES:
        raise ValueError(f"X has {n_samples:,} rows, more than the {_MOST_SAMPLES:,} of a report")
    checks.check_at_least(3, n_samples)
    checks.check_less_than_half(n_neighbors, n_samples)
    if metric == "precomputed":
        raise ValueError(f"metric={metric!r}: blocks of rows require a metric of samples")
    if metric == "seuclidean" and (metric_params or {}).get("V") is None:
        raise ValueError(
            f"metric={metric!r} would differ between blocks; set metric_params={{'V': ...}}"
        )
    labels = labels.compute() if isinstance(labels, da.Array) else labels
    classes = None if labels is None else as_classes(labels, n_samples, n_neighbors)
    numbers = _draw_anchors(n_samples, sample, random_state)
    ascending = np.sort(numbers)
    back = np.searchsorted(ascending, numbers)
    anchors = _Anchors(
        numbers,
        take(rows, ascending)[back],
        take(places, ascending)[back],
        int(n_neighbors),
        metric,
        metric_params,
        n_jobs,
        classes,
    )
    merge = partial(_merge_nearest, int(n_neighbors))
    in_data, on_map, *voters = _reduce(rows, places, anchors, _nearest_of_block, merge)
    add = partial(np.sum, axis=0)
    nearer = _reduce(rows, places, (anchors, on_map, in_data), _count_nearer_in_block, add)
    ranks_in_data, ranks_on_map = nearer + 1
    per_sample = {
        "trustworthiness": rank_penalties(ranks_in_data, n_samples),
        "continuity": rank_penalties(ranks_on_map, n_samples),
        "neighbor_recall": (ranks_in_data <= n_neighbors).mean(axis=1),
        "neighborhood_ndcg": ndcgs(ranks_on_map, int(ranks_on_map.max()) + 1),
    }
    if classes is not None:
        hits = elected(voters[0].there.astype(np.int64)) == classes[numbers]
        per_sample["knn_accuracy"] = np.where(classes[numbers] < 0, np.nan, hits)
    return assembled(
        n_samples,
        n_neighbors,
        metric,
        numbers.astype(np.int32),
        per_sample,
        _correlation(rows, places, anchors, random_state),
        counts=_count_larger_ranks(rows, places, anchors) if curve else None,
    )


def _map_in_blocks_of(rows: Rows, Y: Any) -> Rows:
    """Return the map in the blocks of the data."""
    if isinstance(Y, np.ndarray):
        checks.check_same_length(rows.n_samples, len(Y))
        Y = da.from_array(Y, chunks=(rows.lengths, *Y.shape[1:]))
        if active_client() is not None:  # send it to the cluster once, not in every pass
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                Y = Y.persist()
    places = as_rows(Y, "Y")
    checks.check_same_length(rows.n_samples, places.n_samples)
    if places.array.dtype not in (np.float32, np.float64):
        raise TypeError(f"Y must be of float32 or float64; got {places.array.dtype}")
    return Rows(places.array.rechunk({0: rows.array.chunks[0]}), None, "Y")


def _draw_anchors(n_samples: int, sample: int | float | ArrayLike, random_state: Seed) -> Indices:
    """Return row numbers as `chosen_anchors`, in memory that does not grow with `n_samples`."""
    if type(sample) is float and 0.0 < sample <= 1.0:
        size = max(1, round(sample * n_samples))
    elif isinstance(sample, int | np.integer) and not isinstance(sample, bool) and sample >= 1:
        size = min(int(sample), n_samples)
    else:
        return checks.chosen_anchors(n_samples, sample, random_state).astype(np.int64)
    return uniform_rows(n_samples, size, random_state)


def _correlation(rows: Rows, places: Rows, anchors: _Anchors, random_state: Seed) -> float | None:
    """Return the correlation of the distances of pairs, whose rows are taken in parts."""
    n_threads = effective_n_threads(anchors.n_jobs)
    first, second = drawn_pairs(rows.n_samples, N_PAIRS, random_state)
    step = max(1, _PAIRS_BYTES // (2 * rows.bytes_of_row))
    distances, on_map = np.empty(len(first)), np.empty(len(first))
    for part in gen_batches(len(first), step):
        numbers, where = np.unique(np.concatenate((first[part], second[part])), return_inverse=True)
        a, b = np.split(where.ravel().astype(np.int32), 2)
        data, there = (take(matrix, numbers.astype(np.int64)) for matrix in (rows, places))
        measured = as_distances(data, anchors.metric, anchors.metric_params)
        distances[part] = measured.pairs(a, b, n_threads)
        on_map[part] = as_distances(there).pairs(a, b, n_threads)
    try:
        return correlation_between(distances, on_map)
    except NoOrder:
        return None


# ---- Anchors and one block -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Anchors:
    """The rows that are evaluated, and what their distances to others depend on."""

    numbers: Indices
    samples: Any  # their rows of the data
    places: NDArray[np.floating]  # their rows of the map
    n_neighbors: int
    metric: Metric
    metric_params: Mapping[str, Any] | None
    n_jobs: int | None
    classes: Indices | None  # of all rows, -1 where unknown

    def distances(
        self, block: Any, map_block: NDArray[np.floating], start: int, n_threads: int
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield some anchors at a time, with their distances to a block in the data and on the map.

        The distances have the shape (n, n_rows + 1). Those of the last column, and of an anchor to
        itself, are infinite.
        """
        n_anchors, n_rows = len(self.numbers), block.shape[0]
        # Anchors and block together, so that what depends on the data is the same for both.
        in_data = as_distances(joined((self.samples, block)), self.metric, self.metric_params)
        on_map = as_distances(joined((self.places, map_block)))
        within = (self.numbers >= start) & (self.numbers < start + n_rows)
        own = np.where(within, self.numbers - start, n_rows)
        for part, anchors in checks.blocks_of(
            np.arange(n_anchors, dtype=np.int32), n_anchors + n_rows
        ):
            sides = []
            for side in (in_data, on_map):
                measured = np.full((len(anchors), n_rows + 1), np.inf)
                measured[:, :-1] = side.rows(anchors, n_threads)[:, n_anchors:]
                measured[np.arange(len(anchors)), own[part]] = np.inf
                sides.append(measured)
            yield part, sides[0], sides[1]


class _Nearest(NamedTuple):
    """The nearest rows to each anchor on one side, data or map: arrays (n_anchors, n_found)."""

    rows: Indices  # the nearest first, ties by row number; arbitrary where `near` is infinite
    near: Floats  # distances on this side
    there: Floats  # distances on the other side; for voters, classes


def _nearest_of_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> list[_Nearest]:
    """Return the nearest in the data, on the map and, with classes, on the map among known ones."""
    anchors: _Anchors = shared.value
    _check_block(block, start, anchors.metric)
    n_rows = block.shape[0]
    found: list[list[_Nearest]] = [[], []] if anchors.classes is None else [[], [], []]
    with share_of_threads(anchors.n_jobs) as n_threads:
        for _, in_data, on_map in anchors.distances(block, map_block, start, n_threads):
            sides = [(in_data, on_map), (on_map, in_data)]
            if anchors.classes is not None:
                classes = np.append(anchors.classes[start : start + n_rows], -1)
                among_known = np.where(classes < 0, np.inf, on_map)
                sides.append((among_known, np.broadcast_to(classes.astype(float), on_map.shape)))
            no_own_column = np.full(len(on_map), n_rows, dtype=np.int32)
            for parts, (near, there) in zip(found, sides, strict=True):
                k = min(anchors.n_neighbors, n_rows)
                columns = _kernels.nearest_in_rows(near, no_own_column, k, n_threads)
                values = (np.take_along_axis(side, columns, axis=1) for side in (near, there))
                parts.append(_Nearest(columns + np.int64(start), *values))
    return [_Nearest(*map(np.concatenate, zip(*parts, strict=True))) for parts in found]


def _count_nearer_in_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> Indices:
    """Count the rows nearer than the nearest of the other side, (2, n_anchors, n_neighbors).

    The first counts are those in the data. Of equal distances that of the lower row is nearer.
    """
    anchors, on_map, in_data = shared.value
    nearer = np.zeros((2, *on_map.rows.shape), np.int64)
    columns = np.arange(block.shape[0] + 1)
    with share_of_threads(anchors.n_jobs) as n_threads:
        for part, *sides in anchors.distances(block, map_block, start, n_threads):
            for counts, asked, distances in zip(nearer, (on_map, in_data), sides, strict=True):
                for neighbor in range(counts.shape[1]):
                    limit = asked.there[part, neighbor, np.newaxis]
                    counts[part, neighbor] = np.count_nonzero(distances < limit, axis=1)
                    equal = distances == limit
                    if equal.any():
                        first = asked.rows[part, neighbor, np.newaxis] - start
                        counts[part, neighbor] += (equal & (columns < first)).sum(axis=1)
    return nearer


def _distances_of_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> tuple[Floats, Floats]:
    """Return the distances of all anchors to a block in the data and on the map."""
    anchors: _Anchors = shared.value
    with share_of_threads(anchors.n_jobs) as n_threads:
        parts = list(anchors.distances(block, map_block, start, n_threads))
    sides = zip(*(sides for _, *sides in parts), strict=True)
    in_data, on_map = (np.concatenate(side)[:, :-1] for side in sides)
    return in_data, on_map


def _check_block(block: Any, start: int, metric: Metric) -> None:
    """Raise ValueError if distances within each block would be in different units or undefined."""
    if metric == "correlation" and not sparse.issparse(block):
        check_not_constant(block, start)
    if metric not in ("euclidean", "l2", "sqeuclidean", "cosine"):
        return
    if safe_exponent(block):
        raise ValueError(
            "X has values whose squares overflow or underflow, in the block that starts with row"
            f" {start}; scale X"
        )
    if metric == "cosine" and not sparse.issparse(block):
        zero = np.flatnonzero(~block.any(axis=1))
        if len(zero):
            raise ValueError(
                f"X is zero in row {start + int(zero[0])}, which has no direction; drop such rows,"
                " or use another metric than cosine"
            )


# ---- All blocks ----------------------------------------------------------------------------------


def _count_larger_ranks(rows: Rows, places: Rows, anchors: _Anchors) -> Indices:
    """Count the pairs of an anchor and a row by the larger of their two ranks, (n_samples,)."""
    n_samples, n_threads = rows.n_samples, effective_n_threads(anchors.n_jobs)
    counts = np.zeros(n_samples, dtype=np.int64)
    for part in gen_batches(len(anchors.numbers), max(1, _WHOLE_BYTES // (16 * n_samples))):
        some = replace(
            anchors,
            numbers=anchors.numbers[part],
            samples=anchors.samples[part],
            places=anchors.places[part],
            classes=None,
        )
        shared = share(some, rows)
        blocks = dask.compute(*rows.results(_distances_of_block, places.array, shared))
        numbers = some.numbers.astype(np.int32)
        ranks = [
            _kernels.all_ranks_in_rows(np.concatenate(side, axis=1), numbers, n_threads)
            for side in zip(*blocks, strict=True)
        ]
        _kernels.count_larger_ranks(ranks[0], ranks[1], counts, n_threads)
    return counts


def _reduce(
    rows: Rows, places: Rows, shared: Any, of_block: Callable[..., Any], merge: Callable[..., Any]
) -> Any:
    """Merge the results of all blocks, a few at a time, in their order."""
    parts = rows.results(of_block, places.array, share(shared, rows))
    while len(parts) > 1:
        parts = [dask.delayed(merge)(parts[some]) for some in gen_batches(len(parts), _MERGED)]
    return dask.compute(parts[0])[0]


def _merge_nearest(n_neighbors: int, parts: Sequence[list[_Nearest]]) -> list[_Nearest]:
    """Keep the nearest of all parts; of equal ones the first, as rows ascend with the parts."""
    merged = []
    for lists in zip(*parts, strict=True):
        together = [np.concatenate(arrays, axis=1) for arrays in zip(*lists, strict=True)]
        order = np.argsort(together[1], axis=1, kind="stable")[:, :n_neighbors]
        merged.append(_Nearest(*(np.take_along_axis(array, order, axis=1) for array in together)))
    return merged
