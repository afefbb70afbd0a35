"""``fasttsne map --landmarks``: some rows are fitted, and all others placed among them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fasttsne import TSNE
from fasttsne.cli import read as columns
from fasttsne.cli import read as tables
from fasttsne.cli import write as outputs
from fasttsne.cli import write as products
from fasttsne.cli.blocks import cluster, writers
from fasttsne.cli.blocks.job import SHAPING, Job
from fasttsne.cli.blocks.opening import open_source
from fasttsne.cli.blocks.results import write_results
from fasttsne.cli.blocks.unfinished import Unfinished
from fasttsne.cli.messages import Progress, Refusal, say


def run(args: argparse.Namespace, given: Mapping[str, Any], kept: Path) -> int:
    """Draw the map of a file that is read block by block.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    given : dict
        Parameters of the estimator that were given.

    kept : pathlib.Path
        The folder of the run while it is unfinished.

    Returns
    -------
    status : int
        0, or 130 if interrupted.
    """
    cluster.check_dask()
    with Unfinished(kept) as unfinished:
        return _run(args, given, unfinished)


def _run(args: argparse.Namespace, given: Mapping[str, Any], unfinished: Unfinished) -> int:
    settings = _settings(args, given, unfinished)
    tables.check_plain(columns.text_format(args), args.input)
    _check_files(args, settings, unfinished)
    progress = Progress(settings.get("max_iter", TSNE().max_iter), args.quiet)
    beside = tables.columns_beside(settings)
    source = open_source(
        args.input.absolute() if args.dask else args.input,
        extra=beside,
        features=settings.get("features"),
        drop=settings.get("drop") or (),
        array=settings.get("array"),
        block_rows=settings.get("block_rows"),
    )
    writers.check_columns(args.output, source.columns(beside, 0, 1))
    job = Job(source, settings, unfinished, progress, n_jobs=given.get("n_jobs"))
    if args.resume:
        unfinished.check_input(job.watch.identity, source.bounds)
    else:
        unfinished.begin(settings, job.watch.identity, source.bounds, force=args.force)
    try:
        _check_map(
            args, settings
        )  # again: a run may have written it before this one had the folder
        with cluster.scheduler(args.dask) as client:
            job.check(client, args.dask)
            model = job.fitted()
            job.place(model, client)
            write_results(job, model, client, args)
    except KeyboardInterrupt:
        progress.close()
        say(f"\n{_farewell(unfinished, args)}")
        return 130
    except Exception as error:
        job.watch.check()  # what went wrong may be a consequence
        if unfinished.is_of_use and not isinstance(error, Refusal):
            progress.note(
                f"what has been done is in {unfinished.path}; --resume goes on from there"
            )
        raise
    finally:
        progress.close()
        if not unfinished.is_of_use:
            unfinished.remove()
    unfinished.remove()
    return 0


# ---- before any work ----------------------------------------------------------------------------


def _settings(
    args: argparse.Namespace, given: Mapping[str, Any], unfinished: Unfinished
) -> dict[str, Any]:
    """Gather what shapes the map, or take it over from the run that is to go on."""
    settings = {name: value for name, value in given.items() if name != "n_jobs"}
    settings |= {name: vars(args)[name] for name in SHAPING if vars(args)[name]}
    for name in ("landmarks", "block_rows"):
        least = 2 if name == "landmarks" else 1
        if vars(args)[name] is not None and vars(args)[name] < least:
            option = f"--{name.replace('_', '-')}"
            raise Refusal(f"{option} must be at least {least}; got {vars(args)[name]}")
    if str(settings.get("metric", "")).startswith("precomputed"):
        raise Refusal("--metric precomputed needs a row of all rows; leave out --landmarks")
    if args.resume:
        return unfinished.settings(settings)
    # None would be another seed after an interruption.
    settings.setdefault("random_state", int(np.random.default_rng().integers(2**31)))
    return settings


def _check_files(
    args: argparse.Namespace, settings: Mapping[str, Any], unfinished: Unfinished
) -> None:
    """Refuse, before any work, files that cannot be written afterwards."""
    outputs.check_distinct(
        {
            "INPUT": args.input,
            "--output": args.output,
            "--plot": args.plot,
            "--html": args.html,
            "--report": args.report,
            "--checkpoint or --resume": unfinished.path,
        }
    )
    _check_map(args, settings)
    products.check_pictures(args, flat=settings.get("n_components", 2) == 2)
    for option, path in (("--output", args.output), ("--checkpoint", unfinished.path)):
        if args.input.resolve() in path.resolve().parents:
            raise Refusal(f"{option} {path} lies in INPUT; choose a place outside of it")
    extra = tables.columns_beside(settings)
    outputs.check_columns(args.output, extra, settings.get("n_components", 2))
    if not args.resume:
        unfinished.check_free(force=args.force)


def _check_map(args: argparse.Namespace, settings: Mapping[str, Any]) -> None:
    extra = tables.columns_beside(settings)
    writers.check_map(args.output, args.force, with_columns=bool(extra))


def _farewell(unfinished: Unfinished, args: argparse.Namespace) -> str:
    if not unfinished.is_of_use:
        return "interrupted before the landmarks were drawn; nothing was written"
    default = args.resume is None and args.checkpoint is None
    where = "" if default else f" {shlex.quote(str(unfinished.path))}"
    return f"interrupted; the same command with --resume{where} goes on from here"
