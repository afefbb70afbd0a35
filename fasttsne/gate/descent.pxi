# Steps of the descent, in one team of threads.

cdef struct Descent:
    # The arguments of `descend`, for C.
    void *forces
    ft_update update
    float *embedding
    float *other
    int n_iter, n_taken
    bint compute_kl
    double *scale_sums  # NULL if no step of the scale is wanted
    double squared_norm


cdef ft_status descend_steps(void *context) noexcept nogil:
    cdef Descent *d = <Descent *> context
    cdef ft_update *update = &d.update
    cdef ft_status status = (<Forces> d.forces).move(update)
    cdef const float *reached = d.embedding
    d.n_taken = status == FT_OK
    while status == FT_OK and d.n_taken < d.n_iter:
        # Rows move while other rows still read the old positions, so there are two embeddings.
        update.embedding = update.moved
        reached = update.moved
        update.moved = d.other if update.embedding == d.embedding else d.embedding
        status = (<Forces> d.forces).act_and_move(update)
        d.n_taken += status == FT_OK
    if status == FT_OK:
        reached = update.moved
        d.squared_norm = ft_update_squared_norm(update)
    if reached != d.embedding:
        memcpy(d.embedding, reached, sizeof(float) * update.last * update.dim)
    if status == FT_OK and d.scale_sums != NULL:
        update.moved = d.embedding
        (<Forces> d.forces).scale(update, d.scale_sums)
    return (<Forces> d.forces).act(d.embedding, d.compute_kl) if status == FT_OK else status


def descend(Forces forces not None, float[:, ::1] embedding not None,
            float[:, ::1] velocity not None, float[:, ::1] gains not None, int n_iter,
            double learning_rate, double momentum, double exaggeration, bint compute_kl=True,
            const uint8_t[::1] held=None, bint scale=False, float[:, ::1] homes=None,
            float pull=1.0):
    """Take n_iter steps from the last evaluated embedding, and return the last gradient norm.

    With `scale`, a step of the map's scale follows the last one.
    """
    forces.check_map(embedding)
    forces.check_map(velocity)
    forces.check_map(gains)
    expect(n_iter > 0, "n_iter must be at least 1")
    expect(held is None or held.shape[0] == forces.n, "held must have a value for every row")
    if homes is not None:
        forces.check_map(homes)
    cdef float[:, ::1] other = np.empty_like(embedding)
    cdef Descent descent
    descent.forces, descent.n_iter, descent.n_taken = <void *> forces, n_iter, 0
    descent.embedding, descent.other = &embedding[0, 0], &other[0, 0]
    descent.compute_kl, descent.squared_norm = compute_kl, float("nan")
    cdef double[::1] sums = forces.scale_sums() if scale else None
    descent.scale_sums = &sums[0] if scale else NULL
    cdef ft_update *update = &descent.update
    update.step = ft_step(
        learning_rate, momentum, exaggeration, forces.student.degrees_of_freedom, 0.0)
    update.first, update.last, update.dim = 0, forces.n, forces.dim
    update.attractive, update.repulsive = &forces._attractive[0, 0], &forces._repulsive[0, 0]
    update.embedding = update.moved = descent.embedding
    update.held = &held[0] if held is not None else NULL
    update.homes = &homes[0, 0] if homes is not None else NULL
    update.pull = pull
    update.velocity, update.gains = &velocity[0, 0], &gains[0, 0]
    update.partial = &forces.partial[0]
    cdef ft_status status
    with nogil:
        status = ft_parallel_team(&forces.run, descend_steps, &descent)
    forces.n_steps += descent.n_taken  # after an exception too: the arrays are between two steps
    forces.grad_norm = sqrt(descent.squared_norm)
    check(status)
    return forces.grad_norm
