"""Whether a file is still what it was when a run began."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from fasttsne.cli.blocks.source import Source
from fasttsne.cli.messages import Refusal

_EVERY = 2.0  # seconds, as a folder can hold many files


def identity(source: Source) -> dict[str, Any]:
    """Tell files from others, and from themselves after a change, by what the system knows.

    Parameters
    ----------
    source : Source
        Of these files.

    Returns
    -------
    identity : dict
        Their number and size, and a digest of names, sizes and times of change.

    Raises
    ------
    OSError
        If one is gone.
    """
    known = []
    for file in source.files():
        facts = file.stat()
        name = file.relative_to(source.path).as_posix() if file != source.path else ""
        known.append((name, facts.st_size, facts.st_mtime_ns))
    return {
        "files": len(known),
        "bytes": sum(size for _, size, _ in known),
        "digest": hashlib.sha256(repr(sorted(known)).encode()).hexdigest(),
    }


class Watch:
    """Look now and then whether files have changed.

    Parameters
    ----------
    source : Source
        Of these files, as they are now.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.identity = identity(source)
        self._looked = time.monotonic()

    def check(self, *, at_once: bool = True) -> None:
        """Refuse to go on if they have.

        Parameters
        ----------
        at_once : bool, default=True
            Whether to look even if the last look was a moment ago.

        Raises
        ------
        Refusal
            If something is not what it was.
        """
        if not at_once and time.monotonic() - self._looked < _EVERY:
            return
        self._looked = time.monotonic()
        try:
            same = identity(self._source) == self.identity
        except (OSError, Refusal):
            same = False
        if not same:
            raise Refusal(
                f"{self._source.path} has changed since this run began; start anew with --force "
                "once nothing writes to it"
            )
