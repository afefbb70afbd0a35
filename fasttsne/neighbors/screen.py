"""Which search, and its screen: what a search compares before exact distances.

The screen is the samples near the origin in single precision, or along their leading principal
axes where these hold nearly all distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from fasttsne.samples.principal_axes import LARGEST_N_FEATURES, PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale

# An exact search is chosen where it costs at most this many seconds of one core, roughly.
_AFFORDABLE_SECONDS = 0.5

# Share of the neighbours of a few hundred samples that an approximate search must find: for a map,
# and for neighbours that are the result (benchmarks/NOTES.md).
RECALL = 0.99
RECALL_OF_GRAPHS = 0.993

# Candidates for exact distances, beyond the neighbours wanted: few where the screen only rounds,
# more where it leaves out the lesser principal axes.
_SPARE = 8
_SPARE_SHARE_OF_AXES = 0.25

# Leading axes stand for all where they hold this share of the variance, and are at most this
# share of the features. With at most _FEW_FEATURES features the projection does not pay.
_VARIANCE_OF_AXES = 0.93
_LARGEST_SHARE_OF_AXES = 0.5
_FEW_FEATURES = 96
# A few samples far out have most of the variance and hardly any of the distances.
_LEAST_SHARE_OF_DISTANCES = 0.8

# Values beyond this many times the extent of most samples are clipped, or they would squeeze the
# others into the lowest digits of single precision.
_FAR = 2.0**20

_SAMPLE_ROWS = 1024


def resolved_method(method: str, n_samples: int, n_features: int) -> str:
    """Return "exact" or "approximate" for "auto", by the cost of an exact search."""
    if method != "auto":
        return method
    seconds = 1e-9 * n_samples**2 * (0.025 * n_features + 1.0)
    return "exact" if seconds <= _AFFORDABLE_SECONDS else "approximate"


def uses_axes(shape: tuple[int, int], method: str) -> bool:
    """Return whether a Euclidean search of dense data uses principal axes."""
    n_samples, n_features = shape
    return (
        _FEW_FEATURES < n_features <= LARGEST_N_FEATURES
        and resolved_method(method, n_samples, n_features) == "approximate"
    )


def n_axes_for_search(n_features: int) -> int:
    """Return the largest number of principal axes that an approximate search uses."""
    return int(_LARGEST_SHARE_OF_AXES * n_features)


def n_lists_for_search(n_samples: int) -> int:
    """Return the number of inverted lists: about sqrt(n) keeps lists and their members few."""
    return min(n_samples, max(1, int(2.0 * np.sqrt(n_samples))))


@dataclass(frozen=True)
class Screen:
    """What an approximate search compares, float32; see the module."""

    coordinates: NDArray[np.float32]  # (n_samples, n_coordinates)
    tails: NDArray[np.float32] | None  # squared lengths of what the axes leave out
    n_candidates: int  # to compare by exact distances, for each sample
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None  # X was clipped to these
    axes: PrincipalAxes | None  # where there are tails

    @classmethod
    def of(
        cls,
        X: NDArray[np.floating],
        centered: NDArray[np.float32],
        n_neighbors: int,
        axes: PrincipalAxes | None,
        n_threads: int,
    ) -> Screen:
        """Choose the screen of `X`, where ``centered = center_and_scale(X)``."""
        n_samples, n_features = X.shape
        limits = _limits(X, centered)
        if limits is not None:
            centered, axes = center_and_scale(np.clip(X, *limits), n_threads=n_threads), None
        coordinates, tails, n_candidates = centered, None, n_neighbors + _SPARE
        if uses_axes(X.shape, "approximate"):
            most = n_axes_for_search(n_features)
            if axes is None or len(axes.variances) < most:
                axes = principal_axes(centered, most, n_threads=n_threads)
            shares = np.cumsum(axes.variances)
            n_axes = 16 * (1 + int(np.sum(shares < _VARIANCE_OF_AXES * axes.total_variance)) // 16)
            if n_axes <= most:
                coordinates = axes.project(centered, n_axes, n_threads=n_threads)
            if n_axes <= most and (
                _share_of_distances(centered, coordinates) >= _LEAST_SHARE_OF_DISTANCES
            ):
                tails = axes.squared_rest(centered, coordinates, n_threads=n_threads)
                n_candidates += int(_SPARE_SHARE_OF_AXES * n_neighbors)
            else:
                coordinates = centered
        n_candidates = min(n_candidates, n_samples - 1)
        return cls(coordinates, tails, n_candidates, limits, axes if tails is not None else None)


def some_of(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return about a thousand of the rows, evenly spaced."""
    return X[:: max(1, len(X) // _SAMPLE_ROWS)]


def usual_extent(deviations: NDArray[np.floating]) -> float:
    """Return the largest magnitude of all but the farthest hundredth of the rows."""
    return float(np.quantile(np.abs(deviations).max(axis=1), 0.99, method="higher"))


def _limits(
    X: NDArray[np.floating], centered: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return bounds for values that are extremely far out, so that others keep their digits."""
    if usual_extent(some_of(centered)) * _FAR >= 1.0:
        return None
    sample = some_of(X)
    origin = np.median(sample, axis=0).astype(np.float64)
    reach = _FAR * usual_extent(sample - origin)
    return None if reach == 0.0 else (origin - reach, origin + reach)


def _share_of_distances(centered: NDArray[np.float32], coordinates: NDArray[np.float32]) -> float:
    """Return the median share of a squared distance that the coordinates hold."""
    squares = row_norms(np.diff(some_of(centered), axis=0), squared=True)
    held = row_norms(np.diff(some_of(coordinates), axis=0), squared=True)
    apart = squares > 0.0
    return float(np.median(held[apart] / squares[apart])) if apart.any() else 1.0
