"""patch.py: sklearn.manifold.TSNE replaced, in every place, and restored."""

import copy
import importlib.util
import inspect
import logging
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import sklearn
from sklearn import manifold
from sklearn.base import clone
from sklearn.manifold import TSNE as Original
from sklearn.pipeline import make_pipeline

import fasttsne
from fasttsne import patch
from fasttsne.descent.loop import optimize

FAST = {"perplexity": 5, "max_iter": 250, "random_state": 0}


@pytest.fixture(autouse=True)
def unpatched():
    yield
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is Original


@pytest.fixture
def module(monkeypatch):
    """A module that has imported the class, under a name of its own and in a table."""
    module = types.ModuleType("client")
    module.TSNE = module.Mapper = Original
    module.methods = {"t-SNE": Original, "PCA": None}
    monkeypatch.setitem(sys.modules, "client", module)
    return module


@pytest.fixture
def X(digits):
    return digits[:100]


def run(program):
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


# ---- places -------------------------------------------------------------------------------------


def test_every_name_is_replaced_and_restored(module):
    fasttsne.patch_sklearn()
    patched = manifold.TSNE
    assert issubclass(patched, fasttsne.TSNE) and patched.__name__ == "TSNE"
    assert patched is module.TSNE is module.Mapper is module.methods["t-SNE"] is Original
    # "Original" above is a name of this module, and replaced as well.
    fasttsne.unpatch_sklearn()
    assert Original is not patched and Original.__module__ == "sklearn.manifold._t_sne"
    assert Original is manifold.TSNE is module.TSNE is module.Mapper is module.methods["t-SNE"]


def test_names_imported_under_the_patch_are_restored(module):
    with fasttsne.patch_sklearn():
        module.Late = manifold.TSNE
        module.TSNE = None  # changed by the module
    assert module.Late is Original and module.TSNE is None


def test_modules_imported_later_are_added_by_a_second_call(module):
    before = Original
    fasttsne.patch_sklearn()
    module.TSNE = before
    fasttsne.patch_sklearn()
    assert module.TSNE is manifold.TSNE is not before


def test_lazy_modules_stay_unloaded(monkeypatch, tmp_path):
    (tmp_path / "lazy.py").write_text("raise AssertionError('loaded')")
    spec = importlib.util.spec_from_file_location("lazy", tmp_path / "lazy.py")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lazy)
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "no module", object())
    with fasttsne.patch_sklearn():
        assert type(lazy) is not types.ModuleType  # an import would make it one
    assert type(lazy) is not types.ModuleType


# ---- twice, nested, and beside other packages ---------------------------------------------------


def test_patching_twice_and_undoing_twice(module):
    before = Original
    fasttsne.patch_sklearn()
    fasttsne.patch_sklearn()
    module.Late = manifold.TSNE
    with pytest.raises(TypeError, match="theta"):  # scikit-learn's, not a call of itself
        manifold.TSNE(theta=0.1)
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is module.TSNE is module.Late is before
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is module.TSNE is before


def test_a_patch_in_a_patch_ends_alone(small_digits):
    rates = []
    with fasttsne.patch_sklearn():
        patched = manifold.TSNE
        with fasttsne.patch_sklearn(learning_rate="keep"):
            rates.append(patched(learning_rate=20, **FAST).fit(small_digits).learning_rate_)
        assert manifold.TSNE is patched
        rates.append(patched(learning_rate=20, **FAST).fit(small_digits).learning_rate_)
    assert rates == [240, 300]  # after early exaggeration
    assert manifold.TSNE is not patched


