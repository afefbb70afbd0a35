"""Losses of embeddings with their gradients: pairs, triplets, and the softmax over a batch.

Each is ``loss(...) -> (loss, gradient)``, the gradient in the shape of the embeddings, or a tuple
of gradients for several inputs. Where there is nothing to learn from, both are 0.
"""

from fasttsne.metric_learning.losses.pairs import contrastive_loss
from fasttsne.metric_learning.losses.softmax import (
    info_nce_loss,
    n_pair_loss,
    nt_xent_loss,
    proxy_loss,
    softmax_loss,
    supervised_contrastive_loss,
)
from fasttsne.metric_learning.losses.structured import lifted_structure_loss, multi_similarity_loss
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
