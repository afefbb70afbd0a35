"""The estimator: parameters, validation, and the pipeline as prose."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from numbers import Integral, Real
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import VALID_METRICS
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_non_negative, validate_data

from fasttsne._kernels import BarnesHutForces, ExactForces, Forces
from fasttsne.affinity import JointProbabilities, as_csr, joint_probabilities, symmetrize_dense
from fasttsne.affinity.labels import class_codes, guide_joint, guided_by_labels
from fasttsne.affinity.neighborhood import Neighborhood, neighborhood_of
from fasttsne.affinity.precomputed import checked_affinities
from fasttsne.centering import center_and_scale, in_safe_range
from fasttsne.duplicates import Collapsed, collapsed
from fasttsne.initialization import initial_embedding
from fasttsne.neighbors import (
    Metric,
    check_sparse_indices,
    n_axes_for_search,
    nearest_neighbors,
    pairwise_squared_distances,
    squared,
    uses_axes,
    without_duplicates,
)
from fasttsne.optimizer import Phase, Settings, optimize
from fasttsne.precomputed_neighbors import checked_neighbors
from fasttsne.principal_axes import PrincipalAxes, principal_axes
from fasttsne.threads import effective_n_threads, single_threaded_blas
from fasttsne.weights import (
    WeightedJoint,
    checked_weights,
    dense_masses,
    of_pairs,
    weighted_joint,
    weighted_joint_dense,
    with_own_copies,
)

_LARGEST = sys.float_info.max
Joint = JointProbabilities | NDArray[np.float32] | WeightedJoint

_METRICS = set().union(*VALID_METRICS.values()) | {"precomputed", "precomputed_affinity"}


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """t-distributed stochastic neighbour embedding.

    A drop-in for `sklearn.manifold.TSNE`: the same parameters, attributes and errors, on C
    kernels. Samples become points of a map whose similarities q_ij match those of the data,
    p_ij, by gradient descent on KL(P||Q).

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the map; 1, 2 or 3 with ``method="barnes_hut"``.
    perplexity : float, list of float or "auto", default=30.0
        Effective number of neighbours of a sample, less than n_samples. P is made of the
        min(n_samples - 1, int(3 * perplexity + 1)) nearest ones. Several perplexities give the
        mean of their p_j|i, all over the neighbours of the largest, and so keep the neighbourhoods
        of the least and the shape of the largest. "auto" is 30, or (n_samples - 1) / 3 where that
        is less, but at least 1.
    early_exaggeration : float, default=12.0
        Factor on the attraction at the start, at least 1; falls to 1 over 150 iterations.
    learning_rate : float or "auto", default="auto"
        Step length. "auto" is n_samples / exaggeration: n_samples after early exaggeration. A
        number is used as it is throughout, and then only `max_iter`, `n_iter_without_progress` or
        `min_grad_norm` ends the descent, not convergence.
    max_iter : int, default=1000
        Number of iterations at the most, at least 250. With an automatic learning rate 350 to 500
        usually do, and fewer on a few hundred samples.
    n_iter_without_progress : int, default=300
        Stop when KL(P||Q) has not fallen for more than so many iterations after early
        exaggeration; looked at every 50 iterations. With an automatic learning rate convergence
        comes first.
    min_grad_norm : float, default=1e-7
        Stop when the norm of the gradient times its gains is no more than this; looked at every
        50 iterations after early exaggeration.
    metric : str or callable, default="euclidean"
        Any metric of `sklearn.neighbors.NearestNeighbors`, a function of two samples, or
        "precomputed". Distances are squared, whatever the metric. Euclidean and cosine
        distances have fast kernels. With "precomputed_affinity" `X` is P itself: symmetric and
        not negative, dense or sparse; it is divided by its sum, its diagonal does not count, and
        every sample needs a positive entry. No perplexity has a part then.
    metric_params : dict, default=None
        Further arguments of the metric.
    init : {"pca", "random", "spectral"} or ndarray of shape (n_samples, n_components), \
            default="pca"
        Where the map starts: principal components, the first with a standard deviation of 1e-4;
        Gaussian noise of that standard deviation; eigenvectors of the normalised Laplacian of P,
        scaled alike; or an array, which is copied. "pca" needs samples: with
        ``metric="precomputed"`` or "precomputed_affinity" choose another.
    verbose : int, default=0
        Print the stages at 1, and at 2 also how the descent goes on after early exaggeration, in
        scikit-learn's words.
    random_state : int, RandomState instance or None, default=None
        Source of the random start, and of the principal components' solver for large data.
    method : {"barnes_hut", "exact"}, default="barnes_hut"
        Sparse P and repulsion through a tree, O(n log n), or all pairs, O(n^2) in time and
        memory.
    angle : float, default=0.5
        How much the tree may approximate, from 0 (not at all) to 1. On the maps of real data
        measured (``benchmarks/forces.py``), forces are several times as accurate as
        scikit-learn's at the same angle. From 0.5 on it makes no difference.
    n_jobs : int or None, default=None
        Number of threads of every stage. None means all cores that the process may use, unless
        ``joblib.parallel_config`` or OMP_NUM_THREADS says less; inside a joblib worker it
        never takes more than the worker's share. -1 means all cores, -2 all but one. Never more
        threads than cores run. The result does not depend on it, bit for bit.
    degrees_of_freedom : float or "auto", default="auto"
        nu of the map's kernel (1 + d^2 / nu)^(-(nu + 1) / 2), from 0.001 to 1000; smaller values
        have heavier tails and separate clusters more. "auto" is max(n_components - 1, 1), which
        scikit-learn always uses.
    neighbors : {"auto", "exact", "approximate"} or tuple (indices, distances), default="auto"
        How nearest neighbours are found with ``method="barnes_hut"``. "approximate" finds about
        0.99 of them, with exact distances, in a fraction of the time; it is for dense `X` and
        Euclidean or cosine distances. "auto" takes it where it is possible and the exact search
        would be slow, from some 15,000 samples on at 50 features, 5,000 at 784. Two arrays of
        shape (n_samples, at least the neighbours needed) are neighbours already found and their
        distances, not squared; rows may list their own sample. `X` is then for the start alone.
    affinity : {"gaussian", "uniform"}, default="gaussian"
        How p_j|i falls with the distance: as a Gaussian, or not at all among the `n_neighbors`
        nearest. Uniform affinities are symmetrised by the maximum, so that all edges of the graph
        of neighbours weigh the same.
    sigma : float, default=None
        Standard deviation of all Gaussians, in the unit of the distances, in place of one for
        every sample by its perplexity.
    n_neighbors : int, default=None
        How many neighbours P is made of. None is what `perplexity` says above, or with
        ``affinity="uniform"`` the perplexity itself, rounded: k equal neighbours have the
        perplexity k. ``method="exact"`` lets all pairs count where affinities are Gaussian.
    label_weight : float, default=0.0
        How much the labels `y` count in `fit`, from 0 (they are ignored) to 1: p_j|i loses this
        share where two known classes meet, and the other neighbours get it. Where nothing would
        be left, p_j|i stays.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_samples, n_components)
        The map.
    kl_divergence_ : float
        KL(P||Q) of `embedding_`, in nats. With ``method="barnes_hut"`` P is that of the nearest
        neighbours; `fasttsne.quality.kl_divergence` judges maps of either method by the same P.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where `X` has names that are all strings.
    learning_rate_ : float
        The learning rate used after early exaggeration.
    n_iter_ : int
        Index of the last iteration, from 0.

    Raises
    ------
    ValueError
        From `fit` and `fit_transform`, if a parameter or the data make no sense; the message
        names the parameter. `InvalidParameterError`, a subclass, if a parameter alone does.
    TypeError
        If ``method="exact"`` meets a sparse precomputed graph.
    MemoryError
        If the probabilities do not fit into memory.

    See Also
    --------
    sklearn.manifold.TSNE : The same interface, more slowly.

    Notes
    -----
    The gradient is 2 (nu+1)/nu sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2 / nu), at
    nu = 1 equation 5 of [2]_. Repulsion comes from a tree whose cells act through mass and
    second moments.

    The descent is not scikit-learn's. There exaggeration 12 ends suddenly after 250 iterations, at
    momentum 0.5, and 750 at momentum 0.8 follow; here it fades away over 150 at momentum 0.8, then
    momentum rises to 0.97 over 50. When an iteration gains less than 1/4000 of KL(P||Q), 50 at
    momentum 0.8 settle the map. No step is longer than 1 in any coordinate. The gradual end lets
    data of little structure arrange themselves, the bound keeps points from being thrown out of
    the map. On uniform noise, a Swiss roll, blobs and digits, 350 to 450 iterations end at 3 to 10
    per cent less KL than scikit-learn's 1000, and on MNIST's 70,000 digits 500 at 11 per cent less.

    Results are the same for any number of threads. Between processor models they may differ in
    the last bits, which iterations amplify; `fasttsne.show_config` tells what a machine uses.
    A process forked after the import of fasttsne runs on one thread.

    References
    ----------
    .. [1] van der Maaten, L. and Hinton, G. (2008). Visualizing data using t-SNE. Journal of
       Machine Learning Research 9, 2579-2605.
    .. [2] van der Maaten, L. (2014). Accelerating t-SNE using tree-based algorithms. Journal of
       Machine Learning Research 15, 3221-3245.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fasttsne import TSNE
    >>> X, _ = load_digits(return_X_y=True)
    >>> embedding = TSNE(random_state=0).fit_transform(X[:500])
    >>> embedding.shape
    (500, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "perplexity": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"auto"}),
            "array-like",
        ],
        "early_exaggeration": [Interval(Real, 1, _LARGEST, closed="both")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, _LARGEST, closed="right")],
        "max_iter": [Interval(Integral, 250, None, closed="left")],
        "n_iter_without_progress": [Interval(Integral, -1, None, closed="left")],
        "min_grad_norm": [Interval(Real, 0, None, closed="left")],
        "metric": [StrOptions(_METRICS), callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random", "spectral"}), np.ndarray],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "method": [StrOptions({"barnes_hut", "exact"})],
        "angle": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [None, Integral],
        "degrees_of_freedom": [StrOptions({"auto"}), Interval(Real, 1e-3, 1e3, closed="both")],
        "neighbors": [StrOptions({"auto", "exact", "approximate"}), tuple, list],
        "affinity": [StrOptions({"gaussian", "uniform"})],
        "sigma": [Interval(Real, 0, _LARGEST, closed="right"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "label_weight": [Interval(Real, 0, 1, closed="both")],
    }

    # Iterations of early exaggeration, and between two looks at the stopping rules.
    _EXPLORATION_MAX_ITER = 150
    _N_ITER_CHECK = 50
    # Iterations until the momentum is at its height, and of settling at the end.
    _N_ITER_SPEEDING = 50
    _N_ITER_SETTLING = 50
    # Share of KL(P||Q) that an iteration has to gain.
    _LEAST_GAIN = 1 / 4000

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float | str | Sequence[float] = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Metric = "euclidean",
        metric_params: dict[str, Any] | None = None,
        init: str | NDArray[Any] = "pca",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
        method: str = "barnes_hut",
        angle: float = 0.5,
        n_jobs: int | None = None,
        degrees_of_freedom: float | str = "auto",
        neighbors: str | tuple[ArrayLike, ArrayLike] = "auto",
        affinity: str = "gaussian",
        sigma: float | None = None,
        n_neighbors: int | None = None,
        label_weight: float = 0.0,
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.verbose = verbose
        self.random_state = random_state
        self.method = method
        self.angle = angle
        self.n_jobs = n_jobs
        self.degrees_of_freedom = degrees_of_freedom
        self.neighbors = neighbors
        self.affinity = affinity
        self.sigma = sigma
        self.n_neighbors = n_neighbors
        self.label_weight = label_weight

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> TSNE:
        """Draw the map of `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. With ``metric="precomputed"`` their distances, (n_samples, n_samples): a dense
            matrix, or for ``method="barnes_hut"`` a sparse graph of at least
            int(3 * perplexity + 1) neighbours and the sample itself in each row. With
            ``metric="precomputed_affinity"`` their affinities, dense or sparse.
        y : array-like of shape (n_samples,), default=None
            Labels of classes, for `label_weight`; -1, NaN and None are missing ones. Ignored
            where that is 0.
        sample_weight : array-like of shape (n_samples,), default=None
            How many copies of itself a sample stands for: the map is that of all copies, which
            `perplexity` and the learning rate count. A sample of weight 0 is placed among the
            others and acts on none. None means 1 each.

        Returns
        -------
        self : TSNE
            The fitted estimator.
        """
        self.fit_transform(X, y, sample_weight=sample_weight)
        return self

    # The metric is checked where it is used.
    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit_transform(
        self, X: Any, y: Any = None, *, sample_weight: Any = None
    ) -> NDArray[np.float32]:
        """Draw the map of `X` and return it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. With ``metric="precomputed"`` their distances, (n_samples, n_samples): a dense
            matrix, or for ``method="barnes_hut"`` a sparse graph of at least
            int(3 * perplexity + 1) neighbours and the sample itself in each row. With
            ``metric="precomputed_affinity"`` their affinities, dense or sparse.
        y : array-like of shape (n_samples,), default=None
            Labels of classes, for `label_weight`; -1, NaN and None are missing ones. Ignored
            where that is 0.
        sample_weight : array-like of shape (n_samples,), default=None
            How many copies of itself a sample stands for: the map is that of all copies, which
            `perplexity` and the learning rate count. A sample of weight 0 is placed among the
            others and acts on none. None means 1 each.

        Returns
        -------
        embedding : ndarray of float32, shape (n_samples, n_components)
            The map, `embedding_`.
        """
        n_threads = effective_n_threads(self.n_jobs)
        X = self._validated(X)
        random_state = check_random_state(self.random_state)
        classes = self._classes(y, X.shape[0])
        weights = checked_weights(sample_weight, X.shape[0])
        init = self.init
        once = self._duplicates(X, weights, classes)
        if once is not None:
            X = (X.tocsr() if sparse.issparse(X) else X)[once.first]
            weights = once.weights
            classes = None if classes is None else classes[once.first]
            init = init[once.first] if isinstance(init, np.ndarray) else init
        n_copies = X.shape[0] if weights is None else float(weights.sum())
        neighborhood = self._neighborhood(n_copies, weighted=sample_weight is not None)
        self._check_memory(X, neighborhood)
        # What the search for neighbours and the start share.
        centered = self._centered(X, n_threads)
        axes = self._principal_axes(X, centered, weights, n_threads)
        start = None
        if not self._starts_from_joint():
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
        if start is None:
            start = initial_embedding(
                X,
                init,
                self.n_components,
                random_state,
                joint=joint.joint() if isinstance(joint, WeightedJoint) else joint,
                weights=weights,
                n_threads=n_threads,
            )
        forces = self._forces(joint, n_threads)
        del joint

        self.learning_rate_ = self._learning_rate(n_copies)
        try:
            embedding, n_iter = optimize(
                forces,
                start,
                self._phases(),
                n_iter_without_progress=self.n_iter_without_progress,
                min_grad_norm=self.min_grad_norm,
                n_iter_check=self._N_ITER_CHECK,
                verbose=self.verbose,
            )
        except FloatingPointError as error:
            raise ValueError(
                f"The map diverged with learning_rate={self.learning_rate_:g}, "
                f"early_exaggeration={self.early_exaggeration:g} and "
                f"degrees_of_freedom={self._nu():g}. Lower the first two, keep "
                "degrees_of_freedom near 1, and give an init array values of about 1e-4."
            ) from error
        self.embedding_ = embedding if once is None else embedding[once.rows]
        self.kl_divergence_ = forces.kl_divergence
        self.n_iter_ = n_iter
        return self.embedding_

    # ---- What fit_transform is made of ---------------------------------------------------------

    def _validated(self, X: Any) -> Any:
        barnes_hut = self.method == "barnes_hut"
        if sparse.issparse(X):
            X = check_sparse_indices(X)
        X = validate_data(
            self,
            X,
            accept_sparse=["csr"] if barnes_hut else ["csr", "csc", "coo"],
            ensure_min_samples=2,
            dtype=[np.float64, np.float32],
        )
        if barnes_hut and self.n_components > 3:
            raise ValueError(
                "'n_components' should be less than 4 with method='barnes_hut', which relies on a "
                "quad-tree or oct-tree; use method='exact' for more"
            )
        if self.metric in ("precomputed", "precomputed_affinity"):
            self._check_precomputed(X)
            return X
        if sparse.issparse(X):
            # scikit-learn squares sparse single precision without widening it.
            X = without_duplicates(X).astype(np.float64, copy=False)
        if self.metric in ("euclidean", "cosine"):
            X = in_safe_range(X)  # which these two do not notice
        return X

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
        return class_codes(y, n_samples)

    def _duplicates(
        self, X: Any, weights: NDArray[np.float64] | None, classes: NDArray[np.int64] | None
    ) -> Collapsed | None:
        """Find copies of samples that agree in all that is known, if there are many."""
        if (
            not isinstance(self.metric, str)  # a function may tell copies apart
            or self.metric in ("precomputed", "precomputed_affinity")
            or not isinstance(self.neighbors, str)
        ):
            return None
        init = self.init if isinstance(self.init, np.ndarray) else None
        if init is not None and (init.shape[:1] != X.shape[:1] or init.dtype.kind not in "fiu"):
            return None  # which is refused later
        return collapsed(X, weights, init, classes)

    def _neighborhood(self, n_samples: float, weighted: bool) -> Neighborhood:
        if self.metric == "precomputed_affinity":  # has no part in it
            return Neighborhood(1)
        return neighborhood_of(
            n_samples,
            perplexity=self.perplexity,
            affinity=self.affinity,
            sigma=self.sigma,
            n_neighbors=self.n_neighbors,
            total="the sum of sample_weight" if weighted else "n_samples",
        )

    def _starts_from_joint(self) -> bool:
        return isinstance(self.init, str) and self.init == "spectral"

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

    def _forces(self, joint: Joint, n_threads: int) -> Forces:
        masses, negative_entropy = None, 0.0
        if isinstance(joint, WeightedJoint):
            joint, masses, negative_entropy = joint
        common = self.n_components, self._nu()
        if isinstance(joint, JointProbabilities):
            return BarnesHutForces(*joint, *common, self.angle, n_threads, masses, negative_entropy)
        return ExactForces(joint, *common, n_threads, masses, negative_entropy)

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

    def _nu(self) -> float:
        if self.degrees_of_freedom == "auto":
            return float(max(self.n_components - 1, 1))
        return float(self.degrees_of_freedom)

    def _learning_rate(self, n_samples: float) -> float:
        return float(n_samples if self.learning_rate == "auto" else self.learning_rate)

    def _phases(self) -> list[Phase]:
        rate, automatic = self.learning_rate_, self.learning_rate == "auto"
        early_rate = rate / self.early_exaggeration if automatic else rate
        exaggerated = Settings(early_rate, 0.8, self.early_exaggeration)
        slow, fast = Settings(rate, 0.8, 1.0), Settings(rate, 0.97, 1.0)
        exploration = self._EXPLORATION_MAX_ITER
        rest = self.max_iter - exploration - self._N_ITER_SPEEDING - self._N_ITER_SETTLING
        # How much an iteration gains depends on the rate: a user's own says nothing here.
        least_gain = self._LEAST_GAIN if automatic else -np.inf
        return [
            Phase(exploration, exaggerated, slow),
            Phase(self._N_ITER_SPEEDING, slow, fast),
            Phase(rest, fast, fast, least_gain),
            Phase(self._N_ITER_SETTLING, slow, slow),
        ]

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

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric in ("precomputed", "precomputed_affinity")
        tags.input_tags.sparse = True
        return tags
