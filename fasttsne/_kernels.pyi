"""Types of the compiled module. Arrays are C-contiguous; comments give the shapes."""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floats = NDArray[np.float32] | NDArray[np.float64]

def available_isas() -> tuple[str, ...]: ...
def current_isa() -> str: ...
def select_isa(name: str) -> None: ...

# Points are (n, d), queries (n_queries, d). screen is (n, m): single-precision coordinates that
# preserve distances, or the leading ones of them; then tails, (n,), are the squared lengths of the
# rest. The exact search has m = d. Results are indices and squared distances, (n or n_queries, k).

def find_neighbors(
    screen: Float32, exact: Floats, n_neighbors: int, n_threads: int
) -> tuple[Int32, Float64]: ...
def find_neighbors_among(
    query_screen: Float32 | None,  # None, like screen: compute all distances exactly
    queries: Floats,
    screen: Float32 | None,
    points: Floats,
    n_neighbors: int,
    n_threads: int,
) -> tuple[Int32, Float64]: ...
def find_sparse_neighbors(
    queries: tuple[Int64, Int32, Float64],  # row pointers, columns ascending, values
    query_norms: Float64,  # (n_queries,), squared
    points: tuple[Int64, Int32, Float64],
    columns: tuple[Int64, Int32, Float64],  # column pointers, rows ascending, values
    norms: Float64,  # (n,), squared
    n_columns: int,
    n_neighbors: int,
    among_themselves: bool,
    n_threads: int,
) -> tuple[Int32, Float64]: ...
def find_bit_neighbors(  # its distances are not squared
    queries: NDArray[np.uint64],  # (n_queries, n_words)
    query_counts: Int32,  # (n_queries,) bits that are set
    points: NDArray[np.uint64],  # (n, n_words)
    counts: Int32,  # (n,)
    n_features: int,  # 0: Jaccard distances, above: Hamming
    n_neighbors: int,
    among_themselves: bool,
    n_threads: int,
) -> tuple[Int32, Float64]: ...
def retrieval_measures(
    screen: Float32 | None,
    unit: float,  # from squared distances of points to those of the screen
    points: Floats,  # class by class
    starts: Int64,  # (n_classes + 1,) first point of each class
    ks: Int64,
    n_threads: int,
) -> Float64: ...  # (starts[-1], 2 + len(ks)): MAP@R, R-precision, hits at ks
def find_neighbors_approximately(
    screen: Float32,
    tails: Float32 | None,
    exact: Floats,
    n_neighbors: int,
    n_candidates: int,  # n_neighbors .. n - 1, for which exact distances are computed
    n_lists: int,
    recall: float,  # share of neighbours that the lists looked through must have
    n_threads: int,
) -> tuple[Int32, Float64] | None: ...  # None where single precision cannot resolve neighbours
def prepare_lists(
    screen: Float32,
    tails: Float32 | None,
    points: Floats,
    n_neighbors: int,
    n_candidates: int,
    n_lists: int,
    recall: float,
    n_threads: int,
) -> InvertedLists | None: ...

class InvertedLists:
    def __init__(
        self,
        start: Int64,  # (n_lists + 1,) first place of each list
        order: Int32,  # (n,) place -> point
        centroids: Float32,  # (n_lists, m)
        budget: int,  # number of points that a query is compared with
        coordinates: Float32,  # (n, m)
        tails: Float32 | None,  # (n,)
    ) -> None: ...
    def find(
        self,
        query_screen: Float32,  # (n_queries, m)
        queries: Floats,
        points: Floats,
        n_neighbors: int,
        n_candidates: int,  # n_neighbors .. budget
        n_threads: int,
    ) -> tuple[Int32, Float64]: ...

# (n, d), (d, m), (m,) -> (n, m)
def project_rows(rows: Float32, matrix: Float32, shift: Float32, n_threads: int) -> Float32: ...

