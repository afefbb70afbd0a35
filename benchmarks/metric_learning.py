"""Metric learning: what its losses cost, and what a learned metric is worth.

- ``metric_losses``: seconds and memory of triplets beside pytorch-metric-learning, and what
  sampling saves, three minutes.

  Triplets: loss and gradient of one batch of 128 features, semihard triplets, plain distances, in
  single precision. `TripletMarginMiner` finds the same triplets; it takes one byte per triple of
  samples, and batches larger than the memory are skipped. `BatchEasyHardMiner` finds one triplet
  per anchor. Each measurement is a new process; seconds are the least of the repeats, memory is the
  peak above what the process held before. Fails if pytorch-metric-learning is faster, or if a batch
  of 8,192 takes more than a gigabyte.

  Sampling: loss and gradient by 128 inputs of 128 features and by the vectors that take part, of
  50,000 classes: the full softmax, the sampled softmax and noise contrastive estimation, and the
  error of their gradients by the inputs.
- ``metric_learning``: neighbours in a learned metric beside PCA and NCA, five minutes, most of it
  NCA's. 10,000 random digits of MNIST are for training, 10,000 others for the test. Each method
  maps both to 32 dimensions, and the majority of the 5 nearest training digits classifies a test
  digit, by Euclidean distance, or by cosine for losses of cosines. Pixels are the result without a
  metric. NCA is scikit-learn's on 64 principal components, many times faster than on pixels;
  seconds are those of `fit`, with PCA. Fails if the best learned metric is less accurate than
  pixels, PCA or NCA, or slower than NCA.
"""

import sys
import warnings
from importlib.util import find_spec

import numpy as np
from data import mnist
from runner import (
    Benchmark,
    fresh,
    grouped,
    least,
    main,
    memory_bytes,
    number,
    spread,
    table,
    timed,
)
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from systems import resident, versions

MARGIN, N_FEATURES, PER_CLASS = 0.2, 128, 16
LIMIT = 1000  # MB, of a batch of 8,192
N_CLASSES, N_INPUTS = 50_000, 128
DRAWN = 100, 1_000, 5_000
NAMES = {
    "fasttsne": "fasttsne, all semihard triplets",
    "all": "pytorch-metric-learning, TripletMarginMiner",
    "one": "pytorch-metric-learning, BatchEasyHardMiner",
}

N_DIGITS, N_NEIGHBORS, N_COMPONENTS, N_AXES = 10_000, 5, 32, 64
OF_COSINES = ("supervised_contrastive", "multi_similarity", "proxy", "nt_xent", "info_nce")
LOSSES = ("triplet", "contrastive", "n_pair", "lifted_structure", *OF_COSINES)
NCA = "NCA of scikit-learn"


# ---- Triplets ------------------------------------------------------------------------------------


def batch(n_samples, seed=0):
    """Return unit vectors (n_samples, 128) around the centres of classes of 16, and labels."""
    rng = np.random.default_rng(seed)
    n_classes = n_samples // PER_CLASS
    labels = np.arange(n_samples) % n_classes
    X = rng.normal(size=(n_classes, N_FEATURES))[labels] + rng.normal(size=(n_samples, N_FEATURES))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), labels


def loss_of(system, X, labels):
    """Return a function that returns loss and gradient of a batch."""
    if system == "fasttsne":
        from fasttsne.metric_learning.losses import triplet_loss

        return lambda: triplet_loss(X, labels, margin=MARGIN, mining="semihard")

    import torch
    from pytorch_metric_learning import losses, miners
    from pytorch_metric_learning.distances import LpDistance

    distance = LpDistance(normalize_embeddings=False)
    loss = losses.TripletMarginLoss(margin=MARGIN, distance=distance)
    if system == "all":
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


def cost_of_batch(system, n_samples, repeats):
    """Return seconds, memory, loss and length of the gradient."""
    loss_of(system, *batch(64))()
    run, before = loss_of(system, *batch(n_samples)), resident(peak=False)
    calls = [timed(run) for _ in range(repeats)]
    (loss, gradient), _ = calls[-1]
    return {
        "seconds": min(seconds for _, seconds in calls),
        "all_seconds": [seconds for _, seconds in calls],
        "peak_mb": resident(peak=True) - before,
        "loss": float(loss),
        "gradient_norm": float(np.linalg.norm(gradient)),
    }


