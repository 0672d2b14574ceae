"""Price series from a file: one validated, ordered series of slots; what cannot be read is said, never guessed."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from math import isfinite
from pathlib import Path

from gateway.faults import Malformed, Unreachable
from gateway.model import PriceSlot

LONGEST_SLOT = timedelta(hours=1)


def read_prices(path: Path) -> tuple[PriceSlot, ...]:
    """Read a CSV with the columns starts_at (RFC 3339), import_per_kwh, export_per_kwh. Raises Unreachable, Malformed."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return parse_prices(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unreachable(f"{path}: {error}") from None


def parse_prices(rows: Iterable[dict[str, str]]) -> tuple[PriceSlot, ...]:
    """Return slots in order; each lasts until the next begins, as ``slots_of`` says. Raises Malformed naming the row."""
    points: list[tuple[datetime, float, float]] = []
    for number, row in enumerate(rows, start=2):
        try:
            starts_at = datetime.fromisoformat(row["starts_at"])
            bought, sold = float(row["import_per_kwh"]), float(row["export_per_kwh"])
            _ = starts_at.astimezone(UTC) + LONGEST_SLOT
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise Malformed(f"prices, line {number}: {error!r}") from None
        if starts_at.tzinfo is None or not (isfinite(bought) and isfinite(sold)):
            raise Malformed(f"prices, line {number}: a time without zone or a price that is no number")
        points.append((starts_at, bought, sold))
    return slots_of((at, None, bought, sold) for at, bought, sold in points)


def slots_of(points: Iterable[tuple[datetime, datetime | None, float, float]]) -> tuple[PriceSlot, ...]:
    """Return slots in order of (begins, ends or None, import, export), none over another.

    Each ends where the next begins. Without an end it lasts an hour at most; the last before a gap as long as the one before it.
    Of two that begin together the later given holds.
    """
    by_start = {point[0].astimezone(UTC): point for point in points}
    ordered = [by_start[at] for at in sorted(by_start)]
    slots: list[PriceSlot] = []
    for (starts_at, ends_at, bought, sold), following in zip_longest(ordered, ordered[1:]):
        end = starts_at + LONGEST_SLOT if ends_at is None else ends_at
        if following is not None and following[0] <= end:
            end = following[0]
        elif ends_at is None and slots and slots[-1].ends_at == starts_at:
            end = starts_at + (starts_at - slots[-1].starts_at)
        slots.append(PriceSlot(starts_at, end, bought, sold))
    return tuple(slots)
