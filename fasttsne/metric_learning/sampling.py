"""Noise distributions, and losses that learn from a few samples of them instead of all classes.

A softmax over a large vocabulary spends its time on the denominator. Negative sampling, noise
contrastive estimation (NCE) and the sampled softmax compute only the right class and a few draws
from a noise distribution q. The last two correct scores by log q, and so approach the full softmax
as the number of draws grows. Negative sampling does not, but still learns good vectors.

Sources, which the functions name by author and year:

- Walker, A. J. (1977). An efficient method for generating discrete random variables with general
  distributions. ACM Transactions on Mathematical Software 3, 253-256.
- Mikolov, T., Sutskever, I., Chen, K., Corrado, G. and Dean, J. (2013). Distributed representations
  of words and phrases and their compositionality. NeurIPS 26, 3111-3119.
- Gutmann, M. and Hyvärinen, A. (2010). Noise-contrastive estimation: a new estimation principle for
  unnormalized statistical models. AISTATS, 297-304.
- Jean, S., Cho, K., Memisevic, R. and Bengio, Y. (2015). On using very large target vocabulary for
  neural machine translation. ACL, 1-10.
- Mnih, A. and Teh, Y. W. (2012). A fast and simple algorithm for training neural probabilistic
  language models. ICML, 1751-1758.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats, Gradient, Indices, Reduction
from fasttsne.metric_learning.losses.softmax import cross_entropy
from fasttsne.runtime.numbers import Count, with_plain_numbers
from fasttsne.runtime.random_state import Seed, check_random_state
from fasttsne.samples.arrays import as_array

__all__ = ["NoiseDistribution", "nce_loss", "negative_sampling_loss", "sampled_softmax_loss"]


class NoiseDistribution:
    """A distribution over classes that draws samples in constant time each.

    It uses an alias table (Walker 1977): a class is drawn evenly; a threshold then decides between
    it and the one other class that shares its place.

    Parameters
    ----------
    weights : array-like of shape (n_classes,)
        Proportional to the probabilities; not negative, and not all 0.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (n_classes,)
        Probabilities of the classes.
    log_probabilities : ndarray of float64, shape (n_classes,)
        Their logarithms; -inf for classes that are never drawn.

    Raises
    ------
    ValueError
        If weights are not a row of finite numbers of at least 0, or all are 0.

    Examples
    --------
    >>> from fasttsne.metric_learning.sampling import NoiseDistribution
    >>> noise = NoiseDistribution([1, 0, 3])
    >>> noise.probabilities
    array([0.25, 0.  , 0.75])
    >>> noise.sample(6, random_state=0).shape
    (6,)
    >>> NoiseDistribution.unigram([16, 1]).probabilities.round(4)
    array([0.8889, 0.1111])
    >>> NoiseDistribution.log_uniform(3).probabilities.round(4)
    array([0.5   , 0.2925, 0.2075])
    """

    def __init__(self, weights: ArrayLike) -> None:
        values = checks.as_numbers(weights, "weights")
        if values.ndim != 1 or not values.size:
            raise ValueError(f"weights must be a row of numbers, got shape {values.shape}")
        if values.min() < 0.0 or values.max() == 0.0:
            raise ValueError("weights must be at least 0, and not all 0")
        values = values / values.max()
        self.probabilities = values / values.sum()
        with np.errstate(divide="ignore"):
            self.log_probabilities = np.log(self.probabilities)
        self._thresholds, self._aliases = _alias_table(self.probabilities)

    @classmethod
    @with_plain_numbers
    def uniform(cls, n_classes: Count) -> NoiseDistribution:
        """Return the distribution that gives all classes the same probability.

        Parameters
        ----------
        n_classes : int
            Number of classes, at least 1.

        Returns
        -------
        noise : NoiseDistribution
            With probabilities of 1 / n_classes.
        """
        return cls(np.ones(n_classes))

    @classmethod
    @with_plain_numbers
    def unigram(cls, counts: ArrayLike, power: float = 0.75) -> NoiseDistribution:
        """Return the distribution proportional to counts^power (Mikolov et al. 2013).

        Parameters
        ----------
        counts : array-like of shape (n_classes,)
            Number of occurrences of each class.
        power : float, default=0.75
            From 0, the same probability for all classes that occur, to 1, their frequencies.

        Returns
        -------
        noise : NoiseDistribution
            Over the classes of `counts`.
        """
        if not 0.0 <= power <= 1.0:
            raise ValueError(f"power={power!r} must be from 0 to 1")
        plain = cls(counts).probabilities
        return cls(np.power(plain, power, where=plain > 0.0, out=np.zeros_like(plain)))

    @classmethod
    @with_plain_numbers
    def log_uniform(cls, n_classes: Count) -> NoiseDistribution:
        """Return Zipf's law for classes sorted by falling frequency.

        Parameters
        ----------
        n_classes : see `uniform`

        Returns
        -------
        noise : NoiseDistribution
            With probabilities log((i + 2) / (i + 1)) / log(n_classes + 1), i from 0.
        """
        return cls(np.log1p(1.0 / np.arange(1.0, n_classes + 1.0)))

    def sample(self, size: int | tuple[int, ...], random_state: Seed = None) -> Indices:
        """Draw classes with replacement.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the sample.
        random_state : int, RandomState, Generator or None, default=None
            Random numbers; an int gives the same sample each time.

        Returns
        -------
        classes : ndarray of int64, shape `size`
            Numbers of classes.
        """
        chance = check_random_state(random_state)
        places = chance.randint(len(self.probabilities), size=size)
        stays = chance.random_sample(size) < self._thresholds[places]
        return np.where(stays, places, self._aliases[places])


def _alias_table(probabilities: Floats) -> tuple[Floats, Indices]:
    """Return thresholds and aliases, (n_classes,) each."""
    # In units in which the mean probability is 1, small classes leave part of their place to large
    # ones. `lacking` is the running sum of what small classes lack, `left_over` of what large ones
    # have above 1. A small class is filled by the first large class whose `left_over` exceeds
    # `before`. A large class that fell below 1 by this is filled by the next large one.
    shares = probabilities * len(probabilities)
    thresholds, aliases = np.ones(len(shares)), np.arange(len(shares))
    small, large = np.flatnonzero(shares < 1.0), np.flatnonzero(shares >= 1.0)
    if not small.size or not large.size:
        return thresholds, aliases
    lacking = np.cumsum(1.0 - shares[small])
    left_over = np.cumsum(shares[large] - 1.0)
    before = lacking - (1.0 - shares[small])
    at_work = np.minimum(np.searchsorted(left_over, before, side="right"), len(large) - 1)
    thresholds[small], aliases[small] = shares[small], large[at_work]
    last = np.searchsorted(lacking, left_over[:-1])
    filled = last < len(small)
    deficit = lacking[np.minimum(last, len(small) - 1)] - left_over[:-1]
    thresholds[large[:-1]] = np.where(filled, np.clip(1.0 - deficit, 0.0, 1.0), 1.0)
    aliases[large[:-1]] = np.where(filled, large[1:], large[:-1])
    return thresholds, aliases


@with_plain_numbers
def negative_sampling_loss(
    inputs: ArrayLike, positives: ArrayLike, negatives: ArrayLike, *, reduction: Reduction = "mean"
) -> tuple[float | Floats, tuple[Gradient, Gradient, Gradient]]:
    """Return the loss of negative sampling, -log s(u_o'v) - sum_k log s(-u_k'v), and gradients.

    s is the logistic function (Mikolov et al. 2013, equation 4).

    Parameters
    ----------
    inputs : array-like of shape (n_samples, n_features)
        Vectors v of the inputs (errors: see `losses.contrastive_loss`).
    positives : array-like of shape (n_samples, n_features)
        Vectors u_o of the classes that occurred with the inputs.
    negatives : array-like of shape (n_samples, n_negatives, n_features)
        Vectors u_k of the classes drawn from the noise.
    reduction : {"mean", "sum", "none"} over samples; see `fasttsne.metric_learning.losses`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_samples,), tuple of ndarray
        In nats. Derivatives by inputs, positives and negatives, in their shapes.

    Examples
    --------
    >>> from fasttsne.metric_learning.sampling import negative_sampling_loss
    >>> loss, _ = negative_sampling_loss([[1.0]], [[1.0]], [[[-1.0], [0.0]]])
    >>> round(loss, 4)
    1.3197
    """
    v, u = checks.as_embeddings(inputs, "inputs"), checks.as_embeddings(positives, "positives")
    noise = checks.as_numbers(negatives, "negatives")
    if u.shape != v.shape or noise.ndim != 3 or noise.shape[::2] != v.shape:
        raise ValueError(
            f"inputs and positives must be (n_samples, n_features), negatives (n_samples, "
            f"n_negatives, n_features); got {v.shape}, {u.shape} and {noise.shape}"
        )
    for name, array in (("inputs", v), ("positives", u), ("negatives", noise)):
        checks.check_squares(array, name)
    right = np.einsum("if,if->i", v, u)
    wrong = np.einsum("ikf,if->ik", noise, v)
    losses = np.logaddexp(0.0, -right) + np.sum(np.logaddexp(0.0, wrong), axis=1)
    loss, count = checks.reduced(losses, reduction)
    scale = 1.0 / count
    by_right, by_wrong = -scale * expit(-right)[:, np.newaxis], scale * expit(wrong)
    by_inputs = by_right * u + np.einsum("ik,ikf->if", by_wrong, noise)
    return loss, (
        checks.same_type(by_inputs, inputs),
        checks.same_type(by_right * v, positives),
        checks.same_type(by_wrong[..., np.newaxis] * v[:, np.newaxis], negatives),
    )


@with_plain_numbers
def nce_loss(
    target_scores: ArrayLike,
    noise_scores: ArrayLike,
    target_log_noise: ArrayLike,
    noise_log_noise: ArrayLike,
    *,
    log_z: ArrayLike = 0.0,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, tuple[Gradient, Gradient, Gradient]]:
    """Return the loss of noise contrastive estimation, and its gradients.

    G = s - log Z - log q - log nu are the log odds that a class comes from the data and not from
    one of nu draws of q. With s(G) the logistic function, the loss is -log s(G) of the target plus
    -log(1 - s(G)) of every draw (Gutmann and Hyvärinen 2010, equation 3, with the opposite sign and
    without the factor). Z is a parameter, not a sum. As nu grows, the gradient by scores approaches
    that of the softmax if log Z is right (Mnih and Teh 2012).

    Parameters
    ----------
    target_scores : array-like of shape (n_samples,)
        Scores s of the right classes (errors: see `losses.contrastive_loss`).
    noise_scores : array-like of shape (n_samples, nu)
        Scores of classes drawn from the noise.
    target_log_noise, noise_log_noise : array-like of shape (n_samples,) and (n_samples, nu)
        log q of the right classes and of the draws, from `NoiseDistribution.log_probabilities`.
    log_z : float, or array-like of shape (n_samples,), default=0.0
        Logarithm of the normalization of the scores, learned with them.
    reduction : {"mean", "sum", "none"} over samples; see `fasttsne.metric_learning.losses`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_samples,), tuple of ndarray
        In nats. Derivatives by `target_scores`, `noise_scores` and `log_z`, in their shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.metric_learning.sampling import nce_loss
    >>> loss, _ = nce_loss([0.0], [[0.0, 0.0]], [np.log(0.5)], [[np.log(0.5), np.log(0.5)]])
    >>> round(loss, 4)
    2.0794
    """
    right, wrong, right_noise, wrong_noise = _scores_and_noise(
        target_scores, noise_scores, target_log_noise, noise_log_noise
    )
    constant = checks.as_numbers(log_z, "log_z")
    if constant.shape not in ((), right.shape):
        raise ValueError(f"log_z must be a number or one per sample, got shape {constant.shape}")
    log_nu = np.log(wrong.shape[1])
    shift = np.broadcast_to(constant, right.shape)
    odds = right - shift - right_noise - log_nu
    noise_odds = wrong - shift[:, np.newaxis] - wrong_noise - log_nu
    losses = np.logaddexp(0.0, -odds) + np.sum(np.logaddexp(0.0, noise_odds), axis=1)
    loss, count = checks.reduced(losses, reduction)
    scale = 1.0 / count
    by_target, by_noise = -scale * expit(-odds), scale * expit(noise_odds)
    by_shift = -(by_target + by_noise.sum(axis=1))
    return loss, (
        checks.same_type(by_target, target_scores),
        checks.same_type(by_noise, noise_scores),
        checks.same_type(by_shift if constant.ndim else np.asarray(by_shift.sum()), log_z),
    )


@with_plain_numbers
def sampled_softmax_loss(
    target_scores: ArrayLike,
    noise_scores: ArrayLike,
    target_log_noise: ArrayLike,
    noise_log_noise: ArrayLike,
    *,
    is_target: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> tuple[float | Floats, tuple[Gradient, Gradient]]:
    """Return the softmax loss over the right class and m draws from the noise, and its gradients.

    The logits are s - log(m q). The correction accounts for how often the noise draws a class
    (Jean et al. 2015, section 3); without it the model would learn its scores less log q.

    Parameters
    ----------
    target_scores, noise_scores, target_log_noise, noise_log_noise : see `nce_loss`
    is_target : array-like of bool, shape (n_samples, m), default=None
        Which draws are the right class by accident; these are left out.
    reduction : {"mean", "sum", "none"} over samples; see `fasttsne.metric_learning.losses`

    Returns
    -------
    loss, gradients : float or ndarray of shape (n_samples,), tuple of ndarray
        In nats. Derivatives by `target_scores` and `noise_scores`, in their shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.metric_learning.sampling import sampled_softmax_loss
    >>> loss, _ = sampled_softmax_loss([1.0], [[0.0]], [np.log(0.5)], [[np.log(0.5)]])
    >>> round(loss, 4)
    0.3133
    """
    right, wrong, right_noise, wrong_noise = _scores_and_noise(
        target_scores, noise_scores, target_log_noise, noise_log_noise
    )
    log_m = np.log(wrong.shape[1])
    logits = np.column_stack([right - right_noise - log_m, wrong - wrong_noise - log_m])
    if is_target is not None:
        hits = as_array(is_target, "is_target")
        if hits.shape != wrong.shape or hits.dtype != bool:
            raise ValueError(f"is_target must be boolean, of shape {wrong.shape}; got {hits.shape}")
        logits[:, 1:][hits] = -np.inf
    losses, by_logits = cross_entropy(logits, np.zeros(len(right), dtype=np.int64))
    loss, count = checks.reduced(losses, reduction)
    by_logits *= 1.0 / count
    return loss, (
        checks.same_type(by_logits[:, 0], target_scores),
        checks.same_type(by_logits[:, 1:], noise_scores),
    )


def _scores_and_noise(*arrays: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the checked scores and log noise of targets and draws."""
    names = ("target_scores", "noise_scores", "target_log_noise", "noise_log_noise")
    right, wrong, right_noise, wrong_noise = (
        checks.as_numbers(array, name) for array, name in zip(arrays, names, strict=True)
    )
    if right.ndim != 1 or not right.size or right_noise.shape != right.shape:
        raise ValueError(
            "target_scores and target_log_noise must be (n_samples,), got "
            f"{right.shape} and {right_noise.shape}"
        )
    fits = wrong.ndim == 2 and len(wrong) == len(right) and wrong.shape[1] > 0
    if not fits or wrong_noise.shape != wrong.shape:
        raise ValueError(
            "noise_scores and noise_log_noise must be (n_samples, n_drawn), at least one drawn; "
            f"got {wrong.shape} and {wrong_noise.shape}"
        )
    return right, wrong, right_noise, wrong_noise
