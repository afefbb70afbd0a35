"""cli/blocks/: what is refused, and when."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from blocks import (
    N_COLUMNS,
    SETTINGS,
    SHAPING,
    data,
    error_of,
    every_kind,
    inputs,
    run,
    table,
    untouched,
)
from numpy.testing import assert_array_equal

import fasttsne
from fasttsne.cli.blocks.unfinished import Unfinished

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")


@pytest.mark.parametrize("name", ["x.npy", "x.parquet", "parts", "x.zarr"])
@pytest.mark.parametrize("moment", ["save_landmarks", "save_block", "block"])
def test_a_file_that_changes_under_the_run(inputs, capsys, monkeypatch, name, moment):
    function = getattr(Unfinished, moment)

    def changing(self, *args):
        if name == "parts":
            shutil.copy("parts/part.1.parquet", "parts/part.99.parquet")
        else:
            path = Path(name) if Path(name).is_file() else Path(name) / "added"
            with open(path, "ab") as file:
                file.write(b"more")
        return function(self, *args)

    monkeypatch.setattr(Unfinished, moment, changing)
    label = [] if name == "x.npy" else ["--label", "class"]
    assert run(name, "-o", "map.npy", *SETTINGS, *label) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{name} has changed since this run began; start anew with --force" in said
    assert not Path("map.npy").exists()


def test_a_file_that_becomes_shorter_is_no_crash(inputs, capsys, monkeypatch):
    def cut(self, landmarks):
        os.truncate("x.npy", 5000)

    monkeypatch.setattr(Unfinished, "save_landmarks", cut)
    monkeypatch.setattr("fasttsne.cli.blocks.watch.Watch.check", lambda self, **_: None)
    assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "cannot read rows" in said and "the file has become shorter" in said


def test_an_array_that_becomes_shorter(here, data, capsys, monkeypatch):
    with h5py.File("x.h5", "w") as file:
        file.create_dataset("X", data=data[0], maxshape=(None, N_COLUMNS), chunks=(50, N_COLUMNS))

    def cut(self, landmarks):
        with h5py.File("x.h5", "r+") as file:
            file["X"].resize(450, axis=0)

    monkeypatch.setattr(Unfinished, "save_landmarks", cut)
    monkeypatch.setattr("fasttsne.cli.blocks.watch.Watch.check", lambda self, **_: None)
    assert run("x.h5", "-o", "map.npy", *SETTINGS) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "x.h5 has changed while it was read: rows 401 to 500 are not all there any more" in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_a_faulty_row_in_a_far_block_is_named(here, data, capsys, monkeypatch, kind, value):
    X = data[0].copy()
    X[[777, 790], 2] = value
    if kind == "npy":
        np.save("x.npy", X)
    else:
        pq.write_table(table((X, *data[1:])), "x.parquet", row_group_size=300)
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)  # said before any fit
    label = [] if kind == "npy" else ["--label", "class"]
    said = error_of(capsys, f"x.{kind}", "-o", "map.npy", *SETTINGS, *label)
    column = "column 3" if kind == "npy" else "column 'x.2'"
    assert f"x.{kind} holds {value} in rows 778 to 791, first in {column};" in said


def test_a_gap_in_a_column_of_integers_is_named(here, capsys):
    pq.write_table(pa.table({"a": [1, 2, None, 4] * 30}), "x.parquet")
    said = error_of(capsys, "x.parquet", "-o", "map.npy", *SHAPING[2:], "--landmarks", 50)
    assert "x.parquet holds nan in rows 3 to 119, first in column 'a'" in said


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["x.parq"], "there is no file 'x.parq' in .; did you mean 'x.parquet'?"),
        (["no/x.npy"], "there is no directory no"),
        (["."], "directory without .parquet files, and no Zarr store|lies in INPUT"),
        (["x.csv"], "--landmarks reads files block by block, which .csv does not allow; write it"),
        (["x.docx"], "x.docx: unknown ending '.docx'; with --landmarks .parquet, .pq, .npy"),
        (["empty.npy"], "empty.npy is empty"),
        (["broken.npy"], "cannot read broken.npy: not an array of numbers written by numpy.save"),
        (["broken.parquet"], "cannot read broken.parquet: not a Parquet file"),
        (["broken.h5"], "cannot read broken.h5: not an HDF5 file"),
        (["broken.zarr"], "cannot read broken.zarr: "),
        (["cut.npy"], "cut.npy is cut off: it should have"),
        (["cut.parquet"], "cannot read cut.parquet: not a Parquet file, or not a whole one"),
        (["flat.npy"], "flat.npy holds an array of shape (3,); rows and columns are needed"),
        (["text.npy"], "text.npy holds <U1 rather than numbers"),
        (["none.npy"], "none.npy holds no numbers: 0 rows, 3 columns"),
        (["none.parquet"], "none.parquet has column names and no rows"),
        (["words.parquet"], "words.parquet has no column of numbers"),
        (["odd"], "b.parquet has other columns than odd/a.parquet; odd must hold one table"),
        (["x.parquet", "--label", "clas"], "no column 'clas' in x.parquet; did you mean 'class'?"),
        (["x.parquet", "--features", "name"], "column 'name' holds string, not numbers"),
        (["x.parquet", "--array", "X"], "--array is for HDF5 and Zarr"),
        (["x.npy", "--label", "a"], "x.npy has no named columns, so none called 'a'"),
        (["x.npy", "--drop", "a"], "--features and --drop are for tables with named columns"),
        (["x.h5", "--array", "Y"], "there is no array 'Y' in x.h5"),
        (["x.h5", "--array", "class"], "x.h5, array 'class', holds an array of shape (900,)"),
        (
            ["x.h5", "--array", "inner/X", "--label", "inner/X"],
            "array 'inner/X' has shape (900, 6); one value for each",
        ),
        (["x.npy", "--landmarks", "1"], "--landmarks must be at least 2; got 1"),
        (["x.npy", "--block-rows", "0"], "--block-rows must be at least 1; got 0"),
        (["x.npy", "--perplexity", "151"], "perplexity (151.0) must be less than n_samples (150)"),
        (["x.npy", "--max-iter", "3"], "'max_iter' parameter"),
        (["x.npy", "--metric", "precomputed"], "--metric precomputed needs a row of all rows"),
        (["x.npy", "-o", "a.npz"], "--output a.npz: with --landmarks a map is written block by"),
        (["x.npy", "-o", "no/a.npy"], "--output no/a.npy: there is no directory no"),
        (["x.npy", "-o", "a.docx"], "--output a.docx: the ending must be one of .parquet"),
        (["x.npy", "-o", "x.npy"], "INPUT and --output both name x.npy"),
        (["x.npy", "-o", "x.h5"], "--output x.h5: it exists; --force replaces it"),
        (["x.npy", "-o", "x.zarr"], "--output x.zarr: it exists; --force replaces it"),
        (["x.npy", "-o", "broken.zarr", "--force"], "it is a directory and no Zarr store"),
        (["parts", "-o", "parts/a.npy"], "--output parts/a.npy lies in INPUT"),
        (["x.npy", "--plot", "a.png", "--n-components", "3"], "--plot draws in the plane"),
        (["x.npy", "--resume"], "map.npy.checkpoint is no unfinished run with --landmarks"),
        (["x.npy", "--dask", "tcp://127.0.0.1:9"], "no scheduler answers there; 'dask scheduler'"),
    ],
)
def test_bad_input_is_refused_before_a_row_is_read(
    inputs, capsys, monkeypatch, untouched, args, message
):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("fasttsne.cli.blocks.cluster._PATIENCE", 0.5)
    for name in ("broken.npy", "broken.parquet", "broken.h5", "x.csv", "x.docx"):
        Path(name).write_bytes(b"nonsense\n" * 20)
    Path("empty.npy").touch()
    os.mkdir("broken.zarr")
    for kind in ("npy", "parquet"):
        Path(f"cut.{kind}").write_bytes(Path(f"x.{kind}").read_bytes()[:-100])
    np.save("flat.npy", np.zeros(3))
    np.save("text.npy", np.array([["a"]]))
    np.save("none.npy", np.zeros((0, 3)))
    pq.write_table(pa.table({"a": pa.array([], pa.float32())}), "none.parquet")
    pq.write_table(pa.table({"a": ["b"]}), "words.parquet")
    os.mkdir("odd")
    pq.write_table(pa.table({"a": [1.0]}), "odd/a.parquet")
    pq.write_table(pa.table({"b": [1.0]}), "odd/b.parquet")
    output = [] if "-o" in args else ["-o", "map.npy"]
    landmarks = [] if "--landmarks" in args else ["--landmarks", 150]
    said = error_of(capsys, *landmarks, *args[1:], *output, "--quiet", "--", args[0])
    assert any(part in said for part in message.split("|"))


@pytest.mark.parametrize("output", ["map.h5", "map.zarr", "map.csv"])
def test_a_column_that_has_no_room_is_refused_before_a_row_is_read(here, capsys, untouched, output):
    columns = {"x": np.arange(300.0), "y": np.ones(300), "where": [{"lat": 1.0}] * 300}
    pq.write_table(pa.table(columns), "x.parquet")
    wanted = ["x.parquet", "--landmarks", 100, "--keep", "where"]
    said = error_of(capsys, *wanted, "-o", output)
    assert f"--output {output}: column 'where' holds struct<lat: double>" in said
    assert "choose a .parquet, or leave the column out" in said


def test_lists_of_unequal_lengths(here, capsys):
    lists = [[1.0, 2.0]] * 80 + [[1.0]] + [[1.0, 2.0]] * 80
    pq.write_table(pa.table({"v": lists}), "x.parquet")
    said = error_of(capsys, "x.parquet", "-o", "map.npy", "--landmarks", 100)
    assert "the list of column 'v' in row 81 has not 2 numbers as the first has" in said


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("dask", "x.npy", "dask"),
        ("h5py", "x.h5", "hdf5"),
        ("zarr", "x.zarr", "zarr"),
        ("pyarrow", "x.parquet", "tables"),
    ],
)
def test_a_missing_extra_is_named(inputs, capsys, monkeypatch, module, name, extra):
    monkeypatch.setitem(sys.modules, module, None)
    said = error_of(capsys, name, "-o", "map.npy", "--landmarks", 100)
    assert f"pip install 'fasttsne[{extra}]'" in said


def test_options_for_blocks_need_landmarks(inputs, capsys):
    for option, value in [
        ("--block-rows", 10),
        ("--dask", "tcp://x:1"),
        ("--landmark-selection", "density"),
    ]:
        said = error_of(capsys, "x.npy", "-o", "map.npy", option, value)
        assert said == f"{option} goes with --landmarks; give both"


def test_a_traceback_on_demand(inputs, capsys):
    assert run("x.npy", "-o", "map.npy", "--landmarks", 1, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_force_replaces_a_store_and_a_file(inputs, data):
    Path("map.npy").write_text("old")
    shutil.copytree("x.zarr", "map.zarr")
    for target in ("map.npy", "map.zarr"):
        assert run("x.npy", "-o", target, *SETTINGS, "--force", "--quiet") == 0
    assert_array_equal(zarr.open("map.zarr", mode="r")["embedding"][:], np.load("map.npy"))
    assert "X" not in zarr.open("map.zarr", mode="r")
    assert [name for name in os.listdir() if name.startswith(".")] == []
