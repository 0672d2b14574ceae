"""Recorded quarter hours of load and PV, refined to seconds by a model of appliances and clouds.

The record (SimBench, as shipped with the simulator) keeps its energy: what the appliances add is taken off again as
their running mean over two hours, as far as the record allows. The same seed gives the same day.
"""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gateway.simulator.recorded_days import DAY_S, RecordedDays

type Phases = tuple[float, float, float]

STATISTICS = """\
| what | how often | power | shape |
|---|---|---|---|
| fridge (L2) | always | 95 W | on 15 min of 45 min, each ±15 % |
| kettle (L1) | 5 a day, 6-22 h, mostly morning and evening | 1.8-2.2 kW | 90-200 s |
| hob, ceramic (L3; odd seeds) | 1.4 meals a day (12 h, 18.5 h ± 1 h), 15-35 min | 1.5-1.8 kW | thermostat: period 20-40 s, duty 30-70 % after 4 min of full power |
| hob, induction (L3; even seeds) | as above | 0.3-2.0 kW | 3 min at 1.8-2.2 kW, then another level every 60-300 s |
| oven (L3) | 0.5 a day, 17.5 h ± 1 h | 2.2 kW | 8-12 min preheating, then 30-60 s on, 60-150 s off for 20-50 min |
| washing machine (L2) | 0.6 a day, 8-19 h | 2.0 kW | 10-18 min heating, 45 min of motor (80-250 W, another level every 10-20 s), 6 min spin at 400 W |
| murmur | always | ±12 W | noise of 8 s |
| clouds | half of the daylight hours | sun × 0.25-0.55 | cloud 30-240 s, gap 60-480 s, edges 5-40 s; normalised to the record's mean over an hour |
"""


@dataclass(frozen=True, slots=True)
class Refined:
    """Load per phase, and PV, for each second."""

    load_w: tuple[array[float], array[float], array[float]]
    pv_w: array[float]

    def load(self, second: float) -> Phases:
        """Return the load of a second."""
        n = int(second)
        return (self.load_w[0][n], self.load_w[1][n], self.load_w[2][n])

    def pv(self, second: float) -> Phases:
        """Return the sun of a second, on three phases."""
        share = self.pv_w[int(second)] / 3
        return (share, share, share)


def refine(season: str, day: int, from_h: float, hours: float, seed: int) -> Refined:
    """Return ``hours`` of a recorded day from ``from_h`` on, in seconds."""
    days = RecordedDays.of(season)
    first, length = int(from_h * 3600), int(hours * 3600) + 2
    chance = Random(f"{season} {day} {seed}")
    phases = _appliances(chance, induction=seed % 2 == 0)
    together = array("d", (sum(p) for p in zip(*phases, strict=True)))
    mean = _running_mean(together, 7200)
    sun = _clouds(chance)
    murmur_w, keep = 0.0, math.exp(-1 / 8.0)
    load: tuple[array[float], array[float], array[float]] = (array("d"), array("d"), array("d"))
    pv: array[float] = array("d")
    for n in range(first, first + length):
        second = n % int(DAY_S)
        load_w, sun_w = days.at(day * DAY_S + n)
        murmur_w = keep * murmur_w + 12.0 * math.sqrt(1 - keep * keep) * chance.gauss()
        base_w = max(60.0, load_w - mean[second]) + murmur_w
        for column, share, appliances in zip(load, (0.40, 0.35, 0.25), phases, strict=True):
            column.append(base_w * share + appliances[second])
        pv.append(sun_w * sun[second])
    return Refined(load, pv)


