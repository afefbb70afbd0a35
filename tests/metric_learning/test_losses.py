"""fasttsne.metric_learning.losses: losses of embeddings and their gradients."""

import tracemalloc
import warnings
from typing import get_args

import numpy as np
import pytest
import reference.losses as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference.gradients import assert_gradients, central_differences

from fasttsne.metric_learning import distances, losses
from fasttsne.metric_learning.mining import Strategy, mine_triplets

X4 = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
LABELS4 = [0, 0, 1, 1]


def batch(n=12, d=3, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.integers(0, n_classes, size=n)


def mean(terms):
    return np.mean(terms) if len(terms) else 0.0


# Every loss of X and labels, as a function of both alone; and the terms of its oracle.
OF_LABELS = {
    "contrastive": (
        lambda X, y, **p: losses.contrastive_loss(X, y, margin=1.5, **p),
        lambda X, y: reference.contrastive(X, reference.pairs_of(y), 1.5, True),
    ),
    "contrastive, plain": (
        lambda X, y, **p: losses.contrastive_loss(X, y, margin=1.5, squared=False, **p),
        lambda X, y: reference.contrastive(X, reference.pairs_of(y), 1.5, False),
    ),
    "supervised contrastive": (
        lambda X, y, **p: losses.supervised_contrastive_loss(X, y, temperature=0.3, **p),
        lambda X, y: reference.supervised_contrastive(X, y, 0.3),
    ),
    "lifted structure": (
        lambda X, y, **p: losses.lifted_structure_loss(X, y, **p),
        lambda X, y: reference.lifted_structure(X, y, 1.0),
    ),
    "multi-similarity": (
        lambda X, y, **p: losses.multi_similarity_loss(X, y, beta=10.0, **p),
        lambda X, y: reference.multi_similarity(X, y, 2.0, 10.0, 0.5),
    ),
}
for mining in "all", "hard", "semihard":
    for squared in False, True:
        OF_LABELS[f"triplet, {mining}{', squared' if squared else ''}"] = (
            lambda X, y, mining=mining, squared=squared, **p: losses.triplet_loss(
                X, y, margin=0.8, mining=mining, squared=squared, **{"reduction": "mean"} | p
            ),
            lambda X, y, mining=mining, squared=squared: reference.triplet(
                X, reference.triplets_of(X, y, mining, 0.8, squared), 0.8, squared
            ),
        )

every_loss = pytest.mark.parametrize("name", OF_LABELS)


@pytest.mark.parametrize(
    ("squared", "expected"), [(False, 2 + 3 * np.sqrt(10) - 2 * np.sqrt(5)), (True, 20.0)]
)
def test_known_triplet_losses(squared, expected):
    # Four of the eight triplets are nonzero.
    for reduction, count in (("sum", 1), ("mean", 8), ("mean_nonzero", 4)):
        loss, _ = losses.triplet_loss(X4, LABELS4, squared=squared, reduction=reduction)
        assert loss == pytest.approx(expected / count, abs=1e-9)


@every_loss
@pytest.mark.parametrize("seed", range(5))
def test_losses_of_labels_are_their_definitions(name, seed):
    function, terms = OF_LABELS[name]
    X, y = batch(seed=seed)
    loss, _ = function(X, y)
    assert loss == pytest.approx(mean(terms(X, y)), rel=1e-12)
    total, by_sum = function(X, y, reduction="sum")
    assert total == pytest.approx(sum(terms(X, y)), rel=1e-12)
    of_samples, by_none = function(X, y, reduction="none")
    assert of_samples.shape == (len(X),)
    assert of_samples.sum() == pytest.approx(total, rel=1e-12)
    assert_array_equal(by_none, by_sum)
    for reduction in "mean", "sum":
        assert_gradients(lambda Z, of=reduction: function(Z, y, reduction=of), [X])


# Where roots and hinges have a kink, the two sides of a central difference cancel, and the gradient
# is to be 0 as well; labels and positions are such that no hinge is exactly at its margin.
DEGENERATE = {
    "duplicates": ([[0.2, -0.1], [0.2, -0.1], [1.3, 0.2], [1.3, 0.2], [0.4, 2.1]], [0, 0, 1, 1, 0]),
    "duplicates of other classes": ([[0.3, 0.0], [0.3, 0.0], [1.1, 0.7]], [0, 1, 0]),
    "all equal": ([[0.7, -0.2]] * 4, [0, 0, 1, 1]),
    "on a line": ([[0.1, 0.2], [0.5, 1.0], [-0.7, -1.4], [1.9, 3.8]], [0, 1, 0, 1]),
    "one class": ([[0.1, 0.2], [0.5, -1.0], [-0.7, 1.4]], [2, 2, 2]),
    "singletons": ([[0.1, 0.2], [0.5, -1.0], [-0.7, 1.4]], [0, 1, 2]),
    "one feature": ([[0.3], [-1.1], [0.9], [2.2]], [0, 0, 1, 1]),
    "one of a class": ([[0.1, 0.2], [0.5, -1.0], [-0.7, 1.4], [0.3, 0.3]], [0, 0, 0, 1]),
}


@every_loss
@pytest.mark.parametrize("case", DEGENERATE)
def test_gradients_at_degenerate_points(name, case):
    function, _ = OF_LABELS[name]
    X, y = np.array(DEGENERATE[case][0]), DEGENERATE[case][1]
    if "semihard" in name and (case == "all equal" or "duplicates" in case):
        pytest.skip("which triplets are semihard changes with any step")
    if "hard" in name and "duplicates" in case:
        pytest.skip("which of two equal samples is the hardest changes with any step")
    _, gradient = function(X, y, reduction="sum")
    # An error of the step's order remains beside a kink, as equal samples are.
    atol = 1e-5 if "duplicates" in case or "equal" in case else 1e-8
    expected = central_differences(lambda Z: function(Z, y, reduction="sum")[0], X)
    assert_allclose(gradient, expected, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("mining", get_args(Strategy))
def test_triplets_of_labels_are_those_given_one_by_one(mining, squared):
    X, y = batch(n=15, seed=2)
    if mined := mining not in ("all", "semihard"):
        triplets = mine_triplets(X, y, strategy=mining, margin=0.6, random_state=3)
    else:
        triplets = np.array(reference.triplets_of(X, y, mining, 0.6, squared))
    given = {"mining": mining, "random_state": 3}
    for reduction in "mean", "mean_nonzero", "sum", "none":
        params = {"squared": squared, "margin": 0.6, "reduction": reduction}
        loss, gradient = losses.triplet_loss(X, y, **given, **params)
        expected, expected_gradient = losses.triplet_loss(X, triplets=triplets, **params)
        if reduction == "none":
            expected = np.bincount(triplets[:, 0], expected, minlength=15)
        assert_allclose(loss, expected, rtol=1e-12)
        assert np.sum(loss) > 0.0
        rtol, atol = (0.0, 0.0) if mined else (1e-10, 1e-13)
        assert_allclose(gradient, expected_gradient, rtol=rtol, atol=atol)


def test_gradients_of_triplets_and_pairs_given_one_by_one():
    X, y = batch(seed=4)
    triplets = reference.triplets_of(X, y, "all", 1.0, False)[::7]
    pairs = [(0, 1, 0), (3, 2, 1), (0, 1, 1), (5, 8, 0)]
    assert_gradients(lambda Z: losses.triplet_loss(Z, triplets=triplets), [X])
    assert_gradients(lambda Z: losses.triplet_loss(Z, triplets=triplets, squared=True), [X])
    assert_gradients(lambda Z: losses.contrastive_loss(Z, pairs=pairs, margin=3.0), [X])


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("similar_label", [0, 1])
def test_contrastive_loss_of_pairs(squared, similar_label):
    X, y = batch(seed=3)
    pairs = reference.pairs_of(y)
    labelled = [(i, j, similar_label if same else 1 - similar_label) for i, j, same in pairs]
    params = {"margin": 1.5, "squared": squared}
    loss, gradient = losses.contrastive_loss(
        X, pairs=labelled, similar_label=similar_label, reduction="none", **params
    )
    assert_allclose(loss, reference.contrastive(X, pairs, **params), rtol=1e-12)
    expected, expected_gradient = losses.contrastive_loss(X, y, reduction="sum", **params)
    assert loss.sum() == pytest.approx(expected, rel=1e-12)
    assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=1e-13)


RNG = np.random.default_rng(4)
A, P, K, PROXIES = (RNG.normal(size=(n, 3)) for n in (6, 6, 8, 3))
TARGET = [0, 2, 1, 1, 0, 2]
PAIRS = [(0, 5), (3, 2), (4, 1), (1, 5)]

# Losses of arrays of embeddings, the arrays, and the terms of the oracle.
OF_ARRAYS = {
    "n-pair": (losses.n_pair_loss, [A, P], reference.n_pair),
    "InfoNCE": (
        lambda q, k, **p: losses.info_nce_loss(q, k, temperature=0.4, **p),
        [A, K],
        lambda q, k: reference.info_nce(q, k, 0.4),
    ),
    "InfoNCE of products": (
        lambda q, k, **p: losses.info_nce_loss(q, k, temperature=0.4, normalize=False, **p),
        [A, K],
        lambda q, k: [reference.softmax_term(k @ x / 0.4, i) for i, x in enumerate(q)],
    ),
    "NT-Xent": (
        lambda x, **p: losses.nt_xent_loss(x, PAIRS, **p),
        [A],
        lambda x: reference.nt_xent(x, PAIRS, 0.5),
    ),
    "softmax": (
        lambda s, **p: losses.softmax_loss(s, TARGET, **p),
        [A],
        lambda s: [reference.softmax_term(row, t) for row, t in zip(s, TARGET, strict=True)],
    ),
}
for include in True, False:
    OF_ARRAYS[f"proxies, include_positive={include}"] = (
        lambda x, p, include=include, **params: losses.proxy_loss(
            x, TARGET, p, include_positive=include, **params
        ),
        [A, PROXIES],
        lambda x, p, include=include: reference.proxy(x, TARGET, p, include),
    )


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_losses_of_arrays_are_their_definitions(name):
    function, arrays, terms = OF_ARRAYS[name]
    assert_allclose(function(*arrays, reduction="none")[0], terms(*arrays), rtol=1e-12)
    assert function(*arrays)[0] == pytest.approx(mean(terms(*arrays)), rel=1e-12)
    assert_gradients(function, arrays)
    assert_gradients(lambda *given: function(*given, reduction="sum"), arrays)


@every_loss
@given(seed=st.integers(0, 1000))
def test_the_order_of_samples_does_not_count(name, seed):
    function, _ = OF_LABELS[name]
    X, y = batch(seed=seed)
    order = np.random.default_rng(seed).permutation(len(X))
    loss, gradient = function(X, y)
    permuted_loss, permuted = function(X[order], y[order])
    assert permuted_loss == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert_allclose(permuted, gradient[order], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", [n for n in OF_LABELS if "triplet" in n or n == "contrastive"])
@given(seed=st.integers(0, 1000), shift=st.floats(-1e3, 1e3), angle=st.floats(0, 6.3))
def test_a_shift_does_not_count_and_a_rotation_turns_the_gradient(name, seed, shift, angle):
    function, _ = OF_LABELS[name]
    X, y = batch(seed=seed)
    loss, gradient = function(X, y)
    assert_allclose(gradient.sum(axis=0), 0.0, atol=1e-10)
    shifted_loss, shifted = function(X + shift, y)
    assert shifted_loss == pytest.approx(loss, rel=1e-8, abs=1e-9)
    assert_allclose(shifted, gradient, rtol=1e-6, atol=1e-8)
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    rotated_loss, rotated = function(X @ rotation, y)
    assert rotated_loss == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert_allclose(rotated, gradient @ rotation, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("squared", [False, True])
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_a_scale_of_samples_and_margin_is_one_of_the_loss(squared, seed, scale):
    X, y = batch(seed=seed)
    unit = scale**2 if squared else scale
    for value, factor in (
        (lambda Z, m: losses.contrastive_loss(Z, y, margin=m, squared=squared), scale),
        (lambda Z, m: losses.triplet_loss(Z, y, margin=m, squared=squared), unit),
    ):
        loss, gradient = value(X, 1.0)
        scaled_loss, scaled = value(scale * X, factor)
        assert scaled_loss == pytest.approx(unit * loss, rel=1e-9)
        assert_allclose(scaled, unit / scale * gradient, rtol=1e-7, atol=1e-9 * unit / scale)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-150, 1e150))
def test_the_lengths_of_samples_do_not_count_for_cosines(seed, scale):
    X, y = batch(seed=seed)
    proxies = np.random.default_rng(seed).normal(size=(3, 3))
    for value in (
        lambda Z: losses.supervised_contrastive_loss(Z, y, temperature=0.3),
        lambda Z: losses.multi_similarity_loss(Z, y, beta=10.0),
        lambda Z: losses.info_nce_loss(Z[:6], Z[6:] / scale),
        lambda Z: losses.nt_xent_loss(Z, [(0, 3), (1, 4)]),
        lambda Z: losses.proxy_loss(Z, y, proxies),
    ):
        (loss, gradient), (scaled_loss, scaled) = value(X), value(scale * X)
        assert scaled_loss == pytest.approx(loss, rel=1e-9)
        if isinstance(gradient, tuple):
            gradient, scaled = gradient[0], scaled[0]
        assert_allclose(scaled * scale, gradient, rtol=1e-7, atol=1e-10)


@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_a_common_shift_of_logits_does_not_count(seed, shift):
    logits = np.random.default_rng(seed).normal(size=(6, 3))
    loss, gradient = losses.softmax_loss(logits, TARGET)
    shifted_loss, shifted = losses.softmax_loss(logits + shift, TARGET)
    assert shifted_loss == pytest.approx(loss, rel=1e-9)
    assert_allclose(shifted, gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", [*OF_LABELS, "triplets one by one"])
def test_blocks_change_nothing(name, monkeypatch):
    X, y = batch(n=40, seed=13)
    triplets = mine_triplets(X, y, strategy="all")
    one_by_one = [lambda X, _: losses.triplet_loss(X, triplets=triplets)]
    function = OF_LABELS.get(name, one_by_one)[0]
    loss, gradient = function(X, y)
    monkeypatch.setattr(distances, "_BLOCK_VALUES", 100)
    again, gradient_again = function(X, y)
    assert again == pytest.approx(loss, rel=1e-12)
    assert_allclose(gradient_again, gradient, rtol=1e-10, atol=1e-13)


@every_loss
def test_labels_are_of_any_type_single_precision_is_kept_and_inputs_are_left_alone(name):
    function, _ = OF_LABELS[name]
    X, numbers = batch(seed=14)
    X, y = X.astype(np.float32), np.array(list("abc"))[numbers]
    for array in X, y:
        array.setflags(write=False)
    loss, gradient = function(X, y)
    assert gradient.dtype == np.float32
    expected, expected_gradient = function(X.astype(float), numbers)
    assert loss == expected
    assert_array_equal(gradient, expected_gradient.astype(np.float32))


@pytest.mark.parametrize("mining", ["all", "hard", "semihard"])
def test_memory_of_triplets_is_linear_in_the_batch(mining, monkeypatch):
    monkeypatch.setattr(distances, "_BLOCK_VALUES", 1 << 16)
    peaks = []
    for n in 1000, 4000:
        X, y = batch(n=n, d=8, n_classes=20)
        tracemalloc.start()
        losses.triplet_loss(X, y, mining=mining)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 4.5 * peaks[0]
    assert peaks[1] < 4000**2


@pytest.mark.parametrize("name", [n for n in OF_LABELS if "triplet" in n])
@pytest.mark.parametrize("labels", [[0] * 6, range(6)], ids=["one class", "singletons"])
@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero", "sum"])
def test_without_triplets_there_is_no_loss(name, labels, reduction):
    X, _ = batch(n=6)
    loss, gradient = OF_LABELS[name][0](X, labels, reduction=reduction)
    assert loss == 0.0
    assert_array_equal(gradient, np.zeros_like(X))


@every_loss
@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 1]])
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((4, 2)),
        np.ones((4, 3)),
        np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]),
        np.array([[0.0], [1.0], [1.0], [2.0]]),
        1e150 * X4,
        1e-160 * X4,
    ],
    ids=["zeros", "equal", "duplicates", "line", "huge", "tiny"],
)
def test_degenerate_batches_are_finite_and_silent(name, labels, X):
    function, _ = OF_LABELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, gradient = function(X, labels)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_close_points_far_from_the_origin_keep_their_distance():
    X = np.array([[1e4, 1e4], [1e4 + 1e-6, 1e4], [-1e4, 3.0]])
    exact = (X[1, 0] - X[0, 0]) ** 2
    loss, gradient = losses.contrastive_loss(X, pairs=[(0, 1, 0)], reduction="sum")
    assert loss == pytest.approx(0.5 * exact, rel=1e-12)
    loss, gradient = losses.contrastive_loss(X, [0, 0, 1], margin=1e-9, reduction="sum")
    assert loss == pytest.approx(0.5 * exact, rel=1e-9)
    assert gradient[0, 0] == pytest.approx(X[0, 0] - X[1, 0], rel=1e-3)