def measure_losses(store, args):
    found = versions("fasttsne", "torch", "pytorch-metric-learning")
    systems = list(NAMES) if find_spec("pytorch_metric_learning") else ["fasttsne"]
    for n_samples in map(int, args.sizes.split(",")):
        figures = {}
        for system in systems:
            slot = {"system": system, "n_samples": n_samples}
            if not store.needs(slot, found) or (system == "one" and n_samples > 4096):
                continue
            # A byte per triple, and twice as much for a moment; half of the memory is enough.
            if system == "all" and 2.0 * n_samples**3 > (memory_bytes() or 2**33) / 2:
                store.add(slot, found, {"does_not_fit": True})
                continue
            figures[system] = fresh(cost_of_batch, system, n_samples, args.repeats)
            store.add(slot, found, {"repeats": args.repeats} | figures[system])
            print(f"{NAMES[system]}: {n_samples}", file=sys.stderr)
        for key in ("loss", "gradient_norm") if {"fasttsne", "all"} <= set(figures) else ():
            ours, theirs = figures["fasttsne"][key], figures["all"][key]
            if not np.isclose(ours, theirs, rtol=1e-3):
                raise SystemExit(f"{key} at {n_samples}: {ours} is not {theirs}")
    measure_sampling(store, found, N_CLASSES if not args.quick else 5_000, args.repeats)


# ---- Sampling ------------------------------------------------------------------------------------


class Vocabulary:
    """Vectors of classes with Zipf frequencies, inputs, and the classes of the inputs."""

    def __init__(self, n_classes, seed=0):
        from scipy.special import logsumexp

        from fasttsne.metric_learning.sampling import NoiseDistribution

        rng = np.random.default_rng(seed)
        self.noise = NoiseDistribution.unigram(1.0 / np.arange(1, n_classes + 1))
        self.vectors = 0.2 * rng.normal(size=(n_classes, N_FEATURES))
        self.bias = self.noise.log_probabilities
        self.inputs = rng.normal(size=(N_INPUTS, N_FEATURES))
        self.target = self.noise.sample(N_INPUTS, random_state=seed)
        self.log_z = logsumexp(self.inputs @ self.vectors.T + self.bias, axis=1)

    def softmax(self):
        """Return the full loss; its gradients by inputs and by all vectors."""
        from fasttsne.metric_learning.losses import softmax_loss

        logits = self.inputs @ self.vectors.T + self.bias
        loss, by_logits = softmax_loss(logits, self.target)
        return loss, by_logits @ self.vectors, by_logits.T @ self.inputs

    def sampled(self, loss, n_drawn, seed):
        """Return a loss whose samples all inputs share; gradients by inputs and drawn vectors."""
        from fasttsne.metric_learning.sampling import nce_loss, sampled_softmax_loss

        drawn = self.noise.sample(n_drawn, random_state=seed)
        log_q = self.noise.log_probabilities
        own, negatives = self.vectors[self.target], self.vectors[drawn]
        right = np.einsum("if,if->i", self.inputs, own) + self.bias[self.target]
        wrong = self.inputs @ negatives.T + self.bias[drawn]
        logits = right, wrong, log_q[self.target], np.broadcast_to(log_q[drawn], wrong.shape)
        if loss == "NCE":
            value, (by_right, by_wrong, _) = nce_loss(*logits, log_z=self.log_z)
        else:
            hits = drawn == self.target[:, np.newaxis]
            value, (by_right, by_wrong) = sampled_softmax_loss(*logits, is_target=hits)
        by_own = by_right[:, np.newaxis]
        by_inputs = by_own * own + by_wrong @ negatives
        return value, by_inputs, (by_own * self.inputs, by_wrong.T @ self.inputs)


def measure_sampling(store, found, n_classes, repeats):
    """Record seconds, and the mean relative error of the gradient by the inputs in ten samples."""
    words = Vocabulary(n_classes)
    full = words.softmax()[1]
    variants = [("full softmax", None)]
    variants += [(loss, n) for loss in ("sampled softmax", "NCE") for n in DRAWN]
    for loss, n_drawn in variants:
        slot = {"loss": loss, "n_drawn": n_drawn, "n_classes": n_classes}
        if not store.needs(slot, found):
            continue
        if n_drawn is None:
            figures = {"seconds": least(words.softmax, repeats), "error": 0.0}
        else:
            gradients = [words.sampled(loss, n_drawn, seed)[1] for seed in range(10)]
            errors = [np.linalg.norm(g - full) / np.linalg.norm(full) for g in gradients]
            seconds = least(lambda spec=(loss, n_drawn, 0): words.sampled(*spec), repeats)
            figures = {"seconds": seconds, "error": float(np.mean(errors))}
        store.add(slot, found, figures)


def write_losses(runs, args):
    triplets, skipped, sampled = [], [], []
    for run in runs:
        slot = run["slot"]
        if "loss" in slot:
            full = next(r["seconds"] for r in runs if r["slot"].get("loss") == "full softmax")
            drawn = f", {slot['n_drawn']:,} drawn" if slot["n_drawn"] else ""
            sampled.append([slot["loss"] + drawn, number(1e3 * run["seconds"])])
            sampled[-1] += [number(full / run["seconds"]), number(100 * run["error"])]
            n_classes = slot["n_classes"]
            continue
        name = f"{slot['n_samples']:,}: {NAMES[slot['system']]}"
        if "does_not_fit" in run:
            megabytes = slot["n_samples"] ** 3 / 1e6
            skipped.append([name, "-", f"over {megabytes:,.0f}", "does not fit"])
        else:
            triplets.append([name, number(run["seconds"]), f"{run['peak_mb']:,.0f}"])
            triplets[-1].append(f"{run['loss']:.6f}")
    return [
        "# Losses of metric learning",
        "Loss and gradient of a batch of 128 features, classes of 16.",
        table(["samples", "seconds", "peak memory, MB", "loss"], triplets + skipped),
        f"Loss and gradient of {N_INPUTS} inputs among {n_classes:,} classes; error of the "
        "gradient by the inputs, in percent of its length.",
        table(["loss", "ms", "times faster", "error, %"], sampled),
    ]


