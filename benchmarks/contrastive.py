"""Contrastive losses beside TSNE and umap-learn: seconds, recall@10, kNN accuracy, KL divergence.

Each fit has all cores and follows a warm-up on 500 points. The judge's P has perplexity 30 for all.

``python benchmarks/contrastive.py`` takes three minutes on MNIST's 70,000 x 50.
"""

from data import load
from judge import Judge
from runner import Benchmark, grouped, main, number, table, timed
from systems import cores, versions

LOSSES = {
    "TSNE": None,
    "neg": {},
    "neg, 50 negatives": {"n_negatives": 50},
    "neg, UMAP's Z": {"normalization": "umap"},
    "neg, UMAP's Z, perplexity 10": {"normalization": "umap", "perplexity": 10.0},
    "nce": {"loss": "nce"},
    "nce, 50 negatives": {"loss": "nce", "n_negatives": 50},
    "infonce": {"loss": "infonce"},
    "infonce, 50 negatives": {"loss": "infonce", "n_negatives": 50},
}


def model(name):
    """Return an estimator by the name of a row."""
    from fasttsne import TSNE, ContrastiveTSNE

    if name == "umap-learn":
        from umap import UMAP

        return UMAP(n_jobs=cores())  # a seed would confine it to one thread
    if name == "TSNE":
        return TSNE(random_state=0)
    return ContrastiveTSNE(random_state=0, **LOSSES[name])


def measure(store, args):
    data, found = load(args.data), versions("fasttsne")
    judge = Judge(data.X, data.y)
    for name in args.systems.split(";"):
        slot = {"data": data.name, "system": name}
        if store.needs(slot, found):
            model(name).fit_transform(data.X[:500])
            embedding, seconds = timed(model(name).fit_transform, data.X)
            store.add(slot, found, {"seconds": seconds} | judge(embedding))


def write(runs, args):
    parts = ["# Contrastive losses"]
    for data, group in grouped(runs, "data").items():
        rows = []
        for run in group:
            rows.append([run["slot"]["system"], number(run["seconds"])])
            rows[-1] += [f"{run[key]:.3f}" for key in ("recall", "accuracy", "kl_divergence")]
        parts.append(table([data, "seconds", "recall@10", "kNN accuracy", "KL divergence"], rows))
    return parts


ALL = ";".join([*LOSSES, "umap-learn"])
QUICK = {"data": "digits", "systems": "TSNE;neg"}
BENCHMARKS = {"contrastive": Benchmark(measure, write, {"data": "mnist", "systems": ALL}, QUICK)}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
