/* retrieval.c - how well points retrieve points of their class: measures of exact rankings.
 *
 * Every query ranks all other points by distance. With R others of its class, the measures depend
 * on the first R ranks alone, and there only on the places of the class. So bounds of distances
 * (screening.h) suffice where a point of the class and another point cannot change places; exact
 * distances decide the other pairs. Points at equal distance have no order: the measures are means
 * over their orders.
 *
 * Points stand class by class, so a class is a range. A sample of the points gives each query a
 * threshold that about R points do not exceed: it saves sorting points that are further away, and
 * a query with fewer is compared with all points. */
#include "screening.h"

#define SAMPLE FT_TILE
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)

typedef struct {
    ft_screening_scratch screening;
    uint64_t *keys;    /* capacity, twice: a lower bound and the number of a point */
    uint32_t *places;  /* DIGITS */
    uint8_t *unsure;   /* capacity */
    ft_neighbor *list; /* n, twice */
} scratch;

typedef struct {
    ft_screening screening;
    ft_points points;
    const int64_t *starts; /* n_classes + 1 */
    int64_t n_classes, n_queries;
    const int64_t *ks;
    int64_t n_ks, most_ranks; /* the largest of ks */
    int64_t block_rows;
    const float *sample, *sample_norms; /* n_sample points of the screen */
    int64_t n_sample;
    double unit; /* from a squared distance to that of the screen */
    double *measures;
    ft_memory memory;
    scratch *scratches;
    const int32_t *exhaustive_rows;
} retrieval;

/* A query and its class, a range of points. */
typedef struct {
    int64_t row, first, last, n_relevant;
} query;

