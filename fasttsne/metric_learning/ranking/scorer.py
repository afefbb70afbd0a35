"""Measures of rankings for scikit-learn's model selection, which routes `qid` to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.metrics import make_scorer

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.ranking import binary, graded, ndcg, rank_biased

Measure = str | Callable[..., Any]

MEASURES: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        ndcg.ndcg_score,
        ndcg.dcg_score,
        binary.average_precision,
        binary.reciprocal_rank,
        binary.precision_at_k,
        binary.recall_at_k,
        binary.r_precision,
        binary.map_at_r,
        binary.hit_rate,
        graded.graded_average_precision,
        graded.expected_reciprocal_rank,
        rank_biased.rank_biased_precision,
    )
}


def ranking_scorer(measure: Measure, **params: Any) -> Any:
    """Return a scorer for `sklearn.model_selection`, which judges whole queries.

    The scorer requests `qid` by scikit-learn's metadata routing, which has to be enabled.

    Parameters
    ----------
    measure : str or callable
        A measure of `fasttsne.metric_learning.ranking`, such as "ndcg_score", or a function
        ``measure(y_true, y_score, *, qid, **params)``.
    **params
        Further arguments of the measure, such as ``k=10``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, qid=qid)``. It ranks by `decision_function`, or `predict_proba`
        of the positive class, or else by `predict`.

    Raises
    ------
    ValueError
        If there is no such measure, or if the measure does not take a parameter or its value. The
        scorer raises
        ValueError if no `qid` is routed to it, and for classifiers of more than two classes, which
        have several scores per document.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> from fasttsne.metric_learning import ranking_scorer
    >>> from fasttsne.metric_learning.learners import LinearRanker
    >>> X, y = [[3.0], [1.0], [9.0], [8.0], [4.0], [2.0]], [1, 0, 1, 0, 1, 0]
    >>> qid = ["a", "a", "b", "b", "c", "c"]
    >>> with config_context(enable_metadata_routing=True):
    ...     cross_val_score(
    ...         LinearRanker("ranknet"),
    ...         X,
    ...         y,
    ...         cv=GroupKFold(3),
    ...         scoring=ranking_scorer("ndcg_score", k=10),
    ...         params={"qid": qid, "groups": qid},
    ...     )
    array([1., 1., 1.])
    """
    check_measure(measure, params)
    methods = ("decision_function", "predict_proba", "predict")
    scorer = make_scorer(_of_queries, response_method=methods, measure=measure, **params)
    with config_context(enable_metadata_routing=True):  # else scikit-learn refuses the request
        return scorer.set_score_request(qid=True)


def check_measure(measure: Measure, params: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function of a measure, which takes these parameters and values."""
    if isinstance(measure, str) and measure not in MEASURES:
        raise ValueError(f"measure={measure!r} must be a function or one of {', '.join(MEASURES)}")
    function = MEASURES[measure] if isinstance(measure, str) else measure
    for name in ("qid", "groups", "per_query"):
        if name in params:
            raise ValueError(f"measure={measure!r}: {name} is no parameter of a mean of queries")
    try:
        inspect.signature(function).bind([], [], qid=[], **params)
        if function in MEASURES.values():
            function([0, 0], [0, 0], qid=[0, 0], **checks.without_data(params), per_query=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"measure={measure!r}: {error}") from error
    return function


def _of_queries(
    y_true: Any, y_score: Any, *, measure: Measure, qid: Any = None, **params: Any
) -> float:
    if qid is None:
        raise ValueError(
            "ranking_scorer needs qid: call sklearn.set_config(enable_metadata_routing=True), and "
            "pass the ids as params={'qid': qid}"
        )
    if np.ndim(y_score) != 1:
        raise ValueError(
            "ranking_scorer needs one score per document, but the estimator returns shape "
            f"{np.shape(y_score)}: use a regressor, or a classifier of two classes"
        )
    function = MEASURES[measure] if isinstance(measure, str) else measure
    return float(function(y_true, y_score, qid=qid, **params))
