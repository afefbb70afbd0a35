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
        (["same.npy", "--sample", "-1"], "--sample must be at least 1, or 0"),
        (["same.npy", "--label", "spices"], "did you mean 'species'?"),
        (["map.npy", "--label", "sepal width"], "--label sepal width has numbers with fractions"),
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


def test_judge_reads_standard_input_once(here, capsys):
    said = error_of(capsys, "-", "-", command="judge")
    assert said == "X and MAP are both standard input; write one of them to a file"


def test_judge_requires_three_rows(here, capsys):
    np.save("two.npy", np.eye(2))
    said = error_of(capsys, "two.npy", "two.npy", command="judge")
    assert said == "X and embedding must have at least 3 samples; got 2"


def test_a_single_class_is_judged(flowers, capsys):
    np.save("map.npy", flowers[:, :2])
    pd.read_csv("flowers.csv").assign(one="all").to_csv("one.csv", index=False)
    assert run("judge", "one.csv", "map.npy", "--label", "one") == 0
    assert "nan" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_label_that_the_map_carries_is_no_feature(flowers, capsys, kind):
    frame = pd.read_csv("flowers.csv")
    frame.assign(digit=np.arange(150) // 50).to_csv("x.csv", index=False)
    assert mapped("x.csv", "-o", f"map.{kind}", "--label", "digit", "--quiet") == 0
    printed = {}
    for given in ([], ["--label", "digit"], ["--features", "sepal length,digit"]):
        capsys.readouterr()
        assert run("judge", "x.csv", f"map.{kind}", *given) == 0
        printed[len(given) and given[0]] = capsys.readouterr()
    note = f"no features, as map.{kind} carries them along: digit"
    assert note in printed[0].err and "judging by 150 rows of 4 columns" in printed[0].err
    assert printed["--label"].out.startswith(printed[0].out)  # the kNN accuracy is last
    assert "judging by 150 rows of 2 columns: sepal length, digit" in printed["--features"].err


def test_a_table_beside_its_map_keeps_its_features(flowers, capsys):
    mapped("flowers.csv", "-o", "map.csv", "--quiet")
    pd.concat([pd.read_csv("flowers.csv"), pd.read_csv("map.csv")], axis=1).to_csv("both.csv")
    capsys.readouterr()
    assert run("judge", "flowers.csv", "both.csv") == 0
    assert "judging by 150 rows of 4 columns" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "npy", "tsv"])
def test_map_and_judge_report_the_same(flowers, capsys, kind):
    wanted = ["--label", "species", "--standardize", "--pca", "3"]
    mapped("flowers.csv", "-o", f"map.{kind}", *wanted, "--report", "a.txt", "--quiet")
    capsys.readouterr()
    assert run("judge", "flowers.csv", f"map.{kind}", *wanted) == 0
    assert capsys.readouterr().out == Path("a.txt").read_text()


def test_judge_doubts_what_map_doubts(here, capsys):
    X = np.random.default_rng(0).normal(size=(40, 3)) * [1, 1, 500]
    pd.DataFrame(X, columns=["a", "tsne0", "c"]).to_csv("x.csv", index=False)
    assert mapped("x.csv", "-o", "map.npy") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("column")]
    assert notes[0] == "columns of an earlier map: tsne0; --drop leaves them out"
    assert "column 'c' varies" in notes[1]
    assert run("judge", "x.csv", "map.npy") == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("column")] == notes


@pytest.mark.parametrize(
    ("output", "needs"), [("map.h5", "h5py"), ("map.zarr", "zarr"), ("map/", "pyarrow")]
)
def test_judge_reads_maps_of_large_files(array, capsys, output, needs):
    pytest.importorskip("dask")
    pytest.importorskip(needs)
    assert mapped("x.npy", "-o", output, "--landmarks", "35", "--quiet") == 0
    capsys.readouterr()
    assert run("judge", "x.npy", output) == 0
    assert capsys.readouterr().out.startswith("40 points; 10 neighbours")
