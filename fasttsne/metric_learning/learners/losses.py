"""Losses of embeddings by name, as a learner calls them: a batch and its classes in, pairs inside.

Each is ``objective(E, classes, chance) -> (loss, gradient)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.metric_learning import losses
from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.learners.arguments import check_params
from fasttsne.metric_learning.mining import mine_pairs, mine_triplets

Classes = NDArray[np.int64]
Objective = Callable[[Floats, Classes, np.random.RandomState], tuple[float, Floats]]
Mining = str | Callable[[Floats, Classes], Any] | None

LOSSES: dict[str, Callable[..., Any]] = {
    "triplet": losses.triplet_loss,
    "contrastive": losses.contrastive_loss,
    "n_pair": losses.n_pair_loss,
    "info_nce": losses.info_nce_loss,
    "nt_xent": losses.nt_xent_loss,
    "supervised_contrastive": losses.supervised_contrastive_loss,
    "lifted_structure": losses.lifted_structure_loss,
    "multi_similarity": losses.multi_similarity_loss,
    "proxy": losses.proxy_loss,
}

# Ways to mine, the first where none is given, and those for which the loss needs no list.
_MINING = {
    "triplet": ("easy", "all", "hard", "semihard", "random", "distance_weighted"),
    "contrastive": ("all", "hard", "easy", "random"),
}
_WITHOUT_LIST = {"triplet": ("all", "hard", "semihard"), "contrastive": ("all",)}
_MINERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "triplet": ("triplets", mine_triplets),
    "contrastive": ("pairs", mine_pairs),
}
# Arguments that are the learner's to give.
_OURS = ("labels", "pairs", "triplets", "mining", "similar_label", "random_state")


def check_loss(loss: str | Callable[..., Any], mining: Mining, params: Mapping[str, Any]) -> None:
    """Refuse ways to mine, or parameters, that a loss does not have.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    known = _MINING.get(loss, ()) if isinstance(loss, str) else ()
    if mining is not None and not known:
        choice = " or ".join(map(repr, _MINING))
        raise ValueError(f"mining={mining!r} needs loss={choice}; with loss={loss!r} it is None")
    if isinstance(mining, str) and mining not in known:
        choice = ", ".join(map(repr, known))
        raise ValueError(f"mining={mining!r} must be one of {choice} with loss={loss!r}")
    if isinstance(loss, str):
        check_params(loss, LOSSES[loss], params, _OURS)


def objective(loss: str, mining: Mining, params: Mapping[str, Any]) -> Objective:
    """Choose a loss that has nothing of its own to learn; `check_loss` has seen the arguments."""
    if loss in _MINING:
        mining = mining or _MINING[loss][0]
        if mining not in _WITHOUT_LIST[loss]:
            return _mined(loss, mining, params)
        if loss == "triplet":
            params = {**params, "mining": mining}
    if loss in ("n_pair", "info_nce", "nt_xent"):
        return _of_rounds(_nt_xent if loss == "nt_xent" else LOSSES[loss], params)

    def plain(E: Floats, classes: Classes, _: np.random.RandomState) -> tuple[float, Floats]:
        value, gradient = LOSSES[loss](E, classes, **params)
        return value, gradient

    return plain


def _mined(loss: str, mining: Any, params: Mapping[str, Any]) -> Objective:
    """Loss of a list of triplets or pairs, chosen anew for every batch."""
    listed, mine = _MINERS[loss]

    def mined(E: Floats, classes: Classes, chance: np.random.RandomState) -> tuple[float, Floats]:
        if callable(mining):
            found = mining(E, classes)
        else:
            found = mine(E, classes, strategy=mining, random_state=chance)
        value, gradient = LOSSES[loss](E, **{listed: found}, **params)
        return value, gradient

    return mined


def _of_rounds(of_pairs: Callable[..., Any], params: Mapping[str, Any]) -> Objective:
    """Mean over rounds with one pair of each class.

    For a loss that takes all other pairs of its batch for negatives, other pairs of the same class
    would be wrong ones.
    """

    def of_rounds(
        E: Floats, classes: Classes, chance: np.random.RandomState
    ) -> tuple[float, Floats]:
        total, gradient, n_rounds = 0.0, np.zeros_like(E), 0
        for first, second in _rounds(classes, chance):
            value, (by_first, by_second) = of_pairs(E[first], E[second], **params)
            total += value
            gradient[first] += by_first
            gradient[second] += by_second
            n_rounds += 1
        return total / max(n_rounds, 1), gradient / max(n_rounds, 1)

    return of_rounds


def _rounds(
    classes: Classes, chance: np.random.RandomState
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Anchors and partners: of every class that still has two samples, two that had no turn."""
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