# Of m anchors among n points: squared distances (m, n), or (m, k) of queries; indices (m, k); ranks
# (m, n) or (m, k), which count from 1, and 0 for an anchor; counts (n,).
def distances_to_all(exact: Floats, anchors: Int32, n_threads: int) -> Float64: ...
def distances_to_some(exact: Floats, anchors: Int32, queries: Int32, n_threads: int) -> Float64: ...
def nearest_in_rows(
    distances: Float64, anchors: Int32, n_neighbors: int, n_threads: int
) -> Int32: ...
def ranks_in_rows(distances: Float64, anchors: Int32, queries: Int32, n_threads: int) -> Int32: ...
def all_ranks_in_rows(distances: Float64, anchors: Int32, n_threads: int) -> Int32: ...
def count_larger_ranks(first: Int32, second: Int32, counts: Int64, n_threads: int) -> None: ...
def calibrate(
    squared_distances: Floats,  # (n, k); with skip_diagonal (n, n)
    perplexity: float,
    skip_diagonal: bool,
    n_threads: int,
    masses: Float32 | None = None,  # like squared_distances: how often each neighbour counts
) -> tuple[Float32, Float64]: ...  # p_j|i like squared_distances, beta (n,)
def symmetrize(
    indices: Int32, conditional: Float32, n_threads: int, capacity: int = ...
) -> tuple[Int64, Int32, Float32]: ...  # CSR: indptr, indices, data
def symmetrize_dense(conditional: Float32, n_threads: int) -> Float32: ...  # (n, n)

# P as CSR: indptr, indices, data.
def find_groups(
    indptr: Int64, indices: Int32, data: Float32, n_threads: int
) -> tuple[Int32, int]: ...  # groups (n,), their number
def joint_of_groups(
    indptr: Int64,
    indices: Int32,
    data: Float32,
    groups: Int32,
    n_groups: int,
    most_edges: int,
    n_threads: int,
) -> tuple[Int64, Int32, Float32] | None: ...  # CSR; None if it has more than most_edges entries
def prolong(
    indptr: Int64,
    indices: Int32,
    data: Float32,
    groups: Int32,
    coarse: Float32,  # (n_groups, dim)
    n_threads: int,
) -> Float32: ...  # (n, dim)

class DivergedError(FloatingPointError): ...

class Forces:
    degrees_of_freedom: float
    density: float  # weight of the density term over the exaggeration, 0 without one
    # Read only:
    attractive: Float32  # (n, d) sum_j p_ij u_ij (y_i - y_j)
    repulsive: Float32  # (n, d) sum_j w_ij u_ij (y_i - y_j), not divided by sum_q
    sum_q: float  # Z: sum of w_ij over all ordered pairs
    kl_divergence: float  # at the last evaluation with compute_kl
    masses: Float32 | None  # (n,) points per row, in the order of the arrays here
    targets: Float32 | None  # (n,) of the density term, in the order of the arrays here
    density_correlation: float  # at the last evaluation with `density` or compute_kl
    order: Int32  # row of the arrays here -> row of the caller
    negative_entropy: float  # sum of p log p
    n_steps: int  # taken by `descend`
    grad_norm: float  # the last result of `descend`
    def kl_divergence_exaggerated(self, exaggeration: float) -> float: ...
    def objective(self, exaggeration: float) -> float: ...  # of a descent
    def slope_and_radius(
        self, embedding: Float32, exaggeration: float
    ) -> tuple[float, float]: ...  # slope along the log scale, radius
    def evaluate(self, embedding: Float32, compute_kl: bool) -> None: ...
    def reorder(self, *arrays: Float32) -> None: ...
    def aim_at_radii(
        self, targets: Float32, *edges: Int64 | Int32
    ) -> None: ...  # exact: indptr, indices
    def restore_order(self, order: Int32) -> None: ...

