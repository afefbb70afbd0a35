"""Facts and arrays <-> one .npz file, which holds no code: what we save and read again.

The file is an uncompressed zip archive of `facts.npy`, JSON as bytes, and one .npy per array.
NumPy reads it with ``allow_pickle=False``. `read` evaluates nothing: every header must match one
pattern and give the size that the file has, before memory is allocated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from fasttsne import __version__

Arrays = dict[str, NDArray[Any]]

# The start of a .npy file, version 1.0, up to the text of its header; and this text, as NumPy
# writes it for plain numbers.
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>][iuf][248]|\|[iu]1)', "
    rb"'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)
_CHUNK = 1 << 24  # bytes that are read at a time


class ArchiveError(ValueError):
    """A file that is not what it should be; the message is a clause about the file."""


def write_npz(file: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as `numpy.savez` does, which takes "file" and some other names for its own."""
    with ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def write(
    file: IO[bytes], kind: str, version: int, facts: Mapping[str, Any], arrays: Arrays
) -> None:
    """Write facts, which JSON can hold, and arrays of plain numbers.

    "format", "version", "fasttsne" and "arrays" are no names of facts.
    """
    head = {"format": f"fasttsne {kind}", "version": version}  # first, for `is_one`
    head |= {"fasttsne": __version__, "arrays": list(arrays)}
    text = json.dumps({**head, **facts}).encode()
    write_npz(file, {"facts": np.frombuffer(text, np.uint8), **arrays})


def read(path: Path, kind: str, version: int) -> tuple[dict[str, Any], Arrays]:
    """Return facts and arrays of this kind, at most of this version of its format.

    Raises OSError or ArchiveError. Memory is at most about the size of the file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ArchiveError("is no regular file")  # a FIFO would wait
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        try:
            with ZipFile(file) as archive:
                members = _checked_members(archive, size)
                if "facts" not in members:
                    raise ValueError("it has arrays only")
                text = _read_member(archive, members.pop("facts"))
                facts = json.loads(text.tobytes())
                found = str(facts["format"]), int(facts["version"])
                if found[0] == f"fasttsne {kind}" and found[1] <= version:
                    if facts["arrays"] != list(members):
                        raise ValueError("arrays are missing")
                    return facts, {name: _read_member(archive, at) for name, at in members.items()}
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can fail in any way
            raise ArchiveError(
                f"is damaged, or no {kind} that fasttsne has written ({error})"
            ) from error
    if found[0] == f"fasttsne {kind}":
        raise ArchiveError(
            f"is of fasttsne {facts.get('fasttsne')!s:.40}, whose format {found[1]} this version, "
            f"{__version__}, does not read; upgrade fasttsne"
        )
    raise ArchiveError(f"holds a {found[0]!s:.40}, not a {kind}")


def is_one(path: Path, kind: str) -> bool:
    """Return whether a file begins like one of this kind, of any version, without loading it."""
    with suppress(OSError), open(path, "rb") as file:
        return f"fasttsne {kind}".encode() in file.read(1000)
    return False


def _checked_members(archive: ZipFile, size: int) -> dict[str, ZipInfo]:
    """Return the members by name, which together have no more bytes than the file."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) < len(archive.infolist()):
        raise ValueError("a name occurs twice")
    if any(info.compress_type != ZIP_STORED for info in members.values()):
        raise ValueError("it is compressed")  # perhaps to more than memory holds
    if sum(info.file_size for info in members.values()) > size:
        raise ValueError("it claims more bytes than it has")
    return members


def _read_member(archive: ZipFile, info: ZipInfo) -> NDArray[Any]:
    """Return an array whose header gives the size that the member has."""
    with archive.open(info) as member:
        start = member.read(len(_MAGIC) + 2)
        length = int.from_bytes(start[len(_MAGIC) :], "little")
        header = _HEADER.fullmatch(member.read(length))
        if not start.startswith(_MAGIC) or header is None:
            raise ValueError(f"{info.filename} is no array of plain numbers")
        shape = tuple(int(n) for n in re.findall(rb"\d+", header["shape"]))
        dtype = np.dtype(header["dtype"].decode())
        n_bytes = info.file_size - len(start) - length
        if math.prod(shape) * dtype.itemsize != n_bytes:
            raise ValueError(f"{info.filename} has another size than its header says")
        values = np.empty(math.prod(shape), dtype)
        into, done = values.view(np.uint8), 0
        while done < n_bytes:  # the last read compares the checksum
            part = member.read(_CHUNK)
            if not part:
                raise ValueError(f"{info.filename} ends early")
            into[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
