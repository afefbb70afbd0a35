"""Batches of classes, and the descent that the learners share: Adam over epochs of batches.

All parameters are one vector. A batch is a function that returns loss and gradient there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from numbers import Integral, Real
from time import perf_counter
from typing import Any

import numpy as np
from numpy.random import RandomState
from sklearn.utils._param_validation import Interval

from fasttsne.metric_learning.checks import Floats, Indices
from fasttsne.runtime.random_state import CONSTRAINT

# Returns the loss of a batch and its gradient, from all parameters.
BatchObjective = Callable[[Floats], tuple[float, Floats]]
History = dict[str, list[float]]

# Of the parameters that both learners have, as scikit-learn checks them.
CONSTRAINTS: dict[str, list[Any]] = {
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "random_state": CONSTRAINT,
    "verbose": ["verbose"],
}

# Samples of each class in a batch if the batch has room.
_LEAST_PER_CLASS = 4
# Batches of an epoch, however few samples there are.
_LEAST_BATCHES = 10
# Decay of the averages of gradients and of their squares, and the term that keeps steps finite.
_DECAYS = (0.9, 0.999)
_EPSILON = 1e-8
# Products of larger parameters may overflow.
_TOO_LARGE = 1e100


class ClassBatches:
    """Batches with equally many samples of each of several classes, so that there are pairs.

    Small classes give all they have. A class hands out its samples in random order, all of them
    before any comes again.
    """

    def __init__(self, classes: Indices, batch_size: int, chance: RandomState) -> None:
        sizes = np.bincount(classes)
        by_class = np.argsort(classes, kind="stable")
        self._chance = chance
        self._members = np.split(by_class, np.cumsum(sizes)[:-1])
        self._waiting = [members[:0] for members in self._members]
        # All classes if each then has `_LEAST_PER_CLASS` samples; else a new draw per batch.
        self._n_classes = max(2, min(len(sizes), batch_size // _LEAST_PER_CLASS))
        self._n_samples = max(2, batch_size // self._n_classes)
        self._n_batches = max(_LEAST_BATCHES, round(len(classes) / batch_size))

    def epoch(self) -> Iterator[Indices]:
        """Yield the samples of every batch: in all about as many as there are, or ten batches."""
        for _ in range(self._n_batches):
            chosen = np.arange(len(self._members))
            if self._n_classes < len(chosen):
                chosen = self._chance.permutation(len(chosen))[: self._n_classes]
            yield np.concatenate([self._draw(int(number)) for number in chosen])

    def _draw(self, number: int) -> Indices:
        members = self._members[number]
        n_wanted = min(self._n_samples, len(members))
        drawn, self._waiting[number] = np.split(self._waiting[number], [n_wanted])
        n_missing = n_wanted - len(drawn)
        if n_missing:
            # No sample is in a batch twice: the samples already drawn come last.
            others = self._chance.permutation(np.setdiff1d(members, drawn))
            more, rest = np.split(others, [n_missing])
            self._waiting[number] = np.concatenate([rest, drawn])
            drawn = np.concatenate([drawn, more])
        return drawn


@dataclass(frozen=True)
class Schedule:
    """How long to train, with which steps, and when to stop early."""

    learning_rate: float  # length of the first steps; falls to 0 along half a cosine
    max_epochs: int
    n_iter_no_change: int  # epochs without progress after which to stop
    tol: float  # least progress, in the unit of the loss or the score
    verbose: bool


@dataclass(frozen=True)
class Judge:
    """A score of parameters, higher is better, where the loss of the batches does not show it."""

    name: str  # key in the history
    score: Callable[[Floats], float]
    # Whether epochs without a higher score end the training. A score of ranks is constant for many
    # epochs while scores approach the next swap of ranks; it should not stop.
    stops: bool = True


class Adam:
    """Adam: steps along a running mean of gradients, relative to their running size.

    Kingma, D. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR. Algorithm 1.
    """

    def __init__(self, n_parameters: int) -> None:
        self._mean, self._square = np.zeros(n_parameters), np.zeros(n_parameters)
        self._n_steps = 0

    def step(self, gradient: Floats, learning_rate: float) -> Floats:
        """Return the change of the parameters with this gradient."""
        self._n_steps += 1
        self._mean += (1.0 - _DECAYS[0]) * (gradient - self._mean)
        self._square += (1.0 - _DECAYS[1]) * (gradient**2 - self._square)
        mean = self._mean / (1.0 - _DECAYS[0] ** self._n_steps)
        square = self._square / (1.0 - _DECAYS[1] ** self._n_steps)
        return -learning_rate * mean / (np.sqrt(square) + _EPSILON)


@dataclass
class Log:
    """The history of an optimizer, one value per epoch, and with `verbose` a printed line."""

    name: str  # how the lines begin
    verbose: bool
    history: History = field(default_factory=dict)
    _start: float = field(default_factory=perf_counter)

    def add(self, **values: float) -> None:
        """Add the values of an epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        if self.verbose:
            epoch = len(next(iter(self.history.values())))
            line = ", ".join(
                f"{name.replace('_', ' ')} {value:.6g}" for name, value in values.items()
            )
            print(f"[{self.name}] epoch {epoch}: {line} ({perf_counter() - self._start:.1f} s)")


def descend(
    parameters: Floats,
    epoch: Callable[[], Iterable[BatchObjective]],
    schedule: Schedule,
    name: str,
    judge: Judge | None = None,
) -> tuple[Floats, History]:
    """Minimize by Adam the mean of the objectives of an epoch's batches; return the history too.

    Without a judge the last parameters are returned; with one the best of all epochs, and of
    equally good ones the last, which have trained for longer.
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
