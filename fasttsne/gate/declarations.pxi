# What the kernels declare in fasttsne.h, which names and explains the arguments.

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

    ctypedef struct ft_sparse:
        const int64_t *indptr
        const int32_t *indices
        const double *data

    ctypedef struct ft_bits:
        const uint64_t *words
        const int32_t *counts
        int64_t n

    ctypedef struct ft_lists:
        pass

    ctypedef struct ft_ranks_rows:
        const double *distances
        int64_t n
        const int32_t *anchors
        int64_t n_anchors

    ctypedef struct ft_student:
        double degrees_of_freedom

    ctypedef struct ft_step:
        double learning_rate, momentum, exaggeration, degrees_of_freedom, sum_q

    ctypedef struct ft_update:
        ft_step step
        int64_t first, last
        int dim
        const float *attractive
        const float *repulsive
        const float *embedding
        const uint8_t *held
        float *homes
        float pull
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
        const float *others
        int64_t n_others
        double odds, noise

    ctypedef struct ft_transform_rules:
        double exaggeration
        int max_iter
        double shortest_step

    ctypedef void (*ft_sgemm)(
        char *, char *, int *, int *, int *, float *, float *, int *, float *, int *, float *,
        float *, int *) noexcept

    const int FT_ROWS
    const int FT_MOST_COMPONENTS
    const float FT_LARGEST_COORDINATE
    const double FT_LARGEST_LOG

    void ft_parallel_init()
    ft_status ft_parallel_team(
        ft_run *run, ft_status (*body)(void *context) noexcept, void *context)
    ft_isa ft_parallel_best_isa()
    ft_isa ft_parallel_isa()
    void ft_parallel_select_isa(ft_isa)

    ft_status ft_neighbors_find(
        const float *, ft_points, int64_t, const float *, ft_points, int64_t, int64_t, int64_t, int,
        int32_t *, double *, ft_sgemm, ft_run *)
    ft_status ft_sparse_find(
        ft_sparse, const double *, int64_t, ft_sparse, ft_sparse, const double *, int64_t, int64_t,
        int64_t, int64_t, int, int32_t *, double *, ft_run *)
    ft_status ft_bits_find(
        ft_bits, ft_bits, int64_t, int64_t, int64_t, int, int32_t *, double *, ft_run *)
    ft_status ft_approximate_find(
        const float *, const float *, int64_t, ft_points, int64_t, int64_t, int64_t, int64_t,
        int64_t, double, int32_t *, double *, int *, ft_sgemm, ft_run *)
    ft_status ft_approximate_prepare(
        const float *, const float *, int64_t, ft_points, int64_t, int64_t, int64_t, int64_t,
        int64_t *, double, int64_t *, int32_t *, float *, int64_t *, int *, ft_sgemm, ft_run *)
    ft_lists *ft_queries_create(
        const int64_t *, const int32_t *, const float *, int64_t, int64_t, const float *,
        const float *, int64_t, int64_t)
    void ft_queries_destroy(ft_lists *)
    void ft_queries_unpack(const ft_lists *, float *, float *)
    ft_status ft_queries_find(
        const ft_lists *, const float *, ft_points, int64_t, ft_points, int64_t, int64_t, int64_t,
        int32_t *, double *, ft_run *)
    ft_status ft_queries_project(
        const float *, int64_t, int64_t, const float *, int64_t, const float *, float *, ft_run *)
    ft_status ft_ranks_distances(
        ft_points, int64_t, int64_t, const int32_t *, int64_t, double *, ft_run *)
    ft_status ft_ranks_distances_to(
        ft_points, int64_t, const int32_t *, int64_t, const int32_t *, int64_t, double *, ft_run *)
    ft_status ft_ranks_nearest(const ft_ranks_rows *, int64_t, int32_t *, ft_run *)
    ft_status ft_ranks_count(const ft_ranks_rows *, const int32_t *, int64_t, int32_t *, ft_run *)
    ft_status ft_ranks_sort(const ft_ranks_rows *, int32_t *, ft_run *)
    ft_status ft_ranks_compare(
        const int32_t *, const int32_t *, int64_t, int64_t, int64_t *, ft_run *)
    ft_status ft_retrieval_measure(
        const float *, double, ft_points, int64_t, int64_t, const int64_t *, int64_t,
        const int64_t *, int64_t, double *, ft_sgemm, ft_run *)
    ft_status ft_calibration_find(
        ft_points, int64_t, int64_t, double, int, const float *, float *, double *, ft_run *)
    ft_status ft_symmetrization_sparse(
        const int32_t *, const float *, int64_t, int64_t, int64_t *, int32_t *, float *, void *,
        int64_t, ft_run *)
    ft_status ft_symmetrization_dense(float *, int64_t, ft_run *)
    ft_status ft_joint_permute(
        const int64_t *, const int32_t *, const float *, int64_t, const int32_t *, const int32_t *,
        int64_t *, int32_t *, float *, ft_run *)
    ft_status ft_joint_negative_entropy(const float *, int64_t, double *, ft_run *)

    ft_status ft_coarsening_find(
        const int64_t *, const int32_t *, const float *, int64_t, int32_t *, int64_t *, ft_run *)
    ft_status ft_coarsening_joint(
        const int64_t *, const int32_t *, const float *, int64_t, const int32_t *, int64_t,
        int64_t *, int32_t *, float *, ft_run *)
    ft_status ft_coarsening_prolong(
        const int64_t *, const int32_t *, const float *, int64_t, const int32_t *, const float *,
        int, float *, ft_run *)

    ft_tree *ft_tree_create(int64_t, int)
    void ft_tree_destroy(ft_tree *)
    ft_status ft_tree_build(ft_tree *, const float *, ft_run *)
    ft_status ft_tree_weigh(ft_tree *, const float *)
    const int32_t *ft_tree_order(const ft_tree *)
    int64_t ft_repulsion_groups(const ft_tree *)
    ft_status ft_repulsion_compute(
        const ft_tree *, ft_student, double, int64_t, int64_t, float *, double *, ft_run *)
    ft_status ft_attraction_compute(
        const int64_t *, const int32_t *, const float *, const float *, int, const float *,
        ft_student, int64_t, int64_t, float *, double *, double *, const ft_update *, ft_run *)
    ft_status ft_exact_compute(
        const float *, const float *, const float *, int64_t, int, ft_student, int64_t, int64_t,
        float *, float *, double *, double *, float *, double *, ft_run *)
    const int FT_DENSITY_SUMS

    ctypedef struct ft_density:
        const int64_t *indptr
        const int32_t *indices
        const float *masses
        const float *targets
        int64_t n
        int dim
        float *log_radii
        float *strengths
        double *partial

    ft_status ft_density_measure(const ft_density *, const float *, double *, ft_run *)
    ft_status ft_density_attract(
        const ft_density *, const float *, double, float *, double *, ft_run *)
    ft_status ft_transform_find(
        const ft_frozen *, const int32_t *, const float *, int64_t, int64_t, ft_transform_rules,
        const float *, float *, double *, ft_run *)
    ft_status ft_transform_again(
        const ft_frozen *, const int32_t *, const int32_t *, const float *, int64_t, int64_t,
        double, ft_transform_rules, float *, ft_run *)
    int FT_CURVATURE_SUMS(int)
    ft_status ft_curvature_sums(
        const int64_t *, const int32_t *, const float *, const float *, int64_t, int, ft_student,
        double *, float *, ft_run *)
    ft_status ft_update_step(const ft_update *, ft_run *)
    double ft_update_squared_norm(const ft_update *)
    int FT_SCALE_SUMS(int)

    ctypedef struct ft_scale:
        double slope, radius

    ft_scale ft_scale_find(const ft_update *, const float *, double *, ft_run *) noexcept
    void ft_scale_step(const ft_update *, const float *, double *, ft_run *) noexcept

    ctypedef struct ft_contrastive:
        const int64_t *indptr
        const int32_t *indices
        const float *data
        const float *embedding
        int64_t n
        int dim
        int64_t first, last
        const int64_t *shifts
        const int64_t *heads
        int64_t n_shifts
        double odds
        float *attractive
        float *repulsive
        float *columns
        float *sums
        float *weights
        double *partial

    int64_t FT_CONTRASTIVE_ROOM(int64_t)
    void ft_contrastive_draw(uint64_t, uint64_t, int64_t, int64_t, int64_t *)
    ft_status ft_contrastive_repulsion(const ft_contrastive *, double *, double *, ft_run *)
    ft_status ft_contrastive_missed(const ft_contrastive *, double *, ft_run *)
    ft_status ft_contrastive_infonce(const ft_contrastive *, ft_run *)
