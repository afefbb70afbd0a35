"""Losses against torch and pytorch-metric-learning, where conventions match."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne.metric_learning import distances, losses

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
their_losses = importlib.import_module("pytorch_metric_learning.losses")
miners = importlib.import_module("pytorch_metric_learning.miners")
reducers = importlib.import_module("pytorch_metric_learning.reducers")
their_distances = importlib.import_module("pytorch_metric_learning.distances")

X = np.random.default_rng(0).normal(size=(30, 4))
LABELS = np.arange(30) % 5
PLAIN = {"distance": their_distances.LpDistance(normalize_embeddings=False)}
COSINES = {"distance": their_distances.CosineSimilarity()}
PRODUCTS = {"distance": their_distances.DotProductSimilarity(normalize_embeddings=False)}
# Another reading of the rows: two samples of each of 15 classes, and the classes one by one.
HALVES, TWINS = np.arange(30) % 15, np.repeat(np.arange(15), 2)


def assert_agreement(ours, theirs):
    """Value and gradient of X, by autograd there."""
    leaf = torch.tensor(X, requires_grad=True)
    expected = theirs(leaf)
    expected.backward()
    value, gradient = ours(X)
    assert value == pytest.approx(expected.item(), rel=1e-9)
    assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-6, atol=1e-9)


def twice_contrastive(x):
    params = {"margin": 1.5, "squared": False, "reduction": "sum"}
    return tuple(2.0 * part for part in losses.contrastive_loss(x, LABELS, **params))


def n_pair(x):
    value, (by_anchors, by_positives) = losses.n_pair_loss(x[::2], x[1::2])
    return value, np.stack([by_anchors, by_positives], axis=1).reshape(30, 4)


@pytest.mark.parametrize(
    ("ours", "theirs", "labels"),
    [
        (
            lambda x: losses.nt_xent_loss(x, [(i, i + 15) for i in range(15)], temperature=0.4),
            their_losses.NTXentLoss(temperature=0.4, **COSINES),
            HALVES,
        ),
        (
            lambda x: losses.supervised_contrastive_loss(x, LABELS, temperature=0.3),
            their_losses.SupConLoss(temperature=0.3, **COSINES),
            LABELS,
        ),
        (
            lambda x: losses.multi_similarity_loss(x, LABELS, beta=10.0),
            their_losses.MultiSimilarityLoss(alpha=2.0, beta=10.0, base=0.5),
            LABELS,
        ),
        (
            lambda x: losses.lifted_structure_loss(x, LABELS),
            their_losses.LiftedStructureLoss(neg_margin=1.0, pos_margin=0.0, **PLAIN),
            LABELS,
        ),
        (n_pair, their_losses.NPairsLoss(**PRODUCTS), TWINS),
        (
            twice_contrastive,  # every pair twice there, as its members trade places
            their_losses.ContrastiveLoss(neg_margin=1.5, reducer=reducers.SumReducer(), **PLAIN),
            LABELS,
        ),
    ],
)
def test_losses_of_pytorch_metric_learning(ours, theirs, labels):
    assert_agreement(ours, lambda x: theirs(x, torch.tensor(labels)))


@pytest.mark.parametrize(
    ("mining", "miner"),
    [
        ("all", lambda x, y: None),
        ("semihard", miners.TripletMarginMiner(margin=0.5, type_of_triplets="semihard", **PLAIN)),
        ("hard", miners.BatchHardMiner(**PLAIN)),
    ],
)
def test_triplet_loss(mining, miner):
    theirs, classes = their_losses.TripletMarginLoss(margin=0.5, **PLAIN), torch.tensor(LABELS)
    assert_agreement(
        lambda x: losses.triplet_loss(x, LABELS, margin=0.5, mining=mining),
        lambda x: theirs(x, classes, miner(x, classes)),
    )


def test_proxy_loss():
    theirs = their_losses.ProxyNCALoss(5, 4, softmax_scale=1.0).double()
    proxies = theirs.proxies.detach().numpy().copy()
    value, (by_X, by_proxies) = losses.proxy_loss(X, LABELS, proxies, include_positive=True)
    assert_agreement(lambda x: (value, by_X), lambda x: theirs(x, torch.tensor(LABELS)))
    assert_allclose(by_proxies, theirs.proxies.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_cosine_embedding_loss_is_the_contrastive_loss_of_similar_units():
    # 1/2 |u - v|^2 = 1 - cos of vectors of length 1.
    pairs = np.array([(0, 4), (3, 9), (5, 2)])
    module = torch.nn.CosineEmbeddingLoss()

    def ours(x):
        units, lengths = distances.normalized(x)
        similar = np.column_stack([pairs, np.zeros(3, dtype=int)])
        value, gradient = losses.contrastive_loss(units, pairs=similar)
        return value, distances.through_normalized(gradient, units, lengths)

    assert_agreement(ours, lambda x: module(x[pairs[:, 0]], x[pairs[:, 1]], torch.ones(3)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_triplet_margin_loss_and_cross_entropy(reduction):
    triplets = np.array([(0, 4, 1), (0, 8, 3), (5, 1, 2), (13, 5, 0)])
    module = torch.nn.TripletMarginLoss(margin=1.0, eps=0.0, reduction=reduction)
    assert_agreement(
        lambda x: losses.triplet_loss(x, triplets=triplets, reduction=reduction),
        lambda x: module(*(x[triplets[:, column]] for column in range(3))),
    )
    target, module = LABELS % 4, torch.nn.CrossEntropyLoss(reduction=reduction)
    assert_agreement(
        lambda s: losses.softmax_loss(s, target, reduction=reduction),
        lambda s: module(s, torch.tensor(target)),
    )
