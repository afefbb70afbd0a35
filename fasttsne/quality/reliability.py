"""Which points of a map can be believed, point by point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.affinity.perplexity import n_neighbors_for
from fasttsne.descent.degrees_of_freedom import default_degrees_of_freedom
from fasttsne.neighbors.metrics import LARGEST_VALUE, Metric
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.quality import checks, tables
from fasttsne.quality.checks import Anchors, Floats, Sample
from fasttsne.quality.distances import Points, both_sides
from fasttsne.quality.dubious import correlations, drawn_others, null_correlations
from fasttsne.quality.leave_one_out import (
    LeaveOneOut,
    across_gaps,
    better_scale,
    farthest_places,
    projections,
    singularity_scores,
    usual_step,
)
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.runtime.warn import warn
from fasttsne.samples.checks import check_samples
from fasttsne.transform import LARGEST_COORDINATE

# Quantiles of the correlations on a map of permuted data. A point with a lower correlation than the
# first is dubious, one with a higher correlation than the second is trustworthy.
_LOW, _HIGH = 0.05, 0.95

# The table has the median singularity score of this share of the points, those with the largest.
_SINGULAR = 0.05


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far single points of a map can be believed, returned by `reliability`.

    It prints as a table; notebooks show an HTML table.

    Attributes
    ----------
    n_samples : int
        Number of points.
    perplexity, step : float
        Perplexity of P, and the length by which data are moved, in the unit of the data; 0 if they
        are not moved.
    rows : ndarray of int32, shape (n_judged,)
        The evaluated points.
    perturbation : ndarray of float64, shape (n_judged,), or None
        Perturbation score: how far the best place of the point moves, in the unit of the map, if
        its data move by `step`. None if the data cannot be moved, like the next two.
    best_place : ndarray of float64, shape (n_judged, n_components), or None
        That place, the farthest that was found.
    jumps : ndarray of bool, shape (n_judged,), or None
        Whether the way there crosses a gap on the map.
    singularity : ndarray of float64, shape (n_judged,)
        Singularity score: 1 / the smallest eigenvalue of the Hessian of the objective by the
        point's place. Infinite where the eigenvalue is not above 0.
    correlation : ndarray of float64, shape (n_judged,), or None
        From -1 to 1: whether the point's neighbours in the data are its neighbours on the map. None
        if the data have no columns that could be permuted.
    null : tuple of float, or None
        The 5th and 95th percentiles of `correlation` on a map of permuted data.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne import TSNE
    >>> from fasttsne.quality import reliability
    >>> X = load_iris().data
    >>> found = reliability(X, TSNE(random_state=0).fit_transform(X))
    >>> found.jumps.shape, found.dubious.shape
    ((150,), (150,))
    >>> sorted(found.per_sample)
    ['correlation', 'perturbation', 'singularity']
    """

    n_samples: int
    perplexity: float
    step: float
    rows: Anchors
    perturbation: Floats | None
    best_place: Floats | None
    jumps: NDArray[np.bool_] | None
    singularity: Floats
    correlation: Floats | None
    null: tuple[float, float] | None

    @property
    def dubious(self) -> NDArray[np.bool_]:
        """Return for which points the correlation is below the null's 5th percentile."""
        if self.correlation is None or self.null is None:
            return np.zeros(len(self.rows), dtype=bool)
        return np.asarray(self.correlation < self.null[0])

    @property
    def trustworthy(self) -> NDArray[np.bool_]:
        """Return for which points the correlation is above the null's 95th percentile."""
        if self.correlation is None or self.null is None:
            return np.zeros(len(self.rows), dtype=bool)
        return np.asarray(self.correlation > self.null[1])

    @property
    def per_sample(self) -> dict[str, Floats]:
        """Return the scores that were computed, by name."""
        scores = {
            "perturbation": self.perturbation,
            "singularity": self.singularity,
            "correlation": self.correlation,
        }
        return {name: values for name, values in scores.items() if values is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and the figures of the table, ready for JSON.

        Returns
        -------
        figures : dict
            Plain numbers; None for what was not computed.
        """
        figures: dict[str, Any] = {
            "n_samples": self.n_samples,
            "n_judged": len(self.rows),
            "perplexity": self.perplexity,
            "step": self.step,
        }
        return figures | {name: value for name, (_, value, _) in self._figures().items()}

    def _figures(self) -> dict[str, tuple[str, float | None, str]]:
        """Return title, value and meaning of every line of the table by name."""
        jump = None if self.perturbation is None else float(np.median(self.perturbation))
        jumping = None if self.jumps is None else float(self.jumps.mean())
        largest = float(np.quantile(self.singularity, 1.0 - _SINGULAR / 2.0, method="lower"))
        known = self.correlation is not None
        return {
            "perturbation": (
                "perturbation score",
                jump,
                "median distance that the best place moves, in units of the map",
            ),
            "jumping": ("jumping points", jumping, "share whose best place is beyond a gap"),
            "singularity": (
                "singularity score",
                largest if np.isfinite(largest) else None,
                "median of the largest 5 per cent",
            ),
            "dubious": (
                "dubious points",
                float(self.dubious.mean()) if known else None,
                "share whose neighbours are worse than in permuted data",
            ),
            "trustworthy": (
                "trustworthy points",
                float(self.trustworthy.mean()) if known else None,
                "share whose neighbours are better than in permuted data",
            ),
        }

    def table(self) -> list[tuple[str, str, str]]:
        """Return title, value and meaning of every figure.

        Returns
        -------
        lines : list of tuple of str
            "-" stands for what was not computed, or is infinite; the meaning is then the reason.
        """
        moved = "requires dense X, not distances, and the metric euclidean"
        missing = {
            "perturbation": moved,
            "jumping": moved,
            "singularity": "infinite: no minimum for this X, perplexity and scale",
            "dubious": "requires X, not distances",
            "trustworthy": "requires X, not distances",
        }
        return [
            (title, "-", missing[name]) if value is None else (title, f"{value:.4g}", text)
            for name, (title, value, text) in self._figures().items()
        ]

    def __repr__(self) -> str:
        return tables.as_text(self._headline(), self.table())

    def _repr_html_(self) -> str:
        return tables.as_html(self._headline(), self.table())

    def _headline(self) -> str:
        points = tables.counted(self.n_samples, len(self.rows))
        return f"{points}; perplexity {self.perplexity:g}"


@with_plain_numbers
def reliability(
    X: Any,
    embedding: ArrayLike,
    *,
    perplexity: Positive = 30.0,
    degrees_of_freedom: Positive | None = None,
    step: Positive | None = None,
    sample: Sample = None,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
) -> Reliability:
    r"""Return how far each point of a t-SNE map can be believed: three scores and flags.

    - The *perturbation score* [1]_ asks whether a small change of a point's data would move the
      point to another part of the map. It finds clusters that are one in the data, and points
      between clusters.
    - The *singularity score* [1]_ asks how firmly a point is held at its place. Large scores at
      random places of the map mean that the perplexity is too small.
    - The *correlation* [2]_ asks whether the nearer half of all points is the same in the data and
      on the map, better than on a map of data without structure. It finds points at a wrong place
      of the map as a whole.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` distances.
    embedding : array-like of shape (n_samples, n_components)
        The map of `X` by t-SNE, at the scale of the fit: the first two scores use its objective.
    perplexity : float, default=30.0
        Perplexity of the fit, above 0 and less than `n_samples`.
    degrees_of_freedom : float or None, default=None
        Of the fit. None is ``max(n_components - 1, 1)``.
    step : float or None, default=None
        Length by which the data of a point are moved, in the unit of `X`. None is half the root
        mean square difference between nearest neighbours, other than copies, along one of the
        directions.
    sample : int, float, array-like or None, default=None
        Number, share or rows of the points to judge; None judges all. The singularity score
        takes the same time for some points as for all.
    metric, metric_params
        See `trustworthiness`. The perturbation score requires dense `X` and Euclidean distances.
    random_state : int, RandomState, Generator or None, default=0
        Seed of a random sample, of the points that others are compared with, and of the
        permutations.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    found : Reliability
        Arrays with a value per judged point, and flags. It prints as a table.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        As in `trustworthiness`; if there are fewer than 4 samples, if `perplexity` is not less than
        `n_samples`, or if `embedding` has values that are too large to square.

    Warns
    -----
    UserWarning
        If the map, of at most three components, has a lower KL divergence at a third of its scale,
        or one lower by 0.02 at three times its scale: it was scaled after the fit, `perplexity` or
        `degrees_of_freedom` are not those of the fit, or the fit had an `exaggeration`. There may
        be no warning of a map that was enlarged if its perplexity is about 10 or less: its
        divergence hardly changes with a larger scale.

    Notes
    -----
    Both scores of [1]_ are about the objective as a function of the place of one point, with all
    others left where they are (leave-one-out):

    .. math:: L_i(y) = (\nu + 1) \sum_{j \ne i} p_{ij} \log (1 + \|y - y_j\|^2 / \nu) + \log Z

    *Perturbation.* The data of point i are moved by `step` forwards and backwards along the first
    three principal directions of `X`. Each time :math:`p_{ij}` is computed again, with a new
    sigma for i, and the sigmas of all others as they are, among the points that are neighbours of i
    or have it as one. The best place is the lowest minimum of :math:`L_i` that gradient descent
    finds from the present place and from the places of the two points with the largest new
    :math:`p_{ij}`; of starts within half a unit of each other the first counts. The score is the
    largest distance from the present place to a best place. `jumps` flags points whose straight way
    there crosses a gap: a place, of 16 along the way, that is farther from every point of the map
    than 3 times the median distance to the fifth nearest point. Look at the share of such points in
    an island: where one cluster was torn, points of either part jump to the other.

    *Singularity.* The Hessian is that of :math:`L_i` at the present place, with :math:`P` over
    ``3 * perplexity + 1`` neighbours and all pairs of points in :math:`Z`. The score grows in
    proportion to `n_samples`. Infinite scores mean that the point is not at a minimum, also if the
    fit ended too early.

    *Correlation.* Of all points, the half that is nearest to i in the data is listed in this order,
    and the half that is nearest on the map in that order. The score is Pearson's correlation of the
    distances on the map in the two lists. With more than 500 points, 500 random ones stand for all.
    For the null, each column of `X` is permuted and a map of the result is fitted by
    :class:`~fasttsne.TSNE` at the same perplexity, at most a third of the number of rows, with
    5,000 random rows if there are more; [2]_ permutes and maps all rows.

    Time of the singularity score grows with the square of `n_samples`, all else about linearly.
    Memory is 4 kB per judged point.

    References
    ----------
    .. [1] Z. Liu, R. Ma, Y. Zhong (2025). Assessing and improving reliability of neighbor embedding
       methods: a map-continuity perspective. Nature Communications 16,
       doi:10.1038/s41467-025-60434-9, arXiv:2410.16608.
    .. [2] L. Xia, C. Lee, J. J. Li (2024). Statistical method scDEED for detecting dubious 2D
       single-cell embeddings and optimizing t-SNE and UMAP hyperparameters. Nature Communications
       15, 1753.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne import TSNE
    >>> from fasttsne.quality import reliability
    >>> X = load_iris().data
    >>> print(reliability(X, TSNE(random_state=0).fit_transform(X)))
    150 points; perplexity 30
    <BLANKLINE>
    perturbation score  ...  median distance that the best place moves, in units of the map
    jumping points      ...
    """
    Y = checks.as_embedding(embedding)
    data, on_map = both_sides(X, Y, metric, metric_params)
    n_samples = len(Y)
    checks.check_at_least(4, n_samples)
    if perplexity >= n_samples:
        raise ValueError(f"perplexity ({perplexity}) must be less than n_samples ({n_samples})")
    if not np.abs(Y).max() < LARGEST_COORDINATE:
        raise ValueError(
            f"embedding has values of magnitude above {LARGEST_COORDINATE:g}; give the map at the "
            "scale of its fit"
        )
    exact = Y.astype(np.float64)
    places = np.ascontiguousarray(exact - np.median(exact, axis=0), dtype=np.float32)
    if degrees_of_freedom is None:
        degrees_of_freedom = default_degrees_of_freedom(Y.shape[1])
    random = check_random_state(random_state)
    anchors = checks.chosen_anchors(n_samples, sample, random)
    n_threads = effective_n_threads(n_jobs)

    samples, exponent = check_samples(X, metric=metric)
    n_neighbors = min(n_samples - 1, n_neighbors_for(perplexity))
    how: Any = {"metric": metric, "metric_params": metric_params, "n_threads": n_threads}
    neighbors = squared_neighbors(samples, n_neighbors, **how)
    found = LeaveOneOut.of(places, neighbors, perplexity, degrees_of_freedom, n_threads)
    scale = better_scale(found, n_threads)
    if scale != 1.0:
        warn(
            f"embedding has a lower KL divergence at {'3 times' if scale > 1.0 else 'a third of'} "
            "its scale, so it is no map of X fitted with these parameters, and the scores mean "
            "little; give the map as the fit returned it, not scaled, and the perplexity "
            f"(now {perplexity:g}) and degrees_of_freedom ({degrees_of_freedom:g}) of the fit"
        )

    best_place = perturbation = jumps = None
    moved_by = 0.0
    if isinstance(data, Points) and metric in ("euclidean", "l2"):
        unit = float(np.ldexp(1.0, exponent))
        along = projections(samples, n_threads)
        moved_by = usual_step(neighbors, along) * unit if step is None else float(step)
        if not moved_by / unit < LARGEST_VALUE:
            raise ValueError(f"step={step:g} is too large for X; give it in the unit of X, or None")
        farthest = farthest_places(found, along, moved_by / unit, anchors, n_threads)
        way = farthest.astype(np.float64) - places[anchors]
        perturbation = np.linalg.norm(way, axis=1)
        best_place = exact[anchors] + way
        jumps = across_gaps(places, anchors, farthest, n_threads)
    correlation = null = None
    if metric != "precomputed":
        others = drawn_others(n_samples, random)
        correlation = correlations(data, on_map, anchors, others, n_threads)
        settings = (Y.shape[1], perplexity, metric, metric_params, random, n_threads)
        low, high = np.quantile(null_correlations(samples, *settings), [_LOW, _HIGH])
        null = float(low), float(high)
    return Reliability(
        n_samples=n_samples,
        perplexity=float(perplexity),
        step=moved_by,
        rows=anchors,
        perturbation=perturbation,
        best_place=best_place,
        jumps=jumps,
        singularity=singularity_scores(found)[anchors],
        correlation=correlation,
        null=null,
    )
