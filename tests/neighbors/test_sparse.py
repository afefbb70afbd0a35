"""fasttsne.neighbors.sparse: the exact neighbours of sparse samples, as of the dense ones."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from points import points
from reference import tsne as reference
from scipy import sparse
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from fasttsne import _kernels
from fasttsne.neighbors import nearest_neighbors, neighbor_index

every_isa = pytest.mark.usefixtures("isa")
both_metrics = pytest.mark.parametrize("metric", ["euclidean", "cosine"])

# Both sides sum at most 60 products in double; cancellation costs up to ten bits.
RTOL = 1e-10


def dense(kind, n, d, density, seed):
    """Samples with many zeros, some of them rows of zeros, as a dense array."""
    rng = np.random.default_rng(seed)
    X = points("grid" if kind == "integers" else "normal", n, d, seed)
    X *= rng.uniform(size=(n, d)) < density
    if kind == "duplicates":
        X = X[rng.integers(0, max(n // 4, 1), size=n)]
    if kind == "one column":  # all distances are small beside the norms
        X[:, 0] = 1e7
    if kind == "many scales":
        X *= 10.0 ** rng.uniform(-30, 30, size=(n, 1))
    return X


def squares(X, metric):
    """Squares of the distances between all rows; those of orthogonal rows are 1."""
    if metric == "euclidean":
        return reference.squared_distances(X)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    directions = X / np.where(norms == 0, 1, norms)
    halves = reference.squared_distances(directions) / 2
    return np.where(directions @ directions.T == 0, 1.0, halves) ** 2


def assert_nearest(found, distances, n_neighbors):
    indices, expected = reference.nearest_of(distances, n_neighbors)
    assert found[0].dtype == np.int32
    assert_array_equal(found[0], indices)
    assert_allclose(found[1], np.sqrt(expected), rtol=RTOL)


@every_isa
@both_metrics
@given(
    kind=st.sampled_from(["normal", "integers", "duplicates", "many scales"]),
    n=st.integers(2, 150),
    d=st.integers(1, 60),
    density=st.floats(0, 1),
    part=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
@example(kind="normal", n=2, d=1, density=0.0, part=1.0, seed=0)
@example(kind="integers", n=150, d=3, density=0.1, part=1.0, seed=0)
def test_neighbors_are_those_of_the_dense_samples(metric, kind, n, d, density, part, seed):
    X = dense(kind, n, d, density, seed)
    n_neighbors = 1 + int(part * (n - 2))
    found = nearest_neighbors(sparse.csr_array(X), n_neighbors, metric=metric)
    distances = squares(X, metric)
    # Different rows may be equally far up to rounding, which then decides.
    assert_allclose(
        found[1], np.sqrt(reference.nearest_of(distances, n_neighbors)[1]), rtol=RTOL, atol=1e-15
    )
    assert_array_equal(np.sort(found[0], axis=1)[:, :-1] < np.sort(found[0], axis=1)[:, 1:], True)
    of_found = np.take_along_axis(distances, found[0].astype(np.int64), axis=1)
    assert_allclose(found[1], np.sqrt(of_found), rtol=RTOL, atol=1e-15)
    if kind == "integers" and metric == "euclidean":
        assert_nearest(found, distances, n_neighbors)


@every_isa
@both_metrics
@pytest.mark.parametrize("kind", ["normal", "duplicates", "one column"])
def test_neighbors_beyond_one_block_on_two_threads(kind, metric):
    X = dense(kind, 1101, 40, 0.2, seed=1)
    X[[3, 900]] = 0.0
    found = nearest_neighbors(sparse.csr_array(X), 91, metric=metric, n_threads=2)
    if kind == "one column" and metric == "cosine":
        return assert_allclose(
            found[1], np.sqrt(reference.nearest_of(squares(X, metric), 91)[1]), rtol=1e-2
        )
    assert_nearest(found, squares(X, metric), 91)


@every_isa
@both_metrics
def test_the_same_bits_with_any_number_of_threads_and_in_any_batch(metric):
    X = sparse.csr_array(dense("normal", 900, 50, 0.1, seed=2))
    one = nearest_neighbors(X, 40, metric=metric, n_threads=1)
    index = neighbor_index(X[:600], 40, metric=metric)
    batch = index.query(X[600:], n_threads=2)
    for n_threads in (2, 3, 8):
        found = nearest_neighbors(X, 40, metric=metric, n_threads=n_threads)
        assert_array_equal(found[0], one[0])
        assert found[1].tobytes() == one[1].tobytes()
    kept = pickle.loads(pickle.dumps(index))
    for row in range(0, 300, 37):
        for searched in (index, kept):
            indices, distances = searched.query(X[[600 + row]])
            assert_array_equal(indices[0], batch[0][row])
            assert distances.tobytes() == batch[1][row].tobytes()


@both_metrics
def test_new_samples_have_the_neighbors_that_scikit_learn_finds(metric):
    X = dense("normal", 500, 50, 0.2, seed=3)
    X[[3, 450]] = 0.0
    new, fitted = sparse.csr_array(X[400:]), sparse.csr_array(X[:400])
    indices, distances = neighbor_index(fitted, 30, metric=metric).query(new)
    theirs = NearestNeighbors(n_neighbors=30, metric=metric, algorithm="brute").fit(fitted)
    assert_allclose(distances, theirs.kneighbors(new)[0], rtol=1e-9)
    D = pairwise_distances(new, fitted, metric=metric)
    assert_allclose(distances, np.take_along_axis(D, indices.astype(np.int64), axis=1), rtol=1e-9)


@both_metrics
def test_forms_of_one_matrix_have_one_result_and_are_not_modified(metric):
    X = sparse.coo_array(dense("normal", 60, 12, 0.3, seed=4))
    expected = nearest_neighbors(X, 10, metric=metric)
    order = np.random.default_rng(0).permutation(X.nnz)
    row, column = (np.repeat(part[order], 2) for part in (X.row, X.col))
    halves = sparse.coo_array((np.repeat(X.data[order] / 2, 2), (row, column)), shape=X.shape)
    twice = sparse.csr_array((halves.data, (row, column)), shape=X.shape)
    unsorted = sparse.csr_array(X)
    backwards = np.concatenate([np.arange(b, a, -1) - 1 for a, b in pairwise(unsorted.indptr)])
    unsorted.indices, unsorted.data = unsorted.indices[backwards], unsorted.data[backwards]
    explicit = sparse.csr_array(X.toarray() + 7.0)
    explicit.data[X.toarray().ravel() == 0] = 7.0
    explicit.data -= 7.0
    for form in (halves, twice, unsorted, explicit, sparse.csc_matrix(X), X.tolil()):
        before = form.copy()
        found = nearest_neighbors(form, 10, metric=metric)
        assert_array_equal(found[0], expected[0])
        assert_allclose(found[1], expected[1], rtol=1e-12)
        assert_array_equal(form.toarray(), before.toarray())


def test_parallel_rows_have_no_distance_and_orthogonal_ones_the_distance_one():
    X = sparse.csr_array(np.array([[3.0, 0, 0], [6, 0, 0], [0, 1, 0], [0, 0, 0], [1e-200, 0, 0]]))
    indices, distances = nearest_neighbors(X, 4, metric="cosine")
    assert_array_equal(
        indices, [[1, 4, 2, 3], [0, 4, 2, 3], [0, 1, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3]]
    )
    assert_array_equal(distances[[0, 2, 3]], [[0, 0, 1, 1], [1] * 4, [1] * 4])
    new = sparse.csr_array(np.array([[0.0, 0, 0], [1e200, 0, 0]]))
    assert_array_equal(
        neighbor_index(X, 5, metric="cosine").query(new)[1], [[1] * 5, [0, 0, 0, 1, 1]]
    )


def test_what_cannot_be_searched_is_refused():
    X = sparse.csr_array(dense("normal", 60, 12, 0.3, seed=5))
    with pytest.raises(ValueError, match="X has 11 columns, but the samples of the index 12"):
        neighbor_index(X, 5).query(X[:, :11])
    with pytest.raises(ValueError, match="rescale X"):
        neighbor_index(X, 5).query(1e200 * X)
    with pytest.raises(ValueError, match="needs dense X"):
        nearest_neighbors(X, 5, method="approximate")


def test_the_gate_reads_nothing_beyond_the_arrays():
    X = sparse.csr_array(np.eye(4))
    good = X.indptr.astype(np.int64), X.indices.astype(np.int32), X.data
    bad = [
        (good[0][:-1], *good[1:]),
        (good[0][::-1].copy(), *good[1:]),
        (good[0] + 1, *good[1:]),
        (good[0], good[1] + 1, good[2]),
        (good[0], good[1] - 1, good[2]),
        (good[0], good[1][:-1], good[2][:-1]),
    ]
    norms = np.ones(4)
    for broken in bad:
        for which in ("points", "columns"):
            matrices = {"points": good, "columns": good} | {which: broken}
            with pytest.raises(ValueError, match=r"indptr|out of range"):
                _kernels.find_sparse_neighbors(
                    good, norms, *matrices.values(), norms, 4, 1, False, 1
                )
    for k, among in ((4, True), (5, False), (0, True)):
        with pytest.raises(ValueError, match="n_neighbors"):
            _kernels.find_sparse_neighbors(good, norms, good, good, norms, 4, k, among, 1)
