# What the kernels declare in fasttsne.h.

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
        pass

    ctypedef struct ft_ranks_rows:
        const double *distances
        int64_t n
        const int32_t *anchors
        int64_t n_anchors

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

    ctypedef struct ft_transform_rules:
        double exaggeration
        int max_iter
        double shortest_step

    ctypedef void (*ft_sgemm)(
        char *, char *, int *, int *, int *, float *, float *, int *, float *, int *, float *,
        float *, int *) noexcept

    const int FT_ROWS
    const double FT_LARGEST_LOG

    void ft_parallel_init()
    ft_status ft_parallel_team(
        ft_run *run, ft_status (*body)(void *context) noexcept, void *context)
    int ft_parallel_forked()
    int ft_parallel_openmp()
    int ft_parallel_max_threads()
    ft_isa ft_parallel_best_isa()
    ft_isa ft_parallel_isa()
    void ft_parallel_select_isa(ft_isa isa)

    ft_status ft_neighbors_find(
        const float *query_screen, ft_points queries, int64_t n_queries, const float *screen,
        ft_points points, int64_t n, int64_t d, int64_t k, int among_themselves, int32_t *indices,
        double *squared_distances, ft_sgemm sgemm, ft_run *run)
    ft_status ft_approximate_find(
        const float *screen, const float *tails, int64_t m, ft_points points, int64_t n, int64_t d,
        int64_t k, int64_t n_candidates, int64_t n_lists, int32_t *indices,
        double *squared_distances, int *resolved, ft_sgemm sgemm, ft_run *run)
    ft_status ft_approximate_prepare(
        const float *screen, const float *tails, int64_t m, ft_points points, int64_t n, int64_t d,
        int64_t k, int64_t n_candidates, int64_t *n_lists, int64_t *start, int32_t *order,
        float *centroids, int64_t *budget, int *resolved, ft_sgemm sgemm, ft_run *run)
    ft_lists *ft_queries_create(
        const int64_t *start, const int32_t *order, const float *centroids, int64_t n_lists,
        int64_t budget, const float *coordinates, const float *tails, int64_t n, int64_t m)
    void ft_queries_destroy(ft_lists *lists)
    void ft_queries_unpack(const ft_lists *lists, float *coordinates, float *tails)
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
        const ft_ranks_rows *rows, int64_t k, int32_t *indices, ft_run *run)
    ft_status ft_ranks_count(
        const ft_ranks_rows *rows, const int32_t *queries, int64_t k, int32_t *ranks, ft_run *run)
    ft_status ft_ranks_sort(const ft_ranks_rows *rows, int32_t *ranks, ft_run *run)
    ft_status ft_ranks_compare(
        const int32_t *a, const int32_t *b, int64_t n, int64_t n_anchors, int64_t *counts,
        ft_run *run)
    ft_status ft_calibration_find(
        ft_points squared_distances, int64_t n, int64_t k, double perplexity, int skip_diagonal,
        const float *masses, float *conditional, double *beta, ft_run *run)
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
    ft_status ft_transform_find(
        const ft_frozen *map, const int32_t *indices, const float *conditional, int64_t n_new,
        int64_t k, ft_transform_rules rules, float *placed, ft_run *run)
    ft_status ft_transform_evaluate(
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
