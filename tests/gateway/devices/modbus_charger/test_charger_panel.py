"""What the makes share: the table in site.toml, reads that fall apart where the device has gaps, and a write budget."""

import pytest

from gateway.config import decode
from gateway.devices.modbus_charger.panel import Options, Registers, WriteBudget
from gateway.faults import ConfigError, Refused
from gateway.model import Interval
from gateway.simulator.modbus_servers import Illegal
from tests.gateway.devices.modbus_charger.paper import PaperBus

TABLE = {"name": "Charger", "host": "here"}


class Gappy:
    """A device with holes, which counts what it was asked."""

    silent = False

    def __init__(self, *addresses):
        self.words = {n: 10 * n for n in addresses}
        self.asked = []

    def read_registers(self, table, address, count):
        self.asked.append((address, count))
        try:
            return [self.words[n] for n in range(address, address + count)]
        except KeyError:
            raise Illegal(2) from None


@pytest.fixture
async def gappy():
    bus = PaperBus(Gappy(1, 2, 4))
    await bus.connect()
    return bus


async def test_a_block_with_a_gap_is_split_once_and_the_gap_is_remembered(gappy):
    registers = Registers(gappy)
    assert await registers.read(1, 4) == {1: 10, 2: 20, 4: 40}
    assert gappy.unit.asked == [(1, 4), (1, 1), (2, 1), (3, 1), (4, 1)]
    gappy.unit.asked.clear()
    assert await registers.read(1, 4) == {1: 10, 2: 20, 4: 40}
    assert gappy.unit.asked == [(1, 1), (2, 1), (4, 1)]


async def test_a_block_that_must_be_whole_says_so(gappy):
    assert await Registers(gappy).read_all(1, 2) == {1: 10, 2: 20}
    with pytest.raises(Refused, match="registers 1 to 4 are not all there"):
        await Registers(gappy).read_all(1, 4)


def test_the_budget_is_per_register_and_per_day_and_warns_before_it_is_spent():
    now = 1000.0
    budget = WriteBudget(lambda: now, per_day=10)
    for _ in range(7):
        budget.spend(81)
    assert budget.worn == ""
    budget.spend(81)
    assert budget.worn == "register 81 was written 8 times in 24 h, of 10"
    budget.spend(81)
    budget.spend(81)
    with pytest.raises(Refused, match="10 times in a day"):
        budget.spend(81)
    budget.spend(82)
    now += 86_401
    budget.spend(81)
    assert budget.worn == ""


def test_options_narrow_and_never_widen():
    assert decode(Options, TABLE, "x").narrow(7400, 7400) == Interval(-7400, 7400)
    assert decode(Options, TABLE | {"max_charge_w": 3000, "max_discharge_w": 0}, "x").narrow(7400, 7400) == (
        Interval(0, 3000)
    )
    assert decode(Options, TABLE | {"max_charge_w": 9000}, "x").narrow(7400, -5.0) == Interval(0, 7400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0},
        {"lease_s": 31},
        {"lease_s": 5},
        {"poll_s": 6},
        {"phases": []},
        {"phases": [4]},
        {"max_charge_w": -1},
    ],
    ids=str,
)
def test_what_cannot_be_says_where(wrong):
    (key,) = wrong
    with pytest.raises(ConfigError, match=rf"^x\.{key}"):
        decode(Options, TABLE | wrong, "x")
