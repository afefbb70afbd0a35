"""The exact objective of t-SNE over all pairs of points, a few rows of P at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import logsumexp
from sklearn.utils import check_array, check_scalar, gen_batches

from fasttsne import _kernels
from fasttsne.affinity import JointProbabilities, as_csr
from fasttsne.descent.degrees_of_freedom import default_degrees_of_freedom
from fasttsne.neighbors.metrics import LARGEST_VALUE, Metric
from fasttsne.quality.checks import (
    Anchors,
    Floats,
    as_embedding,
    blocks_of,
    check_at_least,
    check_same_length,
)
from fasttsne.quality.distances import Distances, Known, Points, Precomputed, as_distances
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads, in_threads
from fasttsne.samples.checks import check_readable

__all__ = ["kl_divergence"]

_ROWS = 4  # rows of one thread at a time


@with_plain_numbers
def kl_divergence(
    X: Any,
    embedding: ArrayLike,
    *,
    perplexity: float | None = 30.0,
    degrees_of_freedom: float | None = None,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return the exact Kullback-Leibler divergence of a map from its data: t-SNE's objective.

    It is computed over all pairs of points in double precision, without neighbour lists or trees.
    It compares maps of the same data from any method, given the same perplexity and degrees of
    freedom.

    .. math:: KL(P \| Q) = \sum_{i \ne j} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
        q_{ij} \propto (1 + \|y_i - y_j\|^2 / \nu)^{-(\nu + 1) / 2}

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a dense matrix of distances;
        with ``perplexity=None`` the joint probabilities P, dense, sparse or as returned by
        :func:`fasttsne.affinity.joint_probabilities`.
    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.
    perplexity : float or None, default=30.0
        Perplexity of the conditional probabilities, above 0 and less than `n_samples`. None if `X`
        is P.
    degrees_of_freedom : float or None, default=None
        :math:`\nu` of Student's t-distribution on the map. None is the default of
        :class:`~fasttsne.TSNE`: ``max(n_components - 1, 1)``.
    metric, metric_params
        See `trustworthiness`.
    per_sample : bool, default=False
        Return the sum over j for every point i instead of the total.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    divergence : float, or ndarray of shape (n_samples,)
        In nats; smaller is better. The total is never negative, but the value of a point may be.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if P is not square, has negative values, is not 0 on
        the diagonal, or does not sum to 1.

    Notes
    -----
    Time grows with the square of `n_samples`, memory with `n_samples`.

    References
    ----------
    .. [1] L. van der Maaten, G. Hinton (2008). Visualizing data using t-SNE. Journal of
       Machine Learning Research 9, 2579-2605. Equations 1, 4 and section 3.3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.quality import kl_divergence
    >>> X = load_iris().data
    >>> flat = PCA(2).fit_transform(X)
    >>> kl_divergence(X, flat) < kl_divergence(X, flat[::-1])
    True
    >>> kl_divergence(X, flat, per_sample=True).shape
    (150,)
    """
    Y = as_embedding(embedding)
    check_at_least(2, len(Y))
    if max(float(Y.max()), -float(Y.min())) > LARGEST_VALUE:
        raise ValueError(
            f"embedding has values of magnitude above {LARGEST_VALUE:g}, whose squared distances "
            "overflow; divide it by a constant"
        )
    if degrees_of_freedom is None:
        degrees_of_freedom = default_degrees_of_freedom(Y.shape[1])
    check_scalar(
        degrees_of_freedom, "degrees_of_freedom", Real, min_val=0, include_boundaries="neither"
    )
    if not np.isfinite(degrees_of_freedom):
        raise ValueError(f"degrees_of_freedom must be finite; got {degrees_of_freedom}")
    n_threads = effective_n_threads(n_jobs)
    joint: _Given | _Gaussian
    if perplexity is None:
        joint = _given(X, len(Y))
    else:
        check_scalar(perplexity, "perplexity", Real, min_val=0, include_boundaries="neither")
        data = as_distances(X, metric, metric_params)
        check_same_length(data.n_samples, len(Y))
        if not perplexity < len(Y):  # or NaN
            raise ValueError(f"perplexity ({perplexity}) must be less than n_samples ({len(Y)})")
        joint = _Gaussian(data, float(perplexity), n_threads)
    shares = _shares(joint, Points(Y), float(degrees_of_freedom), n_threads)
    return shares if per_sample else max(float(shares.sum()), 0.0)  # rounding can take it below


