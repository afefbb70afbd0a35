"""What tests of maps of large files share: options, inputs of every kind, and interruptions."""

from pathlib import Path

import commands
import numpy as np
import pytest
from sklearn.datasets import make_blobs

from fasttsne.cli.large_parts import Unfinished

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

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


def blobs():
    """Rows in single precision, their classes, and a name each; some have none."""
    X, classes = make_blobs(N_ROWS, N_COLUMNS, centers=5, random_state=0)
    names = [None if i % 7 == 0 else f"zeile ä{i}" for i in range(N_ROWS)]
    return X.astype(np.float32), classes, names


def table(data):
    X, classes, names = data
    columns = {f"x.{i}": np.ascontiguousarray(X[:, i]) for i in range(N_COLUMNS)}
    return pa.table({"class": classes, **columns, "name": names})


def write_every_kind(data, folder):
    """The same rows in files of every kind."""
    X, classes, names = data
    whole = table(data)
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


def same_map(whole, folder):
    """Return whether the parts in a folder are together the map of an uninterrupted run."""
    parts = [pq.ParquetFile(path).read() for path in sorted(Path(folder).glob("*.parquet"))]
    Path("whole.parquet").write_bytes(whole)
    return pa.concat_tables(parts).equals(pq.read_table("whole.parquet"))
