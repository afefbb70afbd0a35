"""A linear ranker: scores whose order within a query is that of relevance."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.learners.arguments import check_params
from fasttsne.metric_learning.learners.features import standard_scaling
from fasttsne.metric_learning.learners.ranking_task import (
    CHANGING,
    LOSSES,
    NOT_SMOOTH,
    OURS,
    WITH_INTERCEPT,
    Documents,
    Task,
)
from fasttsne.metric_learning.learners.training import (
    History,
    Judge,
    Log,
    Objective,
    Schedule,
    descend,
)
from fasttsne.metric_learning.queries import as_queries
from fasttsne.metric_learning.ranking import Gain, ndcg_score
from fasttsne.runtime.threads import single_threaded_blas

__all__ = ["LinearRanker"]

# Squares of larger numbers drown everything else.
_LARGEST_RELEVANCE = 1e6


class LinearRanker(BaseEstimator):
    """Ranks documents by a weighted sum of their features, trained on any loss of ranking.

    Minimises the loss plus ``alpha / 2 * w @ w``, w the coefficients of standardised features.

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
        Iterations or epochs at the most; for "lambdarank" without `early_stopping` the number of
        epochs. Adam's steps shrink to 0 on the way.
    tol : float, default=1e-5
        L-BFGS stops when no entry of the gradient is larger. Adam stops after `n_iter_no_change`
        epochs in which the objective, or with `early_stopping` the score, has not improved by
        more; "lambdarank" only with `early_stopping`.
    batch_size : int, default=64
        Queries of a batch, for Adam.
    learning_rate : float, default=0.05
        Length of Adam's first steps, divided by the square root of the number of features, in each
        coefficient of a standardised feature.
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
        "loss", the objective of each iteration or the mean of each epoch. Where coefficients are
        chosen by NDCG also this: "validation_score" with `early_stopping`, "training_score" for
        "lambdarank" without.
    n_iter_ : int
        Iterations or epochs done.
    n_features_in_ : int
        Features of the training documents.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if they have any that are all strings.

    See Also
    --------
    fasttsne.metric_learning.ndcg_score : What `score` computes.

    Notes
    -----
    What "lambdarank" minimises changes with the ranking, so that its loss does not tell how far
    training has come, and may well rise. It trains for all its epochs, and returns the coefficients
    of the one whose NDCG on the training queries was highest, by the `k` and `gain` of the loss;
    with `early_stopping`, on those set aside.

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
    >>> ranker.predict(X).shape
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
        learning_rate: float = 0.05,
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
        if np.max(y) > _LARGEST_RELEVANCE:
            raise ValueError(f"y has values above {_LARGEST_RELEVANCE:g}; rescale relevance")
        sizes = as_queries(y, np.zeros(len(X)), groups, names=("y", "X")).sizes
        params = dict(self.loss_params or {})
        if isinstance(self.loss, str):
            check_params(self.loss, LOSSES[self.loss], params, OURS)
        solver = self._solver()
        chance = check_random_state(self.random_state)
        scaling = standard_scaling(X)
        with single_threaded_blas():
            documents = Documents(scaling(X), np.asarray(y, dtype=np.float64), sizes)
            task = Task(self.loss, params, self.alpha, np.unique(documents.relevance))
            if solver == "lbfgs":
                found, self.history_ = self._by_lbfgs(documents, task)
            else:
                found, self.history_ = self._by_adam(documents, task, chance)
        n_features = X.shape[1]
        self.coef_ = scaling.per_unit(found[:n_features])
        self.intercept_ = float(-(self.coef_ @ scaling.mean))
        if self.loss in WITH_INTERCEPT:
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

    # ---- How --------------------------------------------------------------------------------

    def _solver(self) -> Literal["lbfgs", "adam"]:
        smooth = isinstance(self.loss, str) and self.loss not in NOT_SMOOTH
        if self.solver == "lbfgs" and not smooth:
            raise ValueError(f"solver='lbfgs' needs a smooth loss; take 'adam' for {self.loss!r}")
        if self.solver == "lbfgs" and self.early_stopping:
            raise ValueError("early_stopping needs solver='adam': L-BFGS takes all queries at once")
        by_lbfgs = smooth and not self.early_stopping and self.solver != "adam"
        return "lbfgs" if by_lbfgs else "adam"

    def _by_lbfgs(self, documents: Documents, task: Task) -> tuple[Floats, History]:
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
        self, documents: Documents, task: Task, chance: np.random.RandomState
    ) -> tuple[Floats, History]:
        n_queries = len(documents.sizes)
        kept, judge = np.arange(n_queries), None
        if self.early_stopping:
            if n_queries < 2:
                raise ValueError(
                    "early_stopping sets queries aside and needs at least 2, told by groups; set "
                    "early_stopping=False"
                )
            shuffled = chance.permutation(n_queries)
            n_aside = min(max(1, round(self.validation_fraction * n_queries)), n_queries - 1)
            aside, kept = documents.take(shuffled[:n_aside]), np.sort(shuffled[n_aside:])
            judge = Judge("validation_score", task.ndcg(aside))
        elif self.loss in CHANGING:
            judge = Judge("training_score", task.ndcg(documents), stops=False)

        def epoch() -> Iterator[Objective]:
            order = kept[chance.permutation(len(kept))]
            for first in range(0, len(order), self.batch_size):
                yield task.objective(documents.take(order[first : first + self.batch_size]))

        schedule = Schedule(
            self.learning_rate / np.sqrt(documents.features.shape[1]),
            self.max_iter,
            self.n_iter_no_change,
            self.tol,
            bool(self.verbose),
        )
        return descend(task.start(documents), epoch, schedule, type(self).__name__, judge)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that relevance is needed, and is not negative."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.positive_only = True
        return tags
