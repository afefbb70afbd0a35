# cython: language_level=3
# cython: boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=False, binding=True, freethreading_compatible=False
"""The gate to the C kernels: check, release the GIL, call, raise.

Nothing here computes. Arrays arrive C-contiguous and of the type that the signature says, from
the modules beside this one; what is checked is what would make C read or write out of bounds.
Every call can be interrupted: while a kernel runs, the calling thread looks for signals a few
times a second, and the exception that a signal handler raises leaves the call.
"""

import os

import numpy as np

from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.math cimport exp, log, sqrt
from libc.string cimport memcpy
from scipy.linalg.cython_blas cimport sgemm


cdef extern from "fasttsne.h" nogil:
    ctypedef enum ft_status:
        FT_OK
        FT_NO_MEMORY
        FT_INTERRUPTED
        FT_DIVERGED

    ctypedef struct ft_run:
        int n_threads
        int (*poll)() noexcept
        double next_poll
        int stopped
        void *team

    ctypedef enum ft_isa:
        pass

    ctypedef struct ft_points:
        const void *values
        int is_double

    ctypedef struct ft_lists:
        int64_t n_cells
        int64_t m
        int64_t budget
        const int64_t *start
        const int32_t *order
        const float *centroids
        const float *residents
        const float *tails

    ctypedef struct ft_student:
        double degrees_of_freedom

    ctypedef struct ft_step:
        double learning_rate
        double momentum
        double exaggeration
        double degrees_of_freedom
        double sum_q

    ctypedef struct ft_update:
        ft_step step
        int64_t first
        int64_t last
        int dim
        const float *attractive
        const float *repulsive
        const float *embedding
        const uint8_t *fixed
        float *moved
        float *velocity
        float *gains
        double *partial

    ctypedef struct ft_tree:
        pass

    ctypedef struct ft_frozen:
        const ft_tree *tree
        const float *embedding
        int64_t n
        int dim
        ft_student student
        double angle

    ctypedef struct ft_placement_rules:
        double exaggeration
        int max_iter
        double shortest_step

    ctypedef void (*ft_sgemm)(
        char *, char *, int *, int *, int *, float *, float *, int *, float *, int *, float *,
        float *, int *) noexcept

    const int FT_ROWS
    const int FT_LANES
    const double FT_LARGEST_LOG

    void ft_parallel_init()
    ft_status ft_parallel_team(
        ft_run *run, ft_status (*body)(void *context) noexcept, void *context)
    int ft_parallel_forked()
    int ft_parallel_openmp()
    int ft_parallel_max_threads()
    ft_isa ft_isa_best()
    ft_isa ft_isa_current()
    void ft_isa_select(ft_isa isa)

    ft_status ft_neighbors_find(
        const float *screen, ft_points points, int64_t n, int64_t d, int64_t k, int32_t *indices,
        double *squared_distances, ft_sgemm sgemm, ft_run *run)
    ft_status ft_inverted_find(
        const float *screen, const float *tails, int64_t m, ft_points points, int64_t n, int64_t d,
        int64_t k, int64_t n_candidates, int64_t n_cells, int32_t *indices,
        double *squared_distances, int *resolved, ft_sgemm sgemm, ft_run *run)
    ft_status ft_neighbors_among(
        const float *query_screen, ft_points queries, int64_t n_queries, const float *screen,
        ft_points points, int64_t n, int64_t d, int64_t k, int32_t *indices,
        double *squared_distances, ft_sgemm sgemm, ft_run *run)
    ft_status ft_inverted_prepare(
        const float *screen, const float *tails, int64_t m, ft_points points, int64_t n, int64_t d,
        int64_t k, int64_t n_candidates, int64_t *n_cells, int64_t *start, int32_t *order,
        float *centroids, int64_t *budget, int *resolved, ft_sgemm sgemm, ft_run *run)
    ft_status ft_queries_find(
        const ft_lists *lists, const float *query_screen, ft_points queries, int64_t n_queries,
        ft_points points, int64_t d, int64_t k, int64_t n_candidates, int32_t *indices,
        double *squared_distances, ft_run *run)
    ft_status ft_queries_project(
        const float *rows, int64_t n, int64_t d, const float *matrix, int64_t m,
        const float *shift, float *products, ft_run *run)
    ft_status ft_ranks_distances(
        ft_points points, int64_t n, int64_t d, const int32_t *anchors, int64_t n_anchors,
        double *squared_distances, ft_run *run)
    ft_status ft_ranks_distances_to(
        ft_points points, int64_t d, const int32_t *anchors, int64_t n_anchors,
        const int32_t *queries, int64_t k, double *squared_distances, ft_run *run)
    ft_status ft_ranks_nearest(
        const double *distances, int64_t n, const int32_t *anchors, int64_t n_anchors, int64_t k,
        int32_t *indices, ft_run *run)
    ft_status ft_ranks_count(
        const double *distances, int64_t n, const int32_t *anchors, int64_t n_anchors,
        const int32_t *queries, int64_t k, int32_t *ranks, ft_run *run)
    ft_status ft_ranks_sort(
        const double *distances, int64_t n, const int32_t *anchors, int64_t n_anchors,
        int32_t *ranks, ft_run *run)
    ft_status ft_ranks_compare(
        const int32_t *a, const int32_t *b, int64_t n, int64_t n_anchors, int64_t *counts,
        ft_run *run)
    ft_status ft_calibration_find(
        const void *squared_distances, int is_double, int64_t n, int64_t k, double perplexity,
        int skip_diagonal, const float *masses, float *conditional, double *beta, ft_run *run)
    ft_status ft_symmetrization_sparse(
        const int32_t *indices, const float *conditional, int64_t n, int64_t k, int64_t *indptr,
        int32_t *joint_indices, float *joint_data, void *scratch, int64_t capacity, ft_run *run)
    ft_status ft_symmetrization_dense(float *conditional, int64_t n, ft_run *run)
    ft_status ft_joint_permute(
        const int64_t *indptr, const int32_t *indices, const float *data, int64_t n,
        const int32_t *order, const int32_t *inverse, int64_t *new_indptr, int32_t *new_indices,
        float *new_data, ft_run *run)
    ft_status ft_joint_negative_entropy(
        const float *data, int64_t n_edges, double *sum, ft_run *run)

    ft_tree *ft_tree_create(int64_t n, int dim)
    void ft_tree_destroy(ft_tree *tree)
    ft_status ft_tree_build(ft_tree *tree, const float *embedding, ft_run *run)
    ft_status ft_tree_weigh(ft_tree *tree, const float *masses)
    const int32_t *ft_tree_order(const ft_tree *tree)
    int64_t ft_repulsion_groups(const ft_tree *tree)
    ft_status ft_repulsion_compute(
        const ft_tree *tree, ft_student student, double angle, int64_t first, int64_t last,
        float *repulsive, double *sum_q, ft_run *run)
    ft_status ft_attraction_compute(
        const int64_t *indptr, const int32_t *indices, const float *data, const float *embedding,
        int dim, const float *masses, ft_student student, int64_t first, int64_t last,
        float *attractive, double *cross_entropy, double *partial, const ft_update *update,
        ft_run *run)
    ft_status ft_exact_compute(
        const float *joint, const float *masses, const float *embedding, int64_t n, int dim,
        ft_student student, int64_t first, int64_t last, float *attractive, float *repulsive,
        double *sum_q, double *cross_entropy, float *coordinates, double *partial, ft_run *run)
    ft_status ft_placement_find(
        const ft_frozen *map, const int32_t *indices, const float *conditional, int64_t n_new,
        int64_t k, ft_placement_rules rules, float *placed, ft_run *run)
    ft_status ft_placement_evaluate(
        const ft_frozen *map, const int32_t *indices, const float *conditional, int64_t n_new,
        int64_t k, double exaggeration, const float *at, float *gradient, double *divergence,
        ft_run *run)
    ft_status ft_update_step(const ft_update *update, ft_run *run)
    double ft_update_squared_norm(const ft_update *update)

    ctypedef struct ft_contrastive:
        const int64_t *indptr
        const int32_t *indices
        const float *data
        const float *embedding
        int64_t n
        int dim
        int64_t first
        int64_t last
        const int64_t *shifts
        const int64_t *heads
        int64_t n_shifts
        double odds
        float *attractive
        float *repulsive
        float *sums
        float *weights
        double *partial

    void ft_contrastive_draw(
        uint64_t seed, uint64_t iteration, int64_t bound, int64_t count, int64_t *draws)
    ft_status ft_contrastive_repulsion(
        const ft_contrastive *contrastive, double *mean_q, double *mean_h, ft_run *run)
    ft_status ft_contrastive_missed(
        const ft_contrastive *contrastive, double *sum, ft_run *run)
    ft_status ft_contrastive_infonce(const ft_contrastive *contrastive, ft_run *run)


