"""The equations of t-SNE in NumPy, float64 and O(n²): the oracle of every kernel.

Plain on purpose: each function is one equation and is named after it. Nothing here is shared
with the package, and nothing is approximate beyond the rounding of float64.

Symbols: x_i samples, y_i map points, d_ij distance, nu degrees of freedom, n number of points.
Van der Maaten & Hinton 2008 ("Visualizing data using t-SNE") is nu = 1.
"""

import numpy as np
from scipy import optimize, sparse, special


def squared_distances(X):
    """d_ij² = sum_c (x_ic - x_jc)², by differences, so that a common offset cancels exactly."""
    X = np.asarray(X, dtype=np.float64)
    squared = np.zeros((X.shape[0], X.shape[0]))
    for column in X.T:
        squared += np.square(column[:, None] - column[None, :])
    return squared


def nearest_neighbors(X, n_neighbors):
    """The k smallest d_ij², j != i, by (d_ij², j): indices and squared distances, (n, k)."""
    return nearest_of(squared_distances(X), n_neighbors)


def nearest_of(distances, n_neighbors):
    """The k smallest entries of each row off the diagonal, by (value, column)."""
    distances = np.array(distances, dtype=np.float64)
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :n_neighbors]
    return indices, np.take_along_axis(distances, indices, axis=1)


def perplexity_of(probabilities):
    """exp(H) with H = -sum_j p_j log p_j and 0 log 0 = 0, of each row."""
    return np.exp(special.entr(np.asarray(probabilities, dtype=np.float64)).sum(axis=-1))


def gaussian_row(squared, beta):
    """p_j|i = exp(-beta d_ij²) / sum_l exp(-beta d_il²) (vdM & Hinton, equation 1)."""
    with np.errstate(over="ignore"):
        p = np.exp(-beta * (squared - squared.min()))
    return p / p.sum()


def calibrate_row(squared, perplexity):
    """p_j|i whose exp(entropy) is the perplexity, and its beta, by bisection on log beta.

    Where no beta attains the perplexity, the limit nearest to it: uniform over all k (beta = 0)
    for perplexity >= k, uniform over the m nearest, tied, for perplexity <= m (beta = inf).
    When all distances are equal both are the same row.
    """
    squared = np.asarray(squared, dtype=np.float64)
    gaps = squared - squared.min()
    nearest = gaps == 0
    if perplexity >= squared.size or nearest.all():
        return np.full(squared.size, 1.0 / squared.size), 0.0
    if perplexity <= nearest.sum():
        return nearest / nearest.sum(), np.inf

    def excess(log_beta):
        row = gaussian_row(gaps, np.exp(log_beta))
        return np.log(perplexity_of(row)) - np.log(perplexity)

    lower = np.log(1e-9) - np.log(gaps.max())
    upper = np.log(800.0) - np.log(gaps[~nearest].min())
    if excess(lower) <= 0:  # within rounding of k
        return np.full(squared.size, 1.0 / squared.size), 0.0
    if excess(upper) >= 0:  # within rounding of m
        return nearest / nearest.sum(), np.inf
    beta = np.exp(optimize.brentq(excess, lower, upper, xtol=1e-13, rtol=1e-15, maxiter=10_000))
    return gaussian_row(gaps, beta), beta


def conditional_probabilities(squared, perplexity):
    """p_j|i of every row of squared distances to k neighbours, and beta_i."""
    rows, betas = zip(*(calibrate_row(row, perplexity) for row in squared), strict=True)
    return np.array(rows), np.array(betas)


def conditional_probabilities_dense(squared, perplexity):
    """p_j|i over all j != i, p_i|i = 0, from the full matrix of squared distances; and beta_i."""
    others = ~np.eye(len(squared), dtype=bool)
    conditional = np.zeros(others.shape)
    rows = squared[others].reshape(len(squared), -1)
    rows, betas = conditional_probabilities(rows, perplexity)
    conditional[others] = rows.ravel()
    return conditional, betas


def joint_probabilities(indices, conditional):
    """P = (C + Cᵀ) / 2n with C_ij = p_j|i for the neighbours j of i, else 0; sparse."""
    n, k = np.shape(indices)
    rows = np.repeat(np.arange(n), k)
    values = np.asarray(conditional, dtype=np.float64).ravel()
    C = sparse.csr_array((values, (rows, np.ravel(indices))), shape=(n, n))
    return sparse.csr_array((C + C.T) / (2 * n))


