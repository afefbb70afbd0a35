"""Rankings: how fast NDCG is, and how well linear rankers order documents.

- ``ranking``: NDCG of 100,000 queries of 100 documents beside scikit-learn and ranx, two minutes.
  Relevance is 0 to 4, scores have no ties. ranx takes rankings in its own format; making it from
  the two matrices is timed separately and does not count against ranx. Systems take turns; figures
  are the least of the repeats, because noise only adds. Fails if systems disagree, if scikit-learn
  is less than ten times slower, or if ranx is faster.
- ``learning_to_rank``: NDCG@5 and @10 by loss beside scikit-learn, some minutes. The data are the
  learning-to-rank sample of LightGBM's examples, divided as there: FASTTSNE_DATA names the parent
  of `lambdarank/` with `rank.train`, `rank.test` and their `.query` files. All rankers get the same
  standardised features. Ridge regression predicts the relevance; logistic regression predicts
  probabilities of its levels, and the expected relevance ranks the documents. The NDCG@10 of five
  folds of training queries chooses every penalty. NDCG has the gain 2^relevance - 1. The best of
  many rankers on the test queries is partly the luckiest, so the table also has the NDCG@10 of the
  folds and each ranker's lead over logistic regression with its standard error over queries. An
  asterisk marks a penalty at the end of its range. Fails unless a pairwise or listwise loss is best
  on the test queries.
- ``ranking_losses``: every loss with gradient and Hessian, ten minutes: seconds of 100,000 queries
  of 100 documents, and seconds and memory of one query of 10,000. Each loss is a new
  process; memory is the peak above what the process held before. Fails if a large query takes more
  than 200 MB.
- ``boosting``: NDCG@10 of LightGBM's trees by objective, two minutes, on the data of
  ``learning_to_rank``. Fails if our lambdarank with LightGBM's settings is more than 0.005 from
  LightGBM's own, or if trees of ListNet, ListMLE or ApproxNDCG are not better than those of the
  squared loss. "Shuffled" is LightGBM's own with the rows of each query in other orders: what the
  order of equal scores changes.
- ``retrieval``: seconds and memory of `retrieval_report` on 70,000 embeddings of 128 features, in
  classes of 10, 100 and 7,000, with all threads. Fails over 300 MB, or over 10 seconds for classes
  of 10 and of 100.
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from runner import Benchmark, fresh, main, number, table, timed
from sklearn.datasets import load_svmlight_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from systems import resident, versions

from fasttsne.metric_learning import ndcg_score

SHAPE = 100_000, 100  # queries and documents of a query
TARGETS = {"scikit-learn": 10, "ranx": 1}  # times slower than fasttsne, at least

FAMILIES = {
    "pointwise": ("squared", "logistic", "ordinal"),
    "pairwise": ("hinge", "ranknet", "lambdarank"),
    "listwise": ("listnet", "listmle", "approx_ndcg", "soft_rank"),
}
FAMILY = {loss: family for family, losses in FAMILIES.items() for loss in losses}
N_FOLDS = 5
PENALTIES = {
    "Ridge": (1e2, 1e3, 1e4, 1e5, 1e6),
    "logistic regression": (1e-4, 1e-3, 1e-2),
} | dict.fromkeys(FAMILY, (1e-3, 1e-2, 1e-1, 1.0, 10.0))


# ---- NDCG ----------------------------------------------------------------------------------------


def as_ranx(relevance, scores):
    """Return judgements and rankings in ranx's form: (document, value) by falling value."""
    from numba.typed import List

    lists = List(), List()
    for row in zip(relevance, scores, strict=True):
        for values, found in zip(row, lists, strict=True):
            order = np.argsort(-values, kind="stable")
            found.append(np.column_stack([order.astype(float), values[order]]))
    return lists


