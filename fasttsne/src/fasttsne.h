/* fasttsne.h - the whole C interface, one section per file.
 *
 * Kernels work on pointers, know no Python, never print and never exit; they return a status.
 * A const array is only read, an OUT array is only written, an INOUT array is both.
 * Arrays are row-major; n is the number of points, dim the number of components of the map.
 * Coordinates are float, global sums double, column indices int32_t, row pointers int64_t.
 *
 * Results do not depend on the number of threads: a chunk of work is the same on every thread,
 * one chunk owns a point, and a global sum is one double per chunk, added in order. */
#ifndef FASTTSNE_H
#define FASTTSNE_H

#include "port.h"

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
 * thread only, and a non-zero result stops the work. The rest is private to parallel.c. */
typedef struct ft_team ft_team;
typedef struct {
    int n_threads;
    int (*poll)(void);
    double next_poll;
    volatile int stopped;
    ft_team *team;
} ft_run;

void ft_parallel_init(void); /* once, when the library is loaded */
/* Runs body on the calling thread; further threads wait for the jobs that it starts. */
ft_status ft_parallel_team(INOUT ft_run *run, ft_status (*body)(void *context), void *context);
/* chunk_cost: rough nanoseconds per chunk, which limit the number of threads. */
ft_status ft_parallel_run(INOUT ft_run *run, int64_t n_chunks, double chunk_cost, ft_task task,
                          void *context);
int ft_parallel_stopped(INOUT ft_run *run, int thread); /* for tasks with long chunks */
int ft_parallel_threads(const ft_run *run);             /* largest number that may run */

/* Rows of a chunk of work where rows are independent. */
#define FT_ROWS 256
#define FT_ROW_CHUNKS(rows) (((rows) + FT_ROWS - 1) / FT_ROWS)

typedef enum { FT_ISA_BASELINE = 0, FT_ISA_AVX2 = 1, FT_ISA_AVX512 = 2 } ft_isa;
ft_isa ft_parallel_best_isa(void);
ft_isa ft_parallel_isa(void);
void ft_parallel_select_isa(ft_isa isa);

/* ---- neighbors.c: exact k nearest neighbours ----------------------------------------------- */

/* BLAS sgemm, Fortran calling convention. It must run on the calling thread alone. */
typedef void (*ft_sgemm)(char *, char *, int *, int *, int *, float *, float *, int *, float *,
                         int *, float *, float *, int *);

/* n x d floats or doubles, from which exact distances are computed. */
typedef struct {
    const void *values;
    int is_double;
} ft_points;

FT_INLINE double ft_points_at(ft_points points, int64_t place)
{
    return points.is_double ? ((const double *)points.values)[place]
                            : (double)((const float *)points.values)[place];
}

/* The k nearest of n points for every query by Euclidean distance, nearest first, ties to the
 * smaller index. With among_themselves the queries are the points, and a query is not its own
 * neighbour. query_screen and screen, single-precision images of queries and points, alike
 * translated and scaled, find the candidates; with NULL all distances are computed exactly. */
ft_status ft_neighbors_find(const float *query_screen, ft_points queries, int64_t n_queries,
                            const float *screen, ft_points points, int64_t n, int64_t d, int64_t k,
                            int among_themselves, OUT int32_t *indices,
                            OUT double *squared_distances, ft_sgemm sgemm, INOUT ft_run *run);

/* ---- sparse.c: exact k nearest neighbours of sparse points --------------------------------- */

/* Rows of a matrix in compressed form, columns ascending; or columns, rows ascending. */
typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const double *data;
} ft_sparse;

/* As ft_neighbors_find for sparse points with at most `longest` entries and their squared norms,
 * which must be moderate. `columns` are those of the points, d of them; queries may have others. */
ft_status ft_sparse_find(ft_sparse queries, const double *query_norms, int64_t n_queries,
                         ft_sparse points, ft_sparse columns, const double *norms, int64_t n,
                         int64_t d, int64_t longest, int64_t k, int among_themselves,
                         OUT int32_t *indices, OUT double *squared_distances, INOUT ft_run *run);

/* ---- bits.c: exact k nearest neighbours of points of bits ---------------------------------- */

