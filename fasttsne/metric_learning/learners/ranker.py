"""A linear ranker: its task, a loss of queries with a penalty, and its two solvers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning.checks import Floats, Indices, as_numbers
from fasttsne.metric_learning.learners import training
from fasttsne.metric_learning.learners.features import standard_scaling
from fasttsne.metric_learning.learners.losses import checked
from fasttsne.metric_learning.learning_to_rank.names import LOSSES, check_params
from fasttsne.metric_learning.queries import as_queries
from fasttsne.metric_learning.ranking.ndcg import Gain, ndcg_score
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.runtime.warn import warn
from fasttsne.samples.arrays import unmasked

# Losses that depend on scores, and not only on their differences.
_WITH_INTERCEPT = ("squared", "logistic")
_POINTWISE = (*_WITH_INTERCEPT, "ordinal")
# Losses weighted by the present ranking: the objective changes from one step to the next, so its
# value does not show progress.
_CHANGING = ("lambdarank",)
# L-BFGS cannot minimize these: a hinge has corners.
_NOT_SMOOTH = ("hinge", *_CHANGING)

# Squares of larger numbers exceed everything else.
_LARGEST_RELEVANCE = 1e6


@dataclass(frozen=True)
class Documents:
    """Documents, query by query, with standardized features, (n_documents, n_features)."""

    features: Floats
    relevance: Floats
    sizes: Indices
    weights: Floats | None = None

    def take(self, queries: Indices) -> Documents:
        """Return the documents of these queries, in the order given."""
        sizes = self.sizes[queries]
        firsts = (np.cumsum(self.sizes) - self.sizes)[queries]
        steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.repeat(firsts, sizes) + steps
        weights = None if self.weights is None else self.weights[places]
        return Documents(self.features[places], self.relevance[places], sizes, weights)


@dataclass(frozen=True)
class Task:
    """A loss with a penalty, as a function of coefficients and an intercept or thresholds."""

    loss: str | Callable[..., Any]
    params: dict[str, Any]
    alpha: float
    levels: Floats  # all values of relevance, sorted

    def start(self, documents: Documents) -> Floats:
        """Return the first parameters: coefficients of 0, then an intercept or thresholds."""
        n_thresholds = max(len(self.levels) - 1, 1) if self.loss == "ordinal" else 0
        n_more = 1 if self.loss in _WITH_INTERCEPT else n_thresholds
        parameters = np.zeros(documents.features.shape[1] + n_more)
        if self.loss == "squared":
            parameters[-1] = documents.relevance.mean()
        return parameters

    def objective(self, documents: Documents, parameters: Floats) -> tuple[float, Floats]:
        """Return the mean loss of these documents plus the penalty, with its gradient."""
        w, rest = np.split(parameters, [documents.features.shape[1]])
        value, by_scores, by_rest = self._loss(documents.features @ w, rest, documents)
        by_w = documents.features.T @ by_scores + self.alpha * w
        penalty = 0.5 * self.alpha * float(w @ w)
        return value + penalty, np.concatenate([by_w, by_rest])

    def ndcg(self, documents: Documents, parameters: Floats) -> float:
        """Return the mean NDCG of these documents, for "lambdarank" with its `k` and `gain`."""
        params: dict[str, Any] = {}
        if self.loss == "lambdarank":
            params = {"k": self.params.get("k"), "gain": self.params.get("gain", "exponential")}
        scores = documents.features @ parameters[: documents.features.shape[1]]
        return float(ndcg_score(documents.relevance, scores, groups=documents.sizes, **params))

    def _loss(
        self, scores: Floats, rest: Floats, documents: Documents
    ) -> tuple[float, Floats, Floats]:
        """Return the mean loss, and its derivatives by scores and by the rest of the parameters."""
        function = LOSSES[self.loss] if isinstance(self.loss, str) else self.loss
        if documents.weights is not None:
            function = partial(function, document_weight=documents.weights)
        relevance, sizes = documents.relevance, documents.sizes
        if self.loss == "ordinal":
            level = np.searchsorted(self.levels, relevance).astype(np.float64)
            value, (by_scores, by_rest) = function(scores, level, sizes, thresholds=rest)
            return value, by_scores, by_rest
        if self.loss == "lambdarank":
            value, by_scores = function(scores, relevance, sizes, reduction="sum", **self.params)
            return value / len(sizes), by_scores / len(sizes), rest
        if self.loss in _WITH_INTERCEPT:
            value, by_scores = function(scores + rest[0], relevance, sizes, **self.params)
            return value, by_scores, by_scores.sum(keepdims=True)
        result = function(scores, relevance, sizes, **self.params)
        return *checked(result, scores.shape, "scores"), rest


class LinearRanker(BaseEstimator):
    """A linear ranker: scores are weighted sums of features, trained on any ranking loss.

    It minimizes the loss plus ``alpha / 2 * w @ w``, with w the coefficients of standardized
    features.

    Parameters
    ----------
    loss : str or callable, default="lambdarank"
        Pointwise "squared", "logistic", "ordinal"; pairwise "hinge", "ranknet", "lambdarank";
        listwise "listnet", "listmle", "approx_ndcg", "soft_rank", of
        `fasttsne.metric_learning.learning_to_rank`. Or a function ``loss(scores, relevance,
        groups, **loss_params) -> (loss, gradient)``, which takes ``document_weight`` if `fit` does.
    alpha : float, default=0.1
        Weight of the penalty, added to a loss that is a mean over documents, pairs or queries, as
        the loss defines it; for "lambdarank" over queries, whose weighted pairs are comparable.
    loss_params : dict, default=None
        Keyword arguments of the loss, such as ``{"k": 10}`` or ``{"sigma": 2.0}``.
    solver : {"auto", "lbfgs", "adam"}, default="auto"
        L-BFGS on all queries at once, for smooth losses; or Adam on batches of queries, for any.
        "auto" is L-BFGS if possible, and Adam with `early_stopping`.
    max_iter : int, default=200
        Largest number of iterations or epochs; for "lambdarank" without `early_stopping` the number
        of epochs. At most a million. The steps of Adam shrink to 0 until the last.
    tol : float, default=1e-5
        L-BFGS stops when no entry of the gradient is larger. Adam stops after `n_iter_no_change`
        epochs in which the objective, or with `early_stopping` the score, has not improved by
        more; for "lambdarank" only with `early_stopping`.
    batch_size : int, default=64
        Queries per batch, for Adam.
    learning_rate : float, default=0.05
        Length of Adam's first steps in each coefficient of a standardized feature, times the square
        root of the number of features.
    early_stopping : bool, default=False
        Whether to hold out queries, and return the coefficients of the epoch with the highest NDCG
        on them.
    validation_fraction : float, default=0.1
        Share of the queries that `early_stopping` holds out.
    n_iter_no_change : int, default=10
        See `tol`.
    random_state, verbose : see `LinearMetricLearner`

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of raw features.
    intercept_ : float
        Constant added to all scores. It makes them estimates of relevance for "squared" and log
        odds for "logistic". For other losses only the order counts, and the mean document scores 0.
    thresholds_ : ndarray of shape (n_levels - 1,)
        Only for "ordinal": the scores at which levels of relevance meet.
    history_ : dict of str to list of float
        "loss", the objective of each iteration or the mean of each epoch. If coefficients are
        chosen by NDCG also "validation_score" with `early_stopping`, or "training_score" for
        "lambdarank" without.
    n_iter_ : int
        Number of iterations or epochs.
    n_queries_ : int
        Number of queries in `fit`.
    n_features_in_, feature_names_in_ : see `LinearMetricLearner`

    Notes
    -----
    The objective of "lambdarank" changes with the ranking, so its loss does not show progress and
    may rise. It trains for all epochs, and returns the coefficients of the epoch with the highest
    NDCG on the training queries, with the `k` and `gain` of the loss; with `early_stopping` on the
    held-out queries.

    A constant feature has a coefficient of 0. If no query has documents of different relevance,
    pairwise losses leave all coefficients at 0.

    With scikit-learn's metadata routing, ``cross_validate(ranker, X, y, cv=GroupKFold(),
    params={"qid": qid, "groups": qid})`` keeps queries whole. Other splitters cut queries: each
    part then counts as a query of its own.

    References
    ----------
    .. [1] Liu, T.-Y. (2009). Learning to rank for information retrieval. Foundations and Trends in
       Information Retrieval 3, 225-331.

    Examples
    --------
    >>> from fasttsne.metric_learning.learners import LinearRanker
    >>> X = [[3.0, 1.0], [2.0, 5.0], [1.0, 2.0], [9.0, 4.0], [8.0, 2.0]]
    >>> ranker = LinearRanker(random_state=0).fit(X, [2, 1, 0, 1, 0], groups=[3, 2])
    >>> ranker.score(X, [2, 1, 0, 1, 0], groups=[3, 2], k=5)
    1.0
    """

    # Of arguments that belong to samples, scikit-learn's metadata routing passes `qid` unasked. It
    # keeps `groups` for the splitter: sizes do not survive a split.
    __metadata_request__fit = {"qid": True, "groups": False}  # noqa: RUF012
    __metadata_request__score = {"qid": True} | dict.fromkeys(("groups", "k", "gain"), False)

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "loss": [StrOptions(set(LOSSES)), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "loss_params": [dict, None],
        "solver": [StrOptions({"auto", "lbfgs", "adam"})],
        "max_iter": [Interval(Integral, 1, 10**6, closed="both")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        **training.CONSTRAINTS,
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
        random_state: Seed = None,
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

    @with_plain_numbers
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        *,
        qid: ArrayLike | None = None,
        document_weight: ArrayLike | None = None,
    ) -> LinearRanker:
        """Fit the coefficients to documents and their relevance.

        Parameters
        ----------
        X : array-like of shape (n_documents, n_features)
            Documents.
        y : array-like of shape (n_documents,)
            Relevance of the documents, at least 0.
        groups : array-like of int, shape (n_queries,), default=None
            Number of documents per query, where these stand query by query; without `groups` and
            `qid` all are of one query.
        qid : array-like of shape (n_documents,), default=None
            Instead of `groups`: the id of every document's query, of any type, in any order.
        document_weight : array-like of shape (n_documents,), default=None
            Weights of the documents in the loss, such as the inverse propensity of each clicked
            document and 1 for others.

        Returns
        -------
        self : LinearRanker

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, relevance is negative, shapes disagree, the sizes in
            `groups` do not sum to the number of documents, ids in `qid` are missing or of mixed
            types, or a parameter is out of range.
        """
        X, y = unmasked(X, "X"), unmasked(y, "y")
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = as_numbers(y, "y")
        if np.max(y) > _LARGEST_RELEVANCE:
            raise ValueError(f"y has values above {_LARGEST_RELEVANCE:g}; rescale relevance")
        names = ("y", "X", "document_weight")
        queries = as_queries(y, np.zeros(len(X)), groups, qid, document_weight, names)
        sizes = queries.sizes
        if len(sizes) > 1 and sizes.max() == 1 and self.loss in {*LOSSES} - {*_POINTWISE}:
            raise ValueError("no query has two documents; groups are sizes and qid ids of queries")
        params = dict(self.loss_params or {})
        if isinstance(self.loss, str):
            check_params(self.loss, params, "loss_params: ")
        solver = self._solver()
        chance = check_random_state(self.random_state)
        scaling = standard_scaling(X)
        with single_threaded_blas():
            features = scaling(X if queries.order is None else X[queries.order])
            weights = None if document_weight is None else queries.weights
            documents = Documents(features, queries.relevance, sizes, weights)
            task = Task(self.loss, params, self.alpha, np.unique(documents.relevance))
            if solver == "lbfgs":
                found, self.history_ = self._by_lbfgs(documents, task)
            else:
                found, self.history_ = self._by_adam(documents, task, chance)
        n_features = X.shape[1]
        self.coef_ = scaling.per_unit(found[:n_features])
        self.intercept_ = float(-(self.coef_ @ scaling.mean))
        if self.loss in _WITH_INTERCEPT:
            self.intercept_ += float(found[-1])
        if self.loss == "ordinal":
            self.thresholds_ = found[n_features:]
        self.n_iter_ = len(self.history_["loss"])
        self.n_queries_ = len(sizes)
        return self

    def predict(self, X: Any) -> Floats:
        """Return scores of documents; within a query, the highest score has rank 1.

        Parameters
        ----------
        X : see `fit`

        Returns
        -------
        scores : ndarray of shape (n_documents,)
            X coef_ + intercept_.
        """
        check_is_fitted(self)
        X = validate_data(self, unmasked(X, "X"), dtype=np.float64, reset=False)
        return X @ self.coef_ + self.intercept_

    def score(
        self,
        X: Any,
        y: Any,
        groups: ArrayLike | None = None,
        *,
        qid: ArrayLike | None = None,
        k: int | None = None,
        gain: Gain = "linear",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean NDCG of the queries, ranked by `predict`.

        Parameters
        ----------
        X, y : see `fit`
        groups, qid : see `fit`
            Required if the ranker was fitted to several queries.
        k, gain, sample_weight : see `fasttsne.metric_learning.ndcg_score`

        Returns
        -------
        ndcg : float
            Between 0 and 1.

        Raises
        ------
        ValueError
            See `fit`; and if `groups` and `qid` are missing after a fit to several queries.
        """
        check_is_fitted(self)
        if groups is None and qid is None and self.n_queries_ > 1:
            raise ValueError(
                f"score needs qid or groups: the ranker was fitted to {self.n_queries_} queries. "
                "In cross-validation call sklearn.set_config(enable_metadata_routing=True); if all "
                "documents are of one query, pass groups=[len(y)]"
            )
        scores = self.predict(X)
        as_queries(y, scores, groups, qid, names=("y", "X", "sample_weight"))  # errors name y
        params: dict[str, Any] = {"groups": groups, "qid": qid, "k": k, "gain": gain}
        return float(ndcg_score(y, scores, sample_weight=sample_weight, **params))

    def _solver(self) -> Literal["lbfgs", "adam"]:
        smooth = isinstance(self.loss, str) and self.loss not in _NOT_SMOOTH
        if self.solver == "lbfgs" and not smooth:
            raise ValueError(f"solver='lbfgs' needs a smooth loss; use 'adam' for {self.loss!r}")
        if self.solver == "lbfgs" and self.early_stopping:
            raise ValueError("early_stopping needs solver='adam': L-BFGS uses all queries at once")
        by_lbfgs = smooth and not self.early_stopping and self.solver != "adam"
        return "lbfgs" if by_lbfgs else "adam"

    def _by_lbfgs(self, documents: Documents, task: Task) -> tuple[Floats, training.History]:
        log = training.Log(type(self).__name__, bool(self.verbose))
        last = [np.inf]

        def remembering(parameters: Floats) -> tuple[float, Floats]:
            last[0], gradient = task.objective(documents, parameters)
            return last[0], gradient

        result = minimize(
            remembering,
            task.start(documents),
            jac=True,
            method="L-BFGS-B",
            callback=lambda _: log.add(loss=last[0]),
            options={"maxiter": self.max_iter, "gtol": self.tol, "ftol": 0.0},
        )
        if not log.history:  # the start is the minimum
            log.add(loss=float(result.fun))
        if result.status == 1:
            warn(
                f"L-BFGS did not converge in {result.nit} iterations; raise max_iter="
                f"{self.max_iter}, tol={self.tol} or alpha={self.alpha}",
                ConvergenceWarning,
            )
        return result.x, log.history

    def _by_adam(
        self, documents: Documents, task: Task, chance: RandomState
    ) -> tuple[Floats, training.History]:
        n_queries = len(documents.sizes)
        kept, judge = np.arange(n_queries), None
        if self.early_stopping:
            if n_queries < 2:
                raise ValueError(
                    "early_stopping holds out queries and needs at least 2, given by qid or "
                    "groups; set early_stopping=False"
                )
            shuffled = chance.permutation(n_queries)
            n_aside = min(max(1, round(self.validation_fraction * n_queries)), n_queries - 1)
            aside, kept = documents.take(shuffled[:n_aside]), np.sort(shuffled[n_aside:])
            judge = training.Judge("validation_score", partial(task.ndcg, aside))
        elif self.loss in _CHANGING:
            judge = training.Judge("training_score", partial(task.ndcg, documents), stops=False)

        def epoch() -> Iterator[training.BatchObjective]:
            order = kept[chance.permutation(len(kept))]
            for first in range(0, len(order), self.batch_size):
                batch = documents.take(order[first : first + self.batch_size])
                yield partial(task.objective, batch)

        rate = self.learning_rate / np.sqrt(documents.features.shape[1])
        stopping = self.n_iter_no_change, self.tol
        schedule = training.Schedule(rate, self.max_iter, *stopping, bool(self.verbose))
        return training.descend(task.start(documents), epoch, schedule, type(self).__name__, judge)

    def __sklearn_tags__(self) -> Tags:
        """Return tags: relevance is required, and is not negative."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.positive_only = True
        return tags
