"""Measures of maps from matrices of all ranks: the oracle of fasttsne.quality.

Whole matrices, one definition per function, nothing shared with the package.

Symbols: rho_ij is the rank of j in the data as seen from i, r_ij its rank on the map, 1 for the
nearest; k and K are numbers of neighbours, n is the number of points.
"""

from math import log2

import numpy as np
from reference import tsne as reference


def ranks_of(distances):
    """Rank of j among all others by (d_ij, j); 0 where j = i."""
    n = len(distances)
    order, _ = reference.nearest_of(distances, n - 1)
    ranks = np.zeros((n, n), dtype=int)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, n), order.shape), axis=1)
    return ranks


def ranks(X):
    return ranks_of(reference.squared_distances(X))


def trustworthiness(rho, r, k):
    """Of every point (Venna & Kaski 2001, equation 1); continuity with rho and r exchanged."""
    n = len(rho)
    penalties = [
        sum(rho[i, j] - k for j in range(n) if 1 <= r[i, j] <= k < rho[i, j]) for i in range(n)
    ]
    return 1 - np.array(penalties) * 2 / (k * (2 * n - 3 * k - 1))


def recall(rho, r, k):
    near = (rho <= k) & (r <= k)
    np.fill_diagonal(near, False)
    return near.sum(axis=1) / k


def ndcg(rho, r, k):
    """Sum over j of [k + 1 - rho_ij]+ / log2(1 + r_ij), over the largest it can be."""
    n = len(rho)
    best = sum((k + 1 - rank) / log2(1 + rank) for rank in range(1, k + 1))
    return np.array(
        [
            sum(max(k + 1 - rho[i, j], 0) / log2(1 + r[i, j]) for j in range(n) if j != i) / best
            for i in range(n)
        ]
    )


def coranking(rho, r):
    """Q_kl: how many pairs have rank k in the data and l on the map (Lee & Verleysen 2009)."""
    n = len(rho)
    matrix = np.zeros((n - 1, n - 1), dtype=int)
    others = ~np.eye(n, dtype=bool)
    np.add.at(matrix, (rho[others] - 1, r[others] - 1), 1)
    return matrix


def q_nx(matrix):
    """Share of the co-ranking matrix's upper left block of K x K, for K = 1 .. n - 1."""
    sizes = np.arange(1, len(matrix) + 1)
    return np.array([matrix[:K, :K].sum() for K in sizes]) / (sizes * (len(matrix) + 1))


def r_nx(matrix):
    """((n - 1) Q - K) / (n - 1 - K), for K = 1 .. n - 2."""
    n, sizes = len(matrix) + 1, np.arange(1, len(matrix))
    return ((n - 1) * q_nx(matrix)[:-1] - sizes) / (n - 1 - sizes)


def r_nx_auc(matrix):
    curve = r_nx(matrix)
    return np.average(curve, weights=1 / np.arange(1, len(curve) + 1))
