"""Losses of embeddings and their gradients: pairs, triplets, and softmaxes over a batch.

Each is ``loss(...) -> (loss, gradient)``, with one gradient per input of embeddings. For all:

- Embeddings are rows of finite numbers. Gradients have the shape and precision of their input.
- Labels have any type, and none is missing.
- ``reduction="sum"`` adds up the terms of a loss. "mean" divides the sum by their number, and
  "mean_nonzero" by the number of terms that are not 0. "none" returns the terms, or their sum per
  sample where the function says so; the gradient is then that of the sum of all terms.
- Without terms, loss and gradient are 0.
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
