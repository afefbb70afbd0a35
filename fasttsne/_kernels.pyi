"""Types of the compiled module. Arrays are C-contiguous; shapes stand in the comments."""

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
def calibrate(
    squared_distances: Float32 | Float64,  # (n, k); with skip_diagonal (n, n)
    perplexity: float,
    skip_diagonal: bool,
    n_threads: int,
) -> tuple[Float32, Float64]: ...  # p_j|i like squared_distances, beta (n,)
def symmetrize(
    indices: Int32,  # (n, k)
    conditional: Float32,  # (n, k)
    n_threads: int,
    capacity: int = ...,  # edges to transpose at a time; no less than n of them
) -> tuple[Int64, Int32, Float32]: ...  # indptr (n + 1,), indices (nnz,), data (nnz,)
def symmetrize_dense(conditional: Float32, n_threads: int) -> Float32: ...  # (n, n)

# Forces ------------------------------------------------------------------------------

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
    def evaluate(self, embedding: Float32, compute_kl: bool) -> None: ...
    def reorder(self, *arrays: Float32) -> None: ...
    @property
    def order(self) -> Int32: ...  # row of the arrays here -> row as the caller numbered it

class BarnesHutForces(Forces):
    def __init__(
        self,
        indptr: Int64,
        indices: Int32,
        data: Float32,
        n_components: int,  # 1, 2 or 3
        degrees_of_freedom: float,
        angle: float,
        n_threads: int,
    ) -> None: ...

class ExactForces(Forces):
    def __init__(
        self,
        joint: Float32,  # (n, n)
        n_components: int,
        degrees_of_freedom: float,
        n_threads: int,
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
) -> float: ...  # gradient norm of the last iteration

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
