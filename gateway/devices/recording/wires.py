"""The seam between the buses and whoever listens to them or plays a recording in their place."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from gateway.devices.recording.events import Event


class Wires:
    """How the buses built in a context reach the world. These wires are real and nobody listens.

    A bus asks for its short ``name`` once, tells every event while ``observed``, Modbus and ECHONET also while ``remembering``, and
    opens what is played in its place, if anything is.
    """

    observed = False
    remembering = False

    def name(self, kind: str, full: str) -> str:
        """Return the short name of a wire; ``kind`` is "can", "mb" or "udp"."""
        return full

    def tell(self, event: Event) -> None:
        """Take note of an event, its ``at_s`` in the loop's time."""

    def can(self, wire: str) -> Any:
        """Return the python-can bus to use instead of the real one, None for the real one."""
        return None

    def modbus(self, wire: str, lost: Callable[[], None]) -> Any:
        """Return the Modbus client to use instead of the real one, None for the real one."""
        return None

    def udp(self, wire: str, receive: Callable[[bytes, str], None]) -> Any:
        """Return the datagram transport to use instead of the real one, None for the real one."""
        return None


WIRES: ContextVar[Wires] = ContextVar("wires", default=Wires())  # noqa: B039 - it holds nothing
