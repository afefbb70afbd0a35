"""Input of the command line, and estimators that must not be called."""

import shutil

import numpy as np
import pytest
from commands import rows
from sklearn.datasets import load_iris

import fasttsne
from fasttsne.cli.large_inputs import Source


@pytest.fixture
def untouched(monkeypatch):
    """Any fit fails, to show that errors are raised before any computation."""

    def fit(self, X, y=None, **options):
        raise AssertionError("must not compute")

    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)
    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", fit)


@pytest.fixture
def flowers(here):
    """Iris as flowers.csv: classes, names of columns in any language, and a column of text."""
    pd = pytest.importorskip("pandas")
    iris = load_iris()
    frame = pd.DataFrame(iris.data, columns=["sepal length", "sepal width", "länge", "breite"])
    frame["species"] = iris.target_names[iris.target]
    frame["name"] = [f"flower <{i}>" for i in range(150)]
    frame.to_csv("flowers.csv", index=False)
    return iris.data


@pytest.fixture
def array(here):
    """An array of 40 rows as x.npy."""
    np.save("x.npy", rows())
    return rows()


# ---- large files --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def data():
    """Rows in single precision, their classes, and a name each; some have none."""
    from large_files import blobs

    return blobs()


@pytest.fixture(scope="session")
def every_kind(data, tmp_path_factory):
    """The same rows in files of every kind."""
    from large_files import write_every_kind

    folder = tmp_path_factory.mktemp("inputs")
    write_every_kind(data, folder)
    return folder


@pytest.fixture
def inputs(here, every_kind):
    """These files, to be used and changed."""
    shutil.copytree(every_kind, here, dirs_exist_ok=True)
    return here


@pytest.fixture(scope="session")
def whole(every_kind, tmp_path_factory):
    """The bytes of a map whose run was not interrupted."""
    from large_files import SETTINGS, run

    target = tmp_path_factory.mktemp("whole") / "map.parquet"
    assert run(every_kind / "x.parquet", "-o", target, *SETTINGS, "--label", "class") == 0
    return target.read_bytes()


@pytest.fixture
def unread(monkeypatch):
    """Make reading rows fail, to show that only the description of the data was read."""
    monkeypatch.setattr(Source, "read", lambda *args: 1 / 0)


@pytest.fixture
def untouched_fit(monkeypatch):
    """Make fits fail, to show that a fault was found before."""
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)


@pytest.fixture
def reads(monkeypatch):
    """The first row of every read of the input, in order."""
    seen, read = [], Source.read
    monkeypatch.setattr(Source, "read", lambda *args: seen.append(args[1]) or read(*args))
    return seen
