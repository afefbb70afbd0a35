"""The command line: ``fasttsne map``, ``judge``, ``demo`` and ``info``."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from fasttsne import __version__
from fasttsne.cli import streams
from fasttsne.cli.messages import Refusal

__all__ = ["main"]

_DESCRIPTION = "t-SNE maps, fast: draw a map of your data, and find out how far to believe it."
_NOBODY_READS = 141  # as a shell calls it
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
        something must be put right first, 130 if interrupted, 141 if nobody reads what is printed.

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
    streams.open_missing()
    try:
        status = _run(argv, prog)
    except SystemExit as finished:
        raise SystemExit(_flushed(int(finished.code or 0), prog)) from None
    return _flushed(status, prog)


def _run(argv: Sequence[str] | None, prog: str) -> int:
    args = argparse.Namespace(debug=False, parser=argparse.Namespace(prog=prog))
    try:
        _parser(prog).parse_args(argv, args)
        status: int = args.run(args)
    except KeyboardInterrupt:
        streams.say("\ninterrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as _flushed finds
        return _NOBODY_READS
    except Exception as error:
        if args.debug:
            streams.say(traceback.format_exc(), end="")
            return 2
        streams.say(f"{args.parser.prog}: error: {_one_line(error)}")
        return 2
    return status


class _Parser(argparse.ArgumentParser):
    """One whose help is not lost without a word when it cannot be written."""

    def print_help(self, file: Any = None) -> None:
        try:
            (file or sys.stdout).write(self.format_help())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Refusal(f"standard output: {error.strerror}; free space") from error


def _flushed(status: int, prog: str) -> int:
    """Tell the status that remains once all is written that was printed."""
    try:
        streams.flush()
    except BrokenPipeError:
        return _NOBODY_READS
    except OSError as error:
        if status == 0:
            streams.say(f"{prog}: error: standard output: {error.strerror}; free space")
        return status or 2
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    # Here, where Ctrl-C is answered: they take a second or two.
    from fasttsne.cli import demo, info, judge, map

    parser = _Parser(
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
