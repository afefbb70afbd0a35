"""Parts of a large map on disk: the record of an unfinished run, and how they are joined."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import __version__
from fasttsne.cli import checkpoint, write
from fasttsne.cli.large_inputs import Source, imported, is_zarr
from fasttsne.cli.messages import Refusal
from fasttsne.runtime.files import naming, replacing

#: The folder in an output folder that has all of an unfinished run but its parts.
STATE = ".fasttsne"

_FORMAT = "fasttsne parts 2"
_KINDS = (".parquet", ".npy", ".zarr", ".h5", ".hdf5", ".csv", ".tsv")  # that parts are joined to
_CHUNK_ROWS = 1 << 16  # of an array in HDF5 or Zarr

# The names that a run writes. With a dot: what was being written when it was killed.
_PART = re.compile(r"part-[0-9]{6,}\.parquet|\.part-[0-9]{6,}-\w{8}\.parquet")
_OURS = re.compile(
    r"manifest\.json|(landmarks|descent|model)-[0-9a-f]{8}\.npz|\.manifest-\w{8}\.json"
    rf"|\.(landmarks|descent|model)-[0-9a-f]{{8}}-\w{{8}}\.npz|{_PART.pattern}"
)


class Unfinished:
    """The folder of a run and the folder of its parts, which may be the same.

    Every file is written whole or not at all, so whatever is there counts. The manifest has the
    settings and the identity of the input. Parts and the names of all other files contain its
    digest, so files of two runs do not mix, even if both write to the same folder at the same time.
    """

    def __init__(self, state: Path, parts: Path) -> None:
        self.state, self.parts = state, parts
        self._path = state / "manifest.json"
        self._kept: set[Path] = set()  # empty folders of the user's, which stay
        self._manifest: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        """Return the file with the landmarks, their descent or the model of this run."""
        return self.state / f"{name}-{self._digest()[:8]}.npz"

    def check(self, *, force: bool) -> None:
        """Refuse folders with files of others, or with those of an earlier run without --force."""
        begun = bool(self._begun()) or self._is_damaged()
        if begun and not force:
            raise Refusal(
                f"{self.state} belongs to a run that is active or was stopped; --resume continues "
                "it, --force starts again"
            )
        others = [name for name in _names(self.state) if not name.startswith(".manifest-")]
        if not begun and (others or self.state.is_file()):
            raise Refusal(
                f"--checkpoint {self.state}: it exists, and is no checkpoint; choose another name"
            )
        for name in _names(self.parts) if self.parts != self.state else ():
            if not _PART.fullmatch(name) and name != STATE:
                raise Refusal(
                    f"--output {self.parts}/: it holds {name}, which is no part of a map; choose "
                    "another folder"
                )
            if not begun and not force:
                raise Refusal(f"--output {self.parts}/: it holds a map; --force replaces it")

    def begin(self, settings: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Remove the state that an earlier run has left, and write the manifest.

        The parts of an earlier map stay until there is a model: see `clear_parts`.
        """
        for folder in dict.fromkeys((self.parts, self.state)):
            if folder.is_dir() and not _names(folder):
                self._kept.add(folder)
            folder.mkdir(exist_ok=True)
        self._empty(self.state, _OURS)
        self._manifest = {"format": _FORMAT, "fasttsne": __version__}
        self._manifest |= {"settings": dict(settings), "input": dict(identity)}
        with _writing(self._path) as file:
            file.write(json.dumps(self._manifest, indent=1).encode() + b"\n")

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the run to continue; those given again must be the same."""
        self._manifest = self._begun()
        if not self._manifest and not self._is_damaged():
            raise Refusal(
                f"{self.state} is no unfinished run with --landmarks; start again without --resume"
            )
        if not all(isinstance(self._manifest.get(key), dict) for key in ("settings", "input")):
            raise Refusal(f"{self._path} is damaged; start again with --force")
        version = self._manifest.get("fasttsne")
        if (self._manifest["format"], version) != (_FORMAT, __version__):
            raise Refusal(
                f"{self.state} is of fasttsne {version}, and this is {__version__}; start again "
                "with --force"
            )
        settings: dict[str, Any] = self._manifest["settings"]
        for name, value in given.items():
            before = settings.get(name)
            if before != value:
                how = "without it" if before is None else f"with {before}"
                raise Refusal(
                    f"--{name.replace('_', '-')} {value}: the run in {self.state} was started "
                    f"{how}; leave it out to continue, or start again with --force"
                )
        return settings

    def check_input(self, identity: Mapping[str, Any]) -> None:
        """Refuse to continue with another input."""
        if self._manifest["input"] != identity:
            raise Refusal(
                f"INPUT is not the one that the run in {self.state} began with, or has changed "
                "since; start again with --force"
            )

    def _begun(self) -> dict[str, Any]:
        """Return the manifest of a run of any version; empty if there is none."""
        if not self._path.is_file():  # a FIFO would wait
            return {}
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            manifest: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
            if str(manifest["format"]).startswith(_FORMAT.rstrip("0123456789")):
                return manifest
        return {}

    def _is_damaged(self) -> bool:
        """Return whether the folder is one of a run whose manifest cannot be read."""
        names = _names(self.state)
        ours = all(_OURS.fullmatch(name) for name in names) and self._path.name in names
        return ours and (self.state.name == STATE or len(names) > 1) and not self._begun()

    @property
    def is_of_use(self) -> bool:
        """Whether continuing the run would save work."""
        return self.path("landmarks").exists() or self.path("model").exists()

    def save(self, name: str, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Save the landmarks or the model."""
        with _writing(self.path(name)) as file:
            checkpoint.write_arrays(file, facts, arrays)

    def saved(self, name: str, unpack: Callable[..., Any]) -> Any:
        """Return what `unpack` makes of what was saved, or None if nothing was."""
        if not self.path(name).is_file():
            return None
        try:
            return unpack(*checkpoint.read_arrays(self.path(name)))
        except Exception as error:  # a damaged file can fail in any way
            raise Refusal(f"cannot read {self.path(name)}; start again with --force") from error

    def clear_parts(self) -> None:
        """Remove parts of other runs, and what a killed run was writing."""
        for name in _names(self.parts):
            if _PART.fullmatch(name) and self._run_of(self.parts / name)[1] != self._digest():
                (self.parts / name).unlink(missing_ok=True)

    def save_part(self, number: int, part: Any) -> None:
        """Save the map of a block, a pyarrow.Table."""
        from pyarrow.parquet import write_table

        marked = part.replace_schema_metadata(
            {**(part.schema.metadata or {}), "fasttsne": self._digest()}
        )
        with _writing(self._part(number)) as file:
            write_table(marked, file)

    def has_part(self, number: int, length: int) -> bool:
        """Return whether a part of this run is there, and whole."""
        return self._run_of(self._part(number)) == (length, self._digest())

    def _run_of(self, path: Path) -> tuple[int, str]:
        """Return the number of rows of a part, and the digest of its run; 0 if it is not whole."""
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import read_metadata

        if not path.is_file():
            return 0, ""
        try:
            found = read_metadata(path)
        except (OSError, ArrowInvalid):
            return 0, ""
        return found.num_rows, (found.metadata or {}).get(b"fasttsne", b"").decode()

    def part(self, number: int, length: int, names: Sequence[str] | None = None) -> Any:
        """Return columns of a part, or all, as a pyarrow.Table."""
        from pyarrow.parquet import ParquetFile

        if not self.has_part(number, length):
            raise Refusal(f"another run has changed {self._part(number)}; --resume writes it again")
        return ParquetFile(self._part(number)).read(names).replace_schema_metadata()

    def remove(self) -> None:
        """Remove what the run has written, but not the parts in an output folder."""
        self._empty(self.state, _OURS)
        for folder in (self.state, self.parts):
            with suppress(OSError):  # it is not empty
                if folder not in self._kept:
                    folder.rmdir()

    def _empty(self, folder: Path, ours: re.Pattern[str]) -> None:
        # The manifest last: until then the folder is known to be one of a run.
        for name in sorted(_names(folder), key=lambda name: name == self._path.name):
            if ours.fullmatch(name):
                (folder / name).unlink(missing_ok=True)

    def _part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}.parquet"

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._manifest, sort_keys=True).encode()).hexdigest()


