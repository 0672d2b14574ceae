"""Meters: register maps as data, and the drivers that read them (reference/modbus.md 5).

A meter is one block read per poll. A reading that cannot be true, or that has stood still too long, is not published.
"""

import asyncio
import logging
import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.config import decode, within
from gateway.devices import Sink
from gateway.devices.clock import monotonic
from gateway.devices.modbus_bus import ModbusBus, keep_connected
from gateway.devices.sunspec import REGISTERS_PER_READ, SunSpecMap, Values, number, text
from gateway.faults import ConfigError, FaultCode, Malformed
from gateway.model import DeviceId, DeviceInfo, DeviceKind, FailSafeCard, MeterRole, MeterSample

LOGGER = logging.getLogger(__name__)

POWER_MAX_W = 5_000_000.0
"""What the largest main fuse lets through; control judges by the site's own."""
VOLTAGE_MAX_V = 300.0
FREQUENCY_HZ = (40.0, 70.0)
SUM_TOLERANCE_W = 100.0
SUM_TOLERANCE = 0.05
APPARENT_TOLERANCE_W = 500.0
APPARENT_TOLERANCE = 1.5
"""Wide, since voltage, current and power of one block need not be of the same instant."""

METERS = (213, 203, 211, 212, 214, 201, 202, 204)
INVERTERS = (113, 103, 111, 112, 101, 102)

CARD = FailSafeCard(
    lease_s=0.0,
    on_silence="measures only: nothing to fall back from",
    on_tcp_close="measures only",
    on_our_death="measures only",
    on_device_reboot="counters go on; polling resumes by itself",
    discharging_at_most_s=0.0,
    proven_by="tests/gateway/scenarios/test_fail_safe.py",
)


@dataclass(frozen=True, slots=True)
class MeterMap:
    """Where a meter keeps its float32 values: one block of input registers that covers them all. Energy is in kWh."""

    maker: str
    model: str
    start: int
    count: int
    voltage: tuple[int, ...]
    current: tuple[int, ...]
    phase_power: tuple[int, ...]
    power: int
    frequency: int
    import_kwh: int
    export_kwh: int


EASTRON_SDM630 = MeterMap(
    maker="Eastron",
    model="SDM630",
    start=0,
    count=76,
    voltage=(0, 2, 4),
    current=(6, 8, 10),
    phase_power=(12, 14, 16),
    power=52,
    frequency=70,
    import_kwh=72,
    export_kwh=74,
)

MAPS = {"meter.eastron_sdm630": EASTRON_SDM630}


