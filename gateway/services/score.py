"""How right the plan's forecasts were: what was expected an hour and a day ahead, against what came. Pure, but for its memory."""

from collections import deque
from dataclasses import dataclass, field

from gateway.api.site import Score
from gateway.ledger.means import QUARTER_S, QuarterMean
from gateway.model import Plan
from gateway.planning.question import Expected

LEADS_H = (1.0, 24.0)
KEPT = 7 * 96
LEAST = 4


@dataclass(slots=True)
class _Line:
    """One forecast at one lead: what was expected of quarters to come, and (expected, came) of those that are past."""

    ahead: dict[int, float] = field(default_factory=dict)
    pairs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))


class ForecastScores:
    """Fed with each plan and each quarter that has ended."""

    def __init__(self) -> None:
        self._lines = {(what, lead): _Line() for what in ("load", "solar") for lead in LEADS_H}
        self._last = 0

    def expected(self, plan: Plan, expected: Expected) -> None:
        """Note what a plan expects of the quarters that lie one lead ahead of it."""
        now = int(plan.made_at.timestamp() // QUARTER_S)
        for (what, lead_h), line in self._lines.items():
            series = expected.load_w if what == "load" else expected.pv_w
            quarter = now + round(lead_h * 3600 / QUARTER_S)
            for slot, power_w in zip(plan.slots, series, strict=False):
                if int(slot.starts_at.timestamp() // QUARTER_S) == quarter:
                    line.ahead.setdefault(quarter, power_w)
                    break

    def came(self, means: list[QuarterMean]) -> None:
        """Compare with quarters that have ended; those that were compared before are left out."""
        for mean in means:
            quarter = int(mean.utc.timestamp() // QUARTER_S)
            if quarter <= self._last:
                continue
            self._last = quarter
            for (what, _), line in self._lines.items():
                came_w = mean.load_w if what == "load" else mean.pv_w
                foreseen_w = line.ahead.pop(quarter, None)
                if foreseen_w is not None and came_w is not None:
                    line.pairs.append((foreseen_w, came_w))
                line.ahead = {q: w for q, w in line.ahead.items() if q > quarter}

    def scores(self) -> tuple[Score, ...]:
        """Return one line per forecast and lead that enough is known of."""
        return tuple(
            _score(what, lead_h, line.pairs)
            for (what, lead_h), line in self._lines.items()
            if len(line.pairs) >= LEAST
        )


def _score(what: str, lead_h: float, pairs: deque[tuple[float, float]]) -> Score:
    count = len(pairs)
    return Score(
        what,
        lead_h,
        count,
        round(sum(f - c for f, c in pairs) / count, 1),
        round(sum(abs(f - c) for f, c in pairs) / count, 1),
        round(sum(c for _, c in pairs) / count, 1),
    )
