# Calibration and symmetrisation.

def calibrate(
    const floating[:, ::1] squared_distances not None, double perplexity, bint skip_diagonal,
    int n_threads, const float[:, ::1] masses=None
):
    """Return p_j|i and the precision beta of every row; `masses` count the neighbours."""
    cdef int64_t n = squared_distances.shape[0], k = squared_distances.shape[1]
    expect(n > 0 and k > 0 and perplexity > 0, "empty input or perplexity <= 0")
    expect(not skip_diagonal or (n == k and n > 1), "skip_diagonal needs a square array")
    expect(masses is None or (masses.shape[0] == n and masses.shape[1] == k),
           "masses must have the same shape")
    expect(masses is None or not skip_diagonal, "skip_diagonal is not for masses")
    cdef float[:, ::1] conditional = np.empty((n, k), dtype=np.float32)
    cdef double[::1] beta = np.empty(n, dtype=np.float64)
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_calibration_find(
            ft_points(&squared_distances[0, 0], floating is double), n, k, perplexity,
            skip_diagonal, &masses[0, 0] if masses is not None else NULL, &conditional[0, 0],
            &beta[0], &run))
    return np.asarray(conditional), np.asarray(beta)


def symmetrize(
    const int32_t[:, ::1] indices not None, const float[:, ::1] conditional not None,
    int n_threads, int64_t capacity=2**25
):
    """Return P = (P_cond + P_cond') / 2n as CSR arrays, transposing `capacity` edges at a time."""
    cdef int64_t n = indices.shape[0], k = indices.shape[1]
    expect(n < 2**31, "more than 2**31 - 1 points")
    expect_neighbors(indices, conditional, n)
    # P has at most 2nk edges. Memory that is never touched costs nothing and is returned below.
    indptr = np.empty(n + 1, dtype=np.int64)
    joint_indices = np.empty(2 * n * k, dtype=np.int32)
    joint_data = np.empty(2 * n * k, dtype=np.float32)
    # From NumPy, which places large arrays in huge pages.
    scratch = np.empty(min(n * k, max(n, capacity)), dtype=np.int64)
    symmetrize_into(indices, conditional, indptr, joint_indices, joint_data, scratch, n_threads)
    del scratch
    joint_indices.resize(indptr[n], refcheck=False)
    joint_data.resize(indptr[n], refcheck=False)
    return indptr, joint_indices, joint_data


cdef symmetrize_into(
    const int32_t[:, ::1] indices, const float[:, ::1] conditional, int64_t[::1] indptr,
    int32_t[::1] joint_indices, float[::1] joint_data, int64_t[::1] scratch, int n_threads
):
    # A function apart, so that no view of the arrays exists when they are resized.
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_symmetrization_sparse(
            &indices[0, 0], &conditional[0, 0], indices.shape[0], indices.shape[1], &indptr[0],
            &joint_indices[0], &joint_data[0], &scratch[0], scratch.shape[0], &run))


def symmetrize_dense(float[:, ::1] conditional not None, int n_threads):
    """Compute P = (P_cond + P_cond') / 2n in place, and return the same array."""
    cdef int64_t n = conditional.shape[0]
    expect(n > 0 and conditional.shape[1] == n, "conditional must be square")
    cdef ft_run run = make_run(n_threads)
    with nogil:
        check(ft_symmetrization_dense(&conditional[0, 0], n, &run))
    return np.asarray(conditional)
