"""Objectives and metrics for LightGBM and XGBoost from the losses and measures of rankings.

Both train trees by Newton steps, so an objective returns the gradient of a loss and a positive
diagonal of its Hessian: sums over the documents, not means. Relevance may have fractions.
Neither package is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning.checks import Floats, Indices
from fasttsne.metric_learning.learning_to_rank.names import LOSSES, check_params
from fasttsne.metric_learning.queries import as_sizes, query_numbers
from fasttsne.metric_learning.ranking.scorer import Measure, check_measure
from fasttsne.samples.labels import label_values

__all__ = ["lightgbm_metric", "lightgbm_objective", "xgboost_metric", "xgboost_objective"]

# Least second derivative: a Newton step divides by it, and some documents have 0.
_LEAST = 1e-16


def lightgbm_objective(loss: str | Callable[..., Any] = "lambdarank", **params: Any) -> Objective:
    """Return an objective that trains LightGBM's trees on a loss of rankings.

    Parameters
    ----------
    loss : str or callable, default="lambdarank"
        A loss of `fasttsne.metric_learning.learning_to_rank` by name, without "_loss", or a
        function with the arguments of those.
    **params
        Further arguments of the loss. ``truncation=30, normalize=True, ties="given"`` make
        "lambdarank" that of LightGBM's defaults.

    Returns
    -------
    objective : callable
        For ``lightgbm.LGBMRanker(objective=...)``, and for ``lightgbm.train`` as
        ``params["objective"]``. Weights of documents multiply their terms; see `squared_loss`. For
        relevance with fractions also set ``metric="None"``: LightGBM's own metric refuses them.

    Raises
    ------
    ValueError
        If the loss or a parameter is not known. The objective raises ValueError if the data have no
        queries.

    Examples
    --------
    >>> from fasttsne.metric_learning.boosting import lightgbm_objective
    >>> objective = lightgbm_objective("ranknet")
    >>> gradient, hessian = objective([1, 0, 0, 1], [0.0, 0.0, 0.0, 0.0], None, [2, 2])
    >>> gradient, hessian
    (array([-0.5,  0.5,  0.5, -0.5]), array([0.25, 0.25, 0.25, 0.25]))
    """
    return Objective(loss, params)


def xgboost_objective(
    loss: str | Callable[..., Any] = "lambdarank", *, qid: ArrayLike | None = None, **params: Any
) -> Objective:
    """Return an objective that trains XGBoost's trees on a loss of rankings.

    Parameters
    ----------
    loss : str or callable, default="lambdarank"
        See `lightgbm_objective`.
    qid : array-like of shape (n_documents,), default=None
        The ids of the training documents, for XGBoost's interface of scikit-learn: ``XGBRanker``
        takes no objectives, and ``XGBRegressor`` no ids.
    **params
        Further arguments of the loss.

    Returns
    -------
    objective : callable
        For ``xgboost.train(obj=...)`` with queries in the DMatrix, and for
        ``xgboost.XGBRegressor(objective=...)`` with `qid`. Set ``base_score=0``. XGBoost's weights
        of queries are those of all their documents.

    Raises
    ------
    ValueError
        See `lightgbm_objective`.

    Examples
    --------
    >>> from fasttsne.metric_learning.boosting import xgboost_objective
    >>> objective = xgboost_objective("ranknet", qid=["a", "b", "a", "b"])
    >>> gradient, hessian = objective([1, 0, 0, 1], [0.0, 0.0, 0.0, 0.0])
    >>> gradient, hessian
    (array([-0.5,  0.5,  0.5, -0.5]), array([0.25, 0.25, 0.25, 0.25]))
    """
    return Objective(loss, params, qid)


def lightgbm_metric(measure: Measure = "ndcg_score", **params: Any) -> Metric:
    """Return a metric by which LightGBM evaluates rankings and stops early.

    Parameters
    ----------
    measure : str or callable, default="ndcg_score"
        A measure of `fasttsne.metric_learning.ranking`; see `ranking_scorer`.
    **params
        Further arguments of the measure, such as ``k=10``.

    Returns
    -------
    metric : callable
        For ``lightgbm.LGBMRanker.fit(eval_metric=...)`` and ``lightgbm.train(feval=...)``. Higher
        is better. A query has the mean weight of its documents.

    Raises
    ------
    ValueError
        If the measure or a parameter is not known. The metric raises ValueError if the data have no
        queries.

    Examples
    --------
    >>> from fasttsne.metric_learning.boosting import lightgbm_metric
    >>> lightgbm_metric("ndcg_score", k=10)([1, 0, 0, 1], [2.0, 1.0, 0.0, 1.0], None, [2, 2])
    ('ndcg_score@10', 1.0, True)
    """
    return Metric(measure, params, None, of_lightgbm=True)


def xgboost_metric(
    measure: Measure = "ndcg_score", *, qid: ArrayLike | None = None, **params: Any
) -> Metric:
    """Return a metric by which XGBoost evaluates rankings.

    Parameters
    ----------
    measure : str or callable, default="ndcg_score"
        A measure of `fasttsne.metric_learning.ranking`; see `ranking_scorer`.
    qid : array-like of shape (n_documents,), default=None
        For ``XGBRegressor``: the ids of the documents in its `eval_set`.
    **params
        Further arguments of the measure, such as ``k=10``.

    Returns
    -------
    metric : callable
        For ``xgboost.train(custom_metric=..., maximize=True)``, and as ``eval_metric`` of
        ``xgboost.XGBRanker`` and, with `qid`, of ``xgboost.XGBRegressor``.

    Raises
    ------
    ValueError
        See `lightgbm_metric`.

    Notes
    -----
    Both estimators stop early where a metric is lowest, unless they know its name. Pass
    ``callbacks=[xgboost.callback.EarlyStopping(rounds=10, maximize=True)]`` instead of
    ``early_stopping_rounds``. ``XGBRanker`` of XGBoost 3.2 weights queries by their numbers of
    documents, and gives queries of one document 1; ``xgboost.train`` has the value of the measure.

    Examples
    --------
    >>> from fasttsne.metric_learning.boosting import xgboost_metric
    >>> xgboost_metric("ndcg_score", k=10)([1, 0], [2.0, 1.0])
    1.0
    """
    return Metric(measure, params, qid, of_lightgbm=False)


class Objective:
    """A loss as both packages call it: with labels and scores, or with scores and a data set."""

    def __init__(self, loss: Any, params: dict[str, Any], qid: ArrayLike | None = None) -> None:
        if not callable(loss) and loss not in LOSSES:
            raise ValueError(f"loss={loss!r} must be a function or one of {', '.join(LOSSES)}")
        if not callable(loss):
            check_params(loss, params)
        self.loss = loss
        self.params = params
        self.qid = _numbered(qid)
        self.__name__ = getattr(loss, "__name__", "loss") if callable(loss) else loss

    def __repr__(self) -> str:
        return _call("Objective", self.__name__, self.params)

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, group: Any = None
    ) -> tuple[Floats, Floats]:
        """Return the gradient and a positive diagonal of the Hessian."""
        if hasattr(y_pred, "get_label"):
            y_true, y_pred, sample_weight, group = _parts(y_true, y_pred)
        if self.qid is None:
            queries = {"groups": _sizes_of(group, len(y_true))}
        else:
            queries = {"qid": query_numbers(self.qid, len(y_true))}
        function = LOSSES[self.loss] if isinstance(self.loss, str) else self.loss
        scores = np.asarray(y_pred, dtype=np.float64)
        result = function(
            scores,
            y_true,
            **queries,
            document_weight=sample_weight,
            reduction="sum",
            hessian=True,
            **self.params,
        )
        shapes = [np.shape(values) for values in result[1:]]
        if shapes != [scores.shape] * 2 or not all(np.isfinite(of).all() for of in result[1:]):
            raise ValueError(
                f"loss={self.__name__} must return the loss, its gradient and with hessian=True a "
                f"diagonal of the Hessian, both finite and of shape {scores.shape}; got {shapes}"
            )
        return result[1], np.maximum(result[2], _LEAST)


class Metric:
    """A measure as both packages call it."""

    def __init__(
        self,
        measure: Measure,
        params: dict[str, Any],
        qid: ArrayLike | None,
        *,
        of_lightgbm: bool,
    ) -> None:
        self.measure = check_measure(measure, params)
        self.params = params
        self.qid = _numbered(qid)
        self.of_lightgbm = of_lightgbm
        self._measure_name = getattr(self.measure, "__name__", "measure")
        self.__name__ = self._measure_name
        if params.get("k") is not None:
            self.__name__ += f"@{params['k']}"

    def __repr__(self) -> str:
        return _call("Metric", self._measure_name, self.params)

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, group: Any = None
    ) -> Any:
        """Return the mean of the queries, for LightGBM and data sets of XGBoost with a name."""
        from_dataset = hasattr(y_pred, "get_label")
        if from_dataset:
            y_true, y_pred, sample_weight, group = _parts(y_true, y_pred)
        elif not self.of_lightgbm:  # XGBRanker passes one query at a time
            group = [len(y_true)]
        if self.qid is None:
            sizes = _sizes_of(group, len(y_true))
            numbers: Indices = np.repeat(np.arange(len(sizes)), sizes)
        else:
            numbers = query_numbers(self.qid, len(y_true))
        params: dict[str, Any] = {"qid": numbers} | self.params
        if sample_weight is not None:
            of_queries = np.bincount(numbers, weights=sample_weight) / np.bincount(numbers)
            params["sample_weight"] = of_queries[numbers]
        scores = np.asarray(y_pred, dtype=np.float64)
        value = float(self.measure(y_true, scores, **params))
        if self.of_lightgbm:
            return self.__name__, value, True
        return (self.__name__, value) if from_dataset else value


def _numbered(qid: ArrayLike | None) -> Indices | None:
    """Return ids as numbers, once for all rounds."""
    return None if qid is None else query_numbers(qid, label_values(qid)[0].size)


def _call(kind: str, name: str, params: dict[str, Any]) -> str:
    arguments = [repr(name), *(f"{key}={value!r}" for key, value in params.items())]
    return f"{kind}({', '.join(arguments)})"


def _parts(scores: Any, data: Any) -> tuple[Any, Any, Any, Any]:
    """Return labels, scores, weights of documents and sizes of queries from a data set."""
    if not hasattr(data, "get_uint_info"):  # of LightGBM
        return data.get_label(), scores, data.get_weight(), data.get_group()
    sizes = np.diff(data.get_uint_info("group_ptr").astype(np.int64))
    weights = data.get_weight()
    if not weights.size:
        weights = None
    elif len(weights) == len(sizes):
        weights = np.repeat(weights, sizes)
    return data.get_label(), scores, weights, sizes


def _sizes_of(group: Any, n_documents: int) -> Indices:
    if group is None or not len(group):
        raise ValueError(
            "the data have no queries: pass group= to LightGBM, qid= to XGBoost's DMatrix, or qid= "
            "to xgboost_objective and xgboost_metric"
        )
    return as_sizes(np.asarray(group, dtype=np.int64), n_documents)
