# Ranks of all points, as seen from some of them.

cdef int expect_anchors(const int32_t[::1] anchors, int64_t n) except -1:
    expect(n < 2**31, "more than 2**31 - 1 points")
    return expect_within(anchors, n, "an anchor's index")


cdef int expect_queries(
    const int32_t[:, ::1] queries, const int32_t[::1] anchors, int64_t n
) except -1:
    expect(queries.shape[0] == anchors.shape[0], "a row of queries for every anchor")
    return expect_within(queries, n, "a query's index")


cdef ft_ranks_rows as_rows(const double[:, ::1] distances, const int32_t[::1] anchors):
    """The kernels' view of a row of distances for every anchor."""
    expect(distances.shape[0] == anchors.shape[0], "a row of distances for every anchor")
    expect_anchors(anchors, distances.shape[1])
    return ft_ranks_rows(&distances[0, 0], distances.shape[1], &anchors[0], anchors.shape[0])


def distances_to_all(exact not None, const int32_t[::1] anchors not None, int n_threads):
    """Return squared Euclidean distances from the anchors, rows of `exact`, to all rows."""
    cdef int64_t n = exact.shape[0], d = exact.shape[1], m = anchors.shape[0]
    expect(d > 0, "no features")
    expect_anchors(anchors, n)
    cdef ft_points points = as_points(exact)
    cdef double[:, ::1] distances = np.empty((m, n), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_distances(points, n, d, &anchors[0], m, &distances[0, 0], &run))
    return np.asarray(distances)


def distances_to_some(
    exact not None, const int32_t[::1] anchors not None, const int32_t[:, ::1] queries not None,
    int n_threads
):
    """Return squared Euclidean distances from every anchor to its queries, the same bits."""
    cdef int64_t d = exact.shape[1], m = queries.shape[0], k = queries.shape[1]
    expect(d > 0, "no features")
    expect_anchors(anchors, exact.shape[0])
    expect_queries(queries, anchors, exact.shape[0])
    cdef ft_points points = as_points(exact)
    cdef double[:, ::1] distances = np.empty((m, k), dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_distances_to(
            points, d, &anchors[0], m, &queries[0, 0], k, &distances[0, 0], &run))
    return np.asarray(distances)


def nearest_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None,
    int64_t n_neighbors, int n_threads
):
    """Return the nearest of every row without the anchor, ties to the smaller index."""
    cdef ft_ranks_rows rows = as_rows(distances, anchors)
    expect(0 < n_neighbors < rows.n, "n_neighbors must be in 1 .. n - 1")
    cdef int32_t[:, ::1] indices = np.empty((rows.n_anchors, n_neighbors), dtype=np.int32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_nearest(&rows, n_neighbors, &indices[0, 0], &run))
    return np.asarray(indices)


def ranks_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None,
    const int32_t[:, ::1] queries not None, int n_threads
):
    """Return the ranks, from 1, of the points `queries` of every row."""
    cdef ft_ranks_rows rows = as_rows(distances, anchors)
    cdef int64_t k = queries.shape[1]
    expect_queries(queries, anchors, rows.n)
    cdef int32_t[:, ::1] ranks = np.empty((rows.n_anchors, k), dtype=np.int32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_count(&rows, &queries[0, 0], k, &ranks[0, 0], &run))
    return np.asarray(ranks)


def all_ranks_in_rows(
    const double[:, ::1] distances not None, const int32_t[::1] anchors not None, int n_threads
):
    """Return the ranks of all points of every row, 0 for the anchor."""
    cdef ft_ranks_rows rows = as_rows(distances, anchors)
    expect(rows.n > 1, "needs two points")
    cdef int32_t[:, ::1] ranks = np.empty((rows.n_anchors, rows.n), dtype=np.int32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_sort(&rows, &ranks[0, 0], &run))
    return np.asarray(ranks)


def count_larger_ranks(
    const int32_t[:, ::1] first not None, const int32_t[:, ::1] second not None,
    int64_t[::1] counts not None, int n_threads
):
    """Add to counts[r] the number of points whose larger rank is r."""
    cdef int64_t m = first.shape[0], n = first.shape[1]
    expect(second.shape[0] == m and second.shape[1] == n, "rankings differ in shape")
    expect(counts.shape[0] == n, "counts must be as long as a row")
    expect_within(first, n, "a rank")
    expect_within(second, n, "a rank")
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_ranks_compare(&first[0, 0], &second[0, 0], n, m, &counts[0], &run))
