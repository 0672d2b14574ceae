"""The reasons for a setpoint that have a text; the words are the gateway's."""

from .client import Reason

NOTHING = "none"

RUNGS = (
    "capability",
    "owner_stop",
    "grid_connection",
    "protective_limit",
    "backup_reserve",
    "frequency",
    "dispatch_call",
    "owner_request",
    "plan",
    "self_consumption",
    "idle",
    "envelope",
)
"""The ladder, highest first."""

CODES = (
    "nameplate",
    "device_limit",
    "device_slow",
    "car_not_from_battery",
    "meter_lag",
    "device_silent",
    "fault",
    "unplugged",
    "no_session",
    "rule_failed",
    "paused",
    "observing",
    "fuse_l1",
    "fuse_l2",
    "fuse_l3",
    "import_limit",
    "export_limit",
    "grid_meter_stale",
    "utility_import_limit",
    "utility_export_limit",
    "discharge_not_allowed",
    "soc_unknown",
    "soc_floor",
    "below_floor",
    "islanded",
    "island_shed",
    "island_surplus",
    "island_support",
    "blackout",
    "resync",
    "storm",
    "reconnect_ramp",
    "frequency_response",
    "recovery_hold",
    "shed",
    "dispatch",
    "charge_now",
    "discharge_now",
    "boost",
    "cheap_hours",
    "ready_for_departure",
    "target_reached",
    "ramp",
    "discharge_refused",
    "full",
    "envelope_failed",
    "export_lockout",
    "held_at_minimum",
    "below_minimum",
    "minimum_not_free",
    "departure",
    "peak_target",
    "imbalance_l3_l1",
    "imbalance_l2_l3",
    "imbalance_l1_l2",
    "circuit_l3",
    "circuit_l2",
    "circuit_l1",
)

REASONS = [*RUNGS, *CODES, NOTHING]


def reason_state(reason: Reason) -> str | None:
    """Return the state that tells ``reason``: its code, or its rung when a newer gateway has a code without a text."""
    return next((state for state in (reason.code, reason.rung) if state in REASONS), None)
