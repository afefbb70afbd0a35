"""What several test modules share: instruction sets, data, and Hypothesis settings."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits, make_blobs

from fasttsne import _kernels, affinity, neighbors

# An instruction set is selected once per test and holds for all its examples, so a
# function-scoped fixture is right here. Derandomized: a failure in CI repeats anywhere.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("ci")


@pytest.fixture(params=_kernels.available_isas())
def isa(request):
    """Each instruction set of this CPU in turn, selected for the length of one test."""
    before = _kernels.current_isa()
    _kernels.select_isa(request.param)
    yield request.param
    _kernels.select_isa(before)


@pytest.fixture
def endless(monkeypatch):
    """Descents that do not converge."""
    monkeypatch.setattr("fasttsne.descent.loop._has_converged", lambda *args: False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def digits():
    """The 1797 x 64 handwritten digits: integers, so with many tied distances. Read-only."""
    X = load_digits().data
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def small_digits(digits):
    """The first 300 digits."""
    return digits[:300]


@pytest.fixture(scope="session")
def digits_graph(digits):
    """P of all digits at perplexity 30: an object with indptr, indices and data."""
    indices, distances = neighbors.nearest_neighbors(digits, 91, n_threads=2)
    conditional, _ = affinity.conditional_probabilities(distances**2, 30.0, n_threads=2)
    return affinity.joint_probabilities(indices, conditional, n_threads=2)


@pytest.fixture(scope="session")
def digits_maps(digits, digits_graph):
    """Two maps of the digits, (1797, 2) float32: after early exaggeration, and finished."""
    graph = digits_graph
    forces = _kernels.BarnesHutForces(graph.indptr, graph.indices, graph.data, 2, 1.0, 0.5, 2)
    centred = digits - digits.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    start = left[:, :2] * singular[:2]
    embedding = np.ascontiguousarray(1e-4 * start / start[:, 0].std(), dtype=np.float32)
    velocity = np.zeros_like(embedding)
    gains = np.ones_like(embedding)
    forces.evaluate(embedding, False)
    _kernels.descend(forces, embedding, velocity, gains, 250, 50.0, 0.5, 12.0)
    exaggerated = embedding.copy()
    _kernels.descend(forces, embedding, velocity, gains, 250, 50.0, 0.8, 1.0)
    exaggerated.flags.writeable = embedding.flags.writeable = False
    return exaggerated, embedding


@pytest.fixture(scope="module")
def X():
    """Four clusters: 120 x 5, float64, without ties."""
    return make_blobs(120, n_features=5, centers=4, random_state=0)[0]
