"""Pure: what the house draws and the sun gives, as means of the quarters of an hour: the past that forecasts learn from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gateway.model import MeterRole, Snapshot

QUARTER_S = 900
LONGEST_STEP_S = 10.0
LEAST_S = 450.0
"""A quarter that was watched for less is not told."""


@dataclass(frozen=True, slots=True)
class QuarterMean:
    """Of the quarter that began at ``utc``; ``pv_w`` is a magnitude, None where no meter sees the sun alone."""

    utc: datetime
    load_w: float
    pv_w: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """The quarter under way: energy in Ws so far, and the seconds that were watched."""

    quarter: int = -1
    at: datetime | None = None
    seconds: float = 0.0
    load_ws: float = 0.0
    pv_ws: float | None = None

    def mean(self, least_s: float = LEAST_S) -> QuarterMean | None:
        """Return the mean so far, None while less than ``least_s`` was watched."""
        if self.seconds < max(least_s, 1e-9):
            return None
        utc = datetime.fromtimestamp(self.quarter * QUARTER_S, UTC)
        pv_w = None if self.pv_ws is None else self.pv_ws / self.seconds
        return QuarterMean(utc, self.load_ws / self.seconds, pv_w)


def follow(before: Running, snapshot: Snapshot) -> tuple[Running, QuarterMean | None]:
    """Return the quarter under way after ``snapshot``, and the one that it has ended, if it was watched long enough."""
    quarter = int(snapshot.utc.timestamp() // QUARTER_S)
    ended = before.mean() if quarter != before.quarter else None
    after = before if quarter == before.quarter else Running(quarter, before.at)
    powers = house_w(snapshot)
    if powers is None:
        return replace(after, at=None), ended
    load_w, pv_w = powers
    elapsed_s = (snapshot.utc - after.at).total_seconds() if after.at else 0.0
    step_s = elapsed_s if 0.0 < elapsed_s <= LONGEST_STEP_S else 0.0
    pv_ws = after.pv_ws if pv_w is None else (after.pv_ws or 0.0) + pv_w * step_s
    running = Running(quarter, snapshot.utc, after.seconds + step_s, after.load_ws + load_w * step_s, pv_ws)
    return running, ended


def house_w(snapshot: Snapshot) -> tuple[float, float | None] | None:
    """Return what the house draws without our devices and without the sun, and what the sun gives; None while a meter is silent."""
    if not snapshot.devices:
        return None
    grid = snapshot.grid()
    sun = list(_sun(snapshot))
    if grid is None or None in sun:
        return None
    pv_w = sum(w for w in sun if w is not None) if sun else None
    devices_w = sum(
        sample.power_w
        for samples in (snapshot.storages, snapshot.evses)
        for sample in samples.values()
        if sample is not None
    )
    return grid.power_w - devices_w + (pv_w or 0.0), pv_w


def _sun(snapshot: Snapshot) -> Iterator[float | None]:
    for device, sample in snapshot.meters.items():
        if snapshot.devices[device].role is MeterRole.PV:
            yield None if sample is None else abs(sample.power_w)
