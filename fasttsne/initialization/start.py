"""X or P -> the first coordinates of the map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import ArpackError
from sklearn.decomposition import PCA
from sklearn.utils.extmath import row_norms

from fasttsne.affinity import JointProbabilities, as_csr
from fasttsne.initialization.spectral import laplacian_eigenmap
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.runtime.warn import warn
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import check_readable
from fasttsne.samples.principal_axes import LARGEST_N_FEATURES, PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale, in_safe_range

# Standard deviation of the first component: so small that all pairs attract each other.
STANDARD_DEVIATION = 1e-4

# An array this many times wider keeps points apart that should be near.
_FAR_WIDER = 100.0

# Sparse data of at most this many values become dense for their principal components.
_SMALL_SPARSE = 1 << 22

# Components of sparse data below this share of the largest row are rounding errors.
_ROUNDING = 1e-12


@with_plain_numbers
def initial_embedding(
    X: Any,
    init: str | NDArray[Any],
    n_components: int,
    random_state: Seed,
    *,
    centered: NDArray[np.float32] | None = None,
    axes: PrincipalAxes | None = None,
    joint: JointProbabilities | NDArray[np.float32] | sparse.csr_matrix | None = None,
    counts: NDArray[np.float64] | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Return the map before the first iteration.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The samples. Only ``init="pca"`` uses their values.
    init : {"pca", "random", "spectral"} or ndarray of shape (n_samples, n_components)
        Principal components, the first with a standard deviation of 1e-4; independent Gaussians of
        that standard deviation; eigenvectors of the normalised Laplacian of P, scaled alike (see
        `laplacian_eigenmap`); or an array of coordinates.
    n_components : int
        Dimension of the map.
    random_state : int, RandomState, Generator or None
        Source of random coordinates.
    centered, axes : ndarray of float32 and PrincipalAxes, default=None
        ``center_and_scale(X)`` and at least `n_components` of its axes, if they are known.
    joint : JointProbabilities or ndarray of float32, shape (n_samples, n_samples), default=None
        P, for ``init="spectral"``.
    counts : ndarray of float64, shape (n_samples,), default=None
        How often each sample counts; None means once. scikit-learn's PCA ignores it: see Notes.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    embedding : ndarray of float32, shape (n_samples, n_components)
        C-contiguous; a copy if `init` is an array.

    Raises
    ------
    ValueError
        If an array `init` has the wrong shape or dtype or values that are not finite in single
        precision, or is one place for different samples, or if ``init="spectral"`` and `joint` is
        None.

    Notes
    -----
    Principal components come from the covariance (`fasttsne.samples.principal_axes`). Large
    sparse data and data of more than 1024 features take `sklearn.decomposition.PCA` instead.

    Components that `X` or P does not have (fewer features than components, constant data) are
    random. Points that coincide, except in an array, are moved apart by a fixed pattern of about
    1e-6, because no force would separate them.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.initialization import initial_embedding
    >>> X = np.arange(12.0).reshape(4, 3)
    >>> embedding = initial_embedding(X, "pca", 2, 0)
    >>> print(f"{embedding[:, 0].std():.6f}")
    0.000100
    """
    X, random_state = check_readable(X), check_random_state(random_state)
    n_samples = X.shape[0]
    shape = (n_samples, n_components)
    if isinstance(init, np.ndarray):
        start = _from_array(init, shape)
        # Allowed for equal samples, as scikit-learn's tests do.
        if (start == start[0]).all() and (X.max(axis=0) != X.min(axis=0)).sum() > 0:
            raise ValueError(
                "init puts all points in one place, where no force parts them; give different "
                "positions, best with a standard deviation of about 1e-4"
            )
        return start
    if init == "random":
        return _random(shape, random_state)
    if init == "spectral":
        if joint is None:
            raise ValueError("init='spectral' needs joint, the probabilities P")
        components = laplacian_eigenmap(as_csr(joint), n_components, random_state)
    else:
        components = _principal_components(
            X, n_components, random_state, centered, axes, counts, n_threads
        )
    return _apart(_scaled(components, shape, random_state, counts))