def measure_ranking(store, args):
    from sklearn.metrics import ndcg_score as of_sklearn

    rng = np.random.default_rng(0)
    n_queries, n_documents = SHAPE if not args.quick else (1_000, 100)
    relevance = rng.integers(0, 5, size=(n_queries, n_documents)).astype(float)
    scores = rng.normal(size=(n_queries, n_documents))
    packages, preparation = ["fasttsne", "scikit-learn"], 0.0
    try:
        from ranx.metrics import ndcg

        (judged, ranked), preparation = timed(as_ranx, relevance, scores)
        packages.append("ranx")
    except ImportError:
        print("ranx is not installed: skipped", file=sys.stderr)
    for k in (None, 10):
        runs = {
            "fasttsne": lambda k=k: ndcg_score(relevance, scores, k=k),
            "scikit-learn": lambda k=k: of_sklearn(relevance, scores, k=k),
            "ranx": lambda k=k: ndcg(judged, ranked, k or 0, 1).mean(),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numba, while it compiles
            values = {name: float(runs[name]()) for name in packages}
        if not np.allclose(list(values.values()), values["fasttsne"], rtol=1e-9, atol=0):
            raise SystemExit(f"the systems disagree: {values}")
        seconds = {name: [] for name in packages}
        for _ in range(args.repeats):
            for name in packages:
                seconds[name].append(timed(runs[name])[1])
        for name in packages:
            slot = {"system": name, "k": k or "all", "queries": n_queries}
            figures = {
                "seconds": min(seconds[name]),
                "all_seconds": seconds[name],
                "preparation_seconds": preparation if name == "ranx" else 0.0,
                "ndcg": values[name],
            }
            store.add(slot | {"documents": n_documents}, versions(*packages), figures)


def times_slower(run, runs):
    """Return the seconds of a run over those of fasttsne."""
    slot = run["slot"] | {"system": "fasttsne"}
    return run["seconds"] / next(r["seconds"] for r in runs if r["slot"] == slot)


def write_ranking(runs, args):
    rows = []
    for run in runs:
        slot = run["slot"]
        ranks = "all ranks" if slot["k"] == "all" else f"k = {slot['k']}"
        rows.append([f"{slot['system']}, {ranks}", number(run["seconds"])])
        rows[-1].append(number(run["preparation_seconds"] or None))
        rows[-1] += [number(times_slower(run, runs)), f"{run['ndcg']:.10f}"]
    header = ["NDCG", "seconds", "making its input, s", "times fasttsne's", "mean NDCG"]
    title = f"# NDCG of {slot['queries']:,} queries of {slot['documents']} documents"
    return [title, table(header, rows)]


def ranking_failures(runs):
    for run in runs:
        slot, times = run["slot"], times_slower(run, runs)
        if times < TARGETS.get(slot["system"], 0):
            yield f"{slot['system']}, k={slot['k']}: {times:.2f} times fasttsne's seconds"


# ---- Rankers -------------------------------------------------------------------------------------


def load(part, n_features=None):
    """Return features, relevance and sizes of the queries."""
    place = os.environ.get("FASTTSNE_DATA")
    if not place:
        raise SystemExit("FASTTSNE_DATA must name the directory that holds lambdarank/")
    path = Path(place) / "lambdarank" / f"rank.{part}"
    X, y = load_svmlight_file(str(path), n_features=n_features)
    sizes = np.loadtxt(path.with_suffix(path.suffix + ".query"), dtype=np.int64, ndmin=1)
    return X.toarray(), y.astype(np.int64), sizes


def ndcg_of(y, scores, sizes, k, **params):
    params |= {"gain": "exponential", "undefined": "skip"}
    return ndcg_score(y, scores, groups=sizes, k=k, **params)


class Expected(LogisticRegression):
    """Logistic regression of the levels; it predicts the expected relevance."""

    def predict(self, X):
        return self.predict_proba(X) @ self.classes_


def fitted(name, penalty, X, y, sizes):
    """Return a trained ranker."""
    from fasttsne.metric_learning.learners import LinearRanker

    with warnings.catch_warnings():
        # A small penalty can need more iterations than allowed; the folds judge it as it is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if name == "Ridge":
            return Ridge(penalty).fit(X, y)
        if name == "logistic regression":
            return Expected(C=penalty, max_iter=500).fit(X, y)
        return LinearRanker(name, alpha=penalty, random_state=0).fit(X, y, groups=sizes)


def folds(sizes):
    """Yield documents and queries to train on, and those to judge by."""
    of_document = np.repeat(np.arange(len(sizes)), sizes)
    for train, test in GroupKFold(N_FOLDS).split(of_document, groups=of_document):
        yield train, test, np.unique(of_document[train]), np.unique(of_document[test])


def judged(name, train, test):
    """Return the figures of a ranker with the best penalty of the folds."""
    (X, y, sizes), (X_test, y_test, sizes_test) = train, test
    penalties, means = PENALTIES[name], []
    for penalty in penalties:
        values = []
        for rows, held_out, queries, others in folds(sizes):
            model = fitted(name, penalty, X[rows], y[rows], sizes[queries])
            values.append(ndcg_of(y[held_out], model.predict(X[held_out]), sizes[others], 10))
        means.append(float(np.mean(values)))
    penalty = penalties[int(np.argmax(means))]
    model, seconds = timed(fitted, name, penalty, X, y, sizes)
    scores = model.predict(X_test)
    each = ndcg_of(y_test, scores, sizes_test, 10, per_query=True)
    return {
        "family": FAMILY.get(name, "scikit-learn"),
        "ndcg@5": ndcg_of(y_test, scores, sizes_test, 5),
        "ndcg@10": ndcg_of(y_test, scores, sizes_test, 10),
        "each": each[~np.isnan(each)].tolist(),
        "penalty": penalty,
        "at_end": penalty in (penalties[0], penalties[-1]),
        "folds": means,
        "seconds": seconds,
    }


def measure_rankers(store, args):
    X, y, sizes = load("train")
    X_test, y_test, sizes_test = load("test", X.shape[1])
    scaler = StandardScaler().fit(X)
    train, test = (scaler.transform(X), y, sizes), (scaler.transform(X_test), y_test, sizes_test)
    found = versions("fasttsne")
    for name in (*args.losses.split(","), "logistic regression", "Ridge"):
        slot = {"ranker": name, "queries": [len(sizes), len(sizes_test)]}
        if store.needs(slot, found):
            figures = judged(name, train, test)
            store.add(slot, found, figures)
            print(f"{name}: {figures['ndcg@5']:.4f} {figures['ndcg@10']:.4f}", file=sys.stderr)


def write_rankers(runs, args):
    by_name = {run["slot"]["ranker"]: run for run in runs}
    reference = np.array(by_name["logistic regression"]["each"])
    rows = []
    for name, run in sorted(by_name.items(), key=lambda pair: -pair[1]["ndcg@10"]):
        ahead = np.array(run["each"]) - reference
        lead = f"{ahead.mean():+.4f} ± {ahead.std(ddof=1) / np.sqrt(len(ahead)):.4f}"
        rows.append([f"LinearRanker, {name}" if name in FAMILY else name, run["family"]])
        rows[-1] += [f"{run['ndcg@5']:.4f}", f"{run['ndcg@10']:.4f}"]
        rows[-1] += ["-" if name == "logistic regression" else lead, f"{max(run['folds']):.4f}"]
        rows[-1] += [f"{run['penalty']:g}{'*' if run['at_end'] else ''}"]
        rows[-1] += [number(run["seconds"], digits=2)]
    header = ["ranker", "family", "NDCG@5", "NDCG@10", "lead @10", "@10, folds"]
    n_train, n_test = run["slot"]["queries"]
    title = f"# {n_test} queries ranked after {n_train}"
    return [title, table([*header, "penalty", "seconds"], rows)]


def rankers_failures(runs):
    for key in ("ndcg@5", "ndcg@10"):
        best = max(runs, key=lambda run: run[key])
        if best["family"] not in ("pairwise", "listwise"):
            yield f"{best['slot']['ranker']} has the best {key}"


# ---- Losses --------------------------------------------------------------------------------------

LARGE = 10_000  # documents of one query
LIMIT = 200  # MB


def cost_of_loss(name, n_queries, n_documents):
    """Return seconds and memory of a loss with gradient and Hessian."""
    from fasttsne.metric_learning.learning_to_rank.names import LOSSES as functions

    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n_queries, n_documents))
    relevance = rng.integers(0, 5, size=scores.shape)
    functions[name](scores[:1, :5], relevance[:1, :5], hessian=True)
    before = resident(peak=False)
    _, seconds = timed(functions[name], scores, relevance, hessian=True)
    return {"seconds": seconds, "peak_mb": resident(peak=True) - before}


