"""What the command line prints: errors, notes and progress."""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

from fasttsne.runtime.progress import progress_bar

_SECONDS_IN_LOG = 10.0
_MOST_COMPARED = 5_000  # names, as a comparison takes a tenth of a millisecond
_LONGEST_NAME = 60


class Refusal(Exception):
    """A user error: one line says what is wrong and what to do, and the status is 2."""


def check_package(purpose: str, module: str, extra: str) -> None:
    """Check that a package of an extra is installed."""
    if find_spec(module) is None:
        raise Refusal(f"{purpose} needs {module}: pip install 'fasttsne[{extra}]'")


def unknown_name(kind: str, name: str, known: Iterable[str], where: str) -> Refusal:
    """Return an error for a name that does not exist, which suggests the nearest known one."""
    names = list(dict.fromkeys(known))
    # difflib takes "SPECIES" and "species" for different in every letter.
    lowered = {other.lower(): other for other in names[:_MOST_COMPARED]}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if near:
        hint = f"did you mean {lowered[near[0]][:_LONGEST_NAME]!r}?"
        return Refusal(f"there is no {kind} {name!r} in {where}; {hint}")
    return Refusal(f"there is no {kind} {name!r} in {where}; it has {shortened(names) or 'none'}")


def shortened(names: list[str]) -> str:
    """Return the first eight names, separated by commas, and long ones cut."""
    few = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names[:8]]
    return ", ".join(few) + (", …" if len(names) > 8 else "")


def counted(number: int, noun: str) -> str:
    """Return text like "1 row" or "1,000 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_options(text: str) -> str:
    """Return a message of the library with parameters of `TSNE` as the command line has them."""
    from fasttsne import TSNE

    name = f"({'|'.join(TSNE._parameter_constraints)})"
    text = re.sub(rf"The '(\w+)' parameter of \w+|(?<!=)'{name}'", r"--\1\2", text)
    text = re.sub(rf"\b{name}=(['\"]?)([\w.+-]*\w)\2", r"--\1 \3", text)
    return re.sub(r"--\w+", lambda option: option[0].replace("_", "-"), text)


def rounded(divergence: float) -> str:
    """Return a divergence with three decimals, and "0.000" where rounding gives "-0.000"."""
    return f"{round(divergence, 3) + 0.0:.3f}"


def reason_of(error: Exception) -> str:
    """Return what the system or a library reports, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def one_line(error: Exception) -> str:
    """Return what went wrong and what to do, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, Refusal | ImportError):
        return text
    if isinstance(error, ValueError | TypeError):
        return as_options(text)
    if isinstance(error, MemoryError):
        return text or "not enough memory; use fewer rows or a lower perplexity"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{reason_of(error)}; free space or choose another place"
    return f"unexpected {type(error).__name__}: {text}; run again with --debug, and report it"


def open_missing() -> None:
    """Open standard streams that are closed, so that no other file gets their descriptors."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def say(text: str = "", end: str = "\n") -> None:
    """Write to standard error; a log that cannot be written does not end the run."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def flush() -> None:
    """Write what is buffered; raise OSError if standard output is closed or the disk is full."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError:
            _silence(stream)  # else the interpreter reports the error again when it exits
            if stream is sys.stdout:
                raise


def _silence(stream: IO[str]) -> None:
    """Send the rest of a stream to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):  # a stream without a file
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Progress:
    """Show how far a run is, by tqdm's bar on a terminal, else by a line every 10 seconds."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.max_iter = 1  # of a descent
        self._draws = sys.stderr.isatty() and find_spec("tqdm") is not None
        self._written = time.monotonic()
        self._bar: Any = None

    def note(self, *texts: str) -> None:
        """Write lines, unless quiet."""
        if texts and not self.quiet:
            self.close()
            say("\n".join(texts))

    def __call__(self, state: Any) -> None:
        """Show the state of a descent, as a callback of the estimator."""
        loss = f"KL divergence {rounded(state.kl_divergence)}"
        text = f"iteration {state.iteration:,}, {loss}, {state.seconds:.0f} s"
        self.show(state.iteration / self.max_iter, text)

    def show(self, done: float, text: str) -> None:
        """Show which share is done, from 0 to 1, and a text beside it."""
        if self.quiet:
            return
        if self._draws:
            if self._bar is None:
                style = {"bar_format": "[{bar:24}] {desc}", "ascii": ".#", "file": sys.stderr}
                self._bar = progress_bar(True, 0, 1, desc=text, **style)
            self._bar.n = min(done, 1.0)
            self._bar.set_description_str(text)
        elif time.monotonic() - self._written >= _SECONDS_IN_LOG:
            say(text)
            self._written = time.monotonic()

    def conclude(self, n_iter: int) -> None:
        """Fill the bar of a descent that converged before `max_iter`."""
        if self._bar is not None and n_iter < self.max_iter:
            self.show(1.0, f"converged after {n_iter:,} of {self.max_iter:,} iterations")

    def close(self) -> None:
        """End the line of the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