/* Points of n_words words, and how many of their bits are set. */
typedef struct {
    const uint64_t *words;
    const int32_t *counts;
    int64_t n;
} ft_bits;

/* As ft_neighbors_find, by the share of bits that differ among those that are set in either, 0 if
 * there are none; or, for n_features > 0, by the share of these that are not common bits. */
ft_status ft_bits_find(ft_bits queries, ft_bits points, int64_t n_words, int64_t n_features,
                       int64_t k, int among_themselves, OUT int32_t *indices, OUT double *distances,
                       INOUT ft_run *run);

/* ---- approximate.c: approximate k nearest neighbours ----------------------------------------- */

/* As ft_neighbors_find, but a query is compared only with the points of the nearest of about
 * n_lists lists. screen: n x m coordinates that preserve distances (tails is NULL), or the leading
 * ones, with the squared length of the rest in tails. n_candidates, from k to n - 1, are compared
 * by exact distances. The fewest lists are searched that hold the share `recall` of the neighbours of
 * a few hundred points. *resolved is 0 where single precision cannot distinguish neighbours. */
ft_status ft_approximate_find(const float *screen, const float *tails, int64_t m, ft_points points,
                              int64_t n, int64_t d, int64_t k, int64_t n_candidates,
                              int64_t n_lists, double recall, OUT int32_t *indices,
                              OUT double *squared_distances, OUT int *resolved, ft_sgemm sgemm,
                              INOUT ft_run *run);
/* The lists, and the budget: the number of points that a query is compared with. *n_lists becomes
 * the number found, at most twice as many; there must be room for these. List c has the points
 * order[start[c]] .. order[start[c + 1] - 1]. */
ft_status ft_approximate_prepare(const float *screen, const float *tails, int64_t m,
                                 ft_points points, int64_t n, int64_t d, int64_t k,
                                 int64_t n_candidates, INOUT int64_t *n_lists, double recall,
                                 OUT int64_t *start, OUT int32_t *order, OUT float *centroids,
                                 OUT int64_t *budget, OUT int *resolved, ft_sgemm sgemm,
                                 INOUT ft_run *run);

/* ---- queries.c: approximate neighbours of new points ----------------------------------------- */

typedef struct ft_lists ft_lists;

/* Copies the lists of ft_approximate_prepare with their points. NULL: no memory. */
ft_lists *ft_queries_create(const int64_t *start, const int32_t *order, const float *centroids,
                            int64_t n_lists, int64_t budget, const float *coordinates,
                            const float *tails, int64_t n, int64_t m);
void ft_queries_destroy(ft_lists *lists);
/* Coordinates and tails as they were given, or tails of 0. */
void ft_queries_unpack(const ft_lists *lists, OUT float *coordinates, OUT float *tails);

/* The k nearest, as far as the budget finds them. No query changes the bits of another's result. */
ft_status ft_queries_find(const ft_lists *lists, const float *query_screen, ft_points queries,
                          int64_t n_queries, ft_points points, int64_t d, int64_t k,
                          int64_t n_candidates, OUT int32_t *indices, OUT double *squared_distances,
                          INOUT ft_run *run);
/* Products of n x d rows with a d x m matrix, less a row of m: one row at a time. */
ft_status ft_queries_project(const float *rows, int64_t n, int64_t d, const float *matrix,
                             int64_t m, const float *shift, OUT float *products, INOUT ft_run *run);

/* ---- ranks.c: ranks of all points by their distance from some of them ------------------------ */

/* n_anchors x n squared Euclidean distances from the anchors to all points. */
ft_status ft_ranks_distances(ft_points points, int64_t n, int64_t d, const int32_t *anchors,
                             int64_t n_anchors, OUT double *squared_distances, INOUT ft_run *run);
/* The same distances, bit for bit, to k points `queries` of each anchor: n_anchors x k. */
ft_status ft_ranks_distances_to(ft_points points, int64_t d, const int32_t *anchors,
                                int64_t n_anchors, const int32_t *queries, int64_t k,
                                OUT double *squared_distances, INOUT ft_run *run);
/* Rows of non-negative distances of any kind. Of equal distances the smaller index is nearer. The
 * anchor, one of the n points, is left out of its row. */
typedef struct {
    const double *distances; /* n_anchors x n */
    int64_t n;
    const int32_t *anchors;
    int64_t n_anchors;
} ft_ranks_rows;

