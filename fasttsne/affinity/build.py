"""Samples -> neighbours -> conditional P -> joint P, by one record of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from time import perf_counter
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fasttsne.affinity.given import checked_affinities
from fasttsne.affinity.joint import (
    JointProbabilities,
    as_csr,
    joint_probabilities,
    symmetrize_dense,
)
from fasttsne.affinity.perplexity import Neighborhood, neighborhood_of
from fasttsne.affinity.supervised import guide_joint, guided_by_labels
from fasttsne.affinity.weights import (
    WeightedJoint,
    counts_of_all_pairs,
    dense,
    neighbors_of_copies,
    of_pairs,
    weighted_joint,
)
from fasttsne.neighbors.given import (
    checked_neighbors,
    is_transformer,
    nearest_in_graph,
    neighbors_by,
)
from fasttsne.neighbors.metrics import Found, Metric, complete_metric, pairwise_squared_distances
from fasttsne.neighbors.screen import n_axes_for_search, uses_axes
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.runtime.memory import physical_memory
from fasttsne.runtime.warn import warn
from fasttsne.samples.checks import Samples
from fasttsne.samples.principal_axes import PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale, times_power_of_two

Joint = JointProbabilities | NDArray[np.float32] | WeightedJoint

# Bytes per probability at the peak of memory.
_BYTES = 26


@dataclass(frozen=True)
class AffinityParameters:
    """What P depends on, beside the samples.

    Attributes
    ----------
    perplexity, metric, metric_params, method, neighbors, affinity, sigma, n_neighbors, label_weight
        See `fasttsne.TSNE`.
    given : tuple of ndarray or None
        Neighbours that the user brings, and their squared distances; set by `completed`.

    Examples
    --------
    >>> from fasttsne.affinity import AffinityParameters
    >>> AffinityParameters(perplexity=10.0).neighborhood(500).n_neighbors
    31
    """

    perplexity: float | str | Sequence[float] = 30.0
    metric: Metric = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    method: str = "barnes_hut"
    neighbors: str | tuple[ArrayLike, ArrayLike] | Any = "auto"
    affinity: str = "gaussian"
    sigma: float | None = None
    n_neighbors: int | None = None
    label_weight: float = 0.0
    given: Found | None = None

    @classmethod
    def of(cls, estimator: Any) -> AffinityParameters:
        """Return the parameters that an estimator has; the others keep their defaults."""
        names = [field.name for field in fields(cls)]
        known = {name: getattr(estimator, name) for name in names if hasattr(estimator, name)}
        if isinstance(known["metric"], str) and known["metric"] == "precomputed_affinity":
            known.update(metric="euclidean", affinity="precomputed")
        return cls(**known)

    @property
    def is_given(self) -> bool:
        """Whether X is P itself."""
        return self.affinity == "precomputed"

    @property
    def equal_rows_are_equal_samples(self) -> bool:
        """Whether equal rows of X are copies; a user's function may tell them apart."""
        return not (
            self.is_given
            or callable(self.metric)
            or self.metric == "precomputed"
            or not isinstance(self.neighbors, str)
        )

    def neighborhood(self, n_copies: float, *, weighted: bool = False) -> Neighborhood:
        """Return how many neighbours count, and how, among `n_copies` samples.

        Parameters
        ----------
        n_copies : float
            Number of samples, or the sum of their weights.
        weighted : bool, default=False
            Whether it is the sum of weights, for error messages.

        Returns
        -------
        neighborhood : Neighborhood
            Its `n_neighbors` and how p_j|i comes from their distances.

        Raises
        ------
        ValueError
            If a parameter is out of range for so few samples.
        """
        if self.is_given:
            return Neighborhood(1)  # not used for a given P
        return neighborhood_of(
            n_copies,
            perplexity=self.perplexity,
            affinity=self.affinity,
            sigma=self.sigma,
            n_neighbors=self.n_neighbors,
            total="the sum of sample_weight" if weighted else "n_samples",
        )