@dataclass(frozen=True, slots=True)
class Options:
    """A meter's table in site.toml. ``phases`` are the site's phases in the order of the meter's own.

    ``invert``: mounted the wrong way round, so power changes sign and the counters change places.
    ``lag_s``: how old the meter's values are when they are read; up to 0.5 s need not be told.
    ``generation_positive``: the meter counts generated power as positive; its counters are named right.
    """

    name: str
    role: MeterRole
    host: str
    port: int = 502
    unit: int = 1
    poll_s: float = 0.2
    lag_s: float = 0.0
    phases: tuple[int, ...] = (1, 2, 3)
    invert: bool = False
    generation_positive: bool = False
    frozen_after_s: float = 10.0

    def check(self, where: str) -> None:
        """Refuse what no meter can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")
        within(self.poll_s, 0.05, 60, f"{where}.poll_s")
        within(self.lag_s, 0, 15, f"{where}.lag_s")
        # A frozen grid meter must be known in time for the site to be safe within 15 s.
        longest_s = 12 if self.role is MeterRole.GRID else 3600
        within(self.frozen_after_s, 1, longest_s, f"{where}.frozen_after_s")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [2]"
            )


def sample_of_block(meter: MeterMap, block: Sequence[int], at: float, phases: tuple[int, ...]) -> MeterSample:
    """Decode one block of ``meter``. Raises Malformed for NaN and infinity."""

    def real(address: int) -> float:
        value: float = struct.unpack(">f", struct.pack(">HH", *block[address - meter.start :][:2]))[0]
        if not math.isfinite(value):
            raise Malformed(f"register {address} is {value}")
        return value

    def triple(addresses: tuple[int, ...]) -> tuple[float, float, float]:
        return by_phase([real(a) for a in addresses], phases)

    return MeterSample(
        at=at,
        power_w=real(meter.power),
        phase_power_w=triple(meter.phase_power),
        phase_voltage_v=triple(meter.voltage),
        phase_current_a=triple(meter.current),
        frequency_hz=real(meter.frequency),
        import_wh=1000 * real(meter.import_kwh),
        export_wh=1000 * real(meter.export_kwh),
    )


def sample_of_meter(values: Values, at: float, phases: tuple[int, ...]) -> MeterSample | None:
    """Turn a decoded SunSpec meter (201-214) into a sample, None while it measures nothing."""
    power_w = number(values, "W")
    if power_w is None:
        return None
    parts = _parts(values, "Wph{}")
    return MeterSample(
        at=at,
        power_w=power_w,
        phase_power_w=by_phase(parts if any(parts) else _shared(power_w, values), phases),
        phase_voltage_v=by_phase(_parts(values, "PhVph{}"), phases),
        phase_current_a=by_phase(_parts(values, "Aph{}"), phases),
        frequency_hz=number(values, "Hz"),
        import_wh=number(values, "TotWhImp"),
        export_wh=number(values, "TotWhExp"),
    )


def sample_of_inverter(values: Values, at: float, phases: tuple[int, ...]) -> MeterSample | None:
    """Turn a decoded SunSpec inverter (101-113), which counts generation as positive, into a sample of ours."""
    generated_w = number(values, "W")
    if generated_w is None:
        return None
    return MeterSample(
        at=at,
        power_w=-generated_w,
        phase_power_w=by_phase(_shared(-generated_w, values), phases),
        phase_voltage_v=by_phase(_parts(values, "PhVph{}"), phases),
        phase_current_a=by_phase(_parts(values, "Aph{}"), phases),
        frequency_hz=number(values, "Hz"),
        export_wh=number(values, "WH"),
    )


def by_phase(values: Sequence[float], phases: tuple[int, ...]) -> tuple[float, float, float]:
    """Put a meter's own first, second and third value on the site's phases; zero where there is none."""
    placed = dict(zip(phases, values, strict=False))
    return placed.get(1, 0.0), placed.get(2, 0.0), placed.get(3, 0.0)


def oriented(sample: MeterSample, *, invert: bool, generation_positive: bool) -> MeterSample:
    """Turn a sample to our sign: power from the grid, or into the device, is positive."""
    if invert:
        sample = replace(sample, import_wh=sample.export_wh, export_wh=sample.import_wh)
    if invert == generation_positive:
        return sample
    first, second, third = sample.phase_power_w
    return replace(sample, power_w=-sample.power_w, phase_power_w=(-first, -second, -third))


def implausible(sample: MeterSample, most_w: float = POWER_MAX_W) -> str:
    """Say what in a sample cannot be true; empty when nothing is wrong."""
    if abs(sample.power_w) > most_w:
        return f"power of {sample.power_w:.0f} W"
    for voltage_v in sample.phase_voltage_v:
        if not 0 <= voltage_v <= VOLTAGE_MAX_V:
            return f"voltage of {voltage_v:.0f} V"
    total_w = sum(sample.phase_power_w)
    allowed_w = max(SUM_TOLERANCE_W, SUM_TOLERANCE * sum(abs(p) for p in sample.phase_power_w))
    if abs(total_w - sample.power_w) > allowed_w:
        return f"power of {sample.power_w:.0f} W, but its phases make {total_w:.0f} W"
    for power_w, voltage_v, current_a in zip(
        sample.phase_power_w, sample.phase_voltage_v, sample.phase_current_a, strict=True
    ):
        apparent_va = abs(voltage_v * current_a)
        if apparent_va and abs(power_w) > APPARENT_TOLERANCE * apparent_va + APPARENT_TOLERANCE_W:
            return f"power of {power_w:.0f} W out of {voltage_v:.0f} V and {current_a:.1f} A"
    frequency_hz = sample.frequency_hz
    if frequency_hz and not FREQUENCY_HZ[0] <= frequency_hz <= FREQUENCY_HZ[1]:
        return f"frequency of {frequency_hz:.1f} Hz"
    return ""


class PolledMeter(ABC):
    """The driver of all meters; a family says how to identify itself and how to read one sample."""

    card = CARD

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.METER,
            name=options.name,
            driver=driver,
            role=options.role,
            phases=options.phases,
            max_age_s=max(3.0, 3 * options.poll_s),
            lag_s=options.lag_s,
        )
        self._options = options
        self._bus = ModbusBus(options.host, options.port, options.unit)
        self._problem = ""
        self._raw: object = None
        self._changed_at = 0.0

    @abstractmethod
    async def _identify(self) -> DeviceInfo:
        """Read the identity; called after each connect."""

    @abstractmethod
    async def _read(self) -> tuple[object, MeterSample | None]:
        """Read what tells a frozen meter, and the sample in the meter's own sign, None while it measures nothing."""

    async def run(self, sink: Sink) -> None:
        """Poll until cancelled; see ``keep_connected``."""

        async def begin() -> None:
            self.info = await self._identify()
            sink.identity(self.info)

        await keep_connected(self._bus, sink, begin, lambda: self._poll(sink))

    async def _poll(self, sink: Sink) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            try:
                raw, sample = await self._read()
            except Malformed as error:
                self._judge(sink, str(error))
            else:
                self._publish(sink, raw, sample)
            due = max(due + self._options.poll_s, clock())
            await asyncio.sleep(due - clock())

    def _publish(self, sink: Sink, raw: object, sample: MeterSample | None) -> None:
        if sample is None:
            if self._options.role is MeterRole.GRID:
                self._judge(sink, "measures nothing")
            return
        options = self._options
        sample = oriented(sample, invert=options.invert, generation_positive=options.generation_positive)
        most_w = math.inf if options.role is MeterRole.GRID else POWER_MAX_W  # whose fuse control knows
        problem = implausible(sample, most_w) or self._frozen(raw, sample)
        self._judge(sink, problem)
        if not problem:
            sink.sample(sample)

    def _frozen(self, raw: object, sample: MeterSample) -> str:
        """Tell a meter that repeats itself; at night a generator, and without a voltage all, may rightly stand still at 0."""
        if raw != self._raw:
            self._raw, self._changed_at = raw, sample.at
        still_s = sample.at - self._changed_at
        asleep = sample.power_w == 0 and (
            self._options.role is MeterRole.PV or not any(sample.phase_voltage_v)
        )
        return "" if asleep or still_s <= self._options.frozen_after_s else "frozen"

    def _judge(self, sink: Sink, problem: str) -> None:
        """Raise, update or clear the fault; log when it comes and when it goes."""
        if problem:
            sink.fault(FaultCode.IMPLAUSIBLE_READING, problem)
            if not self._problem:
                LOGGER.warning("%s: readings ignored: %s", self.info.id, problem)
        elif self._problem:
            sink.clear(FaultCode.IMPLAUSIBLE_READING)
            LOGGER.info("%s: readings are plausible again", self.info.id)
        self._problem = problem


