"""fasttsne.metric_learning.ranking: measures of rankings."""

import warnings
from itertools import permutations

import numpy as np
import pytest
import reference.ranking as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, make_scorer
from sklearn.metrics import dcg_score as sklearn_dcg_score
from sklearn.metrics import ndcg_score as sklearn_ndcg_score
from sklearn.model_selection import cross_val_score

from fasttsne import metric_learning
from fasttsne.metric_learning import dcg_score, ndcg_score, queries

BOTH = [dcg_score, ndcg_score]
WITH_K = ["average_precision", "reciprocal_rank", "precision_at_k", "recall_at_k", "hit_rate"]
BINARY = [*WITH_K, "r_precision", "map_at_r"]
GRADED = ["graded_average_precision", "expected_reciprocal_rank", "rank_biased_precision"]
WITHOUT_UNDEFINED = ["dcg_score", "precision_at_k", *GRADED[1:]]
MEASURES = ["dcg_score", "ndcg_score", *BINARY, *GRADED]

every_measure = pytest.mark.parametrize("name", MEASURES)


def measure(name, y_true, y_score, **params):
    """A measure by its name, with a k where it needs one."""
    needs_k = name in ("precision_at_k", "recall_at_k", "hit_rate")
    return getattr(metric_learning, name)(y_true, y_score, **({"k": 3} if needs_k else {}) | params)


