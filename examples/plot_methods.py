"""
Methods side by side
====================

One data set, several ways to draw it in the plane, and what each keeps.
"""

# %%
# A thousand handwritten digits. UMAP takes part where it is installed.
from importlib.util import find_spec

from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import MDS, Isomap, LocallyLinearEmbedding

from fasttsne import TSNE
from fasttsne.plot import r_nx_curve, scatter
from fasttsne.quality import report

X, y = load_digits(return_X_y=True)
X, y = X[:1000], y[:1000]

maps = {
    "t-SNE (fasttsne)": TSNE(random_state=0).fit_transform(X),
    "PCA": PCA(2, random_state=0).fit_transform(X),
    "MDS": MDS(2, n_init=1, init="random", max_iter=120, random_state=0).fit_transform(X),
    "Isomap": Isomap(n_neighbors=10).fit_transform(X),
    "LLE": LocallyLinearEmbedding(n_neighbors=10, random_state=0).fit_transform(X),
}
if find_spec("umap"):
    from umap import UMAP

    maps["UMAP"] = UMAP(random_state=0, n_jobs=1).fit_transform(X)

# %%
figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for ax in axes.flat[len(maps) :]:
    ax.set_axis_off()
for (name, Y), ax in zip(maps.items(), axes.flat, strict=False):
    scatter(Y, y, ax=ax, title=name)

# %%
# What each keeps of neighbourhoods, from the closest at the left to all at the right. t-SNE is
# made for the left, MDS and PCA for the right.
ax = r_nx_curve(X, maps)

# %%
# All measures of each.
for name, Y in maps.items():
    print(f"{name}\n{report(X, Y, y)}\n")
