"""Gradient descent on the map: the schedule, the stopping rules, the only loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces, descend

# Settings on the move are held for so many iterations at a time.
N_ITER_HELD = 10


class Settings(NamedTuple):
    """What an iteration goes by.

    Attributes
    ----------
    learning_rate : float
        Step length, for the gradient with its factor 4 (van der Maaten 2014, equation 5).
    momentum : float
        Share of the previous step in the next.
    exaggeration : float
        Factor on the attraction.
    """

    learning_rate: float
    momentum: float
    exaggeration: float


@dataclass(frozen=True)
class Phase:
    """A stretch of iterations on the way from some settings to others.

    Attributes
    ----------
    n_iter : int
        Its length at the most.
    first, last : Settings
        At its beginning and at its end. In between, the square roots of the learning rate and
        of the reciprocal exaggeration follow straight lines, and one minus the momentum a
        geometric sequence.
    least_gain : float, default=-inf
        The next phase begins early when an iteration lowers the KL divergence by less than this
        share of it, on average since the last check.
    """

    n_iter: int
    first: Settings
    last: Settings
    least_gain: float = -np.inf

    def settings(self, share: float) -> Settings:
        """Those after this share of the phase."""
        rate, momentum, exaggeration = zip(self.first, self.last, strict=True)
        rest = 1.0 - share
        return Settings(
            (rest * rate[0] ** 0.5 + share * rate[1] ** 0.5) ** 2,
            1.0 - (1.0 - momentum[0]) ** rest * (1.0 - momentum[1]) ** share,
            (rest * exaggeration[0] ** -0.5 + share * exaggeration[1] ** -0.5) ** -2,
        )


def optimize(
    forces: Forces,
    embedding: NDArray[np.float32],
    phases: Sequence[Phase],
    *,
    n_iter_without_progress: int,
    min_grad_norm: float,
    n_iter_check: int = 50,
    verbose: int = 0,
) -> tuple[NDArray[np.float32], int]:
    """Minimise KL(P||Q) by gradient descent with momentum and gains.

    Parameters
    ----------
    forces : Forces
        What gives the gradient; left evaluated at the final embedding.
    embedding : ndarray of float32, shape (n_samples, n_components)
        Where to start; not changed.
    phases : sequence of Phase
        Early exaggeration first. Velocity and gains are carried from each to the next.
    n_iter_without_progress : int
        Stop when the KL divergence has not fallen for more than so many iterations.
    min_grad_norm : float
        Stop when the norm of gains * gradient is no more than this.
    n_iter_check : int, default=50
        Iterations between two looks at the stopping rules. The KL divergence is computed only
        there. Nobody looks while the exaggeration moves, as what is minimised then moves too.
    verbose : int, default=0
        Print the outcome of early exaggeration and of the descent at 1, of each check at 2.

    Returns
    -------
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map, row by row the caller's samples.
    n_iter : int
        Index of the last iteration, from 0.

    Raises
    ------
    FloatingPointError
        If a coordinate leaves what single precision can square.
    """
    embedding = embedding.copy()
    velocity = np.zeros_like(embedding)
    gains = np.ones_like(embedding)
    forces.evaluate(embedding, True)
    iteration = reorder_at = 0
    error, checked = np.inf, 0
    best_error, best_iteration = np.inf, 0
    finished = ""
    for number, phase in enumerate(phases):
        begin, end = iteration, iteration + phase.n_iter
        held = phase.n_iter if phase.first == phase.last else N_ITER_HELD
        while iteration < end and not finished:
            if iteration >= reorder_at:
                # Points that are close on the map are moved close in memory: less and less
                # often, as the order soon stays nearly the same.
                forces.reorder(embedding, velocity, gains)
                reorder_at = max(2 * iteration, 1)
            start, before = perf_counter(), iteration
            check = min(iteration - iteration % n_iter_check + n_iter_check, end)
            while iteration < check:
                n_iter = min(held, check - iteration)
                settings = phase.settings((iteration - begin) / phase.n_iter)
                iteration += n_iter
                grad_norm = descend(
                    forces, embedding, velocity, gains, n_iter, *settings, iteration == check
                )
            if phase.first.exaggeration != phase.last.exaggeration:
                continue
            if iteration % n_iter_check:
                continue
            last_error, last_checked = error, checked
            error, checked = forces.kl_divergence_exaggerated(phase.last.exaggeration), iteration
            if verbose >= 2:
                print(
                    f"[t-SNE] Iteration {iteration}: error = {error:.7f},"
                    f" gradient norm = {grad_norm:.7f}"
                    f" ({iteration - before} iterations in {perf_counter() - start:0.3f}s)"
                )
            if error < best_error:
                best_error, best_iteration = error, iteration
            elif iteration - best_iteration > n_iter_without_progress:
                finished = (
                    f"did not make any progress during the last {n_iter_without_progress} episodes"
                )
            if grad_norm <= min_grad_norm:
                finished = f"gradient norm {grad_norm:f}"
            if last_error - error < phase.least_gain * (checked - last_checked) * error:
                break
        if verbose and number == 0:
            print(
                f"[t-SNE] KL divergence after {iteration} iterations with early exaggeration:"
                f" {forces.kl_divergence:f}"
            )
    if verbose:
        if verbose >= 2 and finished:
            print(f"[t-SNE] Iteration {iteration}: {finished}. Finished.")
        print(f"[t-SNE] KL divergence after {iteration} iterations: {forces.kl_divergence:f}")

    in_callers_order = np.empty_like(embedding)
    in_callers_order[forces.order] = embedding
    return in_callers_order, max(iteration - 1, 0)
