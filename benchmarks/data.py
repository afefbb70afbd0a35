"""The data sets of the benchmarks, by name; see NAMES.

All but the first three take a number of points at the end: mnist500, blobs20k. A name that ends in
``.npz`` is a file of your own with X, and y if there are classes. MNIST comes from ``mnist.npz`` (X
of 70,000 x 784 uint8, y): the environment variable FASTTSNE_DATA names the file or its directory.
Without it scikit-learn downloads MNIST from OpenML once.
"""

import os
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfTransformer

NAMES = {
    "digits": "1,797 handwritten digits of 64 pixels, from scikit-learn",
    "swiss_roll": "5,000 points of a Swiss roll in 3 dimensions",
    "noise": "5,000 points uniform in 20 dimensions: no structure at all",
    "blobs": "10,000 points of 10 round Gaussians in 30 dimensions",
    "mixture": "10,000 points of 50 flat Gaussians, unequal in size and shape, in 50 dimensions",
    "mnist": "MNIST's 70,000 digits, 50 principal components",
    "mnist_raw": "the same, all 784 pixels",
    "words": "20,000 texts, sparse tf-idf of 30,000 words",
    "fingerprints": "20,000 rows of 1,024 bits",
}
COUNTED = ("blobs", "mixture", "mnist", "mnist_raw", "words", "fingerprints")


class Data(NamedTuple):
    name: str
    X: np.ndarray  # or a sparse matrix
    y: np.ndarray | None  # classes, where there are any


@lru_cache(1)  # one at a time, because they can be large
def load(name, seed=0):
    """Return the data set of a name; equal seeds give equal data."""
    rng = np.random.RandomState(seed)
    if name.endswith(".npz"):
        with np.load(name) as file:
            return Data(Path(name).stem, file["X"], file.get("y"))
    if name == "digits":
        return Data(name, *datasets.load_digits(return_X_y=True))
    if name == "swiss_roll":
        return Data(name, datasets.make_swiss_roll(5_000, random_state=rng)[0], None)
    if name == "noise":
        return Data(name, rng.uniform(size=(5_000, 20)), None)
    match = re.fullmatch(rf"({'|'.join(COUNTED)})(\d*)(k?)", name)
    if match is None:
        raise ValueError(f"no data called {name!r}; there are {', '.join(NAMES)}")
    family, number, thousands = match.groups()
    n_samples = int(number) * (1_000 if thousands else 1) if number else None
    if family == "blobs":
        X, y = datasets.make_blobs(n_samples or 10_000, 30, centers=10, random_state=rng)
        return Data(name, X, y)
    if family == "mixture":
        return Data(name, *mixture(n_samples or 10_000, rng))
    if family == "words":
        return Data(name, *words(n_samples or 20_000, rng))
    if family == "fingerprints":
        return Data(name, *fingerprints(n_samples or 20_000, rng))
    return Data(name, *some_of_mnist(n_samples or 70_000, family == "mnist", seed))


def mixture(n_samples, rng, n_features=50, n_classes=50, n_latent=8):
    """Return points of classes of sizes 1, 1/2, 1/3, ..., each a Gaussian on a plane, with noise.

    A plane has few dimensions, like real data. In a round Gaussian of 50 dimensions all points are
    about equally far apart, and neighbours mean little.
    """
    return drawn(n_samples, rng, *planes(rng, n_features, n_classes, n_latent))


def planes(rng, n_features=50, n_classes=50, n_latent=8):
    """Return shares, centres and planes of the classes of a mixture."""
    shares = 1 / np.arange(1, n_classes + 1)
    centers = rng.standard_normal((n_classes, n_features)) * 2
    axes = rng.standard_normal((n_classes, n_latent, n_features)) / np.sqrt(n_latent)
    return shares / shares.sum(), centers, axes


def drawn(n_samples, rng, shares, centers, axes):
    """Return points of a mixture, and their classes."""
    y = rng.choice(len(shares), n_samples, p=shares)
    X = np.empty((n_samples, centers.shape[1]), dtype=np.float32)
    for label in range(len(shares)):
        rows = np.flatnonzero(y == label)
        along = rng.standard_normal((len(rows), axes.shape[1])) @ axes[label]
        X[rows] = centers[label] + along + 0.1 * rng.standard_normal((len(rows), X.shape[1]))
    return X, y


def words(n_samples, rng, n_words=30_000, n_topics=200, words_of_topic=60):
    """Return tf-idf of texts of about 80 words, and their topics.

    Seven in ten words have the frequencies of Zipf's law, as in English without its most frequent
    words; the others are of the text's topic.
    """
    frequencies = 1 / np.arange(10, n_words + 10)
    topics = rng.randint(n_words, size=(n_topics, words_of_topic))
    y = rng.randint(n_topics, size=n_samples)
    lengths = 5 + rng.poisson(rng.gamma(2, 40, size=n_samples))
    rows = np.repeat(np.arange(n_samples), lengths)
    columns = rng.choice(n_words, len(rows), p=frequencies / frequencies.sum())
    on_topic = rng.uniform(size=len(rows)) < 0.3
    place = (words_of_topic * rng.uniform(size=on_topic.sum()) ** 2).astype(int)
    columns[on_topic] = topics[y[rows[on_topic]], place]
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n_samples, n_words))
    return TfidfTransformer(sublinear_tf=True, norm=None).fit_transform(counts), y


def fingerprints(n_samples, rng, n_bits=1024, n_classes=200):
    """Return rows of bits, and their classes: a row has most bits of its class, and others."""
    shares = rng.beta(0.5, 5, size=n_bits)
    classes = rng.uniform(size=(n_classes, n_bits)) < shares
    y = rng.randint(n_classes, size=n_samples)
    flipped = rng.uniform(size=(n_samples, n_bits)) < 0.3
    return np.where(flipped, rng.uniform(size=(n_samples, n_bits)) < shares, classes[y]), y


def some_of_mnist(n_samples, reduced, seed=0):
    """Return random digits of MNIST as float32; `reduced` to 50 principal components."""
    X, y = mnist()
    if n_samples < len(X):
        chosen = np.random.RandomState(seed).choice(len(X), n_samples, replace=False)
        X, y = X[chosen], y[chosen]
    X = X.astype(np.float32) / 255
    if reduced:
        pca = PCA(50, svd_solver="covariance_eigh")
        X = np.ascontiguousarray(pca.fit_transform(X), dtype=np.float32)
    return X, y


def mnist():
    """Return MNIST's 70,000 digits: X (70000, 784) and y."""
    place = os.environ.get("FASTTSNE_DATA")
    if place:
        path = Path(place) / "mnist.npz" if Path(place).is_dir() else Path(place)
        if not path.is_file():
            raise SystemExit(f"FASTTSNE_DATA={place}: no such file, or no mnist.npz in it")
        with np.load(path) as file:
            return file["X"], file["y"].astype(np.int64)
    parser = "pandas" if find_spec("pandas") else "liac-arff"  # the second takes a minute
    X, y = datasets.fetch_openml(
        "mnist_784", version=1, return_X_y=True, as_frame=False, parser=parser
    )
    return X.astype(np.uint8), y.astype(np.int64)


def cache_directory():
    """Return FASTTSNE_BENCH_CACHE, or a folder in the user's cache directory; it is created."""
    place = os.environ.get("FASTTSNE_BENCH_CACHE")
    if not place:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        place = Path(base) / "fasttsne-benchmarks"
    path = Path(place)
    path.mkdir(parents=True, exist_ok=True)
    return path
