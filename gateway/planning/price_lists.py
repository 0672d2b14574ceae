"""Pure: price lists as Home Assistant's integrations and suppliers write them → slots. Tolerant of names and wrapping, not of
values: what cannot be a time or a price is refused with its place.

Understood: Nord Pool (raw_today, raw_tomorrow; start, end, value), Octopus (valid_from, valid_to, value_inc_vat), Tibber
(startsAt, total), Energi Data Service (HourUTC, SpotPriceDKK), EPEX Spot, ENTSO-E, aWATTar, evcc, and any list of {start, value}.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from typing import Any

from gateway.faults import Malformed
from gateway.model import PriceSlot
from gateway.planning.prices import slots_of

STARTS = (
    "start", "starts_at", "startsAt", "start_time", "valid_from", "HourUTC", "TimeUTC", "start_timestamp", "hour", "time", "from",
    "datetime",
)  # fmt: skip
ENDS = ("end", "ends_at", "endsAt", "end_time", "valid_to", "end_timestamp", "till", "to")
PRICES = {
    "import_per_kwh": 1.0, "total": 1.0, "value_inc_vat": 1.0, "price_per_kwh": 1.0, "value": 1.0, "price": 1.0,
    "SpotPriceEUR": 1000.0, "SpotPriceDKK": 1000.0, "DayAheadPriceEUR": 1000.0, "DayAheadPriceDKK": 1000.0,
    "marketprice": 1000.0, "price_eur_per_mwh": 1000.0,
}  # fmt: skip
"""A key of a price, the first that an entry has, and what it is divided by to be per kWh."""
SOLD = ("export_per_kwh", "export", "feed_in")
UNITS = ("unit_of_measurement", "unit", "price_unit")
HUNDREDTHS = ("ct", "c", "cent", "cents", "p", "pence", "øre", "öre", "ore", "gr", "snt")
MOST_PER_KWH = 1000.0
LONGEST = timedelta(days=366)
DEEPEST, MOST = 12, 20_000


def understood(payload: object, zone: tzinfo = UTC, currency: str = "EUR") -> tuple[PriceSlot, ...]:
    """Return the slots of all lists of prices inside ``payload`` (decoded JSON); export earns 0 where a list does not say it.

    A price of null is a gap. A time without a zone is one of ``zone``'s clock, in the order given where it shows an hour twice.
    Raises Malformed, with the place.
    """
    entries = list(_entries(payload, "prices", 1.0, 0))
    if not entries:
        raise Malformed("prices: no list of {start, value} in it")
    if len(entries) > MOST:
        raise Malformed(f"prices: {len(entries)} entries; at most {MOST} are read")
    points: list[tuple[datetime, datetime | None, float, float]] = []
    for entry, where, divisor in entries:
        after = points[-1][0] if points else None
        if (point := _point(entry, where, divisor, zone, currency, after)) is not None:
            points.append(point)
    return slots_of(points)


def _entries(
    part: object, where: str, divisor: float, depth: int
) -> Iterator[tuple[Mapping[str, Any], str, float]]:
    """Yield what has a beginning, with its place and the divisor of the unit that is told nearest to it."""
    if depth > DEEPEST:
        return
    if isinstance(part, Mapping):
        if any(key in part for key in STARTS) and any(key in part for key in PRICES):
            yield part, where, _unit(part, divisor)
            return
        divisor = _unit(
            part, 100.0 if "results" in part else divisor
        )  # Octopus' own interface counts in pence
        for key, inner in part.items():
            yield from _entries(inner, f"{where}.{key}", divisor, depth + 1)
    elif isinstance(part, Sequence) and not isinstance(part, str | bytes):
        for number, inner in enumerate(part):
            yield from _entries(inner, f"{where}[{number}]", divisor, depth + 1)


def _unit(part: Mapping[str, Any], divisor: float) -> float:
    for key in UNITS:
        if isinstance(unit := part.get(key), str):
            money, _, energy = unit.strip().lower().partition("/")
            if energy or money in ("kwh", "mwh", "wh"):
                per = (energy or money).strip()
                cents = 100.0 if money.strip() in HUNDREDTHS or part.get("price_in_cents") is True else 1.0
                return cents * {"mwh": 1000.0, "wh": 0.001}.get(per, 1.0)
    return divisor


def _point(
    entry: Mapping[str, Any], where: str, divisor: float, zone: tzinfo, currency: str, after: datetime | None
) -> tuple[datetime, datetime | None, float, float] | None:
    start = next(key for key in STARTS if key in entry)
    found = [key for key in PRICES if key in entry]
    price = next((key for key in found if key.endswith(currency)), found[0])
    if entry[price] is None:
        return None
    per_kwh = _number(entry[price], f"{where}.{price}", max(divisor, PRICES[price]))
    sold = next((_number(entry[k], f"{where}.{k}", divisor) for k in SOLD if entry.get(k) is not None), 0.0)
    clock = UTC if start.endswith("UTC") else zone
    begins = _time(entry[start], f"{where}.{start}", clock, after)
    end = next((key for key in ENDS if entry.get(key) is not None), "")
    ends = _time(entry[end], f"{where}.{end}", clock, begins) if end else None
    if ends is not None and not begins < ends <= begins + LONGEST:
        raise Malformed(f"{where}.{end}: {entry[end]!r} is not after {entry[start]!r}")
    return begins, ends, per_kwh, sold


def _number(value: object, where: str, divisor: float) -> float:
    try:
        number = float(value) / divisor if isinstance(value, int | float | str) else float("nan")
    except ValueError, OverflowError:
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number) or abs(number) > MOST_PER_KWH:
        raise Malformed(f"{where}: {value!r} is no price")
    return number


def _time(value: object, where: str, zone: tzinfo, after: datetime | None) -> datetime:
    """Read RFC 3339, or seconds or milliseconds since 1970; by a clock that shows an hour twice, the one ``after`` another."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            at = datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, UTC)
        else:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
            if after is not None and at.astimezone(UTC) <= after:
                at = at.replace(fold=1)
        at = at.astimezone(UTC)
        _ = at + LONGEST
    except ValueError, OverflowError, OSError:
        raise Malformed(f"{where}: {value!r} is no time") from None
    return at
