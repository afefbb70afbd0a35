"""TSNE.save and load: a fitted map in a file without code, and files that are not such a map."""

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances

import fasttsne
from fasttsne import TSNE, ContrastiveTSNE
from fasttsne.neighbors import NeighborsTransformer
from fasttsne.quality import report
from fasttsne.runtime import archive

SHORT = {"max_iter": 250, "random_state": 0, "perplexity": 5.0}
FOLDER = Path(__file__).parent / "saved"


def parts():
    X = np.abs(np.random.default_rng(0).normal(size=(90, 6))) + 0.1
    return X[:70], X[70:]


def saved(tsne, path):
    tsne.save(path)
    return fasttsne.load(path)


def assert_equal(a, b):
    """The same value, of the same type."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert type(a) is type(b) and len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_equal(left, right)
    elif sparse.issparse(a):
        assert a.shape == b.shape and (a != b).nnz == 0
    elif isinstance(a, np.ndarray):
        assert_array_equal(a, b)
        assert a.dtype == b.dtype
    else:
        assert a == b and type(a) is type(b)


def distances(X):
    return pairwise_distances(X, parts()[0])


def affinities(X):
    return np.exp(-distances(X)) * (1.0 - np.eye(len(X)))


def given_neighbors():
    D = distances(parts()[0])
    indices = np.argsort(D, axis=1)[:, 1:20]
    return indices, np.take_along_axis(D, indices, axis=1)


FITS = {
    "default": {},
    "single precision": {"as_input": lambda X: X.astype(np.float32)},
    "columns first": {"as_input": np.asfortranarray},
    "integers": {"as_input": lambda X: (10 * X).astype(int)},
    "huge": {"as_input": lambda X: 1e200 * X},
    "sparse": {"as_input": sparse.csr_matrix},
    "exact": {"method": "exact", "n_components": 4},
    "three dimensions": {"n_components": 3, "degrees_of_freedom": "auto"},
    "one dimension": {"n_components": 1},
    "cosine": {"metric": "cosine", "neighbors": "approximate"},
    "w": {"metric": "minkowski", "metric_params": {"p": 3, "w": np.arange(1.0, 7.0)}},
    "V": {"metric": "mahalanobis", "metric_params": {"V": np.cov(parts()[0].T)}},
    "distances": {"metric": "precomputed", "as_input": distances, "init": "random"},
    "affinities": {"affinity": "precomputed", "as_input": affinities, "init": "random"},
    "perplexities": {"perplexity": [3, 9], "exaggeration": [(100, 2), (50, 1.5)]},
    "an array of perplexities": {"perplexity": np.array([3.0, 9.0])},
    "init": {"init": 1e-4 * parts()[0][:, :2], "kl_per_sample": True},
    "neighbours": {"neighbors": given_neighbors()},
    "neighbour graph": {"neighbors": sparse.csr_matrix(distances(parts()[0]))},
    "neighbour graph by columns": {
        "neighbors": sparse.csc_matrix(distances(parts()[0]) * np.arange(1, 71)[:, np.newaxis])
    },
    "NumPy's numbers": {
        "perplexity": np.float32(6),
        "angle": np.float64(0.25),
        "n_jobs": np.int8(1),
        "kl_per_sample": np.bool_(True),
    },
    "warm start": {"warm_start": True, "affinity": "uniform", "n_neighbors": 10},
}


@pytest.mark.parametrize("name", FITS)
def test_a_map_comes_back_as_it_was(tmp_path, name):
    params = dict(FITS[name])
    as_input = params.pop("as_input", np.asarray)
    X, new = parts()
    tsne = TSNE(**{**SHORT, **params}).fit(as_input(X))
    again = saved(tsne, tmp_path / "map.npz")
    attributes = {key for key in vars(tsne) if not key.startswith("_")}
    assert vars(again).keys() == attributes  # also those that are new
    for key in attributes - {"placement_"}:
        before = getattr(tsne, key)
        assert_equal(before.item() if isinstance(before, np.generic) else before, vars(again)[key])
    assert again.embedding_ is again.placement_.embedding
    if name != "affinities":
        assert_array_equal(again.transform(as_input(new)), tsne.transform(as_input(new)))
    tsne.save(tmp_path / "second.npz")
    assert (tmp_path / "map.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


@pytest.mark.parametrize("loss", ["neg", "nce", "infonce"])
@pytest.mark.parametrize("n_components", [2, 5])
def test_a_contrastive_map_comes_back(tmp_path, loss, n_components):
    X, new = parts()
    params = {"n_components": n_components, "loss": loss, "n_epochs": 20, "perplexity": 5.0}
    tsne = ContrastiveTSNE(**params, random_state=0).fit(X)
    again = saved(tsne, tmp_path / "map.npz")
    assert type(again) is ContrastiveTSNE and again.get_params() == tsne.get_params()
    assert vars(again).keys() == {key for key in vars(tsne) if not key.startswith("_")}
    assert again.normalization_ == tsne.normalization_
    assert_array_equal(again.transform(new), tsne.transform(new))


def test_a_map_that_grew_comes_back(tmp_path):
    X, _ = parts()
    tsne = TSNE(**SHORT).fit(X[:50]).update(X[50:])
    again = saved(tsne, tmp_path / "map.npz")
    assert_array_equal(again.displacement_, tsne.displacement_)
    assert not hasattr(again.fit(X), "displacement_")


def test_reports_and_further_fits(tmp_path):
    X, new = parts()
    tsne = TSNE(**SHORT, warm_start=True).fit(X)
    again = saved(tsne, str(tmp_path / "map.npz"))
    assert str(report(again.placement_.X, again.embedding_)) == str(report(X, tsne.embedding_))
    _, scores = again.transform(new, return_scores=True)
    assert_array_equal(scores, tsne.transform(new, return_scores=True)[1])
    assert_array_equal(again.fit(X).embedding_, TSNE(**SHORT).fit_transform(X))
    again.set_output(transform="pandas")


def test_names_of_features_are_checked_again(tmp_path):
    pd = pytest.importorskip("pandas")
    X, new = (pd.DataFrame(part, columns=list("abcdeä")) for part in parts())
    tsne = TSNE(**SHORT).fit(X)
    again = saved(tsne, tmp_path / "map.npz")
    assert again.feature_names_in_.dtype == object
    assert_array_equal(again.feature_names_in_, tsne.feature_names_in_)
    assert_array_equal(again.transform(new), tsne.transform(new))
    with pytest.raises(ValueError, match="feature names should match"):
        again.transform(new[new.columns[::-1]])


def test_what_a_file_without_code_cannot_hold(tmp_path):
    X, new = parts()
    path = tmp_path / "map.npz"
    states = np.random.RandomState(0), np.random.default_rng(0)
    tsne = TSNE(**{**SHORT, "random_state": states[0]}, callback=print, callback_every=1000).fit(X)
    for state in states:
        again = saved(tsne.set_params(random_state=state), path)
        assert again.callback is None and again.random_state is None
        assert_array_equal(again.transform(new), tsne.transform(new))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^metric=<function .*cannot be saved.*pickle the"):
        TSNE(**SHORT, metric=lambda a, b: abs(a - b).sum()).fit(X).save(path)
    with pytest.raises(
        ValueError, match=r"^transformer=NeighborsTransformer\(.*cannot be saved in"
    ):
        TSNE(**SHORT, neighbors=NeighborsTransformer(n_neighbors=20)).fit(X).save(path)
    with pytest.raises(ValueError, match=r"this map cannot be saved: .*perplexity"):
        tsne.set_params(perplexity=-1.0).save(path)
    tsne = TSNE(**SHORT).fit(X)
    with pytest.raises(ValueError):
        tsne.set_params(perplexity=100.0).fit(X[:, :3])
    with pytest.raises(ValueError, match="cannot be saved: n_features_in_ or"):
        tsne.set_params(perplexity=5.0).save(path)
    tsne = TSNE(**SHORT).fit(X)
    tsne.embedding_[0] = np.nan
    with pytest.raises(ValueError, match="cannot be saved: the map is not finite"):
        tsne.save(path)
    with pytest.raises(NotFittedError):
        TSNE().save(path)
    with pytest.raises(OSError, match="none"):
        TSNE(**SHORT).fit(X).save(tmp_path / "none" / "map.npz")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["map.npz"]


@pytest.mark.parametrize("w", [np.arange(6) > 1, np.arange(1.0, 7.0, dtype=np.longdouble)])
def test_numbers_that_files_do_not_hold_become_others(tmp_path, w):
    X, new = parts()
    tsne = TSNE(**SHORT, metric="minkowski", metric_params={"p": 3, "w": w}).fit(X)
    again = saved(tsne, tmp_path / "map.npz")
    assert_array_equal(again.metric_params["w"], w)
    assert_array_equal(again.transform(new), tsne.transform(new))


@pytest.mark.parametrize("w", [np.array([1j]), np.array(["x" * 10_000])])
def test_arrays_of_no_real_numbers_are_not_saved(tmp_path, w):
    tsne = TSNE(**SHORT).fit(parts()[0]).set_params(metric_params={"w": w})
    with pytest.raises(ValueError, match=r"^metric_params\.w=array.*cannot be saved") as caught:
        tsne.save(tmp_path / "map.npz")
    assert len(str(caught.value)) < 300 and not os.listdir(tmp_path)


class Ours(TSNE):
    """Users' subclasses, which another process may not have."""

    def __init__(self, perplexity=5.0, colour="red"):
        super().__init__(perplexity=perplexity)
        self.colour = colour


