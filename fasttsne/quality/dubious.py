"""Correlation of a point's distances on the map to its neighbours there and in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import gen_batches

from fasttsne.neighbors.metrics import Metric
from fasttsne.quality.checks import Anchors, Floats
from fasttsne.quality.distances import Distances, Points, as_distances
from fasttsne.runtime.threads import in_threads

# Largest number of points that a point is compared with; a larger number is sampled at random.
_N_OTHERS = 500

# Largest number of samples for the null; a larger number is sampled at random.
_N_NULL = 5_000

_SHARE = 0.5  # of the others that count as neighbours
_ROWS = 512  # anchors of one task
_BLOCK_VALUES = 1 << 22  # distances computed at once


def correlations(
    data: Distances, on_map: Distances, anchors: Anchors, others: Anchors, n_threads: int
) -> Floats:
    """Return for every anchor the correlation of two ordered lists of distances on the map.

    Of the `others`, the first list has the half that is nearest in the data, in the order of the
    data; the second the half that is nearest on the map, in the order of the map.
    """
    data_distances = _to_others(data, anchors, others, n_threads)
    map_distances = np.sqrt(_to_others(on_map, anchors, others, n_threads))
    size = max(2, int(_SHARE * len(others)))
    found = np.empty(len(anchors))

    def fill(rows: slice) -> None:
        own = others[np.newaxis, :] == anchors[rows, np.newaxis]
        distances = np.where(own, np.inf, map_distances[rows]).astype(np.float64)
        order = np.argsort(np.where(own, np.inf, data_distances[rows]), axis=1, kind="stable")
        by_data = np.take_along_axis(distances, order[:, :size], axis=1)
        found[rows] = _pearson(by_data, np.sort(distances, axis=1)[:, :size])

    in_threads(fill, gen_batches(len(anchors), _ROWS), n_threads)
    return found


def _to_others(
    data: Distances, anchors: Anchors, others: Anchors, n_threads: int
) -> NDArray[np.float32]:
    """Return the distances, or their squares, from the anchors to the others, in one unit."""
    found = np.empty((len(anchors), len(others)), dtype=np.float32)
    size = max(1, _BLOCK_VALUES // data.n_samples)
    for part in gen_batches(len(others), size):
        rows = data.rows(others[part], n_threads)
        if part.start == 0:
            unit = _unit_of(float(rows.max()))
        np.multiply(rows[:, anchors].T, unit, out=found[:, part], casting="same_kind")
    return found


def _unit_of(largest: float) -> float:
    """Return a power of 4 at which `largest` and its square root are moderate in float32."""
    exponent = max(int(np.frexp(largest)[1]), -1000)
    return float(np.ldexp(1.0, -exponent + exponent % 2))


def _pearson(a: Floats, b: Floats) -> Floats:
    """Return the correlation of each row of a with that of b; 0 if one of them is constant."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    product = (a * b).sum(axis=1)
    defined = scale > 0.0
    return np.asarray(np.where(defined, product / np.where(defined, scale, 1.0), 0.0))


def drawn_others(n_samples: int, random_state: np.random.RandomState) -> Anchors:
    """Return all rows, or _N_OTHERS of them drawn at random, ascending."""
    if n_samples <= _N_OTHERS:
        return np.arange(n_samples, dtype=np.int32)
    drawn = random_state.choice(n_samples, _N_OTHERS, replace=False)
    return np.sort(drawn).astype(np.int32)


def null_correlations(
    X: Any,
    n_components: int,
    perplexity: float,
    metric: Metric,
    metric_params: Mapping[str, Any] | None,
    random_state: np.random.RandomState,
    n_threads: int,
) -> Floats:
    """Return the correlations on a map of data without structure: X, each column permuted."""
    from fasttsne.tsne import TSNE

    n_samples = min(X.shape[0], _N_NULL)
    rows = np.sort(random_state.choice(X.shape[0], n_samples, replace=False))
    permuted = X[rows]
    if sparse.issparse(permuted):
        permuted = permuted.tocsc(copy=True)
        for column in range(permuted.shape[1]):
            stored = slice(permuted.indptr[column], permuted.indptr[column + 1])
            places = random_state.permutation(n_samples)[: stored.stop - stored.start]
            permuted.indices[stored] = places
        permuted = permuted.tocsr()
    else:
        permuted = np.array(permuted)
        for column in permuted.T:
            column[:] = column[random_state.permutation(n_samples)]
    tsne = TSNE(
        n_components,
        perplexity=min(perplexity, max(1.0, (n_samples - 1.0) / 3.0)),
        metric=metric,
        metric_params=None if metric_params is None else dict(metric_params),
        method="barnes_hut" if n_components <= 3 else "exact",
        random_state=0,
        n_jobs=n_threads,
    )
    embedding = tsne.fit_transform(permuted)
    data = as_distances(permuted, metric, metric_params)
    others = drawn_others(n_samples, random_state)
    anchors: NDArray[np.int32] = np.arange(n_samples, dtype=np.int32)
    return correlations(data, Points(embedding), anchors, others, n_threads)
