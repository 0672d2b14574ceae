"""Pure: how good a forecast was, told by what came; running figures, of which recent weeks count most.

Knows no numpy, as the services that score what runs do without it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

FADES = 28.0 * 96.0
"""After so many scored values an old one counts a third."""
QUANTILES = (0.1, 0.5, 0.9)

type Said = tuple[float, float, float]
"""P10, P50 and P90 of one value."""


@dataclass(frozen=True, slots=True)
class Score:
    """Running means over ``count`` values: of |error|, of error (a forecast above what came is positive), of what came, and of
    the pinball loss at P10, P50 and P90, all in W. ``coverage`` is how often it came between P10 and P90, of the ``doubtful``
    values whose band was open; one without width, as a night's sun, says nothing of how good the bands are.
    """

    count: float = 0.0
    mae: float = 0.0
    bias: float = 0.0
    mean: float = 0.0
    pinball: float = 0.0
    doubtful: float = 0.0
    coverage: float = 0.0

    def after(self, other: Score, fades: float = FADES) -> Score:
        """Return the running score with ``other`` newly come."""
        kept = math.exp(-other.count / fades)

        def mean(name: str, weight: str) -> float:
            old, new = kept * getattr(self, weight), getattr(other, weight)
            return float(old * getattr(self, name) + new * getattr(other, name)) / ((old + new) or 1.0)

        return Score(
            count=kept * self.count + other.count,
            mae=mean("mae", "count"),
            bias=mean("bias", "count"),
            mean=mean("mean", "count"),
            pinball=mean("pinball", "count"),
            doubtful=kept * self.doubtful + other.doubtful,
            coverage=mean("coverage", "doubtful"),
        )


def judged(pairs: Iterable[tuple[Said, float]]) -> Score:
    """Return the score of what was said, each beside what came."""
    known = list(pairs)
    if not known:
        return Score()
    count = len(known)
    errors = [middle - came for (_, middle, _), came in known]
    losses = [pinball(q, f, came) for said, came in known for q, f in zip(QUANTILES, said, strict=True)]
    inside = [low <= came <= high for (low, _, high), came in known if high > low]
    return Score(
        count=float(count),
        mae=sum(map(abs, errors)) / count,
        bias=sum(errors) / count,
        mean=sum(came for _, came in known) / count,
        pinball=sum(losses) / len(losses),
        doubtful=float(len(inside)),
        coverage=sum(inside) / len(inside) if inside else 0.0,
    )


def pinball(share: float, forecast: float, came: float) -> float:
    """Return the pinball loss of a forecast of the quantile ``share``."""
    return max((1.0 - share) * (forecast - came), share * (came - forecast))
