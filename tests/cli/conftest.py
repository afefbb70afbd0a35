"""Input of the command line, and estimators that must not be called."""

import numpy as np
import pytest
from commands import rows
from sklearn.datasets import load_iris

import fasttsne


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
