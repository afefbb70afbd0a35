"""Learning rate, momentum and exaggeration of every iteration, phase by phase."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import index
from typing import Any, NamedTuple

import numpy as np

from fasttsne.runtime.numbers import with_plain_numbers

__all__ = ["Pace", "Phase", "Schedule", "Settings", "standard_schedule"]

# Settings that change within a phase change every 10 iterations.
N_ITER_HELD = 10

ENDLESS = sys.maxsize

N_ITER_SPEEDING = 50  # from momentum SLOW to FAST
SLOW, FAST = 0.8, 0.97


class Pace(NamedTuple):
    """Numbers of iterations, and convergence, of a standard schedule.

    Attributes
    ----------
    n_iter_early : int
        Iterations of early exaggeration.
    n_iter_unscaled : int
        Iterations after it in which the scale of the map takes no steps yet.
    n_iter_settling : int
        Iterations at the end of a run in which the map settles.
    least_gain : float
        The descent has converged when an iteration lowers KL(P||Q) by less than this share of it.
    counts_scale : bool
        Whether `least_gain` counts what the change of the map's scale gains.

    Examples
    --------
    >>> from fasttsne.descent import Pace, standard_schedule
    >>> quick = Pace(50, 0, 20, 1 / 1000, counts_scale=False)
    >>> standard_schedule(1000.0, pace=quick).n_iter_early
    50
    """

    n_iter_early: int
    n_iter_unscaled: int
    n_iter_settling: int
    least_gain: float
    counts_scale: bool


USUAL = Pace(150, 50, 50, 1 / 4000, counts_scale=True)
LARGE = Pace(100, 0, 30, 1 / 1250, counts_scale=False)  # for more than N_LARGE samples
N_LARGE = 50_000
# After a map of groups (descent/coarse.py), for more than N_COARSE samples.
COARSE = Pace(40, 0, 30, 1 / 1000, counts_scale=False)
N_COARSE = 200_000
COARSE_EXAGGERATION = 4.0  # the largest at the start of this pace


class Settings(NamedTuple):
    """Settings of an iteration.

    Attributes
    ----------
    learning_rate : float
        Step length, for the gradient with its factor 4 (van der Maaten 2014, equation 5).
    momentum : float
        Factor on the previous step, which is added to the next.
    exaggeration : float
        Factor on the attraction.

    Examples
    --------
    >>> from fasttsne.descent import Settings
    >>> Settings(learning_rate=200.0, momentum=0.8, exaggeration=12.0).momentum
    0.8
    """

    learning_rate: float
    momentum: float
    exaggeration: float


@dataclass(frozen=True)
class Phase:
    """Consecutive iterations whose settings move from a first to a last value.

    Attributes
    ----------
    n_iter : int
        Number of iterations.
    first, last : Settings
        At the beginning and at the end. In between, the square roots of the learning rate and of
        the reciprocal exaggeration change linearly, and one minus the momentum geometrically.
    least_gain : float
        The descent has converged when an iteration of this phase lowers the KL divergence by less
        than this share of it, on average since the last check. The default is -inf: never.
    scales : bool
        Whether every 10th iteration ends with a step of the map's scale, by a factor of at most
        1.15 either way. Default False.
    counts_scale : bool
        Whether `least_gain` counts what the change of scale gains. Default False.

    Examples
    --------
    >>> from fasttsne.descent import Phase, Settings
    >>> fading = Phase(150, Settings(25.0, 0.8, 16.0), Settings(400.0, 0.8, 1.0))
    >>> fading.settings(0.5).exaggeration
    2.56
    """

    n_iter: int
    first: Settings
    last: Settings
    least_gain: float = -np.inf
    scales: bool = False
    counts_scale: bool = False

    @property
    def is_moving(self) -> bool:
        """Whether the objective changes within the phase, because the exaggeration does."""
        return self.first.exaggeration != self.last.exaggeration

    def settings(self, share: float) -> Settings:
        """Return the settings after a share of the phase.

        Parameters
        ----------
        share : float
            From 0 at the beginning to 1 at the end.

        Returns
        -------
        settings : Settings
            Between the first and the last.
        """
        rate, momentum, exaggeration = zip(self.first, self.last, strict=True)
        rest = 1.0 - share
        return Settings(
            (rest * rate[0] ** 0.5 + share * rate[1] ** 0.5) ** 2,
            1.0 - (1.0 - momentum[0]) ** rest * (1.0 - momentum[1]) ** share,
            (rest * exaggeration[0] ** -0.5 + share * exaggeration[1] ** -0.5) ** -2,
        )


def _plain(phase: Phase) -> Phase:
    """Return a phase with Python's numbers."""
    first, last = (Settings(*map(float, settings)) for settings in (phase.first, phase.last))
    scale = bool(phase.scales), bool(phase.counts_scale)
    return Phase(int(phase.n_iter), first, last, float(phase.least_gain), *scale)


