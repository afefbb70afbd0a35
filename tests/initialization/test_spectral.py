"""init="spectral": eigenvectors of the normalised Laplacian of P."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.manifold import trustworthiness

from fasttsne.affinity import as_csr
from fasttsne.initialization.spectral import laplacian_eigenmap
from fasttsne.initialization.start import initial_embedding


def knn_graph(X, k):
    """A symmetric graph with random weights over k nearest neighbours."""
    indices, _ = reference.nearest_neighbors(X, k)
    rows = np.repeat(np.arange(len(X)), k)
    values = np.random.default_rng(1).uniform(0.5, 1.5, size=indices.size)
    there = sparse.csr_matrix((values, (rows, indices.ravel())), shape=(len(X), len(X)))
    return sparse.csr_matrix(there + there.T)


def strip(n, seed=0):
    """Points on a long strip: eigenvalues well apart."""
    rng = np.random.default_rng(seed)
    return np.c_[rng.uniform(0, 10, size=n), rng.uniform(0, 3, size=n)]


@pytest.mark.parametrize("n", [3, 60, 200, 300])  # dense solver, iterative solver
@pytest.mark.parametrize("n_components", [1, 2])
def test_coordinates_are_those_of_the_reference(n, n_components):
    graph = knn_graph(strip(n), min(20, n - 1))
    coordinates = laplacian_eigenmap(graph, n_components, np.random.RandomState(0))
    expected = reference.laplacian_eigenvectors(graph, n_components)
    assert coordinates.shape == (n, n_components)
    unit = coordinates / np.linalg.norm(coordinates, axis=0)
    cosines = np.abs(np.sum(unit * expected, axis=0))
    centre = np.abs(expected.mean(axis=0))  # the reference is orthogonal in D, not centred exactly
    assert np.all(cosines > 1 - 2e-3 - centre)


def test_signs_are_settled_and_repeated_calls_agree_to_the_last_bit(digits_graph):
    graph = as_csr(digits_graph)
    one, two = (laplacian_eigenmap(graph, 2, np.random.RandomState(seed)) for seed in (0, 1))
    assert_array_equal(one, two)
    assert np.all(one[np.abs(one).argmax(axis=0), [0, 1]] > 0)


def test_the_start_has_the_usual_scale_and_keeps_neighborhoods(digits, digits_graph):
    start = initial_embedding(digits, "spectral", 2, np.random.RandomState(0), joint=digits_graph)
    assert start.dtype == np.float32
    assert_allclose(start[:, 0].std(), 1e-4, rtol=1e-3)
    assert 0.2e-4 < start[:, 1].std() < 5e-4
    assert_allclose(start.mean(axis=0), 0.0, atol=1e-5)
    assert trustworthiness(digits, start, n_neighbors=10) > 0.85


@both_methods
def test_maps_from_there(X, method):
    tsne = fit(X, init="spectral", method=method)
    assert np.isfinite(tsne.embedding_).all()
    assert tsne.kl_divergence_ < 1.1 * fit(X, method=method).kl_divergence_
    assert_same_bits(tsne, fit(X, init="spectral", method=method, n_jobs=2, random_state=7))


def blobs_apart(sizes):
    centers = 1000.0 * np.random.default_rng(0).normal(size=(len(sizes), 3))
    return make_blobs(sizes, centers=centers, random_state=0)


def test_parts_that_no_edge_joins_stand_apart_each_spread_out():
    X, part_of = blobs_apart([60, 210, 30])
    graph = knn_graph(X, 12)
    coordinates = laplacian_eigenmap(graph, 2, np.random.RandomState(0))
    for part in range(3):
        own = coordinates[part_of == part]
        expected = reference.laplacian_eigenvectors(graph[part_of == part][:, part_of == part], 2)
        unit = own - own.mean(axis=0)
        unit /= np.linalg.norm(unit, axis=0)
        # Eigenvalues of a blob are close to each other: compare the planes.
        expected -= expected.mean(axis=0)
        basis, _ = np.linalg.qr(expected)
        assert np.linalg.norm(basis.T @ unit[:, 0]) > 0.99
        assert_allclose(own[:, 0].std(), np.sqrt(len(own) / len(X)), rtol=1e-6)
    again = laplacian_eigenmap(graph, 2, np.random.RandomState(0))
    assert_array_equal(again, coordinates)


def test_pairs_that_know_only_each_other_have_a_start():
    X = np.repeat(1000.0 * np.random.default_rng(0).normal(size=(30, 3)), 2, axis=0)
    X += np.random.default_rng(1).normal(size=X.shape)
    tsne = fit(X, init="spectral", affinity="uniform", n_neighbors=1)
    assert np.isfinite(tsne.embedding_).all()
    assert len(np.unique(tsne.embedding_, axis=0)) == 60


@both_methods
@pytest.mark.parametrize("X", [np.zeros((30, 3)), np.eye(2), np.eye(3)], ids=["equal", "2", "3"])
def test_hardly_any_data(X, method):
    tsne = fit(X, init="spectral", method=method, perplexity="auto")
    assert np.isfinite(tsne.embedding_).all()


def test_it_needs_p_and_no_samples(X):
    with pytest.raises(ValueError, match="joint"):
        initial_embedding(X, "spectral", 2, np.random.RandomState(0))
    distances = np.sqrt(reference.squared_distances(X))
    assert np.isfinite(fit(distances, metric="precomputed", init="spectral").embedding_).all()
