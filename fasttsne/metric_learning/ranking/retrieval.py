"""How well embeddings retrieve samples of the same class: every sample is a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne import _kernels
from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices
from fasttsne.neighbors.metrics import checked_points, directions_of
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads, single_threaded_blas
from fasttsne.samples.labels import class_codes
from fasttsne.samples.scaling import Centering, in_safe_range

# Powers of two of the embeddings' extent whose squares double precision holds.
_SAFE_EXPONENT = 400


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """Measures of retrieval by embeddings, returned by `retrieval_report`. It prints as a table.

    Attributes
    ----------
    n_queries : int
        Number of samples with a label whose class has another sample.
    map_at_r, r_precision : float
        See the functions of these names; means over the queries.
    recall_at_k : dict of int to float
        By k, the share of queries with a sample of their class among the first k: the "recall@k" of
        metric learning, which `hit_rate` computes.
    per_sample : dict of str to ndarray of shape (n_samples,)
        The values of all samples by measure; NaN for samples that are no queries.

    Examples
    --------
    >>> from fasttsne.metric_learning import retrieval_report
    >>> report = retrieval_report([[0.0], [0.1], [5.0], [5.2]], ["a", "a", "b", "b"])
    >>> report.map_at_r, report.recall_at_k[1]
    (1.0, 1.0)
    """

    n_queries: int
    map_at_r: float
    r_precision: float
    recall_at_k: dict[int, float]
    per_sample: dict[str, Floats]

    def __repr__(self) -> str:
        rows = {"MAP@R": self.map_at_r, "R-precision": self.r_precision}
        rows |= {f"recall@{k}": value for k, value in self.recall_at_k.items()}
        width = max(map(len, rows))
        lines = [f"{name:{width}}  {value:.4f}" for name, value in rows.items()]
        return "\n".join([f"{self.n_queries:,} queries", "", *lines])


@with_plain_numbers
def retrieval_report(
    E: Any,
    labels: ArrayLike,
    *,
    ks: Sequence[int] = (1, 5, 10),
    metric: str = "euclidean",
    n_jobs: int | None = None,
) -> RetrievalReport:
    """Evaluate embeddings by retrieval: each sample ranks all others by distance.

    Samples of the same class are relevant. All distances are compared, exactly and in blocks: the
    time is quadratic in the number of samples, and the memory is that of two copies of the
    embeddings and of some blocks. Equal distances have no order: values are means over their
    orders.

    Parameters
    ----------
    E : array-like of shape (n_samples, n_features)
        Embeddings.
    labels : array-like of shape (n_samples,)
        The class of each sample. Samples without a label (NaN, None) are left out altogether.
    ks : sequence of int, default=(1, 5, 10)
        Numbers of neighbours for recall@k.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance between embeddings.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    report : RetrievalReport

    Raises
    ------
    ValueError
        If there is not one label per sample, if no class has two samples, if E holds NaN or
        infinity, if an entry of `ks` is not a positive integer, or if the metric is another one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.metric_learning import retrieval_report
    >>> X, y = load_iris(return_X_y=True)
    >>> retrieval_report(X, y)
    150 queries
    <BLANKLINE>
    MAP@R        0.7727
    R-precision  0.8199
    recall@1     0.9600
    recall@5     0.9867
    recall@10    1.0000
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric={metric!r} must be 'euclidean' or 'cosine'")
    if not len(ks) or any(isinstance(k, bool) or k != int(k) or k < 1 for k in ks):
        raise ValueError(f"ks={ks!r} must hold integers of at least 1")
    points = checks.as_embeddings(E, "E", keep_single=True)
    checks.check_squares(points, "E")
    classes = class_codes(labels, len(points))
    order, starts = _class_by_class(classes)
    if len(starts) == 1:
        raise ValueError("labels must have a class of two samples or more; all are single")
    points = points[order]
    if metric == "cosine":
        points = directions_of(points)
    n_threads = effective_n_threads(n_jobs)
    of_queries = _measures(points, starts, np.array(ks, dtype=np.int64), n_threads)
    values = np.full((2 + len(ks), len(classes)), np.nan)
    values[:, order[: starts[-1]]] = of_queries.T
    means = np.ascontiguousarray(of_queries.T).mean(axis=1)
    recalls = {int(k): float(mean) for k, mean in zip(ks, means[2:], strict=True)}
    names = ("map_at_r", "r_precision", *(f"recall@{k}" for k in ks))
    per_sample = dict(zip(names, values, strict=True))
    return RetrievalReport(len(of_queries), float(means[0]), float(means[1]), recalls, per_sample)


def _class_by_class(classes: Indices) -> tuple[Indices, Indices]:
    """Return samples with a label, class by class and single ones last, and where classes start."""
    known = np.flatnonzero(classes >= 0)
    sizes = np.bincount(classes[known])
    is_single = sizes[classes[known]] == 1
    order = known[np.lexsort((classes[known], is_single))]
    return order, np.concatenate([[0], np.cumsum(sizes[sizes > 1])])


def _measures(points: NDArray[np.floating], starts: Indices, ks: Indices, n_threads: int) -> Floats:
    """Return MAP@R, R-precision and hits at `ks` of the samples in classes, one sample per row."""
    points = checked_points(in_safe_range(points))
    centering = Centering.of(points, n_threads=n_threads)
    screen, unit = None, 1.0
    if abs(centering.exponent) <= _SAFE_EXPONENT:
        screen = centering.apply(points, n_threads=n_threads)
        unit = np.ldexp(1.0, -2 * centering.exponent)
    with single_threaded_blas():
        return _kernels.retrieval_measures(screen, unit, points, starts, ks, n_threads)