class Schedule:
    """The phases of a descent, one after the other.

    Settings depend on the number of the iteration alone, not on how many follow. So a descent can
    be interrupted anywhere and continued to the same bits. Only at the end of a run the map
    settles, on a branch: see `optimize_embedding`.

    Parameters
    ----------
    phases : sequence of Phase
        After the last phase its last settings hold.
    n_iter_early : int, default=0
        Iterations of early exaggeration. The map does not settle before their end.
    n_iter_settling : int, default=0
        Iterations at the end of a run in which the map settles, at a low momentum.

    Attributes
    ----------
    phases : tuple of Phase
        Phases of at least one iteration; the last one is endless.
    n_iter_early, n_iter_settling : int
        As given.

    Examples
    --------
    >>> from fasttsne.descent import Phase, Schedule, Settings
    >>> early, late = Settings(50.0, 0.5, 4.0), Settings(200.0, 0.8, 1.0)
    >>> schedule = Schedule([Phase(100, early, early), Phase(100, late, late)], n_iter_early=100)
    >>> settings, until = schedule.at(30)
    >>> settings.exaggeration, until
    (4.0, 100)
    """

    def __init__(
        self, phases: Sequence[Phase], *, n_iter_early: int = 0, n_iter_settling: int = 0
    ) -> None:
        some = [_plain(phase) for phase in phases if phase.n_iter > 0]
        last = some[-1]
        if last.first == last.last:
            some.pop()
        self.phases = (*some, replace(last, n_iter=ENDLESS, first=last.last))
        self.n_iter_early = int(n_iter_early)
        self.n_iter_settling = int(n_iter_settling)
        self._begins = [0, *accumulate(phase.n_iter for phase in some)]

    @property
    def final_exaggeration(self) -> float:
        """Factor on the attraction at the end of the last phase."""
        return self.phases[-1].last.exaggeration

    def at(self, iteration: int, n_iter_check: int = N_ITER_HELD) -> tuple[Settings, int]:
        """Return the settings of an iteration, and the iteration at which they change next.

        Parameters
        ----------
        iteration : int
            Counted from 0.
        n_iter_check : int, default=10
            Settings that change within a phase change every 10 iterations, counted from the last
            multiple of this.

        Returns
        -------
        settings : Settings
            Of the iteration.
        until : int
            First iteration that may have other settings.
        """
        number = bisect_right(self._begins, iteration) - 1
        phase, begin = self.phases[number], self._begins[number]
        end = begin + phase.n_iter if number + 1 < len(self.phases) else ENDLESS
        if phase.first == phase.last:
            return phase.first, end
        base = max(begin, iteration - iteration % n_iter_check)
        held = iteration - (iteration - base) % N_ITER_HELD
        next_check = iteration - iteration % n_iter_check + n_iter_check
        until = min(held + N_ITER_HELD, next_check, end)
        return phase.settings((held - begin) / phase.n_iter), until

    def phase_before(self, iteration: int) -> Phase:
        """Return the phase of the last iteration taken.

        Parameters
        ----------
        iteration : int
            Number of iterations taken.

        Returns
        -------
        phase : Phase
            The first one if none was taken.
        """
        return self.phases[bisect_right(self._begins, max(iteration - 1, 0)) - 1]

    def settling(self, iteration: int) -> Schedule:
        """Return the schedule by which the map settles.

        Parameters
        ----------
        iteration : int
            Number of iterations taken.

        Returns
        -------
        schedule : Schedule
            The settings of this iteration, at a momentum of at most 0.8.
        """
        (rate, momentum, exaggeration), _ = self.at(iteration)
        settings = Settings(rate, min(momentum, SLOW), exaggeration)
        return Schedule([Phase(ENDLESS, settings, settings)], n_iter_early=self.n_iter_early)


