"""Choose the rows that are landmarks, and fetch them in one pass over the blocks.

Whether a row is drawn depends on its number and the seed and, by density, on its values. It does
not depend on how the rows are cut into blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dask
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils import gen_batches
from sklearn.utils.random import sample_without_replacement
from threadpoolctl import threadpool_limits

from fasttsne.dask.blocks import Rows, joined
from fasttsne.dask.workers import Shared, share, share_of_threads
from fasttsne.neighbors.index import NeighborIndex, neighbor_index
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.warn import warn

# Landmarks per cell of k-means, the largest number of cells, and rows per cell of the sample on
# which cells are found. On MNIST fewer landmarks per cell give a better map.
_LANDMARKS_PER_CELL = 20
_MOST_CELLS = 1000
_SAMPLES_PER_CELL = 100

# Candidates per landmark: a few more than 1, so that there are hardly ever too few.
_SPARE = 1.1

# Values of sparse rows that are made dense at a time.
_DENSE_VALUES = 1 << 21


class Landmarks(NamedTuple):
    """Row numbers, ascending, and the values of these rows."""

    numbers: NDArray[np.int64]
    samples: Any


def draw_landmarks(
    rows: Rows, size: int, selection: str = "uniform", random_state: Seed = None
) -> Landmarks:
    """Draw `size` rows uniformly or by "density"; all rows, with a warning, if there are no more.

    Every block is checked on the way.
    """
    if size >= rows.n_samples:
        warn(
            f"landmarks={size} is no less than the number of rows, {rows.n_samples}: all rows are"
            " fitted, in memory",
        )
        numbers = np.arange(rows.n_samples)
    elif selection == "density":
        return landmarks_by_density(rows, size, random_state)
    else:
        numbers = uniform_rows(rows.n_samples, size, random_state)
    return Landmarks(numbers, take(rows, numbers))


def uniform_rows(n_samples: int, size: int, random_state: Seed) -> NDArray[np.int64]:
    """Return `size` row numbers, ascending, drawn uniformly; memory grows with `size` alone."""
    # Draw from another seed: other draws by the same number must not give the same rows.
    seed = check_random_state(random_state).randint(2**31 - 1)
    drawn = sample_without_replacement(n_samples, size, random_state=seed)
    return np.sort(drawn).astype(np.int64)


def take(rows: Rows, numbers: NDArray[np.int64]) -> Any:
    """Return the rows of these numbers, ascending, in one pass that checks every block."""
    return joined(dask.compute(*rows.results(_take_block, share(numbers, rows))))


def _take_block(block: Any, start: int, numbers: Shared) -> Any:
    first, last = np.searchsorted(numbers.value, (start, start + block.shape[0]))
    return block[numbers.value[first:last] - start]


# ---- By density ----------------------------------------------------------------------------------


class _Cells(NamedTuple):
    """Cells of k-means, and the weights of their rows in the draw."""

    search: NeighborIndex  # among the centres
    weights: NDArray[np.float64]  # landmarks wanted of a cell per row; above 1 if it has too few
    limit: float  # candidates have u / w below it
    seed: int  # of the rows' random numbers u


def landmarks_by_density(rows: Rows, size: int, random_state: Seed) -> Landmarks:
    """Draw the same number of rows from every cell of k-means on a uniform sample of the rows.

    If a cell has too few rows, the other cells share the rest. The draw is sequential Poisson
    sampling: a row has a random number u and, by its cell, a weight w; the `size` rows of least
    u / w are drawn. See E. Ohlsson (1998), Journal of Official Statistics 14, 149-162.
    """
    random = check_random_state(random_state)
    n_samples = rows.n_samples
    n_cells = max(2, min(_MOST_CELLS, size // _LANDMARKS_PER_CELL))
    n_drawn = min(n_samples, _SAMPLES_PER_CELL * n_cells)
    sample = take(rows, uniform_rows(n_samples, n_drawn, random))
    cells = _find_cells(sample, n_cells, size, n_samples, random)
    while True:
        parts = dask.compute(*rows.results(_draw_block, share(cells, rows)))
        numbers, ratios = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        if len(numbers) >= size:
            break
        cells = cells._replace(limit=2.0 * cells.limit)  # the sample was unlucky
    chosen = np.sort(np.lexsort((numbers, ratios))[:size])
    return Landmarks(numbers[chosen], joined([part[2] for part in parts])[chosen])


def _find_cells(
    sample: Any, n_cells: int, size: int, n_samples: int, random: np.random.RandomState
) -> _Cells:
    """Return the cells of a uniform sample of `n_samples` rows, of which `size` are to be drawn."""
    n_cells = min(n_cells, sample.shape[0])
    kmeans = MiniBatchKMeans(
        n_cells, n_init=1, batch_size=4096, random_state=random.randint(2**31 - 1)
    )
    with threadpool_limits(limits=1):  # sums over several threads vary from run to run
        centers = kmeans.fit(sample).cluster_centers_
    search = neighbor_index(np.ascontiguousarray(centers), 1, method="exact")
    counts = np.bincount(_nearest(search, sample), minlength=n_cells)
    # A cell without rows in the sample may still have some: count half a row.
    shares = np.maximum(counts, 0.5) / sample.shape[0]
    weights = size / (n_cells * n_samples * shares)
    return _Cells(search, weights, _limit(weights, shares, size / n_samples), random.randint(2**31))


def _limit(weights: NDArray[np.float64], shares: NDArray[np.float64], fraction: float) -> float:
    """Return the limit of u / w that gives a few more candidates than landmarks."""
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
    """Return the candidates of a block: their row numbers, their u / w, and their values."""
    drawn: _Cells = cells.value
    # All blocks share one stream of random numbers, one per row.
    stream = np.random.Generator(np.random.PCG64(drawn.seed).advance(start))
    ratios = stream.random(block.shape[0]) / drawn.weights[_nearest(drawn.search, block)]
    candidates = np.flatnonzero(ratios < drawn.limit)
    return candidates + start, ratios[candidates], block[candidates]


def _nearest(search: NeighborIndex, block: Any) -> NDArray[np.int32]:
    """Return the cell of each row, which depends on no other row, to the last bit."""
    n_rows, n_features = block.shape
    nearest = np.empty(n_rows, dtype=np.int32)
    step = max(1, _DENSE_VALUES // n_features) if sparse.issparse(block) else max(1, n_rows)
    with share_of_threads(None) as n_threads:
        for rows in gen_batches(n_rows, step):
            part = block[rows]
            dense = part.toarray() if sparse.issparse(part) else part
            if dense.dtype not in (np.float32, np.float64):
                dense = dense.astype(np.float64)
            found, _ = search.query(dense, n_threads=n_threads)
            nearest[rows] = found[:, 0]
    return nearest
