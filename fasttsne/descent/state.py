"""What a descent carries from one iteration to the next, and what it leaves behind."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne._kernels import Forces

__all__ = ["Check", "Descent", "Problem", "Snapshot"]


class Problem(NamedTuple):
    """What is minimised: divergences of the same problem can be compared.

    Attributes
    ----------
    exaggeration : float
        Factor on the attraction.
    negative_entropy : float
        Sum of p log p, by which one P is told from another.
    degrees_of_freedom : float
        nu of the map's kernel, NaN where it is learned.

    Examples
    --------
    >>> from fasttsne.descent import Problem
    >>> Problem(1.0, -8.5, 1.0).is_like(Problem(4.0, -8.5, 1.0))
    False
    """

    exaggeration: float
    negative_entropy: float
    degrees_of_freedom: float

    def is_like(self, other: Problem) -> bool:
        """Whether both are the same, but for what processors round differently.

        Parameters
        ----------
        other : Problem
            What to compare with.

        Returns
        -------
        is_like : bool
            Whether divergences can be compared.
        """
        return bool(np.allclose(self, other, rtol=1e-6, atol=0.0, equal_nan=True))


class Check(NamedTuple):
    """How a descent stood when it was looked at.

    Attributes
    ----------
    iteration : int
        How many were taken.
    kl_divergence : float
        KL(P||Q), without exaggeration.
    gradient_norm : float
        Of the gradient times its gains, in the last step.
    seconds : float
        Spent on the descent so far.
    objective : float
        What is minimised: the same as the divergence where nothing is exaggerated.
    problem : Problem
        Of which this is the objective.
    is_judged : bool
        Whether the exaggeration was the schedule's last, so that it can have converged.
    degrees_of_freedom : float
        nu of the map's kernel.
    before : tuple of (float, int, float)
        Objective, iteration and nu of the check before, of the same problem.
    best : tuple of (float, int)
        Objective and iteration of the best one so far.

    Examples
    --------
    >>> from fasttsne.descent import Check, Problem
    >>> problem = Problem(1.0, -8.5, 1.0)
    >>> before = float("inf"), 0, 1.0
    >>> check = Check(50, 2.5, 1e-3, 0.1, 2.5, problem, True, 1.0, before, (2.5, 50))
    >>> check.kl_divergence
    2.5
    """

    iteration: int
    kl_divergence: float
    gradient_norm: float
    seconds: float
    objective: float
    problem: Problem
    is_judged: bool
    degrees_of_freedom: float
    before: tuple[float, int, float]
    best: tuple[float, int]


@dataclass(frozen=True)
class Snapshot:
    """How the descent stands: what a callback is handed.

    Attributes
    ----------
    iteration : int
        How many were taken, in all calls together.
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map in the order of the samples. It can't be written to, and is the callback's to keep.
    kl_divergence : float
        KL(P||Q) of the map, without exaggeration.
    gradient_norm : float
        Of the gradient times its gains, in the last step.
    learning_rate, momentum, exaggeration : float
        What the last step went by.
    degrees_of_freedom : float
        nu of the map's kernel.
    seconds : float
        Spent on the descent so far.

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


class Place(NamedTuple):
    """Between which iterations a descent is.

    Attributes
    ----------
    iteration : int
        How many were taken, those apart that let a map settle.
    order : ndarray of int32, shape (n_points,)
        Row of the arrays to the number of the point.
    gradient_norm : float
        Of the gradient times its gains, in the last step.
    """

    iteration: int
    order: NDArray[np.int32]
    gradient_norm: float


