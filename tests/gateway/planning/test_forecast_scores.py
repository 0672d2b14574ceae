"""Each forecast is judged by what came, per lead time, and what has not come yet is left out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gateway.planning.forecast import History, Issued, Score, Scores, scored
from gateway.planning.problem import Band

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
DAY = np.full(96, 0.25)


def issued(p50=500.0, half=100.0, hours=DAY):
    ones = np.ones(len(hours))
    return Issued(BEGIN, hours, Band(p50 * ones, (p50 - half) * ones, (p50 + half) * ones))


def test_errors_are_told_per_lead_time():
    came = np.full(96, 500.0)
    came[:4], came[4:24] = 450.0, 700.0
    found = scored(issued(), History(BEGIN, 900, came))
    assert [found[h].count for h in (1.0, 6.0, 24.0)] == [4, 20, 72]
    assert [found[h].mae for h in (1.0, 6.0, 24.0)] == [50, 200, 0]
    assert [found[h].bias for h in (1.0, 6.0, 24.0)] == [50, -200, 0]
    assert [found[h].coverage for h in (1.0, 6.0, 24.0)] == [1, 0, 1]
    assert found[1.0].pinball == pytest.approx((0.1 * 50 + 0.5 * 50 + 0.1 * 150) / 3)
    assert found[1.0].error_pct == pytest.approx(100 * 50 / 450)


def test_what_has_not_come_and_what_was_not_measured_is_left_out():
    came = np.full(8, 500.0)
    came[2] = np.nan
    found = scored(issued(), History(BEGIN, 900, came))
    assert [found[h].count for h in (1.0, 6.0, 24.0)] == [3, 4, 0]
    assert found[24.0] == Score()
    assert Score().error_pct is None


def test_steps_of_any_length_are_judged_by_their_mean():
    came = np.tile([400.0, 600.0], 48)
    found = scored(issued(hours=np.full(24, 1.0)), History(BEGIN, 900, came))
    assert found[24.0].mae == pytest.approx(0.0, abs=1e-6)


def test_a_night_says_nothing_of_how_good_the_bands_are():
    evening = np.concatenate((np.ones(2), np.zeros(94)))
    found = scored(Issued(BEGIN, DAY, Band(evening, 0 * evening, 2 * evening)), History(BEGIN, 900, evening))
    assert (found[1.0].count, found[1.0].doubtful, found[1.0].coverage) == (4, 2, 1)
    assert (found[6.0].count, found[6.0].doubtful, found[6.0].coverage) == (20, 0, 0)


def test_running_figures_follow_what_is_new_and_forget_slowly():
    bad, good = Score(96.0, mae=300.0, mean=500.0), Score(96.0, mae=100.0, mean=500.0)
    score = Score().after(bad)
    assert score == bad
    for _ in range(28):
        score = score.after(good)
    assert 100 < score.mae < 120
    scores = Scores().after(issued(), History(BEGIN, 900, np.full(96, 450.0)))
    assert scores.by_lead_h[24.0].bias == pytest.approx(50.0)
    assert (
        scores.after(Issued(BEGIN + timedelta(days=9), DAY, issued().band), History(BEGIN, 900, np.zeros(96)))
        == scores
    )
