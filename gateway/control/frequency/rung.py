"""Pure: the rung of the ladder for an armed frequency reserve, between the backup reserve and a dispatch call."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.model import Reason, Rung

if TYPE_CHECKING:
    from gateway.control.knowledge import Known, Scene
    from gateway.control.ladder import Bid


def frequency(bid: Bid, known: Known, scene: Scene) -> Bid:
    """A device that carries a reserve does what the frequency asks, apart from the house; one that gave in an event
    takes it back slowly, unless its owner asks for more or must leave."""
    if bid.wish is not None:
        return bid
    if known.asked_w is not None:
        answer = bid.wishing(known.asked_w, Reason(Rung.FREQUENCY, "frequency_response", scene.reserve_id))
        return replace(answer, apart=True, automatic=False)
    pressed = known.must_w is not None and known.must_w > 0
    if known.held is None or known.said.request is not None or pressed:
        return bid
    return bid.narrowed(known.held, Reason(Rung.FREQUENCY, "recovery_hold"))
