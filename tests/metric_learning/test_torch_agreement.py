"""Every loss of metric_learning against torch: the same formula there, and its autograd."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne.metric_learning import distances, losses, sampling
from fasttsne.metric_learning import learning_to_rank as to_rank

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(14, 4))
LABELS = np.arange(14) % 4
SAME = torch.tensor(LABELS[:, None] == LABELS)
OTHER = ~torch.eye(14, dtype=torch.bool)
POSITIVE, NEGATIVE = SAME & OTHER, ~SAME


def assert_agreement(ours, theirs, *inputs):
    """Value and gradients by all inputs are those of autograd."""
    leaves = [torch.tensor(np.asarray(array, dtype=float), requires_grad=True) for array in inputs]
    expected = theirs(*leaves)
    expected.backward()
    value, gradients = ours(*inputs)
    assert value == pytest.approx(expected.item(), rel=1e-11)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for gradient, leaf in zip(gradients, leaves, strict=True):
        scale = leaf.grad.abs().max().item()
        assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-8, atol=1e-10 * max(scale, 1.0))


def pairwise(x, squared=False):
    """Distances; among those of a sample to itself, where the root has no slope, a constant."""
    square = ((x[:, None] - x[None]) ** 2).sum(dim=2)
    if squared:
        return square
    return torch.where(OTHER, torch.where(OTHER, square, 1.0).sqrt(), 0.0)


def cosines(x, y):
    return functional.normalize(x, dim=1) @ functional.normalize(y, dim=1).T


def log_sum(values, chosen):
    return torch.where(chosen, values, -torch.inf).logsumexp(dim=1)


# Pairs and triplets ------------------------------------------------------------------


@pytest.mark.parametrize("squared", [True, False])
def test_contrastive_loss(squared):
    def theirs(x):
        d = pairwise(x)
        short = functional.relu(1.5 - d)
        if squared:
            d, short = 0.5 * pairwise(x, squared=True), 0.5 * short**2
        upper = torch.ones(14, 14, dtype=torch.bool).triu(1)
        return torch.where(SAME, d, short)[upper].mean()

    assert_agreement(
        lambda x: losses.contrastive_loss(x, LABELS, margin=1.5, squared=squared), theirs, X
    )


def test_cosine_embedding_loss_is_the_contrastive_loss_of_similar_units():
    # 1/2 |u - v|^2 = 1 - cos of vectors of length 1.
    pairs = np.array([(0, 4), (3, 9), (5, 2)])
    module = torch.nn.CosineEmbeddingLoss()

    def ours(x):
        units, lengths = distances.normalized(x)
        similar = np.column_stack([pairs, np.zeros(3, dtype=int)])
        value, gradient = losses.contrastive_loss(units, pairs=similar)
        return value, distances.through_normalized(gradient, units, lengths)

    assert_agreement(ours, lambda x: module(x[pairs[:, 0]], x[pairs[:, 1]], torch.ones(3)), X)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_triplet_margin_loss(reduction):
    triplets = np.array([(0, 4, 1), (0, 8, 3), (5, 1, 2), (13, 5, 0)])
    module = torch.nn.TripletMarginLoss(margin=1.0, eps=0.0, reduction=reduction)
    assert_agreement(
        lambda x: losses.triplet_loss(x, triplets=triplets, reduction=reduction),
        lambda x: module(*(x[triplets[:, column]] for column in range(3))),
        X,
    )


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("mining", ["all", "semihard"])
def test_triplet_loss_of_classes(mining, squared):
    def theirs(x):
        d = pairwise(x, squared)
        ahead = d[:, None, :] - d[:, :, None]
        counts = POSITIVE[:, :, None] & NEGATIVE[:, None, :]
        if mining == "semihard":
            counts = counts & (ahead > 0) & (ahead < 1.0)
        return functional.relu(1.0 - ahead)[counts].mean()

    assert_agreement(
        lambda x: losses.triplet_loss(x, LABELS, mining=mining, squared=squared, reduction="mean"),
        theirs,
        X,
    )


@pytest.mark.parametrize("squared", [True, False])
def test_triplet_loss_of_the_hardest(squared):
    def theirs(x):
        d = pairwise(x, squared)
        farthest = torch.where(POSITIVE, d, -torch.inf).amax(dim=1)
        nearest = torch.where(NEGATIVE, d, torch.inf).amin(dim=1)
        return functional.relu(farthest - nearest + 1.0).mean()

    assert_agreement(
        lambda x: losses.triplet_loss(x, LABELS, mining="hard", squared=squared, reduction="mean"),
        theirs,
        X,
    )


def test_lifted_structure_loss():
    def theirs(x):
        d = pairwise(x)
        sums = torch.where(NEGATIVE, 1.0 - d, -torch.inf).logsumexp(dim=1)
        j = torch.logaddexp(sums[:, None], sums[None]) + d
        return 0.5 * (functional.relu(j) ** 2)[POSITIVE.triu()].mean()

    assert_agreement(lambda x: losses.lifted_structure_loss(x, LABELS), theirs, X)


def test_multi_similarity_loss():
    def theirs(x):
        excess = cosines(x, x) - 0.5
        near = torch.where(POSITIVE, -2.0 * excess, -torch.inf).exp().sum(dim=1)
        far = torch.where(NEGATIVE, 10.0 * excess, -torch.inf).exp().sum(dim=1)
        return (near.log1p() / 2.0 + far.log1p() / 10.0).mean()

    assert_agreement(lambda x: losses.multi_similarity_loss(x, LABELS, beta=10.0), theirs, X)


# Softmaxes ---------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy(reduction):
    assert_agreement(
        lambda s: losses.softmax_loss(s, LABELS, reduction=reduction),
        lambda s: functional.cross_entropy(s, torch.tensor(LABELS), reduction=reduction),
        5 * X,
    )


def test_n_pair_loss():
    def theirs(a, p):
        products = a @ p.T
        rest = ~torch.eye(7, dtype=torch.bool)
        behind = torch.where(rest, products - products.diagonal()[:, None], -torch.inf)
        return behind.exp().sum(dim=1).log1p().mean()

    assert_agreement(losses.n_pair_loss, theirs, X[:7], X[7:])


@pytest.mark.parametrize("normalize", [True, False])
def test_info_nce_loss(normalize):
    def theirs(q, k):
        s = cosines(q, k) if normalize else q @ k.T
        return functional.cross_entropy(s / 0.3, torch.arange(5))

    assert_agreement(
        lambda q, k: losses.info_nce_loss(q, k, temperature=0.3, normalize=normalize),
        theirs,
        X[:5],
        X[5:],
    )


def test_nt_xent_loss():
    pairs = np.array([(0, 5), (3, 2), (7, 8), (1, 5)])
    members, partners = np.concatenate([pairs, pairs[:, ::-1]]).T.copy()

    def theirs(x):
        s = torch.where(OTHER, cosines(x, x) / 0.5, -torch.inf)
        return functional.cross_entropy(s[members], torch.tensor(partners))

    assert_agreement(lambda x: losses.nt_xent_loss(x, pairs, temperature=0.5), theirs, X)


def test_supervised_contrastive_loss():
    def theirs(x):
        s = cosines(x, x) / 0.3
        log_shares = s - log_sum(s, OTHER)[:, None]
        return -(torch.where(POSITIVE, log_shares, 0.0).sum(dim=1) / POSITIVE.sum(dim=1)).mean()

    assert_agreement(
        lambda x: losses.supervised_contrastive_loss(x, LABELS, temperature=0.3), theirs, X
    )


@pytest.mark.parametrize("include_positive", [True, False])
def test_proxy_loss(include_positive):
    own = functional.one_hot(torch.tensor(LABELS)).bool()

    def theirs(x, p):
        x, p = functional.normalize(x, dim=1), functional.normalize(p, dim=1)
        s = -((x[:, None] - p[None]) ** 2).sum(dim=2)
        return (log_sum(s, ~own | include_positive) - s[own]).mean()

    assert_agreement(
        lambda x, p: losses.proxy_loss(x, LABELS, p, include_positive=include_positive),
        theirs,
        X,
        RNG.normal(size=(4, 4)),
    )


# Samples -----------------------------------------------------------------------------

LOG_Q = np.log(RNG.dirichlet(np.ones(9)))
TARGET, DRAWN = RNG.integers(0, 9, size=5), RNG.integers(0, 9, size=(5, 6))
SCORES = RNG.normal(size=(5, 9))
RIGHT, WRONG = SCORES[np.arange(5), TARGET], np.take_along_axis(SCORES, DRAWN, axis=1)
RIGHT_NOISE, WRONG_NOISE = LOG_Q[TARGET], LOG_Q[DRAWN]


def test_negative_sampling_loss():
    def theirs(v, u, noise):
        right, wrong = (v * u).sum(dim=1), (noise @ v[:, :, None])[..., 0]
        return -(functional.logsigmoid(right) + functional.logsigmoid(-wrong).sum(dim=1)).mean()

    arrays = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(3, 5, 4))
    assert_agreement(sampling.negative_sampling_loss, theirs, *arrays)


@pytest.mark.parametrize("log_z", [0.4, RNG.normal(size=5)], ids=["one", "one a sample"])
def test_nce_loss(log_z):
    def theirs(right, wrong, log_z):
        shift = log_z.expand(5)
        odds = right - shift - torch.tensor(RIGHT_NOISE) - np.log(6)
        noise_odds = wrong - shift[:, None] - torch.tensor(WRONG_NOISE) - np.log(6)
        losses = functional.binary_cross_entropy_with_logits
        right_part = losses(odds, torch.ones_like(odds), reduction="sum")
        return (right_part + losses(noise_odds, torch.zeros_like(wrong), reduction="sum")) / 5

    assert_agreement(
        lambda r, w, z: sampling.nce_loss(r, w, RIGHT_NOISE, WRONG_NOISE, log_z=z),
        theirs,
        RIGHT,
        WRONG,
        log_z,
    )


@pytest.mark.parametrize("leave_out", [False, True])
def test_sampled_softmax_loss(leave_out):
    hits = (TARGET[:, None] == DRAWN) & leave_out
    assert hits.any() == leave_out

    def theirs(right, wrong):
        wrong = torch.where(torch.tensor(hits), -torch.inf, wrong - torch.tensor(WRONG_NOISE))
        logits = torch.column_stack([right - torch.tensor(RIGHT_NOISE), wrong]) - np.log(6)
        return functional.cross_entropy(logits, torch.zeros(5, dtype=torch.int64))

    assert_agreement(
        lambda r, w: sampling.sampled_softmax_loss(
            r, w, RIGHT_NOISE, WRONG_NOISE, is_target=hits if leave_out else None
        ),
        theirs,
        RIGHT,
        WRONG,
    )


# Rankings ----------------------------------------------------------------------------

SIZES = [3, 1, 6, 4]
DOCUMENTS = RNG.normal(size=14)
RELEVANCE = np.concatenate([[0, 2, 1], [1], [0, 4, 1, 1, 3, 0], [2, 0, 0, 1]])


def assert_ranking_agreement(name, theirs, **params):
    """`theirs` is the sum of a query with scores s and relevance y."""

    def total(scores):
        queries = zip(scores.split(SIZES), torch.tensor(RELEVANCE).split(SIZES), strict=True)
        return sum(theirs(s, y) for s, y in queries)

    loss = getattr(to_rank, f"{name}_loss")
    assert_agreement(
        lambda s: loss(s, RELEVANCE, SIZES, reduction="sum", **params), total, DOCUMENTS
    )


def better(y):
    return y[:, None] > y[None]


def gains_of(y):
    """Exponential gains over the ideal DCG, and the discounts."""
    gains = 2.0 ** y.double() - 1.0
    discounts = 1.0 / torch.log2(torch.arange(2, len(y) + 2).double())
    best = gains.sort(descending=True).values @ discounts
    return gains / best.clamp(min=1e-300), discounts


def test_squared_loss():
    assert_ranking_agreement(
        "squared", lambda s, y: functional.mse_loss(s, y.double(), reduction="sum")
    )


def test_logistic_loss():
    cross_entropy = functional.binary_cross_entropy_with_logits
    assert_ranking_agreement(
        "logistic", lambda s, y: cross_entropy(s, (y > 0).double(), reduction="sum")
    )


def test_ordinal_loss():
    def theirs(scores, thresholds):
        above = torch.arange(4) < torch.tensor(RELEVANCE)[:, None]
        return functional.binary_cross_entropy_with_logits(
            scores[:, None] - thresholds, above.double(), reduction="sum"
        )

    assert_agreement(
        lambda s, t: to_rank.ordinal_loss(s, RELEVANCE, SIZES, thresholds=t, reduction="sum"),
        theirs,
        DOCUMENTS,
        [-0.4, 0.3, 0.5, 1.6],
    )


def test_hinge_loss():
    def theirs(s, y):
        i, j = torch.nonzero(better(y), as_tuple=True)
        return functional.margin_ranking_loss(
            s[i], s[j], torch.ones(len(i)), margin=0.8, reduction="sum"
        )

    assert_ranking_agreement("hinge", theirs, margin=0.8)


def test_ranknet_loss():
    assert_ranking_agreement(
        "ranknet",
        lambda s, y: functional.softplus(-1.7 * (s[:, None] - s[None]))[better(y)].sum(),
        sigma=1.7,
    )


@pytest.mark.parametrize("k", [None, 2])
def test_lambdarank_loss(k):
    def theirs(s, y):
        gains, discounts = gains_of(y)
        best = 1.0
        if k is not None:  # the ideal DCG of the first k alone
            discounts = torch.where(torch.arange(len(y)) < k, discounts, 0.0)
            best = (gains.sort(descending=True).values @ discounts).clamp(min=1e-300)
        by_document = torch.empty_like(discounts)
        by_document[s.detach().argsort(descending=True)] = discounts
        swaps = ((gains[:, None] - gains) * (by_document[:, None] - by_document)).abs() / best
        return (swaps * functional.softplus(-(s[:, None] - s[None])))[better(y)].sum()

    assert_ranking_agreement("lambdarank", theirs, k=k)


def test_listnet_loss():
    assert_ranking_agreement(
        "listnet",
        lambda s, y: functional.cross_entropy(
            s[None], y.double().softmax(dim=0)[None], reduction="sum"
        ),
    )


def test_listmle_loss():
    def theirs(s, y):
        ranked = s[torch.argsort(y, descending=True, stable=True)]
        return (ranked.flip(0).logcumsumexp(dim=0).flip(0) - ranked).sum()

    assert_ranking_agreement("listmle", theirs)


def test_approx_ndcg_loss():
    def theirs(s, y):
        gains, _ = gains_of(y)
        ranks = 0.5 + torch.sigmoid(3.0 * (s[None] - s[:, None])).sum(dim=1)
        return -(gains / torch.log2(1.0 + ranks)).sum()

    assert_ranking_agreement("approx_ndcg", theirs, alpha=3.0)


def test_soft_rank_loss():
    def theirs(s, y):
        gains, discounts = gains_of(y)
        total = torch.zeros((), dtype=torch.float64)
        for j in range(len(s)):
            ranks = torch.eye(len(s), dtype=torch.float64)[0]
            for i in (i for i in range(len(s)) if i != j):
                ahead = torch.special.ndtr((s[i] - s[j]) / (0.6 * np.sqrt(2.0)))
                ranks = (1.0 - ahead) * ranks + ahead * functional.pad(ranks[:-1], (1, 0))
            total = total - gains[j] * (ranks @ discounts)
        return total

    assert_ranking_agreement("soft_rank", theirs, sigma=0.6)
