"""The objective of t-SNE, exactly: over all pairs of points, in memory for a few rows of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import logsumexp
from sklearn.utils import check_array, check_scalar

from fasttsne import _kernels
from fasttsne.affinity import JointProbabilities
from fasttsne.descent.degrees_of_freedom import default_degrees_of_freedom
from fasttsne.neighbors.metrics import LARGEST_VALUE
from fasttsne.quality.checks import (
    Anchors,
    as_embedding,
    blocks_of,
    check_at_least_two,
    check_same_length,
)
from fasttsne.quality.distances import Distances, Known, Metric, Points, as_distances
from fasttsne.runtime.threads import effective_n_threads, in_threads

__all__ = ["kl_divergence"]

Floats = NDArray[np.float64]

# Rows that a thread works on at once.
_ROWS = 4

_SMALLEST = float(np.finfo(np.float64).tiny)


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
    r"""Exact Kullback-Leibler divergence of a map from its data: the objective of t-SNE.

    Computed over all pairs of points, without neighbour lists and trees, in double precision.
    Maps of the same data can be compared by it whichever method drew them, as long as perplexity
    and degrees of freedom are the same.

    .. math:: KL(P \| Q) = \sum_{i \ne j} p_{ij} \log \frac{p_{ij}}{q_{ij}}, \qquad
        q_{ij} \propto (1 + \|y_i - y_j\|^2 / \nu)^{-(\nu + 1) / 2}

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` a dense matrix of distances;
        with ``perplexity=None`` the joint probabilities P themselves, dense, sparse or as
        :func:`fasttsne.affinity.joint_probabilities` makes them.

    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.

    perplexity : float or None, default=30.0
        Perplexity of the conditional probabilities; above 0 and less than `n_samples`. None if `X`
        is P.

    degrees_of_freedom : float or None, default=None
        :math:`\nu` of Student's t-distribution on the map. None is what
        :class:`~fasttsne.TSNE` takes it to be: ``max(n_components - 1, 1)``.

    metric : str or callable, default="euclidean"
        Distance of the data, as in :class:`~fasttsne.TSNE`. The map's is always Euclidean.

    metric_params : dict, default=None
        Further arguments of the metric.

    per_sample : bool, default=False
        Return every point's share of the sum, over its pairs with all others: the sum over j
        alone.

    n_jobs : int or None, default=None
        Number of threads, as in :class:`~fasttsne.TSNE`. The result does not depend on it.

    Returns
    -------
    divergence : float, or ndarray of shape (n_samples,)
        In nats; smaller is better. Not negative, which a single point's share may be.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type.
    ValueError
        If a parameter is out of its range, if the numbers of rows differ, if an array holds NaN
        or infinity, if the metric gives what is no distance, or if `X` should be P and is not
        square, negative somewhere, not 0 on the diagonal, or does not sum to 1.

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
    >>> shares = kl_divergence(X, flat, per_sample=True)
    >>> shares.shape
    (150,)
    """
    Y = as_embedding(embedding)
    check_at_least_two(len(Y))
    if max(float(Y.max()), -float(Y.min())) > LARGEST_VALUE:
        raise ValueError(
            f"embedding has values of magnitude above {LARGEST_VALUE:g}, whose squared distances "
            "overflow"
        )
    if degrees_of_freedom is None:
        degrees_of_freedom = default_degrees_of_freedom(Y.shape[1])
    check_scalar(
        degrees_of_freedom, "degrees_of_freedom", Real, min_val=0, include_boundaries="neither"
    )
    n_threads = effective_n_threads(n_jobs)
    joint: _Joint
    if perplexity is None:
        joint = _given(X, Y)
    else:
        check_scalar(perplexity, "perplexity", Real, min_val=0, include_boundaries="neither")
        data = as_distances(X, metric, metric_params)
        check_same_length(data.n_samples, len(Y))
        if perplexity >= len(Y):
            raise ValueError(f"perplexity ({perplexity}) must be less than n_samples ({len(Y)})")
        joint = _Gaussian(data, float(perplexity), n_threads)
    shares = _shares(joint, Points(Y), float(degrees_of_freedom), n_threads)
    return shares if per_sample else max(float(shares.sum()), 0.0)  # rounding can take it below


def _shares(joint: _Joint, on_map: Points, nu: float, n_threads: int) -> Floats:
    """Sum over j of p_ij log(p_ij / q_ij) for every i.

    log w is taken from the largest of each row, so that no row of w underflows as a whole.
    """
    n_samples = on_map.n_samples
    mass, divergence, largest, log_z = (np.empty(n_samples) for _ in range(4))
    exponent = -0.5 * (nu + 1.0)
    for block, rows in blocks_of(np.arange(n_samples, dtype=np.int32), n_samples):
        squares = on_map.rows(rows, n_threads)
        joint.prepare(rows, n_threads)

        def fill(start: int, block: slice = block, squares: Floats = squares) -> None:
            here = slice(start, min(start + _ROWS, len(squares)))
            at = slice(block.start + here.start, block.start + here.stop)
            log_w = squares[here]
            log_w /= nu
            np.log1p(log_w, out=log_w)
            log_w *= exponent
            own = np.arange(at.start, at.stop)
            log_w[np.arange(len(own)), own] = -np.inf
            largest[at] = log_w.max(axis=1)
            log_w -= largest[at, np.newaxis]
            mass[at], divergence[at] = joint.against(here, own, log_w)
            log_z[at] = np.log(np.exp(log_w).sum(axis=1))

        in_threads(fill, range(0, len(squares), _ROWS), n_threads)
    top = largest.max()
    log_sum = logsumexp(largest - top + log_z)
    # -log q_ij = log Z - log w_ij, both from the largest log w of row i.
    shares: Floats = divergence + mass * (top - largest + log_sum)
    return shares


# ---- P, some rows at a time ----------------------------------------------------------------------


class _Joint(ABC):
    """Joint probabilities p_ij."""

    def prepare(self, rows: Anchors, n_threads: int) -> None:  # noqa: B027 - most have no need
        """Get ready for a block of rows."""

    @abstractmethod
    def against(self, here: slice, own: NDArray[np.int64], log_w: Floats) -> tuple[Floats, Floats]:
        """Sum over j p_ij, and p_ij (log p_ij - log w_ij) for the rows `own`.

        They are the rows `here` of the block; log w is minus infinity where j = i.
        """


class _Dense(_Joint):
    def __init__(self, joint: NDArray[np.floating], total: float) -> None:
        self.joint, self.total = joint, total

    def against(self, here: slice, own: NDArray[np.int64], log_w: Floats) -> tuple[Floats, Floats]:
        return _sums(self.joint[own].astype(np.float64) / self.total, own, log_w)


class _Sparse(_Joint):
    def __init__(self, joint: Any, total: float) -> None:
        self.joint, self.total = joint, total

    def against(self, here: slice, own: NDArray[np.int64], log_w: Floats) -> tuple[Floats, Floats]:
        edges = slice(self.joint.indptr[own[0]], self.joint.indptr[own[-1] + 1])
        p = self.joint.data[edges].astype(np.float64) / self.total
        row = np.repeat(np.arange(len(own)), np.diff(self.joint.indptr[own[0] : own[-1] + 2]))
        present = p > 0.0
        p, row, column = p[present], row[present], self.joint.indices[edges][present]
        terms = p * (np.log(p) - log_w[row, column])
        mass: Floats = np.bincount(row, p, minlength=len(own)).astype(np.float64)
        return mass, np.bincount(row, terms, minlength=len(own)).astype(np.float64)


class _Gaussian(_Joint):
    """p_ij = (p_j|i + p_i|j) / 2n, from each point's precision, nearest square and norm."""

    def __init__(self, data: Distances, perplexity: float, n_threads: int) -> None:
        if isinstance(data, Known):
            data.rows(np.zeros(1, dtype=np.int32), 1)  # which says what is wrong
        self.data = data
        self.unit = _unit(data)
        n_samples = data.n_samples
        self.beta, self.nearest, self.norm = (np.empty(n_samples) for _ in range(3))
        self.there = self.back = np.empty((0, 0))
        for block, rows in blocks_of(np.arange(n_samples, dtype=np.int32), n_samples):
            squares = data.squares(rows, n_threads) * self.unit
            others = np.ones(squares.shape, dtype=bool)
            others[np.arange(len(rows)), rows] = False
            squares = squares[others].reshape(len(rows), n_samples - 1)
            _, self.beta[block] = _kernels.calibrate(squares, perplexity, False, n_threads)
            self.nearest[block] = squares.min(axis=1)

            def fill(start: int, block: slice = block, squares: Floats = squares) -> None:
                here = slice(start, min(start + _ROWS, len(squares)))
                at = slice(block.start + here.start, block.start + here.stop)
                beta, nearest = self.beta[at, np.newaxis], self.nearest[at, np.newaxis]
                self.norm[at] = _weights(squares[here], nearest, beta).sum(axis=1)

            in_threads(fill, range(0, len(squares), _ROWS), n_threads)

    def prepare(self, rows: Anchors, n_threads: int) -> None:
        self.there = self.data.squares(rows, n_threads) * self.unit
        self.back = self.there
        if type(self.data).squares_back is not Distances.squares_back:
            self.back = self.data.squares_back(rows, n_threads) * self.unit

    def against(self, here: slice, own: NDArray[np.int64], log_w: Floats) -> tuple[Floats, Floats]:
        beta, nearest = self.beta[own, np.newaxis], self.nearest[own, np.newaxis]
        p = _weights(self.there[here], nearest, beta) / self.norm[own, np.newaxis]
        p += _weights(self.back[here], self.nearest, self.beta) / self.norm
        p /= 2.0 * self.data.n_samples
        return _sums(p, own, log_w)


def _weights(squares: Floats, nearest: Floats, beta: Floats) -> Floats:
    """exp(-beta (d^2 - nearest)), the limit of it where beta is infinite."""
    exponents = np.maximum(squares - nearest, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        exponents *= -beta
    if not np.isfinite(beta).all():
        exponents[np.isnan(exponents)] = 0.0
    return np.asarray(np.exp(exponents, out=exponents))


def _sums(p: Floats, own: NDArray[np.int64], log_w: Floats) -> tuple[Floats, Floats]:
    """Compute what `_Joint.against` returns from whole rows of P."""
    itself = np.arange(len(own)), own
    p[itself] = 0.0
    terms = np.log(np.maximum(p, _SMALLEST))
    terms -= log_w
    terms[itself] = 0.0
    terms *= p
    return p.sum(axis=1), terms.sum(axis=1)


def _unit(data: Distances) -> float:
    """Choose the power of two in which squares are taken, lest results depend on the unit of X."""
    if not isinstance(data, Points) or data.metric != "euclidean":
        return 1.0
    _, exponent = np.frexp(max(abs(float(data.X.max())), abs(float(data.X.min()))))
    return float(np.ldexp(1.0, -2 * int(exponent)))


def _given(P: Any, embedding: NDArray[np.floating]) -> _Joint:
    """Check joint probabilities that the caller has."""
    if isinstance(P, JointProbabilities):
        n_samples = len(P.indptr) - 1
        P = sparse.csr_matrix((P.data, P.indices, P.indptr), shape=(n_samples, n_samples))
    P = check_array(P, accept_sparse="csr", dtype=[np.float64, np.float32], input_name="X")
    if P.shape[0] != P.shape[1]:
        raise ValueError(f"X must be a square P with perplexity=None; got shape {P.shape}")
    check_same_length(P.shape[0], len(embedding))
    values = P.data if sparse.issparse(P) else P
    if values.size and values.min() < 0.0:
        raise ValueError("X must hold probabilities with perplexity=None; it has negative values")
    if P.diagonal().any():
        raise ValueError("X must be 0 on its diagonal with perplexity=None: p_ii = 0")
    total = float(values.sum(dtype=np.float64))
    if not abs(total - 1.0) < 1e-3:
        raise ValueError(f"X must sum to 1 with perplexity=None; it sums to {total:g}")
    return _Sparse(P, total) if sparse.issparse(P) else _Dense(P, total)
