"""The progress bar: tqdm's."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


def check_progress(wanted: bool) -> None:
    """Raise an ImportError if a bar is wanted and tqdm is not installed."""
    if not wanted:
        return
    try:
        import tqdm.auto  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "progress=True draws with tqdm, which is not installed: "
            "python -m pip install 'fasttsne[progress]'"
        ) from error


def progress_bar(wanted: bool, initial: int, total: int, **options: Any) -> Any:
    """Return a bar of tqdm with these options as a context manager; its value may be None."""
    check_progress(wanted)
    if not wanted:
        return nullcontext()
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=initial, **{"desc": "t-SNE", "unit": "it", **options})


def complete(bar: Any) -> None:
    """Show all work as done on a bar whose work ended before its total, such as by convergence."""
    if bar is not None:
        bar.total = bar.n
        bar.refresh()
