"""A wired house on virtual time, and its devices on real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.simulator.house import House, Wiring
from gateway.simulator.leaf_on_can import SLOT_S
from gateway.simulator.modbus_servers import ModbusConnection, Unit
from gateway.simulator.recorded_days import DAY_S, RecordedDays
from gateway.simulator.wired_house import WiredHouse
from tests.gateway.simulator.scripted_charger import Charger, Live


@pytest.fixture
def house() -> House:
    return House(RecordedDays.of("spring"), seed=1, start_second=DAY_S + 9 * 3600.0)


@pytest.fixture
def wired(house: House) -> WiredHouse:
    return WiredHouse(house, Wiring())


@pytest.fixture
def live(wired: WiredHouse) -> Callable[[float], list[tuple[int, bytes]]]:
    def run(seconds: float) -> list[tuple[int, bytes]]:
        """Let the house live; return what the car sent."""
        frames = (wired.tick() for _ in range(round(seconds / SLOT_S)))
        return [frame for frame in frames if frame is not None]

    return run


@pytest.fixture
def charger(wired: WiredHouse, live: Live) -> Charger:
    return Charger(wired, live)


@pytest.fixture
def listening():
    @asynccontextmanager
    async def listen(unit: Unit) -> AsyncIterator[int]:
        server = await asyncio.get_running_loop().create_server(
            lambda: ModbusConnection(unit), "127.0.0.1", 0
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            server.close_clients()
            await server.wait_closed()

    return listen
