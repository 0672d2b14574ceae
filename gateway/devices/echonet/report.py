"""A unit as the rest of the house sees it: state, sample, faults; pure."""

from gateway.devices.echonet.bound import least_w as least_discharge_w
from gateway.devices.echonet.bound import most_discharge_w
from gateway.devices.echonet.order import Means
from gateway.devices.echonet.properties import CHARGES, DISCHARGES, RUNNING, Connection, Mode, Reading
from gateway.faults import Malformed
from gateway.model import EvseSample, EvseState, Interval, VehicleSample

FOLLOW_TOLERANCE_W = 300.0
FOLLOW_TOLERANCE = 0.15
NEARLY_FULL_SOC_PCT = 90.0
NEARLY_EMPTY_SOC_PCT = 15.0
MOST_OF_RATED = 1.5
VEHICLE_STOP, OWNER_STOP, NO_PERMISSION = "vehicle_stop", "owner_stop", "no_permission"
STOP_CAUSES = frozenset({VEHICLE_STOP, OWNER_STOP, NO_PERMISSION})


def plugged(reading: Reading) -> bool:
    """Tell whether a car hangs on it; a unit that does not know says so, and a running one has a car."""
    return reading.connection not in {Connection.NONE, Connection.UNDEFINED} or reading.mode in RUNNING


def admits_current(reading: Reading) -> bool:
    """Tell whether current may flow at all."""
    usable = reading.switched_on and not reading.faulty and not reading.islanded
    return usable and reading.connection in CHARGES | DISCHARGES


def state(reading: Reading, *, engaged: bool, confirming: bool) -> EvseState:
    """Return what the owner sees. ``engaged``: a session is wanted and nobody stopped it; ``confirming``: handshake."""
    if reading.faulty:
        return EvseState.FAULT
    if not plugged(reading):
        return EvseState.UNPLUGGED
    if engaged and Mode.PREPARATION in {reading.actual_mode, reading.mode}:
        return EvseState.STARTING
    if engaged and admits_current(reading):
        return EvseState.READY
    return EvseState.STARTING if engaged and confirming else EvseState.PLUGGED


def limits(reading: Reading, unit: Means, rated: Interval) -> Interval:
    """Return what unit and car admit now, and no more discharge than its energy bound allows."""
    if not admits_current(reading):
        return Interval(0.0, 0.0)
    charge_w = min(rated.max_w, reading.charge_range_w[1] if reading.charge_range_w else rated.max_w)
    discharge_w = min(
        -rated.min_w, reading.discharge_range_w[1] if reading.discharge_range_w else -rated.min_w
    )
    if unit.bounded:
        discharge_w = min(discharge_w, most_discharge_w(least_discharge_w(reading)))
    return Interval(
        -discharge_w if unit.discharges and reading.connection in DISCHARGES else 0.0,
        charge_w if unit.charges and reading.connection in CHARGES else 0.0,
    )


def least_w(reading: Reading, power_w: float) -> float:
    """Return ``power_w``, or 0 where the unit cannot run that low."""
    admitted = reading.charge_range_w if power_w > 0 else reading.discharge_range_w
    return 0.0 if admitted is not None and abs(power_w) < admitted[0] else power_w


def sample(
    reading: Reading, at: float, state: EvseState, limits: Interval, applied_w: float | None, cause: str
) -> EvseSample:
    """Return the sample. Raises Malformed without a measured power."""
    if reading.power_w is None:
        raise Malformed("the unit tells no power (0xD3)")
    ready = state is EvseState.READY
    return EvseSample(
        at=at,
        state=state,
        plugged=plugged(reading),
        power_w=reading.power_w,
        charge_max_w=limits.max_w if ready else 0.0,
        discharge_max_w=-limits.min_w if ready else 0.0,
        voltage_v=reading.voltage_v or 0.0,
        current_a=reading.current_a or 0.0,
        vehicle=_vehicle(reading) if plugged(reading) else None,
        charged_wh=reading.charged_wh,
        discharged_wh=reading.discharged_wh,
        applied_w=applied_w,
        stop_cause=cause,
    )


def _vehicle(reading: Reading) -> VehicleSample:
    return VehicleSample(
        soc_pct=reading.soc_pct,
        capacity_wh=reading.capacity_wh,
        discharge_compatible=reading.connection in DISCHARGES,
    )


def stop_cause(reading: Reading, *, away: bool, fruitless: bool) -> str:
    """Say why there is no session: stopped at the unit, by a full car, or never begun."""
    if away:
        full = reading.soc_pct is not None and reading.soc_pct >= NEARLY_FULL_SOC_PCT
        return VEHICLE_STOP if full else OWNER_STOP
    return NO_PERMISSION if fruitless else ""


def implausible(reading: Reading, rated: Interval) -> str:
    """Return what cannot be true: more power than the unit is built for."""
    most_w = MOST_OF_RATED * max(rated.max_w, -rated.min_w)
    if reading.power_w is not None and most_w and abs(reading.power_w) > most_w:
        return f"{reading.power_w:.0f} W, rated {most_w / MOST_OF_RATED:.0f} W"
    return ""


def differs(sample: EvseSample) -> bool:
    """Tell whether the measured power is not what was ordered; a nearly full or empty car may rightly do less."""
    applied_w, soc_pct = sample.applied_w, sample.vehicle.soc_pct if sample.vehicle else None
    if applied_w is None:
        return False
    if soc_pct is not None and applied_w > 0 and soc_pct >= NEARLY_FULL_SOC_PCT:
        return sample.power_w < 0
    if soc_pct is not None and applied_w < 0 and soc_pct <= NEARLY_EMPTY_SOC_PCT:
        return sample.power_w > FOLLOW_TOLERANCE_W
    return abs(sample.power_w - applied_w) > max(FOLLOW_TOLERANCE_W, FOLLOW_TOLERANCE * abs(applied_w))


def device_fault(reading: Reading) -> str:
    """Return the unit's own fault in words, nothing while it has none."""
    if reading.faulty:
        return f"fault 0x{reading.fault_code:04x}" if reading.fault_code else "fault without a code"
    return "" if reading.switched_on else "switched off"
