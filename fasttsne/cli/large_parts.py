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
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import __version__
from fasttsne.cli import write
from fasttsne.cli.large_inputs import Source, is_zarr
from fasttsne.cli.messages import Refusal, check_package
from fasttsne.runtime import archive
from fasttsne.runtime.files import naming, replacing

#: The folder in an output folder that has all of an unfinished run but its parts.
STATE = ".fasttsne"

_FORMAT = "fasttsne parts 2"
_VERSION = 2  # of the formats of landmarks and model
_KINDS = (".parquet", ".npy", ".zarr", ".h5", ".hdf5", ".csv", ".tsv")  # that parts are joined to
_CHUNK_ROWS = 1 << 16  # of an array in HDF5 or Zarr

_Parts = Callable[[], Iterator[Any]]  # pyarrow.Tables, whose first columns are the map

# The names that a run writes. With a dot: what was being written when it was killed.
_PART = re.compile(r"part-[0-9]{6,}\.parquet|\.part-[0-9]{6,}-\w{8}\.parquet")
_OURS = re.compile(
    r"manifest\.json|(landmarks|descent|model)-[0-9a-f]{8}\.npz|\.manifest-\w{8}\.json"
    rf"|\.(landmarks|descent|model)-[0-9a-f]{{8}}-\w{{8}}\.npz|{_PART.pattern}"
)


