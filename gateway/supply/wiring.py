"""Is the equipment wired and guarded so that it can be trusted: meter, fuse, fail-safe, and what was proven; pure."""

from collections.abc import Iterator

from gateway.faults import FaultCode
from gateway.model import GUARD_AGE_S, DeviceInfo, DeviceKind
from gateway.supply.findings import Check, Detail, Finding, Verdict
from gateway.supply.record import same
from gateway.supply.site import Equipment, silent

PASS, ATTENTION, FAIL, UNKNOWN = Verdict.PASS, Verdict.ATTENTION, Verdict.FAIL, Verdict.UNKNOWN

DISCHARGE_AT_MOST_S = 60.0
FREQUENCY_OF = {"meter.eastron_sdm630": "its readings scatter by 47 mHz"}
"""Why a meter is not fit for a frequency reserve, which wants 10 mHz each second (reference/modbus.md 5.2)."""
UNPROVEN_FREQUENCY = "nothing is documented of how exact its frequency is"
TWO_MASTERS = (FaultCode.DEVICE_REFUSED, FaultCode.SETPOINT_NOT_FOLLOWED)


def judge_meter(site: Equipment, meter: DeviceInfo) -> Iterator[Finding]:
    """Yield what there is to say of the grid meter."""
    detail: Detail = {
        "age_s": round(meter.max_age_s, 1),
        "frequency": FREQUENCY_OF.get(meter.driver, UNPROVEN_FREQUENCY),
    }
    slow = meter.max_age_s > GUARD_AGE_S
    key = "meter_slow" if slow else "meter_follows_load"
    yield Finding(
        Check.METER_RATE, meter.id, ATTENTION if slow else PASS, key, detail, "poll_faster" if slow else ""
    )
    yield from _meter_wiring(site, meter)


def _meter_wiring(site: Equipment, meter: DeviceInfo) -> Iterator[Finding]:
    """A meter is wired right when the step of every device that was tried has shown on it."""
    tried = [f for info in site.steered() for f in _proof(site, info, Check.WIRING_PROOF)]
    failed = [site.snapshot.devices[f.device].name for f in tried if f.verdict is FAIL]
    if failed:  # which is the device's failure to tell, once
        told: Detail = {"devices": " and ".join(failed)}
        yield Finding(Check.WIRING_PROOF, meter.id, ATTENTION, "meter_disagrees", told, "mend_meter")
    elif any(f.verdict is PASS for f in tried):
        yield Finding(Check.WIRING_PROOF, meter.id, PASS, "meter_agrees")
    elif tried:
        yield Finding(Check.WIRING_PROOF, meter.id, UNKNOWN, "never_proven", {}, "prove")


