"""What every iteration goes by, and the parameters of TSNE that shape it."""

from dataclasses import replace

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit

from fasttsne import TSNE
from fasttsne.descent.schedule import (
    ENDLESS,
    N_ITER_HELD,
    Phase,
    Schedule,
    Settings,
    standard_schedule,
)
from fasttsne.pipeline import schedule_of


def test_settings_move_from_the_first_to_the_last():
    phase = Phase(100, Settings(10.0, 0.5, 16.0), Settings(160.0, 0.98, 1.0))
    assert phase.settings(0.0) == pytest.approx(phase.first)
    assert phase.settings(1.0) == pytest.approx(phase.last)
    # Halfway: the roots 1/4 and 1 of 1/exaggeration meet in 5/8; 1 - m is sqrt(0.5 * 0.02).
    assert phase.settings(0.5) == pytest.approx((62.5, 0.9, (8 / 5) ** 2))
    for share in np.linspace(0.0, 1.0, 7):
        rate, _, exaggeration = phase.settings(share)
        assert rate * exaggeration == pytest.approx(160.0)


def test_settings_depend_on_the_iteration_alone():
    schedule = standard_schedule(300.0, early_exaggeration_iter=67)
    iteration, held = 0, []
    while iteration < 300:
        settings, until = schedule.at(iteration, 50)
        assert iteration < until
        for within in range(iteration, min(until, 300)):
            assert schedule.at(within, 50) == (settings, until)
        held.append(min(until, 300) - iteration)
        iteration = until
    assert max(held[:-1]) == N_ITER_HELD


def test_the_standard_schedule_is_fading_then_speed():
    schedule = standard_schedule(1200.0)
    fading, speeding, cruising = schedule.phases
    assert (fading.n_iter, speeding.n_iter) == (150, 50)
    assert fading.first == (100.0, 0.8, 12.0)
    assert fading.last == speeding.first == (1200.0, 0.8, 1.0)
    assert speeding.last == cruising.first == cruising.last == (1200.0, 0.97, 1.0)
    assert cruising.n_iter == ENDLESS
    assert schedule.settling(400).at(400)[0] == (1200.0, 0.8, 1.0)
    empty = replace(fading, n_iter=0)
    assert Schedule([empty, speeding, cruising]).phases == (speeding, cruising)


@pytest.mark.parametrize(
    "exaggeration", [4.0, 0.5, [(20, 1.0), (10, 4.0), (300, 2.0)], [(50, 3.0), (1, 1.5)]], ids=str
)
@pytest.mark.parametrize("early", [0, 30])
def test_late_exaggeration_holds_for_as_long_as_it_says(exaggeration, early):
    schedule = standard_schedule(1000.0, early_exaggeration_iter=early, exaggeration=exaggeration)
    stretches = [(1, exaggeration)] if isinstance(exaggeration, float) else exaggeration
    expected = np.repeat([e for _, e in stretches], [n for n, _ in stretches])
    expected = np.append(expected, np.full(400, stretches[-1][1]))
    plain = standard_schedule(1000.0, early_exaggeration_iter=early)
    for after, factor in enumerate(expected):
        rate, momentum, e = schedule.at(early + after)[0]
        assert e == pytest.approx(factor)
        assert rate == pytest.approx(1000.0 / max(factor, 1.0))
        if after % N_ITER_HELD == 0:
            assert momentum >= plain.at(early + after)[0].momentum - 1e-9
    last_change = early + sum(n for n, _ in stretches[:-1])
    assert schedule.final_exaggeration == stretches[-1][1]
    assert schedule.phase_before(last_change + 1).last.exaggeration == stretches[-1][1]
    assert schedule.phase_before(last_change + 400).least_gain > 0


@both_methods
@pytest.mark.parametrize("n_iter", [0, 1, 151, 199, 200, 220, 250, 10_000])
def test_no_length_of_early_exaggeration_overruns_max_iter(X, method, n_iter, capsys, endless):
    params = {"max_iter": 250, "verbose": 1}
    fitted = fit(X, method=method, early_exaggeration_iter=n_iter, **params)
    assert fitted.n_iter_ == 249
    assert np.isfinite(fitted.embedding_).all()
    assert fitted.history_["iteration"][-1] == 250
    told = f"after {min(n_iter, 250)} iterations with early exaggeration:"
    assert told in capsys.readouterr().out


def test_the_private_length_that_scikit_learn_has_is_the_default(X):
    estimator = TSNE(**SHORT)
    assert_same_bits(estimator.fit(X), fit(X, early_exaggeration_iter=150))
    estimator._EXPLORATION_MAX_ITER = 240
    assert_same_bits(estimator.fit(X), fit(X, early_exaggeration_iter=240))
    assert estimator.n_iter_ == 299


# Not where degrees of freedom are learned: so few points then settle in various arrangements.
@pytest.mark.parametrize(
    "params",
    [
        {"exaggeration": 2.0},
        {"exaggeration": [(150, 1.0), (100, 3.0)]},
        {"degrees_of_freedom": 0.5},
        {"degrees_of_freedom": 3.0},
    ],
    ids=str,
)
def test_both_methods_reach_the_same_divergence(digits, params):
    # P of the same pairs: perplexity 99 has 298 neighbours.
    X = digits[:299]
    tree, exact = (
        fit(X, method=method, perplexity=99, max_iter=700, **params).kl_divergence_
        for method in ("barnes_hut", "exact")
    )
    # Rounding decides in which of several arrangements so few points settle: up to 2 per cent.
    assert tree == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize(
    "exaggeration",
    [[], [1.0], [(100,)], [(0, 1.0)], [(100, 0.0)], [(1.5, 2.0)], [(5, np.nan)], [(5, "x")]],
    ids=str,
)
def test_a_schedule_must_be_pairs(X, exaggeration):
    with pytest.raises(ValueError, match="exaggeration must be"):
        fit(X, exaggeration=exaggeration)


def test_large_data_have_a_quicker_schedule():
    tsne = TSNE()
    small, large = (schedule_of(tsne, n_samples, 150) for n_samples in (50_000, 50_001))
    assert (small.n_iter_early, small.n_iter_settling) == (150, 50)
    assert (large.n_iter_early, large.n_iter_settling) == (100, 30)
    assert small.phases[-1].least_gain < large.phases[-1].least_gain
    assert schedule_of(TSNE(early_exaggeration_iter=170), 60_000, 150).n_iter_early == 170


def test_scale_moves_at_full_speed_and_counts_where_the_pace_or_a_low_rate_says_so():
    for n_samples, rate, scales, counts in (
        (2000, "auto", [False, False, True], True),
        (60_000, "auto", [False, True, True], False),
        (60_000, 1e9, [False, True, True], False),
        (60_000, 1000.0, [False, True, True], True),
    ):
        phases = schedule_of(TSNE(learning_rate=rate), n_samples, 150).phases
        assert [phase.scales for phase in phases] == scales
        assert phases[-1].counts_scale == counts


def test_scale_takes_no_steps_below_an_exaggeration_of_1():
    schedule = standard_schedule(100.0, exaggeration=[(100, 0.9), (200, 2.0), (1, 0.5)])
    assert not any(schedule.phase_before(n).scales for n in (160, 230, 460, 1000))
    assert schedule.phase_before(300).scales
