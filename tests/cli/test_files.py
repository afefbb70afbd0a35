"""fasttsne map: nothing of the user's is replaced, removed, rounded or left out unasked."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import fasttsne
from fasttsne import cli
from fasttsne.cli import checkpoint, messages

pd = pytest.importorskip("pandas")

N_ROWS = 40
QUICK = ["--perplexity", "5", "--max-iter", "250", "--random-state", "0", "--quiet"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with an array in it."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", rows())
    return tmp_path


@pytest.fixture
def untouched(monkeypatch):
    """Let any fit fail, to show that files are looked at before anything is computed."""

    def fit(self, X):
        raise AssertionError("must not compute")

    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)


def rows():
    return np.random.default_rng(0).normal(size=(N_ROWS, 3))


def table(**columns):
    """Write a CSV file of numbers to map and of what is given."""
    frame = pd.DataFrame(rows(), columns=["a", "b", "c"]).assign(**columns)
    frame.to_csv("x.csv", index=False)
    return frame


def run(*args):
    return cli.main(["map", *map(str, args), *QUICK])


def refusal(capsys, *args):
    capsys.readouterr()
    assert run(*args) == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("fasttsne map: error: ")


def interrupted(monkeypatch, *args):
    """Press Ctrl-C in the middle of a descent."""

    def press(self, state):
        if state.iteration == 50:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(messages.Progress, "__call__", press)
        assert run(*args) == 130


# ---- checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--output", "--plot"])
def test_what_is_resumed_is_no_output(here, capsys, option):
    pytest.importorskip("matplotlib")
    output = ["-o", "map.npy"] if option == "--plot" else []
    name = "map.png" if option == "--plot" else "map.npy"
    said = refusal(capsys, "x.npy", *output, option, name, "--resume", name, "--force")
    assert said == f"{option} and --resume both name {name}; give each its own file"
    assert os.listdir() == ["x.npy"]


@pytest.mark.parametrize("more", [[], ["--force"], ["--resume", "other"]])
def test_a_file_that_is_no_checkpoint_is_left_alone(here, capsys, untouched, more):
    Path("p.csv").write_text("precious\n")
    said = refusal(capsys, "x.npy", "-o", "map.npy", "--checkpoint", "p.csv", *more)
    assert said == "--checkpoint p.csv: it exists, and is no checkpoint; choose another name"
    assert Path("p.csv").read_text() == "precious\n"


def test_another_checkpoint_is_replaced_by_force_alone(here, capsys, monkeypatch):
    interrupted(monkeypatch, "x.npy", "-o", "map.npy", "--checkpoint", "one")
    interrupted(monkeypatch, "x.npy", "-o", "map.npy", "--checkpoint", "two")
    again = ["x.npy", "-o", "map.npy", "--resume", "one", "--checkpoint", "two"]
    assert "two is left from an earlier run" in refusal(capsys, *again)
    assert checkpoint.is_one(Path("one")) and checkpoint.is_one(Path("two"))
    assert run(*again, "--force") == 0
    assert sorted(os.listdir()) == ["map.npy", "one", "x.npy"]


def test_a_checkpoint_that_cannot_be_written_is_refused(here, capsys, untouched):
    Path("folder").mkdir()
    Path("map.npy.checkpoint").mkdir()
    Path("map.npy.checkpoint/manifest.json").write_text(json.dumps({}))
    for given, message in [
        (["--checkpoint", "no/c"], "--checkpoint no/c: there is no directory no; make it first"),
        (["--checkpoint", "folder"], "--checkpoint folder: it is a directory; name a file in it"),
        ([], "map.npy.checkpoint is left from an earlier run with --landmarks; --resume"),
    ]:
        assert refusal(capsys, "x.npy", "-o", "map.npy", *given).startswith(message)


# ---- columns that go along ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "column", "output"),
    [
        ("--label", "tsne_1", "map.csv"),
        ("--keep", "tsne_2", "map.parquet"),
        ("--label", "embedding", "map.npz"),
    ],
)
def test_no_column_takes_the_place_of_the_map(here, capsys, untouched, option, column, output):
    pytest.importorskip("pyarrow")
    table(**{column: np.arange(N_ROWS)})
    said = refusal(capsys, "x.csv", "-o", output, option, column)
    assert f"and so is the column '{column}' that is to go along; rename it in INPUT" in said


def test_a_name_that_the_map_does_not_take_is_kept(here):
    table(embedding=np.arange(N_ROWS), tsne_3=np.arange(N_ROWS))
    assert run("x.csv", "-o", "map.csv", "--keep", "embedding,tsne_3") == 0
    assert pd.read_csv("map.csv")["embedding"].tolist() == list(range(N_ROWS))


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_kept_numbers_keep_their_digits(here, kind):
    frame = table(id=123456780.5 + np.arange(N_ROWS), share=np.full(N_ROWS, 1 / 3))
    assert run("x.csv", "-o", f"map.{kind}", "--keep", "id,share") == 0
    written = pd.read_csv(f"map.{kind}", sep="\t" if kind == "tsv" else ",", dtype=str)
    assert written["id"].astype(float).tolist() == frame["id"].tolist()
    assert written["share"].astype(float).tolist() == frame["share"].tolist()
    Y = fasttsne.TSNE(perplexity=5, max_iter=250, random_state=0).fit_transform(rows())
    assert written["tsne_1"].tolist() == [f"{value:.6g}" for value in Y[:, 0]]


# ---- tables of text -----------------------------------------------------------------------------


def lines_of_numbers(separator=",", decimal=".", label="x"):
    return [
        separator.join([*(f"{value:.4f}".replace(".", decimal) for value in row), label])
        for row in rows()
    ]


def expected_map():
    X = np.round(rows(), 4)
    return fasttsne.TSNE(perplexity=5, max_iter=250, random_state=0).fit_transform(X)


def test_a_first_line_of_data_is_noted_and_can_be_taken(here, capsys):
    Path("x.csv").write_text("\n".join(lines_of_numbers()))
    assert cli.main(["map", "x.csv", "-o", "short.npy", *QUICK[:-1]]) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("the first line is read as names of columns, but 3 of its 4 are")
    assert said.endswith("if it is data: --no-header")
    assert run("x.csv", "-o", "map.csv", "--no-header", "--label", "column 4") == 0
    np.testing.assert_allclose(pd.read_csv("map.csv").iloc[:, :2], expected_map(), rtol=1e-5)


def test_separator_and_decimal_point_are_given(here, capsys):
    Path("x.csv").write_text("\n".join(["a;b;c;kind", *lines_of_numbers(";", ",")]))
    said = refusal(capsys, "x.csv", "-o", "map.npy", "--label", "kind")
    assert said.endswith("are its cells separated by ';'? --sep ';'")
    said = refusal(capsys, "x.csv", "-o", "map.npy", "--label", "kind", "--sep", ";")
    assert said.endswith("no column of numbers; has column 'a' decimal commas? --decimal ,")
    given = ["--sep", ";", "--decimal", ","]
    assert run("x.csv", "-o", "map.npy", "--label", "kind", *given) == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--sep", ";;"], "--sep must be one sign, such as ';'; got ';;'"),
        (["--sep", ",", "--decimal", ","], "--sep and --decimal are both ','"),
        (["--no-header"], "--sep, --decimal and --no-header are for .csv and .tsv, not x.npy"),
    ],
)
def test_signs_that_are_none(here, capsys, untouched, given, message):
    assert refusal(capsys, "x.npy", "-o", "map.npy", *given).startswith(message)


def test_text_that_looks_missing_is_text(here):
    names = ["NA", "None", "null", "", "Namibia"] * (N_ROWS // 5)
    table(country=names, share=[1.5, None] * (N_ROWS // 2))
    assert run("x.csv", "-o", "map.csv", "--label", "country", "--keep", "share") == 0
    written = pd.read_csv("map.csv", dtype=str, keep_default_na=False)
    assert written["country"].tolist() == names
    assert written["share"].tolist() == ["1.5", ""] * (N_ROWS // 2)


# ---- what is said of it -------------------------------------------------------------------------


def said_of(capsys, *args):
    capsys.readouterr()
    assert cli.main(["map", *map(str, args), *QUICK[:-1]]) == 0
    return capsys.readouterr().err


def test_columns_are_named_and_doubts_are_told(here, capsys):
    frame = table(id=np.arange(N_ROWS) * 2 + 7, income=1000 * rows()[:, 0])
    ratio = np.std(frame["income"]) / np.std(frame["c"])
    said = said_of(capsys, "x.csv", "-o", "1.npy")
    assert f"mapping {N_ROWS} rows of 5 columns: a, b, c, id, income\n" in said
    assert "column 'id' only counts upwards, as identifiers do; --drop 'id' leaves it out" in said
    assert f"column 'income' varies {ratio:,.0f} times as much as 'c'; --standardize" in said
    said = said_of(capsys, "x.csv", "-o", "2.npy", "--drop", "id", "--standardize")
    assert "counts upwards" not in said and "varies" not in said
    said = said_of(capsys, "x.csv", "-o", "3.npy", "--features", "a,id")
    assert "counts upwards" not in said and "varies" not in said


def test_options_that_come_too_late_are_noted(here, capsys, monkeypatch):
    interrupted(monkeypatch, "x.npy", "-o", "map.npy")
    resumed = ["x.npy", "-o", "map.npy", "--resume"]
    said = said_of(capsys, *resumed, "--init", "random")
    assert "--init has no effect: the descent has begun with another" in said
    assert "--random-state makes" not in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_place_where_nothing_can_be_written_is_refused(here, capsys, untouched):
    said = refusal(capsys, "x.npy", "-o", "/proc/x.npy")
    assert said.startswith("--output /proc/x.npy: ") and said.endswith("; choose another place")


def test_judge_speaks_of_what_it_takes(here, capsys):
    table(kind="a")
    np.save("map.npy", rows()[:, :2])
    assert cli.main(["judge", "x.csv", "map.npy", "--label", "kind"]) == 0
    assert f"judging by {N_ROWS} rows of 3 columns: a, b, c\n" in capsys.readouterr().err
    np.save("two.npy", np.eye(2))
    assert cli.main(["judge", "two.npy", "two.npy"]) == 2
    assert "two.npy has 2 rows; neighbours of at least 3 can be judged" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["judge", "--help"])
    told = capsys.readouterr().out
    assert "columns of X" in told and "OUT" not in told
