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
    """Exact k nearest neighbours: indices and squared distances, nearest first."""
    cdef int64_t n = screen.shape[0], d = screen.shape[1]
    expect(exact.shape == (n, d), "screen and exact must have the same shape")
    expect(0 < n_neighbors < n and d > 0, "n_neighbors must be in 1 .. n - 1")
    expect(n < 2**31 and d < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points points = as_points(exact)

    indices = np.empty((n, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_neighbors_find(
            &screen[0, 0], points, n, d, n_neighbors, &indices_view[0, 0], &distances_view[0, 0],
            <ft_sgemm> sgemm, &run)
    check(status)
    return indices, squared_distances


def find_neighbors_approximately(
    const float[:, ::1] screen not None, const float[::1] tails, exact not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_cells, int n_threads
):
    """Most of the k nearest neighbours, or None where single precision can't tell them apart."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = exact.shape[1]
    expect(exact.shape[0] == n, "screen and exact must have the same length")
    expect(tails is None or tails.shape[0] == n, "tails and screen must have the same length")
    expect(0 < n_neighbors <= n_candidates < n, "need 0 < n_neighbors <= n_candidates < n")
    expect(0 < n_cells <= n and m > 0 and d > 0, "n_cells must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and m < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points points = as_points(exact)

    indices = np.empty((n, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef const float *tails_pointer = NULL
    if tails is not None:
        tails_pointer = &tails[0]
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    cdef int resolved = 0
    with nogil:
        status = ft_inverted_find(
            &screen[0, 0], tails_pointer, m, points, n, d, n_neighbors, n_candidates, n_cells,
            &indices_view[0, 0], &distances_view[0, 0], &resolved, <ft_sgemm> sgemm, &run)
    check(status)
    return (indices, squared_distances) if resolved else None


def find_neighbors_among(
    const float[:, ::1] query_screen, queries not None, const float[:, ::1] screen,
    points not None, int64_t n_neighbors, int n_threads
):
    """Exact k nearest of some points for others; without screens all distances are exact."""
    cdef int64_t n = points.shape[0], d = points.shape[1], n_queries = queries.shape[0]
    expect(queries.shape[1] == d and queries.dtype == points.dtype, "queries differ from points")
    expect(0 < n_neighbors <= n and d > 0 and n_queries > 0, "n_neighbors must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and n_queries < 2**31, "more than 2**31 - 1 points or features")
    expect((screen is None) == (query_screen is None), "both screens or none")
    cdef const float *screen_pointer = NULL
    cdef const float *query_pointer = NULL
    if screen is not None:
        expect(screen.shape[0] == n and screen.shape[1] == d, "screen differs from points")
        expect(query_screen.shape[0] == n_queries and query_screen.shape[1] == d,
               "query_screen differs from queries")
        screen_pointer, query_pointer = &screen[0, 0], &query_screen[0, 0]
    cdef ft_points from_points = as_points(queries), to_points = as_points(points)
    indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_neighbors_among(
            query_pointer, from_points, n_queries, screen_pointer, to_points, n, d, n_neighbors,
            &indices_view[0, 0], &distances_view[0, 0], <ft_sgemm> sgemm, &run)
    check(status)
    return indices, squared_distances


def prepare_lists(
    const float[:, ::1] screen not None, const float[::1] tails, points not None,
    int64_t n_neighbors, int64_t n_candidates, int64_t n_cells, int n_threads
):
    """Cells and budget for `find_neighbors_in_lists`, or None where single precision won't do."""
    cdef int64_t n = screen.shape[0], m = screen.shape[1], d = points.shape[1]
    expect(points.shape[0] == n, "screen and points must have the same length")
    expect(tails is None or tails.shape[0] == n, "tails and screen must have the same length")
    expect(0 < n_neighbors <= n_candidates < n, "need 0 < n_neighbors <= n_candidates < n")
    expect(0 < n_cells <= n and m > 0 and d > 0, "n_cells must be in 1 .. n")
    expect(n < 2**31 and d < 2**31 and m < 2**31, "more than 2**31 - 1 points or features")
    cdef ft_points to_points = as_points(points)
    start = np.empty(2 * n_cells + 1, dtype=np.int64)
    order = np.empty(n, dtype=np.int32)
    centroids = np.empty((2 * n_cells, m), dtype=np.float32)
    cdef int64_t[::1] start_view = start
    cdef int32_t[::1] order_view = order
    cdef float[:, ::1] centroids_view = centroids
    cdef const float *tails_pointer = NULL
    if tails is not None:
        tails_pointer = &tails[0]
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    cdef int resolved = 0
    cdef int64_t budget = 0
    with nogil:
        status = ft_inverted_prepare(
            &screen[0, 0], tails_pointer, m, to_points, n, d, n_neighbors, n_candidates, &n_cells,
            &start_view[0], &order_view[0], &centroids_view[0, 0], &budget, &resolved,
            <ft_sgemm> sgemm, &run)
    check(status)
    return (start[: n_cells + 1], order, centroids[:n_cells], budget) if resolved else None


def padded(count):
    """The least multiple of the kernels' vectors that is no less."""
    return -(-count // FT_LANES) * FT_LANES


def find_neighbors_in_lists(
    const int64_t[::1] start not None, const int32_t[::1] order not None,
    const float[:, ::1] centroids not None, const float[::1] residents not None,
    const float[::1] tails not None, int64_t budget, const float[:, ::1] query_screen not None,
    queries not None, points not None, int64_t n_neighbors, int64_t n_candidates, int n_threads
):
    """Most of the k nearest points for others; a row depends on nothing else in the call."""
    cdef int64_t n = points.shape[0], d = points.shape[1], n_queries = queries.shape[0]
    cdef int64_t m = centroids.shape[0], n_cells = start.shape[0] - 1
    expect(queries.shape[1] == d and queries.dtype == points.dtype, "queries differ from points")
    expect(query_screen.shape[0] == n_queries > 0 and query_screen.shape[1] == m > 0,
           "query_screen differs from queries or centroids")
    expect(0 < n_neighbors <= n_candidates <= budget <= n, "need k <= n_candidates <= budget <= n")
    expect(n < 2**31 and d < 2**31 and n_queries < 2**31, "more than 2**31 - 1 points or features")
    ends, places = np.asarray(start), np.asarray(order)
    expect(n_cells > 0 and ends[0] == 0 and ends[n_cells] == n
           and bool((np.diff(ends) >= 0).all()), "start must ascend from 0 to n")
    expect(order.shape[0] == tails.shape[0] == n, "order and tails must have n entries")
    expect(centroids.shape[1] == padded(n_cells)
           and residents.shape[0] == m * padded(np.diff(ends)).sum(), "rows are not padded")
    expect(places.min() >= 0 and places.max() < n, "a point of the lists is out of range")
    cdef ft_points from_points = as_points(queries), to_points = as_points(points)
    cdef ft_lists lists = ft_lists(
        n_cells, m, budget, &start[0], &order[0], &centroids[0, 0], &residents[0], &tails[0])
    indices = np.empty((n_queries, n_neighbors), dtype=np.int32)
    squared_distances = np.empty((n_queries, n_neighbors), dtype=np.float64)
    cdef int32_t[:, ::1] indices_view = indices
    cdef double[:, ::1] distances_view = squared_distances
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_queries_find(
            &lists, &query_screen[0, 0], from_points, n_queries, to_points, d, n_neighbors,
            n_candidates, &indices_view[0, 0], &distances_view[0, 0], &run)
    check(status)
    return indices, squared_distances


def project_rows(
    const float[:, ::1] rows not None, const float[:, ::1] matrix not None,
    const float[::1] shift not None, int n_threads
):
    """rows @ matrix - shift, where a row's bits depend on nothing else in the call."""
    cdef int64_t n = rows.shape[0], d = rows.shape[1], m = matrix.shape[1]
    expect(matrix.shape[0] == d > 0 and shift.shape[0] == m > 0 and n > 0, "shapes differ")
    products = np.empty((n, m), dtype=np.float32)
    cdef float[:, ::1] products_view = products
    cdef ft_run run = make_run(n_threads)
    cdef ft_status status
    with nogil:
        status = ft_queries_project(
            &rows[0, 0], n, d, &matrix[0, 0], m, &shift[0], &products_view[0, 0], &run)
    check(status)
    return products
