"""Watching a descent: callbacks, history, the bar, and divergences of single samples."""

import pickle
import sys

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference

from fasttsne import TSNE
from fasttsne import tsne as pipeline

# Callbacks ---------------------------------------------------------------------------


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
    last = {}

    def keep(state):
        last["state"] = state

    fitted = fit(digits[:500], method=method, callback=keep, callback_every=300)
    assert last["state"].iteration == 300
    assert_array_equal(last["state"].embedding, fitted.embedding_)
    assert last["state"].kl_divergence == fitted.kl_divergence_


@both_methods
@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_stops(X, method, answer):
    def stop(state):
        return answer if state.iteration >= 120 else None

    stopped = fit(X, method=method, callback=stop, callback_every=40, max_iter=1000)
    assert stopped.n_iter_ == 119
    seen = []
    fit(X, method=method, callback=seen.append, callback_every=120)
    assert_array_equal(stopped.embedding_, seen[0].embedding)


def test_nothing_but_true_stops(X):
    for answer in ([1], 1, "yes", np.ones(2), False, None):
        assert fit(X, callback=lambda state, answer=answer: answer).n_iter_ == 299


def test_what_was_stopped_goes_on(X):
    params = {**SHORT, "learning_rate": 30.0}
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


class Mishap(Exception):
    pass


def fail(state):
    if state.iteration == 100:
        raise Mishap("on purpose")


@both_methods
@pytest.mark.parametrize("warm_start", [False, True])
def test_an_exception_reaches_the_caller_and_the_state_is_kept(X, method, warm_start):
    params = {**SHORT, "method": method, "learning_rate": 30.0, "max_iter": 400}
    estimator = TSNE(**params, callback=fail, warm_start=warm_start)
    with pytest.raises(Mishap, match="on purpose"):
        estimator.fit(X)
    assert estimator.n_iter_ == 99
    assert_array_equal(estimator.history_["iteration"], [50, 100])
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 10)
    if method == "exact":
        divergence = reference.kl_divergence(P, estimator.embedding_, 1.0)
        assert estimator.kl_divergence_ == pytest.approx(divergence, rel=1e-4)
    # With what is left of max_iter it ends where it would have.
    estimator = pickle.loads(pickle.dumps(estimator))
    estimator.set_params(warm_start=True).fit(X)
    assert_same_bits(estimator, TSNE(**params).fit(X))


def test_an_exception_while_the_map_settles_costs_nothing_but_that(X):
    params = {**SHORT, "learning_rate": 30.0, "max_iter": 400}

    def fail_late(state):
        raise Mishap

    estimator = TSNE(**params, warm_start=True, callback=fail_late, callback_every=380)
    with pytest.raises(Mishap):
        estimator.fit(X)
    assert estimator.n_iter_ == 379
    estimator.set_params(callback=None).fit(X)
    assert_same_bits(estimator, TSNE(**params).fit(X))


# History -----------------------------------------------------------------------------


@both_methods
def test_history_tells_how_the_descent_went(X, method):
    seen = []
    params = {"exaggeration": 1.5, "learning_rate": 30.0, "max_iter": 330}
    fitted = fit(X, method=method, callback=seen.append, **params)
    history = fitted.history_
    assert_array_equal(history["iteration"], [50, 100, 150, 200, 250, 300, 330])
    assert_array_equal(history["kl_divergence"][:-1], [state.kl_divergence for state in seen])
    assert_array_equal(history["gradient_norm"][:-1], [state.gradient_norm for state in seen])
    assert history["kl_divergence"][-1] == fitted.kl_divergence_
    assert np.diff(history["seconds"]).min() >= 0.0
    assert history["kl_divergence"].dtype == np.float64


# Single samples ----------------------------------------------------------------------


@both_methods
@pytest.mark.parametrize("degrees_of_freedom", [0.5, 1.0, 2.0])
def test_divergences_of_samples_are_those_of_the_definition(
    digits, method, degrees_of_freedom, monkeypatch
):
    monkeypatch.setattr("fasttsne.descent.kl_per_sample._EDGES_AT_ONCE", 5000)
    X, nu = digits[:200], degrees_of_freedom
    fitted = fit(X, method=method, degrees_of_freedom=nu, perplexity=66, kl_per_sample=True)
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 66)
    q = reference.q(fitted.embedding_, nu)
    np.fill_diagonal(q, 1.0)
    expected = (P * np.log(np.where(P > 0, P, 1.0) / q)).sum(axis=1)
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-4}[method]
    assert_allclose(fitted.kl_per_sample_, expected, rtol=tolerance, atol=1e-5)
    assert fitted.kl_per_sample_.sum() == pytest.approx(fitted.kl_divergence_, rel=1e-4)


def test_divergences_of_samples_are_there_only_on_request(X):
    estimator = fit(X, kl_per_sample=True)
    assert estimator.kl_per_sample_.shape == (len(X),)
    assert not hasattr(estimator.set_params(kl_per_sample=False).fit(X), "kl_per_sample_")


# The bar -----------------------------------------------------------------------------


def test_the_bar_counts_iterations_and_changes_no_bit(X, capsys):
    pytest.importorskip("tqdm")
    drawn = fit(X, progress=True, learning_rate=30.0)
    captured = capsys.readouterr()
    assert "300/300" in captured.err
    assert captured.out == ""
    assert_same_bits(drawn, fit(X, learning_rate=30.0))


def test_without_tqdm_the_extra_is_named_before_any_work(X, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(pipeline, "neighbors_of", None)
    with pytest.raises(ImportError, match=r"fasttsne\[progress\]"):
        fit(X, progress=True)


def test_an_error_in_floats_of_the_callback_is_not_a_diverged_map(X):
    def fail(state):
        raise FloatingPointError("mine")

    tsne = TSNE(callback=fail, callback_every=100, max_iter=250, random_state=0)
    with pytest.raises(FloatingPointError, match="mine"):
        tsne.fit(X)
    assert np.isfinite(tsne.embedding_).all()


@both_methods
def test_shares_of_copies_and_of_weights_add_up(digits, method):
    X = np.vstack([digits[:80], digits[:80]])
    given = {"method": method, "perplexity": 10, "max_iter": 250, "kl_per_sample": True}
    copies = TSNE(random_state=0, **given).fit(X)
    assert copies.kl_per_sample_.sum() == pytest.approx(copies.kl_divergence_, rel=1e-3)
    assert_array_equal(copies.kl_per_sample_[:80], copies.kl_per_sample_[80:])
    weights = np.tile([1.0, 2.0, 3.0, 0.5], 20)
    weighted = TSNE(random_state=0, **given).fit(X[:80], sample_weight=weights)
    assert weighted.kl_per_sample_.sum() == pytest.approx(weighted.kl_divergence_, rel=1e-3)
