"""metric_learning.from_run: judgements and runs of TREC's kind."""

import gzip

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fasttsne import metric_learning
from fasttsne.metric_learning import compare, from_run, ndcg_score

QRELS = {
    "q2": {"d1": 2, "d2": 0, "d3": 1, "d9": 1},
    "q10": {"d1": 0, "d4": 3},
    "q3": {"d5": 1},
    "q4": {"d6": -1, "d7": 0},
}
RUN = {
    "q2": {"d3": 1.5, "d2": 2.5, "d1": 0.5, "d8": 3.5},
    "q10": {"d4": -1.0, "d1": -2.0},
    "q4": {"d6": 1.0, "d7": 0.0},
    "unjudged": {"d1": 1.0},
}


def write(folder, name, lines):
    path = folder / name
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def qrels_lines():
    return [f"{q} 0 {d} {rel}" for q, of in QRELS.items() for d, rel in of.items()]


def run_lines():
    # The ranks are wrong on purpose: scores count.
    return [f"{q}\tQ0 {d} 1 {score} tag" for q, of in RUN.items() for d, score in of.items()]


def test_every_judged_query_counts_and_missed_documents_are_missed():
    arguments = from_run(QRELS, RUN)
    values = metric_learning.average_precision(**arguments, per_query=True)
    # q10, q2 (ranks 3 and 4 of three relevant), q3 without an answer, q4 with nothing relevant
    assert_allclose(values, [1.0, (1 / 3 + 2 / 4) / 3, 0.0, 0.0])
    values = metric_learning.recall_at_k(**arguments, k=100, per_query=True, undefined="skip")
    assert_allclose(values, [1.0, 2 / 3, 0.0, np.nan])
    assert arguments["y_true"].min() == 0.0


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_are_mappings(tmp_path, ending):
    qrels = write(tmp_path, f"qrels.txt{ending}", [*qrels_lines(), ""])
    run = write(tmp_path, f"run.txt{ending}", run_lines())
    expected, actual = from_run(QRELS, RUN), from_run(qrels, str(run))
    for name in "y_true", "y_score", "qid":
        assert_array_equal(actual[name], expected[name])
    mixed = from_run(QRELS, run)
    assert ndcg_score(**mixed) == ndcg_score(**expected)


def test_runs_of_the_same_judgements_are_compared_query_by_query():
    worse = {"q10": {"d1": 1.0, "d4": 0.0}}
    values = {
        name: ndcg_score(**from_run(QRELS, run), per_query=True)
        for name, run in (("ours", RUN), ("worse", worse))
    }
    assert compare(values).differences[0] > 0.0


def test_ids_in_files_may_have_spaces_other_than_those_of_ascii(tmp_path):
    document = "d\xa01\u2003\x85\x1c"
    run = write(tmp_path, "run.txt", [f"q Q0 {document} 1 0.5 tag"])
    assert from_run({"q": {document: 1}}, run)["y_score"].tolist() == [0.5]


@pytest.mark.parametrize("run", [{"q": {"a": 1.0}}, {"q": {"a": 1.0}, "none": {"b": 1.0}}])
def test_queries_without_judgements_do_not_count(run):
    qrels = {"q": {"a": 1}, "none": {}}
    assert set(from_run(qrels, run)["qid"]) == {"q"}
    pytrec_eval = pytest.importorskip("pytrec_eval")
    assert set(pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)) == {"q"}


TREC = {"map": ("average_precision", {}), "ndcg": ("ndcg_score", {})}
TREC |= {"recip_rank": ("reciprocal_rank", {}), "Rprec": ("r_precision", {})}
TREC |= {"ndcg_cut_5": ("ndcg_score", {"k": 5}), "P_5": ("precision_at_k", {"k": 5})}
TREC |= {"recall_5": ("recall_at_k", {"k": 5}), "success_5": ("hit_rate", {"k": 5})}


def random_run(seed=0):
    """Judgements and a run that lacks judged documents and has others; no ties."""
    rng = np.random.default_rng(seed)
    qrels, run = {}, {}
    for q in range(20):
        judged = rng.choice(50, size=20, replace=False)
        qrels[f"q{q}"] = {f"d{d}": int(rng.integers(0, 4) * rng.integers(0, 2)) for d in judged}
        found = rng.choice(50, size=15, replace=False)
        scores = rng.permutation(15).astype(float)
        run[f"q{q}"] = {f"d{d}": s for d, s in zip(found, scores.tolist(), strict=True)}
    return qrels, run