/* The k nearest of every row, the nearest first. */
ft_status ft_ranks_nearest(const ft_ranks_rows *rows, int64_t k, OUT int32_t *indices,
                           INOUT ft_run *run);
/* The ranks, from 1, of k points a row, none of them the anchor. */
ft_status ft_ranks_count(const ft_ranks_rows *rows, const int32_t *queries, int64_t k,
                         OUT int32_t *ranks, INOUT ft_run *run);
/* The ranks of all points, n_anchors x n; 0 for the anchor. */
ft_status ft_ranks_sort(const ft_ranks_rows *rows, OUT int32_t *ranks, INOUT ft_run *run);
/* Adds to counts[r] the number of points whose larger rank, in a or in b, is r. */
ft_status ft_ranks_compare(const int32_t *a, const int32_t *b, int64_t n, int64_t n_anchors,
                           INOUT int64_t *counts, INOUT ft_run *run);

/* ---- retrieval.c: how well points retrieve points of their class ----------------------------- */

/* Points stand class by class: class c is the points from starts[c] to starts[c + 1] - 1, at least
 * two; points after the last class are alone in theirs. Every point of a class ranks all others by
 * distance. measures, starts[n_classes] x (2 + n_ks): MAP@R, R-precision, and for each k whether
 * one of the class is among the first k. Equal distances have no order: means over their orders.
 * screen is a single-precision image of the points, translated and scaled; unit is the square of
 * the scale. With NULL all distances are computed exactly. */
ft_status ft_retrieval_measure(const float *screen, double unit, ft_points points, int64_t n,
                               int64_t d, const int64_t *starts, int64_t n_classes,
                               const int64_t *ks, int64_t n_ks, OUT double *measures,
                               ft_sgemm sgemm, INOUT ft_run *run);

/* ---- calibration.c: conditional probabilities ------------------------------------------------ */

/* From rows of k squared distances to p_j|i and the precision beta_i = 1 / (2 sigma_i^2) at which
 * the row's entropy is log(perplexity). With skip_diagonal, row i leaves out its i-th entry.
 * masses, n x k and not negative: how often each neighbour counts; NULL means once. */
ft_status ft_calibration_find(ft_points squared_distances, int64_t n, int64_t k, double perplexity,
                              int skip_diagonal, const float *masses, OUT float *conditional,
                              OUT double *beta, INOUT ft_run *run);

/* ---- symmetrization.c: joint probabilities --------------------------------------------------- */

/* P = (P_cond + P_cond') / 2n as CSR, columns ascending; the neighbours of a row are distinct.
 * joint_indices and joint_data have room for 2 n k edges, of which the first indptr[n] are set.
 * scratch holds capacity times 8 bytes; capacity is at least the number of edges that lead to one
 * point, and n k is fastest. */
ft_status ft_symmetrization_sparse(const int32_t *indices, const float *conditional, int64_t n,
                                   int64_t k, OUT int64_t *indptr, OUT int32_t *joint_indices,
                                   OUT float *joint_data, OUT void *scratch, int64_t capacity,
                                   INOUT ft_run *run);
ft_status ft_symmetrization_dense(INOUT float *conditional, int64_t n, INOUT ft_run *run);

/* ---- joint.c: order and entropy of joint probabilities --------------------------------------- */

/* Rows and columns of a graph in a new order: row r becomes the old row order[r]. indices or data
 * may be NULL and is then left out, so that one can be moved after the other. */
ft_status ft_joint_permute(const int64_t *indptr, const int32_t *indices, const float *data,
                           int64_t n, const int32_t *order, const int32_t *inverse,
                           OUT int64_t *new_indptr, OUT int32_t *new_indices, OUT float *new_data,
                           INOUT ft_run *run);
/* The sum of p log p over all stored probabilities, the constant part of KL(P || Q). */
ft_status ft_joint_negative_entropy(const float *data, int64_t n_edges, OUT double *sum,
                                    INOUT ft_run *run);

/* ---- coarsening.c: groups of points, and P between them --------------------------------------- */

