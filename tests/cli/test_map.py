"""cli/map.py: from files to maps, pictures, pages and reports; options; errors; Ctrl-C."""

import json
import os
import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, expected_map, mapped, run
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import fasttsne
from fasttsne.cli import write
from fasttsne.quality import neighbor_recall, reliability

pd = pytest.importorskip("pandas")

# ---- what is written ----------------------------------------------------------------------------


def test_a_table_becomes_map_picture_page_and_report(flowers, here, capsys):
    pytest.importorskip("matplotlib")
    wanted = ["--label", "species", "--keep", "name", "--plot", "a.png", "--html", "a.html"]
    assert mapped("flowers.csv", "-o", "map.csv", *wanted, "--report", "a.json") == 0
    written = pd.read_csv("map.csv")
    assert written.columns.tolist() == ["tsne0", "tsne1", "species", "name"]
    np.testing.assert_allclose(written.iloc[:, :2], expected_map(flowers), rtol=1e-5)
    assert written["name"][7] == "flower <7>"
    assert (here / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = (here / "a.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text)
    columns = json.loads(data)["columns"]
    assert columns[1]["names"][7] == "flower <7>"
    measures = ["trustworthiness", "continuity", "neighbor recall", "neighborhood ndcg"]
    names = ["species", "name", *measures, "knn accuracy"]
    assert [column["name"] for column in columns] == names
    report = json.loads((here / "a.json").read_text())
    recall = neighbor_recall(flowers, expected_map(flowers))
    assert report["neighbor_recall"] == pytest.approx(recall)
    assert sorted(os.listdir()) == ["a.html", "a.json", "a.png", "flowers.csv", "map.csv"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "mapping 150 rows of 4 columns" in said.err


def test_reliability_is_that_of_the_fit(flowers, here):
    wanted = ["--report", "a.json", "--reliability", "--html", "a.html", "--quiet"]
    fit = ["--perplexity", 12, "--degrees-of-freedom", 0.8, "--random-state", 0]
    assert run("map", "flowers.csv", "-o", "map.npy", *wanted, *fit) == 0
    found = json.loads((here / "a.json").read_text())["reliability"]
    Y = np.load("map.npy")
    alone = reliability(flowers, Y, perplexity=12, degrees_of_freedom=0.8)
    assert found == alone.to_dict()
    assert {"jumping", "dubious"} <= found.keys()
    text = (here / "a.html").read_text(encoding="utf-8")
    assert '"perturbation"' in text and '"singularity"' in text


def test_reliability_requires_a_report_and_one_perplexity(array, capsys):
    options = ["x.npy", "-o", "map.npy", "--reliability"]
    assert "goes with --report; give both" in error_of(capsys, *options)
    options += ["--report", "a.txt"]
    for more in (["--perplexity", "5,12"], ["--affinity", "uniform"]):
        assert "and one number as --perplexity" in error_of(capsys, *options, *more)
    assert "leave out --landmarks" in error_of(capsys, *options, "--landmarks", "50")
    np.save("x.npy", array[:3])
    said = error_of(capsys, *options, "--perplexity", "1")
    assert "--reliability requires at least 4 rows" in said


@pytest.mark.parametrize(("text", "perplexity"), [("auto", "auto"), ("5,12", [5, 12]), ("7", 7)])
def test_perplexity_is_given_as_in_python(array, text, perplexity):
    given = ["--perplexity", text, "--max-iter", 250, "--random-state", 0]
    assert run("map", "x.npy", "-o", "map.npy", *given) == 0
    Y = fasttsne.TSNE(perplexity=perplexity, max_iter=250, random_state=0).fit_transform(array)
    np.testing.assert_array_equal(np.load("map.npy"), Y)


def test_coordinates_are_named_as_in_python(array):
    assert mapped("x.npy", "-o", "map.csv", "--n-components", "3") == 0
    fitted = fasttsne.TSNE(3, perplexity=10).fit(array)
    names = Path("map.csv").read_text().splitlines()[0].split(",")
    assert names == fitted.get_feature_names_out().tolist()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_counts_are_prepared(here, capsys, is_sparse):
    counts = np.random.default_rng(0).poisson(3.0, size=(60, 12)).astype(float)
    if is_sparse:
        sparse.save_npz("x.npz", sparse.csr_matrix(counts.T))
    else:
        frame = pd.DataFrame(counts.T, columns=[f"cell {k}" for k in range(60)])
        frame.insert(0, "gene", [f"gene {k}" for k in range(12)])
        frame.to_csv("x.csv", index=False)
    source = "x.npz" if is_sparse else "x.csv"
    wanted = ["--transpose", "--log1p", "--pca", "5"]
    assert mapped(source, "-o", "map.csv", *wanted) == 0
    assert "mapping 60 rows of 12 columns" in capsys.readouterr().err
    written = pd.read_csv("map.csv")
    assert is_sparse or written.pop("index").tolist() == frame.columns[1:].tolist()
    np.save("prepared.npy", PCA(5, random_state=0).fit_transform(np.log1p(counts)))
    printed = []
    for data, options in [(source, wanted), ("prepared.npy", [])]:
        capsys.readouterr()
        assert run("judge", data, "map.csv", *options) == 0
        printed.append(capsys.readouterr().out)
    if not is_sparse:
        assert printed[0] == printed[1]
        np.testing.assert_allclose(written, expected_map(np.load("prepared.npy")), atol=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--log1p"], "--log1p needs numbers of at least 0, and x.npy holds -"),
        (["--pca", "4"], "--pca 4: give 1 to 3, the number of principal components"),
        (["--pca", "0"], "--pca 0: give 1 to 3, the number of principal components"),
        (["--pca", "0", "--landmarks", "20"], "--transpose, --log1p and --pca read all of INPUT"),
        (["--transpose", "--label", "a"], "--label and --keep name columns, which --transpose"),
    ],
)
def test_what_cannot_be_prepared(array, capsys, untouched, given, message):
    assert error_of(capsys, "x.npy", "-o", "map.npy", *given).startswith(message)


@pytest.mark.parametrize("name", [None, "cell"])
@pytest.mark.parametrize("route", [[], ["--landmarks", 50]])
@pytest.mark.parametrize("kind", ["csv", "parquet", "folder"])
def test_the_index_of_a_frame_survives(here, name, route, kind):
    pytest.importorskip("pyarrow")
    pytest.importorskip("dask")
    X, labels = make_blobs(60, 5, centers=3, random_state=0)
    index = pd.Index([f"{k:04}" for k in range(60)], name=name)
    pd.DataFrame(X, index=index, columns=list("abcde")).assign(kind=labels).to_parquet("in.parquet")
    if kind == "folder" and not route:
        return
    output = {"folder": "out/"}.get(kind, f"out.{kind}")
    keep = ["--keep", "cell"] if name else []
    assert mapped("in.parquet", "-o", output, "--label", "kind", *route, *keep) == 0
    if kind == "csv":
        written = pd.read_csv("out.csv", dtype={0: str}).set_index(name or "index")
        written.index.name = name
    else:
        written = pd.read_parquet(output.rstrip("/"))
    pd.testing.assert_index_equal(written.index, index)
    assert written.columns.tolist() == ["tsne0", "tsne1", "kind"]
    assert mapped("in.parquet", "-o", "bare.csv", "--drop", name or "__index_level_0__") == 0
    assert pd.read_csv("bare.csv").columns.tolist() == ["tsne0", "tsne1"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "npy", "npz", "parquet"])
def test_every_kind_is_read_and_written(here, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    X, labels = make_blobs(60, 5, centers=3, random_state=0)
    source, target = f"in.{kind}", f"out.{kind}"
    frame = pd.DataFrame(X, columns=list("abcde")).assign(kind=labels)
    label = [] if kind == "npy" else ["--label", "kind"]
    separator = {"sep": "\t"} if kind == "tsv" else {}
    if kind == "npy":
        np.save(source, X)
    elif kind == "npz":
        np.savez(source, X=X, kind=labels)
    elif kind == "parquet":
        frame.to_parquet(source)
    else:
        frame.to_csv(source, index=False, **separator)
    assert mapped(source, "-o", target, *label) == 0
    if kind == "npy":
        np.testing.assert_array_equal(np.load(target), expected_map(X))
    elif kind == "npz":
        with np.load(target) as arrays:
            np.testing.assert_array_equal(arrays["embedding"], expected_map(X))
            np.testing.assert_array_equal(arrays["kind"], labels)
    else:
        read = pd.read_parquet if kind == "parquet" else pd.read_csv
        written = read(target, **separator)
        np.testing.assert_allclose(written[["tsne0", "tsne1"]], expected_map(X), rtol=1e-5)
        assert written["kind"].tolist() == labels.tolist()


def test_a_sparse_matrix(here):
    X = sparse.random(80, 30, density=0.2, format="csr", random_state=0)
    sparse.save_npz("x.npz", X)
    assert mapped("x.npz", "-o", "map.npy", "--metric", "cosine", "--init", "random") == 0
    expected = expected_map(X, metric="cosine", init="random")
    np.testing.assert_array_equal(np.load("map.npy"), expected)


def test_constant_data_are_mapped_and_reported(here, capsys):
    np.save("x.npy", np.ones((60, 3)))
    assert mapped("x.npy", "-o", "map.npy", "--report", "a.json") == 0
    report = json.loads(Path("a.json").read_text())
    assert report["distance_correlation"] is None
    assert 0 <= report["neighbor_recall"] <= 1
    assert "-0.000" not in capsys.readouterr().err


@pytest.mark.parametrize("n_rows", [3, 12, 20])
def test_few_rows_are_reported_on(here, n_rows):
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
    names = [f"<b>名前 {i}</b> $x_{{{i}}}$ " + "длинный " * (i % 40) for i in range(10_000)]
    X = np.random.default_rng(0).normal(size=(10_000, 3))
    pd.DataFrame(X, columns=list("abc")).assign(name=names).to_csv("many.csv", index=False)
    wanted = ["--label", "name", "--plot", "a.png", "--html", "a.html", "--report", "a.txt"]
    assert mapped("many.csv", "-o", "map.csv", *wanted) == 0
    assert "with boxes for characters that" in capsys.readouterr().err
    assert pd.read_csv("map.csv")["name"].str.strip().tolist() == [name.strip() for name in names]


# ---- options ------------------------------------------------------------------------------------


def test_columns_are_chosen_and_standardized(flowers):
    chosen = ["--features", "breite,sepal width", "--standardize"]
    assert mapped("flowers.csv", "-o", "map.npy", *chosen) == 0
    X = StandardScaler().fit_transform(np.ascontiguousarray(flowers[:, [3, 1]]))
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(X))
    assert mapped("flowers.csv", "-o", "dropped.npy", "--drop", "sepal length,länge") == 0
    np.testing.assert_array_equal(np.load("dropped.npy"), expected_map(flowers[:, [1, 3]]))


def test_options_reach_the_estimator(array, monkeypatch):
    seen = []
    fit = lambda self, X: seen.append(self.get_params()) or 1 / 0  # noqa: E731
    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)
    wanted = {"early_exaggeration": 4.0, "exaggeration": 1.5, "learning_rate": 100.0}
    wanted |= {"density": 0.5}
    wanted |= {"early_exaggeration_iter": 90, "max_iter": 300, "random_state": 7, "n_jobs": 1}
    wanted |= {"metric": "cosine", "affinity": "uniform", "neighbors": "exact", "init": "random"}
    wanted |= {"method": "exact", "angle": 0.3, "n_components": 3, "degrees_of_freedom": "auto"}
    options = [(f"--{name.replace('_', '-')}", value) for name, value in wanted.items()]
    assert run("map", "x.npy", "-o", "map.csv", *chain(*options)) == 2
    assert {name: seen[0][name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--perplexity", "150"], "perplexity (150.0) must be less than n_samples (150)"),
        (["--perplexity", "-1"], "--perplexity must be a float in the range"),
        (["--metric", "euclid"], "no metric 'euclid' in fasttsne; did you mean 'euclidean'?"),
        (["--metric", "foo"], "it has euclidean, cosine, correlation, manhattan, chebyshev, ham"),
        (["--affinity", "precomputed", "--report", "a.txt"], "a map is judged by the data or"),
        (["--affinity", "cauchy"], "--affinity must be a str among"),
        (["--metric", "seuclidean"], "takes variances; euclidean with --standardize is the same"),
        (["--metric", "mahalanobis"], "takes a matrix, which an option cannot give"),
        (["--max-iter", "3"], "--max-iter must be an int in"),
        (["--random-state", "-1"], "--random-state must be"),
        (
            ["--n-components", "5"],
            "--n-components should be less than 4 with --method barnes_hut, which relies on a "
            "quad-tree or oct-tree; use --method exact for more",
        ),
        (
            ["--metric", "precomputed"],
            "init pca cannot be used with --metric precomputed. Use --init random, --init spectral",
        ),
        (["--block-rows", "10"], "--block-rows goes with --landmarks; give both"),
        (["--dask", "tcp://x:1"], "--dask goes with --landmarks; give both"),
        (["--landmark-selection", "density"], "--landmark-selection goes with --landmarks; give"),
    ],
)
def test_bad_parameters(flowers, capsys, args, message):
    assert message in error_of(capsys, "flowers.csv", "-o", "a.csv", "--quiet", *args)


