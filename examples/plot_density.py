"""
Wide groups drawn wide
======================

t-SNE gives every sample the same number of neighbours, so a tight group and a loose one of the same
size get the same area. With ``density`` areas follow the data, as in den-SNE and densMAP.
"""

# %%
# Five kinds of cells, 400 of each. Each kind varies twice as much as the one before.
import numpy as np
from matplotlib import pyplot as plt

from fasttsne import TSNE
from fasttsne.plot import scatter
from fasttsne.quality import density_correlation, neighbor_recall

rng = np.random.default_rng(0)
names = ["very uniform", "uniform", "moderate", "variable", "very variable"]
kind = np.repeat(np.arange(5), 400)
centers = 12 * rng.normal(size=(5, 20))
X = centers[kind] + 2.0 ** (kind - 2)[:, np.newaxis] * rng.normal(size=(2000, 20))
labels = np.array(names)[kind]

weights = (0.0, 0.2, 1.0)
maps = {weight: TSNE(density=weight, random_state=0).fit(X) for weight in weights}

# %%
# Without ``density`` the picture does not tell the kinds apart. With it, the area of a kind shows
# how much its cells vary.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for (weight, tsne), ax in zip(maps.items(), axes, strict=True):
    scatter(tsne.embedding_, labels, ax=ax, title=f"density={weight:g}")

# %%
# The local radius of a sample is its distance to its neighbours, by root mean square. The measure
# correlates the logarithms of the radii in the data and on the map; the recall is the share of
# neighbours that the map keeps.
print("density   correlation of radii   recall   KL divergence")
for weight, tsne in maps.items():
    correlation = density_correlation(X, tsne.embedding_)
    recall = neighbor_recall(X, tsne.embedding_, n_neighbors=15)
    print(f"{weight:<9g} {correlation:<22.3f} {recall:<8.3f} {tsne.kl_divergence_:.3f}")

# %%
# Radius by radius: a line if the map keeps density, a cloud if it does not. The map keeps the order
# and not the proportions: the cells of the last kind are 16 times as far apart as those of the
# first, and on the third map about twice as far.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for (weight, tsne), ax in zip(maps.items(), axes, strict=True):
    _, radii, on_map = density_correlation(X, tsne.embedding_, return_radii=True)
    ax.loglog(radii, on_map, ".", markersize=2, color="0.3")
    ax.set(title=f"density={weight:g}", xlabel="local radius in the data")
axes[0].set_ylabel("local radius on the map")
