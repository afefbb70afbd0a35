/* fasttsne.h - the whole C interface, one section a file.
 *
 * Kernels work on pointers, know no Python, never print and never exit; they return a status.
 * Every array argument is marked: IN is only read, OUT is only written, INOUT is both.
 * Arrays are row-major; n is the number of points, dim the number of components of the map.
 *
 * Types are fixed at the gate: coordinates float, global sums double, column indices int32_t,
 * row pointers int64_t.
 *
 * Results do not depend on the number of threads: a chunk of work is the same whoever does it,
 * one chunk owns a point, and a global sum is one double per chunk, added in order.
 */
#ifndef FASTTSNE_H
#define FASTTSNE_H

#include "port.h"

#define IN
#define OUT
#define INOUT

typedef enum {
    FT_OK = 0,
    FT_NO_MEMORY = 1,
    FT_INTERRUPTED = 2, /* the poll function asked to stop */
    FT_DIVERGED = 3,    /* a coordinate of the map is not finite or too large to square */
} ft_status;

/* ---- parallel.c: threads, interruption, choice of the instruction set --------------------- */

#define FT_MAX_THREADS 256

/* How to run a kernel. poll may be NULL; it is called a few times a second from the calling
 * thread only, and a non-zero answer stops the work. The rest is private to parallel.c. */
typedef struct ft_team ft_team;
typedef struct {
    int n_threads;
    int (*poll)(void);
    double next_poll;
    volatile int stopped;
    ft_team *team;
} ft_run;

void ft_parallel_init(void); /* once, when the library is loaded */
/* Runs body on the calling thread while further threads stand by for the jobs that it starts:
 * worth it around many short ones. */
ft_status ft_parallel_team(INOUT ft_run *run, ft_status (*body)(void *context), void *context);
/* chunk_cost: nanoseconds that a chunk takes, roughly; too little work is not worth a thread. */
ft_status ft_parallel_run(INOUT ft_run *run, int64_t n_chunks, double chunk_cost, ft_task task,
                          void *context);
int ft_parallel_stopped(INOUT ft_run *run, int thread); /* for tasks with long chunks */
int ft_parallel_threads(const ft_run *run);             /* how many will really run */
int ft_parallel_forked(void);
int ft_parallel_openmp(void);
int ft_parallel_max_threads(void);

typedef enum { FT_ISA_BASELINE = 0, FT_ISA_AVX2 = 1, FT_ISA_AVX512 = 2 } ft_isa;
ft_isa ft_isa_best(void);
ft_isa ft_isa_current(void);
void ft_isa_select(ft_isa isa);

/* ---- neighbors.c: exact k nearest neighbours ----------------------------------------------- */

/* BLAS sgemm, Fortran calling convention. It must run on the calling thread alone. */
typedef void (*ft_sgemm)(char *, char *, int *, int *, int *, float *, float *, int *, float *,
                         int *, float *, float *, int *);

/* What distances are computed from: n x d floats or doubles. */
typedef struct {
    const void *values;
    int is_double;
} ft_points;

/* The k nearest neighbours of every point by Euclidean distance, nearest first, ties to the
 * smaller index, the point itself excluded. screen is a single-precision image of points
 * (translated and scaled as one likes) that only has to find the candidates. */
ft_status ft_neighbors_find(IN const float *screen, IN ft_points points, int64_t n, int64_t d,
                            int64_t k, OUT int32_t *indices, OUT double *squared_distances,
                            ft_sgemm sgemm, INOUT ft_run *run);

/* The same of n_queries others, whose image query_screen is made like screen; of queries and
 * points both are doubles or neither. Without images all distances are computed exactly. */
ft_status ft_neighbors_among(IN const float *query_screen, ft_points queries, int64_t n_queries,
                             IN const float *screen, ft_points points, int64_t n, int64_t d,
                             int64_t k, OUT int32_t *indices, OUT double *squared_distances,
                             ft_sgemm sgemm, INOUT ft_run *run);

/* ---- approximate.c: approximate k nearest neighbours ------------------------------------------- */

/* As ft_neighbors_find, but a query is compared only with the cells near it, of about n_cells.
 * screen: n x m coordinates that preserve distances, or the leading ones of them; then tails has
 * the squared length of the rest of every point, and otherwise it is NULL. n_candidates, from k
 * to n - 1, go from there to the comparison by exact distances. Where single precision can't
 * tell neighbours apart, *resolved is 0 and nothing is found. */
ft_status ft_inverted_find(IN const float *screen, IN const float *tails, int64_t m,
                           ft_points points, int64_t n, int64_t d, int64_t k,
                           int64_t n_candidates, int64_t n_cells, OUT int32_t *indices,
                           OUT double *squared_distances, OUT int *resolved, ft_sgemm sgemm,
                           INOUT ft_run *run);