/* Groups of about eight points that P joins strongly; they are numbered from 0 to n_groups - 1. */
ft_status ft_coarsening_find(const int64_t *indptr, const int32_t *indices, const float *data,
                             int64_t n, OUT int32_t *groups, OUT int64_t *n_groups,
                             INOUT ft_run *run);
/* P between different groups, sums of p over pairs of points; columns are not sorted. With
 * new_indices NULL only new_indptr is set, and otherwise only read. */
ft_status ft_coarsening_joint(const int64_t *indptr, const int32_t *indices, const float *data,
                              int64_t n, const int32_t *groups, int64_t n_groups,
                              INOUT int64_t *new_indptr, OUT int32_t *new_indices,
                              OUT float *new_data, INOUT ft_run *run);
/* Every point at the mean place of its neighbours' groups, weighted by p; without neighbours at
 * that of its own group. coarse has dim coordinates a group. */
ft_status ft_coarsening_prolong(const int64_t *indptr, const int32_t *indices, const float *data,
                                int64_t n, const int32_t *groups, const float *coarse, int dim,
                                OUT float *embedding, INOUT ft_run *run);

/* Components of a map of contrastive.c; trees have at most three. */
#define FT_MOST_COMPONENTS 64

/* ---- The kernel of the map: w = (1 + d^2/nu)^(-(nu+1)/2), u = 1/(1 + d^2/nu) --------------- */

typedef struct {
    double degrees_of_freedom; /* nu */
} ft_student;

/* Beyond this the map has diverged: moments of cells could overflow single precision. */
#define FT_LARGEST_COORDINATE 1e13f
/* Where -log w is larger, w is 0 in single precision; the cross-entropy counts this instead. */
#define FT_LARGEST_LOG 87.0

/* ---- tree.c: a linear quadtree (octree, binary tree) over points on the Hilbert curve ------- */

typedef struct ft_tree ft_tree;

ft_tree *ft_tree_create(int64_t n, int dim); /* NULL: no memory */
void ft_tree_destroy(ft_tree *tree);
ft_status ft_tree_build(INOUT ft_tree *tree, const float *embedding, INOUT ft_run *run);
/* Sets the mass of every point, not negative: the number of coinciding points it stands for. The
 * next build reads the masses; the caller keeps them as long as the tree. */
ft_status ft_tree_weigh(INOUT ft_tree *tree, const float *masses);
const int32_t *ft_tree_order(const ft_tree *tree); /* position on the Hilbert curve -> point */

/* ---- repulsion.c: Barnes-Hut sums over the tree --------------------------------------------- */

/* repulsive_i = sum_j w_ij u_ij (y_i - y_j) for every point of the groups [first, last) of the
 * tree, and their share of sum_q = sum_ij w_ij. With masses m_i, repulsive_i is sum_j m_j w_ij ...
 * and sum_q is sum_ij m_i m_j w_ij, plus the m_i max(m_i - 1, 0) pairs at one place. */
int64_t ft_repulsion_groups(const ft_tree *tree);
ft_status ft_repulsion_compute(const ft_tree *tree, ft_student student, double angle, int64_t first,
                               int64_t last, OUT float *repulsive, OUT double *sum_q,
                               INOUT ft_run *run);

/* ---- update.c: one step of gradient descent --------------------------------------------------- */

typedef struct {
    double learning_rate;
    double momentum;
    double exaggeration;
    double degrees_of_freedom;
    double sum_q;
} ft_step;

/* A step of the rows [first, last). The gradient is
 * 2 (nu+1)/nu (exaggeration attractive - repulsive / sum_q). `moved` is the new embedding and may
 * be `embedding` itself; partial: one double per FT_ROWS rows. Rows with a non-zero `held` do not
 * move, or, with `homes`, return `pull` of the way to their home after the step; both may be NULL. */
typedef struct {
    ft_step step;
    int64_t first, last;
    int dim;
    const float *attractive, *repulsive, *embedding;
    const uint8_t *held;
    float pull;
    OUT float *moved;
    INOUT float *velocity, *gains;
    INOUT float *homes; /* a row each; a step of the scale moves them */
    OUT double *partial;
} ft_update;

ft_status ft_update_step(const ft_update *update, INOUT ft_run *run);
/* The same for one chunk of FT_ROWS rows. */
void ft_update_rows(const ft_update *update, int64_t chunk);
/* After a step of all rows: the sum of squares of gains * gradient. */
double ft_update_squared_norm(const ft_update *update);

