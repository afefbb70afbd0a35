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
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        # mkstemp lets nobody else read; a new file is as open as the process makes its files.
        mask = os.umask(0)
        os.umask(mask)
        unfinished.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
