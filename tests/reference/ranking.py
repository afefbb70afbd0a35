"""Measures of rankings in plain Python, one query at a time: the oracle of metric_learning.ranking.

Plain on purpose: loops and sums as the definitions have them, nothing shared with the package.
"""

from fractions import Fraction
from itertools import groupby
from math import inf, log2


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


def precision(hits, rank):
    return Fraction(sum(hits[:rank]), rank)


def binary(name, y_true, y_score, k=None):
    """The measures of binary relevance; None where no document is relevant."""
    hits = [y > 0 for _, y in ranked(y_true, y_score)]
    n_relevant = sum(hits)
    if name == "precision_at_k":
        return precision(hits, k)
    if n_relevant == 0:
        return None
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    first = [rank for rank in ranks if rank <= (k or inf)]
    up_to_r = [rank for rank in ranks if rank <= n_relevant]
    return {
        "average_precision": lambda: sum(precision(hits, rank) for rank in first) / n_relevant,
        "reciprocal_rank": lambda: Fraction(1, first[0]) if first else 0,
        "recall_at_k": lambda: Fraction(len(first), n_relevant),
        "r_precision": lambda: precision(hits, n_relevant),
        "map_at_r": lambda: sum(precision(hits, rank) for rank in up_to_r) / n_relevant,
        "hit_rate": lambda: int(bool(first)),
    }[name]()
