"""X -> its principal axes, on several threads: the one PCA for dense data of moderate width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, eigh

from fasttsne.runtime.threads import in_threads, single_threaded_blas

# With more features the covariance costs more than a few axes; scikit-learn's PCA serves then.
LARGEST_N_FEATURES = 1024

# Sums of at most this many products are computed in double precision.
_DOUBLE_WORK = 2e9

# Rows per product, and partial sums of the covariance: results must not depend on the number of
# threads, so neither may these.
_CHUNK_ROWS = 1024
_N_PARTS = 16


@dataclass(frozen=True)
class PrincipalAxes:
    """Orthonormal axes of the data, by descending variance."""

    mean: NDArray[np.float64]  # (n_features,)
    components: NDArray[np.float64]  # (n_axes, n_features); the largest entry of each is positive
    variances: NDArray[np.float64]  # (n_axes,), divided by n_samples
    total_variance: float  # along all axes

    def project(
        self, centered: NDArray[np.float32], n_axes: int, *, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return coordinates of `centered` along the first `n_axes` axes, float32, C-contiguous."""
        axes = np.asarray(self.components[:n_axes].T, dtype=np.float32, order="F")
        shift = (self.components[:n_axes] @ self.mean).astype(np.float32)
        coordinates = np.empty((len(centered), n_axes), dtype=np.float32)

        def fill(rows: slice) -> None:
            np.subtract(centered[rows] @ axes, shift, out=coordinates[rows])

        with single_threaded_blas():
            in_threads(fill, _chunks(0, len(centered)), n_threads)
        return coordinates

    def squared_rest(
        self,
        centered: NDArray[np.float32],
        coordinates: NDArray[np.float32],
        *,
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return squared lengths of what the axes of `coordinates` leave out, float32, >= 0."""
        mean = self.mean.astype(np.float32)
        rest = np.empty(len(centered), dtype=np.float32)

        def fill(rows: slice) -> None:
            deviations, leading = centered[rows] - mean, coordinates[rows]
            squares = np.einsum("ij,ij->i", deviations, deviations)
            squares -= np.einsum("ij,ij->i", leading, leading)
            np.maximum(squares, 0.0, out=rest[rows])

        in_threads(fill, _chunks(0, len(centered)), n_threads)
        return rest


def principal_axes(
    centered: NDArray[np.float32],
    n_axes: int,
    *,
    counts: NDArray[np.float64] | None = None,
    n_threads: int = 1,
) -> PrincipalAxes:
    """Return the leading principal axes, from the covariance of rows that count `counts` times.

    `centered` comes from `center_and_scale` and has at most `LARGEST_N_FEATURES` features. The
    result does not depend on the number of threads.
    """
    n_samples, n_features = centered.shape
    double = n_samples * n_features**2 <= _DOUBLE_WORK
    starts = [n_samples * part // _N_PARTS for part in range(_N_PARTS + 1)]

    def moments(part: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return _moments(centered, counts, *part, double)

    with single_threaded_blas():
        parts = in_threads(moments, pairwise(starts), n_threads)
        count = n_samples if counts is None else counts.sum()
        mean = sum(total for total, _ in parts) / count
        covariance = sum(products for _, products in parts) / count
        covariance -= np.outer(mean, mean)
        total_variance = float(np.trace(covariance))
        if not np.isfinite(total_variance):
            raise ValueError("X has NaN, infinity or values too large to square; remove them")
        # Asked for all by number, SciPy before 1.10 writes beyond an array (its issue 16527).
        wanted = (n_features - n_axes, n_features - 1) if n_axes < n_features else None
        variances, components = eigh(
            covariance,
            lower=False,
            subset_by_index=wanted,
            overwrite_a=True,
            check_finite=False,
        )
    components = components.T[::-1]
    largest = np.argmax(np.abs(components), axis=1)
    components = components * np.sign(components[np.arange(n_axes), largest])[:, None]
    return PrincipalAxes(mean, components, np.maximum(variances[::-1], 0.0), total_variance)


def _moments(
    centered: NDArray[np.float32],
    counts: NDArray[np.float64] | None,
    start: int,
    stop: int,
    double: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of the rows, and of their products with themselves (upper triangle)."""
    n_features = centered.shape[1]
    total = np.zeros(n_features)
    products = np.zeros((n_features, n_features), order="F")
    for rows in _chunks(start, stop):
        chunk: NDArray[Any] = centered[rows].astype(np.float64) if double else centered[rows]
        if counts is None:
            total += chunk.sum(axis=0, dtype=np.float64)
        else:
            total += counts[rows] @ chunk.astype(np.float64)
            chunk = chunk * np.sqrt(counts[rows])[:, None].astype(chunk.dtype)
        products += (blas.dsyrk if double else blas.ssyrk)(1.0, chunk.T)
    return total, products


def _chunks(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, _CHUNK_ROWS):
        yield slice(first, min(first + _CHUNK_ROWS, stop))
