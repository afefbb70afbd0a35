"""Contrastive losses of a map in NumPy, float64 and O(n²): pairs are listed, nothing is estimated.

Damrich, Böhm, Hamprecht & Kobak 2023 ("From t-SNE to UMAP with contrastive learning"), with
ordered pairs throughout: P sums to 1 over them, and the noise is xi = 1 / (n (n - 1)).
"""

import numpy as np


def similarities(Y):
    """q_ij = 1 / (1 + |y_i - y_j|²)."""
    return 1.0 / (1.0 + np.sum((Y[:, None] - Y[None, :]) ** 2, axis=2))


def pull(Y, by_q, i, j):
    """The gradient by Y of a loss whose derivative by q of the pair (i[k], j[k]) is by_q[k]."""
    gradient = np.zeros_like(Y)
    way = Y[i] - Y[j]
    q = 1.0 / (1.0 + np.sum(way**2, axis=1))
    by_y = (-2.0 * by_q * q**2)[:, None] * way
    np.add.at(gradient, i, by_y)
    np.add.at(gradient, j, -by_y)
    return gradient


def binary_loss(Y, P, negatives, m, odds):
    """-sum p log h - m mean over negatives of log(1 - h), h = q / (q + odds), and its gradient."""
    i, j = np.nonzero(P)
    a, b = negatives
    q = similarities(Y)
    q_p, q_n = q[i, j], q[a, b]
    loss = -np.sum(P[i, j] * np.log(q_p / (q_p + odds))) - m * np.mean(np.log(odds / (q_n + odds)))
    by_p = -P[i, j] * odds / (q_p * (q_p + odds))
    by_n = m / (len(a) * (q_n + odds))
    return loss, pull(Y, by_p, i, j) + pull(Y, by_n, a, b)


def binary_by_log_z(Y, P, negatives, m, odds):
    """The derivative of `binary_loss` by log Z, where odds = m xi Z."""
    q = similarities(Y)
    h = q / (q + odds)
    return np.sum(P * (1.0 - h)) - m * np.mean(h[negatives])


def infonce_loss(Y, P, negatives):
    """-sum_ij p_ij log q_ij / (q_ij + sum over the negatives of the row i of q), and its gradient.

    negatives: arrays (n, m) of heads and of tails.
    """
    i, j = np.nonzero(P)
    a, b = negatives
    q = similarities(Y)
    sums = q[a, b].sum(axis=1)
    loss = np.sum(P[i, j] * np.log(1.0 + sums[i] / q[i, j]))
    by_p = -P[i, j] * sums[i] / (q[i, j] * (q[i, j] + sums[i]))
    by_sum = np.bincount(i, P[i, j] / (q[i, j] + sums[i]), minlength=len(Y))
    by_n = np.broadcast_to(by_sum[:, None], a.shape)
    return loss, pull(Y, by_p, i, j) + pull(Y, by_n.ravel(), a.ravel(), b.ravel())


def infonce_against_all(Y, P):
    """InfoNCE where the negatives of an edge are all other ordered pairs, and its gradient."""
    heads, tails = all_pairs(len(Y))
    q = similarities(Y)
    loss, gradient = 0.0, np.zeros_like(Y)
    for i, j in zip(*np.nonzero(P), strict=True):
        others = ~((heads == i) & (tails == j))
        a, b = heads[others], tails[others]
        total = q[i, j] + q[a, b].sum()
        loss -= P[i, j] * np.log(q[i, j] / total)
        by_own = P[i, j] * (1.0 / total - 1.0 / q[i, j])
        gradient += pull(Y, np.array([by_own]), np.array([i]), np.array([j]))
        gradient += pull(Y, np.full(len(a), P[i, j] / total), a, b)
    return loss, gradient


def all_pairs(n):
    """Every ordered pair of different points: heads and tails."""
    return np.nonzero(~np.eye(n, dtype=bool))


def pairs_of_shifts(n, shifts):
    """The pairs (a, a + shift mod n) of all rows: heads and tails."""
    heads = np.tile(np.arange(n), len(shifts))
    return heads, (heads + np.repeat(shifts, n)) % n


def pairs_of_rows(n, shifts, offsets):
    """InfoNCE's pairs of each row i, (i + offset, i + offset + shift) mod n: (n, m) each."""
    heads = (np.arange(n)[:, None] + np.asarray(offsets)) % n
    return heads, (heads + np.asarray(shifts)) % n


def loss_of_new_point(y, Y, neighbors, p, m, odds):
    """A new point's share of `binary_loss` on the map Y, and its gradient.

    -sum p log h over its neighbours - m / (n - 1) sum log(1 - h) over all points.
    """
    squared = np.sum((y - Y) ** 2, axis=1)
    t = 1.0 + squared
    h = 1.0 / (1.0 + odds * t)
    near = h[neighbors]
    weight = m / (len(Y) - 1)
    loss = -np.sum(p * np.log(near)) - weight * np.sum(np.log1p(-h))
    pull = (2 * odds * p * near)[:, None] * (y - Y[neighbors])
    push = (2 * weight * h / t)[:, None] * (y - Y)
    return loss, pull.sum(axis=0) - push.sum(axis=0)
