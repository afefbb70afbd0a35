"""choose_perplexity() against the functions that its figures come from."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from fasttsne import TSNE
from fasttsne.quality import choose_perplexity, kl_divergence, r_nx_auc, reliability


@pytest.fixture(scope="module")
def chosen(digits):
    return choose_perplexity(digits[:300], [30, 5], random_state=0, n_jobs=2)


def test_figures_are_those_of_the_functions(chosen, digits):
    X = digits[:300]
    assert chosen.perplexities == (5.0, 30.0)
    for at, perplexity in enumerate(chosen.perplexities):
        Y = chosen.maps[at]
        assert chosen.figures["r_nx_auc"][at] == r_nx_auc(X, Y)
        alone = reliability(X, Y, perplexity=perplexity, degrees_of_freedom=1.0)
        assert_allclose(chosen.reliability[at].perturbation, alone.perturbation)
        assert_allclose(chosen.figures["jumping"][at], alone.jumps.mean())
        expected = kl_divergence(X, Y, perplexity=perplexity, scale="best")
        assert_allclose(chosen.figures["kl_divergence"][at], expected)
    areas = chosen.figures["r_nx_auc"]
    assert areas[chosen.perplexities.index(chosen.best)] > areas.max() - 0.011


def test_maps_are_those_of_a_fit(digits):
    X = digits[:300]
    tsne = TSNE(random_state=1, n_jobs=2)
    found = choose_perplexity(X, [20], tsne=tsne, sample=50)
    assert_array_equal(found.maps[0], TSNE(perplexity=20.0, random_state=1).fit_transform(X))
    assert tsne.perplexity == 30.0 and isinstance(tsne.neighbors, str)
    assert len(found.reliability[0].rows) == 50


def test_the_table_and_json(chosen):
    lines = repr(chosen).splitlines()
    assert lines[0].split()[:2] == ["perplexity", "R_NX"]
    assert len(lines) == 5
    assert f"{chosen.best:g} *" in repr(chosen)
    assert json.loads(json.dumps(chosen.to_dict()))["perplexity"] == [5.0, 30.0]
    assert chosen._repr_html_().count("<tr>") == 3


def test_candidates_by_default_fit_the_data(digits):
    found = choose_perplexity(digits[:40])
    assert found.perplexities == (5.0, 10.0)
    assert all(np.isfinite(found.figures["r_nx_auc"]))


def test_bad_arguments_are_named(digits):
    X = digits[:40]
    with pytest.raises(ValueError, match="candidates is empty"):
        choose_perplexity(X, [])
    with pytest.raises(ValueError, match="candidates has 20"):
        choose_perplexity(X, [5, 20])
    with pytest.raises(ValueError, match="sample=41"):
        choose_perplexity(X, [5], sample=41)
    for wrong in ("a", [5, "a"], {5}, [1j]):
        with pytest.raises(ValueError, match="candidates must be a sequence of numbers"):
            choose_perplexity(X, wrong)
    for wrong in ("a", TSNE):
        with pytest.raises(TypeError, match=r"tsne must be a fasttsne\.TSNE"):
            choose_perplexity(X, [5], tsne=wrong)
    for wrong in (None, np.array(3.0), 3):
        with pytest.raises(ValueError, match="Expected 2D array"):
            choose_perplexity(wrong, [5])
    with pytest.raises(ValueError, match="at least 4 samples; got 3"):
        choose_perplexity(X[:3])


def test_fits_of_all_pairs_are_judged_too(digits):
    tsne = TSNE(method="exact", max_iter=250, random_state=0)
    found = choose_perplexity(digits[:40], [5, 10], tsne=tsne)
    assert_array_equal(
        found.maps[1], clone(tsne).set_params(perplexity=10).fit_transform(digits[:40])
    )
