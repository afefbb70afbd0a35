"""Contrastive losses beside TSNE and umap-learn: seconds, recall@10, kNN accuracy, KL divergence.

Each fit has the machine's cores and comes after a warm-up on 500 points; the judge's P is that of
perplexity 30 for all. A system that was measured before keeps its figures unless it is named again.

``python benchmarks/contrastive.py`` takes MNIST's 70,000 x 50.
"""

import json
import time
from pathlib import Path

import report
from data import load
from judge import Judge


def tsne():
    from fasttsne import TSNE

    return TSNE(random_state=0)


def umap_learn():
    from umap import UMAP

    return UMAP(n_jobs=report.cores())  # a seed would confine it to one thread


def contrastive(**params):
    def make():
        from fasttsne import ContrastiveTSNE

        return ContrastiveTSNE(random_state=0, **params)

    return make


SYSTEMS = {
    "TSNE": tsne,
    "neg": contrastive(),
    "neg, 50 negatives": contrastive(n_negatives=50),
    "neg, UMAP's Z": contrastive(normalization="umap"),
    "neg, UMAP's Z, perplexity 10": contrastive(normalization="umap", perplexity=10.0),
    "nce": contrastive(loss="nce"),
    "nce, 50 negatives": contrastive(loss="nce", n_negatives=50),
    "infonce": contrastive(loss="infonce"),
    "infonce, 50 negatives": contrastive(loss="infonce", n_negatives=50),
    "umap-learn": umap_learn,
}


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="(default: %(default)s)")
    parser.add_argument("--systems", help="names with ; between them (default: all)")
    args = parser.parse_args()
    names = args.systems.split(";") if args.systems else list(SYSTEMS)
    data = load(args.data)
    judge = Judge(data.X, data.y)
    path = report.RESULTS / "contrastive.json"
    kept = {}
    if path.exists():
        before = json.loads(Path(path).read_text())["results"]
        kept = before["systems"] if before["data"] == data.name else {}
    for name in names:
        SYSTEMS[name]().fit_transform(data.X[:500])
        model = SYSTEMS[name]()
        start = time.perf_counter()
        embedding = model.fit_transform(data.X)
        kept[name] = {"seconds": time.perf_counter() - start} | judge(embedding)
        kept_in = report.save("contrastive", {"data": data.name, "systems": kept}, path)
    rows = [
        [name, *(report.number(kept[name]["seconds"]),),
         *(f"{kept[name][key]:.3f}" for key in ("recall", "accuracy", "kl_divergence"))]
        for name in SYSTEMS if name in kept
    ]  # fmt: skip
    print(report.table([data.name, "seconds", "recall@10", "kNN accuracy", "KL divergence"], rows))
    print("Kept in", kept_in)


if __name__ == "__main__":
    main()