@dataclass
class Descent:
    """Where a descent is, between two iterations: plain arrays, from which it can go on.

    While it goes on, kernels move its arrays and count, in one; so that it can be interrupted at
    any moment, it then asks the forces for its place rather than keep one of its own.

    Parameters
    ----------
    embedding : ndarray of float32, shape (n_points, n_components)
        The map, in rows that `order` tells.
    velocity, gains : ndarray of float32, shape (n_points, n_components)
        The last step, and the factors on the gradient.
    place : Place
        Where it is.
    n_iter_ended : int, default=0
        Iterations of the runs that came to an end, those included that let the map settle.
    learned : tuple of (float, int), default=(NaN, -1)
        nu as far as it is learned, and the iteration at which it was learned last.
    seconds : float, default=0.0
        Spent so far.
    checks : list of Check
        How things stood so far.
    rows : ndarray of int64, shape (n_samples,), default=None
        Which point each sample is, where several may be one. None means each its own.

    Attributes
    ----------
    iteration, order, gradient_norm : int, ndarray, float
        See `Place`.
    outcome : Outcome or None
        What the last run leads to, once it has ended in one way or another.
    kept : object
        What can be made again from the data: no part of a pickle or a copy.
    lock : Lock
        Held by whoever lets the descent go on.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.descent import Descent
    >>> Descent.at_rest(np.zeros((3, 2), dtype=np.float32)).order
    array([0, 1, 2], dtype=int32)
    """

    embedding: NDArray[np.float32]
    velocity: NDArray[np.float32]
    gains: NDArray[np.float32]
    place: Place
    n_iter_ended: int = 0
    learned: tuple[float, int] = (math.nan, -1)
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        self.outcome: Outcome | None = None
        self.kept: Any = None
        self.lock = Lock()
        self._forces: tuple[Forces, int] | None = None

    @classmethod
    def at_rest(cls, start: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> Descent:
        """Make a descent that is about to begin.

        Parameters
        ----------
        start : ndarray of float32, shape (n_samples, n_components)
            The first map; not changed.
        rows : ndarray of int64, shape (n_samples,), default=None
            Which point each sample is, where several may be one.

        Returns
        -------
        descent : Descent
            At rest there.
        """
        embedding = np.array(start, dtype=np.float32, order="C")
        place = Place(0, np.arange(len(embedding), dtype=np.int32), math.nan)
        velocity, gains = np.zeros_like(embedding), np.ones_like(embedding)
        return cls(embedding, velocity, gains, place, rows=rows)

    @property
    def iteration(self) -> int:
        """How many iterations were taken."""
        return self._here().iteration

    @property
    def order(self) -> NDArray[np.int32]:
        """Row of the arrays to the number of the point."""
        return self._here().order

    @property
    def gradient_norm(self) -> float:
        """Of the gradient times its gains, in the last step."""
        return self._here().gradient_norm

    def _here(self) -> Place:
        if self._forces is None:
            return self.place
        forces, steps = self._forces
        taken = forces.n_steps - steps
        norm = forces.grad_norm if taken else self.place.gradient_norm
        return Place(self.place.iteration + taken, forces.order, norm)

    def set_out(self, forces: Forces) -> None:
        """Let forces move the arrays from here on.

        Parameters
        ----------
        forces : Forces
            In the order of the arrays. They may move no others until `stay`.
        """
        self.stay()  # an interrupted run may not have come to it
        self._forces = forces, forces.n_steps

    def stay(self) -> None:
        """Take note of the place and let go of the forces."""
        place = self._here()
        # In one, lest an interruption in between count steps twice.
        self.__dict__.update(place=place, _forces=None)

    def end_run(self) -> None:
        """Count the iterations of a run that came to its end, and whose outcome was seen to."""
        assert self.outcome is not None
        self.n_iter_ended = self.outcome.n_iter

    def fork(self) -> Descent:
        """Make another one that goes on from here and leaves this one where it is.

        Returns
        -------
        descent : Descent
            With arrays of its own.
        """
        other = copy(self)
        other.embedding, other.velocity = self.embedding.copy(), self.velocity.copy()
        other.gains, other.checks = self.gains.copy(), list(self.checks)
        return other

    def in_callers_order(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put rows into the order in which the points came.

        Parameters
        ----------
        array : ndarray of float32, shape (n_points, n_components)
            Rows as they are here.

        Returns
        -------
        array : ndarray of float32, shape (n_points, n_components)
            A copy.
        """
        ordered = np.empty_like(array)
        ordered[self.order] = array
        return ordered

    def of_samples(self) -> NDArray[np.float32]:
        """Tell where every sample is on the map.

        Returns
        -------
        embedding : ndarray of float32, shape (n_samples, n_components)
            A copy, in the order of the samples.
        """
        embedding = self.in_callers_order(self.embedding)
        return embedding if self.rows is None else embedding[self.rows]

    def return_to_callers_order(self) -> None:
        """Put all arrays into the order in which the points came."""
        names = "embedding", "velocity", "gains"
        arrays = {name: self.in_callers_order(getattr(self, name)) for name in names}
        order = np.arange(len(self.order), dtype=np.int32)
        self.__dict__.update(arrays, place=self.place._replace(order=order))

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "place": self._here(), "_forces": None, "kept": None}
        del state["lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=Lock())


class Outcome(NamedTuple):
    """What a run leads to.

    Attributes
    ----------
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map, row by row the caller's samples.
    kl_divergence : float
        Of this map, without exaggeration.
    n_iter : int
        Iterations in all runs together.
    degrees_of_freedom : float
        nu of the map's kernel.
    checks : list of Check
        How things stood on the way there.
    """

    embedding: NDArray[np.float32]
    kl_divergence: float
    n_iter: int
    degrees_of_freedom: float
    checks: list[Check]

    @property
    def history(self) -> dict[str, NDArray[Any]]:
        """The checks as arrays of the same length."""
        names = "iteration", "kl_divergence", "gradient_norm", "seconds"
        return {name: np.array([getattr(check, name) for check in self.checks]) for name in names}