def test_a_hinge_exactly_at_the_margin_does_not_push():
    X = np.array([[0.0], [1.0], [2.0]])  # |0 - 2| - |0 - 1| = 1, the margin
    loss, gradient = losses.triplet_loss(X, [0, 0, 1], mining="hard", reduction="none")
    assert_array_equal(loss, [0.0, 1.0, 0.0])
    for params in {"mining": "all"}, {"mining": "semihard"}:
        assert losses.triplet_loss(X[[0, 1, 2]], [0, 0, 1], reduction="none", **params)[0][0] == 0.0
    _, gradient = losses.contrastive_loss(X, pairs=[(0, 1, 1)], margin=1.0)
    assert_array_equal(gradient, np.zeros_like(X))


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_huge_logits(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, gradient = losses.softmax_loss([[size, -size, 0.0], [0.0, size, size]], [0, 0])
    assert loss == pytest.approx(size / 2, rel=1e-3)
    assert_allclose(gradient, [[0.0, 0.0, 0.0], [-0.5, 0.25, 0.25]])


def gradients_of_cosines(X):
    return (
        losses.nt_xent_loss(X, [(0, 1), (2, 3)])[1],
        losses.supervised_contrastive_loss(X, LABELS4)[1],
        losses.multi_similarity_loss(X, LABELS4)[1],
        losses.info_nce_loss(X, X)[1][0],
        losses.proxy_loss(X, LABELS4, X[1:3])[1][0],
    )


def test_vectors_of_zeros_have_no_gradient():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    for gradient in gradients_of_cosines(X):
        assert np.isfinite(gradient).all()
        assert_array_equal(gradient[0], [0.0, 0.0])


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e-320), (np.float32, 1e-40)])
def test_slopes_beside_zero_are_finite(dtype, size):
    # The gradient of a cosine grows as one over the length, beyond the largest number.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for gradient in gradients_of_cosines((X4 * size).astype(dtype)):
            assert gradient.dtype == dtype
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("size", [1e153, 1e200, 1e300])
def test_samples_whose_squares_overflow_are_refused(size):
    X = size * X4
    for call in (
        lambda: losses.contrastive_loss(X, LABELS4),
        lambda: losses.contrastive_loss(X, pairs=[(0, 3, 0)]),
        lambda: losses.triplet_loss(X, LABELS4),
        lambda: losses.triplet_loss(X, triplets=[(0, 1, 2)]),
        lambda: losses.lifted_structure_loss(X, LABELS4),
        lambda: losses.n_pair_loss(X4, X),
        lambda: losses.info_nce_loss(X, X4, normalize=False),
        lambda: mine_triplets(X, LABELS4),
    ):
        with pytest.raises(ValueError, match="squares overflow"):
            call()
    assert np.isfinite(losses.nt_xent_loss(X, [(0, 1)])[0])  # cosines do not mind


