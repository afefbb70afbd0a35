"""Learn a metric on some samples, draw maps of others before and after, and judge both.

    python examples/learn_then_draw.py
    python examples/learn_then_draw.py --data mnist.npz --train 10000 --test 10000

Both maps are of samples that nothing was learned from, and start from equally many dimensions:
principal components, and components of the learned metric. Without --data the samples are the 1,797
digits of 64 pixels that scikit-learn brings along. Needs matplotlib: pip install 'fasttsne[plot]'.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from fasttsne import TSNE
from fasttsne.metric_learning import ndcg_score
from fasttsne.metric_learning.learners import LinearMetricLearner
from fasttsne.plot import scatter
from fasttsne.quality import knn_accuracy

# Points whose neighbours are ranked at once: a row of distances to all others each.
N_AT_ONCE = 500


def main(argv=None):
    arguments = parsed(argv)
    X, y = load(arguments.data)
    X_train, X_test, y_train, y_test = train_test_split(
        X,
        y,
        train_size=arguments.train or 0.5,
        test_size=arguments.test or 0.5,
        stratify=y,
        random_state=arguments.seed,
    )
    n_components = min(arguments.components, X.shape[1])
    seeded = {"n_components": n_components, "random_state": arguments.seed}
    steps = {
        "Principal components": PCA(**seeded),
        "Learned metric": LinearMetricLearner(**seeded),
    }
    print(f"{len(X_train):,} samples to learn from, {len(X_test):,} others on the maps")
    maps, figures = {}, {}
    for name, step in steps.items():
        features = step.fit(X_train, y_train).transform(X_test)
        maps[name] = TSNE(random_state=arguments.seed).fit_transform(features)
        figures[name] = judged(maps[name], y_test)
        print(
            f"{name + ':':22}"
            + ", ".join(f"{key} {figures[name][key]:.4f}" for key in figures[name])
        )
    draw(maps, figures, y_test, arguments.output)
    print(f"Drawn: {arguments.output}")
    return figures


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="an .npz file with X and y")
    parser.add_argument("--train", type=int, help="samples to learn from; half of all")
    parser.add_argument("--test", type=int, help="samples to draw; the others")
    parser.add_argument("--components", type=int, default=9, help="dimensions before the map")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("learn_then_draw.png"))
    return parser.parse_args(argv)


def load(path):
    if path is None:
        return load_digits(return_X_y=True)
    with np.load(path) as data:
        return data["X"].reshape(len(data["X"]), -1).astype(float), data["y"]


def judged(Y, y):
    """How well a map sorts classes that it was not told."""
    return {"kNN accuracy": knn_accuracy(Y, y), "NDCG of neighbours": neighbor_ndcg(Y, y)}


def neighbor_ndcg(Y, y):
    """NDCG of every point's ranking of all others by distance; relevant are those of its class."""
    values, others = [], ~np.eye(len(Y), dtype=bool)
    for first in range(0, len(Y), N_AT_ONCE):
        rows = slice(first, first + N_AT_ONCE)
        n_rows = len(Y[rows])
        squared = np.sum((Y[rows, np.newaxis] - Y) ** 2, axis=2)
        relevance = (y[rows, np.newaxis] == y).astype(float)
        values.append(
            ndcg_score(
                relevance[others[rows]].reshape(n_rows, -1),
                -squared[others[rows]].reshape(n_rows, -1),
                per_query=True,
            )
        )
    return float(np.mean(np.concatenate(values)))


def draw(maps, figures, y, path):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 6.4), layout="constrained")
    for ax, (name, Y) in zip(axes, maps.items(), strict=True):
        told = ", ".join(f"{key} {value:.3f}" for key, value in figures[name].items())
        scatter(Y, y, ax=ax, title=f"{name}\n{told}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