def test_a_patch_that_is_used_again_patches_again(small_digits, module):
    def rate():
        return manifold.TSNE(learning_rate=20, **FAST).fit(small_digits).learning_rate_

    before = Original
    used = fasttsne.patch_sklearn(learning_rate="keep")
    for _ in range(2):
        with used:
            assert manifold.TSNE is module.TSNE is patch.TSNE and rate() == 240
        assert manifold.TSNE is module.TSNE is before
    fasttsne.patch_sklearn()
    with used:
        with used, pytest.raises(ZeroDivisionError), used:
            raise ZeroDivisionError
        assert rate() == 240
    assert manifold.TSNE is patch.TSNE and rate() == 300


def test_a_patch_that_was_undone_before_or_in_its_block():
    before = Original
    used = fasttsne.patch_sklearn()
    fasttsne.unpatch_sklearn()
    with used:
        assert manifold.TSNE is patch.TSNE
    assert manifold.TSNE is before
    fasttsne.patch_sklearn(learning_rate="keep")
    with fasttsne.patch_sklearn():
        fasttsne.unpatch_sklearn()
    assert manifold.TSNE is before
    assert not patch.TSNE()._keeps_rate


def test_another_package_was_first_and_is_restored(monkeypatch, module):
    class Accelerated(Original):
        pass

    monkeypatch.setattr(manifold, "TSNE", Accelerated)
    module.Mapper = Accelerated
    before = module.TSNE
    fasttsne.patch_sklearn()
    assert manifold.TSNE is module.Mapper is module.TSNE is patch.TSNE
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is module.Mapper is Accelerated and module.TSNE is before
    monkeypatch.undo()


def test_another_package_came_later_and_stays(monkeypatch):
    fasttsne.patch_sklearn()

    class Accelerated:
        pass

    manifold.TSNE = Accelerated
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is Accelerated
    manifold.TSNE = Original


@pytest.mark.parametrize("ours_first", [False, True])
def test_sklearnex(ours_first):
    pytest.importorskip("sklearnex")
    print(
        run(f"""
import fasttsne, sklearnex
from sklearn import manifold
own = manifold.TSNE
if {ours_first}:
    fasttsne.patch_sklearn()
    sklearnex.patch_sklearn("sklearn.manifold.TSNE", verbose=False)
    theirs = manifold.TSNE
    assert theirs.__module__.startswith("daal4py")
    fasttsne.unpatch_sklearn()
    assert manifold.TSNE is theirs
    sklearnex.unpatch_sklearn()
    fasttsne.unpatch_sklearn()
else:
    sklearnex.patch_sklearn("sklearn.manifold.TSNE", verbose=False)
    theirs = manifold.TSNE
    with fasttsne.patch_sklearn():
        assert isinstance(manifold.TSNE(), fasttsne.TSNE)
    assert manifold.TSNE is theirs
    sklearnex.unpatch_sklearn()
assert manifold.TSNE is own
""")
    )


# ---- the estimator ------------------------------------------------------------------------------


def test_parameters_are_scikit_learns():
    original = inspect.signature(Original).parameters
    defaults = Original().get_params()
    with fasttsne.patch_sklearn():
        ours = inspect.signature(manifold.TSNE).parameters
        assert [*ours] == [name for name in original if name != "n_iter"]
        for name, parameter in ours.items():
            assert parameter.kind == original[name].kind
            if defaults[name] is not None:  # as max_iter in scikit-learn 1.6
                assert parameter.default == original[name].default
        assert manifold.TSNE().get_params().keys() == ours.keys()
        assert repr(manifold.TSNE(perplexity=5)) == "TSNE(perplexity=5)"
        with pytest.raises(TypeError):
            manifold.TSNE(2, 30.0)


def test_numbers_for_the_learning_rate_are_read_as_auto(X, caplog):
    with fasttsne.patch_sklearn():
        for rate in (1000, np.float32(3.0), 1000):
            tsne = manifold.TSNE(learning_rate=rate, **FAST).fit(X)
            np.testing.assert_array_equal(tsne.embedding_, fasttsne.TSNE(**FAST).fit_transform(X))
            assert tsne.learning_rate is rate and tsne.learning_rate_ == 100
        manifold.TSNE(**FAST).fit(X)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0].startswith("fasttsne reads learning_rate=1000 as 'auto'; ")


