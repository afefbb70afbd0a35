"""``fasttsne info``: what this build uses of this machine."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from fasttsne import show_config

#: What argparse shows of the command.
ABOUT = {
    "help": "print the build, the machine and the installed extras",
    "description": "Print the instruction set, threads and BLAS in use, and which optional\n"
    "packages are installed.",
}
_EXTRAS = {
    "plot": ("matplotlib",),
    "html": ("PIL",),
    "notebook": ("anywidget",),
    "tables": ("pandas", "pyarrow", "openpyxl"),
    "h5ad": ("anndata",),
    "dask": ("dask", "distributed", "h5py", "zarr"),
    "progress": ("tqdm",),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""


def run(args: argparse.Namespace) -> int:
    """Print the configuration and the extras, and return 0."""
    show_config()
    print()
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        state = f"pip install 'fasttsne[{extra}]'" if missing else "installed"
        print(f"{'extra ' + extra + ':':16}{state}")
    return 0
