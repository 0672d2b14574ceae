"""A session told line by line: what the charger is at, what it says, measures and orders, and what the car says; pure."""

from dataclasses import asdict, dataclass

from gateway.devices.chademo.frames import EvseState
from gateway.devices.chademo.moment import Moment
from gateway.devices.chademo.orders import Orders

MOVED_A = 1.0
NOT_FASTER_THAN_S = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One instant. Current into the car is positive; ``evse_status`` is 109.5, ``car_status`` 102.5, ``car_faults`` 102.4.

    The statuses are None while nothing is said; the two ``car_`` limits are positive magnitudes.
    """

    at_s: float
    state: str
    evse_status: int | None
    voltage_v: float
    current_a: float
    ordered_a: float
    k: bool
    car_status: int | None
    car_faults: int
    car_asks_a: int
    car_gives_a: int
    soc_pct: float | None
    cause: str

    def follows(self, last: Line | None) -> bool:
        """Tell whether this is news after ``last``: another step or word at once, another current at leisure."""
        if last is None or self.words != last.words:
            return True
        moved_a = max(abs(self.current_a - last.current_a), abs(self.ordered_a - last.ordered_a))
        return moved_a >= MOVED_A and self.at_s - last.at_s >= NOT_FASTER_THAN_S

    @property
    def words(self) -> tuple[object, ...]:
        """All of it that is not a measurement."""
        return self.state, self.evse_status, self.k, self.car_status, self.car_faults, self.cause

    def text(self) -> str:
        """Return the line for a person."""
        car = "car says nothing"
        if self.car_status is not None:
            soc = "" if self.soc_pct is None else f", SoC {self.soc_pct:.0f} %"
            fault = f" fault {self.car_faults:02X}" if self.car_faults else ""
            asks = f"asks {self.car_asks_a} A, gives {self.car_gives_a} A"
            car = f"102.5 {self.car_status:02X}{fault} {asks}{soc}"
        status = "--" if self.evse_status is None else f"{self.evse_status:02X}"
        output = f"{self.voltage_v:5.1f} V {self.current_a:+5.1f} A (ordered {self.ordered_a:+.1f})"
        because = f"  because {self.cause}" if self.cause else ""
        return f"{self.at_s:8.2f} s  {self.state:11}  109.5 {status}  {output}  k={self.k:d}  {car}{because}"

    def record(self) -> dict[str, object]:
        """Return the line for a program."""
        return asdict(self)


def line_of(moment: Moment, orders: Orders, started_at: float) -> Line:
    """Return what is to be told of an instant; ``started_at`` is second 0."""
    inputs, progress = moment.inputs, moment.progress
    output, request = inputs.output, inputs.car.request
    status = next((frame.status for frame in orders.frames if isinstance(frame, EvseState)), None)
    soc_pct = inputs.car.soc_pct if moment.permitted else None
    return Line(
        at_s=round(inputs.now - started_at, 3),
        state=progress.state.value,
        evse_status=None if status is None else int(status),
        voltage_v=round(output.voltage_v, 1) if output else 0.0,
        current_a=round(output.current_a, 1) if output else 0.0,
        ordered_a=orders.converter.current_a,
        k=moment.permitted,
        car_status=int(request.status) if request else None,
        car_faults=int(request.faults) if request else 0,
        car_asks_a=inputs.car.requested_current_a,
        car_gives_a=inputs.car.max_discharge_current_a,
        soc_pct=None if soc_pct is None else round(soc_pct, 1),
        cause=progress.cause.value,
    )


@dataclass(slots=True)
class Summary:
    """What is left to say at the end. Times are seconds from the start; counters are AC energy, currents DC extremes."""

    sessions: int = 0
    cause: str = ""
    energised_s: float = 0.0
    most_charge_a: float = 0.0
    most_discharge_a: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0

    def text(self) -> str:
        """Return the summary for a person."""
        sessions = f"{self.sessions} session{'' if self.sessions == 1 else 's'}"
        moved = f"{self.charged_wh:.0f} Wh in, {self.discharged_wh:.0f} Wh out"
        most = f"at most {self.most_charge_a:.1f} A in, {self.most_discharge_a:.1f} A out"
        return (
            f"{sessions}, current allowed for {self.energised_s:.1f} s, {moved}, {most}; ended: {self.cause}"
        )
