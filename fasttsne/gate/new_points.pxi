# New points on a fixed map, and points of the map placed again.

# At most this many points of the map stand for all as negatives of a contrastive loss.
N_OTHERS = 4096


cdef class FrozenMap:
    """A fixed map with its tree, on which several threads may place new points at once.

    With `odds` and `n_negatives` it is a map of `ContrastiveForces`, and up to 4,096 of its points
    stand for all that repel.
    """

    cdef ft_tree *tree
    cdef ft_frozen map
    cdef const float[:, ::1] others
    cdef object arguments

    def __init__(self, const float[:, ::1] embedding not None, double degrees_of_freedom,
                 double angle, double odds=0.0, int64_t n_negatives=0, int n_threads=1):
        cdef int64_t n = embedding.shape[0]
        cdef int dim = embedding.shape[1]
        expect(n > 0 and dim > 0 and self.tree == NULL, "needs a point and a component")
        expect_degrees_of_freedom(degrees_of_freedom)
        expect(n < 2**31, "more than 2**31 - 1 points")
        expect(dim <= FT_MOST_COMPONENTS or odds == 0.0, "at most 64 components")
        expect(0.0 <= odds <= 1e30 and n_negatives >= 0, "odds or n_negatives out of range")
        # Keeps the map alive.
        self.arguments = (np.asarray(embedding), degrees_of_freedom, angle, odds, n_negatives)
        self.map.embedding = &embedding[0, 0]
        self.map.n, self.map.dim, self.map.angle = n, dim, angle
        self.map.student.degrees_of_freedom = degrees_of_freedom
        self.others = embedding
        self.map.odds = odds
        if odds > 0.0:
            if n > N_OTHERS:
                drawn = np.random.RandomState(0).permutation(n)[:N_OTHERS]
                self.others = np.asarray(embedding)[np.sort(drawn)]
            self.map.noise = n_negatives * (n / (n - 1.0) if n > 1 else 1.0)
            self.map.noise /= self.others.shape[0]
        self.map.others, self.map.n_others = &self.others[0, 0], self.others.shape[0]
        cdef ft_run run = make_run(n_threads)
        if dim <= 3 and odds == 0.0:
            self.tree = ft_tree_create(n, dim)
            if self.tree == NULL:
                raise MemoryError("no memory for the tree")
            with nogil:
                check(ft_tree_build(self.tree, self.map.embedding, &run))
        self.map.tree = self.tree

    def __dealloc__(self):
        ft_tree_destroy(self.tree)

    def __reduce__(self):
        return FrozenMap, self.arguments

    def place(self, const int32_t[:, ::1] indices not None,
              const float[:, ::1] conditional not None, double exaggeration, int max_iter,
              double shortest_step, int n_threads):
        """Return the positions of new points with these neighbours and p_j|i, each independent."""
        expect_neighbors(indices, conditional, self.map.n)
        cdef float[:, ::1] placed = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        cdef ft_transform_rules rules = ft_transform_rules(exaggeration, max_iter, shortest_step)
        cdef ft_run run = make_run(n_threads)
        with nogil:
            check(ft_transform_find(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], rules, NULL, &placed[0, 0], NULL, &run))
        return np.asarray(placed)

    def evaluate(self, const int32_t[:, ::1] indices not None,
                 const float[:, ::1] conditional not None, const float[:, ::1] at not None,
                 double exaggeration=1.0, int n_threads=1):
        """Return gradient and objective of new points at given positions.

        The objective is the KL divergence, or the contrastive loss up to a constant.
        """
        expect_neighbors(indices, conditional, self.map.n)
        expect(at.shape[0] == indices.shape[0] and at.shape[1] == self.map.dim,
               "`at` must have a row per new point and the map's components")
        cdef float[:, ::1] gradient = np.empty_like(at)
        cdef double[::1] divergence = np.empty(indices.shape[0], dtype=np.float64)
        cdef ft_transform_rules rules = ft_transform_rules(exaggeration, 0, 0.0)
        cdef ft_run run = make_run(n_threads)
        with nogil:
            check(ft_transform_find(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], rules, &at[0, 0], &gradient[0, 0], &divergence[0], &run))
        return np.asarray(gradient), np.asarray(divergence)

    def place_again(self, const int32_t[::1] own not None, const int32_t[:, ::1] indices not None,
                    const float[:, ::1] weights not None, double sum_q, int max_iter,
                    double shortest_step, int n_threads):
        """Return the best places of points of the map, each with the others where they are."""
        expect_neighbors(indices, weights, self.map.n)
        expect(own.shape[0] == indices.shape[0], "a row of neighbours for every point")
        expect_within(own, self.map.n, "a point's index")
        expect(self.map.odds == 0.0 and sum_q > 0.0, "needs a map without odds, and sum_q > 0")
        cdef float[:, ::1] placed = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        cdef ft_transform_rules rules = ft_transform_rules(1.0, max_iter, shortest_step)
        cdef ft_run run = make_run(n_threads)
        with nogil:
            check(ft_transform_again(
                &self.map, &own[0], &indices[0, 0], &weights[0, 0], indices.shape[0],
                indices.shape[1], sum_q, rules, &placed[0, 0], &run))
        return np.asarray(placed)


def curvature_sums(const int64_t[::1] indptr not None, const int32_t[::1] indices not None,
                   const float[::1] data not None, const float[:, ::1] embedding not None,
                   double degrees_of_freedom, int n_threads):
    """Return the sums that the Hessian by the place of each point consists of: see curvature.c."""
    cdef int64_t n = embedding.shape[0]
    cdef int dim = embedding.shape[1]
    expect(n > 1 and dim > 0, "needs two points and one component")
    expect_degrees_of_freedom(degrees_of_freedom)
    expect(indptr.shape[0] == n + 1, "P and the map must have the same points")
    expect_graph(indptr, indices, data)
    cdef double[:, ::1] sums = np.empty((n, FT_CURVATURE_SUMS(dim)), dtype=np.float64)
    cdef float[:, ::1] coordinates = np.empty((dim, n), dtype=np.float32)
    cdef ft_student student = ft_student(degrees_of_freedom)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_curvature_sums(
            &indptr[0], &indices[0], &data[0], &embedding[0, 0], n, dim, student, &sums[0, 0],
            &coordinates[0, 0], &run))
    return np.asarray(sums)
