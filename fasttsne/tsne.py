"""TSNE: its parameters, and the pipeline from samples to a map."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags, check_scalar
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils.validation import check_is_fitted

from fasttsne import saving
from fasttsne._kernels import DivergedError, Forces
from fasttsne.affinity.build import AffinityParameters, completed, key_of
from fasttsne.descent.degrees_of_freedom import first_degrees_of_freedom
from fasttsne.descent.kl_per_sample import kl_per_copy
from fasttsne.descent.loop import Callback, Rules, optimize
from fasttsne.descent.schedule import USUAL, Schedule, check_exaggeration
from fasttsne.descent.state import Descent, check_continues, pin
from fasttsne.growth import grown
from fasttsne.initialization.start import warn_of_wide
from fasttsne.neighbors import given
from fasttsne.neighbors.metrics import METRICS, Metric
from fasttsne.pipeline import checked_samples, forces_and_start, schedule_of
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.progress import check_progress
from fasttsne.runtime.random_state import CONSTRAINT, Seed
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import Samples
from fasttsne.samples.duplicates import collapse
from fasttsne.transform import Placement

_LARGEST = sys.float_info.max
_LARGEST_DENSITY = 1000.0  # KL(P||Q) is a few nats
_AUTO = StrOptions({"auto"})
_DRAWN_ALREADY = (
    "with warm_start=True this map is being drawn already, in another thread or around the"
    " callback; wait for that fit to end, or use a clone of the estimator"
)


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
        Effective number of neighbours per sample, less than n_samples. P is made of the
        min(n_samples - 1, int(3 * perplexity + 1)) nearest ones. Several perplexities give the
        mean of their p_j|i over the neighbours of the largest: small ones keep near neighbours
        together, large ones keep the overall shape. "auto" is 30, or (n_samples - 1) / 3 where
        that is less, and at least 1.
    early_exaggeration : float, default=12.0
        Factor on the attraction at the start, at least 1. It falls to `exaggeration` over
        `early_exaggeration_iter` iterations. After a map of groups, on which it acts first, it
        falls from at most 4 (see Notes).
    learning_rate : float or "auto", default="auto"
        Step length at the start, under early exaggeration. It rises as the exaggeration falls, in
        inverse proportion. "auto" is n_samples / `early_exaggeration`, so n_samples after early
        exaggeration. A number above "auto" has the effect of "auto"; one below a quarter of it
        raises a warning.
    max_iter : int, default=1000
        Maximum number of iterations, at least 250; most descents converge after 130 to 450. With
        `warm_start` it counts those of each call, and a further call may ask for fewer than 250.
    n_iter_without_progress : int, default=300
        Stop when KL(P||Q) has not decreased for more than this many iterations after early
        exaggeration; checked every 50 iterations. Convergence usually comes first.
    min_grad_norm : float, default=1e-7
        Stop when the norm of the gradient times its gains is at most this; checked every 50
        iterations after early exaggeration.
    metric : str or callable, default="euclidean"
        Any metric of `sklearn.neighbors.NearestNeighbors`, a function of two samples, or
        "precomputed". Distances are squared for every metric. "euclidean" and "cosine" of dense
        and sparse `X`, "correlation", "jaccard", and "hamming" of zeros and ones have fast
        kernels. "precomputed_affinity" is another name of ``affinity="precomputed"``.
    metric_params : dict, default=None
        Further arguments of the metric: `p` and `w` of "minkowski", `V` of "seuclidean", `V` or
        `VI` of "mahalanobis", its inverse. "seuclidean" takes the variances of `X` by default.
    init : {"pca", "random", "spectral"} or array-like of shape (n_samples, n_components), \
            default="pca"
        First coordinates: principal components, the first with a standard deviation of 1e-4;
        Gaussian noise of that standard deviation; eigenvectors of the normalised Laplacian of P,
        scaled alike; or an array, which is copied, best of that width. "pca" needs samples:
        choose another with ``metric="precomputed"`` or ``affinity="precomputed"``. Above 200,000
        samples a map of groups of samples may start from it, unless it is an array, and give the
        first coordinates: see Notes.
    verbose : int, default=0
        Print the stages at 1, and at 2 also the progress after early exaggeration.
    random_state : int, RandomState, Generator or None, default=None
        Source of the random start, and of the principal components' solver for large data. An
        integer gives the same map at every call of `fit`. A RandomState, or a Generator of NumPy,
        is advanced by what a fit draws, as by scikit-learn: a further fit draws other numbers, and
        a clone has a copy in the same state.
    method : {"barnes_hut", "exact"}, default="barnes_hut"
        Sparse P and repulsion through a tree, O(n log n), or all pairs, O(n^2) in time and
        memory.
    angle : float, default=0.5
        How much the tree approximates, from 0 (not at all) to 1. Above 0.5 it makes no
        difference.
    n_jobs : int or None, default=None
        Number of threads of every stage. None means all cores that the process may use, unless
        ``joblib.parallel_config`` or OMP_NUM_THREADS sets fewer; inside a joblib worker at most
        the worker's share. -1 means all cores, -2 all but one. The result does not depend on it.
    degrees_of_freedom : float, "auto" or None, default=None
        nu of the map's kernel (1 + d^2 / nu)^(-(nu + 1) / 2), from 0.001 to 1000; smaller values
        have heavier tails and separate clusters more. None is max(n_components - 1, 1), which
        scikit-learn always uses. "auto" learns nu after early exaggeration, from 0.1 to 100: a
        step of Newton's method on KL(P||Q) every 10 iterations, starting from the default.
    neighbors : {"auto", "exact", "approximate"}, tuple (indices, distances) or transformer, \
            default="auto"
        How nearest neighbours are found with ``method="barnes_hut"``. "approximate" finds about
        0.99 of them, with exact distances, in a fraction of the time, for dense `X` and
        Euclidean, cosine or correlation distances. "auto" uses it where it is possible and the
        exact search would be slow, from about 15,000 samples at 50 features, 5,000 at 784. Two
        arrays of shape
        (n_samples, k) are given neighbours and their distances, not squared; a sparse matrix has
        them as stored entries. Rows may list their own sample. `X` is then used for the start
        only. A transformer such as `fasttsne.neighbors.NeighborsTransformer` or scikit-learn's
        `KNeighborsTransformer` makes such a matrix, with its metric in place of `metric`:
        unfitted, a clone is fitted to `X`; fitted, it must know the samples of `X`. `transform`
        uses it for new samples too. Fewer neighbours than the perplexity asks for lower it to
        (k - 1) / 3, with a warning.
    affinity : {"gaussian", "uniform", "precomputed"}, default="gaussian"
        How p_j|i falls with the distance: as a Gaussian, or not at all among the `n_neighbors`
        nearest. Uniform affinities are symmetrised by the maximum, so that all edges of the
        neighbour graph weigh the same. With "precomputed" `X` is P itself: symmetric and not
        negative, dense or sparse. It is divided by its sum, its diagonal is left out, and every
        sample needs a positive entry. No perplexity or metric is used then.
    sigma : float, default=None
        Standard deviation of all Gaussians, in the unit of the distances, in place of one per
        sample by its perplexity.
    n_neighbors : int, default=None
        Number of neighbours that P is made of. None is the number for `perplexity` above, or with
        ``affinity="uniform"`` the perplexity, rounded. ``method="exact"`` with Gaussian affinities
        uses all pairs. A perplexity that this many cannot have is lowered, with a warning.
    label_weight : float, default=0.0
        How much the labels `y` count in `fit`, from 0 (ignored) to 1: p_j|i loses this share
        where two known classes meet, and the other neighbours gain it. A row of which nothing
        would be left stays.
    early_exaggeration_iter : int or None, default=None
        Iterations over which early exaggeration fades; 0 leaves it out. None is 150, above 50,000
        samples 100, and after a map of groups 40 (see Notes).
    exaggeration : float or list of (int, float), default=1.0
        Factor on the attraction after early exaggeration, above 0: more than 1 draws clusters
        together, less sets points apart. A list gives the number of iterations of each factor;
        the last factor stays: ``[(300, 1), (200, 4)]``. Stopping rules wait for the last.
    density : float, default=0.0
        Weight of density in the objective, from 0 (ignored) to 1000: after early exaggeration the
        descent minimises KL(P||Q) - density * correlation, of the local radii in the data with
        those on the map (den-SNE [3]_). Groups that are wide in the data are then wide on the map,
        at a higher KL(P||Q). 0.2 to 1 are usual; `fasttsne.quality.density_correlation` measures
        the result. Not with ``affinity="precomputed"``, which has no distances.
    warm_start : bool, default=False
        Continue the map, velocity and gains of the last call of `fit` or `fit_transform`, with
        the present parameters, instead of starting again; see Notes. P stays in memory between
        calls.
    callback : callable, default=None
        Called every `callback_every` iterations with a `fasttsne.descent.Snapshot`: the iteration,
        the map in the order of the samples, KL(P||Q), the norm of the gradient and more. The
        descent stops when it returns True.
    callback_every : int, default=50
        Iterations between two calls.
    progress : bool, default=False
        Draw a progress bar in a terminal or a notebook. Requires tqdm, which the extra
        ``progress`` installs.
    kl_per_sample : bool, default=False
        Compute `kl_per_sample_`.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_samples, n_components)
        The map.
    kl_divergence_ : float
        KL(P||Q) of `embedding_`, in nats, without the term of `density`. With
        ``method="barnes_hut"`` P is that of the nearest neighbours;
        `fasttsne.quality.kl_divergence` evaluates maps of either method by the same P.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.
    learning_rate_ : float
        The learning rate used after early exaggeration.
    n_iter_ : int
        Index of the last iteration, from 0, counting all calls that continued each other.
    degrees_of_freedom_ : float
        nu of the map's kernel, as given or learned.
    history_ : dict of ndarray
        The descent every 50 iterations and at the end: "iteration", the number taken;
        "kl_divergence", without exaggeration; "gradient_norm", times gains; "seconds" spent.
    kl_per_sample_ : ndarray of float64, shape (n_samples,)
        Each sample's share of `kl_divergence_`, sum_j p_ij log(p_ij / q_ij): only with
        ``kl_per_sample=True``.
    displacement_ : ndarray of float64, shape (n_earlier,)
        Distance on the map that each earlier point moved in the last `update`.
    placement_ : Placement
        What `transform` uses: samples, map, and the search index once it is made.

    Raises
    ------
    ValueError
        From `fit` and `fit_transform`, if a parameter or the data are invalid.
    ImportError
        If `progress` is True and tqdm is not installed.
    TypeError
        If ``method="exact"`` meets a sparse precomputed graph.
    MemoryError
        If the probabilities do not fit into memory.

    See Also
    --------
    sklearn.manifold.TSNE : The same interface, more slowly.

    Notes
    -----
    The gradient is ``2 (nu+1)/nu sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2 / nu)``, at
    nu = 1 equation 5 of [2]_. Repulsion comes from a tree whose cells act through mass and
    second moments.

    The descent differs from scikit-learn's; docs/migration.md lists how. Exaggeration fades over
    150 iterations at momentum 0.8, then momentum rises to 0.97 over 50. No step is longer than
    the root of 2. Then, unless points are fixed, the map is multiplied by a factor every 10
    iterations. When an iteration gains less than 1/4000 of KL(P||Q), 50 at momentum 0.8 settle
    the map. Above 50,000 samples this is quicker; docs/algorithm.md has the numbers. Above 200,000
    early exaggeration mostly acts on a map of groups of about eight samples, from which the
    descent starts: the callback, `n_iter_` and the progress bar count from there. This requires
    the usual descent (2 components, the usual exaggeration, learning rate and degrees of freedom),
    `init` by name, no `sample_weight` and no ``affinity="precomputed"``; fewer than a quarter of
    the samples may be copies of others. Other fits, and data whose groups have too many neighbours,
    such as noise, have the descent of more than 50,000 samples.

    Ctrl-C or an exception in the callback leaves the estimator with the map so far. Before the
    first iteration, and so during the map of groups, there is none yet. With
    ``warm_start=True``, set then at the latest, the next call first takes the remaining
    iterations of the interrupted one, also after a pickle, to the same bits as without an
    interruption; so 500 iterations equal two runs of 250. The iterations that settle a map are a
    side branch: a further call continues from before them, but with `fixed` from after them. A
    converged descent stays as it is until its objective changes: by a new perplexity, exaggeration
    or X of the same shape.

    Results are the same for any number of threads. Between processor models they may differ in
    the last bits, which iterations amplify.

    References
    ----------
    .. [1] van der Maaten, L. and Hinton, G. (2008). Visualizing data using t-SNE. Journal of
       Machine Learning Research 9, 2579-2605.
    .. [2] van der Maaten, L. (2014). Accelerating t-SNE using tree-based algorithms. Journal of
       Machine Learning Research 15, 3221-3245.
    .. [3] Narayan, A., Berger, B. and Cho, H. (2021). Assessing single-cell transcriptomic
       variability through density-preserving data visualization. Nature Biotechnology 39, 765-774.

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
        "perplexity": [Interval(Real, 0, None, closed="neither"), _AUTO, "array-like"],
        "early_exaggeration": [Interval(Real, 1, _LARGEST, closed="both")],
        "learning_rate": [_AUTO, Interval(Real, 0, _LARGEST, closed="right")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],  # and see `fit_transform`
        "n_iter_without_progress": [Interval(Integral, -1, None, closed="left")],
        "min_grad_norm": [Interval(Real, 0, None, closed="left")],
        "metric": [StrOptions(METRICS | {"precomputed_affinity"}), callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random", "spectral"}), "array-like"],
        "verbose": ["verbose"],
        "random_state": CONSTRAINT,
        "method": [StrOptions({"barnes_hut", "exact"})],
        "angle": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [None, Integral],
        "degrees_of_freedom": [None, _AUTO, Interval(Real, 1e-3, 1e3, closed="both")],
        "neighbors": given.CONSTRAINT,
        "affinity": [StrOptions({"gaussian", "uniform", "precomputed"})],
        "sigma": [Interval(Real, 0, _LARGEST, closed="right"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "label_weight": [Interval(Real, 0, 1, closed="both")],
        "early_exaggeration_iter": [None, Interval(Integral, 0, None, closed="left")],
        "exaggeration": [Interval(Real, 0, _LARGEST, closed="right"), list, tuple],
        "density": [Interval(Real, 0, _LARGEST_DENSITY, closed="both")],
        "warm_start": ["boolean"],
        "callback": [None, callable],
        "callback_every": [Interval(Integral, 1, None, closed="left")],
        "progress": ["boolean"],
        "kl_per_sample": ["boolean"],
    }

    _EXPLORATION_MAX_ITER = USUAL.n_iter_early  # iterations of early exaggeration
    _N_ITER_CHECK = 50  # iterations between two checks of the stopping rules
    _LEAST_MAX_ITER = 250  # of a first call

    # For a warm start: the descent, and its forces under the key of what they depend on. Forces
    # are made again from the data where a pickle or a copy lacks them.
    _descent: Descent | None = None
    _kept_forces: tuple[str | None, Forces] | None = None

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
        random_state: Seed = None,
        method: str = "barnes_hut",
        angle: float = 0.5,
        n_jobs: int | None = None,
        degrees_of_freedom: float | str | None = None,
        neighbors: str | tuple[ArrayLike, ArrayLike] | Any = "auto",
        affinity: str = "gaussian",
        sigma: float | None = None,
        n_neighbors: int | None = None,
        label_weight: float = 0.0,
        early_exaggeration_iter: int | None = None,
        exaggeration: float | Sequence[tuple[int, float]] = 1.0,
        density: float = 0.0,
        warm_start: bool = False,
        callback: Callback | None = None,
        callback_every: int = 50,
        progress: bool = False,
        kl_per_sample: bool = False,
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
        self.early_exaggeration_iter = early_exaggeration_iter
        self.exaggeration = exaggeration
        self.density = density
        self.warm_start = warm_start
        self.callback = callback
        self.callback_every = callback_every
        self.progress = progress
        self.kl_per_sample = kl_per_sample

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, fixed: Any = None) -> TSNE:
        """Draw the map of `X`; see `fit_transform` for the parameters.

        Returns
        -------
        self : TSNE
            The fitted estimator.
        """
        self.fit_transform(X, y, sample_weight=sample_weight, fixed=fixed)
        return self

    # The metric is checked where it is used.
    @with_plain_numbers
    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit_transform(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, fixed: Any = None
    ) -> NDArray[np.float32]:
        """Draw the map of `X` and return it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. With ``metric="precomputed"`` their distances, (n_samples, n_samples): a dense
            matrix, or for ``method="barnes_hut"`` a sparse graph of int(3 * perplexity + 1)
            neighbours in each row, the sample itself not counted; fewer lower the perplexity. With
            ``affinity="precomputed"`` their affinities, dense or sparse.
        y : array-like of shape (n_samples,), default=None
            Labels of classes, for `label_weight`; -1, NaN and None are missing. Ignored where
            that is 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Number of copies that a sample stands for: the map is that of all copies, which
            `perplexity` and the learning rate count. A sample of weight 0 is placed among the
            others and acts on none. None means 1 each.
        fixed : array-like of bool, shape (n_samples,), default=None
            True for samples whose points stay where the init array puts them, or, with
            ``warm_start=True``, where they are. They act on the others as usual. When all are
            pinned, the map is the one that was given.

        Returns
        -------
        embedding : ndarray of float32, shape (n_samples, n_components)
            The map, `embedding_`.
        """
        return self._draw(X, y, sample_weight, fixed)

    def _draw(
        self, X: Any, y: Any, sample_weight: Any, fixed: Any, pull: float = 1.0
    ) -> NDArray[np.float32]:
        """Draw the map as `fit_transform` does, or with fixed points on springs (`optimize`)."""
        descent = self._descent if self.warm_start else None
        if descent is not None and descent.lock.locked():
            raise RuntimeError(_DRAWN_ALREADY)
        is_new = descent is None
        self._check_parameters(is_new)
        original = checked_samples(self, X, y, sample_weight, fixed, is_new=is_new)
        original = replace(original, pull=pull)
        is_exaggerated = self.early_exaggeration != 1.0 and self.early_exaggeration_iter != 0
        if is_new and fixed is None and is_exaggerated and pull == 1.0:
            warn_of_wide(original.init)
        parameters = completed(AffinityParameters.of(self), original)
        samples = collapse(original) if parameters.equal_rows_are_equal_samples else original
        if descent is not None:
            n_samples = original.X.shape[0]
            check_continues(descent, n_samples, self.n_components, samples.point_of_sample)

        n_threads, others = effective_n_threads(self.n_jobs), (self.angle, self.density > 0.0)
        key = key_of(parameters, samples, n_threads, *others) if self.warm_start else None
        kept_key, forces = self._kept_forces or (None, None)
        if descent is None or forces is None or key is None or key != kept_key:
            forces, start = forces_and_start(self, samples, parameters, n_threads, is_new=is_new)
            descent = descent or start
        assert descent is not None
        n_iter_early, is_coarse = self._EXPLORATION_MAX_ITER, descent.state.is_coarse
        schedule = schedule_of(self, samples.n_copies, n_iter_early, is_coarse=is_coarse)
        if not descent.lock.acquire(blocking=False):
            raise RuntimeError(_DRAWN_ALREADY)
        try:
            self._kept_forces = (key, forces) if self.warm_start else None
            self._descend(descent, forces, schedule, original, samples, parameters)
        finally:
            descent.lock.release()
        return self.embedding_

    @with_plain_numbers
    def transform(
        self, X: Any, *, perplexity: float | None = None, return_scores: bool = False
    ) -> Any:
        """Place new samples on the map, which does not change.

        Every sample starts at the weighted median of its neighbours on the map and descends on
        its own KL(p_j|i || q_j|i) over the map's points. Each is placed independently: one at a
        time gives the same bits as a batch. A sample at distance 0 from a sample of the fit gets
        that sample's place. The place of a sample unlike all those of the fit means little: it may
        be anywhere on the map, or up to a quarter of its width beyond. Scores show such samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features)
            Samples, at least one. With ``metric="precomputed"`` their distances to the samples of
            the fit, (n_new, n_samples): a dense matrix, or a sparse graph of at least
            int(3 * perplexity + 1) neighbours in each row.
        perplexity : float or None, default=None
            Effective number of neighbours that decide where a sample goes. None is that of the
            fit, at most 10: with more, fewer digits lie among their like.
        return_scores : bool, default=False
            Also return `scores`. Not after ``metric="precomputed"``.

        Returns
        -------
        placed : ndarray of float32, shape (n_new, n_components)
            Places of the samples.
        scores : ndarray of float64, shape (n_new,)
            Distance to the nearest sample of the fit, in units of the distance within which 99 %
            of those have another one. A sample of score far above 1 is unlike all of the fit.

        Raises
        ------
        NotFittedError
            If there is no map yet.
        ValueError
            If `X` is empty, has NaN or infinity or another number of features than the data of
            the fit, if `perplexity` is out of range, or after ``affinity="precomputed"``.

        Notes
        -----
        The first call prepares the search among the samples of the fit. For that the estimator
        keeps a reference to `X` if it is an array of floats, and otherwise a copy; a pickle
        contains it too. Do not change that array afterwards. New samples use Gaussians calibrated
        to a perplexity, whatever the affinities of the fit, and samples of the fit count once
        each, whatever their weights.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from fasttsne import TSNE
        >>> X, _ = load_digits(return_X_y=True)
        >>> tsne = TSNE(random_state=0).fit(X[:500])
        >>> tsne.transform(X[500:600]).shape
        (100, 2)
        """
        check_is_fitted(self, "embedding_")
        return self.placement_.place(
            self.placement_.checked(X, estimator=self),
            perplexity=perplexity,
            return_scores=return_scores,
            n_threads=effective_n_threads(self.n_jobs),
        )

    @with_plain_numbers
    def update(self, X: Any, *, anchor: float = 0.5) -> TSNE:
        """Add new samples to the map, on which earlier points hardly move.

        New samples start where `transform` places them, and the neighbours of all samples are
        found anew. The descent is that of a fit, while a spring holds every earlier point at its
        place relative to the others. Together, earlier points keep their center and their radius.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features)
            New samples, at least one. They follow the earlier ones in `embedding_`.
        anchor : float, default=0.5
            How firmly earlier points are held, from 0 (they move freely) to 1 (not at all). The
            stiffness of the springs is proportional to anchor / (1 - anchor).

        Returns
        -------
        self : TSNE
            The estimator, as after a fit to all samples. `displacement_` has the distance that
            each earlier point moved.

        Raises
        ------
        NotFittedError
            If there is no map yet.
        ValueError
            If `X` is not as `transform` requires, if `anchor` is not between 0 and 1, or if the
            map is not of samples alone: after ``metric="precomputed"``, ``affinity="precomputed"``,
            neighbours as arrays, or a positive `label_weight`.

        Notes
        -----
        The update minimises KL(P||Q) of all samples plus the energy of the springs, by proximal
        steps, at any scale of the map. Then the map gets the scale that it had, at which
        `kl_divergence_` is a little above the least. All samples count once, also where the fit
        had `sample_weight`. After an exception the estimator is as before.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from fasttsne import TSNE
        >>> X, _ = load_digits(return_X_y=True)
        >>> tsne = TSNE(random_state=0).fit(X[:1000])
        >>> tsne.update(X[1000:]).embedding_.shape
        (1797, 2)
        >>> bool(tsne.displacement_.mean() < 0.1 * abs(tsne.embedding_).max())
        True
        """
        check_is_fitted(self, "embedding_")
        check_scalar(anchor, "anchor", Real, min_val=0.0, max_val=1.0)
        larger = grown(self, X, float(anchor))
        fitted = {name: value for name, value in vars(larger).items() if name.endswith("_")}
        for name in ("n_features_in_", "feature_names_in_"):
            fitted.pop(name, None)
        self.__dict__.update(fitted)
        forget_descent(self)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted map to a file that holds no code; `fasttsne.load` reads it.

        Parameters
        ----------
        path : str or path-like
            The file, usually with the ending ``.npz``. An existing file is replaced when the new
            one is complete.

        Raises
        ------
        NotFittedError
            If there is no map yet.
        OSError
            If the file cannot be written.
        ValueError
            If a file without code cannot hold the map: after a fit by a function as `metric` or by
            a transformer as `neighbors`.

        See Also
        --------
        fasttsne.load : Read the file.

        Notes
        -----
        The file is an uncompressed .npz archive of plain numbers, and of text in JSON. It has the
        parameters, the map and the fitted attributes, and the samples of the fit, as `transform`
        needs them; so anyone who has the file has the data. Later versions of fasttsne read it.
        `callback` is not in it, nor is a `random_state` other than an integer, nor what a warm
        start continues: use a pickle to go on with a fit.

        Examples
        --------
        >>> import os, tempfile
        >>> from sklearn.datasets import load_iris
        >>> from fasttsne import TSNE, load
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "map.npz")
        ...     TSNE(random_state=0).fit(load_iris().data).save(path)
        ...     load(path).embedding_.shape
        (150, 2)
        """
        saving.save(self, path)

    # ---- What fit_transform is made of ---------------------------------------------------------

    def _check_parameters(self, is_new: bool) -> None:
        """Check what constraints of single parameters do not."""
        if is_new and self.max_iter < self._LEAST_MAX_ITER:
            raise InvalidParameterError(
                f"The 'max_iter' parameter of TSNE must be an int in the range"
                f" [{self._LEAST_MAX_ITER}, inf). Got {self.max_iter} instead."
            )
        check_progress(self.progress)
        check_exaggeration(self.exaggeration)
        if self.density > 0.0 and AffinityParameters.of(self).is_given:
            raise ValueError(
                f"density={self.density} compares local radii, which need distances, and"
                " affinity='precomputed' has none: give samples or distances, or density=0"
            )

    def _descend(
        self,
        descent: Descent,
        forces: Forces,
        schedule: Schedule,
        original: Samples,
        samples: Samples,
        parameters: AffinityParameters,
    ) -> None:
        """Optimise the map and set the fitted attributes, also where the run is interrupted."""
        if self.degrees_of_freedom != "auto":
            nu = first_degrees_of_freedom(self.degrees_of_freedom, self.n_components)
            forces.degrees_of_freedom = nu
        pin(descent, samples.fixed)
        descent.outcome = None
        self._descent = descent
        self.learning_rate_ = schedule.phases[-1].last.learning_rate
        try:
            optimize(
                forces,
                descent,
                schedule,
                max_iter=self.max_iter,
                rules=Rules(self.n_iter_without_progress, self.min_grad_norm, self._N_ITER_CHECK),
                learns=self.degrees_of_freedom == "auto",
                fixed=samples.fixed,
                pull=samples.pull,
                density=float(self.density),
                callback=self.callback,
                callback_every=self.callback_every,
                progress=self.progress,
                verbose=self.verbose,
            )
        except DivergedError as error:
            forget_descent(self)
            raise ValueError(
                f"The map diverged with learning_rate={self.learning_rate_:g}, "
                f"early_exaggeration={self.early_exaggeration:g}, "
                f"exaggeration={self.exaggeration} and "
                f"degrees_of_freedom={forces.degrees_of_freedom:g}. Lower the first three, "
                "keep degrees_of_freedom near 1, and give an init array values of about 1e-4."
            ) from error
        finally:
            self._conclude(descent, forces, original, parameters)
        descent.end_run()
        if not self.warm_start:
            forget_descent(self)

    def _conclude(
        self, descent: Descent, forces: Forces, original: Samples, parameters: AffinityParameters
    ) -> None:
        """Set the fitted attributes from the outcome of a run."""
        outcome = descent.outcome
        if outcome is None:  # interrupted before the first iteration, or diverged
            return
        self.embedding_ = outcome.embedding
        self.kl_divergence_ = outcome.kl_divergence
        self.n_iter_ = max(outcome.n_iter - 1, 0)
        self.degrees_of_freedom_ = outcome.degrees_of_freedom
        self.history_ = outcome.history
        self.placement_ = Placement.of_fit(
            original,
            outcome.embedding,
            parameters,
            degrees_of_freedom=outcome.degrees_of_freedom,
            angle=self.angle,
        )
        if self.kl_per_sample:
            shares = kl_per_copy(forces, outcome.embedding, descent.point_of_sample)
            self.kl_per_sample_ = shares if original.counts is None else original.counts * shares
        elif hasattr(self, "kl_per_sample_"):
            del self.kl_per_sample_
        if hasattr(self, "displacement_"):
            del self.displacement_

    def _unfitted(self, **changed: Any) -> TSNE:
        """Return a TSNE with these parameters, also those that a subclass hides."""
        parameters = {name: getattr(self, name) for name in TSNE._get_param_names()}
        return TSNE(**{**parameters, **changed})

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_kept_forces", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        parameters = AffinityParameters.of(self)
        tags.input_tags.pairwise = "precomputed" in (parameters.metric, parameters.affinity)
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]  # other dtypes become float32
        return tags


def forget_descent(tsne: TSNE) -> TSNE:
    """Drop what only a warm start needs, the descent and its forces, and return the estimator."""
    for name in ("_descent", "_kept_forces"):
        tsne.__dict__.pop(name, None)
    return tsne
