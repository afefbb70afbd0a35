"""cli/large.py, large_inputs.py, large_parts.py: maps of more rows than fit in memory."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import commands
import numpy as np
import pytest
from commands import error_of
from numpy.testing import assert_array_equal
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler

import fasttsne
from fasttsne.cli import checkpoint, large, large_inputs
from fasttsne.cli.large_inputs import Source, open_source
from fasttsne.cli.large_parts import Unfinished
from fasttsne.cli.messages import Progress

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pd = pytest.importorskip("pandas")

N_ROWS, N_COLUMNS = 900, 6
SHAPING = ["--landmarks", 150, "--perplexity", 8, "--max-iter", 250, "--random-state", 3]
SETTINGS = [*SHAPING, "--block-rows", 100]
LABELLED = ["x.parquet", *SETTINGS, "--label", "class"]
LABEL = {"label": "class"}
INPUTS = [
    ("x.parquet", LABEL),
    ("parts", LABEL),
    ("x.npy", {}),
    ("by_columns.npy", {}),
    ("x.h5", LABEL),
    ("x.zarr", LABEL),
]


@pytest.fixture(scope="module")
def data():
    """Rows in single precision, their classes, and a name each; some have none."""
    X, classes = make_blobs(N_ROWS, N_COLUMNS, centers=5, random_state=0)
    names = [None if i % 7 == 0 else f"zeile ä{i}" for i in range(N_ROWS)]
    return X.astype(np.float32), classes, names


def table(data):
    X, classes, names = data
    columns = {f"x.{i}": np.ascontiguousarray(X[:, i]) for i in range(N_COLUMNS)}
    return pa.table({"class": classes, **columns, "name": names})


@pytest.fixture(scope="module")
def every_kind(data, tmp_path_factory):
    """The same rows in files of every kind."""
    X, classes, names = data
    folder, whole = tmp_path_factory.mktemp("inputs"), table(data)
    pq.write_table(whole, folder / "x.parquet", row_group_size=250)
    (folder / "parts/sub").mkdir(parents=True)
    for number, start in enumerate(range(0, N_ROWS, 75)):
        parent = "parts/sub" if number > 10 else "parts"
        pq.write_table(whole.slice(start, 75), folder / f"{parent}/part.{number}.parquet")
    (folder / "parts/_SUCCESS").touch()
    np.save(folder / "x.npy", X)
    np.save(folder / "by_columns.npy", np.asfortranarray(X))
    with h5py.File(folder / "x.h5", "w") as file:
        file["inner/X"] = X
        file["class"] = classes
        file.create_dataset("name", data=[n or "" for n in names], dtype=h5py.string_dtype())
    group = zarr.open_group(str(folder / "x.zarr"), mode="w")
    create = getattr(group, "create_array", None) or group.create_dataset
    for name, values in {"X": X, "class": classes}.items():
        chunks = (64, 4)[: values.ndim]
        create(name, shape=values.shape, dtype=values.dtype, chunks=chunks)[:] = values
    return folder


@pytest.fixture
def inputs(here, every_kind):
    """These files, to be used and changed."""
    shutil.copytree(every_kind, here, dirs_exist_ok=True)
    return here


@pytest.fixture(scope="module")
def whole(every_kind, tmp_path_factory):
    """The bytes of a map whose run was not interrupted."""
    target = tmp_path_factory.mktemp("whole") / "map.parquet"
    assert run(every_kind / "x.parquet", "-o", target, *SETTINGS, "--label", "class") == 0
    return target.read_bytes()


@pytest.fixture
def untouched(monkeypatch):
    """Make reading rows fail, to show that only the description of the data was read."""
    monkeypatch.setattr(Source, "read", lambda *args: 1 / 0)


@pytest.fixture
def untouched_fit(monkeypatch):
    """Make fits fail, to show that a fault was found before."""
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)


def run(*args):
    return commands.run("map", *args)


def interrupt(monkeypatch, owner, name, after=0):
    """Raise KeyboardInterrupt in a call of a function, after so many that return."""
    calls, function = [], getattr(owner, name)

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


def begun(monkeypatch, output="map.parquet"):
    """Interrupt a run after four blocks."""
    with monkeypatch.context() as patch:
        interrupt(patch, Unfinished, "save_part", 4)
        assert run(*LABELLED, "-o", output) == 130


@pytest.fixture
def reads(monkeypatch):
    """The first row of every read of the input, in order."""
    seen, read = [], Source.read
    monkeypatch.setattr(Source, "read", lambda *args: seen.append(args[1]) or read(*args))
    return seen


def same_map(whole, folder):
    """Return whether the parts in a folder are together the map of an uninterrupted run."""
    parts = [pq.ParquetFile(path).read() for path in sorted(Path(folder).glob("*.parquet"))]
    Path("whole.parquet").write_bytes(whole)
    return pa.concat_tables(parts).equals(pq.read_table("whole.parquet"))


# ---- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "settings"), INPUTS)
@pytest.mark.parametrize("block_rows", [None, 70, 300])
def test_blocks_are_the_rows_of_the_file(inputs, data, name, settings, block_rows):
    X, classes, _ = data
    source = open_source(Path(name), {**settings, "block_rows": block_rows})
    source = pickle.loads(pickle.dumps(source))
    assert source.shape == X.shape and source.dtype == np.float32
    if block_rows:
        assert max(source.lengths) <= block_rows
    blocks = [source.read(*source.block(number)) for number in range(len(source.lengths))]
    assert_array_equal(np.concatenate(blocks), X)
    for start, stop in [(240, 333), (255, 260), (10, 900)]:  # in any order
        assert_array_equal(source.read(start, stop), X[start:stop])
    assert_array_equal(source[10:90:3, 1:4], X[10:90:3, 1:4])
    assert list(source.beside(240, 333)) == list(settings.values())
    if settings:
        assert_array_equal(source.beside(240, 333)["class"], classes[240:333])


def test_chunks_are_read_whole(inputs, untouched, monkeypatch):
    monkeypatch.setattr("fasttsne.cli.large_inputs._BLOCK_ROWS", 200)
    assert open_source(Path("x.zarr"), {}).lengths[0] == 192  # of 64 rows
    monkeypatch.setattr("fasttsne.cli.large_inputs._BLOCK_ROWS", 10)
    assert open_source(Path("x.zarr"), {}).lengths[0] == 64
    assert open_source(Path("x.zarr"), {"block_rows": 30}).lengths[0] == 30


def test_files_are_read_from_front_to_back(inputs, reads):
    assert run("x.npy", "-o", "map.npy", *SHAPING, "--block-rows", 40) == 0
    assert reads == 2 * list(range(0, N_ROWS, 40))


def test_types_of_columns_in_parquet(here):
    columns = {
        "int": pa.array([1, None, 3], pa.int64()),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "bool": [True, False, True],
        "decimal": pa.array([Decimal(1), Decimal(2), Decimal(3)], pa.decimal128(5, 1)),
        "text": ["1", "2", "3"],
        "when": pa.array([1, 2, 3], pa.timestamp("s")),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), "x.parquet")
    source = open_source(Path("x.parquet"), {"drop": ["int"]})
    assert source.notes == ["left out, not numbers: text, when, kind"]
    assert source.dtype == np.float64
    assert_array_equal(source.read(0, 3), [[1, 1, 1], [2, 0, 2], [3, 1, 3]])
    narrow = open_source(Path("x.parquet"), {"features": ["bool", "half"]})
    assert narrow.dtype == np.float32
    assert_array_equal(narrow.read(1, 3), [[0, 2], [1, 3]])
    # The index of pandas is no feature.
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 8], name="id"))
    frame.to_parquet("x.parquet")
    assert open_source(Path("x.parquet"), {}).shape == (2, 1)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), N_COLUMNS)])
def test_lists_of_numbers_are_rows(here, data, kind):
    vectors = pa.array(list(data[0]), kind)
    pq.write_table(pa.table({"id": ["a"] * N_ROWS, "vector": vectors}), "x.parquet")
    source = open_source(Path("x.parquet"), {"block_rows": 100})
    assert source.notes == ["mapping the lists of column vector"]
    assert_array_equal(source.read(95, 205), data[0][95:205])


# ---- the map ------------------------------------------------------------------------------------


def expected_map(X, **options):
    from fasttsne.dask import TSNE

    shaping = {"landmarks": 150, "perplexity": 8, "max_iter": 250, "random_state": 3}
    model = TSNE(**{**shaping, **options})
    with dask.config.set(scheduler="synchronous"):
        return model.fit_transform(dask.array.from_array(X, chunks=(400, -1))).compute()


@pytest.mark.parametrize(("name", "settings"), INPUTS)
def test_the_map_is_that_of_the_library_for_any_blocks(inputs, data, name, settings):
    label = ["--label", "class"] if settings else []
    expected = expected_map(data[0])
    for block_rows in [100, 400]:
        wanted = [*SHAPING, "--block-rows", block_rows, *label, "--force"]
        assert run(name, "-o", "map.npy", *wanted) == 0
        assert_array_equal(np.load("map.npy"), expected)
    assert not Path("map.npy.checkpoint").exists()


def test_landmarks_by_density_of_standardized_columns(inputs, data):
    wanted = ["--landmark-selection", "density", "--standardize", "--block-rows", 100]
    assert run("x.npy", "-o", "map.npy", *SHAPING, *wanted) == 0
    X = StandardScaler().fit_transform(data[0])
    expected = expected_map(X, landmark_selection="density")
    # Means of blocks round otherwise than those of all rows, which iterations amplify.
    assert np.median(np.abs(np.load("map.npy") - expected)) < 0.05 * np.ptp(expected)
    other = expected_map(data[0], landmark_selection="density")
    assert np.median(np.abs(other - expected)) > 0.1 * np.ptp(expected)


def test_no_more_rows_than_landmarks_is_a_plain_fit(inputs, capsys):
    options = ["--perplexity", 8, "--max-iter", 250, "--random-state", 3]
    assert run("x.npy", "-o", "map.npy", "--landmarks", 5000, *options) == 0
    assert "all 900 rows are landmarks: there are no more" in capsys.readouterr().err
    assert run("x.npy", "-o", "plain.npy", *options) == 0
    assert Path("map.npy").read_bytes() == Path("plain.npy").read_bytes()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        *(("x.parquet", kind) for kind in ("parquet", "npy", "zarr", "h5", "csv", "tsv", "d/")),
        *(("x.h5", kind) for kind in ("parquet", "zarr", "h5", "csv", "d/")),
    ],
)
def test_every_kind_is_written_with_its_columns(inputs, data, source, kind):
    X, classes, names = data
    target = f"map.{kind}"
    # Parquet's label is a column of integers with nothing missing, and its names have gaps.
    assert run(source, "-o", target, *SETTINGS, "--label", "class", "--keep", "name") == 0
    expected = expected_map(X)
    if kind == "npy":
        assert_array_equal(np.load(target), expected)
        return
    if kind in ("zarr", "h5"):
        file = zarr.open(target, mode="r") if kind == "zarr" else h5py.File(target)
        assert_array_equal(file["embedding"][:], expected)
        assert file["class"].dtype.kind == "i"
        frame = pd.DataFrame({name: file[name][:] for name in ("class", "name")})
        frame["name"] = [n.decode() if isinstance(n, bytes) else n for n in frame["name"]]
    else:
        if kind == "parquet":
            assert pq.ParquetFile(target).num_row_groups == 9
        if kind == "d/":
            assert sorted(os.listdir(target)) == [f"part-{k:06d}.parquet" for k in range(9)]
        separator = "\t" if kind == "tsv" else ","
        is_text = kind in ("csv", "tsv")
        frame = pd.read_csv(target, sep=separator) if is_text else pd.read_parquet(target)
        assert frame.columns.tolist() == ["tsne0", "tsne1", "class", "name"]
        np.testing.assert_allclose(frame.iloc[:, :2], expected, rtol=1e-5, atol=1e-5)
    assert frame["class"].tolist() == classes.tolist()
    assert frame["name"].fillna("").tolist() == [n or "" for n in names]


def test_gaps_in_numbers_are_nan_in_arrays_and_empty_in_text(here, data):
    numbers = pa.array([None if i == 850 else i for i in range(N_ROWS)], pa.int32())
    flags = pa.array([None if i == 3 else i > 9 for i in range(N_ROWS)])
    ids = pa.array(123456780.5 + np.arange(N_ROWS))
    more = {"n": numbers, "flag": flags, "all": pa.array(range(N_ROWS)), "id": ids}
    whole = table(data)
    for name, values in more.items():
        whole = whole.append_column(name, values)
    pq.write_table(whole, "x.parquet")
    wanted = [*SETTINGS, "--keep", "n,flag,all,id", "--drop", "class"]
    assert run("x.parquet", "-o", "map.h5", *wanted) == 0
    with h5py.File("map.h5") as file:
        assert file["all"].dtype.kind == "i"
        assert np.flatnonzero(np.isnan(file["n"][:])).tolist() == [850]
        assert file["n"][849] == 849
        assert np.isnan(file["flag"][3]) and file["flag"][10] == 1
    assert run("x.parquet", "-o", "map.csv", *wanted) == 0
    lines = Path("map.csv").read_text().splitlines()  # all digits of what goes along
    assert lines[850].endswith(",849,True,849,123457629.5")
    assert lines[851].endswith(",,True,850,123457630.5")


def test_picture_page_of_some_rows_and_report(inputs, data, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    shown, html = [], fasttsne.plot.html
    monkeypatch.setattr(large, "_ON_PAGE", 200)
    monkeypatch.setattr(
        "fasttsne.plot.html", lambda *args, **kwargs: shown.append(args) or html(*args, **kwargs)
    )
    wanted = ["--keep", "name", "--plot", "a.png", "--html", "a.html", "--report", "a.json"]
    assert run(*LABELLED, "-o", "map.npy", *wanted) == 0
    assert Path("a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "page of 200 rows: a.html" in capsys.readouterr().err
    assert "zeile" in Path("a.html").read_text(encoding="utf-8")
    (Y, labels, _), all_places = shown[0], np.load("map.npy")
    rows = [int(np.flatnonzero((all_places == y).all(axis=1))[0]) for y in Y]
    assert rows == sorted(rows) and len(set(rows)) == 200 and max(rows) > 700
    assert_array_equal(labels, data[1][rows])
    report = json.loads(Path("a.json").read_text())
    theirs = fasttsne.quality.report(data[0], all_places, data[1])
    for name in ("trustworthiness", "neighbor_recall", "knn_accuracy"):
        assert report[name] == pytest.approx(getattr(theirs, name))


def test_a_terminal_has_a_bar_and_quiet_prints_nothing(inputs, capsys, monkeypatch):
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--quiet") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--force") == 0
    bars = [part for part in capsys.readouterr().err.split("\r") if "[" in part]
    assert any("drawing landmarks" in bar for bar in bars)
    assert any("100 of 900 rows, " in bar and " left" in bar for bar in bars)
    assert any("[########################] 900 of 900 rows" in bar for bar in bars)


# ---- columns beside the map ---------------------------------------------------------------------


@pytest.mark.parametrize("output", ["parquet", "npy", "d/", "h5", "zarr", "csv"])
def test_a_column_of_any_type_goes_into_parquet(here, capsys, monkeypatch, output):
    columns = {"x": np.random.default_rng(0).normal(size=300), "where": [{"lat": 1.0}] * 300}
    pq.write_table(pa.table(columns), "x.parquet")
    shaping = ["--landmarks", 100, "--max-iter", 250, "--perplexity", 5]
    wanted = ["x.parquet", "-o", f"map.{output}", "--keep", "where", *shaping]
    if output in ("h5", "zarr", "csv"):  # refused before a row is read
        monkeypatch.setattr(Source, "read", lambda *args: 1 / 0)
        said = error_of(capsys, *wanted)
        assert f"--output map.{output}: column 'where' holds struct<lat: double>" in said
        assert "choose a .parquet, or leave the column out" in said
        return
    assert run(*wanted) == 0
    if output != "npy":
        assert pq.read_table(f"map.{output}").column("where").to_pylist() == columns["where"]


def test_columns_are_named_and_doubtful_ones_noted(inputs, data, capsys):
    numbered = table(data).append_column("id", pa.array(np.arange(N_ROWS) * 1000))
    pq.write_table(numbered, "ids.parquet")
    wanted = ["ids.parquet", "-o", "map.npy", "--drop", "class", *SETTINGS]
    assert run(*wanted) == 0
    said = capsys.readouterr().err
    assert "mapping 900 rows of 7 columns in 9 blocks: x.0, x.1" in said
    assert "columns that only count upwards, as identifiers do: id;" in said
    assert "--standardize gives all columns the same weight" in said
    assert run(*wanted, "--force", "--features", "x.0,x.1") == 0
    assert "count upwards" not in capsys.readouterr().err


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.npy", "x.parquet", "parts", "x.zarr"])
@pytest.mark.parametrize("moment", ["save", "save_part"])
def test_a_file_that_changes_under_the_run(inputs, capsys, monkeypatch, name, moment):
    function = getattr(Unfinished, moment)
    changed = Path({"parts": "parts/more.parquet", "x.zarr": "x.zarr/added"}.get(name, name))

    def changing(self, *args):
        with open(changed, "ab") as file:
            file.write(b"more")
        return function(self, *args)

    monkeypatch.setattr(Unfinished, moment, changing)
    assert run(name, "-o", "map.npy", *SETTINGS) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{name} is another INPUT than that of the run in map.npy.checkpoint, or has ch" in said
    assert said.endswith(
        "changed since it began; start again with --force when nothing writes to it"
    )
    assert not Path("map.npy").exists()


@pytest.mark.parametrize("name", ["x.npy", "grows.h5"])
def test_a_file_that_becomes_shorter_is_no_crash(inputs, data, capsys, monkeypatch, name):
    with h5py.File("grows.h5", "w") as file:
        file.create_dataset("X", data=data[0], maxshape=(None, N_COLUMNS), chunks=(50, N_COLUMNS))

    def cut(self, *args):
        if name == "x.npy":
            return os.truncate(name, 128 + 450 * N_COLUMNS * 4)
        with h5py.File(name, "r+") as file:
            file["X"].resize(450, axis=0)

    monkeypatch.setattr(Unfinished, "save", cut)
    monkeypatch.setattr(Unfinished, "check_input", lambda *args: None)
    assert run(name, "-o", "map.npy", *SETTINGS) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{name} changed while it was read: rows 401 to 500 are no longer all there" in said


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [("x.npy", np.inf, "column 3"), ("x.parquet", np.nan, "column 'x.2'")],
)
def test_a_faulty_row_in_a_far_block_is_named(
    here, data, capsys, untouched_fit, name, value, column
):
    X = data[0].copy()
    X[[777, 790], 2] = value
    np.save("x.npy", X)
    pq.write_table(table((X, *data[1:])), "x.parquet", row_group_size=300)
    said = error_of(capsys, name, "-o", "map.npy", *SETTINGS)
    assert f"{name} holds {value} in rows 778 to 791, first in {column};" in said


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1, 2, None, 4] * 30, "x.parquet holds nan in rows 3 to 119, first in column 'v'"),
        (
            [[1.0, 2.0]] * 80 + [[1.0]] + [[1.0, 2.0]] * 80,
            "the list of column 'v' in row 81 does not have 2 numbers like the first",
        ),
    ],
)
def test_gaps_and_lists_of_unequal_lengths_are_named(here, capsys, column, message):
    pq.write_table(pa.table({"v": column}), "x.parquet")
    assert message in error_of(capsys, "x.parquet", "-o", "map.npy", "--landmarks", 50)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["x.parq"], "there is no file 'x.parq' in .; did you mean 'x.parquet'?"),
        (["no/x.npy"], "there is no directory no"),
        (["."], "directory without .parquet files, and no Zarr store|lies in INPUT"),
        (["x.csv"], "--landmarks reads files in blocks, not '.csv' but .parquet, .pq, .npy, "),
        (["x.docx"], "x.docx: --landmarks reads files in blocks, not '.docx' but .parquet, "),
        (["empty.npy"], "empty.npy is empty"),
        (["broken.npy"], "cannot read broken.npy: "),
        (["broken.zarr"], "cannot read broken.zarr: "),
        (["cut.npy"], "cannot read cut.npy: its ending does not fit its content, or it is not w"),
        (["cut.parquet"], "cannot read cut.parquet: "),
        (["flat.npy"], "flat.npy holds an array of shape (3,); rows and columns are needed"),
        (["text.npy"], "text.npy holds <U1 rather than numbers"),
        (["none.npy"], "none.npy holds no numbers: 0 rows, 3 columns"),
        (["none.parquet"], "none.parquet has column names and no rows"),
        (["words.parquet"], "words.parquet has no column of numbers"),
        (["odd"], "b.parquet has other columns than odd/a.parquet; odd must hold one table"),
        (["x.parquet", "--label", "clas"], "no column 'clas' in x.parquet; did you mean 'class'?"),
        (["x.parquet", "--features", "name"], "column 'name' holds string, not numbers"),
        (["lists.parquet"], "no column of numbers; choose one of a, b with --features"),
        (["lists.parquet", "--features", "a,b"], "'a' holds lists, so it must be the only feature"),
        (["lists.parquet", "--features", "b"], "column 'b' begins with an empty list"),
        (["x.parquet", "--array", "X"], "--array is for HDF5 and Zarr"),
        (["x.npy", "--label", "a"], "x.npy has no named columns, so none called 'a'"),
        (["x.npy", "--drop", "a"], "--features and --drop are for tables with named columns"),
        (["x.h5", "--array", "Y"], "there is no array 'Y' in x.h5"),
        (["x.h5", "--array", "class"], "x.h5, array 'class', holds an array of shape (900,)"),
        (["two.h5"], "two.h5 holds 2 tables (a, b); choose one with --array"),
        (
            ["x.h5", "--array", "inner/X", "--label", "inner/X"],
            "array 'inner/X' has shape (900, 6); one value for each",
        ),
        (["x.h5", "--label", "z"], "there is no array 'z' in x.h5"),
        (["complex.h5", "--label", "c"], "complex.h5: "),
        (["x.npy", "--landmarks", "1"], "--landmarks must be at least 2; got 1"),
        (["x.npy", "--block-rows", "0"], "--block-rows must be at least 1; got 0"),
        (["x.npy", "--perplexity", "151"], "perplexity (151.0) must be less than n_samples (150)"),
        (["taken.parquet", "--keep", "tsne1"], "so is the column 'tsne1' that is to go along"),
        (
            ["taken.parquet", "-o", "a.h5", "--keep", "embedding"],
            "so is the column 'embedding' that is to go along",
        ),
        (["x.npy", "--metric", "precomputed"], "--metric precomputed needs distances to all rows"),
        (["x.npy", "-o", "a.npz"], "--output a.npz: with --landmarks the ending must be one of"),
        (["x.npy", "-o", "a"], ", or a slash for a folder of .parquet files"),
        (["x.npy", "-o", "no/a/"], "--output no/a: there is no directory no"),
        (["x.npy", "-o", "x.docx/"], "--output x.docx/: it is a file; choose a folder"),
        (["x.npy", "-o", "x.npy"], "INPUT and --output both name x.npy"),
        (["x.npy", "-o", "x.h5"], "--output x.h5: it exists; --force replaces it"),
        (["x.npy", "-o", "x.zarr"], "--output x.zarr: it exists; --force replaces it"),
        (["x.npy", "-o", "broken.zarr", "--force"], "it is a directory and no Zarr store"),
        (["x.npy", "-o", ".", "--force"], ", which is no part of a map; choose another folder"),
        (["parts", "-o", "parts/a.npy"], "--output parts/a.npy lies in INPUT"),
        (["parts", "-o", "parts/"], "INPUT and --output both name parts"),
        (["x.npy", "--plot", "a.png", "--n-components", "3"], "--plot draws in the plane"),
        (["x.npy", "--resume"], "map.npy.checkpoint is no unfinished run with --landmarks"),
        (["x.npy", "-o", "a/", "--resume"], "a/.fasttsne is no unfinished run with --landmarks"),
        (["x.npy", "--dask", "tcp://127.0.0.1:9"], "no scheduler answers there; 'dask scheduler'"),
    ],
)
def test_bad_input_is_refused_before_a_row_is_read(
    inputs, capsys, monkeypatch, untouched, args, message
):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(large, "_PATIENCE", 0.5)
    for name in ("broken.npy", "x.csv", "x.docx"):
        Path(name).write_bytes(b"nonsense\n" * 20)
    Path("empty.npy").touch()
    os.mkdir("broken.zarr")
    for kind in ("npy", "parquet"):
        Path(f"cut.{kind}").write_bytes(Path(f"x.{kind}").read_bytes()[:-100])
    np.save("flat.npy", np.zeros(3))
    np.save("text.npy", np.array([["a"]]))
    np.save("none.npy", np.zeros((0, 3)))
    for name, columns in {"two": "ab", "complex": "Xc"}.items():
        with h5py.File(f"{name}.h5", "w") as file:
            file[columns[0]] = np.zeros((9, 2))
            file[columns[1]] = np.zeros((9, 2)) if columns == "ab" else np.zeros(9, complex)
    pq.write_table(pa.table({"a": pa.array([], pa.float32())}), "none.parquet")
    pq.write_table(pa.table({"a": ["b"]}), "words.parquet")
    taken = pa.table({"a": [1.0], "tsne1": [1], "embedding": [1]})
    pq.write_table(taken, "taken.parquet")
    pq.write_table(
        pa.table({"a": [[1.0]], "b": pa.array([[]], pa.list_(pa.int8()))}), "lists.parquet"
    )
    os.mkdir("odd")
    pq.write_table(pa.table({"a": [1.0]}), "odd/a.parquet")
    pq.write_table(pa.table({"b": [1.0]}), "odd/b.parquet")
    output = [] if "-o" in args else ["-o", "map.npy"]
    landmarks = [] if "--landmarks" in args else ["--landmarks", 150]
    said = error_of(capsys, *landmarks, *args[1:], *output, "--quiet", "--", args[0])
    assert any(part in said for part in message.split("|"))


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("dask", "x.npy", "dask"),
        ("pyarrow", "x.parquet", "dask"),
        ("h5py", "x.h5", "hdf5"),
        ("zarr", "x.zarr", "zarr"),
    ],
)
def test_a_missing_extra_is_named(inputs, capsys, monkeypatch, module, name, extra):
    monkeypatch.setitem(sys.modules, module, None)
    said = error_of(capsys, name, "-o", "map.npy", "--landmarks", 100)
    assert f"pip install 'fasttsne[{extra}]'" in said


def test_force_replaces_a_store_a_file_and_parts(inputs, capsys):
    Path("map.npy").write_text("old")
    shutil.copytree("x.zarr", "map.zarr")
    os.mkdir("map.zarr/stale")
    assert run("x.npy", "-o", "map/", *SHAPING, "--block-rows", 20) == 0
    assert len(os.listdir("map")) == 45
    said = error_of(capsys, "x.npy", "-o", "map", *SETTINGS)  # without the slash, as it exists
    assert said == "--output map/: it holds a map; --force replaces it"
    for target in ("map.npy", "map.zarr", "map/"):
        assert run("x.npy", "-o", target, *SETTINGS, "--force", "--quiet") == 0
    Y = np.load("map.npy")
    assert_array_equal(zarr.open("map.zarr", mode="r")["embedding"][:], Y)
    assert "X" not in zarr.open("map.zarr", mode="r")
    assert_array_equal(pd.read_parquet("map").to_numpy(), Y)
    assert [name for name in os.listdir() if name.startswith(".")] == []


def test_force_that_is_refused_keeps_the_map_and_folders_of_the_user(inputs, capsys):
    assert run("x.npy", "-o", "map/", *SETTINGS) == 0
    before = pd.read_parquet("map")
    for wrong in (["--perplexity", 100], ["--metric", "mahalanobis"]):
        shaping = [*SETTINGS, *wrong, "--landmarks", 60, "--force"]
        assert run("x.npy", "-o", "map/", *shaping) == 2
        pd.testing.assert_frame_equal(pd.read_parquet("map"), before)
    os.mkdir("mine")
    assert run("x.npy", "-o", "y.npy", *SETTINGS, "--checkpoint", "mine") == 0
    assert os.listdir("mine") == []


@pytest.mark.parametrize("kind", ["h5", "zarr"])
@pytest.mark.parametrize(
    ("shape", "chunks", "message"),
    [
        ((2 * 10**12, 2), (1000, 2), "2,000,000,000,000 rows, 16,000 GB, but 0.000 GB are stored"),
        ((100, 10**11), (1, 10**6), "100 rows, 40,000 GB, but 0.000 GB are stored; write all rows"),
        ((10**6, 500), (10**6, 500), "1,000,000 rows, and each block of 16,777 would read 2.0 GB"),
        ((10**7, 100), (10**7, 1), "or give --block-rows 10000000"),
    ],
)
def test_sizes_are_looked_at_before_rows_are_read(
    here, capsys, untouched, monkeypatch, kind, shape, chunks, message
):
    if kind == "h5":
        with h5py.File("big.h5", "w") as file:
            file.create_dataset("X", shape, "f4", chunks=chunks)
    else:
        group = zarr.open_group("big.zarr", mode="w")
        create = getattr(group, "create_array", None) or group.create_dataset
        create("X", shape=shape, dtype="f4", chunks=chunks)
    monkeypatch.setattr(Source, "read", None)
    assert message in error_of(capsys, f"big.{kind}", "-o", "map.npy", "--landmarks", 20)


def test_the_number_of_blocks_is_limited(inputs, capsys, untouched, monkeypatch):
    monkeypatch.setattr(large_inputs, "_MOST_BLOCKS", 10)
    said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--block-rows", 89)
    assert "x.npy has 900 rows, more than 10 blocks of 89; map parts" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("name", ["x.zarr", "parts"])
def test_a_fifo_in_a_folder(inputs, capsys, untouched, name):
    os.mkfifo(f"{name}/part-9.parquet")
    said = error_of(capsys, name, "-o", "map.npy", *SETTINGS)
    assert said.startswith(f"{name}/part-9.parquet: it is no regular file")


# ---- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["map.parquet", "map/"])
@pytest.mark.parametrize(
    ("owner", "name", "after", "kept"),
    [
        (Source, "read", 3, None),
        (Unfinished, "save", 0, None),  # the landmarks
        (fasttsne.TSNE, "fit", 0, ["landmarks"]),
        (Unfinished, "save", 1, ["landmarks"]),  # the model
        (Unfinished, "save_part", 0, ["model"]),
        (Unfinished, "save_part", 4, ["part-000003.parquet", "model"]),
        (Unfinished, "part", 5, ["part-000008.parquet", "model"]),
    ],
)
def test_resumed_is_uninterrupted(
    whole, inputs, capsys, monkeypatch, output, owner, name, after, kept
):
    wanted = [*LABELLED, "-o", output, "--plot", "a.png"]
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, after)
        assert run(*wanted) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    if kept is None:
        assert said == "interrupted before the landmarks were drawn; nothing was written"
        assert [name for name in os.listdir() if "map" in name] == []
        assert run(*wanted) == 0
    else:
        assert said == "interrupted; the same command with --resume continues from here"
        state = "map.parquet.checkpoint" if output == "map.parquet" else "map/.fasttsne"
        there = [*os.listdir(state), *os.listdir("map" if output == "map/" else ".")]
        assert all(any(name.startswith(start) for name in there) for start in kept)
        assert "map.parquet" not in there
        # The run that continues knows all that shapes the map.
        assert run("x.parquet", "-o", output, "--resume") == 0
    if output == "map/":
        assert same_map(whole, "map")
        assert len(os.listdir("map")) == 9
    else:
        assert Path("map.parquet").read_bytes() == whole
    assert not Path("map.parquet.checkpoint").exists()


def test_a_descent_continues_where_it_was(whole, inputs, monkeypatch):
    seen = []

    def show(self, state):
        seen.append(state.iteration)
        if seen[-1] == 120:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", show)
    assert run(*LABELLED, "-o", "map.parquet") == 130
    assert run(*LABELLED, "-o", "map.parquet", "--resume", "map.parquet.checkpoint") == 0
    assert seen.count(10) == 1 and seen[-1] == 250
    assert Path("map.parquet").read_bytes() == whole


@pytest.mark.nosan
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("output", "number"),
    [("map.parquet", signal.SIGKILL), ("map/", signal.SIGKILL), ("map/", signal.SIGINT)],
)
def test_a_process_that_a_signal_ends_among_its_blocks(whole, inputs, output, number):
    wanted = [*LABELLED, "-o", output, "--quiet"]
    # A block takes so long that the signal comes between two of them.
    slow = (
        "import sys, time; from fasttsne.cli.large_parts import Unfinished as U\n"
        "keep = U.save_part\n"
        "U.save_part = lambda *a: (keep(*a), time.sleep(0.5 if a[1] > 1 else 0))\n"
        "from fasttsne import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    parts = Path("map" if output == "map/" else "map.parquet.checkpoint")
    command = [sys.executable, "-c", slow, "map", *map(str, wanted)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if (parts / "part-000002.parquet").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said
    assert not Path("map.parquet").exists()
    assert 3 <= len(list(parts.glob("part-*"))) < 9
    assert run("x.parquet", "-o", output, "--resume", "--quiet") == 0
    if output == "map/":
        assert same_map(whole, "map")
    else:
        assert Path("map.parquet").read_bytes() == whole


def test_what_is_done_is_not_done_again(inputs, capsys, monkeypatch, reads):
    begun(monkeypatch)
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)
    reads.clear()
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert "placing 500 rows" in capsys.readouterr().err
    assert reads == [400, 500, 600, 700, 800]


def test_a_resumed_run_knows_the_label(inputs, monkeypatch):
    pytest.importorskip("plotly")
    begun(monkeypatch)
    assert run("x.parquet", "-o", "map.parquet", "--resume", "--html", "a.html") == 0
    assert "coloured by class" in Path("a.html").read_text(encoding="utf-8")


def test_parts_that_are_cut_off_or_of_another_map_are_written_again(whole, inputs, monkeypatch):
    other = [*SETTINGS[:-4], "--random-state", 4, *SETTINGS[-2:]]
    assert run("x.parquet", "-o", "other/", *other, "--label", "class") == 0
    begun(monkeypatch)
    folder = Path("map.parquet.checkpoint")
    part = folder / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:200])
    (folder / "part-000002.parquet").write_bytes(b"")
    shutil.copy("other/part-000003.parquet", folder)
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert Path("map.parquet").read_bytes() == whole


def test_what_is_not_the_run_that_was_begun_is_refused(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    again = ["x.parquet", "-o", "map.parquet"]
    assert "was stopped; --resume continues it" in error_of(capsys, *again, *SETTINGS)
    for option, value, before in [
        ("--perplexity", 9, "with 8.0"),
        ("--landmarks", 151, "with 150"),
        ("--standardize", None, "without it"),
        ("--keep", "name", "without it"),
    ]:
        given = [option] if value is None else [option, value]
        said = error_of(capsys, *again, "--resume", *given)
        assert said.startswith(f"{option} ") and f"was started {before}; leave it out" in said
    same = ["--perplexity", "8", "--label", "class", "--n-jobs", "1"]
    manifest = Path("map.parquet.checkpoint/manifest.json")
    text = manifest.read_text()
    manifest.write_text(text.replace(f'"fasttsne": "{fasttsne.__version__}"', '"fasttsne": "0.0"'))
    assert "is of fasttsne 0.0, and this is" in error_of(capsys, *again, "--resume", *same)
    for key, value in [("evil", 1), ("landmarks", "150"), ("keep", 5), ("block_rows", -1)]:
        content = json.loads(text)
        content["settings"][key] = value
        manifest.write_text(json.dumps(content))
        said = error_of(capsys, *again, "--resume")
        assert said == "map.parquet.checkpoint is damaged; start again with --force"
    manifest.write_text(text[:-20])
    assert "manifest.json is damaged; start" in error_of(capsys, *again, "--resume", *same)
    for key in ("settings", "input"):
        manifest.write_text(json.dumps({**json.loads(text), key: 3}))
        said = error_of(capsys, *again, "--resume")
        assert said == f"{manifest} is damaged; start again with --force"
    manifest.write_text(text)
    for name, damage in [
        ("embedding", lambda array: array * np.float32(np.nan)),
        ("rows", lambda array: array[::-1]),
        ("X", lambda array: array[:-1]),
    ]:
        model = next(manifest.parent.glob("model-*" if name == "embedding" else "landmarks-*"))
        facts, arrays = checkpoint.read_arrays(model)
        with open(model, "wb") as file:
            checkpoint.write_arrays(file, facts, {**arrays, name: damage(arrays[name])})
        assert "cannot read" in error_of(capsys, *again, "--resume")
    model.write_bytes(pickle.dumps((1, 2, 3)))
    assert ".npz; start again with --force" in error_of(capsys, *again, "--resume")
    os.utime("x.parquet", ns=(0, os.stat("x.parquet").st_mtime_ns + 1))
    said = error_of(capsys, *again, "--resume")
    assert "x.parquet is another INPUT than that of the run in map.parquet.checkpoint, or" in said
    assert run(*again, *SETTINGS, "--force", "--quiet") == 0


def test_only_what_a_run_has_written_is_removed(inputs, monkeypatch):
    begun(monkeypatch)
    folder = Path("map.parquet.checkpoint")
    for name in ("mine.txt", "part-2.parquet", "model-2.pickle", "manifest.json.bak"):
        (folder / name).write_text("dear")
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force") == 0
    assert len(os.listdir(folder)) == 4
    shutil.rmtree(folder)
    # A run killed before it had a manifest leaves this file alone.
    folder.mkdir()
    (folder / ".manifest-abc_1234.json").touch()
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force", "--quiet") == 0
    assert not folder.exists()


@pytest.mark.parametrize("output", ["map.parquet", "map/"])
@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_force_starts_again_where_the_manifest_is_damaged(
    inputs, capsys, monkeypatch, output, text
):
    with monkeypatch.context() as patch:
        interrupt(patch, Unfinished, "save_part", 2)
        assert run(*LABELLED, "-o", output) == 130
    next(Path().glob("map*/**/manifest.json")).write_text(text)
    wanted = [*LABELLED, "-o", output]
    assert "--force starts again" in error_of(capsys, *wanted)
    assert run(*wanted, "--force") == 0


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("folder/part-party.txt", "dear"),
        ("folder/model.pickle", "dear"),
        ("folder/manifest.json", '{"format": "another"}'),
        ("folder/manifest.json", "[1]"),
        ("folder", "dear"),
        ("folder", "fasttsne checkpoint 1"),
    ],
)
def test_what_is_none_of_a_run_is_left_alone(inputs, capsys, untouched, name, text, force):
    if "/" in name:
        os.mkdir("folder")
    Path(name).write_text(text)
    wanted = ["x.npy", *SETTINGS, *force]
    said = error_of(capsys, *wanted, "-o", "map.npy", "--checkpoint", "folder")
    if text.startswith("fasttsne"):
        assert "folder is left from an earlier run without --landmarks" in said
    else:
        assert said == "--checkpoint folder: it exists, and is no checkpoint; choose another name"
    said = error_of(capsys, *wanted, "-o", "folder/")
    assert ("holds " if "/" in name else "it is a file; choose a folder") in said
    assert Path(name).read_text() == text


@pytest.mark.parametrize("more", [["--resume"], ["--force", "--random-state", 4]])
def test_two_runs_in_one_folder_do_not_mix(whole, inputs, capsys, monkeypatch, more):
    """The same run twice writes the same parts; other parts are noticed before they are joined."""
    save, wanted = Unfinished.save_part, [*LABELLED, "-o", "map.parquet"]

    def meanwhile(self, number, part):
        save(self, number, part)
        if number == 2:
            monkeypatch.setattr(Unfinished, "save_part", save)
            with monkeypatch.context() as patch:
                interrupt(patch, large._Run, "write")
                assert run(*wanted, *more) == 130

    monkeypatch.setattr(Unfinished, "save_part", meanwhile)
    status = run(*wanted)
    if "--force" in more:
        assert status == 2 and "another run has changed map" in capsys.readouterr().err
        assert not os.path.exists("map.parquet")
    else:
        assert status == 0 and Path("map.parquet").read_bytes() == whole


def test_a_map_that_another_run_has_written_meanwhile_stays(inputs, capsys, monkeypatch):
    fit = large._Run.fit

    def late(self):
        Path("map.npy").write_text("dear")
        return fit(self)

    monkeypatch.setattr(large._Run, "fit", late)
    assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    assert "--output map.npy: it exists; --force replaces it" in capsys.readouterr().err
    assert Path("map.npy").read_text() == "dear"
    assert run("x.npy", "-o", "map.npy", "--resume", "--force") == 0


def test_a_failure_leaves_what_is_done(inputs, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "map.npy")

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "save_part", full)
        assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    *_, note, line = capsys.readouterr().err.splitlines()
    assert note == "finished work is kept in map.npy.checkpoint; --resume continues it"
    assert "map.npy: No space left on device" in line
    assert run("x.npy", "-o", "map.npy", "--resume") == 0


def test_files_are_on_disk_before_they_get_their_names(inputs, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: events.append("sync") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda a, b: events.append(Path(b).name) or replace(a, b))
    assert run("x.npy", "-o", "map/", *SETTINGS, "--quiet") == 0
    parts = [name for k in range(9) for name in ("sync", f"part-{k:06d}.parquet")]
    names = ["sync", "manifest", "sync", "landmarks", "sync", "model"]
    assert [event.partition("-")[0].removesuffix(".json") for event in events[:6]] == names
    assert events[6:] == parts


# ---- a cluster ----------------------------------------------------------------------------------


@pytest.mark.nosan
def test_workers_of_a_cluster_place_the_same(whole, inputs, capsys):
    wanted = [*LABELLED, "-o", "map.parquet"]
    options = {"threads_per_worker": 1, "memory_limit": "1GiB", "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        address = cluster.scheduler_address
        assert run(*wanted, "--dask", address, "--report", "a.txt") == 0
        assert Path("map.parquet").read_bytes() == whole
        assert "trustworthiness" in Path("a.txt").read_text()
        for _ in range(100):
            if not cluster.scheduler.tasks:
                break
            time.sleep(0.05)
        assert not cluster.scheduler.tasks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fasttsne.cli.large.__version__", "0.0")
            said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "must have fasttsne 0.0 and see " in said and "; it answers (" in said
        cluster.scale(0)
        while cluster.scheduler.workers:
            time.sleep(0.05)
        said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "it has no workers; 'dask worker" in said


@pytest.mark.nosan
def test_a_worker_of_too_little_memory_is_refused_before_work(inputs, capsys, untouched):
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(memory_limit="100MiB", **options) as cluster:
        address = cluster.scheduler_address
        said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--dask", address)
    assert "has a memory limit of 100 MiB, but needs about" in said
    assert "shorter blocks (--block-rows)" in said


# ---- memory -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.nosan
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_memory_does_not_grow_with_the_file(here, kind):
    peak = (
        "import sys; from fasttsne import cli; status = cli.main(sys.argv[1:])\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))\n"
        "sys.exit(status)"
    )
    peaks = []
    for n_rows in (100_000, 400_000):  # 40 and 160 MB
        X = np.random.default_rng(0).normal(size=(n_rows, 100)).astype(np.float32)
        if kind == "npy":
            np.save("x.npy", X)
        else:
            columns = {f"x{i}": np.ascontiguousarray(X[:, i]) for i in range(100)}
            # One row group; a page of each column is in memory at a time, however long.
            pages = {"data_page_size": 1 << 16, "use_dictionary": False}
            pq.write_table(pa.table(columns), "x.parquet", row_group_size=n_rows, **pages)
            del columns
        del X
        options = ["--landmarks", "1000", "--max-iter", "250", "--block-rows", "20000"]
        wanted = ["map", f"x.{kind}", "-o", "map.npy", *options, "--force", "--quiet"]
        out = subprocess.run([sys.executable, "-c", peak, *wanted], stdout=-1, check=True)
        peaks.append(int(out.stdout) / 1e3)  # MB
    assert peaks[1] - peaks[0] < 30
