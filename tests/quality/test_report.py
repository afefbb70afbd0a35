"""report() against the measures one by one; threads, memory and Ctrl-C for all measures."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fits import needs_proc, needs_sigint, run_python
from numpy.testing import assert_array_equal
from sklearn.datasets import make_blobs

from fasttsne import quality
from fasttsne.quality import report

BY_NAME = ["trustworthiness", "continuity", "neighbor_recall", "neighborhood_ndcg"]


@pytest.fixture(scope="module")
def judged():
    """Data, a map, and labels, one of them missing."""
    X, y = make_blobs(240, n_features=8, centers=5, random_state=0)
    labels = np.array(list("abcde"), dtype=object)[y]
    labels[7] = None
    return X, X[:, :2] + np.random.default_rng(0).normal(size=(240, 2)), labels


@pytest.mark.parametrize("sample", [None, 60, 0.1, [7, 200, 12]])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_a_report_has_what_the_functions_return(judged, sample, metric):
    X, Y, labels = judged
    options = {"sample": sample, "random_state": 3}
    found = report(X, Y, labels, n_neighbors=6, metric=metric, **options)
    for name in BY_NAME:
        function = getattr(quality, name)
        alone = function(X, Y, n_neighbors=6, metric=metric, per_sample=True, **options)
        assert_array_equal(found.per_sample[name], alone)
        assert getattr(found, name) == alone.mean()
    sizes, improvement = quality.r_nx(X, Y, metric=metric, **options)
    assert_array_equal(found.sizes, sizes)
    assert_array_equal(found.r_nx, improvement)
    assert found.r_nx_auc == quality.r_nx_auc(X, Y, metric=metric, **options)
    accuracy = quality.knn_accuracy(Y, labels, n_neighbors=6, **options)
    assert found.knn_accuracy == accuracy
    expected = quality.distance_correlation(X, Y, metric=metric, random_state=3)
    assert found.distance_correlation == expected
    assert found.n_judged == len(found.rows) == len(found.per_sample["continuity"])


def test_a_report_prints_a_table_and_goes_into_json(judged):
    found = report(*judged, sample=60, random_state=0)
    text = repr(found)
    assert text.splitlines()[0] == "240 points, 60 of them judged; 10 neighbours, euclidean"
    for name in BY_NAME:
        value, error = getattr(found, name), found.standard_errors[name]
        assert re.search(rf"{value:.4f} ± {error:.4f}  \w", text), name
    assert "kNN accuracy" in text
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (kept["n_samples"], kept["n_judged"]) == (240, 60)
    assert kept["trustworthiness"] == found.trustworthiness
    assert set(kept["standard_errors"]) == {*BY_NAME, "knn_accuracy", "triplet_accuracy"}
    whole = report(*judged[:2])
    assert str(whole).startswith("240 points; 10 neighbours, euclidean\n")
    assert str(whole).count("±") == 1  # of random triplets
    assert "kNN accuracy" not in str(whole)
    assert {*whole.standard_errors} == {"triplet_accuracy"}
    assert whole.knn_accuracy is None
    unlabelled = report(*judged, sample=[7])
    assert unlabelled.knn_accuracy is None
    json.dumps(unlabelled.to_dict(), allow_nan=False)
    assert "kNN" not in str(unlabelled)


def test_a_report_in_a_notebook_escapes_what_it_is_told(judged):
    def metric(a, b):
        return np.abs(a - b).sum()

    metric.__name__ = "<b>&"
    html = report(judged[0][:40], judged[1][:40], metric=metric)._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
    assert html.count("<tr>") == html.count("</tr>") == 8


def test_standard_errors_are_what_samples_scatter_by(judged):
    X, Y, labels = judged
    found = [report(X, Y, labels, sample=60, random_state=seed) for seed in range(40)]
    for name in [*BY_NAME, "knn_accuracy"]:
        scatter = np.std([getattr(one, name) for one in found], ddof=1)
        expected = np.mean([one.standard_errors[name] for one in found])
        assert 0.6 < scatter / expected < 1.5, name


def test_a_correlation_of_drawn_pairs_has_a_standard_error(judged, monkeypatch):
    monkeypatch.setattr(sys.modules["fasttsne.quality.report"], "N_PAIRS", 500)
    found = [report(*judged, random_state=seed) for seed in range(40)]
    scatter = np.std([one.distance_correlation for one in found], ddof=1)
    error = found[0].standard_errors["distance_correlation"]
    assert 0.6 < scatter / error < 1.5
    assert f"{found[0].distance_correlation:.4f} ± {error:.4f}" in str(found[0])
    assert found[0].distance_correlation != found[1].distance_correlation
    again = report(*judged, random_state=0)
    assert again.distance_correlation == found[0].distance_correlation


@pytest.mark.parametrize("constant", ["X", "embedding"])
def test_a_report_on_what_is_constant_has_all_that_is_defined(judged, constant):
    arguments = dict(zip(("X", "embedding", "labels"), judged, strict=True))
    arguments[constant] = np.ones_like(arguments[constant])
    found = report(**arguments)
    assert found.distance_correlation is None
    assert re.search(r"distance correlation +- +undefined: all distances are equal", str(found))
    json.dumps(found.to_dict(), allow_nan=False)
    for name in BY_NAME:
        alone = getattr(quality, name)(arguments["X"], arguments["embedding"])
        assert getattr(found, name) == alone
    assert abs(found.r_nx_auc) < 0.2


def test_no_table_has_a_negative_zero(judged):
    found = dataclasses.replace(report(*judged), r_nx_auc=-1e-9, distance_correlation=-2e-5)
    assert "0.0000" in str(found)
    assert "-0.0000" not in str(found)


def test_reports_are_equal_to_themselves_alone(judged):
    one, two = (report(*judged, random_state=0) for _ in range(2))
    assert one == one
    assert one != two
    assert len({one, two}) == 2


@pytest.mark.parametrize("first", ["fasttsne.quality.report", "fasttsne.quality", "fasttsne.plot"])
def test_the_name_report_is_the_function(first):
    code = f"import {first}, fasttsne.quality.report\nfrom fasttsne.quality import report\n"
    code += "import fasttsne\nprint(callable(report), fasttsne.quality.report is report)"
    assert run_python(code).split() == ["True", "True"]


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_bits_do_not_depend_on_threads(metric):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(800, 9)).astype(np.float32), rng.normal(size=(800, 2))
    one, two = (report(X, Y, sample=300, metric=metric, random_state=0, n_jobs=n) for n in (1, 2))
    assert one.to_dict() == two.to_dict()
    assert_array_equal(one.r_nx, two.r_nx)
    for name, values in one.per_sample.items():
        assert_array_equal(values, two.per_sample[name])
    shares = [
        quality.kl_divergence(X[:600], Y[:600], metric=metric, per_sample=True, n_jobs=n)
        for n in (1, 2)
    ]
    assert_array_equal(shares[0], shares[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "precomputed"])
def test_inputs_are_left_alone(judged, dtype, metric):
    X, Y, labels = judged
    X = abs(X @ X.T) if metric == "precomputed" else X.copy()
    X, Y = X.astype(dtype), Y.astype(dtype)
    before = X.copy(), Y.copy(), labels.copy()
    for array in X, Y, labels:
        array.flags.writeable = False
    report(X, Y, labels, metric=metric)
    quality.kl_divergence(X, Y, metric=metric)
    labels.flags.writeable = True
    for now, then in zip((X, Y, labels), before, strict=True):
        assert_array_equal(now, then)


MEMORY = """
import resource
import numpy as np
from fasttsne import quality

