"""fasttsne.metric_learning.learning_to_rank: losses and their gradients."""

import tracemalloc
import warnings
from functools import partial
from itertools import permutations
from math import erf, exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import ranking as reference
from reference.gradients import assert_gradients, central_differences

from fasttsne.metric_learning import learning_to_rank, ndcg_score, queries
from fasttsne.metric_learning.learning_to_rank import listwise

POINTWISE = ["squared", "logistic", "ordinal"]
PAIRWISE = ["hinge", "ranknet", "lambdarank"]
LISTWISE = ["listnet", "listmle", "approx_ndcg", "soft_rank"]
LOSSES = POINTWISE + PAIRWISE + LISTWISE
THRESHOLDS = [0.3, 1.1, 1.2, 4.0]

every_loss = pytest.mark.parametrize("name", LOSSES)


def loss(name, scores, relevance, groups=None, **params):
    """A loss and its derivative by the scores."""
    function = getattr(learning_to_rank, f"{name}_loss")
    if name == "ordinal":
        value, (gradient, _), *curvature = function(
            scores, relevance, groups, thresholds=THRESHOLDS, **params
        )
        return value, gradient, *curvature
    return function(scores, relevance, groups, **params)


EXACT = [name for name in LOSSES if name not in ("hinge", "approx_ndcg", "soft_rank")]


def ragged(seed=0):
    rng = np.random.default_rng(seed)
    sizes = [3, 1, 5, 3, 2]
    return rng.normal(size=14), rng.integers(0, 5, size=14), sizes


