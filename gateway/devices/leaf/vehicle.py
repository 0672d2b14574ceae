"""A Leaf on its own bus: heard always, asked only where the owner allows it, and then politely."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.config import decode
from gateway.devices import Sink
from gateway.devices.can_bus import CanBus
from gateway.devices.clock import monotonic
from gateway.devices.leaf.frames import CAR_CAN, EV_CAN
from gateway.devices.leaf.polling import Outlook, Polling
from gateway.devices.leaf.quantities import Quantity
from gateway.devices.leaf.recognition import SIGNS, confirmed
from gateway.devices.leaf.traffic import DIAGNOSTIC_IDS, Traffic
from gateway.faults import FaultCode
from gateway.model import Charging, DeviceId, DeviceInfo, DeviceKind, EvSample, FailSafeCard

LOGGER = logging.getLogger(__name__)

BEAT_S = 0.5
GATHER_S = 0.05
"""A thousand frames a second, from which a sample is taken twice a second; an answer's next part waits no longer than this."""
LAMP = 4
"""From here on the battery controller has the warning lamp lit (1DB b1.2:0)."""
BAD_FRAMES, BAD_WITHIN_S = 10, 60.0

CARD = FailSafeCard(
    lease_s=None,
    on_silence="listens only: nothing is commanded, the car does what it does without us",
    on_tcp_close="there is no connection; a lost CAN adapter is opened again",
    on_our_death="listens only: a question without its answer ends in the car after its own second",
    on_device_reboot="the car's controllers start by themselves; they are heard again at once",
    discharging_at_most_s=0.0,
    proven_by="tests/gateway/devices/leaf/test_leaf_vehicle.py",
)


class Bus(StrEnum):
    EV_CAN = "ev_can"
    CAR_CAN = "car_can"


@dataclass(frozen=True, slots=True)
class Options:
    """Where the car is heard. ``polls = true`` lets the gateway ask the car's controllers while it is awake and parked."""

    name: str
    can_interface: str
    can_channel: str
    charger: str = ""
    bus: Bus = Bus.EV_CAN
    polls: bool = False


class Leaf:
    """The driver. ``hear`` and ``beat`` are all that happens; ``run`` calls them."""

    card = CARD

    def __init__(
        self,
        device: DeviceId,
        driver: str,
        options: Options,
        *,
        bus: CanBus | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.VEHICLE,
            name=options.name,
            driver=driver,
            maker="Nissan",
            model="Leaf",
            charger=options.charger,
        )
        on_ev_can = options.bus is Bus.EV_CAN
        layouts = EV_CAN if on_ev_can else CAR_CAN
        self._bus = bus or CanBus(
            options.can_interface,
            options.can_channel,
            listen_only=not options.polls,
            ids=frozenset({*layouts, *SIGNS, *DIAGNOSTIC_IDS}),
            gather_s=GATHER_S,
        )
        self._clock = clock
        self._traffic = Traffic(layouts, recognises=on_ev_can)
        self._polling = Polling() if options.polls else None
        self._rejected = (0.0, 0)
        self._fits: bool | None = None

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> Leaf:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bus.run(self.hear))
            while True:
                self.beat(sink)
                await asyncio.sleep(BEAT_S)

    def hear(self, can_id: int, data: bytes) -> None:
        """Take a frame from the bus."""
        now = self._clock()
        self._traffic.heard(can_id, data, now)
        if self._polling is None:
            return
        heard = self._polling.heard(can_id, data, now)
        if heard.send is not None:
            self._bus.send(*heard.send)
        if heard.answer is not None:
            self._traffic.answered(heard.answer, now)

    def beat(self, sink: Sink) -> None:
        """Publish what is known now, and ask when it is time; called every half second."""
        now = self._clock()
        if not self._bus.up:
            self._traffic.listening(now)
            if self._polling is not None:
                self._polling.lost()
            self._rejected = (now, self._traffic.rejected)
            if self._bus.problem:
                sink.fault(FaultCode.DEVICE_UNREACHABLE, self._bus.problem)
            return
        sink.clear(FaultCode.DEVICE_UNREACHABLE)
        values = self._traffic.values(now)
        sample = self._traffic.sample(now, values)
        self._identify(sink, self._traffic.pack_kwh(values))
        self._tell_faults(sink, values.get(Quantity.LBC_STATUS, 0), now)
        sink.sample(sample)
        if self._polling is not None:
            self._ask(self._polling, sample, now)

    def _ask(self, polling: Polling, sample: EvSample, now: float) -> None:
        charging = sample.charging not in {None, Charging.NONE}
        question = polling.question(Outlook(sample.awake, sample.parked, charging, self._traffic.car), now)
        if question is not None:
            self._bus.send(*question)

    def _identify(self, sink: Sink, pack_kwh: int | None) -> None:
        """Publish the identity whenever more of it is known; a swapped pack is worth a line."""
        traffic = self._traffic
        known = replace(
            self.info,
            model=f"Leaf {traffic.car or ''}".strip(),
            serial=traffic.pack_serial,
            version=traffic.pack_part,
            capacity_wh=1000.0 * pack_kwh if pack_kwh else self.info.capacity_wh,
        )
        if known != self.info:
            self.info = known
            sink.identity(known)
        fits = confirmed(traffic.group_01_bytes, traffic.car)
        if fits is False and self._fits is not False:
            LOGGER.warning(
                "%s: a pack with %d bytes of group 01 is not one of a %s",
                known.id,
                traffic.group_01_bytes,
                traffic.car,
            )
        self._fits = fits

    def _tell_faults(self, sink: Sink, status: float, now: float) -> None:
        if status >= LAMP:
            sink.fault(
                FaultCode.DEVICE_FAULT,
                f"the battery controller has its warning lamp lit (status {status:.0f})",
            )
        else:
            sink.clear(FaultCode.DEVICE_FAULT)
        since, before = self._rejected
        bad = self._traffic.rejected - before
        if bad >= BAD_FRAMES:
            sink.fault(FaultCode.IMPLAUSIBLE_READING, f"{bad} frames with a wrong checksum or length")
        if now - since >= BAD_WITHIN_S:
            self._rejected = (now, self._traffic.rejected)
            if bad < BAD_FRAMES:
                sink.clear(FaultCode.IMPLAUSIBLE_READING)
