"""Measures of how well a map keeps neighbourhoods, classes, distances and similarities.

`report` computes most of them in one pass and prints a table. The measures alone:

- neighbourhoods of one size: `trustworthiness`, `continuity`, `neighbor_recall`,
  `neighborhood_ndcg`;
- neighbourhoods of every size: `q_nx`, `r_nx`, `r_nx_auc`;
- classes: `knn_accuracy`;
- distances: `distance_correlation`, `scale_free_stress`, `triplet_accuracy`, `centroid_recall`;
- local radii: `density_correlation`;
- the objective of t-SNE: `kl_divergence`;
- single points: `reliability`, `stability`;
- perplexities: `choose_perplexity`.

Memory grows with the number of points, not with its square. To save time, ``sample=`` evaluates
some of the points, each against all others. Neighbours are exact; above 100,000 pairs or triplets
the measures of distances use random ones. Every measure is computed from data and map alone, not
from what an estimator reports. `reliability` fits a map of permuted data; `choose_perplexity`, and
`stability` of data, fit the maps that they compare.
"""

from fasttsne.quality.arrangement import centroid_recall, scale_free_stress, triplet_accuracy
from fasttsne.quality.classes import knn_accuracy
from fasttsne.quality.correlation import distance_correlation
from fasttsne.quality.curves import q_nx, r_nx, r_nx_auc
from fasttsne.quality.density import density_correlation
from fasttsne.quality.kl import kl_divergence
from fasttsne.quality.neighborhoods import (
    continuity,
    neighbor_recall,
    neighborhood_ndcg,
    trustworthiness,
)
from fasttsne.quality.perplexity import PerplexityChoice, choose_perplexity
from fasttsne.quality.reliability import Reliability, reliability
from fasttsne.quality.report import Report, report  # the name `report` is the function
from fasttsne.quality.stability import Stability, stability

__all__ = [
    "PerplexityChoice",
    "Reliability",
    "Report",
    "Stability",
    "centroid_recall",
    "choose_perplexity",
    "continuity",
    "density_correlation",
    "distance_correlation",
    "kl_divergence",
    "knn_accuracy",
    "neighbor_recall",
    "neighborhood_ndcg",
    "q_nx",
    "r_nx",
    "r_nx_auc",
    "reliability",
    "report",
    "scale_free_stress",
    "stability",
    "triplet_accuracy",
    "trustworthiness",
]
