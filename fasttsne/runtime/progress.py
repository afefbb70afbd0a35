"""A bar that shows how far a descent has come."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


def check_progress(wanted: bool) -> None:
    """Refuse a bar that nothing can draw, before hours of work.

    Parameters
    ----------
    wanted : bool
        Whether there is to be a bar.

    Raises
    ------
    ImportError
        If tqdm is not installed; the message tells how to.
    """
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
    """Open a bar of tqdm, in a terminal or a notebook, to be closed by leaving its context.

    Parameters
    ----------
    wanted : bool
        If not, there is a context and no bar: None.
    initial, total : int
        Iterations that were taken, and that there will be.
    **options
        Further options of tqdm, which replace `desc` and `unit`.

    Returns
    -------
    bar : context manager
        Of a `tqdm.auto.tqdm`, or of None.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """
    check_progress(wanted)
    if not wanted:
        return nullcontext()
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=initial, **{"desc": "t-SNE", "unit": "it", **options})
