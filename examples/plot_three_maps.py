"""
Is this island real?
====================

Three maps of the same cells: a good one, one with too few neighbours, and one on which a part of a
cell type was torn off. They look equally convincing. :func:`fasttsne.quality.reliability` asks
each point of each map whether it could as well be somewhere else.
"""

# %%
# Twelve hundred cells of five types, with 20 principal components each, of known origin. Two types
# are close relatives; every type is one cluster, without subtypes.
import numpy as np
from matplotlib import pyplot as plt

from fasttsne import TSNE
from fasttsne.plot import scatter
from fasttsne.quality import reliability

rng = np.random.default_rng(0)
names = ["T cell", "NK cell", "B cell", "monocyte", "platelet"]
sizes = np.array([400, 250, 300, 200, 50])
centers = 3 * rng.normal(size=(5, 20))
centers[1] = centers[0] + rng.normal(size=20)
kind = np.repeat(np.arange(5), sizes)
X = centers[kind] + rng.normal(size=(len(kind), 20))
labels = np.array(names)[kind]

# %%
# The second map has a perplexity of 4. On the third, half of the B cells was moved to an empty
# place, as a bad start or too few iterations may leave it.
good = TSNE(random_state=0).fit_transform(X)
small = TSNE(perplexity=4, random_state=0).fit_transform(X)

b_cells = np.flatnonzero(kind == 2)
direction = np.linalg.svd(X[b_cells] - X[b_cells].mean(axis=0))[2][0]
along = X[b_cells] @ direction
moved = b_cells[along > np.median(along)]
torn = good.copy()
torn[moved] += good.min(axis=0) - good[moved].mean(axis=0)

maps = {"perplexity 30": (good, 30), "perplexity 4": (small, 4), "torn B cells": (torn, 30)}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
for (name, (Y, _)), ax in zip(maps.items(), axes, strict=True):
    scatter(Y, labels, ax=ax, title=name)

# %%
# Three scores for every cell. The perturbation score changes the data of a cell a little and
# measures how far its best place moves on the map; a cell *jumps* if that place is beyond a gap. A
# *dubious* cell has other cells around it than in the data.
found = {name: reliability(X, Y, perplexity=p) for name, (Y, p) in maps.items()}
for name, scores in found.items():
    print(f"{name}\n{scores}\n")

# %%
# Red cells jump, orange ones are dubious.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for (name, (Y, _)), ax in zip(maps.items(), axes, strict=True):
    scores = found[name]
    color = np.select([scores.jumps, scores.dubious], ["tab:red", "tab:orange"], "0.8")
    ax.scatter(*Y.T, s=5, c=color, linewidths=0)
    ax.set(xticks=[], yticks=[], aspect="equal", title=name)

# %%
# By type of cell:
print(f"{'jumping, dubious':18}" + "".join(f"{name:>18}" for name in maps))
for number, name in enumerate(names):
    line = f"{name:18}"
    for scores in found.values():
        shares = [flags[kind == number].mean() for flags in (scores.jumps, scores.dubious)]
        line += f"{shares[0]:12.0%}, {shares[1]:4.0%}"
    print(line)

# %%
# What to write under each map:
#
# - *Perplexity 30.* No cell jumps and hardly any is dubious. The five clusters are the five types;
#   T and NK cells touch because they are relatives.
# - *Perplexity 4.* No cell jumps either, so the types are real here too. But a small change of its
#   data moves a cell six times as far as on the first map, and the singularity score is ten times
#   higher: cells are hardly held at their places. The little strings and clumps within a type
#   are chance. Do not name them; draw the map again with a larger perplexity.
# - *Torn B cells.* A quarter of the cells in both blue islands belong as well to the other one, and
#   most are dubious. The two islands are one type: this is not a new subtype of B cells.
#
# An island is no proof of a type, whatever the scores say. Look for marker genes that differ
# between the two sides before you name it.
