"""Watching a descent: callbacks, history, the bar."""

import pickle
import sys

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit
from numpy.testing import assert_array_equal
from reference import tsne as reference

from fasttsne import TSNE
from fasttsne.affinity import build


@both_methods
def test_a_callback_sees_the_map_and_changes_no_bit(X, method):
    seen = []
    watched = fit(X, method=method, callback=seen.append, callback_every=7, max_iter=300)
    assert_same_bits(watched, fit(X, method=method, max_iter=300))
    assert [state.iteration for state in seen] == list(range(7, 300, 7))
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 10)
    for state in seen[::9]:
        assert state.embedding.shape == (len(X), 2)
        if method == "exact":
            divergence = reference.kl_divergence(P, state.embedding, 1.0)
            assert state.kl_divergence == pytest.approx(divergence, rel=1e-4)
    assert seen[0].exaggeration > seen[10].exaggeration > 1.0 == seen[-1].exaggeration
    assert seen[-1].seconds > seen[0].seconds > 0.0
    assert {state.degrees_of_freedom for state in seen} == {1.0}
    assert seen[30].momentum == pytest.approx(0.97)
    assert seen[0].gradient_norm > 0.0


@both_methods
def test_rows_are_in_the_order_of_the_samples(digits, method):
    seen = []
    fitted = fit(digits[:500], method=method, callback=seen.append, callback_every=300)
    assert seen[-1].iteration == 300
    assert_array_equal(seen[-1].embedding, fitted.embedding_)
    assert seen[-1].kl_divergence == fitted.kl_divergence_


@both_methods
@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_stops(X, method, answer):
    seen = []
    fit(X, method=method, callback=seen.append, callback_every=120)
    stopped = fit(
        X,
        method=method,
        callback=lambda state: answer if state.iteration >= 120 else None,
        callback_every=40,
    )
    assert stopped.n_iter_ == 119
    assert_array_equal(stopped.embedding_, seen[0].embedding)


@pytest.mark.parametrize("answer", [[1], 1, "yes", np.ones(2), False, None], ids=str)
def test_nothing_but_true_stops(X, answer):
    assert fit(X, callback=lambda state: answer).n_iter_ == 299


def test_what_was_stopped_goes_on(X, endless):
    params = {**SHORT}
    estimator = TSNE(**{**params, "warm_start": True, "max_iter": 500})
    estimator.set_params(callback=lambda state: state.iteration == 73, callback_every=73).fit(X)
    assert estimator.n_iter_ == 72
    estimator.set_params(callback=None, max_iter=427).fit(X)
    assert_same_bits(estimator, TSNE(**{**params, "max_iter": 500}).fit(X))


@both_methods
def test_the_map_can_not_be_written_to(X, method):
    def scribble(state):
        state.embedding[0] = 0.0

    with pytest.raises(ValueError, match="read-only"):
        fit(X, method=method, callback=scribble)

    def vandalise(state):
        state.embedding.flags.writeable = True
        state.embedding[:] = 0.0

    assert_same_bits(fit(X, method=method, callback=vandalise), fit(X, method=method))


class Mishap(FloatingPointError):
    """Not to be mistaken for a diverged map."""


def fail_at(iteration):
    def fail(state):
        if state.iteration == iteration:
            raise Mishap("on purpose")

    return fail


@both_methods
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("last", [100, 380], ids=["on the way", "while the map settles"])
def test_an_exception_reaches_the_caller_and_the_state_is_kept(
    X, method, warm_start, last, endless
):
    params = {**SHORT, "method": method, "max_iter": 400}
    estimator = TSNE(**params, callback=fail_at(last), callback_every=last, warm_start=warm_start)
    with pytest.raises(Mishap, match="on purpose"):
        estimator.fit(X)
    assert estimator.n_iter_ == last - 1
    iterations = [*range(50, last, 50), last]
    assert_array_equal(estimator.history_["iteration"], iterations)
    if method == "exact":
        P = reference.joint_probabilities_dense(reference.squared_distances(X), 10)
        divergence = reference.kl_divergence(P, estimator.embedding_, 1.0)
        assert estimator.kl_divergence_ == pytest.approx(divergence, rel=1e-4)
    # With what is left of max_iter it ends where it would have.
    estimator.set_params(callback=None, warm_start=True)
    estimator = pickle.loads(pickle.dumps(estimator)).fit(X)
    assert_same_bits(estimator, TSNE(**params).fit(X))


@both_methods
def test_history_tells_how_the_descent_went(X, method, endless):
    seen = []
    params = {"exaggeration": 1.5, "max_iter": 330}
    fitted = fit(X, method=method, callback=seen.append, **params)
    history = fitted.history_
    assert_array_equal(history["iteration"], [50, 100, 150, 200, 250, 300, 330])
    assert_array_equal(history["kl_divergence"][:-1], [state.kl_divergence for state in seen])
    assert_array_equal(history["gradient_norm"][:-1], [state.gradient_norm for state in seen])
    assert history["kl_divergence"][-1] == fitted.kl_divergence_
    assert np.diff(history["seconds"]).min() >= 0.0
    assert history["kl_divergence"].dtype == np.float64


def test_the_bar_counts_iterations_and_changes_no_bit(X, capsys):
    pytest.importorskip("tqdm")
    drawn = fit(X, progress=True)
    captured = capsys.readouterr()
    assert "300/300" in captured.err
    assert captured.out == ""
    assert_same_bits(drawn, fit(X))


def test_the_bar_of_a_converged_descent_ends_at_100_percent(X, capsys):
    pytest.importorskip("tqdm")
    n_iter = fit(X, progress=True, max_iter=5000).n_iter_ + 1
    assert n_iter < 5000
    last = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in last and f"{n_iter}/{n_iter}" in last


def test_without_tqdm_the_extra_is_named_before_any_work(X, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(build, "neighbors_of", None)
    with pytest.raises(ImportError, match=r"fasttsne\[progress\]"):
        fit(X, progress=True)
