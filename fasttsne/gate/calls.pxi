# Shared by all calls: threads, interruption, errors.

cdef extern from "Python.h":
    # Declared without an exception value, so that a pending exception stays pending.
    int PyErr_CheckSignals() noexcept
    unsigned long PyThread_get_thread_ident() noexcept nogil

cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030D0000
    #define Py_IsFinalizing _Py_IsFinalizing
    #endif
    static int ft_raise_pending(void) { return -1; }
    """
    int Py_IsFinalizing() noexcept nogil
    int ft_raise_pending() except -1


ctypedef int (*poll_function)() noexcept


cdef unsigned long main_thread = threading.main_thread().ident


def _become_main_thread():
    global main_thread
    main_thread = PyThread_get_thread_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_become_main_thread)


cdef int poll_signals() noexcept nogil:
    # Only the main thread handles signals. While the interpreter ends, another one stops without
    # asking for the GIL, which would end it, and with it the stack on which its threads work.
    if PyThread_get_thread_ident() != main_thread:
        return Py_IsFinalizing()
    with gil:
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