/* ---- scale.c: the scale of the map as a separate coordinate --------------------------------- */

/* Doubles of scratch per FT_ROWS rows. */
#define FT_SCALE_SUMS(dim) (3 + 2 * (dim))

/* Slope of the objective along the logarithm of a factor on the map, where the forces were computed:
 * at moved - velocity, or at moved if velocity is NULL. Root mean square distance of `moved` from
 * its mean. */
typedef struct {
    double slope;
    double radius;
} ft_scale;

/* masses as in the tree, or NULL. `run` must not have a poll function. */
ft_scale ft_scale_find(const ft_update *update, const float *masses, OUT double *sums,
                       INOUT ft_run *run);
/* After a step of all rows: multiplies the map about its mean, and the velocity, by the factor of a
 * step along that slope. */
void ft_scale_step(INOUT const ft_update *update, const float *masses, OUT double *sums,
                   INOUT ft_run *run);

/* ---- attraction.c: sums over the edges of P -------------------------------------------------- */

/* attractive_i = sum_j p_ij u_ij (y_i - y_j) for the rows [first, last). cross_entropy, unless
 * NULL, is their share of -sum_ij p_ij log w_ij, row i times masses[i] unless that is NULL. Unless
 * update is NULL, rows take its step once their attraction is known: `moved` must then not be
 * `embedding`. partial: one double per FT_ROWS rows. */
ft_status ft_attraction_compute(const int64_t *indptr, const int32_t *indices, const float *data,
                                const float *embedding, int dim, const float *masses,
                                ft_student student, int64_t first, int64_t last,
                                OUT float *attractive, OUT double *cross_entropy,
                                OUT double *partial, INOUT const ft_update *update,
                                INOUT ft_run *run);

/* ---- density.c: local radii, and their correlation with those in the data --------------------- */

#define FT_DENSITY_SUMS 4

/* A symmetric graph of neighbours, the masses of n points or NULL, and targets of mean 0 and
 * variance 1, or NULL. strengths is scratch for n floats, partial for FT_DENSITY_SUMS doubles per
 * FT_ROWS rows. log_radii are the logarithms of squared radii. */
typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *masses, *targets;
    int64_t n;
    int dim;
    OUT float *log_radii, *strengths;
    OUT double *partial;
} ft_density;

/* The radii on a map and, unless there are no targets, their correlation with these, with 0.1 added
 * to the variance of the radii. */
ft_status ft_density_measure(INOUT const ft_density *density, const float *embedding,
                             OUT double *correlation, INOUT ft_run *run);
/* The same, and attractive_i += weight / 2 times the slope of the correlation along y_i. */
ft_status ft_density_attract(INOUT const ft_density *density, const float *embedding, double weight,
                             INOUT float *attractive, OUT double *correlation, INOUT ft_run *run);

/* ---- transform.c: new points on a fixed map -------------------------------------------------- */

/* A map of n x dim points and its tree. Without a tree, the `others` repel one by one.
 *
 * With odds > 0, the c = m xi Z of contrastive.c, the objective of a new point is its share of the
 * contrastive loss, -sum_j p_j log h_j - noise sum_j log(1 - h_j), the second sum over the others. */
typedef struct {
    const ft_tree *tree;
    const float *embedding;
    int64_t n;
    int dim;
    ft_student student;
    double angle;
    const float *others; /* n_others x dim */
    int64_t n_others;
    double odds, noise;
} ft_frozen;

typedef struct {
    double exaggeration;
    int max_iter;
    double shortest_step; /* the descent ends before a shorter one */
} ft_transform_rules;

/* Places n_new points, each independently, given their k neighbours on the map and p_j|i: gradient
 * descent on the KL divergence from the weighted median of the neighbours. Unless `at` is NULL, it
 * only evaluates these positions: `result` is the gradient, and divergence the KL divergence of
 * every new point, exaggerated up to a constant; or its contrastive loss, up to a constant. */
ft_status ft_transform_find(const ft_frozen *map, const int32_t *indices, const float *conditional,
                            int64_t n_new, int64_t k, ft_transform_rules rules, const float *at,
                            OUT float *result, OUT double *divergence, INOUT ft_run *run);

