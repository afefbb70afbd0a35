/* coarsening.c - groups of about eight points that P joins strongly, and P between groups.
 *
 * Each of ROUNDS rounds joins groups in pairs (heavy-edge matching, Karypis & Kumar 1998): every
 * free group proposes to the free group to which it has the largest p per pair of points, and two
 * groups that propose to each other become one. At the end of a round a group without a partner
 * joins the strongest pair among its neighbours. A group that has no pair as a neighbour stays
 * alone.
 *
 * Rounds use the strong edges: of each point those of at least its mean p, about a third. They are
 * stored once, as rows of points; point i may have an edge to j and j none to i. Each round sums
 * them over the points of a group, so that no graph of groups is stored. */
#include "fasttsne.h"
#include "memory.h"

#include <string.h>

#define ROUNDS 3
#define PASSES 6 /* of proposals in a round */
#define GROUPS_PER_CHUNK 256
#define EDGE_COST 4.0 /* nanoseconds */
#define NO_GROUP (-1)
#define NOT_ASKED (-2)

/* Sums of p by group: a hash table. Between two groups all keys are -1. */
typedef struct {
    int32_t *keys;
    float *sums;
    int32_t *slots; /* that are in use, in the order of their first edge */
    int64_t n_slots;
    uint32_t mask;
} table;

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data;
    int32_t *groups; /* of every point */
    int64_t n, n_groups;
    int32_t *members;  /* points, group by group */
    int64_t *begins;   /* of a group in members */
    int32_t *proposal; /* the strongest candidate, or NO_GROUP, or NOT_ASKED */
    int32_t *partner;  /* NO_GROUP while a group is free */
    int32_t *number;   /* of the group of the next round */
    int want_free;     /* whether candidates are the free groups or the others */
    table *tables;
    int64_t *new_indptr;
    int32_t *new_indices;
    float *new_data;
} coarsening;

FT_INLINE void add(table *t, int32_t group, float p)
{
    uint32_t slot = (uint32_t)group * UINT32_C(2654435769) & t->mask;
    while (t->keys[slot] != group && t->keys[slot] >= 0) slot = (slot + 1) & t->mask;
    if (t->keys[slot] < 0) {
        t->keys[slot] = group;
        t->sums[slot] = 0.0f;
        t->slots[t->n_slots++] = (int32_t)slot;
    }
    t->sums[slot] += p;
}

static void clear(table *t)
{
    for (int64_t i = 0; i < t->n_slots; i++) t->keys[t->slots[i]] = -1;
    t->n_slots = 0;
}

static int64_t edges_of(const coarsening *c, int32_t group)
{
    int64_t edges = 0;
    for (int64_t m = c->begins[group]; m < c->begins[group + 1]; m++)
        edges += c->indptr[c->members[m] + 1] - c->indptr[c->members[m]];
    return ft_least(edges, c->n_groups);
}

/* A table for this many groups is at most half full. */
static int64_t room_for(int64_t n_groups)
{
    int64_t room = 4;
    while (room < 2 * n_groups) room *= 2;
    return room;
}

/* Sums p from a group to every other one, in the smallest part of the table that has room. */
FT_INLINE void add_edges(const coarsening *c, int32_t group, table *t)
{
    t->mask = (uint32_t)(room_for(edges_of(c, group)) - 1);
    for (int64_t m = c->begins[group]; m < c->begins[group + 1]; m++) {
        const int32_t point = c->members[m];
        for (int64_t e = c->indptr[point]; e < c->indptr[point + 1]; e++) {
            const int32_t other = c->groups[c->indices[e]];
            if (other != group) add(t, other, c->data[e]);
        }
    }
}

static int64_t size_of(const coarsening *c, int32_t group)
{
    return c->begins[group + 1] - c->begins[group];
}

/* Decides between equal strengths, alike from both sides; by number, all would propose to one. */
FT_INLINE uint64_t rank_of(int32_t a, int32_t b)
{
    const uint64_t low = (uint64_t)(a < b ? a : b), high = (uint64_t)(a < b ? b : a);
    return ft_mixed(high << 32 | low);
}

