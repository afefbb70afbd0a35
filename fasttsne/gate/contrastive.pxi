# Gradients of contrastive losses, and their random numbers.

# Shifts that estimate the sum of q over all pairs, for KL(P || Q) of a map without a tree.
N_SHIFTS_OF_KL = 2048


def draw_numbers(uint64_t seed, uint64_t iteration, int64_t bound, int64_t count):
    """Return random numbers in 0 .. bound - 1, which depend on the arguments alone."""
    expect(bound > 0 and count > 0, "bound and count must be at least 1")
    cdef int64_t[::1] draws = np.empty(count, dtype=np.int64)
    ft_contrastive_draw(seed, iteration, bound, count, &draws[0])
    return np.asarray(draws)


cdef class ContrastiveForces(BarnesHutForces):
    """The gradient 4 (attractive - repulsive) of a contrastive loss, from sampled negatives.

    Maps may have any number of components; the tree, for the order and KL, has the first three.
    """

    cdef ft_contrastive samples
    cdef int64_t[::1] shifts, heads
    cdef float[::1] sums, weights
    cdef float[:, ::1] columns
    cdef bint infonce
    cdef int64_t n_negatives, n_repeats
    cdef uint64_t seed, iteration
    cdef double odds, sum_mean_q, sum_mean_h
    cdef int64_t n_means

    def __init__(self, int64_t[::1] indptr not None, int32_t[::1] indices not None,
                 float[::1] data not None, int n_components, int64_t n_negatives,
                 int64_t n_repeats, uint64_t seed, bint infonce, int n_threads):
        expect(n_components <= FT_MOST_COMPONENTS, "at most 64 components")
        BarnesHutForces.__init__(
            self, indptr, indices, data, min(n_components, 3), 1.0, 0.5, n_threads)
        if n_components > 3:
            self._allocate(self.n, n_components, 1.0, n_threads, 1)
        expect(n_negatives > 0 and n_repeats > 0, "there must be negatives")
        self.n_negatives, self.n_repeats = n_negatives, 1 if infonce else n_repeats
        self.infonce, self.seed, self.iteration = infonce, seed, 0
        self.partial = np.zeros(2 * (self.n // FT_ROWS + 1), dtype=np.float64)
        self.shifts = np.zeros(self.n_negatives * self.n_repeats, dtype=np.int64)
        self.heads = np.zeros(self.shifts.shape[0], dtype=np.int64)
        self.sums = np.zeros(self.n if infonce else 1, dtype=np.float32)
        self.weights = np.zeros(FT_CONTRASTIVE_ROOM(self.n) if infonce else 1, dtype=np.float32)
        self.columns = np.zeros((n_components, FT_CONTRASTIVE_ROOM(self.n)), dtype=np.float32)
        self.odds = 1.0
        self.forget_means()

    cdef forget_means(self):
        self.sum_mean_q = self.sum_mean_h = 0.0
        self.n_means = 0

    cdef void see(self, const float *embedding) noexcept nogil:
        # The input of the kernels.
        cdef ft_contrastive *c = &self.samples
        c.indptr, c.indices, c.data = &self.indptr[0], &self.indices[0], &self.data[0]
        c.embedding, c.n, c.dim, c.first, c.last = embedding, self.n, self.dim, 0, self.n
        c.shifts, c.heads, c.n_shifts = &self.shifts[0], &self.heads[0], self.shifts.shape[0]
        c.odds, c.partial = self.odds, &self.partial[0]
        c.attractive, c.repulsive = &self._attractive[0, 0], &self._repulsive[0, 0]
        c.sums, c.weights = &self.sums[0], &self.weights[0]
        c.columns = &self.columns[0, 0]

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
            # p q (1 - h) = p / (1 + 1/c + d^2): as in t-SNE with nu = 1 + 1/c, up to a factor.
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
        # A step with the sums as the kernels return them.
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

    cdef check_finite(self, float[:, ::1] embedding):
        self.check_map(embedding)
        if not np.abs(embedding).max() < FT_LARGEST_COORDINATE:
            check(FT_DIVERGED)

    def reorder(self, *arrays):
        """See `BarnesHutForces.reorder`; the first array is the embedding."""
        self.check_finite(arrays[0])
        cdef float[:, ::1] places = np.ascontiguousarray(arrays[0][:, :3])
        with nogil:
            check(ft_tree_build(self.tree, &places[0, 0], &self.run))
        self.evaluated = True
        BarnesHutForces.reorder(self, *arrays)

    def take_means(self):
        """Return the means of q and h over the negatives since the last call."""
        means = (self.sum_mean_q / self.n_means, self.sum_mean_h / self.n_means)
        self.forget_means()
        return means

    def missed(self, float[:, ::1] embedding not None):
        """Return the sum of p (1 - h) over the edges of P."""
        self.check_map(embedding)
        cdef double total
        self.see(&embedding[0, 0])
        with nogil:
            check(ft_contrastive_missed(&self.samples, &total, &self.run))
        return total

    def set_odds(self, double odds):
        """Set c = m xi Z; h = q / (q + c) is the probability that a pair is data."""
        expect(1e-30 <= odds <= 1e30, "odds must be in 1e-30 .. 1e30")
        self.odds = odds

    def evaluate_kl(self, float[:, ::1] embedding not None):
        """Return KL(P || Q) of t-SNE, and set `sum_q`.

        Above three components sum_q is a mean over all pairs of up to 2,049 points, and over
        drawn ones of more.
        """
        self.check_finite(embedding)
        cdef ft_status status
        cdef double mean_q, mean_h
        cdef ft_student student
        cdef int64_t[::1] shifts
        if self.dim <= 3:
            with nogil:
                check(BarnesHutForces.act_for(self, &embedding[0, 0], True, NULL))
            return self.kl_divergence_exaggerated(1.0)
        shifts = np.arange(1, self.n, dtype=np.int64)
        if self.n > N_SHIFTS_OF_KL + 1:
            shifts = 1 + draw_numbers(self.seed, 2**63, self.n - 1, N_SHIFTS_OF_KL)
        student.degrees_of_freedom = 1.0
        self.see(&embedding[0, 0])
        self.samples.shifts, self.samples.n_shifts = &shifts[0], shifts.shape[0]
        with nogil:
            status = ft_contrastive_repulsion(&self.samples, &mean_q, &mean_h, &self.run)
            if status == FT_OK:
                status = ft_attraction_compute(
                    &self.indptr[0], &self.indices[0], &self.data[0], &embedding[0, 0], self.dim,
                    NULL, student, 0, self.n, &self._attractive[0, 0], &self._cross_entropy,
                    &self.partial[0], NULL, &self.run)
        check(status)
        self.sum_q = mean_q * self.n * (self.n - 1.0)
        return self.kl_divergence_exaggerated(1.0)
