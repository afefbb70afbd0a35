"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Offer an unfinished file, and put it in the place of `path` once it is complete.

    The unfinished file lies in the same directory and has the same ending. It is removed when
    the block ends in an exception, and `path` then stays what it was.

    Parameters
    ----------
    path : str or path-like
        The file to be written.

    Returns
    -------
    unfinished : context manager of pathlib.Path
        An empty file to write to.

    Raises
    ------
    OSError
        If it cannot be made or written, as the disk is full for example; it names `path`.
    """
    path = Path(path)
    with _naming(path):
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent
        )
    os.close(handle)
    unfinished = Path(name)
    try:
        with _naming(path, unfinished):
            yield unfinished
            # mkstemp lets nobody else read; a new file is as open as the process makes its files.
            mask = os.umask(0)
            os.umask(mask)
            unfinished.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
            os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def _naming(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Let an error of the system name the file that was asked for, not the unfinished one."""
    try:
        yield
    except OSError as error:
        names = {error.filename, error.filename2} - {None}
        if error.errno is None or (unfinished and names and str(unfinished) not in names):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
