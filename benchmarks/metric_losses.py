"""Losses of metric learning: seconds and memory beside others, and what sampling saves.

Triplets: loss and gradient of one batch of 128 features, semihard triplets, plain distances, in
single precision as both take it. `TripletMarginMiner` of pytorch-metric-learning finds the same
triplets; it holds one byte for every triple of samples, and larger batches than the memory allows
are left out. `BatchEasyHardMiner` finds one triplet an anchor. Each measurement is a process of its
own; seconds are the least of the repeats, memory the peak above what the process held before.

Sampling: loss and gradient by 128 inputs of 128 features and by the vectors that take part, of
50,000 classes, the full softmax beside the sampled one and noise contrastive estimation; and how
far their gradients by the inputs are from the full one.

``python benchmarks/metric_losses.py`` takes about three minutes, and fails if
pytorch-metric-learning is quicker at any batch that it can do, or if a batch of 8,192 takes more
than a gigabyte.
"""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import report
from runner import THREAD_VARIABLES
from systems import resident

MARGIN, N_FEATURES, PER_CLASS = 0.2, 128, 16
LIMIT = 1000  # MB, of a batch of 8,192
N_CLASSES, N_INPUTS = 50_000, 128
NAMES = {
    "fasttsne": "fasttsne, all semihard triplets",
    "all": "pytorch-metric-learning, TripletMarginMiner",
    "one": "pytorch-metric-learning, BatchEasyHardMiner",
}


# Triplets ----------------------------------------------------------------------------


def batch(n_samples, seed=0):
    """Unit vectors around the centres of classes of 16, (n_samples, 128) float32, and labels."""
    rng = np.random.default_rng(seed)
    n_classes = n_samples // PER_CLASS
    labels = np.arange(n_samples) % n_classes
    X = rng.normal(size=(n_classes, N_FEATURES))[labels] + rng.normal(size=(n_samples, N_FEATURES))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), labels


def ours(X, labels):
    from fasttsne.metric_learning.losses import triplet_loss

    return lambda: triplet_loss(X, labels, margin=MARGIN, mining="semihard")


def theirs(X, labels, which):
    import torch
    from pytorch_metric_learning import losses, miners
    from pytorch_metric_learning.distances import LpDistance

    distance = LpDistance(normalize_embeddings=False)
    loss = losses.TripletMarginLoss(margin=MARGIN, distance=distance)
    if which == "all":
        mine = miners.TripletMarginMiner(MARGIN, type_of_triplets="semihard", distance=distance)
    else:
        mine = miners.BatchEasyHardMiner("hard", "semihard", distance=distance)
    classes = torch.tensor(labels)

    def run():
        leaf = torch.tensor(X, requires_grad=True)
        value = loss(leaf, classes, mine(leaf, classes))
        value.backward()
        return value.item(), leaf.grad.numpy()

    return run


def child(spec):
    """Measure in a fresh process; prints figures as JSON."""
    X, labels = batch(spec["n_samples"])
    make = ours if spec["system"] == "fasttsne" else theirs
    which = () if spec["system"] == "fasttsne" else (spec["system"],)
    make(*batch(64), *which)()
    run = make(X, labels, *which)
    before, seconds = resident(peak=False), []
    for _ in range(spec["repeats"]):
        start = time.perf_counter()
        loss, gradient = run()
        seconds.append(time.perf_counter() - start)
    figures = {
        "seconds": min(seconds),
        "all_seconds": seconds,
        "peak_mb": resident(peak=True) - before,
        "loss": loss,
        "gradient_norm": float(np.linalg.norm(gradient)),
    }
    print(json.dumps(figures))


def measure(system, n_samples, repeats):
    spec = {"system": system, "n_samples": n_samples, "repeats": repeats}
    threads = dict.fromkeys(THREAD_VARIABLES, str(report.cores()))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(spec)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | threads,
    )
    return spec | json.loads(done.stdout)


def triplets(sizes, repeats):
    """Runs by size and system, and the sizes that did not fit."""
    runs, too_large = [], []
    memory = report.machine()["memory_bytes"] or 2**33
    for n_samples in sizes:
        for system in NAMES:
            if system != "fasttsne" and not installed("pytorch-metric-learning"):
                continue
            if system == "one" and n_samples > 4096:
                continue
            # A byte a triple, and twice as much for a moment; half of the machine is enough.
            if system == "all" and 2.0 * n_samples**3 > memory / 2:
                too_large.append(n_samples)
                continue
            runs.append(measure(system, n_samples, repeats))
            print(NAMES[system], n_samples, f"{runs[-1]['seconds']:.2f} s", file=sys.stderr)
    for run in runs:
        if run["system"] == "all":
            same = next(
                r for r in runs if (r["system"], r["n_samples"]) == ("fasttsne", run["n_samples"])
            )
            for key in "loss", "gradient_norm":
                if not np.isclose(run[key], same[key], rtol=1e-3):
                    raise SystemExit(f"{key} at {run['n_samples']}: {run[key]} is not {same[key]}")
    return runs, too_large


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


# Samples -----------------------------------------------------------------------------


