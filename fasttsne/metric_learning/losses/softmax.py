"""Losses that are a softmax over a batch: one positive (or a few) against all the rest.

Each is a cross-entropy of logits, with its gradient p - y; what differs is what the logits are and
what the denominator holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from fasttsne.metric_learning.checks import (
    Floats,
    Reduction,
    as_classes,
    as_embeddings,
    as_indices,
    check_positive,
    check_squares,
    reduced,
    same_type,
)
from fasttsne.metric_learning.distances import normalized, through_normalized

__all__ = [
    "info_nce_loss",
    "n_pair_loss",
    "nt_xent_loss",
    "proxy_loss",
    "softmax_loss",
    "supervised_contrastive_loss",
]

Gradient = NDArray[np.floating]


def softmax_loss(
    logits: ArrayLike, target: ArrayLike, *, reduction: Reduction = "mean"
) -> tuple[float | Floats, Gradient]:
    """Cross-entropy of a softmax: log sum_j e^(s_j) - s_target, contrastive learning in disguise.

    Let the logit of class j be the product w_j'x of a sample with a vector of the class. Then the
    loss -log(e^(w_y'x) / sum_j e^(w_j'x)) has the positive pair (x, w_y) in the numerator, and in
    the denominator the negative pairs of x with the vectors of all other classes: it is
    `info_nce_loss` with one key a class [1]_, and its gradient pulls x to w_y as much as it pushes
    it from the others, each by its share of the denominator. The class vectors are what
    `proxy_loss` calls proxies; a batch that is its own set of keys makes it `n_pair_loss`; a few
    negatives instead of all make it a sampled softmax.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Scores of the classes, s.
    target : array-like of int, shape (n_samples,)
        The right class of each sample, from 0.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over samples.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,)
        In nats.
    gradient : ndarray of shape (n_samples, n_classes)
        Its derivative by the logits: softmax(s) - [j = target].

    Raises
    ------
    ValueError
        If shapes disagree, values are NaN, infinite or no numbers, or classes do not exist.

    References
    ----------
    .. [1] van den Oord, A., Li, Y. and Vinyals, O. (2018). Representation learning with contrastive
       predictive coding. arXiv:1807.03748. Equation 4.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import softmax_loss
    >>> loss, gradient = softmax_loss([[2.0, 1.0, 1.0]], [0])
    >>> round(loss, 4), gradient.round(4)
    (0.5514, array([[-0.4239,  0.2119,  0.2119]]))
    """
    scores = as_embeddings(logits, "logits")
    targets = as_indices(np.reshape(target, (-1, 1)), 1, scores.shape[1], "target")[:, 0]
    if len(targets) != len(scores):
        raise ValueError(f"target must hold {len(scores)} classes, one a row of logits")
    losses, by_logits = cross_entropy(scores, targets)
    loss, scale = reduced(losses, reduction)
    return loss, same_type(by_logits * scale, logits)


def n_pair_loss(
    anchors: ArrayLike, positives: ArrayLike, *, reduction: Reduction = "mean"
) -> tuple[float | Floats, tuple[Gradient, Gradient]]:
    """N-pair loss: every anchor against the positives of all others.

    log(1 + sum_(j != i) e^(a_i'p_j - a_i'p_i)) ([1]_, equation 7), with inner products as they are.

    Parameters
    ----------
    anchors, positives : array-like of shape (n_pairs, n_features)
        Embeddings; row i of both belong together, and pairs are of different classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over pairs.

    Returns
    -------
    loss : float, or ndarray of shape (n_pairs,)
        In nats.
    gradients : tuple of ndarray of shape (n_pairs, n_features)
        Its derivatives by anchors and by positives.

    Raises
    ------
    ValueError
        If shapes disagree, or values are NaN, infinite or no numbers.

    References
    ----------
    .. [1] Sohn, K. (2016). Improved deep metric learning with multi-class N-pair loss objective.
       Advances in Neural Information Processing Systems 29, 1857-1865.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import n_pair_loss
    >>> loss, (by_anchors, by_positives) = n_pair_loss(
    ...     [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    ... )
    >>> round(loss, 4)
    0.3133
    """
    A, P = _two(anchors, positives, "anchors", "positives", equally_many=True)
    check_squares(A, "anchors")
    check_squares(P, "positives")
    losses, by_logits = cross_entropy(A @ P.T, np.arange(len(A)))
    loss, scale = reduced(losses, reduction)
    by_logits *= scale
    return loss, (same_type(by_logits @ P, anchors), same_type(by_logits.T @ A, positives))


def info_nce_loss(
    queries: ArrayLike,
    keys: ArrayLike,
    temperature: float = 0.1,
    *,
    normalize: bool = True,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, tuple[Gradient, Gradient]]:
    """InfoNCE: the right one among all keys, -log e^(s_ii / t) / sum_j e^(s_ij / t) [1]_.

    s_ij is the cosine of query i and key j.

    Parameters
    ----------
    queries : array-like of shape (n_queries, n_features)
        Embeddings.
    keys : array-like of shape (n_keys, n_features)
        The first n_queries of them are the positives, in the order of the queries; more are
        further negatives.
    temperature : float, default=0.1
        t, above 0.
    normalize : bool, default=True
        Whether s is the cosine, or the inner product as it is.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over queries.

    Returns
    -------
    loss : float, or ndarray of shape (n_queries,)
        In nats.
    gradients : tuple of ndarray
        Its derivatives by queries and by keys, in their shapes; 0 for vectors of zeros, whose
        cosine counts as 0.

    Raises
    ------
    ValueError
        If shapes disagree, there are fewer keys than queries, values are NaN, infinite or no
        numbers, or `temperature` is not above 0.

    References
    ----------
    .. [1] van den Oord, A., Li, Y. and Vinyals, O. (2018). Representation learning with contrastive
       predictive coding. arXiv:1807.03748. Equation 4.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import info_nce_loss
    >>> X = [[1.0, 0.0], [0.0, 1.0]]
    >>> loss, (by_queries, by_keys) = info_nce_loss(X, X, temperature=1.0)
    >>> round(loss, 4)
    0.3133
    """
    check_positive("temperature", temperature)
    Q, K = _two(queries, keys, "queries", "keys", equally_many=False)
    q, q_lengths = normalized(Q) if normalize else (Q, None)
    k, k_lengths = normalized(K) if normalize else (K, None)
    check_squares(q, "queries")
    check_squares(k, "keys")
    losses, by_logits = cross_entropy(q @ k.T / temperature, np.arange(len(Q)))
    loss, scale = reduced(losses, reduction)
    by_logits *= scale / temperature
    by_q, by_k = by_logits @ k, by_logits.T @ q
    if q_lengths is not None and k_lengths is not None:
        by_q = through_normalized(by_q, q, q_lengths)
        by_k = through_normalized(by_k, k, k_lengths)
    return loss, (same_type(by_q, queries), same_type(by_k, keys))


def nt_xent_loss(
    X: ArrayLike,
    pairs: ArrayLike,
    temperature: float = 0.5,
    *,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, Gradient]:
    """NT-Xent, SimCLR's loss: the partner among all other samples of the batch.

    -log e^(s_ij / t) / sum_(k != i) e^(s_ik / t) for both members i of every pair (i, j), s the
    cosine ([1]_, equation 1).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    pairs : array-like of int, shape (n_pairs, 2)
        Numbers of samples that belong together.
    temperature : float, default=0.5
        t, above 0.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over both members of all pairs, 2 n_pairs of them.

    Returns
    -------
    loss : float, or ndarray of shape (2 n_pairs,)
        In nats; first all first members, then all second ones.
    gradient : ndarray of shape (n_samples, n_features)
        Its derivative by the embeddings; 0 for vectors of zeros, whose cosine counts as 0.

    Raises
    ------
    ValueError
        If shapes disagree, values are NaN, infinite or no numbers, a sample is paired with itself,
        or `temperature` is not above 0.

    References
    ----------
    .. [1] Chen, T., Kornblith, S., Norouzi, M. and Hinton, G. (2020). A simple framework for
       contrastive learning of visual representations. Proceedings of the 37th International
       Conference on Machine Learning, 1597-1607.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import nt_xent_loss
    >>> Z = [[1, 0], [0, 1], [1, 1], [-1, 1]]
    >>> loss, gradient = nt_xent_loss(Z, [(0, 2), (1, 3)], temperature=0.5)
    >>> round(loss, 4)
    0.536
    """
    check_positive("temperature", temperature)
    Z = as_embeddings(X)
    numbers = as_indices(pairs, 2, len(Z), "pairs")
    if (numbers[:, 0] == numbers[:, 1]).any():
        raise ValueError("pairs must not pair a sample with itself")
    members, partners = numbers.T.ravel(), numbers[:, ::-1].T.ravel()
    units, lengths = normalized(Z)
    logits = units[members] @ units.T / temperature
    logits[np.arange(len(members)), members] = -np.inf
    losses, by_logits = cross_entropy(logits, partners)
    loss, scale = reduced(losses, reduction)
    by_logits *= scale / temperature
    by_units = by_logits.T @ units[members]
    np.add.at(by_units, members, by_logits @ units)
    return loss, same_type(through_normalized(by_units, units, lengths), X)


def supervised_contrastive_loss(
    X: ArrayLike,
    labels: ArrayLike,
    temperature: float = 0.1,
    *,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, Gradient]:
    """Supervised contrastive loss, "out": all of an anchor's class among all other samples.

    ``-1/|P| sum_(p in P) log e^(s_ip / t) / sum_(k != i) e^(s_ik / t)`` for every anchor i, P the
    others of its class, s the cosine ([1]_, equation 2).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    labels : array-like of shape (n_samples,)
        Classes, of any type.
    temperature : float, default=0.1
        t, above 0.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over anchors that have others of their class.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,)
        In nats; 0 for anchors alone in their class.
    gradient : ndarray of shape (n_samples, n_features)
        Its derivative by the embeddings; 0 for vectors of zeros, whose cosine counts as 0.

    Raises
    ------
    ValueError
        If shapes disagree, values are NaN, infinite or no numbers, or `temperature` is not above 0.

    References
    ----------
    .. [1] Khosla, P. et al. (2020). Supervised contrastive learning. Advances in Neural Information
       Processing Systems 33, 18661-18673.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import supervised_contrastive_loss
    >>> X = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> loss, gradient = supervised_contrastive_loss(X, [0, 0, 1, 1], temperature=1.0)
    >>> round(loss, 4)
    0.5978
    """
    check_positive("temperature", temperature)
    Z = as_embeddings(X)
    classes = as_classes(labels, len(Z))
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
    loss, scale = reduced(losses, reduction, n_all=int(anchors.sum()))
    by_logits *= scale / temperature
    by_units = (by_logits + by_logits.T) @ units
    return loss, same_type(through_normalized(by_units, units, lengths), X)


def proxy_loss(
    X: ArrayLike,
    target: ArrayLike,
    proxies: ArrayLike,
    *,
    include_positive: bool = False,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, tuple[Gradient, Gradient]]:
    """Proxy-NCA: the proxy of a sample's class against those of all other classes.

    -log e^(-d(x, p_y)) / sum_(z != y) e^(-d(x, p_z)), d the squared Euclidean distance of
    vectors scaled to length 1 ([1]_, equation 4).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings.
    target : array-like of int, shape (n_samples,)
        Class of each sample: the number of its proxy.
    proxies : array-like of shape (n_classes, n_features)
        One vector a class, to be learned; at least 2.
    include_positive : bool, default=False
        Whether the denominator holds the proxy of the sample's own class as well, which makes the
        loss a softmax, never negative.
    reduction : {"mean", "sum", "none"}, default="mean"
        Over samples.

    Returns
    -------
    loss : float, or ndarray of shape (n_samples,)
        In nats.
    gradients : tuple of ndarray
        Its derivatives by embeddings and by proxies, in their shapes; 0 for vectors of zeros.

    Raises
    ------
    ValueError
        If shapes disagree, values are NaN, infinite or no numbers, classes do not exist, or there
        are fewer than two proxies.

    References
    ----------
    .. [1] Movshovitz-Attias, Y., Toshev, A., Leung, T., Ioffe, S. and Singh, S. (2017). No fuss
       distance metric learning using proxies. IEEE International Conference on Computer Vision,
       360-368.

    Examples
    --------
    >>> from fasttsne.metric_learning.losses import proxy_loss
    >>> loss, (by_X, by_proxies) = proxy_loss([[2.0, 0.0]], [0], [[1.0, 0.0], [0.0, 1.0]])
    >>> loss
    -2.0
    """
    Z, P = _two(X, proxies, "X", "proxies", equally_many=None)
    if len(P) < 2:
        raise ValueError("proxies must hold at least two vectors, one a class")
    targets = as_indices(np.reshape(target, (-1, 1)), 1, len(P), "target")[:, 0]
    if len(targets) != len(Z):
        raise ValueError(f"target must hold {len(Z)} classes, one a sample")
    z, z_lengths = normalized(Z)
    p, p_lengths = normalized(P)
    rows = np.arange(len(Z))
    # -|z - p|^2 of units; of a vector of zeros the lengths are missing, which is the same for all
    # proxies or all samples and so no matter of the gradient.
    logits = 2.0 * (z @ p.T) - np.sum(z * z, axis=1)[:, np.newaxis] - np.sum(p * p, axis=1)
    others = logits.copy()
    if not include_positive:
        others[rows, targets] = -np.inf
    sums = logsumexp(others, axis=1)
    losses = sums - logits[rows, targets]
    by_logits = np.exp(others - sums[:, np.newaxis])
    by_logits[rows, targets] -= 1.0
    loss, scale = reduced(losses, reduction)
    by_logits *= 2.0 * scale
    return loss, (
        same_type(through_normalized(by_logits @ p, z, z_lengths), X),
        same_type(through_normalized(by_logits.T @ z, p, p_lengths), proxies),
    )


# ---- What they share ------------------------------------------------------------------------


def cross_entropy(logits: Floats, targets: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Losses of rows of logits, and their derivatives; a logit of -inf takes no part."""
    rows = np.arange(len(logits))
    if not rows.size:
        return np.zeros(0), np.zeros_like(logits)
    relative = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(relative)
    sums = shares.sum(axis=1)
    shares /= sums[:, np.newaxis]
    shares[rows, targets] -= 1.0
    return np.log(sums) - relative[rows, targets], shares


def _two(
    first: ArrayLike, second: ArrayLike, name: str, other: str, equally_many: bool | None
) -> tuple[Floats, Floats]:
    A, B = as_embeddings(first, name), as_embeddings(second, other)
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"{name} and {other} must have equally many features, got {A.shape} and {B.shape}"
        )
    if equally_many and len(A) != len(B):
        raise ValueError(f"{name} and {other} must be equally many, got {len(A)} and {len(B)}")
    if equally_many is False and len(A) > len(B):
        raise ValueError(f"{other} must be at least as many as {name}, got {len(B)} and {len(A)}")
    return A, B
