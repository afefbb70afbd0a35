# Neighbours: exact, approximate, and of new points.

cdef ft_points as_points(exact):
    """The kernels' view of a C-contiguous (n, d) array, which the caller keeps alive."""
    cdef const float[:, ::1] singles
    cdef const double[:, ::1] doubles
    cdef ft_points points
    points.is_double = exact.dtype == np.float64
    if points.is_double:
        doubles = exact
        points.values = &doubles[0, 0]
    else:
        singles = exact
        points.values = &singles[0, 0]
    return points


def find_neighbors(
    const float[:, ::1] screen not None, exact not None, int64_t n_neighbors, int n_threads
):
    """Return indices and squared distances of the exact k nearest neighbours, nearest first."""
    expect(0 < n_neighbors < screen.shape[0], "n_neighbors must be in 1 .. n - 1")
    return find_exactly(screen, exact, screen, exact, n_neighbors, True, n_threads)


def find_neighbors_among(
    const float[:, ::1] query_screen, queries not None, const float[:, ::1] screen,
    points not None, int64_t n_neighbors, int n_threads
):
    """Return the exact k nearest of `points` for every query; screens only save time."""
    expect(0 < n_neighbors <= points.shape[0], "n_neighbors must be in 1 .. n")
    return find_exactly(query_screen, queries, screen, points, n_neighbors, False, n_threads)


cdef find_exactly(
    const float[:, ::1] query_screen, queries, const float[:, ::1] screen, points,
    int64_t n_neighbors, bint among_themselves, int n_threads
):
    cdef int64_t n = points.shape[0], d = points.shape[1], n_queries = queries.shape[0]
    expect(queries.shape[1] == d and queries.dtype == points.dtype, "queries differ from points")
    expect(0 < d < 2**31 and n < 2**31 and 0 < n_queries < 2**31,
           "points or features are none, or more than 2**31 - 1")
    expect((screen is None) == (query_screen is None), "both screens or none")
    expect(screen is None or (screen.shape[0] == n and screen.shape[1] == d),
           "screen and points must have the same shape")
    expect(query_screen is None or (query_screen.shape[0] == n_queries
                                    and query_screen.shape[1] == d),
           "query_screen and queries must have the same shape")
    cdef ft_points from_points = as_points(queries), to_points = as_points(points)
    cdef int32_t[:, ::1] indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    cdef double[:, ::1] distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_neighbors_find(
            &query_screen[0, 0] if query_screen is not None else NULL, from_points, n_queries,
            &screen[0, 0] if screen is not None else NULL, to_points, n, d, n_neighbors,
            among_themselves, &indices[0, 0], &distances[0, 0], <ft_sgemm> sgemm, &run))
    return np.asarray(indices), np.asarray(distances)


cdef ft_sparse as_sparse(matrix, int64_t n_rows, int64_t n_columns) except *:
    """The kernels' view of (indptr, indices, data), which the caller keeps alive."""
    cdef const int64_t[::1] indptr = matrix[0]
    cdef const int32_t[::1] indices = matrix[1]
    cdef const double[::1] data = matrix[2]
    cdef ft_sparse view
    ends, columns = np.asarray(indptr), np.asarray(indices)
    expect(indptr.shape[0] == n_rows + 1 and ends[0] == 0 and bool((np.diff(ends) >= 0).all()),
           "indptr must ascend from 0")
    expect(indices.shape[0] == data.shape[0] == ends[n_rows], "indices and data differ from indptr")
    expect(columns.size == 0 or 0 <= columns.min() and columns.max() < n_columns,
           "an index is out of range")
    view.indptr = &indptr[0]
    view.indices = &indices[0] if columns.size else NULL
    view.data = &data[0] if columns.size else NULL
    return view


def find_sparse_neighbors(
    queries not None, const double[::1] query_norms not None, points not None, columns not None,
    const double[::1] norms not None, int64_t n_columns, int64_t n_neighbors,
    bint among_themselves, int n_threads
):
    """Return the exact k nearest of sparse points; matrices are (indptr, indices, data)."""
    cdef int64_t n = norms.shape[0], n_queries = query_norms.shape[0]
    expect(0 < n < 2**31 and 0 < n_queries < 2**31, "points are none, or more than 2**31 - 1")
    expect(0 < n_neighbors <= n - among_themselves, "n_neighbors is out of range")
    expect(not among_themselves or n_queries == n, "queries differ from points")
    cdef ft_sparse from_points = as_sparse(queries, n_queries, 2**31)
    cdef ft_sparse to_points = as_sparse(points, n, n_columns)
    cdef ft_sparse by_columns = as_sparse(columns, n_columns, n)
    cdef int64_t longest = max(np.diff(points[0]).max(), np.diff(queries[0]).max())
    cdef int32_t[:, ::1] indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    cdef double[:, ::1] distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_sparse_find(
            from_points, &query_norms[0], n_queries, to_points, by_columns, &norms[0], n,
            n_columns, longest, n_neighbors, among_themselves, &indices[0, 0], &distances[0, 0],
            &run))
    return np.asarray(indices), np.asarray(distances)


