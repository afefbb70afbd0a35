"""cli/map.py and judge.py: files in, files out, and what is said when something is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_iris, make_blobs
from sklearn.preprocessing import StandardScaler

import fasttsne
from fasttsne import cli
from fasttsne.cli import checkpoint, messages
from fasttsne.quality import neighbor_recall

pd = pytest.importorskip("pandas")

OPTIONS = ["--perplexity", "10", "--max-iter", "250", "--random-state", "0"]


@pytest.fixture
def untouched(monkeypatch):
    """Let any fit fail, to show that input is refused before anything is computed."""

    def fit(self, X, y=None, **options):
        raise AssertionError("must not compute")

    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)


@pytest.fixture
def flowers(here):
    """Iris with its classes, names of columns in any language, and one that is text."""
    iris = load_iris()
    frame = pd.DataFrame(iris.data, columns=["sepal length", "sepal width", "länge", "breite"])
    frame["species"] = iris.target_names[iris.target]
    frame["name"] = [f"flower <{i}>" for i in range(150)]
    frame.to_csv("flowers.csv", index=False)
    return iris.data


def run(*args):
    return cli.main(list(map(str, args)))


def mapped(*args):
    return run("map", *args, *OPTIONS)


def expected_map(X, **options):
    return fasttsne.TSNE(perplexity=10, max_iter=250, random_state=0, **options).fit_transform(X)


def error_of(capsys, *args, command="map"):
    """What a refused command says: one line, without a traceback, and status 2."""
    capsys.readouterr()
    before = sorted(os.listdir())
    assert run(command, *args) == 2
    printed = capsys.readouterr()
    *notes, line = printed.err.splitlines()
    assert not [note for note in notes if "Traceback" in note]
    assert sorted(os.listdir()) == before
    prefix = f"fasttsne {command}: error: "
    assert line.startswith(prefix)
    return line.removeprefix(prefix)


# ---- what is written ----------------------------------------------------------------------------


def test_a_table_becomes_map_picture_page_and_report(flowers, here, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    wanted = ["--label", "species", "--keep", "name", "--plot", "a.png", "--html", "a.html"]
    assert mapped("flowers.csv", "-o", "map.csv", *wanted, "--report", "a.json") == 0
    written = pd.read_csv("map.csv")
    assert written.columns.tolist() == ["tsne_1", "tsne_2", "species", "name"]
    np.testing.assert_allclose(written.iloc[:, :2], expected_map(flowers), rtol=1e-5)
    assert written["name"][7] == "flower <7>"
    assert (here / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "name: flower \\u003c7>" in (here / "a.html").read_text(encoding="utf-8")
    report = json.loads((here / "a.json").read_text())
    recall = neighbor_recall(flowers, expected_map(flowers))
    assert report["neighbor_recall"] == pytest.approx(recall)
    assert sorted(os.listdir()) == ["a.html", "a.json", "a.png", "flowers.csv", "map.csv"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "mapping 150 rows of 4 columns" in said.err


def test_a_log_has_few_lines_and_quiet_has_none(flowers, capsys):
    mapped("flowers.csv", "-o", "map.csv")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "columns of text, left out: species, name"
    assert len(lines) < 6 and not any("\r" in line or "\x1b" in line for line in lines)
    mapped("flowers.csv", "-o", "map.csv", "--force", "--quiet")
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(flowers, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    mapped("flowers.csv", "-o", "map.csv")
    bars = [part for part in capsys.readouterr().err.split("\r") if part.startswith("[")]
    assert len(bars) >= 25
    assert "[########################] iteration 250" in bars[-1]


@pytest.mark.parametrize("kind", ["csv", "tsv", "npy", "npz", "parquet"])
def test_every_kind_is_read_and_written(here, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    X, labels = make_blobs(60, 5, centers=3, random_state=0)
    source, target = here / f"in.{kind}", here / f"out.{kind}"
    frame = pd.DataFrame(X, columns=list("abcde"))
    label = [] if kind == "npy" else ["--label", "kind"]
    if kind == "npy":
        np.save(source, X)
    elif kind == "npz":
        np.savez(source, X=X, kind=labels)
    elif kind == "parquet":
        frame.assign(kind=labels).to_parquet(source)
    else:
        frame.assign(kind=labels).to_csv(source, sep="\t" if kind == "tsv" else ",", index=False)
    assert mapped(source, "-o", target, *label) == 0
    expected = expected_map(X)
    if kind == "npy":
        np.testing.assert_array_equal(np.load(target), expected)
    elif kind == "npz":
        with np.load(target) as arrays:
            np.testing.assert_array_equal(arrays["embedding"], expected)
            np.testing.assert_array_equal(arrays["kind"], labels)
    else:
        read = pd.read_parquet if kind == "parquet" else pd.read_csv
        written = read(target, **({"sep": "\t"} if kind == "tsv" else {}))
        np.testing.assert_allclose(written[["tsne_1", "tsne_2"]], expected, rtol=1e-5)
        assert written["kind"].tolist() == labels.tolist()


def test_numbers_without_a_header(here):
    X = make_blobs(60, 3, random_state=0)[0]
    np.savetxt("plain.csv", X, delimiter=",")
    assert mapped("plain.csv", "-o", "map.npy") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(X))


def test_a_sparse_matrix(here):
    X = sparse.random(80, 30, density=0.2, format="csr", random_state=0)
    sparse.save_npz("x.npz", X)
    assert mapped("x.npz", "-o", "map.npy", "--metric", "cosine", "--init", "random") == 0
    np.testing.assert_array_equal(
        np.load("map.npy"), expected_map(X, metric="cosine", init="random")
    )


def test_constant_data_are_mapped_and_reported(here, capsys):
    np.save("x.npy", np.ones((60, 3)))
    assert mapped("x.npy", "-o", "map.npy", "--report", "a.json") == 0
    report = json.loads(Path("a.json").read_text())
    assert report["distance_correlation"] is None
    assert 0 <= report["neighbor_recall"] <= 1
    assert "-0.000" not in capsys.readouterr().err


@pytest.mark.parametrize("n_rows", [3, 12, 20])
def test_few_rows_are_reported_on(here, capsys, n_rows):
    np.save("x.npy", np.random.default_rng(0).normal(size=(n_rows, 4)))
    wanted = ["--report", "a.json", "--perplexity", "1.5", "--init", "random"]
    assert run("map", "x.npy", "-o", "map.npy", *wanted) == 0
    assert json.loads(Path("a.json").read_text())["n_neighbors"] == min(10, (n_rows - 1) // 2)
    assert run("judge", "x.npy", "map.npy") == 0


def test_two_rows_have_no_neighbours_to_report_on(here, capsys, untouched):
    np.save("x.npy", np.eye(2))
    said = error_of(capsys, "x.npy", "-o", "map.npy", "--report", "a.txt")
    assert said == "--report compares neighbours and requires at least 3 rows; leave it out"


def test_ten_thousand_classes_of_any_script_are_mapped(here, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    rng = np.random.default_rng(0)
    names = [f"<b>名前 {i}</b> $x_{{{i}}}$ " + "длинный " * (i % 40) for i in range(10_000)]
    frame = pd.DataFrame(rng.normal(size=(10_000, 3)), columns=list("abc")).assign(name=names)
    frame.to_csv("many.csv", index=False)
    wanted = ["--plot", "a.png", "--html", "a.html", "--report", "a.txt", "--max-iter", "250"]
    assert run("map", "many.csv", "-o", "map.csv", "--label", "name", *wanted) == 0
    assert "with boxes for characters that" in capsys.readouterr().err
    assert pd.read_csv("map.csv")["name"].str.strip().tolist() == [name.strip() for name in names]


def test_columns_are_chosen_and_standardized(flowers):
    chosen = ["--features", "breite,sepal width", "--standardize"]
    assert mapped("flowers.csv", "-o", "map.npy", *chosen) == 0
    X = flowers[:, [3, 1]]
    X = StandardScaler().fit_transform(np.ascontiguousarray(X))
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(X))
    assert mapped("flowers.csv", "-o", "dropped.npy", "--drop", "sepal length,länge") == 0
    np.testing.assert_array_equal(np.load("dropped.npy"), expected_map(flowers[:, [1, 3]]))


def test_options_reach_the_estimator(flowers, monkeypatch):
    seen = []
    monkeypatch.setattr(
        fasttsne.TSNE, "fit", lambda self, X: seen.append(self.get_params()) or 1 / 0
    )
    wanted = {
        "early_exaggeration": 4.0,
        "exaggeration": 1.5,
        "learning_rate": 100.0,
        "max_iter": 300,
        "metric": "cosine",
        "init": "random",
        "method": "exact",
        "angle": 0.3,
        "n_jobs": 1,
        "neighbors": "exact",
        "n_components": 3,
        "degrees_of_freedom": "auto",
        "random_state": 7,
    }
    options = [
        text for name, value in wanted.items() for text in (f"--{name.replace('_', '-')}", value)
    ]
    assert run("map", "flowers.csv", "-o", "map.csv", *options) == 2
    assert {name: seen[0][name] for name in wanted} == wanted


# ---- what is refused ----------------------------------------------------------------------------


def test_existing_files_are_not_replaced_without_force(flowers, capsys, untouched):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    for option, name in [
        ("-o", "a.csv"),
        ("--plot", "a.png"),
        ("--html", "a.html"),
        ("--report", "a.txt"),
    ]:
        Path(name).write_text("mine")
        output = [] if option == "-o" else ["-o", "new.csv"]
        message = error_of(capsys, "flowers.csv", *output, option, name)
        assert f"{name}: it exists; --force replaces it" in message
        assert Path(name).read_text() == "mine"


def test_force_replaces(flowers):
    Path("map.csv").write_text("mine")
    assert mapped("flowers.csv", "-o", "map.csv", "--force", "--quiet") == 0
    assert Path("map.csv").read_text().startswith("tsne_1,tsne_2\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["flower.csv", "-o", "a.csv"],
            "there is no file 'flower.csv' in .; did you mean 'flowers.csv'?",
        ),
        (["no/x.csv", "-o", "a.csv"], "there is no directory no"),
        ([".", "-o", "a.csv"], ". is a directory; name a file"),
        (["flowers.csv", "-o", "no/a.csv"], "--output no/a.csv: there is no directory no; make it"),
        (["flowers.csv", "-o", "a.docx"], "--output a.docx: the ending must be one of .csv"),
        (["flowers.csv", "-o", "a.h5ad"], "needs anndata|is a copy of an .h5ad INPUT"),
        (
            ["flowers.csv", "-o", "flowers.csv", "--force"],
            "INPUT and --output both name flowers.csv",
        ),
        (
            ["flowers.csv", "-o", "a.csv", "--report", "./a.csv"],
            "--output and --report both name a.csv",
        ),
        (
            ["flowers.csv", "-o", "a.csv", "--report", "a.pdf"],
            "the ending must be one of .txt, .json",
        ),
        (
            ["flowers.csv", "-o", "a.csv", "--plot", "a.docx"],
            "--plot a.docx: the ending must be one",
        ),
        (
            ["flowers.csv", "-o", "a.csv", "--label", "specis"],
            "no column 'specis' in flowers.csv; did you mean 'species'?",
        ),
        (["flowers.csv", "-o", "a.csv", "--label", "SPECIES"], "did you mean 'species'?"),
        (["flowers.csv", "-o", "a.csv", "--drop", "zzz"], "it has sepal length, sepal width"),
        (["flowers.csv", "-o", "a.csv", "--array", "X"], "--array is for .npz and .h5ad"),
        (["cells.h5ad", "-o", "a.csv", "--drop", "x"], "--features and --drop are for tables"),
        (
            ["flowers.csv", "-o", "a.csv", "--features", "name"],
            "column 'name' mixes numbers and text, 'flower <0>' in row 1",
        ),
        (
            ["flowers.csv", "-o", "a.csv", "--plot", "a.png", "--n-components", "3"],
            "--plot draws maps of two dimensions",
        ),
        (["flowers.csv", "-o", "a.csv", "--resume", "cells.h5ad"], "cells.h5ad is no checkpoint"),
        (
            ["flowers.csv", "-o", "a.csv", "--resume", "flowers.csv"],
            "INPUT and --resume both name flowers.csv",
        ),
        (["flowers.csv", "-o", "a.csv", "--resume", "gone"], "cannot read the checkpoint gone"),
    ],
)
def test_wrong_files_and_columns(flowers, capsys, untouched, args, message):
    pytest.importorskip("matplotlib")
    Path("cells.h5ad").write_text("something")
    said = error_of(capsys, *args)
    assert any(part in said for part in message.split("|")), said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--perplexity", "150"], "perplexity (150.0) must be less than n_samples (150)"),
        (["--perplexity", "-1"], "'perplexity' parameter of TSNE must be"),
        (["--metric", "euclid"], "no metric 'euclid' in fasttsne; did you mean 'euclidean'?"),
        (["--metric", "foo"], "it has euclidean, cosine, correlation, manhattan, chebyshev, ham"),
        (
            ["--metric", "precomputed_affinity", "--report", "a.txt"],
            "a map is judged by the data or their distances",
        ),
        (["--metric", "seuclidean"], "takes variances; euclidean with --standardize is the same"),
        (["--metric", "mahalanobis"], "takes a matrix, which an option cannot give"),
        (["--max-iter", "3"], "'max_iter' parameter"),
        (["--random-state", "-1"], "'random_state' parameter"),
        (["--n-components", "5"], "'n_components' should be less than 4"),
    ],
)
def test_the_estimator_refuses_in_one_line(flowers, capsys, args, message):
    assert message in error_of(capsys, "flowers.csv", "-o", "a.csv", "--quiet", *args)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "x.csv is empty"),
        ("x.csv", b"\n\n", "x.csv is empty"),
        ("x.csv", b"a,b\n", "x.csv has column names and no rows"),
        (
            "x.csv",
            b"a,b\n1,2\n3,4,5\n",
            "x.csv is ragged or not CSV: Expected 2 fields in line 3, saw 3",
        ),
        (
            "x.csv",
            b"a,b\n1,2,3\n3,4,5\n",
            "x.csv is ragged or not CSV: rows are longer than the header",
        ),
        ("x.csv", b"a,b\n1,2\n3\n", "column 'b' has 1 empty cells, the first in row 2"),
        ("x.csv", b"a,b\n1,2\n3,oops\n", "column 'b' mixes numbers and text, 'oops' in row 2"),
        ("x.csv", b'a,b\n1,2\n3,"4,5"\n', "'4,5' in row 2; --decimal , if that is a number, or"),
        ("x.csv", b"a,b\n1,2\n3,inf\n", "x.csv holds inf in row 2, column 2"),
        ("x.csv", b"a,b\nx,y\nz,w\n", "x.csv has no column of numbers"),
        ("x.csv", b"a;b\n1;2\n", "no column of numbers; are its cells separated by ';'? --sep ';'"),
        ("x.csv", b"a;b\n1,5;2,5\n", "longer than the header; are its cells separated by ';'?"),
        ("x.csv", b"a,a\n1,2\n1,2\n", "x.csv has more than one column 'a'; give each its own"),
        ("x.csv", b"5,5,x\n1,2,x\n", "column '5'; give each its own name; is the first line data?"),
        ("x.csv", b"\n\na, a\n1,2\n", "x.csv has more than one column 'a'; give each its own"),
        ("x.csv", b"\xff\xfe\x00a,b\n1,2\n", "x.csv is not text in UTF-8"),
        ("x.npy", b"not numpy", "cannot read x.npy: not an array of numbers"),
        ("x.npz", b"PK not a zip", "cannot read x.npz: not arrays of numbers"),
        ("x.parquet", b"PAR1 nonsense", "cannot read x.parquet: not a Parquet file|needs"),
        ("x.h5ad", b"nonsense", "cannot read x.h5ad: not a file written by AnnData|needs anndata"),
        ("x.xlsx", b"nonsense", "unknown ending '.xlsx'"),
    ],
)
def test_broken_files(here, capsys, untouched, name, content, message):
    (here / name).write_bytes(content)
    said = error_of(capsys, name, "-o", "map.csv")
    assert any(part in said for part in message.split("|"))


def test_arrays_that_are_no_tables(here, capsys, untouched):
    for array, message in [
        (np.zeros(3), "holds an array of shape (3,); rows and columns are needed"),
        (np.zeros((0, 3)), "holds no numbers: 0 rows, 3 columns"),
        (np.array([["a", "b"]]), "holds <U1 rather than numbers"),
        (np.array([[1.0, np.nan]]), "holds nan in row 1, column 2"),
        (np.array([[None]]), "not an array of numbers"),
    ]:
        np.save("x.npy", array)
        assert message in error_of(capsys, "x.npy", "-o", "map.csv")
    np.savez("x.npz", one=np.zeros((3, 2)), two=np.ones((3, 2)))
    assert "x.npz holds 2 tables (one, two); choose one with --array" in error_of(
        capsys, "x.npz", "-o", "map.csv"
    )
    assert "no array 'tow' in x.npz; did you mean 'two'?" in error_of(
        capsys, "x.npz", "-o", "map.csv", "--array", "tow"
    )


@pytest.mark.parametrize(
    ("module", "args", "extra"),
    [
        ("pandas", ["flowers.csv", "-o", "a.csv"], "tables"),
        ("matplotlib", ["flowers.csv", "-o", "a.csv", "--plot", "a.png"], "plot"),
        ("plotly", ["flowers.csv", "-o", "a.csv", "--html", "a.html"], "html"),
        ("anndata", ["cells.h5ad", "-o", "a.csv"], "h5ad"),
    ],
)
def test_a_missing_extra_is_named(flowers, capsys, monkeypatch, untouched, module, args, extra):
    Path("cells.h5ad").write_text("something")
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install 'fasttsne[{extra}]'" in error_of(capsys, *args)


def test_missing_labels_are_drawn_grey_and_kept_empty(flowers):
    pytest.importorskip("matplotlib")
    frame = pd.read_csv("flowers.csv")
    frame.loc[::2, "species"] = None
    frame.to_csv("some.csv", index=False)
    wanted = ["--label", "species", "--plot", "a.png", "--report", "a.txt"]
    assert mapped("some.csv", "-o", "map.csv", *wanted) == 0
    assert pd.read_csv("map.csv")["species"].isna().sum() == 75


def test_debug_shows_the_traceback(flowers, capsys):
    assert run("map", "flowers.csv", "-o", "a.csv", "--perplexity", "0", "--debug") == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_nobody_foresaw_is_one_line_too(flowers, capsys, monkeypatch):
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: {}["gone"])
    said = error_of(capsys, "flowers.csv", "-o", "a.csv", "--quiet")
    assert said == "unexpected KeyError: 'gone'; run again with --debug, and report it"


# ---- interrupted and taken up again -------------------------------------------------------------


def interrupt_at(monkeypatch, iteration):
    """Press Ctrl-C when the descent has come so far."""
    show = messages.Progress.__call__

    def show_and_interrupt(self, state):
        show(self, state)
        if state.iteration == iteration:
            raise KeyboardInterrupt

    monkeypatch.setattr(messages.Progress, "__call__", show_and_interrupt)
    return lambda: monkeypatch.setattr(messages.Progress, "__call__", show)


def test_ctrl_c_leaves_a_checkpoint_that_leads_to_the_same_map(flowers, capsys, monkeypatch):
    mend = interrupt_at(monkeypatch, 100)
    assert mapped("flowers.csv", "-o", "map.npy") == 130
    assert "--resume map.npy.checkpoint goes on from here" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["flowers.csv", "map.npy.checkpoint"]
    mend()
    assert "--resume map.npy.checkpoint goes on, --force starts anew" in error_of(
        capsys, "flowers.csv", "-o", "map.npy", *OPTIONS
    )
    assert run("map", "flowers.csv", "-o", "map.npy", "--resume", "map.npy.checkpoint") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(flowers))
    assert sorted(os.listdir()) == ["flowers.csv", "map.npy"]


def test_regular_checkpoints_change_nothing(flowers, monkeypatch):
    monkeypatch.setattr(checkpoint, "_EVERY", 0.0)
    written = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *args: written.append(save(*args)))
    assert mapped("flowers.csv", "-o", "map.npy", "--checkpoint", "here.ckpt") == 0
    assert len(written) > 10
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(flowers))
    assert sorted(os.listdir()) == ["flowers.csv", "map.npy"]


def test_a_checkpoint_of_other_data_is_refused(flowers, capsys, monkeypatch):
    mend = interrupt_at(monkeypatch, 50)
    assert mapped("flowers.csv", "-o", "map.npy", "--checkpoint", "one") == 130
    mend()
    for change in (["--drop", "sepal width"], ["--standardize"]):
        said = error_of(capsys, "flowers.csv", "-o", "map.npy", "--resume", "one", *change)
    assert said.startswith(
        "one is a checkpoint of other data; give the same INPUT, columns and --stand"
    )


def test_ctrl_c_before_the_descent(flowers, capsys, monkeypatch):
    def fit(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)
    assert mapped("flowers.csv", "-o", "map.npy") == 130
    assert "interrupted before the first iteration" in capsys.readouterr().err
    assert os.listdir() == ["flowers.csv"]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.slow
def test_ctrl_c_ends_the_process_with_a_checkpoint(here):
    np.save("x.npy", np.random.default_rng(0).normal(size=(20_000, 10)))
    # Its progress is shown from the first iterations on, however fast the machine is.
    program = "import sys; from fasttsne.cli import main, messages; messages._SECONDS_IN_LOG = 0; "
    command = [sys.executable, "-c", program + "sys.exit(main())"]
    command += ["map", "x.npy", "-o", "map.npy", "--n-jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert "mapping 20,000 rows" in process.stderr.readline()
        assert process.stderr.readline().startswith("iteration ")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors and "Traceback" not in errors
    assert time.monotonic() - start < 10
    assert sorted(os.listdir()) == ["map.npy.checkpoint", "x.npy"]


# ---- judge --------------------------------------------------------------------------------------


def test_judge_reads_what_map_wrote(flowers, capsys):
    for kind in ("csv", "npy", "npz", "tsv"):
        mapped("flowers.csv", "-o", f"map.{kind}", "--label", "species", "--quiet")
        capsys.readouterr()
        report = f"{kind}.json"
        wanted = ["--label", "species", "--report", report]
        assert run("judge", "flowers.csv", f"map.{kind}", *wanted) == 0
        assert "trustworthiness" in capsys.readouterr().out
        judged = json.loads(Path(report).read_text())
        recall = neighbor_recall(flowers, expected_map(flowers))
        assert judged["neighbor_recall"] == pytest.approx(recall, abs=2e-3)
        assert judged["knn_accuracy"] > 0.9


def test_judge_refuses_in_one_line(flowers, capsys):
    np.save("short.npy", np.zeros((149, 2)))
    np.save("nan.npy", np.full((150, 2), np.nan))
    np.save("map.npy", flowers[:, :2])
    np.save("same.npy", np.zeros((150, 2)))
    for args, message in [
        (["short.npy"], "flowers.csv has 150 rows and short.npy 149; a map has one for each row"),
        (["nan.npy"], "nan.npy holds nan in row 1, column 1"),
        (["gone.npy"], "there is no file 'gone.npy'"),
        (["map.npy", "--n-neighbors", "150"], "n_neighbors"),
        (["map.npy", "--metric", "cosin"], "no metric 'cosin' in fasttsne; did you mean 'cosine'?"),
        (["map.npy", "--metric", "precomputed_affinity"], "choose another --metric"),
        (["same.npy", "--sample", "-1"], "--sample must be at least 1, or 0"),
        (["same.npy", "--label", "spices"], "did you mean 'species'?"),
        (["same.npy", "--report", "flowers.csv"], "X and --report both name flowers.csv"),
        (["same.npy", "--report", "short.npy"], "the ending must be one of .txt, .json"),
    ]:
        assert message in error_of(capsys, "flowers.csv", *args, command="judge")


def test_judge_of_a_constant_map_and_of_one_label(flowers, capsys):
    np.save("same.npy", np.zeros((150, 2)))
    said = error_of(capsys, "flowers.csv", "same.npy", command="judge")
    assert said.startswith("same.npy is constant: all its points lie in one place")
    np.save("map.npy", flowers[:, :2])
    pd.read_csv("flowers.csv").assign(one="all").to_csv("one.csv", index=False)
    assert run("judge", "one.csv", "map.npy", "--label", "one") == 0
    assert "nan" not in capsys.readouterr().out
