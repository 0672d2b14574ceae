"""The active-power order of SunSpec 704 with its reversion timer, written once and read back.

``power_w`` is ours: positive charges. Every method raises what the bus raises, and Refused where the device kept
something else than was written.
"""

import asyncio
from collections.abc import Mapping

from gateway.devices.sunspec import SunSpecMap, Values, number
from gateway.faults import Refused

ENABLED, DISABLED = 1, 0
WATTS = 1
PROOF_LEASE_S = 1
PROOF_PATIENCE_S = 3.0
PROOF_LOOK_S = 0.1


class PowerOrder:
    """The order of one inverter. ``begin`` must come first."""

    def __init__(self, inverter: SunSpecMap, lease_s: int) -> None:
        self._map = inverter
        self._lease_s = lease_s
        self._resolution_w = 1

    async def begin(self) -> bool:
        """Read the order, and tell whether one stands."""
        now = await self._map.read(704)
        self._resolution_w = max(1, 10 ** int(number(now, "WSet_SF") or 0))
        return now.get("WSetEna") == ENABLED

    async def change(self, power_w: float) -> None:
        """Write another power under the lease that runs."""
        await self._map.write(704, self._power(power_w))
        await self._verify(self._power(power_w) | {"WSetEna": ENABLED})

    async def renew(self, power_w: float) -> None:
        """Write power and a full lease."""
        await self._arm(power_w, self._lease_s)
        await self._verify(self._power(power_w) | _lease(self._lease_s) | {"WSetEna": ENABLED})

    async def end(self) -> None:
        """Order 0 W, then hand the battery back to its own mode."""
        await self._map.write(704, self._power(0.0))
        await self._map.write(704, {"WSetEna": DISABLED})
        await self._verify({"WSetEna": DISABLED})

    async def reverts(self) -> bool:
        """Try the timer at 0 W: tell whether the device ends an order by itself. Takes 2 to 5 s, leaves none standing."""
        await self._arm(0.0, PROOF_LEASE_S)
        await self._verify(_lease(PROOF_LEASE_S) | {"WSetEna": ENABLED})
        clock = asyncio.get_running_loop().time
        patience = clock() + PROOF_LEASE_S + PROOF_PATIENCE_S
        while clock() < patience:
            await asyncio.sleep(PROOF_LOOK_S)
            if (await self._map.read(704)).get("WSetEna") == DISABLED:
                return True
        await self.end()
        return False

    async def _arm(self, power_w: float, lease_s: int) -> None:
        """Write value and times, and the enable last (modbus.md 2.3)."""
        await self._map.write(704, self._power(power_w))
        await self._map.write(704, _lease(lease_s))
        await self._map.write(704, {"WSetEna": ENABLED})

    def _power(self, power_w: float) -> dict[str, int]:
        step_w = self._resolution_w
        return {"WSetMod": WATTS, "WSet": -round(power_w / step_w) * step_w, "WSetRvrt": 0}

    async def _verify(self, written: Mapping[str, int]) -> None:
        kept: Values = await self._map.read(704)
        if other := {name: kept.get(name) for name, value in written.items() if kept.get(name) != value}:
            raise Refused(f"wrote {dict(written)}, the device has {other}")


def _lease(lease_s: int) -> dict[str, int]:
    return {"WSetEnaRvrt": DISABLED, "WSetRvrtTms": lease_s}
