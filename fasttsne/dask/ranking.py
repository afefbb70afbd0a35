"""Some rows, the anchors, ranked against all, block by block.

Two passes over the data and the map. The first finds who is nearest to the anchors, on either
side, and how far these are on the other; the second counts who is nearer than that, which gives
their ranks. A block returns a few numbers for each anchor, and what blocks return is merged by a
few at a time, so that nothing grows with the number of rows. All ranks, for curves over every size
of neighbourhood, take the distances of an anchor to all rows in one place: as many anchors at a
time as fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import dask
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne import _kernels
from fasttsne.dask.blocks import Rows
from fasttsne.dask.shares import share_of_threads
from fasttsne.dask.workers import Shared, share
from fasttsne.quality.checks import blocks_of
from fasttsne.quality.distances import Metric, as_distances
from fasttsne.samples.scaling import safe_exponent

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Parts that are merged at a time.
_MERGED = 16

# What the distances of the anchors that are ranked whole take at a time.
_WHOLE_BYTES = 1 << 28


@dataclass(frozen=True)
class Judged:
    """Anchors, and how they are compared with others.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n_anchors,)
        Which rows they are.
    samples, places : {ndarray, sparse matrix} of shape (n_anchors, n_features or n_components)
        Their rows of the data and of the map.
    n_neighbors : int
        How many of the nearest are of interest.
    metric : str or callable
        Of the data.
    metric_params : mapping or None
        Further arguments of the metric.
    n_jobs : int or None
        As in `fasttsne.TSNE`.
    classes : ndarray of int64, shape (n_samples,), or None
        Classes of all rows, -1 where unknown.
    """

    numbers: Indices
    samples: Any
    places: NDArray[np.floating]
    n_neighbors: int
    metric: Metric
    metric_params: Mapping[str, Any] | None
    n_jobs: int | None
    classes: NDArray[np.int64] | None = None

    def some(self, part: slice) -> Judged:
        """Keep some of the anchors."""
        return Judged(
            self.numbers[part],
            self.samples[part],
            self.places[part],
            self.n_neighbors,
            self.metric,
            self.metric_params,
            self.n_jobs,
        )

    def distances(
        self, block: Any, map_block: NDArray[np.floating], start: int, n_threads: int
    ) -> Iterator[tuple[slice, NDArray[np.int32], Floats, Floats]]:
        """Measure from anchors to the rows of a block, in the data and on the map.

        Yields some anchors at a time: which, their columns in the block or one beyond it, and the
        distances, (n, n_rows + 1), of which the last are infinite and those to themselves, too.
        """
        n_anchors, n_rows = len(self.numbers), block.shape[0]
        # Together, so that what depends on the data is the same for both.
        in_data = as_distances(_stacked(self.samples, block), self.metric, self.metric_params)
        on_map = as_distances(_stacked(self.places, map_block))
        within = (self.numbers >= start) & (self.numbers < start + n_rows)
        own = np.where(within, self.numbers - start, n_rows).astype(np.int32)
        anchors = np.arange(n_anchors, dtype=np.int32)
        for part, rows in blocks_of(anchors, n_anchors + n_rows):
            sides = []
            for side in (in_data, on_map):
                measured = np.empty((len(rows), n_rows + 1))
                measured[:, :-1] = side.rows(rows, n_threads)[:, n_anchors:]
                measured[:, -1] = np.inf
                measured[np.arange(len(rows)), own[part]] = np.inf
                sides.append(measured)
            yield part, own[part], sides[0], sides[1]


class Nearest(NamedTuple):
    """Who is nearest to each anchor on one side: arrays of shape (n_anchors, n_found).

    Attributes
    ----------
    rows : ndarray of int64
        Who, the nearest first, of equal ones the lesser number; anything where `near` is infinite.
    near : ndarray of float64
        How far, on this side.
    there : ndarray of float64
        How far on the other side; of voters, their class.
    """

    rows: Indices
    near: Floats
    there: Floats


def nearest_of_all(rows: Rows, places: Rows, judged: Judged) -> list[Nearest]:
    """Find the nearest in the data, on the map, and, with classes, on the map among their like.

    Parameters
    ----------
    rows, places : Rows
        The data and the map, in the same blocks.
    judged : Judged
        Whose nearest.

    Returns
    -------
    found : list of Nearest
        Two, or three with classes, of `n_neighbors` each.
    """
    merge = partial(_merge, judged.n_neighbors)
    merged: list[Nearest] = _reduced(rows, places, judged, _nearest_of_block, merge)
    return merged


def ranks_among_all(
    rows: Rows, places: Rows, judged: Judged, on_map: Nearest, in_data: Nearest
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rank the nearest on either side on the other.

    Parameters
    ----------
    rows, places : Rows
        The data and the map, in the same blocks.
    judged : Judged
        Whose nearest.
    on_map, in_data : Nearest
        Who is to be ranked in the data, and who on the map.

    Returns
    -------
    ranks_in_data, ranks_on_map : ndarray of int, shape (n_anchors, n_neighbors)
        From 1; of equal distances the lesser row is nearer.
    """
    counted = _reduced(rows, places, (judged, on_map, in_data), _nearer_in_block, _sum)
    return counted[0] + 1, counted[1] + 1