class BarnesHutForces(Forces):
    joint: tuple[Int64, Int32, Float32]  # CSR, in the order of the arrays here
    def __init__(
        self,
        indptr: Int64,
        indices: Int32,
        data: Float32,
        n_components: int,  # 1, 2 or 3
        degrees_of_freedom: float,
        angle: float,
        n_threads: int,
        # (n,) points per row; data are of one of the row with all of the column
        masses: Float32 | None = None,
        negative_entropy: float = 0.0,  # sum of p log p over all pairs of points
    ) -> None: ...

class ExactForces(Forces):
    joint: Float32  # (n, n)
    def __init__(
        self,
        joint: Float32,  # (n, n)
        n_components: int,
        degrees_of_freedom: float,
        n_threads: int,
        masses: Float32 | None = None,
        negative_entropy: float = 0.0,
    ) -> None: ...

def local_radii(
    indptr: Int64,  # a graph of neighbours
    indices: Int32,
    embedding: Float32,  # (n, d)
    n_threads: int,
) -> Float32: ...  # (n,) logarithms of squared radii
def descend(
    forces: Forces,
    embedding: Float32,  # (n, d), changed in place, like the next two
    velocity: Float32,
    gains: Float32,
    n_iter: int,
    learning_rate: float,
    momentum: float,
    exaggeration: float,
    compute_kl: bool = True,
    held: NDArray[np.uint8] | None = None,  # (n,) not 0 where a row does not move
    scale: bool = False,  # whether a step of the map's scale follows
    homes: Float32 | None = None,  # (n, d): held rows return `pull` of the way; scaled too
    pull: float = 1.0,
) -> float: ...  # gradient norm of the last iteration

class FrozenMap:
    def __init__(
        self,
        embedding: Float32,
        degrees_of_freedom: float,
        angle: float,
        odds: float = 0.0,  # of a contrastive loss
        n_negatives: int = 0,
        n_threads: int = 1,
    ) -> None: ...
    def place(
        self,
        indices: Int32,  # (n_new, k)
        conditional: Float32,  # (n_new, k)
        exaggeration: float,
        max_iter: int,
        shortest_step: float,
        n_threads: int,
    ) -> Float32: ...  # (n_new, d)
    def evaluate(
        self,
        indices: Int32,
        conditional: Float32,
        at: Float32,
        exaggeration: float = 1.0,
        n_threads: int = 1,
    ) -> tuple[Float32, Float64]: ...  # gradient (n_new, d), divergence (n_new,)
    def place_again(
        self,
        own: Int32,  # (n_rows,) points of the map
        indices: Int32,  # (n_rows, k)
        weights: Float32,  # (n_rows, k) n p_ij
        sum_q: float,  # of the map
        max_iter: int,
        shortest_step: float,
        n_threads: int,
    ) -> Float32: ...  # (n_rows, d)

def curvature_sums(  # P as CSR
    indptr: Int64,
    indices: Int32,
    data: Float32,
    embedding: Float32,
    degrees_of_freedom: float,
    n_threads: int,
) -> Float64: ...  # (n, 3 + d + d (d + 1)): see fasttsne.h
def draw_numbers(seed: int, iteration: int, bound: int, count: int) -> Int64: ...  # (count,)

class ContrastiveForces(BarnesHutForces):
    def __init__(
        self,
        indptr: Int64,
        indices: Int32,
        data: Float32,
        n_components: int,  # 1 to 64
        n_negatives: int,
        n_repeats: int,  # sets of negatives of a row; one for InfoNCE
        seed: int,
        infonce: bool,  # otherwise negative sampling or NCE
        n_threads: int,
    ) -> None: ...
    def take_means(self) -> tuple[float, float]: ...  # of q and h, since the last call
    def missed(self, embedding: Float32) -> float: ...  # sum of p (1 - h) over the edges
    def set_odds(self, odds: float) -> None: ...  # m xi Z
    def evaluate_kl(self, embedding: Float32) -> float: ...