def losses_failures(runs):
    runs = [run for run in runs if "peak_mb" in run]
    own = {r["slot"]["n_samples"]: r for r in runs if r["slot"]["system"] == "fasttsne"}
    for run in runs:
        if run["seconds"] < own[run["slot"]["n_samples"]]["seconds"]:
            yield f"{run['slot']}: {run['seconds']:.2f} s"
    if 8192 in own and own[8192]["peak_mb"] > LIMIT:
        yield f"8192: {own[8192]['peak_mb']:.0f} MB, of {LIMIT}"


# ---- A learned metric ----------------------------------------------------------------------------


def methods(seed, losses):
    """Return {name: (estimator or None, metric of its neighbours)}."""
    from fasttsne.metric_learning.learners import LinearMetricLearner

    found = {
        "pixels": (None, "euclidean"),
        "PCA": (PCA(N_COMPONENTS, random_state=seed), "euclidean"),
    }
    for loss in losses:
        learner = LinearMetricLearner(loss, N_COMPONENTS, random_state=seed)
        metric = "cosine" if loss in OF_COSINES else "euclidean"
        found[f"LinearMetricLearner, {loss}"] = (learner, metric)
    nca = NeighborhoodComponentsAnalysis(N_COMPONENTS, random_state=seed)
    found[NCA] = (make_pipeline(PCA(N_AXES, random_state=seed), nca), "euclidean")
    return found


def measure_learning(store, args):
    count, found = N_DIGITS if not args.quick else 1_000, versions("fasttsne")
    digits, classes = mnist()
    for seed in map(int, args.seeds.split(",")):
        rows = np.random.RandomState(seed).permutation(len(digits))[: 2 * count]
        X, y = digits[rows].astype(np.float32) / 255, classes[rows]
        for name, (method, metric) in methods(seed, args.losses.split(",")).items():
            slot = {"method": name, "seed": seed, "components": N_COMPONENTS}
            slot |= {"train": count, "test": count}
            if not store.needs(slot, found) or (args.quick and name == NCA):
                continue
            mapped, seconds = X, 0.0
            if method is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # NCA stops at its default of 50 iterations
                    _, seconds = timed(method.fit, X[:count], y[:count])
                mapped = method.transform(X)
            judge = KNeighborsClassifier(N_NEIGHBORS, metric=metric, algorithm="brute")
            judge.fit(mapped[:count], y[:count])
            accuracy = float(judge.score(mapped[count:], y[count:]))
            store.add(slot, found, {"seconds": seconds, "accuracy": accuracy})
            print(f"{name}: {100 * accuracy:.2f} % in {seconds:.1f} s", file=sys.stderr)


def by_method(runs):
    """Return {method: runs}, the most accurate first."""
    groups = grouped(runs, "method").items()
    return dict(sorted(groups, key=lambda pair: -mean_accuracy(pair[1])))


def mean_accuracy(group):
    return np.mean([run["accuracy"] for run in group])


def write_learning(runs, args):
    rows = []
    for name, group in by_method(runs).items():
        raw = name == "pixels"
        rows.append([name, "784" if raw else group[0]["slot"]["components"]])
        rows[-1].append(spread([100 * run["accuracy"] for run in group], fixed=2))
        rows[-1].append("-" if raw else spread([run["seconds"] for run in group]))
    slot = runs[-1]["slot"]
    header = ["method", "dimensions", f"accuracy of {N_NEIGHBORS} neighbours, %", "seconds of fit"]
    return [
        f"# A metric learned from {slot['train']:,} digits, on {slot['test']:,} others",
        table(header, rows),
    ]


def learning_failures(runs):
    groups = by_method(runs)
    best = next(iter(groups))
    learned = next(name for name in groups if "Learner" in name)
    if best != learned:
        yield f"{best} is more accurate than {learned}"
    for ours, nca in zip(groups[learned], groups.get(NCA, []), strict=False):
        if ours["seconds"] >= nca["seconds"]:
            yield f"NCA is faster than {learned}"


BENCHMARKS = {
    "metric_losses": Benchmark(
        measure_losses,
        write_losses,
        {"sizes": "1024,2048,4096,8192", "repeats": 3},
        {"sizes": "256", "repeats": 1},
        losses_failures,
    ),
    "metric_learning": Benchmark(
        measure_learning,
        write_learning,
        {"losses": ",".join(LOSSES), "seeds": "0"},
        {"losses": "triplet"},
        learning_failures,
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