static void propose_task(FT_TASK_ARGUMENTS)
{
    const coarsening *c = context;
    table *t = &c->tables[thread];
    const int64_t end = ft_least((chunk + 1) * GROUPS_PER_CHUNK, c->n_groups);
    for (int32_t group = (int32_t)(chunk * GROUPS_PER_CHUNK); group < end; group++) {
        const int32_t last = c->proposal[group];
        if (c->partner[group] >= 0) continue;
        /* Free groups become fewer: a proposal to one that is still free stays the best. */
        if (c->want_free && (last == NO_GROUP || (last >= 0 && c->partner[last] < 0))) continue;
        int32_t best = NO_GROUP;
        float strongest = 0.0f;
        uint64_t highest = 0;
        add_edges(c, group, t);
        for (int64_t i = 0; i < t->n_slots; i++) {
            const int32_t other = t->keys[t->slots[i]];
            if ((c->partner[other] < 0) != c->want_free) continue;
            const float strength = t->sums[t->slots[i]] / (float)size_of(c, other);
            if (strength < strongest) continue;
            const uint64_t rank = rank_of(group, other);
            if (strength == strongest && rank < highest) continue;
            best = other;
            strongest = strength;
            highest = rank;
        }
        c->proposal[group] = best;
        clear(t);
    }
}

static int64_t n_chunks(const coarsening *c)
{
    return (c->n_groups + GROUPS_PER_CHUNK - 1) / GROUPS_PER_CHUNK;
}

static ft_status run_groups(coarsening *c, ft_task task, ft_run *run)
{
    const double cost = EDGE_COST * (double)c->indptr[c->n] / (double)n_chunks(c);
    return ft_parallel_run(run, n_chunks(c), cost, task, c);
}

/* Counting sort of the points by group. */
static void sort_members(coarsening *c)
{
    memset(c->begins, 0, sizeof(int64_t) * (size_t)(c->n_groups + 1));
    for (int64_t i = 0; i < c->n; i++) c->begins[c->groups[i] + 1]++;
    for (int64_t g = 0; g < c->n_groups; g++) c->begins[g + 1] += c->begins[g];
    for (int64_t i = c->n - 1; i >= 0; i--) c->members[--c->begins[c->groups[i] + 1]] = (int32_t)i;
    /* Now begins[g + 1] is where group g begins. */
    memmove(c->begins, c->begins + 1, sizeof(int64_t) * (size_t)c->n_groups);
    c->begins[c->n_groups] = c->n;
}

/* Room for the edges of any one group. */
static int make_tables(coarsening *c, ft_memory *memory, int n_threads)
{
    int64_t most = 0;
    for (int32_t group = 0; group < c->n_groups; group++) {
        const int64_t edges = edges_of(c, group);
        most = edges > most ? edges : most;
    }
    const int64_t room = room_for(most);
    c->tables = ft_memory_take(memory, n_threads, sizeof(table));
    for (int i = 0; i < n_threads && !memory->failed; i++) {
        table *t = &c->tables[i];
        t->keys = ft_memory_take(memory, room, sizeof(int32_t));
        t->sums = ft_memory_take(memory, room, sizeof(float));
        t->slots = ft_memory_take(memory, room / 2, sizeof(int32_t));
        t->n_slots = 0;
        if (!memory->failed) memset(t->keys, -1, sizeof(int32_t) * (size_t)room);
    }
    return !memory->failed;
}

/* Pairs of groups that propose to each other; returns how many. */
static int64_t join_pairs(coarsening *c)
{
    int64_t n_pairs = 0;
    for (int32_t group = 0; group < c->n_groups; group++) {
        const int32_t other = c->proposal[group];
        if (c->partner[group] >= 0 || other <= group || c->proposal[other] != group) continue;
        c->partner[group] = other;
        c->partner[other] = group;
        n_pairs++;
    }
    return n_pairs;
}

static void renumber(coarsening *c)
{
    int32_t count = 0;
    for (int32_t group = 0; group < c->n_groups; group++) {
        const int32_t other = c->partner[group];
        if (other < 0 && c->proposal[group] >= 0) continue; /* joins a pair */
        c->number[group] = other >= 0 && other < group ? c->number[other] : count++;
    }
    for (int32_t group = 0; group < c->n_groups; group++)
        if (c->partner[group] < 0 && c->proposal[group] >= 0)
            c->number[group] = c->number[c->proposal[group]];
    for (int64_t i = 0; i < c->n; i++) c->groups[i] = c->number[c->groups[i]];
    c->n_groups = count;
}