/* What it knows before the search, for queries that come later: the cells, and the budget, how
 * many points a query is to be compared with. *n_cells goes in as above and comes out as the
 * number found, at most twice as many; start has room for 2 n_cells + 1, centroids for 2 n_cells
 * rows of m. */
ft_status ft_inverted_prepare(IN const float *screen, IN const float *tails, int64_t m,
                              ft_points points, int64_t n, int64_t d, int64_t k,
                              int64_t n_candidates, INOUT int64_t *n_cells, OUT int64_t *start,
                              OUT int32_t *order, OUT float *centroids, OUT int64_t *budget,
                              OUT int *resolved, ft_sgemm sgemm, INOUT ft_run *run);

/* ---- queries.c: approximate neighbours of points that come later ------------------------------ */

/* The cells, with what lies in them laid out for it: rows of coordinates, each padded to a
 * multiple of FT_LANES with whatever is finite. */
typedef struct {
    int64_t n_cells, m, budget;
    IN const int64_t *start;   /* n_cells + 1 */
    IN const int32_t *order;   /* n */
    IN const float *centroids; /* m x padded n_cells */
    IN const float *residents; /* cell by cell m x padded size: coordinates on the screen */
    IN const float *tails;     /* n, by place; 0 where coordinates preserve distances */
} ft_lists;

/* The k nearest of the points in the lists, as far as the budget finds them. What a query gets
 * does not depend on the others, to the last bit. */
ft_status ft_queries_find(IN const ft_lists *lists, IN const float *query_screen,
                          ft_points queries, int64_t n_queries, ft_points points, int64_t d,
                          int64_t k, int64_t n_candidates, OUT int32_t *indices,
                          OUT double *squared_distances, INOUT ft_run *run);
/* Products of n x d rows with a d x m matrix, less a row of m: one row at a time. */
ft_status ft_queries_project(IN const float *rows, int64_t n, int64_t d, IN const float *matrix,
                             int64_t m, IN const float *shift, OUT float *products,
                             INOUT ft_run *run);

/* ---- ranks.c: where all points stand as seen from some of them -------------------------------- */

/* n_anchors x n squared Euclidean distances from the anchors to all points. */
ft_status ft_ranks_distances(ft_points points, int64_t n, int64_t d, IN const int32_t *anchors,
                             int64_t n_anchors, OUT double *squared_distances,
                             INOUT ft_run *run);

/* n_anchors x k of them, to the points `queries` of each anchor: the same numbers. */
ft_status ft_ranks_distances_to(ft_points points, int64_t d, IN const int32_t *anchors,
                                int64_t n_anchors, IN const int32_t *queries, int64_t k,
                                OUT double *squared_distances, INOUT ft_run *run);

/* The rest takes n_anchors rows of n distances of any kind, not negative. Of equal ones the
 * smaller index is nearer; the anchor itself, one of the n, is left out.
 * The k nearest of every row, the nearest first. */
ft_status ft_ranks_nearest(IN const double *distances, int64_t n, IN const int32_t *anchors,
                           int64_t n_anchors, int64_t k, OUT int32_t *indices,
                           INOUT ft_run *run);
/* The ranks, from 1, of k points a row, none of them the anchor. */
ft_status ft_ranks_count(IN const double *distances, int64_t n, IN const int32_t *anchors,
                         int64_t n_anchors, IN const int32_t *queries, int64_t k,
                         OUT int32_t *ranks, INOUT ft_run *run);
/* The ranks of all points, n_anchors x n; 0 for the anchor. */
ft_status ft_ranks_sort(IN const double *distances, int64_t n, IN const int32_t *anchors,
                        int64_t n_anchors, OUT int32_t *ranks, INOUT ft_run *run);
/* Adds to counts[r] how many points have r as the larger of their ranks in a and in b. */
ft_status ft_ranks_compare(IN const int32_t *a, IN const int32_t *b, int64_t n,
                           int64_t n_anchors, INOUT int64_t *counts, INOUT ft_run *run);

/* ---- calibration.c: conditional probabilities ------------------------------------------------ */

/* Rows of k squared distances, doubles or floats, -> p_j|i and the precision
 * beta_i = 1 / (2 sigma_i^2) at which the row's entropy is log(perplexity). With skip_diagonal,
 * row i leaves out its i-th entry. masses, n x k and not negative: how often each neighbour counts;
 * NULL where it is once. It excludes skip_diagonal. */
ft_status ft_calibration_find(IN const void *squared_distances, int is_double, int64_t n,
                              int64_t k, double perplexity, int skip_diagonal,
                              IN const float *masses, OUT float *conditional, OUT double *beta, INOUT ft_run *run);

/* ---- symmetrization.c: joint probabilities --------------------------------------------------- */

