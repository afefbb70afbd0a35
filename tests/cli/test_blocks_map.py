"""cli/blocks/: the map of a file that is read, placed and written block by block."""

import json
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from blocks import (
    INPUTS,
    N_COLUMNS,
    N_ROWS,
    SETTINGS,
    SHAPING,
    data,
    error_of,
    every_kind,
    inputs,
    left_alone,
    run,
    table,
    untouched,
    whole,
)
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

import fasttsne
from fasttsne.cli.blocks.opening import open_source

dask = pytest.importorskip("dask")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pd = pytest.importorskip("pandas")

# ---- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), INPUTS)
@pytest.mark.parametrize("block_rows", [None, 70, 300])
def test_blocks_are_the_rows_of_the_file(inputs, data, name, options, block_rows):
    X, classes, _ = data
    source = pickle.loads(pickle.dumps(open_source(Path(name), block_rows=block_rows, **options)))
    assert source.shape == X.shape and source.dtype == np.float32
    if block_rows:
        assert np.diff(source.bounds).max() <= block_rows
    blocks = [source.read(*source.block(number)) for number in range(source.n_blocks)]
    assert_array_equal(np.concatenate(blocks), X)
    for start, stop in [(240, 333), (255, 260), (10, 900)]:  # in any order
        assert_array_equal(source.read(start, stop), X[start:stop])
    assert_array_equal(source[10:90:3, 1:4], X[10:90:3, 1:4])
    if options:
        assert_array_equal(source.columns(["class"], 240, 333)["class"], classes[240:333])


@pytest.mark.parametrize("name", ["x.parquet", "x.npy", "x.h5", "x.zarr"])
def test_no_row_is_read_to_open_a_file(inputs, untouched, name):
    assert open_source(Path(name)).shape[0] == N_ROWS


def test_parts_that_a_file_is_stored_in_stay_whole(inputs):
    zarr_bounds = open_source(Path("x.zarr"), extra=["class"]).bounds
    assert zarr_bounds.tolist() == [0, N_ROWS]
    groups = open_source(Path("x.parquet"), block_rows=600).bounds
    assert groups.tolist() == [0, 500, 900]  # row groups of 250
    pieces = open_source(Path("x.parquet"), block_rows=130).bounds
    assert pieces.tolist() == [0, 125, 250, 375, 500, 625, 750, 825, 900]


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
    source = open_source(Path("x.parquet"), drop=["int"])
    assert source.notes == ["left out, being no numbers: text, when, kind"]
    assert source.dtype == np.float64
    assert_array_equal(source.read(0, 3), [[1, 1, 1], [2, 0, 2], [3, 1, 3]])
    narrow = open_source(Path("x.parquet"), features=["bool", "half"])
    assert narrow.dtype == np.float32
    assert_array_equal(narrow.read(1, 3), [[0, 2], [1, 3]])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), N_COLUMNS)])
def test_lists_of_numbers_are_rows(here, data, kind):
    vectors = pa.array(list(data[0]), kind)
    pq.write_table(pa.table({"id": ["a"] * N_ROWS, "vector": vectors}), "x.parquet")
    source = open_source(Path("x.parquet"), block_rows=100)
    assert source.notes == ["mapping the lists of column vector"]
    assert_array_equal(source.read(95, 205), data[0][95:205])


def test_the_index_of_pandas_is_no_feature(here):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 8], name="id"))
    frame.to_parquet("x.parquet")
    assert open_source(Path("x.parquet")).shape == (2, 1)


# ---- the map ------------------------------------------------------------------------------------


def expected_map(X, **options):
    from fasttsne.dask import TSNE

    shaping = {"landmarks": 150, "perplexity": 8, "max_iter": 250, "random_state": 3}
    model = TSNE(**{**shaping, **options})
    with dask.config.set(scheduler="synchronous"):
        return model.fit_transform(dask.array.from_array(X, chunks=(400, -1))).compute()


@pytest.mark.parametrize(("name", "options"), INPUTS)
def test_the_map_is_that_of_the_library_however_it_is_cut(inputs, data, name, options):
    label = ["--label", "class"] if options else []
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


def test_landmarks_stay_where_the_fit_put_them(inputs, monkeypatch):
    def elsewhere(self, X, **options):
        return np.full((len(X), 2), 1e9, np.float32)

    monkeypatch.setattr(fasttsne.TSNE, "transform", elsewhere)
    assert run("x.npy", "-o", "map.npy", *SETTINGS) == 0
    assert np.sum(np.load("map.npy")[:, 0] != np.float32(1e9)) == 150


def test_no_more_rows_than_landmarks_is_a_plain_fit(inputs, data, capsys):
    options = ["--perplexity", 8, "--max-iter", 250, "--random-state", 3]
    assert run("x.npy", "-o", "map.npy", "--landmarks", 5000, *options) == 0
    assert "all 900 rows are landmarks: there are no more" in capsys.readouterr().err
    assert run("x.npy", "-o", "plain.npy", *options) == 0
    assert Path("map.npy").read_bytes() == Path("plain.npy").read_bytes()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        *(("x.parquet", kind) for kind in ("parquet", "npy", "zarr", "h5", "csv", "tsv")),
        *(("x.h5", kind) for kind in ("parquet", "zarr", "h5", "csv")),
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
        assert_array_equal(file["class"][:], classes)
        assert file["class"].dtype.kind == "i"
        found = [n.decode() if isinstance(n, bytes) else n for n in file["name"][:].tolist()]
        assert found == [n or "" for n in names]
        if kind == "h5":
            file.close()
        return
    if kind == "parquet":
        assert pq.ParquetFile(target).num_row_groups == open_blocks(source)
        frame = pd.read_parquet(target)
    else:
        frame = pd.read_csv(target, sep="\t" if kind == "tsv" else ",")
    assert frame.columns.tolist() == ["tsne_1", "tsne_2", "class", "name"]
    np.testing.assert_allclose(frame.iloc[:, :2], expected, rtol=1e-5, atol=1e-5)
    assert frame["class"].tolist() == classes.tolist()
    assert frame["name"].fillna("").tolist() == [n or "" for n in names]


