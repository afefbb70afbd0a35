"""Points for searches: kinds that are hard in different ways."""

import numpy as np


def points(kind, n, d, seed):
    """n points in d dimensions. Integer kinds have distances that are exact in float64."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, d))
    if kind == "normal":
        return normal
    if kind == "grid":
        return rng.integers(0, 3, size=(n, d)).astype(float)
    if kind == "collinear":
        return np.outer(rng.integers(-50, 50, size=n), rng.integers(-3, 4, size=d)).astype(float)
    if kind == "duplicates":
        return normal[rng.integers(0, max(n // 4, 1), size=n)]
    if kind == "outlier":
        normal[seed % n] = 1e6
        return normal
    assert kind == "offset"
    return normal + 1e6


def unaligned(array):
    """A copy whose address is no multiple of its item size."""
    raw = np.empty(array.nbytes + 1, dtype=np.uint8)
    view = np.ndarray(array.shape, array.dtype, raw.data, offset=1)
    view[...] = array
    return view


KINDS = ["normal", "grid", "collinear", "duplicates", "outlier", "offset"]