class Vocabulary:
    """Vectors of many classes by Zipf's law, and inputs that have to tell which."""

    def __init__(self, n_classes, seed=0):
        from fasttsne.metric_learning.sampling import NoiseDistribution

        rng = np.random.default_rng(seed)
        self.noise = NoiseDistribution.unigram(1.0 / np.arange(1, n_classes + 1))
        self.vectors = 0.2 * rng.normal(size=(n_classes, N_FEATURES))
        self.bias = self.noise.log_probabilities
        self.inputs = rng.normal(size=(N_INPUTS, N_FEATURES))
        self.target = self.noise.sample(N_INPUTS, random_state=seed)

    def softmax(self):
        """The full loss; its gradients by inputs and by all vectors."""
        from fasttsne.metric_learning.losses import softmax_loss

        logits = self.inputs @ self.vectors.T + self.bias
        loss, by_logits = softmax_loss(logits, self.target)
        return loss, by_logits @ self.vectors, by_logits.T @ self.inputs

    def log_z(self):
        from scipy.special import logsumexp

        return logsumexp(self.inputs @ self.vectors.T + self.bias, axis=1)

    def sampled(self, loss, n_drawn, seed, log_z=0.0):
        """A loss of samples that all inputs share; gradients by inputs and by drawn vectors."""
        from fasttsne.metric_learning.sampling import nce_loss, sampled_softmax_loss

        drawn = self.noise.sample(n_drawn, random_state=seed)
        log_q = self.noise.log_probabilities
        own, negatives = self.vectors[self.target], self.vectors[drawn]
        right = np.einsum("if,if->i", self.inputs, own) + self.bias[self.target]
        wrong = self.inputs @ negatives.T + self.bias[drawn]
        noise = np.broadcast_to(log_q[drawn], wrong.shape)
        if loss == "NCE":
            value, (by_right, by_wrong, _) = nce_loss(
                right, wrong, log_q[self.target], noise, log_z=log_z
            )
        else:
            hits = drawn == self.target[:, np.newaxis]
            value, (by_right, by_wrong) = sampled_softmax_loss(
                right, wrong, log_q[self.target], noise, is_target=hits
            )
        by_own = by_right[:, np.newaxis]
        by_inputs = by_own * own + by_wrong @ negatives
        return value, by_inputs, (by_own * self.inputs, by_wrong.T @ self.inputs)


def least(run, repeats):
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def sampling(n_classes, numbers, repeats):
    """Seconds, and relative errors of the gradient by the inputs, a mean over ten samples."""
    words = Vocabulary(n_classes)
    full = words.softmax()[1]
    log_z = words.log_z()
    rows = [{"loss": "full softmax", "seconds": least(words.softmax, repeats), "error": 0.0}]
    for loss in "sampled softmax", "NCE":
        for n_drawn in numbers:
            found = [words.sampled(loss, n_drawn, seed, log_z)[1] for seed in range(10)]
            errors = [np.linalg.norm(g - full) / np.linalg.norm(full) for g in found]
            rows.append(
                {
                    "loss": loss,
                    "n_drawn": n_drawn,
                    "seconds": least(lambda: words.sampled(loss, n_drawn, 0, log_z), repeats),  # noqa: B023
                    "error": float(np.mean(errors)),
                }
            )
    return rows


# Report ------------------------------------------------------------------------------


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--sizes", default="1024,2048,4096,8192", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--classes", type=int, default=N_CLASSES, help="(default: %(default)s)")
    parser.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    parser.add_argument("--child", help="for internal use")
    args = parser.parse_args()
    if args.child:
        child(json.loads(args.child))
        return 0

    sizes = [int(size) for size in args.sizes.split(",")]
    runs, too_large = triplets(sizes, args.repeats)
    sampled = sampling(args.classes, (100, 1_000, 5_000), args.repeats)
    results = {"triplets": runs, "too_large_for_TripletMarginMiner": too_large}
    results |= {"sampling": sampled, "classes": args.classes}
    results["versions"] = {n: installed(n) for n in ("torch", "pytorch-metric-learning")}
    output = args.output or report.RESULTS
    kept = report.save("metric_losses", results, output / "metric_losses.json")

    rows = [
        [
            f"{run['n_samples']:,}: {NAMES[run['system']]}",
            report.number(run["seconds"]),
            f"{run['peak_mb']:,.0f}",
            f"{run['loss']:.6f}",
        ]
        for run in runs
    ]
    rows += [
        [f"{n:,}: {NAMES['all']}", "-", f"over {n**3 / 1e6:,.0f}", "does not fit"]
        for n in too_large
    ]
    full = sampled[0]["seconds"]
    more = [
        [
            row["loss"] + (f", {row['n_drawn']:,} drawn" if "n_drawn" in row else ""),
            report.number(1e3 * row["seconds"]),
            report.number(full / row["seconds"]),
            report.number(100 * row["error"]),
        ]
        for row in sampled
    ]
    text = f"# Losses of metric learning\n\n{report.origin(kept)}\n\n"
    text += "Loss and gradient of a batch of 128 features, classes of 16.\n\n"
    text += report.table(["samples", "seconds", "peak memory, MB", "loss"], rows)
    text += f"\n\nLoss and gradient of {N_INPUTS} inputs among {args.classes:,} classes; error of "
    text += "the gradient by the inputs, in percent of its length.\n\n"
    text += report.table(["loss", "ms", "times faster", "error, %"], more)
    report.publish(output, "metric_losses", text)
    missed = missed_targets(runs)
    for miss in missed:
        print("MISSED:", miss)
    return 1 if missed else 0


def missed_targets(runs):
    """What is slower than pytorch-metric-learning, or takes too much memory."""
    own = {run["n_samples"]: run for run in runs if run["system"] == "fasttsne"}
    missed = [
        f"{run['n_samples']}: {NAMES[run['system']]} takes {run['seconds']:.2f} s"
        for run in runs
        if run["seconds"] < own[run["n_samples"]]["seconds"]
    ]
    if 8192 in own and own[8192]["peak_mb"] > LIMIT:
        missed.append(f"8192: {own[8192]['peak_mb']:.0f} MB, of {LIMIT}")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
