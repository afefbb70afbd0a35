"""The examples run, and show what they are there to show."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch):
    """The example as a module, with matplotlib drawing into files."""
    pytest.importorskip("matplotlib.pyplot").switch_backend("Agg")
    path = EXAMPLES / "learn_then_draw.py"
    spec = importlib.util.spec_from_file_location("learn_then_draw", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_learned_metric_makes_the_better_map(example, tmp_path, capsys):
    figures = example.main(["--output", str(tmp_path / "map.png")])
    before, after = figures["Principal components"], figures["Learned metric"]
    assert after["kNN accuracy"] > before["kNN accuracy"]
    assert after["NDCG of neighbours"] > before["NDCG of neighbours"] + 0.02
    assert (tmp_path / "map.png").stat().st_size > 20_000
    assert "898 samples to learn from, 899 others" in capsys.readouterr().out


def test_data_of_ones_own(example, tmp_path):
    X, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "own.npz", X=X.reshape(-1, 8, 8).astype(np.uint8), y=y)
    given = ["--data", tmp_path / "own.npz", "--train", 200, "--test", 150, "--components", 4]
    figures = example.main([*map(str, given), "--output", str(tmp_path / "map.png")])
    assert all(0.5 < value <= 1.0 for values in figures.values() for value in values.values())
    assert (tmp_path / "map.png").exists()


def test_ndcg_of_neighbours(example):
    Y, y = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]]), np.array([0, 1, 0, 0])
    of_rank = 1 / np.log2([2, 3, 4])
    ideal = of_rank[0] + of_rank[1]
    # Of point 0 the second and the third are of its class, of 1 none; 2 has 1 before 0, then 3;
    # 3 has 2 before 1, then 0.
    gains = [of_rank[1] + of_rank[2], 0.0, of_rank[1] + of_rank[2], of_rank[0] + of_rank[2]]
    expected = np.mean(gains) / ideal
    assert abs(example.neighbor_ndcg(Y, y) - expected) < 1e-12