def find_bit_neighbors(
    const uint64_t[:, ::1] queries not None, const int32_t[::1] query_counts not None,
    const uint64_t[:, ::1] points not None, const int32_t[::1] counts not None,
    int64_t n_features, int64_t n_neighbors, bint among_themselves, int n_threads
):
    """Return the exact k nearest by Jaccard distance or, with n_features > 0, by Hamming."""
    cdef int64_t n = points.shape[0], n_queries = queries.shape[0], n_words = points.shape[1]
    expect(queries.shape[1] == n_words and 0 < n_words < 2**24, "queries differ from points")
    expect(0 < n < 2**31 and 0 < n_queries < 2**31, "points are none, or more than 2**31 - 1")
    expect(counts.shape[0] == n and query_counts.shape[0] == n_queries, "counts differ in length")
    expect(0 < n_neighbors <= n - among_themselves, "n_neighbors is out of range")
    expect(not among_themselves or n_queries == n, "queries differ from points")
    expect(0 <= n_features < 2**31, "more than 2**31 - 1 features")
    cdef ft_bits from_points, to_points
    from_points.words, from_points.counts = &queries[0, 0], &query_counts[0]
    to_points.words, to_points.counts = &points[0, 0], &counts[0]
    from_points.n, to_points.n = n_queries, n
    cdef int32_t[:, ::1] indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    cdef double[:, ::1] distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_bits_find(from_points, to_points, n_words, n_features, n_neighbors,
                           among_themselves, &indices[0, 0], &distances[0, 0], &run))
    return np.asarray(indices), np.asarray(distances)


def retrieval_measures(
    const float[:, ::1] screen, double unit, points not None, const int64_t[::1] starts not None,
    const int64_t[::1] ks not None, int n_threads
):
    """Return MAP@R, R-precision and hits at `ks` of all points in classes, class by class."""
    cdef int64_t n = points.shape[0], d = points.shape[1], n_classes = starts.shape[0] - 1
    expect(0 < d < 2**31 and 1 < n < 2**31, "points or features are too few or too many")
    expect(screen is None or (screen.shape[0] == n and screen.shape[1] == d),
           "screen and points must have the same shape")
    ends = np.asarray(starts)
    expect(n_classes > 0 and ends[0] == 0 and ends[n_classes] <= n
           and bool((np.diff(ends) > 1).all()), "starts must ascend from 0 by 2 or more, to n")
    expect(ks.shape[0] > 0 and np.asarray(ks).min() > 0, "ks must hold numbers of at least 1")
    cdef ft_points to_points = as_points(points)
    cdef double[:, ::1] measures = np.empty((ends[n_classes], 2 + ks.shape[0]), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_retrieval_measure(
            &screen[0, 0] if screen is not None else NULL, unit, to_points, n, d, &starts[0],
            n_classes, &ks[0], ks.shape[0], &measures[0, 0], <ft_sgemm> sgemm, &run))
    return np.asarray(measures)


cdef int expect_lists(
    const float[:, ::1] screen, const float[::1] tails, points, int64_t n_neighbors,
    int64_t n_candidates, int64_t n_lists
) except -1:
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = points.shape[1]
    expect(points.shape[0] == n, "screen and points must have the same length")
    expect(tails is None or tails.shape[0] == n, "tails and screen must have the same length")
    expect(0 < n_neighbors <= n_candidates < n, "need 0 < n_neighbors <= n_candidates < n")
    expect(0 < n_lists <= n and m > 0 and d > 0, "n_lists must be in 1 .. n")
    return expect(n < 2**31 and d < 2**31 and m < 2**31, "more than 2**31 - 1 points or features")


