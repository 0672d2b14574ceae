"""Is this charger fit for this car: protocol, direction, windows, and what each generation is known for; pure.

Facts: reference/can.md 3 and 4.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.model import DeviceInfo, VehicleSample
from gateway.supply.findings import Check, Detail, Finding, Verdict
from gateway.supply.site import Equipment

PASS, ATTENTION, FAIL, UNKNOWN = Verdict.PASS, Verdict.ATTENTION, Verdict.FAIL, Verdict.UNKNOWN

OLD_PROTOCOL, NEWEST_PROTOCOL = 1, 3
NARROW_FLOOR_PCT, NARROW_CEILING_PCT = 20.0, 90.0
EARLY_END_V = 300.0
"""A Leaf's pack at 10 % is above this; a converter that needs more ends a discharge early."""
STEPS_TOLERATED_A = 20.0
"""A car without dynamic control leaves when it gets this much less than it asked for."""
LARGEST_AZE0_WH = 31_000.0
SHORT_SESSION_MIN = 90.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A charger and the car at it; ``target_pct`` is what the owner wants to leave with."""

    charger: DeviceInfo
    car: VehicleSample
    generation: str = ""
    target_pct: float = 80.0

    @property
    def discharges(self) -> bool:
        """The charger can take energy out of a car."""
        return self.charger.rated.min_w < 0


def judge_pair(site: Equipment, charger: DeviceInfo) -> Iterator[Finding]:
    """Yield what there is to say of the car at one EVSE."""
    car = site.car_at(charger.id)
    if car is None:
        yield Finding(Check.CAR, charger.id, UNKNOWN, "no_car_yet", {}, "plug_in")
        return
    target_pct = site.snapshot.wishes.owner.of(charger.id).target_soc_pct
    pair = Pair(charger, car, site.generation_at(charger.id), target_pct)
    for rule in (_protocol, _discharge, _voltage, _current, _soc_window, _session, _quirks):
        yield from rule(pair)


def _protocol(pair: Pair) -> Iterator[Finding]:
    """102.0; a charger in one box keeps it to itself."""
    version = pair.car.protocol
    if version is None:
        return
    known = OLD_PROTOCOL < version <= NEWEST_PROTOCOL
    key = "protocol_fits" if known else "protocol_old" if version <= OLD_PROTOCOL else "protocol_new"
    yield _of(pair, Check.PROTOCOL, PASS if known else ATTENTION, key, {"version": version})


def _discharge(pair: Pair) -> Iterator[Finding]:
    if not pair.discharges:
        yield _of(pair, Check.DISCHARGE, PASS, "charger_charges_only")
    elif pair.car.discharge_compatible:
        told, frames_seen = pair.car.v2h_sequence, pair.car.protocol is not None
        by_frames = "discharge_fits_older" if told is None else "discharge_fits_sequence"
        key = by_frames if frames_seen else "discharge_fits"
        yield _of(pair, Check.DISCHARGE, PASS, key, {"sequence": told})
    elif pair.car.protocol is None:
        yield _of(pair, Check.DISCHARGE, UNKNOWN, "discharge_unknown", remedy="plug_in")
    else:
        yield _of(pair, Check.DISCHARGE, ATTENTION, "car_charges_only", remedy="charge_only")


def _voltage(pair: Pair) -> Iterator[Finding]:
    dc, car = pair.charger.dc, pair.car
    if dc is None or not car.max_voltage_v:
        return
    volts: Detail = {"low_v": dc.min_voltage_v, "high_v": dc.max_voltage_v, "car_v": car.max_voltage_v}
    target_v = car.target_voltage_v or 0.0
    if target_v > dc.max_voltage_v or car.max_voltage_v < dc.min_voltage_v:
        apart: Detail = {**volts, "target_v": target_v}
        yield _of(pair, Check.VOLTAGE_WINDOW, FAIL, "voltage_apart", apart, "other_charger")
    elif car.max_voltage_v > dc.max_voltage_v:
        yield _of(pair, Check.VOLTAGE_WINDOW, ATTENTION, "voltage_clipped", volts)
    elif pair.discharges and car.discharge_compatible and dc.min_voltage_v > EARLY_END_V:
        yield _of(pair, Check.VOLTAGE_WINDOW, ATTENTION, "voltage_floor_high", volts)
    else:
        yield _of(pair, Check.VOLTAGE_WINDOW, PASS, "voltage_fits", volts)


def _current(pair: Pair) -> Iterator[Finding]:
    dc, least_a = pair.charger.dc, pair.car.min_charge_current_a
    if dc is None or least_a is None:
        return
    told: Detail = {"car_a": least_a, "charge_a": dc.max_charge_a, "discharge_a": dc.max_discharge_a}
    if dc.max_charge_a < least_a:
        yield _of(pair, Check.CURRENT_WINDOW, FAIL, "current_too_small", told, "raise_current")
    elif pair.car.dynamic is False and dc.max_charge_a > STEPS_TOLERATED_A:
        yield _of(pair, Check.CURRENT_WINDOW, ATTENTION, "current_not_dynamic", told, "lower_current")
    else:
        yield _of(pair, Check.CURRENT_WINDOW, PASS, "current_fits", told)


def _soc_window(pair: Pair) -> Iterator[Finding]:
    low, high = pair.car.min_discharge_soc_pct, pair.car.max_charge_soc_pct
    if low is None or high is None:
        return
    span: Detail = {"low_pct": round(low), "high_pct": round(high), "target_pct": round(pair.target_pct)}
    if pair.target_pct > high + 0.5:
        yield _of(pair, Check.SOC_WINDOW, ATTENTION, "target_above_window", span, "lower_target")
    elif low >= NARROW_FLOOR_PCT or high <= NARROW_CEILING_PCT:
        yield _of(pair, Check.SOC_WINDOW, ATTENTION, "soc_window_narrow", span)
    else:
        yield _of(pair, Check.SOC_WINDOW, PASS, "soc_window_wide", span)


def _session(pair: Pair) -> Iterator[Finding]:
    minutes = pair.car.max_session_min
    if minutes:
        key = "session_renewed" if minutes < SHORT_SESSION_MIN else "session_long"
        yield _of(pair, Check.SESSION_TIME, PASS, key, {"minutes": round(minutes)})


@dataclass(frozen=True, slots=True)
class Quirk:
    """What cars of one generation are known for."""

    generation: str
    verdict: Verdict
    key: str
    remedy: str = ""
    applies: Callable[[Pair], bool] = lambda _: True


QUIRKS = (
    Quirk("ZE0", ATTENTION, "ze0_discharge", "charge_only", lambda pair: pair.discharges),
    Quirk("ZE0", PASS, "ze0_charge", applies=lambda pair: not pair.discharges),
    Quirk("AZE0", PASS, "aze0_refuses"),
    Quirk(
        "AZE0",
        ATTENTION,
        "pack_swapped",
        "check_capacity",
        lambda pair: (pair.car.capacity_wh or 0.0) > LARGEST_AZE0_WH,
    ),
    Quirk("ZE1", PASS, "ze1_best", applies=lambda pair: pair.discharges),
)


def _quirks(pair: Pair) -> Iterator[Finding]:
    for quirk in QUIRKS:
        if quirk.generation == pair.generation and quirk.applies(pair):
            told: Detail = {
                "generation": pair.generation,
                "capacity_kwh": round((pair.car.capacity_wh or 0.0) / 1000, 1),
            }
            yield _of(pair, Check.MODEL, quirk.verdict, quirk.key, told, quirk.remedy)


def _of(
    pair: Pair, check: Check, verdict: Verdict, key: str, detail: Detail | None = None, remedy: str = ""
) -> Finding:
    return Finding(check, pair.charger.id, verdict, key, detail or {}, remedy)
