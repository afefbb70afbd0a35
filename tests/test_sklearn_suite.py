"""scikit-learn's own tests of TSNE, run against ours.

The tests are taken from the installed scikit-learn when this file is collected; nothing is copied.
Each test function that reaches for the global name ``TSNE`` is rebuilt over a copy of its module's
globals in which that name is our class. Code, defaults, parametrisation and marks stay theirs.
"""

import inspect
import types

import numpy as np
import pytest
import sklearn.manifold
from sklearn.utils.estimator_checks import parametrize_with_checks

from fasttsne import TSNE, ContrastiveTSNE

with pytest.MonkeyPatch.context() as patch:
    # Their marks are registered in their configuration, not in ours, which is strict.
    patch.setattr(pytest.mark, "_config", None, raising=False)
    from sklearn.manifold.tests import test_t_sne as theirs

# What we deliberately do otherwise. All are gone, or changed, in later versions of scikit-learn.
DESELECTED = {
    "test_pca_initialization_not_compatible_with_sparse_input": (
        "scikit-learn 1.6 refuses PCA initialisation of sparse X; later versions and ours allow it"
    ),
    "test_tnse_n_iter_deprecated": "n_iter, the old name of max_iter, left in scikit-learn 1.7",
    "test_tnse_n_iter_max_iter_both_set": "see test_tnse_n_iter_deprecated",
}
if "perplexity must be less than n_samples" in (
    theirs.test_tsne_perplexity_validation.__code__.co_consts
):
    DESELECTED["test_tsne_perplexity_validation"] = (
        "later versions tell both numbers in the message, and so do we"
    )


def names_in(code):
    """Every global or attribute name a code object mentions, nested functions included."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names


def reaches(function, name, namespace, seen=()):
    """Whether `function`, or a helper of its module that it calls, mentions the global `name`."""
    mentioned = names_in(function.__code__)
    if name in mentioned:
        return True
    helpers = (namespace.get(other) for other in mentioned - set(seen))
    return any(
        reaches(helper, name, namespace, {*seen, *mentioned})
        for helper in helpers
        if inspect.isfunction(helper) and helper.__module__ == function.__module__
    )


def rebuild(function, namespace):
    """The same function over other globals, marks included."""
    twin = types.FunctionType(
        function.__code__,
        namespace,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__dict__.update(function.__dict__)
    twin.__doc__ = function.__doc__
    twin.__module__ = __name__
    return twin


def adopt(module, **replacements):
    """The tests of `module` that depend on a replaced name, as a dict of rebuilt functions."""
    functions = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }
    namespace = {**vars(module), **replacements}
    twins = {name: rebuild(function, namespace) for name, function in functions.items()}
    namespace.update(twins)
    return {
        name: twin
        for name, twin in twins.items()
        if name.startswith("test")
        and any(reaches(functions[name], replaced, functions) for replaced in replacements)
    }


def allclose_but_for_zero(actual, desired, rtol):
    """For maps: a coordinate that is nearly zero is what forces leave that nearly cancel.

    Of the 60 coordinates of test_bh_match_exact one is a hundredth of the others. It differs by
    1.01e-4 of itself, 1e-6 of the map, where kernels add in another order (baseline x86-64,
    builds with sanitizers), and the test allows 1e-4 of each coordinate.
    """
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=1e-5 * np.abs(desired).max())


adopted = adopt(theirs, TSNE=TSNE)
adopted["test_bh_match_exact"] = adopt(theirs, TSNE=TSNE, assert_allclose=allclose_but_for_zero)[
    "test_bh_match_exact"
]
globals().update({name: test for name, test in adopted.items() if name not in DESELECTED})


def test_the_public_tests_of_scikit_learn_are_adopted_and_those_of_private_functions_are_not():
    tests = {name: test for name, test in vars(theirs).items() if name.startswith("test_")}
    public = {name for name, test in tests.items() if "TSNE(" in inspect.getsource(test)}
    assert len(public) > 25
    assert set(adopted) >= public | {"test_uniform_grid"}  # which calls TSNE in a helper
    assert {"test_binary_search", "test_gradient", "test_trustworthiness"}.isdisjoint(adopted)


def test_an_adopted_test_uses_our_class_and_keeps_its_parametrisation():
    assert all(test.__globals__["TSNE"] is TSNE for test in adopted.values())
    marks = adopted["test_64bit"].pytestmark
    assert sorted(mark.args[0] for mark in marks if mark.name == "parametrize") == ["dt", "method"]


def parameters_of(estimator):
    """The parameters of the constructor, without annotations and without deprecated ones."""
    parameters = inspect.signature(estimator).parameters.values()
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    return [parameter for parameter in parameters if parameter.default != "deprecated"]


def test_the_signature_is_that_of_scikit_learn_and_keywords():
    expected = [
        # In scikit-learn 1.6, which still had n_iter, None stands for 1000.
        p.replace(default=1000) if p.name == "max_iter" and p.default is None else p
        for p in parameters_of(sklearn.manifold.TSNE)
    ]
    ours = parameters_of(TSNE)
    assert ours[: len(expected)] == expected
    extra = ours[len(expected) :]
    assert extra
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in extra)


def test_every_public_attribute_of_scikit_learn_exists():
    public = {name for name in dir(sklearn.manifold.TSNE) if not name.startswith("_")}
    assert public <= set(dir(TSNE))


# Iterations amplify rounding between weights and repeated samples, so maps differ by more than
# these checks allow. tests/affinity/test_weights.py tests what is equal: P, objective, calm maps.
EXPECTED_FAILED_CHECKS = dict.fromkeys(
    [
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ],
    "iterations amplify rounding",
)
estimator_checks = parametrize_with_checks(
    [
        TSNE(perplexity=2),
        TSNE(perplexity=2, method="exact"),
        TSNE(perplexity=2, neighbors="exact"),
        ContrastiveTSNE(perplexity=2, n_epochs=20),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
names, cases = estimator_checks.args


# A list, because scikit-learn 1.6 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(names, list(cases), **estimator_checks.kwargs)
def test_estimator_check(estimator, check):
    check(estimator)
