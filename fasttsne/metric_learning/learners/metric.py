"""A linear metric: samples of one class near, others further, in as few dimensions as you like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning.batches import Floats
from fasttsne.metric_learning.distances import Batch
from fasttsne.metric_learning.learners.class_batches import ClassBatches
from fasttsne.metric_learning.learners.features import (
    Axes,
    common_scaling,
    principal_axes_of,
    standard_scaling,
)
from fasttsne.metric_learning.learners.objectives import LOSSES, Mining, check_loss, objective
from fasttsne.metric_learning.learners.training import Objective, Schedule, descend
from fasttsne.metric_learning.losses import proxy_loss
from fasttsne.threads import single_threaded_blas

__all__ = ["LinearMetricLearner"]

# Samples by which a start, or a state of training, is judged.
_N_JUDGED = 1_000
_N_COMPARED = 10_000

# Distance of neighbours of one class at the start: a margin of 1 then is a quarter of it, and few
# triplets within it are those of samples that are out of place.
_NEIGHBOR_DISTANCE = 4.0


class LinearMetricLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A linear map that brings together what belongs together, trained on any loss of pairs.

    Euclidean distances after the map are Mahalanobis distances |L (x - x')| of the samples, with L
    `components_`. Training takes batches in which several classes have several samples each, and
    steps by Adam.

    Parameters
    ----------
    loss : str or callable, default="triplet"
        "triplet", "contrastive", "n_pair", "info_nce", "nt_xent", "supervised_contrastive",
        "lifted_structure", "multi_similarity" or "proxy": one of
        `fasttsne.metric_learning.losses`. Or a function ``loss(embeddings, labels, **loss_params)
        -> (loss, gradient)``, which gets a batch and those of its labels.
    n_components : int, default=None
        Dimensions of the result, at most n_features, which None stands for.
    mining : str or callable, default=None
        Which triplets or pairs of a batch count. With "triplet" all strategies of
        `fasttsne.metric_learning.mining.mine_triplets`, None being "easy": of every sample the
        nearest positive and the nearest negative; with "contrastive" those of `mine_pairs`, None
        being "all". Or a function of embeddings and classes that returns what these do. Other
        losses take whole batches.
    loss_params : dict, default=None
        Keyword arguments of the loss, such as ``{"margin": 0.5}`` or ``{"temperature": 0.1}``.
    init : {"auto", "pca", "lda", "identity", "random"} or array, default="auto"
        Start of the map: principal components; linear discriminants, of which there is one fewer
        than classes; the features themselves, the first `n_components` of them; Gaussian noise; or
        an array of shape (n_components, n_features), like `components_`. "auto" is "lda" if that
        gives `n_components`, else "pca". All but an array are scaled so that samples have their
        nearest neighbour of the same class at a distance of about 1, which is what a margin of 1
        means.
    standardize : bool or "auto", default="auto"
        Whether the features are divided by their standard deviations at the start, so that their
        units do not matter, or by one number. "auto" takes what makes the nearest neighbours on
        principal components agree in class more often.
    batch_size : int or "auto", default="auto"
        Samples of a batch, about as many of each class in it. "auto" is a tenth of the samples,
        but from 50 to 1000.
    max_epochs : int, default=30
        How often to go through the samples. The steps shrink to 0 on the way.
    learning_rate : float, default=0.01
        Length of the first steps, where samples have a mean square length of 1 in coordinates that
        are nearly white.
    early_stopping : bool, default=False
        Whether to set samples aside, and to return the map of the epoch after which most of them
        had a nearest neighbour of their own class among the others.
    validation_fraction : float, default=0.1
        Share of each class that `early_stopping` sets aside.
    n_iter_no_change : int, default=10
        Stop after so many epochs in which the loss, or with `early_stopping` that share, has not
        improved by more than `tol`.
    tol : float, default=1e-4
        See `n_iter_no_change`.
    random_state : int, RandomState instance or None, default=None
        Source of batches, of what is set aside, and of a random start.
    verbose : bool, default=False
        Print a line an epoch.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The map L, of features as they are given.
    mean_ : ndarray of shape (n_features,)
        Of the training samples; the map takes it to 0.
    classes_ : ndarray of shape (n_classes,)
        The labels of `y`, sorted.
    history_ : dict of str to list of float
        "loss", the mean of each epoch's batches; with `early_stopping` also "validation_score".
    n_iter_ : int
        Epochs done.
    n_features_in_ : int
        Features of the training samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they have any that are all strings.

    See Also
    --------
    sklearn.neighbors.NeighborhoodComponentsAnalysis : All pairs at once, in memory and time
        quadratic in the number of samples.

    Notes
    -----
    A constant feature has coefficients of 0. Losses of cosines ("info_nce", "nt_xent",
    "supervised_contrastive", "multi_similarity", "proxy") learn angles: compare their results by
    cosines, as ``TSNE(metric="cosine")`` does. "n_pair", "info_nce" and "nt_xent" take other pairs
    for negatives, and therefore one pair of each class at a time.

    A step takes time quadratic in `batch_size`, and an epoch linear in the number of samples.

    References
    ----------
    .. [1] Weinberger, K. and Saul, L. (2009). Distance metric learning for large margin nearest
       neighbor classification. Journal of Machine Learning Research 10, 207-244. The default is a
       variant of it: nearest positives and negatives of a batch in place of fixed targets.
    .. [2] Kingma, D. and Ba, J. (2015). Adam: a method for stochastic optimization. International
       Conference on Learning Representations.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.metric_learning.learners import LinearMetricLearner
    >>> X, y = load_iris(return_X_y=True)
    >>> learner = LinearMetricLearner(n_components=2, random_state=0).fit(X, y)
    >>> learner.transform(X).shape, learner.get_mahalanobis_matrix().shape
    ((150, 2), (4, 4))

    On the way to a map, in one pipeline:

    >>> from sklearn.pipeline import make_pipeline
    >>> from fasttsne import TSNE
    >>> both = make_pipeline(LinearMetricLearner(random_state=0), TSNE(random_state=0))
    >>> both.fit_transform(X, y).shape
    (150, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "loss": [StrOptions(set(LOSSES)), callable],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "mining": [str, callable, None],
        "loss_params": [dict, None],
        "init": [StrOptions({"auto", "pca", "lda", "identity", "random"}), "array-like"],
        "standardize": [bool, StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 4, None, closed="left"), StrOptions({"auto"})],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        loss: str | Callable[..., Any] = "triplet",
        n_components: int | None = None,
        *,
        mining: Mining = None,
        loss_params: Mapping[str, Any] | None = None,
        init: str | ArrayLike = "auto",
        standardize: bool | str = "auto",
        batch_size: int | str = "auto",
        max_epochs: int = 30,
        learning_rate: float = 0.01,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.loss = loss
        self.n_components = n_components
        self.mining = mining
        self.loss_params = loss_params
        self.init = init
        self.standardize = standardize
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any) -> LinearMetricLearner:
        """Learn the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their classes, numbers or strings; at least two, one of which has two samples.

        Returns
        -------
        self : LinearMetricLearner
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, shapes disagree, there are too few classes or features,
            all samples are the same, or a parameter is out of range.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_loss(self.loss, self.mining, self.loss_params or {})
        self.classes_, classes = _classes(y)
        n_components = self._n_components(X.shape[1])
        chance = check_random_state(self.random_state)
        samples = np.asarray(X, dtype=np.float64)
        with single_threaded_blas():
            kept, aside = self._split(classes, chance)
            axes = self._axes(samples[kept], classes[kept], n_components, chance)
            Z, numbers = axes.coordinates(samples), classes
            start = self._start(Z[kept], numbers[kept], axes, n_components, chance)
            score = None
            if self.early_stopping:
                score = partial(_agreement, Z[kept], numbers[kept], Z[aside], numbers[aside])
            W, self.history_ = self._train(Z[kept], y[kept], numbers[kept], start, chance, score)
        self.components_ = axes.to_raw(W).astype(X.dtype, copy=False)
        self.mean_ = axes.scaling.mean.astype(X.dtype, copy=False)
        self.n_iter_ = len(self.history_["loss"])
        return self

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Map samples to where Euclidean distances are the learned ones.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        embeddings : ndarray of shape (n_samples, n_components)
            (X - mean_) components_', in the precision of `X`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        centred = X - self.mean_.astype(X.dtype, copy=False)
        embeddings: NDArray[np.floating] = centred @ self.components_.T.astype(X.dtype, copy=False)
        return embeddings

    def get_mahalanobis_matrix(self) -> NDArray[np.floating]:
        """Give the matrix M of the learned distance sqrt((x - x')' M (x - x')).

        Returns
        -------
        M : ndarray of shape (n_features, n_features)
            L'L, symmetric and positive semi-definite.
        """
        check_is_fitted(self)
        M: NDArray[np.floating] = self.components_.T @ self.components_
        return M

    # ---- Before training --------------------------------------------------------------------

    def _n_components(self, n_features: int) -> int:
        if self.n_components is not None and self.n_components > n_features:
            raise ValueError(
                f"n_components={self.n_components} must not exceed the number of features, "
                f"{n_features}"
            )
        return self.n_components or n_features

    def _split(
        self, classes: NDArray[np.int64], chance: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of samples to train on, and of those set aside: of each class its share."""
        everybody = np.arange(len(classes))
        if not self.early_stopping:
            return everybody, everybody[:0]
        shuffled = chance.permutation(len(classes))
        by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
        sizes = np.bincount(classes)
        places = everybody - np.repeat(np.cumsum(sizes) - sizes, sizes)
        shares = np.minimum(np.round(self.validation_fraction * sizes), sizes - 2)
        chosen = places < np.repeat(shares, sizes)
        if not chosen.any():
            raise ValueError(
                f"early_stopping with validation_fraction={self.validation_fraction} sets no "
                "sample aside: every class keeps two; raise it, or set early_stopping=False"
            )
        return np.sort(by_class[~chosen]), np.sort(by_class[chosen])

    def _axes(
        self,
        X: Floats,
        classes: NDArray[np.int64],
        n_components: int,
        chance: np.random.RandomState,
    ) -> Axes:
        standard = standard_scaling(X)
        if not standard.scale.any():
            raise ValueError("X is constant: samples that are all the same have no metric")
        if self.standardize != "auto":
            return principal_axes_of(X, standard if self.standardize else common_scaling(X))
        choices = [principal_axes_of(X, scaling) for scaling in (standard, common_scaling(X))]
        some = chance.permutation(len(X))[: 2 * _N_JUDGED]
        agreements = [
            _own_agreement(axes.coordinates(X[some]) @ _principal(axes, n_components), classes[some])
            for axes in choices
        ]
        return choices[int(np.argmax(agreements))]

    def _start(
        self,
        Z: Floats,
        classes: NDArray[np.int64],
        axes: Axes,
        n_components: int,
        chance: np.random.RandomState,
    ) -> Floats:
        """Map of coordinates to begin with, (n_axes, n_components)."""
        n_axes, n_features = Z.shape[1], len(axes.directions)
        init = self.init
        if not isinstance(init, str):
            given = np.asarray(init, dtype=np.float64)
            if given.shape != (n_components, n_features) or not np.isfinite(given).all():
                raise ValueError(
                    f"init must be an array of finite numbers of shape (n_components, n_features), "
                    f"{(n_components, n_features)}; got {given.shape}"
                )
            return axes.from_raw(given)
        n_discriminants = len(self.classes_) - 1
        if init == "auto":
            init = "lda" if n_components <= min(n_discriminants, n_axes) else "pca"
        if init == "lda":
            if n_components > min(n_discriminants, n_axes):
                raise ValueError(
                    f"init='lda' gives {min(n_discriminants, n_axes)} components, one fewer than "
                    f"classes at the most, but n_components={n_components}; choose another start"
                )
            W = _discriminants(Z, classes, n_components)
        elif init == "pca":
            W = _principal(axes, n_components)
        elif init == "identity":
            W = axes.from_scaled(np.eye(n_components, n_features))
        else:
            W = chance.standard_normal((n_axes, n_components))
        some = chance.permutation(len(Z))[:_N_JUDGED]
        return W * (_NEIGHBOR_DISTANCE / _neighbor_distance(Z[some] @ W, classes[some]))

    # ---- Training ---------------------------------------------------------------------------

    def _train(
        self,
        Z: Floats,
        labels: NDArray[Any],
        classes: NDArray[np.int64],
        start: Floats,
        chance: np.random.RandomState,
        score: Callable[[Floats], float] | None,
    ) -> tuple[Floats, dict[str, list[float]]]:
        """Descend from `start`; proxies, where the loss has them, are further parameters."""
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = int(np.clip(len(Z) // 10, 50, 1000))
        batches = ClassBatches(classes, int(batch_size), chance)
        parameters = start.ravel()
        if self.loss == "proxy":
            parameters = np.concatenate([parameters, _class_means(Z @ start, classes).ravel()])

        def epoch() -> Iterator[Objective]:
            for batch in batches.epoch():
                yield self._objective(Z[batch], labels[batch], classes[batch], start.shape, chance)

        def judge(found: Floats) -> float:
            assert score is not None
            return score(found[: start.size].reshape(start.shape))

        schedule = Schedule(
            self.learning_rate,
            self.max_epochs,
            self.n_iter_no_change,
            self.tol,
            bool(self.verbose),
        )
        name = type(self).__name__
        found, history = descend(
            parameters, epoch, schedule, name, None if score is None else judge
        )
        return found[: start.size].reshape(start.shape), history

    def _objective(
        self,
        Z: Floats,
        labels: NDArray[Any],
        classes: NDArray[np.int64],
        shape: tuple[int, int],
        chance: np.random.RandomState,
    ) -> Objective:
        """Loss of a batch as a function of the map, and of the proxies that may follow it."""
        params = dict(self.loss_params or {})
        size = shape[0] * shape[1]

        def of_embeddings(E: Floats, proxies: Floats) -> tuple[float, Floats, Floats]:
            if self.loss == "proxy":
                value, (by_E, by_proxies) = proxy_loss(
                    E, classes, proxies.reshape(-1, shape[1]), **params
                )
                return float(np.sum(value)), by_E, by_proxies.ravel()
            if callable(self.loss):
                return *_called(self.loss, E, labels, params), proxies
            return *objective(self.loss, self.mining, params)(E, classes, chance), proxies

        def of_parameters(parameters: Floats) -> tuple[float, Floats]:
            W, proxies = parameters[:size].reshape(shape), parameters[size:]
            value, by_E, by_proxies = of_embeddings(Z @ W, proxies)
            return value, np.concatenate([(Z.T @ by_E).ravel(), by_proxies])

        return of_parameters

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that classes are needed, and that precision is kept."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])


# ---- Classes and losses that are given ------------------------------------------------------


def _classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    check_classification_targets(y)
    labels, classes = np.unique(y, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(f"y has 1 class, {labels[0]!r}; a metric needs at least 2 to tell apart")
    if np.bincount(classes).max() < 2:
        raise ValueError(
            f"y has {len(labels)} classes of one sample each; a metric needs a class with at least "
            "2, which belong together"
        )
    return labels, classes.astype(np.int64)


def _called(
    loss: Callable[..., Any], E: Floats, labels: NDArray[Any], params: Mapping[str, Any]
) -> tuple[float, Floats]:
    """Loss and gradient of a function of the user's, checked."""
    value, gradient = loss(E, labels, **params)
    gradient = np.asarray(gradient, dtype=np.float64)
    if np.ndim(value) != 0 or gradient.shape != E.shape:
        raise ValueError(
            "loss must return a number and a gradient in the shape of the embeddings, "
            f"{E.shape}; got shapes {np.shape(value)} and {gradient.shape}"
        )
    return float(value), gradient


# ---- Starts ---------------------------------------------------------------------------------


def _principal(axes: Axes, n_components: int) -> Floats:
    """Take the first axes as they are, (n_axes, n_components); 0 where there are no more."""
    W = np.zeros((len(axes.lengths), n_components))
    np.fill_diagonal(W, axes.lengths)
    return W


def _class_means(E: Floats, classes: NDArray[np.int64]) -> Floats:
    sums = np.zeros((classes.max() + 1, E.shape[1]))
    np.add.at(sums, classes, E)
    means: Floats = sums / np.bincount(classes)[:, np.newaxis]
    return means


def _discriminants(Z: Floats, classes: NDArray[np.int64], n_components: int) -> Floats:
    """Directions along which classes differ most, as against their own spread (Fisher)."""
    means = _class_means(Z, classes)[classes]
    spread = (Z - means).T @ (Z - means) / len(Z)
    between = means.T @ means / len(Z)
    # Where there are fewer samples than axes, classes seem to have no spread at all.
    spread[np.diag_indices_from(spread)] += 0.01 * np.trace(spread + between) / len(spread)
    first = len(spread) - n_components
    _, directions = eigh(between, spread, subset_by_index=(first, len(spread) - 1))
    return np.ascontiguousarray(directions[:, ::-1])


def _neighbor_distance(E: Floats, classes: NDArray[np.int64]) -> float:
    """Typical distance of samples to the nearest of their class, of those that are elsewhere."""
    batch, found = Batch(E), []
    for rows in batch.blocks():
        squared = batch.squared_distances(rows)
        others = (classes[rows, np.newaxis] == classes) & (squared > 0.0)
        found.append(np.min(squared, axis=1, where=others, initial=np.inf))
    nearest = np.sqrt(np.concatenate(found))
    nearest = nearest[np.isfinite(nearest)]
    if nearest.size:
        return float(np.median(nearest))
    # Each class is a point: the radius of the whole.
    return float(np.sqrt(np.mean(batch.squared_lengths))) or 1.0


# ---- How good a map is ----------------------------------------------------------------------


def _agreement(
    Z: Floats, classes: NDArray[np.int64], judged: Floats, expected: NDArray[np.int64], W: Floats
) -> float:
    """Share of the judged samples whose nearest one among the others is of the same class."""
    E, targets = Z[:_N_COMPARED] @ W, judged @ W
    batch = Batch(np.vstack([targets, E]))
    n_right = 0
    for rows in batch.blocks(np.arange(len(targets))):
        nearest = np.argmin(batch.squared_distances(rows)[:, len(targets) :], axis=1)
        n_right += int(np.count_nonzero(classes[nearest] == expected[rows]))
    return n_right / len(targets)


def _own_agreement(E: Floats, classes: NDArray[np.int64]) -> float:
    """Share of samples whose nearest other one is of the same class."""
    batch, n_right = Batch(E), 0
    for rows in batch.blocks():
        squared = batch.squared_distances(rows)
        squared[np.arange(len(rows)), rows] = np.inf
        n_right += int(np.count_nonzero(classes[np.argmin(squared, axis=1)] == classes[rows]))
    return n_right / len(E)
