"""Series of the owner's own, from files: one record in quarter hours. Every gap is counted and told."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gateway.faults import Malformed, Refused, Unreachable
from gateway.planning.problem import Series
from gateway.year.record import DAY, PAST_DAYS, Record

COLUMNS = ("load_w", "pv_w", "spot_per_kwh", "import_per_kwh", "export_per_kwh", "carbon_g_per_kwh")
WANTED = f"the columns are starts_at and any of {', '.join(COLUMNS)}"
QUARTER = timedelta(minutes=15)
HELD = timedelta(hours=1)
"""So long a value holds at most, where the next is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the files hold, in quarters since ``starts_at``; NaN where nobody knows."""

    starts_at: datetime
    series: Mapping[str, Series]

    def gaps(self) -> dict[str, int]:
        """Return how many quarters of each series are missing."""
        return {name: int(np.isnan(values).sum()) for name, values in self.series.items()}


def read(paths: Iterable[Path]) -> Found:
    """Read CSV or Parquet files with a column ``starts_at`` (RFC 3339) and any of ``COLUMNS``; a folder means all in it.

    Raises Unreachable, Malformed, Refused.
    """
    points: dict[str, dict[datetime, float]] = {}
    for path in (file for each in paths for file in _files(each)):
        for number, row in enumerate(_rows(path), start=2):
            if "starts_at" not in row:
                raise Refused(f"{path.name}: no column starts_at; {WANTED}")
            moment = _moment(row["starts_at"], f"{path.name}, row {number}")
            for name in COLUMNS:
                if (value := _number(row.get(name), f"{path.name}, row {number}, {name}")) is not None:
                    points.setdefault(name, {})[moment] = value
    if not points:
        raise Refused(f"no data; {WANTED}")
    begin = min(min(series) for series in points.values())
    begin -= timedelta(seconds=begin.timestamp() % QUARTER.total_seconds())
    end = max(_end(series) for series in points.values())
    count = -int(-((end - begin) / QUARTER) // 1)
    return Found(begin, {name: _quarters(series, begin, count) for name, series in points.items()})


def record_of(found: Found, zone: ZoneInfo, days: int | None = None) -> Record:
    """Return the record with gaps filled by the day before; prices must be there. Raises Refused."""
    known = found.series
    bought = known.get("import_per_kwh", known.get("spot_per_kwh"))
    if bought is None or "load_w" not in known:
        raise Refused("the data lack load_w, or prices: spot_per_kwh or import_per_kwh")
    sold = known.get("export_per_kwh", known.get("spot_per_kwh", np.zeros_like(bought)))
    whole = len(bought) // DAY
    past = min(PAST_DAYS, max(7, whole // 8))
    if whole <= past:
        raise Refused(f"the data cover {whole} days; the first {past} of them teach the forecasts")
    end = (whole if days is None else min(whole, past + days)) * DAY
    carbon = known.get("carbon_g_per_kwh")
    return Record(
        found.starts_at,
        zone,
        filled(known["load_w"])[:end],
        filled(known.get("pv_w", np.zeros_like(bought)))[:end],
        filled(bought)[:end],
        filled(sold)[:end],
        None if carbon is None else carbon[:end],
        begin=past * DAY,
    )


def filled(series: Series) -> Series:
    """Return ``series`` with each missing quarter taken from the same time of the nearest day before, else after, else 0."""
    whole = series.copy()
    for at in np.flatnonzero(np.isnan(whole)):
        before = whole[at - DAY] if at >= DAY else np.nan
        later = series[at % DAY :: DAY]
        known = later[~np.isnan(later)]
        whole[at] = before if isfinite(before) else (known[0] if len(known) else 0.0)
    return whole


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix in (".csv", ".parquet"))


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError:
            raise Refused(f"{path}: Parquet needs pyarrow; CSV needs nothing") from None
        try:
            rows: list[Mapping[str, Any]] = parquet.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise Unreachable(f"{path}: {error}") from None
        return rows
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unreachable(f"{path}: {error}") from None


def _moment(value: Any, where: str) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise Malformed(f"{where}: starts_at {value!r} is no time; write 2024-01-01T00:00:00+01:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _number(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except TypeError, ValueError:
        raise Malformed(f"{where}: {value!r} is no number") from None
    return number if isfinite(number) else None


def _end(points: Mapping[datetime, float]) -> datetime:
    """Return until when the last value holds: as long as the one before it."""
    *_, before, last = (min(points) - QUARTER, *sorted(points))
    return last + min(HELD, last - before)


def _quarters(points: Mapping[datetime, float], begin: datetime, count: int) -> Series:
    """Return the mean of what falls into each quarter; a value holds until the next, an hour at most."""
    ordered = sorted(points.items())
    sums, seen = np.zeros(count), np.zeros(count)
    held = np.full(count, np.nan)
    for (moment, value), following in zip(ordered, [*ordered[1:], None], strict=True):
        first = int((moment - begin) / QUARTER)
        until = min(moment + HELD, following[0] if following else moment + HELD)
        end = max(first + 1, -int(-((until - begin) / QUARTER) // 1))
        sums[first : first + 1] += value
        seen[first : first + 1] += 1
        held[first:end] = value
    return np.where(seen > 0, sums / np.maximum(seen, 1), held)
