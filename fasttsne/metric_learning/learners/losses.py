"""The losses of a learner by name, and checks of the arguments and results of any loss.

The loss of a batch is ``loss(E, classes, chance) -> (loss, gradient)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.random import RandomState

from fasttsne.metric_learning import losses
from fasttsne.metric_learning.checks import Floats, Indices, check_params
from fasttsne.metric_learning.mining import mine_pairs

BatchLoss = Callable[[Floats, Indices, RandomState], tuple[float, Floats]]
Mining = str | Callable[[Floats, Indices], Any] | None

LOSSES: dict[str, Callable[..., Any]] = {
    name.removesuffix("_loss"): getattr(losses, name)
    for name in losses.__all__
    if name != "softmax_loss"  # of logits, not of embeddings
}

# Mining strategies, the default first.
_MINING = {
    "triplet": ("easy", "all", "hard", "semihard", "random", "distance_weighted"),
    "contrastive": ("all", "hard", "easy", "random"),
}
# Arguments of a loss that the learner passes.
_NOT_PARAMS = ("labels", "pairs", "triplets", "mining", "similar_label", "random_state")


def check_loss(loss: str | Callable[..., Any], mining: Mining, params: Mapping[str, Any]) -> None:
    """Check that a loss knows this mining strategy and these parameters."""
    known = _MINING.get(loss, ()) if isinstance(loss, str) else ()
    if mining is not None and not known:
        choice = " or ".join(map(repr, _MINING))
        raise ValueError(f"mining={mining!r} needs loss={choice}; with loss={loss!r} it is None")
    if isinstance(mining, str) and mining not in known:
        choice = ", ".join(map(repr, known))
        raise ValueError(f"mining={mining!r} must be one of {choice} with loss={loss!r}")
    if isinstance(loss, str):
        check_params(loss, LOSSES[loss], params, _NOT_PARAMS, "loss_params: ")


def batch_loss(loss: str, mining: Any, params: Mapping[str, Any]) -> BatchLoss:
    """Return a loss by name, for arguments that passed `check_loss`."""
    function = LOSSES[loss]
    if loss in ("n_pair", "info_nce", "nt_xent"):
        return _of_rounds(_nt_xent if loss == "nt_xent" else function, params)
    if loss in _MINING:
        mining = mining or _MINING[loss][0]

    def of_batch(E: Floats, classes: Indices, chance: RandomState) -> tuple[float, Floats]:
        if callable(mining):
            listed = "triplets" if loss == "triplet" else "pairs"
            value, gradient = function(E, **{listed: mining(E, classes)}, **params)
        elif loss == "triplet":
            value, gradient = function(E, classes, mining=mining, random_state=chance, **params)
        elif mining in ("hard", "easy", "random"):
            pairs = mine_pairs(E, classes, mining, random_state=chance)
            value, gradient = function(E, pairs=pairs, **params)
        else:
            value, gradient = function(E, classes, **params)
        return value, gradient

    return of_batch


def _of_rounds(of_pairs: Callable[..., Any], params: Mapping[str, Any]) -> BatchLoss:
    """Return the mean over rounds with one pair of each class.

    These losses use all other pairs of their batch as negatives, so no two may share a class.
    """

    def of_rounds(E: Floats, classes: Indices, chance: RandomState) -> tuple[float, Floats]:
        total, gradient, n_rounds = 0.0, np.zeros_like(E), 0
        for first, second in _rounds(classes, chance):
            value, (by_first, by_second) = of_pairs(E[first], E[second], **params)
            total += value
            gradient[first] += by_first
            gradient[second] += by_second
            n_rounds += 1
        return total / max(n_rounds, 1), gradient / max(n_rounds, 1)

    return of_rounds


def _rounds(classes: Indices, chance: RandomState) -> Iterator[tuple[Indices, Indices]]:
    """Yield anchors and partners: two unused samples of every class that still has two."""
    order = chance.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    for turn in range(0, int(sizes.max()) - 1, 2):
        first = starts[sizes >= turn + 2] + turn
        if len(first) > 1:
            yield order[first], order[first + 1]


def _nt_xent(A: Floats, P: Floats, **params: Any) -> tuple[Any, Any]:
    pairs = np.arange(2 * len(A)).reshape(2, -1).T
    value, gradient = losses.nt_xent_loss(np.vstack([A, P]), pairs, **params)
    return value, np.split(gradient, 2)


def checked(result: Any, shape: tuple[int, ...], by: str) -> tuple[float, Floats]:
    """Return the checked result of a loss: a number, and a gradient of this shape."""
    value, gradient = result
    gradient = np.asarray(gradient, dtype=np.float64)
    if np.ndim(value) != 0 or gradient.shape != shape:
        raise ValueError(
            f"loss must return a number and a gradient in the shape of the {by}, {shape}; got "
            f"shapes {np.shape(value)} and {gradient.shape}"
        )
    return float(value), gradient
