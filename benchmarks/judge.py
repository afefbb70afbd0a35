"""One exact judge for every system's map, independent of all of them.

KL divergence, with P made here in float64 from exact neighbours and Z summed over all pairs in
float64; recall@10, the share of the ten nearest neighbours in the data that are among the ten on
the map; kNN accuracy@10, how often these ten elect the right class; strays, the largest distance
from the centre of the map over the 99th percentile of these distances. Nothing of fasttsne is
used, and of scikit-learn only its exact neighbour search.

Above 100,000 points the figures are of a sample of 2,000 rows, each against all points, the same
rows for every map. Then KL has a standard error; most of it is common to all maps.

``python benchmarks/judge.py`` judges the judge: its figures beside those that scikit-learn and
fasttsne come to by their own means.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import report
from data import load
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

N_NEIGHBORS = 10  # of recall and accuracy
SAMPLE_ABOVE = 100_000
SAMPLE = 2_000
ENTROPY_SAMPLE = 200  # each of them takes a search for the neighbours of all its neighbours
TILE = 16, 4096  # two blocks of this many float64 stay in a core's cache


class Judge:
    """Judges maps of one data set, by one P.

    `rows` are those that are judged; None means all of them, or a sample where these are too many.
    `n_neighbors` is how many neighbours of a point P knows; None means 3 * perplexity + 1.
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
        """KL divergence, recall@10, kNN accuracy@10 (None without classes), strays."""
        Y = np.asarray(embedding, dtype=np.float64)
        if not np.isfinite(Y).all():
            return dict.fromkeys(("kl_divergence", "recall", "accuracy", "strays"))
        if self.rows is None:
            kl, error = kl_divergence(self.joint, Y, self.p_log_p), 0.0
        else:
            kl, error = self.sampled_kl_divergence(Y)
        on_map = neighbors_on_map(Y, N_NEIGHBORS, self.rows)
        figures = {
            "kl_divergence": kl,
            "recall": recall(self.neighbors[:, :N_NEIGHBORS], on_map),
            "accuracy": None if self.y is None else accuracy(self.y, on_map, self.rows),
            "strays": strays(Y),
        }
        if self.rows is not None:
            figures |= {"sampled_rows": len(self.rows), "kl_standard_error": error}
        return figures

    def sampled_kl_divergence(self, Y):
        """KL divergence from the rows alone, and its standard error.

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


def cache_directory():
    """Where exact neighbours are kept: FASTTSNE_BENCH_CACHE, or the user's cache directory."""
    place = os.environ.get("FASTTSNE_BENCH_CACHE")
    if not place:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        place = Path(base) / "fasttsne-benchmarks"
    path = Path(place)
    path.mkdir(parents=True, exist_ok=True)
    return path


def fingerprint(*arrays):
    """A name for the contents of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def nearest_neighbors(X, n_neighbors, rows=None):
    """Indices and squared distances of rows' exact neighbours; kept on disk where it takes long."""
    n_rows = len(X) if rows is None else len(rows)
    slow = n_rows * len(X) * X.shape[1] > 1e10
    if slow:
        name = fingerprint(X, *([] if rows is None else [rows]))
        path = cache_directory() / f"neighbors-{n_neighbors}-{name}.npz"
        if path.exists():
            with np.load(path) as file:
                return file["indices"], file["squared"]
    # In double: differences of single-precision products would reorder near ties.
    centered = X - np.mean(X, axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=n_neighbors, n_jobs=-1).fit(centered)
    if rows is None:
        distances, indices = search.kneighbors()
    else:
        distances, indices = search.kneighbors(centered[rows], n_neighbors + 1)
        indices, distances = without_self(rows, indices, distances)
    indices, squared = indices.astype(np.int32), distances**2
    if slow:
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, indices=indices, squared=squared)
        partial.replace(path)
    return indices, squared


def without_self(rows, indices, *others):
    """Neighbours without the point itself; without the last one, where duplicates crowd it out."""
    drop = indices == np.asarray(rows)[:, np.newaxis]
    drop[~drop.any(axis=1), -1] = True
    return tuple(a[~drop].reshape(len(a), -1) for a in (indices, *others))


