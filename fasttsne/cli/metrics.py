"""Metrics by name: refused, before any work, where they cannot be meant."""

from __future__ import annotations

from fasttsne.cli.messages import Refusal, unknown_name
from fasttsne.neighbors.metrics import METRICS

_USUAL_METRICS = ("euclidean", "cosine", "correlation", "manhattan", "chebyshev", "hamming")
_NEED_PARAMETERS = {
    "mahalanobis": "takes a matrix, which an option cannot give; use fasttsne.TSNE",
    "seuclidean": "takes variances; euclidean with --standardize is the same",
}


def check_metric(name: str) -> None:
    """Refuse a metric that is none, before any work.

    Parameters
    ----------
    name : str
        What it was called.

    Raises
    ------
    Refusal
        Suggesting the nearest one, or naming the usual ones.
    """
    known = [*_USUAL_METRICS, *sorted(METRICS - {"pyfunc", *_USUAL_METRICS})]
    if name not in known:
        raise unknown_name("metric", name, known, "fasttsne")
    if name in _NEED_PARAMETERS:
        raise Refusal(f"--metric {name} {_NEED_PARAMETERS[name]}")


def check_judgeable(metric: str) -> None:
    """Refuse what a map can be drawn from, and not judged by.

    Parameters
    ----------
    metric : str
        One that there is.

    Raises
    ------
    Refusal
        If it is none of distances.
    """
    if metric == "precomputed_affinity":
        raise Refusal(
            "a map is judged by the data or their distances, which affinities are not; choose "
            "another --metric, or leave out --report"
        )
