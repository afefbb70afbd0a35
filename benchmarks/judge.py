"""One exact judge for every system's map, independent of all of them.

A map is judged by its KL divergence, its neighbour recall and its kNN accuracy. P is made here, in
float64 NumPy, of scikit-learn's exact neighbours; Z is summed over all pairs in float64. Nothing of
fasttsne is used, and of scikit-learn only its neighbour search.

``python benchmarks/judge.py`` judges the judge: its figures beside those that scikit-learn and
fasttsne come to by their own means.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import report
from data import load
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

N_NEIGHBORS = 10  # of recall and accuracy


class Judge:
    """Judges maps of one data set, by one P."""

    def __init__(self, X, y=None, perplexity=30.0):
        n_neighbors = min(len(X) - 1, int(3 * perplexity + 1))
        search = NearestNeighbors(n_neighbors=n_neighbors, n_jobs=-1)
        # In double: differences of single-precision products would reorder near ties.
        distances, self.neighbors = search.fit(np.asarray(X, dtype=np.float64)).kneighbors()
        self.y = y
        self.joint = joint_probabilities(self.neighbors, distances**2, perplexity)

    def __call__(self, embedding):
        """KL divergence, recall@10 and, where there are classes, kNN accuracy@10."""
        Y = np.asarray(embedding, dtype=np.float64)
        search = NearestNeighbors(n_neighbors=N_NEIGHBORS, algorithm="kd_tree", n_jobs=-1)
        on_map = search.fit(Y).kneighbors(return_distance=False)
        return {
            "kl_divergence": kl_divergence(self.joint, Y),
            "recall": recall(self.neighbors[:, :N_NEIGHBORS], on_map),
            "accuracy": None if self.y is None else accuracy(self.y, on_map),
        }


def joint_probabilities(neighbors, squared_distances, perplexity):
    """p_ij = (p_j|i + p_i|j) / 2n, with p_j|i by bisection on each row's precision."""
    n_samples, n_neighbors = neighbors.shape
    gaps = squared_distances - squared_distances[:, :1]
    scale = np.mean(gaps, axis=1, keepdims=True)
    gaps = gaps / np.where(scale > 0, scale, 1)
    low, high = np.full((n_samples, 1), -40.0), np.full((n_samples, 1), 40.0)
    for _ in range(60):
        log_beta = (low + high) / 2
        conditional = np.exp(-np.exp(log_beta) * gaps)
        conditional /= conditional.sum(axis=1, keepdims=True)
        logarithms = np.log(np.where(conditional > 0, conditional, 1))
        entropy = -np.sum(conditional * logarithms, axis=1, keepdims=True)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, log_beta, low), np.where(wide, high, log_beta)
    indptr = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    P = sparse.csr_matrix(
        (conditional.ravel(), neighbors.ravel(), indptr), shape=(n_samples, n_samples)
    )
    return (P + P.T) / (2 * n_samples)


def kl_divergence(joint, Y):
    """sum p log p - sum p log w + log Z, with w = 1 / (1 + d²) and Z over all pairs."""
    edges = joint.tocoo()
    present = edges.data > 0
    p, i, j = edges.data[present], edges.row[present], edges.col[present]
    squared_distances = np.sum((Y[i] - Y[j]) ** 2, axis=1)
    _, sum_q = exact_repulsion(Y, forces=False)
    return float(np.sum(p * np.log(p)) + np.sum(p * np.log1p(squared_distances)) + np.log(sum_q))


def exact_repulsion(Y, forces=True):
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
        if not forces:
            return None, w.sum()
        return np.stack([np.sum(w * w * d, axis=1) for d in differences], axis=1), w.sum()

    with ThreadPoolExecutor(report.cores()) as pool:
        parts, sums = zip(*pool.map(rows, range(0, n_samples, height)), strict=True)
    return np.concatenate(parts) if forces else None, float(sum(sums))


def recall(in_data, on_map):
    """Mean share of the neighbours in the data that are neighbours on the map."""
    found = (in_data[:, :, np.newaxis] == on_map[:, np.newaxis, :]).any(axis=2)
    return float(found.mean())


def accuracy(y, on_map):
    """Share of points whose neighbours' majority is of their class; ties to the nearest's."""
    _, codes = np.unique(y, return_inverse=True)
    votes = codes[on_map]
    counts = (votes[:, :, np.newaxis] == votes[:, np.newaxis, :]).sum(axis=2)
    elected = votes[np.arange(len(votes)), counts.argmax(axis=1)]
    return float(np.mean(elected == codes))


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
    _, sum_q = exact_repulsion(Y, forces=False)
    rows = [
        ["sum of abs(P - judge's P)", "", *differences],
        ["KL divergence", verdict["kl_divergence"], kl_theirs, forces.kl_divergence],
        ["Z", sum_q, "", forces.sum_q],
        ["recall@10", verdict["recall"], "", quality.neighbor_recall(data.X, Y)],
    ]
    if data.y is not None:
        rows.append(["kNN accuracy@10", verdict["accuracy"], "", quality.knn_accuracy(Y, data.y)])
    rows = [[f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows]
    print(report.table([f"map of {data.name}", "judge", "scikit-learn", "fasttsne"], rows))


if __name__ == "__main__":
    main()
