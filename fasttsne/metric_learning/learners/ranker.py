"""A linear ranker: scores whose order within a query is that of relevance."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning import learning_to_rank
from fasttsne.metric_learning.batches import Floats
from fasttsne.metric_learning.learners.features import standard_scaling
from fasttsne.metric_learning.learners.training import (
    History,
    Log,
    Objective,
    Schedule,
    descend,
)
from fasttsne.metric_learning.queries import as_queries
from fasttsne.metric_learning.ranking import Gain, ndcg_score
from fasttsne.threads import single_threaded_blas

__all__ = ["LinearRanker"]

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
_WITH_INTERCEPT = ("squared", "logistic")
# What L-BFGS cannot do: a hinge has corners, and the weights of LambdaRank change under way.
_NOT_SMOOTH = ("hinge", "lambdarank")
# Arguments that are the learner's to give.
_OURS = {"groups", "thresholds", "reduction"}


class LinearRanker(BaseEstimator):
    """Ranks documents by a weighted sum of their features, trained on any loss of ranking.

    Minimises the loss plus alpha / 2 |w|^2, w the coefficients of standardised features.

    Parameters
    ----------
    loss : str or callable, default="lambdarank"
        Pointwise "squared", "logistic", "ordinal"; pairwise "hinge", "ranknet", "lambdarank";
        listwise "listnet", "listmle", "approx_ndcg", "soft_rank": those of
        `fasttsne.metric_learning.learning_to_rank`. Or a function ``loss(scores, relevance,
        groups, **loss_params) -> (loss, gradient)``.
    alpha : float, default=0.1
        Weight of the penalty, beside a loss that is a mean over documents, pairs or queries, as
        the loss has it; for "lambdarank" over queries, since the weights of a query's pairs make
        these comparable.
    loss_params : dict, default=None
        Keyword arguments of the loss, such as ``{"k": 10}`` or ``{"sigma": 2.0}``.
    solver : {"auto", "lbfgs", "adam"}, default="auto"
        L-BFGS on all queries at once, for smooth losses; or Adam on batches of queries, for any.
        "auto" is the former wherever it is possible, and the latter with `early_stopping`.
    max_iter : int, default=200
        Iterations or epochs at the most. Adam's steps shrink to 0 on the way.
    tol : float, default=1e-5
        L-BFGS stops when no entry of the gradient is larger. Adam stops after `n_iter_no_change`
        epochs in which the objective, or with `early_stopping` the score, has not improved by
        more.
    batch_size : int, default=64
        Queries of a batch, for Adam.
    learning_rate : float, default=0.003
        Length of Adam's first steps, in coefficients of standardised features.
    early_stopping : bool, default=False
        Whether to set queries aside, and to return the coefficients of the epoch whose NDCG on
        them was highest.
    validation_fraction : float, default=0.1
        Share of the queries that `early_stopping` sets aside.
    n_iter_no_change : int, default=10
        See `tol`.
    random_state : int, RandomState instance or None, default=None
        Source of batches, and of the queries set aside.
    verbose : bool, default=False
        Print a line an epoch.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of features as they are given.
    intercept_ : float
        What is added to all scores: makes them estimates of relevance or log odds for "squared"
        and "logistic". For others only the order counts, and the mean document scores 0.
    thresholds_ : ndarray of shape (n_levels - 1,)
        Only with "ordinal": the scores at which levels of relevance meet.
    history_ : dict of str to list of float
        "loss", the objective of each iteration or the mean of each epoch; with `early_stopping`
        also "validation_score".
    n_iter_ : int
        Iterations or epochs done.
    n_features_in_ : int
        Features of the training documents.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they have any that are all strings.

    See Also
    --------
    fasttsne.metric_learning.ndcg_score : What `score` computes.

    Notes
    -----
    A constant feature has a coefficient of 0. Where no query has documents of unlike relevance,
    pairwise losses leave all coefficients at 0.

    References
    ----------
    .. [1] Liu, T.-Y. (2009). Learning to rank for information retrieval. Foundations and Trends in
       Information Retrieval 3, 225-331.

    Examples
    --------
    >>> from fasttsne.metric_learning.learners import LinearRanker
    >>> X = [[3.0, 1.0], [2.0, 5.0], [1.0, 2.0], [9.0, 4.0], [8.0, 2.0]]
    >>> ranker = LinearRanker(random_state=0).fit(X, [2, 1, 0, 1, 0], groups=[3, 2])
    >>> ranker.predict(X).round(1).shape
    (5,)
    >>> ranker.score(X, [2, 1, 0, 1, 0], groups=[3, 2], k=5)
    1.0
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "loss": [StrOptions(set(LOSSES)), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "loss_params": [dict, None],
        "solver": [StrOptions({"auto", "lbfgs", "adam"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        loss: str | Callable[..., Any] = "lambdarank",
        *,
        alpha: float = 0.1,
        loss_params: Mapping[str, Any] | None = None,
        solver: str = "auto",
        max_iter: int = 200,
        tol: float = 1e-5,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.loss_params = loss_params
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> LinearRanker:
        """Learn the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_documents, n_features)
            Documents, query by query.
        y : array-like of shape (n_documents,)
            Their relevance, at least 0.
        groups : array-like of int, shape (n_queries,), default=None
            How many documents each query has; None takes all for one query.

        Returns
        -------
        self : LinearRanker
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, relevance is negative, shapes disagree, the sizes in
            `groups` do not sum to the number of documents, or a parameter is out of range.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        sizes = as_queries(y, np.zeros(len(X)), groups, names=("y", "X")).sizes
        self._check_loss()
        solver = self._solver()
        chance = check_random_state(self.random_state)
        scaling = standard_scaling(X)
        with single_threaded_blas():
            documents = _Documents(scaling(X), np.asarray(y, dtype=np.float64), sizes)
            task = self._task(documents.relevance)
            if solver == "lbfgs":
                found, self.history_ = self._by_lbfgs(documents, task)
            else:
                found, self.history_ = self._by_adam(documents, task, chance)
        n_features = X.shape[1]
        self.coef_ = scaling.per_unit(found[:n_features])
        self.intercept_ = float(-(self.coef_ @ scaling.mean))
        if task.has_intercept:
            self.intercept_ += float(found[-1])
        if self.loss == "ordinal":
            self.thresholds_ = found[n_features:]
        self.n_iter_ = len(self.history_["loss"])
        return self

    def predict(self, X: Any) -> Floats:
        """Score documents; within a query, higher ranks first.

        Parameters
        ----------
        X : array-like of shape (n_documents, n_features)
            Documents.

        Returns
        -------
        scores : ndarray of shape (n_documents,)
            X coef_ + intercept_.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores: Floats = X @ self.coef_ + self.intercept_
        return scores

    def score(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        *,
        k: int | None = None,
        gain: Gain = "linear",
    ) -> float:
        """Mean NDCG of the queries, ranked by `predict`.

        Parameters
        ----------
        X : array-like of shape (n_documents, n_features)
            Documents, query by query.
        y : array-like of shape (n_documents,)
            Their relevance, at least 0.
        groups : array-like of int, shape (n_queries,), default=None
            How many documents each query has; None takes all for one query.
        k : int, default=None
            Only the first `k` ranks count.
        gain : {"linear", "exponential"} or callable, default="linear"
            As in `fasttsne.metric_learning.ndcg_score`.

        Returns
        -------
        ndcg : float
            Between 0 and 1.

        Raises
        ------
        ValueError
            As `fit`; also if `k` is not a positive integer.
        """
        return float(ndcg_score(y, self.predict(X), groups=groups, k=k, gain=gain))

    # ---- What is minimised ------------------------------------------------------------------

    def _check_loss(self) -> None:
        if not isinstance(self.loss, str):
            return
        parameters = inspect.signature(LOSSES[self.loss]).parameters.values()
        known = [
            p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _OURS
        ]
        unknown = sorted(set(self.loss_params or {}) - set(known))
        if unknown:
            raise ValueError(
                f"loss_params has {', '.join(map(repr, unknown))}, which loss={self.loss!r} does "
                f"not; it has {', '.join(map(repr, known)) or 'none'}"
            )

    def _solver(self) -> Literal["lbfgs", "adam"]:
        smooth = isinstance(self.loss, str) and self.loss not in _NOT_SMOOTH
        if self.solver == "lbfgs" and not smooth:
            raise ValueError(f"solver='lbfgs' needs a smooth loss; take 'adam' for {self.loss!r}")
        if self.solver == "lbfgs" and self.early_stopping:
            raise ValueError("early_stopping needs solver='adam': L-BFGS takes all queries at once")
        by_lbfgs = smooth and not self.early_stopping and self.solver != "adam"
        return "lbfgs" if by_lbfgs else "adam"

    def _task(self, relevance: Floats) -> _Task:
        start, params = np.zeros(0), dict(self.loss_params or {})
        if self.loss in _WITH_INTERCEPT:
            start = np.array([relevance.mean() if self.loss == "squared" else 0.0])
        levels = None
        if self.loss == "ordinal":
            levels = np.unique(relevance)
            start = np.zeros(max(len(levels) - 1, 1))
        function = LOSSES[self.loss] if isinstance(self.loss, str) else self.loss
        return _Task(
            function, params, self.alpha, start, self.loss in _WITH_INTERCEPT, levels
        )

    # ---- How --------------------------------------------------------------------------------

    def _by_lbfgs(self, documents: _Documents, task: _Task) -> tuple[Floats, History]:
        log = Log(type(self).__name__, bool(self.verbose))
        objective = task.objective(documents)
        last = [np.inf]

        def remembered(parameters: Floats) -> tuple[float, Floats]:
            last[0], gradient = objective(parameters)
            return last[0], gradient

        result = minimize(
            remembered,
            task.start(documents),
            jac=True,
            method="L-BFGS-B",
            callback=lambda _: log.add(loss=last[0]),
            options={"maxiter": self.max_iter, "gtol": self.tol, "ftol": 0.0},
        )
        if not log.history:  # it starts at the minimum
            log.add(loss=float(result.fun))
        if result.status == 1:
            warnings.warn(
                f"L-BFGS has not converged after {result.nit} iterations; raise max_iter="
                f"{self.max_iter}, tol={self.tol} or alpha={self.alpha}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return result.x, log.history

    def _by_adam(
        self, documents: _Documents, task: _Task, chance: np.random.RandomState
    ) -> tuple[Floats, History]:
        n_queries = len(documents.sizes)
        kept, score = np.arange(n_queries), None
        if self.early_stopping:
            if n_queries < 2:
                raise ValueError(
                    "early_stopping sets queries aside and needs at least 2, told by groups; set "
                    "early_stopping=False"
                )
            shuffled = chance.permutation(n_queries)
            n_aside = min(max(1, round(self.validation_fraction * n_queries)), n_queries - 1)
            aside, kept = documents.take(shuffled[:n_aside]), np.sort(shuffled[n_aside:])
            score = aside.ndcg

        def epoch() -> Iterator[Objective]:
            order = kept[chance.permutation(len(kept))]
            for first in range(0, len(order), self.batch_size):
                yield task.objective(documents.take(order[first : first + self.batch_size]))

        schedule = Schedule(
            self.learning_rate, self.max_iter, self.n_iter_no_change, self.tol, bool(self.verbose)
        )
        return descend(task.start(documents), epoch, schedule, type(self).__name__, score)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that relevance is needed, and is not negative."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.positive_only = True
        return tags


@dataclass(frozen=True)
class _Documents:
    """Standardised features of documents, (n_documents, n_features), query by query."""

    features: Floats
    relevance: Floats
    sizes: NDArray[np.int64]

    def take(self, queries: NDArray[np.int64]) -> _Documents:
        """Take some of the queries, in the order given."""
        sizes = self.sizes[queries]
        firsts = (np.cumsum(self.sizes) - self.sizes)[queries]
        steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(firsts, sizes) + steps
        return _Documents(self.features[places], self.relevance[places], sizes)

    def ndcg(self, parameters: Floats) -> float:
        """Judge coefficients, whatever follows them."""
        scores = self.features @ parameters[: self.features.shape[1]]
        return float(ndcg_score(self.relevance, scores, groups=self.sizes))


@dataclass(frozen=True)
class _Task:
    """A loss with its penalty, as a function of coefficients and what follows them.

    Attributes
    ----------
    loss : callable
        Of scores, relevance and groups.
    params : dict
        Its keyword arguments.
    alpha : float
        Weight of the penalty.
    start_of_rest : ndarray
        Where what follows the coefficients starts: an intercept, or thresholds.
    has_intercept : bool
        Whether it is an intercept.
    levels : ndarray, or None
        With "ordinal": the relevance of each level.
    """

    loss: Callable[..., Any]
    params: dict[str, Any]
    alpha: float
    start_of_rest: Floats
    has_intercept: bool
    levels: Floats | None

    def start(self, documents: _Documents) -> Floats:
        """All parameters at the start."""
        return np.concatenate([np.zeros(documents.features.shape[1]), self.start_of_rest])

    def objective(self, documents: _Documents) -> Objective:
        """Mean loss of these documents, plus the penalty, and the gradient."""
        X, n_features = documents.features, documents.features.shape[1]
        by_query = self.loss is learning_to_rank.lambdarank_loss
        relevance = documents.relevance
        if self.levels is not None:
            relevance = np.searchsorted(self.levels, relevance).astype(np.float64)

        def of_parameters(parameters: Floats) -> tuple[float, Floats]:
            w, rest = parameters[:n_features], parameters[n_features:]
            scores = X @ w + (rest[0] if self.has_intercept else 0.0)
            arguments = dict(self.params)
            if by_query:
                arguments["reduction"] = "sum"
            if self.levels is not None:
                arguments["thresholds"] = rest
            value, by_scores = self.loss(scores, relevance, documents.sizes, **arguments)
            by_rest = np.zeros(0)
            if self.levels is not None:
                by_scores, by_rest = by_scores
            by_scores = np.asarray(by_scores, dtype=np.float64)
            if np.ndim(value) != 0 or by_scores.shape != scores.shape:
                raise ValueError(
                    "loss must return a number and a gradient in the shape of the scores, "
                    f"{scores.shape}; got shapes {np.shape(value)} and {by_scores.shape}"
                )
            if by_query:
                value, by_scores = value / len(documents.sizes), by_scores / len(documents.sizes)
            if self.has_intercept:
                by_rest = by_scores.sum(keepdims=True)
            gradient = np.concatenate([X.T @ by_scores + self.alpha * w, by_rest])
            return float(value) + 0.5 * self.alpha * float(w @ w), gradient

        return of_parameters
