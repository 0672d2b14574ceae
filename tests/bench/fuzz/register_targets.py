"""What Modbus devices answer: golden registers of simulated and recorded devices, with single words gone wrong."""

import json
import math
import pickle
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from gateway.devices import bidipro, quasar
from gateway.devices.chademo.converter import PROFILES, Converter
from gateway.devices.chademo.orders import Coils, ConverterOrder
from gateway.devices.chademo.pilot import PilotModule
from gateway.devices.meter import MAPS, POWER_MAX_W, implausible, oriented, sample_of_block, sample_of_meter
from gateway.devices.modbus_bus import NoSuchAddress
from gateway.devices.modbus_charger import panel
from gateway.devices.storage.readings import sample_of
from gateway.devices.sunspec import SunSpecMap
from gateway.faults import Refused, Unreachable
from gateway.model import DeviceInfo, DeviceKind, Interval
from gateway.simulator.battery_registers import BatteryRegisters
from gateway.simulator.bidipro_registers import BidiproRegisters
from gateway.simulator.charger_registers import ConverterRegisters, PilotRegisters
from gateway.simulator.converter import Converter as SimulatedConverter
from gateway.simulator.house import House
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.meter_registers import GridMeter, PvMeter
from gateway.simulator.modbus_servers import Illegal, Registers, Table
from gateway.simulator.pilot_lines import PilotLines
from gateway.simulator.quasar_registers import QuasarRegisters
from gateway.simulator.recorded_days import RecordedDays

from .engine import ROOT, Breach, Feed, Target

PATCH = 4
"""Two bytes: which of the words that are read; two bytes: what it says. From REFUSE on the read itself fails."""
MOST_WORDS = 700
REFUSE = 0xF000


