"""Queries by id: in every measure, loss and learner, and by scikit-learn's metadata routing."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fasttsne import metric_learning
from fasttsne.metric_learning import learning_to_rank, ndcg_score, ranking_scorer
from fasttsne.metric_learning.learners import LinearRanker
from fasttsne.metric_learning.ranking.scorer import MEASURES

LOSSES = learning_to_rank.__all__
CALLS = {name: getattr(learning_to_rank, name) for name in LOSSES} | MEASURES
CALLS["rank_biased_overlap"] = metric_learning.rank_biased_overlap
NEEDS_K = ("precision_at_k", "recall_at_k", "hit_rate")

every_call = pytest.mark.parametrize("name", CALLS)


def values_of(name, relevance, scores, **params):
    """What a measure or a loss returns, as a list of arrays."""
    if name in LOSSES:
        return CALLS[name](scores, relevance, reduction="none", hessian=True, **params)
    params |= {"k": 2} if name in NEEDS_K else {}
    return [CALLS[name](relevance, scores, per_query=True, **params)]


SIZES = np.array([3, 1, 4, 2, 2])
NUMBERS = np.repeat(np.arange(5), SIZES)
RELEVANCE = np.array([2, 0, 1, 1, 0, 3, 0, 1, 0, 1, 2, 2])
SCORES = np.array([0.1, 0.3, 0.3, 1.0, 0.2, 0.2, -0.5, 0.9, 0.4, 0.4, 0.0, 0.6])
ORDER = np.random.default_rng(0).permutation(len(SCORES))

TEXT = np.array(["a", "b", "c", "d", "e"])
IDS = {
    "integers": lambda n: 10 * n - 7,
    "unsigned": lambda n: n.astype(np.uint64) + np.uint64(2**63),
    "fractions": lambda n: n / 3.0,
    "text": lambda n: TEXT[n],
    "bytes": lambda n: TEXT.astype("S")[n],
    "objects": lambda n: TEXT.astype(object)[n],
    "list": lambda n: TEXT[n].tolist(),
    "dates": lambda n: np.datetime64("2026-01-01") + n,
    "categories": lambda n: pd.Series(pd.Categorical(TEXT[n])),
    "nullable": lambda n: pd.Series(n, dtype="Int64"),
    "pandas by arrow": lambda n: pd.Series(TEXT[n], dtype="string[pyarrow]"),
    "polars": lambda n: pl.Series(TEXT[n]),
    "pyarrow": lambda n: pa.array(TEXT[n]),
    "column": lambda n: n.reshape(-1, 1),
}


@every_call
@pytest.mark.parametrize("kind", IDS)
def test_ids_in_any_order_are_sizes(name, kind):
    expected = values_of(name, RELEVANCE, SCORES, groups=SIZES)
    actual = values_of(name, RELEVANCE[ORDER], SCORES[ORDER], qid=IDS[kind](NUMBERS[ORDER]))
    assert len(actual) == len(expected)
    for i, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        of_documents = i > 0  # a gradient or a Hessian
        if name == "ordinal_loss" and isinstance(theirs, tuple):
            ours, theirs = ours[0], theirs[0]
        assert_allclose(ours, theirs[ORDER] if of_documents else theirs, rtol=1e-12, atol=1e-15)


@every_call
@pytest.mark.parametrize(
    ("qid", "message"),
    [
        ([1, 1, "1"], "qid has ids of mixed types, int, str; convert all to text"),
        ([frozenset("a"), frozenset("b"), frozenset()], "ids of a type without order, frozenset"),
        ([1, None, 2], "qid has missing ids"),
        ([1.0, np.nan, 2.0], "qid has missing ids"),
        (pd.Series([1, pd.NA, 2], dtype="Int64"), "qid has missing ids"),
        ([1.0, np.inf, 2.0], "qid contains infinity; leave these documents out, or give"),
        (["a", "a"], r"qid has shape \(2,\), but must be one id per document: \(3,\)"),
        (np.zeros((3, 2)), "qid has shape"),
    ],
)
def test_bad_ids_are_refused(name, qid, message):
    with pytest.raises(ValueError, match=message):
        values_of(name, [1, 0, 1], [0.0, 1.0, 2.0], qid=qid)


@every_call
def test_ids_and_sizes_exclude_each_other(name):
    with pytest.raises(ValueError, match="pass only one of them"):
        values_of(name, [1, 0], [0.0, 1.0], qid=[1, 2], groups=[1, 1])
    with pytest.raises(ValueError, match="qid is for one-dimensional"):
        values_of(name, [[1, 0]], [[0.0, 1.0]], qid=[1])


@every_call
@pytest.mark.parametrize("groups", [[5, 5, 7], ["a", "a", "b"], [0.5, 0.5, 2.0], [0, 0, 1]])
def test_ids_as_groups_are_refused(name, groups):
    with pytest.raises(ValueError, match="ids of queries, one per document, are qid="):
        values_of(name, [1, 0, 1], [0.0, 1.0, 2.0], groups=groups)


@every_call
def test_edge_cases_have_values(name):
    """One query, one document, and k beyond the number of documents."""
    whole = values_of(name, [1, 0, 2], [0.0, 1.0, 2.0])
    by_id = values_of(name, [1, 0, 2], [0.0, 1.0, 2.0], qid=["q"] * 3)
    for ours, theirs in zip(by_id, whole, strict=True):
        assert_array_equal(ours[0], theirs[0])
    assert np.isfinite(values_of(name, [1], [0.3], qid=["q"])[0]).all()
    if name in MEASURES and "k" in MEASURES[name].__annotations__ and name != "precision_at_k":
        at = {k: MEASURES[name]([1, 0, 2], [0.0, 1.0, 2.0], k=k) for k in (3, 100)}
        assert at[3] == at[100]
    if name != "rank_biased_overlap":
        with pytest.raises(ValueError, match="has negative values"):
            values_of(name, [1, -1], [0.0, 1.0], qid=["q", "q"])


def test_weights_of_queries_come_with_the_documents():
    weights = np.array([1.0, 0.0, 2.0, 0.5, 3.0])
    expected = ndcg_score(RELEVANCE, SCORES, groups=SIZES, sample_weight=weights)
    arguments = RELEVANCE[ORDER], SCORES[ORDER]
    qid = TEXT[NUMBERS[ORDER]]
    of_documents = weights[NUMBERS[ORDER]]
    actual = ndcg_score(*arguments, qid=qid, sample_weight=of_documents)
    assert actual == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="equal for all documents of a query"):
        ndcg_score(*arguments, qid=qid, sample_weight=np.arange(12.0))
    with pytest.raises(ValueError, match="one per document"):
        ndcg_score(*arguments, qid=qid, sample_weight=weights)


# ---- scikit-learn --------------------------------------------------------------------------------


@pytest.fixture
def documents():
    """Features, relevance and ids of 40 shuffled queries of 2 to 9 documents."""
    rng = np.random.default_rng(1)
    numbers = rng.permutation(np.repeat(np.arange(40), rng.integers(2, 10, size=40)))
    X = rng.normal(size=(len(numbers), 4))
    y = np.clip(np.round(X @ [1.0, 0.5, 0.0, -0.5] + rng.normal(size=len(X))), 0, 3)
    return X, y, np.char.add("query ", numbers.astype(str))


def by_query(X, y, qid):
    order = np.argsort(qid, kind="stable")
    return X[order], y[order], np.unique(qid, return_counts=True)[1]


@pytest.mark.parametrize("loss", ["ranknet", "lambdarank", "squared", "ordinal"])
def test_a_ranker_learns_from_ids(documents, loss):
    X, y, qid = documents
    X_sorted, y_sorted, sizes = by_query(*documents)
    params = {"max_iter": 20, "tol": 0.1, "random_state": 0}
    expected = LinearRanker(loss, **params).fit(X_sorted, y_sorted, groups=sizes)
    actual = LinearRanker(loss, **params).fit(X, y, qid=qid)
    assert_allclose(actual.coef_, expected.coef_, rtol=1e-9)
    score = expected.score(X_sorted, y_sorted, groups=sizes, k=3)
    assert actual.score(X, y, qid=qid, k=3) == pytest.approx(score, abs=1e-12)


def folds_by_hand(X, y, qid, folds):
    """Yield the rows of every fold and their scores by a ranker of the others."""
    for train, test in folds:
        ranker = LinearRanker("listnet").fit(X[train], y[train], qid=qid[train])
        yield test, ranker.predict(X[test])


@pytest.mark.parametrize("requested", [True, False])
def test_a_ranker_is_cross_validated(documents, requested):
    X, y, qid = documents
    arguments = {"cv": GroupKFold(3), "params": {"qid": qid, "groups": qid}}
    with config_context(enable_metadata_routing=True):
        ranker = LinearRanker("listnet")
        if requested:
            ranker.set_fit_request(qid=True).set_score_request(qid=True)
        own = cross_val_score(ranker, X, y, **arguments)
        scoring = {
            "at 3": ranking_scorer("ndcg_score", k=3),
            "RR": ranking_scorer("reciprocal_rank"),
        }
        found = cross_validate(ranker, X, y, scoring=scoring, **arguments)
    for actual, judge in [
        (own, ndcg_score),
        (found["test_at 3"], lambda y, s, qid: ndcg_score(y, s, qid=qid, k=3)),
        (found["test_RR"], metric_learning.reciprocal_rank),
    ]:
        expected = [
            judge(y[test], s, qid=qid[test])
            for test, s in folds_by_hand(X, y, qid, GroupKFold(3).split(X, y, qid))
        ]
        assert_allclose(actual, expected, rtol=1e-9)
        assert len(set(expected)) == 3


def test_a_grid_search_finds_the_penalty_of_whole_queries(documents):
    X, y, qid = documents
    grid = {"alpha": [1e-3, 1e3], "loss": ["listnet"]}
    scoring = ranking_scorer(metric_learning.expected_reciprocal_rank, max_relevance=3)
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(LinearRanker(), grid, cv=GroupKFold(3), scoring=scoring)
        search.fit(X, y, qid=qid, groups=qid)
        expected = scoring(search.best_estimator_, X, y, qid=qid)
        assert search.score(X, y, qid=qid) == expected
    assert 0.2 < expected < 1.0
    assert len(search.cv_results_["params"]) == 2


def test_a_score_without_ids_is_refused(documents):
    """Without metadata routing, scikit-learn passes no ids; one query of all would score higher."""
    X, y, qid = documents
    ranker = LinearRanker("listnet").fit(X, y, qid=qid)
    with pytest.raises(ValueError, match=r"score needs qid or groups: .* fitted to 40 queries"):
        ranker.score(X, y)
    one = qid == qid[0]
    expected = ranker.score(X[one], y[one], qid=qid[one])
    assert ranker.score(X[one], y[one], groups=[one.sum()]) == expected
    assert LinearRanker("listnet").fit(X[one], y[one]).score(X[one], y[one]) > 0.0


def test_queries_cut_by_a_splitter_count_as_parts(documents):
    X, y, qid = documents
    splitter = KFold(2, shuffle=True, random_state=0)
    with config_context(enable_metadata_routing=True):
        found = cross_val_score(LinearRanker("listnet"), X, y, cv=splitter, params={"qid": qid})
    parts = [
        ndcg_score(y[test], s, qid=qid[test])
        for test, s in folds_by_hand(X, y, qid, splitter.split(X))
    ]
    assert_allclose(found, parts, rtol=1e-9)


@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(5), Ridge()])
def test_any_model_is_judged_by_what_ranks(documents, model):
    X, y, qid = documents
    y = (y > 1).astype(int)
    model.fit(X, y)
    scores = model.predict(X) if isinstance(model, Ridge) else model.predict_proba(X)[:, 1]
    scorer = pickle.loads(pickle.dumps(ranking_scorer("average_precision")))
    expected = metric_learning.average_precision(y, scores, qid=qid)
    with config_context(enable_metadata_routing=True):
        assert scorer(model, X, y, qid=qid) == pytest.approx(expected, rel=1e-12)


def test_a_pipeline_scores_by_its_ranker(documents):
    X, y, qid = documents
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), LinearRanker("listnet")).fit(X, y, qid=qid)
        score = pipeline.score(X, y, qid=qid)
    assert score == ndcg_score(y, pipeline.predict(X), qid=qid)


@pytest.mark.parametrize("y", [["a", "b"], np.array([2.0, 0.0], dtype=np.float16)])
def test_relevance_of_other_types(y):
    ranker = LinearRanker("listnet")
    if isinstance(y, list):
        with pytest.raises(ValueError, match="y must be numbers"):
            ranker.fit([[0.0], [1.0]], y)
    else:
        assert ranker.fit([[0.0], [1.0]], y).coef_ < 0.0


@pytest.mark.parametrize(
    ("y", "message"),
    [([0, np.nan], "^y contains NaN"), ([0, -1], "^y has negative"), ([0] * 3, "^y and X must")],
)
def test_a_ranker_scores_y(y, message):
    ranker = LinearRanker("listnet").fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=message):
        ranker.score([[0.0], [1.0]], y)


@pytest.mark.parametrize(
    "params",
    [{"max_relevance": 0.5}, {"gain": {0.5: 1.0}.get}, {"undefined": "skip"}, {"k": np.uint8(3)}],
)
def test_parameters_are_checked_without_data(params):
    name = "expected_reciprocal_rank" if "max_relevance" in params else "ndcg_score"
    assert ranking_scorer(name, **params)


def test_a_scorer_says_what_is_wrong(documents):
    X, y, qid = documents
    with pytest.raises(ValueError, match="measure='ndcg' must be a function or one of ndcg_score"):
        ranking_scorer("ndcg")
    with pytest.raises(ValueError, match="unexpected keyword argument 'top'"):
        ranking_scorer("ndcg_score", top=3)
    with pytest.raises(ValueError, match=r"missing a required (keyword-only )?argument: 'k'"):
        ranking_scorer("hit_rate")
    with pytest.raises(ValueError, match="measure='precision_at_k': k=0 must be an integer of"):
        ranking_scorer("precision_at_k", k=0)
    with pytest.raises(ValueError, match="gain='quadratic' must be 'linear', 'exponential' or a"):
        ranking_scorer(ndcg_score, gain="quadratic")
    ranker = LinearRanker("listnet").fit(X, y, qid=qid)
    with pytest.raises(ValueError, match=r"enable_metadata_routing=True.*params=\{'qid': qid\}"):
        ranking_scorer("ndcg_score")(ranker, X, y)
    forest = RandomForestClassifier(2, random_state=0).fit(X, y)
    message = r"one score per document, .* \(\d+, 4\): use a regressor"
    with config_context(enable_metadata_routing=True), pytest.raises(ValueError, match=message):
        ranking_scorer("ndcg_score")(forest, X, y, qid=qid)
