"""fasttsne.runtime.numbers: NumPy's numbers of few bits give what Python's give, everywhere."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.pipeline import make_pipeline

from fasttsne import TSNE, ContrastiveTSNE
from fasttsne.affinity import conditional_probabilities, joint_probabilities_dense
from fasttsne.descent import Phase, Schedule, Settings, optimize_embedding, standard_schedule
from fasttsne.initialization import initial_embedding, laplacian_eigenmap
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker
from fasttsne.metric_learning.learning_to_rank import lambdarank_loss, listnet_loss, logistic_loss
from fasttsne.metric_learning.losses import multi_similarity_loss, nt_xent_loss, triplet_loss
from fasttsne.metric_learning.mining import mine_triplets
from fasttsne.metric_learning.ranking import ndcg_score, precision_at_k
from fasttsne.metric_learning.sampling import NoiseDistribution
from fasttsne.neighbors import nearest_neighbors
from fasttsne.neighbors.index import neighbor_index
from fasttsne.quality import kl_divergence, knn_accuracy, neighborhood_ndcg, report
from fasttsne.runtime.numbers import plain

RNG = np.random.default_rng(0)
X, Y, LABELS = RNG.normal(size=(260, 4)), RNG.normal(size=(260, 2)), np.arange(260) % 3
SQUARES = ((X[:, None] - X) ** 2).sum(axis=-1)
P = joint_probabilities_dense(SQUARES, 5.0)
SCORES, RELEVANCE = RNG.normal(size=(2, 200)), RNG.integers(0, 3, (2, 200))
GROUPS = np.full(10, 26)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(np.uint8(200), 200), (np.float16(0.5), 0.5), (Fraction(1, 4), 0.25), (True, True)],
)
def test_numbers_become_int_and_float(number, expected):
    assert plain(number) == expected
    assert type(plain(number)) is type(expected)


# i makes an integer of 8 bits, f a number of 16, or both make Python's.
CALLS = {
    "TSNE": lambda i, f: TSNE(
        i(2),
        perplexity=f(30),
        early_exaggeration=f(12.5),
        learning_rate=f(200),
        max_iter=300,
        n_iter_without_progress=i(120),
        min_grad_norm=f(1e-3),
        verbose=i(0),
        random_state=i(0),
        angle=f(0.3),
        n_jobs=i(1),
        degrees_of_freedom=f(0.7),
        n_neighbors=i(100),
        label_weight=f(0.1),
        early_exaggeration_iter=i(120),
        exaggeration=f(1.3),
        density=f(0.3),
        callback=lambda state: None,
        callback_every=i(50),
    ).fit_transform(X, LABELS),
    "TSNE, sigma": lambda i, f: TSNE(
        perplexity=i(100), sigma=f(0.7), exaggeration=[(i(120), f(4)), (i(100), f(1))]
    ).fit_transform(X),
    "transform": lambda i, f: TSNE(max_iter=250).fit(X).transform(X + 0.1, perplexity=f(7.3)),
    "ContrastiveTSNE": lambda i, f: ContrastiveTSNE(
        i(2),
        n_negatives=i(5),
        normalization=f(20000),
        perplexity=i(100),
        early_exaggeration=f(12),
        learning_rate=f(100.5),
        n_epochs=i(120),
        random_state=i(0),
        n_jobs=i(1),
    ).fit_transform(X),
    "optimize_embedding": lambda i, f: (
        optimize_embedding(
            P,
            Y,
            standard_schedule(f(100), early_exaggeration_iter=i(120), exaggeration=f(1.3)),
            max_iter=300,
            degrees_of_freedom=f(0.7),
            angle=f(0.3),
            n_iter_without_progress=i(120),
            min_grad_norm=f(1e-3),
            n_iter_check=i(50),
            callback=lambda state: None,
            callback_every=i(50),
            n_threads=i(1),
        ).outcome.embedding
    ),
    "Schedule": lambda i, f: [
        Schedule(
            [Phase(i(120), Settings(f(50), f(0.7), f(11)), Settings(f(90), f(0.8), f(1)))] * 3,
            n_iter_early=i(120),
        ).at(iteration)[0]
        for iteration in (55, 130, 300, 400)
    ],
    "conditional_probabilities": lambda i, f: conditional_probabilities(SQUARES, f(5.3))[0],
    "nearest_neighbors": lambda i, f: nearest_neighbors(X, i(127), metric="manhattan")[1],
    "neighbor_index": lambda i, f: neighbor_index(X, i(127), n_threads=i(1)).query(X)[1],
    "initial_embedding": lambda i, f: initial_embedding(X, "pca", i(2), np.random.RandomState(0)),
    "laplacian_eigenmap": lambda i, f: laplacian_eigenmap(
        sparse.csr_matrix(P), i(100), np.random.RandomState(0)
    ),
    "report": lambda i, f: report(
        X, Y, LABELS, n_neighbors=i(70), sample=f(0.5), random_state=0
    ).per_sample["continuity"],
    "neighborhood_ndcg": lambda i, f: neighborhood_ndcg(X, Y, n_neighbors=i(127)),
    "knn_accuracy": lambda i, f: knn_accuracy(Y, LABELS, n_neighbors=i(127)),
    "kl_divergence": lambda i, f: kl_divergence(
        X, Y, perplexity=f(30.3), degrees_of_freedom=f(0.7)
    ),
    "triplet_loss": lambda i, f: triplet_loss(Y, LABELS, margin=f(0.3))[0],
    "nt_xent_loss": lambda i, f: nt_xent_loss(Y, np.arange(260).reshape(-1, 2), temperature=f(0.3))[
        0
    ],
    "multi_similarity_loss": lambda i, f: multi_similarity_loss(
        Y, LABELS, alpha=f(2.3), beta=f(50.3)
    )[0],
    "lambdarank_loss": lambda i, f: lambdarank_loss(SCORES, RELEVANCE, sigma=f(1.3), k=i(120))[0],
    "ndcg_score": lambda i, f: ndcg_score(RELEVANCE, SCORES, k=i(120)),
    "precision_at_k": lambda i, f: precision_at_k(RELEVANCE, SCORES, k=i(120)),
    "LinearMetricLearner": lambda i, f: LinearMetricLearner(
        n_components=i(2),
        max_epochs=i(5),
        batch_size=i(120),
        learning_rate=f(0.013),
        n_iter_no_change=i(5),
        tol=f(1e-4),
        random_state=i(0),
    ).fit_transform(X, LABELS),
    "LinearRanker": lambda i, f: (
        LinearRanker(alpha=f(1e-3), max_iter=i(120), tol=f(1e-4), random_state=i(0))
        .fit(X, LABELS, GROUPS)
        .coef_
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("integer", [np.int8, np.uint8])
def test_numbers_of_few_bits_give_what_python_s_give(call, integer):
    expected = call(int, lambda number: float(np.float16(number)))
    assert_array_equal(call(integer, np.float16), expected)


def test_a_fit_leaves_the_parameters_as_they_were():
    tsne = TSNE(perplexity=np.float16(5), callback_every=np.uint8(50))
    before = tsne.get_params()
    tsne.fit(X)
    assert all(tsne.get_params()[name] is value for name, value in before.items())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: ContrastiveTSNE(n_epochs=10**30).fit(X), "n_epochs"),
        (lambda: LinearMetricLearner(max_epochs=10**30).fit(X, LABELS), "max_epochs"),
        (lambda: LinearRanker(max_iter=10**30).fit(X, LABELS, GROUPS), "max_iter"),
        (lambda: TSNE(exaggeration=[(10**30, 1.0), (100, 4.0)]).fit(X), "exaggeration"),
        (lambda: TSNE(perplexity=10**400).fit(X), "perplexity"),
        (lambda: optimize_embedding(P, Y, n_threads=10**30), "n_threads"),
    ],
)
def test_numbers_that_never_end_or_fit_are_refused(call, name):
    with pytest.raises(ValueError, match=name):
        call()


def test_iterations_without_end_converge():
    assert TSNE(max_iter=10**30, n_iter_without_progress=10**30).fit(X).n_iter_ < 2000


TINY, FAR = np.where(LABELS[:, None], 1e-200 * X, X)[:80], 1e4 * Y[:80]
UNDERFLOWS = {
    "principal axes": lambda: TSNE(max_iter=250).fit_transform(TINY),
    "spectral start": lambda: TSNE(init="spectral", max_iter=250).fit_transform(TINY),
    "exact": lambda: TSNE(method="exact", max_iter=250).fit_transform(TINY),
    "cosine": lambda: TSNE(metric="cosine", max_iter=250).fit_transform(TINY),
    "weights": lambda: TSNE(max_iter=250).fit_transform(
        TINY, sample_weight=np.where(LABELS[:80], 1e-12, 2.5)
    ),
    "sigma": lambda: TSNE(sigma=0.01, max_iter=250).fit_transform(TINY),
    "transform": lambda: TSNE(max_iter=250).fit(TINY).transform(1.01 * TINY),
    "ContrastiveTSNE": lambda: ContrastiveTSNE(n_epochs=50, random_state=0).fit_transform(TINY),
    "report": lambda: report(TINY, FAR, LABELS[:80]).per_sample["continuity"],
    "kl_divergence": lambda: kl_divergence(TINY, FAR, perplexity=5),
    "nt_xent_loss": lambda: nt_xent_loss(Y, np.arange(260).reshape(-1, 2), temperature=1e-3)[1],
    "lambdarank_loss": lambda: lambdarank_loss(1e3 * SCORES, RELEVANCE)[1],
    "listnet_loss": lambda: listnet_loss(1e3 * SCORES, RELEVANCE)[1],
    "logistic_loss": lambda: logistic_loss(1e3 * SCORES, RELEVANCE > 1)[1],
}


@pytest.mark.parametrize("call", UNDERFLOWS.values(), ids=UNDERFLOWS)
def test_underflow_is_no_error_whatever_numpy_was_told(call):
    expected = call()
    with np.errstate(all="raise"):
        assert_array_equal(call(), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: triplet_loss(X, LABELS, margin="1"), "margin='1' must be a finite number above 0"),
        (lambda: triplet_loss(X, LABELS, margin=10**400), "margin=10+ must be a finite"),
        (lambda: triplet_loss(X, LABELS, squared="no"), "squared='no' must be True or False"),
        (lambda: triplet_loss(X, LABELS, mining=np.ones(2)), "mining=.* must be one of 'all'"),
        (lambda: nt_xent_loss(X, [(0, 1)], temperature=np.ones(2)), "temperature=.* must be a fin"),
        (lambda: nt_xent_loss(X, [(0, 1)], reduction=np.ones(2)), "reduction=.* must be one of"),
        (lambda: multi_similarity_loss(X, LABELS, threshold="a"), "threshold='a' must be a finite"),
        (lambda: multi_similarity_loss(X, LABELS, threshold=np.nan), "threshold=nan must be"),
        (lambda: lambdarank_loss(SCORES, RELEVANCE, gain=5), "gain=5 must be 'linear'"),
        (
            lambda: lambdarank_loss(SCORES, RELEVANCE, gain=lambda y: y * 1j),
            "gain returned must",
        ),
        (lambda: lambdarank_loss(SCORES, RELEVANCE, k=10**30), "k=10+ must be an integer"),
        (
            lambda: ndcg_score(RELEVANCE, SCORES, ties=np.ones(2)),
            "ties=.* must be one of",
        ),
        (lambda: ndcg_score(RELEVANCE, SCORES, per_query=[1, 2]), "per_query=.* must be True or"),
        (
            lambda: precision_at_k(RELEVANCE, SCORES, k=True),
            "k=True must be an integer of at",
        ),
        (lambda: mine_triplets(X, LABELS, margin="x"), "margin='x' must be a finite number"),
        (lambda: NoiseDistribution.log_uniform(10**30), "n_classes=10+ must be an integer"),
        (lambda: NoiseDistribution.unigram([1, 2], power="x"), "power='x' must be a finite number"),
        (lambda: nearest_neighbors(X, "5"), "n_neighbors='5' must be an integer"),
        (lambda: nearest_neighbors(X, 5, n_threads=2**40), "n_threads=.* must be an integer below"),
        (lambda: neighborhood_ndcg(X, Y, n_neighbors=np.ones(2)), "n_neighbors=.* must be an int"),
        (lambda: kl_divergence(X, Y, perplexity="30"), "perplexity='30' must be a finite number"),
        (lambda: initial_embedding(X, "pca", 2.5, RNG), "n_components=2.5 must be an integer"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scores_whose_sums_overflow_are_refused():
    for loss in (listnet_loss, logistic_loss, lambdarank_loss):
        with pytest.raises(ValueError, match=r"scores has values up to 1e\+308"):
            loss([1e308, -1e308, 0.0], [0, 1, 2])


def test_warnings_name_the_line_of_the_caller():
    calls = [
        lambda: TSNE(learning_rate=1.0, max_iter=250, perplexity=5).fit(X[:50]),
        lambda: TSNE(init=X[:50, :2], max_iter=250, perplexity=5).fit_transform(X[:50]),
        lambda: make_pipeline(TSNE(n_neighbors=10, max_iter=250)).fit(X[:50]),
        lambda: LinearRanker("ranknet", max_iter=1).fit(X, RELEVANCE.ravel()[:260], groups=GROUPS),
    ]
    for call in calls:
        with pytest.warns(UserWarning) as warned:
            call()
        assert [(found.filename, found.lineno) for found in warned] == [
            (__file__, call.__code__.co_firstlineno)
        ]


def test_arguments_that_do_not_fit_name_the_function():
    with pytest.raises(TypeError, match=r"^ndcg_score\(\): too many positional arguments"):
        ndcg_score([1], [1], 10)
    # Python 3.12 adds the kind of argument.
    message = r"^precision_at_k\(\): missing a required (keyword-only )?argument: 'k'"
    with pytest.raises(TypeError, match=message):
        precision_at_k([1], [1])
