"""X -> X near the origin, in single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.threads import in_threads

# Powers of two between which squares neither overflow nor lose digits.
_SAFE_EXPONENT = 400

_SAMPLE_ROWS = 1024
# The largest power of two in double precision.
_LARGEST_EXPONENT = 1023

# Powers of two that single precision multiplies by without losing digits.
_SINGLE_EXPONENT = 100

_CHUNK_VALUES = 1 << 15
_PART_VALUES = 1 << 21


def in_safe_range(X: Any) -> Any:
    """Bring values of extreme magnitude into a range in which they can be squared.

    The factor is a power of two, so that nothing is rounded, and distances keep their
    proportions.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        Finite float32 or float64 values.

    Returns
    -------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The same object if its largest magnitude is moderate, otherwise a scaled copy.
    """
    if sparse.issparse(X):
        values = in_safe_range(X.data)
        if values is X.data:
            return X
        scaled = X.copy()
        scaled.data = values
        return scaled
    if X.size == 0:
        return X
    largest = max(abs(float(X.max())), abs(float(X.min())))
    _, exponent = np.frexp(largest)
    if largest == 0.0 or abs(exponent) <= _SAFE_EXPONENT:
        return X
    return np.ldexp(X, -exponent)


def center_and_scale(X: NDArray[np.floating], *, n_threads: int = 1) -> NDArray[np.float32]:
    """Move `X` to the origin in double precision, scale it into [-1, 1], and round it.

    The origin is a value that occurs in the column, near its median: subtraction is then exact
    for any common offset, and an outlier has no say. The scale is one power of two, which does
    not round either. Distances keep their proportions; only the last step rounds.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite float32 or float64 values.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    centered : ndarray of float32, shape (n_samples, n_features)
        C-contiguous; the largest magnitude is in [0.5, 1], less where `X` is
        subnormal, 0 where it is constant.
    """
    n_samples, n_features = X.shape
    sample = X[:: max(1, n_samples // _SAMPLE_ROWS)]
    middle = (len(sample) - 1) // 2
    origin = np.partition(sample, middle, axis=0)[middle].astype(np.float64)

    # Parts for threads, cut into chunks that stay in a core's cache.
    chunk = max(1, _CHUNK_VALUES // n_features)
    part = max(1, _PART_VALUES // n_features)
    firsts = range(0, n_samples, part)
    centered = np.empty((n_samples, n_features), dtype=np.float32)

    def chunks(first: int) -> list[slice]:
        stop = min(first + part, n_samples)
        return [slice(start, min(start + chunk, stop)) for start in range(first, stop, chunk)]

    def extremes(first: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        rows = X[first : first + part]
        return rows.min(axis=0), rows.max(axis=0)

    smallest, largest = zip(*in_threads(extremes, firsts, n_threads), strict=True)
    reach = max(
        float((np.max(largest, axis=0) - origin).max()),
        float((origin - np.min(smallest, axis=0)).max()),
    )
    _, exponent = np.frexp(reach)
    scale = np.ldexp(1.0, min(-int(exponent), _LARGEST_EXPONENT))
    # In single precision a difference is rounded once as well; it must not overflow.
    single = X.dtype == np.float32 and abs(exponent) <= _SINGLE_EXPONENT
    dtype = np.float32 if single else np.float64
    scaled_origin = (origin * scale).astype(dtype)

    def fill(first: int) -> None:
        for rows in chunks(first):
            centered[rows] = X[rows] * dtype(scale) - scaled_origin

    in_threads(fill, firsts, n_threads)
    return centered
