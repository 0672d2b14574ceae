"""How right the plan's forecasts are: what was expected an hour, six and a day ahead, against what came. Pure, but for its memory."""

from dataclasses import dataclass, field

from gateway.api import site as api
from gateway.ledger.means import QUARTER_S, QuarterMean
from gateway.model import Plan
from gateway.planning.question import Expected
from gateway.planning.scores import Said, Score, judged

LEADS_H = (1.0, 6.0, 24.0)
LEAST = 4


@dataclass(slots=True)
class _Line:
    """One forecast at one lead: what was expected of quarters to come, and how those did that are past."""

    ahead: dict[int, Said] = field(default_factory=dict)
    score: Score = field(default_factory=Score)


class ForecastScores:
    """Fed with each plan and each quarter that has ended."""

    def __init__(self) -> None:
        self._lines = {(what, lead): _Line() for what in ("load", "solar") for lead in LEADS_H}
        self._last = 0

    def expected(self, plan: Plan, expected: Expected) -> None:
        """Note what a plan expects of the quarters that lie one lead ahead of it."""
        now = int(plan.made_at.timestamp() // QUARTER_S)
        at = {
            int(slot.starts_at.timestamp() // QUARTER_S): n for n, slot in reversed([*enumerate(plan.slots)])
        }
        for (what, lead_h), line in self._lines.items():
            quarter = now + round(lead_h * 3600 / QUARTER_S)
            if (number := at.get(quarter)) is not None and (said := expected.said(what, number)) is not None:
                line.ahead.setdefault(quarter, said)

    def came(self, means: list[QuarterMean]) -> None:
        """Compare with quarters that have ended; those that were compared before are left out."""
        for mean in means:
            quarter = int(mean.utc.timestamp() // QUARTER_S)
            if quarter <= self._last:
                continue
            self._last = quarter
            for (what, _), line in self._lines.items():
                came_w = mean.load_w if what == "load" else mean.pv_w
                said = line.ahead.pop(quarter, None)
                if said is not None and came_w is not None:
                    line.score = line.score.after(judged([(said, came_w)]))
                line.ahead = {q: w for q, w in line.ahead.items() if q > quarter}

    def scores(self) -> tuple[api.Score, ...]:
        """Return one line per forecast and lead that enough is known of."""
        return tuple(
            _told(what, lead_h, line.score)
            for (what, lead_h), line in self._lines.items()
            if line.score.count > LEAST - 0.5
        )


def _told(what: str, lead_h: float, score: Score) -> api.Score:
    return api.Score(
        what,
        lead_h,
        round(score.count),
        round(score.bias, 1),
        round(score.mae, 1),
        round(score.mean, 1),
        round(score.pinball, 1),
        round(100 * score.coverage, 1) if score.doubtful else None,
    )
