"""Which perplexity suits the data: maps at several, and what each keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.affinity.perplexity import n_neighbors_for
from fasttsne.neighbors.search import nearest_neighbors
from fasttsne.quality import checks
from fasttsne.quality.curves import area_under, r_nx
from fasttsne.quality.kl import kl_divergence
from fasttsne.quality.reliability import Reliability, reliability
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import check_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CANDIDATES = (5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0)
_SAMPLE = 2_000  # points that judge a map
_LARGE = 5_000  # samples up to which the KL divergence is computed

# A map whose area under R_NX is this close to the best is as good.
_CLOSE = 0.01

# Title and meaning of each figure in the table, and how it is printed.
_COLUMNS = {
    "r_nx_auc": ("R_NX AUC", "{:.3f}"),
    "local": ("local", "{:.3f}"),
    "global": ("global", "{:.3f}"),
    "jumping": ("jumping", "{:.4f}"),
    "dubious": ("dubious", "{:.4f}"),
    "singularity": ("singularity", "{:.3g}"),
    "kl_divergence": ("KL", "{:.3f}"),
}


@dataclass(frozen=True, eq=False)
class PerplexityChoice:
    """Maps at several perplexities, returned by `choose_perplexity`.

    It prints as a table; notebooks show an HTML table.

    Attributes
    ----------
    perplexities : tuple of float
        The candidates, ascending.
    best : float
        The smallest perplexity whose R_NX AUC is within 0.01 of the largest.
    figures : dict of str to ndarray of float64, shape (n_candidates,)
        "r_nx_auc", and the mean of R_NX over neighbourhoods up to 30 points ("local") and above 30
        ("global"), weighted as in the area; "jumping" and "dubious", shares of points, and
        "singularity", as `reliability` prints them; "kl_divergence" at the map's best scale. NaN
        where a figure was not computed.
    maps : tuple of ndarray of float32, shape (n_samples, 2)
        The maps, by candidate.
    reliability : tuple of Reliability
        The scores of single points, by candidate.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import choose_perplexity
    >>> found = choose_perplexity(load_iris().data, [5, 30])
    >>> found.best in found.perplexities
    True
    >>> len(found.maps)
    2
    """

    perplexities: tuple[float, ...]
    best: float
    figures: dict[str, NDArray[np.float64]]
    maps: tuple[NDArray[np.float32], ...]
    reliability: tuple[Reliability, ...]

    def plot(self, **options: Any) -> Axes:
        """Draw the trade-off, see `fasttsne.plot.perplexity_curve`.

        Parameters
        ----------
        **options
            Of `fasttsne.plot.perplexity_curve`.

        Returns
        -------
        ax : matplotlib.axes.Axes
        """
        from fasttsne.plot import perplexity_curve

        return perplexity_curve(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Return the best perplexity and the table as plain numbers, ready for JSON.

        Returns
        -------
        figures : dict
            "perplexity" has the candidates; None stands for what was not computed.
        """
        columns = {
            name: [float(value) if np.isfinite(value) else None for value in values]
            for name, values in self.figures.items()
        }
        return {"best": self.best, "perplexity": list(self.perplexities)} | columns

    def _table(self) -> list[list[str]]:
        rows = [["perplexity", *(title for title, _ in _COLUMNS.values())]]
        for at, perplexity in enumerate(self.perplexities):
            mark = " *" if perplexity == self.best else ""
            cells = [f"{perplexity:g}{mark}"]
            for name, (_, form) in _COLUMNS.items():
                value = self.figures[name][at]
                cells.append(form.format(value) if np.isfinite(value) else "-")
            rows.append(cells)
        return rows

    def __repr__(self) -> str:
        rows = self._table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join([*lines, "", "* the smallest whose R_NX AUC is within 0.01 of the best"])

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        body = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = f"<tr>{body}</tr>"
        for row in rows:
            body += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        return f"<table><tbody>{body}</tbody></table>"


