"""Gradient descent on the map: momentum, gains, stopping; the only loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne._kernels import BarnesHutForces, DivergedError, ExactForces, Forces, descend
from fasttsne.descent.degrees_of_freedom import (
    N_ITER_LEARNING,
    STEADY,
    default_degrees_of_freedom,
    learn,
)
from fasttsne.descent.schedule import Schedule, standard_schedule
from fasttsne.descent.state import Check, Descent, Outcome, Problem, Snapshot
from fasttsne.runtime.progress import progress_bar

__all__ = ["optimize_embedding"]

# Iterations between two looks at the bar.
_N_ITER_BAR = 10

Callback = Callable[[Snapshot], "bool | None"]


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
    """Minimise KL(P||Q) by gradient descent with momentum and gains.

    The map at the end of a run has settled, in iterations that the descent itself does not take:
    when it goes on, it goes on from where it was before them. So a run of 500 iterations leads to
    the same map as one of 250 and another of 250, bit for bit. An exception finds the descent
    between two iterations, and the next run first takes those that are left of `max_iter`.

    Parameters
    ----------
    joint : JointProbabilities, sparse matrix or ndarray of shape (n_samples, n_samples)
        P. If sparse, repulsion comes from a tree, otherwise from all pairs.
    start : ndarray of shape (n_samples, n_components), or Descent
        The first map, not changed; or what an earlier run returned, which goes on, changed.
    schedule : Schedule, default=None
        What the iterations go by; None is `standard_schedule` at a learning rate of n_samples.
    max_iter : int, default=1000
        Number of iterations of this run at the most, those of settling included.
    degrees_of_freedom : float, "auto" or None, default=None
        See `TSNE`.
    angle : float, default=0.5
        How much the tree may approximate.
    n_iter_without_progress : int, default=300
        Stop when the objective has not fallen for more than so many iterations.
    min_grad_norm : float, default=1e-7
        Stop when the norm of gains * gradient is no more than this.
    n_iter_check : int, default=50
        Iterations between two looks at the stopping rules. The KL divergence is computed only
        there. None is applied while the exaggeration is not yet what it is at the end, as what is
        minimised then moves.
    fixed : ndarray of bool, shape (n_samples,), default=None
        True for points that stay where they are.
    callback : callable, default=None
        Called with a `Snapshot` every `callback_every` iterations; True, returned, ends the run.
    callback_every : int, default=50
        Iterations between two calls.
    progress : bool, default=False
        Draw a bar, by tqdm.
    verbose : int, default=0
        Print the outcome of early exaggeration and of the descent at 1, of each check at 2.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    descent : Descent
        Where it ended; `outcome` has the map and its KL divergence.

    Raises
    ------
    FloatingPointError
        If a coordinate leaves what single precision can square.
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
    descent = start if isinstance(start, Descent) else Descent.at_rest(start)
    n_samples, n_components = descent.embedding.shape
    nu = degrees_of_freedom
    if nu is None or nu == "auto":
        nu = default_degrees_of_freedom(n_components)
    forces: Forces
    if isinstance(joint, np.ndarray):
        dense = np.ascontiguousarray(joint, dtype=np.float32)
        forces = ExactForces(dense, n_components, nu, n_threads)
    else:
        if sparse.issparse(joint):
            joint = sparse.csr_matrix(joint)
        forces = BarnesHutForces(
            np.asarray(joint.indptr, dtype=np.int64),
            np.asarray(joint.indices, dtype=np.int32),
            np.asarray(joint.data, dtype=np.float32),
            n_components,
            nu,
            angle,
            n_threads,
        )
    optimize(
        forces,
        descent,
        schedule or standard_schedule(float(n_samples)),
        max_iter=max_iter,
        learns=degrees_of_freedom == "auto",
        rules=Rules(n_iter_without_progress, min_grad_norm, n_iter_check),
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
    """When a descent ends before its time, and how often that is looked at.

    Attributes
    ----------
    n_iter_without_progress, min_grad_norm, n_iter_check : int, float, int
        See `optimize_embedding`.
    """

    n_iter_without_progress: int = 300
    min_grad_norm: float = 1e-7
    n_iter_check: int = 50

    def verdict(self, check: Check) -> str:
        """Why the descent has to end, or nothing."""
        if check.gradient_norm <= self.min_grad_norm:
            return f"gradient norm {check.gradient_norm:f}"
        if check.iteration - check.best[1] > self.n_iter_without_progress:
            return (
                f"did not make any progress during the last {self.n_iter_without_progress} episodes"
            )
        return ""

    def has_converged(self, check: Check, least_gain: float) -> bool:
        """Whether iterations gain too little to go on."""
        if least_gain == -np.inf:
            return False
        before, since, nu = check.before
        if abs(np.log(check.degrees_of_freedom / nu)) > STEADY:
            return False
        least = least_gain * (check.iteration - since) * check.kl_divergence
        return before - check.objective < least * check.problem.exaggeration


def optimize(
    forces: Forces,
    descent: Descent,
    schedule: Schedule,
    *,
    max_iter: int,
    rules: Rules,
    learns: bool = False,
    fixed: NDArray[np.bool_] | None = None,
    callback: Callback | None = None,
    callback_every: int = 50,
    progress: bool = False,
    verbose: int = 0,
) -> None:
    """Let a descent go on: see `optimize_embedding`, of which this is all but the forces.

    Parameters
    ----------
    forces : Forces
        What gives the gradient.
    descent : Descent
        Goes on, in place, and gets an outcome; the run counts as interrupted until `end_run`.
    schedule, max_iter
        See there.
    rules : Rules
        When it ends before its time: three of the numbers there.
    learns : bool, default=False
        Whether the degrees of freedom are learned, from what they are so far.
    fixed, callback, callback_every, progress, verbose
        See there.
    """
    descent.stay()
    nu, learned_at = descent.learned
    if learns and np.isfinite(nu):
        forces.degrees_of_freedom = nu
    descent.learned = forces.degrees_of_freedom, learned_at
    if isinstance(forces, ExactForces):
        descent.return_to_callers_order()
    elif not np.array_equal(forces.order, descent.order):
        forces.restore_order(descent.order)
    forces.evaluate(descent.embedding, True)

    n_samples = len(descent.order)
    mask = None if fixed is None or not fixed.any() else fixed.astype(np.uint8)
    if mask is not None and mask.shape != (n_samples,):
        raise ValueError(f"fixed must have shape ({n_samples},), got {mask.shape}")
    end = descent.n_iter_ended + max_iter
    if mask is not None and mask.all():
        end = descent.iteration  # nothing can move
    with progress_bar(progress, descent.iteration, end) as bar:
        watch = _Watch(callback, callback_every, bar, verbose)
        run = _Run(forces, rules, learns, mask, watch, descent.iteration)
        shown = descent
        try:
            early = min(schedule.n_iter_early, end)
            run.walk(descent, schedule, max(end - schedule.n_iter_settling, early), judging=True)
            n_iter = min(schedule.n_iter_settling, end - descent.iteration)
            if not run.finished and n_iter > 0:
                shown = descent.fork()
                settling = schedule.settling(shown.iteration)
                run.first = shown.iteration  # which the callback has seen
                run.walk(shown, settling, shown.iteration + n_iter, judging=False)
        except DivergedError:
            raise
        except BaseException:
            # KeyboardInterrupt, or whatever a callback raises: what there is so far.
            forces.degrees_of_freedom = shown.learned[0]
            forces.evaluate(shown.embedding, True)
            descent.outcome = run.outcome(shown)
            raise
    descent.outcome = run.outcome(shown)
    if verbose:
        n_iter = shown.iteration
        if verbose >= 2 and run.finished:
            print(f"[t-SNE] Iteration {n_iter}: {run.finished}. Finished.")
        print(f"[t-SNE] KL divergence after {n_iter} iterations: {forces.kl_divergence:f}")


class _Watch(NamedTuple):
    """Who wants to know how things stand."""

    callback: Callback | None
    callback_every: int
    bar: Any
    verbose: int


class _Run:
    """One call of `optimize`: what its walks, down the schedule and to rest, share."""

    def __init__(
        self,
        forces: Forces,
        rules: Rules,
        learns: bool,
        fixed: NDArray[np.uint8] | None,
        watch: _Watch,
        first: int,
    ) -> None:
        self.forces, self.rules, self.learns = forces, rules, learns
        self.fixed, self.watch, self.first = fixed, watch, first
        self.finished = ""
        self.told = first, perf_counter()

    def walk(self, descent: Descent, schedule: Schedule, end: int, *, judging: bool) -> None:
        """Take iterations until there have been `end`, or until a rule or the callback says stop.

        An exception may come at any moment, as Ctrl-C does. What the descent carries therefore
        changes within kernels, between two iterations; and what is noted here, in Python, is noted
        by a single assignment.
        """
        forces, n_iter_check = self.forces, self.rules.n_iter_check
        began = perf_counter() - descent.seconds
        descent.set_out(forces)
        try:
            while True:
                iteration = descent.iteration
                if iteration > 0 and iteration % n_iter_check == 0:
                    self._look(descent, schedule, perf_counter() - began)
                if judging:
                    self._tell_of_early_exaggeration(iteration, min(schedule.n_iter_early, end))
                    if self._must_end(descent, schedule):
                        return
                if self._is_stopped(descent, schedule, perf_counter() - began):
                    return
                if iteration >= end:
                    return
                if judging and self.learns and iteration >= schedule.n_iter_early:
                    self._learn(descent, schedule)
                if _is_time_to_reorder(iteration, n_iter_check):
                    # Points that are close on the map are moved close in memory: less and less
                    # often, as the order soon stays nearly the same.
                    forces.reorder(descent.embedding, descent.velocity, descent.gains)
                self._take(descent, schedule, iteration, end)
        finally:
            descent.seconds = perf_counter() - began
            descent.stay()

    def outcome(self, shown: Descent) -> Outcome:
        """Tell what the run leads to, where the forces are evaluated."""
        checks, nu = list(shown.checks), shown.learned[0]
        if not checks or checks[-1].iteration < shown.iteration:
            checks.append(self._check(shown, 1.0, False, shown.seconds))
        return Outcome(
            shown.of_samples(),
            self.forces.kl_divergence,
            shown.iteration,
            nu,
            checks,
        )

    def _look(self, descent: Descent, schedule: Schedule, seconds: float) -> None:
        """Note how things stand, unless that was done before an interruption."""
        checks, iteration = descent.checks, descent.iteration
        if checks and checks[-1].iteration == iteration:
            return
        phase = schedule.phase_before(iteration)
        exaggeration = phase.last.exaggeration
        check = self._check(descent, exaggeration, schedule.has_arrived(iteration), seconds)
        last = checks[-1] if checks else None
        if last and check.is_judged and last.is_judged and last.problem.is_like(check.problem):
            before = last.objective, last.iteration, last.degrees_of_freedom
            best = min(last.best, check.best, key=itemgetter(0))
            check = check._replace(before=before, best=best)
        checks.append(check)
        told, when = self.told
        self.told = iteration, perf_counter()
        if self.watch.verbose >= 2 and not phase.is_moving:
            error = self.forces.kl_divergence_exaggerated(exaggeration)
            print(
                f"[t-SNE] Iteration {iteration}: error = {error:.7f},"
                f" gradient norm = {descent.gradient_norm:.7f}"
                f" ({iteration - told} iterations in {self.told[1] - when:0.3f}s)"
            )

    def _check(
        self, descent: Descent, exaggeration: float, is_judged: bool, seconds: float
    ) -> Check:
        """Note how things stand, by themselves."""
        forces, iteration, nu = self.forces, descent.iteration, descent.learned[0]
        objective = forces.objective(exaggeration)
        return Check(
            iteration,
            forces.kl_divergence,
            descent.gradient_norm,
            seconds,
            objective,
            self._problem(descent, exaggeration),
            is_judged,
            nu,
            before=(np.inf, 0, nu),
            best=(objective, iteration),
        )

    def _problem(self, descent: Descent, exaggeration: float) -> Problem:
        nu = np.nan if self.learns else descent.learned[0]
        return Problem(exaggeration, self.forces.negative_entropy, nu)

    def _tell_of_early_exaggeration(self, iteration: int, early: int) -> None:
        if self.watch.verbose and iteration == early and (iteration > self.first or early == 0):
            print(
                f"[t-SNE] KL divergence after {iteration} iterations with early exaggeration:"
                f" {self.forces.kl_divergence:f}"
            )

    def _must_end(self, descent: Descent, schedule: Schedule) -> bool:
        """Whether a rule ends the descent, by what the last check tells and nothing else."""
        if not descent.checks or not descent.checks[-1].is_judged:
            return False
        check = descent.checks[-1]
        problem = self._problem(descent, schedule.phases[-1].last.exaggeration)
        if check.iteration < descent.iteration or not check.problem.is_like(problem):
            return False
        self.finished = self.rules.verdict(check)
        least_gain = schedule.phase_before(check.iteration).least_gain
        return bool(self.finished) or self.rules.has_converged(check, least_gain)

    def _is_stopped(self, descent: Descent, schedule: Schedule, seconds: float) -> bool:
        """Let the callback see the map, if it is time, and ask whether it wants to stop."""
        watch, iteration = self.watch, descent.iteration
        if watch.callback is None or iteration % watch.callback_every or iteration <= self.first:
            return False
        embedding = descent.of_samples()
        embedding.flags.writeable = False
        answer = watch.callback(
            Snapshot(
                iteration,
                embedding,
                self.forces.kl_divergence,
                descent.gradient_norm,
                *schedule.at(iteration - 1, self.rules.n_iter_check)[0],
                descent.learned[0],
                seconds,
            )
        )
        # Not any truthy value: functions that draw return what they drew.
        if isinstance(answer, (bool, np.bool_)) and answer:
            self.finished = "the callback returned True"
        return bool(self.finished)

    def _learn(self, descent: Descent, schedule: Schedule) -> None:
        """Take a step of the degrees of freedom, if it is time and not yet done."""
        iteration, forces = descent.iteration, self.forces
        if iteration % N_ITER_LEARNING or descent.learned[1] == iteration:
            return
        exaggeration = schedule.at(iteration)[0].exaggeration
        nu = learn(forces, descent.embedding, exaggeration)
        forces.degrees_of_freedom = nu
        forces.evaluate(descent.embedding, False)
        descent.learned = nu, iteration

    def _take(self, descent: Descent, schedule: Schedule, iteration: int, end: int) -> None:
        """Take iterations up to the next at which somebody wants to look."""
        watch, n_iter_check = self.watch, self.rules.n_iter_check
        looks = [end, _next_multiple(iteration, n_iter_check)]
        if iteration < schedule.n_iter_early:
            looks.append(schedule.n_iter_early)
        if watch.callback is not None:
            looks.append(_next_multiple(iteration, watch.callback_every))
        if self.learns:
            looks.append(_next_multiple(iteration, N_ITER_LEARNING))
        look = stop = min(looks)
        if watch.bar is not None:
            stop = min(stop, _next_multiple(iteration, _N_ITER_BAR))
        fixed = None if self.fixed is None else self.fixed[self.forces.order]
        while iteration < stop:
            settings, until = schedule.at(iteration, n_iter_check)
            n_iter = min(until, stop) - iteration
            iteration += n_iter
            descend(
                self.forces,
                descent.embedding,
                descent.velocity,
                descent.gains,
                n_iter,
                *settings,
                iteration == look,
                fixed,
            )
            if watch.bar is not None:
                watch.bar.update(n_iter)


def _next_multiple(iteration: int, of: int) -> int:
    return iteration - iteration % of + of


def _is_time_to_reorder(iteration: int, n_iter_check: int) -> bool:
    """At the start, and after 1, 2, 4, 8 ... times the iterations between two checks.

    It depends on nothing but the number, so that a descent that was interrupted does so too.
    """
    checks, rest = divmod(iteration, n_iter_check)
    return rest == 0 and checks & (checks - 1) == 0
