"""Pure: the plan as an SVG picture of three panels over one clock: the price, what each device does, and what it holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from html import escape
from math import ceil, floor

from .client import Plan, PriceSlot

WIDTH, HEIGHT = 960, 470
LEFT, RIGHT = 58, 944
INK, RULE = "#808080", "#80808040"
"""Grey is read on a light and on a dark card."""
PRICE, GRID, OTHERS = "#ff9800", "#488fc2", "#9e9e9e"
CARS = ("#009688", "#26a69a", "#4db6ac", "#80cbc4")
STORES = ("#f06292", "#ba68c8", "#e57373", "#9575cd")
DRAWN = 4
"""So many devices of a kind have a colour of their own; the rest is drawn as one."""
TICK_H = 6


@dataclass(frozen=True, slots=True)
class Words:
    """What the picture says: the names of price and grid, the price's unit, and each device's name."""

    price: str
    unit: str
    grid: str
    devices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Course:
    """What one line or one layer of bars shows, a value per slot; ``soc_pct`` may miss values, or be missing."""

    name: str
    colour: str
    power_w: tuple[float, ...]
    soc_pct: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class _Panel:
    """A stretch of the picture's height with a scale of its own."""

    top: float
    bottom: float
    low: float
    high: float

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def rules(self, middle: float, unit: str, scale: float, digits: int) -> Iterator[str]:
        for value in dict.fromkeys((self.low, middle, self.high)):
            y = self.y(value)
            yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{RULE}"/>'
            yield _text(LEFT - 6, y + 4, f"{value * scale:.{digits}f}", anchor="end")
        yield _text(8, self.top - 9, unit, anchor="start")