@contextmanager
def _writing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all, even if the power fails."""
    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _names(folder: Path) -> list[str]:
    """List a folder, which may be missing."""
    return os.listdir(folder) if folder.is_dir() else []


# ---- the map ------------------------------------------------------------------------------------


def check_output(path: Path, is_folder: bool, force: bool) -> None:
    """Refuse an output that cannot, or should not, be written."""
    kind = path.suffix.lower()
    if is_folder:
        if path.is_file():
            raise Refusal(f"--output {path}/: it is a file; choose a folder")
        write.check_output(path / "x" if path.is_dir() else path, "--output", (), True)
        return
    if kind not in _KINDS:
        raise Refusal(
            f"--output {path}: with --landmarks the ending must be one of {', '.join(_KINDS)}, or "
            "a slash for a folder of .parquet files"
        )
    if kind == ".zarr" and path.is_dir():
        if not force:
            raise Refusal(f"--output {path}: it exists; --force replaces it")
        if not is_zarr(path):
            raise Refusal(f"--output {path}: it is a directory and no Zarr store; move it away")
    else:
        write.check_output(path, "--output", _KINDS, force)
    if kind in (".zarr", ".h5", ".hdf5"):
        imported("zarr" if kind == ".zarr" else "h5py", "writing", path)


def check_room(path: Path, source: Source, n_components: int) -> None:
    """Refuse columns that parts or OUT cannot hold, by their first row."""
    try:
        first = source.beside(0, 1)
    except (TypeError, ValueError, NotImplementedError) as error:  # as pyarrow's are
        raise Refusal(f"{source.path}: {error}; leave the column out") from error
    columns = dict(zip(first.column_names, first.columns, strict=True))
    write.check_columns(path, columns, n_components, in_parts=True)


def join(
    path: Path,
    parts: Callable[[], Iterator[Any]],
    n_rows: int,
    n_components: int,
    index: Sequence[str] = (),
) -> None:
    """Join parts, pyarrow.Tables whose first columns are the map, into a file or a Zarr store."""
    kind = path.suffix.lower()
    with (_replacing_store if kind == ".zarr" else replacing)(path) as unfinished:
        if kind == ".parquet":
            _write_parquet(unfinished, parts(), index)
        elif kind == ".npy":
            form = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_components)}
            with open(unfinished, "wb") as file:
                np.lib.format.write_array_header_1_0(file, form)
                for part in parts():
                    file.write(places(part, n_components).astype("<f4").data)
        elif kind in (".csv", ".tsv"):
            separator = "\t" if kind == ".tsv" else ","
            _write_text(unfinished, parts(), n_components, separator, index)
        elif kind == ".zarr":
            group = imported("zarr", "writing", path).open_group(str(unfinished), mode="w")
            create = getattr(group, "create_array", None) or group.create_dataset  # zarr 3, zarr 2
            _fill(create, parts, n_rows, n_components, str)
        else:
            h5py = imported("h5py", "writing", path)
            with write.hdf5_file(unfinished, "w") as file:
                _fill(file.create_dataset, parts, n_rows, n_components, h5py.string_dtype())


@contextmanager
def _replacing_store(path: Path) -> Iterator[Path]:
    """Yield the name of a folder, which replaces `path` after the block."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # as a run that was killed leaves it
    try:
        with naming(path):
            yield unfinished
        shutil.rmtree(path, ignore_errors=True)  # a rename does not replace a folder
        os.replace(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def places(part: Any, n_components: int) -> NDArray[np.float32]:
    """Return the map of a part, which its first columns are."""
    return np.stack([part.column(k).to_numpy() for k in range(n_components)], axis=1)


def _write_parquet(path: Path, parts: Iterator[Any], index: Sequence[str]) -> None:
    """Write one row group per part."""
    from pyarrow.parquet import ParquetWriter

    first = write.indexed(next(parts), index)
    with ParquetWriter(path, first.schema) as writer:
        for part in chain([first], parts):
            writer.write_table(part.cast(first.schema), row_group_size=len(part))


def _write_text(
    path: Path, parts: Iterator[Any], n_components: int, separator: str, index: Sequence[str]
) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for number, part in enumerate(parts):
            beside = part.select(part.column_names[n_components:])
            columns = dict(zip(beside.column_names, beside.columns, strict=True))
            frame = write.frame_of_text(places(part, n_components), columns, index)
            frame.to_csv(file, sep=separator, header=number == 0, index=False)


def _fill(
    create: Callable[..., Any],
    parts: Callable[[], Iterator[Any]],
    n_rows: int,
    n_components: int,
    text: Any,
) -> None:
    """Create an array for the map and one per column, and fill them."""
    gaps = {name for part in parts() for name in part.column_names if part[name].null_count}
    wide = {name for part in parts() for name in gaps if write.is_wide(part[name])}
    arrays: dict[str, Any] = {}
    row = 0
    for part in parts():
        beside = part.column_names[n_components:]
        plain = {"embedding": places(part, n_components)}
        plain |= {
            name: write.arrow_values(part[name], name in gaps, name in wide) for name in beside
        }
        for name, values in plain.items():
            if name not in arrays:
                arrays[name] = create(
                    name,
                    shape=(n_rows, *values.shape[1:]),
                    dtype=text if values.dtype == object else values.dtype,
                    chunks=(min(n_rows, _CHUNK_ROWS), *values.shape[1:]),
                )
            arrays[name][row : row + len(part)] = values
        row += len(part)
