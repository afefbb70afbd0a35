"""fasttsne.metric_learning.mining: pairs and triplets of a batch."""

import tracemalloc
import warnings

import numpy as np
import pytest
import reference.losses as reference
from numpy.testing import assert_array_equal
from scipy.stats import chisquare

from fasttsne.metric_learning import distances
from fasttsne.metric_learning.losses import contrastive_loss
from fasttsne.metric_learning.mining import mine_pairs, mine_triplets

TRIPLETS = ["all", "hard", "semihard", "easy", "distance_weighted", "random"]
PAIRS = ["all", "hard", "easy", "random"]
BOTH = [mine_pairs, mine_triplets]


def batch(n=20, d=3, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.integers(0, n_classes, size=n)


def as_set(rows):
    return {tuple(row) for row in rows.tolist()}


def nearest(X, y, a, same, farthest=False):
    found = sorted(reference.others(y, a, same), key=lambda j: reference.distance(X, a, j))
    return found[-1 if farthest else 0]


@pytest.mark.parametrize("strategy", TRIPLETS)
def test_triplets_are_of_the_right_classes(strategy):
    X, y = batch()
    triplets = mine_triplets(X, y, strategy=strategy, random_state=0)
    anchors, positives, negatives = triplets.T
    assert len(triplets) > 0
    assert triplets.dtype == np.int64
    assert np.all(np.diff(anchors) >= 0)
    assert np.all(anchors != positives)
    assert np.all(y[anchors] == y[positives])
    assert np.all(y[anchors] != y[negatives])


@pytest.mark.parametrize("strategy", ["all", "hard", "semihard", "easy"])
def test_triplets_of_a_strategy(strategy):
    X, y = batch(seed=2)
    expected = reference.triplets_of(X, y, strategy, 0.7, False)
    if strategy == "semihard":  # the nearest of all that are
        expected.sort(key=lambda triplet: reference.distance(X, triplet[0], triplet[2]))
        expected = {(a, p): (a, p, n) for a, p, n in reversed(expected)}.values()
    if strategy == "easy":  # the nearest of both
        expected = [(a, nearest(X, y, a, True), nearest(X, y, a, False)) for a in range(len(X))]
    assert as_set(mine_triplets(X, y, strategy=strategy, margin=0.7)) == set(expected)


@pytest.mark.parametrize("strategy", ["random", "distance_weighted"])
def test_drawn_triplets_have_every_positive_once(strategy):
    X, y = batch(seed=4)
    triplets = mine_triplets(X, y, strategy=strategy, random_state=0)
    expected = [(a, p) for a in range(len(X)) for p in reference.others(y, a, True)]
    assert sorted(map(tuple, triplets[:, :2].tolist())) == expected


def test_random_negatives_are_drawn_evenly():
    X, y = np.zeros((400, 1)), np.repeat([0, 1, 2], [390, 4, 6])
    triplets = mine_triplets(X, y, strategy="random", random_state=0)
    negatives = triplets[y[triplets[:, 0]] == 0, 2]
    assert chisquare(np.bincount(negatives - 390, minlength=10)).pvalue > 1e-3


def test_distance_weighted_negatives_spread_over_distances():
    # On a sphere of 32 dimensions nearly all are at sqrt(2); even draws hardly ever find near ones.
    rng = np.random.default_rng(5)
    near = 0.3 * rng.normal(size=(500, 32)) + np.eye(32)[0]
    X = np.vstack([np.tile(np.eye(32)[0], (20, 1)), near, rng.normal(size=(5000, 32))])
    y = np.concatenate([np.zeros(20), np.arange(1, 5501)])
    X /= np.linalg.norm(X, axis=1, keepdims=True)

    def mean_distance(strategy):
        triplets = mine_triplets(X, y, strategy=strategy, random_state=0)
        a, _, n = triplets.T
        return np.linalg.norm(X[a] - X[n], axis=1).mean()

    assert mean_distance("distance_weighted") < mean_distance("random") - 0.15


@pytest.mark.parametrize("strategy", ["random", "distance_weighted"])
def test_a_seed_gives_the_same_triplets(strategy):
    X, y = batch(seed=6)
    first = mine_triplets(X, y, strategy=strategy, random_state=7)
    assert_array_equal(mine_triplets(X, y, strategy=strategy, random_state=7), first)
    other = mine_triplets(X, y, strategy=strategy, random_state=8)
    assert np.any(other != first)


@pytest.mark.parametrize("strategy", TRIPLETS)
def test_blocks_of_anchors_change_nothing(strategy, monkeypatch):
    X, y = batch(n=40, seed=9)
    expected = mine_triplets(X, y, strategy=strategy, random_state=0)
    monkeypatch.setattr(distances, "_BLOCK_VALUES", 200)
    found = mine_triplets(X, y, strategy=strategy, random_state=0)
    assert_array_equal(found, expected)


@pytest.mark.parametrize("strategy", TRIPLETS)
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0, 1, 1]])
@pytest.mark.parametrize("X", [np.zeros((3, 2)), np.arange(6.0).reshape(3, 2)], ids=["0", "line"])
def test_degenerate_batches(strategy, labels, X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        triplets = mine_triplets(X, labels, strategy=strategy)
    assert triplets.shape[1] == 3
    if labels != [0, 1, 1]:
        assert len(triplets) == 0


@pytest.mark.slow
@pytest.mark.nosan
@pytest.mark.parametrize(
    ("mine", "strategy"),
    [(mine_triplets, name) for name in TRIPLETS if name != "all"]  # all are a cubic number
    + [(mine_pairs, name) for name in PAIRS],
)
def test_a_batch_of_8192_fits_into_a_gigabyte(mine, strategy):
    X, y = batch(n=8192, d=16, n_classes=100)
    tracemalloc.start()
    try:
        mine(X, y, strategy=strategy)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1e9


@pytest.mark.parametrize("strategy", PAIRS)
@pytest.mark.parametrize("similar_label", [0, 1])
def test_pairs_have_the_right_labels(strategy, similar_label):
    X, y = batch(seed=11)
    pairs = mine_pairs(X, y, strategy=strategy, similar_label=similar_label, random_state=0)
    i, j, label = pairs.T
    assert np.all(i != j)
    assert_array_equal(y[i] == y[j], label == similar_label)
    if strategy != "all":
        for value in 0, 1:
            assert_array_equal(np.sort(i[label == value]), np.arange(len(X)))


def test_all_pairs():
    X, y = batch(seed=12)
    pairs = mine_pairs(X, y, strategy="all")
    assert len(pairs) == len(X) * (len(X) - 1) // 2
    assert contrastive_loss(X, pairs=pairs)[0] == pytest.approx(contrastive_loss(X, y)[0])


@pytest.mark.parametrize("strategy", ["hard", "easy"])
def test_hard_and_easy_pairs(strategy):
    X, y = batch(seed=13)
    hard = strategy == "hard"
    expected = {(a, nearest(X, y, a, True, farthest=hard), 0) for a in range(len(X))}
    expected |= {(a, nearest(X, y, a, False, farthest=not hard), 1) for a in range(len(X))}
    assert as_set(mine_pairs(X, y, strategy=strategy)) == expected


@pytest.mark.parametrize("strategy", PAIRS)
@pytest.mark.parametrize("labels", [[0, 0], [0, 1]])
def test_pairs_of_degenerate_batches(strategy, labels):
    pairs = mine_pairs(np.zeros((2, 1)), labels, strategy=strategy)
    assert pairs.shape[1] == 3
    assert np.all(pairs[:, 2] == labels[1])
    assert mine_pairs([[1.0]], [0], strategy=strategy).shape == (0, 3)


@pytest.mark.parametrize(
    ("mine", "X", "labels", "params", "message"),
    [
        *((mine, [[1.0]], [0, 1], {}, "labels has shape") for mine in BOTH),
        *((mine, [[np.inf]], [0], {}, "X contains") for mine in BOTH),
        *((mine, [[1.0]], [0], {"strategy": "hardest"}, "strategy=") for mine in BOTH),
        *((mine, [[1.0]], [0], {"random_state": "x"}, "seed") for mine in BOTH),
        (mine_triplets, [[1.0]], [0], {"margin": 0}, "margin="),
        (mine_pairs, [[1.0]], [0], {"similar_label": 2}, "similar_label="),
    ],
)
def test_bad_arguments_are_refused(mine, X, labels, params, message):
    with pytest.raises(ValueError, match=message):
        mine(X, labels, **params)
