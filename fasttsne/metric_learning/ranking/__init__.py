"""Measures of rankings: (N)DCG with both gains and fair ties, and measures of binary relevance.

All take relevance and scores of one query, of a matrix of queries, or of ragged queries with
`groups`. They return the mean over the queries, or every query's value with ``per_query=True``.
"""

from fasttsne.metric_learning.ranking.binary import (
    average_precision,
    hit_rate,
    map_at_r,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from fasttsne.metric_learning.ranking.ndcg import dcg_score, ndcg_score

__all__ = [
    "average_precision",
    "dcg_score",
    "hit_rate",
    "map_at_r",
    "ndcg_score",
    "precision_at_k",
    "r_precision",
    "recall_at_k",
    "reciprocal_rank",
]
