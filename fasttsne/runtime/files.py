"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty file beside `path`, with its ending, which replaces `path` after the block.

    After an exception it is removed and `path` is unchanged. An OSError names `path`. Where `path`
    is a link, the file that it leads to is replaced.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    with naming(path):
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=target.parent
        )
    os.close(handle)
    unfinished = Path(name)
    try:
        with naming(path, unfinished):
            yield unfinished
            # mkstemp makes files private; give this one the mode of `path` or of a new file.
            mask = os.umask(0)
            os.umask(mask)
            unfinished.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
            os.replace(unfinished, target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Make errors of the system name `path` instead of the unfinished file."""
    try:
        yield
    except OSError as error:
        names = {error.filename, error.filename2} - {None}
        if error.errno is None or (unfinished and names and str(unfinished) not in names):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
