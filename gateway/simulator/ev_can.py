"""The car's own bus (EV-CAN): who talks when. No wire and no clock; the adapter is elsewhere.

The car sleeps, and its bus is silent, when it is neither switched on nor at a charger that has woken it.
"""

from dataclasses import replace

from gateway.simulator.ev_can_car import CarNow, Generation
from gateway.simulator.ev_can_frames import BIG_TALK, MIRROR, TALK, WAKE_UP, Encoder
from gateway.simulator.ev_can_testers import BATTERY, CLUSTER, VEHICLE, Controller, Frame

SLOT_S = 0.01
AFTER_RUN_S = 5.0
"""How long the car stays awake after the last reason to be."""


class EvCan:
    """Call ``step`` every SLOT_S with what the car is, ``hear`` for a tester's frames, ``mirror`` for CHAdeMO frames."""

    def __init__(self) -> None:
        self.awake_s: float | None = None
        self.wakes = 0
        self.controllers = {ids[0]: Controller(ids) for ids in (BATTERY, VEHICLE, CLUSTER)}
        self._idle_s = AFTER_RUN_S
        self._slot = 0
        self._counts: dict[int, int] = {}
        self._waiting: list[Frame] = []
        self._car: CarNow | None = None
        self._talk: list[tuple[int, int, Encoder]] = []

    @property
    def awake(self) -> bool:
        """Whether anybody talks."""
        return self.awake_s is not None

    def step(self, car: CarNow, *, wanted: bool) -> list[Frame]:
        """Return the frames of this slot. ``wanted``: something keeps the car awake."""
        self._idle_s = 0.0 if wanted else self._idle_s + SLOT_S
        if self._idle_s >= AFTER_RUN_S:
            self.awake_s, self._car = None, None
            self._waiting.clear()
            return []
        frames = self._wake(car) if self.awake_s is None else []
        self.awake_s = (self.awake_s or 0.0) + SLOT_S
        self._slot += 1
        self._car = replace(car, awake_s=self.awake_s)
        frames += self._waiting
        self._waiting.clear()
        frames += self._due(self._car)
        answers = (controller.step(SLOT_S) for controller in self.controllers.values())
        return frames + [frame for frame in answers if frame is not None]

    def hear(self, can_id: int, data: bytes) -> None:
        """Take a frame of a tester; nobody answers while the car sleeps."""
        controller = self.controllers.get(can_id)
        if controller is None or self._car is None or not data:
            return
        if (frame := controller.hear(data, self._car)) is not None:
            self._waiting.append(frame)

    def mirror(self, can_id: int, data: bytes) -> None:
        """Show a frame of the CHAdeMO bus, as a ZE1 does."""
        car = self._car
        if car is not None and car.breed.generation is Generation.ZE1 and can_id in MIRROR:
            self._waiting.append((MIRROR[can_id], data))

    def leave(self) -> None:
        """Drive off: who listens at home hears nothing more."""
        self._idle_s = AFTER_RUN_S

    def _wake(self, car: CarNow) -> list[Frame]:
        self.wakes += 1
        self._slot = 0
        self._counts.clear()
        talk = TALK[car.breed.generation] | (BIG_TALK if car.breed.big else {})
        self._talk = [
            (can_id, round(period_s / SLOT_S), encode) for can_id, (period_s, encode) in talk.items()
        ]
        return [(can_id, b"\0") for can_id in WAKE_UP[car.breed.generation]]

    def _due(self, car: CarNow) -> list[Frame]:
        """Return what is due, the slow frames spread over the slots of their period."""
        frames = []
        for number, (can_id, slots, encode) in enumerate(self._talk):
            if (self._slot + number) % slots:
                continue
            count = self._counts.get(can_id, -1) + 1
            self._counts[can_id] = count
            frames.append((can_id, encode(car, count)))
        return frames
