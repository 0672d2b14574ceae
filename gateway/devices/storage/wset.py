"""The active-power order of SunSpec 704 with its reversion timer, written once and read back.

``power_w`` is ours: positive charges. Every method raises what the bus raises, and Refused where the device kept
something else than was written.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from gateway.devices.sunspec import SunSpecMap, Values, number
from gateway.faults import Refused

ENABLED, DISABLED = 1, 0
WATTS = 1
PROOF_LEASE_S = 1
PROOF_PATIENCE_S = 3.0
PROOF_LOOK_S = 0.1
COUNT_SLACK_S = 2.0


class PowerOrder:
    """The order of one inverter. ``begin`` must come first. ``change`` and ``renew`` tell whether its lease still runs."""

    def __init__(self, inverter: SunSpecMap, lease_s: int) -> None:
        self._map = inverter
        self._lease_s = lease_s
        self._resolution_w = 1
        self._shows_rest = False
        self._written_at: float | None = None

    async def begin(self) -> bool:
        """Read the order, and tell whether one stands."""
        self._written_at = None
        now = await self._map.read(704)
        self._resolution_w = max(1, 10 ** int(number(now, "WSet_SF") or 0))
        return now.get("WSetEna") == ENABLED

    async def change(self, power_w: float) -> bool:
        """Write another power under the lease that runs."""
        self._written_at = _now()
        await self._map.write(704, self._power(power_w))
        return await self._verify(self._power(power_w) | {"WSetEna": ENABLED}, self._lease_s)

    async def renew(self, power_w: float) -> bool:
        """Look whether the timer has counted, then write power and a full lease."""
        counted = await self._counted()
        await self._arm(power_w, self._lease_s)
        return await self._verify(self._power(power_w) | {"WSetEna": ENABLED}, self._lease_s) and counted

    async def end(self) -> None:
        """Order 0 W, then hand the battery back to its own mode, which needs no consent to the 0 W."""
        self._written_at = None
        with contextlib.suppress(Refused):
            await self._map.write(704, self._power(0.0))
        await self._map.write(704, {"WSetEna": DISABLED})
        await self._verify({"WSetEna": DISABLED})

    async def reverts(self) -> bool:
        """Try the timer at 0 W: tell whether the device ends an order by itself. Takes 2 to 5 s, leaves none standing."""
        self._shows_rest = False
        await self._arm(0.0, PROOF_LEASE_S)
        patience = _now() + PROOF_LEASE_S + PROOF_PATIENCE_S
        kept = await self._verify({"WSetEna": ENABLED}, PROOF_LEASE_S)
        while kept and _now() < patience:
            await asyncio.sleep(PROOF_LOOK_S)
            seen = await self._map.read(704)
            self._shows_rest |= bool(number(seen, "WSetRvrtRem"))
            if seen.get("WSetEna") == DISABLED:
                self._written_at = None
                return True
        await self.end()
        return False

    async def _counted(self) -> bool:
        """Tell whether the timer has run since the last write; True where the device does not show its timer."""
        elapsed_s = 0.0 if self._written_at is None else _now() - self._written_at
        if not self._shows_rest or elapsed_s < COUNT_SLACK_S:
            return True
        seen = await self._map.read(704)
        rest_s = number(seen, "WSetRvrtRem") or 0.0
        return seen.get("WSetEna") == DISABLED or 0 < rest_s <= self._lease_s - elapsed_s + COUNT_SLACK_S

    async def _arm(self, power_w: float, lease_s: int) -> None:
        """Write value and times, and the enable last (modbus.md 2.3)."""
        self._written_at = _now()
        await self._map.write(704, self._power(power_w))
        await self._map.write(704, _lease(lease_s))
        await self._map.write(704, {"WSetEna": ENABLED})

    def _power(self, power_w: float) -> dict[str, int]:
        step_w = self._resolution_w
        return {"WSetMod": WATTS, "WSet": -round(power_w / step_w) * step_w, "WSetRvrt": 0}

    async def _verify(self, written: Mapping[str, int], lease_s: int | None = None) -> bool:
        """Read back what was written, and tell whether the lease was kept too."""
        kept: Values = await self._map.read(704)
        if other := {name: kept.get(name) for name, value in written.items() if kept.get(name) != value}:
            raise Refused(f"wrote {dict(written)}, the device has {other}")
        return lease_s is None or all(kept.get(name) == value for name, value in _lease(lease_s).items())


def _lease(lease_s: int) -> dict[str, int]:
    return {"WSetEnaRvrt": DISABLED, "WSetRvrtTms": lease_s}


def _now() -> float:
    return asyncio.get_running_loop().time()