@pytest.mark.parametrize(
    "name", ["squared", "logistic", "ordinal", "hinge", "ranknet", "listnet", "approx_ndcg"]
)
def test_losses_are_their_definitions(name):
    scores, relevance, sizes = ragged()
    ends = np.cumsum(sizes)[:-1]
    queries = zip(np.split(scores, ends), np.split(relevance, ends), strict=True)
    expected = [reference.loss(name, s.tolist(), y.tolist(), THRESHOLDS) for s, y in queries]
    actual, _ = loss(name, scores, relevance, sizes, reduction="none")
    assert_allclose(actual, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("k", [None, 1, 2])
def test_lambdarank_weighs_pairs_by_what_their_swap_changes(k):
    rng = np.random.default_rng(1)
    scores, relevance = rng.normal(size=6), np.array([0, 1, 2, 2, 4, 0])
    expected = 0.0
    for i in range(6):
        for j in range(6):
            if relevance[i] <= relevance[j]:
                continue
            swapped = scores.copy()
            swapped[[i, j]] = scores[[j, i]]
            change = ndcg_score(relevance, swapped, k=k, gain="exponential") - ndcg_score(
                relevance, scores, k=k, gain="exponential"
            )
            expected += abs(change) * np.log1p(exp(-(scores[i] - scores[j])))
    actual, _ = loss("lambdarank", scores, relevance, k=k, reduction="sum")
    assert actual == pytest.approx(expected, rel=1e-12)


def test_listmle_is_the_likelihood_of_an_order():
    scores, relevance = np.array([0.3, -0.2, 1.0, 0.1]), np.array([1, 3, 0, 2])
    likelihoods = {
        order: np.prod(
            [exp(scores[i]) / sum(exp(scores[j]) for j in order[at:]) for at, i in enumerate(order)]
        )
        for order in permutations(range(4))
    }
    assert sum(likelihoods.values()) == pytest.approx(1.0)
    actual, _ = loss("listmle", scores, relevance)
    assert actual == pytest.approx(-np.log(likelihoods[1, 3, 0, 2]), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scores", [np.zeros(8), [0, 0, 1, 1, 1, 2, 0.5, 0.5]])
def test_losses_do_not_depend_on_the_order_of_rows(name, scores):
    scores, relevance = np.asarray(scores, dtype=float), np.array([0, 0, 0, 1, 0, 2, 1, 0])
    expected, gradient = loss(name, scores, relevance)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(8)
        actual, by_scores = loss(name, scores[order], relevance[order])
        assert actual == pytest.approx(expected, rel=1e-12)
        assert_allclose(by_scores, gradient[order], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("k", [None, 2])
def test_lambdarank_averages_over_the_orders_of_equal_scores(k):
    scores, relevance = np.array([1.0, 0.0, 1.0, 1.0, 2.0]), np.array([0, 1, 2, 0, 1])
    means = np.zeros(5)
    for order in permutations([0, 2, 3]):  # scores that differ by too little to matter
        nearly = scores.copy()
        nearly[list(order)] += [2e-11, 1e-11, 0.0]
        means += loss("lambdarank", nearly, relevance, k=k)[1] / 6
    assert_allclose(loss("lambdarank", scores, relevance, k=k)[1], means, rtol=1e-9, atol=1e-12)


def test_listmle_of_equal_relevance_is_nearly_the_mean_over_orders():
    relevance = np.array([2, 1, 1, 1, 0, 0])
    orders = [
        np.array([2.0, *tied, *last])
        for tied in permutations([1.0, 1.1, 1.2])
        for last in permutations([0.0, 0.1])
    ]
    for size, tolerance in ((0.0, 1e-12), (0.5, 0.01)):
        scores = size * np.random.default_rng(3).normal(size=6)
        expected = np.mean([loss("listmle", scores, order)[0] for order in orders])
        assert loss("listmle", scores, relevance)[0] == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("k", [None, 2])
def test_soft_rank_is_the_expectation_over_who_is_ahead(k):
    scores, relevance, sigma = [0.3, -0.2, 1.0, 0.1], [1, 3, 0, 2], 0.7
    gains = [2.0**y - 1.0 for y in relevance]
    best = reference.dcg(gains, gains, k)
    expected = 0.0
    for j in range(4):
        others = [i for i in range(4) if i != j]
        ahead = [0.5 * (1 + erf((scores[i] - scores[j]) / (2 * sigma))) for i in others]
        for pattern in np.ndindex(2, 2, 2):
            p = np.prod([a if bit else 1 - a for a, bit in zip(ahead, pattern, strict=True)])
            expected += gains[j] / best * p * reference.discount_of(1 + sum(pattern), k)
    actual, _ = loss("soft_rank", scores, relevance, sigma=sigma, k=k)
    assert actual == pytest.approx(-expected, rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_expected_discounts_are_those_of_the_distribution_of_the_rank(size):
    rng = np.random.default_rng(size)
    ahead = rng.random((2, size, 3)) ** rng.choice([0.1, 1.0, 30.0], size=(2, 1, 3))
    ahead[:, 0, :2] = 0.0, 1.0
    ahead[:, -1] = 0.0  # itself
    actual = listwise._expected_discounts(ahead)
    expected = listwise._expected_discounts_up_to(size, ahead)
    assert_allclose(actual[0], expected[0], rtol=1e-12)
    assert_allclose(actual[1][:, :-1], expected[1][:, :-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_ranks", [1, 3, 40, 1000, 10_000])
def test_a_sum_of_exponentials_is_the_discount(n_ranks):
    bases, weights = listwise._exponentials(n_ranks)
    ranks = np.unique(np.geomspace(1, n_ranks, 2000).astype(int))
    expected = [reference.discount_of(rank, None) for rank in ranks]
    assert_allclose(bases ** ranks[:, np.newaxis] @ weights, expected, rtol=1e-11)
    assert np.abs(weights * bases).sum() < 10.0


@pytest.mark.parametrize(
    ("name", "params"), [("approx_ndcg", {"alpha": 1e4}), ("soft_rank", {"sigma": 1e-4})]
)
def test_smooth_ndcg_approaches_ndcg(name, params):
    rng = np.random.default_rng(2)
    scores, relevance = rng.permutation(8) / 8.0, rng.integers(0, 4, size=8)
    expected = ndcg_score(relevance, scores, gain="exponential")
    assert -loss(name, scores, relevance, **params)[0] == pytest.approx(expected, rel=1e-9)


DEGENERATE = {
    "random": None,
    "equal scores": (np.zeros(5), [0, 1, 2, 3, 4]),
    "equal relevance": (np.arange(5.0), [2, 2, 2, 2, 2]),
    "irrelevant": (np.arange(5.0), [0, 0, 0, 0, 0]),
    "far apart": (np.array([-30.0, 30.0, 0.0, -2.0, 5.0]), [4, 0, 1, 0, 0]),
    "one": (np.array([0.4]), [3]),
}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "lambdarank"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", DEGENERATE)
def test_gradients_are_those_of_central_differences(name, reduction, case):
    scores, relevance, sizes = ragged() if case == "random" else (*DEGENERATE[case], None)
    if name == "hinge" and case == "equal scores":
        scores = scores + 0.1 * np.arange(5)

    def value(s):
        return loss(name, s, relevance, sizes, reduction=reduction)

    expected = central_differences(lambda s: value(s)[0], scores)
    atol = 1e-8 * max(1.0, np.abs(expected).max())
    assert_allclose(value(scores)[1], expected, rtol=1e-6, atol=atol)


def test_the_gradient_of_lambdarank_is_that_of_ranknet_at_constant_weights():
    rng = np.random.default_rng(3)
    scores, relevance = rng.normal(size=7), rng.integers(0, 5, size=7)
    discounts = np.empty(7)
    discounts[np.argsort(-scores)] = [reference.discount_of(rank, None) for rank in range(1, 8)]
    gains = 2.0**relevance - 1.0
    weights = np.abs(np.subtract.outer(gains, gains) * np.subtract.outer(discounts, discounts))
    weights *= (np.subtract.outer(relevance, relevance) > 0) / reference.dcg(gains, gains)

    def at_constant_weights(s):
        return np.sum(weights * np.logaddexp(0.0, -2.0 * np.subtract.outer(s, s)))

    value, gradient = loss("lambdarank", scores, relevance, sigma=2.0, reduction="sum")
    assert value == pytest.approx(at_constant_weights(scores), rel=1e-12)
    expected = central_differences(at_constant_weights, scores)
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


def weights_of(scores):
    return np.random.default_rng(9).choice([0.0, 0.3, 1.0, 2.5], size=np.shape(scores))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "lambdarank"])
@pytest.mark.parametrize("case", ["random", "equal scores", "far apart"])
def test_gradients_of_weighted_losses_are_those_of_central_differences(name, case):
    scores, relevance, sizes = ragged() if case == "random" else (*DEGENERATE[case], None)
    if name == "hinge" and case == "equal scores":
        scores = scores + 0.1 * np.arange(5)
    params = {"document_weight": weights_of(scores), "reduction": "sum"}
    expected = central_differences(lambda s: loss(name, s, relevance, sizes, **params)[0], scores)
    atol = 1e-8 * max(1.0, np.abs(expected).max())
    actual = loss(name, scores, relevance, sizes, **params)[1]
    assert_allclose(actual, expected, rtol=1e-6, atol=atol)


HESSIANS = [(name, {}) for name in LOSSES if name != "lambdarank"] + [("soft_rank", {"k": 2})]


@pytest.mark.parametrize(("name", "params"), HESSIANS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", DEGENERATE)
def test_hessians_are_central_differences_of_gradients_or_bounds_of_them(
    name, params, weighted, case
):
    scores, relevance, sizes = ragged() if case == "random" else (*DEGENERATE[case], None)
    if name == "hinge" and case == "equal scores":
        scores = scores + 0.1 * np.arange(5)
    params = params | {"reduction": "sum"}
    if weighted:
        params["document_weight"] = weights_of(scores)

    def gradient_at(s, i):
        return loss(name, s, relevance, sizes, **params)[1][i]

    expected = [
        central_differences(partial(gradient_at, i=i), scores)[i] for i in range(len(scores))
    ]
    value, gradient, actual = loss(name, scores, relevance, sizes, hessian=True, **params)
    plain_value, plain_gradient = loss(name, scores, relevance, sizes, **params)
    assert value == plain_value
    assert_array_equal(gradient, plain_gradient)
    if name in EXACT:
        assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)
    else:
        assert (actual >= np.array(expected) - 1e-7).all()
        assert actual[np.abs(gradient) > 1e-9].min(initial=1.0) > 0.0
    assert (actual >= 0.0).all()


def test_the_hessian_of_lambdarank_is_that_of_ranknet_at_constant_weights():
    rng = np.random.default_rng(3)
    scores, relevance = rng.normal(size=7), rng.integers(0, 5, size=7)
    present, weights = ndcg_score(relevance, scores, gain="exponential"), np.zeros((7, 7))
    for i, j in np.argwhere(np.subtract.outer(relevance, relevance) > 0):
        swapped = scores.copy()
        swapped[[i, j]] = scores[[j, i]]
        weights[i, j] = abs(ndcg_score(relevance, swapped, gain="exponential") - present)
    wrong = 1.0 / (1.0 + np.exp(2.0 * np.subtract.outer(scores, scores)))
    curves = 4.0 * weights * wrong * (1.0 - wrong)
    actual = loss("lambdarank", scores, relevance, sigma=2.0, reduction="sum", hessian=True)[2]
    assert_allclose(actual, curves.sum(axis=0) + curves.sum(axis=1), rtol=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_multiply_terms(name):
    scores, relevance, sizes = ragged()
    weights = np.repeat([2.0, 0.0, 0.5, 1.0, 3.0], sizes)
    expected = loss(name, scores, relevance, sizes, reduction="none")
    actual = loss(name, scores, relevance, sizes, reduction="none", document_weight=weights)
    assert_allclose(actual[0], expected[0] * [2.0, 0.0, 0.5, 1.0, 3.0], rtol=1e-12)
    assert_allclose(actual[1], expected[1] * weights, rtol=1e-12, atol=1e-15)
    for reduction in "sum", "mean":
        ones = {"reduction": reduction, "document_weight": np.full(14, 2.0)}
        value, gradient = loss(name, scores, relevance, sizes, **ones)
        plain_value, plain = loss(name, scores, relevance, sizes, reduction=reduction)
        assert value == pytest.approx(2.0 * plain_value, rel=1e-12)
        assert_allclose(gradient, 2.0 * plain, rtol=1e-12)


@pytest.mark.parametrize("name", PAIRWISE)
def test_a_pair_has_the_weight_of_its_more_relevant_document(name):
    scores, relevance, weights = [0.3, 0.5, 0.1], [2, 0, 1], [3.0, 7.0, 0.0]
    total = 0.0
    for kept in ([1, 0, 0], [0, 0, 1]):  # pairs of the first document, and of the third
        value, _ = loss(name, scores, relevance, reduction="sum", document_weight=kept)
        total += value * np.dot(kept, weights)
    actual, _ = loss(name, scores, relevance, reduction="sum", document_weight=weights)
    assert actual == pytest.approx(total, rel=1e-12)


def test_listmle_of_weights_is_the_mean_over_orders_at_equal_scores():
    relevance, weights = [1, 1, 0, 0], [1.0, 3.0, 0.5, 0.0]
    orders = [[1.1, 1.0, *low] for low in ([0.1, 0.0], [0.0, 0.1])]
    orders += [[1.0, 1.1, *low] for low in ([0.1, 0.0], [0.0, 0.1])]
    scores = np.zeros(4)
    expected = np.mean([loss("listmle", scores, y, document_weight=weights)[0] for y in orders])
    actual, _ = loss("listmle", scores, relevance, document_weight=weights)
    assert actual == pytest.approx(expected, rel=1e-12)


@every_loss
@pytest.mark.parametrize("bad", [[1.0], [1.0, -1.0], [1.0, np.nan], ["a", "b"], [[1.0, 1.0]]])
def test_bad_weights_are_refused(name, bad):
    with pytest.raises(ValueError, match="document_weight"):
        loss(name, [1.0, 2.0], [1, 0], document_weight=bad)


@pytest.mark.parametrize("truncation", [1, 3, 5, 100])
@pytest.mark.parametrize(
    ("scores", "normalize"),
    [
        ([0.3, -0.2, 1.0, 0.1, 0.7], False),
        ([0.3, -0.2, 1.0, 0.1, 0.7], True),
        ([1.0, 0.0, 1.0, 1.0, 2.0], False),
        ([0.0] * 5, False),
    ],
)
def test_lambdarank_as_lightgbm_averages_over_orders_of_equal_scores(truncation, scores, normalize):
    relevance, scores = np.array([0, 1, 2, 0, 1]), np.array(scores)
    orders = [o for o in permutations(range(5)) if (np.diff(scores[list(o)]) <= 0.0).all()]
    arguments = scores, relevance, truncation, normalize
    gradient, hessian = np.mean(
        [reference.lightgbm_lambdarank(*arguments, order) for order in orders], axis=0
    )
    params = {"truncation": truncation, "normalize": normalize, "reduction": "sum", "hessian": True}
    _, actual, curves = loss("lambdarank", scores, relevance, **params)
    assert_allclose(actual, gradient, rtol=1e-9, atol=1e-12)
    assert_allclose(curves, hessian, rtol=1e-9, atol=1e-12)
    # In the order of the rows they are LightGBM's own.
    first = sorted(range(5), key=lambda i: -scores[i])
    expected = reference.lightgbm_lambdarank(scores, relevance, truncation, normalize, first)
    _, *actual = loss("lambdarank", scores, relevance, ties="given", **params)
    assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_gradients_of_ordinal_loss_by_scores_and_thresholds(reduction):
    scores, relevance, sizes = ragged()
    assert_gradients(
        lambda s, t: learning_to_rank.ordinal_loss(
            s, relevance, sizes, thresholds=t, reduction=reduction
        ),
        [scores, THRESHOLDS],
    )


def test_ordinal_loss_without_thresholds_has_them_halfway_between_levels():
    scores, relevance, sizes = ragged()
    value, gradient = learning_to_rank.ordinal_loss(scores, relevance, sizes)
    expected, (by_scores, _) = learning_to_rank.ordinal_loss(
        scores, relevance, sizes, thresholds=np.arange(relevance.max()) + 0.5
    )
    assert value == expected
    assert_array_equal(gradient, by_scores)
    value, _ = learning_to_rank.ordinal_loss([0.0], [0])  # a level and the next
    assert value == pytest.approx(np.log1p(np.exp(-0.5)))


def test_a_hinge_at_the_margin_does_not_push():
    value, gradient = loss("hinge", [1.0, 0.0], [1, 0])
    assert value == 0.0
    assert_array_equal(gradient, [0.0, 0.0])


@every_loss
def test_queries_do_not_mix(name):
    scores, relevance, sizes = ragged()
    values, gradient = loss(name, scores, relevance, sizes, reduction="none")
    ends = np.cumsum(sizes)
    for query, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        own = slice(end - size, end)
        value, own_gradient = loss(name, scores[own], relevance[own], reduction="sum")
        assert values[query] == pytest.approx(value, rel=1e-12, abs=1e-15)
        assert_allclose(gradient[own], own_gradient, rtol=1e-12, atol=1e-15)
    # A matrix has a query per row.
    value, gradient = loss(name, scores.reshape(2, 7), relevance.reshape(2, 7))
    flat_value, flat = loss(name, scores, relevance, [7, 7])
    assert value == flat_value
    assert_array_equal(gradient, flat.reshape(2, 7))


@every_loss
def test_reductions_belong_together(name):
    scores, relevance, sizes = ragged()
    values, by_none = loss(name, scores, relevance, sizes, reduction="none")
    total, by_sum = loss(name, scores, relevance, sizes, reduction="sum")
    mean, by_mean = loss(name, scores, relevance, sizes)
    n_pairs = sum(
        np.sum(np.subtract.outer(y, y) > 0) for y in np.split(relevance, np.cumsum(sizes)[:-1])
    )
    n_terms = {**dict.fromkeys(POINTWISE, 14), **dict.fromkeys(PAIRWISE, n_pairs)}.get(name, 5)
    assert total == pytest.approx(values.sum(), rel=1e-12)
    assert mean == pytest.approx(total / n_terms, rel=1e-12)
    assert_array_equal(by_none, by_sum)
    assert_allclose(by_mean, by_sum / n_terms, rtol=1e-12)


@every_loss
@given(seed=st.integers(0, 1000))
def test_the_order_of_documents_does_not_count(name, seed):
    rng = np.random.default_rng(seed)
    # Without ties, which some losses break by the order given.
    scores, relevance = rng.permutation(5) / 2.0, rng.permutation(5)
    order = rng.permutation(5)
    value, gradient = loss(name, scores, relevance)
    permuted_value, permuted = loss(name, scores[order], relevance[order])
    assert permuted_value == pytest.approx(value, rel=1e-9)
    assert_allclose(permuted, gradient[order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PAIRWISE + LISTWISE)
@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_a_common_shift_of_scores_does_not_count(name, seed, shift):
    rng = np.random.default_rng(seed)
    # No lead is exactly the margin, where rounding decides about the gradient of the hinge.
    scores, relevance = rng.permutation(6) / 4.2, rng.integers(0, 4, size=6)
    value, gradient = loss(name, scores, relevance)
    shifted_value, shifted = loss(name, scores + shift, relevance)
    assert shifted_value == pytest.approx(value, rel=1e-9, abs=1e-11)
    assert_allclose(shifted, gradient, rtol=1e-7, atol=1e-10)
    assert np.sum(gradient) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "parameter", "power"),
    [("ranknet", "sigma", -1), ("lambdarank", "sigma", -1), ("approx_ndcg", "alpha", -1)]
    + [("soft_rank", "sigma", 1), ("hinge", "margin", 1)],
)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_a_scale_of_scores_is_one_of_the_parameter(name, parameter, power, seed, scale):
    rng = np.random.default_rng(seed)
    scores, relevance = rng.permutation(6) / 4.0, rng.integers(0, 4, size=6)
    value, gradient = loss(name, scores, relevance, **{parameter: 0.9})
    scaled_value, scaled = loss(name, scale * scores, relevance, **{parameter: 0.9 * scale**power})
    unit = scale if name == "hinge" else 1.0
    assert scaled_value == pytest.approx(unit * value, rel=1e-9, abs=1e-12)
    assert_allclose(scaled * scale, unit * gradient, rtol=1e-7, atol=1e-9 * unit)


@every_loss
def test_blocks_of_queries_change_nothing(name, monkeypatch):
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 8, size=60)
    scores, relevance = rng.normal(size=sizes.sum()), rng.integers(0, 5, size=sizes.sum())
    expected = loss(name, scores, relevance, sizes, reduction="none")
    monkeypatch.setattr(queries, "_BLOCK_DOCUMENTS", 100)
    monkeypatch.setattr(listwise, "_RANK_VALUES", 60)
    actual = loss(name, scores, relevance, sizes, reduction="none")
    assert_allclose(actual[0], expected[0], rtol=1e-12, atol=1e-15)
    assert_allclose(actual[1], expected[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_the_memory_of_a_large_query_is_linear(name):
    """A matrix of all pairs would have 72 megabytes."""
    rng = np.random.default_rng(8)
    scores, relevance = rng.normal(size=3000), rng.integers(0, 5, size=3000)
    tracemalloc.start()
    try:
        loss(name, scores, relevance, hessian=True)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@every_loss
def test_single_precision_is_kept_and_inputs_are_left_alone(name):
    scores, relevance, sizes = ragged()
    given_scores, given_relevance = scores.astype(np.float32), relevance.copy()
    value, gradient = loss(name, given_scores, given_relevance, sizes)
    assert gradient.dtype == np.float32
    expected_value, expected = loss(name, given_scores.astype(float), relevance, sizes)
    assert value == expected_value
    assert_array_equal(gradient, expected.astype(np.float32))
    assert_array_equal(given_scores, scores.astype(np.float32))
    assert_array_equal(given_relevance, relevance)


HUGE = [([1e4, -1e4, 0.0, 1e4], [0, 4, 1, 2]), ([1e300, -1e300, 0.0, 1e300], [0, 4, 1, 2])]


@pytest.mark.parametrize(
    ("name", "scores", "relevance"),
    [(name, *HUGE[0]) for name in LOSSES]
    + [(name, *HUGE[1]) for name in LOSSES if name != "squared"]
    + [
        (name, [0.1, 0.2, 0.3], [5000, 4999, 0])
        for name in ("lambdarank", "approx_ndcg", "soft_rank", "listnet")
    ],
)
def test_huge_values_are_finite_and_silent(name, scores, relevance):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, gradient = loss(name, scores, relevance)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", [*PAIRWISE, "approx_ndcg", "soft_rank"])
def test_nothing_to_rank_is_no_loss(name):
    for reduction, nothing in (("mean", 0.0), ("sum", 0.0), ("none", [0.0])):
        value, gradient = loss(name, [0.3, 0.1, 2.0], [0, 0, 0], reduction=reduction)
        assert_array_equal(value, nothing)
        assert_array_equal(gradient, [0.0, 0.0, 0.0])


@every_loss
@pytest.mark.parametrize(
    ("scores", "relevance", "params", "message"),
    [
        ([1.0], [1, 0], {}, "relevance and scores must have one shape"),
        ([1.0, 2.0], [1, -1], {}, "relevance has negative"),
        ([1.0, 2.0], [1, 0], {"groups": [3]}, "but sum to 3"),
        ([1.0, 2.0], [1, 0], {"reduction": "max"}, "reduction="),
    ],
)
def test_bad_arrays_are_refused(name, scores, relevance, params, message):
    with pytest.raises(ValueError, match=message):
        loss(name, scores, relevance, **params)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("hinge", "margin"), ("ranknet", "sigma"), ("lambdarank", "sigma"), ("lambdarank", "k")]
    + [("approx_ndcg", "alpha"), ("soft_rank", "sigma"), ("soft_rank", "k")],
)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "1"])
def test_bad_parameters_are_refused(name, parameter, value):
    with pytest.raises(ValueError, match=f"{parameter}="):
        loss(name, [1.0, 2.0], [1, 0], **{parameter: value})


@pytest.mark.parametrize(
    ("relevance", "thresholds", "message"),
    [
        ([0, 3], [0.0, 1.0], "relevance must hold integers from 0 to 2"),
        ([0, 0.5], [0.0, 1.0], "relevance must hold integers"),
        ([0, 1], [], "thresholds must be"),
        ([0, 1], [[0.0]], "thresholds must be"),
        ([0, 1], [np.nan], "thresholds contains NaN"),
        ([0, 1e308], None, "more than 10,000 levels; rescale or bin it"),
    ],
)
def test_bad_levels_are_refused(relevance, thresholds, message):
    with pytest.raises(ValueError, match=message):
        learning_to_rank.ordinal_loss([0.0, 1.0], relevance, thresholds=thresholds)


def test_squares_that_overflow_are_refused():
    with pytest.raises(ValueError, match=r"scores has values .* squares overflow"):
        loss("squared", *HUGE[1])


@pytest.mark.parametrize("name", ["squared", "ranknet", "listmle"])
def test_weights_that_overflow_are_refused(name):
    with pytest.raises(ValueError, match=r"overflows with scores up to 9 and document_weight up"):
        loss(name, [9.0, 0.0, -9.0], [0, 1, 2], document_weight=[1e308] * 3, reduction="sum")


def test_listmle_of_scores_far_from_zero():
    expected = loss("listmle", [1.0, 0.0, 1.0], [1, 0, 2])
    actual = loss("listmle", [1e15 + 1.0, 1e15, 1e15 + 1.0], [1, 0, 2])
    for ours, theirs in zip(actual, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-12)
