"""Repair issues: only what the owner can do something about."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .client import Fault, FingerprintMismatch, VersionTooOld
from .const import DOMAIN

if TYPE_CHECKING:
    from .coordinator import NissanEnergyConfigEntry

OWNERS_FAULTS = frozenset(
    {
        "aux_battery_low",
        "can_bus_lost",
        "contactor_welded",
        "device_refused",
        "fail_safe_unproven",
        "grid_meter_stale",
        "insulation",
        "journal_unwritable",
        "limits_conflict",
        "plan_stale",
        "second_master",
        "setpoint_not_followed",
        "vehicle_incompatible",
        "write_budget",
    }
)
"""Faults with a remedy in the owner's hands; the rest heals by itself and is shown by the fault sensors alone."""


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
    prefix = f"{entry.entry_id}_fault_"
    raised = {f"{prefix}{f.code}_{f.device}": f for f in faults if f.code in OWNERS_FAULTS}
    shown = {i for domain, i in ir.async_get(hass).issues if domain == DOMAIN and i.startswith(prefix)}
    for issue in shown - raised.keys():
        ir.async_delete_issue(hass, DOMAIN, issue)
    for issue in raised.keys() - shown:
        fault = raised[issue]
        _raise(
            hass,
            entry,
            issue.removeprefix(f"{entry.entry_id}_"),
            "fault",
            {"device": names.get(fault.device, entry.title), "text": fault.text, "remedy": fault.remedy},
        )


@callback
def clear_all(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> None:
    """Take back all issues of an entry that is unloaded or removed."""
    show_faults(hass, entry, (), {})
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
