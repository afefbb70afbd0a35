"""Losses of embeddings and their gradients: pairs, triplets, and softmaxes over a batch.

Each is ``loss(...) -> (loss, gradient)``, with one gradient per input of embeddings. For all:

- Embeddings are rows of finite numbers. Gradients have the shape and precision of their input.
- Labels have any type, and none is missing.
- ``reduction="sum"`` adds up the terms of a loss. "mean" divides the sum by their number, and
  "mean_nonzero" by the number of terms that are not 0. "none" returns the terms, or their sum per
  sample where the function says so; the gradient is then that of the sum of all terms.
- Without terms, loss and gradient are 0.

Sources, which the functions and `mining` name by author and year:

- Chen, T., Kornblith, S., Norouzi, M. and Hinton, G. (2020). A simple framework for contrastive
  learning of visual representations. ICML, 1597-1607.
- Hadsell, R., Chopra, S. and LeCun, Y. (2006). Dimensionality reduction by learning an invariant
  mapping. CVPR, 1735-1742.
- Hermans, A., Beyer, L. and Leibe, B. (2017). In defense of the triplet loss for person
  re-identification. arXiv:1703.07737.
- Khosla, P. et al. (2020). Supervised contrastive learning. NeurIPS 33, 18661-18673.
- Movshovitz-Attias, Y., Toshev, A., Leung, T., Ioffe, S. and Singh, S. (2017). No fuss distance
  metric learning using proxies. ICCV, 360-368.
- Schroff, F., Kalenichenko, D. and Philbin, J. (2015). FaceNet: a unified embedding for face
  recognition and clustering. CVPR, 815-823.
- Sohn, K. (2016). Improved deep metric learning with multi-class N-pair loss objective. NeurIPS 29,
  1857-1865.
- Song, H. O., Xiang, Y., Jegelka, S. and Savarese, S. (2016). Deep metric learning via lifted
  structured feature embedding. CVPR, 4004-4012.
- van den Oord, A., Li, Y. and Vinyals, O. (2018). Representation learning with contrastive
  predictive coding. arXiv:1807.03748.
- Wang, X., Han, X., Huang, W., Dong, D. and Scott, M. (2019). Multi-similarity loss with general
  pair weighting for deep metric learning. CVPR, 5022-5030.
- Wu, C.-Y., Manmatha, R., Smola, A. and Krähenbühl, P. (2017). Sampling matters in deep embedding
  learning. ICCV, 2840-2848.
- Xuan, H., Stylianou, A. and Pless, R. (2020). Improved embeddings with easy positive triplet
  mining. WACV, 2474-2482.
"""

from fasttsne.metric_learning.losses.pairs import (
    contrastive_loss,
    lifted_structure_loss,
    multi_similarity_loss,
)
from fasttsne.metric_learning.losses.softmax import (
    info_nce_loss,
    n_pair_loss,
    nt_xent_loss,
    proxy_loss,
    softmax_loss,
    supervised_contrastive_loss,
)
from fasttsne.metric_learning.losses.triplets import triplet_loss

__all__ = [
    "contrastive_loss",
    "info_nce_loss",
    "lifted_structure_loss",
    "multi_similarity_loss",
    "n_pair_loss",
    "nt_xent_loss",
    "proxy_loss",
    "softmax_loss",
    "supervised_contrastive_loss",
    "triplet_loss",
]
