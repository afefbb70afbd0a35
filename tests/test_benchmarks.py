"""The benchmarks' judge against the equations, and their records and tables. No timings."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import tsne as reference

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MODULES = ("data", "judge", "plots", "report", "runner", "systems", "time_to_quality")

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="there are no benchmarks here")


@pytest.fixture
def load(monkeypatch, tmp_path):
    """A function that imports a module of benchmarks/, for this test alone."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("FASTTSNE_BENCH_CACHE", str(tmp_path / "cache"))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def three_classes():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 50)
    X = rng.standard_normal((150, 6)) + 4 * np.eye(3, 6)[y]
    return X, y, rng.standard_normal((150, 2)) * 3


def test_judge_agrees_with_the_equations(load, three_classes):
    X, y, Y = three_classes
    judge = load("judge").Judge(X, y, perplexity=10.0)
    indices, squared = reference.nearest_neighbors(X, 31)
    conditional, _ = reference.conditional_probabilities(squared, 10.0)
    P = reference.joint_probabilities(indices, conditional)
    assert abs(P - judge.joint).sum() < 1e-9
    figures = judge(Y)
    assert figures["kl_divergence"] == pytest.approx(reference.kl_divergence(P, Y, 1.0), rel=1e-9)

    on_map, _ = reference.nearest_neighbors(Y, 10)
    shared = [len(set(a[:10]) & set(b)) / 10 for a, b in zip(indices, on_map, strict=True)]
    assert figures["recall"] == pytest.approx(np.mean(shared))
    right = []
    for i, row in enumerate(y[on_map]):
        votes = [np.sum(row == label) for label in row]
        right.append(row[np.argmax(votes)] == y[i])
    assert figures["accuracy"] == pytest.approx(np.mean(right))


@pytest.mark.parametrize("n_samples", [1, 2, 17, 100, 4500])
def test_judge_sums_over_all_pairs(load, n_samples):
    judge = load("judge")
    Y = np.random.RandomState(n_samples).standard_normal((n_samples, 2)) * 5
    if n_samples <= 100:
        w = reference.student_kernel(Y, 1.0)
        assert judge.sum_q(Y) == pytest.approx(w.sum(), rel=1e-12, abs=1e-12)
        assert judge.row_sums(Y, np.arange(n_samples)) == pytest.approx(w.sum(axis=1))
    else:  # more than a tile
        _, sum_q = judge.exact_repulsion(Y)
        assert judge.sum_q(Y) == pytest.approx(sum_q, rel=1e-12)
        assert judge.row_sums(Y, np.arange(n_samples)).sum() == pytest.approx(sum_q, rel=1e-12)


def test_judge_by_a_sample_of_all_rows_is_the_judge(load, three_classes):
    X, y, Y = three_classes
    judge = load("judge")
    judge.ENTROPY_SAMPLE = len(X)
    whole = judge.Judge(X, y, perplexity=10.0)(Y)
    sampled = judge.Judge(X, y, 10.0, rows=np.random.RandomState(0).permutation(150))(Y)
    for key, value in whole.items():
        assert sampled[key] == pytest.approx(value, rel=1e-9), key
    some = judge.Judge(X, y, 10.0, rows=np.arange(0, 150, 2))(Y)
    assert abs(some["kl_divergence"] - whole["kl_divergence"]) < 5 * some["kl_standard_error"]


def test_judge_leaves_the_point_itself_out_among_duplicates(load):
    judge = load("judge")
    Y = np.zeros((20, 2))
    neighbors = judge.neighbors_on_map(Y, 10)
    assert neighbors.shape == (20, 10)
    assert not (neighbors == np.arange(20)[:, None]).any()


def test_strays(load):
    strays = load("judge").strays
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 7
    assert strays(circle) == pytest.approx(1.0)
    circle[5] *= 30
    assert strays(circle + 100) == pytest.approx(30.0, rel=0.02)
    assert strays(np.zeros((9, 2))) == 0.0


