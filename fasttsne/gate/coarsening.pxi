# Groups of points, and P between them.

cdef expect_rows(const int64_t[::1] indptr, const int32_t[::1] indices):
    cdef int64_t n = indptr.shape[0] - 1
    expect(0 < n < 2**31, "a graph has between 1 and 2**31 - 1 points")
    expect(indptr[0] == 0 and indptr[n] == indices.shape[0]
           and bool((np.diff(indptr) >= 0).all()), "not a CSR graph")
    expect_within(indices, n, "a column of the graph")


cdef expect_graph(
    const int64_t[::1] indptr, const int32_t[::1] indices, const float[::1] data
):
    expect_rows(indptr, indices)
    expect(indices.shape[0] == data.shape[0], "not a CSR graph")


def find_groups(
    const int64_t[::1] indptr not None, const int32_t[::1] indices not None,
    const float[::1] data not None, int n_threads
):
    """Return the group of every point, and the number of groups."""
    expect_graph(indptr, indices, data)
    cdef int64_t n = indptr.shape[0] - 1, n_groups = 0
    cdef int32_t[::1] groups = np.empty(n, dtype=np.int32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_coarsening_find(
            &indptr[0], &indices[0], &data[0], n, &groups[0], &n_groups, &run))
    return np.asarray(groups), n_groups


def joint_of_groups(
    const int64_t[::1] indptr not None, const int32_t[::1] indices not None,
    const float[::1] data not None, const int32_t[::1] groups not None, int64_t n_groups,
    int64_t most_edges, int n_threads
):
    """Return the sums of p between different groups as CSR arrays, columns in any order.

    None is returned if they have more than `most_edges` entries, which are counted first.
    """
    expect_graph(indptr, indices, data)
    cdef int64_t n = indptr.shape[0] - 1
    expect(groups.shape[0] == n, "groups must be one a point")
    expect_within(groups, n_groups, "a group")
    cdef int64_t[::1] new_indptr = np.empty(n_groups + 1, dtype=np.int64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_coarsening_joint(
            &indptr[0], &indices[0], &data[0], n, &groups[0], n_groups, &new_indptr[0], NULL, NULL,
            &run))
    cdef int64_t n_edges = new_indptr[n_groups]
    if n_edges > most_edges:
        return None
    cdef int32_t[::1] new_indices = np.empty(max(n_edges, 1), dtype=np.int32)
    cdef float[::1] new_data = np.empty(max(n_edges, 1), dtype=np.float32)
    with nogil:
        check(ft_coarsening_joint(
            &indptr[0], &indices[0], &data[0], n, &groups[0], n_groups, &new_indptr[0],
            &new_indices[0], &new_data[0], &run))
    return np.asarray(new_indptr), np.asarray(new_indices)[:n_edges], np.asarray(new_data)[:n_edges]


def prolong(
    const int64_t[::1] indptr not None, const int32_t[::1] indices not None,
    const float[::1] data not None, const int32_t[::1] groups not None,
    const float[:, ::1] coarse not None, int n_threads
):
    """Return every point at the mean place of its neighbours' groups, weighted by p."""
    expect_graph(indptr, indices, data)
    cdef int64_t n = indptr.shape[0] - 1
    cdef int dim = coarse.shape[1]
    expect(groups.shape[0] == n, "groups must be one a point")
    expect_within(groups, coarse.shape[0], "a group")
    cdef float[:, ::1] embedding = np.empty((n, dim), dtype=np.float32)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_coarsening_prolong(
            &indptr[0], &indices[0], &data[0], n, &groups[0], &coarse[0, 0], dim, &embedding[0, 0],
            &run))
    return np.asarray(embedding)
