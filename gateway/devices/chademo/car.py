"""What the car has said so far in one session, and what follows from it; pure."""

from math import inf

from msgspec import Struct
from msgspec.structs import replace

from gateway.devices.chademo.frames import (
    CarDischarge,
    CarExtension,
    CarFault,
    CarFrame,
    CarFunctions,
    CarLimits,
    CarMaker,
    CarRequest,
    CarSequence,
    CarStatus,
    CarTimes,
    CarVoltage,
    Function,
)
from gateway.devices.chademo.limits import CAN_SILENT, FRAME_STALE

SINCE_1_0 = 2
"""102.0 of a car that reports its contactor in 102.5.3; older ones may leave the bit alone (reference/can.md 3.8)."""

_NO_REFERENCE_YET = (0x00, 0xF0)
_NO_LEVEL_YET = (0x00, 0xFF)


_KEPT_AS: dict[type[CarFrame], str] = {
    CarLimits: "limits",
    CarTimes: "times",
    CarVoltage: "voltage",
    CarFunctions: "functions",
    CarSequence: "sequence",
    CarExtension: "extension",
}


class Car(Struct, frozen=True):
    """The newest frame of each id, None until it came. ``request_at`` is when the requested current last changed.

    ``reports_contactor``: 102.5.3 says something. 102 and 200 are believed until they are stale.
    """

    heard_at: float | None = None
    limits: CarLimits | None = None
    times: CarTimes | None = None
    request: CarRequest | None = None
    request_at: float = 0.0
    reports_contactor: bool = False
    voltage: CarVoltage | None = None
    functions: CarFunctions | None = None
    discharge: CarDischarge | None = None
    sequence: CarSequence | None = None
    extension: CarExtension | None = None
    maker: CarMaker | None = None
    request_stale_at: float = inf
    discharge_stale_at: float = inf

    def heard(self, frame: CarFrame, now: float) -> Car:
        """Return the car with ``frame`` taken in. Its maker's frame, which goes on outside a session, proves no life."""
        match frame:
            case CarRequest():
                return self._asked(frame, now)
            case CarDischarge():
                stale_at = now + FRAME_STALE.give_up_s
                return replace(self, discharge=frame, discharge_stale_at=stale_at, heard_at=now)
            case CarMaker():
                return replace(self, maker=frame)
        return replace(self, heard_at=now, **{_KEPT_AS[type(frame)]: frame})

    def _asked(self, frame: CarRequest, now: float) -> Car:
        same = self.request is not None and self.request.current_a == frame.current_a
        reports = frame.protocol >= SINCE_1_0 or CarStatus.CONTACTOR_OPEN in frame.status
        return replace(
            self,
            heard_at=now,
            request=frame,
            request_at=self.request_at if same else now,
            request_stale_at=now + FRAME_STALE.give_up_s,
            reports_contactor=self.reports_contactor or reports,
        )

    def silent(self, now: float) -> bool:
        """Tell whether nothing, or no 102, was heard for longer than a live car keeps quiet."""
        silent = self.heard_at is None or now - self.heard_at > CAN_SILENT.give_up_s
        return silent or now > self.request_stale_at

    @property
    def introduced(self) -> bool:
        """The first set has come, so the EVSE may answer."""
        return self.limits is not None and self.request is not None

    @property
    def status(self) -> CarStatus:
        """102.5."""
        return self.request.status if self.request else CarStatus.CONTACTOR_OPEN

    @property
    def faults(self) -> CarFault:
        """102.4."""
        return self.request.faults if self.request else CarFault(0)

    @property
    def enabled(self) -> bool:
        """102.5.0: the car wants to be charged."""
        return CarStatus.ENABLED in self.status

    @property
    def contactor_closed(self) -> bool:
        """Meaningful only after the car has pulled k, and where it reports its contactor."""
        return CarStatus.CONTACTOR_OPEN not in self.status

    @property
    def requested_current_a(self) -> int:
        """102.3."""
        return self.request.current_a if self.request else 0

    @property
    def discharge_compatible(self) -> bool:
        """The car lets itself be discharged and has said by how much."""
        return CarStatus.DISCHARGE_COMPATIBLE in self.status and self.discharge is not None

    @property
    def max_discharge_current_a(self) -> int:
        """200.0 as a positive magnitude, 0 without consent."""
        return self.discharge.max_current_a if self.discharge and self.discharge_compatible else 0

    @property
    def dynamic(self) -> bool:
        """The EVSE may change 108.3 during the session (reference/can.md 3.11)."""
        said_so = self.functions is not None and Function.DYNAMIC_CONTROL in self.functions.functions
        return said_so or CarStatus.DYNAMIC_CONTROL in self.status

    @property
    def soc_pct(self) -> float | None:
        """The percentage that the car shows to chargers; nonsense before k."""
        if self.request is None or (reference := self._soc_reference) is None:
            return None
        return min(100.0, 100.0 * self.request.soc_raw / reference)

    @property
    def capacity_wh(self) -> float | None:
        """101.5-6."""
        return float(self.times.capacity_wh) if self.times and self.times.capacity_wh else None

    @property
    def min_discharge_soc_pct(self) -> float | None:
        """Below this the car ends a discharge."""
        return self._level_pct(self.discharge.min_level_raw) if self.discharge else None

    @property
    def max_charge_soc_pct(self) -> float | None:
        """Above this the car ends a charge."""
        return self._level_pct(self.discharge.max_level_raw) if self.discharge else None

    @property
    def _soc_reference(self) -> int | None:
        if self.limits is None or self.limits.soc_reference in _NO_REFERENCE_YET:
            return None
        return self.limits.soc_reference

    def _level_pct(self, raw: int) -> float | None:
        """Percent where the car sends 201, 0.1 kWh where it does not (reference/can.md 3.6)."""
        if self.discharge is None or self.discharge.min_level_raw in _NO_LEVEL_YET:
            return None
        full = self._soc_reference if self.sequence else (self.capacity_wh or 0.0) / 100
        return min(100.0, 100.0 * raw / full) if full else None