def completed(parameters: AffinityParameters, samples: Samples) -> AffinityParameters:
    """Return the parameters with what they leave to the samples.

    A metric gets its parameters, given neighbours are checked, and a transformer is fitted. A
    perplexity that k given neighbours, or `n_neighbors` = k, cannot have becomes (k - 1) / 3, with
    a warning.
    """
    if parameters.is_given:
        return parameters
    X, counts, neighbors, given = samples.X, samples.counts, parameters.neighbors, None
    metric, metric_params = complete_metric(parameters.metric, parameters.metric_params, X, counts)
    if parameters.method != "exact" and is_transformer(neighbors):
        neighbors, given = neighbors_by(neighbors, times_power_of_two(X, samples.exponent))
    elif parameters.method != "exact" and not isinstance(neighbors, str):
        given = checked_neighbors(neighbors, X.shape[0])
    elif parameters.method != "exact" and metric == "precomputed" and sparse.issparse(X):
        given = nearest_in_graph(X)
    known = replace(
        parameters, metric=metric, metric_params=metric_params, neighbors=neighbors, given=given
    )
    wanted = known.neighborhood(samples.n_copies, weighted=counts is not None)
    k = wanted.n_neighbors
    short = known.n_neighbors is not None and max(wanted.perplexities, default=0.0) >= k
    if given is not None and counts is None and given[0].shape[1] < k:
        k = given[0].shape[1]
        if known.n_neighbors is not None or k < 4:
            raise ValueError(
                f"{wanted.n_neighbors + 1} neighbors per samples are required, but some samples"
                f" have only {k + 1} neighbors, themselves included; lower perplexity or "
                "n_neighbors, or give more neighbors"
            )
    if k == wanted.n_neighbors and (not short or known.method == "exact"):
        return known
    limit = float(k) if wanted.uniform else (k - 1) / 3.0
    if limit < 1.0:
        raise ValueError(f"perplexity={known.perplexity} needs more than {k} neighbors")
    lowered = tuple(min(p, limit) for p in wanted.perplexities) or (limit,)
    warn(
        f"perplexity={known.perplexity} is lowered to {max(lowered):.4g}: a sample has only "
        f"{k} neighbors",
    )
    return replace(known, perplexity=lowered)


def key_of(parameters: AffinityParameters, samples: Samples, *others: Any) -> str | None:
    """Return a digest of `others` and all that P depends on; None if a metric is not picklable."""
    try:
        everything = parameters, samples.X, samples.classes, samples.counts, others
        return str(joblib.hash(everything, coerce_mmap=True))
    except Exception:  # pickling a user's function can raise anything
        return None


class Neighbors(NamedTuple):
    """Neighbours of every sample; `indices` None means all pairs, in order."""

    indices: NDArray[np.int32] | None
    squared_distances: NDArray[np.float64]
    copies: NDArray[np.float32] | None  # of each neighbour; None is one each


def centered_samples(
    X: Any, parameters: AffinityParameters, n_threads: int
) -> NDArray[np.float32] | None:
    """Return `X` near the origin, if the search for neighbours uses it in that form."""
    if (
        sparse.issparse(X)
        or parameters.is_given
        or parameters.method == "exact"
        or parameters.metric != "euclidean"
        or parameters.metric_params
    ):
        return None
    return center_and_scale(X, n_threads=n_threads)


def axes_for_search(
    samples: Samples,
    centered: NDArray[np.float32] | None,
    parameters: AffinityParameters,
    n_components: int,
    n_threads: int,
) -> PrincipalAxes | None:
    """Return the principal axes, if both the search and the first coordinates need them."""
    X, neighbors = samples.X, parameters.neighbors
    if (
        centered is None
        or not (isinstance(samples.init, str) and samples.init == "pca")
        or not isinstance(neighbors, str)
        or not uses_axes(X.shape, neighbors)
    ):
        return None
    n_axes = max(n_axes_for_search(X.shape[1]), n_components)
    return principal_axes(centered, n_axes, counts=samples.counts, n_threads=n_threads)