def count_larger_ranks(rows: Rows, places: Rows, judged: Judged, n_threads: int) -> Indices:
    """How many pairs of an anchor and a row have r as the larger of their ranks, by r.

    Parameters
    ----------
    rows, places : Rows
        The data and the map, in the same blocks.
    judged : Judged
        The anchors.
    n_threads : int
        Number of threads of this process, which does the ranking.

    Returns
    -------
    counts : ndarray of int64, shape (n_samples,)
        As `fasttsne.quality.curves.curve_of` takes them.
    """
    n_samples = rows.n_samples
    counts = np.zeros(n_samples, dtype=np.int64)
    step = max(1, _WHOLE_BYTES // (16 * n_samples))
    for first in range(0, len(judged.numbers), step):
        some = judged.some(slice(first, first + step))
        parts = dask.compute(*_mapped(rows, places, some, _distances_of_block))
        anchors = some.numbers.astype(np.int32)
        ranks = [
            _kernels.all_ranks_in_rows(np.concatenate(side, axis=1), anchors, n_threads)
            for side in zip(*parts, strict=True)
        ]
        _kernels.count_larger_ranks(ranks[0], ranks[1], counts, n_threads)
    return counts


# ---- What a block tells --------------------------------------------------------------------------


def _nearest_of_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> list[Nearest]:
    judged: Judged = shared.value
    _check_block(block, start, judged.metric)
    n_anchors, n_rows = len(judged.numbers), block.shape[0]
    k = min(judged.n_neighbors, n_rows)
    n_lists = 2 if judged.classes is None else 3
    found = [
        Nearest(*(np.empty((n_anchors, k), dtype) for dtype in (np.int64, float, float)))
        for _ in range(n_lists)
    ]

    def keep(where: Nearest, part: slice, near: Floats, there: Floats, n_threads: int) -> None:
        beyond = np.full(len(near), n_rows, dtype=np.int32)  # nobody's own column
        columns = _kernels.nearest_in_rows(near, beyond, k, n_threads)
        where.rows[part] = columns + start
        where.near[part] = np.take_along_axis(near, columns, axis=1)
        where.there[part] = np.take_along_axis(there, columns, axis=1)

    with share_of_threads(judged.n_jobs) as n_threads:
        for part, _, in_data, on_map in judged.distances(block, map_block, start, n_threads):
            keep(found[0], part, in_data, on_map, n_threads)
            keep(found[1], part, on_map, in_data, n_threads)
            if judged.classes is not None:
                classes = judged.classes[start : start + n_rows]
                on_map[:, :-1][:, classes < 0] = np.inf
                wide = np.broadcast_to(np.append(classes, -1).astype(float), on_map.shape)
                keep(found[2], part, on_map, wide, n_threads)
    return found


def _nearer_in_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> tuple[Indices, Indices]:
    judged, on_map, in_data = shared.value
    nearer = np.zeros(on_map.rows.shape, np.int64), np.zeros(in_data.rows.shape, np.int64)
    columns = np.arange(block.shape[0] + 1)
    with share_of_threads(judged.n_jobs) as n_threads:
        for part, _, *sides in judged.distances(block, map_block, start, n_threads):
            for counts, asked, distances in zip(nearer, (on_map, in_data), sides, strict=True):
                for neighbor in range(counts.shape[1]):
                    limit = asked.there[part, neighbor, np.newaxis]
                    counts[part, neighbor] = np.count_nonzero(distances < limit, axis=1)
                    equal = distances == limit
                    if equal.any():
                        first = asked.rows[part, neighbor, np.newaxis] - start
                        counts[part, neighbor] += np.count_nonzero(
                            equal & (columns < first), axis=1
                        )
    return nearer


def _distances_of_block(
    block: Any, start: int, map_block: NDArray[np.floating], shared: Shared
) -> tuple[Floats, Floats]:
    judged: Judged = shared.value
    shape = len(judged.numbers), block.shape[0]
    whole = np.empty(shape), np.empty(shape)
    with share_of_threads(judged.n_jobs) as n_threads:
        for part, _, *sides in judged.distances(block, map_block, start, n_threads):
            for distances, side in zip(whole, sides, strict=True):
                distances[part] = side[:, :-1]
    return whole


def _check_block(block: Any, start: int, metric: Metric) -> None:
    """Refuse what blocks could not be compared by, each for itself."""
    if metric not in ("euclidean", "l2", "sqeuclidean", "cosine"):
        return
    if safe_exponent(block):
        raise ValueError(
            "X has values whose squares overflow or vanish, in the block that starts with row"
            f" {start}; scale X"
        )
    if metric == "cosine" and not sparse.issparse(block):
        zero = np.flatnonzero(~block.any(axis=1))
        if len(zero):
            raise ValueError(
                f"X is zero in row {start + int(zero[0])}, which has no direction; leave such rows"
                " out, or take another metric than cosine"
            )


def _stacked(above: Any, below: Any) -> Any:
    if sparse.issparse(below):
        return sparse.vstack((above, below), format="csr")
    return np.concatenate((above, below))


# ---- All blocks together -------------------------------------------------------------------------


def _reduced(
    rows: Rows, places: Rows, shared: Any, of_block: Callable[..., Any], merge: Callable[..., Any]
) -> Any:
    """Merge what blocks tell, a few at a time, in their order."""
    parts = _mapped(rows, places, shared, of_block)
    while len(parts) > 1:
        parts = [
            dask.delayed(merge)(parts[first : first + _MERGED])
            for first in range(0, len(parts), _MERGED)
        ]
    return dask.compute(parts[0])[0]


def _mapped(rows: Rows, places: Rows, shared: Any, of_block: Callable[..., Any]) -> list[Any]:
    told = rows.map(
        of_block, places.array, share(shared), lengths=rows.lengths, like=np.empty((0, 1))
    )
    filled = np.flatnonzero(rows.lengths)
    return list(told.to_delayed().ravel()[filled])


def _merge(n_neighbors: int, parts: Sequence[list[Nearest]]) -> list[Nearest]:
    """Keep the nearest of all parts; of equal ones the first, as rows ascend with the parts."""
    merged = []
    for lists in zip(*parts, strict=True):
        together = [np.concatenate(arrays, axis=1) for arrays in zip(*lists, strict=True)]
        order = np.argsort(together[1], axis=1, kind="stable")[:, :n_neighbors]
        merged.append(Nearest(*(np.take_along_axis(array, order, axis=1) for array in together)))
    return merged


def _sum(parts: Sequence[tuple[Indices, Indices]]) -> tuple[Indices, Indices]:
    first, second = (np.sum(side, axis=0) for side in zip(*parts, strict=True))
    return first, second
