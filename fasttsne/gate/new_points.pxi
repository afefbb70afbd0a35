# New points on a map that stays.

cdef class FrozenMap:
    """A map that stays as it is, with its tree, for new points to be placed on.

    Several threads may place points at once. Pickles as what it was made of.
    """

    cdef ft_tree *tree
    cdef ft_frozen map
    cdef const float[:, ::1] embedding
    cdef object arguments

    def __cinit__(self):
        self.tree = NULL

    def __init__(self, const float[:, ::1] embedding not None, double degrees_of_freedom,
                 double angle, int n_threads=1):
        cdef int64_t n = embedding.shape[0]
        cdef int dim = embedding.shape[1]
        expect(n > 0 and dim > 0 and self.tree == NULL, "needs a point and a component")
        expect(1e-3 <= degrees_of_freedom <= 1e3, "degrees_of_freedom must be in 0.001 .. 1000")
        expect(n < 2**31, "more than 2**31 - 1 points")
        self.embedding = embedding
        self.arguments = (np.asarray(embedding), degrees_of_freedom, angle)
        self.map.embedding = &embedding[0, 0]
        self.map.n, self.map.dim, self.map.angle = n, dim, angle
        self.map.student.degrees_of_freedom = degrees_of_freedom
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        if dim <= 3:
            self.tree = ft_tree_create(n, dim)
            if self.tree == NULL:
                raise MemoryError("no memory for the tree")
            with nogil:
                status = ft_tree_build(self.tree, self.map.embedding, &run)
            check(status)
        self.map.tree = self.tree

    def __dealloc__(self):
        ft_tree_destroy(self.tree)

    def __reduce__(self):
        return FrozenMap, self.arguments

    cdef check_neighbors(self, const int32_t[:, ::1] indices, const float[:, ::1] conditional):
        expect(indices.shape[0] == conditional.shape[0] > 0
               and indices.shape[1] == conditional.shape[1] > 0,
               "indices and conditional differ in shape, or are empty")
        columns = np.asarray(indices)
        expect(columns.min() >= 0 and columns.max() < self.map.n,
               "a neighbour's index is out of range")

    def place(self, const int32_t[:, ::1] indices not None,
              const float[:, ::1] conditional not None, double exaggeration, int max_iter,
              double shortest_step, int n_threads):
        """Places of new points with these neighbours and p_j|i, each for itself."""
        self.check_neighbors(indices, conditional)
        placed = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        cdef float[:, ::1] placed_view = placed
        cdef ft_placement_rules rules = ft_placement_rules(exaggeration, max_iter, shortest_step)
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        with nogil:
            status = ft_placement_find(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], rules, &placed_view[0, 0], &run)
        check(status)
        return placed

    def evaluate(self, const int32_t[:, ::1] indices not None,
                 const float[:, ::1] conditional not None, const float[:, ::1] at not None,
                 double exaggeration=1.0, int n_threads=1):
        """Gradient and KL divergence of new points with these neighbours, at given places."""
        self.check_neighbors(indices, conditional)
        expect(at.shape[0] == indices.shape[0] and at.shape[1] == self.map.dim,
               "places of new points must have a row each and the map's components")
        gradient = np.empty((indices.shape[0], self.map.dim), dtype=np.float32)
        divergence = np.empty(indices.shape[0], dtype=np.float64)
        cdef float[:, ::1] gradient_view = gradient
        cdef double[::1] divergence_view = divergence
        cdef ft_run run = make_run(n_threads)
        cdef ft_status status
        with nogil:
            status = ft_placement_evaluate(
                &self.map, &indices[0, 0], &conditional[0, 0], indices.shape[0],
                indices.shape[1], exaggeration, &at[0, 0], &gradient_view[0, 0],
                &divergence_view[0], &run)
        check(status)
        return gradient, divergence
