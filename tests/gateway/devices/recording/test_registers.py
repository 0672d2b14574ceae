"""A played unit answers what was recorded, keeps what we write, and shows what it changed by itself."""

import pytest

from gateway.devices.recording.events import Exchange
from gateway.devices.recording.registers import ILLEGAL_ADDRESS, RegisterImage


def read(values, address=0, function=3, error=""):
    return Exchange(1.0, "mb0", function, address, len(values) or 1, tuple(values), error)


def written(values, address=0, function=16):
    return Exchange(1.0, "mb0", function, address, len(values), tuple(values))


def test_what_comes_later_stands_in_until_something_is_known():
    image = RegisterImage([read([1, 2]), read([3, 4])])
    assert image.read(3, 0, 2) == (1, 2)
    image.heard(read([3, 4]))
    assert image.read(3, 1, 1) == (4,)


def test_registers_that_were_never_asked_are_refused():
    assert RegisterImage([read([1, 2])]).read(3, 0, 3) == ILLEGAL_ADDRESS
    assert RegisterImage([read([1, 2])]).read(4, 0, 2) == ILLEGAL_ADDRESS


def test_what_we_write_is_read_back_whatever_was_written_then():
    image = RegisterImage([read([1, 2])])
    assert image.write(16, 0, (8, 9)) == ""
    image.heard(written([5, 6]))
    image.heard(read([5, 6]))
    assert image.read(3, 0, 2) == (8, 9)
    assert image.holds_ours(3, 0, 1)


def test_what_the_unit_changed_by_itself_wins_over_what_we_wrote():
    image = RegisterImage([read([1])])
    image.heard(written([1]))
    image.write(16, 0, (1,))
    image.heard(read([0]))
    assert image.read(3, 0, 1) == (0,)
    assert not image.holds_ours(3, 0, 1)


def test_coils_and_their_orders_are_the_same_place():
    image = RegisterImage([read([0, 0, 0], function=1)])
    image.write(5, 1, (1,))
    assert image.read(1, 0, 3) == (0, 1, 0)


@pytest.mark.parametrize("error", ["silent", "exception 6"])
def test_a_recorded_error_comes_again_until_it_was_over(error):
    image = RegisterImage([read([1])])
    image.heard(read([], error=error))
    assert image.read(3, 0, 1) == error
    image.heard(read([1]))
    assert image.read(3, 0, 1) == (1,)
