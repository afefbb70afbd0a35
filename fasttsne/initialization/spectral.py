"""P -> the smoothest coordinates on its graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fasttsne.runtime.threads import single_threaded_blas

__all__ = ["laplacian_eigenmap"]

# Up to so many samples a dense solver is quick, and knows no convergence.
_SMALL = 200

# Relative accuracy of eigenvalues; a start needs no more.
_TOLERANCE = 1e-4


def laplacian_eigenmap(
    graph: sparse.csr_matrix, n_components: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    """Coordinates that change least along the edges of a graph.

    Parameters
    ----------
    graph : csr_matrix of shape (n_samples, n_samples)
        Symmetric, with values that are not negative, and a positive one in every row.
    n_components : int
        Number of coordinates.
    random_state : RandomState
        Source of the positions of parts that no edge joins.

    Returns
    -------
    coordinates : ndarray of float64, shape (n_samples, n_components)
        Eigenvectors of the normalised Laplacian I - D^-1 P, D the sums of the rows, to its
        smallest eigenvalues, the constant one apart [1]_. The largest entry of each in magnitude
        is positive. Columns that the graph does not have are 0.

    Notes
    -----
    Eigenvectors of a graph in several parts only tell the parts from each other. So each part gets
    coordinates of its own, with a standard deviation that goes with the d-th root of its size,
    about a random centre.

    References
    ----------
    .. [1] Belkin, M. and Niyogi, P. (2003). Laplacian eigenmaps for dimensionality reduction and
       data representation. Neural Computation 15, 1373-1396.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from fasttsne.initialization import laplacian_eigenmap
    >>> chain = sparse.csr_matrix(np.eye(5, k=1) + np.eye(5, k=-1))
    >>> x = laplacian_eigenmap(chain, 1, np.random.RandomState(0))[:, 0]
    >>> print((x / x[0]).round(3) + 0.0)
    [ 1.     0.707  0.    -0.707 -1.   ]
    """
    n_samples = graph.shape[0]
    n_parts, part_of = connected_components(graph, directed=False)
    if n_parts == 1:
        return _eigenvectors(graph, n_components)
    centres = random_state.standard_normal((n_parts, n_components))
    coordinates = np.asarray(centres[part_of])
    order = np.argsort(part_of, kind="stable")
    ends = np.cumsum(np.bincount(part_of))
    for members in np.split(order, ends[:-1]):
        own = _eigenvectors(graph[members][:, members], n_components)
        scale = own[:, 0].std()
        if scale > 0.0:
            share = (len(members) / n_samples) ** (1.0 / n_components)
            coordinates[members] += own * (share / scale)
    return coordinates


def _eigenvectors(graph: sparse.csr_matrix, n_components: int) -> NDArray[np.float64]:
    """Those of one part, by ascending eigenvalue."""
    n_samples = graph.shape[0]
    coordinates = np.zeros((n_samples, n_components))
    n_found = min(n_components, n_samples - 1)
    if n_found == 0:
        return coordinates
    # D^-1/2 P D^-1/2 has the eigenvectors of the Laplacian, times D^1/2. The largest eigenvalue is
    # 1, its eigenvector is known, and is taken away.
    roots = np.sqrt(np.asarray(graph.sum(axis=1), dtype=np.float64).ravel())
    inverse = sparse.diags(1.0 / roots)
    normalized = sparse.csr_matrix(inverse @ graph.astype(np.float64) @ inverse)
    trivial = roots / np.linalg.norm(roots)
    with single_threaded_blas():
        if n_samples <= max(_SMALL, 3 * n_components):
            _, vectors = linalg.eigh(normalized.toarray() - 2.0 * np.outer(trivial, trivial))
            vectors = vectors[:, : -n_found - 1 : -1]
        else:
            vectors = _leading(normalized, trivial, n_found)
    vectors = vectors / roots[:, None]
    vectors -= np.average(vectors, axis=0, weights=roots**2)
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors *= np.sign(vectors[largest, np.arange(vectors.shape[1])])
    coordinates[:, : vectors.shape[1]] = vectors
    return coordinates


def _leading(
    normalized: sparse.csr_matrix, trivial: NDArray[np.float64], n_vectors: int
) -> NDArray[np.float64]:
    def without_trivial(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(normalized @ x - 2.0 * trivial * (trivial @ x))

    n_samples = len(trivial)
    operator = LinearOperator(
        (n_samples, n_samples), matvec=without_trivial, dtype=np.dtype(np.float64)
    )
    start = np.random.RandomState(0).uniform(-1.0, 1.0, n_samples)
    try:
        values, vectors = eigsh(operator, k=n_vectors, which="LA", v0=start, tol=_TOLERANCE)
    except ArpackNoConvergence as incomplete:
        values, vectors = incomplete.eigenvalues, incomplete.eigenvectors
    return np.asarray(vectors[:, np.argsort(values)[::-1]])
