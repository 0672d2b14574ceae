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
    now_w = _flowing_w(held, snapshot)
    highest_w = {d: max(p, now_w[d]) for d, p in held.items()}
    lowest_w = {d: min(p, now_w[d]) for d, p in held.items()}
    for limit in fitted.limits:
        if limit.grace_w <= 0:
            continue  # no fuse; behind one every weight is above zero
        for sign, edge_w, furthest_w in (
            (1.0, limit.interval.max_w, highest_w),
            (-1.0, -limit.interval.min_w, lowest_w),
        ):
            beyond_w = sign * limit.sum_w(furthest_w) - edge_w - limit.grace_w
            if beyond_w <= 1.0:
                continue
            steps_w = {d: w * abs(furthest_w[d] - now_w[d]) for d, w in limit.weights.items() if d in held}
            kept = max(0.0, 1.0 - beyond_w / max(sum(steps_w.values()), beyond_w))
            for device, step_w in steps_w.items():
                power_w = intervals[device].clamp(now_w[device] + kept * (held[device] - now_w[device]))
                if step_w > 0 and power_w != held[device]:
                    held[device], limited_by[device] = power_w, limit.reason
                    highest_w[device] = max(power_w, now_w[device])
                    lowest_w[device] = min(power_w, now_w[device])
    return Fitted(held, limited_by, fitted.limits, fitted.sums_w)


def _flowing_w(ordered_w: Mapping[DeviceId, float], snapshot: Snapshot) -> dict[DeviceId, float]:
    """Return what each device draws now, as ordered where nobody knows."""
    samples = {**snapshot.storages, **snapshot.evses}
    return {d: w if (x := samples.get(d)) is None else x.power_w for d, w in ordered_w.items()}
