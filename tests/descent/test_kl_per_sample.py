"""Divergences of single samples."""

import numpy as np
import pytest
from fits import both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference

from fasttsne import TSNE


@both_methods
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_divergences_of_samples_are_those_of_the_definition(digits, method, nu, monkeypatch):
    monkeypatch.setattr("fasttsne.descent.kl_per_sample._EDGES_AT_ONCE", 5000)
    X = digits[:200]
    fitted = fit(X, method=method, degrees_of_freedom=nu, perplexity=66, kl_per_sample=True)
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 66)
    q = reference.q(fitted.embedding_, nu)
    np.fill_diagonal(q, 1.0)
    expected = (P * np.log(np.where(P > 0, P, 1.0) / q)).sum(axis=1)
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-4}[method]
    assert_allclose(fitted.kl_per_sample_, expected, rtol=tolerance, atol=1e-5)
    assert fitted.kl_per_sample_.sum() == pytest.approx(fitted.kl_divergence_, rel=1e-4)
    assert not hasattr(fitted.set_params(kl_per_sample=False).fit(X), "kl_per_sample_")


@both_methods
def test_shares_of_copies_and_of_weights_add_up(digits, method):
    given = {"method": method, "max_iter": 250, "kl_per_sample": True}
    copies = fit(np.vstack([digits[:80], digits[:80]]), **given)
    assert_array_equal(copies.kl_per_sample_[:80], copies.kl_per_sample_[80:])
    weights = np.tile([1.0, 2.0, 3.0, 0.5], 20)
    weighted = TSNE(**copies.get_params()).fit(digits[:80], sample_weight=weights)
    for fitted in (copies, weighted):
        assert fitted.kl_per_sample_.sum() == pytest.approx(fitted.kl_divergence_, rel=1e-3)
