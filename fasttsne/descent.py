"""What a descent carries from one iteration to the next, and what it leaves behind."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    before : tuple of (float, int)
        Objective and iteration of the check before, of the same problem.
    best : tuple of (float, int)
        Of the best one so far.

    Examples
    --------
    >>> from fasttsne.descent import Check, Problem
    >>> problem = Problem(1.0, -8.5, 1.0)
    >>> check = Check(50, 2.5, 1e-3, 0.1, 2.5, problem, True, (float("inf"), 0), (2.5, 50))
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
    before: tuple[float, int]
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


@dataclass
class Descent:
    """Where a descent is, between two iterations: plain arrays, from which it can go on.

    Parameters
    ----------
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map, in rows that `order` tells.
    velocity, gains : ndarray of float32, shape (n_samples, n_components)
        The last step, and the factors on the gradient.
    order : ndarray of int32, shape (n_samples,)
        Row here to the number of the sample.
    iteration : int, default=0
        How many were taken, those apart that let a map settle.
    n_iter_ended : int, default=0
        How many the runs that came to an end amount to, those included.
    learned : tuple of (float, int), default=(NaN, -1)
        nu as far as it is learned, and the iteration at which it was learned last.
    seconds : float, default=0.0
        Spent so far.
    gradient_norm : float, default=NaN
        Of the last step.
    checks : list of Check
        How things stood so far.

    Attributes
    ----------
    outcome : Outcome or None
        What the last run leads to, once it has ended in one way or another.
    kept : object
        What can be made again from the data: no part of a pickle or a copy.

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
    order: NDArray[np.int32]
    iteration: int = 0
    n_iter_ended: int = 0
    learned: tuple[float, int] = (math.nan, -1)
    seconds: float = 0.0
    gradient_norm: float = math.nan
    checks: list[Check] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outcome: Outcome | None = None
        self.kept: Any = None

    @classmethod
    def at_rest(cls, start: NDArray[np.float32]) -> Descent:
        """A descent that is about to begin.

        Parameters
        ----------
        start : ndarray of float32, shape (n_samples, n_components)
            The first map; not changed.

        Returns
        -------
        descent : Descent
            At rest there.
        """
        embedding = np.array(start, dtype=np.float32, order="C")
        order = np.arange(len(embedding), dtype=np.int32)
        return cls(embedding, np.zeros_like(embedding), np.ones_like(embedding), order)

    def fork(self) -> Descent:
        """Another one that goes on from here and leaves this one where it is.

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
        """Rows as the samples are numbered.

        Parameters
        ----------
        array : ndarray of float32, shape (n_samples, n_components)
            Rows as they are here.

        Returns
        -------
        array : ndarray of float32, shape (n_samples, n_components)
            A copy.
        """
        ordered = np.empty_like(array)
        ordered[self.order] = array
        return ordered

    def return_to_callers_order(self) -> None:
        """Put all arrays into the order of the samples."""
        arrays = [
            self.in_callers_order(array) for array in (self.embedding, self.velocity, self.gains)
        ]
        self.embedding, self.velocity, self.gains = arrays
        self.order = np.arange(len(self.order), dtype=np.int32)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": None}


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
