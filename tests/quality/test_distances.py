"""quality.py against definitions written out in NumPy."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import quality as oracle_quality
from reference import tsne as reference
from scipy import sparse
from sklearn.metrics import pairwise_distances

from fasttsne import affinity
from fasttsne.quality import (
    distance_correlation,
    kl_divergence,
    knn_accuracy,
    neighbor_recall,
    report,
)

# Small integers, so that distances are exact and many are tied.
GRIDS = hnp.arrays(
    np.float64, st.tuples(st.just(12), st.integers(1, 3)), elements=st.integers(-3, 3)
)


def recall_by_definition(X, Y, k):
    in_data, _ = reference.nearest_neighbors(X, k)
    on_map, _ = reference.nearest_neighbors(Y, k)
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(in_data, on_map, strict=True)])


def accuracy_by_definition(Y, labels, k):
    hits = []
    for own, voters in zip(labels, reference.nearest_neighbors(Y, k)[0], strict=True):
        ballots = [labels[j] for j in voters]
        most = max(ballots.count(c) for c in ballots)
        hits.append(own == next(c for c in ballots if ballots.count(c) == most))
    return np.mean(hits)


@given(GRIDS, GRIDS, st.integers(1, 11))
def test_recall_is_its_definition(X, Y, k):
    assert neighbor_recall(X, Y, n_neighbors=k) == pytest.approx(recall_by_definition(X, Y, k))


@given(GRIDS, hnp.arrays(np.int64, 12, elements=st.integers(0, 3)), st.integers(1, 11))
def test_accuracy_is_its_definition(Y, labels, k):
    assert knn_accuracy(Y, labels, n_neighbors=k) == accuracy_by_definition(Y, labels, k)


def test_recall_of_a_similar_map_is_one():
    X = np.random.default_rng(0).normal(size=(60, 2))
    turned = 7 * X @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 100
    assert neighbor_recall(X, turned) == 1.0


def test_recall_of_a_shuffled_map_is_chance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 2))
    assert neighbor_recall(X, rng.permutation(X)) == pytest.approx(10 / 1_999, abs=0.002)


def test_points_are_not_their_own_neighbours():
    X = np.zeros((5, 2))
    assert neighbor_recall(X, X, n_neighbors=4) == 1.0
    # Alone of its class each point is outvoted by the others, on top of it as they are.
    assert knn_accuracy(X, ["a", "b", "c", "d", "e"], n_neighbors=1) == 0.0


def test_tied_votes_go_to_the_nearest_member():
    labels = ["a", "b", "b", "a", "a"]
    embedding = np.array([[0.0], [1.0], [2.0], [-2.5], [-3.0]])
    # The first sees b, b, a, a: b is nearer and wins, which is wrong. Of the rest, the second
    # and the third see b a a a, wrong; the last two see a a b b, right.
    assert knn_accuracy(embedding, labels, n_neighbors=4) == 2 / 5
    # With the last two moved closer the first is right as well.
    embedding[3:] = [[-0.5], [-0.75]]
    assert knn_accuracy(embedding, labels, n_neighbors=4) == 3 / 5


@pytest.mark.parametrize(
    "labels",
    [
        ["x", "x", "x", "y", "y", "y"],
        np.array(["x", "x", "x", "y", "y", "y"], dtype=object),
        [True, True, True, False, False, False],
        np.array([-1.0, -1.0, -1.0, 9.0, 9.0, 9.0]),
        pd.Series([1, 1, 1, 2, 2, 2], index=list("fedcba")),
        pd.Series(["x", "x", "x", "y", "y", "y"], dtype="category"),
        pl.Series([1, 1, 1, 2, 2, 2]),
    ],
    ids=["list", "object", "bool", "float", "pandas", "category", "polars"],
)
def test_labels_of_many_kinds(labels):
    embedding = [[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]]
    assert knn_accuracy(embedding, labels, n_neighbors=2) == 1.0


@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.coo_matrix, np.asfortranarray, list])
def test_recall_takes_data_in_many_forms(convert):
    X = np.random.default_rng(0).normal(size=(100, 5))
    Y = X[:, 1:3]
    assert neighbor_recall(convert(X), Y) == neighbor_recall(X, Y)


def test_inputs_are_left_alone(small_digits):
    X = small_digits.copy()
    Y, labels = X[:, 18:20].copy(), np.arange(len(X)) % 10
    copies = X.copy(), Y.copy(), labels.copy()
    neighbor_recall(X, Y)
    knn_accuracy(Y, labels)
    kl_divergence(X, Y)
    for now, before in zip((X, Y, labels), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0, None])
def test_kl_divergence_is_its_definition(small_digits, n_components, nu):
    X, Y = small_digits[:120], np.random.default_rng(0).normal(size=(120, n_components)) * 5
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), 20.0)
    expected = reference.kl_divergence(joint, Y, max(n_components - 1, 1) if nu is None else nu)
    actual = kl_divergence(X, Y, perplexity=20.0, degrees_of_freedom=nu)
    assert actual == pytest.approx(expected, rel=1e-5)


def test_kl_divergence_of_data_far_from_the_origin():
    # Multiples of 2^-10, so that adding the offset does not round.
    X = np.round(np.random.default_rng(0).normal(size=(200, 10)) * 1024) / 1024
    Y = X[:, :2]
    assert kl_divergence(X + 1e7, Y) == pytest.approx(kl_divergence(X, Y), rel=1e-9)


def test_kl_divergence_of_sparse_data_with_entries_given_twice(small_digits):
    X = sparse.csr_array(small_digits)
    twice = sparse.csr_array((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr))
    Y = small_digits[:, 18:20]
    assert kl_divergence(twice, Y) == kl_divergence(X, Y)
    assert neighbor_recall(twice, Y) == neighbor_recall(X, Y)


def test_kl_divergence_is_zero_where_two_points_are_all_there_is():
    # However far apart: Q knows one pair only.
    far = [[0.0], [100.0]]
    assert kl_divergence([[0.0], [1.0]], far, perplexity=1, degrees_of_freedom=1000.0) == 0.0


def test_kl_divergence_is_not_negative_by_rounding():
    assert kl_divergence(np.eye(4), np.zeros((4, 2)), perplexity=3) == 0.0


def test_kl_divergence_with_one_huge_outlier():
    X = np.random.default_rng(0).normal(size=(200, 10))
    Y = X[:, :2]
    far, far_on_map = np.vstack([X, X[:1] + 1e30]), np.vstack([Y, Y[:1]])
    assert kl_divergence(far, far_on_map) == pytest.approx(kl_divergence(X, Y), rel=0.1)


@pytest.mark.parametrize("exponent", [-1000, -500, 500, 1000])
def test_kl_divergence_does_not_depend_on_the_unit(exponent):
    X = np.random.default_rng(0).normal(size=(200, 10))
    Y = X[:, :2]
    assert kl_divergence(np.ldexp(X, exponent), Y) == kl_divergence(X, Y)


N_NEIGHBORS = [
    (0, ValueError, "n_neighbors == 0"),
    (-1, ValueError, "n_neighbors == -1"),
    (20, ValueError, r"n_neighbors \(20\) must be less than n_samples \(20\)"),
    (2.5, TypeError, "n_neighbors must be an instance of int"),
    ("auto", TypeError, "n_neighbors must be an instance of int"),
    (None, TypeError, "n_neighbors must be an instance of int"),
]


@pytest.mark.parametrize(("n_neighbors", "error", "message"), N_NEIGHBORS)
def test_bad_n_neighbors(n_neighbors, error, message):
    X = np.arange(40.0).reshape(20, 2)
    with pytest.raises(error, match=message):
        neighbor_recall(X, X, n_neighbors=n_neighbors)
    with pytest.raises(error, match=message):
        knn_accuracy(X, np.arange(20) % 2, n_neighbors=n_neighbors)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused_by_name(bad):
    good = np.arange(40.0).reshape(20, 2)
    holed = good.copy()
    holed[3, 1] = bad
    labels = np.arange(20) % 2
    for function in neighbor_recall, kl_divergence:
        with pytest.raises(ValueError, match="Input X contains"):
            function(holed, good)
        with pytest.raises(ValueError, match="Input embedding contains"):
            function(good, holed)
    with pytest.raises(ValueError, match="Input embedding contains"):
        knn_accuracy(holed, labels)


def test_infinite_labels_are_refused():
    good = np.arange(40.0).reshape(20, 2)
    with pytest.raises(ValueError, match="Input labels contains"):
        knn_accuracy(good, np.where(np.arange(20) == 0, np.inf, 1.0))


def test_lengths_must_agree():
    X = np.arange(40.0).reshape(20, 2)
    for call in (
        lambda: neighbor_recall(X, X[:-1]),
        lambda: kl_divergence(X, X[:-1], perplexity=5),
        lambda: knn_accuracy(X, np.zeros(19)),
    ):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: (20|19)"):
            call()


MISSING = [
    np.array([0.0, 0.0, np.nan, 0.0, 1.0, 1.0, 1.0, np.nan]),
    ["a", "a", None, "a", "b", "b", "b", None],
    np.array(["a", "a", np.nan, "a", "b", "b", "b", None], dtype=object),
    pd.Series(["a", "a", pd.NA, "a", "b", "b", "b", pd.NA], dtype="string"),
    pd.Series(["a", "a", None, "a", "b", "b", "b", None], dtype="category"),
    pd.Series([1, 1, None, 1, 2, 2, 2, None], dtype="Int64"),
    pl.Series(["a", "a", None, "a", "b", "b", "b", None]),
    ["a", "a", float("nan"), "a", "b", "b", "b", np.nan],
    [1, 1, np.nan, 1, 2, 2, 2, None],
    np.ma.masked_equal([1, 1, 0, 1, 2, 2, 2, 0], 0),
    np.ma.array(["a", "a", "", "a", "b", "b", "b", ""], mask=[0, 0, 1, 0, 0, 0, 0, 1]),
    [1, 1, np.ma.masked, 1, 2, 2, 2, np.ma.masked],
    np.array(["2001", "2001", "NaT", "2001", "2002", "2002", "2002", "NaT"], "datetime64[Y]"),
    [*map(Decimal, ["1.5", "1.5", "nan", "1.5", "2", "2", "2", "snan"])],
    # Integers that floats would merge.
    [2**60, 2**60, None, 2**60, 2**60 + 1, 2**60 + 1, 2**60 + 1, np.nan],
    pd.Series([2**60] * 2 + [None, 2**60] + [2**60 + 1] * 3 + [None], dtype="category"),
]
if hasattr(getattr(np, "dtypes", None), "StringDType"):
    _STRINGS = np.dtypes.StringDType(na_object=np.nan)
    MISSING.append(np.array(["a", "a", np.nan, "a", "b", "b", "b", np.nan], dtype=_STRINGS))


@pytest.mark.parametrize("labels", MISSING, ids=range(len(MISSING)))
def test_points_without_a_label_are_left_out(labels):
    # Those without would be the nearest of some, and would lose them a vote.
    embedding = np.array([0.0, 1.0, 10.9, 2.0, 10.0, 11.0, 12.0, 1.1])[:, np.newaxis]
    assert knn_accuracy(embedding, labels, n_neighbors=2) == 1.0
    hits = knn_accuracy(embedding, labels, n_neighbors=2, per_sample=True)
    np.testing.assert_array_equal(hits, [1, 1, np.nan, 1, 1, 1, 1, np.nan])
    rows = [7, 4, 2]
    hits = knn_accuracy(embedding, labels, n_neighbors=2, per_sample=True, sample=rows)
    np.testing.assert_array_equal(hits, [np.nan, 1, np.nan])
    with pytest.raises(ValueError, match=r"n_neighbors \(6\) .* label \(6 of 8\)"):
        knn_accuracy(embedding, labels, n_neighbors=6)
    with pytest.raises(ValueError, match="labels are missing for all points that are judged"):
        knn_accuracy(embedding, labels, n_neighbors=2, sample=[2, 7])
    with pytest.raises(ValueError, match="labels are all missing"):
        knn_accuracy(embedding, [None] * 8, n_neighbors=2)


def test_one_class_and_thousands_of_classes():
    Y = np.random.default_rng(0).normal(size=(20_000, 2))
    assert knn_accuracy(Y[:500], np.zeros(500)) == 1.0
    pairs = np.arange(20_000) // 2
    Y[1::2] = Y[::2] + 1e-9  # partners in classes of two lie side by side
    assert knn_accuracy(Y, pairs, n_neighbors=1) == 1.0
    assert knn_accuracy(Y, np.arange(20_000) % 10_000, n_neighbors=1) < 0.01


@pytest.mark.parametrize("form", ["dense", "csr", "joint"])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_kl_divergence_from_given_probabilities(small_digits, form, nu):
    Y = np.random.default_rng(0).normal(size=(300, 2)) * 5
    squared = reference.squared_distances(small_digits)
    indices, squares = reference.nearest_of(squared, 30)
    conditional, _ = reference.conditional_probabilities(squares, 10.0)
    P = reference.joint_probabilities(indices, conditional)
    expected = oracle_quality.kl_shares(P.toarray(), Y, nu)
    if form == "dense":
        P = P.toarray()
    elif form == "joint":
        P = affinity.JointProbabilities(
            P.indptr.astype(np.int64), P.indices.astype(np.int32), P.data.astype(np.float32)
        )
    shares = kl_divergence(P, Y, perplexity=None, degrees_of_freedom=nu, per_sample=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-6, atol=1e-9)
    divergence = kl_divergence(P, Y, perplexity=None, degrees_of_freedom=nu)
    assert divergence == pytest.approx(expected.sum(), rel=1e-6 if form == "joint" else 1e-12)


def test_kl_divergence_of_each_point(small_digits):
    Y = np.random.default_rng(0).normal(size=(300, 2)) * 5
    P = reference.joint_probabilities_dense(reference.squared_distances(small_digits), 20.0)
    shares = kl_divergence(small_digits, Y, perplexity=20.0, per_sample=True)
    np.testing.assert_allclose(shares, oracle_quality.kl_shares(P, Y, 1.0), rtol=1e-7)


@pytest.mark.parametrize("metric", ["cosine", "sqeuclidean", "manhattan", "precomputed"])
def test_kl_divergence_by_other_metrics(small_digits, metric):
    X, Y = small_digits[:100] + 1.0, np.random.default_rng(0).normal(size=(100, 2)) * 5
    distances = pairwise_distances(X, metric="cosine" if metric == "precomputed" else metric)
    if metric == "precomputed":  # need not be symmetric: p_j|i is of row i
        distances = np.abs(distances + 0.1 * np.random.default_rng(1).uniform(size=(100, 100)))
        np.fill_diagonal(distances, 0)
        X = distances
    P = reference.joint_probabilities_dense(distances**2, 20.0)
    expected = reference.kl_divergence(P, Y, 1.0)
    assert kl_divergence(X, Y, perplexity=20.0, metric=metric) == pytest.approx(expected, rel=1e-6)


def test_kl_divergence_with_duplicates_and_extreme_perplexities():
    X = np.repeat(np.random.default_rng(0).normal(size=(8, 3)), 5, axis=0)
    Y = np.random.default_rng(1).normal(size=(40, 2))
    for perplexity in 0.5, 2.0, 39.0:  # the nearest four are tied: no perplexity below four
        P = reference.joint_probabilities_dense(reference.squared_distances(X), perplexity)
        expected = reference.kl_divergence(P, Y, 1.0)
        assert kl_divergence(X, Y, perplexity=perplexity) == pytest.approx(expected, rel=1e-6)


def test_bad_probabilities():
    P = np.full((5, 5), 1 / 20)
    Y = np.zeros((5, 2))
    with pytest.raises(ValueError, match="X must be 0 on its diagonal"):
        kl_divergence(P, Y, perplexity=None)
    np.fill_diagonal(P, 0)
    assert kl_divergence(P, Y, perplexity=None) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match=r"X must sum to 1 .* sums to 20"):
        kl_divergence(20 * P, Y, perplexity=None)
    with pytest.raises(ValueError, match="negative"):
        kl_divergence(-P, Y, perplexity=None)
    with pytest.raises(ValueError, match="square"):
        kl_divergence(P[:, :4], Y, perplexity=None)
    with pytest.raises(ValueError, match="embedding has values of magnitude above"):
        kl_divergence(P, Y + 1e200, perplexity=None)


def test_labels_must_be_a_vector_of_one_kind():
    X = np.arange(40.0).reshape(20, 2)
    with pytest.raises(ValueError, match=r"labels must be one-dimensional.*\(20, 2\)"):
        knn_accuracy(X, X)
    mixed = np.array([1, "a"] * 10, dtype=object)
    with pytest.raises(TypeError, match="labels must be all numbers or all strings"):
        knn_accuracy(X, mixed)


@pytest.mark.parametrize("measure", [kl_divergence, distance_correlation])
def test_one_sample_makes_no_pair(measure):
    with pytest.raises(ValueError, match=r"X and embedding must have at least 2 samples.*got 1"):
        measure(np.zeros((1, 3)), np.zeros((1, 2)))


@pytest.mark.parametrize("n_neighbors", [True, np.True_])
def test_a_truth_value_is_no_number_of_neighbours(n_neighbors):
    X = np.arange(40.0).reshape(20, 2)
    for call in (
        lambda: neighbor_recall(X, X, n_neighbors=n_neighbors),
        lambda: knn_accuracy(X, np.zeros(20), n_neighbors=n_neighbors),
        lambda: report(X, X, n_neighbors=n_neighbors),
    ):
        with pytest.raises(TypeError, match=f"n_neighbors must be an integer; got .*{n_neighbors}"):
            call()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"perplexity": 0}, ValueError, "perplexity == 0"),
        ({"perplexity": 20}, ValueError, r"perplexity \(20\) must be less than n_samples \(20\)"),
        ({"perplexity": "30"}, TypeError, "perplexity must be an instance of"),
        ({"perplexity": 5, "degrees_of_freedom": 0}, ValueError, "degrees_of_freedom == 0"),
        ({"perplexity": 5, "degrees_of_freedom": "a"}, TypeError, "degrees_of_freedom must be"),
    ],
)
def test_bad_parameters_of_kl_divergence(parameters, error, message):
    X = np.arange(40.0).reshape(20, 2)
    with pytest.raises(error, match=message):
        kl_divergence(X, X, **parameters)
