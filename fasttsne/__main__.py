"""``python -m fasttsne``: the command line."""

import sys

from fasttsne.cli import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m fasttsne"))