def test_exact_neighbors_are_kept_and_found_again(load, monkeypatch):
    judge = load("judge")
    X = np.random.RandomState(0).standard_normal((1100, 9000)).astype(np.float32)
    rows = np.arange(0, 1100, 1)
    first = judge.nearest_neighbors(X, 5, rows)
    assert len(list(judge.cache_directory().glob("neighbors-5-*.npz"))) == 1
    monkeypatch.setattr(judge, "NearestNeighbors", None)
    for a, b in zip(first, judge.nearest_neighbors(X, 5, rows), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tables_say_where_they_come_from(load, tmp_path, monkeypatch):
    report = load("report")
    monkeypatch.setattr(sys, "argv", ["ranking.py", "--repeats", "1"])
    path = report.save("ranking", {"versions": {"ranx": "0.3"}}, tmp_path / "ranking.json")
    origin = report.origin(path)
    assert "ranx 0.3" in origin
    assert "`python benchmarks/ranking.py --repeats 1`" in origin
    assert report.machine_name(report.machine()) in origin


def test_records_survive_and_are_replaced(load, tmp_path):
    runner = load("runner")
    path = tmp_path / "peers.json"
    slot = {"data": "digits", "system": "fasttsne", "threads": 1, "seed": 0, "options": {"a": 0.5}}
    old, new = {"fasttsne": "1", "build": "x"}, {"fasttsne": "1", "build": "y"}
    runner.Store(path).add(slot, old, {"seconds": 1.5})
    store = runner.Store(path)
    assert store.find(slot, old)["seconds"] == 1.5
    assert store.find(slot, new) is None
    assert store.find(slot | {"seed": 1}) is None
    store.add(slot, new, {"seconds": 2.5})
    kept = json.loads(path.read_text())
    assert [run["seconds"] for run in kept["runs"]] == [2.5]
    assert list(kept["machines"]) == [kept["runs"][0]["machine"]]
    assert runner.Store(path).reported() == kept["runs"]
    assert "build y" in load("report").circumstances(kept["runs"])


def test_records_of_another_benchmark_with_the_same_judge_are_taken_over(load, tmp_path):
    runner = load("runner")
    slot = {"data": "digits", "system": "fasttsne"}
    runner.Store(tmp_path / "peers.json").add(slot, {"fasttsne": "1"}, {"seconds": 1.5})
    known = {}
    for name in ("time_to_quality", "exact"):
        fresh = object.__new__(runner.Runner)
        fresh.store = runner.Store(tmp_path / f"{name}.json")
        fresh.versions = {"fasttsne": {"fasttsne": "1"}}
        known[name] = fresh._known(slot)
        assert fresh._known(slot | {"data": "blobs"}) is None
    assert known["time_to_quality"]["seconds"] == 1.5
    assert runner.Store(tmp_path / "time_to_quality.json").find(slot) is not None
    assert known["exact"] is None


def test_systems_take_turns(load):
    runner = load("runner")
    slots = runner.alternating("ab", 3, lambda system, repeat: [system + str(repeat)])
    assert slots == ["a0", "b0", "b1", "a1", "a2", "b2"]


@pytest.mark.parametrize(
    "value, written",
    [(0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0")],
)
def test_numbers_are_written_with_three_digits(load, value, written):
    assert load("report").number(value) == written


def test_spread_and_table(load):
    report = load("report")
    assert report.spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert report.spread([2.0]) == report.spread([2.0, 2.001]) == "2.00"
    assert report.spread([None]) == "-"
    assert report.table(["a", "bb"], [["x", 1]]) == "| a | bb |\n| - | -: |\n| x |  1 |"


def test_names_beside_lines_do_not_overlap(load):
    pytest.importorskip("matplotlib")
    spaced = load("plots").spaced
    assert spaced([0.0, 10.0], 5) == [0.0, 10.0]
    places = spaced([1.0, 1.0, 2.0, 20.0], 5)
    assert np.diff(places).min() >= 5 - 1e-9
    assert places[-1] == 20.0
    assert np.mean(places[:3]) == pytest.approx(np.mean([1.0, 1.0, 2.0]))


def test_a_curve_has_snapshots_and_the_default(load):
    pytest.importorskip("matplotlib")
    slot = {"data": "digits", "system": "openTSNE", "max_iter": 1000}
    figures = {"kl_divergence": 1.0, "recall": 0.5}
    shots = [{"n_iter": n, "seconds": n / 100} | figures for n in (50, 100)]
    runs = [
        {"slot": slot, "n_iter": 1000, "snapshots": shots, "seconds": 11.0} | figures,
        {"slot": slot | {"max_iter": None}, "n_iter": 750, "seconds": 8.0} | figures,
    ]
    points = load("time_to_quality").points(runs, "digits", "openTSNE")
    assert [(p[0], p[1], p[4]) for p in points] == [(50, 0.5, False), (100, 1.0, False),
                                                    (750, 8.0, True)]  # fmt: skip


def test_mixture_is_the_same_distribution_at_every_size(load):
    data = load("data")
    small, large = data.load("mixture400"), data.load("mixture4k")
    assert small.X.shape == (400, 50) and large.X.shape == (4000, 50)
    assert small.X.dtype == np.float32
    # The largest class has the same centre in both.
    centers = [d.X[d.y == 0].mean(axis=0) for d in (small, large)]
    assert np.abs(centers[0] - centers[1]).max() < 0.5
    with pytest.raises(ValueError, match="no data called 'mixed'"):
        data.load("mixed")
