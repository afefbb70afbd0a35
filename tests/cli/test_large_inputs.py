"""cli/large_inputs.py: tables and arrays on disk, read in ranges of rows."""

import os
import pickle
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from commands import error_of
from large_files import (
    INPUTS,
    N_COLUMNS,
    N_ROWS,
    SETTINGS,
    SHAPING,
    h5py,
    pa,
    pd,
    pq,
    run,
    table,
    zarr,
)
from numpy.testing import assert_array_equal

from fasttsne.cli import large, large_inputs
from fasttsne.cli.large_inputs import Source, open_source
from fasttsne.cli.large_parts import Unfinished

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


def test_chunks_are_read_whole(inputs, unread, monkeypatch):
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
        (
            ["x.npy", "--landmarks", "1"],
            "--landmarks must be an int in the range",
        ),
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
    inputs, capsys, monkeypatch, unread, args, message
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
    ("module", "name"),
    [("dask", "x.npy"), ("pyarrow", "x.parquet"), ("h5py", "x.h5"), ("zarr", "x.zarr")],
)
def test_a_missing_extra_is_named(inputs, capsys, monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    said = error_of(capsys, name, "-o", "map.npy", "--landmarks", 100)
    assert "pip install 'fasttsne[dask]'" in said


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
    here, capsys, unread, monkeypatch, kind, shape, chunks, message
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


def test_the_number_of_blocks_is_limited(inputs, capsys, unread, monkeypatch):
    monkeypatch.setattr(large_inputs, "_MOST_BLOCKS", 10)
    said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--block-rows", 89)
    assert "x.npy has 900 rows, more than 10 blocks of 89; map parts" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("name", ["x.zarr", "parts"])
def test_a_fifo_in_a_folder(inputs, capsys, unread, name):
    os.mkfifo(f"{name}/part-9.parquet")
    said = error_of(capsys, name, "-o", "map.npy", *SETTINGS)
    assert said.startswith(f"{name}/part-9.parquet: it is no regular file")
