"""Pure: what one device gives makes room for another only once it flows.

``fit`` speaks of powers as ordered. A charger that is told to discharge does so seconds later, while a battery charges at once:
meanwhile both are on the fuse. So until then nobody rises further than what flows leaves room for.
"""

from collections.abc import Mapping

from gateway.control.site_limits import Fitted
from gateway.model import DeviceId, Interval, Snapshot


def until_it_flows(fitted: Fitted, intervals: Mapping[DeviceId, Interval], snapshot: Snapshot) -> Fitted:
    """Return ``fitted`` with no step beyond what the fuses carry while every step the other way is yet to come."""
    held, limited_by = dict(fitted.powers_w), dict(fitted.limited_by)
    now_w = {d: _flows_w(snapshot, d, p) for d, p in held.items()}
    for limit in fitted.limits:
        if limit.grace_w <= 0:
            continue  # no fuse
        weights = {d: w for d, w in limit.weights.items() if d in held}
        for sign, edge_w in ((1.0, limit.interval.max_w), (-1.0, -limit.interval.min_w)):
            steps_w = {d: max(0.0, sign * w * (held[d] - now_w[d])) for d, w in weights.items()}
            flowing_w = sum(sign * w * now_w[d] for d, w in weights.items())
            beyond_w = flowing_w + sum(steps_w.values()) - edge_w - limit.grace_w
            if beyond_w <= 1.0:
                continue
            kept = max(0.0, 1.0 - beyond_w / max(sum(steps_w.values()), beyond_w))
            for device, step_w in steps_w.items():
                power_w = intervals[device].clamp(now_w[device] + kept * (held[device] - now_w[device]))
                if step_w > 0 and power_w != held[device]:
                    held[device], limited_by[device] = power_w, limit.reason
    return Fitted(held, limited_by, fitted.limits, fitted.sums_w)


def _flows_w(snapshot: Snapshot, device: DeviceId, ordered_w: float) -> float:
    """Return what the device draws now, as ordered where nobody knows."""
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return ordered_w if sample is None else sample.power_w
