"""``fasttsne map --landmarks``: some rows are fitted, and all others placed among them."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE
from fasttsne.cli import checkpoint, map, outputs
from fasttsne.cli.blocks import cluster, writers
from fasttsne.cli.blocks.opening import open_source
from fasttsne.cli.blocks.source import Source
from fasttsne.cli.blocks.unfinished import Landmarks, Model, Unfinished
from fasttsne.cli.blocks.watch import Watch
from fasttsne.cli.progress import Progress
from fasttsne.cli.refusal import Refusal

# Options that shape the map beside the parameters of the estimator. Columns that go along do, as
# they are not mapped.
_SHAPING = (
    "landmarks",
    "landmark_selection",
    "standardize",
    "label",
    "keep",
    "features",
    "drop",
    "array",
    "block_rows",
)
_DRAWN = 500_000  # rows that a picture shows at the most: beyond, it would look the same
_ON_PAGE = 50_000  # rows that a page shows at the most, as all of them travel with it


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
    unfinished = Unfinished(kept)
    settings = _settings(args, given, unfinished)
    _check_files(args, settings, kept)
    progress = Progress(settings.get("max_iter", TSNE().max_iter), args.quiet)
    source = open_source(
        args.input.absolute() if args.dask else args.input,
        extra=_extra(settings),
        features=settings.get("features"),
        drop=settings.get("drop") or (),
        array=settings.get("array"),
        block_rows=settings.get("block_rows"),
    )
    job = _Job(args, settings, given, source, unfinished, progress)
    if args.resume:
        unfinished.check_input(job.watch.identity, source.bounds)
    else:
        unfinished.remove()
        unfinished.begin(settings, job.watch.identity, source.bounds)
    try:
        job.do()
    except KeyboardInterrupt:
        progress.close()
        print(f"\n{_farewell(unfinished, args)}", file=sys.stderr)
        return 130
    except Exception as error:
        if unfinished.is_of_use and not isinstance(error, Refusal):
            progress.note(f"what has been done is in {kept}; --resume goes on from there")
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
    settings |= {name: vars(args)[name] for name in _SHAPING if vars(args)[name]}
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


def _check_files(args: argparse.Namespace, settings: Mapping[str, Any], kept: Path) -> None:
    """Refuse, before any work, files that cannot be written afterwards."""
    outputs.check_distinct(
        {
            "INPUT": args.input,
            "--output": args.output,
            "--plot": args.plot,
            "--html": args.html,
            "--report": args.report,
            "--checkpoint": args.checkpoint,
        }
    )
    extra = _extra(settings)
    writers.check_map(args.output, args.force, with_columns=bool(extra))
    map.check_pictures(args, flat=settings.get("n_components", 2) == 2)
    for option, path in (("--output", args.output), ("--checkpoint", kept)):
        if args.input.resolve() in path.resolve().parents:
            raise Refusal(f"{option} {path} lies in INPUT; choose a place outside of it")
    ours = {"embedding", *(f"tsne_{i + 1}" for i in range(settings.get("n_components", 2)))}
    if ours.intersection(extra):
        name = min(ours.intersection(extra))
        raise Refusal(f"--keep {name}: the map's own columns are called that; rename it in INPUT")
    if kept.exists() and not args.resume and not args.force:
        raise Refusal(f"{kept} is left from an earlier run; --resume goes on, --force starts anew")


def _extra(settings: Mapping[str, Any]) -> list[str]:
    """List the columns that go along."""
    label = settings.get("label")
    return list(dict.fromkeys([*([label] if label else []), *settings.get("keep", ())]))


def _farewell(unfinished: Unfinished, args: argparse.Namespace) -> str:
    if not unfinished.is_of_use:
        return "interrupted before the landmarks were drawn; nothing was written"
    default = args.resume is None and args.checkpoint is None
    where = "" if default else f" {shlex.quote(str(unfinished.path))}"
    return f"interrupted; the same command with --resume{where} goes on from here"


# ---- the work -----------------------------------------------------------------------------------


class _Job:
    """A run, from a source to all that is to be written."""

    def __init__(
        self,
        args: argparse.Namespace,
        settings: Mapping[str, Any],
        given: Mapping[str, Any],
        source: Source,
        unfinished: Unfinished,
        progress: Progress,
    ) -> None:
        self.args, self.settings, self.source = args, settings, source
        self.unfinished, self.progress = unfinished, progress
        self.watch = Watch(source)
        self.n_jobs = given.get("n_jobs")

    def do(self) -> None:
        """Do what is not done yet."""
        for note in self.source.notes:
            self.progress.note(note)
        n_rows, n_features = self.source.shape
        self.progress.note(
            f"mapping {n_rows:,} rows of {n_features:,} columns, in {self.source.n_blocks:,} blocks"
        )
        with cluster.scheduler(self.args.dask) as client:
            self._check(client)
            model = self.unfinished.model()
            if model is None:
                model = self._fitted(self.unfinished.landmarks() or self._drawn())
            self._place(model, client)
            self._write(model, client)

    def _check(self, client: Any) -> None:
        """Refuse parameters that make no sense, and workers that are not up to the work."""
        try:
            self._estimator()._checked(self._rows())
        except MemoryError as error:
            raise Refusal(str(error).replace("X.rechunk", "--block-rows")) from error
        if client is not None:
            cluster.check_workers(client, self.args.dask, self.source.path)

    def _estimator(self) -> Any:
        from fasttsne.dask import TSNE as LandmarkTSNE

        return LandmarkTSNE(
            landmarks=self.settings["landmarks"],
            landmark_selection=self.settings.get("landmark_selection", "uniform"),
            **self._parameters(),
        )

    def _rows(self, scaling: NDArray[np.float64] | None = None) -> Any:
        """Make a lazy array of what is in the file, scaled."""
        import dask.array as da

        from fasttsne.dask.rows import as_rows

        X = da.from_array(
            self.source,
            chunks=(tuple(np.diff(self.source.bounds).tolist()), self.source.shape[1]),
            name=f"rows-{uuid4().hex}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0), self.source.dtype),
        )
        if scaling is not None and self.settings.get("standardize"):
            dtype = np.float32 if X.dtype == np.float32 else np.float64
            X = X.map_blocks(
                _scaled, scaling.astype(dtype), dtype=dtype, meta=np.empty((0, 0), dtype)
            )
        return as_rows(X)

    def _drawn(self) -> Landmarks:
        """Draw the landmarks, in a pass in which all rows are looked at."""
        scaling = self._scaling()
        with self._reading("drawing landmarks"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "landmarks=", UserWarning)  # is said below
            rows, samples = self._estimator()._drawn(self._rows(scaling))
        self.watch.check()
        n_rows = self.source.shape[0]
        if len(rows) == n_rows:
            self.progress.note(f"all {n_rows:,} rows are landmarks: there are no more")
        landmarks = Landmarks(rows, samples, scaling)
        self.unfinished.save_landmarks(landmarks)
        return landmarks

    def _scaling(self) -> NDArray[np.float64]:
        """Find what `--standardize` asks for, in a pass of its own."""
        import dask

        n_features = self.source.shape[1]
        if not self.settings.get("standardize"):
            return np.array([np.zeros(n_features), np.ones(n_features)])
        X = self._rows().array
        with self._reading("standardizing"):
            mean, deviation = dask.compute(X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64))
        constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
        return np.array([mean, np.where(constant, 1.0, deviation)])

    def _fitted(self, landmarks: Landmarks) -> Model:
        """Draw the map of the landmarks, or go on with it."""
        path, samples = self.unfinished.descent, landmarks.samples
        if path.exists():
            tsne = checkpoint.load(path, samples).set_params(n_jobs=self.n_jobs)
        else:
            tsne = TSNE(**self._parameters())
        start = time.perf_counter()
        self.progress.note(f"fitting {len(samples):,} landmarks")
        checkpoint.fit_with_checkpoints(tsne, samples, path, progress=self.progress, regularly=True)
        self.progress.note(
            f"KL divergence {tsne.kl_divergence_:.3f} after {tsne.n_iter_ + 1} iterations, "
            f"{time.perf_counter() - start:.1f} s"
        )
        model = Model(checkpoint.concluded(tsne), landmarks.rows, landmarks.scaling)
        self.watch.check()
        self.unfinished.save_model(model)
        return model

    def _parameters(self) -> dict[str, Any]:
        names = [name for name in self.settings if name not in _SHAPING]
        return {"n_jobs": self.n_jobs, **{name: self.settings[name] for name in names}}

    def _place(self, model: Model, client: Any) -> None:
        """Place all blocks that are not placed yet."""
        from fasttsne.dask.placement import place

        numbers = self.unfinished.missing(model.tsne.n_components)
        if not numbers:
            return
        lengths = np.diff(self.source.bounds)
        n_rows = int(lengths[numbers].sum())
        Y = place(
            model.tsne.set_params(n_jobs=self.n_jobs),
            self._rows(model.scaling),
            landmarks=model.rows,
        )
        start, done = time.perf_counter(), 0
        self.progress.note(f"placing {n_rows:,} rows")

        def keep(number: int, block: NDArray[np.float32]) -> None:
            nonlocal done
            self.watch.check(at_once=False)
            self.unfinished.save_block(number, block)
            done += len(block)
            speed = done / (time.perf_counter() - start)
            self.progress.show(
                done / n_rows,
                f"{done:,} of {n_rows:,} rows, {speed:,.0f} a second, "
                f"{(n_rows - done) / speed:,.0f} s left",
            )

        cluster.compute_blocks(Y, numbers, client, keep)
        self.watch.check()
        self.progress.note(f"placed {n_rows:,} rows in {time.perf_counter() - start:.1f} s")

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Show how far a pass over the file is, where this process does it."""
        from dask.callbacks import Callback

        total = done = 0

        def begin(graph: Mapping[Any, Any]) -> None:
            nonlocal total, done
            total, done = len(graph), 0

        def step(*task: Any) -> None:
            nonlocal done
            done += 1
            self.progress.show(done / total, what)

        self.progress.note(what)
        with Callback(start=begin, posttask=step):
            yield
        self.progress.close()

    # ---- what is written ------------------------------------------------------------------------

    def _write(self, model: Model, client: Any) -> None:
        """Write the map first, and then what was made of it."""
        args, progress = self.args, self.progress
        extra = [] if args.output.suffix.lower() == ".npy" else _extra(self.settings)
        writers.write_blocks(
            args.output,
            self._blocks(extra),
            self.source.shape[0],
            model.tsne.n_components,
            self.source.gaps(extra),
        )
        progress.note(f"map: {args.output}")
        label, keep = self.settings.get("label", ""), self.settings.get("keep", [])
        if args.plot is not None:
            Y, columns, told = self._some(_DRAWN, [label] if label else [])
            map.draw(args.plot, Y, columns.get(label), args.input.stem)
            progress.note(f"picture{told}: {args.plot}")
        if args.html is not None:
            from fasttsne.plot import html

            Y, columns, told = self._some(_ON_PAGE, _extra(self.settings))
            hover = map.hover_texts(columns, keep)
            html(Y, columns.get(label), args.html, hover=hover, title=args.input.stem)
            progress.note(f"page{told}: {args.html}")
        if args.report is not None:
            map.write_report(args.report, self._report(model, client))
            progress.note(f"report: {args.report}")

    def _blocks(self, names: list[str]) -> Iterator[tuple[NDArray[np.float32], dict[str, Any]]]:
        for number in range(self.source.n_blocks):
            start, stop = self.source.block(number)
            yield self.unfinished.block(number), self.source.columns(names, start, stop)
            self.progress.show(stop / self.source.shape[0], "writing")
        self.watch.check()
        self.progress.close()

    def _some(
        self, size: int, names: list[str]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]], str]:
        """Take all rows of the map, or so many that were drawn, with columns beside them."""
        from fasttsne.dask.landmarks import uniform_rows

        n_rows = self.source.shape[0]
        rows = uniform_rows(n_rows, size, 0) if n_rows > size else np.arange(n_rows)
        taken: list[NDArray[np.float32]] = []
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        for number, (Y, beside) in enumerate(self._blocks(names)):
            start, stop = self.source.block(number)
            first, last = np.searchsorted(rows, (start, stop))
            here = rows[first:last] - start
            taken.append(Y[here])
            for name, values in beside.items():
                columns[name].append(np.asarray(writers.as_numpy(values))[here])
        told = f" of {size:,} rows" if n_rows > size else ""
        joined = {name: np.concatenate(parts) for name, parts in columns.items()}
        return np.concatenate(taken), joined, told

    def _report(self, model: Model, client: Any) -> Any:
        """Judge some rows, each against all."""
        import dask
        import dask.array as da

        from fasttsne.dask import quality

        places = _Places(self.unfinished, self.source.bounds, model.tsne.n_components)
        rows = self._rows(model.scaling).array
        Y = da.from_array(
            places,
            chunks=(rows.chunks[0], places.shape[1]),
            name=f"places-{uuid4().hex}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0), np.float32),
        )
        # The workers may well see INPUT and not where OUT is; what is left is done here, then.
        elsewhere = client is not None and cluster.all_see(client, self.unfinished.path)
        here = {} if elsewhere or client is None else {"scheduler": "synchronous"}
        with dask.config.set(here), self._reading("judging"):
            return quality(
                rows,
                Y,
                self._classes(),
                metric=model.tsne.metric,
                random_state=0,
                n_jobs=self.n_jobs,
            )

    def _classes(self) -> NDArray[np.float64] | None:
        """Give each label a number, which takes less room; NaN where there is none."""
        label = self.settings.get("label")
        if not label:
            return None
        numbers: dict[Any, float] = {}
        classes = np.full(self.source.shape[0], np.nan)
        for number in range(self.source.n_blocks):
            start, stop = self.source.block(number)
            column = writers.as_numpy(self.source.columns([label], start, stop)[label])
            classes[start:stop] = [
                np.nan
                if value is None or value != value
                else numbers.setdefault(value, len(numbers))
                for value in column.tolist()
            ]
        return classes


class _Places:
    """The map, as ``dask.array.from_array`` reads it, from the blocks that are on disk."""

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(
        self, unfinished: Unfinished, bounds: NDArray[np.int64], n_components: int
    ) -> None:
        self._blocks, self._bounds = Unfinished(unfinished.path.absolute()), bounds
        self.shape = (int(bounds[-1]), n_components)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        rows, columns = index
        start, stop, step = rows.indices(self.shape[0])
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        last = max(int(np.searchsorted(self._bounds, stop)), first + 1)
        Y = np.concatenate([self._blocks.block(number) for number in range(first, last)])
        begin = int(self._bounds[first])
        return Y[start - begin : stop - begin : step, columns]


def _scaled(block: NDArray[Any], scaling: NDArray[Any]) -> NDArray[Any]:
    shift, scale = scaling
    scaled: NDArray[Any] = (block - shift) / scale
    return scaled
