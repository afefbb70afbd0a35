"""The memory of this machine."""

from __future__ import annotations

import os


def physical_memory() -> float:
    """Return the bytes of memory of this machine, or infinity where they are unknown."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # no sysconf on this system
        return float("inf")
