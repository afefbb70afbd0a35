"""Losses of embeddings by name, as a learner calls them: a batch and its classes in, pairs inside.

Each is ``objective(E, classes, chance) -> (loss, gradient)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.metric_learning import losses
from fasttsne.metric_learning.batches import Floats
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

# Ways to mine, the first where none is given. What the triplet loss mines by itself takes no list.
_MINING = {
    "triplet": ("easy", "all", "hard", "semihard", "random", "distance_weighted"),
    "contrastive": ("all", "hard", "easy", "random"),
}
_WITHOUT_LIST = {"triplet": ("all", "hard", "semihard"), "contrastive": ("all",)}
# Arguments that are the learner's to give.
_OURS = {"labels", "pairs", "triplets", "mining", "similar_label"}


def check_loss(loss: str | Callable[..., Any], mining: Mining, params: Mapping[str, Any]) -> None:
    """Refuse ways to mine, or parameters, that a loss does not have.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    name = loss if isinstance(loss, str) else "a function"
    known = _MINING.get(name, ())
    if mining is not None and not known:
        choice = " or ".join(map(repr, _MINING))
        raise ValueError(f"mining={mining!r} needs loss={choice}; with loss={loss!r} it is None")
    if isinstance(mining, str) and mining not in known:
        choice = ", ".join(map(repr, known))
        raise ValueError(f"mining={mining!r} must be one of {choice} with loss={loss!r}")
    if isinstance(loss, str):
        keywords = [
            parameter.name
            for parameter in inspect.signature(LOSSES[loss]).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in _OURS
        ]
        unknown = sorted(set(params) - set(keywords))
        if unknown:
            raise ValueError(
                f"loss_params has {', '.join(map(repr, unknown))}, which loss={loss!r} does not; "
                f"it has {', '.join(map(repr, keywords))}"
            )


def objective(loss: str, mining: Mining, params: Mapping[str, Any]) -> Objective:
    """Choose a loss that has no parameters of its own to learn, and check nothing."""
    function = LOSSES[loss]
    if loss in ("triplet", "contrastive"):
        return _mined(function, mining or _MINING[loss][0], params, _WITHOUT_LIST[loss])
    if loss in ("n_pair", "info_nce", "nt_xent"):
        return _of_rounds(_nt_xent if loss == "nt_xent" else _halves(function), params)

    def plain(E: Floats, classes: Classes, _: np.random.RandomState) -> tuple[float, Floats]:
        value, gradient = function(E, classes, **params)
        return float(np.sum(value)), gradient

    return plain


def _mined(
    function: Callable[..., Any],
    mining: str | Callable[[Floats, Classes], Any],
    params: Mapping[str, Any],
    without_list: tuple[str, ...],
) -> Objective:
    triplets = function is losses.triplet_loss
    miner = mine_triplets if triplets else mine_pairs

    def mined(E: Floats, classes: Classes, chance: np.random.RandomState) -> tuple[float, Floats]:
        if mining in without_list:
            arguments = {"labels": classes, **({"mining": mining} if triplets else {})}
        else:
            if callable(mining):
                found = mining(E, classes)
            else:
                found = miner(E, classes, strategy=mining, random_state=chance)  # type: ignore[operator]
            arguments = {"triplets" if triplets else "pairs": found}
        value, gradient = function(E, **arguments, **params)
        return float(np.sum(value)), gradient

    return mined


def _of_rounds(
    of_pairs: Callable[[Floats, Floats, Mapping[str, Any]], tuple[float, Floats, Floats]],
    params: Mapping[str, Any],
) -> Objective:
    """Mean over rounds with one pair of each class.

    For a loss that takes all other pairs of its batch for negatives, other pairs of the same class
    would be wrong ones.
    """

    def of_rounds(
        E: Floats, classes: Classes, chance: np.random.RandomState
    ) -> tuple[float, Floats]:
        total, gradient, n_rounds = 0.0, np.zeros_like(E), 0
        for first, second in _rounds(classes, chance):
            value, by_first, by_second = of_pairs(E[first], E[second], params)
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
    ranked = classes[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    sizes = np.diff(starts, append=len(ranked))
    for number in range(int(sizes.max()) // 2):
        first = starts[sizes >= 2 * number + 2] + 2 * number
        if len(first) > 1:
            yield order[first], order[first + 1]


def _halves(
    function: Callable[..., Any],
) -> Callable[[Floats, Floats, Mapping[str, Any]], tuple[float, Floats, Floats]]:
    def of_pairs(
        A: Floats, P: Floats, params: Mapping[str, Any]
    ) -> tuple[float, Floats, Floats]:
        value, (by_anchors, by_positives) = function(A, P, **params)
        return float(np.sum(value)), by_anchors, by_positives

    return of_pairs


def _nt_xent(A: Floats, P: Floats, params: Mapping[str, Any]) -> tuple[float, Floats, Floats]:
    pairs = np.arange(2 * len(A)).reshape(2, -1).T
    value, gradient = losses.nt_xent_loss(np.vstack([A, P]), pairs, **params)
    by_anchors, by_positives = np.split(gradient, 2)
    return float(np.sum(value)), by_anchors, by_positives
