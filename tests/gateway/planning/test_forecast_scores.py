"""Each forecast is judged by what came: its error, its bias, and how honest its doubt was."""

import pytest

from gateway.planning.scores import Score, judged

BAND = (400.0, 500.0, 600.0)


def test_an_error_has_a_size_and_a_side():
    score = judged([(BAND, 450.0), (BAND, 700.0)])
    assert (score.count, score.mae, score.bias, score.mean) == (2, 125.0, -75.0, 575.0)
    assert score.coverage == 0.5


def test_the_pinball_loss_is_that_of_all_three_quantiles():
    assert judged([(BAND, 450.0)]).pinball == pytest.approx((0.1 * 50 + 0.5 * 50 + 0.1 * 150) / 3)


def test_nothing_that_came_is_no_score():
    assert judged([]) == Score()


def test_a_night_says_nothing_of_how_good_the_bands_are():
    score = judged([((0.0, 1.0, 2.0), 1.0), ((0.0, 0.0, 0.0), 0.0)])
    assert (score.count, score.doubtful, score.coverage) == (2, 1, 1)


def test_running_figures_follow_what_is_new_and_forget_slowly():
    bad, good = Score(96.0, mae=300.0, mean=500.0), Score(96.0, mae=100.0, mean=500.0)
    score = Score().after(bad)
    assert score == bad
    for _ in range(28):
        score = score.after(good)
    assert 100 < score.mae < 120