static ft_status one_round(coarsening *c, ft_run *run)
{
    ft_memory memory = {0};
    ft_status status = FT_NO_MEMORY;
    sort_members(c);
    if (make_tables(c, &memory, ft_parallel_threads(run))) {
        for (int64_t g = 0; g < c->n_groups; g++) {
            c->partner[g] = NO_GROUP;
            c->proposal[g] = NOT_ASKED;
        }
        status = FT_OK;
        for (int pass = 0; pass < PASSES && status == FT_OK; pass++) {
            c->want_free = 1;
            status = run_groups(c, propose_task, run);
            if (status == FT_OK && join_pairs(c) == 0) break;
        }
        c->want_free = 0;
        if (status == FT_OK) status = run_groups(c, propose_task, run);
        if (status == FT_OK) renumber(c);
    }
    ft_memory_free(&memory);
    return status;
}

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data;
    int64_t n;
    int64_t *new_indptr;
    int32_t *new_indices; /* NULL while edges are counted */
    float *new_data;
} strong_edges;

/* Selects the edges of at least the mean p of their row. */
static void select_task(FT_TASK_ARGUMENTS)
{
    const strong_edges *s = context;
    const int64_t end = ft_least((chunk + 1) * FT_ROWS, s->n);
    for (int64_t row = chunk * FT_ROWS; row < end; row++) {
        const int64_t first = s->indptr[row], last = s->indptr[row + 1];
        double sum = 0.0;
        for (int64_t e = first; e < last; e++) sum += (double)s->data[e];
        /* Not the mean itself, which rounding may lift above equal ones. */
        const float least = (float)(0.999 * sum / (double)(last - first));
        int64_t place = s->new_indices == NULL ? 0 : s->new_indptr[row];
        for (int64_t e = first; e < last; e++) {
            if (s->data[e] < least) continue;
            if (s->new_indices != NULL) {
                s->new_indices[place] = s->indices[e];
                s->new_data[place] = s->data[e];
            }
            place++;
        }
        if (s->new_indices == NULL) s->new_indptr[row + 1] = place;
    }
}

static ft_status select_strong(strong_edges *s, ft_memory *memory, ft_run *run)
{
    const int64_t n = s->n;
    const double cost = (double)s->indptr[n] / (double)FT_ROW_CHUNKS(n);
    s->new_indptr = ft_memory_take(memory, n + 1, sizeof(int64_t));
    if (memory->failed) return FT_NO_MEMORY;
    ft_status status = ft_parallel_run(run, FT_ROW_CHUNKS(n), cost, select_task, s);
    if (status != FT_OK) return status;
    s->new_indptr[0] = 0;
    for (int64_t row = 0; row < n; row++) s->new_indptr[row + 1] += s->new_indptr[row];
    s->new_indices = ft_memory_take(memory, s->new_indptr[n], sizeof(int32_t));
    s->new_data = ft_memory_take(memory, s->new_indptr[n], sizeof(float));
    if (memory->failed) return FT_NO_MEMORY;
    return ft_parallel_run(run, FT_ROW_CHUNKS(n), cost, select_task, s);
}

ft_status ft_coarsening_find(const int64_t *indptr, const int32_t *indices, const float *data,
                             int64_t n, int32_t *groups, int64_t *n_groups, ft_run *run)
{
    ft_memory memory = {0};
    strong_edges strong = {.indptr = indptr, .indices = indices, .data = data, .n = n};
    ft_status status = select_strong(&strong, &memory, run);
    coarsening c = {.groups = groups, .n = n, .n_groups = n};
    c.indptr = strong.new_indptr, c.indices = strong.new_indices, c.data = strong.new_data;
    c.members = ft_memory_take(&memory, n, sizeof(int32_t));
    c.begins = ft_memory_take(&memory, n + 1, sizeof(int64_t));
    c.proposal = ft_memory_take(&memory, n, sizeof(int32_t));
    c.partner = ft_memory_take(&memory, n, sizeof(int32_t));
    c.number = ft_memory_take(&memory, n, sizeof(int32_t));
    if (memory.failed) status = FT_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) groups[i] = (int32_t)i;
    for (int round = 0; round < ROUNDS && status == FT_OK; round++) status = one_round(&c, run);
    *n_groups = c.n_groups;
    ft_memory_free(&memory);
    return status;
}

