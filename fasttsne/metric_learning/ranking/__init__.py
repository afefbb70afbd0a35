"""Measures of rankings: (N)DCG with both gains, and measures of binary and graded relevance.

All are means over the orders of documents with equal scores. They take relevance and scores of one
query, of a matrix of queries, or of ragged queries with `groups` or `qid`, and return the mean over
the queries, or every query's value with ``per_query=True``.

Sources, which the functions name by author and year:

- Burges, C. et al. (2005). Learning to rank using gradient descent. ICML, 89-96.
- Chapelle, O., Metzler, D., Zhang, Y. and Grinspan, P. (2009). Expected reciprocal rank for graded
  relevance. CIKM, 621-630.
- Deshpande, M. and Karypis, G. (2004). Item-based top-N recommendation algorithms. ACM Transactions
  on Information Systems 22, 143-177.
- Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
  Statistics 6, 65-70.
- Jain, H., Prabhu, Y. and Varma, M. (2016). Extreme multi-label loss functions for recommendation,
  tagging, ranking and other missing label applications. KDD, 935-944.
- Järvelin, K. and Kekäläinen, J. (2002). Cumulated gain-based evaluation of IR techniques. ACM
  Transactions on Information Systems 20, 422-446.
- Manning, C., Raghavan, P. and Schütze, H. (2008). Introduction to Information Retrieval. Cambridge
  University Press.
- McSherry, F. and Najork, M. (2008). Computing information retrieval performance measures
  efficiently in the presence of tied scores. Advances in Information Retrieval, 414-421.
- Joachims, T., Swaminathan, A. and Schnabel, T. (2017). Unbiased learning-to-rank with biased
  feedback. WSDM, 781-789.
- Moffat, A. and Zobel, J. (2008). Rank-biased precision for measurement of retrieval effectiveness.
  ACM Transactions on Information Systems 27, 1-27.
- Musgrave, K., Belongie, S. and Lim, S.-N. (2020). A metric learning reality check. ECCV, 681-699.
- Robertson, S., Kanoulas, E. and Yilmaz, E. (2010). Extending average precision to graded relevance
  judgments. SIGIR, 603-610.
- Smucker, M., Allan, J. and Carterette, B. (2007). A comparison of statistical significance tests
  for information retrieval evaluation. CIKM, 623-632.
- Voorhees, E. (1999). The TREC-8 question answering track report. Proceedings of the 8th Text
  Retrieval Conference, 77-82.
- Webber, W., Moffat, A. and Zobel, J. (2010). A similarity measure for indefinite rankings. ACM
  Transactions on Information Systems 28, 1-38.
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
from fasttsne.metric_learning.ranking.clicks import estimate_propensity
from fasttsne.metric_learning.ranking.comparison import Comparison, compare
from fasttsne.metric_learning.ranking.graded import (
    expected_reciprocal_rank,
    graded_average_precision,
)
from fasttsne.metric_learning.ranking.ndcg import dcg_score, ndcg_score
from fasttsne.metric_learning.ranking.rank_biased import rank_biased_overlap, rank_biased_precision
from fasttsne.metric_learning.ranking.retrieval import RetrievalReport, retrieval_report
from fasttsne.metric_learning.ranking.runs import from_run
from fasttsne.metric_learning.ranking.scorer import ranking_scorer

__all__ = [
    "Comparison",
    "RetrievalReport",
    "average_precision",
    "compare",
    "dcg_score",
    "estimate_propensity",
    "expected_reciprocal_rank",
    "from_run",
    "graded_average_precision",
    "hit_rate",
    "map_at_r",
    "ndcg_score",
    "precision_at_k",
    "r_precision",
    "rank_biased_overlap",
    "rank_biased_precision",
    "ranking_scorer",
    "recall_at_k",
    "reciprocal_rank",
    "retrieval_report",
]
