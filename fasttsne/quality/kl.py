"""The exact objective of t-SNE over all pairs of points, a few rows of P at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.utils import check_array, gen_batches

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
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads, in_threads
from fasttsne.samples.checks import check_readable

__all__ = ["kl_divergence"]

_ROWS = 4  # rows of one thread at a time
_SCALE_ROWS = 500  # rows by which the best scale is found


@with_plain_numbers
def kl_divergence(
    X: Any,
    embedding: ArrayLike,
    *,
    perplexity: Positive | None = 30.0,
    degrees_of_freedom: Positive | None = None,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    scale: float | Literal["best"] = 1.0,
    per_sample: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return the exact Kullback-Leibler divergence of a map from its data: t-SNE's objective.

    It is computed over all pairs of points in double precision, without neighbour lists or trees.
    It compares maps of the same data from any method, given the same perplexity and degrees of
    freedom. Scaling a map changes its divergence but not its neighbours: use ``scale="best"`` to
    compare maps.

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
    scale : float or "best", default=1.0
        Factor on the map, above 0. "best" is the one with the smallest divergence, found by a
        one-dimensional search; above 500 samples the search looks at 500 rows, the same ones for
        all maps.
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

    The divergence is exact at any scale. The best scale is estimated from 500 rows; with more
    samples the result can exceed the smallest divergence by about 2e-4.

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
    >>> kl_divergence(X, flat, scale="best") < kl_divergence(X, flat)
    True
    >>> kl_divergence(X, flat, per_sample=True).shape
    (150,)
    """
    Y = as_embedding(embedding).astype(np.float64)
    check_at_least(2, len(Y))
    if np.abs(Y).max() > LARGEST_VALUE:
        raise ValueError(
            f"embedding has values of magnitude above {LARGEST_VALUE:g}, whose squared distances "
            "overflow; divide it by a constant"
        )
    factor: Any = scale
    is_best = isinstance(factor, str) and factor == "best"
    if not is_best and not (
        isinstance(factor, int | float) and factor > 0 and factor * np.abs(Y).max() <= LARGEST_VALUE
    ):
        raise ValueError(
            f'scale={factor!r} must be "best" or a number above 0 at which squared distances on '
            "the map do not overflow"
        )
    if degrees_of_freedom is None:
        degrees_of_freedom = default_degrees_of_freedom(Y.shape[1])
    n_threads = effective_n_threads(n_jobs)
    joint: _Given | _Gaussian
    if perplexity is None:
        joint = _given(X, len(Y))
    else:
        data = as_distances(X, metric, metric_params)
        check_same_length(data.n_samples, len(Y))
        if perplexity >= len(Y):
            raise ValueError(f"perplexity ({perplexity}) must be less than n_samples ({len(Y)})")
        joint = _Gaussian(data, perplexity, n_threads)
    if is_best:
        factor = _best_scale(joint, Y, degrees_of_freedom, n_threads)
    shares = _shares(joint, Points(factor * Y), degrees_of_freedom, n_threads)
    return shares if per_sample else max(float(shares.sum()), 0.0)  # rounding can take it below


def _best_scale(joint: _Given | _Gaussian, Y: Floats, nu: float, n_threads: int) -> float:
    """Return the factor with the smallest divergence, estimated from 500 rows of P and Q."""
    largest_value = np.abs(Y).max()
    if largest_value == 0.0:
        return 1.0
    Y = Y / largest_value
    distances = np.linalg.norm(Y - np.median(Y, axis=0), axis=1)
    radius = np.median(distances) or distances.max()
    if radius == 0.0:
        return 1.0
    chosen = np.random.RandomState(0).permutation(len(Y))[:_SCALE_ROWS]
    rows = np.sort(chosen).astype(np.int32)

    def divergence(log_scale: float) -> float:
        on_map = Points(np.exp(log_scale) * Y)
        mass, terms, largest, log_z = _row_terms(joint, on_map, rows, nu, n_threads)
        top = largest.max()
        attraction = np.sum(terms + mass * (top - largest)) / mass.sum()
        return float(attraction + logsumexp(largest - top + log_z))

    # The radius of a finished map of n points is about the root of n. Far from the best scale the
    # divergence is flat, so the search begins with a coarse grid.
    grid = np.log(np.sqrt(len(Y)) / radius) + np.arange(-7.0, 8.0)
    best = grid[np.argmin([divergence(log_scale) for log_scale in grid])]
    search = {"method": "bounded", "options": {"xatol": 1e-3}}
    found = minimize_scalar(divergence, bounds=(best - 1.0, best + 1.0), **search)
    return float(np.exp(found.x) / largest_value)


