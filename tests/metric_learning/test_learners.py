"""fasttsne.metric_learning.learners: metric, ranker, losses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference.gradients import central_differences
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fasttsne import TSNE
from fasttsne.metric_learning import ndcg_score
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker, ranker
from fasttsne.metric_learning.learners import losses as metric_losses
from fasttsne.metric_learning.learning_to_rank.names import LOSSES
from fasttsne.metric_learning.losses import triplet_loss
from fasttsne.metric_learning.mining import mine_triplets

METRIC_LOSSES = sorted(metric_losses.LOSSES)
RANKING_LOSSES = sorted(LOSSES)
OF_COSINES = ("info_nce", "nt_xent", "supervised_contrastive", "multi_similarity", "proxy")

estimator_checks = parametrize_with_checks(
    [
        LinearMetricLearner(max_epochs=5),
        LinearMetricLearner("proxy", max_epochs=5, early_stopping=True, validation_fraction=0.3),
        LinearRanker(),
        LinearRanker(loss="squared"),
    ]
)
names, cases = estimator_checks.args


# A list, because scikit-learn 1.6 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(names, list(cases), **estimator_checks.kwargs)
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def hidden():
    """Samples and labels, to train and to test: only two of twelve directions separate classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=500)
    centres = np.array([[0.0, 3.0], [-2.6, -1.5], [2.6, -1.5]])
    X = np.hstack([centres[y] + 0.6 * rng.normal(size=(500, 2)), 12 * rng.normal(size=(500, 10))])
    X = X @ np.linalg.qr(rng.normal(size=(12, 12)))[0] + 100.0
    return X[:300], y[:300], X[300:], y[300:]


@pytest.fixture(scope="module")
def queries():
    """Queries of 3 to 12 documents, relevance 0 to 3 by the first two of six features.

    The third shows, with noise, the mean relevance of a query, which helps to estimate relevance
    and harms ranking. Documents, relevance and sizes, to train and to test.
    """
    rng = np.random.default_rng(1)

    def draw(n_queries):
        sizes = rng.integers(3, 13, size=n_queries)
        X = rng.normal(size=(sizes.sum(), 6))
        of_query = np.repeat(rng.normal(size=n_queries), sizes)
        X[:, 2] += of_query
        quality = X[:, 0] - 0.5 * X[:, 1] + 1.5 * of_query + 0.2 * rng.normal(size=len(X))
        return X, np.digitize(quality, [-0.5, 0.7, 2.0]), sizes

    return *draw(120), *draw(60)


def accuracy(train, y_train, test, y_test):
    return KNeighborsClassifier(5).fit(train, y_train).score(test, y_test)


def learned_accuracy(learner, X, y, test, y_test):
    learner.fit(X, y)
    return accuracy(learner.transform(X), y, learner.transform(test), y_test)


@pytest.mark.parametrize("loss", [*METRIC_LOSSES, triplet_loss])
def test_gradient_of_the_metric_objective(loss):
    rng = np.random.default_rng(2)
    classes = np.repeat([0, 1, 2], 4)
    Z, W = rng.normal(size=(12, 5)), rng.normal(size=(5, 3))
    learner = LinearMetricLearner(loss, loss_params={"margin": 0.7} if callable(loss) else None)

    def objective(parameters):
        chance = np.random.RandomState(0)  # the same pairs each time
        return learner._objective(Z, classes, classes, W, chance)(parameters)

    proxies = rng.normal(size=(3, 3)) if loss == "proxy" else np.empty(0)
    parameters = np.concatenate([W.ravel(), proxies.ravel()])
    value, gradient = objective(parameters)
    assert np.isfinite(value) and np.abs(gradient).min() > 0.0
    expected = central_differences(lambda at: objective(at)[0], parameters)
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7 * np.abs(gradient).max())


