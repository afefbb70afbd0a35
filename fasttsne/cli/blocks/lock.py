"""A folder that one run at a time writes to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

#: Of the file that is locked, in the folder.
NAME = "fasttsne.lock"


class Lock:
    """A lock on a folder, which the system takes back when the process ends, however it does.

    Where the system or the file system knows no such locks, it is always to be had.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.held = False
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Take the lock, if nobody else has it.

        Returns
        -------
        taken : bool
            Whether it is held now.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or none any more.
        """
        try:
            import fcntl
        except ImportError:  # Windows, which would not remove an open file either
            self.path.touch()
            self.held = True
            return True
        file = open(self.path, "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError:  # some file systems of a network
            pass
        # The holder may have removed the file after it was opened here: then this is of no use.
        try:
            same = os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
            if not same:
                raise FileNotFoundError(self.path)
        except FileNotFoundError:
            file.close()
            raise
        self._file, self.held = file, True
        return True

    def release(self) -> None:
        """Let others have it."""
        self.held = False
        if self._file is not None:
            self._file.close()
            self._file = None
