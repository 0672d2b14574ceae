"""Pure: how free devices share one power: pro rata to the energy each can take or give, alone while it is little.

A converter loses a fixed 60-100 W whenever it runs, so below ``ALONE_W`` one device carries everything: the battery
where it can, else the car. Hysteresis keeps the choice from fluttering.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from gateway.model import DeviceId, Interval

ALONE_W = 700.0
TOGETHER_W = 1000.0


def share(
    need_w: float,
    intervals: Mapping[DeviceId, Interval],
    energy_wh: Mapping[DeviceId, float],
    before_w: Mapping[DeviceId, float],
    cars: AbstractSet[DeviceId],
) -> dict[DeviceId, float]:
    """Split ``need_w`` (into the devices positive) over ``intervals``; the sum is as near to it as the devices allow."""
    able = [d for d, i in intervals.items() if (i.max_w if need_w > 0 else -i.min_w) > 0 and energy_wh[d] > 0]
    shares = dict.fromkeys(intervals, 0.0)
    if not able:
        return shares
    running = sum(1 for d in able if abs(before_w.get(d, 0.0)) > 0)
    if abs(need_w) < (ALONE_W if running > 1 else TOGETHER_W):
        able.sort(key=lambda d: (d in cars, d))
        left_w = need_w
        for device in able:
            shares[device] = intervals[device].clamp(left_w)
            left_w -= shares[device]
        return shares
    left_w, open_devices = need_w, set(able)
    while open_devices and abs(left_w) > 0.5:
        total_wh = sum(energy_wh[d] for d in open_devices)
        step = {d: left_w * (energy_wh[d] / total_wh) for d in open_devices}
        for device, power_w in step.items():
            asked_w = shares[device] + power_w
            given_w = intervals[device].clamp(asked_w)
            left_w -= given_w - shares[device]
            shares[device] = given_w
            if given_w != asked_w:
                open_devices.discard(device)
        if len(open_devices) == len(step):
            break
    return shares
