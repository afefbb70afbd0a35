"""The command line: ``fasttsne map``, ``judge``, ``demo`` and ``info``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from fasttsne import __version__
from fasttsne.cli import demo, info, judge, map
from fasttsne.cli.refusal import Refusal

__all__ = ["main"]

_DESCRIPTION = "t-SNE maps, fast: draw a map of your data, and find out how far to believe it."
_EXAMPLES = """\
for example
  fasttsne demo                                      see that it works
  fasttsne map data.csv -o map.csv --label species \\
      --plot map.png --html map.html                 from a table to a picture and a page
  fasttsne judge data.csv map.csv                    how much of the data the map keeps

'fasttsne COMMAND --help' tells all about a command.
"""


def main(argv: Sequence[str] | None = None, prog: str = "fasttsne") -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments; None takes those of the process.

    prog : str, default="fasttsne"
        The name shown in help and errors.

    Returns
    -------
    status : int
        0 if all went well, 1 if the picture that was asked of ``demo`` could not be drawn, 2 if
        something must be put right first, 130 if interrupted.

    Raises
    ------
    SystemExit
        With status 2 on bad arguments, with status 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> from fasttsne.cli import main
    >>> try:
    ...     main(["--version"])
    ... except SystemExit as finished:
    ...     print("status", finished.code)
    fasttsne ...
    status 0
    """
    args = _parser(prog).parse_args(argv)
    try:
        status: int = args.run(args)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if args.debug:
            traceback.print_exc()
            return 2
        print(f"{args.parser.prog}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (map, judge, demo, info):
        subparser = command.add_parser(commands)
        subparser.add_argument(
            "--debug", action="store_true", help="show the traceback of an error"
        )
        subparser.set_defaults(run=command.run, parser=subparser)
    return parser


def _one_line(error: Exception) -> str:
    """Say what went wrong and what to do, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, Refusal | ValueError | TypeError | ImportError):
        return text
    if isinstance(error, MemoryError):
        return text or "not enough memory; use fewer rows or a lower perplexity"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or text}; free space or choose another place"
    return f"unexpected {type(error).__name__}: {text}; run again with --debug, and report it"
