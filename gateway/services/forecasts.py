"""Forecasts that clients hand in: kept over a restart, forgotten when they are long past."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gateway.api.access import write_private
from gateway.faults import ConfigError
from gateway.model import PriceSlot
from gateway.planning.question import ToldSlot, ToldTrip

LOGGER = logging.getLogger(__name__)

PRICES_KEPT = timedelta(days=28)
"""Past prices make the guess of those to come."""
MOST_PRICES, MOST_SLOTS, MOST_TRIPS = 28 * 96 + 4 * 96, 4 * 288, 2000


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that was handed in."""

    prices: tuple[PriceSlot, ...] = ()
    solar: tuple[ToldSlot, ...] = ()
    load: tuple[ToldSlot, ...] = ()
    carbon: tuple[ToldSlot, ...] = ()
    trips: tuple[ToldTrip, ...] = ()


class Forecasts:
    """One JSON file. ``version`` grows whenever a forecast other than of prices changes; those go to ``Prices``."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self.version = 0
        self.told = self._load()

    def put(
        self, kind: str, told: tuple[PriceSlot, ...] | tuple[ToldSlot, ...] | tuple[ToldTrip, ...]
    ) -> bool:
        """Replace what was told of ``kind`` (a field of Told) from its first moment on; return whether that changed anything."""
        merged = _merged(getattr(self.told, kind), told, self._clock(), kind)
        if merged == getattr(self.told, kind):
            return False
        self.told = replace(self.told, **{kind: merged})
        self.version += kind != "prices"
        try:
            write_private(self._path, msgspec.json.encode(self.told))
        except ConfigError as error:
            LOGGER.warning("forecasts hold until the next restart only: %s", error)
        return True

    def _load(self) -> Told:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Told)
        except FileNotFoundError:
            return Told()
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            LOGGER.warning("%s: %s; forgotten", self._path.name, error)
            with contextlib.suppress(OSError):
                self._path.unlink()
            return Told()


def _merged(old: Iterable, new: Iterable, utc: datetime, kind: str) -> tuple:  # type: ignore[type-arg]
    """Lay ``new`` over ``old``: prices keep their past, announced trips are replaced as a whole, the rest keeps what came before."""
    if kind == "trips":
        return tuple(sorted(new, key=lambda t: (t.leaves_at, t.device)))[:MOST_TRIPS]
    ordered = sorted(new, key=lambda s: s.starts_at)
    oldest = utc - (PRICES_KEPT if kind == "prices" else timedelta(0))
    begin = ordered[0].starts_at if ordered else utc
    end = max((s.ends_at for s in ordered), default=None)
    kept = [
        s for s in old if s.starts_at < begin or (kind == "prices" and end is not None and s.starts_at >= end)
    ]
    slots = [s for s in (*kept, *ordered) if s.ends_at > oldest]
    slots.sort(key=lambda s: s.starts_at)
    return tuple(slots[-(MOST_PRICES if kind == "prices" else MOST_SLOTS) :])
