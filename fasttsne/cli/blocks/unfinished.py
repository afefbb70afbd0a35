"""A run that is not finished yet, on disk: all that it has done, and what it was asked to do."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE, __version__
from fasttsne.cli import checkpoint
from fasttsne.cli.blocks import lock
from fasttsne.cli.messages import Refusal
from fasttsne.runtime.files import replacing

_FORMAT = "fasttsne blocks 1"
_MANIFEST, _LANDMARKS, _DESCENT, _MODEL = (
    "manifest.json",
    "landmarks.npz",
    "descent.pickle",
    "model.pickle",
)
# All that a run writes. With a dot: what was being written when it was killed.
_OURS = re.compile(
    r"manifest\.json|landmarks\.npz|descent\.pickle|model\.pickle|block-[0-9]{6,}\.npy"
    r"|\.manifest-\w{8}\.json|\.landmarks-\w{8}\.npz|\.(descent|model)-\w{8}\.pickle"
    r"|\.block-[0-9]{6,}-\w{8}\.npy|" + re.escape(lock.NAME)
)


class Landmarks(NamedTuple):
    """Rows that are fitted.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_landmarks,)
        Which they are, ascending.
    samples : ndarray of shape (n_landmarks, n_features)
        What they hold, scaled.
    scaling : ndarray of float64, shape (2, n_features)
        What is subtracted from every row, and what it is divided by then.
    """

    rows: NDArray[np.int64]
    samples: NDArray[Any]
    scaling: NDArray[np.float64]


class Model(NamedTuple):
    """The map of the landmarks.

    Attributes
    ----------
    tsne : TSNE
        Fitted on them.
    rows : ndarray of int64, shape (n_landmarks,)
        Which rows they are, ascending.
    scaling : ndarray of float64, shape (2, n_features)
        As of the landmarks.
    """

    tsne: TSNE
    rows: NDArray[np.int64]
    scaling: NDArray[np.float64]


class Unfinished:
    """A folder beside the map that is to be.

    It holds a manifest, ``manifest.json``: the settings that shape the map, the identity of the
    input, and the rows of each block; then the landmarks, and their descent; then the fitted model;
    and a file for each block that is placed. Each is written whole or not at all, so that
    whatever is there counts, whenever the run ended.

    One run at a time works in it: the one that made it, or that has taken it over since, holds a
    lock until its end. As a context manager, it lets go of that lock.

    Parameters
    ----------
    path : pathlib.Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descent = path / _DESCENT
        self._manifest: dict[str, Any] = {}
        self._lock = lock.Lock(path)

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    # ---- whose it is ----------------------------------------------------------------------------

    def check_free(self, *, force: bool) -> None:
        """Refuse a folder that is not there for the taking.

        Parameters
        ----------
        force : bool
            Whether what an earlier run has left may be replaced.

        Raises
        ------
        Refusal
            If another run is at work in it, if it is left from one, or if something else is there.
        """
        if not os.path.lexists(self.path):
            return
        self._check_ours()
        try:
            self._take()
        except FileNotFoundError:  # the other run has come to its end
            return
        self._lock.release()
        if not force:
            raise Refusal(
                f"{self.path} is left from an earlier run; --resume goes on, --force starts anew"
            )

    def _claim(self, *, force: bool) -> None:
        """Have the folder, empty: of runs that begin together, one makes it."""
        while not self._lock.held:
            try:
                self.path.mkdir()
            except FileExistsError:
                self.check_free(force=force)
                if not force:
                    continue  # it was there, and has gone
            with suppress(FileNotFoundError):
                self._take()
        self._empty()

    def _take(self) -> None:
        if not self._lock.take():
            raise Refusal(
                f"another run is writing OUT, and at work in {self.path}; wait for its end, or "
                "name another OUT"
            )

    def _check_ours(self) -> None:
        """Refuse a folder that no run has made, or that others have put something into."""
        if checkpoint.is_one(self.path):
            raise Refusal(
                f"{self.path} is left from an earlier run without --landmarks; another "
                "--checkpoint leaves it alone"
            )
        try:
            files = list(self.path.iterdir()) if self.path.is_dir() else []
        except FileNotFoundError:  # removed by the run that it belonged to
            return
        names = [file.name for file in files]
        # Without a manifest, a lock tells a run that was killed before it had written one.
        begun = _is_manifest(self.path / _MANIFEST) if _MANIFEST in names else lock.NAME in names
        if not begun:
            raise Refusal(
                f"--checkpoint {self.path}: it exists, and is no checkpoint; choose another name"
            )
        for file in files:
            if not _OURS.fullmatch(file.name) or file.is_dir():
                raise Refusal(
                    f"{self.path} holds {file.name}, which no run has put there; move it away"
                )

    # ---- the manifest ---------------------------------------------------------------------------

    def begin(
        self,
        settings: Mapping[str, Any],
        identity: Mapping[str, Any],
        bounds: NDArray[np.int64],
        *,
        force: bool = False,
    ) -> None:
        """Make the folder, for a new run.

        Parameters
        ----------
        settings : dict
            What shapes the map, by the names of the options.

        identity : dict
            Of the input: see :func:`fasttsne.cli.blocks.watch.identity`.

        bounds : ndarray of int64, shape (n_blocks + 1,)
            Where blocks begin, and the number of rows.

        force : bool, default=False
            Whether it replaces what an earlier run has left.

        Raises
        ------
        Refusal
            As of `check_free`.
        """
        self._claim(force=force)
        self._manifest = {
            "format": _FORMAT,
            "fasttsne": __version__,
            "settings": dict(settings),
            "input": dict(identity),
            "bounds": bounds.tolist(),
        }
        try:
            with replacing(self.path / _MANIFEST) as unfinished:
                text = json.dumps(self._manifest, indent=1) + "\n"
                unfinished.write_text(text, encoding="utf-8")
        except BaseException:
            self.remove()
            raise

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take over the run that is to go on, and read its settings.

        Parameters
        ----------
        given : dict
            Those that are given again, which must be the same.

        Returns
        -------
        settings : dict
            All of them.

        Raises
        ------
        Refusal
            If there is no such run, one of another version or with other settings, or if it is
            still at work.
        """
        self._manifest = self._read()  # before a lock is put into what may be a folder of others
        try:
            self._take()
        except FileNotFoundError as error:
            raise Refusal(f"the run in {self.path} has ended meanwhile; start anew") from error
        self._manifest = self._read()  # of what is there under the lock
        if self._manifest["fasttsne"] != __version__:
            raise Refusal(
                f"{self.path} is of fasttsne {self._manifest['fasttsne']}, and this is "
                f"{__version__}; start anew with --force"
            )
        settings: dict[str, Any] = self._manifest["settings"]
        for name, value in given.items():
            before = settings.get(name)
            if before != value:
                told = "without it" if before is None else f"with {before}"
                raise Refusal(
                    f"--{name.replace('_', '-')} {value}: the run in {self.path} was started "
                    f"{told}; leave it out to go on, or start anew with --force"
                )
        return settings

    def _read(self) -> dict[str, Any]:
        try:
            text = (self.path / _MANIFEST).read_text(encoding="utf-8")
            manifest: dict[str, Any] = json.loads(text)
            if manifest["format"] != _FORMAT:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refusal(
                f"{self.path} is no unfinished run with --landmarks; start anew without --resume"
            ) from error
        kinds = {"fasttsne": str, "settings": dict, "input": dict, "bounds": list}
        if not all(isinstance(manifest.get(key), kind) for key, kind in kinds.items()):
            raise Refusal(f"{self.path / _MANIFEST} is damaged; start anew with --force")
        return manifest

    def check_input(self, identity: Mapping[str, Any], bounds: NDArray[np.int64]) -> None:
        """Refuse to go on with another input.

        Parameters
        ----------
        identity : dict
            Of the input as it is now.

        bounds : ndarray of int64, shape (n_blocks + 1,)
            Its blocks.

        Raises
        ------
        Refusal
            If it is not what the run began with.
        """
        if self._manifest["input"] != identity or self._manifest["bounds"] != bounds.tolist():
            raise Refusal(
                f"INPUT is not what the run in {self.path} began with, or has changed since; start "
                "anew with --force"
            )

    # ---- what has been done ---------------------------------------------------------------------

    @property
    def is_of_use(self) -> bool:
        """Whether going on would save anything."""
        return (self.path / _LANDMARKS).exists() or (self.path / _MODEL).exists()

    def save_landmarks(self, landmarks: Landmarks) -> None:
        """Keep what was drawn.

        Parameters
        ----------
        landmarks : Landmarks
            All of it.
        """
        with self._lasting(_LANDMARKS) as file:
            np.savez(file, **landmarks._asdict())

    def landmarks(self) -> Landmarks | None:
        """Get at what was drawn.

        Returns
        -------
        landmarks : Landmarks or None
            As they were saved, if they were.
        """
        try:
            with np.load(self.path / _LANDMARKS) as file:
                return Landmarks(*(file[name] for name in Landmarks._fields))
        except FileNotFoundError:
            return None

    def save_model(self, model: Model) -> None:
        """Keep the map of the landmarks; what it was made from is no longer needed.

        Parameters
        ----------
        model : Model
            All of it.
        """
        with self._lasting(_MODEL) as file:
            pickle.dump(model._asdict(), file, protocol=pickle.HIGHEST_PROTOCOL)
        for name in (_DESCENT, _LANDMARKS):
            (self.path / name).unlink(missing_ok=True)

    def model(self) -> Model | None:
        """Get at the map of the landmarks. It is a pickle: reading one runs what is in it.

        Returns
        -------
        model : Model or None
            As it was saved, if it was.

        Raises
        ------
        Refusal
            If it cannot be read.
        """
        try:
            with open(self.path / _MODEL, "rb") as file:
                return Model(**pickle.load(file))
        except FileNotFoundError:
            return None
        except Exception as error:  # a pickle can fail in any way
            raise Refusal(f"cannot read {self.path / _MODEL}; start anew with --force") from error

    def save_block(self, number: int, Y: NDArray[np.float32]) -> None:
        """Keep a block that is placed.

        Parameters
        ----------
        number : int
            Which.

        Y : ndarray of float32, shape (n_rows, n_components)
            Places of its rows.
        """
        with self._lasting(self._block(number).name) as file:
            np.save(file, Y)

    def block(self, number: int) -> NDArray[np.float32]:
        """Get at a block that is placed.

        Parameters
        ----------
        number : int
            Which.

        Returns
        -------
        Y : ndarray of float32, shape (n_rows, n_components)
            Places of its rows.
        """
        Y: NDArray[np.float32] = np.load(self._block(number))
        return Y

    def missing(self, n_components: int) -> list[int]:
        """List the blocks that are not placed yet.

        Parameters
        ----------
        n_components : int
            Coordinates of a place.

        Returns
        -------
        numbers : list of int
            In order.
        """
        lengths = np.diff(self._manifest["bounds"]).tolist()
        return [
            number
            for number, length in enumerate(lengths)
            if not _is_whole(self._block(number), (length, n_components))
        ]

    @contextmanager
    def _lasting(self, name: str) -> Iterator[IO[bytes]]:
        """Write a file that is whole under its name once this ends, also after a power cut."""
        with replacing(self.path / name) as unfinished, open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.name != "nt":  # where folders cannot be opened
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            except OSError as error:  # some file systems of a network know no such thing
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise
            finally:
                os.close(folder)

    def _block(self, number: int) -> Path:
        return self.path / f"block-{number:06d}.npy"

    # ---- the end --------------------------------------------------------------------------------

    def remove(self) -> None:
        """Remove the folder, once it is had, and of what is in it what a run writes.

        Raises
        ------
        Refusal
            If there is something else in it.
        """
        if not self.path.exists():
            return
        self._empty()
        self._lock.path.unlink(missing_ok=True)
        with suppress(OSError):  # another run may have begun in it, now that there is no lock
            self.path.rmdir()
        self._lock.release()

    def _empty(self) -> None:
        """Leave nothing but the lock."""
        self._check_ours()
        ours = [file for file in self.path.iterdir() if file.name != lock.NAME]
        # The manifest goes last: until then what is left can be told from a folder of the user's.
        for file in sorted(ours, key=lambda file: file.name == _MANIFEST):
            file.unlink()


def _is_manifest(path: Path) -> bool:
    """Tell whether a file is the manifest of a run of any version."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return str(manifest["format"]).startswith(_FORMAT.rstrip("0123456789"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    try:
        return bool(np.load(path, mmap_mode="r").shape == shape)
    except (OSError, ValueError, EOFError):
        return False
