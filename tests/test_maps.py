"""How good the maps of fasttsne.TSNE are, by themselves and beside scikit-learn's."""

import numpy as np
import pytest
from fits import assert_maps_close, both_methods, calm_map, fit, fit_theirs
from reference import tsne as reference
from sklearn.datasets import make_blobs, make_swiss_roll
from sklearn.manifold import trustworthiness

from fasttsne import TSNE
from fasttsne.quality import neighbor_recall


def joint(X, perplexity):
    """P of the k nearest neighbours, by the reference."""
    k = min(len(X) - 1, int(3 * perplexity + 1))
    indices, squared = reference.nearest_neighbors(X, k)
    return reference.joint_probabilities(
        indices, reference.conditional_probabilities(squared, perplexity)[0]
    )


@pytest.mark.parametrize(
    ("params", "nu"),
    [
        ({"n_components": 1}, 1.0),
        ({}, 1.0),
        ({"n_components": 3}, 2.0),
        *(({"degrees_of_freedom": nu}, nu) for nu in (0.5, 2.0, 5.5)),
        *(({"exaggeration": e}, 1.0) for e in (0.8, 2.0, [(100, 1.0), (50, 3.0)])),
    ],
    ids=str,
)
@both_methods
def test_kl_divergence_is_that_of_the_map(X, method, params, nu):
    # 13 or more: all points are neighbours, and both methods have the same P.
    fitted = fit(X, method=method, max_iter=1000, perplexity=40, **params)
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    expected = reference.kl_divergence(P, fitted.embedding_, nu)
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-3}[method]
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(("angle", "tolerance"), [(0.2, 2e-3), (0.5, 1e-2), (0.8, 5e-2)])
def test_a_smaller_angle_brings_the_divergence_nearer(digits, angle, tolerance):
    fitted = fit(digits[:400], max_iter=500, angle=angle)
    expected = reference.kl_divergence(joint(digits[:400], 10), fitted.embedding_, 1.0)
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(
    ("method", "n_components"),
    [*(("exact", n) for n in (1, 2, 3, 4, 5)), *(("barnes_hut", n) for n in (1, 2, 3))],
)
def test_maps_of_any_number_of_components_are_good(X, method, n_components):
    fitted = fit(X, method=method, n_components=n_components, max_iter=500)
    assert fitted.embedding_.shape == (len(X), n_components)
    assert trustworthiness(X, fitted.embedding_) > (0.9 if n_components == 1 else 0.95)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_barnes_hut_at_angle_zero_is_the_exact_method(X, n_components):
    params = {"n_components": n_components, "perplexity": 40}
    assert_maps_close(calm_map(X, angle=0.0, **params), calm_map(X, method="exact", **params))


SAMPLES = {
    "digits": lambda digits, seed: digits[200 * seed : 200 * (seed + 1)],
    "blobs": lambda _, seed: make_blobs(200, n_features=10, centers=6, random_state=seed)[0],
    "Swiss roll": lambda _, seed: make_swiss_roll(200, random_state=seed)[0],
    "uniform noise": lambda _, seed: np.random.default_rng(seed).uniform(size=(200, 10)),
}


@pytest.fixture(scope="module", params=SAMPLES)
def rivals(request, digits):
    """Four samples, each with our map of it and scikit-learn's, by all defaults."""
    samples = [SAMPLES[request.param](digits, seed) for seed in range(4)]
    return [
        (
            X,
            TSNE(random_state=0, n_jobs=1).fit(X).embedding_,
            fit_theirs(X, random_state=0).embedding_,
        )
        for X in samples
    ]


def log_divergence(X, embedding):
    return np.log(reference.kl_divergence(joint(X, 30), embedding, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "margin"),
    [
        (log_divergence, 0.01),
        (lambda X, embedding: -neighbor_recall(X, embedding), 0.005),
    ],
    ids=["divergence", "recall"],
)
def test_our_maps_are_no_worse_than_scikit_learns(rivals, loss, margin):
    # Small data have many minima that are nearly as good: between two maps KL differs by 3 %.
    excess = np.subtract(
        *np.transpose([[loss(X, embedding) for embedding in maps] for X, *maps in rivals])
    )
    assert excess.mean() - 2 * excess.std(ddof=1) / np.sqrt(len(excess)) <= margin
