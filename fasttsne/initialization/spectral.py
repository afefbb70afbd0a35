"""P -> the smoothest coordinates on its graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.checks import check_readable

# Up to this many samples a dense solver is fast, and it always converges.
_SMALL = 200

# Relative accuracy of eigenvalues, enough for a start.
_TOLERANCE = 1e-4


@with_plain_numbers
def laplacian_eigenmap(
    graph: sparse.csr_matrix, n_components: int, random_state: np.random.RandomState
) -> NDArray[np.float64]:
    """Return the coordinates that change least along the edges of a graph.

    Parameters
    ----------
    graph : csr_matrix of shape (n_samples, n_samples)
        Symmetric weights, not negative, with a positive one in every row.
    n_components : int
        Number of coordinates.
    random_state : RandomState
        Source of the centres of connected components, where the graph has several.

    Returns
    -------
    coordinates : ndarray of float64, shape (n_samples, n_components)
        Eigenvectors of the normalised Laplacian I - D^-1 P, with D the sums of the rows, for its
        smallest eigenvalues but the constant one [1]_. The entry of largest magnitude of each is
        positive. Eigenvectors that the graph does not have are 0.

    Notes
    -----
    The eigenvectors of a graph in several connected components only separate the components. So
    each component has its own eigenvectors, about a random centre, with a standard deviation
    proportional to the d-th root of its size, where d is `n_components`.

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
    graph = sparse.csr_matrix(check_readable(graph, "graph"))
    n_samples = graph.shape[0]
    n_parts, part_of = connected_components(graph, directed=False)
    if n_parts == 1:
        return _eigenvectors(graph, n_components)
    centres = random_state.standard_normal((n_parts, n_components))
    coordinates = np.asarray(centres[part_of])
    order = np.argsort(part_of, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(part_of))[:-1]):
        own = _eigenvectors(graph[members][:, members], n_components)
        scale = own[:, 0].std()
        if scale > 0.0:
            share = (len(members) / n_samples) ** (1.0 / n_components)
            coordinates[members] += own * (share / scale)
    return coordinates


def _eigenvectors(graph: sparse.csr_matrix, n_components: int) -> NDArray[np.float64]:
    """Return the eigenvectors of a connected graph, by ascending eigenvalue."""
    n_samples = graph.shape[0]
    coordinates = np.zeros((n_samples, n_components))
    n_found = min(n_components, n_samples - 1)
    if n_found == 0:
        return coordinates
    # D^-1/2 P D^-1/2 has the eigenvectors of the Laplacian, times D^1/2. Its largest eigenvalue is
    # 1; subtracting 2 v v^T makes it the smallest, where v is its known eigenvector.
    roots = np.sqrt(np.asarray(graph.sum(axis=1), dtype=np.float64).ravel())
    inverse = sparse.diags(1.0 / roots)
    normalized = sparse.csr_matrix(inverse @ graph.astype(np.float64) @ inverse)
    trivial = roots / np.linalg.norm(roots)
    with single_threaded_blas():
        if n_samples <= max(_SMALL, 3 * n_components):
            _, vectors = linalg.eigh(normalized.toarray() - 2.0 * np.outer(trivial, trivial))
            vectors = vectors[:, : -n_found - 1 : -1]
        else:
            operator = LinearOperator(
                normalized.shape,
                matvec=lambda x: normalized @ x - 2.0 * trivial * (trivial @ x),
                dtype=np.dtype(np.float64),
            )
            v0 = np.random.RandomState(0).uniform(-1.0, 1.0, n_samples)
            try:
                values, vectors = eigsh(operator, k=n_found, which="LA", v0=v0, tol=_TOLERANCE)
            except ArpackNoConvergence as incomplete:
                values, vectors = incomplete.eigenvalues, incomplete.eigenvectors
            vectors = vectors[:, np.argsort(values)[::-1]]
    vectors = vectors / roots[:, None]
    vectors -= np.average(vectors, axis=0, weights=roots**2)
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors *= np.sign(vectors[largest, np.arange(vectors.shape[1])])
    coordinates[:, : vectors.shape[1]] = vectors
    return coordinates