def _from_array(init: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    init = as_array(init, "init")
    if init.shape != shape:
        raise ValueError(
            f"init has shape {init.shape}, but must be (n_samples, n_components) = {shape}"
        )
    if init.dtype.kind not in "fiub":
        raise ValueError(f"init must have a float or integer dtype, got {init.dtype}")
    with np.errstate(over="ignore"):
        embedding = np.array(init, dtype=np.float32, order="C")
    if not np.isfinite(embedding).all():
        raise ValueError(
            "init contains NaN, infinity or a value too large for float32; "
            "give finite positions, best with a standard deviation of about 1e-4"
        )
    return embedding


def _random(shape: tuple[int, int], random_state: np.random.RandomState) -> NDArray[np.float32]:
    return STANDARD_DEVIATION * random_state.standard_normal(size=shape).astype(np.float32)


def _principal_components(
    X: Any,
    n_components: int,
    random_state: np.random.RandomState,
    centered: NDArray[np.float32] | None,
    axes: PrincipalAxes | None,
    counts: NDArray[np.float64] | None,
    n_threads: int,
) -> NDArray[np.float64]:
    """Return all principal components that `X` has, up to `n_components`, in any unit."""
    n_samples, n_features = X.shape
    n_found = min(n_components, n_samples, n_features)
    if sparse.issparse(X):
        # ARPACK, which takes sparse data, does not find all components.
        if n_samples * n_features > _SMALL_SPARSE and n_found < min(n_samples, n_features):
            return _by_scikit_learn(X, n_found, random_state)
        X = X.toarray()
    if centered is None:
        centered = center_and_scale(in_safe_range(X), n_threads=n_threads)
    if n_features > LARGEST_N_FEATURES:
        return _by_scikit_learn(centered, n_found, random_state)
    if axes is None:
        axes = principal_axes(centered, n_found, counts=counts, n_threads=n_threads)
    return axes.project(centered, n_found, n_threads=n_threads).astype(np.float64)


def principal_coordinates(
    centered: NDArray[np.float32], n_axes: int, *, n_threads: int = 1
) -> NDArray[np.float64]:
    """Return coordinates of `centered` along its first principal axes, in its unit."""
    return _principal_components(
        centered, n_axes, np.random.RandomState(0), centered, None, None, n_threads
    )


def _scaled(
    components: NDArray[np.float64],
    shape: tuple[int, int],
    random_state: np.random.RandomState,
    counts: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """Scale the first component to its standard deviation; missing components are random."""
    embedding = _random(shape, random_state)
    scales = np.array([_standard_deviation(column, counts) for column in components.T])
    if np.isfinite(components).all() and scales[0] > 0.0:
        # A component of rounding errors counts as missing.
        found = np.flatnonzero(scales > 1e-7 * scales[0])
        embedding[:, found] = components[:, found] * (STANDARD_DEVIATION / scales[0])
    return embedding


def _standard_deviation(values: NDArray[np.float64], counts: NDArray[np.float64] | None) -> float:
    deviations = values - np.average(values, weights=counts)
    return float(np.sqrt(np.average(deviations**2, weights=counts)))


def _by_scikit_learn(
    X: Any, n_components: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    pca = PCA(n_components=n_components, random_state=random_state)
    pca.set_output(transform="default")  # an array, whatever sklearn.set_config says
    with single_threaded_blas(), np.errstate(all="ignore"):
        try:
            components = np.asarray(pca.fit_transform(X), dtype=np.float64)
        except ArpackError:  # constant sparse data
            return np.zeros((X.shape[0], n_components))
        # Sparse data are projected without centring. Constant data leave rounding errors about
        # an offset, which depend on the BLAS library.
        components -= components.mean(axis=0)
        components[:, components.std(axis=0) <= _ROUNDING * row_norms(X).max()] = 0.0
        return components


def _apart(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move points that coincide within 1e-9 apart, by a fixed pattern."""
    cells = np.round(embedding.astype(np.float64) / (1e-5 * STANDARD_DEVIATION)).astype(np.int64)
    order = np.lexsort(cells.T)
    same = (cells[order[1:]] == cells[order[:-1]]).all(axis=1)
    crowded = np.zeros(len(cells), dtype=bool)
    crowded[order[1:][same]] = crowded[order[:-1][same]] = True
    pattern = np.random.RandomState(0).standard_normal(embedding.shape)
    embedding[crowded] += (1e-2 * STANDARD_DEVIATION * pattern[crowded]).astype(np.float32)
    return embedding


def check_start(
    init: Any, method: str | None, n_components: int, metric: Any, affinity: str
) -> None:
    """Raise ValueError for a number of components or a start that the other parameters exclude."""
    if method == "barnes_hut" and n_components > 3:
        raise ValueError(
            "'n_components' should be less than 4 with method='barnes_hut', which relies on a "
            "quad-tree or oct-tree; use method='exact' for more"
        )
    given = "affinity" if affinity == "precomputed" else "metric"
    if isinstance(init, str) and init == "pca" and "precomputed" in (metric, affinity):
        raise ValueError(
            f'The parameter init="pca" cannot be used with {given}="precomputed".'
            ' Use init="random", init="spectral" or an array.'
        )


def warn_of_wide(init: Any) -> None:
    """Warn of an array of first coordinates whose points are too far apart to find each other."""
    if isinstance(init, np.ndarray) and init.dtype.kind in "fiu" and init.size:
        with np.errstate(all="ignore"):
            width = float(init.std(axis=0).max())
        if width > _FAR_WIDER * STANDARD_DEVIATION:
            warn(
                f"init has a standard deviation of {width:.3g}, at which neighbours may not find "
                "each other; scale it to about 1e-4 (a map goes on with early_exaggeration_iter=0)",
            )