@pytest.mark.parametrize("theirs", TREC)
def test_measures_of_trec_eval(theirs):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    qrels, run = random_run()
    found = pytrec_eval.RelevanceEvaluator(qrels, {theirs.replace("_5", ".5")}).evaluate(run)
    name, params = TREC[theirs]
    arguments = from_run(qrels, run)
    actual = getattr(metric_learning, name)(**arguments, per_query=True, **params)
    expected = [found[q][theirs] for q in np.unique(arguments["qid"])]
    assert_allclose(actual, expected, rtol=1e-12)
    assert len(set(expected)) > 1


@pytest.mark.parametrize(
    ("theirs", "name", "params"),
    [
        ("ndcg@5", "ndcg_score", {"k": 5}),
        ("ndcg_burges", "ndcg_score", {"gain": "exponential"}),
        ("mrr", "reciprocal_rank", {}),
        ("r-precision", "r_precision", {}),
        ("rbp.80", "rank_biased_precision", {"persistence": 0.8}),
    ],
)
def test_measures_of_ranx(theirs, name, params):
    ranx = pytest.importorskip("ranx")
    qrels, run = random_run()
    if theirs.startswith("rbp"):  # ranx multiplies by the relevance
        qrels = {q: {d: min(rel, 1) for d, rel in of.items()} for q, of in qrels.items()}
    expected = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), theirs)
    actual = getattr(metric_learning, name)(**from_run(qrels, run), **params)
    assert actual == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("qrels", "run", "message"),
    [
        ({}, RUN, "qrels has no judgements"),
        ({"q": {"d": "high"}}, {}, r"qrels\['q'\]\['d'\] is 'high', but must be a finite number"),
        ({"q": {"d": 1}}, {"q": {"d": np.nan}}, r"is nan, but must be a finite number"),
        ({"q": {"d": None}}, {}, "is None, but must be a finite number"),
        (
            {1: {"d": 1}},
            {"1": {"d": 0.5}},
            "run has no query of qrels: ids such as '1'.* 1;",
        ),
        ({"q": {"d": 10**400}}, {}, "but must be a finite number"),
        ({"q": ["d"]}, {}, r"qrels\['q'\] must map documents to numbers, not be a list"),
        ({"q": {"d": 1}}, {"q": None}, r"run\['q'\] must map documents to numbers"),
        ({"q": {1: 1}}, {"q": {"1": 0.5}}, "documents have ids of text in only one of qrels and"),
        ([("q", "d", 1)], {}, "qrels must be a mapping of mappings or a path, not list"),
    ],
)
def test_bad_mappings_are_refused(qrels, run, message):
    with pytest.raises(ValueError, match=message):
        from_run(qrels, run)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["q Q0 d 1 0.5 tag", "q Q0 e 2 0.4"], "line 2 of run.txt has 5 fields, but must have 6"),
        (["q Q0 d 1 half tag"], "line 1 of run.txt: 'half' is no finite number"),
        (["q Q0 d 1 1_0 tag"], "line 1 of run.txt: '1_0' is no finite number"),
        (["q Q0 d 1 \uff11 tag"], "line 1 of run.txt: '\uff11' is no finite number"),
        (["q Q0 d 1 nan tag"], "line 1 of run.txt: 'nan' is no finite number"),
        (["q Q0 d 1 2 tag", "q Q0 d 2 1 tag"], "line 2 of run.txt has document d of query q again"),
    ],
)
def test_bad_lines_are_named(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        from_run({"q": {"d": 1}}, write(tmp_path, "run.txt", lines))


def test_files_of_other_encodings(tmp_path):
    """A byte order mark is no part of the first id; what is not UTF-8 is refused by name."""
    path = tmp_path / "run.txt"
    path.write_text("q Q0 d 1 0.5 tag\n", encoding="utf-8-sig")
    assert from_run({"q": {"d": 1}}, path)["y_score"].tolist() == [0.5]
    path.write_text("q Q0 d\xe9 1 0.5 tag\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"run: run\.txt is not text in UTF-8"):
        from_run({"q": {"d": 1}}, path)
