"""The optimizer: a ``Problem`` in, the cheapest ``Schedule`` out, in a blink and whatever the problem."""

from gateway.planning.optimizer.planning import Solver, solve

__all__ = ["Solver", "solve"]