def judge_guard(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    """Yield what there is to say of a steered device's fuse, masters and fail-safe."""
    yield from _fuse(site, info)
    yield from _fuse_guard(site, info)
    yield from _masters(site, info)
    yield from _card(site, info)
    for check in proofs_of(info):
        yield from _proof(site, info, check)


def proofs_of(info: DeviceInfo) -> tuple[Check, ...]:
    """Return the active proofs that a device is asked for."""
    timer = (Check.TIMER_PROOF,) if info.kind is DeviceKind.STORAGE else ()
    lines = (Check.LINES_PROOF,) if info.driver == "evse.chademo" else ()
    return (Check.WIRING_PROOF, *timer, *lines, Check.FAIL_SAFE_PROOF)


def _fuse(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    """Compare the nameplate per phase with the main fuse."""
    most_w = max(info.rated.max_w, -info.rated.min_w)
    if not most_w or not info.phases:
        yield Finding(Check.FUSE, info.id, UNKNOWN, "rating_unknown", {}, "connect")
        return
    phase_a = most_w / len(info.phases) / site.grid.nominal_voltage_v
    detail: Detail = {
        "phase_a": round(phase_a, 1),
        "fuse_a": site.grid.main_fuse_a,
        "phases": _phases(info.phases),
        "power_kw": round(most_w / 1000, 1),
    }
    if phase_a <= site.grid.main_fuse_a:
        yield Finding(Check.FUSE, info.id, PASS, "fuse_fits", detail)
    elif site.grid_meter is None:
        yield Finding(Check.FUSE, info.id, FAIL, "fuse_too_small", detail, "limit_power")
    else:
        yield Finding(Check.FUSE, info.id, ATTENTION, "fuse_throttles", detail, "limit_power")


def _fuse_guard(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    """Who keeps the main fuse: a charger that drops its own guard needs ours, proven (reference/needs.md 1, row 22)."""
    meter = site.grid_meter
    answer = site.record.proof(info.id, Check.FUSE_GUARD)
    said = str(answer.figures.get("guard", "")) if answer else ""
    drops = info.drops_own_guard
    detail: Detail = {"meter": meter.name if meter else "", "said": said}

    def found(verdict: Verdict, key: str, remedy: str = "") -> Iterator[Finding]:
        yield Finding(Check.FUSE_GUARD, info.id, verdict, key, detail, remedy)

    if drops and said == "charger":
        yield from found(FAIL, "guard_dropped", "guard_by_gateway")
    elif said in {"charger", "installation"}:
        yield from found(PASS, f"guard_{said}")
    elif meter is None:
        yield from found(FAIL if drops else ATTENTION, "guard_missing", "add_meter")
    elif meter.max_age_s > GUARD_AGE_S:
        yield from found(FAIL if drops else ATTENTION, "guard_slow", "poll_faster")
    elif drops and _wired(site, info) is not PASS:
        yield from found(UNKNOWN, "guard_unproven", "prove")
    else:
        yield from found(PASS, "guard_gateway")


def _masters(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    """Two masters show as orders that are refused or not followed (reference/needs.md 1, row 23)."""
    signs = [f for f in site.snapshot.faults if f.device == info.id and f.code in TWO_MASTERS]
    if signs:
        yield Finding(
            Check.SOLE_MASTER, info.id, ATTENTION, "second_master", {"sign": signs[0].detail}, "one_master"
        )
    elif not silent(site, info):
        yield Finding(Check.SOLE_MASTER, info.id, PASS, "sole_master")


def _card(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    card = site.snapshot.cards.get(info.id)
    if card is None:
        return
    detail: Detail = {"lease_s": card.lease_s, "at_most_s": card.discharging_at_most_s}
    endless = card.discharging_at_most_s is None or card.discharging_at_most_s > DISCHARGE_AT_MOST_S
    if endless and info.rated.min_w < 0:
        yield Finding(Check.FAIL_SAFE_CARD, info.id, FAIL, "card_endless", detail, "set_timeout")
    elif card.lease_s is None:
        yield Finding(Check.FAIL_SAFE_CARD, info.id, ATTENTION, "card_holds_charge", detail, "set_timeout")
    else:
        key = "card_good" if info.rated.min_w < 0 else "card_good_charging"
        yield Finding(Check.FAIL_SAFE_CARD, info.id, PASS, key, detail)


def _proof(site: Equipment, info: DeviceInfo, check: Check) -> Iterator[Finding]:
    """Repeat what was proven, while the device is still the one it was proven on."""
    proof = site.record.proof(info.id, check)
    if proof is None:
        yield Finding(check, info.id, UNKNOWN, "never_proven", {}, "prove")
        return
    detail = {**proof.figures, "proven_at": f"{proof.at:%Y-%m-%d %H:%M} UTC"}
    if not same(proof.identity, site.hangs_on(info, check) or proof.identity):
        yield Finding(check, info.id, UNKNOWN, "device_changed", detail, "prove")
    else:
        yield Finding(check, info.id, proof.verdict, proof.text_key, detail, proof.remedy_key)


def _wired(site: Equipment, info: DeviceInfo) -> Verdict:
    return next(f.verdict for f in _proof(site, info, Check.WIRING_PROOF))


def _phases(phases: tuple[int, ...]) -> str:
    return "+".join(f"L{phase}" for phase in phases)