static query query_of(const retrieval *c, int64_t row)
{
    int64_t low = 0, high = c->n_classes;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (c->starts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    query q = {.row = row, .first = c->starts[low], .last = c->starts[low + 1]};
    q.n_relevant = q.last - q.first - 1;
    return q;
}

FT_INLINE int is_relevant(const query *q, int64_t point)
{
    return (point >= q->first) & (point < q->last);
}

static int64_t ranks_needed(const retrieval *c, const query *q)
{
    int64_t ranks = q->n_relevant > c->most_ranks ? q->n_relevant : c->most_ranks;
    return ft_least(ranks, c->screening.n - 1);
}

/* The chance that `n_places` of a tie's `size` places hold none of its `hits`. */
static double chance_of_none(double size, double hits, double n_places)
{
    double chance = 1.0;
    for (double place = 0.0; place < n_places && chance > 0.0; place++)
        chance *= 1.0 - (hits < size - place ? hits / (size - place) : 1.0);
    return chance;
}

/* MAP@R, R-precision and the hit rates from points by rank, of which the ranks needed are right. */
static void write_measures(const retrieval *c, const query *q, const ft_neighbor *list,
                           int64_t count)
{
    double *measures = c->measures + q->row * (2 + c->n_ks);
    const int64_t r_ranks = q->n_relevant, ranks = ranks_needed(c, q);
    double precisions = 0.0, found_in_r = 0.0, found = 0.0;
    for (int64_t k = 0; k < c->n_ks; k++) measures[2 + k] = 0.0;
    for (int64_t begin = 0, end; begin < ft_least(count, ranks); begin = end) {
        int64_t n_hits = 0;
        for (end = begin; end < count && list[end].distance == list[begin].distance; end++)
            n_hits += is_relevant(q, list[end].index);
        if (n_hits == 0) continue;
        const double size = (double)(end - begin), hits = (double)n_hits;
        if (found == 0.0)
            for (int64_t k = 0; k < c->n_ks; k++)
                measures[2 + k] =
                    1.0 -
                    chance_of_none(size, hits, (double)ft_least(c->ks[k] - begin, end - begin));
        const int64_t last = ft_least(end, r_ranks);
        const double others = end - begin > 1 ? (hits - 1.0) / (size - 1.0) : 0.0;
        double sum = 0.0;
        for (int64_t rank = begin; rank < last; rank++)
            sum += (1.0 + found + (double)(rank - begin) * others) / (double)(rank + 1);
        precisions += sum * hits / size;
        if (begin < last) found_in_r += hits * (double)(last - begin) / size;
        found += hits;
    }
    measures[0] = precisions / (double)r_ranks;
    measures[1] = found_in_r / (double)r_ranks;
}

/* Sorts by distance. The list is nearly sorted as a rule; otherwise insertion would be slow. */
FT_INLINE void sort_list(ft_neighbor *list, int64_t count, ft_neighbor *buffer)
{
    int64_t moves_left = 16 * count;
    for (int64_t i = 1; i < count; i++) {
        ft_neighbor item = list[i];
        int64_t j = i;
        for (; j > 0 && item.distance < list[j - 1].distance; j--) list[j] = list[j - 1];
        list[j] = item;
        moves_left -= i - j;
        if (moves_left < 0) {
            ft_sort_neighbors(list, buffer, count);
            return;
        }
    }
}

/* Sorts keys by their upper half; those of a short list by insertion. The result stands in `keys`
 * or in the other half of the room: its place is returned. */
FT_INLINE uint64_t *sort_keys(uint64_t *keys, uint64_t *other, int64_t count, uint32_t *places)
{
    if (count <= 64) {
        for (int64_t i = 1; i < count; i++) {
            uint64_t key = keys[i];
            int64_t j = i;
            for (; j > 0 && key < keys[j - 1]; j--) keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return keys;
    }
    for (int shift = 32; shift < 64; shift += DIGIT_BITS) {
        memset(places, 0, sizeof(uint32_t) * DIGITS);
        for (int64_t i = 0; i < count; i++) places[(keys[i] >> shift) & (DIGITS - 1)]++;
        uint32_t place = 0;
        for (int digit = 0; digit < DIGITS; digit++) {
            uint32_t of_digit = places[digit];
            places[digit] = place;
            place += of_digit;
        }
        for (int64_t i = 0; i < count; i++)
            other[places[(keys[i] >> shift) & (DIGITS - 1)]++] = keys[i];
        uint64_t *swap = keys;
        keys = other;
        other = swap;
    }
    return keys;
}

FT_INLINE uint64_t key_of(float lower, int32_t point)
{
    uint32_t ordered = (uint32_t)ft_key_of(lower) ^ UINT32_C(0x80000000);
    return (uint64_t)ordered << 32 | (uint32_t)point;
}

FT_INLINE float lower_of(uint64_t key)
{
    return ft_value_of((int32_t)((uint32_t)(key >> 32) ^ UINT32_C(0x80000000)));
}

/* Ranks the candidates of a query: `list` gets all but the query itself. */
FT_INLINE int64_t rank_candidates(const retrieval *c, const scratch *w, const query *q,
                                  const float *lower, const int32_t *candidates, int64_t count)
{
    const ft_screening *s = &c->screening;
    const float query_error = s->query_errors[q->row];
    uint64_t *keys = w->keys;
    int64_t n_others = 0;
    for (int64_t i = 0; i < count; i++) {
        keys[n_others] = key_of(lower[i], candidates[i]);
        n_others += candidates[i] != q->row;
    }
    keys = sort_keys(keys, keys + s->capacity, n_others, w->places);

    /* A point is unsure where its bounds overlap those of a point of the other kind. */
    float *restrict upper = w->screening.upper;
    float reached[2] = {-INFINITY, -INFINITY}, next[2] = {INFINITY, INFINITY};
    for (int64_t i = 0; i < n_others; i++) {
        const int32_t point = (int32_t)(uint32_t)keys[i];
        const float bound = lower_of(keys[i]);
        const int relevant = is_relevant(q, point);
        float highest = bound + s->norm_errors[point] + query_error;
        highest += fabsf(highest) * 1e-6f; /* the bounds were added in single precision */
        upper[i] = highest;
        w->unsure[i] = bound <= reached[!relevant];
        reached[relevant] = highest > reached[relevant] ? highest : reached[relevant];
    }
    for (int64_t i = n_others - 1; i >= 0; i--) {
        const int relevant = is_relevant(q, (int64_t)(uint32_t)keys[i]);
        w->unsure[i] |= next[!relevant] <= upper[i];
        next[relevant] = lower_of(keys[i]);
    }

    /* A sure point is represented by its lower bound, to which the query's share is added. */
    int64_t ahead = 0;
    for (int64_t i = 0, waiting = 0; i < n_others; i++) {
        for (; ahead < n_others && waiting < FT_AHEAD; ahead++)
            if (w->unsure[ahead]) {
                ft_prefetch_point(c->points, s->d, (int64_t)(uint32_t)keys[ahead]);
                waiting++;
            }
        const int32_t point = (int32_t)(uint32_t)keys[i];
        double distance = (double)s->norms[q->row] + (double)lower_of(keys[i]);
        if (w->unsure[i]) {
            distance = ft_exact_distance(c->points, q->row, c->points, point, s->d) * c->unit;
            waiting--;
        }
        w->list[i] = (ft_neighbor){distance, point};
    }
    sort_list(w->list, n_others, w->list + s->n);
    return n_others;
}

/* Thresholds of a block's rows from the sample: few queries have fewer points within. */
FT_INLINE void set_thresholds(const retrieval *c, const scratch *w, ft_screening_block *b)
{
    const ft_screening *s = &c->screening;
    float *products = w->screening.products, *estimates = w->screening.upper;
    ft_screening_products(s, c->sample, c->n_sample, b->first, b->rows, products);
    for (int64_t r = 0; r < b->rows; r++) {
        double mean = (double)b->fewest[r] * (double)c->n_sample / (double)s->n;
        int64_t within = (int64_t)ceil(mean + 3.0 * sqrt(mean) + 3.0);
        b->threshold[r] = INFINITY;
        if (within >= c->n_sample) continue;
        for (int64_t i = 0; i < c->n_sample; i++)
            estimates[i] = c->sample_norms[i] + products[r * FT_TILE + i];
        b->threshold[r] = ft_bound(estimates, NULL, c->n_sample, within, within + within / 16);
    }
}

FT_INLINE void screened_retrieval_body(FT_TASK_ARGUMENTS)
{
    const retrieval *c = context;
    const ft_screening *s = &c->screening;
    const scratch *w = &c->scratches[thread];
    ft_screening_block b = {.first = chunk * c->block_rows};
    b.rows = ft_least(c->n_queries - b.first, c->block_rows);
    for (int64_t r = 0; r < b.rows; r++) {
        query q = query_of(c, b.first + r);
        b.fewest[r] = ranks_needed(c, &q) + 1;
        b.count[r] = 0;
    }
    set_thresholds(c, w, &b);
    float first_threshold[FT_BLOCK];
    memcpy(first_threshold, b.threshold, sizeof first_threshold);
    if (!ft_screening_fill(s, &w->screening, &b, thread)) return;

    for (int64_t r = 0; r < b.rows; r++) {
        query q = query_of(c, b.first + r);
        if (s->undecided[q.row]) continue;
        float *lower = w->screening.lower + r * s->capacity;
        int32_t *candidates = w->screening.candidates + r * s->capacity;
        int64_t count = b.count[r];
        if (count >= b.fewest[r]) {
            float bound = ft_screening_bound(s, lower, candidates, count, b.fewest[r],
                                             w->screening.upper, s->query_errors[q.row]);
            s->undecided[q.row] = bound > first_threshold[r];
            count = ft_keep_within(lower, candidates, count, bound);
        } else {
            s->undecided[q.row] = 1;
        }
        if (s->undecided[q.row]) continue;
        count = rank_candidates(c, w, &q, lower, candidates, count);
        write_measures(c, &q, w->list, count);
        if ((r & 7) == 7 && ft_parallel_stopped(s->run, thread)) return;
    }
}
FT_TASK_VARIANTS(screened_retrieval)

/* One query by exact distances to all points. */
FT_INLINE void exhaustive_retrieval_body(FT_TASK_ARGUMENTS)
{
    const retrieval *c = context;
    const ft_screening *s = &c->screening;
    ft_neighbor *list = c->scratches[thread].list;
    query q = query_of(c, c->exhaustive_rows[chunk]);
    int64_t count = 0;
    for (int64_t j = 0; j < s->n; j++) {
        if ((j & 4095) == 0 && ft_parallel_stopped(s->run, thread)) return;
        if (j != q.row)
            list[count++] =
                (ft_neighbor){ft_exact_distance(c->points, q.row, c->points, j, s->d), (int32_t)j};
    }
    sort_list(list, count, list + s->n);
    write_measures(c, &q, list, count);
}
FT_TASK_VARIANTS(exhaustive_retrieval)

static void allocate_scratch(retrieval *c, int n_threads)
{
    const int64_t capacity = c->screening.capacity;
    c->scratches = ft_memory_take(&c->memory, n_threads, sizeof(scratch));
    for (int t = 0; t < n_threads && !c->memory.failed; t++) {
        scratch *w = &c->scratches[t];
        ft_screening_take(&c->memory, &w->screening, c->block_rows, capacity);
        w->keys = ft_memory_take(&c->memory, 2 * capacity, sizeof(uint64_t));
        w->places = ft_memory_take(&c->memory, DIGITS, sizeof(uint32_t));
        w->unsure = ft_memory_take(&c->memory, capacity, 1);
        w->list = ft_memory_take(&c->memory, 2 * c->screening.n, sizeof(ft_neighbor));
    }
}

/* Every (n / n_sample)-th point of the screen, with its norm. */
static void take_sample(retrieval *c)
{
    const ft_screening *s = &c->screening;
    c->n_sample = ft_least(s->n, SAMPLE);
    float *sample = ft_memory_take(&c->memory, c->n_sample * s->d, sizeof(float));
    float *norms = ft_memory_take(&c->memory, c->n_sample, sizeof(float));
    if (c->memory.failed) return;
    for (int64_t i = 0; i < c->n_sample; i++) {
        int64_t point = i * s->n / c->n_sample;
        memcpy(sample + i * s->d, s->screen + point * s->d, sizeof(float) * (size_t)s->d);
        norms[i] = s->norms[point];
    }
    c->sample = sample, c->sample_norms = norms;
}

static ft_status measure_all(retrieval *c)
{
    const ft_screening *s = &c->screening;
    const double row_cost = (double)s->n * (0.05 * (double)s->d + 0.3);
    ft_status status = FT_OK;
    allocate_scratch(c, ft_parallel_threads(s->run));
    int32_t *rows = ft_memory_take(&c->memory, c->n_queries, sizeof(int32_t));
    if (s->screen != NULL) take_sample(c);
    if (c->memory.failed) return FT_NO_MEMORY;
    if (s->screen != NULL)
        status = ft_parallel_run(s->run, (c->n_queries + c->block_rows - 1) / c->block_rows,
                                 (double)c->block_rows * row_cost, FT_TASK(screened_retrieval), c);
    if (status != FT_OK) return status;
    int64_t left = 0;
    for (int64_t i = 0; i < c->n_queries; i++)
        if (s->undecided[i]) rows[left++] = (int32_t)i;
    c->exhaustive_rows = rows;
    return ft_parallel_run(s->run, left, 10.0 * row_cost, FT_TASK(exhaustive_retrieval), c);
}

ft_status ft_retrieval_measure(const float *screen, double unit, ft_points points, int64_t n,
                               int64_t d, const int64_t *starts, int64_t n_classes,
                               const int64_t *ks, int64_t n_ks, double *measures, ft_sgemm sgemm,
                               ft_run *run)
{
    retrieval c = {.points = points, .starts = starts, .n_classes = n_classes, .unit = unit};
    c.n_queries = starts[n_classes], c.measures = measures, c.ks = ks, c.n_ks = n_ks;
    for (int64_t k = 0; k < n_ks; k++) c.most_ranks = ks[k] > c.most_ranks ? ks[k] : c.most_ranks;
    int64_t ranks = c.most_ranks;
    for (int64_t i = 0; i < n_classes; i++) {
        int64_t n_relevant = starts[i + 1] - starts[i] - 1;
        ranks = n_relevant > ranks ? n_relevant : ranks;
    }
    /* More points than there are need no room; the thresholds need that of the sample. */
    int64_t capacity = ft_least(2 * ft_least(ranks, n) + FT_SLACK, n + FT_STRIP);
    c.screening = (ft_screening){.screen = screen, .query_screen = screen, .n = n, .d = d};
    c.screening.capacity = capacity > SAMPLE ? capacity : SAMPLE;
    c.screening.sgemm = sgemm, c.screening.run = run;
    /* Lists of long rankings take the memory of a block, so its rows are fewer. */
    c.block_rows = ft_least(FT_BLOCK, ((int64_t)1 << 21) / c.screening.capacity + 1);
    float *norms = ft_memory_take(&c.memory, 2 * n, sizeof(float));
    unsigned char *undecided = ft_memory_take(&c.memory, n, 1);
    ft_status status = FT_NO_MEMORY;
    if (!c.memory.failed) {
        memset(undecided, screen == NULL, (size_t)n);
        if (screen != NULL) ft_screening_norms(screen, n, d, norms, NULL);
        c.screening.norms = norms, c.screening.norm_errors = norms + n;
        c.screening.query_errors = norms + n, c.screening.undecided = undecided;
        status = measure_all(&c);
    }
    ft_memory_free(&c.memory);
    return status;
}
