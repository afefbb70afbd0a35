"""
Choosing perplexity and exaggeration
====================================

Perplexity says how many neighbours a point listens to, exaggeration how strongly neighbours
attract each other. Neither has a right value: they decide at which scale a map shows the data.
"""

# %%
# The data are 1,797 handwritten digits, 64 pixels each. A small perplexity breaks classes into
# pieces, some of which are chance; a large one smooths over what is small. Between 10 and 100 the
# same clusters stay: what is seen at several perplexities deserves belief, what only one shows
# does not.
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from fasttsne import TSNE
from fasttsne.plot import r_nx_curve, scatter

X, y = load_digits(return_X_y=True)

maps = {}
figure, axes = plt.subplots(2, 2, figsize=(8, 8.4), layout="constrained")
for perplexity, ax in zip((3, 10, 30, 100), axes.flat, strict=True):
    name = f"perplexity {perplexity}"
    maps[name] = TSNE(perplexity=perplexity, random_state=0).fit_transform(X)
    scatter(maps[name], y, ax=ax, title=name)

# %%
# How far each keeps neighbourhoods of K points, for every K: small perplexities win at the left,
# among close neighbours, large ones further to the right.
ax = r_nx_curve(X, maps)

# %%
# After early exaggeration, attraction goes back to what the objective asks for. Left at more, it
# draws clusters together and makes room between them, as spectral methods and UMAP do; at less,
# it spreads them out.
figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for exaggeration, ax in zip((0.6, 1, 4), axes, strict=True):
    Y = TSNE(exaggeration=exaggeration, random_state=0).fit_transform(X)
    scatter(Y, y, ax=ax, title=f"exaggeration {exaggeration}", names=None)
