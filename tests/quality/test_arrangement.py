"""Triplets, class centroids and stress against loops over all of them."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference.tsne import squared_distances
from scipy import sparse
from scipy.optimize import minimize_scalar

from fasttsne.quality import centroid_recall, report, scale_free_stress, triplet_accuracy


@pytest.fixture(scope="module")
def few():
    """40 points in 5 dimensions, a map of them, and labels, one of them missing."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5))
    labels = np.array(list("abcdef"), dtype=object)[rng.integers(6, size=40)]
    labels[3] = None
    return X, X[:, :2] + 0.5 * rng.normal(size=(40, 2)), labels


def test_triplet_accuracy_counts_all_triplets(few):
    X, Y, _ = few
    d, e = squared_distances(X), squared_distances(Y)
    right = [
        (d[i, j] < d[i, k]) == (e[i, j] < e[i, k])
        for i in range(40)
        for j, k in combinations([*range(i), *range(i + 1, 40)], 2)
    ]
    assert_allclose(triplet_accuracy(X, Y), np.mean(right), rtol=1e-12)


def test_ties_of_triplets_count_one_half():
    X = np.array([[0.0], [1.0], [-1.0]])  # from the first point the others are equally far
    assert triplet_accuracy(X, X) == 1.0
    assert_allclose(triplet_accuracy(X, np.array([[0.0], [1.0], [-1.1]])), 2.5 / 3)


def test_random_triplets_and_pairs_are_within_their_errors(digits):
    X = digits[:200]
    Y = X[:, 20:22] + np.random.default_rng(0).normal(size=(200, 2))
    exact = triplet_accuracy(X, Y, n_triplets=10**8)
    error = np.sqrt(exact * (1.0 - exact) / 20_000)
    seeds = [triplet_accuracy(X, Y, n_triplets=20_000, random_state=seed) for seed in range(24)]
    assert np.abs(np.array(seeds) - exact).max() < 4.0 * error
    assert 0.5 * error < np.std(seeds) < 2.0 * error
    stress = scale_free_stress(X, Y, n_pairs=10**8)
    some = [scale_free_stress(X, Y, n_pairs=2_000, random_state=seed) for seed in range(8)]
    assert np.abs(np.array(some) - stress).max() < 0.02


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine", "manhattan"])
def test_stress_is_smallest_at_its_scale(few, metric):
    from sklearn.metrics import pairwise_distances

    X, Y, _ = few
    upper = np.triu_indices(40, 1)
    d = pairwise_distances(X, metric=metric)[upper]
    e = np.sqrt(squared_distances(Y))[upper]
    found = minimize_scalar(lambda scale: ((d - scale * e) ** 2).sum(), tol=1e-12)
    expected = np.sqrt(found.fun / (d**2).sum())
    assert_allclose(scale_free_stress(X, Y, metric=metric), expected, rtol=1e-9)
    assert_allclose(scale_free_stress(X, 1e3 * Y, metric=metric), expected, rtol=1e-9)


def test_centroid_recall_counts_shared_classes(few):
    X, Y, labels = few
    near = []
    for points in (X, Y):
        means = np.array([points[labels == name].mean(axis=0) for name in "abcdef"])
        d = squared_distances(means)
        np.fill_diagonal(d, np.inf)
        near.append(np.argsort(d, axis=1)[:, :2])
    shared = [len({*a} & {*b}) / 2 for a, b in zip(*near, strict=True)]
    assert_allclose(centroid_recall(X, Y, labels, n_neighbors=2), np.mean(shared))
    assert_allclose(
        centroid_recall(sparse.csr_matrix(X), Y, labels, n_neighbors=2), np.mean(shared)
    )


def test_bad_arguments_are_named(few):
    X, Y, labels = few
    with pytest.raises(ValueError, match="at least 3 classes; got 2"):
        centroid_recall(X, Y, np.arange(40) % 2)
    with pytest.raises(ValueError, match=r"n_neighbors \(5\) must be from 1"):
        centroid_recall(X, Y, labels, n_neighbors=5)
    with pytest.raises(ValueError, match="embedding is constant"):
        scale_free_stress(X, np.zeros((40, 2)))
    with pytest.raises(ValueError, match="n_triplets"):
        triplet_accuracy(X, Y, n_triplets=0)
    with pytest.raises(ValueError, match="at least 3 samples"):
        triplet_accuracy(X[:2], Y[:2])


def test_a_report_has_what_the_functions_return(digits):
    X, y = digits[:300], np.arange(300) % 6
    Y = X[:, 20:22]
    found = report(X, Y, y, random_state=3, sample=50)
    assert found.triplet_accuracy == triplet_accuracy(X, Y, random_state=3)
    assert found.scale_free_stress == scale_free_stress(X, Y, random_state=3)
    assert found.centroid_recall == centroid_recall(X, Y, y)
    assert {"triplet_accuracy"} <= {*found.standard_errors}
    assert report(X, Y).centroid_recall is None
    assert report(X, Y, np.arange(300) % 2).centroid_recall is None
    assert report(X, np.zeros((300, 2))).scale_free_stress is None


def test_the_standard_error_of_the_stress(digits):
    X = digits[:900]  # more pairs than the report takes
    Y = X[:, 20:22] + np.random.default_rng(0).normal(size=(900, 2))
    error = report(X, Y, sample=10).standard_errors["scale_free_stress"]
    seeds = [scale_free_stress(X, Y, random_state=seed) for seed in range(12)]
    assert 0.4 * error < np.std(seeds) < 2.0 * error