def test_numbers_for_the_learning_rate_can_be_kept(X, caplog):
    with fasttsne.patch_sklearn(learning_rate="keep"):
        tsne = manifold.TSNE(learning_rate=5, **FAST)
    # Where it is fitted does not matter.
    Y = pickle.loads(pickle.dumps(tsne)).fit_transform(X)
    np.testing.assert_array_equal(Y, fasttsne.TSNE(learning_rate=5, **FAST).fit_transform(X))
    assert not caplog.records
    with pytest.raises(ValueError, match="learning_rate='number' must be 'auto' or 'keep'"):
        fasttsne.patch_sklearn(learning_rate="number")
    assert manifold.TSNE is Original


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("around", [None, "auto", "keep"])
def test_copies_read_the_learning_rate_as_the_estimator_does(X, tmp_path, kept, around):
    with fasttsne.patch_sklearn(learning_rate="keep" if kept else "auto"):
        tsne = manifold.TSNE(learning_rate=5, **FAST)
    if around is not None:
        fasttsne.patch_sklearn(learning_rate=around)
    copies = {
        "clone": clone(tsne),
        "clone of a clone": clone(clone(tsne)),
        "clone of a pipeline": clone(make_pipeline(tsne))[-1],
        "pickle of a clone": pickle.loads(pickle.dumps(clone(tsne))),
        "copy": copy.deepcopy(tsne),
        "changed": clone(tsne).set_params(learning_rate=7).set_params(learning_rate=5),
    }
    tsne.fit(X).save(tmp_path / "map.npz")
    copies["file"] = fasttsne.load(tmp_path / "map.npz")
    expected = fasttsne.TSNE(learning_rate=5 if kept else "auto", **FAST).fit_transform(X)
    np.testing.assert_array_equal(tsne.embedding_, expected)
    np.testing.assert_array_equal(copies["file"].embedding_, expected)
    for name, copied in copies.items():
        np.testing.assert_array_equal(copied.fit_transform(X), expected, err_msg=name)
        assert name == "file" or copied.get_params() == tsne.get_params()
    assert not hasattr(clone(tsne), "embedding_")
    # An estimator made of the parameters is a new one.
    assert type(tsne)(**tsne.get_params())._keeps_rate == (around == "keep")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": -1.0}, "The 'learning_rate' parameter of TSNE must be"),
        ({"learning_rate": np.inf}, "The 'learning_rate' parameter of TSNE must be"),
        ({"learning_rate": "keep"}, "The 'learning_rate' parameter of TSNE must be"),
        ({"perplexity": 100}, "perplexity.* must be less than n_samples"),
    ],
)
def test_errors_are_scikit_learns(X, parameters, message, caplog):
    with pytest.raises(ValueError, match=message):
        Original(**parameters).fit(X)
    with fasttsne.patch_sklearn(), pytest.raises(ValueError, match=message):
        manifold.TSNE(**parameters).fit(X)
    assert "scikit-learn draws this map" not in caplog.text


def test_parameters_that_are_not_ours_go_to_the_class_that_was_there(monkeypatch):
    class Accelerated(Original):
        def __init__(self, n_components=2, *, theta=0.5):
            super().__init__(n_components)
            self.theta = theta

    with pytest.raises(TypeError), fasttsne.patch_sklearn():
        manifold.TSNE(theta=0.1)
    monkeypatch.setattr(manifold, "TSNE", Accelerated)
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(3, theta=0.1)
        assert type(clone(tsne)) is Accelerated and (tsne.n_components, tsne.theta) == (3, 0.1)
        assert type(manifold.TSNE(3)) is patch.TSNE
    monkeypatch.undo()


