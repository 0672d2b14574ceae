"""The real control loop against a simulated site, on a virtual clock: no wire, no waiting, the same for the same seed.

``Rehearsal(tables, plants, load, meter=MeterModel(...)).run(seconds)`` returns the ``Score``; ``rehearsal.trace`` holds
each step. ``Plant`` is a device with its dynamics and faults, ``at(second, action)`` makes things happen on the way.
"""

from gateway.rehearsal.metering import MeterModel
from gateway.rehearsal.plant import Loss, Plant
from gateway.rehearsal.rehearsal import Rehearsal
from gateway.rehearsal.score import Score
from gateway.rehearsal.trace import Trace

__all__ = ["Loss", "MeterModel", "Plant", "Rehearsal", "Score", "Trace"]
