"""Repair issues: only what the owner can do something about."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util

from .client import Drill, Equipment, Fault, FingerprintMismatch, Plan, VersionTooOld
from .const import DOMAIN

if TYPE_CHECKING:
    from .coordinator import NissanEnergyConfigEntry

OWNERS_FAULTS = frozenset(
    {
        "aux_battery_low",
        "backup_dark",
        "backup_low",
        "backup_overloaded",
        "can_bus_lost",
        "clock_stepped",
        "contactor_welded",
        "device_refused",
        "fail_safe_unproven",
        "grid_meter_stale",
        "insulation",
        "journal_unwritable",
        "limits_conflict",
        "meter_frozen",
        "meter_implausible",
        "meter_sign_flipped",
        "nonvolatile_unwritable",
        "plan_stale",
        "reserve_proof_unwritable",
        "second_master",
        "setpoint_not_followed",
        "vehicle_incompatible",
        "write_budget",
    }
)
"""Faults with a remedy in the owner's hands; the rest heals by itself and is shown by the fault sensors alone."""

LEAST_LACK_PCT = 2.0
"""A car that lacks less when it leaves is as good as ready."""
DRILL_PROBLEMS = ("short", "car_stays")


@callback
def raise_connection_issue(hass: HomeAssistant, entry: NissanEnergyConfigEntry, error: Exception) -> None:
    """Raise the issue that ``error`` stands for, when there is something to do besides waiting."""
    match error:
        case FingerprintMismatch():
            _raise(hass, entry, "fingerprint_changed", "fingerprint_changed", {"gateway": entry.title})
        case VersionTooOld(older="gateway"):
            _raise(hass, entry, "version", "gateway_too_old", {"gateway": entry.title})
        case VersionTooOld():
            _raise(hass, entry, "version", "integration_too_old", {"gateway": entry.title})


@callback
def clear_connection_issues(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> None:
    """Take back what raise_connection_issue() raised."""
    for issue in ("fingerprint_changed", "version"):
        ir.async_delete_issue(hass, DOMAIN, f"{entry.entry_id}_{issue}")


@callback
def show_faults(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, faults: Iterable[Fault], names: Mapping[str, str]
) -> None:
    """Raise one issue for each of the owner's faults, and take back those that are gone."""
    raised = {f"{f.code}_{f.device}": (f.device, f.text, f.remedy) for f in faults if f.code in OWNERS_FAULTS}
    _show(hass, entry, "fault", raised, names)


@callback
def show_equipment(
    hass: HomeAssistant,
    entry: NissanEnergyConfigEntry,
    equipment: Mapping[str, Equipment],
    names: Mapping[str, str],
) -> None:
    """Raise one issue for each check that failed, and take back those that are gone."""
    raised = {
        f"{finding.check}_{device}": (device, finding.text, finding.remedy)
        for device, state in equipment.items()
        for finding in state.findings
        if finding.verdict == "failed"
    }
    _show(hass, entry, "equipment", raised, names)


@callback
def show_drill(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, drill: Drill | None, names: Mapping[str, str]
) -> None:
    """Raise one issue for each problem that the newest drill of a blackout found, and take back the others."""
    for problem in DRILL_PROBLEMS:
        if drill is None or problem not in drill.problems:
            ir.async_delete_issue(hass, DOMAIN, f"{entry.entry_id}_drill_{problem}")
            continue
        staying = [names.get(car, car) for car, can in drill.can_leave.items() if not can]
        told = {
            "gateway": entry.title,
            "hours": "?" if drill.dark_h is None else f"{drill.dark_h:.1f}",
            "wanted_hours": "?" if drill.should_last_h is None else f"{drill.should_last_h:g}",
            "cars": ", ".join(staying),
        }
        _raise(hass, entry, f"drill_{problem}", f"drill_{problem}", told)


@callback
def show_shortfalls(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, plan: Plan | None, names: Mapping[str, str]
) -> None:
    """Raise one issue for each car that will leave with less than it should, and take back the others."""
    prefix = f"{entry.entry_id}_departure_short_"
    lacking = {
        s.device: s
        for s in reversed(plan.shortfalls if plan else ())
        if s.code == "departure" and s.soc_pct is not None and s.target_soc_pct is not None
        if s.target_soc_pct - s.soc_pct >= LEAST_LACK_PCT
    }
    shown = {
        i.removeprefix(prefix) for d, i in ir.async_get(hass).issues if d == DOMAIN and i.startswith(prefix)
    }
    for device in shown - lacking.keys():
        ir.async_delete_issue(hass, DOMAIN, f"{prefix}{device}")
    for device, lack in lacking.items():
        told = {
            "gateway": entry.title,
            "device": names.get(device, device),
            "time": f"{dt_util.as_local(lack.at):%H:%M}",
            "soc": f"{lack.soc_pct:.0f}",
            "target": f"{lack.target_soc_pct:.0f}",
            "minutes": f"{lack.minutes:.0f}",
        }
        _raise(hass, entry, f"departure_short_{device}", "departure_short", told)


@callback
def _show(
    hass: HomeAssistant,
    entry: NissanEnergyConfigEntry,
    key: str,
    raised: Mapping[str, tuple[str, str, str]],
    names: Mapping[str, str],
) -> None:
    """Make the issues of one kind those that are ``raised``: (device, text, remedy) by the last part of their id."""
    prefix = f"{entry.entry_id}_{key}_"
    shown = {
        issue.removeprefix(prefix)
        for domain, issue in ir.async_get(hass).issues
        if domain == DOMAIN and issue.startswith(prefix)
    }
    for issue in shown - raised.keys():
        ir.async_delete_issue(hass, DOMAIN, f"{prefix}{issue}")
    for issue, (device, text, remedy) in raised.items():
        told = {"device": names.get(device, entry.title), "text": text, "remedy": remedy}
        _raise(hass, entry, f"{key}_{issue}", key, told)


@callback
def clear_all(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> None:
    """Take back all issues of an entry that is unloaded or removed."""
    show_faults(hass, entry, (), {})
    show_equipment(hass, entry, {}, {})
    show_drill(hass, entry, None, {})
    show_shortfalls(hass, entry, None, {})
    clear_connection_issues(hass, entry)


def _raise(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, issue: str, key: str, placeholders: dict[str, str]
) -> None:
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{entry.entry_id}_{issue}",
        is_fixable=False,
        severity=ir.IssueSeverity.WARNING,
        translation_key=key,
        translation_placeholders=placeholders,
    )
