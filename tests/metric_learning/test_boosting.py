"""fasttsne.metric_learning.boosting: objectives and metrics in LightGBM and XGBoost."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_svmlight_file

from fasttsne.metric_learning import (
    average_precision,
    learning_to_rank,
    ndcg_score,
    reciprocal_rank,
)
from fasttsne.metric_learning.boosting import (
    lightgbm_metric,
    lightgbm_objective,
    xgboost_metric,
    xgboost_objective,
)
from fasttsne.metric_learning.learning_to_rank.names import LOSSES

AS_LIGHTGBM = {"truncation": 30, "normalize": True, "ties": "given"}
TREES = {"n_estimators": 30, "min_child_samples": 5, "verbose": -1, "n_jobs": 1, "random_state": 0}


def queries(n_queries=60, seed=0, sizes=None):
    """Features, relevance 0 to 7 that trees can learn, and sizes."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 20, size=n_queries) if sizes is None else sizes
    X = rng.normal(size=(sizes.sum(), 6))
    value = X[:, 0] * X[:, 1] + np.abs(X[:, 2]) + 0.3 * rng.normal(size=len(X))
    # Some queries have more relevant documents, which only losses of whole queries can ignore.
    offset = np.repeat(rng.integers(0, 5, size=n_queries), sizes)
    return X, np.clip(np.round(value), 0, 3) + offset, sizes


@pytest.mark.parametrize("loss", LOSSES)
def test_objectives_are_sums_with_positive_curvature(loss):
    _, y, sizes = queries(8)
    y = y if loss == "ordinal" else y / 3.0
    scores, weights = np.random.default_rng(1).normal(size=(2, len(y)))
    weights = np.exp(weights)
    params = {"document_weight": weights, "reduction": "sum", "hessian": True}
    _, gradient, hessian = LOSSES[loss](scores, y, sizes, **params)
    for objective in (
        lightgbm_objective(loss),
        pickle.loads(pickle.dumps(xgboost_objective(loss))),
    ):
        actual, curves = objective(y, scores, weights, sizes)
        assert_allclose(actual, gradient, rtol=1e-14)
        assert_allclose(curves, hessian, rtol=1e-14, atol=1e-15)
        assert (curves > 0.0).all()
    qid = np.repeat(np.arange(8), sizes)
    order = np.random.default_rng(2).permutation(len(y))
    objective = xgboost_objective(loss, qid=qid[order])
    actual, curves = objective(y[order], scores[order], sample_weight=weights[order])
    assert_allclose(actual, gradient[order], rtol=1e-9, atol=1e-14)


def test_any_function_is_an_objective():
    def halved(scores, relevance, groups, **params):
        value, gradient, hessian = learning_to_rank.ranknet_loss(
            scores, relevance, groups, **params
        )
        return value / 2.0, gradient / 2.0, hessian / 2.0

    arguments = [1, 0, 2], [0.1, 0.2, 0.3], None, [3]
    expected = lightgbm_objective("ranknet", sigma=2.0)(*arguments)
    actual = lightgbm_objective(halved, sigma=2.0)(*arguments)
    assert_allclose(np.multiply(actual, 2.0), expected, rtol=1e-14)


def test_objectives_and_metrics_print_as_calls():
    """In the results of a grid search they are told apart."""
    assert repr(lightgbm_objective("lambdarank", k=3)) == "Objective('lambdarank', k=3)"
    assert repr(xgboost_metric(k=10, gain="linear")) == "Metric('ndcg_score', k=10, gain='linear')"


