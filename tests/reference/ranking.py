"""Measures and losses of rankings in plain Python, one query at a time.

The oracle of metric_learning.ranking and metric_learning.learning_to_rank.

Plain on purpose: loops and sums as the definitions have them, nothing shared with the package.
"""

from itertools import groupby, permutations, product
from math import exp, inf, log, log2


def gain_of(relevance, gain):
    return relevance if gain == "linear" else 2.0**relevance - 1.0


def discount_of(rank, k):
    return 1.0 / log2(1 + rank) if rank <= (k or inf) else 0.0


def ranked(y_true, y_score):
    """Scores and relevance by falling score; of equal scores the last comes first."""
    numbered = sorted(zip(y_score, range(len(y_score)), y_true, strict=True), reverse=True)
    return [(s, y) for s, _, y in numbered]


def dcg(y_true, y_score, k=None, gain="linear", ties="average"):
    """Sum of gain * discount; "average" gives each of a tied group the group's mean discount."""
    total, rank = 0.0, 0
    for _, tied in groupby(ranked(y_true, y_score), key=lambda pair: pair[0]):
        gains = [gain_of(y, gain) for _, y in tied]
        discounts = [discount_of(rank + place, k) for place in range(1, len(gains) + 1)]
        if ties == "average":
            total += sum(gains) / len(gains) * sum(discounts)
        else:
            total += sum(g * d for g, d in zip(gains, discounts, strict=True))
        rank += len(gains)
    return total


def ndcg(y_true, y_score, k=None, gain="linear", ties="average"):
    """None where there is no gain."""
    best = dcg(y_true, y_true, k, gain, "stable")
    return dcg(y_true, y_score, k, gain, ties) / best if best > 0 else None


def orders_of_ties(y_true, y_score):
    """Every order of relevant and irrelevant documents that differs in equal scores only."""
    tied = groupby(ranked(y_true, y_score), key=lambda pair: pair[0])
    runs = [set(permutations([y > 0 for _, y in run])) for _, run in tied]
    return [sum(order, ()) for order in product(*runs)]


def precision(hits, rank):
    return sum(hits[:rank]) / rank


def binary(name, y_true, y_score, k=None, ties="average"):
    """The measures of binary relevance, means over all orders; None without relevant documents."""
    if ties == "stable":
        orders = [[y > 0 for _, y in ranked(y_true, y_score)]]
    else:
        orders = orders_of_ties(y_true, y_score)
    values = [_of_order(name, hits, k) for hits in orders]
    return None if None in values else sum(values) / len(values)


def _of_order(name, hits, k):
    n_relevant = sum(hits)
    if name == "precision_at_k":
        return precision(hits, k)
    if n_relevant == 0:
        return None
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    first = [rank for rank in ranks if rank <= (k or inf)]
    up_to_r = [rank for rank in ranks if rank <= n_relevant]
    best = min(n_relevant, k or inf)
    return {
        "average_precision": lambda: sum(precision(hits, rank) for rank in first) / best,
        "reciprocal_rank": lambda: 1 / first[0] if first else 0,
        "recall_at_k": lambda: len(first) / n_relevant,
        "r_precision": lambda: precision(hits, n_relevant),
        "map_at_r": lambda: sum(precision(hits, rank) for rank in up_to_r) / n_relevant,
        "hit_rate": lambda: int(bool(first)),
    }[name]()


def graded(name, y_true, y_score, k=None, ties="average", persistence=0.8):
    """The measures of graded relevance, means over all orders."""
    runs = [list(run) for _, run in groupby(ranked(y_true, y_score), key=lambda pair: pair[0])]
    runs = [[y for _, y in run] for run in runs]
    choices = [list(permutations(run)) if ties == "average" else [tuple(run)] for run in runs]
    orders = [sum(order, ()) for order in product(*choices)]
    values = [_graded_of_order(name, levels, k, persistence) for levels in orders]
    return None if None in values else sum(values) / len(values)