def open_blocks(source):
    return open_source(Path(source), extra=["class", "name"], block_rows=100).n_blocks


def test_gaps_in_numbers_are_nan_where_they_must_be_something(here, data):
    numbers = pa.array([None if i == 850 else i for i in range(N_ROWS)], pa.int32())
    whole = table(data).append_column("n", numbers).append_column("all", pa.array(range(N_ROWS)))
    pq.write_table(whole, "x.parquet")
    wanted = [*SETTINGS, "--keep", "n,all"]
    assert run("x.parquet", "-o", "map.h5", *wanted, "--drop", "class") == 0
    with h5py.File("map.h5") as file:
        assert file["all"].dtype.kind == "i"
        assert np.flatnonzero(np.isnan(file["n"][:])).tolist() == [850]
        assert file["n"][849] == 849


def test_picture_page_and_report(inputs, data):
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    wanted = ["--label", "class", "--keep", "name", "--plot", "a.png", "--html", "a.html"]
    assert run("x.parquet", "-o", "map.npy", *SETTINGS, *wanted, "--report", "a.json") == 0
    assert Path("a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "zeile" in Path("a.html").read_text(encoding="utf-8")
    report = json.loads(Path("a.json").read_text())
    theirs = fasttsne.quality.report(data[0], np.load("map.npy"), data[1])
    for name in ("trustworthiness", "neighbor_recall", "knn_accuracy"):
        assert report[name] == pytest.approx(getattr(theirs, name))


def test_a_page_of_many_rows_shows_some_of_them(inputs, data, capsys, monkeypatch):
    pytest.importorskip("plotly")
    from fasttsne.cli.blocks import results

    shown = []
    monkeypatch.setattr(results, "_ON_PAGE", 200)
    monkeypatch.setattr(
        "fasttsne.plot.html", lambda Y, labels, path, **_: shown.append((Y, labels))
    )
    wanted = ["--label", "class", "--html", "a.html"]
    assert run("x.parquet", "-o", "map.npy", *SETTINGS, *wanted) == 0
    assert "page of 200 rows: a.html" in capsys.readouterr().err
    (Y, labels), whole = shown[0], np.load("map.npy")
    rows = [int(np.flatnonzero((whole == y).all(axis=1))[0]) for y in Y]
    assert rows == sorted(rows) and len(set(rows)) == 200 and max(rows) > 700
    assert_array_equal(labels, data[1][rows])


def test_a_terminal_has_a_bar_and_quiet_says_nothing(inputs, capsys, monkeypatch):
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--quiet") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--force") == 0
    bars = [part for part in capsys.readouterr().err.split("\r") if part.startswith("[")]
    assert any("drawing landmarks" in bar for bar in bars)
    assert any("100 of 900 rows, " in bar and " left" in bar for bar in bars)
    assert any("[########################] 900 of 900 rows" in bar for bar in bars)


# ---- columns that go along ----------------------------------------------------------------------


@pytest.mark.parametrize("output", ["map.parquet", "map.npy"])
def test_a_column_of_any_type_goes_into_parquet(here, output):
    where = [{"lat": float(i)} for i in range(300)]
    X = np.random.default_rng(0).normal(size=300)
    pq.write_table(pa.table({"x": X, "where": where}), "x.parquet")
    shaping = ["--landmarks", 100, "--max-iter", 250, "--perplexity", 5]
    assert run("x.parquet", "-o", output, "--keep", "where", *shaping) == 0
    if output == "map.parquet":
        assert pq.read_table(output).column("where").to_pylist() == where


def test_columns_are_named_and_doubtful_ones_told(inputs, data, capsys):
    numbered = table(data).append_column("id", pa.array(np.arange(N_ROWS) * 1000))
    pq.write_table(numbered, "ids.parquet")
    wanted = ["ids.parquet", "-o", "map.npy", "--drop", "class", *SETTINGS]
    assert run(*wanted) == 0
    said = capsys.readouterr().err
    assert "mapping 900 rows of 7 columns in 9 blocks: x.0, x.1" in said
    assert "column 'id' only counts upwards, as identifiers do; --drop 'id' leaves it out" in said
    assert "--standardize gives all columns the same weight" in said
    assert run(*wanted, "--force", "--features", "x.0,x.1") == 0
    assert "counts upwards" not in capsys.readouterr().err


def test_kept_numbers_keep_their_digits(inputs, data):
    whole = table(data).append_column("id", pa.array(123456780.5 + np.arange(N_ROWS)))
    pq.write_table(whole, "ids.parquet")
    assert run("ids.parquet", "-o", "map.csv", "--keep", "id", *SETTINGS) == 0
    assert_array_equal(pd.read_csv("map.csv")["id"], whole["id"].to_numpy())


@pytest.mark.parametrize(("name", "output"), [("tsne_2", "map.csv"), ("embedding", "map.h5")])
def test_no_column_takes_the_place_of_the_map(inputs, capsys, untouched, data, name, output):
    pq.write_table(table(data).rename_columns([name, *table(data).column_names[1:]]), "n.parquet")
    said = error_of(capsys, "n.parquet", "-o", output, "--label", name, *SETTINGS)
    assert f"so is the column '{name}' that is to go along" in said


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