@st.composite
def ragged(draw):
    """Relevance, scores full of ties, and sizes of a few queries."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    n = sum(sizes)
    y_true = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    y_score = draw(st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.5, 2.0]), min_size=n, max_size=n))
    return np.array(y_true), np.array(y_score), sizes


def each(y_true, y_score, sizes):
    """Relevance and scores of one query after the other."""
    ends = np.cumsum(sizes)
    return [(y_true[e - s : e], y_score[e - s : e]) for s, e in zip(sizes, ends, strict=True)]


Y, S = [10, 0, 0, 1, 5], [0.1, 0.2, 0.3, 4, 70]


@pytest.mark.parametrize("gain", ["linear", "exponential"])
@pytest.mark.parametrize("ties", ["average", "stable"])
@given(data=ragged(), k=st.none() | st.integers(1, 9))
def test_dcg_and_ndcg_are_their_definitions(gain, ties, data, k):
    params = {"k": k, "gain": gain, "ties": ties}
    expected = [reference.dcg(*query, **params) for query in each(*data)]
    y_true, y_score, sizes = data
    actual = dcg_score(y_true, y_score, groups=sizes, per_query=True, **params)
    assert_allclose(actual, expected, rtol=1e-12)

    expected = [reference.ndcg(*query, **params) for query in each(*data)]
    expected = [-1.0 if value is None else value for value in expected]
    actual = ndcg_score(y_true, y_score, groups=sizes, per_query=True, undefined=-1.0, **params)
    assert_allclose(actual, expected, rtol=1e-12)
    assert actual.max() <= 1.0


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("ties", ["average", "stable"])
@given(data=ragged(), k=st.integers(1, 9))
def test_binary_measures_are_their_definitions(name, ties, data, k):
    y_true, y_score, sizes = data
    params = {"ties": ties} | ({"k": k} if name in WITH_K else {})
    expected = [reference.binary(name, *query, **params) for query in each(*data)]
    expected = [-1.0 if value is None else value for value in expected]
    if name != "precision_at_k":
        params["undefined"] = -1.0
    actual = measure(name, y_true, y_score, groups=sizes, per_query=True, **params)
    assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("name", GRADED)
@pytest.mark.parametrize("ties", ["average", "stable"])
@given(data=ragged(), k=st.none() | st.integers(1, 9), persistence=st.floats(0.0, 0.99))
def test_graded_measures_are_their_definitions(name, ties, data, k, persistence):
    y_true, y_score, sizes = data
    params = {
        "graded_average_precision": {"undefined": -1.0},
        "expected_reciprocal_rank": {"k": k, "max_relevance": 4},
        "rank_biased_precision": {"persistence": persistence},
    }[name]
    known = {"k": k, "persistence": persistence, "ties": ties}
    expected = [reference.graded(name, *query, **known) for query in each(*data)]
    expected = [-1.0 if value is None else value for value in expected]
    actual = measure(name, y_true, y_score, groups=sizes, per_query=True, ties=ties, **params)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


@given(data=ragged(), persistence=st.floats(0.0, 0.99), seed=st.integers(0, 99))
def test_rank_biased_overlap_is_its_definition(data, persistence, seed):
    _, scores, sizes = data
    other = np.random.default_rng(seed).integers(-2, 3, size=len(scores)) / 2.0
    expected = [
        reference.rank_biased_overlap(*query, persistence) for query in each(scores, other, sizes)
    ]
    params = {"groups": sizes, "per_query": True, "persistence": persistence}
    actual = metric_learning.rank_biased_overlap(scores, other, **params)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def test_rank_biased_overlap_of_a_ranking_with_itself():
    scores = np.random.default_rng(0).normal(size=(20, 30))
    assert metric_learning.rank_biased_overlap(scores, 3.0 * scores - 1.0) == pytest.approx(1.0)
    assert metric_learning.rank_biased_overlap(scores, -scores, persistence=0.5) < 0.05


def test_rank_biased_overlap_notices_the_smallest_differences():
    scores = [2e-20, 1e-20, -1.0]  # equal after adding 1
    assert metric_learning.rank_biased_overlap(scores, [3.0, 2.0, 1.0]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"^scores and other_scores must have one shape"):
        metric_learning.rank_biased_overlap([1.0, 2.0], [1.0])


def test_graded_average_precision_of_two_levels_is_average_precision():
    rng = np.random.default_rng(6)
    y_true, y_score = rng.integers(0, 2, size=(50, 12)), rng.integers(0, 6, size=(50, 12))
    expected = metric_learning.average_precision(y_true, y_score, per_query=True)
    for gain in "linear", "exponential":
        actual = measure("graded_average_precision", y_true, y_score, per_query=True, gain=gain)
        assert_allclose(actual, expected, rtol=1e-12)


@pytest.mark.parametrize("k", [None, 1, 3])
def test_ndcg_with_propensities_is_ndcg_of_gains_over_propensities(k):
    rng = np.random.default_rng(7)
    y_true, y_score = rng.integers(0, 4, size=40).astype(float), rng.integers(0, 5, size=40)
    propensity, qid = rng.uniform(0.01, 1.0, size=40), rng.integers(0, 5, size=40)
    expected = ndcg_score(y_true / propensity, y_score, k=k, qid=qid)
    actual = ndcg_score(y_true, y_score, k=k, qid=qid, propensity=propensity)
    assert actual == pytest.approx(expected, rel=1e-12)
    assert abs(actual - ndcg_score(y_true, y_score, k=k, qid=qid)) > 1e-3
    for bad in (np.zeros(40), np.full(40, 1.5), np.ones(39), np.full(40, np.nan)):
        with pytest.raises(ValueError, match="propensity"):
            ndcg_score(y_true, y_score, qid=qid, propensity=bad)


@pytest.mark.parametrize("name", MEASURES)
def test_documents_that_were_not_retrieved_are_missed(name):
    """They count for the ideal and have no rank: as after many irrelevant documents."""
    y_true, y_score = [1, 0, 2, 1, 3], [3.0, 2.0, 1.0, -np.inf, -np.inf]
    many = 100_000
    expected = measure(
        name, [1, 0, 2, *[0] * many, 1, 3], [3.0, 2.0, *np.linspace(1.0, 0.0, many + 1), -1, -2]
    )
    if name in ("dcg_score", "ndcg_score"):
        expected = measure(name, [1, 0, 2, 0, 0], y_score)
        best = metric_learning.dcg_score([1, 0, 2, 1, 3], [1, 0, 2, 1, 3])
        expected = expected if name == "dcg_score" else expected * (2 + 1 / np.log2(3)) / best
    assert measure(name, y_true, y_score) == pytest.approx(expected, rel=1e-4)
    assert measure(name, y_true, [-np.inf] * 5) == 0.0


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("rank_biased_precision", {"persistence": 1.0}, "persistence=1.0 must be at least 0"),
        ("rank_biased_precision", {"persistence": "0.5"}, "persistence='0.5' must be"),
        ("expected_reciprocal_rank", {"max_relevance": 1}, "max_relevance=1 is below 2"),
        ("expected_reciprocal_rank", {"k": 0}, "k=0 must be"),
        ("graded_average_precision", {"gain": "quadratic"}, "gain="),
    ],
)
def test_bad_parameters_of_graded_measures_are_refused(name, params, message):
    with pytest.raises(ValueError, match=message):
        measure(name, [2, 0], [1.0, 2.0], **params)


@every_measure
def test_a_constant_model_gains_nothing_from_the_order_of_rows(name):
    y_true = np.array([2, 1, 0, 0, 0, 1])
    values = {measure(name, y_true[list(order)], [0.5] * 6) for order in permutations(range(6))}
    assert max(values) - min(values) < 1e-12
    assert 0.0 < max(values) < 1.0 or name == "dcg_score"


@pytest.mark.parametrize("name", ["ndcg_score", *BINARY, "graded_average_precision"])
@pytest.mark.parametrize("k", [1, 3, 5, 100])
def test_a_perfect_ranking_has_one(name, k):
    """Also with more relevant documents than ranks, and with ties of relevant documents."""
    y_true = np.array([1] * 12 + [0] * 20)
    params = {"k": k} if name in WITH_K or name == "ndcg_score" else {}
    expected = {"recall_at_k": min(k / 12, 1.0), "precision_at_k": min(12 / k, 1.0)}.get(name, 1.0)
    for scores in (np.arange(32)[::-1], y_true):
        assert measure(name, y_true, scores, **params) == expected


@pytest.mark.parametrize("k", [None, 1, 5, 50])
@pytest.mark.parametrize("n_levels", [2, 1000])
def test_dcg_and_ndcg_of_scikit_learn(k, n_levels):
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 5, size=(200, 30))
    y_score = rng.integers(0, n_levels, size=(200, 30)).astype(float)
    weights = rng.uniform(size=200)
    y_true[17] = 0
    for ours, theirs in (dcg_score, sklearn_dcg_score), (ndcg_score, sklearn_ndcg_score):
        expected = theirs(y_true, y_score, k=k, sample_weight=weights)
        assert ours(y_true, y_score, k=k, sample_weight=weights) == pytest.approx(
            expected, rel=1e-12
        )


def test_average_precision_of_scikit_learn():
    rng = np.random.default_rng(1)
    for n in 2, 10, 100:
        y_true, y_score = np.arange(n) % 3 == 0, rng.permutation(n)
        expected = average_precision_score(y_true, y_score)
        actual = metric_learning.average_precision(y_true, y_score)
        assert actual == pytest.approx(expected, rel=1e-12)


def test_ndcg_in_a_scorer():
    X, y = load_diabetes(return_X_y=True)
    scores = cross_val_score(Ridge(), X, y, scoring=make_scorer(ndcg_score))
    assert np.all((scores > 0.8) & (scores < 1.0))


@every_measure
@given(data=ragged(), seed=st.integers(0, 99))
def test_only_the_order_of_scores_counts(name, data, seed):
    y_true, y_score, sizes = data
    expected = measure(name, y_true, y_score, groups=sizes)
    assert measure(name, y_true, np.exp(3 * y_score) - 7, groups=sizes) == expected


@every_measure
def test_blocks_of_queries_change_nothing(name, monkeypatch):
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, 20, size=300)
    y_true, y_score = rng.integers(0, 3, size=sizes.sum()), rng.normal(size=sizes.sum())
    expected = measure(name, y_true, y_score, groups=sizes, per_query=True)
    monkeypatch.setattr(queries, "_BLOCK_DOCUMENTS", 50)
    actual = measure(name, y_true, y_score, groups=sizes, per_query=True)
    assert_allclose(actual, expected, rtol=1e-14)


@pytest.mark.parametrize("score", BOTH)
def test_gain_by_a_function(score):
    expected = score(Y, S, gain="exponential")
    assert score(Y, S, gain=lambda y: 2.0**y - 1.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("score", "params", "expected"),
    [
        (dcg_score, {"gain": "exponential"}, 13.84826362927298),
        (ndcg_score, {"gain": "exponential"}, 0.9488107485678984),
        (ndcg_score, {"ties": "stable"}, 0.9608081943360616),
    ],
)
def test_known_gains(score, params, expected):
    actual = score([3, 2, 3, 0, 1, 2], [6, 5, 4, 3, 2, 1], **params)
    assert actual == pytest.approx(expected, abs=1e-9)


def test_inputs_stay_as_they_are():
    y_true, y_score = np.array(Y, dtype=float), np.array(S)

    def spoil(relevance):
        relevance[:] = 7.0
        return relevance

    dcg_score(y_true, y_score, gain=spoil)
    for name in MEASURES:
        measure(name, y_true, y_score)
    assert_array_equal(y_true, Y)
    assert_array_equal(y_score, S)


@every_measure
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32])
def test_any_numbers_will_do(name, dtype):
    y_true = np.array([1, 0, 0, 1, 1], dtype=dtype)
    y_score = np.array([4, 2, 3, 1, 2], dtype=np.float32)
    expected = measure(name, y_true.astype(float), y_score.astype(float))
    assert measure(name, y_true, y_score) == expected


def test_ndcg_of_huge_relevance_does_not_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ndcg_score([2000, 1999], [1, 2], gain="exponential") == pytest.approx(
            (0.5 + 1 / np.log2(3)) / (1 + 0.5 / np.log2(3)), rel=1e-12
        )
        assert ndcg_score([1e308, 1e308, 0], [1, 2, 3]) == pytest.approx(
            (1 / np.log2(3) + 0.5) / (1 + 1 / np.log2(3)), rel=1e-12
        )
        assert ndcg_score([5e-324, 0], [2, 1]) == 1.0


def test_gains_that_overflow_are_refused():
    with pytest.raises(ValueError, match=r"y_true has values up to 1e\+308, whose gains overflow"):
        dcg_score([1e308, 1e308, 1e308], [2, 2, 2])


@pytest.mark.skipif(
    np.finfo(np.longdouble).max == np.finfo(float).max, reason="has no longer floats"
)
def test_floats_longer_than_double_precision_are_infinite():
    longest = np.array([1.0, np.finfo(np.longdouble).max], dtype=np.longdouble)
    with pytest.raises(ValueError, match="y_score contains NaN or infinity"):
        ndcg_score([1, 0], longest)


def test_only_the_ratio_of_weights_counts():
    expected = ndcg_score([[1, 0], [0, 1]], [[2, 1], [2, 1]], sample_weight=[1, 3])
    for scale in (1e-300, 5e307):
        weights = np.array([1.0, 3.0]) * scale  # the larger ones sum to infinity
        actual = ndcg_score([[1, 0], [0, 1]], [[2, 1], [2, 1]], sample_weight=weights)
        assert actual == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_graded_average_precision_of_relevance_with_fractions(gain):
    """Every document has a level of its own; queries have different numbers of levels."""
    rng = np.random.default_rng(0)
    y_true = rng.random((30, 9)) * rng.integers(0, 2, size=(30, 9))
    y_score = rng.integers(0, 4, size=(30, 9)).astype(float)
    gains = y_true if gain == "linear" else np.exp2(y_true) - 1.0
    expected = [
        reference.graded("graded_average_precision", *query, ties="stable", k=None, persistence=0)
        for query in zip(gains, y_score, strict=True)
    ]
    params = {"gain": gain, "ties": "stable", "per_query": True}
    actual = metric_learning.graded_average_precision(y_true, y_score, **params)
    assert_allclose(actual, [value or 0.0 for value in expected], rtol=1e-12)


def test_a_large_tie_is_cut_at_k():
    """A query of 100,000 documents that tie, most of them irrelevant."""
    y_true = np.zeros(100_000)
    y_true[::2000] = 1
    params = {"k": 10, "max_relevance": 1}
    # Documents are relevant with probability 1 / 2000, and half of the readers stop there.
    stops = 1 / 4000 * (1 - 1 / 4000) ** np.arange(10)
    actual = metric_learning.expected_reciprocal_rank(y_true, np.zeros(100_000), **params)
    assert actual == pytest.approx(np.sum(stops / np.arange(1, 11)), rel=1e-3)


@pytest.mark.parametrize("name", [name for name in MEASURES if name not in WITHOUT_UNDEFINED])
def test_queries_without_relevant_documents(name):
    y_true, y_score = [[0, 0, 0], [1, 0, 0]], [[1, 2, 3], [3, 2, 1]]
    assert measure(name, y_true, y_score) == 0.5
    assert measure(name, y_true, y_score, undefined=1) == 1.0
    assert np.isnan(measure(name, y_true, y_score, undefined=np.nan))
    assert measure(name, y_true, y_score, undefined="skip") == 1.0
    values = measure(name, y_true, y_score, undefined="skip", per_query=True)
    assert_array_equal(values, [np.nan, 1.0])
    with pytest.raises(ValueError, match="leaves no query"):
        measure(name, y_true[:1], y_score[:1], undefined="skip")


@every_measure
@pytest.mark.parametrize(
    ("y_true", "y_score", "params", "message"),
    [
        ([1, 0], [1.0], {}, "one shape"),
        ([[1, 0]], [1.0, 2.0], {}, "one shape"),
        ([1, -1], [1.0, 2.0], {}, "y_true has negative"),
        ([1, np.nan], [1.0, 2.0], {}, "y_true contains NaN"),
        ([1, 0], [1.0, np.inf], {}, "y_score contains NaN or infinity"),
        (["a", "b"], [1.0, 2.0], {}, "y_true must be numbers"),
        ([1, 0], [1j, 2j], {}, "y_score must be numbers"),
        ([[[1]]], [[[1]]], {}, "y_true must be"),
        ([], [], {}, "empty"),
        (np.ones((2, 0)), np.ones((2, 0)), {}, "without documents"),
        ([1, 0], [1.0, 2.0], {"groups": [1]}, "but sum to 1"),
        ([1, 0], [1.0, 2.0], {"groups": [2, 0]}, "groups must hold sizes"),
        ([1, 0], [1.0, 2.0], {"groups": [1.0, 1.0]}, "groups must be a row of integers"),
        ([1, 0], [1.0, 2.0], {"groups": 2}, "groups must be a row of integers"),
        ([[1, 0]], [[1.0, 2.0]], {"groups": [2]}, "groups is for one-dimensional"),
        ([1, 0], [1.0, 2.0], {"sample_weight": [1, 2]}, "sample_weight must hold 1"),
        ([1, 0], [1.0, 2.0], {"sample_weight": [-1]}, "sample_weight"),
        ([1, 0], [1.0, 2.0], {"sample_weight": [0]}, "sample_weight must not be 0"),
    ],
)
def test_bad_arrays_are_refused(name, y_true, y_score, params, message):
    with pytest.raises(ValueError, match=message):
        measure(name, y_true, y_score, **params)


@every_measure
def test_unknown_orders_of_ties_are_refused(name):
    with pytest.raises(ValueError, match="ties='random' must be one of 'average', 'stable'"):
        measure(name, [1, 0], [1.0, 2.0], ties="random")


@pytest.mark.parametrize(
    ("name", "k"),
    [(n, k) for n in ("dcg_score", "ndcg_score", *WITH_K) for k in (0, -1, 1.5, True, "3")]
    + [(n, None) for n in ("precision_at_k", "recall_at_k", "hit_rate")],
)
def test_bad_k_is_refused(name, k):
    with pytest.raises(ValueError, match="k="):
        measure(name, [1, 0], [1.0, 2.0], k=k)


@pytest.mark.parametrize(
    ("scores", "y_true", "params", "message"),
    [
        (BOTH, [1, 0], {"gain": "quadratic"}, "gain="),
        (BOTH, [1, 0], {"gain": lambda y: y[:, :1]}, "gain must return"),
        (BOTH, [1, 0], {"gain": lambda y: -y}, "gain must return"),
        ([dcg_score], [2000, 1], {"gain": "exponential"}, "y_true up to 2000"),
        ([ndcg_score], [1, 0], {"undefined": "zero"}, "undefined="),
    ],
)
def test_bad_parameters_are_refused(scores, y_true, params, message):
    for score in scores:
        with pytest.raises(ValueError, match=message):
            score(y_true, [1.0, 2.0], **params)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_doubles_would_merge_do_not_tie(dtype):
    """Such as times in nanoseconds."""
    scores = np.array([2, 1, 0], dtype=dtype) + dtype(2**60)
    assert ndcg_score([1, 0, 0], scores) == 1.0
    assert metric_learning.rank_biased_overlap(scores, scores) == pytest.approx(1.0)


def test_a_reader_who_stops_in_a_long_tie(monkeypatch):
    from fasttsne.metric_learning.ranking import graded

    y = np.random.default_rng(0).integers(0, 5, size=(3, 400))
    for k in None, 30, 390:
        found = metric_learning.expected_reciprocal_rank(y, np.zeros_like(y), k=k, per_query=True)
        with monkeypatch.context() as patch:
            patch.setattr(graded, "_NEGLIGIBLE", 0.0)
            arguments = {"k": k, "per_query": True}
            expected = metric_learning.expected_reciprocal_rank(y, np.zeros_like(y), **arguments)
        assert_allclose(found, expected, rtol=1e-13)


def test_overlap_of_queries_with_ties_among_others_without():
    rng = np.random.default_rng(1)
    first, second = rng.permuted(np.tile(np.arange(12.0), (2, 6, 1)), axis=2)
    first[::2] //= 3
    second[::3] //= 2
    found = metric_learning.rank_biased_overlap(first, second, per_query=True)
    one_by_one = [
        metric_learning.rank_biased_overlap(*row) for row in zip(first, second, strict=True)
    ]
    assert_allclose(found, one_by_one, rtol=1e-13)
    # A tie is the mean over its orders; an order differs from others by a tiny score.
    orders = [
        metric_learning.rank_biased_overlap(
            first[0] + 1e-3 * rng.permutation(12), second[0] + 1e-3 * rng.permutation(12)
        )
        for _ in range(4000)
    ]
    assert found[0] == pytest.approx(np.mean(orders), abs=0.01)
