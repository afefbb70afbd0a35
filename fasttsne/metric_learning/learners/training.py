"""The descent that the learners share: Adam over epochs of batches, and when to stop.

All parameters are one vector; a batch is a function that gives loss and gradient there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fasttsne.metric_learning.checks import Floats

Objective = Callable[[Floats], tuple[float, Floats]]
History = dict[str, list[float]]

# Decay of the averages of gradients and of their squares, and what keeps a step finite.
_DECAYS = (0.9, 0.999)
_EPSILON = 1e-8
# Beyond, products of parameters may overflow.
_TOO_LARGE = 1e100


@dataclass(frozen=True)
class Schedule:
    """How long to train, at what step length, and when to stop early.

    Attributes
    ----------
    learning_rate : float
        Length of the first steps in each parameter; falls to 0 along half a cosine.
    max_epochs : int
        Epochs, if none of them is the last before.
    n_iter_no_change : int
        Epochs without progress after which to stop.
    tol : float
        What counts as progress, in the unit of what is monitored.
    verbose : bool
        Whether to print a line an epoch.
    """

    learning_rate: float
    max_epochs: int
    n_iter_no_change: int
    tol: float
    verbose: bool


@dataclass(frozen=True)
class Judge:
    """What tells how good parameters are, where the loss of the batches does not.

    Attributes
    ----------
    name : str
        Of the score, in the history.
    score : callable
        Of parameters, the higher the better.
    stops : bool, default=True
        Whether epochs without a higher score end the training. A score of ranks stands still for
        many epochs while scores move towards the next trade of places: such a one should not.
    """

    name: str
    score: Callable[[Floats], float]
    stops: bool = True


class Adam:
    """Steps along a running mean of gradients, relative to their running size.

    Parameters
    ----------
    n_parameters : int
        Length of the vector of parameters.

    References
    ----------
    .. [1] Kingma, D. and Ba, J. (2015). Adam: a method for stochastic optimization. International
       Conference on Learning Representations. Algorithm 1.
    """

    def __init__(self, n_parameters: int) -> None:
        self._mean, self._square = np.zeros(n_parameters), np.zeros(n_parameters)
        self._n_steps = 0

    def step(self, gradient: Floats, learning_rate: float) -> Floats:
        """Tell what to add to the parameters, whose gradient is this."""
        self._n_steps += 1
        for average, value, decay in zip(
            (self._mean, self._square), (gradient, gradient**2), _DECAYS, strict=True
        ):
            average += (1.0 - decay) * (value - average)
        unbiased, square = (
            average / (1.0 - decay**self._n_steps)
            for average, decay in zip((self._mean, self._square), _DECAYS, strict=True)
        )
        change: Floats = -learning_rate * unbiased / (np.sqrt(square) + _EPSILON)
        return change


@dataclass
class Log:
    """What an optimiser reports: one value an epoch, and a line for who wants to watch.

    Attributes
    ----------
    name : str
        What the lines begin with.
    verbose : bool
        Whether to print them.
    history : dict of str to list of float
        Values by name.
    """

    name: str
    verbose: bool
    history: History = field(default_factory=dict)
    _start: float = field(default_factory=perf_counter)

    def add(self, **values: float) -> None:
        """Keep the values of an epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        if self.verbose:
            epoch = len(next(iter(self.history.values())))
            told = ", ".join(
                f"{name.replace('_', ' ')} {value:.6g}" for name, value in values.items()
            )
            print(f"[{self.name}] epoch {epoch}: {told} ({perf_counter() - self._start:.1f} s)")


def descend(
    parameters: Floats,
    epoch: Callable[[], Iterable[Objective]],
    schedule: Schedule,
    name: str,
    judge: Judge | None = None,
) -> tuple[Floats, History]:
    """Minimise by Adam the mean of objectives that come in batches.

    Parameters
    ----------
    parameters : ndarray of shape (n_parameters,)
        Where to start; not modified.
    epoch : callable
        Gives the batches of one epoch, another order each time.
    schedule : Schedule
        Steps and stopping.
    name : str
        Of the learner, for its lines.
    judge : Judge, default=None
        With it the best parameters of all epochs are returned, and progress means a higher score;
        without, the last ones, and a lower loss. Of equally good ones the last are the best: they
        have trained for longer.

    Returns
    -------
    parameters : ndarray of shape (n_parameters,)
        Finite.
    history : dict
        "loss", and the judge's score if there is one: a value an epoch.

    Raises
    ------
    ValueError
        If the parameters overflow.
    """
    log = Log(name, schedule.verbose)
    adam = Adam(len(parameters))
    best, best_parameters, n_idle = -np.inf, parameters, 0
    for number in range(schedule.max_epochs):
        losses = []
        batches: list[Any] = list(epoch())
        for place, objective in enumerate(batches):
            loss, gradient = objective(parameters)
            done = (number + place / len(batches)) / schedule.max_epochs
            rate = schedule.learning_rate * 0.5 * (1.0 + np.cos(np.pi * done))
            parameters = parameters + adam.step(gradient, rate)
            if not np.abs(parameters).max() < _TOO_LARGE:  # or NaN
                raise ValueError(
                    f"training overflowed in epoch {number + 1}: lower learning_rate, or rescale "
                    "the loss"
                )
            losses.append(loss)
        values = {"loss": float(np.mean(losses))}
        merit = -values["loss"]
        if judge is not None:
            merit = values[judge.name] = judge.score(parameters)
        log.add(**values)
        n_idle = 0 if merit > best + schedule.tol else n_idle + 1
        if merit >= best:
            best, best_parameters = merit, parameters
        if n_idle >= schedule.n_iter_no_change and (judge is None or judge.stops):
            break
    return (parameters if judge is None else best_parameters), log.history
