"""What the command line says when something must be put right first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Refusal(Exception):
    """One line that names what is wrong and tells what to do; the command then ends with 2."""


def unknown_name(kind: str, name: str, known: Iterable[str], where: str) -> Refusal:
    """Refuse a name that is not there, and suggest the nearest one.

    Parameters
    ----------
    kind, name : str
        What was looked for, like "column", and how it was called.

    known : iterable of str
        What is there.

    where : str
        Where that is, like a file.

    Returns
    -------
    refusal : Refusal
        To be raised.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not near:  # letters in the other case are nearer than any other letters
        near = [other for other in names if other.lower() == name.lower()][:1]
    if near:
        return Refusal(f"there is no {kind} {name!r} in {where}; did you mean {near[0]!r}?")
    return Refusal(f"there is no {kind} {name!r} in {where}; it has {shortened(names) or 'none'}")


def shortened(names: list[str]) -> str:
    """List names, the first eight of more.

    Parameters
    ----------
    names : list of str
        All of them.

    Returns
    -------
    listed : str
        With commas between them.
    """
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
