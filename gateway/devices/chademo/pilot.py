"""The I/O module of the pilot lines over Modbus: coils d1, d2, lock; inputs k, inserted, locked, emergency stop."""

from gateway.devices.chademo.moment import PilotLines
from gateway.devices.chademo.orders import Coils
from gateway.devices.modbus_bus import ModbusBus
from gateway.faults import Refused

WATCHDOG_ADDRESS = 0
D1, D2, LOCK = 0, 1, 2
INPUTS = 4


class PilotModule:
    """Every call raises Unreachable, Refused or Malformed of the bus."""

    def __init__(self, bus: ModbusBus) -> None:
        self.bus = bus

    async def begin(self, watchdog_s: int) -> Coils:
        """Return the coils as they were found, then arm the watchdog that drops them all in our absence."""
        found = await self.coils()
        await self.bus.write_and_verify(WATCHDOG_ADDRESS, (watchdog_s,))
        return found

    async def lines(self) -> PilotLines:
        """Read the inputs."""
        return PilotLines(*await self.bus.read_discrete(0, INPUTS))

    async def coils(self) -> Coils:
        """Read the outputs back."""
        return Coils(*await self.bus.read_coils(0, 3))

    async def order(self, coils: Coils) -> None:
        """Write all coils, which also feeds the watchdog, and read them back. Raises Refused when they differ."""
        await self.bus.write_coil(D2, coils.d2)
        await self.bus.write_coil(LOCK, coils.lock)
        await self.bus.write_coil(D1, coils.d1)
        if (kept := await self.coils()) != coils:
            raise Refused(f"{self.bus.name}: wrote {coils}, the module kept {kept}")
