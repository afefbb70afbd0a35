"""Types of the compiled module. Arrays are C-contiguous; shapes stand in the comments."""

from typing import overload

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

# Configuration of the compiled module ------------------------------------------------

def available_isas() -> tuple[str, ...]: ...
def current_isa() -> str: ...
def select_isa(name: str) -> None: ...
def openmp_enabled() -> bool: ...
def openmp_max_threads() -> int: ...
def in_forked_child() -> bool: ...

# Neighbours and affinities -----------------------------------------------------------

def find_neighbors(
    screen: Float32,  # (n, d), centred and scaled by a power of two
    exact: Float32 | Float64,  # (n, d), what distances are computed from
    n_neighbors: int,
    n_threads: int,
) -> tuple[Int32, Float64]: ...  # (n, k) indices, (n, k) squared distances
def find_neighbors_approximately(
    screen: Float32,  # (n, m), coordinates that preserve distances, or the leading ones of them
    tails: Float32 | None,  # (n,), squared lengths of what those leave out
    exact: Float32 | Float64,  # (n, d), what distances are computed from
    n_neighbors: int,
    n_candidates: int,  # n_neighbors .. n - 1, for which exact distances are computed
    n_cells: int,
    n_threads: int,
) -> tuple[Int32, Float64] | None: ...  # None where single precision can't tell neighbours apart
def find_neighbors_among(
    query_screen: Float32 | None,  # (n_queries, d), made like screen
    queries: Float32 | Float64,  # (n_queries, d)
    screen: Float32 | None,  # (n, d); without it all distances are computed exactly
    points: Float32 | Float64,  # (n, d), of the same type as queries
    n_neighbors: int,
    n_threads: int,
) -> tuple[Int32, Float64]: ...  # (n_queries, k) indices and squared distances
def prepare_lists(
    screen: Float32,  # these as for find_neighbors_approximately
    tails: Float32 | None,
    points: Float32 | Float64,
    n_neighbors: int,
    n_candidates: int,
    n_cells: int,
    n_threads: int,
) -> tuple[Int64, Int32, Float32, int] | None: ...  # start, order, centroids, budget
@overload
def padded(count: int) -> int: ...
@overload
def padded(count: Int64) -> Int64: ...
def find_neighbors_in_lists(
    start: Int64,  # (n_cells + 1,) where each cell begins among the places
    order: Int32,  # (n,) place -> point
    centroids: Float32,  # (m, padded(n_cells))
    residents: Float32,  # cell by cell m x padded(size)
    tails: Float32,  # (n,) by place
    budget: int,
    query_screen: Float32,  # (n_queries, m)
    queries: Float32 | Float64,  # (n_queries, d)
    points: Float32 | Float64,  # (n, d), of the same type
    n_neighbors: int,
    n_candidates: int,  # n_neighbors .. budget
    n_threads: int,
) -> tuple[Int32, Float64]: ...  # (n_queries, k) indices and squared distances
def project_rows(
    rows: Float32,  # (n, d)
    matrix: Float32,  # (d, m)
    shift: Float32,  # (m,)
    n_threads: int,
) -> Float32: ...  # (n, m)
def distances_to_all(
    exact: Float32 | Float64,  # (n, d)
    anchors: Int32,  # (m,)
    n_threads: int,
) -> Float64: ...  # (m, n) squared distances
def distances_to_some(
    exact: Float32 | Float64,  # (n, d)
    anchors: Int32,  # (m,)
    queries: Int32,  # (m, k)
    n_threads: int,
) -> Float64: ...  # (m, k) squared distances
def nearest_in_rows(
    distances: Float64,  # (m, n)
    anchors: Int32,  # (m,)
    n_neighbors: int,
    n_threads: int,
) -> Int32: ...  # (m, k) indices
def ranks_in_rows(
    distances: Float64,  # (m, n)
    anchors: Int32,  # (m,)
    queries: Int32,  # (m, k)
    n_threads: int,
) -> Int32: ...  # (m, k) ranks from 1
def all_ranks_in_rows(
    distances: Float64,  # (m, n)
    anchors: Int32,  # (m,)
    n_threads: int,
) -> Int32: ...  # (m, n) ranks from 1, 0 for the anchor
def count_larger_ranks(
    first: Int32,  # (m, n)
    second: Int32,  # (m, n)
    counts: Int64,  # (n,), added to
    n_threads: int,
) -> None: ...
def calibrate(
    squared_distances: Float32 | Float64,  # (n, k); with skip_diagonal (n, n)
    perplexity: float,
    skip_diagonal: bool,
    n_threads: int,
    masses: Float32 | None = None,  # like squared_distances: how often each neighbour counts
) -> tuple[Float32, Float64]: ...  # p_j|i like squared_distances, beta (n,)
def symmetrize(
    indices: Int32,  # (n, k)
    conditional: Float32,  # (n, k)
    n_threads: int,
    capacity: int = ...,  # edges to transpose at a time; no less than n of them
) -> tuple[Int64, Int32, Float32]: ...  # indptr (n + 1,), indices (nnz,), data (nnz,)
def symmetrize_dense(conditional: Float32, n_threads: int) -> Float32: ...  # (n, n)