/* P = (P_cond + P_cond') / 2n as CSR, columns ascending; the neighbours of a row are distinct.
 * joint_indices and joint_data have room for 2 n k edges, of which P has indptr[n]: the rest is
 * not touched. scratch holds capacity times 8 bytes; the capacity is at least the most edges that
 * lead to one point, and n k saves time. */
ft_status ft_symmetrization_sparse(IN const int32_t *indices, IN const float *conditional, int64_t n,
                                   int64_t k, OUT int64_t *indptr, OUT int32_t *joint_indices,
                                   OUT float *joint_data, OUT void *scratch, int64_t capacity,
                                   INOUT ft_run *run);
ft_status ft_symmetrization_dense(INOUT float *conditional, int64_t n, INOUT ft_run *run);

/* ---- joint.c: what is done with them ---------------------------------------------------------- */

/* Rows and columns of a graph put into a new order: row r becomes the old row order[r]. Either of
 * indices and data may be NULL, and is then left out: they can be moved one after the other. */
ft_status ft_joint_permute(IN const int64_t *indptr, IN const int32_t *indices,
                           IN const float *data, int64_t n, IN const int32_t *order,
                           IN const int32_t *inverse, OUT int64_t *new_indptr,
                           OUT int32_t *new_indices, OUT float *new_data, INOUT ft_run *run);

/* The sum of p log p over all stored probabilities, the constant part of KL(P||Q). */
ft_status ft_joint_negative_entropy(IN const float *data, int64_t n_edges, OUT double *sum,
                                    INOUT ft_run *run);

/* ---- The kernel of the map: w = (1 + d^2/nu)^(-(nu+1)/2), u = 1/(1 + d^2/nu) --------------- */

typedef struct {
    double degrees_of_freedom; /* nu */
} ft_student;

/* Beyond this the map has diverged, and moments of cells could overflow single precision. */
#define FT_LARGEST_COORDINATE 1e13f

/* w is 0 in single precision where -log w is larger; the cross-entropy counts it as this. */
#define FT_LARGEST_LOG 87.0

/* ---- tree.c: a linear quadtree (octree, binary tree) over points on the Hilbert curve ------- */

typedef struct ft_tree ft_tree;

ft_tree *ft_tree_create(int64_t n, int dim); /* NULL: no memory */
void ft_tree_destroy(ft_tree *tree);
ft_status ft_tree_build(INOUT ft_tree *tree, IN const float *embedding, INOUT ft_run *run);
/* Gives every point a mass, as of so many points that coincide: not negative, and kept by the
 * caller for as long as the tree is. The next build takes it in. */
ft_status ft_tree_weigh(INOUT ft_tree *tree, IN const float *masses);
const int32_t *ft_tree_order(const ft_tree *tree); /* position on the Hilbert curve -> point */

/* ---- repulsion.c: Barnes-Hut sums over the tree --------------------------------------------- */

/* repulsive_i = sum_j w_ij u_ij (y_i - y_j) for every point of the groups [first, last) of the
 * tree, and their share of sum_q = sum_ij w_ij. In a tree of masses m_i these are the sums over
 * all that the points stand for, repulsive_i on one of them: sum_j m_j ..., and sum_ij m_i m_j ...
 * together with the m_i max(m_i - 1, 0) pairs at one place. */
int64_t ft_repulsion_groups(const ft_tree *tree);
ft_status ft_repulsion_compute(IN const ft_tree *tree, ft_student student, double angle,
                               int64_t first, int64_t last, OUT float *repulsive,
                               OUT double *sum_q, INOUT ft_run *run);

/* Rows of a chunk of work where rows are independent. */
#define FT_ROWS 256
#define FT_ROW_CHUNKS(rows) (((rows) + FT_ROWS - 1) / FT_ROWS)

/* ---- update.c: one step of gradient descent --------------------------------------------------- */

typedef struct {
    double learning_rate;
    double momentum;
    double exaggeration;
    double degrees_of_freedom;
    double sum_q;
} ft_step;

/* A step of the rows [first, last). The gradient is
 * 2 (nu+1)/nu (exaggeration attractive - repulsive / sum_q). `moved` gets the new embedding and
 * may be `embedding` itself; partial: one double per FT_ROWS rows. Rows whose `fixed` is not 0
 * stay where they are, at rest; it may be NULL, and then all move. */
typedef struct {
    ft_step step;
    int64_t first, last;
    int dim;
    IN const float *attractive, *repulsive, *embedding;
    IN const uint8_t *fixed;
    OUT float *moved;
    INOUT float *velocity, *gains;
    OUT double *partial;
} ft_update;

ft_status ft_update_step(IN const ft_update *update, INOUT ft_run *run);
/* The same for one chunk of FT_ROWS rows alone. */
void ft_update_rows(IN const ft_update *update, int64_t chunk);
/* After a step of all rows: the sum of squares of gains * gradient. */
double ft_update_squared_norm(IN const ft_update *update);

