"""Measures of neighbourhoods and distances against matrices of all ranks, and their errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from reference import quality as oracle_quality
from reference import tsne as reference
from scipy import sparse, stats
from sklearn import manifold
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer

from fasttsne.neighbors import nearest_neighbors
from fasttsne.quality import (
    continuity,
    distance_correlation,
    kl_divergence,
    knn_accuracy,
    neighbor_recall,
    neighborhood_ndcg,
    q_nx,
    r_nx,
    r_nx_auc,
    report,
    trustworthiness,
)

# Small integers, so that distances are exact and many are tied, and some points coincide.
N = 13
GRIDS = hnp.arrays(
    np.float64, st.tuples(st.just(N), st.integers(1, 3)), elements=st.integers(-3, 3)
)
OF_ONE_SIZE = {
    "trustworthiness": (trustworthiness, oracle_quality.trustworthiness),
    "continuity": (continuity, lambda rho, r, k: oracle_quality.trustworthiness(r, rho, k)),
    "neighbor_recall": (neighbor_recall, oracle_quality.recall),
    "neighborhood_ndcg": (neighborhood_ndcg, oracle_quality.ndcg),
}
one_size = pytest.mark.parametrize(("measure", "oracle"), OF_ONE_SIZE.values(), ids=OF_ONE_SIZE)
LESS_THAN_HALF = [trustworthiness, continuity]
WITHOUT_RANKS = [continuity, neighbor_recall, neighborhood_ndcg]
EVERY = [*(measure for measure, _ in OF_ONE_SIZE.values()), r_nx_auc, distance_correlation]


@pytest.fixture(scope="module")
def data():
    """Data far from the origin, without ties, and a map that keeps some neighbours."""
    X = np.random.default_rng(0).normal(size=(150, 6)) + 1e6
    return X, X[:, :2] + np.random.default_rng(1).normal(size=(150, 2))


# ---- Definitions ---------------------------------------------------------------------------------


@one_size
@given(GRIDS, GRIDS, st.integers(1, N - 1))
def test_measures_of_one_size_are_their_definitions(measure, oracle, X, Y, k):
    k = min(k, 6) if measure in LESS_THAN_HALF else k
    expected = oracle(oracle_quality.ranks(X), oracle_quality.ranks(Y), k)
    actual = measure(X, Y, n_neighbors=k, per_sample=True)
    assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)
    assert measure(X, Y, n_neighbors=k) == pytest.approx(expected.mean(), rel=1e-13)


@given(GRIDS, GRIDS)
def test_curves_are_those_of_the_coranking_matrix(X, Y):
    matrix = oracle_quality.coranking(oracle_quality.ranks(X), oracle_quality.ranks(Y))
    sizes, kept = q_nx(X, Y)
    assert_array_equal(sizes, np.arange(1, N))
    assert_allclose(kept, oracle_quality.q_nx(matrix), rtol=1e-13)
    sizes, improvement = r_nx(X, Y)
    assert_array_equal(sizes, np.arange(1, N - 1))
    assert_allclose(improvement, oracle_quality.r_nx(matrix), rtol=1e-12, atol=1e-13)
    expected = oracle_quality.r_nx_auc(matrix)
    assert r_nx_auc(X, Y) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@given(GRIDS, GRIDS)
def test_correlation_is_spearmans(X, Y):
    pairs = np.triu_indices(N, 1)
    in_data, on_map = (reference.squared_distances(array)[pairs] for array in (X, Y))
    if np.ptp(in_data) == 0 or np.ptp(on_map) == 0:
        return
    expected = stats.spearmanr(in_data, on_map)[0]
    assert distance_correlation(X, Y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("k", "metric"),
    [*((k, "euclidean") for k in (1, 5, 74)), *((7, m) for m in ("cosine", "l1", "chebyshev"))],
)
def test_trustworthiness_is_scikit_learns(data, k, metric):
    X, Y = (array - 1e6 for array in data)  # scikit-learn's distances would lose the digits
    expected = manifold.trustworthiness(X, Y, n_neighbors=k, metric=metric)
    actual = trustworthiness(X, Y, n_neighbors=k, metric=metric)
    assert actual == pytest.approx(expected, abs=1e-12)
    expected = manifold.trustworthiness(Y, X, n_neighbors=k)
    assert continuity(X, Y, n_neighbors=k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_a_perfect_map_has_full_marks(data, scale):
    X = data[0] * scale
    turned = (data[0] - 1e6)[:, ::-1] * 1024
    for measure in EVERY:
        assert measure(X, data[0] * 4.0) == 1.0
        assert measure(X, turned) == pytest.approx(1.0, abs=1e-3)  # the offset cost digits


def test_a_common_offset_costs_nothing():
    # Multiples of 2^-10, so that adding the offset does not round.
    X = np.round(np.random.default_rng(0).normal(size=(120, 5)) * 1024) / 1024
    Y = X[:, 1:3]
    for measure in EVERY:
        assert measure(X + 1e7, Y - 1e7) == measure(X, Y)
    assert kl_divergence(X + 1e7, Y) == pytest.approx(kl_divergence(X, Y), rel=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_a_sample_of_pairs_is_near_all_of_them(data, metric):
    X, Y = data[0] - 1e6, data[1]
    everything = distance_correlation(X, Y, metric=metric)
    drawn, again, other = (
        distance_correlation(X, Y, metric=metric, n_pairs=5000, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert drawn == again != other
    assert drawn != everything
    assert drawn == pytest.approx(everything, abs=0.05)


# ---- Metrics and forms of data -------------------------------------------------------------------


def manhattan(a, b):
    return np.abs(a - b).sum()


@pytest.mark.parametrize("measure", EVERY)
def test_metrics_in_many_guises(data, measure):
    X, Y = data[0] - 1e6, data[1]
    expected = measure(X, Y, metric="manhattan")
    matrix = pairwise_distances(X, metric="manhattan")
    assert measure(matrix, Y, metric="precomputed") == expected
    assert measure(sparse.csr_matrix(X), Y, metric="manhattan") == expected
    assert measure(X, Y, metric="minkowski", metric_params={"p": 1}) == expected
    assert measure(X[:40], Y[:40], metric=manhattan) == measure(X[:40], Y[:40], metric="manhattan")
    expected = measure(X, Y)
    for convert in sparse.csr_array, sparse.coo_matrix, np.asfortranarray, list:
        assert measure(convert(X), Y) == expected
    assert measure(X, Y, metric="sqeuclidean") == expected
    assert measure(pairwise_distances(X), Y, metric="precomputed") == expected
    for row in X[3], 0.0:  # scikit-learn defines the angle to a zero vector
        X[3] = row
        cosines = pairwise_distances(X, metric="cosine")
        assert measure(X, Y, metric="cosine") == measure(cosines, Y, metric="precomputed")


def test_metrics_of_booleans(data):
    X = data[0] > 1e6
    matrix = pairwise_distances(X, metric="jaccard")
    expected = trustworthiness(matrix, data[1], metric="precomputed")
    assert trustworthiness(X.astype(float), data[1], metric="jaccard") == expected


# ---- Known neighbours ----------------------------------------------------------------------------


@pytest.mark.parametrize("measure", WITHOUT_RANKS)
def test_known_neighbours_save_the_search(data, measure):
    X, Y = data
    indices, _ = nearest_neighbors(X, 20)
    graph = KNeighborsTransformer(n_neighbors=20).fit_transform(X - 1e6)
    for options in {"sample": None}, {"sample": 30, "random_state": 0}:
        expected = measure(X, Y, **options)
        assert measure(None, Y, data_neighbors=indices, **options) == expected
        assert measure(graph, Y, metric="precomputed", **options) == expected


@pytest.mark.parametrize("measure", WITHOUT_RANKS)
def test_bad_known_neighbours(data, measure):
    indices = nearest_neighbors(data[0], 12)[0]
    twice, itself, beyond = indices.copy(), indices.copy(), indices.copy()
    twice[5, 1] = twice[5, 0]
    itself[5, 1] = 5
    beyond[5, 1] = 150
    for bad, message in (
        (indices[:, :9], r"data_neighbors has 9 .* fewer than n_neighbors \(10\)"),
        (indices[:-1], "data_neighbors and embedding have inconsistent"),
        (indices[0], "data_neighbors must have shape"),
        (indices * 1.0, "data_neighbors must hold integers"),
        (twice, "data_neighbors must be distinct"),
        (itself, "data_neighbors must be distinct"),
        (beyond, "data_neighbors must hold integers from 0 to 149"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(None, data[1], data_neighbors=bad)


@pytest.mark.parametrize(
    "measure", [trustworthiness, q_nx, r_nx, r_nx_auc, distance_correlation, kl_divergence]
)
def test_a_graph_of_neighbours_has_no_ranks(data, measure):
    graph = KNeighborsTransformer(n_neighbors=20).fit_transform(data[0])
    with pytest.raises(ValueError, match="X with metric='precomputed' is a sparse graph"):
        measure(graph, data[1], metric="precomputed")


# ---- Samples -------------------------------------------------------------------------------------


@one_size
def test_a_sample_is_ranked_against_all_points(data, measure, oracle):
    X, Y = data
    everything = oracle(oracle_quality.ranks(X), oracle_quality.ranks(Y), 10)
    rows = [140, 3, 77]
    found = measure(X, Y, sample=rows, per_sample=True)
    assert_allclose(found, everything[rows], rtol=1e-13)
    drawn = measure(X, Y, sample=40, random_state=5, per_sample=True)
    chosen = np.sort(np.random.RandomState(5).choice(150, 40, replace=False))
    assert_allclose(drawn, everything[chosen], rtol=1e-13)
    assert len(measure(X, Y, sample=0.2, random_state=5, per_sample=True)) == 30
    assert measure(X, Y, sample=1.0) == measure(X, Y, sample=150) == measure(X, Y)


def test_curves_of_a_sample(data):
    X, Y = data
    rho, r = oracle_quality.ranks(X), oracle_quality.ranks(Y)
    rows = [5, 99, 20]
    larger = np.bincount(np.maximum(rho, r)[rows].ravel(), minlength=150)[1:]
    _, kept = q_nx(X, Y, sample=rows)
    assert_allclose(kept, np.cumsum(larger) / (3 * np.arange(1, 150)))


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (0, ValueError, r"sample=0 must be from 1 to n_samples \(150\)"),
        (151, ValueError, r"sample=151 must be from 1 to n_samples \(150\)"),
        (0.0, ValueError, "sample=0.0 must be above 0 and at most 1"),
        (50.0, ValueError, "sample=50.0 must be above 0 and at most 1"),
        (np.nan, ValueError, "sample=nan must be above 0 and at most 1"),
        (True, ValueError, "sample must hold integers from 0 to 149; got bool"),
        ("all", ValueError, "sample must hold integers from 0 to 149; got <U3"),
        ([0.5], ValueError, "sample must hold integers from 0 to 149; got float64"),
        ([], ValueError, "sample must be an integer, a float, or a one-dim"),
        ([[1]], ValueError, "sample must be an integer, a float, or a one-dim"),
        ([150], ValueError, "sample must hold integers from 0 to 149"),
        ([-1], ValueError, "sample must hold integers from 0 to 149"),
        ([1, 1], ValueError, "sample must not contain a row twice"),
    ],
)
def test_bad_samples(data, sample, error, message):
    for measure in trustworthiness, q_nx, report:
        with pytest.raises(error, match=message):
            measure(*data, sample=sample)


# ---- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [*EVERY, q_nx, r_nx, kl_divergence, report])
def test_bad_arrays(data, measure):
    X, Y = data
    for bad in np.nan, np.inf:
        holed = Y.copy()
        holed[3, 1] = bad
        with pytest.raises(ValueError, match="Input embedding contains"):
            measure(X, holed)
        with pytest.raises(ValueError, match="Input X contains"):
            measure(holed, Y)
        with pytest.raises(ValueError, match="Input embedding contains"):
            knn_accuracy(holed, np.zeros(150))
    for arguments, options, message in (
        ((X, Y[:-1]), {}, r"X and embedding have inconsistent .*: 150"),
        ((X, Y), {"metric": "precomputed"}, "X must be a square matrix of distances"),
        ((-pairwise_distances(X), Y), {"metric": "precomputed"}, "distances should be positive"),
        ((X, Y), {"metric": lambda a, b: np.nan}, "NaN or infinite"),
        ((X, Y), {"metric": "no such metric"}, "metric"),
        ((X, Y), {"n_jobs": 0}, "n_jobs"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(*arguments, **options)
    with pytest.raises(ValueError, match="metric=3 must be one of"):
        measure(X, Y, metric=3)


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, r"n_neighbors \(0\) must be at least 1"),
        (150, ValueError, r"n_neighbors \(150\) must be .*less than n_samples \(150\)"),
        (1.5, TypeError, "n_neighbors=1.5 must be an integer"),
        (True, TypeError, "n_neighbors=True must be an integer"),
        (np.True_, TypeError, "n_neighbors=.*True_? must be an integer"),
    ],
)
def test_bad_n_neighbors(data, k, error, message):
    for measure in (*(measure for measure, _ in OF_ONE_SIZE.values()), report):
        with pytest.raises(error, match=message):
            measure(*data, n_neighbors=k)
    with pytest.raises(error, match=message):
        knn_accuracy(data[1], np.arange(150) % 2, n_neighbors=k)


@pytest.mark.parametrize("measure", [*LESS_THAN_HALF, report])
def test_neighbourhoods_of_half_of_all_points(data, measure):
    with pytest.raises(ValueError, match=r"n_neighbors \(75\) must be less than half of n_samples"):
        measure(*data, n_neighbors=75)
    measure(*data, n_neighbors=74)


def test_constant_maps_have_no_distances_to_correlate(data):
    X, Y = data
    for in_data, on_map, name in ((X, np.ones_like(Y), "embedding"), (np.ones_like(X), Y, "X")):
        with pytest.raises(ValueError, match=f"{name} is constant"):
            distance_correlation(in_data, on_map)
    # The ranks are those of the indices, which have nothing to do with the data.
    for measure, _ in OF_ONE_SIZE.values():
        assert 0.0 <= measure(X, np.zeros_like(Y)) < 0.7


def test_too_few_points():
    X = np.arange(2.0)[:, None]
    assert neighbor_recall(X, X, n_neighbors=1) == 1.0
    for measure in q_nx, r_nx, r_nx_auc:
        with pytest.raises(ValueError, match="X and embedding must have at least 3 samples"):
            measure(X, X)
    for measure in kl_divergence, distance_correlation:
        with pytest.raises(
            ValueError, match=r"X and embedding must have at least 2 samples.*got 1"
        ):
            measure(X[:1], X[:1])
    with pytest.raises(ValueError, match="X is constant or too small"):
        distance_correlation(X, X)
    with pytest.raises(ValueError, match="n_pairs == 1"):
        distance_correlation(X, X, n_pairs=1)
