"""Affinities that the user gives -> P."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fasttsne.affinity.joint import JointProbabilities, from_csr
from fasttsne.samples.checks import check_readable

# Affinities that differ by less than this share of the largest differ by rounding.
_ROUNDING = 1e-5


def checked_affinities(affinities: Any) -> JointProbabilities:
    """Return P from symmetric affinities of all pairs.

    Parameters
    ----------
    affinities : {ndarray, sparse matrix} of shape (n_samples, n_samples)
        Finite, not negative and symmetric up to rounding, of any sum.

    Returns
    -------
    joint : JointProbabilities
        P: the mean of the affinities and their transpose, divided by the sum over all pairs
        unless that is 1 up to rounding. The diagonal is left out.

    Raises
    ------
    ValueError
        If they are not square, symmetric, non-negative and finite in single precision, or if a
        sample has no positive affinity to another.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity.given import checked_affinities
    >>> checked_affinities(np.array([[9.0, 1.0, 0.0], [1.0, 0.0, 3.0], [0.0, 3.0, 0.0]])).data
    array([0.125, 0.125, 0.375, 0.375], dtype=float32)
    """
    n_samples = affinities.shape[0]
    if affinities.shape != (n_samples, n_samples):
        raise ValueError(
            "X should be a square matrix of affinities with affinity='precomputed', got "
            f"{affinities.shape}"
        )
    affinities = check_readable(affinities, "X, the precomputed affinities,")
    graph = sparse.csr_matrix(affinities, dtype=np.float64, copy=True)
    graph.sum_duplicates()
    if not np.isfinite(graph.data).all():
        raise ValueError("X, the precomputed affinities, contains NaN or infinity")
    if (graph.data < 0.0).any():
        raise ValueError("X, the precomputed affinities, has negative values; they must be >= 0")
    pairs = graph.tocoo()
    off = pairs.row != pairs.col
    places = pairs.row[off], pairs.col[off]
    graph = sparse.csr_matrix((pairs.data[off], places), shape=graph.shape)
    if not graph.data.any():
        raise ValueError("X, the precomputed affinities, has no positive value off the diagonal")
    largest = graph.data.max()
    if not np.finfo(np.float32).tiny < largest < np.finfo(np.float32).max:
        graph.data /= largest  # so that sums stay finite
        largest = 1.0
    difference = abs(graph - graph.T)
    if difference.nnz and difference.data.max() > _ROUNDING * largest:
        i, j = np.unravel_index(difference.argmax(), difference.shape)
        raise ValueError(
            "X, the precomputed affinities, is not symmetric: entries "
            f"({i}, {j}) and ({j}, {i}) differ; pass (X + X.T) / 2"
        )
    if difference.nnz:
        graph = sparse.csr_matrix((graph + graph.T) / 2.0)
    is_normal = abs(graph.data.sum() - 1.0) <= _ROUNDING
    joint = from_csr(graph, normalize=not is_normal)
    rows = np.repeat(np.arange(n_samples), np.diff(joint.indptr))
    held = np.zeros(n_samples, dtype=bool)
    held[rows[joint.data > 0.0]] = True
    if not held.all():
        raise ValueError(
            f"X, the precomputed affinities, has no positive value in row {np.argmin(held)}: "
            "nothing would hold that sample in the map; leave it out or give it a neighbour"
        )
    return joint
