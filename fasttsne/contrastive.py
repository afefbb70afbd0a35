"""Contrastive embedding: maps that learn to tell the edges of P from random pairs."""

from __future__ import annotations

import os
import sys
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
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fasttsne import saving
from fasttsne._kernels import ContrastiveForces, DivergedError, descend
from fasttsne.affinity.build import AffinityParameters, completed
from fasttsne.affinity.joint import JointProbabilities
from fasttsne.descent.schedule import N_ITER_HELD, Phase, Settings
from fasttsne.initialization.start import warn_of_wide
from fasttsne.neighbors import given
from fasttsne.neighbors.metrics import METRICS, Metric
from fasttsne.pipeline import checked_samples, joint_and_start
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.random_state import CONSTRAINT, Seed, check_random_state
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import Samples
from fasttsne.transform import LARGEST_COORDINATE, Placement

# Least number of pairs that an epoch draws per row: few negatives are drawn several times.
_DRAWS = 32
# Share of the epochs in which early exaggeration falls to 1.
_EXAGGERATED = 0.3
# Share of the way to its target, on a logarithmic scale, that Z goes at a time.
_Z_RATE = 0.5
_MOMENTUM = 0.8
# The kernels' limits for m xi Z.
_LEAST_ODDS, _MOST_ODDS = 1e-30, 1e30


class ContrastiveTSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Maps by negative sampling, noise contrastive estimation (NCE) or InfoNCE.

    The edges of t-SNE's P are positive pairs, random pairs are negatives, and the map learns to
    tell them apart by its similarities ``q = 1 / (1 + |y_i - y_j|^2)``. The normalisation, which
    stands for the sum of all q, decides where on the spectrum from t-SNE to UMAP the map lies
    [1]_.

    Parameters
    ----------
    n_components : int, default=2
        Dimension of the map, 1 to 64. More than 3 are for what comes after the map, such as
        clustering.
    loss : {"neg", "nce", "infonce"}, default="neg"
        "neg" (negative sampling) and "nce" classify single pairs: a pair is positive with
        probability h = q / (q + m xi Z), where xi = 1 / (n (n - 1)) is the noise, uniform over
        ordered pairs, and m is `n_negatives`. Z is given for "neg" and learned by "nce".
        "infonce" compares a positive pair with m negatives at once and needs no Z.
    n_negatives : int, default=5
        Negatives per positive pair, m. It is part of the loss: with more negatives all three
        losses approach t-SNE, and the map keeps more of the nearest neighbours. An epoch averages
        over several sets of negatives where these are few, except with "infonce".
    normalization : {"tsne", "umap"} or float, default="tsne"
        Z of ``loss="neg"``; a larger Z attracts more. "tsne" is the sum of q over all ordered
        pairs of the map, estimated from the negatives during the descent. "umap" is
        n (n - 1) / m, which makes h = q / (q + 1). Other numbers give maps between or beyond
        these. The other losses accept only "tsne".
    perplexity : float, default=30.0
        Of P, as in `TSNE`.
    early_exaggeration : float, default=12.0
        Factor on the attraction at the start, at least 1. It falls to 1 over the first 30 per
        cent of the epochs.
    learning_rate : float or "auto", default="auto"
        Step length. "auto" is n_samples, divided by the exaggeration at the start. It falls to 0
        after early exaggeration.
    n_epochs : int, default=500
        Number of steps of the descent, at most a million. Every edge of P attracts in each of them.
    metric : str or callable, default="euclidean"
        As in `TSNE`.
    metric_params : dict, default=None
        Further arguments of the metric.
    init : {"pca", "random", "spectral"} or array-like of shape (n_samples, n_components), \
            default="pca"
        First coordinates, as in `TSNE`.
    random_state : int, RandomState, Generator or None, default=None
        Source of the negatives, and of a random start.
    n_jobs : int or None, default=None
        Number of threads, as in `TSNE`. The result does not depend on it, bit for bit.
    neighbors : {"auto", "exact", "approximate"}, tuple (indices, distances) or transformer, \
            default="auto"
        How nearest neighbours are found, or the neighbours, as in `TSNE`.
    verbose : int, default=0
        Print the stages at 1, and at 2 also the progress of the descent.

    Attributes
    ----------
    embedding_ : ndarray of float32, shape (n_samples, n_components)
        The map.
    normalization_ : float or None
        Z at the end: given, estimated, or learned; None for InfoNCE.
    kl_divergence_ : float
        t-SNE's KL(P||Q) of `embedding_`, in nats, for comparison with `TSNE`; it is not the loss
        that was minimised. Above 3 components and 2,049 samples its normalisation is estimated,
        to about 0.001.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` has names that are all strings.
    placement_ : Placement
        What `transform` uses: samples, map, and the search index once it is made.

    Raises
    ------
    ValueError
        From `fit` and `fit_transform`, if a parameter or the data are invalid; the message
        names the parameter. `InvalidParameterError`, a subclass, if a parameter alone is.
    MemoryError
        If the probabilities do not fit into memory.

    See Also
    --------
    fasttsne.TSNE : All negatives at once, through a tree.
    fasttsne.metric_learning.sampling : The same losses for scores of classes.

    Notes
    -----
    With h as above and expectations over P and the noise, the losses are ([1]_, equations 3 to 6)

        -E_p log h - m E_xi log(1 - h)                  "neg" and "nce"
        -E_p E_xi log q_0 / (q_0 + q_1 + ... + q_m)     "infonce"

    where q_0 belongs to a positive pair and q_1 to q_m to negatives from anywhere in the map. As m
    grows, the gradients of "nce" and "infonce" approach that of t-SNE.

    An epoch is a step by an unbiased estimate of the gradient: attraction is summed over all edges
    of P, repulsion over sampled pairs. A negative is drawn as a shift r that pairs each row a with
    a + r (mod n), so each row has every other one as its negative equally often, and every pair
    acts on both of its ends. Shifts depend only on the seed, the epoch and their number. Results
    are the same for any number of threads; between processor models they may differ in the last
    bits.

    References
    ----------
    .. [1] Damrich, S., Böhm, J. N., Hamprecht, F. A. and Kobak, D. (2023). From t-SNE to UMAP with
       contrastive learning. International Conference on Learning Representations.
    .. [2] Artemenkov, A. and Panov, M. (2020). NCVis: noise contrastive approach for scalable
       visualization. Proceedings of The Web Conference, 2941-2947.
    .. [3] McInnes, L., Healy, J. and Melville, J. (2018). UMAP: uniform manifold approximation and
       projection for dimension reduction. arXiv:1802.03426.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fasttsne import ContrastiveTSNE
    >>> X, _ = load_digits(return_X_y=True)
    >>> reducer = ContrastiveTSNE(normalization="umap", n_epochs=200, random_state=0)
    >>> reducer.fit_transform(X[:500]).shape
    (500, 2)
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "n_components": [Interval(Integral, 1, 64, closed="both")],
        "loss": [StrOptions({"neg", "nce", "infonce"})],
        "n_negatives": [Interval(Integral, 1, 2**20, closed="both")],
        "normalization": [
            StrOptions({"tsne", "umap"}),
            Interval(Real, 0, sys.float_info.max, closed="right"),
        ],
        "perplexity": [Interval(Real, 0, None, closed="neither")],
        "early_exaggeration": [Interval(Real, 1, sys.float_info.max, closed="both")],
        "learning_rate": [
            StrOptions({"auto"}),
            Interval(Real, 0, sys.float_info.max, closed="right"),
        ],
        "n_epochs": [Interval(Integral, 1, 10**6, closed="both")],
        "metric": [StrOptions(METRICS), callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random", "spectral"}), "array-like"],
        "random_state": CONSTRAINT,
        "n_jobs": [None, Integral],
        "neighbors": given.CONSTRAINT,
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        loss: str = "neg",
        n_negatives: int = 5,
        normalization: str | float = "tsne",
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        n_epochs: int = 500,
        metric: Metric = "euclidean",
        metric_params: dict[str, Any] | None = None,
        init: str | NDArray[Any] = "pca",
        random_state: Seed = None,
        n_jobs: int | None = None,
        neighbors: str | tuple[ArrayLike, ArrayLike] | Any = "auto",
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.n_negatives = n_negatives
        self.normalization = normalization
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.neighbors = neighbors
        self.verbose = verbose

    def fit(self, X: Any, y: None = None) -> ContrastiveTSNE:
        """Draw the map of `X`; see `fit_transform` for the parameters.

        Returns
        -------
        self : ContrastiveTSNE
            The fitted estimator.
        """
        self.fit_transform(X)
        return self

    # The metric is checked where it is used.
    @with_plain_numbers
    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: None = None) -> NDArray[np.float32]:
        """Draw the map of `X` and return it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, or with ``metric="precomputed"`` their distances, as `TSNE.fit` takes them.
        y : None
            Ignored.

        Returns
        -------
        embedding : ndarray of float32, shape (n_samples, n_components)
            The map, `embedding_`.
        """
        if self.loss != "neg" and self.normalization != "tsne":
            raise ValueError(
                f"normalization={self.normalization!r} is for loss='neg'; loss='nce' learns the "
                "normalisation and loss='infonce' needs none: leave normalization='tsne'"
            )
        n_threads = effective_n_threads(self.n_jobs)
        random_state = check_random_state(self.random_state)
        samples = checked_samples(self, X)
        parameters = completed(AffinityParameters.of(self), samples)
        joint, start, _ = joint_and_start(
            samples,
            parameters,
            self.n_components,
            random_state,
            n_threads=n_threads,
            verbose=self.verbose,
        )
        assert isinstance(joint, JointProbabilities) and start is not None
        if np.abs(start).max() > LARGEST_COORDINATE:
            raise ValueError(
                "init has values that are too large to be squared in single precision; give "
                "positions of about 1e-4"
            )
        warn_of_wide(samples.init)
        forces = ContrastiveForces(
            *joint,
            self.n_components,
            self.n_negatives,
            -(-_DRAWS // self.n_negatives),
            int(random_state.randint(2**31 - 1)),
            self.loss == "infonce",
            n_threads,
        )
        del joint
        self._descend(forces, start)
        self.placement_ = self._placement(samples, parameters, forces)
        return self.embedding_

    @with_plain_numbers
    def transform(
        self, X: Any, *, perplexity: float | None = None, return_scores: bool = False
    ) -> Any:
        """Place new samples on the map, which does not change.

        Every sample starts at the weighted median of its neighbours on the map and descends on its
        own share of the loss, with the normalisation of the fit (see Notes). Each is placed
        independently: one at a time gives the same bits as a batch. A sample at distance 0 from a
        sample of the fit gets that sample's place. The place of a sample unlike all those of the
        fit means little; scores show such samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_new, n_features)
            Samples, at least one, or with ``metric="precomputed"`` their distances to the samples
            of the fit, as `TSNE.transform` takes them.
        perplexity : float or None, default=None
            Effective number of neighbours that decide where a sample goes. None is that of the
            fit, at most 10.
        return_scores : bool, default=False
            Also return `scores`. Not after ``metric="precomputed"``.

        Returns
        -------
        placed : ndarray of float32, shape (n_new, n_components)
            Places of the samples.
        scores : ndarray of float64, shape (n_new,)
            Distance to the nearest sample of the fit, in units of the distance within which 99 %
            of those have another one.

        Raises
        ------
        NotFittedError
            If there is no map yet.
        ValueError
            If `X` is empty, has NaN or infinity or another number of features than the data of
            the fit, or if `perplexity` is out of range.

        Notes
        -----
        With the p_j of a new sample over its neighbours, and h of the fit, the loss is

            -sum_j p_j log h_j - m / (n - 1) sum_j log(1 - h_j)

        where the second sum is over all points of the map; of more than 4,096, over that many
        drawn once, which stand for all. After ``loss="infonce"``, which has no Z, h has the sum of
        all q on the map. The estimator keeps a reference to the `X` of the fit if that is an array
        of floats, and otherwise a copy; a pickle contains it too.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from fasttsne import ContrastiveTSNE
        >>> X, _ = load_digits(return_X_y=True)
        >>> reducer = ContrastiveTSNE(n_components=5, n_epochs=200, random_state=0).fit(X[:500])
        >>> reducer.transform(X[500:600]).shape
        (100, 5)
        """
        check_is_fitted(self, "embedding_")
        return self.placement_.place(
            self.placement_.checked(X, estimator=self),
            perplexity=perplexity,
            return_scores=return_scores,
            n_threads=effective_n_threads(self.n_jobs),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted map to a file that holds no code; see `TSNE.save`.

        Parameters
        ----------
        path : str or path-like
            The file, which `fasttsne.load` reads.
        """
        saving.save(self, path)

    def _placement(
        self, samples: Samples, parameters: AffinityParameters, forces: ContrastiveForces
    ) -> Placement:
        """Return what places new samples; InfoNCE, which has no Z, takes the sum of all q."""
        z = self.normalization_ or forces.sum_q
        return Placement.of_fit(
            samples,
            self.embedding_,
            parameters,
            odds=self._odds(z, len(self.embedding_)),
            n_negatives=self.n_negatives,
        )

    def _descend(self, forces: ContrastiveForces, embedding: NDArray[np.float32]) -> None:
        n_samples = len(embedding)
        n_pairs = n_samples * (n_samples - 1.0)
        z = self._first_normalization(n_pairs)
        velocity, gains = np.zeros_like(embedding), np.ones_like(embedding)
        forces.set_odds(self._odds(z, n_samples))
        forces.evaluate(embedding, False)
        epoch = reorder_at = 0
        for phase in self._phases(n_samples):
            begin, end = epoch, epoch + phase.n_iter
            while epoch < end:
                if epoch >= reorder_at:
                    # Points that are close on the map are moved close in memory.
                    forces.reorder(embedding, velocity, gains)
                    reorder_at = max(2 * epoch, 1)
                settings = phase.settings((epoch - begin) / phase.n_iter)
                n_iter = min(N_ITER_HELD, end - epoch)
                try:
                    descend(forces, embedding, velocity, gains, n_iter, *settings, False)
                    z = self._next_normalization(z, forces, embedding, n_pairs)
                except DivergedError as error:
                    raise ValueError(
                        f"The map diverged with learning_rate={self.learning_rate} and "
                        f"early_exaggeration={self.early_exaggeration:g}; lower them, and give an"
                        " init array values of about 1e-4"
                    ) from error
                epoch += n_iter
                forces.set_odds(self._odds(z, n_samples))
                if self.verbose >= 2 and epoch % 50 == 0:
                    print(f"[ContrastiveTSNE] Epoch {epoch}: Z = {z:.6g}")
        self.kl_divergence_ = forces.evaluate_kl(embedding)
        self.normalization_ = None if self.loss == "infonce" else z
        self.embedding_ = np.empty_like(embedding)
        self.embedding_[forces.order] = embedding
        if self.verbose:
            print(f"[ContrastiveTSNE] KL divergence after {epoch} epochs: {self.kl_divergence_:f}")

    def _phases(self, n_samples: int) -> list[Phase]:
        automatic = self.learning_rate == "auto"
        rate = float(n_samples if automatic else self.learning_rate)
        early_rate = rate / self.early_exaggeration if automatic else rate
        n_exaggerated = int(_EXAGGERATED * self.n_epochs)
        exaggerated = Settings(early_rate, _MOMENTUM, self.early_exaggeration)
        plain = Settings(rate, _MOMENTUM, 1.0)
        return [
            Phase(n_exaggerated, exaggerated, plain),
            Phase(self.n_epochs - n_exaggerated, plain, Settings(0.0, _MOMENTUM, 1.0)),
        ]

    # ---- Z ---------------------------------------------------------------------------------------

    def _first_normalization(self, n_pairs: float) -> float:
        if self.normalization == "tsne":
            return n_pairs  # where all points are in one place, as nearly at the start
        if self.normalization == "umap":
            return n_pairs / self.n_negatives
        odds = self.n_negatives * float(self.normalization) / n_pairs
        if not _LEAST_ODDS <= odds <= _MOST_ODDS:
            raise ValueError(
                f"normalization={self.normalization!r} is out of proportion; t-SNE's is about 100 "
                "times n_samples, and UMAP's n_samples * (n_samples - 1) / n_negatives is "
                f"{n_pairs / self.n_negatives:.6g}"
            )
        return float(self.normalization)

    def _next_normalization(
        self, z: float, forces: ContrastiveForces, embedding: NDArray[np.float32], n_pairs: float
    ) -> float:
        if self.loss == "infonce" or self.normalization != "tsne":
            return z
        mean_q, mean_h = forces.take_means()
        if self.loss == "neg":
            ratio = mean_q * n_pairs / z
        else:
            # NCE's derivative by log Z is E_p (1 - h) - m E_xi h: 0 where both are alike.
            ratio = self.n_negatives * mean_h / forces.missed(embedding)
        if not 0.0 < ratio < np.inf:
            raise DivergedError(f"the mean of q is {mean_q}")
        return float(z * ratio**_Z_RATE)

    def _odds(self, z: float, n_samples: int) -> float:
        """Return c = m xi Z."""
        odds = self.n_negatives * z / (n_samples * (n_samples - 1.0))
        return float(min(max(odds, _LEAST_ODDS), _MOST_ODDS))

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]  # other dtypes become float32
        return tags
