"""A hundred houses drawn by lot, each started once: no phase stays over its fuse for more than 5 s."""

import logging

import pytest

from tests.bench.starts import ALLOWED_S, start_of

SECONDS = 20.0
METER_CLASS = 0.01


@pytest.mark.parametrize("ten", range(10))
def test_no_start_keeps_a_phase_over_its_fuse(ten):
    try:
        starts = [start_of(seed, SECONDS, METER_CLASS) for seed in range(10 * ten, 10 * ten + 10)]
    finally:
        logging.disable(logging.NOTSET)
    assert [s for s in starts if s.longest_over_s > ALLOWED_S] == []
