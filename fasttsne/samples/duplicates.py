"""Equal samples -> each once, with the number of its copies.

`collapse` runs before the pipeline where at least a quarter of the samples are copies. After it
`Samples.point_of_sample` puts every copy at its sample's point (`fasttsne.descent`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne.samples.checks import Samples

# Duplicates are collapsed where at least this share of the samples are copies of others.
MANY = 0.25

# Rows compared at once.
_BLOCK_ROWS = 4096


def collapse(samples: Samples) -> Samples:
    """Return samples each once if many are copies of others, otherwise `samples` itself.

    Distinct samples are in order of first appearance. Copies agree in X, classes, fixed and an
    `init` array.
    """
    X, init = samples.X, samples.init
    n_samples = X.shape[0]
    known = [samples.classes, samples.fixed]
    if isinstance(init, np.ndarray):
        if init.shape[:1] != (n_samples,) or init.dtype.kind not in "fiu":
            return samples  # initial_embedding raises an error
        known.append(init)
    parts = [sparse.csr_matrix(X) if sparse.issparse(X) else X]
    parts += [part.reshape(n_samples, -1) for part in known if part is not None]
    first, rows = np.unique(_first_equal(parts), return_inverse=True)
    if n_samples - len(first) < max(1.0, MANY * n_samples) or len(first) < 2:
        return samples
    return replace(
        samples,
        X=(X.tocsr() if sparse.issparse(X) else X)[first],
        classes=None if samples.classes is None else samples.classes[first],
        counts=np.bincount(rows, samples.counts).astype(np.float64),
        init=init[first] if isinstance(init, np.ndarray) else init,
        fixed=None if samples.fixed is None else samples.fixed[first],
        point_of_sample=rows.astype(np.int64),
    )


def _first_equal(parts: list[Any]) -> NDArray[np.int64]:
    """Return for every row of all parts side by side the number of the first equal one."""
    # Equal rows have equal products with a random vector, so sorting brings them together. A
    # different row with the same product may part them; they then count as different.
    probes = np.random.RandomState(0)
    products = np.zeros(parts[0].shape[0])
    for part in parts:
        probe = probes.standard_normal(part.shape[1])
        products += part @ probe if sparse.issparse(part) else np.einsum("ij,j->i", part, probe)
    order = np.argsort(products, kind="stable")
    same = np.concatenate(([False], products[order[1:]] == products[order[:-1]]))
    candidates = np.flatnonzero(same)
    for start in range(0, len(candidates), _BLOCK_ROWS):
        block = candidates[start : start + _BLOCK_ROWS]
        same[block] = np.all(
            [_rows_equal(part[order[block]], part[order[block - 1]]) for part in parts], axis=0
        )
    starts = np.flatnonzero(~same)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return first


def _rows_equal(A: Any, B: Any) -> NDArray[np.bool_]:
    if not sparse.issparse(A):
        return np.asarray((A == B).all(axis=1))
    difference = sparse.csr_matrix(A - B)
    difference.eliminate_zeros()
    return np.asarray(np.diff(difference.indptr) == 0)