# ---- output files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "name"),
    [("-o", "a.csv"), ("--plot", "a.png"), ("--html", "a.html"), ("--report", "a.txt")],
)
def test_only_force_replaces_existing_files(array, capsys, option, name):
    pytest.importorskip("matplotlib")
    Path(name).write_text("mine")
    output = [] if option == "-o" else ["-o", "new.csv"]
    said = error_of(capsys, "x.npy", *output, option, name)
    assert f"{name}: it exists; --force replaces it" in said
    assert Path(name).read_text() == "mine"
    assert mapped("x.npy", *output, option, name, "--force") == 0
    assert Path(name).read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("no/a.csv", [], "--output no/a.csv: there is no directory no; make it"),
        ("a.docx", [], "--output a.docx: the ending must be one of .csv"),
        ("a.h5ad", [], "needs anndata|is a copy of an .h5ad INPUT"),
        ("flowers.csv", ["--force"], "INPUT and --output both name flowers.csv"),
        ("a.csv", ["--report", "./a.csv"], "--output and --report both name a.csv"),
        ("a.csv", ["--resume", "flowers.csv"], "INPUT and --resume both name flowers.csv"),
        ("a.csv", ["--resume", "a.csv", "--force"], "--output and --resume both name a.csv"),
        ("a.csv", ["--plot", "b", "--resume", "b"], "--plot and --resume both name b; give each"),
        ("a.csv", ["--report", "a.pdf"], "the ending must be one of .txt, .json"),
        ("a.csv", ["--plot", "a.docx"], "--plot a.docx: the ending must be one"),
        ("a.csv", ["--plot", "a.png", "--n-components", "3"], "--plot draws in the plane"),
    ],
)
def test_outputs_that_cannot_be_written(flowers, capsys, untouched, output, more, message):
    pytest.importorskip("matplotlib")
    said = error_of(capsys, "flowers.csv", "-o", output, *more)
    assert any(part in said for part in message.split("|")), said


# ---- Ctrl-C after the fit -----------------------------------------------------------------------


@pytest.mark.parametrize("when", ["write_map", "report_of"])
def test_ctrl_c_after_the_fit_keeps_the_map(array, capsys, monkeypatch, when):
    function, calls = getattr(write, when), []

    def interrupted_once(*args, **options):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return function(*args, **options)

    monkeypatch.setattr(write, when, interrupted_once)
    assert mapped("x.npy", "-o", "map.npy", "--report", "a.txt") == 130
    said = capsys.readouterr().err
    assert ("writing the map before exiting" in said) == (when == "write_map")
    last = said.splitlines()[-1]
    assert last == "interrupted after the fit; complete and written: map.npy"
    assert sorted(os.listdir()) == ["map.npy", "x.npy"]