def joint_probabilities_dense(squared, perplexity):
    """P = (C + Cᵀ) / 2n with C_ij = p_j|i for all j != i."""
    conditional, _ = conditional_probabilities_dense(squared, perplexity)
    return (conditional + conditional.T) / (2 * len(squared))


def force_factor(Y, nu):
    """u_ij = 1 / (1 + d_ij²/nu)."""
    return 1.0 / (1.0 + squared_distances(Y) / nu)


def student_kernel(Y, nu):
    """w_ij = (1 + d_ij²/nu)^(-(nu + 1)/2) for i != j, w_ii = 0."""
    w = force_factor(Y, nu) ** ((nu + 1.0) / 2.0)
    np.fill_diagonal(w, 0.0)
    return w


def sum_q(Y, nu):
    """Z = sum of w_ij over all ordered pairs i != j."""
    return student_kernel(Y, nu).sum()


def q(Y, nu):
    """q_ij = w_ij / Z (vdM & Hinton, equation 4)."""
    w = student_kernel(Y, nu)
    return w / w.sum()


def kl_shares(P, Y, nu, exaggeration=1.0):
    """sum_j e p_ij log(e p_ij / q_ij) of every i, 0 log 0 = 0."""
    return special.rel_entr(exaggeration * _dense(P), q(Y, nu)).sum(axis=1)


def kl_divergence(P, Y, nu, exaggeration=1.0):
    """sum_ij e p_ij log(e p_ij / q_ij); e = 1 is KL(P || Q)."""
    return kl_shares(P, Y, nu, exaggeration).sum()


def pair_sum(weights, Y, of=lambda terms: terms):
    """sum_j a_ij (y_i - y_j), or that of a function of its terms."""
    Y = np.asarray(Y, dtype=np.float64)
    columns = [np.sum(of(weights * (y[:, None] - y[None, :])), axis=1) for y in Y.T]
    return np.stack(columns, axis=1)


def pair_magnitude(weights, Y):
    """sum_j |a_ij (y_i - y_j)|: what the rounding error of the sum above is proportional to."""
    return pair_sum(weights, Y, np.abs)


def attractive_weights(P, Y, nu):
    """p_ij u_ij."""
    return _dense(P) * force_factor(Y, nu)


def repulsive_weights(Y, nu):
    """w_ij u_ij."""
    return student_kernel(Y, nu) * force_factor(Y, nu)


def attractive(P, Y, nu):
    """sum_j p_ij u_ij (y_i - y_j)."""
    return pair_sum(attractive_weights(P, Y, nu), Y)


def repulsive(Y, nu):
    """sum_j w_ij u_ij (y_i - y_j); the gradient divides it by Z."""
    return pair_sum(repulsive_weights(Y, nu), Y)


def gradient(P, Y, nu, exaggeration=1.0):
    """dKL/dy_i = 2 (nu + 1)/nu sum_j (e p_ij - q_ij) u_ij (y_i - y_j) (equation 5 for nu = 1).

    For e = 1, or any P that sums to 1, it is the gradient of kl_divergence. For e > 1 it is the
    usual exaggerated one: attraction times e, repulsion as it was.
    """
    weights = (exaggeration * _dense(P) - q(Y, nu)) * force_factor(Y, nu)
    return 2.0 * (nu + 1.0) / nu * pair_sum(weights, Y)


def degrees_of_freedom_gradient(P, Y, nu, exaggeration=1.0):
    """d/dnu of -e sum p log w + log Z, which is dKL/dnu for e = 1: sum (q_ij - e p_ij) g_ij.

    g_ij = d log w_ij / dnu = -log(t_ij) / 2 + (nu + 1)/(2 nu) (1 - 1/t_ij), t_ij = 1 + d_ij²/nu.
    """
    t = 1.0 + squared_distances(Y) / nu
    g = -0.5 * np.log(t) + (nu + 1.0) / (2.0 * nu) * (1.0 - 1.0 / t)
    return np.sum((q(Y, nu) - exaggeration * _dense(P)) * g)


