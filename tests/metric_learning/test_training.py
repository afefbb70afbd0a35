"""fasttsne.metric_learning.learners: features, training."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from fasttsne.metric_learning.learners import features, training


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
@pytest.mark.parametrize("scaling", [features.standard_scaling, features.common_scaling])
def test_a_map_of_axes_is_one_of_raw_features(shape, scaling):
    rng = np.random.default_rng(4)
    X = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, size=shape[1]) + 5.0
    X[:, 2] = 7.0
    axes = features.principal_axes_of(X, scaling(X))
    assert len(axes.lengths) <= min(shape[0] - 1, shape[1] - 1)
    assert_allclose(axes.directions.T @ axes.directions, np.eye(len(axes.lengths)), atol=1e-6)
    W = rng.normal(size=(len(axes.lengths), 3))
    Z = axes.coordinates(X)
    assert_allclose(np.mean(np.sum(Z**2, axis=1)), 1.0)
    components = axes.to_raw(W)
    assert not components[:, 2].any()
    assert_allclose((X - axes.scaling.mean) @ components.T, Z @ W, rtol=1e-6, atol=1e-6)
    assert_allclose(Z @ axes.from_raw(components), Z @ W, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_scales_of_any_magnitude(factor):
    X = np.random.default_rng(5).normal(size=(50, 3))
    scaling = features.standard_scaling(factor * X)
    assert_allclose(scaling.scale / factor, X.std(axis=0))
    assert_allclose(scaling(factor * X), StandardScaler().fit_transform(X))


@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [([50, 50, 50], 30), ([100, 3, 7], 30), ([2] * 40, 20), ([1, 1, 30], 12), ([5, 5], 1000)],
)
def test_batches_hold_several_of_several_classes(sizes, batch_size):
    classes = np.random.default_rng(6).permutation(np.repeat(np.arange(len(sizes)), sizes))
    batches = training.ClassBatches(classes, batch_size, np.random.RandomState(0))
    for batch in [batch for _ in range(5) for batch in batches.epoch()]:
        assert len(np.unique(batch)) == len(batch) <= batch_size
        counts = np.bincount(classes[batch], minlength=len(sizes))
        assert np.count_nonzero(counts) >= 2
        present = counts > 0
        assert (counts[present] >= np.minimum(2, np.array(sizes)[present])).all()


def test_every_sample_has_its_turn_before_any_has_another():
    classes = np.repeat([0, 1], 50)
    batches = training.ClassBatches(classes, 10, np.random.RandomState(0))
    epochs = [np.concatenate(list(batches.epoch())) for _ in range(4)]
    for epoch in epochs:
        assert_array_equal(np.sort(epoch), np.arange(100))
    assert (epochs[0] != epochs[1]).any()
    whole = training.ClassBatches(classes, 100, np.random.RandomState(0))
    assert len(list(whole.epoch())) == 10


def schedule(**changed):
    given = {"learning_rate": 0.1, "max_epochs": 200, "n_iter_no_change": 200, "tol": 0.0}
    return training.Schedule(**{**given, "verbose": False, **changed})


def test_descent_finds_the_minimum_whatever_the_scale_of_parameters():
    minimum, curvature = np.array([1.0, -2.0, 0.5]), np.array([1e-3, 1.0, 1e3])

    def objective(at):
        return float(np.sum(curvature * (at - minimum) ** 2)), 2 * curvature * (at - minimum)

    found, history = training.descend(np.zeros(3), lambda: [objective], schedule(), "test")
    assert_allclose(found, minimum, atol=1e-3)
    assert len(history["loss"]) == 200
    assert history["loss"][-1] < 1e-4 * history["loss"][0]


def test_the_first_steps_of_adam_are_those_of_the_paper():
    adam = training.Adam(2)
    m = v = np.zeros(2)
    for t, gradient in enumerate([np.array([1.0, -4.0]), np.array([3.0, 0.5])], start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected = -0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        assert_allclose(adam.step(gradient, 0.01), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("scores", "stops", "best"),
    [
        ([0.1, 0.7, 0.3, 0.69, 0.2, 0.6, 0.9], True, 1),  # ends four epochs after the best
        ([0.1, 0.7, 0.3, 0.3, 0.7, 0.6, 0.2], False, 4),  # every epoch; the last of equals
    ],
)
def test_a_judge_keeps_the_best_of_all_epochs(scores, stops, best):
    visited, given = [], iter(scores)

    def score(parameters):
        visited.append(parameters.copy())
        return next(given)

    found, history = training.descend(
        np.zeros(1),
        lambda: [lambda at: (float(len(visited)), np.ones(1))],  # a loss that rises
        schedule(max_epochs=7, n_iter_no_change=4),
        "test",
        training.Judge("training_score", score, stops=stops),
    )
    assert history["training_score"] == scores[: 6 if stops else 7]
    assert_array_equal(found, visited[best])


def test_a_descent_without_progress_ends():
    losses = iter([5.0, 4.0, 3.95, 3.92, 3.0])
    epoch = [lambda at: (next(losses), np.ones(1))]
    stopping = schedule(n_iter_no_change=2, tol=0.1)
    _, history = training.descend(np.zeros(1), lambda: epoch, stopping, "test")
    assert history["loss"] == [5.0, 4.0, 3.95, 3.92]
