"""Pure: the proof that a reserve was delivered, second by second, and what share of a window it was available."""

from dataclasses import dataclass
from datetime import datetime

from gateway.model import ReservePhase, ReserveSecond, ReserveStatus, ReserveWindow, Rung, Snapshot

SHORT_SHARE = 0.05
"""A device that is held back from more than this of what was sold does not deliver."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Seconds of a window: available ones, all that have passed since it began, and the last one witnessed."""

    available: int = 0
    passed: int = 0
    last: datetime | None = None

    @property
    def pct(self) -> float | None:
        """Available share of what has passed, None before the first second."""
        return 100 * self.available / self.passed if self.passed else None


def counted(before: Counted, second: ReserveSecond) -> Counted:
    """Count one more second, and as unavailable those between that nobody witnessed."""
    missed = int((second.utc - before.last).total_seconds()) if before.last else 1
    return Counted(before.available + second.available, before.passed + max(1, missed), second.utc)


def second_of(
    window: ReserveWindow,
    status: ReserveStatus,
    snapshot: Snapshot,
    stored: tuple[float, float] | None,
    *,
    first: bool,
) -> ReserveSecond:
    """Return the present second; ``stored`` is (Wh, of Wh). Of the ``first`` one there are no decisions yet."""
    limiters = () if first else _limiters(status, snapshot)
    active = status.phase in {ReservePhase.ARMED, ReservePhase.RECOVERING}
    available = active and not status.refusals and not limiters and status.delivered_w is not None
    return ReserveSecond(
        utc=snapshot.utc.replace(microsecond=0),
        window_id=window.id,
        product=window.product,
        phase=status.phase,
        sold_w=window.power_w,
        frequency_hz=status.frequency_hz,
        baseline_w=status.offset_w,
        response_w=status.response_w,
        asked_w=status.offset_w + status.response_w,
        delivered_w=status.delivered_w,
        soc_pct=100 * stored[0] / stored[1] if stored else None,
        available=available,
        devices=status.devices,
        refusals=(*status.refusals, *limiters),
    )


def _limiters(status: ReserveStatus, snapshot: Snapshot) -> tuple[str, ...]:
    """Say what kept a device from what was asked of it, by the decisions of the last tick."""
    found = []
    for device in status.devices:
        decided = snapshot.decisions.get(device)
        if decided is None:
            found.append("undecided")
        elif decided.reason.rung is not Rung.FREQUENCY:
            found.append(decided.reason.code)
        elif (
            decided.limited_by is not None
            and decided.limited_by.code != "ramp"
            and abs(decided.wanted_w - decided.power_w) > SHORT_SHARE * status.band_w
        ):
            found.append(decided.limited_by.code)
    return tuple(dict.fromkeys(found))
