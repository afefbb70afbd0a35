"""A linear metric with samples of one class near each other, its start, and its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning.checks import Floats, Indices, as_classes, as_numbers
from fasttsne.metric_learning.distances import Batch, normalized
from fasttsne.metric_learning.learners import features, losses, training
from fasttsne.metric_learning.losses import proxy_loss
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.runtime.threads import single_threaded_blas
from fasttsne.samples.arrays import unmasked
from fasttsne.samples.labels import as_numbers as plain_numbers
from fasttsne.samples.labels import label_values

# Length of embeddings at the start of a triplet loss, in margins of 1.
_MARGINS = 7.0

# Samples by which a start is judged, and the most samples that each is compared with.
_N_JUDGED = 2_000
_N_COMPARED = 10_000

# Share of the variance that a class has along any axis, for discriminants: with fewer samples than
# axes, classes seem to have none along some.
_LEAST_SPREAD = 0.01


class LinearMetricLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A linear map that brings samples of one class together, trained on any loss of pairs.

    Euclidean distances after the map are Mahalanobis distances of the samples, the lengths of
    L (x - x') with L `components_`. Training uses Adam (Kingma and Ba 2015) on batches with several
    samples of each of several classes.

    Parameters
    ----------
    loss : str or callable, default="triplet"
        "triplet", "contrastive", "n_pair", "info_nce", "nt_xent", "supervised_contrastive",
        "lifted_structure", "multi_similarity" or "proxy" of `fasttsne.metric_learning.losses`, or a
        function ``loss(embeddings, labels, **loss_params) -> (loss, gradient)`` of a batch.
    n_components : int, default=None
        Dimensions of the result, at most n_features; None means n_features.
    mining : str or callable, default=None
        Which triplets or pairs of a batch count: a strategy of
        `fasttsne.metric_learning.mining.mine_triplets` for "triplet", of `mine_pairs` for
        "contrastive", or a function of embeddings and classes that returns the same. None is "easy"
        for "triplet", the nearest positive and negative of every sample, and "all" for
        "contrastive". Other losses use whole batches.
    loss_params : dict, default=None
        Keyword arguments of the loss, such as ``{"margin": 0.5}`` or ``{"temperature": 0.1}``.
    init : {"auto", "pca", "lda", "identity", "random"} or array, default="auto"
        Start of the map: principal components; linear discriminants, one fewer than classes; the
        first `n_components` features; Gaussian noise; or an array like `components_`. "auto" is
        "lda" if that gives `n_components`, else "pca". All but an array are scaled to embeddings
        with a root mean square length of 1, or 7 for "triplet", where then only a few misplaced
        samples have triplets within a margin of 1.
    standardize : bool or "auto", default="auto"
        Whether to divide features by their standard deviations at the start, so that their units do
        not matter, or all by one number. "auto" is False if nearest neighbours on principal
        components then agree in class more often, by more than chance.
    batch_size : int or "auto", default="auto"
        Samples per batch, about equally many of each class in it. "auto" is a tenth of the samples,
        from 50 to 1000.
    max_epochs : int, default=30
        Passes over the samples, at most a million, each of at least ten batches. Steps shrink to 0
        until the last.
    learning_rate : float, default=0.05
        Largest move of a typical sample along a component in one of the first steps, as a share of
        the root mean square length of embeddings at the start.
    early_stopping : bool, default=False
        Whether to hold out samples, and return the map of the epoch after which the largest share
        of them has a nearest neighbour of their own class among the others.
    validation_fraction : float, default=0.1
        Share of each class that `early_stopping` holds out.
    n_iter_no_change, tol : int and float, default=10 and 1e-4
        Stop after `n_iter_no_change` epochs in which the loss, or with `early_stopping` the share,
        has not improved by more than `tol`.
    random_state : int, RandomState, Generator or None, default=None
        Random numbers for batches, held-out samples and a random start.
    verbose : bool, default=False
        Print a line per epoch.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The map L, for raw features.
    mean_ : ndarray of shape (n_features,)
        Mean of the training samples, which the map takes to 0.
    classes_ : ndarray of shape (n_classes,)
        The labels in `y`, sorted.
    history_ : dict of str to list of float
        "loss", the mean of each epoch's batches; with `early_stopping` also "validation_score".
    n_iter_ : int
        Number of epochs.
    n_features_in_, feature_names_in_ : int and ndarray of shape (n_features,)
        Number of features of the training samples, and their names if all are strings.

    See Also
    --------
    sklearn.neighbors.NeighborhoodComponentsAnalysis : All pairs at once, in memory and time
        quadratic in the number of samples.

    Notes
    -----
    A constant feature has coefficients of 0. Losses of cosines ("info_nce", "nt_xent",
    "supervised_contrastive", "multi_similarity", "proxy") learn angles: compare their results by
    cosines, as ``TSNE(metric="cosine")`` does. "n_pair", "info_nce" and "nt_xent" use other pairs
    as negatives, so they get one pair of each class at a time.

    A step takes time quadratic in `batch_size`, an epoch time linear in the number of samples.

    References
    ----------
    .. [1] Weinberger, K. and Saul, L. (2009). Distance metric learning for large margin nearest
       neighbor classification. Journal of Machine Learning Research 10, 207-244. The default is a
       variant of it: nearest positives and negatives of a batch instead of fixed targets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.metric_learning.learners import LinearMetricLearner
    >>> X, y = load_iris(return_X_y=True)
    >>> learner = LinearMetricLearner(n_components=2, random_state=0).fit(X, y)
    >>> learner.transform(X).shape, learner.get_mahalanobis_matrix().shape
    ((150, 2), (4, 4))
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "loss": [StrOptions(set(losses.LOSSES)), callable],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "mining": [str, callable, None],
        "loss_params": [dict, None],
        "init": [StrOptions({"auto", "pca", "lda", "identity", "random"}), "array-like"],
        "standardize": [bool, StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 4, None, closed="left"), StrOptions({"auto"})],
        "max_epochs": [Interval(Integral, 1, 10**6, closed="both")],
        **training.CONSTRAINTS,
    }

    def __init__(
        self,
        loss: str | Callable[..., Any] = "triplet",
        n_components: int | None = None,
        *,
        mining: losses.Mining = None,
        loss_params: Mapping[str, Any] | None = None,
        init: str | ArrayLike = "auto",
        standardize: bool | str = "auto",
        batch_size: int | str = "auto",
        max_epochs: int = 30,
        learning_rate: float = 0.05,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        random_state: Seed = None,
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

    @with_plain_numbers
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any) -> LinearMetricLearner:
        """Fit the map to samples and their classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Classes, numbers or strings: at least two, one of which has two samples.

        Returns
        -------
        self : LinearMetricLearner

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, shapes disagree, there are too few classes or features,
            all samples are equal, or a parameter is out of range.
        """
        if y is None:
            validate_data(self, X, y)  # raises scikit-learn's error
        dtype = [np.float64, np.float32]
        X = validate_data(self, unmasked(X, "X"), dtype=dtype, ensure_min_samples=2)
        losses.check_loss(self.loss, self.mining, self.loss_params or {})
        y, classes = _classes(y, len(X))
        self.classes_ = y[np.unique(classes, return_index=True)[1]]
        n_components = self.n_components or X.shape[1]
        if n_components > X.shape[1]:
            raise ValueError(
                f"n_components={n_components} must not exceed the number of features, {X.shape[1]}"
            )
        chance = check_random_state(self.random_state)
        samples = np.asarray(X, dtype=np.float64)
        with single_threaded_blas():
            kept, aside = self._split(classes, chance)
            axes = _choose_axes(
                samples[kept], classes[kept], n_components, self.standardize, chance
            )
            Z = axes.coordinates(samples)
            start = self._start(Z[kept], classes[kept], axes, chance)

            def score(parameters: Floats) -> float:
                W, both = parameters[: start.size], np.append(aside, kept[:_N_COMPARED])
                E = Z[both] @ W.reshape(start.shape)
                return _agreement(E, classes[both], len(aside), first=len(aside))

            judge = training.Judge("validation_score", score) if aside.size else None
            W, self.history_ = self._train(Z[kept], y[kept], classes[kept], start, chance, judge)
        self.components_ = axes.to_raw(W).astype(X.dtype, copy=False)
        self.mean_ = axes.scaling.mean.astype(X.dtype, copy=False)
        self.n_iter_ = len(self.history_["loss"])
        return self

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Return mapped samples, whose Euclidean distances are the learned ones.

        Parameters
        ----------
        X : see `fit`

        Returns
        -------
        embeddings : ndarray of shape (n_samples, n_components)
            (X - mean_) components_', in the precision of `X`.
        """
        check_is_fitted(self)
        X = validate_data(self, unmasked(X, "X"), dtype=[np.float64, np.float32], reset=False)
        centred = X - self.mean_.astype(X.dtype, copy=False)
        return centred @ self.components_.T.astype(X.dtype, copy=False)

    def get_mahalanobis_matrix(self) -> NDArray[np.floating]:
        """Return the matrix M of the learned distance sqrt((x - x')' M (x - x')).

        Returns
        -------
        M : ndarray of shape (n_features, n_features)
            L'L, symmetric and positive semi-definite.
        """
        check_is_fitted(self)
        return self.components_.T @ self.components_

    def _split(self, classes: Indices, chance: RandomState) -> tuple[Indices, Indices]:
        """Return the samples to train on, and those that are held out: a share of each class."""
        every = np.arange(len(classes))
        if not self.early_stopping:
            return every, every[:0]
        shuffled = chance.permutation(len(classes))
        by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
        sizes = np.bincount(classes)
        places = every - np.repeat(np.cumsum(sizes) - sizes, sizes)
        shares = np.minimum(np.round(self.validation_fraction * sizes), sizes - 2)
        chosen = places < np.repeat(shares, sizes)
        if not chosen.any():
            raise ValueError(
                f"early_stopping with validation_fraction={self.validation_fraction} holds out no "
                "sample, because every class keeps two; raise it, or set early_stopping=False"
            )
        return np.sort(by_class[~chosen]), np.sort(by_class[chosen])

    def _start(
        self, Z: Floats, classes: Indices, axes: features.Axes, chance: RandomState
    ) -> Floats:
        """Return the first map of coordinates, (n_axes, n_components)."""
        n_axes, n_features = Z.shape[1], len(axes.directions)
        n_components = self.n_components or n_features
        init = self.init
        if not isinstance(init, str):
            given = as_numbers(init, "init")
            if given.shape != (n_components, n_features):
                raise ValueError(
                    f"init must be an array of finite numbers of shape (n_components, n_features), "
                    f"{(n_components, n_features)}; got {given.shape}"
                )
            return axes.from_raw(given)
        n_discriminants = min(len(self.classes_) - 1, n_axes)
        if init == "auto":
            init = "lda" if n_components <= n_discriminants else "pca"
        if init == "lda":
            if n_components > n_discriminants:
                raise ValueError(
                    f"init='lda' gives {n_discriminants} components, at most one fewer than "
                    f"classes, but n_components={n_components}; choose another start"
                )
            W = _discriminants(Z, classes, n_components)
        elif init == "pca":
            W = _principal(axes, n_components)
        elif init == "identity":
            W = axes.from_scaled(np.eye(n_components, n_features))
        else:
            W = chance.standard_normal((n_axes, n_components))
        return W * ((_MARGINS if self.loss == "triplet" else 1.0) / (_typical_length(Z @ W) or 1.0))

    def _train(
        self,
        Z: Floats,
        labels: NDArray[Any],
        classes: Indices,
        start: Floats,
        chance: RandomState,
        judge: training.Judge | None,
    ) -> tuple[Floats, training.History]:
        """Descend from `start`; the proxies of the loss "proxy" are further parameters."""
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = int(np.clip(len(Z) // 10, 50, 1000))
        batches = training.ClassBatches(classes, int(batch_size), chance)
        parameters = start.ravel()
        if self.loss == "proxy":
            proxies = _first_proxies(Z @ start, classes, chance)
            parameters = np.concatenate([parameters, proxies.ravel()])

        def epoch() -> Iterator[training.BatchObjective]:
            for batch in batches.epoch():
                yield self._objective(Z[batch], labels[batch], classes[batch], start, chance)

        # Along one component, |change' z| <= rate |z|_1 <= rate sqrt(n_axes) |z|.
        unit = (_typical_length(Z @ start) or 1.0) / np.sqrt(len(start))
        stopping = self.n_iter_no_change, self.tol
        schedule = training.Schedule(
            self.learning_rate * unit, self.max_epochs, *stopping, bool(self.verbose)
        )
        found, history = training.descend(parameters, epoch, schedule, type(self).__name__, judge)
        return found[: start.size].reshape(start.shape), history

    def _objective(
        self, Z: Floats, labels: NDArray[Any], classes: Indices, start: Floats, chance: RandomState
    ) -> training.BatchObjective:
        """Return the loss of a batch as a function of the map, and of proxies if there are any."""
        params = dict(self.loss_params or {})

        def objective(parameters: Floats) -> tuple[float, Floats]:
            W, proxies = parameters[: start.size].reshape(start.shape), parameters[start.size :]
            E, by_proxies = Z @ W, proxies  # empty if the loss has none
            if self.loss == "proxy":
                vectors = proxies.reshape(-1, start.shape[1])
                value, (by_E, by_vectors) = proxy_loss(E, classes, vectors, **params)
                result = value, by_E
                by_proxies = np.asarray(by_vectors, dtype=np.float64).ravel()
            elif isinstance(self.loss, str):
                result = losses.batch_loss(self.loss, self.mining, params)(E, classes, chance)
            else:
                result = self.loss(E, labels, **params)
            value, by_E = losses.checked(result, E.shape, "embeddings")
            return value, np.concatenate([(Z.T @ by_E).ravel(), by_proxies])

        return objective

    def __sklearn_tags__(self) -> Tags:
        """Return tags: classes are required, and single precision is kept."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])


def _classes(y: Any, n_samples: int) -> tuple[NDArray[Any], Indices]:
    """Return the label of every sample, and the number of its class."""
    classes = as_classes(y, n_samples, "y")
    labels = label_values(y)[0].ravel()
    if all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    sizes = np.bincount(classes)
    if len(sizes) < 2:
        raise ValueError(f"y has 1 class, {labels[0]}; a metric needs at least 2")
    if sizes.max() < 2:
        raise ValueError(
            f"y has {len(sizes)} classes of one sample each; a metric needs a class of at least 2"
        )
    return plain_numbers(labels), classes


def _choose_axes(
    X: Floats, classes: Indices, n_components: int, standardize: bool | str, chance: RandomState
) -> features.Axes:
    """Return the coordinates to train in; "auto": where neighbours agree in class more often."""
    standard = features.standard_scaling(X)
    if not standard.scale.any():
        raise ValueError("X is constant: equal samples have no metric")
    if standardize != "auto":
        return features.principal_axes_of(
            X, standard if standardize else features.common_scaling(X)
        )
    some = chance.permutation(len(X))[:_N_JUDGED]

    def share(axes: features.Axes) -> float:
        E = axes.coordinates(X[some]) @ _principal(axes, n_components)
        return _agreement(E, classes[some], len(some), first=0)

    own, common = (
        features.principal_axes_of(X, scaling) for scaling in (standard, features.common_scaling(X))
    )
    expected = share(own)
    # By more than chance, so that units do not decide if neighbours are not informative.
    by_chance = np.sqrt(expected * (1.0 - expected) / len(some))
    return common if share(common) > expected + by_chance else own


def _principal(axes: features.Axes, n_components: int) -> Floats:
    """Return the map to the first axes; further components are 0."""
    W = np.zeros((len(axes.lengths), n_components))
    np.fill_diagonal(W, axes.lengths)
    return W


def _discriminants(Z: Floats, classes: Indices, n_components: int) -> Floats:
    """Return the map to the directions of most variance between classes per variance within."""
    means = _class_means(Z, classes)[classes]
    spread = (Z - means).T @ (Z - means) / len(Z)
    between = means.T @ means / len(Z)
    total = np.trace(spread) + np.trace(between)
    spread[np.diag_indices_from(spread)] += _LEAST_SPREAD * total / len(spread)
    first = len(spread) - n_components
    _, directions = eigh(between, spread, subset_by_index=(first, len(spread) - 1))
    return np.ascontiguousarray(directions[:, ::-1])


def _class_means(Z: Floats, classes: Indices) -> Floats:
    """Return the mean of every class, (n_classes, n_axes)."""
    sums = np.zeros((classes.max() + 1, Z.shape[1]))
    np.add.at(sums, classes, Z)
    return sums / np.bincount(classes)[:, np.newaxis]


def _first_proxies(E: Floats, classes: Indices, chance: RandomState) -> Floats:
    """Return a unit vector per class towards its mean, or a random one if the mean is 0."""
    means = _class_means(E, classes)
    noise = 1e-3 * np.sqrt(np.mean(E**2)) * chance.standard_normal(means.shape)
    return normalized(means + noise)[0]


def _typical_length(E: Floats) -> float:
    """Return the root mean square length of embeddings."""
    return float(np.sqrt(np.mean(np.einsum("ij,ij->i", E, E))))


def _agreement(E: Floats, classes: Indices, n_judged: int, *, first: int) -> float:
    """Return the share of the first `n_judged` samples with the class of the nearest one.

    The nearest is sought from row `first` on, apart from the sample itself.
    """
    batch, n_right = Batch(E), 0
    for rows in batch.blocks(np.arange(n_judged)):
        squared = batch.squared_distances(rows)
        squared[np.arange(len(rows)), rows] = np.inf  # no sample is its own neighbour
        nearest = first + np.argmin(squared[:, first:], axis=1)
        n_right += int(np.count_nonzero(classes[nearest] == classes[rows]))
    return n_right / n_judged
