"""Columns of any library, and missing labels, in every function of metric_learning."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fasttsne.metric_learning import (
    compare,
    estimate_propensity,
    learning_to_rank,
    losses,
    mining,
    ndcg_score,
    rank_biased_overlap,
    retrieval_report,
)
from fasttsne.metric_learning.boosting import lightgbm_objective
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker
from fasttsne.metric_learning.ranking.scorer import MEASURES

RELEVANCE = [2, 0, 1, 1, 0, 3]
SCORES = [0.5, 0.25, 1.0, 0.75, 0.5, 2.0]
QID = ["b", "a", "b", "a", "b", "a"]
WEIGHTS = [0.5, 1.0, 0.5, 1.0, 0.5, 1.0]
COLUMNS = {
    "list": list,
    "objects": lambda values: np.array(values, dtype=object),
    "pandas": pd.Series,
    "nullable": lambda values: pd.Series(values).convert_dtypes(),
    "pandas by arrow": lambda values: pd.Series(pa.array(values).to_pandas()).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.Series,
    "pyarrow": pa.array,
    "chunks": lambda values: pa.chunked_array([values[:2], values[2:]]),
}
NEEDS_K = ("precision_at_k", "recall_at_k", "hit_rate")
LABELS = ["x", "y", "x", "y", "x", "y"]
E = np.random.default_rng(0).normal(size=(6, 2))


def params_of(name):
    return {"k": 2} if name in NEEDS_K else {}


CALLS = {
    name: lambda y, s, q, w, name=name: MEASURES[name](
        y, s, qid=q, sample_weight=w, per_query=False, **params_of(name)
    )
    for name in MEASURES
}
CALLS |= {
    name: lambda y, s, q, w, name=name: getattr(learning_to_rank, name)(
        s, y, qid=q, document_weight=w, hessian=True
    )
    for name in learning_to_rank.__all__
}
CALLS |= {
    "propensity": lambda y, s, q, w: ndcg_score(y, s, qid=q, propensity=w),
    "overlap": lambda y, s, q, w: rank_biased_overlap(y, s, qid=q, sample_weight=w),
    "ranker": lambda y, s, q, w: LinearRanker("listnet").fit(E, y, qid=q, document_weight=w).coef_,
    "score": lambda y, s, q, w: LinearRanker("listnet").fit(E, y, qid=q).score(E, y, qid=q),
    "compare": lambda y, s, q, w: compare(y, s).differences,
    "objective": lambda y, s, q, w: lightgbm_objective("listnet")(y, s, w, [2, 4]),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("name", CALLS)
def test_columns_of_any_library_will_do(name, kind):
    arguments = RELEVANCE, SCORES, QID, WEIGHTS
    expected = CALLS[name](*map(np.array, arguments))
    actual = CALLS[name](*map(COLUMNS[kind], arguments))
    if not isinstance(expected, tuple):
        actual, expected = [actual], [expected]
    for ours, theirs in zip(actual, expected, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_clicks(kind):
    clicks, positions = COLUMNS[kind]([1, 0, 1, 1]), COLUMNS[kind]([1, 1, 2, 2])
    assert_array_equal(estimate_propensity(clicks, positions), [0.5, 1.0])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_features_in_a_frame(frame):
    X = frame({"first": E[:, 0], "second": E[:, 1]})
    expected = LinearRanker("listnet").fit(E, RELEVANCE, qid=QID)
    actual = LinearRanker("listnet").fit(X, RELEVANCE, qid=QID)
    assert_allclose(actual.predict(X), expected.predict(E), rtol=1e-12)


MISSING = {
    "None": lambda values: [None, *values[1:]],
    "NaN": lambda values: pd.Series(values, dtype=object).where(np.arange(6) > 0, np.nan).tolist(),
    "NA": lambda values: pd.Series([pd.NA, *values[1:]]).convert_dtypes(),
    "polars": lambda values: pl.Series([None, *values[1:]]),
    "pyarrow": lambda values: pa.array([None, *values[1:]]),
}


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", [name for name in CALLS if name != "compare"])
def test_missing_numbers_and_ids_are_refused_by_name(name, kind):
    with pytest.raises(ValueError, match=r"(y_true|relevance|scores|y) contains NaN"):
        CALLS[name](MISSING[kind](RELEVANCE), SCORES, QID, WEIGHTS)
    if name != "objective":
        with pytest.raises(ValueError, match="qid has missing ids"):
            CALLS[name](RELEVANCE, SCORES, MISSING[kind](QID), WEIGHTS)


OF_LABELS = {
    "contrastive": lambda labels: losses.contrastive_loss(E, labels),
    "triplet": lambda labels: losses.triplet_loss(E, labels),
    "lifted structure": lambda labels: losses.lifted_structure_loss(E, labels),
    "multi-similarity": lambda labels: losses.multi_similarity_loss(E, labels),
    "supervised contrastive": lambda labels: losses.supervised_contrastive_loss(E, labels),
    "pairs": lambda labels: mining.mine_pairs(E, labels),
    "triplets": lambda labels: mining.mine_triplets(E, labels),
    "learner": lambda labels: LinearMetricLearner(random_state=0).fit(E, labels).components_,
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("name", [*OF_LABELS, "retrieval"])
def test_labels_of_any_library_will_do(name, kind):
    calls = OF_LABELS | {"retrieval": lambda of: retrieval_report(E, of).per_sample["map_at_r"]}
    expected, actual = calls[name](np.array(LABELS)), calls[name](COLUMNS[kind](LABELS))
    for ours, theirs in zip(actual, expected, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", OF_LABELS)
def test_a_missing_label_is_no_class(name, kind):
    with pytest.raises(ValueError, match=r"(labels|y) contains (missing values|NaN)"):
        OF_LABELS[name](MISSING[kind](LABELS))


@pytest.mark.parametrize("kind", MISSING)
def test_a_missing_label_is_left_out_of_retrieval(kind):
    found = retrieval_report(E, MISSING[kind](LABELS))
    assert found.n_queries == 5
    assert found.map_at_r == retrieval_report(E[1:], LABELS[1:]).map_at_r