# Forces ------------------------------------------------------------------------------

class DivergedError(FloatingPointError): ...

class Forces:
    """What acts on a map of n points in d dimensions."""

    @property
    def attractive(self) -> Float32: ...  # (n, d) sum_j p_ij u_ij (y_i - y_j)
    @property
    def repulsive(self) -> Float32: ...  # (n, d) sum_j w_ij u_ij (y_i - y_j), not yet / sum_q
    @property
    def sum_q(self) -> float: ...  # Z: sum of w_ij over all ordered pairs
    @property
    def kl_divergence(self) -> float: ...  # of the last evaluation that asked for it
    def kl_divergence_exaggerated(self, exaggeration: float) -> float: ...
    def objective(self, exaggeration: float) -> float: ...  # what a descent goes down
    def evaluate(self, embedding: Float32, compute_kl: bool) -> None: ...
    def reorder(self, *arrays: Float32) -> None: ...
    def restore_order(self, order: Int32) -> None: ...
    @property
    def masses(self) -> Float32 | None: ...  # (n,) points that each row stands for, in its order
    @property
    def order(self) -> Int32: ...  # row of the arrays here -> row as the caller numbered it
    degrees_of_freedom: float
    @property
    def negative_entropy(self) -> float: ...  # sum of p log p
    @property
    def n_steps(self) -> int: ...  # that `descend` has taken
    @property
    def grad_norm(self) -> float: ...  # what the last `descend` returned

class BarnesHutForces(Forces):
    @property
    def joint(self) -> tuple[Int64, Int32, Float32]: ...  # CSR, in the order of the arrays here
    def __init__(
        self,
        indptr: Int64,
        indices: Int32,
        data: Float32,
        n_components: int,  # 1, 2 or 3
        degrees_of_freedom: float,
        angle: float,
        n_threads: int,
        masses: Float32 | None = None,  # (n,), how many points each row stands for; `data` is then
        # what one of those of the row has with all of those of the column
        negative_entropy: float = 0.0,  # sum of p log p over pairs of all these points
    ) -> None: ...

class ExactForces(Forces):
    @property
    def joint(self) -> Float32: ...  # (n, n)
    def __init__(
        self,
        joint: Float32,  # (n, n)
        n_components: int,
        degrees_of_freedom: float,
        n_threads: int,
        masses: Float32 | None = None,
        negative_entropy: float = 0.0,
    ) -> None: ...

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
    fixed: NDArray[np.uint8] | None = None,  # (n,), not 0 where a row does not move
) -> float: ...  # gradient norm of the last iteration

# New points --------------------------------------------------------------------------

class FrozenMap:
    """A map with its tree, for new points to be placed on. It pickles."""

    def __init__(
        self,
        embedding: Float32,  # (n, d)
        degrees_of_freedom: float,
        angle: float,
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
        at: Float32,  # (n_new, d)
        exaggeration: float = 1.0,
        n_threads: int = 1,
    ) -> tuple[Float32, Float64]: ...  # gradient (n_new, d), divergence (n_new,)

# Contrastive embedding ---------------------------------------------------------------

def draw_numbers(seed: int, iteration: int, bound: int, count: int) -> Int64: ...  # (count,)

class ContrastiveForces(BarnesHutForces):
    def __init__(
        self,
        indptr: Int64,
        indices: Int32,
        data: Float32,
        n_components: int,  # 1, 2 or 3
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
