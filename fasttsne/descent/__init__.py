"""First coordinates -> the map, by gradient descent on KL(P||Q)."""

from fasttsne.descent.loop import optimize_embedding
from fasttsne.descent.schedule import Pace, Phase, Schedule, Settings, standard_schedule
from fasttsne.descent.state import Descent, Snapshot

__all__ = [
    "Descent",
    "Pace",
    "Phase",
    "Schedule",
    "Settings",
    "Snapshot",
    "optimize_embedding",
    "standard_schedule",
]
