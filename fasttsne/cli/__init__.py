"""The command line: ``fasttsne map``, ``judge``, ``demo``, ``info`` and ``run``."""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from fasttsne import __version__
from fasttsne.cli.messages import as_options, flush, one_line, open_missing, say

_DESCRIPTION = "Draw t-SNE maps of your data, fast, and judge how trustworthy they are."
_EXAMPLES = """\
examples
  fasttsne demo                                      see that it works
  fasttsne map data.csv -o map.csv --label species \\
      --plot map.png --html map.html                 from a table to a picture and a page
  fasttsne judge data.csv map.csv                    how much of the data the map keeps

'fasttsne COMMAND --help' lists the options of a command.
"""
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports it
_RAW = argparse.RawDescriptionHelpFormatter  # keeps line breaks


def main(argv: Sequence[str] | None = None, prog: str = "fasttsne") -> int:
    """Run a command and return its exit status, one of those in docs/command-line.md.

    None takes the arguments of the process. Bad arguments, ``--help`` and ``--version`` raise
    SystemExit with the status; a script that ``run`` runs may raise anything.
    """
    open_missing()
    args = argparse.Namespace(command=None, debug=False, parser=argparse.Namespace(prog=prog))
    try:
        status = _run(argv, prog, args)
    except SystemExit as finished:
        raise SystemExit(_flushed(int(finished.code or 0), prog)) from None
    if args.command == "run" and status == 0:
        return args.run(args)
    return _flushed(status, prog)


def _run(argv: Sequence[str] | None, prog: str, args: argparse.Namespace) -> int:
    """Run a command other than ``run``, return its status; print an exception as one line."""
    try:
        given = _separated(sys.argv[1:] if argv is None else argv)
        _, unknown = _parser(prog).parse_known_args(given, args)
        if unknown:  # the command's parser, unlike that of all commands, knows the options
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        if args.command == "run":
            return 0
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_: say(f"warning: {as_options(str(text))}")
            return args.run(args)
    except KeyboardInterrupt:
        say("\ninterrupted")
        return 130
    except BrokenPipeError:
        return _BROKEN_PIPE
    except Exception as error:
        if args.debug:
            say(traceback.format_exc(), end="")
        else:
            say(f"{args.parser.prog}: error: {one_line(error)}")
        return 2


def _separated(argv: Sequence[str]) -> Sequence[str]:
    """Return ``run -mMODULE`` as ``run -m MODULE``: argparse does not leave it what follows."""
    if argv[:1] == ["run"]:
        for place in range(1, len(argv)):
            before, arg = argv[place - 1], argv[place]
            if arg.startswith("-m") and arg != "-m":
                return [*argv[:place], "-m", arg[2:], *argv[place + 1 :]]
            is_value = before.startswith("--") and "=" not in before
            if arg == "--" or not (arg.startswith("-") or is_value):
                break
    return argv


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; '{self.prog} --help' lists the options\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        with suppress(OSError):  # `flush` reports that there is no space
            (file or sys.stderr).write(message)


def _flushed(status: int, prog: str) -> int:
    """Write what is buffered, and return the status after that."""
    try:
        flush()
    except BrokenPipeError:
        return _BROKEN_PIPE
    except OSError as error:
        if status == 0:
            say(f"{prog}: error: standard output: {error.strerror}; free space")
        return status or 2
    return status


def _parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    # These imports take a second or two; here _run catches a Ctrl-C.
    from fasttsne.cli import demo, info, judge, map, run

    parser = _Parser(prog=prog, description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=_RAW)
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {"map": map, "judge": judge, "demo": demo, "info": info, "run": run}
    for name, command in modules.items():
        subparser = commands.add_parser(name, formatter_class=_RAW, **command.ABOUT)
        command.add_options(subparser)
        if command is not run:
            subparser.add_argument(
                "--debug", action="store_true", help="print tracebacks of errors"
            )
        subparser.set_defaults(run=command.run, parser=subparser)
    return parser
