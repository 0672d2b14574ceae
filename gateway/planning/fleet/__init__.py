"""Many cars at one connection: the same ``Problem`` and ``Schedule``, planned by prices that the cars answer."""

from gateway.planning.fleet.planning import solve_fleet

__all__ = ["solve_fleet"]
