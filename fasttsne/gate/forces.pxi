# Forces on the points of a map: by a tree, or over all pairs.

cdef class Forces:
    """Forces on a map of n points in d dimensions, at the last evaluated embedding."""

    cdef int64_t n
    cdef int dim
    cdef ft_student student
    cdef ft_run run
    cdef int64_t n_edges
    cdef readonly double negative_entropy  # sum of p log p
    cdef readonly int64_t n_steps  # that `descend` has taken
    cdef readonly double grad_norm  # of gains * gradient, in the last step of the last `descend`
    cdef readonly double sum_q  # Z, the sum of w_ij over all ordered pairs
    cdef double _cross_entropy
    cdef float[:, ::1] _attractive, _repulsive
    cdef double[::1] partial
    cdef float[::1] _masses  # None where every row is one point
    # The density term: its weight in the objective over the exaggeration, and its correlation at
    # the last evaluation with a weight or `compute_kl`. The targets are None without one.
    cdef public double density
    cdef readonly double density_correlation
    cdef float[::1] _targets, _log_radii, _strengths
    cdef double[::1] density_sums

    cdef _allocate(self, int64_t n, int dim, double degrees_of_freedom, int n_threads,
                   int64_t n_partial):
        expect(n > 1 and dim > 0, "needs two points and one component")
        expect_degrees_of_freedom(degrees_of_freedom)
        expect(n < 2**31, "more than 2**31 - 1 points")
        self.n, self.dim, self.run = n, dim, make_run(n_threads)
        self.student.degrees_of_freedom = degrees_of_freedom
        self._attractive = np.zeros((n, dim), dtype=np.float32)
        self._repulsive = np.zeros((n, dim), dtype=np.float32)
        self.partial = np.zeros(n_partial, dtype=np.float64)
        self.sum_q = self._cross_entropy = self.grad_norm = float("nan")
        self.n_steps = 0
        self.density = self.density_correlation = 0.0
        self._masses = self._targets = None

    cdef const float *masses_pointer(self) noexcept nogil:
        return &self._masses[0] if self._masses is not None else NULL

    cdef weigh(self, masses, double negative_entropy):
        expect(len(masses) == self.n, "masses must be one a point")
        self._masses = masses.copy()
        self.negative_entropy = negative_entropy

    cdef _aim(self, float[::1] targets):
        expect(targets.shape[0] == self.n, "targets must be one a point")
        expect(np.isfinite(targets).all(), "targets must be finite")
        self._targets = targets.copy()
        self._log_radii, self._strengths = np.empty((2, self.n), dtype=np.float32)
        self.density_sums = np.empty((self.n // FT_ROWS + 1) * FT_DENSITY_SUMS)

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        return FT_OK

    cdef ft_status add_density(self, const int64_t *indptr, const int32_t *indices,
                               const float *embedding, bint measure) noexcept nogil:
        # The density term on a graph of neighbours: the last part of `act`.
        cdef ft_density density
        cdef double nu = self.student.degrees_of_freedom
        if self._targets is None or (self.density == 0.0 and not measure):
            return FT_OK
        density.indptr, density.indices = indptr, indices
        density.masses, density.targets = self.masses_pointer(), &self._targets[0]
        density.n, density.dim = self.n, self.dim
        density.log_radii, density.strengths = &self._log_radii[0], &self._strengths[0]
        density.partial = &self.density_sums[0]
        if self.density == 0.0:
            return ft_density_measure(
                &density, embedding, &self.density_correlation, &self.run)
        # A step multiplies the attraction by 2 (nu + 1) / nu and the exaggeration.
        return ft_density_attract(
            &density, embedding, -self.density * nu / (nu + 1.0), &self._attractive[0, 0],
            &self.density_correlation, &self.run)

    cdef ft_status move(self, ft_update *update) noexcept nogil:
        # From update.embedding to update.moved. Not interruptible: all rows move or none.
        cdef poll_function poll = self.run.poll
        update.step.sum_q = self.sum_q
        self.run.poll = NULL
        cdef ft_status status = ft_update_step(update, &self.run)
        self.run.poll = poll
        return status

    cdef void scale(self, ft_update *update, double *sums) noexcept nogil:
        # Not interruptible: all rows or none.
        cdef poll_function poll = self.run.poll
        self.run.poll = NULL
        ft_scale_step(update, self.masses_pointer(), sums, &self.run)
        self.run.poll = poll

    cdef scale_sums(self):
        return np.empty((self.n // FT_ROWS + 1) * FT_SCALE_SUMS(self.dim))

    cdef ft_status act_and_move(self, ft_update *update) noexcept nogil:
        # Forces and a step; nothing has changed if the status is not FT_OK.
        cdef ft_status status = self.act(update.embedding, False)
        return self.move(update) if status == FT_OK else status

    cdef double log_sum_q(self) noexcept nogil:
        # Where w underflows, both sums count it as exp(-FT_LARGEST_LOG).
        return log(self.sum_q + self.n_edges * exp(-FT_LARGEST_LOG))

    cdef check_map(self, float[:, ::1] array):
        expect(array.shape[0] == self.n and array.shape[1] == self.dim,
               f"arrays of the map must have shape ({self.n}, {self.dim})")

    def evaluate(self, float[:, ::1] embedding not None, bint compute_kl):
        """Compute the forces at `embedding`; `kl_divergence` requires `compute_kl`."""
        self.check_map(embedding)
        with nogil:
            check(self.act(&embedding[0, 0], compute_kl))

    def kl_divergence_exaggerated(self, double exaggeration):
        """Return KL(exaggeration * P || Q), scikit-learn's error during early exaggeration."""
        # KL(eP || Q) = e (sum p log p - sum p log w + log e + log Z), as the sum of P is 1.
        return exaggeration * (
            self.negative_entropy + self._cross_entropy + log(exaggeration) + self.log_sum_q()
        ) + 0.0  # never -0.0

    @property
    def kl_divergence(self):
        """KL(P || Q) at the last evaluation with `compute_kl`."""
        return self.kl_divergence_exaggerated(1.0)

    def objective(self, double exaggeration):
        """Return the objective of a descent with this exaggeration; KL(P || Q) at 1.

        With a density term, this times the exaggeration and the correlation is subtracted.
        """
        return (
            exaggeration * (self.negative_entropy + self._cross_entropy) + self.log_sum_q()
            - self.density * exaggeration * self.density_correlation + 0.0
        )

    def slope_and_radius(self, float[:, ::1] embedding not None, double exaggeration):
        """Return the objective's slope along the log scale of the map, and the map's radius.

        `embedding` is the last evaluated one. The radius is the root mean square distance from
        the mean.
        """
        self.check_map(embedding)
        cdef double[::1] sums = self.scale_sums()
        cdef ft_update update
        update.step = ft_step(
            0.0, 0.0, exaggeration, self.student.degrees_of_freedom, self.sum_q)
        update.first, update.last, update.dim = 0, self.n, self.dim
        update.attractive, update.repulsive = &self._attractive[0, 0], &self._repulsive[0, 0]
        update.moved, update.velocity = &embedding[0, 0], NULL
        cdef poll_function poll = self.run.poll
        cdef ft_scale scale
        self.run.poll = NULL
        with nogil:
            scale = ft_scale_find(&update, self.masses_pointer(), &sums[0], &self.run)
        self.run.poll = poll
        return scale.slope, scale.radius

    @property
    def degrees_of_freedom(self):
        """nu of the map's kernel; after a change the forces must be evaluated again."""
        return self.student.degrees_of_freedom

    @degrees_of_freedom.setter
    def degrees_of_freedom(self, double degrees_of_freedom):
        expect_degrees_of_freedom(degrees_of_freedom)
        self.student.degrees_of_freedom = degrees_of_freedom

    @property
    def targets(self):
        """Logarithms of local radii in the data, standardised, in the order of the arrays."""
        return None if self._targets is None else np.asarray(self._targets)

    @property
    def masses(self):
        """The number of points each row stands for, in the order of the arrays; None for 1 each."""
        return None if self._masses is None else np.asarray(self._masses)

    @property
    def order(self):
        """Row of the arrays here -> row as the caller numbered it."""
        return np.arange(self.n, dtype=np.int32)

    def reorder(self, *arrays):
        """Place points that are close on the map close in memory; does nothing here."""

    def restore_order(self, int32_t[::1] order not None):
        """Check that `order` is the caller's, the only one here."""
        expect(np.array_equal(order, self.order), "points stand as the caller numbered them")

    @property
    def attractive(self):
        """Sum over j of p_ij u_ij (y_i - y_j), shape (n, d)."""
        return np.asarray(self._attractive)

    @property
    def repulsive(self):
        """Sum over j of w_ij u_ij (y_i - y_j), not yet divided by sum_q, shape (n, d)."""
        return np.asarray(self._repulsive)


cdef inverted(order):
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order), dtype=np.int32)
    return inverse


cdef class BarnesHutForces(Forces):
    """Attraction along the edges of a sparse P, repulsion through a tree."""

    cdef ft_tree *tree
    cdef double angle
    cdef int64_t[::1] indptr
    cdef int32_t[::1] indices
    cdef float[::1] data
    cdef int32_t[::1] _order
    cdef bint evaluated

    def __init__(self, int64_t[::1] indptr not None, int32_t[::1] indices not None,
                 float[::1] data not None, int n_components, double degrees_of_freedom,
                 double angle, int n_threads, masses=None, double negative_entropy=0.0):
        cdef int64_t n = indptr.shape[0] - 1
        expect(1 <= n_components <= 3, "Barnes-Hut maps have 1, 2 or 3 components")
        self._allocate(n, n_components, degrees_of_freedom, n_threads, n // FT_ROWS + 1)
        expect_graph(indptr, indices, data)
        self.indptr, self.indices, self.data = indptr, indices, data
        self._order = np.arange(n, dtype=np.int32)
        self.angle, self.evaluated = angle, False
        self.tree = ft_tree_create(n, n_components)
        if self.tree == NULL:
            raise MemoryError("no memory for the tree")
        self.n_edges = data.shape[0]
        with nogil:
            check(ft_joint_negative_entropy(
                &self.data[0], self.n_edges, &self.negative_entropy, &self.run))
        if masses is not None:
            self.weigh(masses, negative_entropy)
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
                &self._repulsive[0, 0], &self.sum_q, &self.run)
        if status != FT_OK:
            return status
        cdef poll_function poll = self.run.poll
        if update != NULL:  # as in `move`
            update.step.sum_q = self.sum_q
            self.run.poll = NULL
        status = ft_attraction_compute(
            &self.indptr[0], &self.indices[0], &self.data[0], embedding, self.dim,
            self.masses_pointer(), self.student, 0, self.n, &self._attractive[0, 0],
            &self._cross_entropy if compute_kl else NULL, &self.partial[0], update, &self.run)
        self.run.poll = poll
        return status

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        cdef ft_status status = self.act_for(embedding, compute_kl, NULL)
        if status != FT_OK:
            return status
        return self.add_density(&self.indptr[0], &self.indices[0], embedding, compute_kl)

    cdef ft_status act_and_move(self, ft_update *update) noexcept nogil:
        if self.density != 0.0:
            return Forces.act_and_move(self, update)
        return self.act_for(update.embedding, False, update)

    def aim_at_radii(self, float[::1] targets not None):
        """Let `density` weigh the correlation of the map's local radii with these targets.

        Targets are of the rows as they stand now, with mean 0 and variance 1 over all points.
        Neighbours are those of P.
        """
        self._aim(targets)

    @property
    def order(self):
        """Row of the arrays here -> row as the caller numbered it."""
        return np.asarray(self._order)

    @property
    def joint(self):
        """P as CSR arrays (indptr, indices, data), in the order of the arrays here."""
        return np.asarray(self.indptr), np.asarray(self.indices), np.asarray(self.data)

    def reorder(self, *arrays):
        """Put P, the forces and (n, d) arrays into the order of the tree; errors change nothing."""
        expect(self.evaluated, "reorder() needs an evaluation since the last one")
        for array in arrays:
            self.check_map(array)
        order = np.array(<int32_t[:self.n]> <int32_t *> ft_tree_order(self.tree))
        moved = [array[order] for array in (self.attractive, self.repulsive, *arrays)]
        self.permute(order)
        for array, values in zip((self.attractive, self.repulsive, *arrays), moved):
            array[:] = values

    def restore_order(self, int32_t[::1] order not None):
        """Put P into an earlier value of `order`; the forces must be evaluated again."""
        expect(np.array_equal(np.sort(order), np.arange(self.n)), "order is not a permutation")
        self.permute(inverted(self.order)[np.asarray(order)])

    cdef permute(self, int32_t[::1] order):
        # Row r of P becomes the old row order[r], and columns are renumbered; within a row, edges
        # keep their sequence. Memory not yet filled costs nothing: at most half of P exists twice.
        cdef int64_t n = self.n
        rows = np.asarray(order)
        cdef int32_t[::1] inverse = inverted(rows)
        new_order = self.order[rows]
        new_masses = None if self._masses is None else self.masses[rows]
        new_targets = None if self._targets is None else self.targets[rows]
        cdef int64_t[::1] indptr = np.empty(n + 1, dtype=np.int64)
        cdef int32_t[::1] indices = np.empty(self.indices.shape[0], dtype=np.int32)
        cdef float[::1] data = np.empty(self.data.shape[0], dtype=np.float32)
        with nogil:
            check(ft_joint_permute(
                &self.indptr[0], &self.indices[0], NULL, n, &order[0], &inverse[0], &indptr[0],
                &indices[0], NULL, &self.run))
        # Not interruptible from here on: P is never left in two orders.
        self.evaluated = False
        self.indices = indices  # the old ones are free now
        cdef poll_function poll = self.run.poll
        self.run.poll = NULL
        with nogil:
            ft_joint_permute(
                &self.indptr[0], NULL, &self.data[0], n, &order[0], &inverse[0], &indptr[0], NULL,
                &data[0], &self.run)
        self.run.poll = poll
        self.indptr, self.data = indptr, data
        self._order = new_order
        if self._masses is not None:  # in place: the tree reads them
            np.asarray(self._masses)[:] = new_masses
        if self._targets is not None:
            self._targets = new_targets


cdef class ExactForces(Forces):
    """Both forces by sums over all pairs, for any number of components."""

    cdef const float[:, ::1] _joint
    cdef float[:, ::1] coordinates
    cdef int64_t[::1] indptr  # of the neighbours whose distances make a local radius
    cdef int32_t[::1] indices

    def __init__(self, const float[:, ::1] joint not None, int n_components,
                 double degrees_of_freedom, int n_threads, masses=None,
                 double negative_entropy=0.0):
        cdef int64_t n = joint.shape[0]
        expect(joint.shape[1] == n, "joint must be square")
        self._allocate(n, n_components, degrees_of_freedom, n_threads, 2 * n)
        self._joint = joint
        self.coordinates = np.empty((n_components, n), dtype=np.float32)
        self.n_edges = n * (n - 1)
        with nogil:
            check(ft_joint_negative_entropy(
                &self._joint[0, 0], n * n, &self.negative_entropy, &self.run))
        if masses is not None:
            self.weigh(masses, negative_entropy)

    @property
    def joint(self):
        """P, shape (n, n)."""
        return np.asarray(self._joint)

    cdef ft_status act(self, const float *embedding, bint compute_kl) noexcept nogil:
        cdef ft_status status = ft_exact_compute(
            &self._joint[0, 0], self.masses_pointer(), embedding, self.n, self.dim, self.student, 0,
            self.n, &self._attractive[0, 0], &self._repulsive[0, 0], &self.sum_q,
            &self._cross_entropy if compute_kl else NULL, &self.coordinates[0, 0],
            &self.partial[0], &self.run)
        if status != FT_OK or self._targets is None:
            return status
        return self.add_density(&self.indptr[0], &self.indices[0], embedding, compute_kl)

    def aim_at_radii(self, float[::1] targets not None, int64_t[::1] indptr not None,
                     int32_t[::1] indices not None):
        """Let `density` weigh the correlation of the map's local radii with these targets.

        Targets have mean 0 and variance 1 over all points; neighbours are a symmetric graph.
        """
        expect(indptr.shape[0] == self.n + 1, "the graph must have a row a point")
        expect_rows(indptr, indices)
        self._aim(targets)
        self.indptr, self.indices = indptr, indices


def local_radii(const int64_t[::1] indptr not None, const int32_t[::1] indices not None,
                const float[:, ::1] embedding not None, int n_threads):
    """Return the logarithms of the squared local radii on a map, by a graph of neighbours."""
    cdef int64_t n = embedding.shape[0]
    expect(n > 0 and indptr.shape[0] == n + 1, "the graph must have a row a point")
    expect(embedding.shape[1] > 0, "a map needs one component")
    expect_rows(indptr, indices)
    cdef float[::1] log_radii = np.empty(n, dtype=np.float32)
    cdef float[::1] strengths = np.empty(n, dtype=np.float32)
    cdef ft_run run = make_run(n_threads)
    cdef ft_density density
    cdef double unused
    density.indptr, density.indices = &indptr[0], &indices[0]
    density.masses = density.targets = NULL
    density.n, density.dim = n, embedding.shape[1]
    density.log_radii, density.strengths = &log_radii[0], &strengths[0]
    density.partial = NULL
    with nogil:
        check(ft_density_measure(&density, &embedding[0, 0], &unused, &run))
    return np.asarray(log_radii)