class ModbusMeter(PolledMeter):
    """A meter with a register map."""

    def __init__(self, device: DeviceId, driver: str, options: Options, meter: MeterMap) -> None:
        super().__init__(device, driver, options)
        self.info = replace(self.info, maker=meter.maker, model=meter.model)
        self._map = meter

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> ModbusMeter:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"), MAPS[driver])

    async def _identify(self) -> DeviceInfo:
        await self._block()
        return self.info

    async def _read(self) -> tuple[object, MeterSample | None]:
        block = await self._block()
        return block, sample_of_block(self._map, block, monotonic(), self._options.phases)

    async def _block(self) -> tuple[int, ...]:
        return await self._bus.read_input(self._map.start, self._map.count)


class SunSpecMeter(PolledMeter):
    """A SunSpec meter, or an inverter taken as the meter of what it generates; the float model wins over the integer."""

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        super().__init__(device, driver, options)
        self._map = SunSpecMap(self._bus)
        self._model = 0

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> SunSpecMeter:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    async def _identify(self) -> DeviceInfo:
        await self._map.scan()
        model = self._map.first(*METERS, *INVERTERS)
        if model is None:
            raise Malformed("the device has no SunSpec meter and no inverter model")
        self._model = model
        told = await self._map.identity(model)
        return replace(
            self.info,
            maker=text(told, "Mn"),
            model=text(told, "Md"),
            serial=text(told, "SN"),
            version=text(told, "Vr"),
        )

    async def _read(self) -> tuple[object, MeterSample | None]:
        values = await self._map.read(self._model, REGISTERS_PER_READ)
        sample_of = sample_of_meter if self._model in METERS else sample_of_inverter
        return values.registers, sample_of(values, monotonic(), self._options.phases)


def _parts(values: Values, pattern: str) -> list[float]:
    return [number(values, pattern.format(phase)) or 0.0 for phase in "ABC"]


def _shared(power_w: float, values: Values) -> list[float]:
    """Share a total among the phases by their apparent power; all on the first where that is not told."""
    apparent = [v * a for v, a in zip(_parts(values, "PhVph{}"), _parts(values, "Aph{}"), strict=True)]
    total = sum(apparent)
    return [power_w * va / total for va in apparent] if total > 0 else [power_w, 0.0, 0.0]
