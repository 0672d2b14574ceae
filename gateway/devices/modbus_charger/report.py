"""Pure: a charger as the rest of the house sees it: sample, faults, and what a lost connection means."""

import math

from gateway.devices.following import Following
from gateway.devices.modbus_charger.steering import SEEK_W, Look, Make, Standing
from gateway.faults import FaultCode
from gateway.model import EvseSample, EvseState, Interval, VehicleSample

_OF_A_SESSION = frozenset({EvseState.STARTING, EvseState.READY, EvseState.STOPPING})


def evse_state(now: float, look: Look, standing: Standing, make: Make) -> EvseState:
    """Return what the owner sees: a session that is not ours is none, and one that seeks the car's charge still starts."""
    if look.state not in _OF_A_SESSION:
        return look.state
    if not standing.held or (make.starts_sessions and not standing.session):
        return EvseState.PLUGGED
    return EvseState.STARTING if standing.seeking(now) else look.state


def sample(now: float, look: Look, standing: Standing, make: Make, rated: Interval) -> EvseSample:
    """Return the sample; the two maxima are 0 unless current may flow on our word right now."""
    state = evse_state(now, look, standing, make)
    live = state is EvseState.READY
    discharge_w = 0.0 if standing.refusal else min(look.discharge_max_w, -rated.min_w)
    return EvseSample(
        at=look.at,
        state=state,
        plugged=look.plugged,
        power_w=look.power_w,
        charge_max_w=min(look.charge_max_w, rated.max_w) if live else 0.0,
        discharge_max_w=discharge_w if live else 0.0,
        vehicle=_vehicle(look, standing),
        applied_w=_applied_w(standing) if live else None,
        stop_cause=look.waits_for,
    )


def _applied_w(standing: Standing) -> float | None:
    """Return what the charger was told to let flow, without the trim; None while that is not known."""
    order_w = standing.order_w
    if order_w is None or abs(order_w) <= SEEK_W:
        return order_w and 0.0
    return order_w - math.copysign(standing.trim_w, order_w)


def _vehicle(look: Look, standing: Standing) -> VehicleSample | None:
    if not look.plugged:
        return None
    return VehicleSample(
        soc_pct=look.soc_pct, discharge_compatible=look.discharge_compatible and not standing.refusal
    )


def faults(
    now: float, look: Look, standing: Standing, following: Following, *, passing: bool
) -> dict[FaultCode, str]:
    """Return what is wrong; ``passing``: the charger has just restarted, and its errors go by themselves."""
    ignored = following.broken(now) and not standing.refusal
    order_w = 0.0 if standing.order_w is None else standing.order_w
    found = {
        FaultCode.DEVICE_FAULT: "" if passing else look.error,
        FaultCode.DEVICE_REFUSED: "; ".join(filter(None, (standing.refusal, standing.problem))),
        FaultCode.SECOND_MASTER: standing.yielded,
        FaultCode.SETPOINT_NOT_FOLLOWED: f"ordered {order_w:.0f} W, measured {look.power_w:.0f} W"
        if ignored
        else "",
        FaultCode.WRITE_BUDGET: look.worn,
    }
    return {code: detail for code, detail in found.items() if detail}


def loss(reason: str, standing: Standing, make: Make, lease_s: float) -> str:
    """Say what a lost connection means to the owner."""
    said = reason
    if standing.order_w != 0.0:
        said += (
            f"; the charger ends what it was ordered within {lease_s:g} s, or at once by its own stop button"
        )
    if make.silent_hint and reason == "no answer":
        said += f"; {make.silent_hint}"
    return said
