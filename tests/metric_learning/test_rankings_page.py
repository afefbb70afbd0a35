"""The examples of docs/rankings.md run, one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest

from fasttsne.metric_learning.learners import LinearRanker

PAGE = Path(__file__).parent.parent.parent / "docs" / "rankings.md"


def test_the_page_on_rankings_runs(capsys):
    pytest.importorskip("lightgbm")
    pytest.importorskip("xgboost")
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 6
    space = {"__name__": "rankings"}
    for block in blocks:
        above = "\n" * (text[: block.start()].count("\n") + 1)
        exec(compile(above + block[1], str(PAGE), "exec"), space)
    assert (space["scores"] > 0.6).all()
    # Trees learn the product of two features, which the linear ranker cannot.
    name, reached, higher_is_better = space["lightgbm_metric"](k=10)(
        space["y"][space["test"]],
        space["of_trees"],
        None,
        space["sizes"](space["qid"][space["test"]]),
    )
    assert (name, higher_is_better) == ("ndcg_score@10", True)
    assert reached > np.mean(space["values"]["linear"]) + 0.03
    rounds = {space["booster"].best_iteration, space["regressor"].best_iteration}
    assert len(rounds) == 1
    assert rounds.pop() > 0
    assert "trees - linear  +" in capsys.readouterr().out
    # Feature 3 decides what is shown, and feature 0 what is relevant.
    coefficients = space["unbiased"].coef_
    naive = LinearRanker("ranknet").fit(space["X"], space["clicks"], qid=space["qid"]).coef_
    assert abs(coefficients[3] / coefficients[0]) < 0.5 * abs(naive[3] / naive[0])
