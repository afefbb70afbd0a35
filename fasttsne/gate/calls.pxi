# Shared by all calls: threads, interruption, errors.

cdef extern from "Python.h":
    # Declared without an exception value, so that a pending exception stays pending.
    int PyErr_CheckSignals() noexcept

cdef extern from *:
    """
    static int ft_raise_pending(void) { return -1; }
    """
    int ft_raise_pending() except -1


ctypedef int (*poll_function)() noexcept


cdef int poll_signals() noexcept with gil:
    return PyErr_CheckSignals()


cdef ft_run make_run(int n_threads):
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, got {n_threads}")
    cdef ft_run run
    run.n_threads, run.poll, run.next_poll = n_threads, poll_signals, 0.0
    run.stopped, run.team = 0, NULL
    return run


class DivergedError(FloatingPointError):
    """A coordinate of the map is too large to square in single precision."""


cdef int check(ft_status status) except -1 nogil:
    if status == FT_OK:
        return 0
    with gil:
        if status == FT_INTERRUPTED:
            return ft_raise_pending()
        if status == FT_NO_MEMORY:
            raise MemoryError("a kernel could not allocate its working memory")
        raise DivergedError("a coordinate of the map is not finite or too large")


cdef int expect(bint condition, str what) except -1:
    if not condition:
        raise ValueError(what)
    return 0


cdef int expect_within(indices, int64_t n, str what) except -1:
    values = np.asarray(indices)
    expect(values.size > 0, "empty input")
    return expect(0 <= values.min() and values.max() < n, what + " is out of range")


cdef int expect_neighbors(
    const int32_t[:, ::1] indices, const float[:, ::1] conditional, int64_t n
) except -1:
    expect(indices.shape[0] == conditional.shape[0] and indices.shape[1] == conditional.shape[1],
           "indices and conditional differ in shape")
    return expect_within(indices, n, "a neighbour's index")


cdef int expect_degrees_of_freedom(double nu) except -1:
    return expect(1e-3 <= nu <= 1e3, "degrees_of_freedom must be in 0.001 .. 1000")
