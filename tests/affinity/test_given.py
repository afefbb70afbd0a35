"""Affinities and neighbours that the caller brings."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from fasttsne import TSNE
from fasttsne.affinity import (
    AffinityParameters,
    as_csr,
    conditional_probabilities,
    joint_probabilities,
    joint_probabilities_dense,
)
from fasttsne.affinity.given import checked_affinities
from fasttsne.initialization.start import initial_embedding
from fasttsne.neighbors import nearest_neighbors, pairwise_squared_distances
from fasttsne.neighbors.given import checked_neighbors
from fasttsne.neighbors.search import squared_neighbors


@pytest.fixture(scope="module")
def P(X):
    """The sparse P of X at perplexity 10."""
    indices, squared = squared_neighbors(X, 31)
    return as_csr(joint_probabilities(indices, conditional_probabilities(squared, 10)[0]))


@pytest.fixture(scope="module")
def graph(X):
    """The 40 nearest neighbours: indices and distances."""
    indices, squared = squared_neighbors(X, 40)
    return indices, np.sqrt(squared)


@pytest.fixture(scope="module")
def start(X):
    return initial_embedding(X, "pca", 2, np.random.RandomState(0))


def embed_affinities(P, **params):
    return fit(P, affinity="precomputed", **{"init": "random", **params})


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix])
def test_a_given_p_draws_the_map_of_its_data(X, P, start, form):
    assert_same_bits(embed_affinities(form(P), init=start), fit(X, init=start))


def test_a_dense_p_draws_the_map_of_the_sparse_one(P):
    without_zeros = P.copy()
    without_zeros.eliminate_zeros()  # which only move others to other lanes of a sum
    assert_same_bits(embed_affinities(P.toarray()), embed_affinities(without_zeros))


def test_a_given_p_draws_the_exact_map_of_its_data(X, start):
    joint = joint_probabilities_dense(pairwise_squared_distances(X), 10)
    given = embed_affinities(joint, init=start, method="exact")
    # Divided by its sum, which is 1 to rounding.
    expected = fit(X, init=start, method="exact")
    assert_allclose(given.kl_divergence_, expected.kl_divergence_, rtol=1e-2)


@both_methods
@pytest.mark.parametrize("factor", [1e-30, 0.5, 3.0, 1e30])
def test_affinities_are_divided_by_their_sum(P, method, factor):
    scaled = embed_affinities(P.astype(float) * factor, method=method)
    assert_allclose(scaled.kl_divergence_, embed_affinities(P, method=method).kl_divergence_, 0.02)


@both_methods
def test_the_diagonal_of_given_affinities_does_not_count(P, method):
    P = sparse.csr_matrix(P.toarray())
    with_diagonal = sparse.csr_matrix(P + sparse.diags(np.full(P.shape[0], 0.3)))
    assert_same_bits(
        embed_affinities(with_diagonal, method=method), embed_affinities(P, method=method)
    )


def test_explicit_zeros_and_rounding_of_given_affinities_do_not_matter(P):
    rng = np.random.default_rng(0)
    rounded = P.toarray().astype(float)
    rounded *= 1 + 1e-7 * rng.uniform(size=rounded.shape)
    joint = checked_affinities(rounded)
    assert_array_equal(as_csr(joint).toarray(), as_csr(joint).toarray().T)
    assert_allclose(as_csr(joint).toarray(), P.toarray(), rtol=1e-5)
    padded = P.copy()
    padded.data[:3] = 0.0
    assert len(checked_affinities(sparse.csr_matrix(padded + padded.T)).data) <= P.nnz


def test_perplexity_has_no_part_in_given_affinities_which_are_not_modified(P):
    before = P.copy()
    assert_same_bits(embed_affinities(P, perplexity=1000), embed_affinities(P))
    assert_array_equal(P.data, before.data)
    assert_array_equal(P.indices, before.indices)


@both_methods
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda P: P[:, :-1], "square"),
        (lambda P: -P, "negative"),
        (lambda P: P + np.eye(len(P), k=3), "not symmetric"),
        (lambda P: 0 * P, "no positive value off the diagonal"),
        (lambda P: np.eye(len(P)), "no positive value off the diagonal"),
        (lambda P: P * np.outer(np.arange(len(P)) != 7, np.arange(len(P)) != 7), "row 7"),
        (lambda P: np.where(P > 0.001, np.nan, P), "NaN"),
        (lambda P: np.where(P > 0.001, np.inf, P), "infinity"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_affinities_that_are_none_are_refused(P, method, spoil, message, form):
    with pytest.raises(ValueError, match=message):
        embed_affinities(form(spoil(P.toarray())), method=method)


def test_affinities_need_another_start_than_principal_components(P):
    with pytest.raises(ValueError, match='init="spectral"'):
        embed_affinities(P, init="pca")


def test_given_neighbors_may_list_the_sample_itself_in_any_order(X, graph):
    indices, distances = graph
    before = indices.copy(), distances.copy()
    expected = fit(X, neighbors=graph)
    assert_allclose(expected.kl_divergence_, fit(X).kl_divergence_, rtol=0.02)
    with_self = NearestNeighbors(n_neighbors=41).fit(X).kneighbors(X, return_distance=False)
    assert_same_bits(fit(X, neighbors=(with_self, np.c_[np.zeros(120), distances])), expected)
    shuffle = np.random.default_rng(0).permutation(40)
    assert_same_bits(fit(X, neighbors=(indices[:, shuffle], distances[:, shuffle])), expected)
    assert_same_bits(clone(expected).fit(X), expected)
    for array, copy in zip(graph, before, strict=True):
        assert_array_equal(array, copy)


def test_one_graph_serves_several_perplexities(X, graph):
    shorter = tuple(part[:, :16] for part in graph)
    assert_same_bits(fit(X, neighbors=graph, perplexity=5), fit(X, neighbors=shorter, perplexity=5))


def test_a_row_that_does_not_list_itself_loses_the_farthest():
    indices = np.array([[0, 1, 2], [0, 2, 3], [3, 2, 1], [2, 3, 1]])
    distances = np.array([[0.0, 1.0, 2.0], [1.0, 1.5, 0.5], [1.0, 0.0, 1.5], [1.0, 0.0, 3.0]])
    found, squared = checked_neighbors((indices, distances), 4)
    assert_array_equal(found, [[1, 2], [3, 0], [3, 1], [2, 1]])
    assert_array_equal(squared, [[1, 4], [0.25, 1], [1, 2.25], [1, 9]])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda i, d: (i,), "pair"),
        (lambda i, d: (d, i), "must be integers"),
        (lambda i, d: (i, d[:, 1:]), "shape"),
        (lambda i, d: (i[1:], d[1:]), "shape"),
        (lambda i, d: (i[0], d[0]), "shape"),
        (lambda i, d: (i[:, :0], d[:, :0]), "empty"),
        (lambda i, d: (i - 1, d), "0 .. 119"),
        (lambda i, d: (i + 1, d), "0 .. 119"),
        (lambda i, d: (np.where(i == i[5, 3], i[5, 2], i), d), "duplicate entries in row"),
        (lambda i, d: (i, -d), "not negative"),
        (lambda i, d: (i, np.where(d > d[5, 3], np.nan, d)), "finite"),
        (lambda i, d: (i, np.where(d > d[5, 3], np.inf, d)), "finite"),
        (lambda i, d: (i, d * 1e200), "too large to square"),
    ],
)
def test_neighbors_that_are_none_are_refused(X, graph, spoil, message):
    with pytest.raises(ValueError, match=message):
        fit(X, neighbors=spoil(*graph))


def test_given_neighbors_are_for_barnes_hut(X, graph):
    with pytest.raises(ValueError, match="barnes_hut"):
        fit(X, neighbors=graph, method="exact")


def test_the_functions_compose_to_the_map_of_the_estimator(X):
    tsne = TSNE(perplexity=[5, 20], init="spectral", max_iter=300, random_state=0, n_jobs=1)
    indices, squared = squared_neighbors(X, 61)
    conditional, _ = conditional_probabilities(squared, [5, 20])
    joint = joint_probabilities(indices, conditional)
    start = initial_embedding(X, "spectral", 2, np.random.RandomState(0), joint=joint)
    assert_same_bits(tsne.fit(X), embed_affinities(as_csr(joint), init=start))


def as_graph(indices, distances, *, diagonal):
    """The pair of arrays as a sparse matrix, as scanpy and scikit-learn store it."""
    n = len(indices)
    if diagonal:
        indices = np.hstack([np.arange(n)[:, None], indices])
        distances = np.hstack([np.zeros((n, 1)), distances])
    rows = np.repeat(np.arange(n), indices.shape[1])
    return sparse.csr_matrix((distances.ravel(), (rows, indices.ravel())), shape=(n, n))


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.coo_matrix])
def test_a_graph_gives_the_map_of_its_arrays(X, graph, start, form, diagonal):
    expected = fit(X, neighbors=graph, init=start)
    matrix = form(as_graph(*graph, diagonal=diagonal))
    assert_same_bits(fit(X, neighbors=matrix, init=start), expected)
    assert_same_bits(fit(matrix, metric="precomputed", init=start), expected)


@pytest.mark.parametrize("affinity", ["gaussian", "uniform"])
@pytest.mark.parametrize("diagonal", [False, True])
def test_all_stored_neighbors_count(X, graph, affinity, diagonal):
    matrix = as_graph(*(part[:, :14] for part in graph), diagonal=diagonal)
    params = {"n_neighbors": 14, "perplexity": 4, "affinity": affinity, "init": "random"}
    assert_same_bits(fit(matrix, metric="precomputed", **params), fit(X, neighbors=graph, **params))


@pytest.mark.parametrize("perplexity", [16, 30, 100, [5, 100]])
def test_too_few_given_neighbors_lower_the_perplexity(X, graph, perplexity):
    few = tuple(part[:, :16] for part in graph)
    expected = fit(X, neighbors=few, perplexity=[5, 5] if perplexity == [5, 100] else 5)
    with pytest.warns(UserWarning, match=r"perplexity=.* is lowered to 5: .* only 16 neighbors"):
        assert_same_bits(fit(X, neighbors=few, perplexity=perplexity), expected)
    with pytest.warns(UserWarning, match="is lowered to 5"):
        searched = fit(X, n_neighbors=16, perplexity=perplexity)
    assert_allclose(searched.kl_divergence_, expected.kl_divergence_, rtol=0.02)


def test_a_perplexity_that_no_neighbors_can_have_is_refused(X, graph):
    with pytest.raises(ValueError, match="perplexity=30 needs more than 3 neighbors"):
        fit(X, n_neighbors=3, perplexity=30)
    with pytest.raises(ValueError, match=r"21 neighbors per samples are required, .* only 17"):
        fit(X, neighbors=tuple(part[:, :16] for part in graph), n_neighbors=20)
    with pytest.raises(ValueError, match="affinity='zz' must be"):
        AffinityParameters(affinity="zz").neighborhood(100)


def test_what_nearest_neighbors_returns_is_what_neighbors_takes(X):
    assert_same_bits(fit(X, neighbors=nearest_neighbors(X, 31)), fit(X))


def test_precomputed_affinity_is_affinity_precomputed(P, start):
    params = {"init": start, "max_iter": 250}
    assert_same_bits(fit(P, metric="precomputed_affinity", **params), embed_affinities(P, **params))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_distances_that_are_none_have_no_probabilities(value):
    with pytest.raises(ValueError, match="squared_distances must be finite and not negative"):
        conditional_probabilities(np.array([[1.0, value, 2.0]]), 1.5)