def find_neighbors_approximately(
    const float[:, ::1] screen not None, const float[::1] tails, exact not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_lists, double recall, int n_threads
):
    """Return most of the k nearest neighbours, or None where single precision is too coarse."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = exact.shape[1]
    expect_lists(screen, tails, exact, n_neighbors, n_candidates, n_lists)
    cdef ft_points points = as_points(exact)

    cdef int32_t[:, ::1] indices = np.empty((n, n_neighbors), dtype=np.int32)
    cdef double[:, ::1] distances = np.empty((n, n_neighbors), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    cdef int resolved = 0
    with nogil:
        check(ft_approximate_find(
            &screen[0, 0], &tails[0] if tails is not None else NULL, m, points, n, d, n_neighbors,
            n_candidates, n_lists, recall, &indices[0, 0], &distances[0, 0], &resolved,
            <ft_sgemm> sgemm, &run))
    return (np.asarray(indices), np.asarray(distances)) if resolved else None


cdef class InvertedLists:
    """Points in lists around centroids, with a budget of comparisons for each query."""

    cdef ft_lists *lists
    cdef int64_t n, m, budget
    cdef object arguments

    def __init__(self, const int64_t[::1] start not None, const int32_t[::1] order not None,
                 const float[:, ::1] centroids not None, int64_t budget,
                 const float[:, ::1] coordinates not None, const float[::1] tails):
        cdef int64_t n = coordinates.shape[0], n_lists = centroids.shape[0]
        ends, points = np.asarray(start), np.asarray(order)
        expect(self.lists == NULL and n > 0 and coordinates.shape[1] > 0, "needs a point")
        expect(order.shape[0] == n and points.min() >= 0 and points.max() < n,
               "order must have the n points")
        expect(n_lists > 0 and start.shape[0] == n_lists + 1 and ends[0] == 0
               and ends[n_lists] == n and bool((np.diff(ends) >= 0).all()),
               "start must ascend from 0 to n")
        expect(centroids.shape[1] == coordinates.shape[1], "centroids differ from coordinates")
        expect(tails is None or tails.shape[0] == n, "tails and coordinates differ in length")
        expect(0 < budget <= n, "budget must be in 1 .. n")
        self.n, self.m, self.budget = n, coordinates.shape[1], budget
        self.arguments = (ends, points, np.asarray(centroids), budget)
        self.lists = ft_queries_create(
            &start[0], &order[0], &centroids[0, 0], n_lists, budget, &coordinates[0, 0],
            &tails[0] if tails is not None else NULL, n, self.m)
        if self.lists == NULL:
            raise MemoryError("no memory for the lists")

    def __dealloc__(self):
        ft_queries_destroy(self.lists)

    def __reduce__(self):
        expect(self.lists != NULL, "there are no lists")
        cdef float[:, ::1] coordinates = np.empty((self.n, self.m), dtype=np.float32)
        cdef float[::1] tails = np.empty(self.n, dtype=np.float32)
        ft_queries_unpack(self.lists, &coordinates[0, 0], &tails[0])
        return InvertedLists, (*self.arguments, np.asarray(coordinates), np.asarray(tails))

    def find(self, const float[:, ::1] query_screen not None, queries not None,
             points not None, int64_t n_neighbors, int64_t n_candidates, int n_threads):
        """Return most of the k nearest points for every query, each independent of the others."""
        cdef int64_t n_queries = queries.shape[0], d = points.shape[1]
        expect(points.shape[0] == self.n, "points differ from the lists")
        expect(queries.shape[1] == d and queries.dtype == points.dtype,
               "queries differ from points")
        expect(query_screen.shape[0] == n_queries > 0 and query_screen.shape[1] == self.m,
               "query_screen differs from queries or lists")
        expect(0 < n_neighbors <= n_candidates <= self.budget,
               "need 0 < n_neighbors <= n_candidates <= budget")
        expect(d < 2**31 and n_queries < 2**31, "more than 2**31 - 1 queries or features")
        cdef ft_points from_points = as_points(queries), to_points = as_points(points)
        cdef int32_t[:, ::1] indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
        cdef double[:, ::1] distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
        cdef ft_run run = make_run(n_threads)
        with nogil:
            check(ft_queries_find(
                self.lists, &query_screen[0, 0], from_points, n_queries, to_points, d,
                n_neighbors, n_candidates, &indices[0, 0], &distances[0, 0], &run))
        return np.asarray(indices), np.asarray(distances)


def prepare_lists(
    const float[:, ::1] screen not None, const float[::1] tails, points not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_lists, double recall, int n_threads
):
    """Return `InvertedLists` of the points, or None where single precision is too coarse."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = points.shape[1]
    expect_lists(screen, tails, points, n_neighbors, n_candidates, n_lists)
    cdef ft_points to_points = as_points(points)
    cdef int64_t[::1] start = np.empty(2 * n_lists + 1, dtype=np.int64)
    cdef int32_t[::1] order = np.empty(n, dtype=np.int32)
    cdef float[:, ::1] centroids = np.empty((2 * n_lists, m), dtype=np.float32)
    cdef ft_run run = make_run(n_threads)
    cdef int resolved = 0
    cdef int64_t budget = 0
    with nogil:
        check(ft_approximate_prepare(
            &screen[0, 0], &tails[0] if tails is not None else NULL, m, to_points, n, d,
            n_neighbors, n_candidates, &n_lists, recall, &start[0], &order[0],
            &centroids[0, 0], &budget, &resolved, <ft_sgemm> sgemm, &run))
    if not resolved:
        return None
    return InvertedLists(
        start[: n_lists + 1].copy(), order, centroids[:n_lists].copy(), budget, screen, tails)


def project_rows(
    const float[:, ::1] rows not None, const float[:, ::1] matrix not None,
    const float[::1] shift not None, int n_threads
):
    """Return rows @ matrix - shift, where the bits of a row do not depend on other rows."""
    cdef int64_t n = rows.shape[0], d = rows.shape[1], m = matrix.shape[1]
    expect(matrix.shape[0] == d > 0 and shift.shape[0] == m > 0 and n > 0, "shapes differ")
    cdef float[:, ::1] products = np.empty((n, m), dtype=np.float32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_queries_project(
            &rows[0, 0], n, d, &matrix[0, 0], m, &shift[0], &products[0, 0], &run))
    return np.asarray(products)