def measure_losses(store, args):
    found = versions("fasttsne")
    for name in args.losses.split(","):
        n_queries, n_documents = SHAPE if not args.quick else (100, 100)
        for shape in (n_queries, n_documents), (1, LARGE if not args.quick else 1_000):
            slot = {"loss": name, "queries": shape[0], "documents": shape[1]}
            if store.needs(slot, found):
                store.add(slot, found, fresh(cost_of_loss, name, *shape))
                print(slot, file=sys.stderr)


def write_losses(runs, args):
    rows = [
        [run["slot"]["loss"], f"{run['slot']['queries']:,}", f"{run['slot']['documents']:,}"]
        + [number(run["seconds"]), f"{run['peak_mb']:,.0f}"]
        for run in runs
    ]
    header = ["loss", "queries", "documents of each", "seconds", "peak memory, MB"]
    return ["# Losses of rankings with gradient and Hessian", table(header, rows)]


def losses_failures(runs):
    for run in runs:
        if run["slot"]["queries"] == 1 and run["peak_mb"] > LIMIT:
            yield f"{run['slot']['loss']}: {run['peak_mb']:.0f} MB, of {LIMIT}"


# ---- Boosting ------------------------------------------------------------------------------------

AS_LIGHTGBM = {"truncation": 30, "normalize": True, "ties": "given"}
N_SHUFFLES = 5