class PaperBus:
    """A Modbus connection to ``unit`` whose answers are patched by the input."""

    name, connected = "paper", True

    def __init__(self, unit: Registers, patches: bytes) -> None:
        self._unit = unit
        self._words: dict[int, int] = {}
        self._failures: dict[int, int] = {}
        for at in range(0, len(patches) - PATCH + 1, PATCH):
            where, word = (int.from_bytes(patches[n : n + 2]) for n in (at, at + 2))
            if where >= REFUSE:
                self._failures[where & 0xFF] = word
            else:
                self._words[where % MOST_WORDS] = word
        self._read = self._asked = 0

    def _fails(self) -> None:
        failure = self._failures.get(self._asked)
        self._asked += 1
        if failure is not None:
            raise (NoSuchAddress, Refused, Unreachable)[failure % 3]("as the input wants it")

    def _patched(self, words: Sequence[int]) -> tuple[int, ...]:
        begin, self._read = self._read, self._read + len(words)
        return tuple(self._words.get(begin + n, word) for n, word in enumerate(words))

    def _registers(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        self._fails()
        try:
            return self._patched(self._unit.read_registers(table, address, count))
        except Illegal as error:
            raise (NoSuchAddress if error.code == 2 else Refused)(str(error)) from None

    def _bits(self, table: Table, address: int, count: int) -> tuple[bool, ...]:
        self._fails()
        return tuple(
            bool(w & 1) for w in self._patched([int(b) for b in self._unit.read_bits(table, address, count)])
        )

    async def read_holding(self, address: int, count: int) -> tuple[int, ...]:
        return self._registers(Table.HOLDING, address, count)

    async def read_input(self, address: int, count: int) -> tuple[int, ...]:
        return self._registers(Table.INPUT, address, count)

    async def read_coils(self, address: int, count: int) -> tuple[bool, ...]:
        return self._bits(Table.COIL, address, count)

    async def read_discrete(self, address: int, count: int) -> tuple[bool, ...]:
        return self._bits(Table.DISCRETE, address, count)

    async def write_registers(self, address: int, values: Sequence[int]) -> None:
        self._fails()
        if not all(0 <= value <= 0xFFFF for value in values):
            raise Breach(f"wrote {values}")
        try:
            self._unit.write_registers(address, values)
        except Illegal as error:
            raise Refused(str(error)) from None

    async def write_register(self, address: int, value: int) -> None:
        await self.write_registers(address, (value,))

    async def write_coil(self, address: int, on: bool) -> None:
        self._unit.write_bits(address, [on])

    async def write_and_verify(self, address: int, values: Sequence[int]) -> None:
        await self.write_registers(address, values)
        if await self.read_holding(address, len(values)) != tuple(values):
            raise Refused("kept something else")


class Image(Registers):
    """A recorded device: what was read of it, and nothing else."""

    def __init__(self, words: Mapping[int, int]) -> None:
        super().__init__()
        self._image = words

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        try:
            return [self._image[n] for n in range(address, address + count)]
        except KeyError:
            raise Illegal(2) from None


def done[T](work: Coroutine[Any, Any, T]) -> T:
    """Run what never really waits."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    raise Breach("it waited for something")


def finite(told: object) -> None:
    """Look for numbers that are none, in a record and the records in it."""
    if isinstance(told, float) and not math.isfinite(told):
        raise Breach(f"{told} was passed on")
    if is_dataclass(told):
        for field in fields(told):
            finite(getattr(told, field.name))
    elif isinstance(told, tuple):
        for part in told:
            finite(part)


def _house() -> House:
    return House(RecordedDays.of("spring"), seed=1, start_second=120_000.0)


def patches() -> list[bytes]:
    """No patch at all, and one at every place."""
    return [b"", *(n.to_bytes(2) + b"\x80\x00" for n in range(0, 400, 8))]


def reader(
    unit: Callable[[], Registers],
    read: Callable[[PaperBus], Coroutine[Any, Any, object]],
    *,
    anew: bool = False,
) -> Callable[[], Feed]:
    """Return what begins a target that reads ``unit`` from the beginning for each input; ``anew``: it is written to."""

    def begin() -> Feed:
        kept = unit()
        image = pickle.dumps(kept) if anew else b""

        def feed(given: bytes) -> bool:
            told = done(read(PaperBus(pickle.loads(image) if anew else kept, given)))
            finite(told)
            return told is not None

        return feed

    return begin


async def _converter(bus: PaperBus) -> object:
    device = Converter(bus, PROFILES["ne_dc_v1"])
    nameplate = await device.begin(ConverterOrder(), 2)
    reading = await device.read()
    await device.order(ConverterOrder())
    return nameplate, reading, await device.lease_s()


async def _pilot(bus: PaperBus) -> object:
    module = PilotModule(bus)
    found = await module.begin(5)
    await module.order(Coils())
    return found, await module.lines()


async def _quasar(bus: PaperBus) -> object:
    device = quasar.QuasarPanel(bus, panel.Options("garage", "paper"))
    found = await device.begin()
    look = await device.look(1000.0)
    await device.take()
    await device.order(1000.0)
    _check_look(look, 10_000.0)
    return found, look


async def _bidipro(bus: PaperBus) -> object:
    device = bidipro.BidiproPanel(bus, bidipro.Options("garage", "paper"))
    found = await device.begin()
    look = await device.look(1000.0)
    await device.take()
    await device.order(1000.0)
    _check_look(look, 20_000.0)
    return found, look


def _check_look(look: Any, most_w: float) -> None:
    if look.soc_pct is not None and not 0 <= look.soc_pct <= 100:
        raise Breach(f"SoC of {look.soc_pct} %")
    if abs(look.power_w) > most_w:
        raise Breach(f"{look.power_w} W")
    if not (0 <= look.charge_max_w <= most_w and 0 <= look.discharge_max_w <= most_w):
        raise Breach(f"takes {look.charge_max_w} W, gives {look.discharge_max_w} W")


async def _eastron(bus: PaperBus) -> object:
    meter = MAPS["meter.eastron_sdm630"]
    block = await bus.read_input(meter.start, meter.count)
    return _believed(sample_of_block(meter, block, 1.0, (1, 2, 3)))


async def _sunspec_meter(bus: PaperBus) -> object:
    device = SunSpecMap(bus)
    await device.scan()
    model = device.first(203, 213)
    if model is None:
        return None
    await device.identity(model)
    sample = sample_of_meter(await device.read(model), 1.0, (1, 2, 3))
    return None if sample is None else _believed(sample)


def _believed(sample: Any) -> object:
    sample = oriented(sample, invert=False, generation_positive=False)
    if implausible(sample):
        return None
    if not abs(sample.power_w) <= POWER_MAX_W:
        raise Breach(f"believed {sample.power_w} W")
    return sample


async def _storage(bus: PaperBus) -> object:
    device = SunSpecMap(bus)
    await device.scan()
    info = DeviceInfo(
        "battery", DeviceKind.STORAGE, "Battery", "storage.sunspec", rated=Interval(-5000.0, 5000.0)
    )
    await device.identity(701)
    sample = sample_of(await device.read(701), await device.read(713), info, 1.0, None)
    await device.read(702)
    await device.read(704)
    await device.write(704, {"WSetEna": 0})
    if not 0 <= sample.soc_pct <= 100:
        raise Breach(f"SoC of {sample.soc_pct} %")
    return sample


def _recorded(name: str) -> Registers:
    path = ROOT / "../shared/data/modbus" / name
    if not path.exists():
        return PvMeter(_house())
    held = json.loads(path.read_text(encoding="utf-8"))["holding"]
    return Image({int(address): word for address, word in held.items()})


async def _walker(bus: PaperBus) -> object:
    device = SunSpecMap(bus)
    await device.scan()
    models = (1, 101, 103, 113, 203, 213, 701, 702, 703, 704, 713, 714)
    told = [await device.read(model) for model in models if device.first(model) is not None]
    return tuple(tuple(values.values()) for values in told)


def _target(name: str, paths: tuple[str, ...], begin: Callable[[], Feed]) -> Target:
    return Target(name, paths, patches, begin, unit_bytes=PATCH)


_CHADEMO, _PANEL = "gateway/devices/chademo/", "gateway/devices/modbus_charger/"
TARGETS: Sequence[Target] = (
    _target(
        "converter",
        (_CHADEMO,),
        reader(lambda: ConverterRegisters(SimulatedConverter()), _converter, anew=True),
    ),
    _target("pilot", (_CHADEMO,), reader(lambda: PilotRegisters(PilotLines()), _pilot, anew=True)),
    _target(
        "quasar",
        ("gateway/devices/quasar", _PANEL),
        reader(lambda: _with_car(QuasarRegisters()), _quasar, anew=True),
    ),
    _target(
        "bidipro",
        ("gateway/devices/bidipro", _PANEL),
        reader(lambda: _with_car(BidiproRegisters()), _bidipro, anew=True),
    ),
    _target("eastron", ("gateway/devices/meter",), reader(lambda: GridMeter(_house()), _eastron)),
    _target("sunspec_meter", ("gateway/devices/",), reader(lambda: PvMeter(_house()), _sunspec_meter)),
    _target(
        "storage",
        ("gateway/devices/sunspec", "gateway/devices/storage/"),
        reader(lambda: _filled(_house()), _storage),
    ),
    _target(
        "sunspec_sma",
        ("gateway/devices/sunspec",),
        reader(lambda: _recorded("SMA_SB36_20250518.json"), _walker),
    ),
    _target(
        "sunspec_agate",
        ("gateway/devices/sunspec",),
        reader(lambda: _recorded("FranklinWH_aGateX_20260514.json"), _walker),
    ),
)


def _with_car[Unit: QuasarRegisters | BidiproRegisters](unit: Unit) -> Unit:
    """Plug a car in and let it shake hands, so that there is something to tell."""
    unit.charger.plugged = True
    pack = LeafPack(60.0)
    for _ in range(40):
        unit.step(1.0)
        unit.charger.step(pack, False, 1.0)
    return unit


def _filled(house: House) -> Registers:
    registers = BatteryRegisters(house.battery, (2,), house.mains)
    registers.refresh(house)
    return registers