@pytest.mark.parametrize("loss", RANKING_LOSSES)
def test_gradient_of_the_ranking_objective(loss, queries):
    X, relevance, sizes = queries[:3]
    n = sizes[:8].sum()
    relevance = relevance[:n].astype(float)
    documents = ranker.Documents(X[:n], relevance, sizes[:8])
    task = ranker.Task(loss, {}, 0.3, np.unique(relevance))
    parameters = np.random.default_rng(3).normal(size=task.start(documents).size)
    value, gradient = task.objective(documents, parameters)
    expected = central_differences(lambda at: task.objective(documents, at)[0], parameters)
    assert np.isfinite(value) and np.abs(gradient).min() > 0.0
    assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7 * np.abs(gradient).max())


def test_losses_of_partners_see_no_other_pair_of_a_class():
    classes = np.array([0, 1, 1, 0, 2, 0, 0, 1, 1, 0])
    rounds = list(metric_losses._rounds(classes, np.random.RandomState(0)))
    assert [len(first) for first, _ in rounds] == [2, 2]  # the fifth of class 0 and 2 are left over
    seen = np.concatenate([np.concatenate(pair) for pair in rounds])
    assert len(np.unique(seen)) == len(seen) == 8
    for first, second in rounds:
        assert_array_equal(classes[first], classes[second])
        assert len(np.unique(classes[first])) == len(first)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_pointwise_losses_are_regressions_of_scikit_learn(loss, queries):
    X, y, sizes = queries[:3]
    ours = LinearRanker(loss, alpha=0.2, tol=1e-10).fit(X, y, groups=sizes).predict(X)
    if loss == "squared":
        theirs = make_pipeline(StandardScaler(), Ridge(0.5 * 0.2 * len(X))).fit(X, y).predict(X)
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)
    else:
        theirs = LogisticRegression(C=1 / (0.2 * len(X)), tol=1e-10)
        theirs = make_pipeline(StandardScaler(), theirs).fit(X, y > 0).decision_function(X)
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


LEARNERS = [
    (LinearMetricLearner(n_components=2, init="pca", max_epochs=3), "components_"),
    (LinearMetricLearner("proxy", init="random", early_stopping=True, max_epochs=3), "components_"),
    (LinearRanker(max_iter=5), "coef_"),
    (LinearRanker("listnet", early_stopping=True, max_iter=5), "coef_"),
]


def fitted(learner, hidden, queries, **params):
    learner = type(learner)(**{**learner.get_params(), **params})
    if isinstance(learner, LinearRanker):
        return learner.fit(*queries[:2], groups=queries[2])
    return learner.fit(*hidden[:2])


@pytest.mark.parametrize(("learner", "attribute"), LEARNERS)
def test_a_seed_repeats_a_fit_to_the_last_bit(learner, attribute, hidden, queries):
    one = fitted(learner, hidden, queries, random_state=0)
    with threadpool_limits(1):
        two = fitted(learner, hidden, queries, random_state=0)
    other = fitted(learner, hidden, queries, random_state=1)
    assert_array_equal(getattr(one, attribute), getattr(two, attribute))
    assert one.history_ == two.history_
    assert (getattr(one, attribute) != getattr(other, attribute)).any()


