"""The loss of many queries from the losses of blocks of queries, for every ranking loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning.checks import Floats, Loss, Reduction, reduced, same_type
from fasttsne.metric_learning.queries import Block, as_queries
from fasttsne.metric_learning.ranking.ndcg import Gain, ideal_dcg, relative_gain

# The losses of a block's queries, the numbers of their terms, and the gradient by the scores.
Part = tuple[Floats, Floats | float, Floats]


def loss_of_queries(
    scores: ArrayLike,
    relevance: ArrayLike,
    groups: ArrayLike | None,
    part: Callable[[Block], Part],
    reduction: Reduction,
    *,
    of_pairs: bool = False,
) -> Loss:
    """Return the reduced loss of all queries, `part` being that of a block, and its gradient."""
    queries = as_queries(relevance, scores, groups, names=("relevance", "scores"))
    losses, gradient = np.empty(len(queries)), np.empty(queries.scores.size)
    n_terms = 0.0
    for block in queries.blocks(of_pairs=of_pairs):
        block_losses, terms, block_gradient = part(block)
        losses[block.queries] = block_losses
        block.put(block_gradient, into=gradient)
        n_terms += float(np.sum(np.broadcast_to(terms, block_losses.shape)))
    loss, count = reduced(losses, reduction, n_terms)
    gradient /= count
    return loss, same_type(gradient.reshape(np.shape(scores)), scores)


def differences(values: Floats) -> Floats:
    """Return v_i - v_j of every query, (n_queries, size, size)."""
    return values[:, :, np.newaxis] - values[:, np.newaxis, :]


def normalized_gain(block: Block, k: int | None, gain: Gain) -> Floats:
    """Return gains divided by the ideal DCG; 0 for queries without gain."""
    gains = relative_gain(block.relevance, gain)
    best = ideal_dcg(gains, k)
    return gains / np.where(best > 0.0, best, 1.0)[:, np.newaxis]