/* ---- attraction.c: sums over the edges of P -------------------------------------------------- */

/* attractive_i = sum_j p_ij u_ij (y_i - y_j) for the rows [first, last). Where cross_entropy is
 * not NULL it gets their share of -sum_ij p_ij log w_ij, row i times masses[i] unless that is
 * NULL. Where update is not NULL, rows take its
 * step as soon as their attraction is there: `moved` must then not be `embedding`.
 * partial: one double per FT_ROWS rows. */
ft_status ft_attraction_compute(IN const int64_t *indptr, IN const int32_t *indices,
                                IN const float *data, IN const float *embedding, int dim,
                                IN const float *masses, ft_student student, int64_t first,
                                int64_t last, OUT float *attractive, OUT double *cross_entropy,
                                OUT double *partial, INOUT const ft_update *update,
                                INOUT ft_run *run);

/* ---- transform.c: new points on a map that stays as it is ------------------------------------ */

/* A map of n x dim points. The tree is built over them; NULL where there is none (dim > 3), and
 * then all of them repel one by one. */
typedef struct {
    const ft_tree *tree;
    IN const float *embedding;
    int64_t n;
    int dim;
    ft_student student;
    double angle;
} ft_frozen;

typedef struct {
    double exaggeration;
    int max_iter;
    double shortest_step; /* the descent ends before a shorter one */
} ft_placement_rules;

/* Places n_new points whose k neighbours on the map and p_j|i are given: from the weighted median
 * of the neighbours, by gradient descent on their KL divergence. Every point for itself. */
ft_status ft_placement_find(IN const ft_frozen *map, IN const int32_t *indices,
                            IN const float *conditional, int64_t n_new, int64_t k,
                            ft_placement_rules rules, OUT float *placed, INOUT ft_run *run);
/* The KL divergence of every new point at n_new places, exaggerated but for a constant, and its
 * gradient. */
ft_status ft_placement_evaluate(IN const ft_frozen *map, IN const int32_t *indices,
                                IN const float *conditional, int64_t n_new, int64_t k,
                                double exaggeration, IN const float *at, OUT float *gradient,
                                OUT double *divergence, INOUT ft_run *run);

/* ---- exact.c: both forces by sums over all pairs, any number of components ------------------ */

/* joint is n x n; masses are as in a tree, or NULL. coordinates is scratch for n x dim floats, partial for 2 doubles a row. */
ft_status ft_exact_compute(IN const float *joint, IN const float *masses,
                           IN const float *embedding, int64_t n, int dim, ft_student student, int64_t first, int64_t last,
                           OUT float *attractive, OUT float *repulsive, OUT double *sum_q,
                           OUT double *cross_entropy, OUT float *coordinates,
                           OUT double *partial, INOUT ft_run *run);

/* ---- contrastive.c: sampled negatives --------------------------------------------------------- */

/* Numbers in 0 .. bound - 1, all alike likely; a function of seed, iteration and their place. */
void ft_contrastive_draw(uint64_t seed, uint64_t iteration, int64_t bound, int64_t count,
                         OUT int64_t *draws);

/* A map, P, and the negatives of an iteration: for every shift, in 1 .. n - 1, the pairs of each
 * row a with the row a + shift (mod n). odds is c = m xi Z, of noise against data; a pair is taken
 * for data with the probability h = q / (q + c). */
typedef struct {
    IN const int64_t *indptr;
    IN const int32_t *indices;
    IN const float *data, *embedding;
    int64_t n;
    int dim;
    int64_t first, last; /* rows at work; InfoNCE has to have them all */
    IN const int64_t *shifts, *heads; /* n_shifts each; heads, in 0 .. n - 1, are InfoNCE's */
    int64_t n_shifts;
    double odds;
    OUT float *attractive, *repulsive; /* n x dim; the first is InfoNCE's */
    OUT float *sums, *weights;         /* InfoNCE's scratch, n each */
    OUT double *partial;               /* two per FT_ROWS rows; not InfoNCE's */
} ft_contrastive;

/* repulsive_a = sum over the pairs of a, by its shifts either way, of h q (y_a - y_b); the means
 * of q and h over the pairs. */
ft_status ft_contrastive_repulsion(INOUT const ft_contrastive *contrastive, OUT double *mean_q,
                                   OUT double *mean_h, INOUT ft_run *run);
/* The sum of p (1 - h) over the edges of P. */
ft_status ft_contrastive_missed(INOUT const ft_contrastive *contrastive, OUT double *sum,
                                INOUT ft_run *run);
/* Both forces of InfoNCE; row i is compared with the pairs whose heads are i + heads[k] (mod n). */
ft_status ft_contrastive_infonce(INOUT const ft_contrastive *contrastive, INOUT ft_run *run);

#endif
