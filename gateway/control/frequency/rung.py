"""Pure: the rung of the ladder for an armed frequency reserve, between the backup reserve and a dispatch call."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.model import Reason, Rung, Snapshot

if TYPE_CHECKING:
    from gateway.control.ladder import Bid


def frequency(bid: Bid, snapshot: Snapshot) -> Bid:
    """A device that carries a reserve does what the frequency asks, apart from the house; one that gave in an event
    takes it back slowly, unless its owner asks for more or must leave."""
    reserve = snapshot.control.reserve
    if bid.wish is not None:
        return bid
    if (asked_w := reserve.asked_w.get(bid.device)) is not None:
        answer = bid.wishing(asked_w, Reason(Rung.FREQUENCY, "frequency_response", reserve.window_id))
        return replace(answer, apart=True, automatic=False)
    allowed = reserve.held.get(bid.device)
    asked = any(r.device == bid.device and snapshot.utc < r.expires_at for r in snapshot.wishes.requests)
    urgency = snapshot.control.urgencies.get(bid.device)
    if allowed is None or asked or (urgency is not None and urgency.must_w > 0):
        return bid
    return bid.narrowed(allowed, Reason(Rung.FREQUENCY, "recovery_hold"))
