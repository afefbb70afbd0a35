"""A fit that goes on where the last one stopped."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit, run_python
from numpy.testing import assert_array_equal

from fasttsne import TSNE
from fasttsne.affinity import build, joint_probabilities_dense
from fasttsne.descent.loop import optimize_embedding
from fasttsne.descent.schedule import standard_schedule
from fasttsne.neighbors import pairwise_squared_distances

LONG = {"n_jobs": 2}


def warm(X, lengths, **params):
    """One call after the other on the same estimator."""
    estimator = TSNE(**{**SHORT, **params, "warm_start": True})
    for n_iter in lengths:
        estimator.set_params(max_iter=n_iter).fit(X)
    return estimator


def assert_same_run(a, b):
    """The same map and the same way there."""
    assert_same_bits(a, b)
    assert a.n_iter_ == b.n_iter_
    assert a.degrees_of_freedom_ == b.degrees_of_freedom_
    for name in ("iteration", "kl_divergence", "gradient_norm"):
        assert_array_equal(a.history_[name], b.history_[name])


@both_methods
@pytest.mark.nosan
@pytest.mark.parametrize(
    ("params", "lengths"),
    [
        ({}, [250, 250]),
        (LONG, [250, 250]),
        (LONG, [300, 1, 199]),
        (LONG, [257, 13, 30, 100, 100]),
        ({**LONG, "early_exaggeration_iter": 230}, [250, 250]),
        ({**LONG, "exaggeration": [(40, 1.0), (93, 3.0), (40, 1.5)]}, [250, 250]),
        ({**LONG, "degrees_of_freedom": "auto"}, [250, 250]),
        ({**LONG, "density": 0.5}, [257, 43, 200]),
        ({**LONG, "density": 0.5, "early_exaggeration_iter": 250}, [250, 1, 249]),
        ({**LONG, "density": 0.5, "exaggeration": [(140, 1.0), (93, 3.0)]}, [290, 210]),
        ({**LONG, "n_components": 1, "degrees_of_freedom": 2.5, "init": "random"}, [250, 250]),
    ],
    ids=str,
)
def test_parts_are_the_whole(digits, method, params, lengths, request):
    if params:
        request.getfixturevalue("endless")
    X = digits[:400]
    whole = fit(X, method=method, max_iter=500, **params)
    assert whole.n_iter_ == 499 or not params
    assert_same_run(warm(X, lengths, method=method, **params), whole)


def test_a_fresh_process_goes_on_to_the_same_bits(digits, tmp_path):
    X = digits[:700]
    first, last = tmp_path / "first", tmp_path / "last"
    first.write_bytes(pickle.dumps(warm(X, [250], **LONG)))
    np.save(tmp_path / "X.npy", X)
    run_python(f"""
