"""Pure: the house battery does not feed the car, unless the owner allows it (reference/needs.md 1, row 16)."""

from collections.abc import Mapping

from gateway.control.balance import Balance
from gateway.control.ladder import Bid
from gateway.model import DeviceId, DeviceKind, Interval, Reason, Rung, Snapshot

NOT_FROM_BATTERY = Reason(Rung.BACKUP_RESERVE, "car_not_from_battery")


def separated(bids: Mapping[DeviceId, Bid], snapshot: Snapshot, balance: Balance) -> dict[DeviceId, Bid]:
    """Return the bids with the batteries bound to what the rest of the house draws, while a car is to be charged."""
    kept = dict(bids)
    if snapshot.wishes.owner.battery_may_charge_car:
        return kept
    if not any(_wish_w(b) > 0 for d, b in bids.items() if snapshot.devices[d].kind is DeviceKind.EVSE):
        return kept
    giving = {
        d: -_wish_w(b)
        for d, b in bids.items()
        if snapshot.devices[d].kind is DeviceKind.STORAGE and _wish_w(b) < 0 and not b.apart
    }
    total_w, house_w = sum(giving.values()), max(0.0, balance.base_w)
    if total_w <= house_w:
        return kept
    for device, power_w in giving.items():
        least_w = -power_w / total_w * house_w
        kept[device] = bids[device].narrowed(Interval(least_w, 1e6), NOT_FROM_BATTERY)
    return kept


def _wish_w(bid: Bid) -> float:
    return bid.interval.clamp(bid.wish_w) if bid.wish_w is not None else 0.0
