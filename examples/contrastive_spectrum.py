"""One data set at five normalisations, from t-SNE to UMAP and beyond either end.

``python examples/contrastive_spectrum.py picture.png`` draws the handwritten digits of
scikit-learn; it needs the extra ``plot``.
"""

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from fasttsne import ContrastiveTSNE
from fasttsne.plot import PALETTE


def main(path):
    """Draw the spectrum into the file at `path`."""
    X, y = load_digits(return_X_y=True)
    n_negatives = 5
    tsne = ContrastiveTSNE(n_negatives=n_negatives, random_state=0).fit(X).normalization_
    umap = len(X) * (len(X) - 1) / n_negatives
    steps = {-0.5: "beyond", 0.0: "t-SNE's Z", 0.5: "halfway", 1.0: "UMAP's Z", 1.5: "beyond"}
    figure, axes = plt.subplots(1, len(steps), figsize=(13, 3.2), constrained_layout=True)
    for axis, (step, name) in zip(axes, steps.items(), strict=True):
        z = float(np.exp((1 - step) * np.log(tsne) + step * np.log(umap)))
        model = ContrastiveTSNE(n_negatives=n_negatives, normalization=z, random_state=0).fit(X)
        axis.scatter(*model.embedding_.T, c=[PALETTE[label] for label in y], s=3, linewidths=0)
        axis.set_title(f"{name}: Z = {float(f'{z / len(X):.3g}'):,g} n", fontsize=10)
        axis.set_xlabel(f"standard deviation {model.embedding_.std():.1f}", fontsize=9)
        axis.set_aspect("equal", "datalim")
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "contrastive_spectrum.png")