class Unfinished:
    """The folder of a run and the folder of its parts, which may be the same.

    Every file is written whole or not at all. The manifest has the settings and the identity of the
    input; parts and names of files contain its digest, so files of two runs do not mix.
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
        begun = self._begun() is not None
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
        """Replace the state of an earlier run by a manifest; its parts stay: see `clear_parts`."""
        for folder in dict.fromkeys((self.parts, self.state)):
            if folder.is_dir() and not _names(folder):
                self._kept.add(folder)
            folder.mkdir(exist_ok=True)
        self._empty()
        self._manifest = {"format": _FORMAT, "fasttsne": __version__}
        self._manifest |= {"settings": dict(settings), "input": dict(identity)}
        with _writing(self._path) as file:
            file.write(json.dumps(self._manifest, indent=1).encode() + b"\n")

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the run to continue; those given again must be the same."""
        manifest = self._begun()
        if manifest is None:
            raise Refusal(
                f"{self.state} is no unfinished run with --landmarks; start again without --resume"
            )
        if not all(isinstance(manifest.get(key), dict) for key in ("settings", "input")):
            raise Refusal(f"{self._path} is damaged; start again with --force")
        version = manifest.get("fasttsne")
        if (manifest["format"], version) != (_FORMAT, __version__):
            raise Refusal(
                f"{self.state} is of fasttsne {version}, and this is {__version__}; start again "
                "with --force"
            )
        self._manifest, settings = manifest, dict(manifest["settings"])
        for name, value in given.items():
            before = settings.get(name)
            if before != value:
                how = "without it" if before is None else f"with {before}"
                raise Refusal(
                    f"--{name.replace('_', '-')} {value}: the run in {self.state} was started "
                    f"{how}; leave it out to continue, or start again with --force"
                )
        return settings

    def check_input(self, source: Source) -> None:
        """Refuse an input that is not, or is no longer, the one that the run began with."""
        try:
            same = source.identity() == self._manifest["input"]
        except (OSError, Refusal):
            same = False
        if not same:
            raise Refusal(
                f"{source.path} is another INPUT than that of the run in {self.state}, or has "
                "changed since it began; start again with --force when nothing writes to it"
            )

    def _begun(self) -> dict[str, Any] | None:
        """Return the manifest of a run of any version, {} if it is damaged; None for no run."""
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if self._path.is_file():  # a FIFO would wait
                manifest: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
                if str(manifest["format"]).startswith(_FORMAT.rstrip("0123456789")):
                    return manifest
        names = _names(self.state)
        is_run = self._path.name in names and all(map(_OURS.fullmatch, names))
        return {} if is_run and (self.state.name == STATE or len(names) > 1) else None

    @property
    def is_of_use(self) -> bool:
        """Whether continuing the run would save work."""
        return self.path("landmarks").exists()

    def save(self, name: str, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Save the landmarks or the model."""
        with _writing(self.path(name)) as file:
            archive.write(file, name, _VERSION, facts, arrays)

    def saved(self, name: str, unpack: Callable[..., Any]) -> Any:
        """Return what `unpack` makes of what was saved, or None if nothing was."""
        if not self.path(name).is_file():
            return None
        try:
            return unpack(*archive.read(self.path(name), name, _VERSION))
        except Exception as error:  # a damaged file can fail in any way
            raise Refusal(f"cannot read {self.path(name)}; start again with --force") from error

    def clear_parts(self) -> None:
        """Remove parts of other runs, and what a killed run was writing, once there is a model."""
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

        if path.is_file():  # a FIFO would wait
            with suppress(OSError, ArrowInvalid):
                found = read_metadata(path)
                return found.num_rows, (found.metadata or {}).get(b"fasttsne", b"").decode()
        return 0, ""

    def part(self, number: int, length: int, names: Sequence[str] | None = None) -> Any:
        """Return columns of a part, or all, as a pyarrow.Table."""
        from pyarrow.parquet import ParquetFile

        if not self.has_part(number, length):
            raise Refusal(f"another run has changed {self._part(number)}; --resume writes it again")
        return ParquetFile(self._part(number)).read(names).replace_schema_metadata()

    def remove(self) -> None:
        """Remove what the run has written, but not the parts in an output folder."""
        self._empty()
        for folder in (self.state, self.parts):
            with suppress(OSError):  # it is not empty
                if folder not in self._kept:
                    folder.rmdir()

    def _empty(self) -> None:
        # The manifest last: until then the folder is known to be one of a run.
        for name in sorted(_names(self.state), key=lambda name: name == self._path.name):
            if _OURS.fullmatch(name):
                (self.state / name).unlink(missing_ok=True)

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
    if kind == ".zarr":
        check_package(f"writing {path}", "zarr", "dask")
    elif kind in (".h5", ".hdf5"):
        check_package(f"writing {path}", "h5py", "dask")


def join(path: Path, parts: _Parts, shape: tuple[int, int], index: Sequence[str] = ()) -> None:
    """Join parts into a file or a Zarr store; `shape` is that of the map."""
    kind = path.suffix.lower()
    with (_replacing_store if kind == ".zarr" else replacing)(path) as unfinished:
        if kind == ".parquet":
            from pyarrow.parquet import ParquetWriter

            tables = parts()
            first = write.indexed(next(tables), index, _gaps(parts))
            with ParquetWriter(unfinished, first.schema) as writer:
                for part in chain([first], tables):  # a row group each
                    writer.write_table(part.cast(first.schema), row_group_size=len(part))
        elif kind == ".npy":
            form = {"descr": "<f4", "fortran_order": False, "shape": shape}
            with open(unfinished, "wb") as file:
                np.lib.format.write_array_header_1_0(file, form)
                for part in parts():
                    file.write(split(part, shape[1])[0].astype("<f4").data)
        elif kind in (".csv", ".tsv"):
            separator = "\t" if kind == ".tsv" else ","
            with open(unfinished, "w", encoding="utf-8", newline="") as text:
                for number, part in enumerate(parts()):
                    Y, beside = split(part, shape[1])
                    write.write_text(text, Y, beside, len(index), separator, number == 0)
        elif kind == ".zarr":
            import zarr

            group = zarr.open_group(str(unfinished), mode="w")
            create = getattr(group, "create_array", None) or group.create_dataset  # zarr 3, zarr 2
            _fill(create, parts, shape, str)
        else:
            import h5py

            with write.hdf5_file(unfinished, "w") as file:
                _fill(file.create_dataset, parts, shape, h5py.string_dtype())


@contextmanager
def _replacing_store(path: Path) -> Iterator[Path]:
    """Yield the name of a folder, which replaces `path` after the block."""
    with naming(path), TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        yield unfinished
        shutil.rmtree(path, ignore_errors=True)  # a rename does not replace a folder
        os.replace(unfinished, path)


def split(part: Any, n_components: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the map of a part, which its first columns are, and the columns beside it."""
    columns = dict(zip(part.column_names, part.columns, strict=True))
    ours = [columns.pop(name).to_numpy() for name in part.column_names[:n_components]]
    return np.stack(ours, axis=1), columns


def _gaps(parts: _Parts) -> set[str]:
    return {name for part in parts() for name in part.column_names if part[name].null_count}


def _fill(create: Callable[..., Any], parts: _Parts, shape: tuple[int, int], text: Any) -> None:
    """Create an array for the map and one per column, and fill them."""
    gaps = _gaps(parts)
    wide = {name for part in parts() for name in gaps if write.is_wide(part[name])}
    arrays, row = dict[str, Any](), 0
    for part in parts():
        Y, beside = split(part, shape[1])
        plain = {
            name: write.arrow_values(column, name in gaps, name in wide)
            for name, column in beside.items()
        }
        for name, values in {"embedding": Y, **write.named_index(plain)}.items():
            if name not in arrays:
                arrays[name] = create(
                    name,
                    shape=(shape[0], *values.shape[1:]),
                    dtype=text if values.dtype == object else values.dtype,
                    chunks=(min(shape[0], _CHUNK_ROWS), *values.shape[1:]),
                )
            arrays[name][row : row + len(part)] = values
        row += len(part)
