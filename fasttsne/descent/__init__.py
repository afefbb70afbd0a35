"""First coordinates -> the map, by gradient descent on KL(P||Q)."""

from fasttsne.descent.loop import optimize_embedding
from fasttsne.descent.schedule import Phase, Schedule, Settings, standard_schedule
from fasttsne.descent.state import Check, Descent, Problem, Snapshot

__all__ = [
    "Check",
    "Descent",
    "Phase",
    "Problem",
    "Schedule",
    "Settings",
    "Snapshot",
    "optimize_embedding",
    "standard_schedule",
]
