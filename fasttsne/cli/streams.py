"""What is said on the way, to whoever listens: a log that cannot be written costs no run."""

from __future__ import annotations

import os
import sys
from typing import IO


def open_missing() -> None:
    """Open streams that the process was started without, so that writing to them does no harm.

    Files opened later would take their numbers otherwise, and get what C code has to say.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def say(text: str = "", end: str = "\n") -> None:
    r"""Write to standard error, if that is possible.

    Parameters
    ----------
    text : str, default=""
        What to say.

    end : str, default="\n"
        What comes behind.
    """
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def flush() -> None:
    """Write what is left of standard output.

    Raises
    ------
    OSError
        If nobody reads it any more, or the disk is full. The interpreter does not find out again.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _silence(sys.stdout)
        raise
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _silence(sys.stderr)


def _silence(stream: IO[str]) -> None:
    """Send all that is left of a stream, and all to come, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    except OSError:  # a stream without a file
        pass
    finally:
        os.close(nowhere)