import pickle
import numpy as np
estimator = pickle.load(open({str(first)!r}, "rb"))
estimator.set_params(max_iter=100).fit(np.load({str(tmp_path / "X.npy")!r}))
pickle.dump(estimator, open({str(last)!r}, "wb"))
""")
    assert_same_run(pickle.loads(last.read_bytes()), fit(X, max_iter=350, **LONG))


def test_what_has_converged_stays(X, request):
    whole = fit(X, max_iter=1000)
    assert whole.n_iter_ < 900
    estimator = warm(X, [1000, 300])
    assert_same_run(estimator, whole)
    # until more is asked of it
    request.getfixturevalue("endless")
    estimator.set_params(max_iter=300).fit(X)
    assert estimator.n_iter_ == whole.n_iter_ + 300


@both_methods
def test_one_run_is_the_same_with_and_without(X, method):
    plain = fit(X, method=method, max_iter=300)
    assert_same_run(warm(X, [300], method=method), plain)
    estimator = warm(X, [250, 250], method=method)
    assert_same_run(estimator.set_params(warm_start=False, max_iter=300).fit(X), plain)
    assert estimator._descent is None


@both_methods
def test_later_parameters_take_effect(digits, method):
    X = digits[:300]
    estimator = warm(X, [400], method=method)
    before, divergence = estimator.embedding_, estimator.kl_divergence_
    estimator.set_params(exaggeration=4.0, max_iter=200).fit(X)
    assert estimator.kl_divergence_ > 1.5 * divergence  # another objective
    assert not np.allclose(estimator.embedding_, before)
    assert_array_equal(before, warm(X, [400], method=method).embedding_)


@both_methods
def test_perplexity_may_be_annealed(digits, method):
    X = digits[:400]
    estimator = warm(X, [250], method=method, perplexity=90)
    for perplexity in (50, 30):
        estimator.set_params(perplexity=perplexity, max_iter=150).fit(X)
    assert estimator.n_iter_ > 400
    plain = fit(X, method=method, perplexity=30, max_iter=500)
    assert estimator.kl_divergence_ == pytest.approx(plain.kl_divergence_, rel=0.1)


def test_a_later_objective_is_judged_afresh(X):
    # Of a larger perplexity the divergence is smaller, of a smaller one larger.
    for perplexity in (5, 35):
        estimator = warm(X, [1000], perplexity=20)
        at = estimator.n_iter_
        estimator.set_params(perplexity=perplexity).fit(X)
        assert estimator.n_iter_ >= at + 50


@pytest.mark.parametrize(("first", "then"), [("barnes_hut", "exact"), ("exact", "barnes_hut")])
def test_the_method_may_change(digits, first, then):
    X = digits[:299]
    estimator = warm(X, [400], method=first, perplexity=99)
    estimator.set_params(method=then, max_iter=300).fit(X)
    plain = fit(X, method=then, perplexity=99, max_iter=700)
    assert estimator.kl_divergence_ == pytest.approx(plain.kl_divergence_, rel=0.02)


def test_p_is_made_anew_only_when_it_has_to_be(X, monkeypatch):
    made, find = [], build.neighbors_of
    monkeypatch.setattr(
        build, "neighbors_of", lambda *args, **params: made.append(1) or find(*args, **params)
    )
    estimator = warm(X, [250])
    estimator.set_params(exaggeration=2.0, max_iter=50).fit(X)
    assert len(made) == 1
    for number, change in enumerate([{"perplexity": 12}, {"metric": "cosine"}], 2):
        estimator.set_params(**change).fit(X)
        assert len(made) == number
    estimator.fit(X + np.eye(*X.shape))
    assert len(made) == 4
    estimator.set_params(metric=lambda a, b: np.abs(a - b).sum()).fit(X)  # can't be pickled
    estimator.fit(X)
    assert len(made) == 6


def test_pickles_do_not_hold_p(digits):
    plain, going_on = fit(digits, max_iter=250), warm(digits, [250])
    # 28 more bytes a sample; P has more than 700
    assert len(pickle.dumps(going_on)) < len(pickle.dumps(plain)) + 32 * len(digits) + 5000


@both_methods
def test_other_samples_are_refused(X, method):
    with pytest.raises(ValueError, match=r"'max_iter' parameter of TSNE .* Got 249"):
        warm(X, [249], method=method)
    estimator = warm(X, [250], method=method)
    before = estimator.embedding_.copy()
    with pytest.raises(ValueError, match="warm_start=True continues a map of 120 samples"):
        estimator.fit(X[:100])
    with pytest.raises(ValueError, match="features"):
        estimator.fit(X[:, :3])
    with pytest.raises(ValueError, match="n_components"):
        estimator.set_params(n_components=1).fit(X)
    assert_array_equal(estimator.embedding_, before)
    estimator.set_params(n_components=2, max_iter=10).fit(X)
    estimator.set_params(warm_start=False, max_iter=250).fit(X[:100, :3])
    assert estimator.embedding_.shape == (100, 2)


def test_a_map_that_diverged_is_not_gone_on_with(X):
    estimator = warm(X, [250])
    estimator._descent.state.embedding[:] = 1e30
    with pytest.raises(ValueError, match="diverged"):
        estimator.set_params(max_iter=50).fit(X)
    estimator.set_params(max_iter=300).fit(X)
    assert_same_bits(estimator, fit(X, max_iter=300))


def test_the_public_function_goes_on(X, endless):
    joint = joint_probabilities_dense(pairwise_squared_distances(X), 10.0)
    start = np.random.default_rng(0).normal(scale=1e-4, size=(len(X), 2))
    schedule = standard_schedule(len(X))
    whole = optimize_embedding(joint, start, schedule, max_iter=400).outcome
    descent = optimize_embedding(joint, start, schedule, max_iter=250)
    parts = optimize_embedding(joint, descent, schedule, max_iter=150).outcome
    assert_array_equal(parts.embedding, whole.embedding)
    assert parts.n_iter == whole.n_iter == 400
    fitted = fit(X, method="exact", init=start, max_iter=400)
    assert_array_equal(fitted.embedding_, whole.embedding)


def test_a_map_is_not_drawn_by_two_at_once(X):
    tsne = TSNE(warm_start=True, max_iter=250, random_state=0)
    refused = []

    def refit(state):
        with pytest.raises(RuntimeError, match="drawn already"):
            tsne.fit(X)
        refused.append(state.iteration)

    tsne.set_params(callback=refit, callback_every=100).fit(X)
    again = TSNE(warm_start=True, max_iter=250, random_state=0).fit(X)
    assert refused == [100, 200]
    assert_array_equal(tsne.embedding_, again.embedding_)


def test_threads_that_take_up_the_same_map_are_refused_or_take_turns(X):
    tsne = TSNE(warm_start=True, max_iter=250, random_state=0).fit(X)

    def refit(_):
        try:
            return bool(np.isfinite(tsne.fit(X).embedding_).all())
        except RuntimeError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        outcomes = set(pool.map(refit, range(12)))
    assert outcomes <= {True, "refused"} and True in outcomes