def neighbors_of(
    samples: Samples,
    parameters: AffinityParameters,
    neighborhood: Neighborhood,
    centered: NDArray[np.float32] | None = None,
    axes: PrincipalAxes | None = None,
    *,
    n_threads: int = 1,
    verbose: int = 0,
) -> Neighbors:
    """Return the neighbours of every sample: k nearest, those given, or all pairs ("exact")."""
    X, counts, given = samples.X, samples.counts, parameters.given is not None
    n_neighbors, weighted = neighborhood.n_neighbors, counts is not None
    metric: Any = {"metric": parameters.metric, "metric_params": parameters.metric_params}
    if parameters.method == "exact":
        if not isinstance(parameters.neighbors, str):
            raise ValueError(
                'neighbors, given or by a transformer, are for method="barnes_hut"; '
                'method="exact" takes all pairs'
            )
        if verbose and parameters.metric != "precomputed":
            print("[t-SNE] Computing pairwise distances...")
        distances = pairwise_squared_distances(X, **metric, n_threads=n_threads)
        return Neighbors(None, distances, None if counts is None else counts_of_all_pairs(counts))

    def search(k: int) -> Found:
        if parameters.given is not None:
            indices, squares = (part if weighted else part[:, :k] for part in parameters.given)
            return np.ascontiguousarray(indices), np.ascontiguousarray(squares)
        return squared_neighbors(
            X,
            k,
            **metric,
            method=str(parameters.neighbors),
            centered=centered,
            axes=axes,
            n_threads=n_threads,
        )

    if verbose:
        print(f"[t-SNE] Computing {n_neighbors} nearest neighbors...")  # scikit-learn's words
    start = perf_counter()
    if counts is None:
        neighbors = Neighbors(*search(n_neighbors), None)
    else:
        neighbors = Neighbors(*neighbors_of_copies(search, counts, n_neighbors, given=given))
    if verbose:
        print(
            f"[t-SNE] Computed neighbors for {X.shape[0]} samples"
            f" in {perf_counter() - start:.3f}s..."
        )
    return neighbors


def conditional_of(
    neighbors: Neighbors,
    neighborhood: Neighborhood,
    samples: Samples,
    parameters: AffinityParameters,
    *,
    n_threads: int = 1,
    verbose: int = 0,
) -> NDArray[np.float32]:
    """Return p_j|i of the neighbours, with less between classes where these are known."""
    indices, squared_distances, copies = neighbors
    conditional, mean_sigma = neighborhood.conditional(
        squared_distances,
        counts=copies,
        skip_diagonal=indices is None and copies is None,
        n_threads=n_threads,
    )
    if verbose:
        n = len(conditional)
        print(f"[t-SNE] Computed conditional probabilities for sample {n} / {n}")
        if mean_sigma is not None:
            print(f"[t-SNE] Mean sigma: {mean_sigma:f}")
    if samples.classes is not None:
        conditional = guided_by_labels(
            conditional, samples.classes, parameters.label_weight, indices=indices
        )
    return conditional


def joint_of(
    indices: NDArray[np.int32] | None,
    conditional: NDArray[np.float32],
    counts: NDArray[np.float64] | None,
    symmetrization: str = "mean",
    *,
    n_threads: int = 1,
    verbose: int = 0,
) -> Joint:
    """Return P: sparse over neighbours, dense over all pairs, with counts over copies."""
    start = perf_counter()
    how: Any = {"symmetrization": symmetrization, "n_threads": n_threads}
    joint: Joint
    if counts is not None:
        joint = weighted_joint(indices, conditional, counts, **how)
    elif indices is None:
        joint = symmetrize_dense(conditional, **how)
    else:
        joint = joint_probabilities(indices, conditional, **how)
    if verbose >= 2 and indices is not None:
        print(f"[t-SNE] Computed conditional probabilities in {perf_counter() - start:.3f}s")
    return joint


def given_joint(samples: Samples, parameters: AffinityParameters) -> Joint:
    """Return the P that the user gives as X."""
    joint = checked_affinities(samples.X)
    if samples.classes is not None:
        joint = guide_joint(joint, samples.classes, parameters.label_weight, counts=samples.counts)
    exact = parameters.method == "exact"
    if samples.counts is not None:
        weighted = of_pairs(as_csr(joint), samples.counts)
        return dense(weighted) if exact else weighted
    return as_csr(joint).toarray() if exact else joint


def check_memory(X: Any, parameters: AffinityParameters, neighborhood: Neighborhood) -> None:
    """Raise MemoryError at once, before hours of work, where P is larger than this machine."""
    n_samples = X.shape[0]
    if parameters.method == "exact":
        n_values, remedy = n_samples**2, 'use method="barnes_hut"'
    elif parameters.is_given:
        n_values, remedy = X.nnz if sparse.issparse(X) else 0, "leave out small affinities"
    else:
        n_values, remedy = n_samples * neighborhood.n_neighbors, "lower perplexity"
    needed = _BYTES * n_values
    physical = physical_memory()
    if needed > physical:
        raise MemoryError(
            f"method={parameters.method!r} with perplexity={parameters.perplexity} needs about "
            f"{needed / 1e9:.0f} GB for {n_values:,} probabilities, but this machine has "
            f"{physical / 1e9:.0f} GB; {remedy}"
        )