@with_plain_numbers
def standard_schedule(
    learning_rate: float,
    *,
    early_exaggeration: float = 12.0,
    early_exaggeration_iter: int | None = None,
    exaggeration: float | Sequence[tuple[int, float]] = 1.0,
    pace: Pace = USUAL,
) -> Schedule:
    """Return the schedule of `TSNE`: exaggeration that fades, then speed, and rest at the end.

    Early exaggeration fades at momentum 0.8. Then the momentum rises to 0.97 over 50 iterations
    and stays there until the descent converges or ends, and the scale of the map takes a step of
    its own every 10 iterations. The map settles at momentum 0.8.

    Parameters
    ----------
    learning_rate : float
        Step length without exaggeration. An exaggeration above 1 divides it.
    early_exaggeration : float, default=12.0
        Factor on the attraction at the start.
    early_exaggeration_iter : int or None, default=None
        Iterations over which it fades to `exaggeration`; None means those of `pace`.
    exaggeration : float or sequence of (int, float), default=1.0
        Factor on the attraction afterwards. A sequence gives several, each with its number of
        iterations; the last one holds until the end.
    pace : Pace, default=USUAL
        Numbers of iterations, and convergence. `TSNE` has a quicker one for more than 50,000
        samples, and a third one after a map of groups, for more than 200,000.

    Returns
    -------
    schedule : Schedule
        For `fasttsne.descent.optimize_embedding`.

    Examples
    --------
    >>> from fasttsne.descent import standard_schedule
    >>> schedule = standard_schedule(1000.0, exaggeration=[(200, 1.0), (100, 4.0)])
    >>> [round(schedule.at(iteration)[0].exaggeration, 6) for iteration in (0, 200, 350, 10_000)]
    [12.0, 1.0, 4.0, 4.0]
    """
    stretches = [(1, exaggeration)] if isinstance(exaggeration, (int, float)) else exaggeration
    factors = [float(factor) for _, factor in stretches]
    # Iterations after early exaggeration at which each factor begins.
    begins = [0, *accumulate(n_iter for n_iter, _ in stretches[:-1])]
    if early_exaggeration_iter is None:
        early_exaggeration_iter = pace.n_iter_early
    if early_exaggeration_iter == 0:
        early_exaggeration = factors[0]

    def settings(momentum: float, factor: float) -> Settings:
        return Settings(learning_rate / max(factor, 1.0), momentum, factor)

    def momentum(after: int) -> float:
        share = min(after / N_ITER_SPEEDING, 1.0)
        return float(1.0 - (1.0 - SLOW) * ((1.0 - FAST) / (1.0 - SLOW)) ** share)

    fading = Phase(
        early_exaggeration_iter, settings(SLOW, early_exaggeration), settings(SLOW, factors[0])
    )
    phases = [fading]
    cuts = sorted({*begins, N_ITER_SPEEDING, pace.n_iter_unscaled} | {0})
    for begin, end in zip(cuts, [*cuts[1:], ENDLESS], strict=True):
        factor = factors[bisect_right(begins, begin) - 1]
        first = settings(momentum(begin), factor)
        last = settings(momentum(end), factor)
        # At an exaggeration below 1 the objective has no minimum along the scale.
        scales = factor >= 1.0 and begin >= pace.n_iter_unscaled
        phases.append(Phase(end - begin, first, last, scales=scales))
    phases[-1] = replace(phases[-1], least_gain=pace.least_gain, counts_scale=pace.counts_scale)
    return Schedule(
        phases, n_iter_early=early_exaggeration_iter, n_iter_settling=pace.n_iter_settling
    )


def check_exaggeration(exaggeration: Any) -> float | list[tuple[int, float]]:
    """Return `exaggeration` as a number or a list of pairs; raise ValueError for anything else."""
    if not isinstance(exaggeration, Sequence):
        return float(exaggeration)
    try:
        stretches = [(index(n_iter), float(factor)) for n_iter, factor in exaggeration]
    except (TypeError, ValueError):
        stretches = []
    if not stretches or not all(
        0 < n_iter < 2**31 and 0 < factor <= sys.float_info.max for n_iter, factor in stretches
    ):
        raise ValueError(
            "exaggeration must be a number above 0 or a list of pairs, a number of iterations"
            f" and a number above 0; got {exaggeration!r}"
        )
    return stretches
