"""The DC converter over Modbus. A profile is a table of registers; the code knows none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.devices.chademo.moment import Mode, Output
from gateway.devices.chademo.orders import ConverterOrder
from gateway.devices.modbus_bus import ModbusBus


@dataclass(frozen=True, slots=True)
class Point:
    """One value: address, words (high first), physical units per count, two's complement or not."""

    address: int
    scale: float = 1.0
    words: int = 1
    signed: bool = False

    def read(self, registers: Sequence[int]) -> float:
        """Return the value out of a block that starts at address 0."""
        raw = 0
        for word in registers[self.address : self.address + self.words]:
            raw = raw << 16 | word
        top = 1 << (16 * self.words)
        return (raw - top if self.signed and raw >= top // 2 else raw) * self.scale

    def word(self, value: float) -> int:
        """Return the single register for ``value``."""
        return round(value / self.scale) & 0xFFFF


@dataclass(frozen=True, slots=True)
class Profile:
    """Registers of one make of converter. ``command``, ``voltage`` and ``current`` follow each other in holding registers.

    Signs: current into the car and power from the site are positive, else ``scale`` is negative.
    """

    command: Point
    voltage: Point
    current: Point
    lease: Point
    floor_voltage: Point
    commands: Mapping[Mode, int]
    status: Point
    modes: Mapping[int, Mode]
    fault_status: int
    faults: Point
    output_voltage: Point
    output_current: Point
    ac_power: Point
    charged: Point
    discharged: Point
    insulation: Point
    rated_power: Point
    rated_current: Point
    max_voltage: Point
    min_voltage: Point
    state_registers: int
    texts: Mapping[str, tuple[int, int]]


PROFILES: dict[str, Profile] = {
    "ne_dc_v1": Profile(
        command=Point(0),
        voltage=Point(1, 0.1),
        current=Point(2, 0.1, signed=True),
        lease=Point(4),
        floor_voltage=Point(5, 0.1),
        commands={Mode.OFF: 0, Mode.VOLTAGE: 1, Mode.CURRENT: 2},
        status=Point(0),
        modes={0: Mode.OFF, 1: Mode.OFF, 2: Mode.VOLTAGE, 3: Mode.CURRENT, 4: Mode.OFF},
        fault_status=4,
        faults=Point(1),
        output_voltage=Point(2, 0.1),
        output_current=Point(3, 0.1, signed=True),
        ac_power=Point(4, words=2, signed=True),
        charged=Point(8, words=2),
        discharged=Point(10, words=2),
        insulation=Point(12, 1000.0),
        rated_power=Point(13),
        rated_current=Point(14, 0.1),
        max_voltage=Point(15),
        min_voltage=Point(16),
        state_registers=17,
        texts={"maker": (20, 8), "model": (28, 8), "serial": (36, 8), "version": (44, 4)},
    ),
}


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What the converter is."""

    maker: str
    model: str
    serial: str
    version: str
    rated_power_w: float
    rated_current_a: float
    max_voltage_v: float
    min_voltage_v: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the converter measures; power from the site is positive, the counters are AC energy."""

    output: Output
    ac_power_w: float
    charged_wh: float
    discharged_wh: float


class Converter:
    """Every call raises Unreachable, Refused or Malformed of the bus."""

    def __init__(self, bus: ModbusBus, profile: Profile) -> None:
        self.bus = bus
        self._profile = profile

    async def begin(self, order: ConverterOrder, lease_s: int) -> Nameplate:
        """Replace whatever was ordered before by ``order``, arm the lease, and return the nameplate."""
        await self.order(order)
        profile = self._profile
        await self.bus.write_and_verify(profile.lease.address, (profile.lease.word(lease_s),))
        state = await self.bus.read_input(0, profile.state_registers)
        floor = profile.floor_voltage.word(profile.min_voltage.read(state))
        await self.bus.write_and_verify(profile.floor_voltage.address, (floor,))
        texts = {name: _text(await self.bus.read_input(*where)) for name, where in profile.texts.items()}
        return Nameplate(
            **texts,
            rated_power_w=profile.rated_power.read(state),
            rated_current_a=profile.rated_current.read(state),
            max_voltage_v=profile.max_voltage.read(state),
            min_voltage_v=profile.min_voltage.read(state),
        )

    async def lease_s(self) -> float:
        """Read how long the converter waits for the next write; 0 in one that has just started."""
        (word,) = await self.bus.read_holding(self._profile.lease.address, 1)
        return word * self._profile.lease.scale

    async def read(self) -> Reading:
        """Read state and measurements in one block."""
        profile = self._profile
        block = await self.bus.read_input(0, profile.state_registers)
        status, faults = int(profile.status.read(block)), int(profile.faults.read(block))
        output = Output(
            mode=profile.modes.get(status, Mode.OFF),
            voltage_v=profile.output_voltage.read(block),
            current_a=profile.output_current.read(block),
            insulation_ohm=profile.insulation.read(block),
            fault_bits=(faults or -1) if status == profile.fault_status else 0,
        )
        return Reading(
            output,
            ac_power_w=profile.ac_power.read(block),
            charged_wh=profile.charged.read(block),
            discharged_wh=profile.discharged.read(block),
        )

    async def order(self, order: ConverterOrder) -> None:
        """Write the order once, which also renews the lease, and read it back. Raises Refused when it was not kept."""
        profile = self._profile
        words = (
            profile.commands[order.mode],
            profile.voltage.word(order.voltage_v),
            profile.current.word(order.current_a),
        )
        await self.bus.write_and_verify(profile.command.address, words)


def _text(registers: Sequence[int]) -> str:
    raw = b"".join(word.to_bytes(2) for word in registers)
    return raw.split(b"\0")[0].decode("ascii", "replace").strip()
