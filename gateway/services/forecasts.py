"""Forecasts that clients hand in: kept over a restart, forgotten when they are long past."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from gateway.api.access import write_private
from gateway.faults import ConfigError
from gateway.model import PriceSlot, ToldSlot, ToldTrip

LOGGER = logging.getLogger(__name__)

KEPT = {"prices": timedelta(days=28), "solar": timedelta(days=28)}
"""Past prices make the guess of those to come; a solar forecast is corrected by how wrong it was."""
MOST_PAST, MOST_SLOTS, MOST_TRIPS = 28 * 96, 4 * 288, 2000


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

    def put(self, kind: str, told: Sequence[PriceSlot | ToldSlot | ToldTrip]) -> bool:
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


def _merged(old: Sequence[Any], new: Sequence[Any], utc: datetime, kind: str) -> tuple[Any, ...]:
    """Lay ``new`` over ``old``: prices keep what lies outside, announced trips are replaced as a whole, series from their start.

    Of the sun that came, only what was told before it came stays.
    """
    if kind == "trips":
        return tuple(sorted(new, key=lambda t: (t.leaves_at, t.device)))[:MOST_TRIPS]
    if kind == "solar":
        new = [s for s in new if s.ends_at > utc]
    if not new:
        return tuple(s for s in old if s.ends_at <= utc) if kind == "solar" else ()
    begin, end = min(s.starts_at for s in new), max(s.ends_at for s in new)
    kept = [s for s in old if s.ends_at <= begin or (kind == "prices" and s.starts_at >= end)]
    oldest, most = utc - KEPT.get(kind, timedelta(0)), MOST_SLOTS + (MOST_PAST if kind in KEPT else 0)
    slots = sorted((s for s in (*kept, *new) if s.ends_at > oldest), key=lambda s: s.starts_at)
    return tuple(slots[-most:])
