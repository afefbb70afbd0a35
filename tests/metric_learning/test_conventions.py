"""The table of conventions in docs/rankings.md: what other packages do."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import metrics

from fasttsne import metric_learning
from fasttsne.metric_learning import average_precision, ndcg_score

PLACES = np.eye(3, dtype=int)  # one relevant document of three, at each place


def of_lightgbm(relevance, metric, k):
    """LightGBM's metric of equal scores: leaves of 1,000 documents keep trees from splitting."""
    lightgbm = pytest.importorskip("lightgbm")
    data = lightgbm.Dataset(np.ones((len(relevance), 1)), relevance, group=[len(relevance)])
    params = {"objective": "lambdarank", "metric": metric, "eval_at": [k], "verbose": -1}
    found = {}
    lightgbm.train(
        params | {"min_data_in_leaf": 1000},
        data,
        1,
        valid_sets=[data],
        valid_names=["same"],
        callbacks=[lightgbm.record_evaluation(found)],
    )
    return found["same"][f"{metric}@{k}"][0]


def test_scikit_learn():
    expected = metrics.ndcg_score(PLACES[:1], [[1, 1, 1]])
    assert ndcg_score(PLACES[0], [1, 1, 1]) == pytest.approx(expected)
    assert metrics.average_precision_score(PLACES[0], [1, 1, 1]) == pytest.approx(1 / 3)
    assert average_precision(PLACES[0], [1, 1, 1]) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert metrics.ndcg_score([[0, 0, 0]], [[3, 2, 1]]) == ndcg_score([0, 0, 0], [3, 2, 1]) == 0
    with pytest.raises(ValueError, match="negative"):
        metrics.ndcg_score([[-1, 0, 1]], [[3, 2, 1]])
    with pytest.raises(ValueError, match="negative"):
        ndcg_score([-1, 0, 1], [3, 2, 1])


@pytest.mark.filterwarnings("ignore")
def test_lightgbm():
    """Equal scores: the order of the rows. Without relevant documents: 1. Gains 2^y - 1."""
    assert [of_lightgbm(row, "ndcg", 1) for row in PLACES] == [1, 0, 0]
    assert [of_lightgbm([0, 0, 0], name, 1) for name in ("ndcg", "map")] == [1, 1]
    expected = ndcg_score([1, 3, 0], [3, 2, 1], k=2, gain="exponential")
    assert of_lightgbm([1, 3, 0], "ndcg", 2) == pytest.approx(expected)
    # The average precision is divided by min(k, R).
    assert of_lightgbm([1, 0, 1], "map", 2) == 0.5
    assert average_precision([1, 0, 1], [3, 2, 1], k=2) == 0.5


def test_trec_eval():
    """Equal scores: by document, descending. Negative relevance counts 0."""
    pytrec_eval = pytest.importorskip("pytrec_eval")

    def of_trec_eval(qrels, run, name):
        found = pytrec_eval.RelevanceEvaluator(qrels, {name}).evaluate(run)
        return {query: values[name.replace(".", "_")] for query, values in found.items()}

    for order in "abc", "cba":
        run = {"q": dict.fromkeys(order, 1.0)}
        ranks = [1 / of_trec_eval({"q": {d: 1}}, run, "recip_rank")["q"] for d in "abc"]
        assert ranks == pytest.approx([3, 2, 1])
    qrels, run = {"q": {"a": 0}, "r": {"a": 1}}, {"q": {"a": 1.0}}
    assert of_trec_eval(qrels, run, "ndcg") == {"q": 0}  # r is left out
    qrels, run = {"q": {"a": 3, "b": -1}}, {"q": {"b": 2.0, "a": 1.0}}
    ours = ndcg_score(**metric_learning.from_run(qrels, run))
    assert_allclose(of_trec_eval(qrels, run, "ndcg")["q"], ours)
    qrels, run = {"q": {"a": 1, "b": 1}}, {"q": {"a": 2.0, "b": 1.0}}
    assert of_trec_eval(qrels, run, "map_cut.1") == {"q": 0.5}
    assert average_precision(**metric_learning.from_run(qrels, run), k=1) == 1.0
