"""A schedule becomes a plan: slots with shares, how the exchange is followed, and what cannot be brought."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model import PLAN_REASONS, PLAN_SHORTFALLS, Exchange
from gateway.planning.orders import VALID_FOR
from gateway.planning.problem import Lack
from gateway.planning.question import Answer
from gateway.planning.worker import answer_to, serve
from tests.gateway.planning.site_stories import BATTERY, CAR, NOW, OWNER, asked


@pytest.fixture(scope="module")
def plan():
    return answer_to(asked()).plan


def test_slots_follow_each_other_and_begin_now(plan):
    assert plan.slots[0].starts_at == NOW
    assert all(a.ends_at == b.starts_at for a, b in zip(plan.slots, plan.slots[1:], strict=False))
    assert plan.slot(NOW + timedelta(minutes=20)) is plan.slots[1]
    assert plan.expires_at == NOW + VALID_FOR


def test_the_cheap_night_charges_and_the_dear_evening_lives_of_the_battery(plan):
    night = plan.slots[next(n for n, s in enumerate(plan.slots) if s.starts_at.hour == 5)]
    assert night.device_power_w["garage"] > 5000
    assert night.exchange is Exchange.IMPORT
    assert night.reasons["garage"] == "cheap_hours"
    evening = plan.slots[next(n for n, s in enumerate(plan.slots) if s.starts_at.hour == 18)]
    assert evening.exchange is Exchange.HELD
    assert evening.grid_power_w == pytest.approx(0.0, abs=50.0)


def test_the_exchange_is_the_sum_of_its_parts_and_a_car_that_is_away_has_no_share(plan):
    away = next(s for s in plan.slots if s.starts_at == NOW.replace(day=21, hour=8, minute=0))
    assert "garage" not in away.device_power_w
    assert {c for s in plan.slots for c in s.reasons.values()} <= set(PLAN_REASONS)


def test_a_departure_that_cannot_be_met_is_told_with_the_charge_that_there_will_be():
    soon = NOW.replace(hour=5, minute=30)
    plan = answer_to(asked(utc=soon)).plan
    lack = next(s for s in plan.shortfalls if s.code == "departure" and s.at.day == soon.day)
    assert lack.device == "garage"
    assert (lack.at.hour, lack.at.minute) == (7, 30)
    assert 70 < lack.soc_pct < 80
    assert lack.target_soc_pct == 80.0
    assert lack.minutes > 0


def test_every_lack_has_words():
    assert set(PLAN_SHORTFALLS) == set(Lack)


def test_a_site_without_anything_to_plan_has_no_plan():
    assert answer_to(asked(car=None, battery=None)).plan is None


def test_a_full_battery_below_nothing_is_no_reason_to_fail():
    for soc in (0.0, 100.0, 130.0, -5.0):
        assert answer_to(
            asked(battery=replace(BATTERY, soc_pct=soc), car=replace(CAR, charge_max_w=0.0))
        ).plan


def test_questions_are_answered_one_after_the_other_until_the_pipe_ends():
    import io

    import msgspec

    body = msgspec.msgpack.encode(asked())
    frame = len(body).to_bytes(4, "big") + body
    answers = io.BytesIO()
    serve(io.BytesIO(frame + frame), answers)
    told, found = answers.getvalue(), []
    while told:
        size = int.from_bytes(told[:4], "big")
        found.append(msgspec.msgpack.decode(told[4 : 4 + size], type=Answer))
        told = told[4 + size :]
    assert len(found) == 2
    assert len(found[0].expected.load_w) == len(found[0].plan.slots) == 192


def test_a_car_park_is_planned_by_prices_that_its_cars_answer():
    question = asked(battery=None)
    seen = question.snapshot
    bays = {f"bay_{n}": replace(seen.devices["garage"], id=f"bay_{n}") for n in range(12)}
    seen = replace(
        seen,
        devices={"grid": seen.devices["grid"]} | bays,
        storages={},
        evses=dict.fromkeys(bays, CAR),
    )
    leaving = dict.fromkeys(bays, OWNER.of("garage"))
    wishes = replace(question.wishes, owner=replace(OWNER, devices=leaving))
    plan = answer_to(replace(question, snapshot=seen, wishes=wishes)).plan
    charged_wh = {
        bay: sum(
            max(0.0, s.device_power_w.get(bay, 0.0)) * (s.ends_at - s.starts_at) / timedelta(hours=1)
            for s in plan.slots
            if s.ends_at <= NOW.replace(day=21, hour=7, minute=30)
        )
        for bay in bays
    }
    assert all(wh > 0.3 * 36_000 for wh in charged_wh.values())
    assert not [s for s in plan.shortfalls if s.code == "departure"]
