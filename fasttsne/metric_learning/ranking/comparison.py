"""Whether systems differ on the same queries: permutation tests, bootstrap intervals, Holm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats
from fasttsne.runtime.numbers import Count, with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.samples.arrays import as_array, unmasked

# Random numbers that are held at once, in the processor's cache.
_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Comparison:
    """Differences of systems on the same queries, returned by `compare`. It prints as a table.

    Attributes
    ----------
    names : tuple of str
        The systems.
    means : ndarray of shape (n_systems,)
        Mean value of every system.
    n_queries : int
        Number of queries that all systems have a value for.
    confidence : float
        Level of the intervals.
    pairs : tuple of (str, str)
        The pairs of systems; the other attributes have an entry for each.
    differences : ndarray of shape (n_pairs,)
        Mean value of the first system minus that of the second.
    intervals : ndarray of shape (n_pairs, 2)
        Bootstrap interval of the difference.
    p_values : ndarray of shape (n_pairs,)
        Two-sided p of the paired permutation test.
    p_holm : ndarray of shape (n_pairs,)
        The same, corrected by Holm for the number of pairs.

    Examples
    --------
    >>> from fasttsne.metric_learning import compare
    >>> compare([0.5, 0.7, 0.9, 0.4], [0.4, 0.5, 0.8, 0.4], names=["new", "old"]).pairs
    (('new', 'old'),)
    """

    names: tuple[str, ...]
    means: Floats
    n_queries: int
    confidence: float
    pairs: tuple[tuple[str, str], ...]
    differences: Floats
    intervals: Floats
    p_values: Floats
    p_holm: Floats

    def __repr__(self) -> str:
        level = f"{100.0 * self.confidence:g} % interval"
        rows: list[tuple[str, ...]] = [("system", "mean", "", "", "")]
        for name, mean in zip(self.names, self.means, strict=True):
            rows.append((name, f"{mean:.4f}", "", "", ""))
        rows += [("",) * 5, ("pair", "difference", level, "p", "p (Holm)")]
        for i, (first, second) in enumerate(self.pairs):
            low, high = self.intervals[i]
            cells = f"{self.differences[i]:+.4f}", f"{low:+.4f} to {high:+.4f}"
            chances = f"{self.p_values[i]:.4f}", f"{self.p_holm[i]:.4f}"
            rows.append((f"{first} - {second}", *cells, *chances))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([f"{self.n_queries:,} queries", "", *lines])


@with_plain_numbers
def compare(
    *values: ArrayLike,
    names: Sequence[str] | None = None,
    n_resamples: Count = 10_000,
    confidence: float = 0.95,
    random_state: Seed = 0,
) -> Comparison:
    """Compare two or more systems by their values on the same queries.

    For every pair: the mean difference; the p of a paired permutation test, which swaps the two
    values of random queries (Smucker et al. 2007); the bootstrap interval of the difference, by
    percentiles of means over queries drawn with replacement; and p corrected by Holm (1979), so
    that the chance of any false finding stays below the level.

    Parameters
    ----------
    *values : array-like of shape (n_queries,)
        Values of each system, as measures return them with ``per_query=True``. Queries for which a
        system has NaN are left out for all. Or a single mapping of names to such values, or a frame
        whose columns are the systems.
    names : sequence of str, default=None
        Names of the systems; None for "a", "b", ..., or for the names in a mapping or frame.
    n_resamples : int, default=10_000
        Number of random permutations, and of bootstrap samples. If there are not more permutations
        than this, all are taken and p is exact. The time is proportional to this number times that
        of the queries and of the pairs of systems; 1000 do for a first look at many queries.
    confidence : float, default=0.95
        Level of the intervals, between 0 and 1.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the permutations and of the bootstrap samples.

    Returns
    -------
    comparison : Comparison
        Prints as a table.

    Raises
    ------
    ValueError
        If there are fewer than two systems, if they differ in the number of queries, if fewer than
        two queries have values of all, if values are infinite, or if `names` are given for a
        mapping or a frame.

    Examples
    --------
    >>> from fasttsne.metric_learning import compare
    >>> compare([0.5, 0.7, 0.9, 0.4], [0.4, 0.5, 0.8, 0.4], names=["new", "old"])
    4 queries
    <BLANKLINE>
    system     mean
    new        0.6250
    old        0.5250
    <BLANKLINE>
    pair       difference  95 % interval       p       p (Holm)
    new - old  +0.1000     +0.0250 to +0.1750  0.2500  0.2500
    """
    if len(values) == 1 and (isinstance(values[0], Mapping) or hasattr(values[0], "columns")):
        if names is not None:
            raise ValueError(
                "names are those of the mapping or frame; rename there, or pass arrays"
            )
        names, values = _by_name(values[0])
    labels = tuple(map(_letter, range(len(values)))) if names is None else tuple(map(str, names))
    if len(values) < 2 or len(labels) != len(values) or len({*labels}) < len(labels):
        raise ValueError(
            "compare needs two systems or more, each with a name: pass an array per system, or one "
            f"dictionary of arrays by name; got {len(values)} systems and the names "
            f"{', '.join(labels) or 'none'}"
        )
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence={confidence} must be between 0 and 1")
    table = _table(values, labels)
    chance = check_random_state(random_state)
    pairs = tuple(combinations(range(len(labels)), 2))
    p_values, intervals = np.empty(len(pairs)), np.empty((len(pairs), 2))
    for i, (a, b) in enumerate(pairs):
        difference = table[a] - table[b]
        p_values[i] = _permutation_p(difference, n_resamples, chance)
        intervals[i] = _bootstrap_interval(difference, confidence, n_resamples, chance)
    return Comparison(
        labels,
        table.mean(axis=1),
        table.shape[1],
        confidence,
        tuple((labels[a], labels[b]) for a, b in pairs),
        np.array([np.mean(table[a] - table[b]) for a, b in pairs]),
        intervals,
        p_values,
        _holm(p_values),
    )


def _by_name(given: Any) -> tuple[tuple[str, ...], tuple[ArrayLike, ...]]:
    """Return the names and values of a mapping, or of the columns of a frame."""
    if isinstance(given, Mapping):
        return tuple(map(str, given)), tuple(given.values())
    frame = unmasked(given, "values")
    return tuple(map(str, frame.columns)), tuple(frame[column] for column in frame.columns)


def _table(values: Sequence[ArrayLike], names: Sequence[str]) -> Floats:
    """Return the values of the queries that all systems have one for, (n_systems, n_queries)."""
    rows = [as_array(of_system, name) for of_system, name in zip(values, names, strict=True)]
    shapes = {row.shape for row in rows}
    if len(shapes) > 1 or rows[0].ndim != 1:
        found = ", ".join(f"{n}: {row.shape}" for n, row in zip(names, rows, strict=True))
        raise ValueError(f"systems need one value per query, of the same queries; got {found}")
    present: NDArray[np.bool_] = np.ones(rows[0].shape, dtype=bool)
    for row in rows:
        if row.dtype.kind == "f":
            present &= ~np.isnan(row)
    if present.sum() < 2:
        raise ValueError(f"compare needs two queries with values; got {present.sum()}")
    kept = [checks.as_numbers(row[present], n) for n, row in zip(names, rows, strict=True)]
    table = np.stack(kept)
    if np.abs(table).max() > np.finfo(np.float64).max / (4.0 * table.shape[1]):
        raise ValueError(f"values up to {np.abs(table).max():.3g} overflow in sums; scale them")
    return table


def _bootstrap_interval(
    difference: Floats, confidence: float, n_resamples: int, chance: RandomState
) -> Floats:
    """Return percentiles of the means of queries drawn with replacement."""
    n_queries = len(difference)
    means = [
        difference[chance.randint(n_queries, size=(n, n_queries), dtype=np.int32)].mean(axis=1)
        for n in _blocks(n_resamples, n_queries)
    ]
    tail = 0.5 * (1.0 - confidence)
    return np.asarray(np.quantile(np.concatenate(means), [tail, 1.0 - tail]))


def _permutation_p(difference: Floats, n_resamples: int, chance: RandomState) -> float:
    """Return the share of permutations whose mean difference is at least as far from 0."""
    changing = difference[difference != 0.0]
    n = len(changing)
    # Sums in another order may differ in the last digits.
    least = abs(float(changing.sum())) - 1e-12 * float(np.abs(changing).sum())
    if 2**n <= n_resamples:
        numbers = np.arange(2**n)[:, np.newaxis]
        signs = 1.0 - 2.0 * ((numbers >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ changing) >= least))
    # A random byte gives the signs of eight queries.
    signs = 1.0 - 2.0 * ((np.arange(256)[:, np.newaxis] >> np.arange(8)) & 1)
    sums = np.zeros(n_resamples)
    for eight in np.pad(changing, (0, -n % 8)).reshape(-1, 8):
        sums += (signs @ eight)[chance.randint(256, size=n_resamples, dtype=np.uint8)]
    return (1 + int(np.sum(np.abs(sums) >= least))) / (1 + n_resamples)


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _blocks(n_rows: int, width: int) -> Iterator[int]:
    """Yield numbers of rows that fit into a block, `n_rows` in all."""
    step = max(1, _BLOCK // max(width, 1))
    for first in range(0, n_rows, step):
        yield min(step, n_rows - first)


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"system {number + 1}"