def test_any_function_is_a_metric():
    def first_is_relevant(y_true, y_score, *, qid, least=1):
        best = [np.flatnonzero(qid == q)[np.argmax(y_score[qid == q])] for q in np.unique(qid)]
        return np.mean(np.asarray(y_true)[best] >= least)

    y, scores, sizes = [1, 0, 2, 0, 1], np.array([2.0, 1.0, 0.5, 0.7, 0.6]), [2, 3]
    found = lightgbm_metric(first_is_relevant, least=1)(y, scores, None, sizes)
    assert found == ("first_is_relevant", 0.5, True)
    assert xgboost_metric(first_is_relevant, qid=["a", "a", "b", "b", "b"])(y, scores) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lightgbm_objective("lambda"), "loss='lambda' must be a function or one of"),
        (
            lambda: xgboost_objective("ranknet", alpha=1),
            "^loss='ranknet' does not take 'alpha'; it",
        ),
        (lambda: lightgbm_objective("lambdarank", k=0), "loss='lambdarank': k=0 must be an int"),
        (lambda: xgboost_objective("hinge", margin=-1), "loss='hinge': margin=-1 must be"),
        (lambda: lightgbm_metric("ndcg"), "measure='ndcg' must be"),
        (lambda: lightgbm_metric(per_query=True), "per_query is no parameter of a mean of queries"),
        (lambda: xgboost_metric(groups=[2]), "groups is no parameter of a mean of queries"),
        (lambda: lightgbm_metric("rank_biased_precision", persistence=2), "persistence=2 must be"),
        (lambda: xgboost_metric("hit_rate"), "missing a required (keyword-only )?argument: 'k'"),
        (lambda: lightgbm_objective()([1, 0], [0.0, 1.0]), "the data have no queries: pass group="),
        (lambda: lightgbm_metric()([1, 0], [0.0, 1.0]), "the data have no queries: pass group="),
        (lambda: xgboost_objective(qid=[1])([1, 0], [0.0, 1.0]), "qid has shape"),
        (lambda: lightgbm_objective()([1, -1], [0.0, 1.0], None, [2]), "relevance has negative"),
        (lambda: lightgbm_objective()([1, 0], [0.0, 1.0], None, [3]), "but sum to 3"),
        (lambda: xgboost_objective(qid=[1, "a"]), "qid has ids of mixed types"),
        (lambda: xgboost_metric(qid=[1, None]), "qid has missing ids"),
        (
            lambda: lightgbm_objective(lambda s, *_, **__: (0.0, s))([1, 0], [0, 1], None, [2]),
            "must return the loss, its gradient and with hessian=True",
        ),
        (
            lambda: lightgbm_objective(lambda s, *_, **__: (0.0, s * np.nan, s))(
                [1, 0], [0, 1], None, [2]
            ),
            "both finite",
        ),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- LightGBM ------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_gradients_are_those_of_lightgbm(normalize, weighted):
    """The leaves of a tree are sums of its documents: -gradient / (Hessian + penalty)."""
    lightgbm = pytest.importorskip("lightgbm")
    X, y, sizes = queries(200)
    weights = np.repeat(np.random.default_rng(3).uniform(0.5, 2.0, size=200), sizes)
    weights = weights if weighted else None
    params = AS_LIGHTGBM | {"normalize": normalize}
    gradient, hessian = lightgbm_objective("lambdarank", **params)(
        y, np.zeros(len(y)), weights, sizes
    )
    for penalty in (10.0, 0.01):
        model = lightgbm.LGBMRanker(
            objective="lambdarank",
            lambdarank_norm=normalize,
            n_estimators=1,
            learning_rate=1.0,
            min_child_samples=5,
            reg_lambda=penalty,
            n_jobs=1,
            verbose=-1,
        ).fit(X, y, group=sizes, sample_weight=weights)
        leaves = model.predict(X, pred_leaf=True).ravel()
        assert len(np.unique(leaves)) > 15
        sums = [np.bincount(leaves, weights=values)[leaves] for values in (gradient, hessian)]
        expected = -sums[0] / (sums[1] + penalty)
        assert_allclose(model.predict(X), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_lambdarank_grows_the_trees_of_lightgbm():
    lightgbm = pytest.importorskip("lightgbm")
    X, y, sizes = queries()
    test, y_test, test_sizes = queries(seed=1)
    own, ours = (
        lightgbm.LGBMRanker(objective=objective, **TREES).fit(X, y, group=sizes)
        for objective in ("lambdarank", lightgbm_objective("lambdarank", **AS_LIGHTGBM))
    )
    # LightGBM has the logistic function in a table, so scores drift apart, and trees in the end.
    early = own.predict(test, num_iteration=5)
    assert_allclose(ours.predict(test, num_iteration=5), early, atol=1e-4 * np.ptp(early))
    params = {"groups": test_sizes, "k": 10, "gain": "exponential"}
    expected = ndcg_score(y_test, own.predict(test), **params)
    assert ndcg_score(y_test, ours.predict(test), **params) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("loss", ["lambdarank", "ranknet", "listnet", "listmle", "approx_ndcg"])
def test_trees_of_losses_of_queries_beat_those_of_single_documents(loss):
    lightgbm = pytest.importorskip("lightgbm")
    X, y, sizes = queries(150)
    test, y_test, test_sizes = queries(150, seed=1)
    values = {}
    for name in ("squared", loss):
        model = lightgbm.LGBMRanker(objective=lightgbm_objective(name), **TREES)
        model = clone(model).fit(X, y, group=sizes)
        params = {"groups": test_sizes, "k": 10, "gain": "exponential"}
        values[name] = ndcg_score(y_test, model.predict(test), **params)
    assert values[loss] > values["squared"] + 0.01


def test_both_interfaces_of_lightgbm_agree():
    lightgbm = pytest.importorskip("lightgbm")
    X, y, sizes = queries()
    y = y / 2.0  # LightGBM's own objectives refuse fractions
    weights = np.random.default_rng(4).uniform(0.5, 2.0, size=len(y))
    objective, metric = lightgbm_objective("listnet"), lightgbm_metric("ndcg_score", k=5)
    model = lightgbm.LGBMRanker(objective=objective, metric="None", **TREES)
    model.fit(
        X,
        y,
        group=sizes,
        sample_weight=weights,
        eval_X=X,
        eval_y=y,
        eval_group=[sizes],
        eval_sample_weight=[weights],
        eval_metric=metric,
    )
    data = lightgbm.Dataset(X, y, group=sizes, weight=weights)
    history = {}
    params = {"objective": objective, "min_child_samples": 5, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(
        params | {"seed": 0, "metric": "None"},
        data,
        num_boost_round=30,
        valid_sets=[data],
        feval=metric,
        callbacks=[lightgbm.record_evaluation(history)],
    )
    found, by_train = model.evals_result_["training"], history["training"]
    n = len(found["ndcg_score@5"])
    assert_allclose(found["ndcg_score@5"], by_train["ndcg_score@5"][:n], rtol=1e-6)
    of_queries = np.add.reduceat(weights, np.cumsum(sizes) - sizes) / sizes
    expected = ndcg_score(y, booster.predict(X), groups=sizes, k=5, sample_weight=of_queries)
    assert by_train["ndcg_score@5"][-1] == pytest.approx(expected, abs=1e-6)
    assert by_train["ndcg_score@5"][-1] > by_train["ndcg_score@5"][0]


@pytest.mark.skipif(not os.environ.get("FASTTSNE_DATA"), reason="FASTTSNE_DATA names no data")
def test_ndcg_of_lightgbms_example_is_that_of_lightgbm():
    lightgbm = pytest.importorskip("lightgbm")
    folder = Path(os.environ["FASTTSNE_DATA"]) / "lambdarank"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    parts = {}
    for part in ("train", "test"):
        X, y = load_svmlight_file(str(folder / f"rank.{part}"), n_features=301)
        sizes = np.loadtxt(folder / f"rank.{part}.query", dtype=np.int64)
        parts[part] = X.toarray(), y, sizes
    X, y, sizes = parts["train"]
    test, y_test, test_sizes = parts["test"]
    both = []
    for objective in ("lambdarank", lightgbm_objective("lambdarank", **AS_LIGHTGBM)):
        model = lightgbm.LGBMRanker(objective=objective, **TREES | {"n_estimators": 100})
        scores = model.fit(X, y, group=sizes).predict(test)
        both.append(ndcg_score(y_test, scores, groups=test_sizes, k=10, gain="exponential"))
    assert both[1] == pytest.approx(both[0], abs=0.005)


def in_order_of_rows(scores):
    """Scores without ties: of equal ones the first row is ahead, as in both packages."""
    return scores - 1e-9 * np.arange(len(scores))


@pytest.mark.parametrize(
    ("theirs", "ours", "params"),
    [
        ("ndcg@5", ndcg_score, {"k": 5, "gain": "exponential", "undefined": 1.0}),
        ("map@5", average_precision, {"k": 5, "undefined": 1.0}),
    ],
)
def test_measures_of_lightgbm(theirs, ours, params):
    lightgbm = pytest.importorskip("lightgbm")
    X, y, sizes = queries()
    y[: sizes[0]] = 0  # a query without relevant documents
    name, _, k = theirs.partition("@")
    history = {}
    data = lightgbm.Dataset(X, y, group=sizes)
    booster = lightgbm.train(
        {"objective": "lambdarank", "metric": name, "eval_at": [int(k)], "verbose": -1, "seed": 0},
        data,
        num_boost_round=3,
        valid_sets=[data],
        callbacks=[lightgbm.record_evaluation(history)],
    )
    expected = history["training"][theirs][-1]
    scores = in_order_of_rows(booster.predict(X))
    assert ours(y, scores, groups=sizes, **params) == pytest.approx(expected, abs=1e-6)
    without = ours(y, scores, groups=sizes, **params | {"undefined": 0.0})
    assert without == pytest.approx(expected - 1.0 / len(sizes), abs=1e-6)


# ---- XGBoost -------------------------------------------------------------------------------------


def test_both_interfaces_of_xgboost_agree():
    xgboost = pytest.importorskip("xgboost")
    X, y, sizes = queries()
    qid = np.repeat(np.arange(len(sizes)), sizes)
    params = {"max_depth": 3, "learning_rate": 0.3, "nthread": 1, "base_score": 0.0}
    data, history = xgboost.DMatrix(X, y, qid=qid), {}
    booster = xgboost.train(
        params,
        data,
        num_boost_round=10,
        obj=xgboost_objective("listmle"),
        custom_metric=xgboost_metric("ndcg_score", k=5),
        maximize=True,
        evals=[(data, "train")],
        evals_result=history,
        verbose_eval=False,
    )
    scores = booster.predict(data)
    reached = history["train"]["ndcg_score@5"]
    assert reached[-1] == pytest.approx(ndcg_score(y, scores, qid=qid, k=5), abs=1e-6)
    assert reached[-1] > reached[0] + 0.02
    order = np.random.default_rng(5).permutation(len(y))
    model = xgboost.XGBRegressor(
        objective=xgboost_objective("listmle", qid=qid[order]),
        n_estimators=10,
        max_depth=3,
        learning_rate=0.3,
        base_score=0.0,
        n_jobs=1,
    ).fit(X[order], y[order])
    assert_allclose(model.predict(X), scores, atol=1e-4)
    assert model.score(X, y) < 1.0


def test_ndcg_of_xgboost():
    xgboost = pytest.importorskip("xgboost")
    X, y, sizes = queries()
    y[: sizes[0]] = 0
    data, history = xgboost.DMatrix(X, y, group=sizes), {}
    booster = xgboost.train(
        {"objective": "rank:ndcg", "eval_metric": "ndcg@5", "max_depth": 3, "nthread": 1},
        data,
        num_boost_round=3,
        evals=[(data, "train")],
        evals_result=history,
        verbose_eval=False,
    )
    scores = in_order_of_rows(booster.predict(data).astype(float))
    params = {"groups": sizes, "k": 5, "gain": "exponential", "undefined": 1.0}
    assert ndcg_score(y, scores, **params) == pytest.approx(
        history["train"]["ndcg@5"][-1], abs=1e-5
    )


def test_weights_of_queries_reach_xgboost():
    xgboost = pytest.importorskip("xgboost")
    X, y, sizes = queries()
    weights = np.random.default_rng(6).uniform(0.1, 3.0, size=len(sizes))
    data = xgboost.DMatrix(X, y, group=sizes, weight=weights)
    scores = np.random.default_rng(7).normal(size=len(y))
    of_documents = np.repeat(weights.astype(np.float32), sizes)
    expected = xgboost_objective("listnet")(y, scores, of_documents, sizes)
    assert_allclose(xgboost_objective("listnet")(scores, data), expected, rtol=1e-12)
    expected = ndcg_score(y, scores, groups=sizes, sample_weight=weights)
    assert xgboost_metric()(scores, data) == ("ndcg_score", pytest.approx(expected, rel=1e-6))


def test_a_metric_in_xgboosts_ranker():
    xgboost = pytest.importorskip("xgboost")
    X, y, sizes = queries(sizes=np.full(60, 7))
    qid = np.repeat(np.arange(len(sizes)), sizes)
    model = xgboost.XGBRanker(
        n_estimators=5, eval_metric=xgboost_metric("ndcg_score", k=5), n_jobs=1, max_depth=3
    ).fit(X, y, qid=qid, eval_set=[(X, y)], eval_qid=[qid], verbose=False)
    reached = model.evals_result()["validation_0"]["ndcg_score@5"]
    expected = ndcg_score(y, model.predict(X), qid=qid, k=5)
    assert reached[-1] == pytest.approx(expected, abs=1e-5)


def test_xgboosts_estimators_stop_early_where_a_metric_is_highest():
    xgboost = pytest.importorskip("xgboost")
    X, y, sizes = queries()
    test, y_test, test_sizes = queries(seed=1)
    qid = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(8).permutation(len(y_test))
    test_qid = np.repeat(np.arange(len(test_sizes)), test_sizes)[order]
    metric = xgboost_metric("reciprocal_rank", qid=test_qid)
    model = xgboost.XGBRegressor(
        objective=xgboost_objective("listnet", qid=qid),
        eval_metric=metric,
        callbacks=[xgboost.callback.EarlyStopping(rounds=5, maximize=True)],
        n_estimators=60,
        max_depth=3,
        base_score=0.0,
        n_jobs=1,
    )
    model.fit(X, y, eval_set=[(test[order], y_test[order])], verbose=False)
    values = model.evals_result()["validation_0"]["reciprocal_rank"]
    assert model.best_iteration == np.argmax(values) > 0
    expected = reciprocal_rank(y_test, model.predict(test), groups=test_sizes)
    assert model.best_score == pytest.approx(expected, abs=1e-5)
