"""
How far to believe a map
========================

A map of points that have no structure shows some all the same. The measures of
:mod:`fasttsne.quality` tell the difference, and :func:`fasttsne.plot.quality_map` where it lies.
"""

# %%
# A mixture like single cells: eight kinds of very different sizes, four of them close together,
# and some points in between that belong to none.
import numpy as np

from fasttsne import TSNE
from fasttsne.plot import history, quality_map, scatter
from fasttsne.quality import report

rng = np.random.default_rng(0)
names = ["T cell, CD4", "T cell, CD8", "T cell, regulatory", "natural killer cell"]
names += ["B cell", "monocyte", "dendritic cell", "platelet"]
centers = rng.normal(size=(8, 30)) * 2
centers[1:4] = centers[0] + rng.normal(size=(3, 30)) * 0.8
sizes = np.array([900, 600, 120, 300, 500, 700, 80, 40])
kind = np.repeat(np.arange(8), sizes)
X = centers[kind] + rng.normal(size=(len(kind), 30))
between = (X[:150] + X[-400:-250]) / 2
X = np.vstack([X, between])
labels = [names[k] for k in kind] + [None] * len(between)

tsne = TSNE(random_state=0).fit(X)
ax = scatter(tsne.embedding_, labels, title="eight kinds, and what is between")

# %%
# Areas say nothing of spread, and gaps nothing of distance: both come from how many points there
# are. What the map does keep, the report says.
print(report(X, tsne.embedding_, labels))

# %%
# Where it keeps less, points are dark.
ax = quality_map(X, tsne.embedding_)

# %%
# Noise without any structure has a map, too, and its clumps are chance. Its recall is hardly lower
# than above: within a kind those points are noise as well, and recall tells how far neighbours can
# be believed, not whether there are clusters.
noise = rng.normal(size=(1000, 30))
ax = quality_map(noise, TSNE(random_state=0).fit_transform(noise))

# %%
# The descent of the first map.
ax = history(tsne, title="the descent")
