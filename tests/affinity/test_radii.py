"""Local radii in the data, against the equation in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference import density as reference
from scipy import sparse

from fasttsne.affinity import conditional_probabilities, joint_probabilities
from fasttsne.affinity import radii as module
from fasttsne.affinity.radii import log_radii, nearest_edges, standardized
from fasttsne.neighbors import nearest_neighbors, pairwise_squared_distances


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("all_pairs", [False, True])
def test_radii_equal_the_equation(X, monkeypatch, weighted, all_pairs):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 50)
    counts = np.random.default_rng(0).integers(1, 4, size=len(X)) * 1.0 if weighted else None
    if all_pairs:
        indices, squares = None, pairwise_squared_distances(X)
        conditional, _ = conditional_probabilities(squares, 10.0, skip_diagonal=True)
    else:
        indices, distances = nearest_neighbors(X, 31)
        squares = distances**2
        conditional, _ = conditional_probabilities(squares, 10.0)
    expected = reference.data_log_radii(indices, squares, conditional, counts)
    assert_allclose(log_radii(indices, squares, conditional, counts), expected, rtol=1e-6)


def test_radii_are_means_by_joint_probabilities(X):
    indices, distances = nearest_neighbors(X, 31)
    conditional, _ = conditional_probabilities(distances**2, 10.0)
    P = joint_probabilities(indices, conditional)
    P = sparse.csr_matrix((P.data, P.indices, P.indptr)).toarray().astype(np.float64)
    expected = np.log((P * pairwise_squared_distances(X)).sum(axis=1) / P.sum(axis=1))
    assert_allclose(log_radii(indices, distances**2, conditional), expected, rtol=1e-5)


def test_a_radius_of_zero_is_the_smallest_of_the_others():
    squares = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [4.0, 4.0], [9.0, 9.0]])
    indices = np.array([[1, 2], [0, 2], [0, 1], [4, 4], [3, 3]], dtype=np.int32)
    conditional = np.full((5, 2), 0.5, dtype=np.float32)
    radii = np.exp(log_radii(indices, squares, conditional))
    assert_allclose(radii, [6.5, 6.5, 6.5, 6.5, 6.5])
    assert_array_equal(log_radii(indices, 0.0 * squares, conditional), 0.0)


def test_nearest_edges_are_those_of_the_largest_probabilities(X):
    squares = pairwise_squared_distances(X)
    conditional, _ = conditional_probabilities(squares, 10.0, skip_diagonal=True)
    indptr, indices = nearest_edges(conditional, 31)
    neighbors, _ = nearest_neighbors(X, 31)
    expected = np.zeros((len(X), len(X)), dtype=bool)
    np.put_along_axis(expected, neighbors, True, axis=1)
    expected &= conditional > 0  # what underflows is no neighbour
    expected |= expected.T
    graph = sparse.csr_matrix((np.ones(len(indices)), indices, indptr)).toarray() > 0
    assert_array_equal(graph, expected)


def test_standardized_values_have_mean_0_and_variance_1(X):
    counts = np.arange(1.0, 1.0 + len(X))
    for given in (None, counts):
        values = standardized(X[:, 0] + 1e3, given)
        assert np.average(values, weights=given) == pytest.approx(0.0, abs=1e-6)
        assert np.average(values**2, weights=given) == pytest.approx(1.0, abs=1e-6)
    assert_array_equal(standardized(np.full(9, 3.3)), 0.0)
