"""Pure: what load and sun will be, from what they were; no cloud, no weather service. Every forecast is scored against what came."""

from gateway.planning.forecast.history import History
from gateway.planning.forecast.household import load
from gateway.planning.forecast.scores import Issued, Score, Scores, scored
from gateway.planning.forecast.sun import pv

__all__ = ["History", "Issued", "Score", "Scores", "load", "pv", "scored"]
