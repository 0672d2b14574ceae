"""`scripts/bench days`: many days of one house on the virtual clock, with trips, mishaps and restarts.

Nothing may grow, no limit may be missed, nothing may be raised that the loop had to catch.
"""

import argparse
import gc
import logging
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from random import Random
from typing import Any

from gateway.config import ControlTables, GridTable
from gateway.model import (
    DeviceSettings,
    Interval,
    OwnerSettings,
    Request,
    RequestMode,
    Wishes,
)
from gateway.rehearsal import Loss, MeterModel, Plant, Rehearsal, Score

from .page import put_section
from .rivals.appliances import Refined, refine
from .rivals.contest import slow_charger

DAY_S = 86_400.0
START = datetime(2026, 3, 20, 0, 0, tzinfo=UTC)
GRID = GridTable(main_fuse_a=25.0, import_limit_w=11_000.0, export_limit_w=5_000.0)
ALLOWED_S = 6.0
FLOOR_PCT = 10.0
SEASONS = ("spring", "winter", "summer", "autumn")


@dataclass
class Day:
    """What one day came to."""

    longest_over_s: float
    longest_outside_s: float
    rms_w: float
    lowest_soc_pct: float
    rss_mib: float
    objects: int
    seconds: float


@dataclass
class Errors(logging.Handler):
    """Counts what was logged as an error: a rule that failed and was caught."""

    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen."""
        super().__init__(logging.ERROR)

    def __hash__(self) -> int:
        """Handlers are kept in sets."""
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        self.seen.append(record.getMessage())


def options(group: argparse._ArgumentGroup) -> None:
    """Add what the bench can be told."""
    group.add_argument("--days", type=int, default=30, help="how many (default: 30)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let the days pass and return the figures."""
    errors = Errors()
    for handler in logging.getLogger().handlers:
        logging.getLogger().removeHandler(handler)
    logging.getLogger().addHandler(errors)
    house = House()
    days: list[Day] = []
    for number in range(arguments.days):
        days.append(house.live())
        last = days[-1]
        print(
            f"day {number + 1} of {arguments.days}: {DAY_S / last.seconds:.0f} x real time, over the fuse "
            f"{last.longest_over_s:.1f} s, {last.rss_mib:.1f} MiB, {last.objects} objects, {len(errors.seen)} errors",
            file=sys.stderr,
        )
    settled = days[min(1, len(days) - 1)]
    figures = {
        "days": len(days),
        "times_real_time": round(len(days) * DAY_S / sum(d.seconds for d in days)),
        "mishaps": house.mishaps,
        "restarts": house.restarts,
        "exceptions": len(errors.seen),
        "missed_limits": sum(
            d.longest_over_s > ALLOWED_S
            or d.longest_outside_s > ALLOWED_S
            or d.lowest_soc_pct < FLOOR_PCT - 1
            for d in days
        ),
        "longest_over_fuse_s": round(max(d.longest_over_s for d in days), 1),
        "longest_outside_limits_s": round(max(d.longest_outside_s for d in days), 1),
        "lowest_battery_soc_pct": round(min(d.lowest_soc_pct for d in days), 1),
        "rms_w": round(max(d.rms_w for d in days)),
        "rss_mib_second_day": round(settled.rss_mib, 1),
        "rss_mib_last_day": round(days[-1].rss_mib, 1),
        "objects_second_day": settled.objects,
        "objects_last_day": days[-1].objects,
    }
    if arguments.docs:
        put_section(Path("docs/reliability.md"), "## Simulated days", document(figures))
    return {"days": figures}


def document(figures: dict[str, Any]) -> str:
    """Return the section of docs/reliability.md."""
    rows = "\n".join(f"| {key} | {value} |" for key, value in figures.items())
    return f"""\
Measured {datetime.now(UTC):%Y-%m-%d} with `scripts/bench days --days {figures["days"]}`: the real loop in one process on a virtual clock, ticking each
second and at each sample of a meter that tells every 2 s. Recorded load and sun of all seasons refined to seconds, a car that leaves in the
morning and comes home emptier, boosts by the owner. Each day the grid meter falls silent three times for 20-120 s, charger, battery and
meter once each fall silent, refuse or tell old values, and the loop is restarted with what it would have remembered. *Missed limit*: a
day in which a phase was over its fuse, or the site outside its import and export limits, for more than {ALLOWED_S:g} s at a stretch, or the battery
below its floor. Outages are not in it.

| figure | value |
|---|---|
{rows}
"""


