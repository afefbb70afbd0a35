"""How well embeddings retrieve samples of the same class: every sample is a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import gen_batches

from fasttsne import _kernels
from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Indices
from fasttsne.metric_learning.ranking.binary import Ranking
from fasttsne.metric_learning.ties import Ties
from fasttsne.neighbors.index import neighbor_index
from fasttsne.neighbors.metrics import directions_of
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.labels import class_codes

# Neighbours, or distances to all samples, of a block of queries.
_BLOCK = 1 << 20


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

    Samples of the same class are relevant. The search is exact and goes in blocks, so the memory is
    that of the embeddings and of a block. Equal distances have no order: values are means over
    their orders.

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
    points = checks.as_embeddings(E, "E")
    checks.check_squares(points, "E")
    classes = class_codes(labels, len(points))
    known = np.flatnonzero(classes >= 0)
    values = np.full((2 + len(ks), len(points)), np.nan)
    if len(known) < len(points):
        points, classes = points[known], classes[known]
    n_relevant = np.bincount(classes, minlength=1)[classes] - 1
    queries = np.flatnonzero(n_relevant)
    if not queries.size:
        raise ValueError("labels must have a class of two samples or more; all are single")
    if metric == "cosine":
        points = directions_of(points)
    n_ranks = max(int(n_relevant.max()), int(max(ks)))
    n_threads = effective_n_threads(n_jobs)
    for rows, found in _rankings(points, classes, n_relevant, queries, n_ranks, n_threads):
        of_rows = [found.map_at_r(), found.r_precision(), *(found.hit_rate(int(k)) for k in ks)]
        values[:, known[rows]] = of_rows
    means = np.nanmean(values, axis=1)
    recalls = {int(k): float(mean) for k, mean in zip(ks, means[2:], strict=True)}
    names = ("map_at_r", "r_precision", *(f"recall@{k}" for k in ks))
    per_sample = dict(zip(names, values, strict=True))
    return RetrievalReport(len(queries), float(means[0]), float(means[1]), recalls, per_sample)


def _rankings(
    points: Floats,
    classes: Indices,
    n_relevant: Indices,
    queries: Indices,
    n_ranks: int,
    n_threads: int,
) -> Iterator[tuple[Indices, Ranking]]:
    """Yield queries and their rankings of others, right for the first `n_ranks` ranks."""

    def ranking(rows: Indices, others: Indices, distances: Floats) -> tuple[Indices, Ranking]:
        hits = (classes[others] == classes[rows, np.newaxis]).astype(np.float64)
        return rows, Ranking(hits, n_relevant[rows].astype(np.float64), Ties(distances))

    n_others = len(points) - 1
    width = min(n_ranks + 1, n_others)
    index = neighbor_index(points, width + 1, method="exact", n_threads=n_threads)
    for part in gen_batches(len(queries), max(1, _BLOCK // (width + 1))):
        rows = queries[part]
        others, distances = index.squares(points[rows], n_threads=n_threads)
        own = others == rows[:, np.newaxis]
        own[~own.any(axis=1), -1] = True  # where too many samples coincide
        others, distances = (of[~own].reshape(-1, width) for of in (others, distances))
        # A tie that reaches the last neighbour found may have more members.
        cut = np.zeros(len(rows), dtype=bool)
        if width < n_others:
            cut = distances[:, -1] == distances[:, -2]
        if not cut.all():
            yield ranking(rows[~cut], others[~cut], distances[~cut])
        step = max(1, _BLOCK // len(points))
        for first in range(0, int(cut.sum()), step):
            of_all = rows[cut][first : first + step]
            distances = _kernels.distances_to_all(points, of_all.astype(np.int32), n_threads)
            distances[np.arange(len(of_all)), of_all] = -1.0  # the query itself is first
            order = np.argsort(distances, axis=1, kind="stable")[:, 1:]
            yield ranking(of_all, order, np.take_along_axis(distances, order, axis=1))
