"""X -> X near the origin, in single precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Powers of two between which squares neither overflow nor lose digits.
_SAFE_EXPONENT = 400

_SAMPLE_ROWS = 1024
_CHUNK_VALUES = 1 << 20


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


def center_and_scale(X: NDArray[np.floating]) -> NDArray[np.float32]:
    """Move `X` to the origin in double precision, scale it into [-1, 1], and round it.

    The origin is a value that occurs in the column, near its median: subtraction is then exact
    for any common offset, and an outlier has no say. The scale is one power of two, which does
    not round either. Distances keep their proportions; only the last step rounds.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite float32 or float64 values.

    Returns
    -------
    centered : ndarray of float32, shape (n_samples, n_features)
        C-contiguous; the largest magnitude is in [0.5, 1], or 0 where `X` is constant.
    """
    n_samples, n_features = X.shape
    sample = X[:: max(1, n_samples // _SAMPLE_ROWS)]
    middle = (len(sample) - 1) // 2
    origin = np.partition(sample, middle, axis=0)[middle].astype(np.float64)

    chunk = max(1, _CHUNK_VALUES // n_features)
    starts = range(0, n_samples, chunk)
    largest = max(float(np.abs(X[start : start + chunk] - origin).max()) for start in starts)
    _, exponent = np.frexp(largest)
    centered = np.empty((n_samples, n_features), dtype=np.float32)
    for start in starts:
        part = X[start : start + chunk] - origin
        centered[start : start + chunk] = np.ldexp(part, -exponent)
    return centered