static void count_task(FT_TASK_ARGUMENTS)
{
    const coarsening *c = context;
    table *t = &c->tables[thread];
    const int64_t end = ft_least((chunk + 1) * GROUPS_PER_CHUNK, c->n_groups);
    for (int32_t group = (int32_t)(chunk * GROUPS_PER_CHUNK); group < end; group++) {
        add_edges(c, group, t);
        c->new_indptr[group + 1] = t->n_slots;
        clear(t);
    }
}

static void fill_task(FT_TASK_ARGUMENTS)
{
    const coarsening *c = context;
    table *t = &c->tables[thread];
    const int64_t end = ft_least((chunk + 1) * GROUPS_PER_CHUNK, c->n_groups);
    for (int32_t group = (int32_t)(chunk * GROUPS_PER_CHUNK); group < end; group++) {
        const int64_t begin = c->new_indptr[group];
        add_edges(c, group, t);
        for (int64_t i = 0; i < t->n_slots; i++) {
            c->new_indices[begin + i] = t->keys[t->slots[i]];
            c->new_data[begin + i] = t->sums[t->slots[i]];
        }
        clear(t);
    }
}

ft_status ft_coarsening_joint(const int64_t *indptr, const int32_t *indices, const float *data,
                              int64_t n, const int32_t *groups, int64_t n_groups,
                              int64_t *new_indptr, int32_t *new_indices, float *new_data,
                              ft_run *run)
{
    ft_memory memory = {0};
    coarsening c = {.indptr = indptr, .indices = indices, .data = data};
    c.n = n, c.n_groups = n_groups, c.groups = (int32_t *)groups; /* which is only read */
    c.new_indptr = new_indptr, c.new_indices = new_indices, c.new_data = new_data;
    c.members = ft_memory_take(&memory, n, sizeof(int32_t));
    c.begins = ft_memory_take(&memory, n_groups + 1, sizeof(int64_t));
    ft_status status = FT_NO_MEMORY;
    if (!memory.failed) {
        sort_members(&c);
        if (make_tables(&c, &memory, ft_parallel_threads(run)))
            status = run_groups(&c, new_indices == NULL ? count_task : fill_task, run);
    }
    if (status == FT_OK && new_indices == NULL) {
        new_indptr[0] = 0;
        for (int64_t g = 0; g < n_groups; g++) new_indptr[g + 1] += new_indptr[g];
    }
    ft_memory_free(&memory);
    return status;
}

typedef struct {
    const int64_t *indptr;
    const int32_t *indices;
    const float *data;
    const int32_t *groups;
    const float *coarse;
    int64_t n;
    int dim;
    float *embedding;
} prolongation;

static void prolong_task(FT_TASK_ARGUMENTS)
{
    const prolongation *p = context;
    const int64_t end = ft_least((chunk + 1) * FT_ROWS, p->n);
    for (int64_t row = chunk * FT_ROWS; row < end; row++)
        for (int axis = 0; axis < p->dim; axis++) {
            double sum = 0.0, of_y = 0.0;
            for (int64_t e = p->indptr[row]; e < p->indptr[row + 1]; e++) {
                const double weight = (double)p->data[e];
                sum += weight;
                of_y +=
                    weight * (double)p->coarse[p->groups[p->indices[e]] * (int64_t)p->dim + axis];
            }
            const float own = p->coarse[p->groups[row] * (int64_t)p->dim + axis];
            p->embedding[row * p->dim + axis] = sum > 0.0 ? (float)(of_y / sum) : own;
        }
}

ft_status ft_coarsening_prolong(const int64_t *indptr, const int32_t *indices, const float *data,
                                int64_t n, const int32_t *groups, const float *coarse, int dim,
                                float *embedding, ft_run *run)
{
    prolongation p = {indptr, indices, data, groups, coarse, n, dim, embedding};
    const double cost = EDGE_COST * (double)indptr[n] / (double)FT_ROW_CHUNKS(n);
    return ft_parallel_run(run, FT_ROW_CHUNKS(n), cost, prolong_task, &p);
}
