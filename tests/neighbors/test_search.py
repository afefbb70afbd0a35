"""fasttsne.neighbors.search: k nearest neighbours, ties to the smaller index, self left out."""

import functools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from points import KINDS, points
from reference import tsne as reference
from scipy import sparse
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors

from fasttsne.neighbors import search as neighbors

every_isa = pytest.mark.usefixtures("isa")

# Both sides sum at most 100 squares in double: 100 ulp and a margin.
RTOL = 1e-12


def assert_found(found, expected, rtol=RTOL):
    """The same indices, and distances to rounding."""
    assert found[0].dtype == np.int32
    assert found[1].dtype == np.float64
    assert_array_equal(found[0], expected[0])
    assert_allclose(found[1], expected[1], rtol=rtol)


def assert_exact(X, n_neighbors):
    found = neighbors.squared_neighbors(X, n_neighbors)
    assert_found(found, reference.nearest_neighbors(X, n_neighbors))


# Exactness ---------------------------------------------------------------------------


@every_isa
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(2, 150),
    d=st.integers(1, 100),
    part=st.floats(0, 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 10_000),
)
@example(kind="normal", n=2, d=1, part=1.0, dtype=np.float32, seed=0)
@example(kind="grid", n=150, d=1, part=1.0, dtype=np.float32, seed=0)
@example(kind="grid", n=149, d=2, part=0.1, dtype=np.float64, seed=0)
def test_neighbors_equal_the_reference(kind, n, d, part, dtype, seed):
    n_neighbors = 1 + int(part * (n - 2))
    assert_exact(points(kind, n, d, seed).astype(dtype), n_neighbors)


@functools.cache
def points_and_neighbors(kind):
    """1101 points, and 91 neighbours of each by the reference."""
    X = points(kind, 1101, 17, seed=1)
    return X, *reference.nearest_neighbors(X, 91)


@every_isa
@pytest.mark.parametrize("kind", KINDS)
def test_neighbors_equal_the_reference_beyond_one_block(kind):
    X, *expected = points_and_neighbors(kind)
    assert_found(neighbors.squared_neighbors(X, 91, n_threads=2), expected)


@pytest.fixture(scope="module")
def digits_neighbors(digits):
    return reference.nearest_neighbors(digits, len(digits) - 1)


@every_isa
@pytest.mark.parametrize("n_neighbors", [1, 91, 1796])
def test_digits_with_their_many_ties(digits, digits_neighbors, n_neighbors):
    indices, squared = neighbors.squared_neighbors(digits, n_neighbors)
    assert_array_equal(indices, digits_neighbors[0][:, :n_neighbors])
    assert_array_equal(squared, digits_neighbors[1][:, :n_neighbors])


# Where single precision would not do, or all distances are tied.


def hard_points(kind):
    rng = np.random.default_rng(0)
    if kind == "offset":  # X + 1e6 is exact in float64
        return 1e6 + rng.integers(-(2**20), 2**20, size=(500, 10)) / 2.0**19
    if kind == "two far clusters":
        return rng.normal(size=(400, 10)) + np.where(np.arange(400)[:, None] % 2, -1e7, 1e7)
    if kind == "ten far clusters":
        centres = 1e8 * rng.normal(size=(10, 5))
        return rng.normal(size=(600, 5)) + centres[rng.integers(0, 10, size=600)]
    if kind.startswith("outlier"):
        X = rng.normal(size=(400, 6))
        X[int(kind.split()[1])] = 1e30
        return X
    if kind == "wide feature":
        X = rng.normal(size=(500, 6))
        X[:, 2] = 1e9 * np.round(X[:, 2])
        return X
    if kind == "shell":  # one ten-billionth thick
        X = rng.normal(size=(300, 8))
        X *= (1 + 1e-10 * rng.normal(size=(300, 1))) / np.linalg.norm(X, axis=1, keepdims=True)
        X[0] = 0.0
        return X
    return np.full((int(kind.split()[1]), 4), 0.1)


