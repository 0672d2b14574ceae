"""A device's dead time, ramp and offset, from its own steps."""

import random
from dataclasses import replace

import pytest

from gateway.control.dynamics import Movements, follow, recalled
from gateway.model import Decision, Dynamics, Interval, Reason, Rung

WHY = Reason(Rung.PLAN, "plan")


class Story:
    """A battery with the given dynamics, told 10 times a second, sampled every ``poll_s``."""

    def __init__(self, house, dead_time_s, ramp_w_per_s, offset_w=0.0, noise_w=0.0, poll_s=0.2):
        self.house, self.dead_time_s, self.ramp_w = house, dead_time_s, ramp_w_per_s
        self.offset_w, self.noise_w, self.poll_s = offset_w, noise_w, poll_s
        self.n, self.power_w, self.orders = 0, 0.0, [(0.0, 0.0)]
        self.sample, self.moves = (0.0, 0.0), Movements()
        self.chance = random.Random(3)
        self.order(0.0, 2.0)

    def order(self, power_w, seconds):
        for _ in range(round(seconds * 10)):
            self.n += 1
            now = self.n / 10
            if power_w != self.orders[-1][1]:
                self.orders.append((now, power_w))
            goal_w = next(p for at, p in reversed(self.orders) if at + self.dead_time_s <= now or at == 0.0)
            goal_w += self.offset_w if goal_w else 0.0
            step_w = self.ramp_w / 10
            self.power_w += max(-step_w, min(step_w, goal_w - self.power_w))
            if self.n % round(self.poll_s * 10) == 0:
                self.sample = (now, self.power_w + self.chance.gauss(0.0, self.noise_w))
            self.tell(now, power_w)
        return self.moves.dynamics.get("battery")

    def tell(self, now, power_w):
        site = self.house(at=now, battery_w=self.sample[1])
        snapshot = site.snapshot()
        battery = replace(snapshot.storages["battery"], at=self.sample[0])
        ordered_at = self.orders[-1][0]
        decided = Decision(
            "battery", max(ordered_at, now - 0.1), snapshot.utc, power_w, power_w, Interval(-5000, 5000), WHY
        )
        told = replace(snapshot, storages={"battery": battery}, evses={}, decisions={"battery": decided})
        self.moves = follow(self.moves, told)


@pytest.mark.parametrize(
    ("dead_time_s", "ramp_w_per_s", "poll_s"), [(0.3, 5000, 0.1), (4.0, 3300, 1.0), (7.0, 1000, 1.0)]
)
def test_dead_time_and_ramp_are_found_in_the_noise(house, dead_time_s, ramp_w_per_s, poll_s):
    story = Story(house, dead_time_s, ramp_w_per_s, noise_w=15.0, poll_s=poll_s)
    for goal_w in (3000.0, -2000.0, 1000.0, -3000.0):
        found = story.order(goal_w, 25.0)
    assert found.dead_time_s == pytest.approx(dead_time_s, abs=0.2 + poll_s / 2)
    assert found.ramp_w_per_s == pytest.approx(ramp_w_per_s, rel=0.4)
    assert found.steps == 4


def test_what_a_device_misses_at_rest_is_its_offset(house):
    found = Story(house, 0.3, 5000.0, offset_w=-300.0).order(2500.0, 30.0)
    assert found.offset_w == pytest.approx(-300.0, abs=30.0)


def test_without_a_clean_step_nothing_is_claimed(house):
    story = Story(house, 1.0, 3000.0)
    for n in range(60):
        found = story.order(1500.0 * (-1) ** n, 0.5)
    assert found is None


def test_what_was_learned_before_a_restart_is_the_start_of_the_next(house):
    story = Story(house, 0.3, 5000.0)
    known = Dynamics(0.4, 4800.0, 20.0, 12)
    story.moves = recalled({"battery": known})
    assert story.order(0.0, 5.0) == known
    assert story.order(3000.0, 10.0).steps == 13


def test_where_a_slow_device_will_be_is_told_ahead(house):
    story = Story(house, 4.0, 3300.0, poll_s=1.0)
    story.order(2000.0, 20.0)
    story.order(-1000.0, 3.0)
    assert story.moves.arriving_w["battery"] == pytest.approx(2000.0, abs=50.0)
    story.order(-1000.0, 4.0)
    assert story.moves.arriving_w["battery"] == pytest.approx(-1000.0, abs=100.0)


def test_what_is_kept_stays_bounded(house):
    story = Story(house, 0.3, 5000.0)
    for n in range(200):
        story.order(1000.0 + 10 * n, 0.2)
    track = story.moves.tracks["battery"]
    assert len(track.orders) <= 25
    assert len(track.found) <= 7
