"""The benchmarks' judge against the equations, and their records and tables. No timings."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from reference import tsne as reference

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="there are no benchmarks here")


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Return a function that imports a module of benchmarks/, for this test alone."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("FASTTSNE_BENCH_CACHE", str(tmp_path / "cache"))
    for name in SCRIPTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in SCRIPTS:
        sys.modules.pop(name, None)


def test_judge_agrees_with_the_equations_and_with_its_samples(load):
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 50)
    X = rng.standard_normal((150, 6)) + 4 * np.eye(3, 6)[y]
    Y = 3 * X[:, :2]
    module = load("judge")
    judge = module.Judge(X, y, perplexity=10.0)
    indices, squared = reference.nearest_neighbors(X, 31)
    conditional, _ = reference.conditional_probabilities(squared, 10.0)
    P = reference.joint_probabilities(indices, conditional)
    assert abs(P - judge.joint).sum() < 1e-9
    figures = judge(Y)
    assert figures["kl_divergence"] == pytest.approx(reference.kl_divergence(P, Y, 1.0), rel=1e-9)
    at = [reference.kl_divergence(P, by * Y, 1.0) for by in np.geomspace(0.1, 1e4, 2000)]
    assert figures["kl_at_best_scale"] == pytest.approx(min(at), rel=1e-5)
    at_best = reference.kl_divergence(P, figures["best_scale"] * Y, 1.0)
    assert figures["kl_at_best_scale"] == pytest.approx(at_best, rel=1e-9)

    on_map, _ = reference.nearest_neighbors(Y, 10)
    shared = [len(set(a[:10]) & set(b)) / 10 for a, b in zip(indices, on_map, strict=True)]
    assert figures["recall"] == pytest.approx(np.mean(shared))
    elected = [row[np.argmax([np.sum(row == label) for label in row])] for row in y[on_map]]
    assert figures["accuracy"] == pytest.approx(np.mean(elected == y))

    module.ENTROPY_SAMPLE = len(X)
    sampled = module.Judge(X, y, 10.0, rows=rng.permutation(150))(Y)  # all rows
    assert {key: sampled[key] for key in figures} == pytest.approx(figures, rel=1e-9)
    some = module.Judge(X, y, 10.0, rows=np.arange(0, 150, 2))(Y)
    for key in ("kl_divergence", "kl_at_best_scale"):
        error = some[key.removesuffix("_divergence") + "_standard_error"]
        assert abs(some[key] - figures[key]) < 5 * error


@pytest.mark.parametrize("n_samples", [1, 2, 17, 100, 4500])  # the last is more than a tile
def test_judge_sums_over_all_pairs(load, n_samples):
    judge = load("judge")
    Y = np.random.RandomState(n_samples).standard_normal((n_samples, 2)) * 5
    sums = judge.row_sums(Y, np.arange(n_samples))
    if n_samples <= 100:
        expected = reference.student_kernel(Y, 1.0).sum(axis=1)
        np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)
    assert sums.sum() == pytest.approx(judge.exact_repulsion(Y)[1], rel=1e-12, abs=1e-12)


def test_duplicates_and_strays(load):
    judge = load("judge")
    neighbors = judge.neighbors_on_map(np.zeros((20, 2)), 10)
    assert neighbors.shape == (20, 10)
    assert not (neighbors == np.arange(20)[:, None]).any()
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 7
    assert judge.strays(circle) == pytest.approx(1.0)
    circle[5] *= 30
    assert judge.strays(circle + 100) == pytest.approx(30.0, rel=0.02)
    assert judge.strays(np.zeros((9, 2))) == 0.0


def test_torn_is_the_share_outside_the_largest_part_of_each_class(load):
    judge = load("judge")
    rng = np.random.RandomState(0)
    # Class 7 lies in islands of 60 and 30 points, class 9 in one of 50 and as a point in another's.
    centers = np.repeat([[0, 0], [100, 0], [0, 100], [100, 0]], [60, 30, 50, 1], axis=0)
    y = np.repeat([7, 7, 9, 9], [60, 30, 50, 1])
    Y = centers + rng.standard_normal(centers.shape)
    assert judge.torn(y, judge.neighbors_on_map(Y, 10)) == pytest.approx(31 / 141)
    order = rng.permutation(141)
    torn = judge.torn(y[order], judge.neighbors_on_map(1000 * Y[order], 10))
    assert torn == pytest.approx(31 / 141)
    assert judge.torn(y, np.zeros((141, 0), dtype=int)) == pytest.approx(139 / 141)  # all apart
    assert judge.torn(np.zeros(141), judge.neighbors_on_map(centers * 0.0, 10)) < 1


def test_exact_neighbors_are_kept_and_found_again(load, monkeypatch):
    judge = load("judge")
    monkeypatch.setattr(judge, "SLOW", 0)
    X, rows = np.random.RandomState(0).standard_normal((50, 3)), np.arange(0, 50, 2)
    first = judge.nearest_neighbors(X, 5, rows)
    monkeypatch.setattr(judge, "NearestNeighbors", None)
    np.testing.assert_array_equal(judge.nearest_neighbors(X, 5, rows), first)


def test_records_survive_and_are_replaced(load, tmp_path, monkeypatch):
    runner = load("runner")
    monkeypatch.setattr(sys, "argv", ["benchmarks/peers.py", "--repeats", "1"])
    path = tmp_path / "peers.jsonl"
    slot = {"data": "digits", "system": "fasttsne", "threads": 1, "seed": 0, "options": {"a": 0.5}}
    old, new = {"fasttsne": "1", "build": "x"}, {"fasttsne": "1", "build": "y"}
    runner.Store(path).add(slot, old, {"seconds": 1.5})
    store = runner.Store(path)
    assert not store.needs(slot, old)
    assert store.needs(slot, new) and store.needs(slot | {"seed": 1}, old)
    assert runner.Store(path, again=True).needs(slot, old)
    store.add(slot, new, {"seconds": 2.5})
    (kept,) = map(json.loads, path.read_text().splitlines())
    assert kept["seconds"] == 2.5
    assert runner.Store(path).reported() == [kept]
    for words in (runner.machine(), "build y", "`python benchmarks/peers.py --repeats 1`"):
        assert words in runner.circumstances([kept])


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_import_and_their_records_make_tables(load, name, tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("distributed")
    pytest.importorskip("matplotlib", "3.6")  # the first with get_layout_engine
    runner, plots = load("runner"), load("plots")
    plots.save = lambda figure, path: plots.pyplot.close(figure)
    for what, benchmark in getattr(load(name), "BENCHMARKS", {}).items():
        path = BENCHMARKS / "results" / f"{what}.jsonl"
        if not path.exists():  # not measured yet
            assert not path.with_suffix(".md").exists()
            continue
        runs = runner.Store(path).reported()
        args = {"output": tmp_path} | benchmark.options
        title, *parts = benchmark.write(runs, SimpleNamespace(**args))
        written = (BENCHMARKS / "results" / f"{what}.md").read_text(encoding="utf-8")
        assert written == "\n\n".join([title, runner.circumstances(runs), *parts]) + "\n"


def test_systems_take_turns(load):
    turns = load("runner").alternating(["a", "b"], 3)
    assert turns == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]


def test_numbers_and_tables(load):
    runner = load("runner")
    for value, text in ((0.01234, "0.0123"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0")):
        assert runner.number(value) == text
    assert runner.spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"
    assert runner.spread([2.0]) == runner.spread([2.0, 2.001]) == "2.00"
    assert runner.spread([None]) == runner.number(None) == "-"
    assert runner.table(["a", "bb"], [["x", 1]]) == "| a | bb |\n| - | -: |\n| x |  1 |"


def test_a_curve_has_budgets_and_the_default(load):
    pytest.importorskip("matplotlib")
    figures = {"kl_at_best_scale": 1.0, "recall": 0.5, "n_iter": 750}
    seconds = [(None, 8.0), (1000, 11.0), (250, 3.0), (250, 5.0)]
    runs = [{"slot": {"max_iter": n}, "seconds": s} | figures for n, s in seconds]
    points = [(p.n_iter, p.seconds, p.default) for p in load("peers").points(runs)]
    assert points == [(250, 4.0, False), (750, 8.0, True), (1000, 11.0, False)]


def test_curves_use_kl_at_best_scale_and_show_records_without_it(load, tmp_path):
    pytest.importorskip("matplotlib", "3.6")
    plots, peers = load("plots"), load("peers")
    plots.save = lambda figure, path: plots.pyplot.close(figure)
    figures = {"kl_divergence": 3.0, "recall": 0.5, "n_iter": 500, "peak_mb": 9.0, "n_features": 2}
    kl_of = {"fasttsne": {"kl_at_best_scale": 2.125}, "scikit-learn": {}}  # of an earlier judge
    runs = [
        {"slot": {"data": "mixture1k", "system": system, "threads": 2, "max_iter": None}}
        | {"machine": "m", "seconds": 4.0, "n_samples": 1000}
        | figures
        | kl
        for system, kl in kl_of.items()
    ]
    args = {"data": "mixture", "systems": "fasttsne;scikit-learn", "output": tmp_path}
    for write in (peers.write_scaling, peers.write_time_to_quality):
        text = "\n".join(write(runs, SimpleNamespace(**args)))
        ours, other = (line.split() for line in text.splitlines() if "0.500" in line)
        assert "2.125" in ours and other[-4] == "-"
        assert "3.000" not in text


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


def test_threads_are_compared_with_the_fewest(load):
    threads = load("threads")
    slots = [("fasttsne", 1, 8.0), ("fasttsne", 2, 5.0), ("scikit-learn-intelex", 2, 30.0)]
    runs = [
        {"slot": {"data": "mnist", "system": system, "threads": n}, "seconds": 2 + seconds}
        | {"search": 1.0, "descent": seconds, "n_samples": 70, "n_features": 5, "digest": "abc"}
        for system, n, seconds in slots
    ]
    _, _, title, table, words = threads.write_threads(runs, None)
    assert title == "## mnist, 70 x 5"
    head, _, one, two = ([cell.strip() for cell in row.split("|")] for row in table.splitlines())
    columns = ["threads", "fasttsne", "its search", "its descent", "scikit-learn-intelex"]
    assert head[1:-1] == [*columns, "not divided"]
    assert one[1:-1] == ["1", "10.0", "1.00", "8.00", "-", "-"]
    # T(2) = T(1) (s + (1 - s) / 2): of 8 s these are 5 at s = 1/4.
    assert two[1:-1] == ["2", "7.00 (1.4)", "1.00 (1.0)", "5.00 (1.6)", "32.0", "25.0 %"]
    assert words == "Maps of fasttsne: abc."
    assert not list(threads.threads_failures(runs))
    (failure,) = threads.threads_failures([*runs, runs[0] | {"digest": "abd"}])
    assert "mnist" in failure


def test_a_run_is_projected_from_the_one_with_the_most_points(load, tmp_path):
    runner = load("runner")
    store = runner.Store(tmp_path / "threads.jsonl")
    systems = runner.Runner(store, SimpleNamespace(systems="fasttsne"))
    systems.directory.cleanup()
    slot = {"data": "blobs2000", "system": "fasttsne", "threads": 2, "max_iter": None}
    assert systems.projected(slot) == runner.estimate(slot)
    for n_samples, n_threads, seconds in ((500, 4, 6.0), (1000, 4, 60.0), (4000, 4, 1.0)):
        other = {"data": f"blobs{n_samples}", "threads": n_threads}
        store.add(slot | other, {}, {"n_samples": n_samples, "seconds": seconds})
    assert systems.projected(slot) == pytest.approx(2**runner.GROWTH * 4 / 2)
