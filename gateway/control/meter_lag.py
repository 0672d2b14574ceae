"""Pure: how old the grid meter's values are when they are read, found by where the site's own moves show up in them.

With the true lag, grid power minus the known powers is the house alone, which does not move when the devices do. With
any other lag each move of a device shows up twice, once too early and once too late. So the lag with the least movement left
is the true one. A lag is refuted the moment that a move is not seen, so even the first move is not answered twice.
"""

from dataclasses import dataclass

from gateway.control.known_power import Known

LAG_STEP_S = 0.2
LAGS_S = tuple(round(n * LAG_STEP_S, 1) for n in range(-2, 76))
NO_LAG = 2
FADE = 0.995
MOVE_W = 80.0
"""Moves that differ by less between two lags tell nothing."""
SURE_W2 = 250.0**2
BETTER = 0.1
"""Part of the evidence by which another lag must be better."""


@dataclass(frozen=True, slots=True)
class MeterLag:
    """``errors_w2`` is the movement left with each lag, fading; ``seen_w`` what was known at each of them last time."""

    place: int = NO_LAG
    errors_w2: tuple[float, ...] = (0.0,) * len(LAGS_S)
    seen_w: tuple[float, ...] = ()
    house_w: float = 0.0

    @property
    def lag_s(self) -> float:
        """Return the lag that explains the meter best."""
        return LAGS_S[self.place]


def follow(previous: MeterLag, at: float, house_w: float, known: Known) -> MeterLag:
    """Return the lag after a grid sample; ``house_w`` is what it shows and the sun gives together."""
    seen_w = tuple(known.total_w(at - lag) for lag in LAGS_S)
    if not previous.seen_w:
        return MeterLag(previous.place, previous.errors_w2, seen_w, house_w)
    moves_w = [new - old for new, old in zip(seen_w, previous.seen_w, strict=True)]
    if max(moves_w) - min(moves_w) < MOVE_W:
        return MeterLag(previous.place, previous.errors_w2, seen_w, house_w)
    moved_w = house_w - previous.house_w
    errors = [e * FADE + (moved_w - m) ** 2 for e, m in zip(previous.errors_w2, moves_w, strict=True)]
    least = min(errors)
    errors = [e - least for e in errors]
    place, margin = previous.place, SURE_W2 + BETTER * sorted(errors)[len(errors) // 2]
    if errors[place] > margin:
        place = _middle(errors, SURE_W2)
    return MeterLag(place, tuple(errors), seen_w, house_w)


def _middle(errors: list[float], sure_w2: float) -> int:
    """Return the shortest of the lags that are as good as the best."""
    return next(n for n, e in enumerate(errors) if (n >= NO_LAG and e <= sure_w2) or e == 0.0)