def _shares(joint: _Given | _Gaussian, on_map: Points, nu: float, n_threads: int) -> Floats:
    """Return the sum over j of p_ij log(p_ij / q_ij) for every i.

    log w is relative to the largest value of its row, so that no whole row of w underflows.
    """
    n_samples = on_map.n_samples
    mass, divergence, largest, log_z = (np.empty(n_samples) for _ in range(4))
    exponent = -0.5 * (nu + 1.0)

    def add_rows(own: Anchors, log_w: Floats) -> None:
        log_w /= nu
        np.log1p(log_w, out=log_w)
        log_w *= exponent
        log_w[np.arange(len(own)), own] = -np.inf
        largest[own] = log_w.max(axis=1)
        log_w -= largest[own, np.newaxis]
        mass[own], divergence[own] = joint.against(own, log_w)
        log_z[own] = np.log(np.exp(log_w).sum(axis=1))

    for _, rows in blocks_of(np.arange(n_samples, dtype=np.int32), n_samples):
        if isinstance(joint, _Gaussian):
            joint.prepare(rows, n_threads)
        _in_few_rows(add_rows, rows, on_map.rows(rows, n_threads), n_threads)
    top = largest.max()
    log_sum = logsumexp(largest - top + log_z)
    # -log q_ij = log Z - log w_ij, both relative to the largest log w of row i.
    return np.asarray(divergence + mass * (top - largest + log_sum))


def _in_few_rows(
    work: Callable[[Anchors, Floats], None], rows: Anchors, squares: Floats, n_threads: int
) -> None:
    """Call `work` on a few rows of a block and their squared distances at a time, in threads."""
    parts = gen_batches(len(rows), _ROWS)
    in_threads(lambda part: work(rows[part], squares[part]), parts, n_threads)


# ---- P, some rows at a time ----------------------------------------------------------------------


class _Given:
    """A dense or sparse matrix, divided by the sum of its values."""

    def __init__(self, joint: Any, total: float) -> None:
        self.joint, self.total = joint, total

    def against(self, own: Anchors, log_w: Floats) -> tuple[Floats, Floats]:
        """Return for rows `own` the sums over j of p_ij and of p_ij (log p_ij - log w_ij)."""
        rows = self.joint[own]
        if not sparse.issparse(rows):
            return _sums(rows.astype(np.float64) / self.total, own, log_w)
        edges = rows.tocoo()
        present = edges.data > 0.0
        p = edges.data[present].astype(np.float64) / self.total
        row, column = edges.row[present], edges.col[present]
        terms = p * (np.log(p) - log_w[row, column])
        mass: Floats = np.bincount(row, p, minlength=len(own)).astype(np.float64)
        return mass, np.bincount(row, terms, minlength=len(own)).astype(np.float64)


