"""What tests of maps drawn block by block share: files of every kind, runs, interruptions."""

import os
import shutil

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from fasttsne import cli
from fasttsne.cli.blocks.source import Source
from fasttsne.cli.blocks.unfinished import Unfinished

pytest.importorskip("dask")
pytest.importorskip("distributed")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
pytest.importorskip("pandas")

N_ROWS, N_COLUMNS = 900, 6
SHAPING = ["--landmarks", 150, "--perplexity", 8, "--max-iter", 250, "--random-state", 3]
SETTINGS = [*SHAPING, "--block-rows", 100]
INPUTS = [
    ("x.parquet", {"extra": ["class"]}),
    ("parts", {"extra": ["class"]}),
    ("x.npy", {}),
    ("by_columns.npy", {}),
    ("x.h5", {"extra": ["class"]}),
    ("x.zarr", {"extra": ["class"]}),
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


def run(*args):
    return cli.main(["map", *map(str, args)])


def error_of(capsys, *args):
    """What a refused command says: one line, status 2, and nothing new beside the input."""
    capsys.readouterr()
    before = sorted(os.listdir())
    assert run(*args) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert sorted(os.listdir()) == before
    prefix = "fasttsne map: error: "
    line = printed.splitlines()[-1]
    assert line.startswith(prefix)
    return line.removeprefix(prefix)


@pytest.fixture
def untouched(monkeypatch):
    """Let any row that is read fail, to show that nothing but what describes the data was."""

    def read(self, start, stop):
        raise AssertionError("must not read")

    monkeypatch.setattr(Source, "read", read)


@pytest.fixture(scope="module")
def left_alone(every_kind, tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "map.parquet"
    assert run(every_kind / "x.parquet", "-o", target, *SETTINGS, "--label", "class") == 0
    return target.read_bytes()


@pytest.fixture
def whole(inputs, left_alone):
    """The bytes of a run that was left alone."""
    return left_alone


def interrupt(monkeypatch, owner, name, after=0):
    """Let Ctrl-C come in the middle of a function, at the call after so many."""
    calls, function = [], getattr(owner, name)

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


def begun(monkeypatch, *more):
    """A run that was interrupted among its blocks."""
    with monkeypatch.context() as patch:
        interrupt(patch, Unfinished, "save_block", 4)
        assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class", *more) == 130
