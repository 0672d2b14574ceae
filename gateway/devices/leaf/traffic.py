"""What the bus has said, folded: the newest intact frame of each kind, awake or asleep, which car. Pure; ``now`` is monotonic.

Frames are kept as they came and decoded when a sample is taken: a hundred times less work, and a car that is recognised
later loses nothing.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gateway.devices.leaf import sample
from gateway.devices.leaf.integrity import intact
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.recognition import SIGNS, Sightings, pack_kwh
from gateway.devices.leaf.signals import Layout
from gateway.devices.leaf.uds import Answer
from gateway.model import EvSample

ASLEEP_AFTER_S = 3.0
DAY_S = 86_400.0
DIAGNOSTIC_IDS = range(0x700, 0x800)


class Kept(Struct, frozen=True):
    at: float
    layout: Layout
    data: bytes


class Traffic:
    """One bus. ``rejected`` counts frames of a wrong length or checksum, ``frozen`` those whose counter stood still;
    neither changes anything else."""

    def __init__(self, layouts: Mapping[int, Layout], *, recognises: bool) -> None:
        self.rejected = 0
        self.frozen = 0
        self.group_01_bytes = 0
        self.pack_serial = ""
        self.pack_part = ""
        self._layouts = layouts
        self._recognises = recognises
        self._sightings = Sightings()
        self._kept: dict[tuple[int, int], Kept] = {}
        self._counted: dict[int, tuple[float, int]] = {}
        self._answers: dict[Quantity, tuple[float, float | None]] = {}
        self._frame_at: float | None = None
        self._deaf_until: float | None = None
        self._wakes: deque[float] = deque()

    @property
    def car(self) -> Car | None:
        """The kind of car, None until its traffic has told."""
        return self._sightings.car

    def listening(self, now: float) -> None:
        """Say that nothing could be heard until ``now``: the silence before was not the car's sleep."""
        self._deaf_until = now

    def awake(self, now: float) -> bool:
        """Tell whether the car talks. Diagnosis does not count: a tester talks to a sleeping car, too."""
        return self._frame_at is not None and now - self._frame_at <= ASLEEP_AFTER_S

    def heard(self, can_id: int, data: bytes, now: float) -> None:
        """Take in one frame."""
        if can_id in DIAGNOSTIC_IDS:
            return
        layout = self._layouts.get(can_id)
        if layout is not None and not (layout.fits(data) and intact(layout.integrity, can_id, data)):
            # The same ID may be another frame on another car, with another rule.
            self.rejected += self.car in layout.cars or layout.cars == frozenset(Car)
            return
        if layout is not None and self._stands_still(layout, data, now):
            self.frozen += 1
            return
        self._is_awake(now)
        if self._recognises and can_id in SIGNS:
            self._sightings.saw(can_id)
        if layout is not None:
            turn = layout.selector.of(data) if layout.selector else 0
            self._kept[can_id, turn] = Kept(now, layout, data)

    def answered(self, answer: Answer, now: float) -> None:
        """Take in what a control unit answered."""
        for quantity, value in answer.values.items():
            self._answers[quantity] = (now + answer.keep_s(quantity), value)
        self.group_01_bytes = answer.group_01_bytes or self.group_01_bytes
        self.pack_serial = answer.pack_serial or self.pack_serial
        self.pack_part = answer.pack_part or self.pack_part

    def values(self, now: float) -> dict[Quantity, float]:
        """Return everything that is valid and fresh; what is broadcast goes before what was asked."""
        told: dict[Quantity, float | None] = {
            quantity: value for quantity, (until, value) in self._answers.items() if now <= until
        }
        heard = dict(self._broadcast(now))
        told |= {
            quantity: value for quantity, value in heard.items() if value is not None or quantity not in told
        }
        return {quantity: value for quantity, value in told.items() if value is not None}

    def pack_kwh(self, values: Mapping[Quantity, float]) -> int | None:
        """Return the nominal size of the pack, None while nobody has told."""
        return pack_kwh(self.group_01_bytes, self.car, values.get(Quantity.FULL_GIDS))

    def sample(self, now: float, values: Mapping[Quantity, float] | None = None) -> EvSample:
        """Return the car as it tells of itself; ``values`` are those of ``now`` where they are known already."""
        while self._wakes and now - self._wakes[0] > DAY_S:
            self._wakes.popleft()
        if values is None:
            values = self.values(now)
        return sample.of(
            values,
            at=now,
            awake=self.awake(now),
            generation=self.car.generation if self.car else "",
            pack_kwh=self.pack_kwh(values),
            pack_serial=self.pack_serial,
            wakes_today=len(self._wakes),
        )

    def _broadcast(self, now: float) -> Iterator[tuple[Quantity, float | None]]:
        """Yield what fresh frames say, the newest last."""
        for kept in sorted(self._kept.values(), key=lambda kept: kept.at):
            if now - kept.at <= kept.layout.max_age_s:
                yield from kept.layout.values(kept.data, self.car)

    def _stands_still(self, layout: Layout, data: bytes, now: float) -> bool:
        """Tell whether the frame's counter is that of the frame before; after a silence the first one is accepted."""
        if layout.counter is None:
            return False
        count = layout.counter.of(data)
        at, before = self._counted.get(layout.can_id, (now, -1))
        self._counted[layout.can_id] = (now, count)
        return count == before and now - at <= layout.max_age_s

    def _is_awake(self, now: float) -> None:
        if not self.awake(now):
            times = [at for at in (self._deaf_until, self._frame_at) if at is not None]
            if times and now - max(times) > ASLEEP_AFTER_S:
                self._wakes.append(now)
        self._frame_at = now