def scale_slope(P, Y, nu, exaggeration=1.0):
    """sum_i (y_i - mean) . gradient_i: the objective's slope along log s, of the map times s."""
    centered = Y - np.mean(Y, axis=0, dtype=np.float64)
    return np.vdot(centered, gradient(P, Y, nu, exaggeration))


def descend(
    P, Y, velocity, gains, n_iter, learning_rate, momentum, nu, exaggeration=1.0, min_gain=0.01
):
    """Gradient descent with momentum and individual step gains (Jacobs 1988), one for each point.

    The gains of a point grow by 0.2 where its velocity opposes its gradient, otherwise they shrink
    to 0.8 of themselves. No point moves by more than the root of 2 in a step. Returns new Y,
    velocity, gains, and the norm of the last gradient times its gains.
    """
    Y, velocity, gains = (np.array(a, dtype=np.float64) for a in (Y, velocity, gains))
    norm = np.nan
    for _ in range(n_iter):
        grad = gradient(P, Y, nu, exaggeration)
        opposed = np.sum(velocity * grad, axis=1, keepdims=True) < 0.0
        gains = np.maximum(np.where(opposed, gains + 0.2, gains * 0.8), min_gain)
        grad = grad * gains
        velocity = momentum * velocity - learning_rate * grad
        length = np.linalg.norm(velocity, axis=1, keepdims=True)
        velocity = velocity * np.sqrt(2.0) / np.maximum(length, np.sqrt(2.0))
        Y = Y + velocity
        norm = np.linalg.norm(grad)
    return Y, velocity, gains, norm


def similarities_to_map(Y, y, nu):
    """q_j = w_j / sum_l w_l of a new point at y, u_j = 1 / (1 + |y - y_j|²/nu), and y - y_j."""
    ways = np.asarray(y, dtype=np.float64) - np.asarray(Y, dtype=np.float64)
    u = 1.0 / (1.0 + np.sum(ways**2, axis=1) / nu)
    w = u ** ((nu + 1.0) / 2.0)
    return w / w.sum(), u, ways


def placement_divergence(p, Y, y, nu):
    """sum_j p_j log(p_j / q_j), 0 log 0 = 0, of a new point at y with similarities p."""
    return special.rel_entr(p, similarities_to_map(Y, y, nu)[0]).sum()


def placement_gradient(p, Y, y, nu, exaggeration=1.0):
    """(nu + 1)/nu sum_j (e p_j - q_j) u_j (y - y_j)."""
    q_j, u, ways = similarities_to_map(Y, y, nu)
    return (nu + 1.0) / nu * ((exaggeration * p - q_j) * u) @ ways


def weighted_median(values, weights):
    """The least value at which half of the weight lies at or below."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    return np.asarray(values)[order][np.searchsorted(below, 0.5 * below[-1])]


def pca_start(X, n_components):
    """The first principal components of X, scaled so that the first has standard deviation 1e-4.

    The sign of each column is arbitrary.
    """
    X = np.asarray(X, dtype=np.float64)
    left, singular, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    scores = left[:, :n_components] * singular[:n_components]
    return scores / scores[:, 0].std() * 1e-4


def _dense(P):
    return np.asarray(P.toarray() if sparse.issparse(P) else P, dtype=np.float64)


def laplacian_eigenvectors(P, n_components):
    """v of (I - D^-1 P) v = lambda v for the smallest lambda but the first, unit length, any sign.

    D_ii = sum_j p_ij. The first lambda is 0, and its v constant.
    """
    P = _dense(P)
    degrees = P.sum(axis=1)
    root = 1.0 / np.sqrt(degrees)
    symmetric = np.eye(len(P)) - root[:, None] * P * root[None, :]
    _, vectors = np.linalg.eigh(symmetric)
    vectors = root[:, None] * vectors[:, 1 : n_components + 1]
    return vectors / np.linalg.norm(vectors, axis=0)


def guided_by_labels(conditional, indices, labels, weight, missing=-1):
    """p_j|i (1 - weight [y_i != y_j, both known]), then the row's old sum, if any is left."""
    guided = np.array(conditional, dtype=np.float64)
    for i, row in enumerate(indices):
        known = (labels[i] != missing) & (labels[row] != missing)
        kept = guided[i] * np.where(known & (labels[row] != labels[i]), 1.0 - weight, 1.0)
        if kept.sum() > 0:
            guided[i] = kept * guided[i].sum() / kept.sum()
    return guided
