"""Where the map starts."""

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
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.principal_axes import LARGEST_N_FEATURES, PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale, in_safe_range

__all__ = ["initial_embedding"]

# Standard deviation of the first component at the start, so small that all pairs attract.
STANDARD_DEVIATION = 1e-4

# Sparse data of up to so many values is made dense for its principal components.
_SMALL_SPARSE = 1 << 22

# Components of sparse data are nothing but rounding errors below this share of the largest row.
_ROUNDING = 1e-12


def initial_embedding(
    X: Any,
    init: str | NDArray[Any],
    n_components: int,
    random_state: np.random.RandomState,
    *,
    centered: NDArray[np.float32] | None = None,
    axes: PrincipalAxes | None = None,
    joint: JointProbabilities | NDArray[np.float32] | sparse.csr_matrix | None = None,
    weights: NDArray[np.float64] | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Place the points before the first iteration.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The data; only its length matters unless ``init="pca"``.
    init : {"pca", "random", "spectral"} or ndarray of shape (n_samples, n_components)
        Principal components scaled to a standard deviation of 1e-4 on the first; independent
        Gaussians of that standard deviation; the leading eigenvectors of the normalised Laplacian
        of P (`laplacian_eigenmap`), scaled like principal components; or the positions themselves.
    n_components : int
        Number of components of the map.
    random_state : RandomState
        Source of the random positions.
    centered : ndarray of float32, shape (n_samples, n_features), default=None
        ``center_and_scale(X)`` where it is known. Not changed.
    axes : PrincipalAxes, default=None
        Its axes where they are known: at least `n_components` of them.
    joint : JointProbabilities or ndarray of float32, shape (n_samples, n_samples), default=None
        P, for ``init="spectral"``.
    weights : ndarray of float64, shape (n_samples,), default=None
        How often each sample counts; None means once. Principal components of more than 1024
        features, or of large sparse data, do not look at it.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    embedding : ndarray of float32, shape (n_samples, n_components)
        C-contiguous, never the caller's array.

    Raises
    ------
    ValueError
        If an array `init` has the wrong shape or type, or values that are not finite in single
        precision; or if ``init="spectral"`` is not given P.

    Notes
    -----
    Components that `X` or P does not have (fewer features than components, constant data) are
    random. Points whose components coincide are moved apart by a fixed pattern of 1e-6:
    coincident points have no force between them that could part them.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.initialization import initial_embedding
    >>> X = np.arange(12.0).reshape(4, 3)
    >>> embedding = initial_embedding(X, "pca", 2, np.random.RandomState(0))
    >>> print(f"{embedding[:, 0].std():.6f}")
    0.000100
    """
    n_samples = X.shape[0]
    shape = (n_samples, n_components)
    if isinstance(init, np.ndarray):
        return _from_array(init, shape)
    if init == "random":
        return _random(shape, random_state)
    if init == "spectral":
        if joint is None:
            raise ValueError("init='spectral' needs joint, the probabilities P")
        graph = as_csr(joint)
        coordinates = laplacian_eigenmap(graph, n_components, random_state)
        return _scaled(coordinates, shape, random_state, weights)
    return _principal_components(X, n_components, random_state, centered, axes, weights, n_threads)


def _from_array(init: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
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
    weights: NDArray[np.float64] | None,
    n_threads: int,
) -> NDArray[np.float32]:
    n_samples, n_features = X.shape
    n_found = min(n_components, n_samples, n_features)
    if sparse.issparse(X) and (
        n_samples * n_features <= _SMALL_SPARSE or n_found == min(n_samples, n_features)
    ):
        X = in_safe_range(X.toarray())
    if not sparse.issparse(X):
        if centered is None:
            centered = center_and_scale(in_safe_range(X), n_threads=n_threads)
        X = centered
    if sparse.issparse(X) or n_features > LARGEST_N_FEATURES:
        components = _by_scikit_learn(X, n_found, random_state)
    else:
        if axes is None:
            axes = principal_axes(X, n_found, weights=weights, n_threads=n_threads)
        components = axes.project(X, n_found, n_threads=n_threads).astype(np.float64)

    return _scaled(components, (n_samples, n_components), random_state, weights)


def _scaled(
    components: NDArray[np.float64],
    shape: tuple[int, int],
    random_state: np.random.RandomState,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """Bring the first component to its standard deviation; what is missing is random."""
    embedding = _random(shape, random_state)
    scale = _standard_deviation(components[:, 0], weights)
    if np.isfinite(components).all() and scale > 0.0:
        for c in range(components.shape[1]):
            # A component of nothing but rounding errors is as good as missing.
            if _standard_deviation(components[:, c], weights) > 1e-7 * scale:
                embedding[:, c] = components[:, c] * (STANDARD_DEVIATION / scale)
    return _parted(embedding)


def _standard_deviation(values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
    if weights is None:
        return float(values.std())
    return float(
        np.sqrt(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights))
    )


def _by_scikit_learn(
    X: Any, n_components: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    pca = PCA(n_components=n_components, random_state=random_state)
    # An array, whatever output is configured globally.
    pca.set_output(transform="default")
    with single_threaded_blas(), np.errstate(all="ignore"):
        try:
            components = np.asarray(pca.fit_transform(X), dtype=np.float64)
        except ArpackError:  # constant sparse data
            return np.zeros((X.shape[0], n_components))
        # Sparse data are not centred before they are projected, so what constant ones leave are
        # rounding errors about some offset; which ones depends on the BLAS library.
        components -= components.mean(axis=0)
        components[:, components.std(axis=0) <= _ROUNDING * row_norms(X).max()] = 0.0
        return components


def _parted(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move points apart that coincide to within 1e-9, always in the same way."""
    cells = np.round(embedding.astype(np.float64) / (1e-5 * STANDARD_DEVIATION)).astype(np.int64)
    order = np.lexsort(cells.T)
    same = (cells[order[1:]] == cells[order[:-1]]).all(axis=1)
    crowded = np.zeros(len(cells), dtype=bool)
    crowded[order[1:][same]] = crowded[order[:-1][same]] = True
    pattern = np.random.RandomState(0).standard_normal(embedding.shape)
    embedding[crowded] += (1e-2 * STANDARD_DEVIATION * pattern[crowded]).astype(np.float32)
    return embedding


def check_start(init: Any, method: str, n_components: int, metric: Any, affinity: str) -> None:
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
