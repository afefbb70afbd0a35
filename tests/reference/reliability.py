"""Reliability of single points, from whole matrices: the oracle of fasttsne.quality.reliability.

Liu, Ma & Zhong (arXiv:2410.16608) define the first two scores, Xia, Lee & Li (2024) the third. The
sigmas of all but the moved point stay as they are, as in the authors' package (approx=2).

Symbols: x_i samples, y_i map points, nu degrees of freedom, n number of points.
"""

import numpy as np
from reference import tsne as reference
from reference.gradients import central_differences
from scipy.optimize import minimize

N_DIRECTIONS = 3


def rest_of_z(Y, i, nu):
    """Sum of w_kl over the ordered pairs without i."""
    return reference.sum_q(np.delete(Y, i, axis=0), nu)


def loss(y, i, p, Y, nu):
    """L_i(y) = (nu+1) sum_j p_ij log t_ij + log Z, up to a constant; p_ij sums to about 1/n."""
    squares = np.square(y - np.delete(Y, i, axis=0)).sum(axis=1)
    log_t = np.log1p(squares / nu)
    w = np.exp(-0.5 * (nu + 1) * log_t)
    z = rest_of_z(Y, i, nu) + 2 * w.sum()
    return (nu + 1) * (np.delete(p, i) * log_t).sum() + np.log(z)


def hessian(i, P, Y, nu):
    """Second differences of L_i at y_i."""

    def gradient(y):
        return central_differences(lambda at: loss(at, i, P[i], Y, nu), y, step=1e-4)

    columns = [(gradient(Y[i] + e) - gradient(Y[i] - e)) / 2e-3 for e in 1e-3 * np.eye(Y.shape[1])]
    found = np.array(columns)
    return (found + found.T) / 2


def singularity(P, Y, nu):
    """1 / smallest eigenvalue; infinite where it is not above 0."""
    smallest = np.array([np.linalg.eigvalsh(hessian(i, P, Y, nu))[0] for i in range(len(Y))])
    return np.where(smallest > 0, 1 / smallest, np.inf)


def directions(X):
    """The first principal directions, rows."""
    _, _, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    return axes[:N_DIRECTIONS]


def moved_p(i, move, X, betas, perplexity, lists=None):
    """Row i of P, (p_j|i + p_i|j) / 2n, after x_i has moved.

    lists[j] has the neighbours of j; None is all others. The pairs are those of i with its
    neighbours and with the points that list it. The row of each of these has its neighbours and i.
    """
    n = len(X)
    lists = [np.delete(np.arange(n), j) for j in range(n)] if lists is None else lists
    others = [j for j in range(n) if j != i and (j in lists[i] or i in lists[j])]
    after = np.square(X[i] + move - X[others]).sum(axis=1)
    own, _ = reference.calibrate_row(after, perplexity)
    back = np.empty(len(others))
    for at, j in enumerate(others):
        rest = np.setdiff1d(lists[j], [i])
        squares = np.append(np.square(X[j] - X[rest]).sum(axis=1), after[at])
        row = np.exp(-betas[j] * (squares - squares.min()))
        back[at] = row[-1] / row.sum()
    p = np.zeros(n)
    p[others] = (own + back) / (2 * n)
    return p


def best_place(i, p, Y, nu):
    """The lowest minimum of L_i from y_i and from the two points with the largest p_ij."""
    starts = [i, *np.argsort(-p, kind="stable")[:2]]
    found = [minimize(loss, Y[s], (i, p, Y, nu), tol=1e-10) for s in starts]
    return min(found, key=lambda result: result.fun).x


def perturbation(i, X, Y, nu, perplexity, step):
    squares = reference.squared_distances(X)
    off = ~np.eye(len(X), dtype=bool)
    _, betas = reference.conditional_probabilities(squares[off].reshape(len(X), -1), perplexity)
    moves = [sign * step * axis for axis in directions(X) for sign in (1, -1)]
    places = [best_place(i, moved_p(i, move, X, betas, perplexity), Y, nu) for move in moves]
    return max(np.linalg.norm(place - Y[i]) for place in places)


def correlation(X, Y):
    """Of the map distances to the n/2 nearest in the data with those to the n/2 nearest there."""
    in_data = np.sqrt(reference.squared_distances(X))
    there = np.sqrt(reference.squared_distances(Y))
    size = int(0.5 * len(X))
    scores = []
    for i in range(len(X)):
        others = np.delete(np.arange(len(X)), i)
        by_data = others[np.argsort(in_data[i, others], kind="stable")]
        a, b = there[i, by_data[:size]], np.sort(there[i, others])[:size]
        scores.append(np.corrcoef(a, b)[0, 1])
    return np.array(scores)
