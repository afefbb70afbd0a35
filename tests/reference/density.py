"""Local radii and the density term of den-SNE (Narayan, Berger & Cho 2021), in float64.

Every function works on copies: `counts` are the numbers of copies of each sample, and `edges` is a
symmetric boolean matrix of neighbours.
"""

import numpy as np

from .tsne import squared_distances

SHIFT = 0.1  # added to the variance of the map's log radii
EPS = 1e-8  # added to squared radii on the map


def data_log_radii(indices, squares, conditional, counts=None):
    """log of the mean squared distance, weighted by the joint probabilities."""
    n = len(conditional)
    counts = np.ones(n) if counts is None else counts
    weights, distances = np.zeros((2, n, n))
    for i in range(n):
        for at in range(squares.shape[1]):
            j = at if indices is None else indices[i, at]
            weights[i, j] += conditional[i, at]
            weights[j, i] += conditional[i, at] * counts[i] / counts[j]
            distances[i, j] = distances[j, i] = squares[i, at]
    return np.log((weights * distances).sum(axis=1) / weights.sum(axis=1))


def pairs_of(edges, counts):
    """Number of copies that one copy of a row meets along each edge."""
    copies = np.tile(counts, (len(counts), 1))
    np.fill_diagonal(copies, np.maximum(counts - 1.0, 0.0))
    return np.where(edges, copies, 0.0)


def map_log_radii(edges, Y, counts=None):
    counts = np.ones(len(Y)) if counts is None else counts
    squares = squared_distances(Y)
    u = pairs_of(edges, counts) / (1.0 + squares)
    return np.log((u * squares).sum(axis=1) / u.sum(axis=1) + EPS)


def correlation(edges, Y, targets, counts=None):
    """Of the log radii on the map with standardised targets, the variance shifted."""
    counts = np.ones(len(Y)) if counts is None else counts
    r = map_log_radii(edges, Y, counts)
    mean = np.average(r, weights=counts)
    variance = np.average((r - mean) ** 2, weights=counts)
    covariance = np.average(targets * (r - mean), weights=counts)
    return covariance / np.sqrt(variance + SHIFT)


def standardized(values, counts=None):
    values = values - np.average(values, weights=counts)
    return values / np.sqrt(np.average(values**2, weights=counts))
