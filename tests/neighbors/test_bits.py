"""fasttsne.neighbors.bits: exact neighbours by Jaccard and Hamming, ties to the smaller index."""

import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from reference import tsne as reference
from sklearn.metrics import pairwise_distances

from fasttsne import _kernels
from fasttsne.neighbors import nearest_neighbors, neighbor_index

every_isa = pytest.mark.usefixtures("isa")
both_metrics = pytest.mark.parametrize("metric", ["jaccard", "hamming"])


def some_bits(n, d, density, seed):
    """Rows of random bits, of which some are equal, and some have none."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, d)) < density * rng.uniform(size=(n, 1))
    return X[rng.integers(0, n, size=n)]


def theirs(X, Y, metric):
    return pairwise_distances(X.astype(bool), Y.astype(bool), metric=metric)


@every_isa
@both_metrics
@given(
    n=st.integers(2, 200),
    d=st.sampled_from([1, 2, 7, 8, 31, 32, 63, 64, 65, 127, 128, 129, 300]),
    density=st.floats(0, 1),
    part=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
@example(n=2, d=1, density=0.0, part=1.0, seed=0)
@example(n=200, d=2, density=1.0, part=1.0, seed=0)
def test_neighbors_are_those_of_all_distances(metric, n, d, density, part, seed):
    X = some_bits(n, d, density, seed)
    n_neighbors = 1 + int(part * (n - 2))
    indices, distances = nearest_neighbors(X, n_neighbors, metric=metric)
    expected = reference.nearest_of(theirs(X, X.copy(), metric), n_neighbors)
    assert_array_equal(indices, expected[0])
    assert_array_equal(distances, np.sqrt(expected[1] ** 2))


@every_isa
@both_metrics
def test_the_same_bits_with_any_number_of_threads_and_in_any_batch(metric):
    X = some_bits(1101, 200, 0.3, seed=1)
    one = nearest_neighbors(X, 91, metric=metric, n_threads=1)
    expected = reference.nearest_of(theirs(X, X.copy(), metric), 91)
    assert_array_equal(one[0], expected[0])
    index = neighbor_index(X[:800], 40, metric=metric)
    batch = index.query(X[800:], n_threads=2)
    D = theirs(X[800:], X[:800], metric)
    order = np.argsort(D, axis=1, kind="stable")[:, :40]
    assert_array_equal(batch[0], order)
    assert_array_equal(batch[1], np.sqrt(np.take_along_axis(D, order, axis=1) ** 2))
    for n_threads in (2, 3, 8):
        found = nearest_neighbors(X, 91, metric=metric, n_threads=n_threads)
        assert_array_equal(found[0], one[0])
        assert found[1].tobytes() == one[1].tobytes()
    for row in range(0, 300, 37):
        for searched in (index, pickle.loads(pickle.dumps(index))):
            indices, distances = searched.query(X[[800 + row]])
            assert_array_equal(indices[0], batch[0][row])
            assert distances.tobytes() == batch[1][row].tobytes()


def test_rows_without_bits_have_no_distance():
    X = np.zeros((4, 70))
    X[3, 69] = 1.0
    indices, distances = nearest_neighbors(X, 3, metric="jaccard")
    assert_array_equal(indices, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    assert_array_equal(distances, [[0, 0, 1]] * 3 + [[1, 1, 1]])


@pytest.mark.parametrize("new", [2.0, 0.5, -1.0, 1e30])
def test_values_of_new_samples_that_are_no_bits(new):
    X = some_bits(100, 30, 0.5, seed=2).astype(float)
    queries = np.where(some_bits(20, 30, 0.5, seed=3), new, X[:20])
    for metric in ("jaccard", "hamming"):
        kind = bool if metric == "jaccard" else float
        D = pairwise_distances(queries.astype(kind), X.astype(kind), metric=metric)
        found = neighbor_index(X, 100, metric=metric).query(queries)[1]
        np.testing.assert_allclose(found, np.sort(D, axis=1), rtol=1e-14)


def test_hamming_distances_of_other_values_are_scikit_learns():
    X = np.random.default_rng(4).integers(0, 3, size=(90, 8)).astype(float)
    expected = reference.nearest_of(pairwise_distances(X, metric="hamming"), 20)[1]
    found = nearest_neighbors(X, 20, metric="hamming")[1]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@both_metrics
def test_what_cannot_be_searched_is_refused(metric):
    X = some_bits(60, 12, 0.3, seed=5)
    with pytest.raises(ValueError, match="X has 11 columns, but the samples of the index 12"):
        neighbor_index(X, 5, metric=metric).query(X[:, :11])
    with pytest.raises(ValueError, match="'approximate' needs dense X"):
        nearest_neighbors(X, 5, metric=metric, method="approximate")


def test_the_gate_reads_nothing_beyond_the_arrays():
    words, counts = np.zeros((4, 2), dtype=np.uint64), np.zeros(4, dtype=np.int32)
    for arguments in (
        (words[:, :1].copy(), counts, words, counts, 0, 1, False, 1),
        (words, counts[:3], words, counts, 0, 1, False, 1),
        (words, counts, words, counts[:3], 0, 1, False, 1),
        (words, counts, words, counts, 0, 4, True, 1),
        (words, counts, words, counts, 0, 5, False, 1),
        (words[:2], counts[:2], words, counts, 0, 1, True, 1),
        (words, counts, words, counts, -1, 1, False, 1),
        (words[:, :0].copy(), counts, words[:, :0].copy(), counts, 0, 1, False, 1),
    ):
        with pytest.raises(ValueError, match=r"differ|out of range|more than"):
            _kernels.find_bit_neighbors(*arguments)