@pytest.mark.parametrize(("learner", "attribute"), LEARNERS)
def test_a_line_an_epoch(learner, attribute, hidden, queries, capsys):
    fitted(learner, hidden, queries)
    assert not capsys.readouterr().out
    learner = fitted(learner, hidden, queries, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == learner.n_iter_ == len(learner.history_["loss"])
    for number, line in enumerate(lines, start=1):
        assert line.startswith(f"[{type(learner).__name__}] epoch {number}: loss ")
    assert ("validation score" in lines[0]) == learner.early_stopping
    assert ("validation_score" in learner.history_) == learner.early_stopping


def test_lbfgs_reports_its_iterations_and_warns_if_they_are_too_few(queries, capsys):
    X, y, sizes = queries[:3]
    ranker = LinearRanker("ranknet", verbose=True).fit(X, y, groups=sizes)
    assert len(capsys.readouterr().out.splitlines()) == ranker.n_iter_ > 3
    assert (np.diff(ranker.history_["loss"]) <= 0.0).all()
    with pytest.warns(UserWarning, match="max_iter=2"):
        LinearRanker("ranknet", max_iter=2).fit(X, y, groups=sizes)


def test_an_array_to_start_from_is_the_map_before_any_step(hidden):
    X, y = hidden[:2]
    init = np.random.default_rng(7).normal(size=(3, X.shape[1]))
    learner = LinearMetricLearner(n_components=3, init=init, learning_rate=1e-12, max_epochs=1)
    learner.fit(X, y)
    assert_allclose(learner.components_, init, rtol=1e-7, atol=1e-7)
    assert_allclose(learner.transform(X), (X - X.mean(axis=0)) @ init.T, rtol=1e-6, atol=1e-6)


def test_mahalanobis_distances_and_names_are_those_of_the_result(hidden):
    X, y = hidden[:2]
    learner = LinearMetricLearner(n_components=2, max_epochs=2).fit(X, y)
    difference, E = X[3] - X[8], learner.transform(X)
    M = learner.get_mahalanobis_matrix()
    assert_allclose(difference @ M @ difference, np.sum((E[3] - E[8]) ** 2), rtol=1e-9)
    names = learner.get_feature_names_out().tolist()
    assert names == ["linearmetriclearner0", "linearmetriclearner1"]


def test_units_of_features_do_not_matter(hidden):
    X, y, test, y_test = hidden
    units = 10.0 ** np.linspace(-6, 6, X.shape[1])
    learner = LinearMetricLearner(n_components=4, standardize=True, random_state=0)
    one = learner.fit(X, y).transform(test)
    assert_allclose(learner.fit(X * units, y).transform(test * units), one, rtol=1e-5, atol=1e-5)
    learner.set_params(standardize="auto")
    assert learned_accuracy(learner, X * units, y, test * units, y_test) > 0.93


def test_units_of_features_do_not_matter_to_a_ranker(queries):
    X, y, sizes = queries[:3]
    units = 10.0 ** np.linspace(-6, 6, X.shape[1])
    one = LinearRanker("approx_ndcg").fit(X, y, groups=sizes)
    other = LinearRanker("approx_ndcg").fit(X * units, y, groups=sizes)
    assert_allclose(other.coef_ * units, one.coef_, rtol=1e-3)
    assert_allclose(other.predict(X * units), one.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", METRIC_LOSSES)
def test_every_loss_finds_what_tells_classes_apart(loss, hidden):
    X, y, test, y_test = hidden
    assert accuracy(X, y, test, y_test) < 0.5
    params = {"temperature": 0.5} if loss == "info_nce" else None
    learner = LinearMetricLearner(loss, 4, loss_params=params, init="pca", random_state=0)
    learner.fit(X, y)
    E, F = learner.transform(X), learner.transform(test)
    if loss in OF_COSINES:
        E, F = normalize(E), normalize(F)
    assert accuracy(E, y, F, y_test) > 0.93


@pytest.mark.parametrize(
    ("params", "least"),
    [({"mining": way, "init": "pca"}, 0.85) for way in metric_losses._MINING["triplet"]]
    + [({"loss": "contrastive", "mining": "hard", "init": "pca"}, 0.85)]
    + [({"init": init}, 0.93) for init in ("auto", "pca", "identity", "random")]
    + [({"init": "lda", "n_components": 2}, 0.93)],
)
def test_any_mining_and_any_start_do(params, least, hidden):
    learner = LinearMetricLearner(**{"n_components": 4, "random_state": 0} | params)
    assert learned_accuracy(learner, *hidden) > least


def test_triplets_mined_by_a_function(hidden):
    X, y = hidden[:2]

    def mining(E, classes):
        return mine_triplets(E, classes, strategy="easy")

    given = {"n_components": 4, "max_epochs": 3, "random_state": 0}
    one = LinearMetricLearner(mining=mining, **given).fit(X, y)
    assert_array_equal(one.components_, LinearMetricLearner(**given).fit(X, y).components_)


@pytest.fixture(scope="module")
def reached(queries):
    """NDCG of all ranking losses on the test queries: of the first five ranks, and of all."""
    X, y, sizes, test, y_test, test_sizes = queries
    rankers = {
        loss: LinearRanker(loss, random_state=0).fit(X, y, groups=sizes) for loss in RANKING_LOSSES
    }
    return {
        loss: [ranker.score(test, y_test, groups=test_sizes, k=k) for k in (5, None)]
        for loss, ranker in rankers.items()
    }


@pytest.mark.parametrize("loss", RANKING_LOSSES)
def test_every_loss_ranks_documents_it_has_not_seen(loss, queries, reached):
    test, y_test, test_sizes = queries[3:]
    chance, best = (
        ndcg_score(y_test, scores, groups=test_sizes, k=5)
        for scores in (test[:, 3], test[:, 0] - 0.5 * test[:, 1])
    )
    share = 0.6 if loss in ("squared", "logistic", "ordinal") else 0.95
    assert reached[loss][0] > chance + share * (best - chance)


@pytest.mark.parametrize("loss", ["ranknet", "lambdarank", "listnet", "approx_ndcg", "soft_rank"])
def test_pairs_and_lists_beat_points_where_queries_differ(loss, reached):
    assert reached[loss][1] > max(reached["squared"][1], reached["logistic"][1]) + 0.02


def test_both_solvers_agree(queries):
    X, y, sizes = queries[:3]
    one = LinearRanker("ranknet").fit(X, y, groups=sizes)
    params = {"learning_rate": 0.1, "batch_size": 1000, "tol": 0.0, "n_iter_no_change": 1000}
    other = LinearRanker("ranknet", solver="adam", **params).fit(X, y, groups=sizes)
    assert_allclose(other.coef_, one.coef_, atol=5e-3)


@pytest.mark.parametrize("seed", range(3))
def test_lambdarank_ranks_a_few_documents_without_a_fault(seed):
    X = [[3.0, 1.0], [2.0, 5.0], [1.0, 2.0], [9.0, 4.0], [8.0, 2.0]]
    ranker = LinearRanker(random_state=seed).fit(X, [2, 1, 0, 1, 0], groups=[3, 2])
    assert ranker.score(X, [2, 1, 0, 1, 0], groups=[3, 2]) == 1.0


def test_lambdarank_returns_the_coefficients_of_the_highest_ndcg(queries):
    X, y, sizes = queries[:3]
    params = {"loss_params": {"k": 3, "gain": "linear"}, "alpha": 1e-3, "learning_rate": 5.0}
    ranker = LinearRanker(max_iter=60, random_state=1, **params).fit(X, y, groups=sizes)
    reached = ranker.history_["training_score"]
    assert set(ranker.history_) == {"loss", "training_score"}
    assert len(reached) == ranker.n_iter_ == 60
    assert ranker.score(X, y, groups=sizes, k=3) == pytest.approx(max(reached), abs=1e-12)
    assert max(reached) > reached[-1]


def test_lambdarank_finds_what_relevance_is_made_of():
    rng = np.random.default_rng(4)
    X, weights = rng.normal(size=(600, 5)), np.array([1.0, -0.5, 0.25, 0.0, 0.0])
    sizes = np.full(60, 10)
    places = np.argsort(np.argsort((X @ weights).reshape(60, 10), axis=1), axis=1)
    y = (places.ravel() // 2).clip(1) - 1
    ranker = LinearRanker(alpha=1e-3, batch_size=8, random_state=0)
    ranker.fit(X[:400], y[:400], groups=sizes[:40])
    cosine = ranker.coef_ @ weights / np.linalg.norm(ranker.coef_) / np.linalg.norm(weights)
    assert cosine > 0.98
    assert ranker.score(X[400:], y[400:], groups=sizes[40:]) > 0.99


def test_thresholds_lie_between_levels(queries):
    X, y, sizes = queries[:3]
    ranker = LinearRanker("ordinal").fit(X, y + 5, groups=sizes)
    assert (np.diff(ranker.thresholds_) > 0.0).all()
    levels = np.digitize(ranker.predict(X) - ranker.intercept_, ranker.thresholds_)
    assert len(ranker.thresholds_) == 3 and len(np.unique(levels)) > 1


def test_a_ranker_in_cross_validation_gets_whole_queries(queries):
    X, y, sizes = queries[:3]
    of_document = np.repeat(np.arange(len(sizes)), sizes)
    with config_context(enable_metadata_routing=True):
        ranker = LinearRanker("listnet").set_fit_request(groups=False)
        ranker.set_score_request(groups=False, k=False, gain=False)
        scores = cross_val_score(ranker, X, y, cv=GroupKFold(3), params={"groups": of_document})
    assert (scores > 0.5).all()


def test_a_pipeline_draws_the_learned_distances():
    X, y = load_digits(n_class=5, return_X_y=True)
    X, y = X[:400], y[:400].astype(str)
    drawn = TSNE(perplexity=20, random_state=0)
    both = make_pipeline(LinearMetricLearner(n_components=8, random_state=0), drawn)
    Y = both.fit_transform(X, y)
    assert Y.shape == (400, 2) and np.isfinite(Y).all()
    learned = LinearMetricLearner(n_components=8, random_state=0).fit_transform(X, y)
    assert_array_equal(Y, TSNE(perplexity=20, random_state=0).fit_transform(learned))
    alone = TSNE(perplexity=20, random_state=0).fit_transform(X)
    right, before = (accuracy(Z[::2], y[::2], Z[1::2], y[1::2]) for Z in (Y, alone))
    assert right >= before


def test_a_descent_that_overflows_says_so(hidden):
    with pytest.raises(ValueError, match="overflowed in epoch 1: lower learning_rate"):
        LinearMetricLearner(learning_rate=1e150).fit(*hidden[:2])


SMALL = np.arange(24.0).reshape(8, 3) ** 1.5
HALVES = np.repeat(["left", "right"], 4)
LEVELS = np.arange(8)
LBFGS = {"loss": "ranknet", "solver": "lbfgs"}


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({}, np.zeros(8), "y has 1 class, 0.0;"),
        ({}, np.arange(8), "y has 8 classes of one sample each"),
        ({"n_components": 4}, HALVES, "n_components=4 must not exceed the number of features, 3"),
        ({"n_components": 2, "init": "lda"}, HALVES, "init='lda' gives 1 components"),
        ({"init": np.ones((2, 3))}, HALVES, r"init must be an array .* \(3, 3\); got \(2, 3\)"),
        ({"init": np.full((3, 3), np.inf)}, HALVES, "init contains NaN or infinity"),
        (
            {"loss_params": {"margn": 1.0}},
            HALVES,
            "loss_params: loss='triplet' does not take 'margn'; it takes 'margin'",
        ),
        ({"loss_params": {"margin": -1.0}}, HALVES, "margin=-1.0 must be a finite number above 0"),
        ({"loss": "proxy", "mining": "hard"}, HALVES, "mining='hard' needs loss='triplet'"),
        ({"mining": "soft"}, HALVES, "mining='soft' must be one of 'easy'"),
        ({"loss": lambda E, y: (0.0, 0.0)}, HALVES, "loss must return a number and a gradient"),
        ({"early_stopping": True, "validation_fraction": 0.01}, HALVES, "validation_fraction=0.01"),
    ],
)
def test_a_metric_learner_says_what_is_wrong(params, y, message):
    with pytest.raises(ValueError, match=message):
        LinearMetricLearner(**params).fit(SMALL, y)


def test_samples_that_are_all_the_same_have_no_metric():
    with pytest.raises(ValueError, match="X is constant"):
        LinearMetricLearner().fit(np.full((8, 3), 2.5), HALVES)


@pytest.mark.parametrize(
    ("params", "y", "groups", "message"),
    [
        ({}, LEVELS, [3, 4], "for all 8 documents, but sum to 7 from 3 up"),
        (
            {},
            LEVELS,
            [0, 0, 0, 1, 1, 1, 1, 1],
            "one per document, are qid=",
        ),
        (
            {},
            LEVELS,
            [7, 7, 7, 8, 8, 8, 8, 8],
            "one per document, are qid=",
        ),
        ({}, LEVELS, [*"aaabbbbb"], "one per document, are qid="),
        ({}, LEVELS, [1] * 8, "no query has two documents"),
        ({}, LEVELS - 1, None, "y has negative values"),
        (
            {"loss_params": {"sigm": 1.0}},
            LEVELS,
            None,
            "loss_params: loss='lambdarank' does not take 'sigm'; .*'sigma'",
        ),
        ({"solver": "lbfgs"}, LEVELS, None, "solver='lbfgs' needs a smooth loss"),
        ({**LBFGS, "early_stopping": True}, LEVELS, [4, 4], "early_stopping needs solver='adam'"),
        ({"early_stopping": True}, LEVELS, None, "early_stopping holds out queries"),
        ({"loss": "squared"}, 1e7 * LEVELS, None, "y has values above"),
        ({"loss": lambda s, y, g: (s, s)}, LEVELS, None, "loss must return a number"),
    ],
)
def test_a_ranker_says_what_is_wrong(params, y, groups, message):
    with pytest.raises(ValueError, match=message):
        LinearRanker(**params).fit(SMALL, y, groups=groups)


def test_weights_of_documents_reach_every_loss():
    """A weight of 0 for all terms of a query leaves the query out."""
    rng = np.random.default_rng(4)
    X, y, qid = rng.normal(size=(30, 3)), rng.integers(0, 3, size=30), np.repeat([0, 1, 2], 10)
    weights = np.where(qid == 1, 0.0, 1.5)
    for loss in LOSSES:
        params = {"alpha": 0.3, "tol": 1e-3, "random_state": 0}
        learned = LinearRanker(loss, **params)
        learned.fit(X, y, qid=qid, document_weight=weights)
        other = np.where(qid == 1, 2 - y, y)
        again = LinearRanker(loss, **params).fit(X, other, qid=qid, document_weight=weights)
        if loss not in ("squared", "lambdarank"):  # the start, and the choice of the epoch
            assert_allclose(again.coef_, learned.coef_, rtol=1e-9, atol=1e-12)
        plain = LinearRanker(loss, **params).fit(X, y, qid=qid)
        assert np.abs(plain.coef_ - learned.coef_).max() > 1e-6
    with pytest.raises(ValueError, match="document_weight must hold 30"):
        LinearRanker().fit(X, y, qid=qid, document_weight=weights[:29])


def test_a_score_checks_what_it_is_given():
    ranker = LinearRanker().fit(SMALL, LEVELS)
    for params, message in ({"k": 0}, "k=0"), ({"groups": [3]}, "but sum to 3"):
        with pytest.raises(ValueError, match=message):
            ranker.score(SMALL, LEVELS, **params)


@pytest.mark.parametrize("loss", METRIC_LOSSES)
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.repeat([[0.0, 0.0], [1.0, 3.0]], 4, axis=0), HALVES),  # each class one point
        (np.array([[0.0, 0], [0, 0], [1, 1], [1, 1]]), [0, 1, 0, 1]),  # twins of two classes
        (np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]]), [0, 0, 1, 1]),  # means at the origin
        (np.array([[1e9], [1e9 + 1], [1e9 + 2]]), [0, 0, 1]),  # one class of one sample
        (np.c_[np.arange(6.0), np.full(6, 1e300)], [0, 0, 1, 1, 2, 3]),
        (np.eye(5), [0, 0, 1, 1, 1]),  # as many features as samples
    ],
)
def test_degenerate_samples_have_a_finite_metric(loss, X, y):
    learner = LinearMetricLearner(loss, max_epochs=3, random_state=0).fit(X, y)
    assert np.isfinite(learner.transform(X)).all()
    assert np.isfinite(learner.get_mahalanobis_matrix()).all()
    assert np.isfinite(learner.history_["loss"]).all()


@pytest.mark.parametrize("loss", RANKING_LOSSES)
@pytest.mark.parametrize("y", [np.zeros(8), np.full(8, 3.0), np.arange(8) % 2])
@pytest.mark.parametrize("groups", [None, [1] * 6 + [2], [1, 7]])
def test_degenerate_queries_have_finite_scores(loss, y, groups):
    X = np.c_[SMALL, np.full(8, 4.0)]
    ranker = LinearRanker(loss).fit(X, y, groups=groups)
    assert np.isfinite(ranker.predict(X)).all()
    assert ranker.coef_[-1] == 0.0
    if loss in ("ranknet", "hinge", "lambdarank") and np.ptp(y) == 0:
        assert not ranker.coef_.any()
