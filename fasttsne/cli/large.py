"""``fasttsne map --landmarks``: maps of more rows than fit in memory.

Some rows, the landmarks, are drawn and fitted. Then every block of rows is placed on their map and
written as one part, a Parquet file. A resumed run keeps what is written. At the end the parts are
joined into OUT; if OUT is a folder, they are the map.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE, __version__, saving
from fasttsne.cli import checkpoint, read, write
from fasttsne.cli.large_inputs import Source, open_source
from fasttsne.cli.large_parts import Unfinished, check_output, join, split
from fasttsne.cli.messages import Progress, Refusal, check_package, counted, say, shortened
from fasttsne.cli.options import check_plain, text_format
from fasttsne.samples.checks import check_samples
from fasttsne.samples.labels import has_fractions
from fasttsne.tsne import forget_descent

# Options that shape the map and its columns, beside the parameters of the estimator.
_SHAPING = {
    **dict.fromkeys(("landmarks", "block_rows"), int),
    **dict.fromkeys(("landmark_selection", "label", "array"), str),
    **dict.fromkeys(("keep", "features", "drop"), list),
    "standardize": bool,
}
_SAMPLES = "placement.X"  # of a fitted map, which has them from the file of the landmarks
_DRAWN = 500_000  # rows in a picture at most: more would look the same
_ON_PAGE = 50_000  # rows in a page at most: it contains all of them
_PATIENCE = 10  # seconds to wait for a scheduler


def run(args: argparse.Namespace, given: Mapping[str, Any], kept: Path) -> int:
    """Map INPUT; `kept` is the folder of the unfinished run. Return 0, or 130 if interrupted."""
    for name in ("dask", "distributed", "pandas", "pyarrow"):
        check_package("--landmarks", name, "dask")
    _check_files(args, kept)
    unfinished = Unfinished(kept, args.output if args.as_folder else kept)
    settings = _settings(args, given, unfinished)
    n_components = settings.get("n_components", 2)
    write.check_pictures(args, flat=n_components == 2)
    source = open_source(args.input.absolute() if args.dask else args.input, settings)
    args.label = source.along.label  # which a resumed run need not be given
    try:  # whether parts and OUT can hold the columns, by the first row
        write.check_columns(args.output, source.beside(0, 1), n_components, in_parts=True)
    except (TypeError, ValueError, NotImplementedError) as error:  # as pyarrow's are
        raise Refusal(f"{source.path}: {error}; leave the column out") from error
    if args.resume:
        unfinished.check_input(source)
    else:
        unfinished.begin(settings, source.identity())
    progress = Progress(args.quiet)
    coordinates = write.coordinates(n_components)
    run = _Run(args, settings, source, unfinished, progress, given.get("n_jobs"), coordinates)
    try:
        with _cluster(args.dask, source.path) as client:
            run.check()
            run.fit()
            run.place(client)
            run.write()
            run.draw()
            run.judge()
    except KeyboardInterrupt:
        progress.close()
        if unfinished.is_of_use:
            is_named = args.resume is not None or args.checkpoint is not None
            where = f" {shlex.quote(str(kept))}" if is_named else ""
            say(f"\ninterrupted; the same command with --resume{where} continues from here")
        else:
            say("\ninterrupted before the landmarks were drawn; nothing was written")
        return 130
    except Exception as error:
        unfinished.check_input(source)  # a changed input may be the cause
        if unfinished.is_of_use and not isinstance(error, Refusal):
            progress.note(f"finished work is kept in {unfinished.state}; --resume continues it")
        raise
    finally:
        progress.close()
        if not unfinished.is_of_use:
            unfinished.remove()
    unfinished.remove()
    return 0


# ---- before any work ----------------------------------------------------------------------------


def _check_files(args: argparse.Namespace, kept: Path) -> None:
    """Refuse files that cannot be written later."""
    named = {"--output": args.output, "--plot": args.plot, "--html": args.html}
    named |= {"--report": args.report, "--checkpoint or --resume": kept}
    write.check_distinct({"INPUT": args.input, **named})
    check_plain(text_format(args), args.input)
    if args.fill is not None:
        raise Refusal("--fill reads the whole of INPUT; fill it before, or leave out --landmarks")
    check_output(args.output, args.as_folder, args.force)
    for option, path in (("--output", args.output), ("--checkpoint", kept)):
        if Path(os.path.realpath(args.input)) in Path(os.path.realpath(path)).parents:
            raise Refusal(f"{option} {path} lies in INPUT; choose a place outside of it")
    read.check_kind(kept, f"--checkpoint {kept}")
    if checkpoint.is_one(kept):
        raise Refusal(
            f"{kept} is left from an earlier run without --landmarks; choose another --checkpoint"
        )


def _settings(
    args: argparse.Namespace, given: Mapping[str, Any], unfinished: Unfinished
) -> dict[str, Any]:
    """Return the options that shape the map; a resumed run has them in its manifest."""
    settings = {name: value for name, value in given.items() if name != "n_jobs"}
    settings |= {name: vars(args)[name] for name in _SHAPING if vars(args)[name]}
    if args.block_rows is not None and args.block_rows < 1:
        raise Refusal(f"--block-rows must be at least 1; got {args.block_rows}")
    if str(settings.get("metric", "")).startswith("precomputed"):
        raise Refusal("--metric precomputed needs distances to all rows; leave out --landmarks")
    if not args.resume:
        unfinished.check(force=args.force)
        # A resumed run has to know the seed.
        return {"random_state": int(np.random.default_rng().integers(2**31)), **settings}
    settings = unfinished.settings(settings)
    known = {**dict.fromkeys(TSNE().get_params(), object), **_SHAPING}
    if not (
        {"landmarks", "random_state"} <= settings.keys() <= known.keys()
        and all(isinstance(value, known[name]) for name, value in settings.items())
        and min(settings["landmarks"], settings.get("block_rows", 1)) > 0
    ):
        raise Refusal(f"{unfinished.state} is damaged; start again with --force")
    return settings


# ---- from rows to a map -------------------------------------------------------------------------


@dataclass
class _Run:
    """One run, step by step."""

    args: argparse.Namespace
    settings: Mapping[str, Any]
    source: Source
    unfinished: Unfinished
    progress: Progress
    n_jobs: int | None
    coordinates: Sequence[str]  # names of the map's columns
    tsne: Any = None  # the fitted map of the landmarks
    landmarks: Any = None  # their rows, ascending
    scaling: Any = ()  # mean and deviation of every column, for --standardize

    def check(self) -> None:
        """Refuse unfit parameters and workers before any row is read."""
        from fasttsne.dask import TSNE as LandmarkTSNE

        source, (n_rows, n_features) = self.source, self.source.shape
        named = f": {shortened(list(source.names))}" if source.names else ""
        what = f"{counted(n_rows, 'row')} of {counted(n_features, 'column')}"
        what += f" in {counted(len(source.lengths), 'block')}{named}"
        self.progress.note(*source.notes, f"mapping {what}")
        estimator = LandmarkTSNE(landmarks=self.settings["landmarks"], **self._parameters())
        try:
            estimator.check(self._rows().array)
        except MemoryError as error:
            raise Refusal(str(error).replace("X.rechunk", "--block-rows")) from error

    def fit(self) -> None:
        """Fit the map of the landmarks, going on from what is saved."""
        samples = self.unfinished.saved("landmarks", self._landmarks_of)
        samples = self._draw_landmarks() if samples is None else samples
        self.tsne = self.unfinished.saved("model", partial(self._model_of, samples))
        if self.tsne is not None:
            return
        path = self.unfinished.path("descent")
        tsne = TSNE(**self._parameters())
        if path.exists():
            tsne = checkpoint.load(path, samples).set_params(n_jobs=self.n_jobs)
        self.progress.note(f"fitting {len(samples):,} landmarks")
        checkpoint.fit_with_checkpoints(tsne, samples, path, progress=self.progress, regularly=True)
        self.unfinished.check_input(self.source)
        self.tsne = forget_descent(tsne)
        facts, arrays = saving.packed(tsne)
        del arrays[_SAMPLES]
        self.unfinished.save("model", facts, arrays)

    def _model_of(self, samples: Any, facts: dict[str, Any], arrays: dict[str, Any]) -> TSNE:
        """Return the saved map of the landmarks; raise an error if it is not one of this run."""
        X, _ = check_samples(samples, metric=facts["placement"]["metric"])  # as in the fit
        tsne: TSNE = saving.unpacked(facts, {**arrays, _SAMPLES: X})
        if tsne.embedding_.shape[1] != len(self.coordinates):
            raise ValueError("another map")
        return tsne

    def _landmarks_of(self, facts: Any, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the values of saved landmarks; raise an error if they are not of this run."""
        n_rows, n_features = self.source.shape
        rows, X, scaling = arrays["rows"], arrays["X"], arrays["scaling"]
        sound = (
            rows.dtype == np.int64
            and (np.diff(rows, prepend=-1, append=n_rows) > 0).all()
            and X.shape == (len(rows), n_features)
            and X.dtype.kind in "biuf"
            and np.isfinite(X).all()
            and scaling.shape == (2 * ("standardize" in self.settings), n_features)
        )
        if not sound:
            raise ValueError("other rows")
        self.landmarks, self.scaling = rows, scaling
        return X

    def _draw_landmarks(self) -> Any:
        """Return the values of landmarks, drawn in one pass, which also checks all rows."""
        from fasttsne.dask.landmarks import draw_landmarks

        n_rows, names = self.source.shape[0], list(self.source.names)
        size, seed = self.settings["landmarks"], self.settings["random_state"]
        selection = self.settings.get("landmark_selection", "uniform")
        chosen, scaled = "features" in self.settings, "standardize" in self.settings
        self.scaling = self._scaling() if scaled else np.empty((0, self.source.shape[1]))
        with self._reading("drawing landmarks"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "landmarks=")  # a note below says the same
            self.landmarks, samples = draw_landmarks(self._rows(), size, selection, seed)
        self.unfinished.check_input(self.source)
        if size >= n_rows:
            self.progress.note(f"all {n_rows:,} rows are landmarks: there are no more")
        table = read.Table(samples, names=names)
        self.progress.note(*read.doubts(table, chosen=chosen, scaled=scaled))
        arrays = {"rows": self.landmarks, "X": samples, "scaling": self.scaling}
        self.unfinished.save("landmarks", {}, arrays)
        return samples

    def _scaling(self) -> NDArray[np.float64]:
        """Return the mean and the deviation of all columns."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        with self._reading("standardizing"):
            for number in range(len(self.source.lengths)):
                scaler.partial_fit(self.source.read(*self.source.block(number)))
        return np.array([scaler.mean_, scaler.scale_])

    def place(self, client: Any) -> None:
        """Place the blocks that have no part yet, and write their parts."""
        import pyarrow

        from fasttsne.dask.transform import place

        self.unfinished.clear_parts()
        lengths, has_part = self.source.lengths, self.unfinished.has_part
        missing = [number for number, length in enumerate(lengths) if not has_part(number, length)]
        if not missing:
            return
        n_rows, done, start = sum(lengths[k] for k in missing), 0, time.perf_counter()
        self.progress.note(f"placing {n_rows:,} rows")

        def save(number: int, Y: NDArray[np.float32]) -> None:
            nonlocal done
            ours = dict(zip(self.coordinates, np.ascontiguousarray(Y.T), strict=True))
            beside = self.source.beside(*self.source.block(number))
            part = write.indexed(pyarrow.table({**ours, **beside}), self.source.along.row_names)
            self.unfinished.save_part(number, part)
            done += len(Y)
            speed = done / (time.perf_counter() - start)
            self.progress.show(
                done / n_rows,
                f"{done:,} of {n_rows:,} rows, {speed:,.0f} per second, "
                f"{(n_rows - done) / speed:,.0f} s left",
            )

        tsne = self.tsne.set_params(n_jobs=self.n_jobs)
        Y = place(tsne, self._rows(), landmarks=self.landmarks)
        _compute(Y, missing, client, save)
        self.unfinished.check_input(self.source)
        self.progress.note(f"placed {n_rows:,} rows in {time.perf_counter() - start:.1f} s")

    def _parameters(self) -> dict[str, Any]:
        given = {name: value for name, value in self.settings.items() if name not in _SHAPING}
        return {"n_jobs": self.n_jobs, **given}

    def _rows(self) -> Any:
        """Return the input as lazy blocks of rows, scaled once the scaling is known."""
        import dask.array as da

        from fasttsne.dask.blocks import as_rows

        X = da.from_array(
            self.source,
            chunks=(self.source.lengths, self.source.shape[1]),
            name=f"rows-{uuid4().hex}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0), self.source.dtype),
        )
        if len(self.scaling):
            dtype = np.float32 if X.dtype == np.float32 else np.float64
            mean, deviation = self.scaling.astype(dtype)
            X = (X - mean) / deviation
        return as_rows(X)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Show the progress of passes over the input that this process makes."""
        n_rows = self.source.shape[0]
        self.progress.note(what)
        self.source.on_read = lambda row: self.progress.show(
            row / n_rows, f"{what}: {row:,} of {n_rows:,} rows"
        )
        try:
            yield
        finally:
            self.source.on_read = None
        self.progress.close()

    def write(self) -> None:
        """Join the parts into OUT, unless it is their folder."""
        args = self.args
        if not args.as_folder:
            check_output(args.output, False, args.force)  # again: it may have been made meanwhile
            shape = self.source.shape[0], len(self.coordinates)
            join(args.output, self._parts, shape, self.source.along.row_names)
        self.progress.note(f"map: {args.output}{'/' if args.as_folder else ''}")

    def _parts(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield columns of all parts, or all columns, as pyarrow.Tables."""
        for number, length in enumerate(self.source.lengths):
            yield self.unfinished.part(number, length, names)
            self.progress.show((number + 1) / len(self.source.lengths), "reading the map")
        self.progress.close()

    def draw(self) -> None:
        """Draw the picture and the page."""
        args = self.args
        if args.plot is not None:
            Y, beside, some = self._some(_DRAWN, [args.label] if args.label else [])
            write.draw(args, Y, read.values_of(beside.get(args.label)))
            self.progress.note(f"picture{some}: {args.plot}")
        if args.html is not None:
            Y, beside, some = self._some(_ON_PAGE, self.source.along.names)
            columns = {name: read.values_of(column) for name, column in beside.items()}
            write.write_page(args, Y, columns.get(args.label), columns)
            self.progress.note(f"page{some}: {args.html}")

    def _some(self, size: int, names: Sequence[str]) -> tuple[NDArray[np.float32], Any, str]:
        """Return places and columns of all rows, or of `size` rows drawn at random."""
        import pyarrow

        from fasttsne.dask.landmarks import uniform_rows

        n_rows, taken = self.source.shape[0], []
        rows = uniform_rows(n_rows, size, 0) if n_rows > size else np.arange(n_rows)
        for number, part in enumerate(self._parts([*self.coordinates, *names])):
            start, stop = self.source.block(number)
            first, last = np.searchsorted(rows, (start, stop))
            taken.append(part.take(rows[first:last] - start))
        Y, beside = split(pyarrow.concat_tables(taken), len(self.coordinates))
        return Y, beside, f" of {size:,} rows" if n_rows > size else ""

    def judge(self) -> None:
        """Write the report: some rows, each judged against all."""
        if self.args.report is None:
            return
        import pyarrow

        from fasttsne.dask import quality

        names = [*self.coordinates, *([self.args.label] if self.args.label else [])]
        Y, beside = split(pyarrow.concat_tables(self._parts(names)), len(self.coordinates))
        labels = read.values_of(beside.get(self.args.label))
        labels = None if labels is None or has_fractions(labels) else labels
        X, metric = self._rows().array, self.tsne.metric
        with self._reading("judging"):
            report = quality(X, Y, labels, metric=metric, random_state=0, n_jobs=self.n_jobs)
        write.write_report(self.args.report, report)
        self.progress.note(f"report: {self.args.report}")


# ---- in this process, or on a cluster -----------------------------------------------------------


@contextmanager
def _cluster(address: str | None, path: Path) -> Iterator[Any]:
    """Yield the client of a cluster whose workers see the input; None computes in this process."""
    import dask

    if address is None:
        with dask.config.set(scheduler=_in_order):
            yield None
        return
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise Refusal(
            f"--dask {address}: no scheduler answers there; 'dask scheduler' starts one and prints "
            "its address"
        ) from error
    with client:
        answers = client.run(_what_is_there, str(path), on_error="return")
        if not answers:
            raise Refusal(
                f"--dask {address}: it has no workers; 'dask worker {address}' starts one"
            )
        for worker, answer in answers.items():
            if answer != (__version__, True):
                raise Refusal(
                    f"--dask {address}: the worker {worker} must have fasttsne {__version__} and "
                    f"see {path} by that name; it answers {answer!r}"
                )
        yield client


def _what_is_there(path: str) -> tuple[str, bool]:
    return __version__, os.path.exists(path)


def _in_order(graph: Any, keys: Any, **options: Any) -> Any:
    """Compute one key after the other: Dask's order of blocks would decode row groups repeatedly.

    One block at a time, by all threads of the kernels: several would take several times the memory.
    """
    from dask.local import get_sync
    from dask.optimization import cull
    from dask.utils import ensure_dict

    graph = ensure_dict(graph if isinstance(graph, Mapping) else graph.__dask_graph__())
    if isinstance(keys, list):
        return [_in_order(graph, key, **options) for key in keys]
    return get_sync(cull(graph, [keys])[0], keys, **options)


def _compute(Y: Any, numbers: Sequence[int], client: Any, save: Callable[[int, Any], None]) -> None:
    """Compute blocks of a lazy array as one graph, and hand over each when it is ready."""
    import dask

    every = Y.to_delayed().ravel()
    if client is None:
        saved = dask.delayed(save, pure=False)
        dask.compute(*(saved(number, every[number]) for number in numbers))
        return
    from distributed import as_completed

    futures = client.compute([every[number] for number in numbers])
    numbered = {future.key: number for future, number in zip(futures, numbers, strict=True)}
    try:
        for future, block in as_completed(futures, with_results=True):
            save(numbered[future.key], block)
            future.release()
    finally:
        client.cancel(futures)
