"""Which rows are landmarks, and one pass over the blocks that takes them.

A row is drawn by its number, the seed and, for a draw by density, what it holds: how rows are cut
into blocks has no part in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dask
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement
from threadpoolctl import threadpool_limits

from fasttsne.dask.blocks import Rows
from fasttsne.dask.shares import share_of_threads
from fasttsne.dask.workers import Shared, share
from fasttsne.neighbors.index import NeighborIndex, neighbor_index

RandomState = int | np.random.RandomState | None

# Cells of k-means: one for so many landmarks, but no more than that; and rows of the sample that
# they are found on, for each. On MNIST fewer landmarks a cell make a better map.
_LANDMARKS_OF_CELL = 20
_MOST_CELLS = 1000
_SAMPLES_OF_CELL = 100

# More candidates than landmarks, so that there are hardly ever too few.
_SPARE = 1.1

# Values of sparse rows that are made dense at a time.
_DENSE_VALUES = 1 << 21


class Landmarks(NamedTuple):
    """Rows that stand for all.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n_landmarks,)
        Which rows they are, ascending.
    samples : {ndarray, sparse matrix} of shape (n_landmarks, n_features)
        What they hold.
    """

    numbers: NDArray[np.int64]
    samples: Any


def uniform_rows(n_samples: int, size: int, random_state: RandomState) -> NDArray[np.int64]:
    """Draw row numbers, each as likely as any other, in memory that grows with `size` alone.

    Parameters
    ----------
    n_samples : int
        How many rows there are.
    size : int
        How many are drawn, at most `n_samples`.
    random_state : int, RandomState instance or None
        Source of the drawing.

    Returns
    -------
    numbers : ndarray of int64, shape (size,)
        Ascending.
    """
    # Of a seed of its own: what else is drawn by the same number must not be these rows again.
    seed = check_random_state(random_state).randint(2**31 - 1)
    drawn = sample_without_replacement(n_samples, size, random_state=seed)
    return np.sort(drawn).astype(np.int64)


def take(rows: Rows, numbers: NDArray[np.int64]) -> Any:
    """Take some rows, in one pass over the blocks in which every block is checked.

    Parameters
    ----------
    rows : Rows
        All.
    numbers : ndarray of int64, shape (n_taken,)
        Which, ascending.

    Returns
    -------
    samples : {ndarray, sparse matrix} of shape (n_taken, n_features)
        What they hold.

    Raises
    ------
    ValueError
        If a block is not what `X` announces, or has NaN or infinity.
    """
    ends = np.searchsorted(numbers, np.cumsum(rows.lengths))
    taken = rows.map(
        _take_block,
        share(numbers),
        lengths=np.diff(ends, prepend=0).tolist(),
        like=rows.empty(),
    )
    # As delayed blocks: an array might be joined on a worker.
    return _joined(dask.compute(*taken.to_delayed().ravel()))


def _take_block(block: Any, start: int, numbers: Shared) -> Any:
    first, last = np.searchsorted(numbers.value, (start, start + block.shape[0]))
    return block[numbers.value[first:last] - start]


def _joined(parts: Any) -> Any:
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


# ---- Drawn by density ----------------------------------------------------------------------------


def landmarks_by_density(rows: Rows, size: int, random_state: RandomState) -> Landmarks:
    """Draw rows so that all cells of the data get the same share, and rare groups enough.

    Cells are those of k-means on a uniform sample; within a cell every row is as likely as any
    other, and where a cell has too few rows the others share what it leaves. Rows are drawn one by
    one, by sequential Poisson sampling [1]_: a row has a random number u of its own
    and, by its cell, a weight w, and the `size` rows of least u / w are taken.

    Parameters
    ----------
    rows : Rows
        All.
    size : int
        How many are drawn, fewer than there are.
    random_state : int, RandomState instance or None
        Source of the drawing.

    Returns
    -------
    drawn : Landmarks
        With what they hold.

    References
    ----------
    .. [1] E. Ohlsson (1998). Sequential Poisson sampling. Journal of Official Statistics 14,
       149-162.
    """
    random = check_random_state(random_state)
    n_samples = rows.n_samples
    n_cells = max(2, min(_MOST_CELLS, size // _LANDMARKS_OF_CELL))
    sample = take(rows, uniform_rows(n_samples, min(n_samples, _SAMPLES_OF_CELL * n_cells), random))
    cells = _Cells.of(sample, n_cells, size, n_samples, random)
    while True:
        drawn = rows.map(_draw_block, share(cells), lengths=rows.lengths, like=np.empty((0, 1)))
        parts = dask.compute(*drawn.to_delayed().ravel())
        numbers, ratios, samples = (list(part) for part in zip(*parts, strict=True))
        if sum(map(len, numbers)) >= size:
            break
        cells = cells._replace(limit=2.0 * cells.limit)  # estimated from an unlucky sample
    number, ratio = np.concatenate(numbers), np.concatenate(ratios)
    chosen = np.sort(np.lexsort((number, ratio))[:size])
    return Landmarks(number[chosen], _joined(samples)[chosen])


class _Cells(NamedTuple):
    """Cells of the data, and how much their rows weigh in the drawing.

    Attributes
    ----------
    search : NeighborIndex
        Among the centres.
    weights : ndarray of float64, shape (n_cells,)
        Landmarks wanted of a cell, over its rows; above 1 where it has too few.
    limit : float
        A row whose u / w is at least this is no candidate.
    seed : int
        Of the rows' random numbers.
    """

    search: NeighborIndex
    weights: NDArray[np.float64]
    limit: float
    seed: int

    @classmethod
    def of(
        cls, sample: Any, n_cells: int, size: int, n_samples: int, random: np.random.RandomState
    ) -> _Cells:
        """Find them on a uniform sample."""
        n_cells = min(n_cells, sample.shape[0])
        kmeans = MiniBatchKMeans(
            n_cells, n_init=1, batch_size=4096, random_state=random.randint(2**31 - 1)
        )
        with threadpool_limits(limits=1):  # sums of several threads are not the same every time
            centers = kmeans.fit(sample).cluster_centers_
        search = neighbor_index(np.ascontiguousarray(centers), 1, method="exact")
        counts = np.bincount(_nearest(search, sample), minlength=n_cells)
        # A cell that holds none of the sample may well hold rows: half of one, say.
        shares = np.maximum(counts, 0.5) / sample.shape[0]
        weights = size / (n_cells * n_samples * shares)
        return cls(
            search, weights, _limit(weights, shares, size / n_samples), random.randint(2**31)
        )


def _limit(weights: NDArray[np.float64], shares: NDArray[np.float64], fraction: float) -> float:
    """Find what u / w has to be less than for a few more candidates than are wanted."""
    limit = 1.0
    while (
        limit < 1.0 / weights.min()
        and (shares * np.minimum(limit * weights, 1.0)).sum() < _SPARE * fraction
    ):
        limit *= 1.05
    return limit


def _draw_block(
    block: Any, start: int, cells: Shared
) -> tuple[NDArray[np.int64], NDArray[np.float64], Any]:
    """Find the candidates of a block: their numbers, their u / w, and what they hold."""
    drawn: _Cells = cells.value
    # One number a row, of a stream that all blocks share.
    stream = np.random.Generator(np.random.PCG64(drawn.seed).advance(start))
    ratios = stream.random(block.shape[0]) / drawn.weights[_nearest(drawn.search, block)]
    candidates = np.flatnonzero(ratios < drawn.limit)
    return candidates + start, ratios[candidates], block[candidates]


def _nearest(search: NeighborIndex, block: Any) -> NDArray[np.int32]:
    """Which cell each row is in; that depends on no other row, to the last bit."""
    n_rows, n_features = block.shape
    nearest = np.empty(n_rows, dtype=np.int32)
    step = max(1, _DENSE_VALUES // n_features) if sparse.issparse(block) else max(1, n_rows)
    with share_of_threads(None) as n_threads:
        for first in range(0, n_rows, step):
            part = block[first : first + step]
            dense = part.toarray() if sparse.issparse(part) else part
            found, _ = search.query(_floats(dense), n_threads=n_threads)
            nearest[first : first + step] = found[:, 0]
    return nearest


def _floats(block: NDArray[Any]) -> NDArray[np.floating]:
    return block if block.dtype in (np.float32, np.float64) else block.astype(np.float64)
