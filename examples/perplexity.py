"""The pictures of docs/perplexity.md.

``python examples/perplexity.py FOLDER`` draws them from the handwritten digits of scikit-learn and
from noise; it needs the extra ``plot``.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fasttsne import TSNE
from fasttsne.affinity import conditional_probabilities
from fasttsne.neighbors import nearest_neighbors
from fasttsne.plot import r_nx_curve, scatter


def draw_weights():
    """Draw the weights of the neighbours of two samples, in a dense and in a sparse cloud."""
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [4.6, 0.0]])
    dense, sparse = rng.normal(size=(2, 150, 2))
    X = np.concatenate([dense * 0.6, sparse * 1.3 + centers[1]])
    chosen = [int(np.square(X - center).sum(axis=1).argmin()) for center in centers]
    indices, distances = nearest_neighbors(X, 121)
    figure, axes = plt.subplots(1, 2, figsize=(10, 2.9), layout="constrained")
    for perplexity, ax in zip((8, 40), axes, strict=True):
        p, beta = conditional_probabilities(distances**2, perplexity)
        ax.scatter(*X.T, s=7, c="0.8", linewidths=0)
        for i in chosen:
            share = p[i] / p[i].max()
            ax.scatter(*X[indices[i]].T, s=2 + 24 * share, c="tab:blue", alpha=share, linewidths=0)
            sigma = 1 / np.sqrt(2 * beta[i])
            ax.add_patch(plt.Circle(X[i], sigma, fill=False, color="black", linewidth=0.8))
            ax.scatter(*X[i], marker="x", c="tab:red", s=30)
        ax.set_title(f"perplexity {perplexity}", loc="left")
        ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.9, 7.6), ylim=(-2.3, 2.3))
    return figure


def draw_digits(maps, y):
    """Draw each map of the digits under its name."""
    n_columns = 3
    n_rows = -(-len(maps) // n_columns)
    size = (10, 3.45 * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained")
    for (name, Y), ax in zip(maps.items(), axes.flat, strict=True):
        scatter(Y, y, ax=ax, title=name)
    return figure


def draw_noise():
    """Draw noise, which has no clusters, at three perplexities."""
    noise = np.random.default_rng(0).normal(size=(1000, 30))
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.45), layout="constrained")
    for perplexity, ax in zip((3, 30, 100), axes, strict=True):
        Y = TSNE(perplexity=perplexity, random_state=0).fit_transform(noise)
        scatter(Y, ax=ax, title=f"noise, perplexity {perplexity}")
    return figure


def main(folder):
    """Draw all pictures into `folder`."""
    X, y = load_digits(return_X_y=True)
    chosen = {f"perplexity {p}": p for p in (3, 10, 30, 100, 300)}
    chosen["perplexities 10, 300"] = [10, 300]
    maps = {name: TSNE(perplexity=p, random_state=0).fit_transform(X) for name, p in chosen.items()}
    exaggerated = {
        f"exaggeration {e}": TSNE(exaggeration=e, random_state=0).fit_transform(X)
        for e in (0.6, 1, 4)
    }
    figures = {
        "weights": draw_weights(),
        "digits": draw_digits(maps, y),
        "curves": r_nx_curve(X, maps).figure,
        "noise": draw_noise(),
        "exaggeration": draw_digits(exaggerated, y),
    }
    for name, figure in figures.items():
        figure.savefig(Path(folder) / f"perplexity_{name}.png", dpi=80)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
