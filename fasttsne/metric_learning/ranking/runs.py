"""Judgements and runs, as TREC's tools have them -> arrays for the measures."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Judged = Mapping[Any, Mapping[Any, float]]


def from_run(qrels: Judged | str | os.PathLike[str], run: Judged | str | os.PathLike[str]) -> Any:
    """Return relevance, scores and query ids of a run and its judgements, for any measure.

    Every query with judgements counts, and as in trec_eval no other. Of a query, the documents are
    those of the run, with relevance 0 where there is no judgement, and the judged documents that
    the run did not retrieve, with a score of minus infinity: they count among the documents to be
    found, and have no rank.

    Parameters
    ----------
    qrels : mapping or path
        Relevance: ``{query: {document: relevance}}``, or a file with lines ``query iteration
        document relevance``. Negative relevance counts as 0, as in trec_eval.
    run : mapping or path
        Scores: ``{query: {document: score}}``, or a file with lines ``query Q0 document rank score
        tag``. As in trec_eval the scores count and the ranks do not. Queries without judgements are
        left out. Files that end in ``.gz`` are decompressed.

    Returns
    -------
    arguments : dict
        "y_true", "y_score" and "qid", to be passed on, as in ``ndcg_score(**from_run(qrels, run),
        k=10)``. Values per query are in ascending order of the ids, so those of several runs with
        the same judgements can be compared.

    Raises
    ------
    ValueError
        If there are no judgements, if a line of a file does not have these fields, if a document
        occurs twice in a query, if a relevance or a score is not a finite number, or if the run has
        no query of `qrels` or ids of documents that are text in only one of the two.

    Examples
    --------
    >>> from fasttsne.metric_learning import from_run, reciprocal_rank
    >>> qrels = {"q1": {"d1": 1, "d2": 0}, "q2": {"d7": 2}}
    >>> run = {"q1": {"d2": 9.5, "d1": 9.0}, "q2": {"d3": 1.0}}
    >>> reciprocal_rank(**from_run(qrels, run), per_query=True)
    array([0.5, 0. ])
    """
    judged, scored = _read(qrels, "qrels"), _read(run, "run")
    _check_ids(judged, scored)
    relevance: list[float] = []
    scores: list[float] = []
    qid: list[Any] = []
    for query, judgements in judged.items():
        if not judgements:
            continue
        found = scored.get(query, {})
        documents = dict.fromkeys([*found, *judgements])
        relevance += [max(_number(judgements.get(d, 0), "qrels", query, d), 0.0) for d in documents]
        scores += [_number(found[d], "run", query, d) if d in found else -np.inf for d in documents]
        qid += [query] * len(documents)
    if not qid:
        raise ValueError("qrels has no judgements")
    return {"y_true": np.array(relevance), "y_score": np.array(scores), "qid": qid}


def _check_ids(judged: Judged, scored: Judged) -> None:
    """Check that ids of qrels and of the run can be equal, and are not 1 here and "1" there."""
    shared = [query for query in judged if query in scored]
    if judged and scored and not shared:
        raise ValueError(
            f"run has no query of qrels: ids such as {next(iter(scored))!r}, where qrels has "
            f"{next(iter(judged))!r}; pass ids of one type"
        )
    judged_text, scored_text = (
        {isinstance(document, str) for query in shared for document in given[query]}
        for given in (judged, scored)
    )
    if judged_text and scored_text and not judged_text & scored_text:
        raise ValueError(
            "documents have ids of text in only one of qrels and run; pass ids of one type"
        )


def _number(value: Any, name: str, query: Any, document: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(
            f"{name}[{query!r}][{document!r}] is {value!r}, but must be a finite number"
        )
    return number


def _read(given: Any, name: str) -> Judged:
    """Return a mapping as it is, or read one from a file of judgements or of a run."""
    if isinstance(given, Mapping):
        for query, of_query in given.items():
            if not isinstance(of_query, Mapping):
                raise ValueError(
                    f"{name}[{query!r}] must map documents to numbers, not be a "
                    f"{type(of_query).__name__}"
                )
        return given
    if not isinstance(given, str | os.PathLike):
        raise ValueError(
            f"{name} must be a mapping of mappings or a path, not {type(given).__name__}"
        )
    path = Path(given)
    n_fields, place = (4, 3) if name == "qrels" else (6, 4)
    found: dict[str, dict[str, float]] = {}
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                fields = re.findall(r"\S+", line, re.ASCII)  # ids may have other spaces
                if not fields:
                    continue
                where = f"{name}: line {number} of {path.name}"
                if len(fields) != n_fields:
                    raise ValueError(f"{where} has {len(fields)} fields, but must have {n_fields}")
                query, document = fields[0], fields[2]
                of_query = found.setdefault(query, {})
                if document in of_query:
                    raise ValueError(f"{where} has document {document} of query {query} again")
                value = fields[place]
                try:
                    of_query[document] = float(value)
                except ValueError:
                    of_query[document] = np.nan
                if "_" in value or not value.isascii() or not np.isfinite(of_query[document]):
                    raise ValueError(f"{where}: {value!r} is no finite number")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {path.name} is not text in UTF-8: {error}") from error
    return found
