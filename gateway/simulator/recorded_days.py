"""Recorded load, PV and prices, moved to today's clock. Origin and licences: ``data/README.md``."""

import csv
import io
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from random import Random

SEASONS = ("spring", "summer", "autumn", "winter")
DAYS = 4
DAY_S = 86_400.0
_QUARTER_S = 900.0

# What the supplier and the state add to the day-ahead price, and what the supplier keeps of what is fed in.
MARKUP_PER_KWH = 0.02
ENERGY_TAX_PER_KWH = 0.11
VAT = 1.21
FEED_IN_FEE_PER_KWH = 0.01


def _rows(name: str, season: str) -> list[dict[str, str]]:
    text = (files("gateway.simulator") / "data" / name).read_text(encoding="utf-8")
    return [row for row in csv.DictReader(io.StringIO(text)) if row["season"] == season]


@dataclass(frozen=True, slots=True)
class RecordedDays:
    """Four days of one season as the means of quarter hours, in W; they start again after the last."""

    load_w: tuple[float, ...]
    pv_w: tuple[float, ...]

    @classmethod
    def of(cls, season: str) -> RecordedDays:
        """Read the days of ``season``, one of SEASONS."""
        rows = _rows("household_15min.csv", season)
        return cls(tuple(float(r["load_w"]) for r in rows), tuple(float(r["pv_w"]) for r in rows))

    def at(self, second: float) -> tuple[float, float]:
        """Return (load, PV) in W at ``second`` since the first midnight, interpolated between the quarters' middles."""
        place = second / _QUARTER_S - 0.5
        before = int(place // 1)
        part = place - before
        here, there = before % len(self.load_w), (before + 1) % len(self.load_w)
        return (
            self.load_w[here] + part * (self.load_w[there] - self.load_w[here]),
            self.pv_w[here] + part * (self.pv_w[there] - self.pv_w[here]),
        )


class Appliances:
    """A fridge and a kettle on top of the recorded quarter hours, the same for the same seed."""

    fridge_w = 95.0
    kettle_w = 1900.0
    _fridge_period_s = 2700.0
    _fridge_on_s = 900.0

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._hour = -1
        self._kettle: tuple[float, float] = (0.0, 0.0)

    def at(self, second: float) -> tuple[float, float]:
        """Return (fridge, kettle) in W; the fridge swings around zero, since the record holds its mean already."""
        on = second % self._fridge_period_s < self._fridge_on_s
        mean_w = self.fridge_w * self._fridge_on_s / self._fridge_period_s
        hour = int(second // 3600)
        if hour != self._hour:
            self._hour = hour
            self._kettle = self._boiling(hour)
        boiling = self._kettle[0] <= second < self._kettle[1]
        return (self.fridge_w - mean_w if on else -mean_w, self.kettle_w if boiling else 0.0)

    def _boiling(self, hour: int) -> tuple[float, float]:
        chance = Random(self._seed * 100_003 + hour)
        if not 6 <= hour % 24 <= 22 or chance.random() > 0.45:
            return (0.0, 0.0)
        starts_at = hour * 3600.0 + chance.uniform(60.0, 3300.0)
        return (starts_at, starts_at + chance.uniform(90.0, 200.0))


def price_table(season: str, now: datetime) -> str:
    """Return prices.csv, hourly from yesterday to the day after tomorrow of ``now``, an aware local time."""
    recorded = {
        (int(r["day"]), int(r["hour"])): float(r["eur_per_mwh"]) for r in _rows("dayahead_hourly.csv", season)
    }
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    midnights = [(midnight + timedelta(days=n)).astimezone(UTC) for n in range(-1, DAYS)]
    lines = ["starts_at,import_per_kwh,export_per_kwh"]
    starts_at = midnights[0]
    while starts_at < midnights[-1]:
        day = bisect_right(midnights, starts_at) - 1
        hour = starts_at.astimezone(now.tzinfo).hour
        spot = recorded[day, hour] / 1000.0
        imported = (spot + MARKUP_PER_KWH + ENERGY_TAX_PER_KWH) * VAT
        lines.append(f"{starts_at:%Y-%m-%dT%H:%M:%SZ},{imported:.5f},{spot - FEED_IN_FEE_PER_KWH:.5f}")
        starts_at += timedelta(hours=1)
    return "\n".join(lines) + "\n"
