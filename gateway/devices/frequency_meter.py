"""A meter for frequency alone: one register, whose worth the installer states from the data sheet (reference/modbus.md 5.2).

No common home meter is good enough for frequency reserve, and those made for it differ in their registers, so that the
register stands in site.toml, and with it what the maker or a calibration says of resolution, update and accuracy. Without a
stated accuracy the frequency is shown, and no reserve is armed.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.config import decode, within
from gateway.devices.clock import monotonic
from gateway.devices.meter import FREQUENCY_HZ, Options, PolledMeter
from gateway.faults import ConfigError, Malformed
from gateway.model import DeviceId, DeviceInfo, FrequencyProfile, MeterRole, MeterSample

STANDS_STILL_S = 60.0
"""A reading of 1 mHz may stand still for 20 s on the real grid; what is suspicious sooner, control judges."""
NOWHERE = (0.0, 0.0, 0.0)


class Registers(StrEnum):
    INPUT = "input"
    HOLDING = "holding"


class Format(StrEnum):
    """How a register holds its number; of two the high word comes first unless the name says otherwise."""

    FLOAT32 = "float32"
    FLOAT32_LOW_FIRST = "float32_low_first"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT32_LOW_FIRST = "uint32_low_first"


@dataclass(frozen=True, slots=True)
class FrequencyOptions:
    """``scale_hz`` is what one count means. ``accuracy_hz``: the largest error that the maker or a calibration states."""

    name: str
    host: str
    register: int
    port: int = 502
    unit: int = 1
    registers: Registers = Registers.HOLDING
    format: Format = Format.FLOAT32
    scale_hz: float = 1.0
    poll_s: float = 0.1
    resolution_hz: float = 0.001
    update_s: float = 1.0
    accuracy_hz: float | None = None
    role: MeterRole = MeterRole.FREQUENCY

    def check(self, where: str) -> None:
        """Refuse what no meter can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")
        within(self.register, 0, 65534, f"{where}.register")
        within(self.poll_s, 0.02, 10, f"{where}.poll_s")
        within(self.resolution_hz, 0.00001, 1, f"{where}.resolution_hz")
        within(self.update_s, 0.01, 60, f"{where}.update_s")
        if self.accuracy_hz is not None:
            within(self.accuracy_hz, 0.0001, 1, f"{where}.accuracy_hz")
        if self.role is not MeterRole.FREQUENCY:
            raise ConfigError(
                f'{where}.role: this meter tells nothing but frequency; write "frequency" or leave it out'
            )


def frequency_of(words: Sequence[int], shape: Format, scale_hz: float) -> float:
    """Return the frequency in one or two registers, in Hz. Raises Malformed for what is no number and for 0."""
    if shape in (Format.FLOAT32_LOW_FIRST, Format.UINT32_LOW_FIRST):
        words = words[::-1]
    if shape in (Format.FLOAT32, Format.FLOAT32_LOW_FIRST):
        value: float = struct.unpack(">f", struct.pack(">HH", *words))[0]
    else:
        value = int.from_bytes(b"".join(w.to_bytes(2, "big") for w in words), "big")
    if not math.isfinite(value) or not FREQUENCY_HZ[0] <= value * scale_hz <= FREQUENCY_HZ[1]:
        raise Malformed(f"frequency of {value * scale_hz:g} Hz")
    return value * scale_hz


class FrequencyMeter(PolledMeter):
    """Reads one register as often as it is told to."""

    def __init__(self, device: DeviceId, driver: str, options: FrequencyOptions) -> None:
        common = Options(
            options.name,
            options.role,
            options.host,
            options.port,
            options.unit,
            options.poll_s,
            frozen_after_s=STANDS_STILL_S,
        )
        super().__init__(device, driver, common)
        self._where = options
        if options.accuracy_hz is not None:
            profile = FrequencyProfile(options.resolution_hz, options.update_s, options.accuracy_hz)
            self.info = replace(self.info, frequency=profile)

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> FrequencyMeter:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(FrequencyOptions, table, f"devices.{device}"))

    async def _identify(self) -> DeviceInfo:
        await self._words()
        return self.info

    async def _read(self) -> tuple[object, MeterSample | None]:
        words = await self._words()
        at = monotonic()
        hz = frequency_of(words, self._where.format, self._where.scale_hz)
        return words, MeterSample(at, 0.0, NOWHERE, NOWHERE, NOWHERE, hz)

    async def _words(self) -> tuple[int, ...]:
        where = self._where
        read = self._bus.read_input if where.registers is Registers.INPUT else self._bus.read_holding
        return await read(where.register, 1 if where.format is Format.UINT16 else 2)
