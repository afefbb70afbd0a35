"""NDCG of many queries: how long beside scikit-learn and ranx? Fails below the targets.

100,000 queries of 100 documents, relevance 0 to 4, scores without ties. ranx takes rankings in a
form of its own; making that from the two matrices is timed by itself, and does not count against
it. Systems take turns; each figure is the least of the repeats, as noise only ever adds. All must
agree on the result.

``python benchmarks/ranking.py`` takes about two minutes.
"""

import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import report

TIMES_FASTER = 10  # than scikit-learn, the target


def problem(n_queries, n_documents, seed=0):
    """Relevance and scores, (n_queries, n_documents) each, in double precision."""
    rng = np.random.default_rng(seed)
    shape = n_queries, n_documents
    return rng.integers(0, 5, size=shape).astype(float), rng.normal(size=shape)


def as_ranx(relevance, scores):
    """Judgements and rankings as ranx sorts them: a list of (document, value) by falling value."""
    from numba.typed import List

    lists = List(), List()
    for row in zip(relevance, scores, strict=True):
        for values, found in zip(row, lists, strict=True):
            order = np.argsort(-values, kind="stable")
            found.append(np.column_stack([order.astype(float), values[order]]))
    return lists


def systems(relevance, scores, k):
    """What is timed, by name; and seconds that its input took to make."""
    from sklearn.metrics import ndcg_score as of_sklearn

    from fasttsne.metric_learning import ndcg_score

    found = {
        "fasttsne": lambda: ndcg_score(relevance, scores, k=k),
        "scikit-learn": lambda: of_sklearn(relevance, scores, k=k),
    }
    preparation = dict.fromkeys(found, 0.0)
    try:
        from ranx.metrics import ndcg
    except ImportError:
        print("ranx is not installed: left out")
        return found, preparation
    start = time.perf_counter()
    judged, ranked = as_ranx(relevance, scores)
    preparation["ranx"] = time.perf_counter() - start
    found["ranx"] = lambda: ndcg(judged, ranked, k or 0, 1).mean()
    return found, preparation


def measure(relevance, scores, k, repeats):
    found, preparation = systems(relevance, scores, k)
    seconds, values = {name: [] for name in found}, {}
    for name, run in found.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numba's, while it compiles
            values[name] = float(run())
    for _ in range(repeats):
        for name, run in found.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    expected = values["fasttsne"]
    for name, value in values.items():
        if not np.isclose(value, expected, rtol=1e-9):
            raise SystemExit(f"{name} gives {value}, not {expected}")
    return {
        name: {
            "seconds": min(seconds[name]),
            "all_seconds": seconds[name],
            "preparation_seconds": preparation[name],
            "ndcg": values[name],
        }
        for name in found
    }


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--queries", type=int, default=100_000, help="(default: %(default)s)")
    parser.add_argument("--documents", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    args = parser.parse_args()
    relevance, scores = problem(args.queries, args.documents)
    results = {"queries": args.queries, "documents": args.documents, "k": {}, "versions": {}}
    results["k"] = {
        str(k or "all"): measure(relevance, scores, k, args.repeats) for k in (None, 10)
    }
    names = list(results["k"]["all"])
    results["versions"] = {name: version(name) for name in names}

    rows, missed = [], []
    for k, figures in results["k"].items():
        ours = figures["fasttsne"]["seconds"]
        for name in names:
            seconds = figures[name]["seconds"]
            prepared = figures[name]["preparation_seconds"]
            rows.append(
                [
                    f"{name}, {'all ranks' if k == 'all' else f'k = {k}'}",
                    report.number(seconds),
                    report.number(prepared) if prepared else "-",
                    report.number(seconds / ours, 3),
                    f"{figures[name]['ndcg']:.10f}",
                ]
            )
            target = {"scikit-learn": TIMES_FASTER, "ranx": 1}.get(name, 0)
            if seconds < target * ours:
                missed.append(f"{name}, k={k}: {seconds / ours:.2f} of {target} times")
    output = args.output or report.RESULTS
    kept = report.save("ranking", results, output / "ranking.json")
    header = ["NDCG", "seconds", "making its input, s", "times fasttsne's", "mean NDCG"]
    text = f"# NDCG of {args.queries:,} queries of {args.documents} documents\n\n"
    text += f"{report.origin(kept)}\n\n{report.table(header, rows)}\n"
    report.publish(output, "ranking", text)
    for miss in missed:
        print("MISSED:", miss)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