# ---- Interruption and errors -----------------------------------------------------------------

cdef extern from "Python.h":
    # Declared without an exception value, so that a pending exception stays pending.
    int PyErr_CheckSignals() noexcept

cdef extern from *:
    """
    static int ft_raise_pending(void) { return -1; }
    """
    int ft_raise_pending() except -1


ctypedef int (*poll_function)() noexcept


cdef int poll_signals() noexcept with gil:
    return PyErr_CheckSignals()


cdef ft_run make_run(int n_threads):
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, got {n_threads}")
    cdef ft_run run
    run.n_threads = n_threads
    run.poll = poll_signals
    run.next_poll = 0.0
    run.stopped = 0
    run.team = NULL
    return run


class DivergedError(FloatingPointError):
    """The map has left what single precision can square."""


cdef int check(ft_status status) except -1:
    if status == FT_INTERRUPTED:
        return ft_raise_pending()
    if status == FT_NO_MEMORY:
        raise MemoryError("a kernel could not allocate its working memory")
    if status == FT_DIVERGED:
        raise DivergedError("a coordinate of the map is not finite or too large")
    return 0


cdef int expect(bint condition, str what) except -1:
    if not condition:
        raise ValueError(what)
    return 0


# ---- Configuration ---------------------------------------------------------------------------

_ISA_NAMES = ("baseline", "avx2", "avx512")

ft_parallel_init()


def available_isas():
    """Instruction sets that this binary holds and this processor runs, the best last."""
    return _ISA_NAMES[: <int> ft_isa_best() + 1]


def current_isa():
    """The instruction set that the kernels use."""
    return _ISA_NAMES[<int> ft_isa_current()]


def select_isa(name):
    """Makes the kernels use one of `available_isas()`."""
    if name not in available_isas():
        raise ValueError(f"instruction set {name!r} is not one of {available_isas()}")
    ft_isa_select(<ft_isa> <int> _ISA_NAMES.index(name))


if os.environ.get("FASTTSNE_ISA"):
    try:
        select_isa(os.environ["FASTTSNE_ISA"])
    except ValueError as error:
        raise ValueError(f"the environment variable FASTTSNE_ISA: {error}") from None


def openmp_enabled():
    """Whether the kernels were built with OpenMP."""
    return bool(ft_parallel_openmp())


def openmp_max_threads():
    """What OpenMP would use by itself (OMP_NUM_THREADS, threadpoolctl)."""
    return ft_parallel_max_threads()


def in_forked_child():
    """Whether this process was forked after the import; it then runs on one thread."""
    return bool(ft_parallel_forked())


# ---- Neighbours ------------------------------------------------------------------------------

cdef ft_points as_points(exact):
    """The kernels' view of a C-contiguous (n, d) array, which the caller keeps alive."""
    cdef const float[:, ::1] singles
    cdef const double[:, ::1] doubles
    cdef ft_points points
    points.is_double = exact.dtype == np.float64
    if points.is_double:
        doubles = exact
        points.values = &doubles[0, 0]
    else:
        singles = exact
        points.values = &singles[0, 0]
    return points


