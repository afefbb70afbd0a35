"""How far a descent is: a bar that moves on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import Any

from fasttsne.cli.streams import say

_WIDTH = 24
_SECONDS_IN_LOG = 10.0


def rounded(divergence: float) -> str:
    """Write a divergence with three digits behind the point, and never "-0.000".

    Parameters
    ----------
    divergence : float
        What to write; rounding can take one of a perfect map below 0.

    Returns
    -------
    text : str
        Like "0.512".
    """
    return f"{round(divergence, 3) + 0.0:.3f}"


class Progress:
    """Show where a descent is; to be handed to an estimator as its callback.

    Parameters
    ----------
    max_iter : int
        How many iterations there will be at the most.

    quiet : bool, default=False
        Show nothing.

    Attributes
    ----------
    on_terminal : bool
        Whether there is a bar.
    """

    def __init__(self, max_iter: int, quiet: bool = False) -> None:
        self.max_iter = max_iter
        self.quiet = quiet
        self.on_terminal = sys.stderr.isatty() and not quiet
        self._written = time.monotonic()
        self._open = False

    def note(self, text: str) -> None:
        """Write a line.

        Parameters
        ----------
        text : str
            What to say.
        """
        if self.quiet:
            return
        self.close()
        say(text)

    def __call__(self, state: Any) -> None:
        """Show where the descent is.

        Parameters
        ----------
        state : Snapshot
            What the estimator hands over.
        """
        told = (
            f"iteration {state.iteration:,}, KL divergence {rounded(state.kl_divergence)}, "
            f"{state.seconds:.0f} s"
        )
        self.show(state.iteration / self.max_iter, told)

    def show(self, done: float, told: str) -> None:
        """Show how far something is.

        Parameters
        ----------
        done : float
            How much of it is done; 1 is all.

        told : str
            What to say of it.
        """
        if self.quiet:
            return
        now = time.monotonic()
        if self.on_terminal:
            bar = "#" * round(min(done, 1.0) * _WIDTH)
            say(f"\r\x1b[K[{bar:.<{_WIDTH}}] {told}", end="")
            self._open = True
        elif now - self._written >= _SECONDS_IN_LOG:
            say(told)
            self._written = now

    def conclude(self, n_iter: int) -> None:
        """Fill the bar of a descent that came to its end before it had to.

        Parameters
        ----------
        n_iter : int
            Iterations that were taken.
        """
        if self._open and n_iter < self.max_iter:
            self.show(1.0, f"converged after {n_iter:,} of {self.max_iter:,} iterations")

    def close(self) -> None:
        """Leave the bar's line."""
        if self._open:
            say()
            self._open = False
