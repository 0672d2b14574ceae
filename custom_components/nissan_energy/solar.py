"""Solar forecasts as Home Assistant's integrations tell them → the gateway's slots. Plain: no Home Assistant in it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

LONGEST = timedelta(hours=1)
DETAILS = ("detailedForecast", "detailed_forecast", "detailedHourly", "forecast")
"""Lists of {period_start, pv_estimate, pv_estimate10, pv_estimate90} in kW (Solcast)."""
WATTS = ("watts",)
"""Power in W by the time at which it begins (Open-Meteo)."""
ENERGIES = ("wh_hours", "wh_period")
"""Energy in Wh by the time at which it begins (energy dashboard, Forecast.Solar, Open-Meteo)."""


def solar_slots(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the slots of the first list that is understood, [] where none is. Raises ValueError for a broken one."""
    for key in DETAILS:
        if isinstance(told.get(key), list) and told[key] and "period_start" in told[key][0]:
            return _details(told[key])
    for key in WATTS:
        if isinstance(told.get(key), Mapping) and told[key]:
            return _series(told[key], energy=False)
    for key in ENERGIES:
        if isinstance(told.get(key), Mapping) and told[key]:
            return _series(told[key], energy=True)
    return []


def joined(roofs: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the sum of several roofs, in steps of the finest, where all of them are known."""
    if len(roofs) < 2:
        return roofs[0] if roofs else []
    edges = sorted({s[k] for roof in roofs for s in roof for k in ("starts_at", "ends_at")}, key=_moment)
    sums = []
    for begin, end in pairwise(edges):
        parts = [next((s for s in roof if _holds(s, begin)), None) for roof in roofs]
        known = [p for p in parts if p is not None]
        if len(known) == len(roofs):
            sums.append({"starts_at": begin, "ends_at": end} | _sum(known))
    return sums


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    quantiles = [k for k in ("p10", "p90") if all(k in p for p in parts)]
    return {k: sum(p[k] for p in parts) for k in ("value", *quantiles)}


def _holds(slot: Mapping[str, Any], moment: str) -> bool:
    return bool(_moment(slot["starts_at"]) <= _moment(moment) < _moment(slot["ends_at"]))


def _details(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    points = sorted(((_utc(r["period_start"]), r) for r in rows), key=lambda p: p[0])
    slots = []
    for (begin, row), end in zip(points, _ends([p[0] for p in points]), strict=True):
        slot = _slot(begin, end, 1000 * float(row["pv_estimate"]))
        for key, quantile in (("p10", "pv_estimate10"), ("p90", "pv_estimate90")):
            if row.get(quantile) is not None:
                slot[key] = max(0.0, 1000 * float(row[quantile]))
        slots.append(slot)
    return slots


def _series(values: Mapping[Any, Any], *, energy: bool) -> list[dict[str, Any]]:
    points = sorted((_utc(begin), float(value)) for begin, value in values.items())
    slots = []
    for (begin, value), end in zip(points, _ends([p[0] for p in points]), strict=True):
        hours = (end - begin).total_seconds() / 3600
        slots.append(_slot(begin, end, value / hours if energy else value))
    return slots


def _ends(begins: Sequence[datetime]) -> list[datetime]:
    """Each slot lasts until the next, an hour at most; the last as long as the one before it."""
    ends = [min(later, begin + LONGEST) for begin, later in pairwise(begins)]
    last = ends[-1] - begins[-2] if ends else LONGEST
    return [*ends, begins[-1] + last] if begins else []


def _slot(begin: datetime, end: datetime, power_w: float) -> dict[str, Any]:
    return {"starts_at": begin.isoformat(), "ends_at": end.isoformat(), "value": max(0.0, power_w)}


def _utc(moment: Any) -> datetime:
    read = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    if read.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return read.astimezone(UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
