"""Where a descent is: one immutable State, and the handle through which it is replaced."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Descent", "Snapshot"]


class Problem(NamedTuple):
    """What is minimised. Objectives can be compared only within one problem."""

    exaggeration: float
    negative_entropy: float  # sum of p log p, which differs between different P
    degrees_of_freedom: float  # 0 where they are learned
    density: float = 0.0  # weight of the density term


class Check(NamedTuple):
    """What a check of the stopping rules measured."""

    iteration: int  # iterations taken before it
    kl_divergence: float  # without exaggeration
    gradient_norm: float
    seconds: float
    objective: float  # with exaggeration
    problem: Problem
    is_judged: bool  # whether the exaggeration was the last of the schedule
    degrees_of_freedom: float
    slope: float  # of the objective along the logarithm of the map's scale
    radius: float  # root mean square distance from the mean of the map

    def is_judged_for(self, problem: Problem) -> bool:
        """Whether rules may judge by this check, whose problem may differ by rounding."""
        pairs = zip(self.problem, problem, strict=True)
        return self.is_judged and all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)


@dataclass(frozen=True, eq=False)
class State:
    """Everything from which a descent continues, between two iterations. Never changed."""

    iteration: int  # iterations taken, without those in which a map settled
    order: NDArray[np.int32]  # row of the three arrays -> number of the point
    embedding: NDArray[np.float32]  # (n_points, n_components)
    velocity: NDArray[np.float32]  # the last step
    gains: NDArray[np.float32]  # factors on the gradient
    gradient_norm: float = math.nan  # of gains * gradient, in the last step
    degrees_of_freedom: float = math.nan  # NaN before the first run
    learned_at: int = -1  # iteration of the last step of the degrees of freedom
    checks: tuple[Check, ...] = ()
    seconds: float = 0.0  # spent on the descent
    is_coarse: bool = False  # whether the first map is that of `coarse_start`

    def in_callers_order(self) -> State:
        """Return the same state with point i in row i."""
        rows = self._row_of_point()
        return replace(
            self,
            order=self.order[rows],
            embedding=self.embedding[rows],
            velocity=self.velocity[rows],
            gains=self.gains[rows],
        )

    def of_samples(self, point_of_sample: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """Return a copy of the map in the order of the samples; None means one point each."""
        rows = self._row_of_point()
        return self.embedding[rows if point_of_sample is None else rows[point_of_sample]]

    def _row_of_point(self) -> NDArray[np.int32]:
        rows = np.empty_like(self.order)
        rows[self.order] = np.arange(len(rows), dtype=np.int32)
        return rows


class Outcome(NamedTuple):
    """What a run led to."""

    embedding: NDArray[np.float32]  # (n_samples, n_components), in the order of the samples
    kl_divergence: float  # without exaggeration
    n_iter: int  # iterations of all runs together, with those in which the map settled
    degrees_of_freedom: float
    checks: tuple[Check, ...]

    @property
    def history(self) -> dict[str, NDArray[Any]]:
        """Return the checks as arrays of the same length."""
        names = "iteration", "kl_divergence", "gradient_norm", "seconds"
        return {name: np.array([getattr(check, name) for check in self.checks]) for name in names}


@dataclass(eq=False)
class Descent:
    """A descent that `optimize_embedding` can continue.

    Every change of where the descent is, is one assignment to `state`. An interrupt at any moment
    therefore finds a complete state. A pickle holds everything but the lock.

    Attributes
    ----------
    state : State
        Iteration, map, velocity and gains between two iterations.
    point_of_sample : ndarray of int64, shape (n_samples,), or None
        Point of each sample, where equal samples share one. None means one point per sample.
    n_iter_ended : int
        Iterations of all runs that ended, with those in which the map settled.
    outcome : Outcome or None
        Result of the last run: `embedding`, `kl_divergence`, `n_iter`, `degrees_of_freedom` and
        `history`, a dict of arrays with one value per check. None before the first run.
    lock : Lock
        Held while a run continues the descent.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.descent import Descent
    >>> descent = Descent.at_rest(np.zeros((3, 2)))
    >>> descent.state.iteration, descent.state.embedding.shape
    (0, (3, 2))
    """

    state: State
    point_of_sample: NDArray[np.int64] | None = None
    n_iter_ended: int = 0
    outcome: Outcome | None = None
    lock: Any = field(default_factory=Lock, init=False, repr=False)

    @classmethod
    def at_rest(
        cls,
        start: NDArray[Any],
        point_of_sample: NDArray[np.int64] | None = None,
        *,
        is_coarse: bool = False,
    ) -> Descent:
        """Return a descent before its first iteration.

        Parameters
        ----------
        start : ndarray of shape (n_points, n_components)
            The first map, which is copied.
        point_of_sample : ndarray of int64, shape (n_samples,), default=None
            Point of each sample, where equal samples share one. None means one point per sample.
        is_coarse : bool, default=False
            Whether `start` is the map of `fasttsne.descent.coarse.coarse_start`.

        Returns
        -------
        descent : Descent
            At iteration 0, with velocity 0 and gains 1.
        """
        embedding = np.array(start, dtype=np.float32, order="C")
        order = np.arange(len(embedding), dtype=np.int32)
        arrays = order, embedding, np.zeros_like(embedding), np.ones_like(embedding)
        return cls(State(0, *arrays, is_coarse=is_coarse), point_of_sample)

    def end_run(self) -> None:
        """Mark the last run as ended: the next one takes `max_iter` iterations after it."""
        assert self.outcome is not None
        self.n_iter_ended = self.outcome.n_iter

    def __reduce__(self) -> tuple[Any, ...]:
        return Descent, (self.state, self.point_of_sample, self.n_iter_ended, self.outcome)


def check_continues(
    descent: Descent, n_samples: int, n_components: int, point_of_sample: NDArray[np.int64] | None
) -> None:
    """Raise ValueError if samples, at these points, cannot be those of the map."""
    n_points, n_components_before = descent.state.embedding.shape
    before = np.arange(n_points) if descent.point_of_sample is None else descent.point_of_sample
    if (len(before), n_components_before) != (n_samples, n_components):
        raise ValueError(
            f"warm_start=True continues a map of {len(before)} samples and n_components="
            f"{n_components_before}, but X has {n_samples} samples and n_components is"
            f" {n_components}; to start again, set warm_start=False"
        )
    now = np.arange(n_samples) if point_of_sample is None else point_of_sample
    if not np.array_equal(now, before):
        raise ValueError(
            "warm_start=True continues a map on which other samples are copies of each other"
            " than in X; to start again, set warm_start=False"
        )


def pin(descent: Descent, fixed: NDArray[np.bool_] | None) -> None:
    """Continue from the last outcome if the map settled and moved points that are to stay there."""
    state, outcome = descent.state, descent.outcome
    if fixed is None or outcome is None:
        return
    points = slice(None) if descent.point_of_sample is None else descent.point_of_sample
    shown = np.empty_like(state.embedding)
    shown[points] = outcome.embedding
    shown, pinned = shown[state.order], fixed[state.order]
    if not np.array_equal(shown[pinned], state.embedding[pinned]):
        descent.state = replace(state, embedding=shown, velocity=np.zeros_like(state.velocity))


@dataclass(frozen=True)
class Snapshot:
    """What a callback receives.

    Attributes
    ----------
    iteration : int
        Iterations taken, in all calls together.
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map in the order of the samples: a read-only copy, which the callback may keep.
    kl_divergence : float
        KL(P||Q) of the map in nats, without exaggeration.
    gradient_norm : float
        Norm of gains * gradient in the last step.
    learning_rate, momentum, exaggeration : float
        Settings of the last step.
    degrees_of_freedom : float
        nu of the map's kernel.
    seconds : float
        Time spent on the descent.

    Examples
    --------
    >>> from fasttsne import TSNE
    >>> from sklearn.datasets import load_iris
    >>> seen = []
    >>> def watch(state):
    ...     seen.append(state.iteration)
    ...     return state.kl_divergence < 0.2
    >>> _ = TSNE(callback=watch, callback_every=100, random_state=0).fit(load_iris().data)
    >>> seen[:2]
    [100, 200]
    """

    iteration: int
    embedding: NDArray[np.float32]
    kl_divergence: float
    gradient_norm: float
    learning_rate: float
    momentum: float
    exaggeration: float
    degrees_of_freedom: float
    seconds: float