def _shares(joint: _Given | _Gaussian, on_map: Points, nu: float, n_threads: int) -> Floats:
    """Return the sum over j of p_ij log(p_ij / q_ij) for every i."""
    rows = np.arange(on_map.n_samples, dtype=np.int32)
    mass, terms, largest, log_z = _row_terms(joint, on_map, rows, nu, n_threads)
    top = largest.max()
    log_sum = logsumexp(largest - top + log_z)
    # -log q_ij = log Z - log w_ij, both relative to the largest log w of row i.
    return np.asarray(terms + mass * (top - largest + log_sum))


def _row_terms(
    joint: _Given | _Gaussian, on_map: Points, rows: Anchors, nu: float, n_threads: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return for some rows the sums over j of p_ij and of p_ij (log p_ij - log w_ij), log w and Z.

    log w is relative to the largest of its row, so that no whole row of w underflows. The third
    array is that largest log w, and the fourth the logarithm of the row's share of Z.
    """
    mass, terms, largest, log_z = (np.empty(len(rows)) for _ in range(4))
    exponent = -0.5 * (nu + 1.0)

    def add_rows(at: slice, log_w: Floats) -> None:
        own = rows[at]
        log_w /= nu
        np.log1p(log_w, out=log_w)
        log_w *= exponent
        log_w[np.arange(len(own)), own] = -np.inf
        largest[at] = log_w.max(axis=1)
        log_w -= largest[at, np.newaxis]
        mass[at], terms[at] = joint.against(own, log_w)
        log_z[at] = np.log(np.exp(log_w).sum(axis=1))

    for block, own in blocks_of(rows, on_map.n_samples):
        if isinstance(joint, _Gaussian):
            joint.prepare(own, n_threads)
        _in_few_rows(add_rows, block.start, on_map.rows(own, n_threads), n_threads)
    return mass, terms, largest, log_z


def _in_few_rows(
    work: Callable[[slice, Floats], None], first: int, squares: Floats, n_threads: int
) -> None:
    """Call `work` on the places of a few rows, from `first` on, and their squares, in threads."""

    def part(of: slice) -> None:
        work(slice(first + of.start, first + of.stop), squares[of])

    in_threads(part, gen_batches(len(squares), _ROWS), n_threads)


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

        def add_norms(at: slice, squares: Floats) -> None:
            weights = _weights(squares, self.nearest[at, np.newaxis], self.beta[at, np.newaxis])
            self.norm[at] = weights.sum(axis=1)

        for block, rows in blocks_of(np.arange(n_samples, dtype=np.int32), n_samples):
            squares = data.squares(rows, n_threads) * self.unit
            others = np.ones(squares.shape, dtype=bool)
            others[np.arange(len(rows)), rows] = False
            squares = squares[others].reshape(len(rows), n_samples - 1)
            _, self.beta[rows] = _kernels.calibrate(squares, perplexity, False, n_threads)
            self.nearest[rows] = squares.min(axis=1)
            _in_few_rows(add_norms, block.start, squares, n_threads)

    def prepare(self, rows: Anchors, n_threads: int) -> None:
        """Compute what `against` needs for the rows of a block."""
        self.rows = rows
        self.there = self.back = self.data.squares(rows, n_threads) * self.unit
        if isinstance(self.data, Precomputed):  # d_ij and d_ji may differ
            self.back = self.data.squares_back(rows) * self.unit

    def against(self, own: Anchors, log_w: Floats) -> tuple[Floats, Floats]:
        """Return what `_Given.against` returns."""
        first = int(np.searchsorted(self.rows, own[0]))
        here = slice(first, first + len(own))
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