def _appliances(chance: Random, *, induction: bool) -> tuple[array[float], array[float], array[float]]:
    one, two, three = (array("d", bytes(8 * int(DAY_S))) for _ in range(3))
    _fridge(two, chance)
    for _ in range(5):
        hour = chance.choice((7.0, 8.0, 10.0, 13.0, 16.0, 19.0, 21.0)) + chance.uniform(-0.9, 0.9)
        _put(one, hour, [(chance.uniform(1800, 2200), chance.uniform(90, 200))])
    for hour, likely in ((12.0, 0.5), (18.5, 0.9)):
        if chance.random() < likely:
            _put(three, hour + chance.uniform(-1, 1), (_induction if induction else _ceramic)(chance))
    if chance.random() < 0.5:
        _put(three, 17.5 + chance.uniform(-1, 1), _oven(chance))
    if chance.random() < 0.6:
        _put(two, chance.uniform(8, 19), _washing(chance))
    return one, two, three


def _put(
    column: array[float], hour: float, pieces: Iterator[tuple[float, float]] | list[tuple[float, float]]
) -> None:
    at = hour * 3600
    for power_w, seconds in pieces:
        for second in range(int(at), int(at + seconds)):
            column[second % len(column)] += power_w
        at += seconds


def _fridge(column: array[float], chance: Random) -> None:
    hour = chance.uniform(-0.7, 0.0)
    while hour < 24:
        _put(column, hour, [(95.0, 900 * chance.uniform(0.85, 1.15))])
        hour += 0.75 * chance.uniform(0.85, 1.15)


def _ceramic(chance: Random) -> Iterator[tuple[float, float]]:
    power_w, left_s = chance.uniform(1500, 1800), chance.uniform(900, 2100)
    yield power_w, 240
    duty = chance.uniform(0.3, 0.7)
    while left_s > 0:
        period_s = chance.uniform(20, 40)
        yield power_w, period_s * duty
        yield 0.0, period_s * (1 - duty)
        left_s -= period_s


def _induction(chance: Random) -> Iterator[tuple[float, float]]:
    left_s = chance.uniform(900, 2100)
    yield chance.uniform(1800, 2200), 180
    while left_s > 0:
        level_s = chance.uniform(60, 300)
        yield chance.uniform(300, 2000), level_s
        left_s -= level_s


def _oven(chance: Random) -> Iterator[tuple[float, float]]:
    yield 2200.0, chance.uniform(480, 720)
    left_s = chance.uniform(1200, 3000)
    while left_s > 0:
        on_s, off_s = chance.uniform(30, 60), chance.uniform(60, 150)
        yield 0.0, off_s
        yield 2200.0, on_s
        left_s -= on_s + off_s


def _washing(chance: Random) -> Iterator[tuple[float, float]]:
    yield 2000.0, chance.uniform(600, 1080)
    left_s = 2700.0
    while left_s > 0:
        level_s = chance.uniform(10, 20)
        yield chance.uniform(80, 250), level_s
        left_s -= level_s
    yield 400.0, 360


def _clouds(chance: Random) -> array[float]:
    """Return the factor of each second of the day, 1 in the mean over an hour."""
    clear: array[float] = array("d", [1.0]) * int(DAY_S)
    for hour in range(24):
        if chance.random() < 0.5:
            continue
        second, value = hour * 3600.0, 1.0
        while second < hour * 3600 + 3600:
            cloudy = value == 1.0
            goal = chance.uniform(0.25, 0.55) if cloudy else 1.0
            edge_s = chance.uniform(5, 40)
            stay_s = chance.uniform(30, 240) if cloudy else chance.uniform(60, 480)
            for n in range(int(second), min(int(second + edge_s + stay_s), hour * 3600 + 3600)):
                clear[n] = value + (goal - value) * min(1.0, (n - second) / edge_s)
            second, value = second + edge_s + stay_s, goal
    mean = _running_mean(clear, 3600)
    return array("d", (c / m for c, m in zip(clear, mean, strict=True)))


def _running_mean(values: array[float], window: int) -> array[float]:
    half, length = window // 2, len(values)
    total = sum(values[n % length] for n in range(-half, half))
    mean: array[float] = array("d")
    for n in range(length):
        mean.append(total / (2 * half))
        total += values[(n + half) % length] - values[(n - half) % length]
    return mean
