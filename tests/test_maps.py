"""How good the maps of fasttsne.TSNE are, by themselves and beside scikit-learn's."""

import numpy as np
import pytest
from fits import assert_maps_close, both_methods, calm_map, fit, fit_theirs
from reference import tsne as reference
from sklearn.datasets import make_blobs, make_swiss_roll
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from fasttsne import TSNE


def joint(X, perplexity):
    """P of the k nearest neighbours, by the reference."""
    k = min(len(X) - 1, int(3 * perplexity + 1))
    indices, squared = reference.nearest_neighbors(X, k)
    return reference.joint_probabilities(
        indices, reference.conditional_probabilities(squared, perplexity)[0]
    )


@pytest.mark.parametrize("n_components", [1, 2, 3])
@both_methods
def test_kl_divergence_is_that_of_the_map(X, method, n_components):
    # 13 or more: all points are neighbours, and both methods have the same P.
    fitted = fit(X, method=method, n_components=n_components, max_iter=1000, perplexity=40)
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    expected = reference.kl_divergence(P, fitted.embedding_, max(n_components - 1, 1))
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-3}[method]
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


def test_kl_divergence_of_a_sparse_p_is_that_of_the_map(digits):
    fitted = fit(digits[:400], max_iter=1000)
    expected = reference.kl_divergence(joint(digits[:400], 10), fitted.embedding_, 1.0)
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("angle", [0.2, 0.8])
def test_a_smaller_angle_brings_the_divergence_nearer(digits, angle):
    tolerance = {0.2: 2e-3, 0.8: 5e-2}[angle]
    fitted = fit(digits[:400], max_iter=500, angle=angle)
    expected = reference.kl_divergence(joint(digits[:400], 10), fitted.embedding_, 1.0)
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4, 5])
def test_the_exact_method_maps_to_any_number_of_components(X, n_components):
    fitted = fit(X, method="exact", n_components=n_components, max_iter=500)
    assert fitted.embedding_.shape == (len(X), n_components)
    assert trustworthiness(X, fitted.embedding_) > (0.9 if n_components == 1 else 0.95)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_barnes_hut_maps_to_up_to_three_components(X, n_components):
    fitted = fit(X, n_components=n_components, max_iter=500)
    assert fitted.embedding_.shape == (len(X), n_components)
    assert trustworthiness(X, fitted.embedding_) > (0.9 if n_components == 1 else 0.95)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_barnes_hut_at_angle_zero_is_the_exact_method(X, n_components):
    params = {"n_components": n_components, "perplexity": 40}
    assert_maps_close(calm_map(X, angle=0.0, **params), calm_map(X, method="exact", **params))


def sample(name, digits, seed, n=200):
    if name == "digits":
        return digits[n * seed : n * (seed + 1)]
    if name == "blobs":
        return make_blobs(n, n_features=10, centers=6, random_state=seed)[0]
    if name == "Swiss roll":
        return make_swiss_roll(n, random_state=seed)[0]
    assert name == "uniform noise"
    return np.random.default_rng(seed).uniform(size=(n, 10))


def recall(X, embedding, k=10):
    """The fraction of the k nearest neighbours in X that are among the k nearest in the map."""
    there, here = (
        NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
        for points in (X, embedding)
    )
    return np.mean([np.isin(a, b).mean() for a, b in zip(there, here, strict=True)])


@pytest.fixture(scope="module", params=["digits", "blobs", "Swiss roll", "uniform noise"])
def rivals(request, digits):
    """Four samples, each with our map of it and scikit-learn's, by all defaults."""
    samples = [sample(request.param, digits, seed) for seed in range(4)]
    return [
        (
            X,
            TSNE(random_state=0, n_jobs=1).fit(X).embedding_,
            fit_theirs(X, random_state=0).embedding_,
        )
        for X in samples
    ]


def worse_beyond_chance(scores):
    """How much the first of two scores exceeds the second, less two standard errors of that.

    Small data have many minima that are nearly as good: between two maps KL differs by 3 %.
    """
    excess = np.subtract(*np.transpose(scores))
    return excess.mean() - 2 * excess.std(ddof=1) / np.sqrt(len(excess))


@pytest.mark.slow
def test_our_divergence_is_no_worse_than_scikit_learns(rivals):
    scores = np.log(
        [
            [reference.kl_divergence(joint(X, 30), embedding, 1.0) for embedding in maps]
            for X, *maps in rivals
        ]
    )
    assert worse_beyond_chance(scores) <= 0.01


@pytest.mark.slow
def test_our_recall_is_no_worse_than_scikit_learns(rivals):
    scores = [[-recall(X, embedding) for embedding in maps] for X, *maps in rivals]
    assert worse_beyond_chance(scores) <= 0.005
