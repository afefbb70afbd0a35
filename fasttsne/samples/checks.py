"""Samples as the user gives them -> one form: checked, finite, float, of safe magnitude."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import check_non_negative, validate_data

from fasttsne.samples.arrays import as_array, unmasked
from fasttsne.samples.scaling import ANGULAR, safe_exponent, times_power_of_two

_FLOATS = [np.float64, np.float32]

# Of sparse samples; some steps need memory for every column.
_LARGEST_N_COLUMNS = 1 << 24


@dataclass(frozen=True)
class Samples:
    """Checked samples, and what is known of each, (n_samples,)."""

    X: Any  # (n_samples, n_features), or a precomputed matrix of distances or affinities
    exponent: int = 0  # X is the caller's array times 2**-exponent
    classes: NDArray[np.int64] | None = None  # -1 where unknown; None where labels do not count
    counts: NDArray[np.float64] | None = None  # copies each stands for; None is one each
    init: str | NDArray[Any] = "pca"  # where the map starts, (n_samples, n_components)
    fixed: NDArray[np.bool_] | None = None  # which points stay where they are
    pull: float = 1.0  # share of the way back that fixed points go; 1 is all the way
    # The row here of each of the caller's samples, where equal ones were collapsed (duplicates.py).
    point_of_sample: NDArray[np.int64] | None = None

    @property
    def n_copies(self) -> float:
        """Number of samples, all copies counted."""
        return float(self.X.shape[0] if self.counts is None else self.counts.sum())


def check_samples(
    X: Any,
    *,
    metric: str | Callable[..., float] = "euclidean",
    method: str = "barnes_hut",
    is_affinity: bool = False,
    estimator: Any = None,
    reset: bool = True,
) -> tuple[Any, int]:
    """Return samples as float32 or float64 in memory, and the exponent that they are scaled by.

    Neighbours by these metrics do not depend on scale: values too large or too small to square
    are multiplied by 2**-exponent, which rounds nothing. `estimator` gets `n_features_in_` and
    `feature_names_in_`, or with ``reset=False`` must have the same ones.
    """
    X = check_readable(X)
    check = partial(check_array, input_name="X")
    if estimator is not None:
        check = partial(validate_data, estimator, reset=reset)
    X = check(
        X,
        accept_sparse=["csr"] if method == "barnes_hut" else ["csr", "csc", "coo"],
        ensure_min_samples=2,
        dtype=_FLOATS,
    )
    if is_affinity:
        return X, 0  # the rest is checked in affinity/given.py
    if metric == "precomputed":
        _check_distances(X, method, "TSNE" if estimator is None else type(estimator).__name__)
        return X, 0
    if sparse.issparse(X):
        # scikit-learn squares sparse single precision without widening it.
        X = without_duplicates(X).astype(np.float64, copy=False)
    exponent = safe_exponent(X) if metric in ("euclidean", *ANGULAR) else 0
    return times_power_of_two(X, -exponent), exponent


def _check_distances(X: Any, method: str, name: str) -> None:
    if X.shape[0] != X.shape[1]:
        raise ValueError(
            f"X should be a square distance matrix with metric='precomputed', got {X.shape}"
        )
    check_non_negative(
        X, f"{name}.fit(). With metric='precomputed', X should contain positive distances"
    )
    if method == "exact" and sparse.issparse(X):
        raise TypeError(
            'TSNE with method="exact" does not accept a sparse precomputed distance matrix. '
            'Use method="barnes_hut" or provide the dense distance matrix.'
        )


def check_new_samples(X: Any, known: Any, n_columns: int, exponent: int, *, estimator: Any) -> Any:
    """Return new samples in the form of those of the fit, `known`; None stands for distances."""
    X = check_readable(X)
    X = validate_data(estimator, X, reset=False, accept_sparse="csr", dtype=_FLOATS)
    if X.shape[1] != n_columns:
        raise ValueError(
            f"X has {X.shape[1]} columns, but the map is of samples with {n_columns}; a later fit"
            " that raised an error may have changed what this estimator expects: fit it again"
        )
    if known is None:
        name = type(estimator).__name__
        check_non_negative(
            X, f"{name}.transform(). With metric='precomputed', X should contain distances"
        )
        return X
    if sparse.issparse(known):
        X = without_duplicates(sparse.csr_matrix(X)).astype(np.float64, copy=False)
    elif sparse.issparse(X):
        X = X.toarray()
    return times_power_of_two(X, -exponent)


def check_fixed(fixed: Any, n_samples: int, init: Any = None) -> NDArray[np.bool_] | None:
    """Return the mask of pinned points, or None; raise ValueError if `init` has no places."""
    if fixed is None:
        return None
    mask = as_array(fixed, "fixed")
    if mask.dtype != np.bool_ or mask.shape != (n_samples,):
        raise ValueError(
            f"fixed must be a mask, {n_samples} booleans with True for samples that do not"
            f" move; got an array of {mask.dtype} and shape {mask.shape}"
        )
    if isinstance(init, str) and mask.any():
        raise ValueError(
            "fixed needs to know where points are pinned: give init an array with their"
            f" positions, not {init!r}, or go on with a map by warm_start=True"
        )
    return mask


def check_readable(X: Any, name: str = "X") -> Any:
    """Return `X`, a sparse matrix as CSR, CSC, BSR or COO; raise ValueError if it is malformed.

    C code, also SciPy's, would follow its indices. Neither may a mask hide values of an array.
    """
    if not sparse.issparse(X):
        return unmasked(X, name)
    if X.ndim != 2:
        raise ValueError(f"{name} must be two-dimensional, got a sparse array of {X.shape}")
    if X.shape[1] > _LARGEST_N_COLUMNS:
        raise ValueError(
            f"{name} has {X.shape[1]:,} columns, more than {_LARGEST_N_COLUMNS:,}; leave out empty"
            f" ones: {name}[:, np.unique({name}.nonzero()[1])]"
        )
    try:
        if X.dtype.kind not in "biuf":
            raise ValueError(f"values are of {X.dtype}")
        if X.format == "lil":
            lengths = [[len(row) for row in part] for part in (X.rows, X.data)]
            if lengths[0] != lengths[1] or len(X.rows) != X.shape[0]:
                raise ValueError("rows and data differ in length")
        elif X.format == "dia":
            X = type(X)((X.data, X.offsets), shape=X.shape)
        elif X.format == "coo":
            X = type(X)((X.data, (X.row, X.col)), shape=X.shape)
        if X.format not in ("csr", "csc", "bsr", "coo"):
            X = X.tocsr()
        if X.format != "coo":
            X = copy(X)
            for known in ("_has_sorted_indices", "_has_canonical_format"):
                vars(X).pop(known, None)  # may be stale after the arrays changed
            if not {X.indices.dtype.kind, X.indptr.dtype.kind} <= {*"iu"}:
                raise ValueError("indices and indptr must be integers")
            X.check_format()
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(f"{name} is a malformed sparse matrix: {error}") from error
    return X


def without_duplicates(X: Any) -> Any:
    """Return `X` with entries of the same place summed: scikit-learn squares them one by one."""
    if not sparse.issparse(X) or X.format not in ("csr", "csc") or X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X
