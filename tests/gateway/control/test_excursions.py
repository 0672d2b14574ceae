"""Export above the limit: what counts, what locks out, and what clears neither."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import GridTable
from gateway.control.excursions import PATIENCE_S, Counter, Export, follow, recalled
from gateway.model import (
    LOCK_OUT,
    DeviceInfo,
    DeviceKind,
    Excursions,
    MeterRole,
    MeterSample,
    Snapshot,
    Wishes,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LOCKING = GridTable(main_fuse_a=25.0, export_limit_w=4000.0, exports_locked_out=True)
COUNTING = replace(LOCKING, exports_locked_out=False)
GRID = DeviceInfo("grid", DeviceKind.METER, "Grid", "meter", MeterRole.GRID)


class Site:
    """A site whose clocks and export a test moves."""

    def __init__(self, grid=LOCKING, counter=None):
        self.grid, self.counter = grid, counter or Counter()
        self.at, self.utc = 100.0, NOON

    def look(self, export_w: float | None, seconds: float, step_s: float = 0.5) -> Excursions:
        """Export so much for so long; None is a silent meter."""
        for _ in range(round(seconds / step_s)):
            self.at += step_s
            self.utc += timedelta(seconds=step_s)
            self.counter = follow(self.counter, self._snapshot(export_w), self.grid)
        return self.counter.told

    def excursion(self) -> Excursions:
        self.look(5000.0, PATIENCE_S + 1.0)
        return self.look(3000.0, 3.0)

    def _snapshot(self, export_w):
        zeros = (0.0, 0.0, 0.0)
        sample = None if export_w is None else MeterSample(self.at, -export_w, zeros, zeros, zeros)
        return Snapshot(self.at, self.utc, {"grid": GRID}, {"grid": sample}, {}, {}, Wishes(), {})

    def power_cycle(self, off: timedelta) -> None:
        """The gateway is off for a while; its monotonic clock begins anew."""
        self.counter = recalled(self.counter.told, self.counter.utc)
        self.at, self.utc = 3.0, self.utc + off


def told(site: Site) -> tuple[int, bool]:
    return len(site.counter.told.began), site.counter.told.locked_until is not None


EVENTS = {
    "below": lambda s: s.look(3999.0, 2.0),
    "above": lambda s: s.look(4001.0, 1.0),
    "above for long": lambda s: s.look(4001.0, 6.0),
    "silent": lambda s: s.look(None, 6.0),
}
TABLE = {
    (Export.WITHIN, "below"): (Export.WITHIN, 0),
    (Export.WITHIN, "above"): (Export.OVER, 0),
    (Export.WITHIN, "above for long"): (Export.EXCURSION, 1),
    (Export.WITHIN, "silent"): (Export.WITHIN, 0),
    (Export.OVER, "below"): (Export.WITHIN, 0),
    (Export.OVER, "above"): (Export.OVER, 0),
    (Export.OVER, "above for long"): (Export.EXCURSION, 1),
    (Export.OVER, "silent"): (Export.EXCURSION, 1),
    (Export.EXCURSION, "below"): (Export.WITHIN, 1),
    (Export.EXCURSION, "above"): (Export.EXCURSION, 1),
    (Export.EXCURSION, "above for long"): (Export.EXCURSION, 1),
    (Export.EXCURSION, "silent"): (Export.EXCURSION, 1),
}
LEADS = {
    Export.WITHIN: lambda s: s.look(0.0, 1.0),
    Export.OVER: lambda s: s.look(5000.0, 1.0),
    Export.EXCURSION: lambda s: s.look(5000.0, 7.0),
}


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_every_state_takes_every_event(state, event):
    site = Site()
    LEADS[state](site)
    assert site.counter.state is state
    EVENTS[event](site)
    assert (site.counter.state, len(site.counter.told.began)) == TABLE[state, event]


def test_a_short_time_above_the_limit_is_none_even_in_pieces_and_a_wink_below_it_ends_none():
    site = Site()
    site.look(5000.0, 4.5)
    site.look(3000.0, 2.0)
    site.look(5000.0, 4.5)
    assert told(site) == (0, False)
    site.look(3000.0, 0.5)
    site.look(5000.0, 1.0)
    assert told(site) == (1, False)


def test_the_third_in_a_day_locks_out_for_four_hours():
    site = Site()
    assert (site.excursion(), told(site))[1] == (1, False)
    assert (site.excursion(), told(site))[1] == (2, False)
    assert (site.excursion(), told(site))[1] == (3, True)
    site.look(0.0, LOCK_OUT.total_seconds() - 60.0, 30.0)
    assert told(site) == (3, True)
    site.look(0.0, 120.0, 30.0)
    assert told(site) == (3, False)
    assert (site.excursion(), told(site))[1] == (3, True), "two others are still of this day"


def test_what_was_a_day_ago_counts_no_more():
    site = Site()
    site.excursion()
    site.excursion()
    site.look(0.0, 25 * 3600.0, 600.0)
    assert told(site) == (0, False)
    assert (site.excursion(), told(site))[1] == (1, False)


def test_each_began_when_the_export_went_above_the_limit():
    site = Site()
    site.look(3000.0, 10.0)
    began = site.utc + timedelta(seconds=0.5)
    assert site.excursion().began == (began,)


def test_an_excursion_during_a_lock_out_does_not_prolong_it():
    site = Site()
    for _ in range(3):
        site.excursion()
    until = site.counter.told.locked_until
    assert site.excursion().locked_until == until


def test_a_site_without_lock_out_only_counts_and_drops_one_that_it_is_told_of():
    site = Site(COUNTING)
    for _ in range(4):
        site.excursion()
    assert told(site) == (3, False)
    site = Site(COUNTING, recalled(Excursions((), NOON + LOCK_OUT), NOON))
    site.look(0.0, 1.0)
    assert told(site) == (0, False)


def test_a_site_without_an_export_limit_has_no_excursion():
    site = Site(replace(LOCKING, export_limit_w=None))
    site.look(50_000.0, 60.0)
    assert told(site) == (0, False)


@pytest.mark.parametrize("off", [timedelta(seconds=20), timedelta(hours=9), timedelta(days=-300)])
def test_a_power_cycle_clears_no_lock_out_and_its_time_does_not_count(off):
    site = Site()
    for _ in range(3):
        site.excursion()
    site.look(0.0, 3600.0, 10.0)
    left = site.counter.told.locked_until - site.utc
    site.power_cycle(off)
    site.look(0.0, 10.0, 10.0)
    assert told(site) == (3, True)
    assert abs(site.counter.told.locked_until - site.utc - left) <= timedelta(seconds=20)
    site.look(0.0, left.total_seconds(), 10.0)
    assert told(site) == (3, False)


def test_a_power_cycle_between_excursions_forgets_none():
    site = Site()
    site.excursion()
    site.excursion()
    site.power_cycle(timedelta(minutes=1))
    assert (site.excursion(), told(site))[1] == (3, True)


@given(jumps=st.lists(st.integers(-400_000, 400_000), min_size=1, max_size=6))
def test_no_step_of_the_clock_shortens_or_prolongs_a_lock_out(jumps):
    site = Site()
    for _ in range(3):
        site.excursion()
    left_s = (site.counter.told.locked_until - site.utc).total_seconds()
    for jump_s in jumps:
        site.utc += timedelta(seconds=jump_s)
        site.look(0.0, 60.0, 60.0)
        left_s -= 60.0
        assert told(site) == (3, True)
        now_left_s = (site.counter.told.locked_until - site.utc).total_seconds()
        assert abs(now_left_s - left_s) <= 1.0 + len(jumps)
