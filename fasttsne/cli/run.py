"""``fasttsne run``: a Python script or module in which `sklearn.manifold.TSNE` is fasttsne's."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from importlib.util import find_spec

from fasttsne.patch import patch_sklearn

#: What argparse shows of the command.
ABOUT = {
    "usage": "%(prog)s [options] SCRIPT [ARGS ...]\n       %(prog)s [options] -m MODULE [ARGS ...]",
    "help": "run a Python script whose sklearn.manifold.TSNE is fasttsne's",
    "description": """\
Run a Python script, or with -m a module, as `python` does. sklearn.manifold.TSNE is replaced
for it and for every package that it imports; neither changes.
""",
    "epilog": """\
examples
  fasttsne run script.py --its options
  fasttsne run -m package.module
""",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("-m", dest="is_module", action="store_true", help="run a module")
    parser.add_argument(
        "--learning-rate",
        choices=("auto", "keep"),
        default="auto",
        help="use the numbers that the script gives (keep), or the automatic rate (default: auto)",
    )
    # The rest of the line, of which REMAINDER would lose a first "--".
    what = "file, or with -m a module, and its arguments"
    parser.add_argument("script", metavar="SCRIPT", nargs=argparse.PARSER, help=what)


def run(args: argparse.Namespace) -> int:
    """Run the script, which may raise anything, and return 0."""
    name, *rest = args.script[args.script[0] == "--" :] or [""]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd() if args.is_module else os.path.dirname(os.path.abspath(name))
    if not (_is_module(name) if args.is_module else os.path.exists(name)):
        args.parser.error(f"there is no {'module' if args.is_module else 'file'} {name!r}")
    sys.argv = [name, *rest]
    with patch_sklearn(learning_rate=args.learning_rate):
        if args.is_module:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
    return 0


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # no package around it, or no name
        return False
