"""cli/judge.py: reports of maps, and errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, expected_map, mapped, run

from fasttsne.quality import neighbor_recall

pd = pytest.importorskip("pandas")


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "tsv"])
def test_judge_reads_what_map_wrote(flowers, capsys, kind):
    mapped("flowers.csv", "-o", f"map.{kind}", "--label", "species", "--quiet")
    capsys.readouterr()
    wanted = ["--label", "species", "--report", "a.json"]
    assert run("judge", "flowers.csv", f"map.{kind}", *wanted) == 0
    printed = capsys.readouterr()
    assert "trustworthiness" in printed.out
    columns = "sepal length, sepal width, länge, breite"
    assert f"judging by 150 rows of 4 columns: {columns}\n" in printed.err
    judged = json.loads(Path("a.json").read_text())
    recall = neighbor_recall(flowers, expected_map(flowers))
    assert judged["neighbor_recall"] == pytest.approx(recall, abs=2e-3)
    assert judged["knn_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["short.npy"], "flowers.csv has 150 rows and short.npy 149; a map has one for each row"),
        (["nan.npy"], "nan.npy holds nan in row 1, column 1"),
        (["gone.npy"], "there is no file 'gone.npy'"),
        (["same.npy"], "same.npy is constant: all its points lie in one place"),
        (["map.npy", "--n-neighbors", "150"], "n_neighbors"),
        (["map.npy", "--metric", "cosin"], "no metric 'cosin' in fasttsne; did you mean 'cosine'?"),
        (["map.npy", "--metric", "precomputed_affinity"], "metric"),
        (["same.npy", "--sample", "-1"], "--sample must be at least 1, or 0"),
        (["same.npy", "--label", "spices"], "did you mean 'species'?"),
        (["same.npy", "--report", "flowers.csv"], "X and --report both name flowers.csv"),
        (["same.npy", "--report", "short.npy"], "the ending must be one of .txt, .json"),
    ],
)
def test_errors_of_judge(flowers, capsys, args, message):
    np.save("short.npy", np.zeros((149, 2)))
    np.save("nan.npy", np.full((150, 2), np.nan))
    np.save("map.npy", flowers[:, :2])
    np.save("same.npy", np.zeros((150, 2)))
    assert message in error_of(capsys, "flowers.csv", *args, command="judge")


def test_judge_requires_three_rows(here, capsys):
    np.save("two.npy", np.eye(2))
    said = error_of(capsys, "two.npy", "two.npy", command="judge")
    assert said == "two.npy has 2 rows; neighbours of at least 3 can be judged"


def test_a_single_class_is_judged(flowers, capsys):
    np.save("map.npy", flowers[:, :2])
    pd.read_csv("flowers.csv").assign(one="all").to_csv("one.csv", index=False)
    assert run("judge", "one.csv", "map.npy", "--label", "one") == 0
    assert "nan" not in capsys.readouterr().out