def measure_boosting(store, args):
    import lightgbm

    from fasttsne.metric_learning.boosting import lightgbm_objective

    X, y, sizes = load("train")
    test, y_test, sizes_test = load("test", X.shape[1])
    of_document = np.repeat(np.arange(len(sizes)), sizes)
    found = versions("fasttsne", "lightgbm")

    def trees(objective, rows=slice(None)):
        # The settings of LightGBM's example.
        model = lightgbm.LGBMRanker(
            objective=objective, min_child_samples=50, min_child_weight=5.0, verbose=-1, n_jobs=1
        ).fit(X[rows], y[rows], group=sizes)
        return ndcg_of(y_test, model.predict(test), sizes_test, 10)

    runs = {"LightGBM's lambdarank": lambda: trees("lambdarank")}
    name = "lambdarank, LightGBM's settings"
    runs[name] = lambda: trees(lightgbm_objective("lambdarank", **AS_LIGHTGBM))
    for name in FAMILY:
        if name not in ("soft_rank", "hinge"):
            runs[name] = lambda name=name: trees(lightgbm_objective(name))
    for seed in range(N_SHUFFLES):
        chance = np.random.default_rng(seed).random(len(y))
        runs[f"LightGBM's, shuffled {seed + 1}"] = lambda chance=chance: trees(
            "lambdarank", np.lexsort((chance, of_document))
        )
    for name, run in runs.items():
        if store.needs({"objective": name}, found):
            ndcg, seconds = timed(run)
            store.add({"objective": name}, found, {"ndcg@10": ndcg, "seconds": seconds})


def write_boosting(runs, args):
    rows = [
        [run["slot"]["objective"], f"{run['ndcg@10']:.4f}", number(run["seconds"], digits=2)]
        for run in runs
    ]
    return [
        "# 100 trees of LightGBM by objective",
        table(["objective", "NDCG@10", "seconds"], rows),
    ]


def boosting_failures(runs):
    reached = {run["slot"]["objective"]: run["ndcg@10"] for run in runs}
    own = reached["LightGBM's lambdarank"]
    ours = reached["lambdarank, LightGBM's settings"]
    if abs(ours - own) > 0.005:
        yield f"lambdarank: {ours:.4f}, LightGBM's own {own:.4f}"
    for name in FAMILIES["listwise"][:3]:
        if reached[name] <= reached["squared"]:
            yield f"{name}: {reached[name]:.4f}, squared loss {reached['squared']:.4f}"


# ---- Retrieval -----------------------------------------------------------------------------------


def cost_of_retrieval(n_samples, n_of_class):
    """Return seconds and memory of a report on noisy classes of one size."""
    from fasttsne.metric_learning import retrieval_report

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_samples // n_of_class), n_of_class)
    centers = rng.normal(size=(len(labels) // n_of_class, 128))
    E = (centers[labels] + 1.5 * rng.normal(size=(len(labels), 128))).astype(np.float32)
    retrieval_report(E[:200], np.arange(200) % 20)
    before = resident(peak=False)
    report, seconds = timed(retrieval_report, E, labels, n_jobs=-1)
    figures = {"map_at_r": report.map_at_r, "recall@1": report.recall_at_k[1]}
    return {"seconds": seconds, "peak_mb": resident(peak=True) - before} | figures


def measure_retrieval(store, args):
    found = versions("fasttsne")
    n_samples = 70_000 if not args.quick else 2_000
    for n_of_class in (10, n_samples // 700, n_samples // 10):
        slot = {"samples": n_samples, "of_class": n_of_class}
        if store.needs(slot, found):
            store.add(slot, found, fresh(cost_of_retrieval, n_samples, n_of_class))


def write_retrieval(runs, args):
    rows = [
        [f"{run['slot']['of_class']:,}", number(run["seconds"]), f"{run['peak_mb']:,.0f}"]
        + [f"{run['map_at_r']:.4f}", f"{run['recall@1']:.4f}"]
        for run in runs
    ]
    header = ["samples of a class", "seconds", "peak memory, MB", "MAP@R", "recall@1"]
    title = f"# Retrieval by {runs[0]['slot']['samples']:,} embeddings of 128 features"
    return [title, table(header, rows)]


def retrieval_failures(runs):
    for run in runs:
        of_class = run["slot"]["of_class"]
        if run["peak_mb"] > 300 or (run["seconds"] > 10 and of_class <= 100):
            yield f"classes of {of_class}: {run['seconds']:.0f} seconds, {run['peak_mb']:.0f} MB"


BENCHMARKS = {
    "ranking": Benchmark(
        measure_ranking, write_ranking, {"repeats": 3}, {"repeats": 1}, ranking_failures
    ),
    "learning_to_rank": Benchmark(
        measure_rankers,
        write_rankers,
        {"losses": ",".join(FAMILY)},
        {"losses": "squared,ranknet"},
        rankers_failures,
    ),
    "ranking_losses": Benchmark(
        measure_losses,
        write_losses,
        {"losses": ",".join(FAMILY)},
        {"losses": "squared,ranknet"},
        losses_failures,
    ),
    "boosting": Benchmark(measure_boosting, write_boosting, {}, {}, boosting_failures),
    "retrieval": Benchmark(measure_retrieval, write_retrieval, {}, {}, retrieval_failures),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