def _graded_of_order(name, levels, k, persistence):
    if name == "expected_reciprocal_rank":
        total, reading = 0.0, 1.0
        for rank, level in enumerate(levels[:k], 1):
            stop = (2.0**level - 1.0) / 2.0**4  # the highest level is 4
            total += reading * stop / rank
            reading *= 1.0 - stop
        return total
    if name == "rank_biased_precision":
        hits = enumerate(level > 0 for level in levels)
        return (1.0 - persistence) * sum(hit * persistence**place for place, hit in hits)
    if not any(levels):
        return None
    # Robertson et al. 2010, equation 10, with equal probabilities of all thresholds.
    total = sum(
        sum(min(level, other) for other in levels[:rank]) / rank
        for rank, level in enumerate(levels, 1)
    )
    return total / sum(levels)


def rank_biased_overlap(scores, others, persistence):
    """Mean over all orders of both rankings of the overlap of their heads."""
    orders = [
        [
            sum(order, ())
            for order in product(
                *(
                    permutations([i for _, i in run])
                    for _, run in groupby(
                        sorted(((-s, i) for i, s in enumerate(of)), key=lambda pair: pair[0]),
                        key=lambda pair: pair[0],
                    )
                )
            )
        ]
        for of in (scores, others)
    ]
    values = []
    for first, second in product(*orders):
        shares = [len({*first[:d]} & {*second[:d]}) / d for d in range(1, len(first) + 1)]
        weights = [(1.0 - persistence) * persistence ** (d - 1) for d in range(1, len(first) + 1)]
        value = sum(w * share for w, share in zip(weights, shares, strict=True))
        values.append(value + persistence ** len(first))  # all depths beyond have all documents
    return sum(values) / len(values)


def lightgbm_lambdarank(scores, relevance, truncation, normalize, order):
    """Gradient and Hessian of LightGBM's lambdarank with documents in this order of ranks.

    LambdarankNDCG::GetGradientsForOneQuery in src/objective/rank_objective.hpp, version 4.
    """
    n = len(scores)
    gains = [2.0**y - 1.0 for y in relevance]
    best = sum(g / log2(r + 2) for r, g in enumerate(sorted(gains, reverse=True)[:truncation]))
    gradient, hessian, total = [0.0] * n, [0.0] * n, 0.0
    for i in range(min(n - 1, truncation)):
        for j in range(i + 1, n):
            high, low = order[i], order[j]
            if relevance[high] == relevance[low]:
                continue
            if relevance[high] < relevance[low]:
                high, low = low, high
            lead = scores[high] - scores[low]
            delta = (gains[high] - gains[low]) * abs(1 / log2(2 + i) - 1 / log2(2 + j)) / best
            if normalize and min(scores) < max(scores):
                delta /= 0.01 + abs(lead)
            p = 1.0 / (1.0 + exp(lead))
            gradient[high] -= delta * p
            gradient[low] += delta * p
            hessian[high] += delta * p * (1.0 - p)
            hessian[low] += delta * p * (1.0 - p)
            total += 2.0 * delta * p
    factor = log2(1.0 + total) / total if normalize and total > 0.0 else 1.0
    return [factor * g for g in gradient], [factor * h for h in hessian]


def loss(name, scores, relevance, thresholds):
    """The sum of a ranking loss; the thresholds are for the ordinal loss."""
    documents = list(zip(scores, relevance, strict=True))
    leads = [s - t for s, y in documents for t, z in documents if y > z]
    ranks = [0.5 + sum(1 / (1 + exp(10 * (s - t))) for t in scores) for s in scores]
    wanted, shares = ([exp(v) / sum(map(exp, of)) for v in of] for of in (relevance, scores))
    return {
        "squared": lambda: sum((s - y) ** 2 for s, y in documents),
        "logistic": lambda: sum(log(1 + exp(s)) - (y > 0) * s for s, y in documents),
        "ordinal": lambda: sum(
            log(1 + exp(t - s if level < y else s - t))
            for s, y in documents
            for level, t in enumerate(thresholds)
        ),
        "hinge": lambda: sum(max(0, 1 - lead) for lead in leads),
        "ranknet": lambda: sum(log(1 + exp(-lead)) for lead in leads),
        "listnet": lambda: -sum(w * log(p) for w, p in zip(wanted, shares, strict=True)),
        "approx_ndcg": lambda: (
            -sum(
                gain_of(y, "exponential") / log2(1 + rank)
                for y, rank in zip(relevance, ranks, strict=True)
            )
            / (dcg(relevance, relevance, None, "exponential") or 1.0)
        ),
    }[name]()
