"""Pure: what load and sun will be, from what they were; no cloud, no weather service."""

from gateway.planning.forecast.history import History
from gateway.planning.forecast.household import load
from gateway.planning.forecast.sun import pv

__all__ = ["History", "load", "pv"]