class House:
    """The house and its days, one after the other."""

    def __init__(self) -> None:
        self.chance = Random(4)
        self.number = 0
        self.mishaps = 0
        self.restarts = 0
        self._refined: Refined | None = None
        battery = Plant(
            "battery", phases=(2,), soc_pct=55.0, dead_time_s=0.3, loss=Loss(45.0, 0.03), poll_s=0.5
        )
        garage = slow_charger()
        self.owner = OwnerSettings(
            control_on=True,
            devices={
                "battery": DeviceSettings(floor_soc_pct=FLOOR_PCT),
                "garage": DeviceSettings(
                    floor_soc_pct=30.0, target_soc_pct=80.0, departure=time_of_day(7, 30)
                ),
            },
        )
        self.rehearsal = Rehearsal(
            ControlTables(GRID),
            [battery, garage],
            lambda second: self._today().load(second % DAY_S),
            pv=lambda second: self._today().pv(second % DAY_S),
            meter=MeterModel(2.0, noise_w=5.0, max_age_s=5.0),
            wishes=Wishes(self.owner),
            start_utc=START,
            step_s=0.5,
            tick_s=1.0,
            keep=False,
        )

    def live(self) -> Day:
        """Let a day pass."""
        began = time.process_time()
        season, day = SEASONS[self.number % 4], self.number // 4 % 4
        self._refined = refine(season, day, 0.0, 24.0, self.number + 1)
        self._plan()
        rehearsal = self.rehearsal
        rehearsal.score = Score(GRID.main_fuse_a * GRID.nominal_voltage_v, site=Interval(-5_000.0, 11_000.0))
        lowest_pct = 100.0
        for _ in range(96):
            score = rehearsal.run(900.0)
            lowest_pct = min(lowest_pct, rehearsal.plants["battery"].soc_pct)
        self.number += 1
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return Day(
            score.longest_over_s,
            score.longest_outside_s,
            score.rms_w,
            lowest_pct,
            pages * 4096 / 2**20,
            len(gc.get_objects()),
            time.process_time() - began,
        )

    def _today(self) -> Refined:
        assert self._refined is not None
        return self._refined

    def _plan(self) -> None:
        """Lay down what happens today."""
        chance, plants, meter = self.chance, self.rehearsal.plants, self.rehearsal.meter
        self._at(7.5 + chance.uniform(0, 1), lambda r: plants["garage"].unplug())
        self._at(17.0 + chance.uniform(0, 1), lambda r: self._come_home())
        for _ in range(3):
            self._mishap(meter, "silent", chance.uniform(20, 120))
        self._mishap(meter, "frozen", chance.uniform(20, 120))
        for device in plants.values():
            for kind in ("silent", "refusing", "frozen"):
                self._mishap(device, kind, chance.uniform(20, 300))
        self._at(chance.uniform(0, 24), lambda r: self._restart())
        if self.number % 3 == 0:
            self._at(19.0, lambda r: self._boost())

    def _at(self, hour: float, action: Any) -> None:
        self.rehearsal.at(self.number * DAY_S + hour * 3600, action)

    def _mishap(self, who: Any, kind: str, seconds: float) -> None:
        hour = self.chance.uniform(0.0, 23.5)
        self._at(hour, lambda r: setattr(who, kind, True))
        self._at(hour + seconds / 3600, lambda r: setattr(who, kind, False))
        self.mishaps += 1

    def _come_home(self) -> None:
        car = self.rehearsal.plants["garage"]
        car.soc_pct = max(12.0, car.soc_pct - self.chance.uniform(5, 30))
        car.plugged = True

    def _restart(self) -> None:
        self.rehearsal.restart()
        self.restarts += 1

    def _boost(self) -> None:
        until = self.rehearsal.utc + timedelta(minutes=30)
        request = Request(f"boost-{self.number}", "garage", RequestMode.BOOST, until, until_soc_pct=90.0)
        self.rehearsal.state.wishes = Wishes(self.owner, (request,))