/* Places the n_rows points `own` of the map again, each with all others where they are. indices are
 * the points that attract each, weights their n p_ij of the joint P. The result is the lowest minimum
 * of the point's share of KL(P || Q) found from its own place and from the two points with the largest
 * p_ij. sum_q is the sum of w over all ordered pairs of the map, which must have no odds; exaggeration
 * is not used. */
ft_status ft_transform_again(const ft_frozen *map, const int32_t *own, const int32_t *indices,
                             const float *weights, int64_t n_rows, int64_t k, double sum_q,
                             ft_transform_rules rules, OUT float *result, INOUT ft_run *run);

/* ---- curvature.c: second derivatives of the objective by the place of one point -------------- */

/* Sums of which the Hessian of KL(P || Q) by the place of each point consists, one row a point:
 * sum_j p u, the upper triangle of sum_j p u^2 r r', sum_j w, sum_j w u, sum_j w u r, and the upper
 * triangle of sum_j w u^2 r r', with r = y_i - y_j, over the edges of P and over all other points.
 * coordinates is scratch for n x dim floats. */
#define FT_CURVATURE_SUMS(dim) (3 + (dim) + (dim) * ((dim) + 1))
ft_status ft_curvature_sums(const int64_t *indptr, const int32_t *indices, const float *data,
                            const float *embedding, int64_t n, int dim, ft_student student,
                            OUT double *sums, OUT float *coordinates, INOUT ft_run *run);

/* ---- exact.c: both forces by sums over all pairs, any number of components ------------------ */

/* joint is n x n; masses are as in a tree, or NULL. coordinates is scratch for n x dim floats,
 * partial for 2 doubles a row. */
ft_status ft_exact_compute(const float *joint, const float *masses, const float *embedding,
                           int64_t n, int dim, ft_student student, int64_t first, int64_t last,
                           OUT float *attractive, OUT float *repulsive, OUT double *sum_q,
                           OUT double *cross_entropy, OUT float *coordinates, OUT double *partial,
                           INOUT ft_run *run);

/* ---- contrastive.c: sampled negatives --------------------------------------------------------- */

/* Uniform numbers in 0 .. bound - 1, a function of seed, iteration and their place. */
void ft_contrastive_draw(uint64_t seed, uint64_t iteration, int64_t bound, int64_t count,
                         OUT int64_t *draws);

/* The first rows follow the last ones, so that a chunk of rows has its partners in one stretch. */
#define FT_CONTRASTIVE_ROOM(n) ((n) + FT_ROWS)

/* A map, P, and the negatives of an iteration: every shift, in 1 .. n - 1, pairs each row a with
 * the row a + shift (mod n). odds is c = m xi Z, of noise against data: a pair is data with
 * probability h = q / (q + c). */
typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data, *embedding;
    int64_t n;
    int dim;
    int64_t first, last;           /* rows at work; all rows for InfoNCE */
    const int64_t *shifts, *heads; /* n_shifts each; heads, in 0 .. n - 1, are InfoNCE's */
    int64_t n_shifts;
    double odds;
    OUT float *attractive, *repulsive; /* n x dim; the first is InfoNCE's */
    OUT float *columns;                /* scratch: dim x FT_CONTRASTIVE_ROOM(n) */
    OUT float *sums, *weights;         /* InfoNCE's: n, and FT_CONTRASTIVE_ROOM(n) */
    OUT double *partial;               /* two per FT_ROWS rows; not InfoNCE's */
} ft_contrastive;

/* repulsive_a = sum over the pairs of a, by its shifts either way, of h q (y_a - y_b); and the
 * means of q and h over the pairs. */
ft_status ft_contrastive_repulsion(INOUT const ft_contrastive *contrastive, OUT double *mean_q,
                                   OUT double *mean_h, INOUT ft_run *run);
/* The sum of p (1 - h) over the edges of P. */
ft_status ft_contrastive_missed(INOUT const ft_contrastive *contrastive, OUT double *sum,
                                INOUT ft_run *run);
/* Both forces of InfoNCE; row i is compared with the pairs whose heads are i + heads[k] (mod n). */
ft_status ft_contrastive_infonce(INOUT const ft_contrastive *contrastive, INOUT ft_run *run);

#endif
