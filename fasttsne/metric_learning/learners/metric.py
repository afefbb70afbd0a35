"""A linear metric: samples of one class near, others further, in as few dimensions as you like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fasttsne.metric_learning.checks import Floats
from fasttsne.metric_learning.learners.arguments import checked
from fasttsne.metric_learning.learners.class_batches import ClassBatches
from fasttsne.metric_learning.learners.features import Axes
from fasttsne.metric_learning.learners.losses import LOSSES, Mining, check_loss, objective
from fasttsne.metric_learning.learners.starts import (
    agreement,
    choose_axes,
    discriminants,
    first_proxies,
    principal,
    typical_length,
)
from fasttsne.metric_learning.learners.training import Judge, Objective, Schedule, descend
from fasttsne.metric_learning.losses import proxy_loss
from fasttsne.runtime.threads import single_threaded_blas

__all__ = ["LinearMetricLearner"]

# Length of embeddings at the start of a triplet loss, in margins of 1.
_MARGINS = 7.0


class LinearMetricLearner(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A linear map that brings together what belongs together, trained on any loss of pairs.

    Euclidean distances after the map are Mahalanobis distances of the samples, the lengths of
    L (x - x') with L `components_`. Training takes batches in which several classes have several
    samples each, and steps by Adam.

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
        gives `n_components`, else "pca". All but an array are scaled so that embeddings have a root
        mean square length of 1, or for "triplet" of 7: then triplets within a margin of 1 are
        few, those of samples that are out of place.
    standardize : bool or "auto", default="auto"
        Whether the features are divided by their standard deviations at the start, so that their
        units do not matter, or by one number. "auto" is False if that makes the nearest neighbours
        on principal components agree in class more often, by more than chance.
    batch_size : int or "auto", default="auto"
        Samples of a batch, about as many of each class in it. "auto" is a tenth of the samples,
        but from 50 to 1000.
    max_epochs : int, default=30
        How often to go through the samples, or ten batches if these are more. The steps shrink to
        0 on the way.
    learning_rate : float, default=0.05
        How far one of the first steps moves a typical sample along a component, at the most, as a
        share of the root mean square length of embeddings at the start.
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
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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
        learning_rate: float = 0.05,
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
            axes = choose_axes(samples[kept], classes[kept], n_components, self.standardize, chance)
            Z = axes.coordinates(samples)
            start = self._start(Z[kept], classes[kept], axes, n_components, chance)

            def score(W: Floats) -> float:
                return agreement(Z[kept] @ W, classes[kept], Z[aside] @ W, classes[aside])

            W, self.history_ = self._train(
                Z[kept], y[kept], classes[kept], start, chance, score if aside.size else None
            )
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
            W = discriminants(Z, classes, n_components)
        elif init == "pca":
            W = principal(axes, n_components)
        elif init == "identity":
            W = axes.from_scaled(np.eye(n_components, n_features))
        else:
            W = chance.standard_normal((n_axes, n_components))
        return W * ((_MARGINS if self.loss == "triplet" else 1.0) / (typical_length(Z @ W) or 1.0))

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
            proxies = first_proxies(Z @ start, classes, chance)
            parameters = np.concatenate([parameters, proxies.ravel()])

        def epoch() -> Iterator[Objective]:
            for batch in batches.epoch():
                yield self._objective(Z[batch], labels[batch], classes[batch], start.shape, chance)

        judge = None
        if score is not None:
            of_map = score
            judge = Judge(
                "validation_score", lambda found: of_map(found[: start.size].reshape(start.shape))
            )
        # Along one component, |change' z| <= rate |z|_1 <= rate sqrt(n_axes) |z|.
        unit = (typical_length(Z @ start) or 1.0) / np.sqrt(len(start))
        schedule = Schedule(
            self.learning_rate * unit,
            self.max_epochs,
            self.n_iter_no_change,
            self.tol,
            bool(self.verbose),
        )
        name = type(self).__name__
        found, history = descend(parameters, epoch, schedule, name, judge)
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
            by_proxies = proxies  # none
            if self.loss == "proxy":
                vectors = proxies.reshape(-1, shape[1])
                value, (by_E, by_vectors) = proxy_loss(E, classes, vectors, **params)
                result = value, by_E
                by_proxies = np.asarray(by_vectors, dtype=np.float64).ravel()
            elif isinstance(self.loss, str):
                result = objective(self.loss, self.mining, params)(E, classes, chance)
            else:
                result = self.loss(E, labels, **params)
            return *checked(result, E.shape, "embeddings"), by_proxies

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


# ---- Classes ---------------------------------------------------------------------------------


def _classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Labels that occur, and for every sample the number of its own."""
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