def find_neighbors(
    const float[:, ::1] screen not None, exact not None, int64_t n_neighbors, int n_threads
):
    """Exact k nearest neighbours: indices and squared distances, nearest first."""
    cdef int64_t n = screen.shape[0], d = screen.shape[1]
    expect(exact.shape == (n, d), "screen and exact must have the same shape")
    expect(0 < n_neighbors < n and d > 0, "n_neighbors must be in 1 .. n - 1")
    expect(n < 2**31 and d < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points points = as_points(exact)

    indices = np.empty((n, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_neighbors_find(
            &screen[0, 0], points, n, d, n_neighbors, &indices_view[0, 0], &distances_view[0, 0],
            <ft_sgemm> sgemm, &run)
    check(status)
    return indices, squared_distances


def find_neighbors_approximately(
    const float[:, ::1] screen not None, const float[::1] tails, exact not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_cells, int n_threads
):
    """Most of the k nearest neighbours, or None where single precision can't tell them apart."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = exact.shape[1]
    expect(exact.shape[0] == n, "screen and exact must have the same length")
    expect(tails is None or tails.shape[0] == n, "tails and screen must have the same length")
    expect(0 < n_neighbors <= n_candidates < n, "need 0 < n_neighbors <= n_candidates < n")
    expect(0 < n_cells <= n and m > 0 and d > 0, "n_cells must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and m < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points points = as_points(exact)

    indices = np.empty((n, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef const float *tails_pointer = NULL
    if tails is not None:
        tails_pointer = &tails[0]
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    cdef int resolved = 0
    with nogil:
        status = ft_inverted_find(
            &screen[0, 0], tails_pointer, m, points, n, d, n_neighbors, n_candidates, n_cells,
            &indices_view[0, 0], &distances_view[0, 0], &resolved, <ft_sgemm> sgemm, &run)
    check(status)
    return (indices, squared_distances) if resolved else None


def find_neighbors_among(
    const float[:, ::1] query_screen, queries not None, const float[:, ::1] screen,
    points not None, int64_t n_neighbors, int n_threads
):
    """Exact k nearest of some points for others; without screens all distances are exact."""
    cdef int64_t n = points.shape[0], d = points.shape[1], n_queries = queries.shape[0]
    expect(queries.shape[1] == d and queries.dtype == points.dtype, "queries differ from points")
    expect(0 < n_neighbors <= n and d > 0 and n_queries > 0, "n_neighbors must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and n_queries < 2**31, "more than 2**31 - 1 points or features")
    expect((screen is None) == (query_screen is None), "both screens or none")
    cdef const float *screen_pointer = NULL
    cdef const float *query_pointer = NULL
    if screen is not None:
        expect(screen.shape[0] == n and screen.shape[1] == d, "screen differs from points")
        expect(query_screen.shape[0] == n_queries and query_screen.shape[1] == d,
               "query_screen differs from queries")
        screen_pointer, query_pointer = &screen[0, 0], &query_screen[0, 0]
    cdef ft_points from_points = as_points(queries), to_points = as_points(points)
    indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_neighbors_among(
            query_pointer, from_points, n_queries, screen_pointer, to_points, n, d, n_neighbors,
            &indices_view[0, 0], &distances_view[0, 0], <ft_sgemm> sgemm, &run)
    check(status)
    return indices, squared_distances


def prepare_lists(
    const float[:, ::1] screen not None, const float[::1] tails, points not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_cells, int n_threads
):
    """Cells and budget for `find_neighbors_in_lists`, or None where single precision won't do."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = points.shape[1]
    expect(points.shape[0] == n, "screen and points must have the same length")
    expect(tails is None or tails.shape[0] == n, "tails and screen must have the same length")
    expect(0 < n_neighbors <= n_candidates < n, "need 0 < n_neighbors <= n_candidates < n")
    expect(0 < n_cells <= n and m > 0 and d > 0, "n_cells must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and m < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points to_points = as_points(points)
    start = np.empty(2 * n_cells + 1, dtype=np.int64)
    order = np.empty(n, dtype=np.int32)
    centroids = np.empty((2 * n_cells, m), dtype=np.float32)
    cdef int64_t[::1] start_view = start
    cdef int32_t[::1] order_view = order
    cdef float[:, ::1] centroids_view = centroids
    cdef const float *tails_pointer = NULL
    if tails is not None:
        tails_pointer = &tails[0]
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    cdef int resolved = 0
    cdef int64_t budget = 0
    with nogil:
        status = ft_inverted_prepare(
            &screen[0, 0], tails_pointer, m, to_points, n, d, n_neighbors, n_candidates, &n_cells,
            &start_view[0], &order_view[0], &centroids_view[0, 0], &budget, &resolved,
            <ft_sgemm> sgemm, &run)
    check(status)
    return (start[: n_cells + 1], order, centroids[:n_cells], budget) if resolved else None


def padded(count):
    """The least multiple of the kernels' vectors that is no less."""
    return -(-count // FT_LANES) * FT_LANES


def find_neighbors_in_lists(
    const int64_t[::1] start not None, const int32_t[::1] order not None,
    const float[:, ::1] centroids not None, const float[::1] residents not None,
    const float[::1] tails not None, int64_t budget, const float[:, ::1] query_screen not None,
    queries not None, points not None, int64_t n_neighbors, int64_t n_candidates, int n_threads
):
    """Most of the k nearest points for others; a row depends on nothing else in the call."""
    cdef int64_t n = points.shape[0], d = points.shape[1], n_queries = queries.shape[0]
    cdef int64_t m = centroids.shape[0], n_cells = start.shape[0] - 1
    expect(queries.shape[1] == d and queries.dtype == points.dtype, "queries differ from points")
    expect(query_screen.shape[0] == n_queries > 0 and query_screen.shape[1] == m > 0,
           "query_screen differs from queries or centroids")
    expect(0 < n_neighbors <= n_candidates <= budget <= n, "need k <= n_candidates <= budget <= n")
    expect(n < 2**31 and d < 2**31 and n_queries < 2**31, "more than 2**31 - 1 points or features")
    ends, places = np.asarray(start), np.asarray(order)
    expect(n_cells > 0 and ends[0] == 0 and ends[n_cells] == n
           and bool((np.diff(ends) >= 0).all()), "start must ascend from 0 to n")
    expect(order.shape[0] == tails.shape[0] == n, "order and tails must have n entries")
    expect(centroids.shape[1] == padded(n_cells)
           and residents.shape[0] == m * padded(np.diff(ends)).sum(), "rows are not padded")
    expect(places.min() >= 0 and places.max() < n, "a point of the lists is out of range")
    cdef ft_points from_points = as_points(queries), to_points = as_points(points)
    cdef ft_lists lists = ft_lists(
        n_cells, m, budget, &start[0], &order[0], &centroids[0, 0], &residents[0], &tails[0])
    indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_queries_find(
            &lists, &query_screen[0, 0], from_points, n_queries, to_points, d, n_neighbors,
            n_candidates, &indices_view[0, 0], &distances_view[0, 0], &run)
    check(status)
    return indices, squared_distances


def project_rows(
    const float[:, ::1] rows not None, const float[:, ::1] matrix not None,
    const float[::1] shift not None, int n_threads
):
    """rows @ matrix - shift, where a row's bits depend on nothing else in the call."""
    cdef int64_t n = rows.shape[0], d = rows.shape[1], m = matrix.shape[1]
    expect(matrix.shape[0] == d > 0 and shift.shape[0] == m > 0 and n > 0, "shapes differ")
    products = np.empty((n, m), dtype=np.float32)
    cdef float[:, ::1] products_view = products
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_queries_project(
            &rows[0, 0], n, d, &matrix[0, 0], m, &shift[0], &products_view[0, 0], &run)
    check(status)
    return products


# ---- Ranks -----------------------------------------------------------------------------------

cdef int expect_within(const int32_t[:, ::1] indices, int64_t n, str what) except -1:
    expect(indices.shape[0] > 0 and indices.shape[1] > 0, "empty input")
    values = np.asarray(indices)
    return expect(0 <= values.min() and values.max() < n, what + " is out of range")


cdef int expect_anchors(const int32_t[::1] anchors, int64_t n) except -1:
    expect(n < 2**31, "more than 2**31 - 1 points")
    return expect_within(np.asarray(anchors)[np.newaxis], n, "an anchor's index")


cdef int expect_rows(
    const double[:, ::1] distances, const int32_t[::1] anchors
) except -1:
    expect(distances.shape[0] == anchors.shape[0], "a row of distances for every anchor")
    return expect_anchors(anchors, distances.shape[1])


def distances_to_all(exact not None, const int32_t[::1] anchors not None, int n_threads):
    """Squared Euclidean distances from the anchors, rows of `exact`, to all rows."""
    cdef int64_t n = exact.shape[0], d = exact.shape[1], m = anchors.shape[0]
    expect(d > 0, "no features")
    expect_anchors(anchors, n)
    cdef ft_points points = as_points(exact)
    squared_distances = np.empty((m, n), dtype=np.float64)
    cdef double[:, ::1] view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_distances(points, n, d, &anchors[0], m, &view[0, 0], &run)
    check(status)
    return squared_distances


def distances_to_some(
    exact not None, const int32_t[::1] anchors not None, const int32_t[:, ::1] queries not None,
    int n_threads
):
    """Squared Euclidean distances from every anchor to its queries: those of distances_to_all."""
    cdef int64_t n = exact.shape[0], d = exact.shape[1], m = anchors.shape[0]
    cdef int64_t k = queries.shape[1]
    expect(d > 0, "no features")
    expect(queries.shape[0] == m, "a row of queries for every anchor")
    expect_anchors(anchors, n)
    expect_within(queries, n, "a query's index")
    cdef ft_points points = as_points(exact)
    squared_distances = np.empty((m, k), dtype=np.float64)
    cdef double[:, ::1] view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_distances_to(
            points, d, &anchors[0], m, &queries[0, 0], k, &view[0, 0], &run)
    check(status)
    return squared_distances


def nearest_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None,
    int64_t n_neighbors, int n_threads
):
    """The nearest of every row, the anchor left out, ties to the smaller index."""
    cdef int64_t m = distances.shape[0], n = distances.shape[1]
    expect_rows(distances, anchors)
    expect(0 < n_neighbors < n, "n_neighbors must be in 1 .. n - 1")
    indices = np.empty((m, n_neighbors), dtype=np.int32)
    cdef int32_t[:, ::1] view = indices
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_nearest(
            &distances[0, 0], n, &anchors[0], m, n_neighbors, &view[0, 0], &run)
    check(status)
    return indices


def ranks_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None,
    const int32_t[:, ::1] queries not None, int n_threads
):
    """Ranks, from 1, of the points `queries` of every row."""
    cdef int64_t m = distances.shape[0], n = distances.shape[1], k = queries.shape[1]
    expect_rows(distances, anchors)
    expect(queries.shape[0] == m, "a row of queries for every anchor")
    expect_within(queries, n, "a query's index")
    ranks = np.empty((m, k), dtype=np.int32)
    cdef int32_t[:, ::1] view = ranks
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_count(
            &distances[0, 0], n, &anchors[0], m, &queries[0, 0], k, &view[0, 0], &run)
    check(status)
    return ranks


def all_ranks_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None, int n_threads
):
    """Ranks of all points of every row, 0 for the anchor."""
    cdef int64_t m = distances.shape[0], n = distances.shape[1]
    expect_rows(distances, anchors)
    expect(n > 1, "needs two points")
    ranks = np.empty((m, n), dtype=np.int32)
    cdef int32_t[:, ::1] view = ranks
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_sort(&distances[0, 0], n, &anchors[0], m, &view[0, 0], &run)
    check(status)
    return ranks


def count_larger_ranks(
    const int32_t[:, ::1] first not None, const int32_t[:, ::1] second not None,
    int64_t[::1] counts not None, int n_threads
):
    """Adds to counts[r] how many points have r as the larger of their two ranks."""
    cdef int64_t m = first.shape[0], n = first.shape[1]
    expect(second.shape[0] == m and second.shape[1] == n, "rankings differ in shape")
    expect(counts.shape[0] == n, "counts must be as long as a row")
    expect_within(first, n, "a rank")
    expect_within(second, n, "a rank")
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_ranks_compare(&first[0, 0], &second[0, 0], n, m, &counts[0], &run)
    check(status)


# ---- Affinities ------------------------------------------------------------------------------

def calibrate(
    const floating[:, ::1] squared_distances not None, double perplexity, bint skip_diagonal,
    int n_threads, const float[:, ::1] masses=None
):
    """Conditional probabilities p_j|i and the precision beta of every row.

    `masses` tells how often each neighbour counts.
    """
    cdef int64_t n = squared_distances.shape[0], k = squared_distances.shape[1]
    expect(n > 0 and k > 0 and perplexity > 0, "empty input or perplexity <= 0")
    expect(not skip_diagonal or (n == k and n > 1), "skip_diagonal needs a square array")
    cdef const float *masses_pointer = NULL
    if masses is not None:
        expect(masses.shape[0] == n and masses.shape[1] == k, "masses must have the same shape")
        expect(not skip_diagonal, "skip_diagonal is not for masses")
        masses_pointer = &masses[0, 0]
    conditional = np.empty((n, k), dtype=np.float32)
    beta = np.empty(n, dtype=np.float64)
    cdef float[:, ::1] conditional_view = conditional
    cdef double[::1] beta_view = beta
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_calibration_find(
            &squared_distances[0, 0], floating is double, n, k, perplexity, skip_diagonal,
            masses_pointer, &conditional_view[0, 0], &beta_view[0], &run)
    check(status)
    return conditional, beta


def symmetrize(
    const int32_t[:, ::1] indices not None, const float[:, ::1] conditional not None,
    int n_threads, int64_t capacity=2**25
):
    """P = (P_cond + P_cond') / 2n as CSR arrays (indptr, indices, data), columns ascending.

    More edges than `capacity`, each of 8 bytes, are transposed in several rounds.
    """
    cdef int64_t n = indices.shape[0], k = indices.shape[1]
    expect(conditional.shape[0] == n and conditional.shape[1] == k,
           "indices and conditional differ in shape")
    expect(n > 0 and k > 0, "empty input")
    expect(n < 2**31, "more than 2**31 - 1 points")
    columns = np.asarray(indices)
    expect(columns.min() >= 0 and columns.max() < n, "a neighbour's index is out of range")

    # P has at most 2nk edges. Memory that is never touched costs nothing, and is given back.
    indptr = np.empty(n + 1, dtype=np.int64)
    joint_indices = np.empty(2 * n * k, dtype=np.int32)
    joint_data = np.empty(2 * n * k, dtype=np.float32)
    # From NumPy, whose larger arrays are in huge pages.
    scratch = np.empty(min(n * k, max(n, capacity)), dtype=np.int64)
    symmetrize_into(indices, conditional, indptr, joint_indices, joint_data, scratch, n_threads)
    del scratch
    joint_indices.resize(indptr[n], refcheck=False)
    joint_data.resize(indptr[n], refcheck=False)
    return indptr, joint_indices, joint_data


cdef symmetrize_into(
    const int32_t[:, ::1] indices, const float[:, ::1] conditional, int64_t[::1] indptr,
    int32_t[::1] joint_indices, float[::1] joint_data, int64_t[::1] scratch, int n_threads
):
    # By itself, so that no view of the arrays is left when they are resized.
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_symmetrization_sparse(
            &indices[0, 0], &conditional[0, 0], indices.shape[0], indices.shape[1], &indptr[0],
            &joint_indices[0], &joint_data[0], &scratch[0], scratch.shape[0], &run)
    check(status)


def symmetrize_dense(float[:, ::1] conditional not None, int n_threads):
    """P = (P_cond + P_cond') / 2n, in place; returns the same array."""
    cdef int64_t n = conditional.shape[0]
    expect(n > 0 and conditional.shape[1] == n, "conditional must be square")
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_symmetrization_dense(&conditional[0, 0], n, &run)
    check(status)
    return np.asarray(conditional)


# ---- Forces ----------------------------------------------------------------------------------

cdef class Forces:
    """What acts on a map of n points in d dimensions, at the last evaluated embedding."""

    cdef int64_t n
    cdef int dim
    cdef ft_student student
    cdef ft_run run
    cdef int64_t n_edges
    cdef readonly double negative_entropy  # sum of p log p
    cdef readonly int64_t n_steps  # that `descend` has taken
    cdef readonly double grad_norm  # of gains * gradient, in the last step of the last `descend`
    cdef double _sum_q, _cross_entropy
    cdef float[:, ::1] _attractive, _repulsive
    cdef double[::1] partial
    cdef float[::1] _masses  # None where every row is one point

    cdef _allocate(self, int64_t n, int dim, double degrees_of_freedom, int n_threads,
                   int64_t n_partial):
        expect(n > 1 and dim > 0, "needs two points and one component")
        expect(1e-3 <= degrees_of_freedom <= 1e3, "degrees_of_freedom must be in 0.001 .. 1000")
        expect(n < 2**31, "more than 2**31 - 1 points")
        self.n = n
        self.dim = dim
        self.student.degrees_of_freedom = degrees_of_freedom
        self.run = make_run(n_threads)
        self._attractive = np.zeros((n, dim), dtype=np.float32)
        self._repulsive = np.zeros((n, dim), dtype=np.float32)
        self.partial = np.zeros(n_partial, dtype=np.float64)
        self._sum_q = self._cross_entropy = self.grad_norm = float("nan")
        self.n_steps = 0
        self._masses = None

    cdef const float *masses_pointer(self) noexcept nogil:
        return &self._masses[0] if self._masses is not None else NULL

    cdef weigh(self, masses, double negative_entropy):
        # Rows stand for that many points each; P is then per one point of the row.
        expect(len(masses) == self.n, "masses must be one a point")
        self._masses = masses
        self.negative_entropy = negative_entropy

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        return FT_OK

    cdef ft_status move(self, ft_update *update) noexcept nogil:
        # A step from update.embedding, where the forces are known, to update.moved. It is not
        # interrupted half-way, lest some rows be a step ahead of others.
        cdef poll_function poll = self.run.poll
        update.step.sum_q = self._sum_q
        self.run.poll = NULL
        cdef ft_status status = ft_update_step(update, &self.run)
        self.run.poll = poll
        return status

    cdef ft_status act_and_move(self, ft_update *update) noexcept nogil:
        # Forces at update.embedding and a step from there to update.moved: all of it, or, where
        # the status is not FT_OK, nothing.
        cdef ft_status status = self.act(update.embedding, False)
        return self.move(update) if status == FT_OK else status

    cdef double log_sum_q(self) noexcept nogil:
        # Where w underflows, both sums count it as the smallest one there is.
        return log(self._sum_q + self.n_edges * exp(-FT_LARGEST_LOG))

    cdef double kl(self, double exaggeration) noexcept nogil:
        # KL(eP || Q) = e (sum p log p - sum p log w + log e + log Z), as the sum of P is 1.
        return exaggeration * (
            self.negative_entropy + self._cross_entropy + log(exaggeration) + self.log_sum_q()
        ) + 0.0  # never -0.0

    cdef check_map(self, float[:, ::1] array):
        expect(array.shape[0] == self.n and array.shape[1] == self.dim,
               f"arrays of the map must have shape ({self.n}, {self.dim})")

    def evaluate(self, float[:, ::1] embedding not None, bint compute_kl):
        """Forces at `embedding`; with `compute_kl` also what `kl_divergence` needs."""
        self.check_map(embedding)
        cdef ft_status status
        with nogil:
            status = self.act(&embedding[0, 0], compute_kl)
        check(status)

    def kl_divergence_exaggerated(self, double exaggeration):
        """KL(exaggeration * P || Q), scikit-learn's error during early exaggeration."""
        return self.kl(exaggeration)

    @property
    def kl_divergence(self):
        """KL(P || Q) at the last evaluation that was asked for it."""
        return self.kl(1.0)

    def objective(self, double exaggeration):
        """What a descent with this exaggeration goes down: attraction counts that many times.

        KL(P || Q) where the exaggeration is 1.
        """
        return exaggeration * (self.negative_entropy + self._cross_entropy) + self.log_sum_q() + 0.0

    @property
    def degrees_of_freedom(self):
        """nu of the map's kernel; after a change, forces have to be evaluated anew."""
        return self.student.degrees_of_freedom

    @degrees_of_freedom.setter
    def degrees_of_freedom(self, double degrees_of_freedom):
        expect(1e-3 <= degrees_of_freedom <= 1e3, "degrees_of_freedom must be in 0.001 .. 1000")
        self.student.degrees_of_freedom = degrees_of_freedom

    @property
    def masses(self):
        """How many points each row stands for, in the order of the arrays; None for one each."""
        return None if self._masses is None else np.asarray(self._masses)

    @property
    def order(self):
        """Row of the arrays here -> row as the caller numbered it."""
        return np.arange(self.n, dtype=np.int32)

    def reorder(self, *arrays):
        """Puts points that are close on the map close in memory, where that is of use."""

    def restore_order(self, int32_t[::1] order not None):
        """Puts P into an order that `order` once was, where it was put into one."""
        expect(np.array_equal(order, self.order), "points stand as the caller numbered them")

    @property
    def attractive(self):
        """Sum over j of p_ij u_ij (y_i - y_j), shape (n, d)."""
        return np.asarray(self._attractive)

    @property
    def repulsive(self):
        """Sum over j of w_ij u_ij (y_i - y_j), not yet divided by sum_q, shape (n, d)."""
        return np.asarray(self._repulsive)

    @property
    def sum_q(self):
        """Z, the sum of w_ij over all ordered pairs."""
        return self._sum_q


cdef class BarnesHutForces(Forces):
    """Attraction along the edges of a sparse P, repulsion through a tree."""

    cdef ft_tree *tree
    cdef double angle
    cdef int64_t[::1] indptr
    cdef int32_t[::1] indices
    cdef float[::1] data
    cdef int32_t[::1] _order
    cdef bint evaluated

    def __cinit__(self):
        self.tree = NULL

    def __init__(self, int64_t[::1] indptr not None, int32_t[::1] indices not None,
                 float[::1] data not None, int n_components, double degrees_of_freedom,
                 double angle, int n_threads, masses=None, double negative_entropy=0.0):
        cdef int64_t n = indptr.shape[0] - 1
        expect(1 <= n_components <= 3, "Barnes-Hut maps have 1, 2 or 3 components")
        self._allocate(n, n_components, degrees_of_freedom, n_threads, n // FT_ROWS + 1)
        checked = np.asarray(indptr)
        expect(indptr[0] == 0 and indptr[n] == indices.shape[0] == data.shape[0]
               and bool((np.diff(checked) >= 0).all()), "not a CSR graph")
        columns = np.asarray(indices)
        expect(indices.shape[0] > 0 and columns.min() >= 0 and columns.max() < n,
               "a column of the graph is out of range")
        self.indptr, self.indices, self.data = indptr, indices, data
        self._order = np.arange(n, dtype=np.int32)
        self.angle = angle
        self.evaluated = False
        self.tree = ft_tree_create(n, n_components)
        if self.tree == NULL:
            raise MemoryError("no memory for the tree")
        self.n_edges = data.shape[0]
        cdef ft_status status
        with nogil:
            status = ft_joint_negative_entropy(
                &self.data[0], self.n_edges, &self.negative_entropy, &self.run)
        check(status)
        if masses is not None:
            self.weigh(masses.copy(), negative_entropy)
            check(ft_tree_weigh(self.tree, &self._masses[0]))

    def __dealloc__(self):
        ft_tree_destroy(self.tree)

    cdef ft_status act_for(self, const float *embedding, bint compute_kl,
                           ft_update *update) noexcept nogil:
        # Forces at `embedding`, and the step from there unless update is NULL.
        cdef ft_status status = ft_tree_build(self.tree, embedding, &self.run)
        self.evaluated = status == FT_OK
        if status == FT_OK:
            status = ft_repulsion_compute(
                self.tree, self.student, self.angle, 0, ft_repulsion_groups(self.tree),
                &self._repulsive[0, 0], &self._sum_q, &self.run)
        if status != FT_OK:
            return status
        cdef poll_function poll = self.run.poll
        if update != NULL:  # rows move one after the other: all or none
            update.step.sum_q = self._sum_q
            self.run.poll = NULL
        status = ft_attraction_compute(
            &self.indptr[0], &self.indices[0], &self.data[0], embedding, self.dim,
            self.masses_pointer(), self.student, 0, self.n, &self._attractive[0, 0],
            &self._cross_entropy if compute_kl else NULL, &self.partial[0], update, &self.run)
        self.run.poll = poll
        return status

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        return self.act_for(embedding, compute_kl, NULL)

    cdef ft_status act_and_move(self, ft_update *update) noexcept nogil:
        return self.act_for(update.embedding, False, update)

    @property
    def order(self):
        """Row of the arrays here -> row as the caller numbered it."""
        return np.asarray(self._order)

    @property
    def joint(self):
        """P as CSR arrays (indptr, indices, data), in the order of the arrays here."""
        return np.asarray(self.indptr), np.asarray(self.indices), np.asarray(self.data)

    def reorder(self, *arrays):
        """Puts P, the forces and the given (n, d) arrays into the order of the tree.

        Points that lie close on the map then lie close in memory. Arrays are changed in place,
        all of them or, if there is an exception, none.
        """
        expect(self.evaluated, "reorder() needs an evaluation since the last one")
        for array in arrays:
            self.check_map(array)
        cdef const int32_t *tree_order = ft_tree_order(self.tree)
        order = np.empty(self.n, dtype=np.int32)
        cdef int32_t[::1] order_view = order
        memcpy(&order_view[0], tree_order, sizeof(int32_t) * self.n)
        moved = [array[order] for array in (self.attractive, self.repulsive, *arrays)]
        self.permute(order)
        for array, values in zip((self.attractive, self.repulsive, *arrays), moved):
            array[:] = values

    def restore_order(self, int32_t[::1] order not None):
        """Puts P into an order that `order` once was; the forces have to be evaluated anew."""
        wanted = np.asarray(order)
        expect(np.array_equal(np.sort(wanted), np.arange(self.n)), "order is not a permutation")
        here = np.empty(self.n, dtype=np.int32)
        here[self._order] = np.arange(self.n, dtype=np.int32)
        self.permute(here[wanted])

    cdef permute(self, int32_t[::1] order):
        # Row r of P becomes the old row order[r], and the columns follow; within a row, edges
        # keep their sequence.
        cdef int64_t n = self.n
        inverse = np.empty(n, dtype=np.int32)
        inverse[np.asarray(order)] = np.arange(n, dtype=np.int32)
        cdef int32_t[::1] inverse_view = inverse
        new_order = np.asarray(self._order)[np.asarray(order)]
        if self._masses is not None:
            new_masses = np.asarray(self._masses)[np.asarray(order)]
        # All memory is asked for before anything changes. It is filled one array after the
        # other, and what is not yet filled is no burden: never more than half of P is there twice.
        cdef int64_t[::1] indptr = np.empty(n + 1, dtype=np.int64)
        cdef int32_t[::1] indices = np.empty(self.indices.shape[0], dtype=np.int32)
        cdef float[::1] data = np.empty(self.data.shape[0], dtype=np.float32)
        cdef ft_status status
        with nogil:
            status = ft_joint_permute(
                &self.indptr[0], &self.indices[0], NULL, n, &order[0], &inverse_view[0],
                &indptr[0], &indices[0], NULL, &self.run)
        check(status)
        # From here on without a look at signals: P is never left in two orders.
        self.evaluated = False
        self.indices = indices  # the old ones are free now
        cdef poll_function poll = self.run.poll
        self.run.poll = NULL
        with nogil:
            ft_joint_permute(
                &self.indptr[0], NULL, &self.data[0], n, &order[0], &inverse_view[0],
                &indptr[0], NULL, &data[0], &self.run)
        self.run.poll = poll
        self.indptr, self.data = indptr, data
        self._order = new_order
        if self._masses is not None:  # in place: the tree looks at them
            np.asarray(self._masses)[:] = new_masses


cdef class ExactForces(Forces):
    """Both forces by sums over all pairs, for any number of components."""

    cdef const float[:, ::1] _joint
    cdef float[:, ::1] coordinates

    def __init__(self, const float[:, ::1] joint not None, int n_components,
                 double degrees_of_freedom, int n_threads, masses=None,
                 double negative_entropy=0.0):
        cdef int64_t n = joint.shape[0]
        expect(joint.shape[1] == n, "joint must be square")
        self._allocate(n, n_components, degrees_of_freedom, n_threads, 2 * n)
        self._joint = joint
        self.coordinates = np.empty((n_components, n), dtype=np.float32)
        self.n_edges = n * (n - 1)
        cdef ft_status status
        with nogil:
            status = ft_joint_negative_entropy(
                &self._joint[0, 0], n * n, &self.negative_entropy, &self.run)
        check(status)
        if masses is not None:
            self.weigh(masses.copy(), negative_entropy)

    @property
    def joint(self):
        """P, shape (n, n)."""
        return np.asarray(self._joint)

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        return ft_exact_compute(
            &self._joint[0, 0], self.masses_pointer(), embedding, self.n, self.dim,
            self.student, 0, self.n,
            &self._attractive[0, 0], &self._repulsive[0, 0], &self._sum_q,
            &self._cross_entropy if compute_kl else NULL, &self.coordinates[0, 0],
            &self.partial[0], &self.run)


cdef struct Descent:
    # The arguments of `descend`, for the C side of it.
    void *forces
    ft_update update
    float *embedding
    float *other
    int n_iter
    int n_taken
    bint compute_kl
    double squared_norm


cdef ft_status descend_steps(void *context) noexcept nogil:
    cdef Descent *d = <Descent *> context
    cdef ft_update *update = &d.update
    cdef ft_status status = (<Forces> d.forces).move(update)
    cdef const float *reached = d.embedding
    d.n_taken = status == FT_OK
    while status == FT_OK and d.n_taken < d.n_iter:
        # Rows move while others still look at where they were, so there are two embeddings.
        update.embedding = update.moved
        reached = update.moved
        update.moved = d.other if update.embedding == d.embedding else d.embedding
        status = (<Forces> d.forces).act_and_move(update)
        d.n_taken += status == FT_OK
    if status == FT_OK:
        reached = update.moved
        d.squared_norm = ft_update_squared_norm(update)
    if reached != d.embedding:
        memcpy(d.embedding, reached, sizeof(float) * update.last * update.dim)
    return (<Forces> d.forces).act(d.embedding, d.compute_kl) if status == FT_OK else status


def descend(Forces forces not None, float[:, ::1] embedding not None,
            float[:, ::1] velocity not None, float[:, ::1] gains not None, int n_iter,
            double learning_rate, double momentum, double exaggeration, bint compute_kl=True,
            const uint8_t[::1] fixed=None):
    """Takes n_iter steps; forces must be those at `embedding`, and are so again at the end.

    With `compute_kl` the last evaluation also computes the KL divergence. Rows with a non-zero
    `fixed` do not move. Returns the norm of gains * gradient of the last step.

    An exception finds the arrays between two steps; `forces.n_steps` tells how many were taken.
    """
    forces.check_map(embedding)
    forces.check_map(velocity)
    forces.check_map(gains)
    expect(n_iter > 0, "n_iter must be at least 1")
    expect(fixed is None or fixed.shape[0] == forces.n, "fixed must have a value for every row")
    cdef float[:, ::1] other = np.empty_like(embedding)
    cdef Descent descent
    descent.forces = <void *> forces
    descent.embedding = &embedding[0, 0]
    descent.other = &other[0, 0]
    descent.n_iter = n_iter
    descent.n_taken = 0
    descent.compute_kl = compute_kl
    descent.squared_norm = float("nan")
    cdef ft_update *update = &descent.update
    update.step = ft_step(
        learning_rate, momentum, exaggeration, forces.student.degrees_of_freedom, 0.0)
    update.first, update.last, update.dim = 0, forces.n, forces.dim
    update.attractive, update.repulsive = &forces._attractive[0, 0], &forces._repulsive[0, 0]
    update.embedding = update.moved = descent.embedding
    update.fixed = NULL
    if fixed is not None:
        update.fixed = &fixed[0]
    update.velocity, update.gains = &velocity[0, 0], &gains[0, 0]
    update.partial = &forces.partial[0]
    cdef ft_status status
    with nogil:
        status = ft_parallel_team(&forces.run, descend_steps, &descent)
    forces.n_steps += descent.n_taken
    forces.grad_norm = sqrt(descent.squared_norm)
    check(status)
    return forces.grad_norm


# ---- New points ------------------------------------------------------------------------------

cdef class FrozenMap:
    """A map that stays as it is, with its tree, for new points to be placed on.

    Several threads may place points at once. Pickles as what it was made of.
    """

    cdef ft_tree *tree
    cdef ft_frozen map
    cdef const float[:, ::1] embedding
    cdef object arguments

    def __cinit__(self):
        self.tree = NULL

    def __init__(self, const float[:, ::1] embedding not None, double degrees_of_freedom,
                 double angle, int n_threads=1):
        cdef int64_t n = embedding.shape[0]
        cdef int dim = embedding.shape[1]
        expect(n > 0 and dim > 0 and self.tree == NULL, "needs a point and a component")
        expect(1e-3 <= degrees_of_freedom <= 1e3, "degrees_of_freedom must be in 0.001 .. 1000")
        expect(n < 2**31, "more than 2**31 - 1 points")
        self.embedding = embedding
        self.arguments = (np.asarray(embedding), degrees_of_freedom, angle)
        self.map.embedding = &embedding[0, 0]
        self.map.n, self.map.dim, self.map.angle = n, dim, angle
        self.map.student.degrees_of_freedom = degrees_of_freedom
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        if dim <= 3:
            self.tree = ft_tree_create(n, dim)
            if self.tree == NULL:
                raise MemoryError("no memory for the tree")
            with nogil:
                status = ft_tree_build(self.tree, self.map.embedding, &run)
            check(status)
        self.map.tree = self.tree

    def __dealloc__(self):
        ft_tree_destroy(self.tree)

    def __reduce__(self):
        return FrozenMap, self.arguments

    cdef check_neighbors(self, const int32_t[:, ::1] indices, const float[:, ::1] conditional):
        expect(indices.shape[0] == conditional.shape[0] > 0
               and indices.shape[1] == conditional.shape[1] > 0,
               "indices and conditional differ in shape, or are empty")
        columns = np.asarray(indices)
        expect(columns.min() >= 0 and columns.max() < self.map.n,
               "a neighbour's index is out of range")

    def place(self, const int32_t[:, ::1] indices not None,
              const float[:, ::1] conditional not None, double exaggeration, int max_iter,
              double shortest_step, int n_threads):
        """Places of new points with these neighbours and p_j|i, each for itself."""
        self.check_neighbors(indices, conditional)
        placed = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        cdef float[:, ::1] placed_view = placed
        cdef ft_placement_rules rules = ft_placement_rules(exaggeration, max_iter, shortest_step)
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        with nogil:
            status = ft_placement_find(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], rules, &placed_view[0, 0], &run)
        check(status)
        return placed

    def evaluate(self, const int32_t[:, ::1] indices not None,
                 const float[:, ::1] conditional not None, const float[:, ::1] at not None,
                 double exaggeration=1.0, int n_threads=1):
        """Gradient and KL divergence of new points with these neighbours, at given places."""
        self.check_neighbors(indices, conditional)
        expect(at.shape[0] == indices.shape[0] and at.shape[1] == self.map.dim,
               "places of new points must have a row each and the map's components")
        gradient = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        divergence = np.empty(indices.shape[0], dtype=np.float64)
        cdef float[:, ::1] gradient_view = gradient
        cdef double[::1] divergence_view = divergence
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        with nogil:
            status = ft_placement_evaluate(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], exaggeration, &at[0, 0], &gradient_view[0, 0],
                &divergence_view[0], &run)
        check(status)
        return gradient, divergence


# ---- Contrastive embedding -------------------------------------------------------------------

def draw_numbers(uint64_t seed, uint64_t iteration, int64_t bound, int64_t count):
    """Random numbers in 0 .. bound - 1: a function of the arguments and of nothing else."""
    expect(bound > 0 and count > 0, "bound and count must be at least 1")
    draws = np.empty(count, dtype=np.int64)
    cdef int64_t[::1] view = draws
    ft_contrastive_draw(seed, iteration, bound, count, &view[0])
    return draws


cdef class ContrastiveForces(BarnesHutForces):
    """The gradient of a contrastive loss, estimated from negatives drawn anew at each evaluation.

    Attraction and repulsion are in the unit of t-SNE's: the gradient is 4 (attractive -
    repulsive).
    """

    cdef ft_contrastive samples
    cdef int64_t[::1] shifts, heads
    cdef float[::1] sums, weights
    cdef bint infonce
    cdef int64_t n_negatives, n_repeats
    cdef uint64_t seed, iteration
    cdef double odds, sum_mean_q, sum_mean_h
    cdef int64_t n_means

    def __init__(self, int64_t[::1] indptr not None, int32_t[::1] indices not None,
                 float[::1] data not None, int n_components, int64_t n_negatives,
                 int64_t n_repeats, uint64_t seed, bint infonce, int n_threads):
        BarnesHutForces.__init__(
            self, indptr, indices, data, n_components, 1.0, 0.5, n_threads)
        expect(n_negatives > 0 and n_repeats > 0, "there must be negatives")
        self.n_negatives, self.n_repeats = n_negatives, 1 if infonce else n_repeats
        self.infonce, self.seed, self.iteration = infonce, seed, 0
        self.partial = np.zeros(2 * (self.n // FT_ROWS + 1), dtype=np.float64)
        self.shifts = np.zeros(self.n_negatives * self.n_repeats, dtype=np.int64)
        self.heads = np.zeros(self.shifts.shape[0], dtype=np.int64)
        self.sums = np.zeros(self.n if infonce else 1, dtype=np.float32)
        self.weights = np.zeros(self.sums.shape[0], dtype=np.float32)
        self.odds = 1.0
        self.forget_means()

    cdef forget_means(self):
        self.sum_mean_q = self.sum_mean_h = 0.0
        self.n_means = 0

    cdef void see(self, const float *embedding) noexcept nogil:
        # What the kernels are to look at.
        cdef ft_contrastive *c = &self.samples
        c.indptr, c.indices, c.data = &self.indptr[0], &self.indices[0], &self.data[0]
        c.embedding, c.n, c.dim, c.first, c.last = embedding, self.n, self.dim, 0, self.n
        c.shifts, c.heads, c.n_shifts = &self.shifts[0], &self.heads[0], self.shifts.shape[0]
        c.odds, c.partial = self.odds, &self.partial[0]
        c.attractive, c.repulsive = &self._attractive[0, 0], &self._repulsive[0, 0]
        c.sums, c.weights = &self.sums[0], &self.weights[0]

    cdef void draw(self) noexcept nogil:
        cdef int64_t count = self.shifts.shape[0], k
        ft_contrastive_draw(self.seed, 2 * self.iteration, self.n - 1, count, &self.shifts[0])
        for k in range(count):
            self.shifts[k] += 1
        if self.infonce:
            ft_contrastive_draw(
                self.seed, 2 * self.iteration + 1, self.n, count, &self.heads[0])
        self.iteration += 1

    cdef ft_status act_for(self, const float *embedding, bint compute_kl,
                           ft_update *update) noexcept nogil:
        cdef ft_status status
        cdef double mean_q, mean_h
        self.draw()
        self.see(embedding)
        if self.infonce:
            status = ft_contrastive_infonce(&self.samples, &self.run)
        else:
            status = ft_contrastive_repulsion(&self.samples, &mean_q, &mean_h, &self.run)
            self.sum_mean_q += mean_q
            self.sum_mean_h += mean_h
            self.n_means += 1
            # p q (1 - h) = p / (1 + 1/c + d^2): that of t-SNE with nu = 1 + 1/c, but for a factor.
            if status == FT_OK:
                status = self.attract(embedding, update)
                update = NULL
        if status == FT_OK and update != NULL:
            status = self.move(update)
        return status

    cdef ft_status attract(self, const float *embedding, ft_update *update) noexcept nogil:
        cdef ft_student student
        cdef ft_update own
        student.degrees_of_freedom = 1.0 + 1.0 / self.samples.odds
        if update != NULL:
            own = self.scaled(update)
        return ft_attraction_compute(
            &self.indptr[0], &self.indices[0], &self.data[0], embedding, self.dim, NULL, student,
            0, self.n, &self._attractive[0, 0], NULL, &self.partial[0],
            &own if update != NULL else NULL, &self.run)

    cdef ft_update scaled(self, ft_update *update) noexcept nogil:
        # A step by the sums as the kernels leave them.
        cdef ft_update own = update[0]
        own.step.degrees_of_freedom = 1.0
        if self.infonce:
            own.step.sum_q = 1.0
        else:
            own.step.exaggeration /= 1.0 + 1.0 / self.samples.odds
            own.step.sum_q = 2.0 * self.n * self.n_repeats
        return own

    cdef ft_status move(self, ft_update *update) noexcept nogil:
        cdef ft_update own = self.scaled(update)
        return ft_update_step(&own, &self.run)

    def reorder(self, *arrays):
        """As in the base class; the first array is the embedding."""
        cdef float[:, ::1] embedding = arrays[0]
        self.check_map(embedding)
        cdef ft_status status
        with nogil:
            status = ft_tree_build(self.tree, &embedding[0, 0], &self.run)
        check(status)
        self.evaluated = True
        BarnesHutForces.reorder(self, *arrays)

    def take_means(self):
        """Means of q and h over the negatives since the last call."""
        means = (self.sum_mean_q / self.n_means, self.sum_mean_h / self.n_means)
        self.forget_means()
        return means

    def missed(self, float[:, ::1] embedding not None):
        """The sum of p (1 - h) over the edges of P."""
        self.check_map(embedding)
        cdef double total
        cdef ft_status status
        self.see(&embedding[0, 0])
        with nogil:
            status = ft_contrastive_missed(&self.samples, &total, &self.run)
        check(status)
        return total

    def set_odds(self, double odds):
        """c = m xi Z; a pair is taken for data with the probability q / (q + c)."""
        expect(1e-30 <= odds <= 1e30, "odds must be in 1e-30 .. 1e30")
        self.odds = odds

    def evaluate_kl(self, float[:, ::1] embedding not None):
        """KL(P||Q) of t-SNE."""
        self.check_map(embedding)
        cdef ft_status status
        with nogil:
            status = BarnesHutForces.act_for(self, &embedding[0, 0], True, NULL)
        check(status)
        return self.kl(1.0)