@with_plain_numbers
def choose_perplexity(
    X: Any,
    candidates: Sequence[float] | None = None,
    *,
    tsne: Any = None,
    sample: int | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> PerplexityChoice:
    """Fit a map at each of several perplexities, and return what each keeps and how reliable it is.

    Neighbours are searched once, for the largest perplexity. No figure alone is right for all
    purposes: small perplexities keep the nearest neighbours, large ones the arrangement; look at
    the table or at ``found.plot()``.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, one sample per row.
    candidates : sequence of float, default=None
        At least one perplexity, each above 0 and at most ``(n_samples - 2) / 3``. None is 5, 10,
        20, 30, 50, 100 and 200, as far as they are possible.
    tsne : TSNE, default=None
        Estimator with the other parameters of the fits, which does not change. Its `metric` is that
        of the measures too. None means the defaults with `random_state` and `n_jobs`.
    sample : int or None, default=None
        Number of points that the maps are judged by. None is 2,000, or all if there are fewer.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the sample, and without `tsne` of the fits.
    n_jobs : int or None, default=None
        Number of threads, in fits only without `tsne`. The result does not depend on it.

    Returns
    -------
    found : PerplexityChoice
        The best perplexity, the figures and the maps. It prints as a table.

    Raises
    ------
    TypeError, ValueError
        As `fasttsne.TSNE` and `report`. ValueError also if a candidate is out of range.

    Notes
    -----
    Time is that of the fits and of judging `sample` points of each map against all. The KL
    divergence, which takes all pairs of points, is left out above 5,000 samples. It does not
    compare perplexities: a larger one has a flatter P, which is easier to fit.

    The scores of `reliability` follow the advice of [1]_, to take a perplexity at which the largest
    singularity scores have stopped falling. `best` does not use them.

    References
    ----------
    .. [1] Z. Liu, R. Ma, Y. Zhong (2025). Assessing and improving reliability of neighbor embedding
       methods: a map-continuity perspective. Nature Communications 16,
       doi:10.1038/s41467-025-60434-9, arXiv:2410.16608.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import choose_perplexity
    >>> print(choose_perplexity(load_iris().data, [5, 15, 40]))
    perplexity  R_NX AUC  local  global  jumping  dubious  singularity     KL
    ...
    """
    from sklearn.base import clone

    from fasttsne.tsne import TSNE

    n_threads = effective_n_threads(n_jobs)
    seed = check_random_state(random_state).randint(2**31 - 1)
    if tsne is not None and not isinstance(tsne, TSNE):
        raise TypeError(f"tsne must be a fasttsne.TSNE; got {tsne!r:.80}")
    one = clone(tsne) if tsne is not None else TSNE(random_state=seed, n_jobs=n_jobs)
    how: dict[str, Any] = {"metric": one.metric, "metric_params": one.metric_params}
    n_samples = check_samples(X, metric=one.metric)[0].shape[0]
    checks.check_at_least(4, n_samples)
    perplexities = _checked(candidates, n_samples)
    k = min(n_samples - 1, n_neighbors_for(perplexities[-1]))
    indices, distances = nearest_neighbors(X, k, **how, n_threads=n_threads)
    if sample is not None and not 1 <= sample <= n_samples:
        raise ValueError(f"sample={sample} must be from 1 to n_samples ({n_samples})")
    size = min(n_samples, _SAMPLE) if sample is None else int(sample)
    maps, scores, rows = [], [], []
    for perplexity in perplexities:
        near = n_neighbors_for(perplexity)
        one.set_params(perplexity=perplexity)
        if one.method != "exact":  # which takes all pairs
            one.set_params(neighbors=(indices[:, :near], distances[:, :near]))
        Y = one.fit_transform(X)
        judged: dict[str, Any] = {"sample": size, "random_state": seed, "n_jobs": n_jobs} | how
        nu = one.degrees_of_freedom_
        scores.append(reliability(X, Y, perplexity=perplexity, degrees_of_freedom=nu, **judged))
        rows.append(_figures(X, Y, perplexity, scores[-1], judged))
        maps.append(Y)
    figures = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in _COLUMNS}
    areas = figures["r_nx_auc"]
    return PerplexityChoice(
        perplexities=perplexities,
        best=perplexities[int(np.argmax(areas >= areas.max() - _CLOSE))],
        figures=figures,
        maps=tuple(maps),
        reliability=tuple(scores),
    )


def _checked(candidates: Sequence[float] | None, n_samples: int) -> tuple[float, ...]:
    """Return the candidates, ascending; ValueError if one is out of range."""
    most = (n_samples - 2) / 3.0
    if candidates is None:
        possible = tuple(p for p in _CANDIDATES if p <= most)
        return possible or (max(1.0, most),)
    try:
        found = sorted({float(p) for p in np.ravel(np.asarray(candidates, dtype=np.float64))})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"candidates must be a sequence of numbers; got {candidates!r:.80}"
        ) from error
    if not found:
        raise ValueError("candidates is empty; give at least one perplexity")
    for perplexity in found:
        if not 0.0 < perplexity <= most:
            raise ValueError(
                f"candidates has {perplexity:g}, but perplexities must be above 0 and at most "
                f"{most:.4g}, a third of n_samples ({n_samples}) less 2"
            )
    return tuple(found)


def _figures(
    X: Any,
    Y: NDArray[np.float32],
    perplexity: float,
    scores: Reliability,
    judged: Mapping[str, Any],
) -> dict[str, float | None]:
    sizes, improvement = r_nx(X, Y, **judged)
    near = sizes <= 30
    known = scores.to_dict()
    divergence = None
    if len(Y) <= _LARGE:
        how = {name: judged[name] for name in ("metric", "metric_params", "n_jobs")}
        divergence = kl_divergence(X, Y, perplexity=perplexity, scale="best", **how)
    return {
        "r_nx_auc": area_under(sizes, improvement),
        "local": area_under(sizes[near], improvement[near]),
        "global": area_under(sizes[~near], improvement[~near]) if not near.all() else None,
        "jumping": known["jumping"],
        "dubious": known["dubious"],
        "singularity": known["singularity"],
        "kl_divergence": divergence,
    }
