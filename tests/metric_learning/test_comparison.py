"""metric_learning.compare: paired differences of systems over queries."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import bootstrap, permutation_test

from fasttsne.metric_learning import compare, ndcg_score


def systems(n=50, seed=0):
    rng = np.random.default_rng(seed)
    hard = rng.uniform(0.2, 0.6, size=n)
    a = hard + 0.04 + rng.normal(scale=0.05, size=n)
    return a, hard + rng.normal(scale=0.05, size=n), hard + 0.001


def test_a_small_p_value_is_exact():
    a, b = np.array([0.5, 0.7, 0.9, 0.4, 0.3]), np.array([0.4, 0.5, 0.8, 0.4, 0.35])
    d = a - b
    means = [abs(np.dot(signs, d)) for signs in product([1, -1], repeat=5)]
    expected = np.mean(np.array(means) >= abs(d.sum()) - 1e-12)
    assert compare(a, b).p_values[0] == expected
    assert compare(a, a).p_values[0] == 1.0


def test_p_values_and_intervals_are_those_of_scipy():
    a, b, _ = systems()
    found = compare(a, b, n_resamples=20_000)
    theirs = permutation_test(
        ((a - b),),
        lambda d, axis: d.mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        random_state=1,
        vectorized=True,
    )
    # Monte Carlo on both sides.
    assert found.p_values[0] == pytest.approx(theirs.pvalue, abs=0.002)
    theirs = bootstrap((a - b,), np.mean, n_resamples=20_000, method="percentile", random_state=1)
    assert_allclose(found.intervals[0], theirs.confidence_interval, atol=6e-4)
    assert found.differences[0] == pytest.approx(np.mean(a - b))
    assert_allclose(found.means, [a.mean(), b.mean()])
    assert found.intervals[0, 0] < found.differences[0] < found.intervals[0, 1]


def test_p_values_of_equal_systems_are_uniform():
    rng = np.random.default_rng(2)
    values = [compare(*rng.normal(size=(2, 20)), n_resamples=200).p_values[0] for _ in range(200)]
    assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.1)


def test_holm_corrects_for_the_number_of_pairs():
    found = compare(*systems(), names=["a", "b", "c"])
    order = np.argsort(found.p_values)
    expected, highest = np.empty(3), 0.0
    for place, pair in enumerate(order):
        highest = max(highest, (3 - place) * found.p_values[pair])
        expected[pair] = min(highest, 1.0)
    assert_allclose(found.p_holm, expected)
    assert found.pairs == (("a", "b"), ("a", "c"), ("b", "c"))
    assert (found.p_holm > found.p_values).any()


def test_queries_that_a_system_has_no_value_for_are_left_out():
    a, b, _ = systems()
    with_gap = a.copy()
    with_gap[[3, 7]] = np.nan
    found = compare(with_gap, b)
    assert found.n_queries == 48
    expected = compare(np.delete(a, [3, 7]), np.delete(b, [3, 7]))
    assert_array_equal(found.intervals, expected.intervals)
    assert found.p_values == expected.p_values


def test_blocks_of_random_numbers_and_seeds(monkeypatch):
    from fasttsne.metric_learning.ranking import comparison

    a, b, _ = systems()
    expected = compare(a, b, n_resamples=500)
    assert compare(a, b, n_resamples=500).p_values == expected.p_values
    assert (compare(a, b, n_resamples=500, random_state=1).intervals != expected.intervals).any()
    monkeypatch.setattr(comparison, "_BLOCK", 1000)
    assert_allclose(compare(a, b, n_resamples=500).intervals, expected.intervals, atol=0.01)


def test_the_table_of_measures():
    rng = np.random.default_rng(3)
    y, qid = rng.integers(0, 4, size=400), np.repeat(np.arange(40), 10)
    values = {
        name: ndcg_score(y, y + noise * rng.normal(size=400), qid=qid, per_query=True)
        for name, noise in (("good", 0.5), ("middling", 2.0), ("poor", 5.0))
    }
    found = compare(values)
    assert found.names == ("good", "middling", "poor")
    lines = repr(found).splitlines()
    assert lines[0] == "40 queries"
    assert lines[-3].startswith("good - middling  +") and len(lines) == 11
    assert found.p_holm[1] < 0.01


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_columns_of_a_frame_are_systems(library):
    frames = pytest.importorskip(library)
    a, b, c = systems()
    expected = compare({"a": a, "b": b, "c": c})
    found = compare(frames.DataFrame({"a": a, "b": b, "c": c}))
    assert found.names == ("a", "b", "c")
    assert_array_equal(found.p_values, expected.p_values)


@pytest.mark.parametrize(
    ("values", "params", "message"),
    [
        ([[1.0, 2.0]], {}, "compare needs two systems or more"),
        ([[1.0, 2.0]] * 2, {"names": ["a"]}, "got 2 systems and the names a"),
        ([[1.0, 2.0]] * 2, {"names": ["a", "a"]}, "each with a name"),
        ([[1.0, 2.0], [1.0]], {}, r"of the same queries; got a: \(2,\), b: \(1,\)"),
        ([0.5, 0.7], {}, "one value per query"),
        ([[1.0], [2.0]], {}, "compare needs two queries with values; got 1"),
        ([[1.0, np.nan], [np.nan, 2.0]], {}, "compare needs two queries with values; got 0"),
        ([[1.0, np.inf], [1.0, 2.0]], {}, "a contains NaN or infinity"),
        ([["x", "y"], [1.0, 2.0]], {}, "a must be numbers"),
        ([[1e308, -1e308], [-1e308, 1e308]], {}, r"values up to 1e\+308 overflow in sums"),
        ([{"x": [1.0, 2.0], "y": [1.0, 2.0]}], {"names": ["a", "b"]}, "names are those of the map"),
        ([[1.0, 2.0]] * 2, {"confidence": 95}, "confidence=95 must be between 0 and 1"),
        ([[1.0, 2.0]] * 2, {"n_resamples": 0}, "n_resamples=0 must be"),
    ],
)
def test_mistakes_are_named(values, params, message):
    with pytest.raises(ValueError, match=message):
        compare(*values, **params)
