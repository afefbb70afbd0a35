"""fasttsne.metric_learning.sampling: noise distributions, and losses that learn from samples."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference.gradients import assert_gradients
from scipy.special import expit, logsumexp, softmax
from scipy.stats import chisquare

from fasttsne.metric_learning import sampling
from fasttsne.metric_learning.sampling import NoiseDistribution


def probabilities_of_table(noise):
    """What the alias table really draws."""
    n = len(noise.probabilities)
    found = np.zeros(n)
    np.add.at(found, np.arange(n), noise._thresholds / n)
    np.add.at(found, noise._aliases, (1.0 - noise._thresholds) / n)
    return found


@given(
    weights=st.lists(
        st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.integers(1, 5)), min_size=1, max_size=40
    ).filter(any)
)
def test_the_table_draws_classes_by_their_probabilities(weights):
    noise = NoiseDistribution(weights)
    assert_allclose(noise.probabilities, np.array(weights) / np.sum(weights), rtol=1e-12)
    assert_allclose(probabilities_of_table(noise), noise.probabilities, rtol=1e-9, atol=1e-14)
    assert noise._thresholds.min() >= 0.0
    assert noise._thresholds.max() <= 1.0


@pytest.mark.parametrize(
    ("weights", "atol"),
    [(w, 1e-15) for w in ([1], [5, 5, 5], [1, 0], [1e-300, 1e300], [1e308, 1e308])]
    + [(1.0 / np.arange(1, 50_001) ** 1.1, 0.0)],
)
def test_extreme_weights_and_a_large_vocabulary(weights, atol):
    noise = NoiseDistribution(weights)
    assert noise.probabilities.sum() == pytest.approx(1.0, rel=1e-15)
    assert_allclose(probabilities_of_table(noise), noise.probabilities, atol=atol)
    with np.errstate(divide="ignore"):
        assert_allclose(noise.log_probabilities, np.log(noise.probabilities))


def test_samples_follow_the_distribution():
    noise = NoiseDistribution.unigram([50, 0, 3, 12, 1])
    drawn = noise.sample((100, 1000), random_state=0)
    assert drawn.shape == (100, 1000)
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert counts[1] == 0
    occurs = noise.probabilities > 0
    assert chisquare(counts[occurs], 1e5 * noise.probabilities[occurs]).pvalue > 1e-3
    assert_array_equal(noise.sample((100, 1000), random_state=0), drawn)
    assert np.any(noise.sample((100, 1000), random_state=1) != drawn)


def test_named_distributions():
    assert_allclose(NoiseDistribution.uniform(4).probabilities, 0.25)
    counts = np.array([100.0, 7.0, 1.0, 0.0])
    assert_allclose(
        NoiseDistribution.unigram(counts).probabilities, counts**0.75 / np.sum(counts**0.75)
    )
    assert_allclose(NoiseDistribution.unigram(counts, 0.0).probabilities, [1 / 3] * 3 + [0.0])
    i = np.arange(10)
    expected = np.log((i + 2) / (i + 1)) / np.log(11)
    assert_allclose(NoiseDistribution.log_uniform(10).probabilities, expected, rtol=1e-12)


def problem(n=4, k=5, seed=0):
    rng = np.random.default_rng(seed)
    log_q = np.log(softmax(rng.normal(size=20)))
    target, drawn = rng.integers(0, 20, size=n), rng.integers(0, 20, size=(n, k))
    scores = rng.normal(size=(n, 20))
    right, wrong = scores[np.arange(n), target], np.take_along_axis(scores, drawn, axis=1)
    return right, wrong, log_q[target], log_q[drawn]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_negative_sampling_loss(reduction):
    rng = np.random.default_rng(1)
    v, u, noise = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 5, 4))

    def value(*arrays):
        return sampling.negative_sampling_loss(*arrays, reduction=reduction)

    terms = [
        -np.log(expit(u[i] @ v[i])) - sum(np.log(expit(-w @ v[i])) for w in noise[i])
        for i in range(3)
    ]
    loss, _ = value(v, u, noise)
    assert loss == pytest.approx(np.sum(terms) / (3 if reduction == "mean" else 1), rel=1e-12)
    assert_gradients(value, [v, u, noise])


@pytest.mark.parametrize("log_z", [0.7, [0.1, -0.2, 0.3, 1.0]])
def test_nce_loss(log_z):
    right, wrong, right_noise, wrong_noise = problem()
    z = np.broadcast_to(log_z, 4)
    expected = 0.0
    for i in range(4):
        # The posterior that a class is from the data, h = p / (p + nu q).
        p, q = np.exp(right[i] - z[i]), np.exp(right_noise[i])
        expected -= np.log(p / (p + 5 * q)) / 4
        for s, log_q in zip(wrong[i], wrong_noise[i], strict=True):
            p, q = np.exp(s - z[i]), np.exp(log_q)
            expected -= np.log(1.0 - p / (p + 5 * q)) / 4

    def value(r, w, z):
        return sampling.nce_loss(r, w, right_noise, wrong_noise, log_z=z)

    assert value(right, wrong, log_z)[0] == pytest.approx(expected, rel=1e-12)
    assert_gradients(value, [right, wrong, log_z])


@pytest.mark.parametrize("hits", [False, True])
def test_sampled_softmax_loss(hits):
    right, wrong, right_noise, wrong_noise = problem(seed=2)
    is_target = np.zeros(wrong.shape, dtype=bool)
    if hits:
        is_target[0, 1] = is_target[2] = True

    def value(r, w, reduction="mean"):
        return sampling.sampled_softmax_loss(
            r, w, right_noise, wrong_noise, is_target=is_target, reduction=reduction
        )

    losses, _ = value(right, wrong, reduction="none")
    for i in range(4):
        logits = [right[i] - np.log(5) - right_noise[i]]
        logits += [
            s - np.log(5) - q
            for s, q, hit in zip(wrong[i], wrong_noise[i], is_target[i], strict=True)
            if not hit
        ]
        assert losses[i] == pytest.approx(logsumexp(logits) - logits[0], rel=1e-12, abs=1e-15)
    assert value(right, wrong)[0] == pytest.approx(losses.mean(), rel=1e-12)
    assert_gradients(value, [right, wrong])


@pytest.mark.parametrize("loss", ["nce", "sampled softmax"])
def test_gradients_approach_those_of_the_full_softmax_of_a_vocabulary(loss):
    # Words by Zipf's law, and a model of 50,000 of them. The error of a mean over samples falls
    # with the root of their number, to a thirtieth for a thousandfold sample; weights as unlike
    # as these make that slower, about a fifteenth.
    n_classes, n_features, n_samples = 50_000, 16, 8
    rng = np.random.default_rng(4)
    vectors = 0.5 * rng.normal(size=(n_classes, n_features))
    inputs = rng.normal(size=(n_samples, n_features))
    noise = NoiseDistribution.unigram(1.0 / np.arange(1, n_classes + 1))
    bias = noise.log_probabilities  # scores follow the frequencies, as those of a model do
    target = noise.sample(n_samples, random_state=5)
    scores = inputs @ vectors.T + bias
    full = (softmax(scores, axis=1) @ vectors - vectors[target]) / n_samples
    log_z = logsumexp(scores, axis=1)

    def gradient(n_drawn, seed):
        drawn = noise.sample((n_samples, n_drawn), random_state=seed)
        wrong = np.take_along_axis(scores, drawn, axis=1)
        arguments = (
            scores[np.arange(n_samples), target],
            wrong,
            noise.log_probabilities[target],
            noise.log_probabilities[drawn],
        )
        if loss == "nce":
            _, (by_target, by_noise, _) = sampling.nce_loss(*arguments, log_z=log_z)
        else:
            _, (by_target, by_noise) = sampling.sampled_softmax_loss(
                *arguments, is_target=drawn == target[:, np.newaxis]
            )
        return by_target[:, np.newaxis] * vectors[target] + np.einsum(
            "ik,ikf->if", by_noise, vectors[drawn]
        )

    def error(n_drawn):
        each = [np.linalg.norm(gradient(n_drawn, seed) - full) for seed in range(5)]
        return np.mean(each) / np.linalg.norm(full)

    errors = [error(n_drawn) for n_drawn in (100, 1_000, 10_000, 100_000)]
    assert np.all(np.diff(errors) < 0.0)
    assert errors[-1] < 0.1 * errors[0]
    assert errors[-1] < 0.05


@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_common_shifts_do_not_count(seed, shift):
    right, wrong, *noise = problem(seed=seed)
    for value, shifted in (
        (sampling.nce_loss, lambda *arrays: sampling.nce_loss(*arrays, log_z=shift)),
        (sampling.sampled_softmax_loss, sampling.sampled_softmax_loss),
    ):
        loss, gradients = value(right, wrong, *noise)
        # Scores all higher by as much: log Z takes it up, and a softmax does not see it.
        again, moved = shifted(right + shift, wrong + shift, *noise)
        assert again == pytest.approx(loss, rel=1e-8)
        assert_allclose(moved[1], gradients[1], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_huge_scores_are_finite_and_silent(size):
    scores = [size, -size], [[size, -size], [size, size]]
    noise = [-1.0, -2.0], [[-1.0, -1.0], [-1.0, -3.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss, gradients in (
            sampling.nce_loss(*scores, *noise),
            sampling.sampled_softmax_loss(*scores, *noise),
        ):
            assert np.isfinite(loss)
            assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_single_precision_is_kept():
    arrays = [array.astype(np.float32) for array in problem()]
    _, of_softmax = sampling.sampled_softmax_loss(*arrays)
    _, of_nce = sampling.nce_loss(*arrays, log_z=np.float32(0))
    assert {gradient.dtype for gradient in of_softmax + of_nce} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("function", "arguments", "params", "message"),
    [
        (NoiseDistribution.uniform, [0], {}, "n_classes="),
        (NoiseDistribution.log_uniform, [2.5], {}, "n_classes="),
        (NoiseDistribution.unigram, [[1, 2]], {"power": 2}, "power="),
        (sampling.negative_sampling_loss, [[[1.0]], [[1.0]], [[1.0]]], {}, "negatives .n_samples"),
        (sampling.negative_sampling_loss, [[[np.nan]], [[1.0]], [[[1.0]]]], {}, "inputs"),
        (sampling.negative_sampling_loss, [[[1e200]], [[1.0]], [[[1.0]]]], {}, "inputs has"),
        (sampling.nce_loss, [[1.0], [[1.0]], [1.0, 2.0], [[1.0]]], {}, "target_log_noise"),
        (sampling.nce_loss, [[1.0], [1.0], [1.0], [1.0]], {}, "noise_scores"),
        (sampling.nce_loss, [[1.0], [[]], [1.0], [[]]], {}, "at least one drawn"),
        (sampling.nce_loss, [[1.0], [[1.0]], [1.0], [[1.0]]], {"log_z": [1, 2]}, "log_z"),
        (
            sampling.sampled_softmax_loss,
            [[1.0], [[1.0]], [-np.inf], [[1.0]]],
            {},
            "target_log_noise contains",
        ),
        (
            sampling.sampled_softmax_loss,
            [[1.0], [[1.0]], [0.0], [[0.0]]],
            {"is_target": [1]},
            "is_target",
        ),
        (
            sampling.sampled_softmax_loss,
            [[1.0], [[1.0]], [0.0], [[0.0]]],
            {"reduction": "x"},
            "reduction=",
        ),
    ]
    + [
        (NoiseDistribution, [weights], {}, r"weights (must be|contains NaN)")
        for weights in ([], [[1.0]], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf], ["a"])
    ],
)
def test_bad_arguments_are_refused(function, arguments, params, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments, **params)