def test_no_pairs_and_no_triplets():
    for loss, gradient in (
        losses.contrastive_loss(X4, pairs=[]),
        losses.triplet_loss(X4, triplets=[]),
        losses.nt_xent_loss(X4, []),
        *(function(X4[:1], [0]) for function, _ in OF_LABELS.values()),
    ):
        assert loss == 0.0
        assert not gradient.any()


@every_loss
@pytest.mark.parametrize(
    ("X", "labels", "params", "message"),
    [
        ([1.0, 2.0], [0, 1], {}, "X must be .n_samples, n_features."),
        (np.ones((0, 2)), [], {}, "X must be"),
        ([["a"], ["b"]], [0, 1], {}, "X must be numbers"),
        ([[1.0], [np.nan]], [0, 1], {}, "X contains NaN"),
        pytest.param(
            [[1.0], [1.0, 2.0]],
            [0, 1],
            {},
            "X (is not an array|must be numbers)",
            marks=pytest.mark.filterwarnings("ignore"),  # of NumPy before 1.24
        ),
        ([[1.0], [2.0]], [0], {}, "labels has shape"),
        ([[1.0], [2.0]], [0.0, np.nan], {}, "labels contains missing"),
        ([[1.0], [2.0]], ["a", None], {}, "labels contains missing"),
        ([[1.0], [2.0]], [0, 1], {"reduction": "max"}, "reduction="),
    ],
)
def test_bad_batches_are_refused(name, X, labels, params, message):
    with pytest.raises(ValueError, match=message):
        OF_LABELS[name][0](X, labels, **params)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.triplet_loss(X4), "either labels or triplets"),
        (lambda: losses.triplet_loss(X4, LABELS4, triplets=[(0, 1, 2)]), "either labels or"),
        (lambda: losses.triplet_loss(X4, LABELS4, mining="hardest"), "mining="),
        (lambda: losses.triplet_loss(X4, LABELS4, margin=0), "margin="),
        (lambda: losses.triplet_loss(X4, triplets=[(0, 1, 4)]), "triplets must hold integers"),
        (lambda: losses.triplet_loss(X4, triplets=[(0, 1)]), "triplets must be of shape"),
        (lambda: losses.contrastive_loss(X4), "either labels or pairs"),
        (lambda: losses.contrastive_loss(X4, pairs=[(0, 9, 1)]), "pairs must hold integers"),
        (lambda: losses.contrastive_loss(X4[:1], pairs=[(0, 1, 0)]), "pairs must hold numbers"),
        (lambda: losses.contrastive_loss(X4, pairs=[(0, 1, 2)]), "last column of labels"),
        (lambda: losses.contrastive_loss(X4, LABELS4, similar_label=2), "similar_label="),
        (lambda: losses.contrastive_loss(X4, LABELS4, margin=np.inf), "margin="),
        (lambda: losses.nt_xent_loss(X4, [(1, 1)]), "itself"),
        (lambda: losses.nt_xent_loss(X4, [(0, 1)], temperature=0), "temperature="),
        (lambda: losses.info_nce_loss(X4, X4[:2]), "keys must be at least as many"),
        (lambda: losses.info_nce_loss(X4, X4[:, :1]), "equally many features"),
        (lambda: losses.n_pair_loss(X4, X4[:2]), "equally many"),
        (lambda: losses.softmax_loss(X4, [0, 1, 2, 1]), "target must hold integers"),
        (lambda: losses.softmax_loss(X4, [0, 1]), "target must hold 4"),
        (lambda: losses.softmax_loss(X4, [0.5, 1, 0, 1]), "target must hold integers"),
        (lambda: losses.proxy_loss(X4, LABELS4, X4[:1]), "proxies must hold at least two"),
        (lambda: losses.proxy_loss(X4, [0, 0, 1, 2], X4[:2]), "target must hold integers"),
        (lambda: losses.multi_similarity_loss(X4, LABELS4, alpha=-1), "alpha="),
        (lambda: losses.multi_similarity_loss(X4, LABELS4, threshold=np.nan), "threshold="),
    ],
)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
