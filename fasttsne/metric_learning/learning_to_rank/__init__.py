"""Losses of scores that rank documents, with gradients: pointwise, pairwise and listwise.

Each is ``loss(scores, relevance, groups=None, ...) -> (loss, gradient)``. Scores are compared only
within a query. Everything is computed in double precision; the gradient has the shape and the
precision of the scores.

====================  ============================  ==============================================
losses                are sums over                 functions
====================  ============================  ==============================================
pointwise             documents                     squared, logistic, ordinal loss
pairwise              pairs of different relevance  hinge, RankNet, LambdaRank
listwise              queries                       ListNet, ListMLE, ApproxNDCG, SoftRank
====================  ============================  ==============================================

``reduction="sum"`` is that sum. "mean" divides it by the number of its terms (1 if there are none).
"none" returns the part of every query; the gradient is then that of the sum.
"""

from fasttsne.metric_learning.learning_to_rank.listwise import (
    approx_ndcg_loss,
    listmle_loss,
    listnet_loss,
    soft_rank_loss,
)
from fasttsne.metric_learning.learning_to_rank.pairwise import (
    hinge_loss,
    lambdarank_loss,
    ranknet_loss,
)
from fasttsne.metric_learning.learning_to_rank.pointwise import (
    logistic_loss,
    ordinal_loss,
    squared_loss,
)

__all__ = [
    "approx_ndcg_loss",
    "hinge_loss",
    "lambdarank_loss",
    "listmle_loss",
    "listnet_loss",
    "logistic_loss",
    "ordinal_loss",
    "ranknet_loss",
    "soft_rank_loss",
    "squared_loss",
]
