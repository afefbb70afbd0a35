"""Losses of rankings by name, as a learner minimises them: of coefficients, with a penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.metric_learning import learning_to_rank
from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.learners.arguments import checked
from fasttsne.metric_learning.learners.training import Objective
from fasttsne.metric_learning.ranking import ndcg_score

LOSSES: dict[str, Callable[..., Any]] = {
    "squared": learning_to_rank.squared_loss,
    "logistic": learning_to_rank.logistic_loss,
    "ordinal": learning_to_rank.ordinal_loss,
    "hinge": learning_to_rank.hinge_loss,
    "ranknet": learning_to_rank.ranknet_loss,
    "lambdarank": learning_to_rank.lambdarank_loss,
    "listnet": learning_to_rank.listnet_loss,
    "listmle": learning_to_rank.listmle_loss,
    "approx_ndcg": learning_to_rank.approx_ndcg_loss,
    "soft_rank": learning_to_rank.soft_rank_loss,
}

# Scores as they are, and not only their differences, matter to these.
WITH_INTERCEPT = ("squared", "logistic")
# Those of LambdaRank are weighted by the present ranking: from one step to the next another
# objective, whose value tells nothing of progress.
CHANGING = ("lambdarank",)
# What L-BFGS cannot do: a hinge has corners.
NOT_SMOOTH = ("hinge", *CHANGING)
# Arguments that are the learner's to give.
OURS = {"groups", "thresholds", "reduction"}


@dataclass(frozen=True)
class Documents:
    """Standardised features of documents, (n_documents, n_features), query by query."""

    features: Floats
    relevance: Floats
    sizes: NDArray[np.int64]

    def take(self, queries: NDArray[np.int64]) -> Documents:
        """Take some of the queries, in the order given."""
        sizes = self.sizes[queries]
        firsts = (np.cumsum(self.sizes) - self.sizes)[queries]
        steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(firsts, sizes) + steps
        return Documents(self.features[places], self.relevance[places], sizes)


@dataclass(frozen=True)
class Task:
    """A loss with its penalty, as a function of coefficients and of what follows them.

    Attributes
    ----------
    loss : str or callable
        Its name, or a function of scores, relevance and groups.
    params : dict
        Its keyword arguments.
    alpha : float
        Weight of the penalty.
    levels : ndarray of shape (n_levels,)
        All values of relevance, sorted.
    """

    loss: str | Callable[..., Any]
    params: dict[str, Any]
    alpha: float
    levels: Floats

    def start(self, documents: Documents) -> Floats:
        """All parameters at the start: coefficients of 0; then an intercept, or thresholds."""
        n_thresholds = max(len(self.levels) - 1, 1) if self.loss == "ordinal" else 0
        n_more = 1 if self.loss in WITH_INTERCEPT else n_thresholds
        parameters = np.zeros(documents.features.shape[1] + n_more)
        if self.loss == "squared":
            parameters[-1] = documents.relevance.mean()
        return parameters

    def objective(self, documents: Documents) -> Objective:
        """Mean loss of these documents, plus the penalty, and the gradient."""
        n_features = documents.features.shape[1]

        def of_parameters(parameters: Floats) -> tuple[float, Floats]:
            w, rest = parameters[:n_features], parameters[n_features:]
            scores = documents.features @ w
            value, by_scores, by_rest = self._loss(scores, rest, documents)
            by_w = documents.features.T @ by_scores + self.alpha * w
            penalty = 0.5 * self.alpha * float(w @ w)
            return value + penalty, np.concatenate([by_w, by_rest])

        return of_parameters

    def ndcg(self, documents: Documents) -> Callable[[Floats], float]:
        """Mean NDCG of these documents; of "lambdarank" that which its weights are made of."""
        params: dict[str, Any] = {}
        if self.loss == "lambdarank":
            params = {"k": self.params.get("k"), "gain": self.params.get("gain", "exponential")}
        n_features = documents.features.shape[1]

        def of_parameters(parameters: Floats) -> float:
            scores = documents.features @ parameters[:n_features]
            ndcg = ndcg_score(documents.relevance, scores, groups=documents.sizes, **params)
            return float(ndcg)

        return of_parameters

    def _loss(
        self, scores: Floats, rest: Floats, documents: Documents
    ) -> tuple[float, Floats, Floats]:
        """Mean loss, and its derivatives by scores and by the rest of the parameters."""
        function = LOSSES[self.loss] if isinstance(self.loss, str) else self.loss
        relevance, sizes = documents.relevance, documents.sizes
        if self.loss == "ordinal":
            level = np.searchsorted(self.levels, relevance).astype(np.float64)
            value, (by_scores, by_rest) = function(scores, level, sizes, thresholds=rest)
            return value, by_scores, by_rest
        if self.loss == "lambdarank":
            value, by_scores = function(scores, relevance, sizes, reduction="sum", **self.params)
            return value / len(sizes), by_scores / len(sizes), rest
        if self.loss in WITH_INTERCEPT:
            value, by_scores = function(scores + rest[0], relevance, sizes, **self.params)
            return value, by_scores, by_scores.sum(keepdims=True)
        result = function(scores, relevance, sizes, **self.params)
        return *checked(result, scores.shape, "scores"), rest
