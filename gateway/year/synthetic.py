"""A made-up year for who has no data of the own: household, roof and market by their statistics, the same for the same seed.

Statistics of 2016-2024 in the Netherlands and Germany, rounded: a household's morning and evening, 30 % more in winter,
gusts of a log-normal spread; a roof under clouds that last for days; a market with two peaks a day, a dip at noon
in summer, wind that stays for two days, and negative hours in sunny spring.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gateway.planning.problem import Series
from gateway.year.record import DAY, PAST_DAYS, Record

_LOAD = (
    0.55,
    0.5,
    0.48,
    0.47,
    0.48,
    0.55,
    0.8,
    1.05,
    1.05,
    1.0,
    0.95,
    1.0,
    1.1,
    1.05,
    0.95,
    0.95,
    1.1,
    1.5,
    1.85,
    1.8,
    1.6,
    1.4,
    1.1,
    0.75,
)
_MARKET = (-14, -17, -19, -20, -18, -10, 4, 16, 18, 8, 0, -5, -8, -10, -8, -2, 6, 20, 34, 32, 20, 10, 2, -7)
"""Per hour of the local day: load as a share of its mean, price around its mean in EUR/MWh."""


@dataclass(frozen=True, slots=True)
class Household:
    """What is made up."""

    load_kwh: float = 3600.0
    pv_kwp: float = 5.0
    latitude: float = 52.0
    zone: str = "Europe/Amsterdam"
    year: int = 2025


def spot(
    days: int, zone: ZoneInfo, starts_at: datetime, clear: Series, chance: np.random.Generator
) -> Series:
    """Return a day-ahead price per kWh for each quarter: the day's shape, wind, season, and the sun of all roofs."""
    hours = np.arange(days * 24)
    local = np.array([(starts_at + timedelta(hours=int(h))).astimezone(zone).hour for h in hours])
    day = hours / 24 + starts_at.timetuple().tm_yday
    season = 18 * np.cos(2 * np.pi * (day - 15) / 365)
    wind = _lasting(len(hours), 36, chance) * 24
    roofs = clear.reshape(-1, 4).mean(1) * 95
    mean = (
        85
        + season
        + np.take(_MARKET, local) * (1 + 0.2 * np.cos(2 * np.pi * (day - 15) / 365))
        + wind
        - roofs
    )
    gusts = chance.normal(0, 5, len(hours))
    return np.repeat((mean + gusts) / 1000, 4)


def year(days: int, household: Household, seed: int = 1) -> Record:
    """Return ``days`` of simulation from the first of January, and the weeks before them; prices are the spot ones."""
    chance, zone = np.random.default_rng(seed), ZoneInfo(household.zone)
    begins = datetime(household.year, 1, 1, tzinfo=zone).astimezone(UTC)
    starts_at = begins - timedelta(days=PAST_DAYS)
    total = days + PAST_DAYS
    quarters = np.arange(float(total * DAY))
    clear, cloudy = _sun(quarters, starts_at, household.latitude, chance)
    market = spot(total, zone, starts_at, clear * cloudy, chance)
    load_w = _load(quarters, starts_at, zone, household, chance)
    return Record(
        starts_at,
        zone,
        load_w,
        household.pv_kwp * 850 * clear * cloudy,
        market,
        market,
        begin=PAST_DAYS * DAY,
    )


def _load(
    quarters: Series, starts_at: datetime, zone: ZoneInfo, household: Household, chance: np.random.Generator
) -> Series:
    local = [(starts_at + timedelta(hours=int(h))).astimezone(zone) for h in range(len(quarters) // 4)]
    shape = np.repeat(np.take(_LOAD, [at.hour for at in local]), 4)
    weekend = np.repeat([1.08 if at.weekday() > 4 else 0.97 for at in local], 4)
    season = 1 + 0.3 * np.cos(2 * np.pi * (quarters / DAY + starts_at.timetuple().tm_yday - 15) / 365)
    of_day = np.repeat(np.exp(chance.normal(0, 0.18, len(quarters) // DAY)), DAY)
    gusts = np.exp(_lasting(len(quarters), 2, chance) * 0.5 - 0.125)
    mean_w = household.load_kwh * 1000 / 8760
    return np.asarray(mean_w * shape * weekend * season * of_day * gusts, float)


def _sun(
    quarters: Series, starts_at: datetime, latitude: float, chance: np.random.Generator
) -> tuple[Series, Series]:
    """Return the sine of the sun's height, and how much the clouds leave of it."""
    hour = starts_at.hour + starts_at.minute / 60 + quarters / 4
    day = starts_at.timetuple().tm_yday + hour / 24
    tilt, place = np.radians(-23.4 * np.cos(2 * np.pi * (day + 10) / 365)), np.radians(latitude)
    turned = np.radians(15 * ((hour + 5 / 15) % 24 - 12))
    height = np.sin(place) * np.sin(tilt) + np.cos(place) * np.cos(tilt) * np.cos(turned)
    days = _lasting(len(quarters) // DAY, 2, chance)
    weather = np.repeat(1 / (1 + np.exp(-(0.2 + 1.3 * days))), DAY)
    passing = np.clip(1 + 0.25 * _lasting(len(quarters), 4, chance), 0.2, 1.15)
    return np.maximum(height, 0.0), np.clip(weather * passing, 0.05, 1.0)


def _lasting(count: int, steps: float, chance: np.random.Generator) -> Series:
    """Return noise of unit spread that is forgotten over so many steps."""
    kept = float(np.exp(-1 / steps))
    fresh = chance.normal(0, np.sqrt(1 - kept**2), count)
    value, out = float(chance.normal()), np.empty(count)
    for at in range(count):
        value = kept * value + fresh[at]
        out[at] = value
    return out