def test_a_subclass_becomes_the_class_that_it_is_of(tmp_path):
    tsne = Ours().fit(parts()[0])
    again = saved(tsne, tmp_path / "map.npz")
    assert type(again) is TSNE and again.perplexity == 5.0
    assert_array_equal(again.transform(parts()[1]), tsne.transform(parts()[1]))


def test_a_map_that_was_turned_stays_turned(tmp_path):
    tsne = TSNE(**SHORT).fit(parts()[0])
    tsne.embedding_ = np.ascontiguousarray(tsne.embedding_[:, ::-1])
    again = saved(tsne, tmp_path / "map.npz")
    assert_array_equal(again.embedding_, tsne.embedding_)
    assert_array_equal(again.transform(parts()[1]), tsne.transform(parts()[1]))


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    tsne = TSNE(**SHORT).fit(parts()[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "map.npz").symlink_to("other/first.npz")
    saved(tsne, tmp_path / "map.npz")
    assert (tmp_path / "map.npz").is_symlink()
    assert os.listdir(tmp_path / "other") == ["first.npz"]
    tsne.save(tmp_path / "map.npz")
    fasttsne.load(tmp_path / "other" / "first.npz")


@pytest.fixture(scope="module")
def contents():
    tsne = TSNE(**SHORT, kl_per_sample=True).fit(parts()[0])
    tsne.feature_names_in_ = np.array(list("abcdef"))
    return fasttsne.saving.packed(tsne)


# ---- versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.npz")), ids=lambda path: path.name)
def test_files_of_all_versions_are_read(path):
    """One file for every version of the format; never write these again."""
    tsne = fasttsne.load(path)
    X, new = parts()
    assert_array_equal(tsne.placement_.X, X)
    assert tsne.perplexity == 5.0 and list(tsne.feature_names_in_) == list("abcdef")
    assert tsne.embedding_.shape == (70, 2) and len(tsne.history_["kl_divergence"]) > 1
    with pytest.warns(UserWarning, match="valid feature names"):
        assert np.isfinite(tsne.transform(new)).all()


def test_there_is_a_file_of_this_version():
    assert (FOLDER / f"map-{fasttsne.saving._VERSION}.npz").exists()


def test_what_an_earlier_version_lacked_has_its_default(tmp_path, contents):
    facts, arrays = copy.deepcopy(contents)
    del facts["parameters"]["kl_per_sample"], facts["placement"]["angle"]
    del facts["fitted"]["learning_rate_"], facts["fitted"]["feature_names_in_"]
    tsne = written(tmp_path, facts, arrays)
    assert tsne.kl_per_sample is False and tsne.placement_.angle == 0.5
    assert tsne.transform(parts()[1]).shape == (20, 2)


# ---- files that are no such map -----------------------------------------------------------------


def written(tmp_path, facts, arrays):
    path = tmp_path / "map.npz"
    with open(path, "wb") as file:
        archive.write(file, "map", 1, facts, arrays)
    return fasttsne.load(path)


def fact(part, **values):
    return lambda facts, arrays: facts[part].update(values)


def array(name, damage):
    def change(facts, arrays):
        arrays[name] = damage(arrays[name].copy())

    return change


def displacement(values):
    def change(facts, arrays):
        arrays["moved"] = values
        facts["fitted"]["displacement_"] = {"array": "moved"}

    return change


def turned(damage):
    """Give embedding_ an array of its own."""

    def change(facts, arrays):
        arrays["turned"] = arrays[Y].copy()
        facts["fitted"]["embedding_"] = {"array": "turned"}
        damage(facts, arrays)

    return change


def no_columns(facts, arrays):
    arrays[X] = arrays[X][:, :0]
    facts["fitted"].update(n_features_in_=0, feature_names_in_=[])


def nan_in(values):
    values.flat[-1] = np.nan
    return values


def as_sparse(**changed):
    """Samples that are a sparse matrix, malformed."""
    X = sparse.csr_matrix(parts()[0])
    content = {
        "data": X.data,
        "indices": X.indices,
        "indptr": X.indptr,
        "shape": [70, 6],
        **changed,
    }

    def change(facts, arrays):
        del arrays["placement.X"]
        arrays.update({name: content[name] for name in ("data", "indices", "indptr")})
        parts = [{"array": name} for name in ("data", "indices", "indptr")]
        facts["placement"]["X"] = {"csr": {"tuple": parts}, "shape": content["shape"]}

    return change


def nested(depth):
    return [nested(depth - 1)] if depth else []


X, Y = "placement.X", "placement.embedding"
CHANGES = {
    "no placement": lambda facts, arrays: facts.pop("placement"),
    "no map": lambda facts, arrays: facts["placement"].pop("embedding"),
    "no embedding_": lambda facts, arrays: facts["fitted"].pop("embedding_"),
    "no number of features": lambda facts, arrays: facts["fitted"].pop("n_features_in_"),
    "another estimator": lambda facts, arrays: facts.update(estimator="Popen"),
    "no array": lambda facts, arrays: arrays.pop(X),
    "facts are a list": lambda facts, arrays: facts.update(placement=[1]),
    "unknown parameter": fact("parameters", colour=1),
    "unfit parameter": fact("parameters", angle="wide"),
    "unfit nested parameter": fact("parameters", metric_params={"csr": []}),
    "nested as deeply as JSON may be": fact("parameters", metric_params=nested(600)),
    "unknown placement": fact("placement", colour=1),
    "odds of another estimator": fact("placement", odds=0.5),
    "a transformer": fact("placement", transformer="KNeighborsTransformer"),
    "unknown metric": fact("placement", metric="os.system"),
    "no metric": fact("placement", metric=None),
    "metric of no samples": fact("placement", metric="precomputed"),
    "affinities": fact("placement", is_affinity=True),
    "is_affinity": fact("placement", is_affinity=0),
    "no samples": fact("placement", X=None),
    "samples are text": fact("placement", X="x"),
    "metric_params": fact("placement", metric_params={"dict": {"V": 3}}),
    "metric_params are a list": fact("placement", metric_params=[1]),
    "perplexity": fact("placement", perplexity=0.0),
    "large perplexity": fact("placement", perplexity=71.0),
    "perplexity is text": fact("placement", perplexity="30"),
    "perplexity is NaN": fact("placement", perplexity=float("nan")),
    "perplexity is a bool": fact("placement", perplexity=True),
    "degrees of freedom": fact("placement", degrees_of_freedom=9e-4),
    "many degrees of freedom": fact("placement", degrees_of_freedom=1001.0),
    "angle": fact("placement", angle=1.01),
    "negative angle": fact("placement", angle=-0.01),
    "exponent": fact("placement", exponent=1101),
    "negative exponent": fact("placement", exponent=-1101),
    "exponent is a fraction": fact("placement", exponent=0.5),
    "method": fact("placement", method="fast"),
    "negative odds": fact("placement", odds=-1.0),
    "negative negatives": fact("placement", n_negatives=-1),
    "odds of TSNE": fact("placement", odds=1.0, n_negatives=5),
    "names": fact("fitted", feature_names_in_=["a"] * 7),
    "names are numbers": fact("fitted", feature_names_in_=[1] * 6),
    "names are text": fact("fitted", feature_names_in_="abcdef"),
    "KL divergence": fact("fitted", kl_divergence_="low"),
    "KL divergence is infinite": fact("fitted", kl_divergence_=float("inf")),
    "iterations": fact("fitted", n_iter_=None),
    "iterations are a bool": fact("fitted", n_iter_=True),
    "history": fact("fitted", history_=3),
    "history of text": fact("fitted", history_={"dict": {"iteration": "x"}}),
    "more features": fact("fitted", n_features_in_=7),
    "samples: NaN": array(X, nan_in),
    "samples: integers": array(X, lambda a: a.astype(np.int64)),
    "samples: half precision": array(X, lambda a: a.astype(np.float16)),
    "samples: one less": array(X, lambda a: a[:-1]),
    "samples: flat": array(X, np.ravel),
    "samples: one more": array(X, lambda a: a[[*range(70), 0]]),
    "samples: three axes": array(X, lambda a: a[:, :, np.newaxis]),
    "samples: no columns": array(X, lambda a: a[:, :0]),
    "samples: no columns, as their number says": no_columns,
    "map: NaN": array(Y, nan_in),
    "map: double precision": array(Y, lambda a: a.astype(np.float64)),
    "map: one less": array(Y, lambda a: a[:-1]),
    "map: flat": array(Y, np.ravel),
    "map: empty": array(Y, lambda a: a[:0]),
    "map: a column": array(Y, lambda a: a[:, 0].copy()),
    "map: three axes": array(Y, lambda a: a[:, :, np.newaxis]),
    "map: no coordinates": array(Y, lambda a: a[:, :0]),
    "map: transposed": array(Y, lambda a: np.asfortranarray(a)),
    "map: NaN where samples are placed": turned(lambda facts, arrays: nan_in(arrays[Y])),
    "map: NaN where it is shown": turned(lambda facts, arrays: nan_in(arrays["turned"])),
    "map and samples swapped": lambda facts, arrays: arrays.update({X: arrays[Y], Y: arrays[X]}),
    "KL divergences": array("fitted.kl_per_sample_", lambda a: a[1:]),
    "KL divergences: single precision": array(
        "fitted.kl_per_sample_", lambda a: a.astype(np.float32)
    ),
    "KL divergences: NaN": array("fitted.kl_per_sample_", nan_in),
    "displacement is text": fact("fitted", displacement_="far"),
    "displacement: of all": displacement(np.ones(70)),
    "displacement: a matrix": displacement(np.ones((50, 2))),
    "displacement: integers": displacement(np.ones(50, dtype=np.int64)),
    "displacement: infinite": displacement(np.full(50, np.inf)),
    "displacement: negative": displacement(np.full(50, -1.0)),
    "history: a matrix": array("fitted.history_.seconds", lambda a: a[:, None]),
    "sparse: column out of range": as_sparse(indices=np.full(420, 6, np.int32)),
    "sparse: negative column": as_sparse(indices=np.full(420, -1, np.int32)),
    "sparse: rows out of order": as_sparse(indptr=np.arange(420, -1, -6, dtype=np.int32)),
    "sparse: past the end": as_sparse(indptr=np.arange(0, 427, 6, dtype=np.int32) * 100),
    "sparse: fractions": as_sparse(indices=np.full(420, 0.5)),
    "sparse: fractions of entries": as_sparse(indptr=np.arange(0.0, 427.0, 6.0)),
    "sparse: NaN": as_sparse(data=np.full(420, np.nan)),
    "sparse: another shape": as_sparse(shape=[71, 6]),
    "sparse: many columns": as_sparse(shape=[70, 10**15]),
    "sparse: negative shape": as_sparse(shape=[70, -1]),
    "sparse: a matrix of values": as_sparse(data=np.ones((210, 2))),
}


def test_contents_that_belong_together_are_read(tmp_path, contents):
    facts, arrays = copy.deepcopy(contents)
    del facts["fitted"]["feature_names_in_"]
    assert written(tmp_path, facts, arrays).transform(parts()[1]).shape == (20, 2)
    as_sparse()(facts, arrays)
    X = sparse.csr_matrix(parts()[1])
    assert written(tmp_path, facts, arrays).transform(X).shape == (20, 2)


@pytest.mark.parametrize("change", CHANGES)
def test_crafted_files_are_refused(tmp_path, contents, change):
    facts, arrays = copy.deepcopy(contents)
    CHANGES[change](facts, arrays)
    with pytest.raises(ValueError, match=r"map\.npz is no map that fasttsne can use: "):
        written(tmp_path, facts, arrays)


@pytest.mark.parametrize("part", ["parameters", "placement"])
def test_what_this_version_does_not_know_asks_for_another_one(tmp_path, contents, part):
    facts, arrays = copy.deepcopy(contents)
    facts[part]["colour"] = 1
    message = "it has 'colour', which this version does not know; upgrade fasttsne$"
    with pytest.raises(ValueError, match=message):
        written(tmp_path, facts, arrays)


@pytest.mark.parametrize(
    "values",
    [
        {"odds": 0.0, "n_negatives": 0},
        {"odds": float("nan")},
        {"odds": float("inf")},
        {"n_negatives": 0},
        {"n_negatives": 5.0},
        {"n_negatives": 2**20 + 1},
    ],
    ids=str,
)
def test_crafted_odds_are_refused(tmp_path, values):
    params = {"loss": "infonce", "n_epochs": 20, "perplexity": 5.0, "random_state": 0}
    facts, arrays = fasttsne.saving.packed(ContrastiveTSNE(**params).fit(parts()[0]))
    assert written(tmp_path, facts, arrays).placement_.odds > 0.0
    facts["placement"].update(values)
    with pytest.raises(ValueError, match=r"map\.npz is no map that fasttsne can use: .*(odds|neg)"):
        written(tmp_path, facts, arrays)


@pytest.mark.parametrize(
    "values",
    [
        {"perplexity": 69.0, "degrees_of_freedom": 1e3, "angle": 1.0, "exponent": 1100},
        {"perplexity": 1e-300, "degrees_of_freedom": 1e-3, "angle": 0.0, "exponent": -1100},
    ],
)
def test_extreme_values_are_read(tmp_path, contents, values):
    facts, arrays = copy.deepcopy(contents)
    facts["placement"].update(values)
    displacement(np.zeros(69))(facts, arrays)
    placement = written(tmp_path, facts, arrays).placement_
    assert {name: getattr(placement, name) for name in values} == values


def test_other_files_are_refused(tmp_path, contents):
    path = tmp_path / "map.npz"
    TSNE(**SHORT).fit(parts()[0]).save(path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"map\.npz is damaged, or no map that fasttsne has"):
        path.write_bytes(whole[: len(whole) // 2])
        fasttsne.load(path)
    middle = whole.index(parts()[0].tobytes()[100:200])
    with pytest.raises(ValueError, match=r"map\.npz is damaged, .*Bad CRC-32"):
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        fasttsne.load(path)
    with pytest.raises(ValueError, match=r"map\.npz is damaged, or no map"):
        path.write_bytes(pickle.dumps(parts()))
        fasttsne.load(path)
    with pytest.raises(ValueError, match=r"map\.npz is of fasttsne .* upgrade fasttsne"):
        with open(path, "wb") as file:
            archive.write(file, "map", 2, *contents)
        fasttsne.load(path)
    with pytest.raises(ValueError, match=r"map\.npz holds a fasttsne checkpoint, not a map"):
        with open(path, "wb") as file:
            archive.write(file, "checkpoint", 1, *contents)
        fasttsne.load(path)
    with pytest.raises(FileNotFoundError):
        fasttsne.load(tmp_path / "none.npz")
