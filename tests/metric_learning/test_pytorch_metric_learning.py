"""Losses and miners against those of pytorch-metric-learning, where conventions match."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fasttsne.metric_learning import losses, mining

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
their_losses = importlib.import_module("pytorch_metric_learning.losses")
miners = importlib.import_module("pytorch_metric_learning.miners")
reducers = importlib.import_module("pytorch_metric_learning.reducers")
their_distances = importlib.import_module("pytorch_metric_learning.distances")

X = np.random.default_rng(0).normal(size=(30, 4))
LABELS = np.arange(30) % 5
PLAIN = {"distance": their_distances.LpDistance(normalize_embeddings=False)}


def assert_agreement(ours, theirs, X=X, labels=LABELS, mined=None, factor=1.0):
    """Value and gradient, `theirs` being a module that takes embeddings and labels."""
    leaf, classes = torch.tensor(X, requires_grad=True), torch.tensor(labels)
    triplets = mined(leaf, classes) if mined is not None else None
    expected = theirs(leaf, classes, triplets)
    expected.backward()
    value, gradient = ours(X)
    assert factor * value == pytest.approx(expected.item(), rel=1e-9)
    assert_allclose(factor * gradient, leaf.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_contrastive_loss():
    # Every pair twice there, as its members trade places.
    assert_agreement(
        lambda x: losses.contrastive_loss(x, LABELS, margin=1.5, squared=False, reduction="sum"),
        their_losses.ContrastiveLoss(neg_margin=1.5, reducer=reducers.SumReducer(), **PLAIN),
        factor=2.0,
    )


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_triplet_loss(mining):
    mined = {
        "all": None,
        "semihard": miners.TripletMarginMiner(margin=0.5, type_of_triplets="semihard", **PLAIN),
        "hard": miners.BatchHardMiner(**PLAIN),
    }[mining]
    assert_agreement(
        lambda x: losses.triplet_loss(x, LABELS, margin=0.5, mining=mining),
        their_losses.TripletMarginLoss(margin=0.5, **PLAIN),
        mined=mined,
    )


def test_hard_triplets():
    found = miners.BatchHardMiner(**PLAIN)(torch.tensor(X), torch.tensor(LABELS))
    expected = np.column_stack([column.numpy() for column in found])
    actual = mining.mine_triplets(X, LABELS, strategy="hard")
    assert_allclose(actual, expected[np.argsort(expected[:, 0])])


def test_nt_xent_loss():
    labels = np.arange(30) % 15  # two of each: the partner is the only positive
    assert_agreement(
        lambda x: losses.nt_xent_loss(x, [(i, i + 15) for i in range(15)], temperature=0.4),
        their_losses.NTXentLoss(temperature=0.4, distance=their_distances.CosineSimilarity()),
        labels=labels,
    )


def test_supervised_contrastive_loss():
    assert_agreement(
        lambda x: losses.supervised_contrastive_loss(x, LABELS, temperature=0.3),
        their_losses.SupConLoss(temperature=0.3, distance=their_distances.CosineSimilarity()),
    )


def test_multi_similarity_loss():
    assert_agreement(
        lambda x: losses.multi_similarity_loss(x, LABELS, beta=10.0),
        their_losses.MultiSimilarityLoss(alpha=2.0, beta=10.0, base=0.5),
    )


def test_lifted_structure_loss():
    assert_agreement(
        lambda x: losses.lifted_structure_loss(x, LABELS),
        their_losses.LiftedStructureLoss(neg_margin=1.0, pos_margin=0.0, **PLAIN),
    )


def test_n_pair_loss():
    # Rows that are the anchors and positives of five classes, one after the other.
    labels = np.repeat(np.arange(5), 2)

    def ours(x):
        value, (by_anchors, by_positives) = losses.n_pair_loss(x[::2], x[1::2])
        return value, np.stack([by_anchors, by_positives], axis=1).reshape(10, 4)

    assert_agreement(
        ours,
        their_losses.NPairsLoss(
            distance=their_distances.DotProductSimilarity(normalize_embeddings=False)
        ),
        X=X[:10],
        labels=labels,
    )


def test_proxy_loss():
    theirs = their_losses.ProxyNCALoss(5, 4, softmax_scale=1.0).double()
    proxies = theirs.proxies.detach().numpy().copy()
    assert_agreement(
        lambda x: (lambda value, both: (value, both[0]))(
            *losses.proxy_loss(x, LABELS, proxies, include_positive=True)
        ),
        theirs,
    )
    _, (_, by_proxies) = losses.proxy_loss(X, LABELS, proxies, include_positive=True)
    assert_allclose(by_proxies, theirs.proxies.grad.numpy(), rtol=1e-6, atol=1e-9)