def draw(plan: Plan, prices: Sequence[PriceSlot], cars: frozenset[str], words: Words, zone: tzinfo) -> str:
    """Return the picture; power into a device is drawn upwards. ``cars`` are the devices that are chargers."""
    starts, ends = plan.slots[0].starts_at, plan.slots[-1].ends_at
    span_s = max((ends - starts).total_seconds(), 1.0)
    edges = [_x(slot.starts_at, starts, span_s) for slot in plan.slots] + [float(RIGHT)]
    courses = [*_courses(plan, words, cars, chargers=True), *_courses(plan, words, cars, chargers=False)]
    grid_w = [slot.grid_power_w for slot in plan.slots]
    parts = [
        *_clock(starts, ends, zone),
        *_prices(prices, starts, ends),
        *_powers(courses, grid_w, edges),
        *_charges(courses, edges),
        *_legend([(words.price, PRICE), (words.grid, GRID), *((c.name, c.colour) for c in courses)]),
        _text(8, 33, words.unit, anchor="start"),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'{head} font-family="Roboto, sans-serif" font-size="13">{"".join(parts)}</svg>'


def _courses(plan: Plan, words: Words, cars: frozenset[str], *, chargers: bool) -> Iterator[_Course]:
    devices = [
        d for d in dict.fromkeys(d for s in plan.slots for d in s.device_power_w) if (d in cars) is chargers
    ]
    for device, colour in zip(devices, CARS if chargers else STORES, strict=False):
        power_w = tuple(slot.device_power_w.get(device, 0.0) for slot in plan.slots)
        soc_pct = tuple(slot.soc_pct.get(device) for slot in plan.slots)
        yield _Course(words.devices.get(device, device), colour, power_w, soc_pct)
    if rest := devices[DRAWN:]:
        sums = tuple(sum(slot.device_power_w.get(d, 0.0) for d in rest) for slot in plan.slots)
        yield _Course(f"+ {len(rest)}", OTHERS, sums, ())


def _prices(prices: Sequence[PriceSlot], starts: datetime, ends: datetime) -> Iterator[str]:
    known = [p for p in prices if p.ends_at > starts and p.starts_at < ends]
    values = [p.import_per_kwh for p in known] or [0.0]
    low, high = min(0.0, *values), max(0.01, *values)
    panel = _Panel(44, 118, low, high)
    yield from panel.rules((low + high) / 2, "", 1.0, 2)
    span_s = (ends - starts).total_seconds()
    for price in known:
        x = _x(max(price.starts_at, starts), starts, span_s)
        width = _x(min(price.ends_at, ends), starts, span_s) - x
        yield _bar(
            x, width, panel.y(max(price.import_per_kwh, 0.0)), panel.y(min(price.import_per_kwh, 0.0)), PRICE
        )


def _powers(
    courses: Sequence[_Course], grid_w: Sequence[float | None], edges: Sequence[float]
) -> Iterator[str]:
    slots = range(len(edges) - 1)
    tops = [sum(max(c.power_w[n], 0.0) for c in courses) for n in slots]
    lows = [sum(min(c.power_w[n], 0.0) for c in courses) for n in slots]
    told_w = [power_w for power_w in grid_w if power_w is not None]
    low_kw = floor(min(-1000.0, *lows, *told_w) / 1000)
    high_kw = ceil(max(1000.0, *tops, *told_w) / 1000)
    panel = _Panel(150, 300, low_kw * 1000.0, high_kw * 1000.0)
    yield from panel.rules(0.0, "kW", 1e-3, 0)
    zero = panel.y(0.0)
    yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="{INK}"/>'
    for n in slots:
        up_w = down_w = 0.0
        for course in courses:
            power_w = course.power_w[n]
            base_w = up_w if power_w > 0 else down_w
            top, bottom = panel.y(max(base_w, base_w + power_w)), panel.y(min(base_w, base_w + power_w))
            if bottom - top > 0.2:
                yield _bar(edges[n], edges[n + 1] - edges[n], top, bottom, course.colour)
            up_w, down_w = up_w + max(power_w, 0.0), down_w + min(power_w, 0.0)
    yield from _line(_steps(grid_w, edges, panel), GRID)


def _charges(courses: Sequence[_Course], edges: Sequence[float]) -> Iterator[str]:
    panel = _Panel(332, 432, 0.0, 100.0)
    yield from panel.rules(50.0, "%", 1.0, 0)
    for course in courses:
        points = [
            (x, panel.y(soc)) if soc is not None else None
            for x, soc in zip(edges[1:], course.soc_pct, strict=False)
        ]
        yield from _line(points, course.colour)


def _steps(
    values: Sequence[float | None], edges: Sequence[float], panel: _Panel
) -> list[tuple[float, float] | None]:
    points: list[tuple[float, float] | None] = []
    for n, value in enumerate(values):
        points += [None] if value is None else [(edges[n], panel.y(value)), (edges[n + 1], panel.y(value))]
    return points


def _line(points: Sequence[tuple[float, float] | None], colour: str) -> Iterator[str]:
    """Draw the points, interrupted where one is missing."""
    pen, path = "M", ""
    for point in points:
        if point is not None:
            path += f"{pen}{point[0]:.1f} {point[1]:.1f}"
        pen = "M" if point is None else "L"
    if path:
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'


def _clock(starts: datetime, ends: datetime, zone: tzinfo) -> Iterator[str]:
    """Mark each sixth hour of the local clock, and name the day at midnight."""
    span_s = (ends - starts).total_seconds()
    hour = starts.replace(minute=0, second=0, microsecond=0)
    while hour < ends:
        local = hour.astimezone(zone)
        if hour >= starts and local.hour % TICK_H == 0 and local.minute == 0:
            x = _x(hour, starts, span_s)
            midnight = local.hour == 0
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="44" y2="432" stroke="{INK if midnight else RULE}"/>'
            yield _text(x, 450, f"{local:%H:%M}")
            if midnight:
                yield _text(x, 466, f"{local:%Y-%m-%d}")
        hour += timedelta(minutes=30)


def _legend(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    x = float(LEFT)
    for name, colour in entries:
        yield f'<rect x="{x:.0f}" y="8" width="12" height="12" rx="3" fill="{colour}"/>'
        yield _text(x + 18, 19, name, anchor="start")
        x += 44 + 7.2 * len(name)


def _x(at: datetime, starts: datetime, span_s: float) -> float:
    return LEFT + (at - starts).total_seconds() / span_s * (RIGHT - LEFT)


def _bar(x: float, width: float, top: float, bottom: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" fill="{colour}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'
