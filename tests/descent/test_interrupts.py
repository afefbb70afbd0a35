"""Interrupted at any moment, a fit leaves the map so far and goes on as if nothing had been."""

import pickle
import signal
import sys
import time

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit, needs_sigint
from numpy.testing import assert_array_equal

from fasttsne import TSNE, _kernels
from fasttsne.affinity import build, conditional_probabilities, joint_probabilities
from fasttsne.descent import loop, state
from fasttsne.neighbors.search import squared_neighbors

PARAMS = {**SHORT, "max_iter": 420}
pytestmark = pytest.mark.usefixtures("endless")


class At:
    """Raises KeyboardInterrupt before the n-th line of Python that the optimiser executes."""

    FILES = (loop.__file__, state.__file__)

    def __init__(self, n):
        self.left = n

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.call)

    def __exit__(self, *_):
        sys.settrace(self.before)

    def call(self, frame, event, arg):
        return self.line if frame.f_code.co_filename in self.FILES else None

    def line(self, frame, event, arg):
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.line


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def alarm():
    """Sets an alarm that interrupts after so many seconds, once; 0 calls it off."""
    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


def lines_of_a_fit(X, **params):
    count = At(-1)
    with count:
        TSNE(**{**PARAMS, **params}).fit(X)
    return -1 - count.left


def assert_sound(estimator):
    assert np.isfinite(estimator.embedding_).all()
    assert np.isfinite(estimator.kl_divergence_)


@both_methods
@pytest.mark.parametrize("params", [{}, {"degrees_of_freedom": "auto"}, {"density": 0.5}], ids=str)
@pytest.mark.nosan
def test_interrupted_at_any_line_it_ends_where_it_would_have(X, method, params):
    X, params = X[:60], {"method": method, **params}
    whole = TSNE(**{**PARAMS, **params}).fit(X)
    n_lines = lines_of_a_fit(X, **params)
    rng = np.random.default_rng(0)
    for _ in range(25):
        estimator = TSNE(**{**PARAMS, **params, "warm_start": True})
        with pytest.raises(KeyboardInterrupt), At(rng.integers(1, n_lines + 1)):
            estimator.fit(X)
        if hasattr(estimator, "embedding_"):
            assert_sound(estimator)
        estimator = pickle.loads(pickle.dumps(estimator))
        # and once more, soon after it goes on
        try:
            with At(rng.integers(1, 400)):
                estimator.fit(X)
        except KeyboardInterrupt:
            estimator.fit(X)
        assert_same_bits(estimator, whole)
        assert estimator.n_iter_ == whole.n_iter_
        assert_array_equal(estimator.history_["kl_divergence"], whole.history_["kl_divergence"])


@needs_sigint
@both_methods
@pytest.mark.nosan
def test_signals_at_random_moments_change_no_bit(digits, method, alarm):
    """Unlike the lines above these also fall within kernels."""
    X = digits if method == "barnes_hut" else digits[:600]
    params = {**PARAMS, "method": method, "n_jobs": 2, "perplexity": 20}
    began = time.perf_counter()
    whole = TSNE(**params).fit(X)
    length = time.perf_counter() - began
    estimator = TSNE(**params, warm_start=True)
    rng = np.random.default_rng(1)
    interrupted = 0
    for _ in range(12):
        try:
            alarm(length * rng.uniform(0.1, 0.6))
            estimator.fit(X)
            alarm(0.0)
            if interrupted > 0:
                break
            # The first fit took longer than this one: once more, with earlier alarms.
            estimator, length = TSNE(**params, warm_start=True), length / 2.0
        except KeyboardInterrupt:
            interrupted += 1
            if hasattr(estimator, "embedding_"):
                assert_sound(estimator)
        finally:
            alarm(0.0)
    else:
        estimator.fit(X)
    assert interrupted > 0
    assert_same_bits(estimator, whole)
    assert estimator.n_iter_ == whole.n_iter_ == 419


@needs_sigint
@pytest.mark.nosan
def test_kernels_are_left_between_two_iterations(alarm):
    X = np.random.default_rng(0).normal(size=(4000, 4))
    indices, squared = squared_neighbors(X, 90, n_threads=2)
    conditional, _ = conditional_probabilities(squared, 30.0, n_threads=2)
    joint = joint_probabilities(indices, conditional, n_threads=2)

    def start():
        Y = 1e-2 * np.random.default_rng(1).normal(size=(4000, 2)).astype(np.float32)
        forces = _kernels.BarnesHutForces(*(array.copy() for array in joint), 2, 1.0, 0.5, 2)
        forces.evaluate(Y, False)
        return forces, (Y, np.zeros_like(Y), np.ones_like(Y))

    forces, state = start()
    alarm(0.2)
    with pytest.raises(KeyboardInterrupt):
        _kernels.descend(forces, *state, 10**6, 20.0, 0.8, 1.0)
    assert forces.n_steps > 0
    other, expected = start()
    _kernels.descend(other, *expected, forces.n_steps, 20.0, 0.8, 1.0)
    for array, should_be in zip(state, expected, strict=True):
        assert_array_equal(array, should_be)


@both_methods
def test_a_second_interrupt_leaves_the_last_complete_state(X, method, monkeypatch):
    estimator = TSNE(**PARAMS, method=method, warm_start=True)

    def interrupt_twice(forces, embedding, velocity, gains, n_iter, *others):
        if 200 <= estimator._descent.state.iteration < 250:  # after the rows were reordered
            _kernels.descend(forces, embedding, velocity, gains, n_iter - 1, *others)
            monkeypatch.setattr(loop, "replace", second)
            raise KeyboardInterrupt("first")
        return _kernels.descend(forces, embedding, velocity, gains, n_iter, *others)

    def second(*args, **kwargs):
        raise KeyboardInterrupt("second")

    monkeypatch.setattr(loop, "descend", interrupt_twice)
    with pytest.raises(KeyboardInterrupt, match="second"):
        estimator.fit(X)
    monkeypatch.undo()
    assert estimator._descent.state.iteration == 200
    assert_sound(estimator)
    assert estimator.kl_divergence_ == estimator.history_["kl_divergence"][-1]
    assert_same_bits(estimator.fit(X), TSNE(**PARAMS, method=method).fit(X))


@both_methods
def test_a_state_never_changes(X, method):
    states, before = [], []

    def keep(_):
        states.append(estimator._descent.state)
        before.append(pickle.dumps(states[-1]))

    estimator = TSNE(**PARAMS, method=method, warm_start=True, callback=keep)
    estimator.fit(X)
    assert [state.iteration for state in states[:-1]] == list(range(50, 400, 50))
    assert [pickle.dumps(state) for state in states] == before


def test_an_interrupted_first_fit_can_go_on_without_having_meant_to(X):
    estimator = TSNE(**PARAMS)
    with pytest.raises(KeyboardInterrupt), At(lines_of_a_fit(X) // 2):
        estimator.fit(X)
    assert estimator.n_iter_ > 0
    estimator.set_params(warm_start=True).fit(X)
    assert_same_bits(estimator, TSNE(**PARAMS).fit(X))


def test_an_interruption_before_the_descent_keeps_what_there_was(X, monkeypatch):
    estimator = fit(X, warm_start=True)
    before = pickle.loads(pickle.dumps(estimator))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "neighbors_of", interrupt)
        estimator.set_params(perplexity=12).fit(X)
    assert_same_bits(estimator, before)
    for one in (estimator, before):
        one.set_params(perplexity=12, max_iter=60).fit(X)
    assert_same_bits(estimator, before)