@every_isa
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "kind",
    [
        *("offset", "two far clusters", "ten far clusters", "outlier 0", "outlier 199"),
        *("outlier 399", "wide feature", "shell", "equal 50", "equal 700"),
    ],
)
def test_hard_points_have_the_neighbors_of_the_reference(kind, dtype):
    assert_exact(hard_points(kind).astype(dtype), 30)


@every_isa
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-90, 90])
def test_scaling_by_a_power_of_two_scales_only_the_distances(dtype, exponent):
    X = points("normal", 200, 7, seed=3).astype(dtype)
    indices, squared = neighbors.squared_neighbors(X, 20)
    scaled = neighbors.squared_neighbors(X * dtype(2.0**exponent), 20)
    assert_found(scaled, (indices, squared * 2.0 ** (2 * exponent)))


# Promises ----------------------------------------------------------------------------


@every_isa
@pytest.mark.parametrize(
    ("metric", "kind", "n", "d"),
    [
        ("euclidean", "normal", 1100, 9),
        ("euclidean", "grid", 1100, 9),
        *((metric, "grid", 300, 4) for metric in ("manhattan", "chebyshev", "cosine")),
    ],
)
def test_same_bits_with_any_number_of_threads(metric, kind, n, d):
    X = points(kind, n, d, seed=16)  # of ties it must always take the same
    indices, squared = neighbors.squared_neighbors(X, 40, metric=metric, n_threads=1)
    for n_threads in (2, 3, 8):
        found = neighbors.squared_neighbors(X, 40, metric=metric, n_threads=n_threads)
        assert_array_equal(found[0], indices)
        assert found[1].tobytes() == squared.tobytes()


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "precomputed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_is_not_modified(metric, dtype):
    X = (points("normal", 60, 60, seed=5) + 7).astype(dtype)
    if metric == "precomputed":
        X = pairwise_distances(X)
    before = X.copy()
    neighbors.squared_neighbors(X, 10, metric=metric)
    assert_array_equal(X, before)


# Other metrics -----------------------------------------------------------------------


def sklearn_neighbors(X, n_neighbors, **params):
    """scikit-learn's brute-force neighbours without self: indices, squared distances."""
    found = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute", **params).fit(X)
    distances, indices = found.kneighbors()
    return indices, distances**2


def canberra(x, y):
    return np.sum(np.abs(x - y) / (np.abs(x) + np.abs(y)))


@pytest.mark.parametrize(
    ("metric", "metric_params"),
    [
        ("manhattan", None),
        ("chebyshev", None),
        ("correlation", None),
        ("sqeuclidean", None),
        ("seuclidean", {"V": np.arange(1.0, 7.0)}),
        (canberra, None),
    ],
)
def test_other_metrics_equal_scikit_learn(metric, metric_params):
    X = points("normal", 80, 6, seed=6)
    params = {"metric": metric, "metric_params": metric_params}
    found = neighbors.squared_neighbors(X, 15, **params)
    assert_found(found, sklearn_neighbors(X, 15, **params), rtol=1e-9)


@functools.cache
def cosine_neighbors(n):
    X = points("normal", n, 12, seed=7).astype(np.float32)
    return X, *sklearn_neighbors(X.astype(np.float64), 30, metric="cosine")


@every_isa
@pytest.mark.parametrize(
    ("n", "dtype", "rtol"),
    [
        (300, np.float32, 1e-5),  # scikit-learn's 1 - cos in single precision
        (300, np.float64, 1e-9),
        (2100, np.float32, 1e-9),  # beyond 2048 samples by the kernel, in double
        (2100, np.float64, 1e-9),
    ],
)
def test_cosine_equals_scikit_learn(n, dtype, rtol):
    X, *expected = cosine_neighbors(n)
    assert_found(neighbors.squared_neighbors(X.astype(dtype), 30, metric="cosine"), expected, rtol)


@pytest.mark.parametrize("n", [50, 2100])
def test_cosine_distance_from_a_zero_vector_is_one(n):
    X = points("normal", n, 3, seed=8)
    X[[4, 17]] = 0.0
    indices, squared = neighbors.squared_neighbors(X, n - 1, metric="cosine")
    assert_allclose(squared[[4, 17]], 1.0)
    assert_allclose(squared[indices == 4], 1.0)


