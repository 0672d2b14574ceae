"""The simulated chargers in one box, by the name that the command line gives them."""

from collections.abc import Callable
from typing import Protocol

from gateway.simulator.bidipro_registers import BidiproRegisters
from gateway.simulator.echonet_unit import EchonetUnit
from gateway.simulator.quasar_registers import QuasarRegisters
from gateway.simulator.wall_charger import WallCharger


class WallUnit(Protocol):
    """A charger with its interface, as the house steps it and as the control port treats it.

    ``silent`` takes requests and answers none; ``refuses_discharge`` is the installer's grid code; ``errors`` is the
    device's own error word, 0 when it is well.
    """

    charger: WallCharger
    silent: bool
    refuses_discharge: bool
    errors: int

    def step(self, dt_s: float) -> None:
        """Run timers and the session by ``dt_s``."""

    def reboot(self) -> None:
        """Forget what was ordered and what is not kept in flash."""

    def app(self, on: bool) -> None:
        """Let the owner take control in the maker's app, or give it back to the interface."""


WALL_UNITS: dict[str, Callable[[], WallUnit]] = {
    "quasar": QuasarRegisters,
    "bidipro": BidiproRegisters,
    "echonet": EchonetUnit,
}
