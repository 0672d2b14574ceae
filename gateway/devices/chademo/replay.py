"""Our charger in the place of a recorded one: it sees the recorded car and the recorded voltage, on the recording's clock.

The car does not react to us, so where our steps come later than the recorded ones the car moves on without them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.frames import EvseState, decode_car
from gateway.devices.chademo.moment import Charger, Inputs, Output, PilotLines, Progress
from gateway.devices.chademo.orders import Orders, orders
from gateway.devices.chademo.recording import Heard
from gateway.devices.chademo.session import step

EVSE_STATUS_ID = 0x109
LOCKED_BIT, STOP_BIT = 0x04, 0x20


@dataclass(frozen=True, slots=True)
class Instant:
    """What our charger saw, was and ordered at one frame of the recording."""

    at_s: float
    inputs: Inputs
    before: Progress
    progress: Progress
    told: Orders


def replay(recording: Iterable[Heard], wanted_a: float, charger: Charger | None = None) -> Iterator[Instant]:
    """Yield an instant per recorded frame; ``wanted_a`` is asked of the car throughout, into the car positive.

    The recorded charger's status byte tells when its connector was locked and when its owner stopped.
    """
    charger = charger or Charger()
    car, voltage_v, locked, engage = Car(), 0.0, False, True
    progress = Progress(stepped_at=-1.0)
    lines = PilotLines(inserted=True)
    inputs = Inputs(-0.5, pilot=lines, output=Output(), engage=True, wanted_a=wanted_a)
    progress = step(progress, inputs, charger)
    energised = False
    for frame in recording:
        if frame.can_id == EVSE_STATUS_ID and len(frame.data) == 8:
            voltage_v = float(int.from_bytes(frame.data[1:3], "little"))
            locked = bool(frame.data[5] & LOCKED_BIT)
            energised = energised or not frame.data[5] & STOP_BIT
            engage = not (energised and frame.data[5] & STOP_BIT)
        decoded = decode_car(frame.can_id, frame.data)
        if decoded is not None:
            car = car.heard(decoded, frame.at_s)
        told = orders(progress, inputs, charger)
        lines = PilotLines(car.enabled, True, locked and told.coils.lock, False)
        output = Output(told.converter.mode, voltage_v, told.converter.current_a, insulation_ohm=1e6)
        inputs = replace(inputs, now=frame.at_s, car=car, pilot=lines, output=output, engage=engage)
        before, progress = progress, step(progress, inputs, charger)
        yield Instant(frame.at_s, inputs, before, progress, orders(progress, inputs, charger))


def narrate(instants: Iterable[Instant], say: Callable[[str], None]) -> None:
    """Say each change of state, of the status byte and of the current that is ordered."""
    last: tuple[object, ...] = ()
    for instant in instants:
        status = next((f.status for f in instant.told.frames if isinstance(f, EvseState)), None)
        current_a = round(instant.told.converter.current_a)
        now = (instant.progress.state, status, current_a)
        if now != last:
            shown = "--" if status is None else f"{int(status):02x}"
            say(f"{instant.at_s:9.3f} s  {instant.progress.state:12} status {shown}  {current_a:+4d} A")
        last = now
