"""Losses of metric_learning that torch has as well: values, and gradients by its autograd."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne.metric_learning import distances, learning_to_rank, losses

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(14, 4))
LABELS = np.arange(14) % 4


def assert_agreement(ours, theirs, x):
    leaf = torch.tensor(x, requires_grad=True)
    expected = theirs(leaf)
    expected.backward()
    value, gradient = ours(x)
    assert value == pytest.approx(expected.item(), rel=1e-11)
    scale = leaf.grad.abs().max().item()
    assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-8, atol=1e-10 * max(scale, 1.0))


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


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy(reduction):
    assert_agreement(
        lambda s: losses.softmax_loss(s, LABELS, reduction=reduction),
        lambda s: functional.cross_entropy(s, torch.tensor(LABELS), reduction=reduction),
        5 * X,
    )


# Rankings: each is the sum of a query with scores s and relevance y ------------------


def better(y):
    return y[:, None] > y[None]


def hinge(s, y):
    i, j = torch.nonzero(better(y), as_tuple=True)
    target = torch.ones(len(i))
    return functional.margin_ranking_loss(s[i], s[j], target, margin=0.8, reduction="sum")


def approx_ndcg(s, y):
    gains = 2.0 ** y.double() - 1.0
    discounts = 1.0 / torch.log2(torch.arange(2, len(y) + 2).double())
    best = gains.sort(descending=True).values @ discounts
    ranks = 0.5 + torch.sigmoid(3.0 * (s[None] - s[:, None])).sum(dim=1)
    return -(gains / best.clamp(min=1e-300) / torch.log2(1.0 + ranks)).sum()


RANKINGS = {
    "squared": (lambda s, y: functional.mse_loss(s, y.double(), reduction="sum"), {}),
    "logistic": (
        lambda s, y: functional.binary_cross_entropy_with_logits(
            s, (y > 0).double(), reduction="sum"
        ),
        {},
    ),
    "hinge": (hinge, {"margin": 0.8}),
    "ranknet": (
        lambda s, y: functional.softplus(-1.7 * (s[:, None] - s[None]))[better(y)].sum(),
        {"sigma": 1.7},
    ),
    "listnet": (
        lambda s, y: functional.cross_entropy(
            s[None], y.double().softmax(dim=0)[None], reduction="sum"
        ),
        {},
    ),
    "approx_ndcg": (approx_ndcg, {"alpha": 3.0}),
}


@pytest.mark.parametrize("name", RANKINGS)
def test_ranking_losses(name):
    theirs, params = RANKINGS[name]
    sizes = [3, 1, 6, 4]
    relevance = np.concatenate([[0, 2, 1], [1], [0, 4, 1, 1, 3, 0], [2, 0, 0, 1]])

    def total(scores):
        queries = zip(scores.split(sizes), torch.tensor(relevance).split(sizes), strict=True)
        return sum(theirs(s, y) for s, y in queries)

    loss = getattr(learning_to_rank, f"{name}_loss")
    assert_agreement(
        lambda s: loss(s, relevance, sizes, reduction="sum", **params), total, RNG.normal(size=14)
    )