def test_metrics_that_fasttsne_refuses_go_to_scikit_learn(caplog):
    X = np.random.default_rng(0).normal(size=(60, 8))
    given = {"metric": "braycurtis", **FAST}
    expected = Original(**given).fit_transform(X)
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(**given)
        np.testing.assert_array_equal(tsne.fit_transform(X), expected)
        with pytest.raises(AttributeError):
            tsne.transform(X)
        assert "takes no negative values in X" in caplog.text
        assert manifold.TSNE(**given).fit(np.abs(X)).transform(np.abs(X)).shape == (60, 2)


def test_fitted_estimators_are_ours(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X[:, 20:24], columns=list("abcd"))
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(**FAST).fit(frame)
        assert tsne.feature_names_in_.tolist() == list("abcd")
        placed = tsne.transform(frame[:3])
        np.testing.assert_array_equal(placed, tsne.embedding_[:3])
        tsne.fit(X)  # without names
        assert not hasattr(tsne, "feature_names_in_") and tsne.n_features_in_ == X.shape[1]
        kept = tsne.embedding_
        with pytest.raises(ValueError, match="NaN"):
            tsne.fit(np.full((30, 2), np.nan))
        assert tsne.embedding_ is kept
        piped = make_pipeline(manifold.TSNE(**FAST)).set_output(transform="pandas")
        assert piped.fit_transform(X).columns.tolist() == ["tsne0", "tsne1"]
        with sklearn.config_context(transform_output="pandas"):
            assert manifold.TSNE(**FAST).fit_transform(X).shape == (100, 2)


def test_maps_grow_at_the_rate_that_is_read(X):
    expected = fasttsne.TSNE(**FAST).fit(X[:80]).update(X[80:])
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(learning_rate=1000, **FAST).fit(X[:80]).update(X[80:])
    assert tsne.learning_rate == 1000
    np.testing.assert_array_equal(tsne.embedding_, expected.embedding_)


def test_a_subclass_of_the_patched_class(X):
    with fasttsne.patch_sklearn():

        class Mine(manifold.TSNE):
            def __init__(self, extra=1, perplexity=5):
                super().__init__(perplexity=perplexity, max_iter=250, random_state=0)
                self.extra = extra

        mine = clone(Mine(extra=3))
        expected = manifold.TSNE(**FAST).fit_transform(X)
    np.testing.assert_array_equal(mine.fit_transform(X), expected)
    assert mine.extra == 3


def test_ctrl_c_keeps_the_map(X, monkeypatch):
    def interrupted(forces, descent, *args, **options):
        optimize(forces, descent, *args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("fasttsne.tsne.optimize", interrupted)
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(**FAST)
        with pytest.raises(KeyboardInterrupt):
            tsne.fit(X)
    assert tsne.embedding_.shape == (100, 2)


# ---- pickles ------------------------------------------------------------------------------------


def test_pickles_load_without_the_patch(X, tmp_path):
    with fasttsne.patch_sklearn():
        tsne = manifold.TSNE(learning_rate=200.0, **FAST).fit(X)
        content = pickle.dumps(tsne)
    np.testing.assert_array_equal(pickle.loads(content).embedding_, tsne.embedding_)
    (tmp_path / "tsne.pickle").write_bytes(content)
    printed = run(f"""
import pickle
with open({str(tmp_path / "tsne.pickle")!r}, "rb") as file:
    tsne = pickle.load(file)
print(tsne, tsne.transform(tsne.placement_.X[:2]).shape)
from sklearn.manifold import TSNE
print(TSNE.__module__)
""")
    assert "learning_rate=200.0" in printed and "(2, 2)" in printed
    assert printed.endswith("sklearn.manifold._t_sne\n")


def test_estimators_of_scikit_learn_keep_their_class_under_the_patch():
    before = Original(perplexity=7)
    with fasttsne.patch_sklearn():
        for copied in (pickle.loads(pickle.dumps(before)), copy.deepcopy(before), clone(before)):
            assert type(copied) is type(before) and copied.perplexity == 7
