"""Instants and durations of OpenADR 3, with its sentinels (reference/demand-response.md 1.5).

All arithmetic is clipped to ``NOW`` .. ``FOREVER``, so that no legal text can overflow a date.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.faults import Malformed

NOW = datetime.min.replace(tzinfo=UTC)
"""The start ``0001-01-01``: at once, provided that the duration reaches the present."""

FOREVER = datetime.max.replace(tzinfo=UTC)
"""The end of an infinite duration (``P9999Y``)."""

_INFINITE_MONTHS = 9999 * 12
_LONGEST_TEXT = 64
_NOW_DATES = ("0001-01-01", "0000-01-01", "0000-00-00")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=\d|T\d)(?:(?P<years>\d{1,9})Y)?(?:(?P<months>\d{1,9})M)?(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: calendar months, then exact time. Never negative."""

    months: int = 0
    exact: timedelta = timedelta()

    @property
    def endless(self) -> bool:
        """Tell whether this is the sentinel for infinity."""
        return self.months >= _INFINITE_MONTHS

    def __bool__(self) -> bool:
        """Tell whether any time passes."""
        return bool(self.months or self.exact)

    def after(self, instant: datetime) -> datetime:
        """Return the instant this long after ``instant``, at most ``FOREVER``."""
        if self.endless:
            return FOREVER
        year, month = divmod(instant.year * 12 + instant.month - 1 + self.months, 12)
        if year > FOREVER.year:
            return FOREVER
        day = min(instant.day, monthrange(year, month + 1)[1])
        return shifted(instant.replace(year=year, month=month + 1, day=day), self.exact)


def shifted(instant: datetime, by: timedelta) -> datetime:
    """Return ``instant + by``, clipped to ``NOW`` .. ``FOREVER``."""
    return instant + min(max(by, NOW - instant), FOREVER - instant)


def parse_instant(raw: object, where: str) -> datetime:
    """Return an instant in UTC, ``NOW`` for its sentinels. Raises Malformed, also for an instant without a zone."""
    if not isinstance(raw, str) or len(raw) > _LONGEST_TEXT:
        raise Malformed(f"{where}: expected a date and time")
    if raw.startswith(_NOW_DATES):
        return NOW
    if not (match := _RFC3339.fullmatch(raw)):
        raise Malformed(f"{where}: not an RFC 3339 date and time")
    if not match[3]:
        raise Malformed(f"{where}: a date and time without a zone cannot be placed")
    try:
        return datetime.fromisoformat(raw.upper()).astimezone(UTC)
    except ValueError, OverflowError:
        raise Malformed(f"{where}: no such date and time") from None


def parse_duration(raw: object, where: str) -> Duration:
    """Return an ISO 8601 duration; 9999 years and more are endless. Raises Malformed, also for a negative one."""
    match = _DURATION.fullmatch(raw) if isinstance(raw, str) and len(raw) <= _LONGEST_TEXT else None
    if match is None:
        raise Malformed(f"{where}: not an ISO 8601 duration")
    part = match.groupdict(default="0")
    months = int(part["years"]) * 12 + int(part["months"])
    days = int(part["weeks"]) * 7 + int(part["days"])
    try:
        exact = timedelta(
            days, hours=int(part["hours"]), minutes=int(part["minutes"]), seconds=float(part["seconds"])
        )
    except OverflowError:
        exact = timedelta.max
    if part["sign"] == "-" and (months or exact):
        raise Malformed(f"{where}: negative duration")
    if exact > FOREVER - NOW or months >= _INFINITE_MONTHS:
        return Duration(_INFINITE_MONTHS)
    return Duration(months, exact)


def instant_text(instant: datetime) -> str:
    """Return ``instant`` as RFC 3339 in UTC, ending in Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def duration_text(length: timedelta) -> str:
    """Return ``length`` as an ISO 8601 duration in seconds."""
    seconds = length.total_seconds()
    return f"PT{int(seconds)}S" if seconds == int(seconds) else f"PT{seconds:.3f}S"
