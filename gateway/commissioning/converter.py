"""Has a CHAdeMO charger's converter let go by itself? The car leaves too, and would hide a lease that does nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.config import decode
from gateway.devices.chademo.converter import PROFILES, Converter
from gateway.devices.chademo.moment import Mode
from gateway.devices.chademo.options import Options
from gateway.devices.modbus_bus import ModbusBus
from gateway.faults import Theirs

ANSWER_S = 5.0


async def still_ordered(table: Mapping[str, Any], device: str) -> bool:
    """Read, without a write, whether the converter still holds an order; False when it does not answer."""
    at = decode(Options, table, f"devices.{device}").converter
    bus = ModbusBus(at.host, at.port, at.unit)
    try:
        async with asyncio.timeout(ANSWER_S):
            await bus.connect()
            reading = await Converter(bus, PROFILES[at.profile]).read()
    except Theirs, TimeoutError:
        return False
    finally:
        bus.close()
    return reading.output.mode is not Mode.OFF
