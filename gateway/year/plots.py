"""Pure: the pictures of a year as SVG, drawn by hand: bars of money, a typical day, the months."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

import numpy as np

from gateway.planning.problem import Series
from gateway.year.record import DAY, QUARTER_H, Record
from gateway.year.result import Result
from gateway.year.site import BATTERY, CAR
from gateway.year.strategy import Strategy
from gateway.year.study import Run

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 860, 360, 64, 48, 40
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#17becf")


def money(results: Sequence[Result], currency: str) -> str:
    """Draw what each strategy costs: bill, and wear on top of it."""
    top = max((r.bill + r.wear for r in results), default=1.0) * 1.1
    low = min(0.0, *(r.bill for r in results))
    slot = (WIDTH - LEFT - 10) / max(len(results), 1)
    parts = [_axis(low, top, currency)]
    for at, each in enumerate(results):
        x = LEFT + at * slot + slot * 0.15
        parts += [
            _bar(x, slot * 0.7, 0.0, each.bill, low, top, COLOURS[0]),
            _bar(x, slot * 0.7, max(each.bill, 0.0), max(each.bill, 0.0) + each.wear, low, top, COLOURS[1]),
            _text(x + slot * 0.35, HEIGHT - BOTTOM + 18, each.strategy.value),
            _text(x + slot * 0.35, HEIGHT - BOTTOM + 34, f"{each.net:.0f} net"),
        ]
    return _page("What the days cost: bill (blue), wear (orange)", parts)


def what_if(gains: Mapping[str, tuple[float, float]], currency: str) -> str:
    """Draw per change what planning and what lending the car bring in a year, bars to the right, losses to the left."""
    low = min(0.0, *(min(pair) for pair in gains.values())) * 1.15
    top = max(1.0, *(max(pair) for pair in gains.values())) * 1.15
    row, left = (HEIGHT - TOP - 10) / max(len(gains), 1), 230.0

    def x(value: float) -> float:
        return left + (value - low) / (top - low) * (WIDTH - left - 20)

    parts = [f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP - 8}" y2="{HEIGHT - 6}" stroke="#999"/>']
    for number, (name, pair) in enumerate(gains.items()):
        y = TOP + number * row
        parts.append(f'<text x="{left - 8}" y="{y + row * 0.55:.1f}" text-anchor="end">{escape(name)}</text>')
        for part, (value, colour) in enumerate(zip(pair, COLOURS, strict=False)):
            top_y, begin, end = y + part * row * 0.42, min(x(0), x(value)), max(x(0), x(value))
            parts.append(
                f'<rect x="{begin:.1f}" y="{top_y:.1f}" width="{end - begin:.1f}" height="{row * 0.38:.1f}" fill="{colour}"/>'
                f'<text x="{end + 4:.1f}" y="{top_y + row * 0.34:.1f}" font-size="10">{value:+.0f}</text>'
            )
    return _page(
        f"{currency} a year: planning (blue: V1G over B2), lending the car (orange: V2G over V1G)", parts
    )


def day(runs: Mapping[Strategy, Run], record: Record) -> str:
    """Draw the mean day of the last strategy: exchange, car, battery; kW by the local clock."""
    strategy, run = list(runs.items())[-1]
    slots = (record.slot_of_day(0) + np.arange(float(record.steps))) % DAY
    series = {"grid": run.trace.grid_w, CAR: run.trace.power_w[CAR]}
    if BATTERY in run.trace.power_w:
        series[BATTERY] = run.trace.power_w[BATTERY]
    means = {name: _by_slot(slots, values) / 1000 for name, values in series.items()}
    return _lines(f"The mean day with {strategy.value}: power into the device, kW", means, "kW", 24, "h")


def months(runs: Mapping[Strategy, Run], record: Record, currency: str) -> str:
    """Draw what is paid in each month under each strategy."""
    local = [record.at(step * DAY).astimezone(record.zone) for step in range(record.steps // DAY)]
    month = np.repeat([at.month - 1 for at in local], DAY)
    sums = {}
    for strategy, run in runs.items():
        kwh = run.trace.grid_w[: len(month)] * QUARTER_H / 1000
        bought = record.simulated(record.import_per_kwh)[: len(month)]
        sold = record.simulated(record.export_per_kwh)[: len(month)]
        paid = np.maximum(kwh, 0) * bought - np.maximum(-kwh, 0) * sold
        sums[strategy.value] = np.bincount(month, weights=paid, minlength=12)
    return _lines(f"Paid for electricity at home, {currency} a month", sums, currency, 12, "month")


def _by_slot(slots: Series, values: Series) -> Series:
    counts = np.bincount(slots.astype(int), minlength=DAY)
    return np.bincount(slots.astype(int), weights=values, minlength=DAY) / np.maximum(counts, 1)


def _lines(title: str, series: Mapping[str, Series], unit: str, across: int, label: str) -> str:
    low = min(0.0, *(float(v.min()) for v in series.values()))
    top = max(0.1, *(float(v.max()) for v in series.values())) * 1.1
    parts = [_axis(low, top, unit)]
    for number, (name, values) in enumerate(series.items()):
        step = (WIDTH - LEFT - 10) / max(len(values) - 1, 1)
        points = " ".join(f"{LEFT + i * step:.1f},{_y(float(v), low, top):.1f}" for i, v in enumerate(values))
        colour = COLOURS[number % len(COLOURS)]
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            _text(LEFT + 60 + number * 100, TOP - 4, name, colour),
        ]
    for at in range(0, across + 1, max(1, across // 6)):
        parts.append(_text(LEFT + at / across * (WIDTH - LEFT - 10), HEIGHT - BOTTOM + 18, f"{at}"))
    parts.append(_text(WIDTH / 2, HEIGHT - BOTTOM + 36, label))
    return _page(title, parts)


def _y(value: float, low: float, top: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / max(top - low, 1e-9) * (HEIGHT - BOTTOM - TOP)


def _axis(low: float, top: float, unit: str) -> str:
    """Return rules at round values, the zero among them drawn darker."""
    parts, step = [], _round_step((top - low) / 5)
    for number in range(ceil(low / step), floor(top / step) + 1):
        y, colour = _y(number * step, low, top), "#ddd" if number else "#888"
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number * step:.10g}</text>')
    parts.append(f'<text x="8" y="{TOP - 10}">{escape(unit)}</text>')
    return "".join(parts)


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** floor(log10(max(least, 1e-9)))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * 0.999)


def _bar(x: float, width: float, begin: float, end: float, low: float, top: float, colour: str) -> str:
    y, height = _y(max(begin, end), low, top), abs(_y(begin, low, top) - _y(end, low, top))
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{escape(text)}</text>'


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{WIDTH / 2}" y="18" text-anchor="middle" '
        f'font-size="15">{escape(title)}</text>{"".join(parts)}</svg>\n'
    )
