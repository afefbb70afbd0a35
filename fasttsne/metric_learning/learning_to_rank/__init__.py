"""Losses of scores that rank documents, with gradients: pointwise, pairwise and listwise.

Each is ``loss(scores, relevance, groups=None, *, qid=None, document_weight=None, ...) -> (loss,
gradient)``. Scores are compared only within a query. Everything is computed in double precision;
the gradient has the shape and the precision of the scores.

====================  ============================  ==============================================
losses                are sums over                 functions
====================  ============================  ==============================================
pointwise             documents                     squared, logistic, ordinal loss
pairwise              pairs of different relevance  hinge, RankNet, LambdaRank
listwise              queries                       ListNet, ListMLE, ApproxNDCG, SoftRank
====================  ============================  ==============================================

``reduction="sum"`` is that sum. "mean" divides it by the number of its terms (1 if there are none).
"none" returns the part of every query; the gradient is then that of the sum. With ``hessian=True``
a third value is a diagonal of the Hessian that is not negative, as boosting needs it.

Sources, which the functions name by author and year:

- Burges, C. (2010). From RankNet to LambdaRank to LambdaMART: an overview. Microsoft Research
  Technical Report MSR-TR-2010-82.
- Burges, C. et al. (2005). Learning to rank using gradient descent. ICML, 89-96.
- Cao, Z., Qin, T., Liu, T.-Y., Tsai, M.-F. and Li, H. (2007). Learning to rank: from pairwise
  approach to listwise approach. ICML, 129-136.
- Cossock, D. and Zhang, T. (2006). Subset ranking using regression. COLT, 605-619.
- Efron, B. (1977). The efficiency of Cox's likelihood function for censored data. Journal of the
  American Statistical Association 72, 557-565.
- Herbrich, R., Graepel, T. and Obermayer, K. (2000). Large margin rank boundaries for ordinal
  regression. Advances in Large Margin Classifiers, 115-132.
- Joachims, T., Swaminathan, A. and Schnabel, T. (2017). Unbiased learning-to-rank with biased
  feedback. WSDM, 781-789.
- Nallapati, R. (2004). Discriminative models for information retrieval. SIGIR, 64-71.
- Qin, T., Liu, T.-Y. and Li, H. (2010). A general approximation framework for direct optimization
  of information retrieval measures. Information Retrieval 13, 375-397.
- Rennie, J. and Srebro, N. (2005). Loss functions for preference levels: regression with discrete
  ordered labels. IJCAI Workshop on Advances in Preference Handling, 180-186.
- Taylor, M., Guiver, J., Robertson, S. and Minka, T. (2008). SoftRank: optimizing non-smooth rank
  metrics. WSDM, 77-86.
- Xia, F., Liu, T.-Y., Wang, J., Zhang, W. and Li, H. (2008). Listwise approach to learning to rank:
  theory and algorithm. ICML, 1192-1199.
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
