"""Losses that are a softmax over a batch: one positive, or a few, against all other samples.

Each is a cross-entropy of logits with the gradient p - y. They differ in what the logits are and
in what the denominator holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Gradient, Indices, Loss, Reduction
from fasttsne.metric_learning.distances import normalized, through_normalized
from fasttsne.runtime.numbers import Positive, with_plain_numbers

LossOfTwo = tuple[float | Floats, tuple[Gradient, Gradient]]


@with_plain_numbers
def softmax_loss(logits: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean") -> Loss:
    """Return the cross-entropy of a softmax, log sum_j e^(s_j) - s_target, and its gradient.

    With logits w_j'x, products of a sample with a vector per class, this is `info_nce_loss` with
    one key per class. `proxy_loss` calls these vectors proxies; `n_pair_loss` uses the batch.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Scores s of the classes (errors: see `contrastive_loss`).
    target : array-like of int, shape (n_samples,)
        Class of each sample, from 0.
    reduction : {"mean", "sum", "none"} over samples; see `contrastive_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,), ndarray in the shape of `logits`
        In nats. Derivative by the logits: softmax(s) - [j = target].

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import softmax_loss
    >>> loss, gradient = softmax_loss([[2.0, 1.0, 1.0]], [0])
    >>> round(loss, 4), gradient.round(4)
    (0.5514, array([[-0.4239,  0.2119,  0.2119]]))
    """
    scores = checks.as_embeddings(logits, "logits")
    losses, by_logits = cross_entropy(scores, checks.as_targets(target, *scores.shape))
    loss, count = checks.reduced(losses, reduction)
    return loss, checks.same_type(by_logits * (1.0 / count), logits)


@with_plain_numbers
def n_pair_loss(
    anchors: ArrayLike, positives: ArrayLike, *, reduction: Reduction = "mean"
) -> LossOfTwo:
    """Return the N-pair loss of every anchor against the positives of all others, and gradients.

    log(1 + sum_(j != i) e^(a_i'p_j - a_i'p_i)) (Sohn 2016, equation 7), with plain inner products.

    Parameters
    ----------
    anchors, positives : array-like of shape (n_pairs, n_features)
        Embeddings (errors: see `contrastive_loss`). Row i of both is a pair; pairs are of
        different classes.
    reduction : {"mean", "sum", "none"} over pairs; see `contrastive_loss`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_pairs,), tuple of ndarray
        In nats. Derivatives by anchors and by positives, in their shapes.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import n_pair_loss
    >>> X = [[1.0, 0.0], [0.0, 1.0]]
    >>> loss, (by_anchors, by_positives) = n_pair_loss(X, X)
    >>> round(loss, 4)
    0.3133
    """
    A, P = _two(anchors, positives, "anchors", "positives")
    checks.check_squares(A, "anchors")
    checks.check_squares(P, "positives")
    if len(A) != len(P):
        raise ValueError(f"anchors and positives must be equally many, got {len(A)} and {len(P)}")
    return info_nce_loss(anchors, positives, 1.0, normalize=False, reduction=reduction)


@with_plain_numbers
def info_nce_loss(
    queries: ArrayLike,
    keys: ArrayLike,
    temperature: Positive = 0.1,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> LossOfTwo:
    """Return InfoNCE, -log e^(s_ii / t) / sum_j e^(s_ij / t), and its gradients.

    s_ij is the cosine of query i and key j (van den Oord et al. 2018, equation 4).

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings (errors: see `contrastive_loss`).
    keys : array-like of shape (n_keys, n_features)
        The first n_queries keys are the positives, in the order of the queries; all further keys
        are negatives.
    temperature : float, default=0.1
        t, above 0.
    normalize : bool, default=True
        Whether s is the cosine or the plain inner product.
    reduction : {"mean", "sum", "none"} over queries; see `contrastive_loss`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_queries,), tuple of ndarray
        In nats. Derivatives by queries and by keys; 0 for vectors of zeros, whose cosine is 0.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import info_nce_loss
    >>> X = [[1.0, 0.0], [0.0, 1.0]]
    >>> loss, (by_queries, by_keys) = info_nce_loss(X, X, temperature=1.0)
    >>> round(loss, 4)
    0.3133
    """
    Q, K = _two(queries, keys, "queries", "keys")
    if not normalize:
        checks.check_squares(Q, "queries")
        checks.check_squares(K, "keys")
    if len(Q) > len(K):
        raise ValueError(f"keys must be at least as many as queries, got {len(K)} and {len(Q)}")
    q, q_lengths = normalized(Q) if normalize else (Q, None)
    k, k_lengths = normalized(K) if normalize else (K, None)
    losses, by_logits = cross_entropy(q @ k.T / temperature, np.arange(len(Q)))
    loss, count = checks.reduced(losses, reduction)
    by_logits *= 1.0 / count / temperature
    by_q, by_k = by_logits @ k, by_logits.T @ q
    if q_lengths is not None and k_lengths is not None:
        by_q = through_normalized(by_q, q, q_lengths)
        by_k = through_normalized(by_k, k, k_lengths)
    return loss, (checks.same_type(by_q, queries), checks.same_type(by_k, keys))


@with_plain_numbers
def nt_xent_loss(
    X: ArrayLike, pairs: ArrayLike, temperature: Positive = 0.5, *, reduction: Reduction = "mean"
) -> Loss:
    """Return NT-Xent, the loss of SimCLR, and its gradient.

    -log e^(s_ij / t) / sum_(k != i) e^(s_ik / t) for both members i of every pair (i, j): the
    partner against all other samples of the batch. s is the cosine (Chen et al. 2020, equation 1).

    Parameters
    ----------
    X : see `contrastive_loss`
    pairs : array-like of int, shape (n_pairs, 2)
        Numbers of two different samples that are similar.
    temperature : float, default=0.5
        t, above 0.
    reduction : {"mean", "sum", "none"} over both members of all pairs; see `contrastive_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (2 n_pairs,), ndarray in the shape of `X`
        In nats; first the first members of all pairs, then the second members.
        Derivative by the embeddings; 0 for vectors of zeros, whose cosine is taken as 0.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import nt_xent_loss
    >>> Z = [[1, 0], [0, 1], [1, 1], [-1, 1]]
    >>> loss, gradient = nt_xent_loss(Z, [(0, 2), (1, 3)], temperature=0.5)
    >>> round(loss, 4)
    0.536
    """
    Z = checks.as_embeddings(X)
    numbers = checks.as_indices(pairs, 2, len(Z), "pairs")
    if (numbers[:, 0] == numbers[:, 1]).any():
        raise ValueError("pairs must not pair a sample with itself")
    members, partners = numbers.T.ravel(), numbers[:, ::-1].T.ravel()
    units, lengths = normalized(Z)
    logits = units[members] @ units.T / temperature
    logits[np.arange(len(members)), members] = -np.inf
    losses, by_logits = cross_entropy(logits, partners)
    loss, count = checks.reduced(losses, reduction)
    by_logits *= 1.0 / count / temperature
    by_units = by_logits.T @ units[members]
    np.add.at(by_units, members, by_logits @ units)
    return loss, checks.same_type(through_normalized(by_units, units, lengths), X)


@with_plain_numbers
def supervised_contrastive_loss(
    X: ArrayLike, labels: ArrayLike, temperature: Positive = 0.1, *, reduction: Reduction = "mean"
) -> Loss:
    """Return the supervised contrastive loss, variant "out", and its gradient.

    ``-1/|P| sum_(p in P) log e^(s_ip / t) / sum_(k != i) e^(s_ik / t)`` for every anchor i, with P
    the other samples of its class and s the cosine (Khosla et al. 2020, equation 2).

    Parameters
    ----------
    X, labels : see `contrastive_loss`
    temperature : float, default=0.1
        t, above 0.
    reduction : {"mean", "sum", "none"} over anchors that have positives; see `contrastive_loss`

    Returns
    -------
    loss, gradient : float or ndarray of shape (n_samples,), ndarray in the shape of `X`
        In nats; 0 for anchors alone in their class.
        Derivative by the embeddings; 0 for vectors of zeros, whose cosine is taken as 0.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import supervised_contrastive_loss
    >>> X = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> loss, gradient = supervised_contrastive_loss(X, [0, 0, 1, 1], temperature=1.0)
    >>> round(loss, 4)
    0.5978
    """
    Z = checks.as_embeddings(X)
    classes = checks.as_classes(labels, len(Z))
    units, lengths = normalized(Z)
    logits = units @ units.T / temperature
    np.fill_diagonal(logits, -np.inf)
    positive = (classes[:, np.newaxis] == classes) & ~np.eye(len(Z), dtype=bool)
    n_positive = positive.sum(axis=1)
    shares = positive / np.maximum(n_positive, 1)[:, np.newaxis]
    anchors = n_positive > 0
    losses, by_logits = np.zeros(len(Z)), np.zeros_like(logits)
    if anchors.any():
        sums = logsumexp(logits[anchors], axis=1)
        wanted = np.sum(logits[anchors], axis=1, where=positive[anchors]) / n_positive[anchors]
        losses[anchors] = sums - wanted
        by_logits[anchors] = np.exp(logits[anchors] - sums[:, np.newaxis]) - shares[anchors]
    loss, count = checks.reduced(losses, reduction, int(anchors.sum()))
    by_logits *= 1.0 / count / temperature
    by_units = (by_logits + by_logits.T) @ units
    return loss, checks.same_type(through_normalized(by_units, units, lengths), X)


@with_plain_numbers
def proxy_loss(
    X: ArrayLike,
    target: ArrayLike,
    proxies: ArrayLike,
    *,
    include_positive: bool = False,
    reduction: Reduction = "mean",
) -> LossOfTwo:
    """Return Proxy-NCA, the proxy of a sample's class against all others, and its gradients.

    -log e^(-d(x, p_y)) / sum_(z != y) e^(-d(x, p_z)), with d the squared Euclidean distance of
    vectors scaled to length 1 (Movshovitz-Attias et al. 2017, equation 4).

    Parameters
    ----------
    X : see `contrastive_loss`
    target : array-like of int, shape (n_samples,)
        Class of each sample: the number of its proxy.
    proxies : array-like of shape (n_classes, n_features)
        One vector per class, to be learned; at least 2.
    include_positive : bool, default=False
        Whether the denominator also holds the proxy of the sample's class. Then the loss is a
        softmax and never negative.
    reduction : {"mean", "sum", "none"} over samples; see `contrastive_loss`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_samples,), tuple of ndarray
        In nats. Derivatives by embeddings and by proxies; 0 for vectors of zeros.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import proxy_loss
    >>> loss, (by_X, by_proxies) = proxy_loss([[2.0, 0.0]], [0], [[1.0, 0.0], [0.0, 1.0]])
    >>> loss
    -2.0
    """
    Z, P = _two(X, proxies, "X", "proxies")
    if len(P) < 2:
        raise ValueError("proxies must hold at least two vectors, one per class")
    targets = checks.as_targets(target, len(Z), len(P))
    z, z_lengths = normalized(Z)
    p, p_lengths = normalized(P)
    rows = np.arange(len(Z))
    # -|z - p|^2. The squared length of a unit is 1, and 0 for a vector of zeros: the same for all
    # proxies or all samples, so it does not enter the gradient.
    logits = 2.0 * (z @ p.T) - np.sum(z * z, axis=1)[:, np.newaxis] - np.sum(p * p, axis=1)
    others = logits.copy()
    if not include_positive:
        others[rows, targets] = -np.inf
    sums = logsumexp(others, axis=1)
    by_logits = np.exp(others - sums[:, np.newaxis])
    by_logits[rows, targets] -= 1.0
    loss, count = checks.reduced(sums - logits[rows, targets], reduction)
    by_logits *= 2.0 * (1.0 / count)
    return loss, (
        checks.same_type(through_normalized(by_logits @ p, z, z_lengths), X),
        checks.same_type(through_normalized(by_logits.T @ z, p, p_lengths), proxies),
    )


def cross_entropy(logits: Floats, targets: Indices) -> tuple[Floats, Floats]:
    """Return the losses of rows of logits, and their derivatives; logits of -inf take no part."""
    rows = np.arange(len(logits))
    if not rows.size:
        return np.zeros(0), np.zeros_like(logits)
    relative = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(relative)
    sums = shares.sum(axis=1)
    shares /= sums[:, np.newaxis]
    shares[rows, targets] -= 1.0
    return np.log(sums) - relative[rows, targets], shares


def _two(first: ArrayLike, second: ArrayLike, name: str, other: str) -> tuple[Floats, Floats]:
    """Return two arrays of embeddings with equally many features."""
    A, B = checks.as_embeddings(first, name), checks.as_embeddings(second, other)
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"{name} and {other} must have equally many features, got {A.shape} and {B.shape}"
        )
    return A, B
