"""How the charger holds one of its Modbus devices: polled, ordered at once, and again before the device's patience ends."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.devices.clock import signalled
from gateway.faults import FaultCode, Refused

POLL_S = 0.1


class Link[Order]:
    """``serve`` reads every 0.1 s and writes ``order`` whenever it changes and every ``renew_s``.

    It stands in for a sink towards ``keep_connected``: ``problem`` says why the device is lost, ``refused`` why it said no.
    """

    def __init__(
        self,
        order: Order,
        renew_s: float,
        write: Callable[[Order], Awaitable[None]],
        read: Callable[[], Awaitable[None]],
    ) -> None:
        self.problem = ""
        self.refused = ""
        self._order = order
        self._written: Order | None = None
        self._renew_s = renew_s
        self._write = write
        self._read = read
        self._changed = asyncio.Event()

    @property
    def carried_out(self) -> bool:
        """The newest order was written and read back on this connection."""
        return self._written == self._order

    def order(self, order: Order) -> None:
        """Replace the order; it goes out at once."""
        if order != self._order:
            self._order = order
            self._changed.set()

    async def serve(self) -> None:
        """Read and write until the device is lost. Raises Unreachable or Malformed."""
        clock = asyncio.get_running_loop().time
        self._written = None
        read_at = renew_at = clock()
        while True:
            self._changed.clear()
            if not self.carried_out or clock() >= renew_at:
                renew_at = clock() + self._renew_s
                await self._carry_out(self._order)
            if clock() >= read_at:
                read_at = max(read_at + POLL_S, clock())
                await self._read()
            await signalled(self._changed, min(read_at, renew_at))

    async def _carry_out(self, order: Order) -> None:
        try:
            await self._write(order)
        except Refused as error:
            self._written, self.refused = None, str(error)
        else:
            self._written, self.refused = order, ""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Note that the device is lost."""
        self._written, self.problem = None, detail

    def clear(self, code: FaultCode) -> None:
        """Note that the device is back."""
        self.problem = ""

    def sample(self, sample: object) -> None:
        """Nothing comes this way."""

    def identity(self, info: object) -> None:
        """Nothing comes this way."""
