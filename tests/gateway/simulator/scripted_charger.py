"""A charger that does what a test tells it to, in front of the simulated car."""

from collections.abc import Callable

from gateway.simulator.converter import Command
from gateway.simulator.pilot_lines import D1, D2, LOCK
from gateway.simulator.referee import Violation
from gateway.simulator.wired_house import WiredHouse

type Live = Callable[[float], list[tuple[int, bytes]]]


class Charger:
    """Speaks every 100 ms what it is told to, with measured voltage and current."""

    def __init__(self, wired: WiredHouse, live: Live) -> None:
        self.wired = wired
        self.status = 0x20
        self.available_a = 15
        self.discharge_available_a = 15
        self.talks = True
        self.v2h = True
        self.lies_v = 0
        self.minutes = 60
        self.seen: dict[int, bytes] = {}
        self._live = live

    def run(self, seconds: float) -> list[tuple[int, bytes]]:
        frames = []
        for _ in range(round(seconds / 0.1)):
            if self.talks and self.wired.car.pose.talks:
                self._speak()
            frames += self._live(0.1)
        self.seen |= dict(frames)
        return frames

    def _speak(self) -> None:
        converter, hear = self.wired.house.converter, self.wired.car.hear
        into_a, out_a = max(0, round(converter.current_a)), max(0, round(-converter.current_a))
        volts = round(converter.voltage_v) + self.lies_v
        time = (0xFF, self.minutes) if self.status & 1 else (0, 0)
        hear(0x108, bytes((1, 0xF4, 1, self.available_a, 0xB3, 1, 0, 0)))
        hear(0x109, bytes((2, volts & 0xFF, volts >> 8, into_a, self.v2h, self.status, *time)))
        if self.v2h:
            hear(0x208, bytes((255 - out_a, 0xF4, 1, 255 - self.discharge_available_a, 0, 0, 0xFA, 0)))

    def order(self, command: Command, volts: float = 0.0, amperes: float = 0.0) -> None:
        orders = self.wired.house.converter.orders
        orders.command, orders.voltage_v, orders.current_a = command, volts, amperes

    def coil(self, line: int, on: bool) -> None:
        self.wired.pilot_io.write_bits(line, [on])

    @property
    def hot_openings(self) -> int:
        return self.wired.referee.counts[Violation.HOT_OPENING]

    @property
    def flags(self) -> int:
        return self.seen[0x102][5]

    @property
    def request_a(self) -> int:
        return self.seen[0x102][3]

    @property
    def discharge_limit_a(self) -> int:
        return 255 - self.seen[0x200][0]

    def to_permission(self) -> None:
        self.coil(D1, True)
        self.run(4.0)

    def to_contactor(self) -> None:
        self.to_permission()
        self.coil(LOCK, True)
        self.status = 0x24
        self.run(1.0)
        self.coil(D2, True)
        self.run(1.4)

    def to_current(self, amperes: float = 10.0) -> None:
        self.to_contactor()
        self.order(Command.VOLTAGE, volts=self.wired.house.pack.open_circuit_v)
        self.run(1.9)
        self.status = 0x05
        self.order(Command.CURRENT, volts=410.0, amperes=amperes)
        self.run(2.0)
