"""runtime/random_state.py: a NumPy Generator wherever there is a `random_state`."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits

from fasttsne import TSNE, ContrastiveTSNE, quality
from fasttsne.initialization import initial_embedding
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker
from fasttsne.metric_learning.losses import triplet_loss
from fasttsne.metric_learning.mining import mine_pairs, mine_triplets
from fasttsne.metric_learning.ranking import compare
from fasttsne.metric_learning.sampling import NoiseDistribution
from fasttsne.runtime.random_state import check_random_state

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]
Y = X[:, 20:22] + 1e-3 * X[:, 30:32]
SCORES = np.random.default_rng(0).normal(size=(2, 40))


def ranker(chance):
    model = LinearRanker(random_state=chance, max_iter=5)
    return model.fit(X[:60], y[:60] % 3, groups=[10] * 6).coef_


def dask_map(chance, selection):
    da = pytest.importorskip("dask.array")
    from fasttsne.dask import TSNE

    pytest.importorskip("cloudpickle")
    model = TSNE(landmarks=150, landmark_selection=selection, max_iter=250, random_state=chance)
    return model.fit(da.from_array(X, chunks=(100, 64))).landmark_rows_


def dask_quality(chance):
    da = pytest.importorskip("dask.array")
    from fasttsne import dask

    blocks = da.from_array(X, chunks=(100, 64))
    return dask.quality(blocks, Y, sample=50, random_state=chance).rows


SHORT = {"init": "random", "max_iter": 250}
USES = {
    "TSNE": lambda chance: TSNE(**SHORT, random_state=chance).fit_transform(X),
    "ContrastiveTSNE": lambda chance: (
        ContrastiveTSNE(n_epochs=5, random_state=chance).fit(X).embedding_
    ),
    "initial_embedding": lambda chance: initial_embedding(X, "random", 2, chance),
    "dask.TSNE": lambda chance: dask_map(chance, "uniform"),
    "dask.TSNE by density": lambda chance: dask_map(chance, "density"),
    "dask.quality": dask_quality,
    "report": lambda chance: quality.report(X, Y, sample=50, random_state=chance).rows,
    "trustworthiness": lambda c: quality.trustworthiness(X, Y, sample=50, random_state=c),
    "continuity": lambda c: quality.continuity(X, Y, sample=50, random_state=c),
    "neighbor_recall": lambda c: quality.neighbor_recall(X, Y, sample=50, random_state=c),
    "neighborhood_ndcg": lambda c: quality.neighborhood_ndcg(X, Y, sample=50, random_state=c),
    "knn_accuracy": lambda c: quality.knn_accuracy(Y, y, sample=50, random_state=c),
    "r_nx_auc": lambda c: quality.r_nx_auc(X, Y, sample=50, random_state=c),
    "r_nx": lambda c: quality.r_nx(X, Y, sample=50, random_state=c)[1],
    "q_nx": lambda c: quality.q_nx(X, Y, sample=50, random_state=c)[1],
    "distance_correlation": lambda c: quality.distance_correlation(
        X, Y, n_pairs=500, random_state=c
    ),
    "LinearMetricLearner": lambda chance: (
        LinearMetricLearner(random_state=chance, max_epochs=2).fit(X, y).components_
    ),
    "LinearRanker": ranker,
    "NoiseDistribution": lambda c: NoiseDistribution(np.arange(1.0, 9.0)).sample(20, c),
    "compare": lambda c: compare(*SCORES, random_state=c, n_resamples=99).intervals,
    "mine_triplets": lambda c: mine_triplets(X, y, "random", random_state=c),
    "mine_pairs": lambda c: np.hstack(mine_pairs(X, y, "random", random_state=c)),
    "triplet_loss": lambda c: triplet_loss(X, y, mining="random", random_state=c)[0],
}


@pytest.mark.parametrize("use", USES)
def test_the_state_of_a_generator_decides(use):
    drawing = USES[use]
    first, second = np.random.default_rng(0), np.random.default_rng(0)
    found = drawing(first)
    assert_array_equal(drawing(second), found)
    # As with a RandomState, the next use goes on where this one ended.
    assert first.bit_generator.state == second.bit_generator.state
    assert first.bit_generator.state != np.random.default_rng(0).bit_generator.state
    again = drawing(first)
    assert not np.array_equal(again, found)
    assert_array_equal(drawing(second), again)


@pytest.mark.parametrize("use", USES)
def test_seeds_draw_what_they_drew_before(use):
    """An integer and a RandomState of this seed are the same, and so is a Generator on its bits."""
    drawing = USES[use]
    found = drawing(3)
    assert_array_equal(drawing(np.random.RandomState(3)), found)
    assert_array_equal(drawing(np.random.Generator(bits_of(np.random.RandomState(3)))), found)


def bits_of(random_state):
    bits = np.random.MT19937()
    bits.state = random_state.get_state(legacy=False) | {"has_gauss": 0}
    return bits


@pytest.mark.parametrize(
    "bits", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64]
)
def test_any_stream_of_numpy(bits):
    found = [check_random_state(np.random.Generator(bits(1))).normal(size=5) for _ in range(2)]
    assert_array_equal(*found)


def test_a_clone_has_a_copy():
    estimator = TSNE(**SHORT, random_state=np.random.default_rng(0))
    first, second = clone(estimator).fit(X), clone(estimator).fit(X)
    assert_array_equal(first.embedding_, second.embedding_)
    state = np.random.default_rng(0).bit_generator.state
    assert estimator.random_state.bit_generator.state == state
    assert copy.deepcopy(first).random_state.bit_generator.state != state


def test_new_samples_are_placed_without_draws():
    generator = np.random.default_rng(0)
    tsne = TSNE(max_iter=250, random_state=generator).fit(X)
    state = generator.bit_generator.state
    tsne.transform(X[:3] + 1)
    assert generator.bit_generator.state == state


@pytest.mark.parametrize("wrong", ["seed", -1, 1.5, np.random.PCG64(0), [1]])
def test_what_is_no_random_state(wrong):
    with pytest.raises((ValueError, TypeError), match=r"random_state|seed"):
        TSNE(random_state=wrong).fit(X)
