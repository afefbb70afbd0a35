/* A program of the kernels, for platforms that have no Python here: the repulsion of random points
 * on every instruction set. Fails if the number of threads changes a bit. */
#include "fasttsne.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 20000

typedef struct {
    ft_run run;
    ft_tree *tree;
    const float *embedding;
    float *repulsive;
    double sum_q;
} work;

static ft_status repulsions(void *context)
{
    work *w = context;
    const ft_student student = {1.0};
    for (int i = 0; i < 5; i++) {
        ft_status status = ft_tree_build(w->tree, w->embedding, &w->run);
        if (status != FT_OK) return status;
        const int64_t groups = ft_repulsion_groups(w->tree);
        status = ft_repulsion_compute(w->tree, student, 0.5, 0, groups, w->repulsive, &w->sum_q,
                                      &w->run);
        if (status != FT_OK) return status;
    }
    return FT_OK;
}

int main(void)
{
    static float embedding[2 * N], first[2 * N], repulsive[2 * N];
    for (uint64_t i = 0; i < 2 * N; i++) {
        embedding[i] = (float)(ft_mixed(i * FT_GOLDEN) >> 40) * 0x1p-20f; /* 0 to 16 */
    }
    ft_parallel_init();
    ft_tree *tree = ft_tree_create(N, 2);
    if (tree == NULL) return 1;
    for (int isa = 0; isa <= (int)ft_parallel_best_isa(); isa++) {
        ft_parallel_select_isa((ft_isa)isa);
        double sum_q = 0.0;
        for (int threads = 1; threads <= 8; threads *= 2) {
            work w = {.run = {.n_threads = threads},
                      .tree = tree,
                      .embedding = embedding,
                      .repulsive = repulsive};
            if (ft_parallel_team(&w.run, repulsions, &w) != FT_OK) return 2;
            if (threads == 1) {
                memcpy(first, repulsive, sizeof first);
                sum_q = w.sum_q;
            }
            if (w.sum_q != sum_q || memcmp(first, repulsive, sizeof first) != 0) return 3;
        }
        printf("%s%.6f", isa > 0 ? ", " : "", sum_q);
    }
    ft_tree_destroy(tree);
    return 0;
}
