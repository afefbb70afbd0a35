"""One exact judge for every system's map; it uses nothing of fasttsne.

- KL divergence: P in float64 from exact neighbours, Z over all pairs in float64. Scaling a map
  changes it, but not the neighbours. So it is also reported at the factor that makes it smallest.
- recall@10: the share of the ten nearest neighbours in the data that are among the ten on the map.
- kNN accuracy@10: how often the majority of the ten on the map has the right class.
- torn: the share of the points that lie apart from the rest of their class. Each point is joined to
  those of its ten nearest on the map that have its class; the rest is the largest part so joined.
- strays: the largest distance from the map's median over the 99th percentile of the distances.

Above 100,000 points the figures come from a sample of 2,000 rows, each against all points, the same
rows for every map; torn and strays are of all points. KL then has a standard error, most of which
is common to all maps.

tests/test_benchmarks.py compares the judge with the equations.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from data import cache_directory, load
from joblib import Memory
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors
from systems import cores

N_NEIGHBORS = 10  # of recall and accuracy
SAMPLE_ABOVE = 100_000
SAMPLE = 2_000
ENTROPY_SAMPLE = 200  # rows; each takes a search for the neighbours of all its neighbours
SLOW = 1e10  # products of a search; more are kept on disk
SCALE_SAMPLE = 2_000  # rows by which the best scale is found
TILE = 4096  # points
FIGURES = (
    "kl_divergence",
    "kl_at_best_scale",
    "best_scale",
    "recall",
    "accuracy",
    "torn",
    "strays",
)


@lru_cache(1)
def judge_of(name, n_neighbors=None):
    """Return the judge of a data set by its name."""
    data = load(name)
    return Judge(data.X, data.y, n_neighbors=n_neighbors)


class Judge:
    """Judges maps of one data set, by one P.

    `rows` are the rows to judge; None means all, or a sample above SAMPLE_ABOVE points.
    `n_neighbors` is the number of neighbours in P; None means 3 * perplexity + 1.
    """

    def __init__(self, X, y=None, perplexity=30.0, rows=None, n_neighbors=None):
        n_samples = len(X)
        if rows is None and n_samples > SAMPLE_ABOVE:
            rows = np.random.RandomState(0).choice(n_samples, SAMPLE, replace=False)
        self.rows = rows
        n_neighbors = min(n_samples - 1, n_neighbors or int(3 * perplexity + 1))
        self.neighbors, squared = nearest_neighbors(X, n_neighbors, rows)
        self.y = y
        self.conditional = conditional_probabilities(squared, perplexity)
        if rows is None:
            self.joint = joint_probabilities(self.neighbors, self.conditional)
            self.p_log_p = sum_p_log_p(self.joint)
        else:
            self.p_log_p = sampled_p_log_p(X, self, n_neighbors, perplexity)

    def __call__(self, embedding):
        """Return the figures of a map; accuracy and torn are None without classes.

        They are the KL divergence, the same at the map's best scale, that scale, recall@10, kNN
        accuracy@10, torn and strays.
        """
        Y = np.asarray(embedding, dtype=np.float64)
        if not np.isfinite(Y).all():
            return dict.fromkeys(FIGURES)
        scale = best_scale(self, Y)
        if self.rows is None:
            kl, at_best = (kl_divergence(self.joint, by * Y, self.p_log_p) for by in (1.0, scale))
        else:
            kl, error = self.sampled_kl_divergence(Y)
            at_best, error_at_best = self.sampled_kl_divergence(scale * Y)
        everywhere = neighbors_on_map(Y, N_NEIGHBORS)
        on_map = everywhere if self.rows is None else everywhere[self.rows]
        figures = {
            "kl_divergence": kl,
            "kl_at_best_scale": at_best,
            "best_scale": scale,
            "recall": recall(self.neighbors[:, :N_NEIGHBORS], on_map),
            "accuracy": None if self.y is None else accuracy(self.y, on_map, self.rows),
            "torn": None if self.y is None else torn(self.y, everywhere),
            "strays": strays(Y),
        }
        if self.rows is not None:
            errors = {"kl_standard_error": error, "kl_at_best_scale_standard_error": error_at_best}
            figures |= {"sampled_rows": len(self.rows), **errors}
        return figures

    def sampled_kl_divergence(self, Y):
        """Return the KL divergence from the rows alone, and its standard error.

        w_ij is symmetric, so sum_ij p_ij f(w_ij) = sum_ij p_j|i f(w_ij) / n: a mean over rows.
        """
        differences = Y[self.rows, np.newaxis] - Y[self.neighbors]
        distances = np.sum(differences**2, axis=2)
        attraction = np.sum(self.conditional * np.log1p(distances), axis=1)
        z = row_sums(Y, self.rows)
        kl = self.p_log_p + attraction.mean() + np.log(len(Y) * z.mean())
        error = np.std(attraction + z / z.mean()) / np.sqrt(len(self.rows))
        return float(kl), float(error)


# ---- P ---------------------------------------------------------------------------------------


def nearest_neighbors(X, n_neighbors, rows=None):
    """Return indices and squared distances of exact neighbours; slow ones are kept on disk."""
    n_rows = len(X) if rows is None else len(rows)
    if n_rows * len(X) * X.shape[1] <= SLOW:
        return searched(X, n_neighbors, rows)
    return Memory(cache_directory(), verbose=0).cache(searched)(X, n_neighbors, rows)


def searched(X, n_neighbors, rows):
    # In double: differences of single-precision products would reorder near ties.
    centered = X - np.mean(X, axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=n_neighbors, n_jobs=-1).fit(centered)
    if rows is None:
        distances, indices = search.kneighbors()
    else:
        distances, indices = search.kneighbors(centered[rows], n_neighbors + 1)
        indices, distances = without_self(rows, indices, distances)
    return indices.astype(np.int32), distances**2


def without_self(rows, indices, *others):
    """Return neighbours without the point itself, or without the last if duplicates hide it."""
    drop = indices == np.asarray(rows)[:, np.newaxis]
    drop[~drop.any(axis=1), -1] = True
    return tuple(a[~drop].reshape(len(a), -1) for a in (indices, *others))


def conditional_probabilities(squared_distances, perplexity):
    """Return p_j|i, by bisection on the precision of each row."""

    def calibrated(block):
        gaps = block - block[:, :1]
        scale = np.mean(gaps, axis=1, keepdims=True)
        gaps = gaps / np.where(scale > 0, scale, 1)
        low, high = np.full((len(gaps), 1), -40.0), np.full((len(gaps), 1), 40.0)
        for _ in range(60):
            log_beta = (low + high) / 2
            conditional = np.exp(-np.exp(log_beta) * gaps)
            conditional /= conditional.sum(axis=1, keepdims=True)
            logarithms = np.log(np.where(conditional > 0, conditional, 1))
            entropy = -np.sum(conditional * logarithms, axis=1, keepdims=True)
            wide = entropy > np.log(perplexity)
            low, high = np.where(wide, log_beta, low), np.where(wide, high, log_beta)
        return conditional

    blocks = [squared_distances[i : i + 512] for i in range(0, len(squared_distances), 512)]
    with ThreadPoolExecutor(cores()) as pool:
        return np.concatenate(list(pool.map(calibrated, blocks)))


def joint_probabilities(neighbors, conditional):
    """Return p_ij = (p_j|i + p_i|j) / 2n as a CSR matrix."""
    n_samples, n_neighbors = neighbors.shape
    indptr = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    C = sparse.csr_matrix(
        (conditional.ravel(), neighbors.ravel(), indptr), shape=(n_samples, n_samples)
    )
    return sparse.csr_matrix((C + C.T) / (2 * n_samples))


def sum_p_log_p(joint):
    """Return sum_ij p_ij log p_ij."""
    p = joint.data[joint.data > 0]
    return np.sum(p * np.log(p))


def sampled_p_log_p(X, judge, n_neighbors, perplexity):
    """Return sum_ij p_ij log p_ij from some rows of the judge; it is the same for every map."""
    count = min(ENTROPY_SAMPLE, len(judge.rows))
    rows, neighbors, here = judge.rows[:count], judge.neighbors[:count], judge.conditional[:count]
    others = np.unique(neighbors)
    theirs, squared = nearest_neighbors(X, n_neighbors, others)
    conditional = conditional_probabilities(squared, perplexity)
    total = 0.0
    for row, columns, p in zip(rows, neighbors, here, strict=True):
        at = np.searchsorted(others, columns)
        back = np.sum(conditional[at] * (theirs[at] == row), axis=1)  # p_i|j
        total += np.sum(p[p > 0] * np.log(((p + back) / (2 * len(X)))[p > 0]))
    return total / count


# ---- Scale ------------------------------------------------------------------------------------


def best_scale(judge, Y):
    """Return the factor on the map at which its KL divergence is smallest.

    Above SCALE_SAMPLE points the search takes Z from a sample of rows, the same for every map, and
    the attraction of those rows. KL is flat at its minimum, so the error of the scale hardly
    matters, and KL itself is then computed at that scale as at any other.
    """
    if judge.rows is None:
        rows = np.random.RandomState(0).permutation(len(Y))[:SCALE_SAMPLE]
        p = judge.joint[rows].tocoo()
        ends, weights = (rows[p.row], p.col), p.data / p.data.sum()
    else:
        rows = judge.rows
        ends = np.repeat(rows, judge.neighbors.shape[1]), judge.neighbors.ravel()
        weights = judge.conditional.ravel() / len(rows)
    squared = np.sum((Y[ends[0]] - Y[ends[1]]) ** 2, axis=1)

    def divergence(log_scale):
        scale = np.exp(log_scale)
        attraction = weights @ np.log1p(scale**2 * squared)
        return attraction + np.log(row_sums(scale * Y, rows).sum())

    grid = np.arange(-4.0, 4.1)
    best = grid[np.argmin([divergence(log_scale) for log_scale in grid])]
    search = {"method": "bounded", "options": {"xatol": 1e-3}}
    return float(np.exp(minimize_scalar(divergence, bounds=(best - 1, best + 1), **search).x))


# ---- Figures of a map -------------------------------------------------------------------------


def kl_divergence(joint, Y, p_log_p=None):
    """Return sum p log p - sum p log w + log Z, with w = 1 / (1 + d²) and Z over all pairs."""
    p_log_p = sum_p_log_p(joint) if p_log_p is None else p_log_p
    p = joint.tocoo()
    attraction = p.data @ np.log1p(np.sum((Y[p.row] - Y[p.col]) ** 2, axis=1))
    return float(p_log_p + attraction + np.log(row_sums(Y, np.arange(len(Y))).sum()))


def row_sums(Y, rows):
    """Return sum_j w_ij of some rows, over all points in float64."""
    columns = np.ascontiguousarray(np.asarray(Y, dtype=np.float64).T)

    def band(chosen):
        # Two blocks of this many float64 stay in a core's cache.
        total, space = np.zeros(len(chosen)), np.empty((2, len(chosen), TILE))
        for first in range(0, columns.shape[1], TILE):
            last = min(first + TILE, columns.shape[1])
            w, difference = space[:, :, : last - first]
            w[:] = 1
            for column in columns:
                np.subtract(column[chosen, np.newaxis], column[first:last], out=difference)
                w += np.multiply(difference, difference, out=difference)
            total += np.reciprocal(w, out=w).sum(axis=1)
        return total - 1

    with ThreadPoolExecutor(cores()) as pool:
        return np.concatenate(list(pool.map(band, np.array_split(rows, -(-len(rows) // 16)))))


def exact_repulsion(Y):
    """Return sum_j w_ij² (y_i - y_j) of every i and Z = sum_ij w_ij, over all pairs in float64."""
    Y = np.asarray(Y, dtype=np.float64)
    n_samples = len(Y)
    columns = np.ascontiguousarray(Y.T)
    height = max(1, 2**20 // n_samples)

    def rows(start):
        stop = min(start + height, n_samples)
        differences = [column[start:stop, np.newaxis] - column for column in columns]
        w = 1 / (1 + sum(difference**2 for difference in differences))
        w[np.arange(stop - start), np.arange(start, stop)] = 0
        return np.stack([np.sum(w * w * d, axis=1) for d in differences], axis=1), w.sum()

    with ThreadPoolExecutor(cores()) as pool:
        parts, sums = zip(*pool.map(rows, range(0, n_samples, height)), strict=True)
    return np.concatenate(parts), float(sum(sums))


def neighbors_on_map(Y, n_neighbors):
    """Return the exact neighbours of every point on the map."""
    _, indices = cKDTree(Y).query(Y, n_neighbors + 1, workers=-1)
    return without_self(np.arange(len(Y)), indices)[0]


def recall(in_data, on_map):
    """Return the mean share of the neighbours in the data that are neighbours on the map."""
    found = (in_data[:, :, np.newaxis] == on_map[:, np.newaxis, :]).any(axis=2)
    return float(found.mean())


def accuracy(y, on_map, rows=None):
    """Return the share of points whose class wins the vote; the nearest neighbour breaks ties."""
    _, codes = np.unique(y, return_inverse=True)
    votes = codes[on_map]
    counts = (votes[:, :, np.newaxis] == votes[:, np.newaxis, :]).sum(axis=2)
    elected = votes[np.arange(len(votes)), counts.argmax(axis=1)]
    return float(np.mean(elected == (codes if rows is None else codes[rows])))


def torn(y, on_map):
    """Return the share of the points that no path joins to the largest part of their class.

    A path goes from a point to one of its neighbours on the map, or back, within a class.
    """
    _, codes = np.unique(y, return_inverse=True)
    rows, neighbors = np.repeat(np.arange(len(on_map)), on_map.shape[1]), on_map.ravel()
    same = codes[rows] == codes[neighbors]
    edges = rows[same], neighbors[same]
    graph = sparse.coo_matrix((same[same], edges), shape=(len(codes), len(codes)))
    _, part = connected_components(graph, directed=False)
    largest = np.zeros(codes.max() + 1, dtype=int)
    np.maximum.at(largest, codes, np.bincount(part)[part])
    return float(1 - largest.sum() / len(codes))


def strays(Y):
    """Return the largest distance from the map's median over the 99th percentile of them.

    A round disc has 1.0, a Gaussian cloud of 70,000 points 1.6; far outliers much more.
    """
    distances = np.linalg.norm(Y - np.median(Y, axis=0), axis=1)
    percentile = np.percentile(distances, 99)
    return float(distances.max() / percentile) if percentile > 0 else float(distances.max() > 0)
