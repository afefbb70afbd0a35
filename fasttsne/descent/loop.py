"""Gradient descent on the map: momentum, gains, stopping. The only loop.

`optimize` takes walks (`_Run.walk`) of iterations, `_Run._advance` hands some of them at a time to
the kernels (`descend` in gate/descent.pxi), and src/update.c moves the points in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from operator import attrgetter
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from fasttsne._kernels import DivergedError, ExactForces, Forces, descend
from fasttsne.descent.degrees_of_freedom import (
    N_ITER_LEARNING,
    STEADY,
    first_degrees_of_freedom,
    learn,
)
from fasttsne.descent.forces import make_forces
from fasttsne.descent.schedule import N_ITER_HELD, Schedule, standard_schedule
from fasttsne.descent.springs import Springs
from fasttsne.descent.state import Check, Descent, Outcome, Problem, Snapshot, State, pin
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.progress import complete, progress_bar
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import check_fixed

__all__ = ["optimize_embedding"]

# Iterations between two updates of the progress bar.
_N_ITER_BAR = 10

# Below this share of the number of points a learning rate is slow.
_SLOW_RATE = 0.1

Callback = Callable[[Snapshot], "bool | None"]
Arrays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@with_plain_numbers
def optimize_embedding(
    joint: Any,
    start: NDArray[Any] | Descent,
    schedule: Schedule | None = None,
    *,
    max_iter: int = 1000,
    degrees_of_freedom: float | Literal["auto"] | None = None,
    angle: float = 0.5,
    n_iter_without_progress: int = 300,
    min_grad_norm: float = 1e-7,
    n_iter_check: int = 50,
    fixed: NDArray[np.bool_] | None = None,
    callback: Callback | None = None,
    callback_every: int = 50,
    progress: bool = False,
    verbose: int = 0,
    n_threads: int = 1,
) -> Descent:
    """Minimise KL(P||Q) by gradient descent with momentum and gains [1]_.

    At the end of a run that no rule or callback stopped, the map settles, in iterations on a
    branch: a later run continues from the state before them. So 250 iterations and 250 more give
    the same bits as 500. After an exception the descent is between two iterations, and the next
    run first takes the rest of `max_iter`.

    Parameters
    ----------
    joint : JointProbabilities, sparse matrix or ndarray of shape (n_samples, n_samples)
        P. Repulsion is computed through a tree if P is sparse, of all pairs if it is dense.
    start : ndarray of shape (n_samples, n_components), or Descent
        The first map, which is copied; or the result of an earlier run, which is continued in
        place.
    schedule : Schedule, default=None
        Learning rate, momentum and exaggeration of every iteration. None means
        `standard_schedule` with a learning rate of n_samples.
    max_iter : int, default=1000
        Largest number of iterations of this run, with those in which the map settles.
    degrees_of_freedom, angle, n_iter_without_progress, min_grad_norm
        See `TSNE`.
    n_iter_check : int, default=50
        Iterations between two checks of the stopping rules, where the KL divergence is computed.
        The rules wait until the exaggeration is the last of the schedule, because before that the
        objective changes.
    fixed : ndarray of bool, shape (n_samples,), default=None
        True for points that do not move.
    callback, callback_every, progress
        See `TSNE`.
    verbose : int, default=0
        1 prints the KL divergence after early exaggeration and at the end, 2 every check too.
    n_threads : int, default=1
        Number of threads. The result does not depend on it.

    Returns
    -------
    descent : Descent
        `outcome` has the map and its KL divergence.

    Raises
    ------
    FloatingPointError
        If a coordinate is too large to be squared in single precision.
    ImportError
        If `progress` is True and tqdm is not installed.
    ValueError
        If shapes do not agree.

    References
    ----------
    .. [1] van der Maaten, L. (2014). Accelerating t-SNE using tree-based algorithms. Journal of
       Machine Learning Research 15, 3221-3245.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import joint_probabilities_dense
    >>> from fasttsne.descent import optimize_embedding
    >>> squared_distances = np.square(np.subtract.outer(np.arange(20.0), np.arange(20.0)))
    >>> joint = joint_probabilities_dense(squared_distances, 4.0)
    >>> start = np.random.default_rng(0).normal(scale=1e-4, size=(20, 2))
    >>> descent = optimize_embedding(joint, start, max_iter=300)
    >>> descent.outcome.embedding.shape, descent.outcome.n_iter
    ((20, 2), 300)
    """
    check_scalar(max_iter, "max_iter", int, min_val=1)
    few = {"n_threads": n_threads, "n_iter_check": n_iter_check, "callback_every": callback_every}
    for name, count in few.items():
        check_scalar(count, name, int, min_val=1, max_val=2**31 - 1)
    if isinstance(start, Descent):
        descent = start
    else:
        first = as_array(start, "start")
        if first.ndim != 2 or first.dtype.kind not in "fiub":
            raise ValueError(
                "start must be numbers of shape (n_samples, n_components), got an array of"
                f" {first.dtype} and shape {first.shape}"
            )
        descent = Descent.at_rest(first)
    n_samples, n_components = descent.state.embedding.shape
    nu = first_degrees_of_freedom(degrees_of_freedom, n_components)
    forces = make_forces(joint, n_components, nu, angle=angle, n_threads=n_threads)
    if len(forces.order) != n_samples:
        raise ValueError(
            f"joint is of {len(forces.order)} samples, but start is a map of {n_samples}; both"
            " must be of the same samples"
        )
    fixed = check_fixed(fixed, n_samples)
    pin(descent, fixed)
    optimize(
        forces,
        descent,
        schedule or standard_schedule(float(n_samples)),
        max_iter=max_iter,
        rules=Rules(n_iter_without_progress, min_grad_norm, n_iter_check),
        learns=degrees_of_freedom == "auto",
        fixed=fixed,
        callback=callback,
        callback_every=callback_every,
        progress=progress,
        verbose=verbose,
    )
    descent.end_run()
    return descent


@dataclass(frozen=True)
class Rules:
    """When a descent stops before `max_iter`: see `optimize_embedding`."""

    n_iter_without_progress: int
    min_grad_norm: float
    n_iter_check: int

    def reason_to_stop(self, checks: Sequence[Check]) -> str:
        """Return the rule that stops a descent after checks of one problem; empty if none does."""
        last, best = checks[-1], min(checks, key=attrgetter("objective"))
        if last.gradient_norm <= self.min_grad_norm:
            return f"gradient norm {last.gradient_norm:f}"
        if last.iteration - best.iteration > self.n_iter_without_progress:
            return (  # scikit-learn's words
                f"did not make any progress during the last {self.n_iter_without_progress} episodes"
            )
        return ""


def _has_converged(
    checks: Sequence[Check], least_gain: float, counts_scale: bool, is_slow: bool = False
) -> bool:
    """Whether iterations since the last check gained less than this share of KL(P||Q) each.

    The gain by the scale is left out unless `counts_scale`. It is minus the logarithmic mean of the
    slopes at both checks, as slopes decay, times the change of the logarithm of the radius.
    """
    if len(checks) < 2 or least_gain == -np.inf:
        return False
    before, last = checks[-2:]
    if abs(np.log(last.degrees_of_freedom / before.degrees_of_freedom)) > STEADY:
        return False
    least = least_gain * (last.iteration - before.iteration) * last.kl_divergence
    gain = before.objective - last.objective
    slopes = before.slope, last.slope
    if not counts_scale and max(slopes) < 0.0 and slopes[0] != slopes[1]:
        mean = (slopes[1] - slopes[0]) / np.log(slopes[1] / slopes[0])
        gain += mean * np.log(last.radius / before.radius)
    # Slow maps go on after they overshot.
    return bool((abs(gain) if is_slow else gain) < least * last.problem.exaggeration)


def optimize(
    forces: Forces,
    descent: Descent,
    schedule: Schedule,
    *,
    max_iter: int,
    rules: Rules,
    learns: bool = False,
    fixed: NDArray[np.bool_] | None = None,
    pull: float = 1.0,
    density: float = 0.0,
    callback: Callback | None = None,
    callback_every: int = 50,
    progress: bool = False,
    verbose: int = 0,
) -> None:
    """Continue a descent. Like `optimize_embedding`, with the forces already built.

    With a `pull` below 1 fixed points move, and `Springs` of this pull hold them. `density` is the
    weight of the density term after early exaggeration. The run counts as interrupted until
    `descent.end_run()`.
    """
    state = descent.state
    if isinstance(forces, ExactForces):  # which keep the caller's order
        state = state.in_callers_order()
    if not learns or np.isnan(state.degrees_of_freedom):
        state = replace(state, degrees_of_freedom=forces.degrees_of_freedom)
    end = descent.n_iter_ended + max_iter
    mask = springs = None
    if fixed is not None and fixed.any():
        mask = fixed.astype(np.uint8)
        if pull < 1.0:
            springs = Springs.of(state.in_callers_order().embedding, fixed, pull)
            state = replace(state, embedding=springs.homes[state.order])
        elif fixed.all():
            end = state.iteration  # nothing can move
    descent.state = state
    with progress_bar(progress, state.iteration, end) as bar:
        watch = callback, callback_every, bar, verbose
        run = _Run(forces, rules, learns, mask, springs, density, *watch)
        run.descend(descent, schedule, end)
        complete(bar)
    run.print_end(descent.outcome)


def _evaluate(forces: Forces, state: State) -> None:
    """Compute the forces at a state, with its degrees of freedom and its order of the rows."""
    forces.degrees_of_freedom = state.degrees_of_freedom
    if not np.array_equal(forces.order, state.order):
        forces.restore_order(state.order)
    forces.evaluate(state.embedding, True)


@dataclass
class _Run:
    """One call of `optimize`: what its two walks, down the schedule and to rest, share."""

    forces: Forces
    rules: Rules
    learns: bool
    fixed: NDArray[np.uint8] | None  # not 0 for points that do not move, or are on springs
    springs: Springs | None
    density: float  # weight of the density term
    callback: Callback | None
    callback_every: int
    bar: Any
    verbose: int
    first: int = 0  # iteration after which the callback is called
    stopped_by: str = ""  # rule or callback that ended the run; empty after convergence

    def descend(self, descent: Descent, schedule: Schedule, end: int) -> None:
        """Walk down the schedule and to rest. The outcome is the map at the end, or so far."""
        self.first = begin = descent.state.iteration
        # The last iteration had this weight; the next one may have another.
        self.forces.density = self._density_at(begin - 1, schedule)
        _evaluate(self.forces, descent.state)
        shown = descent
        try:
            early = min(schedule.n_iter_early, end)
            self.walk(descent, schedule, max(end - schedule.n_iter_settling, early), judging=True)
            iteration = descent.state.iteration
            rest = min(iteration + schedule.n_iter_settling, end)
            if not self.stopped_by and rest > iteration:
                # The map settles on a branch, and the descent stays where it is.
                shown = Descent(descent.state, descent.point_of_sample)
                self.first = iteration  # the callback has seen it
                self.walk(shown, schedule.settling(iteration), rest, judging=False)
            if self.springs is not None:
                shown.state = self.springs.at_places(shown.state)
                _evaluate(self.forces, shown.state)
            descent.outcome = self.outcome(shown)
        except DivergedError:
            raise
        except BaseException:
            # Ctrl-C, or an exception of the callback.
            _evaluate(self.forces, shown.state)
            descent.outcome = self.outcome(shown)
            raise

    def walk(self, descent: Descent, schedule: Schedule, end: int, *, judging: bool) -> None:
        """Iterate until `end`, or until a rule or the callback stops the run.

        Kernels move arrays of the walk and count the steps in `forces.n_steps`, both at once, so
        that the arrays are between two iterations at any moment at which Python can be
        interrupted. A new state is copied from them wherever something is checked or shown.
        """
        forces, begin = self.forces, descent.state
        arrays = begin.embedding.copy(), begin.velocity.copy(), begin.gains.copy()
        n_iter_before = begin.iteration - forces.n_steps
        began = perf_counter() - begin.seconds

        def reached() -> State:
            last, iteration = descent.state, n_iter_before + forces.n_steps
            norm = forces.grad_norm if iteration > last.iteration else last.gradient_norm
            embedding, velocity, gains = (array.copy() for array in arrays)
            return replace(
                last,
                iteration=iteration,
                order=forces.order,
                embedding=embedding,
                velocity=velocity,
                gains=gains,
                gradient_norm=norm,
                seconds=perf_counter() - began,
            )

        try:
            while True:
                descent.state = state = self._checked(reached(), schedule)
                if judging:
                    self._print_early(state, min(schedule.n_iter_early, end))
                    if self._must_stop(state, schedule):
                        return
                if (
                    self._callback_stops(state, schedule, descent.point_of_sample)
                    or state.iteration >= end
                ):
                    return
                if judging and self.learns and state.iteration >= schedule.n_iter_early:
                    descent.state = state = self._learned(state, schedule, arrays[0])
                if _is_time_to_reorder(state.iteration, self.rules.n_iter_check):
                    # Points that are close on the map move close together in memory. The order
                    # soon stays nearly the same, so this happens less and less often.
                    forces.reorder(*arrays)
                self._advance(arrays, schedule, state.iteration, end)
        finally:
            # An interrupt before this assignment leaves the last complete state.
            descent.state = reached()

    def outcome(self, shown: Descent) -> Outcome:
        """Return the result at a state where the forces are evaluated."""
        state, checks = shown.state, shown.state.checks
        if not checks or checks[-1].iteration < state.iteration:
            checks = (*checks, self._check(state, 1.0, False))
        embedding, divergence = state.of_samples(shown.point_of_sample), self.forces.kl_divergence
        return Outcome(embedding, divergence, state.iteration, state.degrees_of_freedom, checks)

    def _checked(self, state: State, schedule: Schedule) -> State:
        """Return the state with one check more, if a check is due and was not yet made."""
        checks, iteration = state.checks, state.iteration
        if iteration == 0 or iteration % self.rules.n_iter_check:
            return state
        if checks and checks[-1].iteration == iteration:  # made before an interrupt
            return state
        phase = schedule.phase_before(iteration)
        exaggeration = phase.last.exaggeration
        arrived = not phase.is_moving and exaggeration == schedule.final_exaggeration
        if self.verbose >= 2 and not phase.is_moving:
            error = self.forces.kl_divergence_exaggerated(exaggeration)
            since, seconds = (checks[-1].iteration, checks[-1].seconds) if checks else (0, 0.0)
            print(
                f"[t-SNE] Iteration {iteration}: error = {error:.7f},"
                f" gradient norm = {state.gradient_norm:.7f}"
                f" ({iteration - since} iterations in {state.seconds - seconds:0.3f}s)"
            )
        return replace(state, checks=(*checks, self._check(state, exaggeration, arrived)))

    def _check(self, state: State, exaggeration: float, is_judged: bool) -> Check:
        objective, problem = self.forces.objective(exaggeration), self._problem(state, exaggeration)
        of_state = state.iteration, self.forces.kl_divergence, state.gradient_norm, state.seconds
        scale = self.forces.slope_and_radius(state.embedding, exaggeration)
        return Check(*of_state, objective, problem, is_judged, state.degrees_of_freedom, *scale)

    def _problem(self, state: State, exaggeration: float) -> Problem:
        nu = 0.0 if self.learns else state.degrees_of_freedom
        density = self.forces.density * exaggeration
        return Problem(exaggeration, self.forces.negative_entropy, nu, density)

    def _print_early(self, state: State, early: int) -> None:
        iteration = state.iteration
        if self.verbose and iteration == early and (iteration > self.first or early == 0):
            print(
                f"[t-SNE] KL divergence after {iteration} iterations with early exaggeration:"
                f" {self.forces.kl_divergence:f}"
            )

    def print_end(self, outcome: Outcome | None) -> None:
        assert outcome is not None
        if self.verbose >= 2 and self.stopped_by:
            print(f"[t-SNE] Iteration {outcome.n_iter}: {self.stopped_by}. Finished.")
        if self.verbose:
            print(
                f"[t-SNE] KL divergence after {outcome.n_iter} iterations:"
                f" {outcome.kl_divergence:f}"
            )

    def _must_stop(self, state: State, schedule: Schedule) -> bool:
        """Whether a rule ends the descent, by the last checks of the present problem alone."""
        if not state.checks or state.checks[-1].iteration < state.iteration:
            return False
        problem = self._problem(state, schedule.final_exaggeration)
        comparable = [*takewhile(lambda check: check.is_judged_for(problem), state.checks[::-1])]
        comparable.reverse()
        if not comparable:
            return False
        self.stopped_by = self.rules.reason_to_stop(comparable)
        phase = schedule.phase_before(state.iteration)
        counts_scale = phase.counts_scale or not phase.scales or self._has_pins
        rate = phase.last.learning_rate * max(phase.last.exaggeration, 1.0)
        is_slow = rate < _SLOW_RATE * len(state.embedding)
        return bool(self.stopped_by) or _has_converged(
            comparable, phase.least_gain, counts_scale, is_slow
        )

    def _callback_stops(
        self, state: State, schedule: Schedule, point_of_sample: NDArray[np.int64] | None
    ) -> bool:
        """Call the callback, if a call is due, and return whether it ends the run."""
        iteration = state.iteration
        if self.callback is None or iteration % self.callback_every or iteration <= self.first:
            return False
        shown = state if self.springs is None else self.springs.at_places(state)
        embedding = shown.of_samples(point_of_sample)
        embedding.flags.writeable = False
        answer = self.callback(
            Snapshot(
                iteration,
                embedding,
                self.forces.kl_divergence,
                state.gradient_norm,
                *schedule.at(iteration - 1, self.rules.n_iter_check)[0],
                state.degrees_of_freedom,
                state.seconds,
            )
        )
        # Not any true value: functions that draw return what they drew.
        if isinstance(answer, (bool, np.bool_)) and answer:
            self.stopped_by = "the callback returned True"
        return bool(self.stopped_by)

    @property
    def _has_pins(self) -> bool:
        """Whether points cannot move, which fixes the scale."""
        return self.fixed is not None and self.springs is None

    def _learned(self, state: State, schedule: Schedule, embedding: NDArray[np.float32]) -> State:
        """Return the state after a step of the degrees of freedom, if one is due."""
        iteration, forces = state.iteration, self.forces
        if iteration % N_ITER_LEARNING or state.learned_at == iteration:
            return state
        nu = learn(forces, embedding, schedule.at(iteration)[0].exaggeration)
        forces.degrees_of_freedom = nu
        forces.evaluate(embedding, False)
        return replace(state, degrees_of_freedom=nu, learned_at=iteration)

    def _density_at(self, iteration: int, schedule: Schedule) -> float:
        """Return the weight of the density term over the exaggeration in an iteration."""
        if self.density == 0.0 or iteration < schedule.n_iter_early:
            return 0.0
        return self.density / schedule.at(iteration)[0].exaggeration

    def _advance(self, arrays: Arrays, schedule: Schedule, iteration: int, end: int) -> None:
        """Take iterations up to the next at which something is checked, shown or learned."""
        forces, stop = self.forces, self._next_stop(schedule, iteration, end)
        order = forces.order
        fixed = None if self.fixed is None else self.fixed[order]
        homes, pull = None, 1.0
        if self.springs is not None:
            homes, pull = self.springs.homes[order], self.springs.pull
        while iteration < stop:
            settings, until = schedule.at(iteration, self.rules.n_iter_check)
            until = min(until, stop)
            density = self._density_at(iteration, schedule)
            if density != forces.density:
                forces.density = density
                forces.evaluate(arrays[0], False)
            has_scale_steps = not self._has_pins and schedule.phase_before(iteration + 1).scales
            if has_scale_steps:
                until = min(until, _next_multiple(iteration, N_ITER_HELD))
            if self.bar is not None:
                until = min(until, _next_multiple(iteration, _N_ITER_BAR))
            n_iter, is_last = until - iteration, until == stop
            scale = has_scale_steps and until % N_ITER_HELD == 0
            descend(forces, *arrays, n_iter, *settings, is_last, fixed, scale, homes, pull)
            if self.springs is not None:  # steps of the scale take the homes along
                self.springs.homes[order] = homes
            if self.bar is not None:
                self.bar.update(n_iter)
            iteration = until

    def _next_stop(self, schedule: Schedule, iteration: int, end: int) -> int:
        """Return the next iteration at which something is checked, shown or learned."""
        periods = [self.rules.n_iter_check]
        if self.callback is not None:
            periods.append(self.callback_every)
        if self.learns:
            periods.append(N_ITER_LEARNING)
        stops = [end, *(_next_multiple(iteration, period) for period in periods)]
        if iteration < schedule.n_iter_early:
            stops.append(schedule.n_iter_early)
        return min(stops)


def _next_multiple(iteration: int, of: int) -> int:
    return iteration - iteration % of + of


def _is_time_to_reorder(iteration: int, n_iter_check: int) -> bool:
    """At 0, and at 1, 2, 4, 8 ... checks: by the iteration alone, as runs may be interrupted."""
    n_checks, rest = divmod(iteration, n_iter_check)
    return rest == 0 and n_checks & (n_checks - 1) == 0
