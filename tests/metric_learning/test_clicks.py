"""Learning from clicks: propensities of positions, and what they mend."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne.metric_learning import estimate_propensity, ndcg_score
from fasttsne.metric_learning.learners import LinearRanker

EXAMINED = 1.0 / np.arange(1, 11)  # of positions 1 to 10


def shown(rng, n_queries, ranks_by):
    """Features, chance of relevance, positions and ids of queries of ten documents."""
    X = rng.normal(size=(n_queries * 10, 3))
    relevance = 1.0 / (1.0 + np.exp(2.0 - 2.0 * X[:, 0] + 1.5 * X[:, 2]))
    scores = (X @ ranks_by).reshape(n_queries, 10)
    positions = 1 + np.argsort(np.argsort(-scores, axis=1), axis=1).ravel()
    return X, relevance, positions, np.repeat(np.arange(n_queries), 10)


def clicks_on(rng, relevance, positions):
    return (rng.random(len(positions)) < EXAMINED[positions - 1] * relevance).astype(int)


def test_rates_of_clicks_are_propensities():
    clicks, positions = [1, 0, 1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 2, 2, 2, 2]
    assert_allclose(estimate_propensity(clicks, positions), [1.0, 1 / 3])


def test_propensities_of_random_rankings_are_recovered():
    rng = np.random.default_rng(0)
    _, relevance, _, _ = shown(rng, 30_000, [0.0, 1.0, 0.0])
    positions = np.tile(np.arange(1, 11), 30_000)  # independent of the features
    found = estimate_propensity(clicks_on(rng, relevance, positions), positions)
    assert_allclose(found, EXAMINED, rtol=0.08)


def test_weighted_clicks_recover_the_true_ranking():
    """An old ranker shows documents by a feature without worth: clicks praise it."""
    rng = np.random.default_rng(1)
    _, relevance, _, _ = shown(rng, 30_000, [0.0, 1.0, 0.0])
    positions = np.tile(np.arange(1, 11), 30_000)
    propensity = estimate_propensity(clicks_on(rng, relevance, positions), positions)

    X, relevance, positions, qid = shown(rng, 5_000, [0.0, 1.0, 0.3])
    clicks = clicks_on(rng, relevance, positions)
    weights = 1.0 / propensity[positions - 1]
    truth = np.array([2.0, 0.0, -1.5])

    def learned(**params):
        coefficients = LinearRanker("ranknet", alpha=1e-4).fit(X, clicks, qid=qid, **params).coef_
        return coefficients / np.linalg.norm(coefficients)

    truth /= np.linalg.norm(truth)
    naive, corrected = learned(), learned(document_weight=weights)
    assert corrected @ truth > 0.995 > 0.95 > naive @ truth
    test, relevance, _, qid = shown(rng, 2_000, [0.0, 1.0, 0.0])
    best = ndcg_score(relevance, test @ truth, qid=qid)
    assert ndcg_score(relevance, test @ corrected, qid=qid) > best - 0.002
    assert ndcg_score(relevance, test @ naive, qid=qid) < best - 0.01


@pytest.mark.parametrize("loss", ["ranknet", "approx_ndcg", "listnet", "listmle", "logistic"])
def test_weights_of_clicks_serve_every_loss(loss):
    """Feature 1 decides what is shown and has no worth."""
    rng = np.random.default_rng(2)
    X, relevance, positions, qid = shown(rng, 2_000, [0.0, 1.0, 0.0])
    clicks = clicks_on(rng, relevance, positions)
    weights = np.where(clicks > 0, 1.0 / EXAMINED[positions - 1], 1.0)
    naive, corrected = (
        LinearRanker(loss, alpha=1e-3).fit(X, clicks, qid=qid, document_weight=given).coef_
        for given in (None, weights)
    )
    assert abs(naive[1]) > 0.4 * naive[0]
    assert abs(corrected[1]) < 0.15 * corrected[0]


@pytest.mark.parametrize(
    ("clicks", "positions", "message"),
    [
        ([1, 2], [1, 2], "clicks must be 0 or 1"),
        ([1, 1], [0, 1], "positions must be integers from 1"),
        ([1, 1], [1, 1.5], "positions must be integers from 1"),
        ([1, 1], [1, 9], "positions must be integers from 1, of which all occur"),
        ([1, 1, 0], [1, 2, 3], "no clicks at 3"),
        ([1, 1, 1], [1, 3, 3], "no clicks at 2"),
        ([1], [1, 2], "must be rows of one length"),
        ([], [], "must be rows of one length"),
        ([1, np.nan], [1, 2], "clicks contains NaN"),
    ],
)
def test_mistakes_are_named(clicks, positions, message):
    with pytest.raises(ValueError, match=message):
        estimate_propensity(clicks, positions)
