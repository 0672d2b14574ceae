"""`scripts/bench forecasts`: how wrong the forecasts of load, sun, prices, carbon and driving are on recorded years, beside persistence."""

import argparse
import sys
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq

from gateway.model import Trip
from gateway.planning.driving import habits
from gateway.planning.forecast import History, load, pv
from gateway.planning.forecast.gaps import filled
from gateway.planning.forecast.history import DAY, QUARTER_S, quarter_of
from gateway.planning.problem import Band
from gateway.planning.scores import Score, judged

from .page import put_section

DATA = Path(__file__).parents[2] / "../shared/data/energy"
PAGE = Path("docs/planning_forecasts.md")
LOADS = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L", "G0-A", "G3-A")
SUNS = ("PV1", "PV5", "PV7")
MEAN_W = 500.0
"""Of each series, which are recorded as shares of their peak."""
TWO_DAYS = np.full(192, 0.25)
LEADS_H = (1, 6, 24, 48)
"""1 h is the quarters up to 1 h ahead, 6 h those from there up to 6 h, and so on."""
YEAR_2016 = datetime(2016, 1, 1, tzinfo=UTC)
PANDEMIC = datetime(2020, 3, 1)
"""From then on the drivers stayed at home for months."""
AMSTERDAM = ZoneInfo("Europe/Amsterdam")

type Forecast = Callable[[History, datetime], Band]
type Row = dict[str, float]


