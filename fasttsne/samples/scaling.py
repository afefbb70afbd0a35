"""X -> X near the origin in single precision, and of a magnitude that can be squared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.runtime.threads import in_threads

# Powers of two between which squares neither overflow nor lose digits.
_SAFE_EXPONENT = 400

# Metrics of angles, between rows or between rows less their means, do not depend on scale.
ANGULAR = ("cosine", "correlation")

_SAMPLE_ROWS = 1024
# The largest power of two in double precision.
_LARGEST_EXPONENT = 1023

# Powers of two that single precision multiplies by without losing digits.
_SINGLE_EXPONENT = 100

_CHUNK_VALUES = 1 << 15
_PART_VALUES = 1 << 21


def in_safe_range(X: Any) -> Any:
    """Return `X` times a power of two, which rounds nothing, so that squares do not overflow."""
    return times_power_of_two(X, -safe_exponent(X))


def safe_exponent(X: Any) -> int:
    """Return the exponent of the power of two that `in_safe_range` divides `X` by, or 0."""
    values = X.data if sparse.issparse(X) else X
    if values.size == 0:
        return 0
    largest = max(abs(float(values.max())), abs(float(values.min())))
    exponent = int(np.frexp(largest)[1])
    return exponent if largest != 0.0 and abs(exponent) > _SAFE_EXPONENT else 0


def times_power_of_two(X: Any, exponent: int) -> Any:
    """Return ``X * 2**exponent``: the same object for 0, infinite where it overflows."""
    if exponent == 0:
        return X
    with np.errstate(over="ignore"):
        if not sparse.issparse(X):
            return np.ldexp(X, exponent)
        scaled = X.copy()
        scaled.data = np.ldexp(X.data, exponent)
        return scaled


@dataclass(frozen=True)
class Centering:
    """A translation of `origin` (n_features,) to 0 and a scale of 2**-exponent.

    The origin is a value that occurs in the column, near its median: subtraction is then exact for
    any common offset, and an outlier has no influence.
    """

    origin: NDArray[np.float64]
    exponent: int

    @classmethod
    def of(cls, X: NDArray[np.floating], *, n_threads: int = 1) -> Centering:
        """Return the centering that brings `X` into [-1, 1]."""
        n_samples, n_features = X.shape
        sample = X[:: max(1, n_samples // _SAMPLE_ROWS)]
        middle = (len(sample) - 1) // 2
        origin = np.partition(sample, middle, axis=0)[middle].astype(np.float64)
        part = max(1, _PART_VALUES // n_features)

        def extremes(first: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
            rows = X[first : first + part]
            return rows.min(axis=0), rows.max(axis=0)

        firsts = range(0, n_samples, part)
        smallest, largest = zip(*in_threads(extremes, firsts, n_threads), strict=True)
        reach = max(
            float((np.max(largest, axis=0) - origin).max()),
            float((origin - np.min(smallest, axis=0)).max()),
        )
        return cls(origin, int(np.frexp(reach)[1]))

    def apply(self, X: NDArray[np.floating], *, n_threads: int = 1) -> NDArray[np.float32]:
        """Return ``(X - origin) * 2**-exponent`` in float32, infinite where it overflows."""
        n_samples, n_features = X.shape
        # Parts for threads, cut into chunks that stay in a core's cache.
        chunk = max(1, _CHUNK_VALUES // n_features)
        part = max(1, _PART_VALUES // n_features)
        centered = np.empty((n_samples, n_features), dtype=np.float32)
        scale = np.ldexp(1.0, min(-self.exponent, _LARGEST_EXPONENT))
        # In single precision a difference is rounded once as well; it must not overflow.
        single = X.dtype == np.float32 and abs(self.exponent) <= _SINGLE_EXPONENT
        dtype = np.float32 if single else np.float64
        origin = (self.origin * scale).astype(dtype)

        def fill(first: int) -> None:
            stop = min(first + part, n_samples)
            with np.errstate(over="ignore"):
                for start in range(first, stop, chunk):
                    rows = slice(start, min(start + chunk, stop))
                    centered[rows] = X[rows] * dtype(scale) - origin

        in_threads(fill, range(0, n_samples, part), n_threads)
        return centered


def center_and_scale(X: NDArray[np.floating], *, n_threads: int = 1) -> NDArray[np.float32]:
    """Return `X` moved to the origin, scaled into [-1, 1] and rounded once, float32.

    The scale is a power of two, so distances keep their proportions and only the last step rounds.
    The largest magnitude is in [0.5, 1], less where `X` is subnormal, 0 where it is constant.
    """
    return Centering.of(X, n_threads=n_threads).apply(X, n_threads=n_threads)
