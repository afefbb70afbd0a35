"""``fasttsne map --landmarks``: maps of more rows than fit in memory.

INPUT is read in blocks of rows. Some rows, the landmarks, are drawn and fitted. Then every block is
placed on their map and written as one part, a Parquet file. The parts record what is done: a
resumed run keeps the model and the parts that are there, and writes the others. At the end they are
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
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE, __version__
from fasttsne.cli import checkpoint, read, write
from fasttsne.cli.large_inputs import Source, open_source
from fasttsne.cli.large_parts import STATE, Unfinished, check_output, check_room, join, places
from fasttsne.cli.messages import Progress, Refusal, say, shortened
from fasttsne.cli.options import check_plain, text_format
from fasttsne.samples.labels import has_fractions
from fasttsne.transform import Placement

# Options that shape the map and its columns, beside the parameters of the estimator.
_SHAPING = {
    **dict.fromkeys(("landmarks", "block_rows"), int),
    **dict.fromkeys(("landmark_selection", "label", "array"), str),
    **dict.fromkeys(("keep", "features", "drop"), list),
    "standardize": bool,
}
# How a model places rows: see `fasttsne.transform.Placement`.
_PLACEMENT = ("perplexity", "degrees_of_freedom", "angle", "metric", "method", "exponent")
_DRAWN = 500_000  # rows in a picture at most: more would look the same
_ON_PAGE = 50_000  # rows in a page at most: it contains all of them
_PATIENCE = 10  # seconds to wait for a scheduler


def is_folder(output: str) -> bool:
    """Return whether OUT is a folder of parts: it ends in a slash, or is a directory."""
    named = output.endswith(("/", os.sep)) or os.path.isdir(output)
    return named and Path(output).suffix.lower() != ".zarr"


def default_checkpoint(output: Path, is_folder: bool) -> Path:
    """Return the folder of a run, or without --landmarks the file, unless another one is named."""
    return output / STATE if is_folder else output.with_name(output.name + ".checkpoint")


def run(args: argparse.Namespace, given: Mapping[str, Any], kept: Path) -> int:
    """Map INPUT; `kept` is the folder of the unfinished run. Return 0, or 130 if interrupted."""
    _check_packages()
    _check_files(args, kept)
    unfinished = Unfinished(kept, args.output if args.as_folder else kept)
    settings = _settings(args, given, unfinished)
    n_components = settings.get("n_components", 2)
    write.check_pictures(args, flat=n_components == 2)
    source = open_source(args.input.absolute() if args.dask else args.input, settings)
    check_room(args.output, source, n_components)
    if args.resume:
        unfinished.check_input(source.identity())
    else:
        unfinished.begin(settings, source.identity())
    progress = Progress(settings.get("max_iter", TSNE().max_iter), args.quiet)
    run = _Run(args, settings, source, unfinished, progress, given.get("n_jobs"))
    try:
        with _cluster(args.dask) as client:
            run.check(client)
            model = run.fitted()
            run.place(model, client)
            run.write()
            run.draw()
            run.judge(model)
    except KeyboardInterrupt:
        progress.close()
        say(f"\n{_farewell(unfinished, args)}")
        return 130
    except Exception as error:
        run.check_unchanged()  # a changed input may be the cause
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


def _check_packages() -> None:
    for name in ("dask", "distributed", "pandas", "pyarrow"):
        try:
            __import__(name)
        except ImportError as error:
            raise Refusal(f"--landmarks needs {name}: pip install 'fasttsne[dask]'") from error


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
    for name, least in (("landmarks", 2), ("block_rows", 1)):
        if vars(args)[name] is not None and vars(args)[name] < least:
            option = f"--{name.replace('_', '-')}"
            raise Refusal(f"{option} must be at least {least}; got {vars(args)[name]}")
    if str(settings.get("metric", "")).startswith("precomputed"):
        raise Refusal("--metric precomputed needs distances to all rows; leave out --landmarks")
    if args.resume:
        return _checked(unfinished.settings(settings), unfinished)
    unfinished.check(force=args.force)
    # A resumed run has to know the seed.
    settings.setdefault("random_state", int(np.random.default_rng().integers(2**31)))
    return settings


def _checked(settings: dict[str, Any], unfinished: Unfinished) -> dict[str, Any]:
    """Return the settings of a manifest; refuse those that no run has written."""
    known = {**dict.fromkeys(TSNE().get_params(), object), **_SHAPING}
    if not (
        {"landmarks", "random_state"} <= settings.keys() <= known.keys()
        and all(isinstance(value, known[name]) for name, value in settings.items())
        and min(settings["landmarks"], settings.get("block_rows", 1)) > 0
    ):
        raise Refusal(f"{unfinished.state} is damaged; start again with --force")
    return settings


def _farewell(unfinished: Unfinished, args: argparse.Namespace) -> str:
    if not unfinished.is_of_use:
        return "interrupted before the landmarks were drawn; nothing was written"
    default = args.resume is None and args.checkpoint is None
    where = "" if default else f" {shlex.quote(str(unfinished.state))}"
    return f"interrupted; the same command with --resume{where} continues from here"


# ---- from rows to a map -------------------------------------------------------------------------


class _Model(NamedTuple):
    """The fitted map of the landmarks."""

    tsne: TSNE
    rows: NDArray[np.int64]  # that are landmarks, ascending
    scaling: NDArray[np.float64] | None  # mean and deviation of every column, for --standardize


@dataclass
class _Run:
    """One run, step by step."""

    args: argparse.Namespace
    settings: Mapping[str, Any]
    source: Source
    unfinished: Unfinished
    progress: Progress
    n_jobs: int | None

    def __post_init__(self) -> None:
        self.input = self.source.identity()
        self.coordinates = write.coordinates(self.settings.get("n_components", 2))

    def check_unchanged(self) -> None:
        """Refuse to go on with an input that has changed since the run began."""
        try:
            same = self.source.identity() == self.input
        except (OSError, Refusal):
            same = False
        if not same:
            raise Refusal(
                f"{self.source.path} has changed since this run began; start again with --force "
                "when nothing writes to it"
            )

    def check(self, client: Any) -> None:
        """Refuse unfit parameters and workers before any row is read."""
        from fasttsne.dask import TSNE as LandmarkTSNE

        for note in self.source.notes:
            self.progress.note(note)
        n_rows, n_features = self.source.shape
        named = f": {shortened(list(self.source.names))}" if self.source.names else ""
        self.progress.note(
            f"mapping {n_rows:,} rows of {n_features:,} columns in {self.source.n_blocks:,} "
            f"blocks{named}"
        )
        estimator = LandmarkTSNE(landmarks=self.settings["landmarks"], **self._parameters())
        try:
            estimator.check(self._rows().array)
        except MemoryError as error:
            raise Refusal(str(error).replace("X.rechunk", "--block-rows")) from error
        if client is not None:
            _check_workers(client, self.args.dask, self.source.path)

    def fitted(self) -> _Model:
        """Return the map of the landmarks, going on from what is saved."""
        saved: _Model | None = self.unfinished.saved("model", self._model_of)
        if saved:
            return saved
        drawn = self.unfinished.saved("landmarks", self._landmarks_of)
        rows, samples, scaling = drawn or self._draw_landmarks()
        start, path = time.perf_counter(), self.unfinished.path("descent")
        tsne = TSNE(**self._parameters())
        if path.exists():
            tsne = checkpoint.load(path, samples).set_params(n_jobs=self.n_jobs)
        self.progress.note(f"fitting {len(samples):,} landmarks")
        checkpoint.fit_with_checkpoints(tsne, samples, path, progress=self.progress, regularly=True)
        self.progress.note(
            f"KL divergence {tsne.kl_divergence_:.3f} after {tsne.n_iter_ + 1} iterations, "
            f"{time.perf_counter() - start:.1f} s"
        )
        self.check_unchanged()
        model = _Model(checkpoint.concluded(tsne), rows, scaling)
        placement = {name: getattr(tsne.placement_, name) for name in _PLACEMENT}
        facts = {"parameters": tsne.get_params(), "placement": placement}
        arrays = self._arrays(rows, tsne.placement_.X, scaling)
        self.unfinished.save("model", facts, {**arrays, "embedding": tsne.embedding_})
        return model

    def _model_of(self, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> _Model:
        """Return a saved model; raise an error if it is not one of this run."""
        rows, X, scaling = self._landmarks_of(facts, arrays)
        tsne, Y = checkpoint.estimator(facts["parameters"]), arrays["embedding"]
        if Y.shape != (len(rows), len(self.coordinates)) or Y.dtype != np.float32:
            raise ValueError("another map")
        if not np.isfinite(Y).all() or facts["placement"].keys() != set(_PLACEMENT):
            raise ValueError("another placement")
        tsne.embedding_, tsne.n_features_in_ = Y, X.shape[1]
        tsne.placement_ = Placement(X, Y, **facts["placement"])
        return _Model(tsne, rows, scaling)

    def _landmarks_of(self, facts: Any, arrays: dict[str, NDArray[Any]]) -> tuple[Any, ...]:
        """Return saved landmarks; raise an error if they are not rows of this run."""
        n_rows, n_features = self.source.shape
        rows, X, scaling = arrays["rows"], arrays["X"], arrays.get("scaling")
        sound = (
            rows.dtype == np.int64
            and (np.diff(rows, prepend=-1, append=n_rows) > 0).all()
            and X.shape == (len(rows), n_features)
            and X.dtype.kind in "biuf"
            and np.isfinite(X).all()
            and (scaling is not None) == ("standardize" in self.settings)
            and (scaling is None or scaling.shape == (2, n_features))
        )
        if not sound:
            raise ValueError("other rows")
        return rows, X, scaling

    def _arrays(self, rows: Any, X: Any, scaling: Any) -> dict[str, NDArray[Any]]:
        return {"rows": rows, "X": X} | ({} if scaling is None else {"scaling": scaling})

    def _draw_landmarks(self) -> tuple[NDArray[np.int64], Any, NDArray[np.float64] | None]:
        """Draw the landmarks in one pass, which also checks all rows; also return the scaling."""
        from fasttsne.dask.landmarks import draw_landmarks

        n_rows, names = self.source.shape[0], list(self.source.names)
        size, seed = self.settings["landmarks"], self.settings["random_state"]
        selection = self.settings.get("landmark_selection", "uniform")
        scaling = self._scaling() if "standardize" in self.settings else None
        with self._reading("drawing landmarks"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "landmarks=")  # a note below says the same
            rows, samples = draw_landmarks(self._rows(scaling), size, selection, seed)
        self.check_unchanged()
        if size >= n_rows:
            self.progress.note(f"all {n_rows:,} rows are landmarks: there are no more")
        chosen, scaled = "features" in self.settings, scaling is not None
        for note in read.doubts(read.Table(samples, names=names), chosen=chosen, scaled=scaled):
            self.progress.note(note)
        self.unfinished.save("landmarks", {}, self._arrays(rows, samples, scaling))
        return rows, samples, scaling

    def _scaling(self) -> NDArray[np.float64]:
        """Return the mean and the deviation of all columns."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        with self._reading("standardizing"):
            for number in range(self.source.n_blocks):
                scaler.partial_fit(self.source.read(*self.source.block(number)))
        return np.array([scaler.mean_, scaler.scale_])

    def place(self, model: _Model, client: Any) -> None:
        """Place the blocks that have no part yet, and write their parts."""
        import pyarrow

        from fasttsne.dask.transform import place

        self.unfinished.clear_parts()
        lengths, has_part = np.diff(self.source.bounds).tolist(), self.unfinished.has_part
        missing = [number for number, length in enumerate(lengths) if not has_part(number, length)]
        if not missing:
            return
        n_rows, done, start = sum(lengths[k] for k in missing), 0, time.perf_counter()
        self.progress.note(f"placing {n_rows:,} rows")

        def save(number: int, Y: NDArray[np.float32]) -> None:
            nonlocal done
            ours = dict(zip(self.coordinates, np.ascontiguousarray(Y.T), strict=True))
            beside = self.source.beside(*self.source.block(number))
            beside = {name: beside.column(name) for name in beside.column_names}
            part = write.indexed(pyarrow.table({**ours, **beside}), self.source.along.row_names)
            self.unfinished.save_part(number, part)
            done += len(Y)
            speed = done / (time.perf_counter() - start)
            self.progress.show(
                done / n_rows,
                f"{done:,} of {n_rows:,} rows, {speed:,.0f} per second, "
                f"{(n_rows - done) / speed:,.0f} s left",
            )

        tsne = model.tsne.set_params(n_jobs=self.n_jobs)
        Y = place(tsne, self._rows(model.scaling), landmarks=model.rows)
        _compute(Y, missing, client, save)
        self.check_unchanged()
        self.progress.note(f"placed {n_rows:,} rows in {time.perf_counter() - start:.1f} s")

    def _parameters(self) -> dict[str, Any]:
        names = [name for name in self.settings if name not in _SHAPING]
        return {"n_jobs": self.n_jobs, **{name: self.settings[name] for name in names}}

    def _rows(self, scaling: NDArray[np.float64] | None = None) -> Any:
        """Return the input as lazy blocks of rows, scaled."""
        import dask.array as da

        from fasttsne.dask.blocks import as_rows

        X = da.from_array(
            self.source,
            chunks=(tuple(np.diff(self.source.bounds).tolist()), self.source.shape[1]),
            name=f"rows-{uuid4().hex}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0), self.source.dtype),
        )
        if scaling is not None:
            dtype = np.float32 if X.dtype == np.float32 else np.float64
            mean, deviation = scaling.astype(dtype)
            X = (X - mean) / deviation
        return as_rows(X)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Show the progress of passes over the input that this process makes."""
        done, n_rows = 0, self.source.shape[0]

        def on_read(count: int) -> None:
            nonlocal done
            done += count
            now = (done - 1) % n_rows + 1  # of this pass
            self.progress.show(now / n_rows, f"{what}: {now:,} of {n_rows:,} rows")

        self.progress.note(what)
        self.source.on_read = on_read
        try:
            yield
        finally:
            self.source.on_read = None
        self.progress.close()

    # ---- what is made of the parts --------------------------------------------------------------

    def write(self) -> None:
        """Join the parts into OUT, unless it is their folder."""
        args = self.args
        if not args.as_folder:
            check_output(args.output, False, args.force)  # again: it may have been made meanwhile
            shape = self.source.shape[0], len(self.coordinates)
            join(args.output, self._parts, *shape, self.source.along.row_names)
        self.progress.note(f"map: {args.output}{'/' if args.as_folder else ''}")

    def _parts(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield columns of all parts, or all columns, as pyarrow.Tables."""
        for number, length in enumerate(np.diff(self.source.bounds)):
            yield self.unfinished.part(number, length, names)
            self.progress.show((number + 1) / self.source.n_blocks, "reading the map")
        self.progress.close()

    def draw(self) -> None:
        """Draw the picture and the page."""
        args, label = self.args, self.source.along.label
        if args.plot is not None:
            Y, beside, some = self._some(_DRAWN, [label] if label else [])
            write.draw(args, Y, read.values_of(beside.get(label)))
            self.progress.note(f"picture{some}: {args.plot}")
        if args.html is not None:
            from fasttsne.plot import html

            Y, beside, some = self._some(_ON_PAGE, self.source.along.names)
            hover = write.hover_texts(beside, self.source.along.kept)
            labels = read.values_of(beside.get(label))
            title = write.title_of(args, len(Y))
            html(Y, labels, args.html, hover=hover, title=title, label_name=label)
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
        table = pyarrow.concat_tables(taken)
        beside = {name: table.column(name) for name in names}
        some = f" of {size:,} rows" if n_rows > size else ""
        return places(table, len(self.coordinates)), beside, some

    def judge(self, model: _Model) -> None:
        """Write the report: some rows, each judged against all."""
        if self.args.report is None:
            return
        import pandas
        import pyarrow

        from fasttsne.dask import quality

        label, width = self.source.along.label, len(self.coordinates)
        Y = np.concatenate([places(part, width) for part in self._parts(self.coordinates)])
        classes = None
        if label:
            column = pyarrow.concat_tables(self._parts([label])).column(0).to_pandas()
            if not has_fractions(column):
                codes, _ = pandas.factorize(column)
                classes = np.where(codes < 0, np.nan, codes)  # negative where there is no label
        X, metric = self._rows(model.scaling).array, model.tsne.metric
        with self._reading("judging"):
            report = quality(X, Y, classes, metric=metric, random_state=0, n_jobs=self.n_jobs)
        write.write_report(self.args.report, report)
        self.progress.note(f"report: {self.args.report}")


# ---- in this process, or on a cluster -----------------------------------------------------------


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Compute on a cluster and yield its client, or in this process and yield None."""
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
        if not client.scheduler_info()["workers"]:
            raise Refusal(
                f"--dask {address}: it has no workers; 'dask worker {address}' starts one"
            )
        yield client


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


def _check_workers(client: Any, address: str, path: Path) -> None:
    """Refuse workers of another version, and workers that do not see the input."""
    for worker, answer in client.run(_what_is_there, str(path), on_error="return").items():
        if answer != (__version__, True):
            raise Refusal(
                f"--dask {address}: the worker {worker} must have fasttsne {__version__} and see "
                f"{path} by that name; it answers {answer!r}"
            )


def _what_is_there(path: str) -> tuple[str, bool]:
    return __version__, os.path.exists(path)


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
