"""The data that benchmarks run on, by name.

``python benchmarks/data.py`` lists them and loads those that are named on its command line.

MNIST comes from ``mnist.npz`` (X of 70,000 x 784 uint8, y) in the directory that the environment
variable FASTTSNE_DATA names; without the variable scikit-learn downloads it from OpenML once and
keeps it.
"""

import argparse
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA

NAMES = {
    "digits": "1,797 handwritten digits of 64 pixels, from scikit-learn",
    "swiss_roll": "5,000 points of a Swiss roll in 3 dimensions",
    "noise": "5,000 points uniform in 20 dimensions: no structure at all",
    "blobs": "10,000 points of 10 Gaussians in 30 dimensions; blobsN: N of them",
    "mnist10k": "10,000 of MNIST's digits, 50 principal components; mnistNk: N thousand of them",
    "mnist": "all 70,000 of MNIST's digits, 50 principal components",
}


class Data(NamedTuple):
    name: str
    X: np.ndarray
    y: np.ndarray | None  # classes, where there are any


def load(name, seed=0):
    """A data set by one of the names above; the same for the same seed."""
    rng = np.random.RandomState(seed)
    if name == "digits":
        return Data(name, *datasets.load_digits(return_X_y=True))
    if name == "swiss_roll":
        return Data(name, datasets.make_swiss_roll(5_000, random_state=rng)[0], None)
    if name == "noise":
        return Data(name, rng.uniform(size=(5_000, 20)), None)
    if match := re.fullmatch(r"blobs(\d*)", name):
        n_samples = int(match[1] or 10_000)
        X, y = datasets.make_blobs(n_samples, n_features=30, centers=10, random_state=rng)
        return Data(name, X, y)
    if match := re.fullmatch(r"mnist(?:(\d+)k)?", name):
        return Data(name, *mnist_pca(int(match[1]) * 1_000 if match[1] else 70_000, seed))
    raise ValueError(f"no data called {name!r}; there are {', '.join(NAMES)}")


def mnist_pca(n_samples, seed=0):
    """`n_samples` of MNIST's digits, drawn at random, as 50 principal components in float32."""
    X, y = mnist()
    if n_samples < len(X):
        chosen = np.random.RandomState(seed).choice(len(X), n_samples, replace=False)
        X, y = X[chosen], y[chosen]
    X = X.astype(np.float32) / 255
    pca = PCA(50, svd_solver="covariance_eigh")
    return np.ascontiguousarray(pca.fit_transform(X), dtype=np.float32), y


def mnist():
    """MNIST's 70,000 digits: X (70000, 784) and y."""
    directory = os.environ.get("FASTTSNE_DATA")
    if directory:
        with np.load(Path(directory) / "mnist.npz") as file:
            return file["X"], file["y"].astype(np.int64)
    parser = "pandas" if find_spec("pandas") else "liac-arff"  # the second takes a minute
    X, y = datasets.fetch_openml(
        "mnist_784", version=1, return_X_y=True, as_frame=False, parser=parser
    )
    return X.astype(np.uint8), y.astype(np.int64)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help="load this, and say what it is")
    args = parser.parse_args()
    if not args.names:
        for name, description in NAMES.items():
            print(f"{name:12} {description}")
    for name in args.names:
        data = load(name)
        classes = "no classes" if data.y is None else f"{len(np.unique(data.y))} classes"
        print(f"{name:12} {data.X.shape[0]} x {data.X.shape[1]} {data.X.dtype}, {classes}")


if __name__ == "__main__":
    main()
