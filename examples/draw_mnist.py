"""Draw the picture of MNIST's 70,000 digits in the docs.

``python examples/draw_mnist.py --data mnist.npz`` takes X and y from a file; without it
scikit-learn downloads MNIST from OpenML once and keeps it.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.decomposition import PCA

from fasttsne import TSNE
from fasttsne.plot import scatter


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="an .npz file with X and y")
    parser.add_argument("--output", type=Path, default=Path("docs/images/mnist.png"))
    args = parser.parse_args()
    if args.data:
        with np.load(args.data) as file:
            X, y = file["X"], file["y"]
    else:
        X, y = fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)
    X = PCA(50, random_state=0).fit_transform(X.astype(np.float32) / 255)
    embedding = TSNE(random_state=0).fit_transform(X)
    figure, ax = plt.subplots(figsize=(6, 6), layout="constrained")
    scatter(embedding, y, ax=ax, title=f"MNIST, {len(X):,} digits")
    figure.savefig(args.output, dpi=150)


if __name__ == "__main__":
    main()
