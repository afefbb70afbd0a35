"""From the rows of a file to their places on a map, step by step, each of them kept on disk."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE
from fasttsne.cli import checkpoint
from fasttsne.cli.blocks import cluster
from fasttsne.cli.blocks.source import Source
from fasttsne.cli.blocks.unfinished import Landmarks, Model, Unfinished
from fasttsne.cli.blocks.watch import Watch
from fasttsne.cli.messages import Progress, Refusal, shortened
from fasttsne.cli.read import Table, doubts

#: Options that shape the map beside the parameters of the estimator. Columns that go along do, as
#: they are not mapped.
SHAPING = (
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


class Job:
    """A run, up to the map on disk.

    Parameters
    ----------
    source : Source
        What is mapped.

    settings : dict
        What shapes the map, by the names of the options.

    unfinished : Unfinished
        What has been done, and where the rest goes.

    progress : Progress
        Shown on the way.

    n_jobs : int or None
        Number of threads.
    """

    def __init__(
        self,
        source: Source,
        settings: Mapping[str, Any],
        unfinished: Unfinished,
        progress: Progress,
        *,
        n_jobs: int | None,
    ) -> None:
        self.source, self.settings, self.unfinished = source, settings, unfinished
        self.progress, self.n_jobs = progress, n_jobs
        self.watch = Watch(source)

    def check(self, client: Any, address: str) -> None:
        """Refuse parameters that make no sense, and workers that are not up to the work.

        Parameters
        ----------
        client : distributed.Client or None
            Of the cluster that works.

        address : str or None
            And where it is.

        Raises
        ------
        Refusal, TypeError, ValueError
            Before any row is read.
        """
        for note in self.source.notes:
            self.progress.note(note)
        n_rows, n_features = self.source.shape
        named = f": {shortened(list(self.source.names))}" if self.source.names else ""
        self.progress.note(
            f"mapping {n_rows:,} rows of {n_features:,} columns in {self.source.n_blocks:,} "
            f"blocks{named}"
        )
        try:
            self._estimator().check(self.rows())
        except MemoryError as error:
            raise Refusal(str(error).replace("X.rechunk", "--block-rows")) from error
        if client is not None:
            cluster.check_workers(client, address, self.source.path)

    def fitted(self) -> Model:
        """Draw landmarks and their map, or take what there is of these.

        Returns
        -------
        model : Model
            The map of the landmarks.
        """
        model = self.unfinished.model()
        if model is None:
            model = self._fitted(self.unfinished.landmarks() or self._drawn())
        return model

    def _estimator(self) -> Any:
        from fasttsne.dask import TSNE as LandmarkTSNE

        return LandmarkTSNE(
            landmarks=self.settings["landmarks"],
            landmark_selection=self.settings.get("landmark_selection", "uniform"),
            **self._parameters(),
        )

    def rows(self, scaling: NDArray[np.float64] | None = None) -> Any:
        """Make a lazy array of what is in the file.

        Parameters
        ----------
        scaling : ndarray of shape (2, n_features) or None, default=None
            As of a model; None leaves the numbers as they are.

        Returns
        -------
        rows : fasttsne.dask.blocks.Rows
            In the blocks of the source.
        """
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
        if scaling is not None and self.settings.get("standardize"):
            dtype = np.float32 if X.dtype == np.float32 else np.float64
            X = X.map_blocks(
                _scaled, scaling.astype(dtype), dtype=dtype, meta=np.empty((0, 0), dtype)
            )
        return as_rows(X)

    def _drawn(self) -> Landmarks:
        """Draw the landmarks, in a pass in which all rows are looked at."""
        from fasttsne.dask.landmarks import draw_landmarks

        scaling = self._scaling()
        with self.reading("drawing landmarks"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "landmarks=", UserWarning)  # is said below
            rows, samples = draw_landmarks(
                self.rows(scaling),
                self.settings["landmarks"],
                self.settings.get("landmark_selection", "uniform"),
                self.settings.get("random_state"),
            )
        self.watch.check()
        n_rows = self.source.shape[0]
        if len(rows) == n_rows:
            self.progress.note(f"all {n_rows:,} rows are landmarks: there are no more")
        for note in doubts(
            Table(samples, names=list(self.source.names)),
            chosen=bool(self.settings.get("features")),
            scaled=bool(self.settings.get("standardize")),
        ):
            self.progress.note(note)
        landmarks = Landmarks(rows, samples, scaling)
        self.unfinished.save_landmarks(landmarks)
        return landmarks

    def _scaling(self) -> NDArray[np.float64]:
        """Find what `--standardize` asks for, in a pass of its own."""
        import dask

        n_features = self.source.shape[1]
        if not self.settings.get("standardize"):
            return np.array([np.zeros(n_features), np.ones(n_features)])
        X = self.rows().array
        with self.reading("standardizing"):
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
        names = [name for name in self.settings if name not in SHAPING]
        return {"n_jobs": self.n_jobs, **{name: self.settings[name] for name in names}}

    def place(self, model: Model, client: Any) -> None:
        """Place all blocks that are not placed yet.

        Parameters
        ----------
        model : Model
            The map of the landmarks.

        client : distributed.Client or None
            Of the cluster that works.
        """
        from fasttsne.dask.transform import place

        numbers = self.unfinished.missing(model.tsne.n_components)
        if not numbers:
            return
        lengths = np.diff(self.source.bounds)
        n_rows = int(lengths[numbers].sum())
        Y = place(
            model.tsne.set_params(n_jobs=self.n_jobs),
            self.rows(model.scaling),
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
    def reading(self, what: str) -> Iterator[None]:
        """Show how far passes over the file are, where this process makes them.

        Parameters
        ----------
        what : str
            What they are for.
        """
        read, n_rows = 0, self.source.shape[0]

        def on_read(count: int) -> None:
            nonlocal read
            read += count
            now = (read - 1) % n_rows + 1  # of this pass
            self.progress.show(now / n_rows, f"{what}: {now:,} of {n_rows:,} rows")

        self.progress.note(what)
        self.source.on_read = on_read
        try:
            yield
        finally:
            self.source.on_read = None
        self.progress.close()


def _scaled(block: NDArray[Any], scaling: NDArray[Any]) -> NDArray[Any]:
    shift, scale = scaling
    scaled: NDArray[Any] = (block - shift) / scale
    return scaled
