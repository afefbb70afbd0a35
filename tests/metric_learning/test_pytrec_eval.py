"""Measures of rankings against trec_eval, by pytrec_eval."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne import metric_learning

pytrec_eval = pytest.importorskip("pytrec_eval")

NAMES = {
    "ndcg": ("ndcg_score", {}),
    "ndcg_cut_5": ("ndcg_score", {"k": 5}),
    "map": ("average_precision", {}),
    "map_cut_5": ("average_precision", {"k": 5}),
    "recip_rank": ("reciprocal_rank", {}),
    "P_5": ("precision_at_k", {"k": 5}),
    "recall_5": ("recall_at_k", {"k": 5}),
    "Rprec": ("r_precision", {}),
    "success_5": ("hit_rate", {"k": 5}),
}


@pytest.mark.parametrize("theirs", NAMES)
def test_measures_of_trec_eval(theirs):
    rng = np.random.default_rng(0)
    sizes = [1, 3, 4, 12, 30, 200]
    relevance = [rng.integers(0, 4, size=n) * (rng.random(n) < 0.4) for n in sizes]
    relevance[1][:] = 0  # a query without relevant documents counts 0
    scores = [rng.permutation(n).astype(float) for n in sizes]

    def documents(values):
        return {
            f"q{q}": {f"d{i}": value for i, value in enumerate(row.tolist())}
            for q, row in enumerate(values)
        }

    asked = theirs.replace("_5", ".5")
    evaluator = pytrec_eval.RelevanceEvaluator(documents(relevance), {asked})
    found = evaluator.evaluate(documents(scores))
    expected = [found[f"q{q}"][theirs] for q in range(len(sizes))]
    if theirs == "map_cut_5":  # divided by R there, by min(5, R) here
        n_relevant = [np.count_nonzero(row) for row in relevance]
        expected = [v * max(r / 5, 1) for v, r in zip(expected, n_relevant, strict=True)]
    name, params = NAMES[theirs]
    actual = getattr(metric_learning, name)(
        np.concatenate(relevance), np.concatenate(scores), groups=sizes, per_query=True, **params
    )
    assert_allclose(actual, expected, rtol=1e-12)
    assert len(set(expected)) > 1