class _Gaussian:
    """p_ij = (p_j|i + p_i|j) / 2n, from each point's precision, nearest square and norm."""

    def __init__(self, data: Distances, perplexity: float, n_threads: int) -> None:
        if isinstance(data, Known):
            data.rows(np.zeros(1, dtype=np.int32), 1)  # raises the error
        self.data, self.unit = data, _unit(data)
        n_samples = data.n_samples
        self.beta, self.nearest, self.norm = (np.empty(n_samples) for _ in range(3))

        def add_norms(own: Anchors, squares: Floats) -> None:
            weights = _weights(squares, self.nearest[own, np.newaxis], self.beta[own, np.newaxis])
            self.norm[own] = weights.sum(axis=1)

        for _, rows in blocks_of(np.arange(n_samples, dtype=np.int32), n_samples):
            squares = data.squares(rows, n_threads) * self.unit
            others = np.ones(squares.shape, dtype=bool)
            others[np.arange(len(rows)), rows] = False
            squares = squares[others].reshape(len(rows), n_samples - 1)
            _, self.beta[rows] = _kernels.calibrate(squares, perplexity, False, n_threads)
            self.nearest[rows] = squares.min(axis=1)
            _in_few_rows(add_norms, rows, squares, n_threads)

    def prepare(self, rows: Anchors, n_threads: int) -> None:
        """Compute what `against` needs for the rows of a block."""
        self.first = rows[0]
        self.there = self.back = self.data.squares(rows, n_threads) * self.unit
        if isinstance(self.data, Precomputed):  # d_ij and d_ji may differ
            self.back = self.data.squares_back(rows) * self.unit

    def against(self, own: Anchors, log_w: Floats) -> tuple[Floats, Floats]:
        """Return what `_Given.against` returns."""
        here = slice(own[0] - self.first, own[-1] - self.first + 1)
        beta, nearest = self.beta[own, np.newaxis], self.nearest[own, np.newaxis]
        p = _weights(self.there[here], nearest, beta) / self.norm[own, np.newaxis]
        p += _weights(self.back[here], self.nearest, self.beta) / self.norm
        p /= 2.0 * self.data.n_samples
        return _sums(p, own, log_w)


def _weights(squares: Floats, nearest: Floats, beta: Floats) -> Floats:
    """Return exp(-beta (d^2 - nearest)), or its limit where beta is infinite."""
    exponents = np.maximum(squares - nearest, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        exponents *= -beta
    if not np.isfinite(beta).all():
        exponents[np.isnan(exponents)] = 0.0
    return np.asarray(np.exp(exponents, out=exponents))


def _sums(p: Floats, own: Anchors, log_w: Floats) -> tuple[Floats, Floats]:
    """Return the sums of `_Given.against` from whole rows of P."""
    itself = np.arange(len(own)), own
    p[itself] = 0.0
    terms = np.log(np.maximum(p, np.finfo(np.float64).tiny))
    terms -= log_w
    terms[itself] = 0.0
    terms *= p
    return p.sum(axis=1), terms.sum(axis=1)


def _unit(data: Distances) -> float:
    """Return the power of two that scales squares, so that results do not depend on X's unit."""
    if not isinstance(data, Points) or data.metric != "euclidean":
        return 1.0
    _, exponent = np.frexp(max(abs(float(data.X.max())), abs(float(data.X.min()))))
    return float(np.ldexp(1.0, -2 * int(exponent)))


def _given(P: Any, n_points: int) -> _Given:
    """Check the joint probabilities that the caller gives."""
    if isinstance(P, JointProbabilities) or sparse.issparse(P):
        P = as_csr(P)
    P = check_array(
        check_readable(P), accept_sparse="csr", dtype=[np.float64, np.float32], input_name="X"
    )
    if P.shape[0] != P.shape[1]:
        raise ValueError(f"X must be a square P with perplexity=None; got shape {P.shape}")
    check_same_length(P.shape[0], n_points)
    values = P.data if sparse.issparse(P) else P
    if values.size and values.min() < 0.0:
        raise ValueError(
            "X must contain probabilities with perplexity=None; it has negative values"
        )
    if P.diagonal().any():
        raise ValueError("X must be 0 on its diagonal with perplexity=None: p_ii = 0")
    total = float(values.sum(dtype=np.float64))
    if not abs(total - 1.0) < 1e-3:
        raise ValueError(f"X must sum to 1 with perplexity=None; it sums to {total:g}")
    return _Given(P, total)
