"""Samples -> P and the first map, as the parameters of an estimator say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import VALID_METRICS
from sklearn.utils.validation import check_non_negative, validate_data

from fasttsne.affinity import JointProbabilities, as_csr, joint_probabilities, symmetrize_dense
from fasttsne.affinity.given import checked_affinities
from fasttsne.affinity.perplexity import Neighborhood, neighborhood_of
from fasttsne.affinity.supervised import guide_joint, guided_by_labels
from fasttsne.affinity.weights import (
    WeightedJoint,
    dense_masses,
    of_pairs,
    weighted_joint,
    weighted_joint_dense,
    with_own_copies,
)
from fasttsne.initialization.start import initial_embedding
from fasttsne.neighbors.given import checked_neighbors
from fasttsne.neighbors.search import (
    Metric,
    check_sparse_indices,
    n_axes_for_search,
    nearest_neighbors,
    pairwise_squared_distances,
    squared,
    uses_axes,
    without_duplicates,
)
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.duplicates import Collapsed, collapsed
from fasttsne.samples.labels import class_codes
from fasttsne.samples.principal_axes import PrincipalAxes, principal_axes
from fasttsne.samples.scaling import center_and_scale, safe_exponent, times_power_of_two

Joint = JointProbabilities | NDArray[np.float32] | WeightedJoint

METRICS = set().union(*VALID_METRICS.values()) | {"precomputed", "precomputed_affinity"}


class Samples(NamedTuple):
    """What a map is made of, each sample once.

    Attributes
    ----------
    X : {ndarray, sparse matrix} of shape (n_distinct, n_features)
        As `Similarities._validated` leaves them.
    init : str or ndarray of shape (n_distinct, n_components)
        Where they start.
    classes : ndarray of int64, shape (n_distinct,), or None
        What labels say, where they count.
    weights : ndarray of float64, shape (n_distinct,), or None
        How many copies each stands for; None is one each.
    once : Collapsed or None
        Which sample of the caller's each one is, where copies were collapsed.
    """

    X: Any
    init: str | NDArray[Any]
    classes: NDArray[np.int64] | None
    weights: NDArray[np.float64] | None
    once: Collapsed | None

    @property
    def n_copies(self) -> float:
        """How many samples there are with all copies."""
        return float(self.X.shape[0] if self.weights is None else self.weights.sum())


class Similarities:
    """The stages from samples to P, for an estimator that has these parameters.

    Attributes
    ----------
    n_components, perplexity, metric, metric_params, init, verbose, method, neighbors, affinity, \
            sigma, n_neighbors, label_weight
        See `TSNE`.
    """

    n_components: int
    perplexity: float | str | Sequence[float]
    metric: Metric
    metric_params: Mapping[str, Any] | None
    init: str | NDArray[Any]
    verbose: int
    method: str
    neighbors: str | tuple[ArrayLike, ArrayLike]
    affinity: str
    sigma: float | None
    n_neighbors: int | None
    label_weight: float

    def _joint_and_start(
        self,
        samples: Samples,
        random_state: np.random.RandomState,
        n_threads: int,
        *,
        needs_start: bool = True,
    ) -> tuple[Joint, NDArray[np.float32] | None]:
        """Make P, and the first map where it is wanted."""
        X, init, classes, weights, _ = samples
        neighborhood = self._neighborhood(samples.n_copies, weights is not None)
        self._check_memory(X, neighborhood)
        # What the search for neighbours and the start share.
        centered = self._centered(X, n_threads)
        axes = self._principal_axes(X, centered, weights, n_threads)
        start = None
        from_joint = isinstance(init, str) and init == "spectral"
        if needs_start and not from_joint:
            start = initial_embedding(
                X,
                init,
                self.n_components,
                random_state,
                centered=centered,
                axes=axes,
                weights=weights,
                n_threads=n_threads,
            )
        joint: Joint
        if self.metric == "precomputed_affinity":
            joint = self._given_joint(X, classes, weights)
        elif self.method == "exact":
            joint = self._dense_joint(X, neighborhood, classes, weights, n_threads)
        else:
            indices, conditional = self._neighbors(
                X, neighborhood, classes, weights, centered, axes, n_threads
            )
            del centered, axes
            joint = self._sparse_joint(indices, conditional, neighborhood, weights, n_threads)
            del indices, conditional
        if needs_start and from_joint:
            start = initial_embedding(
                X,
                init,
                self.n_components,
                random_state,
                joint=joint.joint() if isinstance(joint, WeightedJoint) else joint,
                weights=weights,
                n_threads=n_threads,
            )
        return joint, start

    def _validated(self, X: Any, *, reset: bool = True) -> Any:
        """Bring samples into the form in which neighbours are searched."""
        barnes_hut = self.method == "barnes_hut"
        if sparse.issparse(X):
            X = check_sparse_indices(X)
        X = validate_data(
            self,
            X,
            accept_sparse=["csr"] if barnes_hut else ["csr", "csc", "coo"],
            ensure_min_samples=2,
            dtype=[np.float64, np.float32],
            reset=reset,
        )
        if barnes_hut and self.n_components > 3:
            raise ValueError(
                "'n_components' should be less than 4 with method='barnes_hut', which relies on a "
                "quad-tree or oct-tree; use method='exact' for more"
            )
        self._exponent = 0
        if self.metric in ("precomputed", "precomputed_affinity"):
            self._check_precomputed(X)
            return X
        if sparse.issparse(X):
            # scikit-learn squares sparse single precision without widening it.
            X = without_duplicates(X).astype(np.float64, copy=False)
        if self.metric in ("euclidean", "cosine"):
            self._exponent = safe_exponent(X)  # of a factor that these two do not notice
        return times_power_of_two(X, -self._exponent)

    def _check_precomputed(self, X: Any) -> None:
        if isinstance(self.init, str) and self.init == "pca":
            raise ValueError(
                f'The parameter init="pca" cannot be used with metric="{self.metric}".'
                ' Use init="random", init="spectral" or an array.'
            )
        if self.metric == "precomputed_affinity":
            return  # checked as it is taken over
        if X.shape[0] != X.shape[1]:
            raise ValueError(
                f"X should be a square distance matrix with metric='precomputed', got {X.shape}"
            )
        check_non_negative(
            X, "TSNE.fit(). With metric='precomputed', X should contain positive distances."
        )
        if self.method == "exact" and sparse.issparse(X):
            raise TypeError(
                'TSNE with method="exact" does not accept a sparse precomputed distance matrix. '
                'Use method="barnes_hut" or provide the dense distance matrix.'
            )

    def _classes(self, y: Any, n_samples: int) -> NDArray[np.int64] | None:
        """Classes of the samples, where labels count."""
        if self.label_weight == 0.0:
            return None
        if y is None:
            raise ValueError(
                f"label_weight={self.label_weight} needs labels: call fit(X, y), or leave it at 0"
            )
        return class_codes(y, n_samples, name="y", minus_one_is_missing=True)

    def _samples(
        self,
        X: Any,
        classes: NDArray[np.int64] | None,
        weights: NDArray[np.float64] | None,
        fixed: NDArray[np.bool_] | None = None,
    ) -> Samples:
        """Take copies as one that agree in all that is known, if there are many."""
        init = self.init
        once = self._duplicates(X, weights, classes, fixed)
        if once is None:
            return Samples(X, init, classes, weights, None)
        X = (X.tocsr() if sparse.issparse(X) else X)[once.first]
        classes = None if classes is None else classes[once.first]
        init = init[once.first] if isinstance(init, np.ndarray) else init
        return Samples(X, init, classes, once.weights, once)

    def _duplicates(
        self,
        X: Any,
        weights: NDArray[np.float64] | None,
        classes: NDArray[np.int64] | None,
        fixed: NDArray[np.bool_] | None,
    ) -> Collapsed | None:
        if (
            not isinstance(self.metric, str)  # a function may tell copies apart
            or self.metric in ("precomputed", "precomputed_affinity")
            or not isinstance(self.neighbors, str)
        ):
            return None
        init = self.init if isinstance(self.init, np.ndarray) else None
        if init is not None and (init.shape[:1] != X.shape[:1] or init.dtype.kind not in "fiu"):
            return None  # which is refused later
        return collapsed(X, weights, init, classes, fixed)

    def _neighborhood(self, n_copies: float, weighted: bool) -> Neighborhood:
        if self.metric == "precomputed_affinity":  # has no part in it
            return Neighborhood(1)
        return neighborhood_of(
            n_copies,
            perplexity=self.perplexity,
            affinity=self.affinity,
            sigma=self.sigma,
            n_neighbors=self.n_neighbors,
            total="the sum of sample_weight" if weighted else "n_samples",
        )

    def _given_joint(
        self, X: Any, classes: NDArray[np.int64] | None, weights: NDArray[np.float64] | None
    ) -> Joint:
        joint = checked_affinities(X)
        if classes is not None:
            joint = guide_joint(joint, classes, self.label_weight, masses=weights)
        if weights is not None:
            weighted = of_pairs(as_csr(joint), weights)
            if self.method == "exact":
                attraction = as_csr(weighted.attraction).toarray()
                weighted = weighted._replace(attraction=attraction)
            return weighted
        return as_csr(joint).toarray() if self.method == "exact" else joint

    def _dense_joint(
        self,
        X: Any,
        neighborhood: Neighborhood,
        classes: NDArray[np.int64] | None,
        weights: NDArray[np.float64] | None,
        n_threads: int,
    ) -> Joint:
        if not isinstance(self.neighbors, str):
            raise ValueError(
                'neighbors=(indices, distances) is for method="barnes_hut"; method="exact" takes '
                "all pairs"
            )
        if self.verbose and self.metric != "precomputed":
            print("[t-SNE] Computing pairwise distances...")
        masses = None if weights is None else dense_masses(weights)
        conditional = self._conditional(
            self._squared_distances(X, n_threads),
            neighborhood,
            n_threads,
            masses=masses,
            skip_diagonal=masses is None,
        )
        del masses
        if classes is not None:
            conditional = guided_by_labels(conditional, classes, self.label_weight)
        if weights is not None:
            return weighted_joint_dense(
                conditional, weights, symmetrization="max" if neighborhood.uniform else "mean"
            )
        if neighborhood.uniform:
            np.maximum(conditional, conditional.T.copy(), out=conditional)
            conditional *= len(conditional) / conditional.sum(dtype=np.float64)
        return symmetrize_dense(conditional, n_threads=n_threads)

    def _squared_distances(self, X: Any, n_threads: int) -> NDArray[np.float64]:
        if self.metric == "precomputed":
            distances = np.array(X, dtype=np.float64)
            np.fill_diagonal(distances, 0.0)  # not read, so never a reason to refuse X
            return squared(distances)
        if self.metric == "euclidean" and not self.metric_params:
            return pairwise_squared_distances(X, n_threads=n_threads)
        with nullcontext() if callable(self.metric) else single_threaded_blas():
            # On one thread: cut into slices, some metrics round differently.
            return squared(pairwise_distances(X, metric=self.metric, **(self.metric_params or {})))

    def _centered(self, X: Any, n_threads: int) -> NDArray[np.float32] | None:
        """`X` near the origin, if the search for neighbours looks at it like that."""
        if (
            sparse.issparse(X)
            or self.method == "exact"
            or self.metric != "euclidean"
            or self.metric_params
        ):
            return None
        return center_and_scale(X, n_threads=n_threads)

    def _principal_axes(
        self,
        X: Any,
        centered: NDArray[np.float32] | None,
        weights: NDArray[np.float64] | None,
        n_threads: int,
    ) -> PrincipalAxes | None:
        """Find the axes of `centered`, if both the neighbours and the start need them."""
        if (
            centered is None
            or not (isinstance(self.init, str) and self.init == "pca")
            or not isinstance(self.neighbors, str)
            or not uses_axes(X.shape, self.neighbors)
        ):
            return None
        n_axes = max(n_axes_for_search(X.shape[1]), self.n_components)
        return principal_axes(centered, n_axes, weights=weights, n_threads=n_threads)

    def _neighbors(
        self,
        X: Any,
        neighborhood: Neighborhood,
        classes: NDArray[np.int64] | None,
        weights: NDArray[np.float64] | None,
        centered: NDArray[np.float32] | None,
        axes: PrincipalAxes | None,
        n_threads: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Find the neighbours of every sample and their conditional probabilities."""
        n_samples, n_neighbors = X.shape[0], neighborhood.n_neighbors
        if self.verbose:
            print(f"[t-SNE] Computing {n_neighbors} nearest neighbors...")
        start = perf_counter()

        def search(n_neighbors: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
            assert isinstance(self.neighbors, str)
            return nearest_neighbors(
                X,
                n_neighbors,
                metric=self.metric,
                metric_params=self.metric_params,
                method=self.neighbors,
                centered=centered,
                axes=axes,
                n_threads=n_threads,
            )

        masses = None
        if weights is not None:
            indices, squared_distances, masses = self._copies(search, weights, n_neighbors)
        elif isinstance(self.neighbors, str):
            indices, squared_distances = search(n_neighbors)
        else:
            indices, squared_distances = checked_neighbors(self.neighbors, n_samples, n_neighbors)
        if self.verbose:
            print(
                f"[t-SNE] Computed neighbors for {n_samples} samples"
                f" in {perf_counter() - start:.3f}s..."
            )
        conditional = self._conditional(squared_distances, neighborhood, n_threads, masses=masses)
        if classes is not None:
            conditional = guided_by_labels(conditional, classes, self.label_weight, indices=indices)
        return indices, conditional

    def _copies(
        self,
        search: Callable[[int], tuple[NDArray[np.int32], NDArray[np.float64]]],
        weights: NDArray[np.float64],
        n_copies: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float32]]:
        """Find so many copies of samples near every sample, its own among them."""
        most = len(weights) - 1
        if not isinstance(self.neighbors, str):
            found = with_own_copies(
                *checked_neighbors(self.neighbors, len(weights), None), weights, n_copies
            )
            if found is None:
                raise ValueError(
                    f"neighbors: {n_copies} copies near a sample are needed, but by sample_weight "
                    "some samples have less; lower perplexity, or search for more"
                )
            return found
        n_neighbors = min(most, n_copies)
        while True:
            found = with_own_copies(*search(n_neighbors), weights, n_copies)
            if found is not None:
                return found
            n_neighbors = min(most, 2 * n_neighbors)

    def _sparse_joint(
        self,
        indices: NDArray[np.int32],
        conditional: NDArray[np.float32],
        neighborhood: Neighborhood,
        weights: NDArray[np.float64] | None,
        n_threads: int,
    ) -> Joint:
        start = perf_counter()
        symmetrization = "max" if neighborhood.uniform else "mean"
        joint: Joint
        if weights is None:
            joint = joint_probabilities(
                indices, conditional, symmetrization=symmetrization, n_threads=n_threads
            )
        else:
            joint = weighted_joint(
                indices, conditional, weights, symmetrization=symmetrization, n_threads=n_threads
            )
        if self.verbose >= 2:
            print(f"[t-SNE] Computed conditional probabilities in {perf_counter() - start:.3f}s")
        return joint

    def _conditional(
        self,
        squared_distances: NDArray[np.float64],
        neighborhood: Neighborhood,
        n_threads: int,
        *,
        masses: NDArray[np.float32] | None = None,
        skip_diagonal: bool = False,
    ) -> NDArray[np.float32]:
        conditional, mean_sigma = neighborhood.conditional(
            squared_distances, masses=masses, skip_diagonal=skip_diagonal, n_threads=n_threads
        )
        if self.verbose:
            n = len(conditional)
            print(f"[t-SNE] Computed conditional probabilities for sample {n} / {n}")
            if mean_sigma is not None:
                print(f"[t-SNE] Mean sigma: {mean_sigma:f}")
        return conditional

    def _check_memory(self, X: Any, neighborhood: Neighborhood) -> None:
        """Refuse at once what this machine can't hold, before hours of work on it."""
        n_samples = X.shape[0]
        if self.method == "exact":
            n_values, remedy = n_samples**2, 'use method="barnes_hut"'
        elif self.metric == "precomputed_affinity":
            n_values, remedy = X.nnz if sparse.issparse(X) else 0, "leave out small affinities"
        else:
            n_values, remedy = n_samples * neighborhood.n_neighbors, "lower perplexity"
        needed = 26 * n_values  # bytes, at the peak
        try:
            physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # no sysconf: find out by allocating
            return
        if needed > physical:
            raise MemoryError(
                f"method={self.method!r} with perplexity={self.perplexity} needs about "
                f"{needed / 1e9:.0f} GB for {n_values:,} probabilities, but this machine has "
                f"{physical / 1e9:.0f} GB; {remedy}"
            )
