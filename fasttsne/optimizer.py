"""Gradient descent on the map: the schedule, the stopping rules, the only loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces, descend


@dataclass(frozen=True)
class Phase:
    """A stretch of iterations under the same settings.

    Attributes
    ----------
    end : int
        Iteration before which the phase ends.
    exaggeration : float
        Factor on the attraction.
    momentum : float
        Share of the previous step in the next.
    n_iter_without_progress : int
        Stop when the KL divergence has not fallen for more than so many iterations.
    """

    end: int
    exaggeration: float
    momentum: float
    n_iter_without_progress: int


def optimize(
    forces: Forces,
    embedding: NDArray[np.float32],
    phases: Sequence[Phase],
    *,
    learning_rate: float,
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
        Early exaggeration first. A stop within a phase goes on to the next one.
    learning_rate : float
        Step length, for the gradient with its factor 4 (van der Maaten 2014, equation 5).
    min_grad_norm : float
        Stop when the norm of gains * gradient is no more than this.
    n_iter_check : int, default=50
        Iterations between two looks at the stopping rules. The KL divergence is computed only
        there.
    verbose : int, default=0
        Print the outcome of each phase at 1, of each check at 2.

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
    iteration = 0
    for number, phase in enumerate(phases):
        if number > 0:
            # As in scikit-learn, every phase starts from rest.
            velocity[:] = 0.0
            gains[:] = 1.0
        best_error, best_iteration = np.inf, iteration
        while iteration < phase.end:
            # Points that are close on the map are moved close in memory.
            forces.reorder(embedding, velocity, gains)
            start = perf_counter()
            to_check = n_iter_check - iteration % n_iter_check
            n_iter = min(to_check, phase.end - iteration)
            grad_norm = descend(
                forces, embedding, velocity, gains, n_iter, learning_rate, phase.momentum,
                phase.exaggeration,
            )  # fmt: skip
            iteration += n_iter
            if n_iter < to_check:
                break
            error = forces.kl_divergence_exaggerated(phase.exaggeration)
            if verbose >= 2:
                print(
                    f"[t-SNE] Iteration {iteration}: error = {error:.7f},"
                    f" gradient norm = {grad_norm:.7f}"
                    f" ({n_iter} iterations in {perf_counter() - start:0.3f}s)"
                )
            if error < best_error:
                best_error, best_iteration = error, iteration
            elif iteration - best_iteration > phase.n_iter_without_progress:
                if verbose >= 2:
                    print(
                        f"[t-SNE] Iteration {iteration}: did not make any progress during the"
                        f" last {phase.n_iter_without_progress} episodes. Finished."
                    )
                break
            if grad_norm <= min_grad_norm:
                if verbose >= 2:
                    print(f"[t-SNE] Iteration {iteration}: gradient norm {grad_norm:f}. Finished.")
                break
        if verbose:
            stage = " with early exaggeration" if number < len(phases) - 1 else ""
            error = forces.kl_divergence_exaggerated(phase.exaggeration)
            print(f"[t-SNE] KL divergence after {iteration} iterations{stage}: {error:f}")

    in_callers_order = np.empty_like(embedding)
    in_callers_order[forces.order] = embedding
    return in_callers_order, max(iteration - 1, 0)
