"""How well a map keeps what the data say: neighbourhoods, classes, similarities.

`report` computes what most people want to know, in one pass, and prints it as a table. The
measures by themselves:

- neighbourhoods of one size: `trustworthiness`, `continuity`, `neighbor_recall`,
  `neighborhood_ndcg`;
- neighbourhoods of every size: `q_nx`, `r_nx`, `r_nx_auc`;
- classes: `knn_accuracy`;
- distances: `distance_correlation`;
- the objective of t-SNE: `kl_divergence`.

All are exact, for any number of points: memory grows with the number of points, not with its
square. Where time does not allow that, ``sample=`` judges some of the points, each of them still
against all others. None of them trusts a figure that the estimator reports about itself.
"""

from fasttsne.quality.classes import knn_accuracy
from fasttsne.quality.correlation import distance_correlation
from fasttsne.quality.curves import q_nx, r_nx, r_nx_auc
from fasttsne.quality.kl import kl_divergence
from fasttsne.quality.neighborhoods import (
    continuity,
    neighbor_recall,
    neighborhood_ndcg,
    trustworthiness,
)
from fasttsne.quality.report import Report, report

__all__ = [
    "Report",
    "continuity",
    "distance_correlation",
    "kl_divergence",
    "knn_accuracy",
    "neighbor_recall",
    "neighborhood_ndcg",
    "q_nx",
    "r_nx",
    "r_nx_auc",
    "report",
    "trustworthiness",
]
