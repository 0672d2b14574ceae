"""The wire between car and client, with its mishaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.can_mishaps import CanMishaps, Noise

FRAMES = [(0x100 + n % 8, n.to_bytes(8, "little")) for n in range(2000)]


def carried(noise: Noise, frames=FRAMES) -> list[tuple[int, bytes]]:
    mishaps, came = CanMishaps(), []
    mishaps.strike(noise)
    way = mishaps.way(lambda can_id, data: came.append((can_id, data)))
    for frame in frames:
        way(*frame)
    return came


def test_a_quiet_wire_carries_everything_in_order():
    assert carried(Noise()) == FRAMES


def test_the_same_seed_is_the_same_luck():
    assert carried(Noise(loss=0.1, seed=3)) == carried(Noise(loss=0.1, seed=3))
    assert carried(Noise(loss=0.1, seed=3)) != carried(Noise(loss=0.1, seed=4))


def test_loss_loses_its_share_and_nothing_else():
    came = carried(Noise(loss=0.1))
    assert 1750 <= len(came) <= 1850
    assert came == sorted(came, key=FRAMES.index)


def test_doubled_frames_come_twice_in_place():
    came = carried(Noise(doubling=0.2))
    assert list(dict.fromkeys(came)) == FRAMES
    assert 2300 <= len(came) <= 2500


def test_a_late_frame_comes_right_after_the_next():
    came = carried(Noise(reordering=0.2))
    assert came != FRAMES
    assert sorted(came, key=FRAMES.index) == FRAMES[: len(came)]
    assert all(abs(FRAMES.index(frame) - place) <= 1 for place, frame in enumerate(came))


@given(line=st.binary(min_size=1, max_size=30))
def test_garbling_turns_one_bit(line):
    mishaps = CanMishaps()
    mishaps.strike(Noise(garbling=1.0))
    turned = mishaps.garbled(line)
    assert sum((a ^ b).bit_count() for a, b in zip(line, turned, strict=True)) == 1


def test_nothing_passes_while_the_bus_is_off():
    mishaps, came = CanMishaps(), []
    way = mishaps.way(lambda can_id, data: came.append(can_id))
    mishaps.bus_off_s = 0.5
    way(1, b"")
    mishaps.step(0.6)
    way(2, b"")
    assert came == [2]


@pytest.mark.parametrize("chance", [-0.1, 1.1])
@pytest.mark.parametrize("name", ["loss", "doubling", "reordering", "garbling"])
def test_what_is_no_chance_is_refused(name, chance):
    with pytest.raises(ValueError, match=name):
        Noise(**{name: chance})