rng = np.random.default_rng(0)
n = 8_000
X, Y = rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
quality.report(X[:300], Y[:300])  # what is loaded and set up once
quality.kl_divergence(X[:300], Y[:300])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{call}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@needs_proc
@pytest.mark.nosan
@pytest.mark.parametrize(
    "call",
    [
        "quality.trustworthiness(X, Y)",
        "quality.report(X, Y, sample=600)",
        "quality.kl_divergence(X, Y)",
    ],
)
def test_memory_is_for_some_rows_of_distances(call):
    # All distances would be 512,000 kB; a block of them is 32,768.
    assert int(run_python(MEMORY.format(call=call))) < 250_000


ENDLESS = """
import numpy as np
from fasttsne import quality

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(200_000, 20)), rng.normal(size=(200_000, 2))
print("started")
try:
    quality.{call}
except KeyboardInterrupt:
    print("interrupted")
"""


@needs_sigint
@pytest.mark.nosan
@pytest.mark.parametrize("call", ["trustworthiness(X, Y)", "report(X, Y)", "kl_divergence(X, Y)"])
def test_ctrl_c_ends_a_judgement(call):
    command = [sys.executable, "-u", "-c", ENDLESS.format(call=call)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, text=True, start_new_session=True) as process:
        try:
            assert process.stdout.readline().strip() == "started"
            time.sleep(1.0)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.read().strip() == "interrupted"
            waited = time.monotonic() - sent
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    assert waited < 5.0


@pytest.mark.parametrize(
    "measure",
    [
        *BY_NAME,
        "r_nx_auc",
        "distance_correlation",
        lambda X, Y, **how: repr(report(X, Y, **how)),
    ],
)
def test_sampled_measures_are_the_same_twice(measure):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(500, 4)), rng.normal(size=(500, 2))
    how = {} if measure == "distance_correlation" else {"sample": 100}
    measure = getattr(quality, measure) if isinstance(measure, str) else measure
    assert measure(X, Y, **how) == measure(X, Y, **how)
    assert measure(X, Y, **how) != measure(X, Y, **how, random_state=1)