def conditional_probabilities(squared_distances, perplexity):
    """p_j|i by bisection on each row's precision."""

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
    with ThreadPoolExecutor(report.cores()) as pool:
        return np.concatenate(list(pool.map(calibrated, blocks)))


def joint_probabilities(neighbors, conditional):
    """p_ij = (p_j|i + p_i|j) / 2n."""
    n_samples, n_neighbors = neighbors.shape
    indptr = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    C = sparse.csr_matrix(
        (conditional.ravel(), neighbors.ravel(), indptr), shape=(n_samples, n_samples)
    )
    return sparse.csr_matrix((C + C.T) / (2 * n_samples))


def sum_p_log_p(joint):
    """sum_ij p_ij log p_ij."""
    p = joint.data[joint.data > 0]
    return np.sum(p * np.log(p))


def sampled_p_log_p(X, judge, n_neighbors, perplexity):
    """sum_ij p_ij log p_ij from some of the judge's rows; the same for every map."""
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


# ---- Figures of a map -------------------------------------------------------------------------


def kl_divergence(joint, Y, p_log_p=None):
    """sum p log p - sum p log w + log Z, with w = 1 / (1 + d²) and Z over all pairs."""
    if p_log_p is None:
        p_log_p = sum_p_log_p(joint)
    n_samples = len(Y)
    height = max(1, int(2**20 * n_samples / max(joint.nnz, 1)))

    def attraction(start):
        stop = min(start + height, n_samples)
        edges = slice(joint.indptr[start], joint.indptr[stop])
        i = np.repeat(np.arange(start, stop), np.diff(joint.indptr[start : stop + 1]))
        distances = np.sum((Y[i] - Y[joint.indices[edges]]) ** 2, axis=1)
        return np.sum(joint.data[edges] * np.log1p(distances))

    with ThreadPoolExecutor(report.cores()) as pool:
        total = sum(pool.map(attraction, range(0, n_samples, height)))
    return float(p_log_p + total + np.log(sum_q(Y)))


def sum_q(Y):
    """Z = sum_ij w_ij over all pairs in float64: each pair once, times two."""
    columns = np.ascontiguousarray(np.asarray(Y, dtype=np.float64).T)
    n_samples = columns.shape[1]

    def band(start):
        stop = min(start + TILE[0], n_samples)
        total = 0.0
        for w, first in tiles(columns, slice(start, stop), start):
            total += 2 * w.sum()
            if first == start:  # this tile holds the diagonal, and pairs around it twice
                total -= w[:, : stop - start].sum() + (stop - start)
        return total

    with ThreadPoolExecutor(report.cores()) as pool:
        return float(sum(pool.map(band, range(0, n_samples, TILE[0]))))


def row_sums(Y, rows):
    """sum_j w_ij of some rows, over all points in float64."""
    columns = np.ascontiguousarray(np.asarray(Y, dtype=np.float64).T)

    def band(chosen):
        return sum(w.sum(axis=1) for w, _ in tiles(columns, chosen, 0)) - 1

    bands = [rows[i : i + TILE[0]] for i in range(0, len(rows), TILE[0])]
    with ThreadPoolExecutor(report.cores()) as pool:
        return np.concatenate(list(pool.map(band, bands)))


def tiles(columns, rows, start):
    """w between the rows and all points from `start` on, tile by tile; in the same memory."""
    n_samples = columns.shape[1]
    space, other = np.empty(TILE), np.empty(TILE)
    for first in range(start, n_samples, TILE[1]):
        last = min(first + TILE[1], n_samples)
        height = len(columns[0, rows])
        w, difference = space[:height, : last - first], other[:height, : last - first]
        w[:] = 1
        for column in columns:
            np.subtract(column[rows, np.newaxis], column[first:last], out=difference)
            np.multiply(difference, difference, out=difference)
            np.add(w, difference, out=w)
        yield np.reciprocal(w, out=w), first


