"""Losses of embeddings in plain NumPy, a term at a time: the oracle of metric_learning.losses.

Plain on purpose: loops as the definitions have them, nothing shared with the package. Each gives
the list of its terms.
"""

import numpy as np


def distance(X, i, j, squared=False):
    square = np.sum((X[i] - X[j]) ** 2)
    return square if squared else np.sqrt(square)


def cosine(x, y):
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return x @ y / lengths if lengths > 0 else 0.0


def others(labels, i, same):
    return [j for j in range(len(labels)) if j != i and (labels[j] == labels[i]) == same]


def softmax_term(logits, target):
    return np.log(np.sum(np.exp(np.asarray(logits) - logits[target])))


def contrastive(X, pairs, margin, squared):
    """Pairs (i, j, whether similar)."""
    distances = [(distance(X, i, j), similar) for i, j, similar in pairs]
    terms = [d if similar else max(0.0, margin - d) for d, similar in distances]
    return [0.5 * term**2 for term in terms] if squared else terms


def pairs_of(labels):
    n = len(labels)
    return [(i, j, labels[i] == labels[j]) for i in range(n) for j in range(i + 1, n)]


def triplets_of(X, labels, mining, margin, squared):
    found = []
    for a in range(len(X)):
        positives, negatives = others(labels, a, True), others(labels, a, False)
        if mining == "hard" and positives and negatives:
            p = max(positives, key=lambda j: distance(X, a, j))
            n = min(negatives, key=lambda j: distance(X, a, j))
            found.append((a, p, n))
        if mining in ("all", "semihard"):
            for p in positives:
                for n in negatives:
                    ahead = distance(X, a, n, squared) - distance(X, a, p, squared)
                    if mining == "all" or 0 < ahead < margin:
                        found.append((a, p, n))
    return found


def triplet(X, triplets, margin, squared):
    return [
        max(0.0, distance(X, a, p, squared) - distance(X, a, n, squared) + margin)
        for a, p, n in triplets
    ]


def n_pair(A, P):
    return [
        np.log1p(sum(np.exp(A[i] @ P[j] - A[i] @ P[i]) for j in range(len(A)) if j != i))
        for i in range(len(A))
    ]


def info_nce(Q, K, temperature):
    return [softmax_term([cosine(q, k) / temperature for k in K], i) for i, q in enumerate(Q)]


def nt_xent(X, pairs, temperature):
    terms = []
    for i, j in [*pairs, *((j, i) for i, j in pairs)]:
        rest = [k for k in range(len(X)) if k != i]
        logits = [cosine(X[i], X[k]) / temperature for k in rest]
        terms.append(softmax_term(logits, rest.index(j)))
    return terms


def supervised_contrastive(X, labels, temperature):
    terms = []
    for i in range(len(X)):
        rest, positives = [k for k in range(len(X)) if k != i], others(labels, i, True)
        logits = [cosine(X[i], X[k]) / temperature for k in rest]
        if positives:
            terms.append(np.mean([softmax_term(logits, rest.index(p)) for p in positives]))
    return terms


def proxy(X, target, proxies, include_positive):
    def unit(x):
        return x / (np.linalg.norm(x) or 1.0)

    terms = []
    for x, y in zip(X, target, strict=True):
        logits = [-np.sum((unit(x) - unit(p)) ** 2) for p in proxies]
        rest = [s for j, s in enumerate(logits) if include_positive or j != y]
        terms.append(np.log(np.sum(np.exp(rest))) - logits[y])
    return terms


def lifted_structure(X, labels, margin):
    terms = []
    for i, j, similar in pairs_of(labels):
        if not similar or not others(labels, i, False):
            continue
        sums = [
            sum(np.exp(margin - distance(X, a, k)) for k in others(labels, a, False))
            for a in (i, j)
        ]
        terms.append(0.5 * max(0.0, np.log(sum(sums)) + distance(X, i, j)) ** 2)
    return terms


def multi_similarity(X, labels, alpha, beta, threshold):
    return [
        np.log1p(
            sum(np.exp(-alpha * (cosine(X[i], X[p]) - threshold)) for p in others(labels, i, True))
        )
        / alpha
        + np.log1p(
            sum(np.exp(beta * (cosine(X[i], X[n]) - threshold)) for n in others(labels, i, False))
        )
        / beta
        for i in range(len(X))
    ]