def options(group: Any) -> None:
    """Add what this bench can be told."""
    group.add_argument(
        "--every",
        type=int,
        default=5,
        help="forecasts: days between two of them, no multiple of 7 (default: 5)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; with --docs write the page."""
    every = max(1, arguments.every)
    figures: dict[str, Any] = {}
    columns = pq.read_table(DATA / "simbench_profiles_15min_2016.parquet", columns=[*LOADS, *SUNS])
    for name in (*LOADS, *SUNS):
        print(f"{name} …", file=sys.stderr)
        values = np.array(columns[name], np.float64)
        forecast: Forecast = _load if name in LOADS else _pv
        scores = power_errors(values / values.mean() * MEAN_W, forecast, every)
        figures[name] = {span: _row(of_span) for span, of_span in scores.items()}
    figures["prices"] = {str(year): price_errors(year, every) for year in (2019, 2023, 2024)}
    figures["carbon"] = {name: carbon_errors(name) for name in ("de", "nl")}
    figures["driving"] = driving_errors()
    figures["call_ms"] = {"load": _least_ms(columns, "H0-A", _load), "pv": _least_ms(columns, "PV1", _pv)}
    if arguments.docs:
        put_section(PAGE, "## Measured errors", document(figures, every))
    return {"forecasts": figures}


def _load(history: History, at: datetime) -> Band:
    return load(history, at, TWO_DAYS, UTC)


def _pv(history: History, at: datetime) -> Band:
    return pv(history, at, TWO_DAYS)


def power_errors(w: np.ndarray, forecast: Forecast, every: int) -> dict[str, dict[str, Score]]:
    """Score forecasts issued all round the clock from March on, and persistence, per lead time."""
    scores: dict[str, dict[str, Score]] = {}
    for now in _issues(len(w), every):
        at, truth = YEAR_2016 + timedelta(seconds=now * QUARTER_S), w[now : now + 192].tolist()
        said = {
            "yesterday": Band.sure(np.tile(w[now - DAY : now], 2)),
            "week": Band.sure(w[now - 7 * DAY : now - 5 * DAY]),
            "ours": forecast(History(YEAR_2016, QUARTER_S, w[:now]), at),
        }
        for name, band in said.items():
            pairs = list(
                zip(
                    zip(*(q.tolist() for q in (band.p10, band.p50, band.p90)), strict=True),
                    truth,
                    strict=True,
                )
            )
            for begin_h, lead_h in pairwise((0, *LEADS_H)):
                rows = scores.setdefault(f"{lead_h} h", {})
                score = judged(pairs[4 * begin_h : 4 * lead_h])
                rows[name] = rows.get(name, Score()).after(score, fades=np.inf)
    return scores


def _issues(quarters: int, every: int) -> Iterator[int]:
    for day in range(60, quarters // DAY - 2, every):
        for quarter in (3, 23, 33, 50, 64, 77, 90):
            if day * DAY + quarter + 192 <= quarters:
                yield day * DAY + quarter


def _row(scores: dict[str, Score]) -> Row:
    """Return the figures as shares of the mean power."""
    ours = scores["ours"]
    watts = {name: score.mae for name, score in scores.items()} | {"bias": ours.bias, "pinball": ours.pinball}
    return {name: round(value / MEAN_W, 3) for name, value in watts.items()} | {
        "inside": round(ours.coverage, 3)
    }


def price_errors(year: int, every: int) -> Row:
    """Guess, at noon of each day, the 36 h from midnight on that the day-ahead market has not told yet; EUR/MWh."""
    table = pq.read_table(DATA / "nl_dayahead_hourly.parquet").to_pydict()
    hours = [round((t - datetime(2015, 1, 1)).total_seconds() / 3600) for t in table["time_utc"]]
    hourly = np.full(max(hours) + 1, np.nan)
    hourly[hours] = table["eur_per_mwh"]
    quarterly, begin = np.repeat(hourly, 4), quarter_of(datetime(2015, 1, 1, tzinfo=UTC))
    ours, yesterday, week = [], [], []
    for day in range(1, 362, every):
        date = datetime(year, 1, 1) + timedelta(days=day)
        noon = quarter_of(datetime.combine(date, time(12), AMSTERDAM)) - begin
        unknown = quarter_of(datetime.combine(date + timedelta(days=1), time(0), AMSTERDAM)) - begin
        first = max(0, noon - 35 * DAY)
        told = quarterly[first : noon + 192].copy()
        truth = told[unknown - first :].copy()
        told[unknown - first :] = np.nan
        at = unknown + np.arange(len(truth))
        ours.append(np.abs(filled(told, first + begin, AMSTERDAM, 0.0)[unknown - first :] - truth))
        yesterday.append(np.abs(quarterly[at - DAY * (1 + (at - unknown) // DAY)] - truth))
        week.append(np.abs(quarterly[at - 7 * DAY] - truth))
    return _means({"ours": ours, "yesterday": yesterday, "week": week})


def carbon_errors(zone: str) -> Row:
    """Fill the coming 48 h of a carbon series of which only the past is known; g/kWh."""
    table = pq.read_table(DATA / f"carbon_{zone}_2019_15min.parquet")
    series = np.array(table["g_per_kwh"].to_pylist(), np.float64)
    first = quarter_of(table["time"][0].as_py().replace(tzinfo=UTC))
    ours, yesterday, week = [], [], []
    for now in range(40 * DAY + 44, len(series) - 192, 3 * DAY):
        begin = now - 35 * DAY
        told = np.concatenate((series[begin:now], np.full(192, np.nan)))
        truth = series[now : now + 192]
        ours.append(np.abs(filled(told, first + begin, AMSTERDAM, 0.0)[-192:] - truth))
        yesterday.append(np.abs(np.tile(series[now - DAY : now], 2) - truth))
        week.append(np.abs(series[now - 7 * DAY : now - 5 * DAY] - truth))
    return _means({"ours": ours, "yesterday": yesterday, "week": week})


def driving_errors() -> Row:
    """Tell at midnight how likely each of the 15 most frequent users is plugged in, per quarter of the coming day.

    Midnights after a week without the car are left out: there is nothing to plan then.
    The mean squared error of that probability (Brier score); of last week's same day as a certainty; of the user's mean.
    """
    table = pq.read_table(DATA / "acn_sessions.parquet").to_pydict()
    sessions: dict[Any, list[tuple[datetime, datetime]]] = {}
    for user, start, end in zip(
        table["UserID"], table["ConnectionStartDateTime"], table["ConnectionEndDateTime"], strict=True
    ):
        if end < PANDEMIC:
            sessions.setdefault(user, []).append((start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)))
    sessions.pop(None, None)
    busiest = sorted(sessions.items(), key=lambda item: (-len(item[1]), str(item[0])))[:15]
    errors: dict[str, list[np.ndarray]] = {"ours": [], "week": [], "mean": []}
    for _, stays in busiest:
        for name, found in _driver_errors(sorted(stays)).items():
            errors[name] += found
    return _means(errors)


def _driver_errors(stays: list[tuple[datetime, datetime]]) -> dict[str, list[np.ndarray]]:
    since = stays[0][0].replace(hour=0, minute=0)
    first = quarter_of(since)
    plugged = np.zeros(quarter_of(stays[-1][1]) + 1 - first)
    for start, end in stays:
        plugged[quarter_of(start) - first : quarter_of(end) + 1 - first] = 1.0
    trips = [Trip("evse", a[1], 80.0, b[0]) for a, b in pairwise(stays) if a[1] < b[0]]
    errors: dict[str, list[np.ndarray]] = {"ours": [], "week": [], "mean": []}
    for day in range(35, len(plugged) // DAY - 6, 21):
        for later in (0, 3, 5):
            now = (day + later) * DAY
            truth = plugged[now : now + DAY]
            if not plugged[now - 7 * DAY : now].any():
                continue
            at = since + timedelta(days=day + later)
            known = [_as_known(t, at) for t in trips if t.left_at < at]
            away = habits(known, since, at, at + timedelta(days=1), UTC).away_share()[:DAY]
            errors["ours"].append(np.square(1.0 - away - truth))
            errors["week"].append(np.square(plugged[now - 7 * DAY : now - 6 * DAY] - truth))
            errors["mean"].append(np.square(plugged[:now].mean() - truth))
    return errors


def _as_known(trip: Trip, at: datetime) -> Trip:
    """A trip that goes on has no end yet."""
    return trip if trip.returned_at is None or trip.returned_at <= at else replace(trip, returned_at=None)


def _means(errors: dict[str, list[np.ndarray]]) -> Row:
    return {name: round(float(np.nanmean(np.concatenate(found))), 3) for name, found in errors.items()}


def _least_ms(columns: Any, name: str, forecast: Forecast) -> float:
    history = History(YEAR_2016, QUARTER_S, np.array(columns[name], np.float64)[:20_000])
    took = []
    for _ in range(300):
        began = clock.thread_time()
        forecast(history, YEAR_2016 + timedelta(seconds=20_000 * QUARTER_S))
        took.append(clock.thread_time() - began)
    return round(1000 * min(took), 2)


def document(figures: dict[str, Any], every: int) -> str:
    """Return the section of the page."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `scripts/bench forecasts --every {every} --docs`, seven forecasts each {every} days.",
        "",
        "Load and sun: mean absolute error as a share of the mean power, per lead time (*6 h* is from 1 to 6 h ahead). *Yesterday* and",
        "*last week* are persistence. *Bias* is of `p50`; *inside* is how often it came between `p10` and `p90` (80 % is honest), by",
        "daylight for the sun; *pinball* is the mean loss of the three quantiles, of which persistence has half its error.",
        "The series are SimBench's of 2016 (ODbL), scaled to a mean of 500 W, on a clock that never changes; the sun is foretold without the",
        "site's place. The few constants of the methods were chosen on these profiles and on the prices of 2019 and 2023; 2024 was not looked at.",
        "",
        "| series | ahead | yesterday | last week | ours | bias | pinball | inside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in (*LOADS, *SUNS):
        for span, row in figures[name].items():
            lines.append(
                f"| {name} | {span} | {row['yesterday']:.3f} | {row['week']:.3f} | **{row['ours']:.3f}** | {row['bias']:+.3f} | "
                f"{row['pinball']:.3f} | {100 * row['inside']:.0f} % |"
            )
    lines += [
        "",
        "| what is unknown | yesterday | last week | ours |",
        "|---|---|---|---|",
        *(
            f"| Dutch price {year}, at noon, 36 h from midnight on, EUR/MWh | {row['yesterday']:.1f} | {row['week']:.1f} | **{row['ours']:.1f}** |"
            for year, row in figures["prices"].items()
        ),
        *(
            f"| carbon {zone.upper()} 2019, 48 h ahead, g/kWh | {row['yesterday']:.1f} | {row['week']:.1f} | **{row['ours']:.1f}** |"
            for zone, row in figures["carbon"].items()
        ),
        "",
        (
            f"Driving: squared error of the probability of being plugged in during the coming day (Brier score), 15 drivers at a workplace: "
            f"**{figures['driving']['ours']:.3f}**; last week's same day {figures['driving']['week']:.3f}; "
            f"the driver's mean {figures['driving']['mean']:.3f}."
        ),
        "",
        f"One forecast of 48 h takes {figures['call_ms']['load']} ms (load) and {figures['call_ms']['pv']} ms (sun) of one core, at best.",
    ]
    return "\n".join(lines)