@pytest.mark.parametrize(("n", "exponent"), [(100, 40), (2100, 100)])
def test_cosine_ignores_lengths(n, exponent):
    X = points("normal", n, 5, seed=9)
    lengths = 2.0 ** np.random.default_rng(0).integers(-exponent, exponent, size=(n, 1))
    indices, squared = neighbors.squared_neighbors(X, 20, metric="cosine")
    scaled_indices, scaled_squared = neighbors.squared_neighbors(X * lengths, 20, metric="cosine")
    assert_array_equal(scaled_indices, indices)
    # scikit-learn's 1 - cos cancels: near neighbours keep fewer digits
    assert_allclose(scaled_squared, squared, rtol=1e-9, atol=1e-15)


# Precomputed distances, sparse input -------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        pairwise_distances,
        lambda X: pairwise_distances(X) + 100 * np.eye(len(X)),  # the diagonal is not looked at
        # The transformer adds each point to its own neighbours, at distance 0.
        KNeighborsTransformer(n_neighbors=20, mode="distance").fit_transform,
        KNeighborsTransformer(n_neighbors=30, mode="distance").fit_transform,  # more than needed
        lambda X: NearestNeighbors(n_neighbors=21).fit(X).kneighbors_graph(mode="distance"),
    ],
    ids=["dense", "diagonal", "graph", "graph of more", "graph without self"],
)
def test_precomputed_distances_give_the_neighbors_of_the_points(form):
    X = points("normal", 90, 4, seed=11)
    found = neighbors.squared_neighbors(form(X), 20, metric="precomputed")
    assert_found(found, reference.nearest_neighbors(X, 20), rtol=1e-9)


def test_precomputed_distances_need_not_be_symmetric():
    D = np.random.default_rng(0).uniform(1, 2, size=(40, 40))
    indices, expected = reference.nearest_of(D, 10)
    found = neighbors.squared_neighbors(D, 10, metric="precomputed")
    assert_found(found, (indices, expected**2))


@pytest.mark.parametrize(
    ("form", "metric"),
    [
        (np.asarray, "euclidean"),
        (np.asarray, "manhattan"),
        (pairwise_distances, "precomputed"),
        (sparse.csr_array, "euclidean"),
        (KNeighborsTransformer(n_neighbors=10, mode="distance").fit_transform, "precomputed"),
    ],
    ids=["points", "manhattan", "distances", "sparse points", "graph"],
)
def test_self_is_left_out_by_index_among_duplicates(form, metric):
    X = np.repeat(points("normal", 6, 3, seed=13), 5, axis=0)  # 5 copies of each of 6 points
    indices, _ = neighbors.squared_neighbors(form(X), 4, metric=metric)
    own_copies = [[j for j in range(5 * (i // 5), 5 * (i // 5) + 5) if j != i] for i in range(30)]
    assert_array_equal(np.sort(indices, axis=1), own_copies)


@pytest.mark.parametrize("metric", ["manhattan", "precomputed"])
def test_other_metrics_list_the_smallest_distances_ascending_among_ties(metric):
    X = points("grid", 60, 3, seed=14)
    D = pairwise_distances(X, metric="manhattan")
    data = D if metric == "precomputed" else X
    indices, squared = neighbors.squared_neighbors(data, 20, metric=metric)
    expected = reference.nearest_of(D, 20)[1] ** 2
    assert_array_equal(squared, expected)
    assert_array_equal(np.take_along_axis(D, indices.astype(np.int64), axis=1) ** 2, expected)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_sparse_input_gives_the_neighbors_of_the_dense(container, metric):
    rng = np.random.default_rng(15)
    X = rng.normal(size=(100, 30)) * (rng.uniform(size=(100, 30)) < 0.3)
    found = neighbors.squared_neighbors(container(X), 12, metric=metric)
    assert_found(found, neighbors.squared_neighbors(X, 12, metric=metric), rtol=1e-9)
