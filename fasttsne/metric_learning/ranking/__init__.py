"""Measures of rankings: (N)DCG with both gains, and measures of binary relevance.

All are means over the orders of documents with equal scores. They take relevance and scores of one
query, of a matrix of queries, or of ragged queries with `groups`, and return the mean over the
queries, or every query's value with ``per_query=True``.

Sources, which the functions name by author and year:

- Burges, C. et al. (2005). Learning to rank using gradient descent. ICML, 89-96.
- Deshpande, M. and Karypis, G. (2004). Item-based top-N recommendation algorithms. ACM Transactions
  on Information Systems 22, 143-177.
- Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR techniques. ACM
  Transactions on Information Systems 20, 422-446.
- Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information Retrieval. Cambridge
  University Press.
- McSherry, F. and Najork, M. (2008). Computing information retrieval performance measures
  efficiently in the presence of tied scores. Advances in Information Retrieval, 414-421.
- Musgrave, K., Belongie, S. and Lim, S.-N. (2020). A metric learning reality check. ECCV, 681-699.
- Voorhees, E. (1999). The TREC-8 question answering track report. Proceedings of the 8th Text
  Retrieval Conference, 77-82.
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
