"""The estimator: parameters, and the pipeline as prose."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Integral, Real
from operator import index
from typing import Any

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from fasttsne._kernels import DivergedError, Forces
from fasttsne.affinity.build import METRICS, Joint, Samples, Similarities
from fasttsne.affinity.weights import checked_weights
from fasttsne.descent.degrees_of_freedom import first_degrees_of_freedom
from fasttsne.descent.forces import make_forces
from fasttsne.descent.kl_per_sample import kl_per_copy
from fasttsne.descent.loop import Callback, Rules, optimize
from fasttsne.descent.schedule import Schedule, standard_schedule
from fasttsne.descent.state import Descent
from fasttsne.neighbors.search import Metric, check_sparse_indices, without_duplicates
from fasttsne.runtime.progress import check_progress
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.scaling import times_power_of_two
from fasttsne.transform import Placement

_LARGEST = sys.float_info.max
_DRAWN_ALREADY = (
    "with warm_start=True this map is being drawn already, in another thread or around the"
    " callback; wait for that fit to end, or use a clone of the estimator"
)


class TSNE(Similarities, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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
        Factor on the attraction at the start, at least 1; falls to `exaggeration` over
        `early_exaggeration_iter` iterations.
    learning_rate : float or "auto", default="auto"
        Step length. "auto" is n_samples / exaggeration: n_samples after early exaggeration. A
        number is used as it is throughout, and then only `max_iter`, `n_iter_without_progress` or
        `min_grad_norm` ends the descent, not convergence.
    max_iter : int, default=1000
        Number of iterations at the most, at least 250. With an automatic learning rate 350 to 500
        usually do, and fewer on a few hundred samples. With `warm_start` it counts those of each
        call, and a further call may ask for fewer than 250.
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
    degrees_of_freedom : float, "auto" or None, default=None
        nu of the map's kernel (1 + d^2 / nu)^(-(nu + 1) / 2), from 0.001 to 1000; smaller values
        have heavier tails and separate clusters more. None is max(n_components - 1, 1), which
        scikit-learn always uses. "auto" learns it after early exaggeration, from 0.1 to 100: a step
        of Newton's method down KL(P||Q) every 10 iterations, from what None is.
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
    early_exaggeration_iter : int or None, default=None
        Iterations over which early exaggeration fades. None is 150; 0 leaves it out.
    exaggeration : float or list of (int, float), default=1.0
        Factor on the attraction after early exaggeration, above 0: more than 1 draws clusters
        together, less sets points apart. A list tells for how many iterations each holds, and the
        last holds for good: ``[(300, 1), (200, 4)]``. Rules that end the descent wait for the last.
    warm_start : bool, default=False
        Let a further call of `fit` or `fit_transform` go on with the map, velocity and gains where
        the last call was, with whatever parameters are set by then, rather than start again; see
        Notes. P stays in memory in between.
    callback : callable, default=None
        Called every `callback_every` iterations with a `fasttsne.descent.Snapshot`: the iteration,
        the map in the order of the samples, KL(P||Q), the norm of the gradient and more. When it
        returns True the descent stops there.
    callback_every : int, default=50
        Iterations between two calls.
    progress : bool, default=False
        Draw a bar while the map is optimised, in a terminal or a notebook. It needs tqdm, which
        the extra ``progress`` installs.
    kl_per_sample : bool, default=False
        Compute `kl_per_sample_`.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_samples, n_components)
        The map.
    kl_divergence_ : float
        KL(P||Q) of `embedding_`, in nats. With ``method="barnes_hut"`` P is that of the nearest
        neighbours; `fasttsne.quality.kl_divergence` judges maps of either method by the same P.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.
    learning_rate_ : float
        The learning rate used after early exaggeration.
    n_iter_ : int
        Index of the last iteration, from 0, of all calls that went on with each other.
    degrees_of_freedom_ : float
        nu of the map's kernel, as given or learned.
    history_ : dict of ndarray
        How the descent went: "iteration", how many had been taken, every 50 and at the end;
        "kl_divergence", without exaggeration; "gradient_norm", of the gradient times its gains;
        "seconds" spent on the descent.
    kl_per_sample_ : ndarray of float64, shape (n_samples,)
        Each sample's share of `kl_divergence_`, sum_j p_ij log(p_ij / q_ij): only with
        ``kl_per_sample=True``.

    Raises
    ------
    ValueError
        From `fit` and `fit_transform`, if a parameter or the data make no sense; the message
        names the parameter. `InvalidParameterError`, a subclass, if a parameter alone does.
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

    The descent is not scikit-learn's. There exaggeration 12 ends suddenly after 250 iterations,
    at momentum 0.5, and 750 at momentum 0.8 follow; here it fades away over 150 at momentum
    0.8, then momentum rises to 0.97 over 50. When an iteration gains less than 1/4000 of
    KL(P||Q), 50 at momentum 0.8 settle the map. No step is longer than the root of 2. The
    gradual end lets data of little structure arrange themselves, the bound keeps points from
    being thrown out of the map. On uniform noise, a Swiss roll, blobs and digits, 350 to 450
    iterations end at 3 to 8 per cent less KL than scikit-learn's 1000, and on MNIST's 70,000
    digits 500 at 11 per cent less.

    Ctrl-C, or an exception of the callback's, leaves the estimator with the map so far. With
    ``warm_start=True``, set then at the latest, the next call first takes what is left of the
    interrupted one, `max_iter` counted from where that began; also after the estimator was pickled.
    The map is then the same as without an interruption, bit for bit, and so it is when a run of 500
    iterations is cut into two of 250. For that, iterations in which a map settles are a side
    branch: a further call goes on from where the last one began to settle. Where nothing that is
    minimised has changed, a descent that has converged stays as it is. Iterations go by the
    parameters that are set when they are taken, and a new perplexity, exaggeration or X, of the
    same shape, is a new objective, whose convergence is judged afresh.

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
        "max_iter": [Interval(Integral, 1, None, closed="left")],  # and see _check_max_iter
        "n_iter_without_progress": [Interval(Integral, -1, None, closed="left")],
        "min_grad_norm": [Interval(Real, 0, None, closed="left")],
        "metric": [StrOptions(METRICS), callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random", "spectral"}), np.ndarray],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "method": [StrOptions({"barnes_hut", "exact"})],
        "angle": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [None, Integral],
        "degrees_of_freedom": [
            None,
            StrOptions({"auto"}),
            Interval(Real, 1e-3, 1e3, closed="both"),
        ],
        "neighbors": [StrOptions({"auto", "exact", "approximate"}), tuple, list],
        "affinity": [StrOptions({"gaussian", "uniform"})],
        "sigma": [Interval(Real, 0, _LARGEST, closed="right"), None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "label_weight": [Interval(Real, 0, 1, closed="both")],
        "early_exaggeration_iter": [None, Interval(Integral, 0, None, closed="left")],
        "exaggeration": [Interval(Real, 0, _LARGEST, closed="right"), list, tuple],
        "warm_start": ["boolean"],
        "callback": [None, callable],
        "callback_every": [Interval(Integral, 1, None, closed="left")],
        "progress": ["boolean"],
        "kl_per_sample": ["boolean"],
    }

    # Iterations of early exaggeration, between two looks at the stopping rules, of a first call.
    _EXPLORATION_MAX_ITER = 150
    _N_ITER_CHECK = 50
    _LEAST_MAX_ITER = 250

    # Where the descent is, if a further call may go on with it.
    _descent: Descent | None = None
    # The forces of the last call and what they depend on; not part of a pickle.
    _kept: tuple[str | None, Forces] | None = None

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
        degrees_of_freedom: float | str | None = None,
        neighbors: str | tuple[ArrayLike, ArrayLike] = "auto",
        affinity: str = "gaussian",
        sigma: float | None = None,
        n_neighbors: int | None = None,
        label_weight: float = 0.0,
        early_exaggeration_iter: int | None = None,
        exaggeration: float | Sequence[tuple[int, float]] = 1.0,
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
        self.warm_start = warm_start
        self.callback = callback
        self.callback_every = callback_every
        self.progress = progress
        self.kl_per_sample = kl_per_sample

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, fixed: Any = None) -> TSNE:
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
        fixed : array-like of bool, shape (n_samples,), default=None
            True for samples whose points stay where the init array puts them, or, with
            ``warm_start=True``, where they are. They act on the others as ever. When all are
            pinned, the map is the one that was given.

        Returns
        -------
        self : TSNE
            The fitted estimator.
        """
        self.fit_transform(X, y, sample_weight=sample_weight, fixed=fixed)
        return self

    # The metric is checked where it is used.
    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit_transform(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, fixed: Any = None
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
        fixed : array-like of bool, shape (n_samples,), default=None
            True for samples whose points stay where the init array puts them, or, with
            ``warm_start=True``, where they are. They act on the others as ever. When all are
            pinned, the map is the one that was given.

        Returns
        -------
        embedding : ndarray of float32, shape (n_samples, n_components)
            The map, `embedding_`.
        """
        n_threads = effective_n_threads(self.n_jobs)
        descent = self._descent if self.warm_start else None
        if descent is not None and descent.lock.locked():
            raise RuntimeError(_DRAWN_ALREADY)
        self._check_max_iter(descent)
        check_progress(self.progress)
        X = self._validated(X, reset=descent is None)
        n_samples = X.shape[0]
        fixed = self._mask(fixed, n_samples, descent)
        classes = self._classes(y, n_samples)
        own_weights = checked_weights(sample_weight, n_samples)
        samples = self._samples(X, classes, own_weights, fixed)
        self._check_goes_on(descent, n_samples, samples)
        if samples.once is not None and fixed is not None:
            fixed = fixed[samples.once.first]
        schedule = self._schedule(samples.n_copies)
        random_state = check_random_state(self.random_state)

        key = self._key(samples) if self.warm_start else None
        forces = self._kept_forces(descent, key)
        if forces is None:
            joint, start = self._joint_and_start(
                samples, random_state, n_threads, needs_start=descent is None
            )
            forces = self._forces(joint, n_threads)
            del joint
            if start is not None:
                descent = Descent.at_rest(start, rows=samples.once and samples.once.rows)
        assert descent is not None
        if not descent.lock.acquire(blocking=False):
            raise RuntimeError(_DRAWN_ALREADY)
        try:
            if self.degrees_of_freedom != "auto":
                forces.degrees_of_freedom = self._nu()

            descent.outcome = None
            self._kept = (key, forces) if self.warm_start else None
            self._descent = descent
            self.learning_rate_ = schedule.phases[-1].last.learning_rate
            try:
                optimize(
                    forces,
                    descent,
                    schedule,
                    max_iter=self.max_iter,
                    rules=Rules(
                        self.n_iter_without_progress, self.min_grad_norm, self._N_ITER_CHECK
                    ),
                    learns=self.degrees_of_freedom == "auto",
                    fixed=fixed,
                    callback=self.callback,
                    callback_every=self.callback_every,
                    progress=self.progress,
                    verbose=self.verbose,
                )
            except DivergedError as error:
                self.__dict__.pop("_descent", None)
                self.__dict__.pop("_kept", None)
                raise ValueError(
                    f"The map diverged with learning_rate={self.learning_rate_:g}, "
                    f"early_exaggeration={self.early_exaggeration:g}, "
                    f"exaggeration={self.exaggeration} and "
                    f"degrees_of_freedom={forces.degrees_of_freedom:g}. Lower the first three, "
                    "keep degrees_of_freedom near 1, and give an init array values of about 1e-4."
                ) from error
            except BaseException:
                self._conclude(descent, forces, X, samples, own_weights)
                raise
            self._conclude(descent, forces, X, samples, own_weights)
            descent.end_run()
            if not self.warm_start:
                self.__dict__.pop("_descent", None)
                self.__dict__.pop("_kept", None)
        finally:
            descent.lock.release()
        return self.embedding_

    def transform(self, X: Any, *, perplexity: float | None = None) -> NDArray[np.float32]:
        """Place new samples on the map, which stays as it is.

        Every sample starts at the weighted median of its neighbours on the map and descends on
        its own KL(p_j|i || q_j|i) over the map's points, as if it were the only one. So its place
        depends on nothing else in the call, to the last bit: one by one equals the batch. A sample
        at distance 0 from one of the map's is that sample, and where that is; by metrics that
        round, such as cosine of sparse data, equal samples may be at 1e-16 and come to lie near.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features)
            Samples, at least one. With ``metric="precomputed"`` their distances to the samples of
            the fit, (n_new, n_samples): a dense matrix, or a sparse graph of at least
            int(3 * perplexity + 1) neighbours in each row.
        perplexity : float or None, default=None
            Effective number of neighbours that decide where a sample goes. None is that of the
            fit, but no more than 10: with more, fewer digits come to lie among their like.

        Returns
        -------
        placed : ndarray of float32, shape (n_new, n_components)
            Places of the samples.

        Raises
        ------
        NotFittedError
            If there is no map yet.
        ValueError
            If `X` is empty, has NaN or infinity or another number of features than the data of
            the fit, if `perplexity` makes no sense, or after ``metric="precomputed_affinity"``.

        Notes
        -----
        The first call prepares the search among the samples of the fit; the estimator keeps what
        it needs for it from the fit on, which is a reference to `X` if that is an array of floats,
        and otherwise a copy; a pickle has it as well. Do not change that array afterwards. New
        samples go by Gaussians calibrated to a perplexity, whatever the affinities of the fit, and
        those of the fit count once each, whatever their weights.

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
        if self._placement.metric == "precomputed_affinity":
            raise ValueError(
                "transform needs samples or their distances, but the fit was given affinities by"
                ' metric="precomputed_affinity"'
            )
        return self._placement.place(
            self._validated_new(X),
            perplexity=perplexity,
            n_threads=effective_n_threads(self.n_jobs),
        )

    # ---- What fit_transform is made of ---------------------------------------------------------

    def _conclude(
        self,
        descent: Descent,
        forces: Forces,
        X: Any,
        samples: Samples,
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Take over what a run has led to, be it interrupted."""
        outcome = descent.outcome
        if outcome is None:  # not even the start
            return
        self.embedding_ = outcome.embedding
        self.kl_divergence_ = outcome.kl_divergence
        self.n_iter_ = max(outcome.n_iter - 1, 0)
        self.degrees_of_freedom_ = outcome.degrees_of_freedom
        self.history_ = outcome.history
        self._placement = Placement(
            None if self.metric in ("precomputed", "precomputed_affinity") else X,
            outcome.embedding,
            perplexity=self._perplexity_for_new(samples, len(outcome.embedding)),
            degrees_of_freedom=outcome.degrees_of_freedom,
            angle=0.0 if self.method == "exact" else self.angle,
            metric=self.metric,
            metric_params=self.metric_params,
            method=self._method_for_new(),
            exponent=self._exponent,
        )
        if self.kl_per_sample:
            shares = kl_per_copy(forces, outcome.embedding, descent.rows)
            self.kl_per_sample_ = shares if weights is None else weights * shares
        elif hasattr(self, "kl_per_sample_"):
            del self.kl_per_sample_

    def _perplexity_for_new(self, samples: Samples, n_samples: int) -> float:
        """How many neighbours decide where a new sample goes, by what the fit went by."""
        neighborhood = self._neighborhood(samples.n_copies, samples.weights is not None)
        perplexity = max(neighborhood.perplexities, default=float(neighborhood.n_neighbors))
        return min(perplexity, n_samples - 1.0)

    def _method_for_new(self) -> str:
        if self.method == "exact":
            return "exact"
        return self.neighbors if isinstance(self.neighbors, str) else "auto"

    def _check_max_iter(self, descent: Descent | None) -> None:
        if descent is None and self.max_iter < self._LEAST_MAX_ITER:
            raise InvalidParameterError(
                f"The 'max_iter' parameter of TSNE must be an int in the range"
                f" [{self._LEAST_MAX_ITER}, inf). Got {self.max_iter} instead."
            )

    def _mask(self, fixed: Any, n_samples: int, descent: Descent | None) -> Any:
        """Which points are pinned, checked; None for none."""
        if fixed is None:
            return None
        mask = np.asarray(fixed)
        if mask.dtype != np.bool_ or mask.shape != (n_samples,):
            raise ValueError(
                f"fixed must be a mask, {n_samples} booleans with True for samples that do not"
                f" move; got an array of {mask.dtype} and shape {mask.shape}"
            )
        if mask.any() and descent is None and isinstance(self.init, str):
            raise ValueError(
                "fixed needs to know where points are pinned: give init an array with their"
                f" positions, not {self.init!r}, or go on with a map by warm_start=True"
            )
        return mask

    def _key(self, samples: Samples) -> str | None:
        """Digest what P depends on: all but the parameters here, which do not shape it."""
        others = {
            "early_exaggeration",
            "learning_rate",
            "max_iter",
            "n_iter_without_progress",
            "min_grad_norm",
            "verbose",
            "random_state",
            "degrees_of_freedom",
            "early_exaggeration_iter",
            "exaggeration",
            "callback",
            "callback_every",
            "progress",
            "kl_per_sample",
        }
        shaping = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in others and (name != "init" or isinstance(value, str))
        }
        try:
            return str(joblib.hash((samples[:1], samples[2:4], shaping), coerce_mmap=True))
        except Exception:  # a metric that can't be pickled: P is made anew each time
            return None

    def _kept_forces(self, descent: Descent | None, key: str | None) -> Forces | None:
        """Find the forces of the last call, if they would be made again just the same."""
        if descent is None or self._kept is None or key is None or self._kept[0] != key:
            return None
        return self._kept[1]

    def _check_goes_on(self, descent: Descent | None, n_samples: int, samples: Samples) -> None:
        """Refuse samples that can't be those of the map that is to go on."""
        if descent is None:
            return
        n_points, n_components = descent.state.embedding.shape
        before = np.arange(n_points) if descent.rows is None else descent.rows
        n = len(before)
        if (n, n_components) != (n_samples, self.n_components):
            raise ValueError(
                f"warm_start=True goes on with a map of {n} samples and n_components="
                f"{n_components}, but X has {n_samples} samples and n_components is"
                f" {self.n_components}; to start again, set warm_start=False"
            )
        rows = np.arange(n_samples) if samples.once is None else samples.once.rows
        if not np.array_equal(rows, before):
            raise ValueError(
                "warm_start=True goes on with a map on which other samples are copies of each "
                "other than in X; to start again, set warm_start=False"
            )

    def _validated_new(self, X: Any) -> Any:
        """Bring new samples into the form of those of the fit."""
        if sparse.issparse(X):
            X = check_sparse_indices(X)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
        known = self._placement.X
        wanted = len(self._placement.embedding) if known is None else known.shape[1]
        if X.shape[1] != wanted:
            raise ValueError(
                f"X has {X.shape[1]} columns, but the map is of samples with {wanted}; a later fit"
                " that was refused may have changed what this estimator expects: fit it again"
            )
        if known is None:
            check_non_negative(
                X, "TSNE.transform(). With metric='precomputed', X should contain distances."
            )
            return X
        if sparse.issparse(known):
            X = without_duplicates(sparse.csr_matrix(X)).astype(np.float64, copy=False)
        elif sparse.issparse(X):
            X = X.toarray()
        return times_power_of_two(X, -self._placement.exponent)

    def _forces(self, joint: Joint, n_threads: int) -> Forces:
        return make_forces(
            joint, self.n_components, self._nu(), angle=self.angle, n_threads=n_threads
        )

    def _nu(self) -> float:
        return first_degrees_of_freedom(self.degrees_of_freedom, self.n_components)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_kept"}

    def _schedule(self, n_samples: float) -> Schedule:
        n_iter = self.early_exaggeration_iter
        return standard_schedule(
            float(n_samples if self.learning_rate == "auto" else self.learning_rate),
            automatic=self.learning_rate == "auto",
            early_exaggeration=self.early_exaggeration,
            early_exaggeration_iter=self._EXPLORATION_MAX_ITER if n_iter is None else n_iter,
            exaggeration=self._stretches(),
        )

    def _stretches(self) -> float | list[tuple[int, float]]:
        """Check `exaggeration`, and return it."""
        if not isinstance(self.exaggeration, Sequence):
            return float(self.exaggeration)
        try:
            stretches = [(index(n_iter), float(factor)) for n_iter, factor in self.exaggeration]
        except (TypeError, ValueError):
            stretches = []
        if not stretches or not all(
            n_iter > 0 and 0 < factor <= _LARGEST for n_iter, factor in stretches
        ):
            raise ValueError(
                "exaggeration must be a number above 0 or a list of pairs, a number of iterations"
                f" and a number above 0; got {self.exaggeration!r}"
            )
        return stretches

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric in ("precomputed", "precomputed_affinity")
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]  # and others become that
        return tags