def exact_repulsion(Y):
    """sum_j w_ij² (y_i - y_j) for every i, and Z = sum_ij w_ij, over all pairs in float64."""
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

    with ThreadPoolExecutor(report.cores()) as pool:
        parts, sums = zip(*pool.map(rows, range(0, n_samples, height)), strict=True)
    return np.concatenate(parts), float(sum(sums))


def neighbors_on_map(Y, n_neighbors, rows=None):
    """Exact neighbours of the rows on the map."""
    rows = np.arange(len(Y)) if rows is None else rows
    _, indices = cKDTree(Y).query(Y[rows], n_neighbors + 1, workers=-1)
    return without_self(rows, indices)[0]


def recall(in_data, on_map):
    """Mean share of the neighbours in the data that are neighbours on the map."""
    found = (in_data[:, :, np.newaxis] == on_map[:, np.newaxis, :]).any(axis=2)
    return float(found.mean())


def accuracy(y, on_map, rows=None):
    """Share of points whose neighbours' majority is of their class; ties to the nearest's."""
    _, codes = np.unique(y, return_inverse=True)
    votes = codes[on_map]
    counts = (votes[:, :, np.newaxis] == votes[:, np.newaxis, :]).sum(axis=2)
    elected = votes[np.arange(len(votes)), counts.argmax(axis=1)]
    return float(np.mean(elected == (codes if rows is None else codes[rows])))


def strays(Y):
    """The largest distance from the map's median, over the 99th percentile of the distances.

    A round disc has 1.0, a Gaussian cloud of 70,000 points 1.6; single points far out much more.
    """
    distances = np.linalg.norm(Y - np.median(Y, axis=0), axis=1)
    percentile = np.percentile(distances, 99)
    return float(distances.max() / percentile) if percentile > 0 else float(distances.max() > 0)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="digits", help="a name that data.py knows")
    args = parser.parse_args()

    from sklearn.manifold._t_sne import _joint_probabilities_nn, _kl_divergence_bh

    from fasttsne import TSNE, _kernels, affinity, neighbors, quality

    data = load(args.data)
    judge = Judge(data.X, data.y)
    Y = TSNE(random_state=0).fit_transform(data.X)
    verdict = judge(Y)
    n_samples, n_neighbors = judge.neighbors.shape

    search = NearestNeighbors(n_neighbors=n_neighbors).fit(data.X)
    graph = search.kneighbors_graph(mode="distance")
    graph.data **= 2
    P_theirs = _joint_probabilities_nn(graph, 30.0, 0)
    kl_theirs, _ = _kl_divergence_bh(Y.ravel(), P_theirs, 1, n_samples, 2, angle=0.0)

    indices, squared_distances = neighbors.nearest_neighbors(data.X, n_neighbors)
    conditional, _ = affinity.conditional_probabilities(squared_distances, 30.0)
    joint = affinity.joint_probabilities(indices, conditional)
    P_ours = sparse.csr_matrix((joint.data, joint.indices, joint.indptr))
    forces = _kernels.BarnesHutForces(*joint, 2, 1.0, 0.0, 1)
    forces.evaluate(Y, True)

    differences = [f"{abs(P - judge.joint).sum():.2g}" for P in (P_theirs, P_ours)]
    rows = [
        ["sum of abs(P - judge's P)", "", *differences],
        ["KL divergence", verdict["kl_divergence"], kl_theirs, forces.kl_divergence],
        ["Z", sum_q(Y), "", forces.sum_q],
        ["recall@10", verdict["recall"], "", quality.neighbor_recall(data.X, Y)],
    ]
    if data.y is not None:
        rows.append(["kNN accuracy@10", verdict["accuracy"], "", quality.knn_accuracy(Y, data.y)])
    sampled = Judge(data.X, data.y, rows=np.random.RandomState(0).permutation(n_samples)[:500])(Y)
    rows.append(["KL, judged by 500 rows", sampled["kl_divergence"], "", ""])
    rows.append(["standard error", sampled["kl_standard_error"], "", ""])
    rows = [[f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows]
    print(report.table([f"map of {data.name}", "judge", "scikit-learn", "fasttsne"], rows))


if __name__ == "__main__":
    main()
