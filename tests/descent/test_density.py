"""TSNE(density=...): maps on which wide groups of the data are wide."""

import pickle

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import pairwise_distances

import fasttsne
from fasttsne import TSNE
from fasttsne.quality import density_correlation, neighbor_recall


def groups(n_each=100, d=10, seed=0):
    """Five Gaussian groups far apart, each twice as wide as the one before."""
    rng = np.random.default_rng(seed)
    widths = np.repeat(2.0 ** np.arange(-2, 3), n_each)
    centres = 15.0 * np.repeat(rng.normal(size=(5, d)), n_each, axis=0)
    return centres + widths[:, None] * rng.normal(size=(len(widths), d))


def judged(X, tsne, perplexity=10):
    recall = neighbor_recall(X, tsne.embedding_)
    return density_correlation(X, tsne.embedding_, perplexity=perplexity), recall


@both_methods
def test_radii_follow_the_data_and_neighbours_stay(method):
    X = groups()
    plain, dense = (fit(X, method=method, density=density) for density in (0.0, 0.5))
    (before, recall), (after, recall_after) = judged(X, plain), judged(X, dense)
    assert before < 0.3 and after > 0.8
    assert recall_after > recall - 0.03
    assert plain.kl_divergence_ < dense.kl_divergence_ < 1.2 * plain.kl_divergence_


@both_methods
def test_more_weight_gives_more_correlation(digits, method):
    X = digits[:500]
    correlations = [
        judged(X, fit(X, method=method, density=density))[0] for density in (0, 0.1, 0.5, 2)
    ]
    assert correlations == sorted(correlations)


def test_without_weight_no_bit_changes(X):
    assert_same_bits(fit(X, density=0.0), fit(X))
    assert_same_bits(fit(X, density=0), fit(X))


@both_methods
@pytest.mark.usefixtures("isa")
def test_threads_change_no_bit(digits, method):
    X = digits[:700]
    one = fit(X, method=method, density=0.5)
    assert_same_bits(fit(X, method=method, density=0.5, n_jobs=3), one)


@both_methods
@pytest.mark.parametrize(
    "params",
    [
        {"n_components": 1},
        {"n_components": 3},
        {"degrees_of_freedom": 0.6},
        {"degrees_of_freedom": "auto"},
        {"exaggeration": 2.0},
        {"exaggeration": 0.8},
        {"affinity": "uniform"},
        {"perplexity": [5, 20]},
        {"early_exaggeration_iter": 0},
    ],
    ids=str,
)
def test_it_works_with_every_kind_of_map(method, params):
    X = groups(60)
    plain, dense = (
        fit(X, method=method, density=density, max_iter=400, **params) for density in (0.0, 1.0)
    )
    assert np.isfinite(dense.embedding_).all() and np.isfinite(dense.kl_divergence_)
    assert judged(X, dense)[0] > judged(X, plain)[0] + 0.2
    assert judged(X, dense)[0] > 0.8


@both_methods
def test_weights_are_copies(method):
    X = groups(40)
    copies = np.random.default_rng(0).integers(1, 4, size=len(X))
    dense = TSNE(density=1.0, perplexity=20, random_state=0, method=method)
    weighted = dense.fit_transform(X, sample_weight=copies)
    repeated = np.repeat(X, copies, axis=0)
    assert_array_equal(dense.fit_transform(repeated), np.repeat(weighted, copies, axis=0))
    assert density_correlation(X, weighted, perplexity=10) > 0.8


def test_distances_graphs_and_neighbours_give_radii_too():
    X = groups(60)
    distances = pairwise_distances(X)
    graph = fasttsne.neighbors.NeighborsTransformer(n_neighbors=60).fit_transform(X)
    pair = fasttsne.neighbors.nearest_neighbors(X, 60)
    for data, params in (
        (distances, {"metric": "precomputed", "init": "random"}),
        (graph, {"metric": "precomputed", "init": "random"}),
        (X, {"neighbors": pair}),
        (sparse.csr_matrix(X), {"init": "random"}),
        (X, {"metric": "manhattan"}),
    ):
        assert judged(X, fit(data, density=1.0, **params))[0] > 0.8


def test_given_affinities_have_no_radii(X):
    P = np.exp(-pairwise_distances(X))
    with pytest.raises(ValueError, match=r"density=0.5.*distances.*density=0"):
        fit(P, affinity="precomputed", init="random", density=0.5)
    with pytest.raises(ValueError, match="density"):
        fit(P, metric="precomputed_affinity", init="random", density=0.5)


@both_methods
@pytest.mark.parametrize(
    "data",
    [np.zeros((40, 3)), np.repeat(np.eye(4), 10, axis=0), np.arange(40.0)[:, None] % 2],
    ids=["constant", "four places", "two places"],
)
def test_radii_of_copies_are_a_map(method, data):
    dense = fit(data, method=method, density=1.0, init="random", perplexity=5)
    assert np.isfinite(dense.embedding_).all() and np.isfinite(dense.kl_divergence_)
    # and where copies are not drawn as one
    dense = fit(data, method=method, density=1.0, init="random", perplexity=5, metric=euclidean)
    assert np.isfinite(dense.embedding_).all() and np.isfinite(dense.kl_divergence_)


def euclidean(a, b):
    return np.linalg.norm(a - b)


def test_a_warm_start_can_switch_it_on_and_off(X):
    tsne = TSNE(perplexity=10, random_state=0, warm_start=True).fit(X)
    plain = judged(X, tsne)[0]
    dense = judged(X, tsne.set_params(density=2.0).fit(X))[0]
    assert dense > plain + 0.1
    assert judged(X, tsne.set_params(density=0.0).fit(X))[0] < dense - 0.1


def test_new_samples_and_updates():
    X = groups(60)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(X))
    tsne = fit(X[rows[:200]], density=1.0)
    assert np.isfinite(tsne.transform(X[rows[200:]])).all()
    tsne.update(X[rows[200:]])
    assert judged(X[rows], tsne)[0] > 0.8


def test_it_is_kept_by_clones_pickles_and_files(X, tmp_path):
    tsne = fit(X, density=0.5)
    assert clone(tsne).density == pickle.loads(pickle.dumps(tsne)).density == 0.5
    tsne.save(tmp_path / "map.npz")
    again = fasttsne.load(tmp_path / "map.npz")
    assert again.density == 0.5
    assert_same_bits(again, tsne)


def test_fixed_points_stay(X):
    init = np.random.default_rng(0).normal(size=(len(X), 2))
    fixed = np.arange(len(X)) < 60
    tsne = TSNE(perplexity=10, density=1.0, init=init, random_state=0)
    assert_array_equal(tsne.fit_transform(X, fixed=fixed)[:60], init[:60].astype(np.float32))
