"""Recorded devices decide, and pysunspec2 is the second opinion; arbitrary registers must never hurt the walker."""

import json
import struct
from itertools import pairwise

import pytest
import sunspec2.modbus.client as foreign
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.modbus_bus import ModbusBus
from gateway.devices.sunspec import (
    MODELS_MAX,
    SAME_LAYOUT,
    SunSpecMap,
    counters,
    decode,
    definition,
    encode,
    layout,
    number,
    text,
    walk,
)
from gateway.faults import Malformed, Misuse, Refused
from tests.gateway.devices.modbus_device import DUMPS, SUNSPEC, ModbusDevice, chained, load_dump, registers_of

AGATE = "FranklinWH_aGateX_20260514.json"
SMA_DAY = "SMA_SB36_20250518.json"
SMA_NIGHT = "SMA_SB36_20250608_night.json"


def walk_image(image):
    """Walk ``image``, where a missing register is an exception; return the chain and the number of reads."""
    walker, reads = walk(), 1
    address, count = next(walker)
    while True:
        wanted = range(address, address + count)
        got = tuple(image[a] for a in wanted) if all(a in image for a in wanted) else None
        try:
            address, count = walker.send(got)
        except StopIteration as end:
            return end.value, reads
        reads += 1


def block_of(image, at):
    return [image[a] for a in range(at.address, at.address + at.length + 2)]


def decoded(image, at, defined=None):
    block = block_of(image, at)
    return decode(layout(defined or definition(at.model), block), block)


class OfImage(foreign.SunSpecModbusClientDevice):
    """pysunspec2 over a register image instead of a wire."""

    def __init__(self, image):
        super().__init__()
        self._image = image

    def read(self, addr, count):
        addr, count = int(addr), int(count)  # it divides bytes by two
        try:
            return struct.pack(f">{count}H", *(self._image[a] for a in range(addr, addr + count)))
        except KeyError:
            raise foreign.SunSpecModbusClientException("no such register") from None


def foreign_values(group, prefix=""):
    """Flatten a pysunspec2 group into our names."""
    for name, point in group.points.items():
        if point.pdef["type"] != "pad":
            value = point.cvalue
            yield prefix + name, (value.strip("\0 ") or None) if isinstance(value, str) else value
    for name, inner in group.groups.items():
        if isinstance(inner, list):
            for index, one in enumerate(inner):
                yield from foreign_values(one, f"{prefix}{name}[{index}].")
        else:
            yield from foreign_values(inner, f"{prefix}{name}.")


def test_a_real_battery_reads_as_its_published_values():
    dump = load_dump(AGATE)
    image = registers_of(dump)
    chain, _ = walk_image(image)
    assert [at.model for at in chain] == [m["id"] for m in dump["expected"]]
    compared = 0
    for at, expected in zip(chain, dump["expected"], strict=True):
        defined = json.loads((DUMPS / f"sunspec_models/model_{at.model}.json").read_text())
        ours = decoded(image, at, defined)
        for name, _, kind, value in expected["points"]:
            if kind != "pad":
                assert ours[name] == (value if value is None else pytest.approx(value)), (at.model, name)
                compared += 1
    assert compared == 327


@pytest.mark.parametrize("name", [AGATE, SMA_DAY, SMA_NIGHT])
def test_pysunspec2_sees_the_same_points(name):
    image = registers_of(load_dump(name))
    chain, _ = walk_image(image)
    device = OfImage(image)
    device.scan(connect=False)
    theirs = [m for models in device.models.values() if isinstance(models, list) for m in models]
    theirs = {m.model_addr: m for m in theirs}
    compared = 0
    for at in chain:
        if definition(at.model) is None:
            continue
        ours = decoded(image, at)
        for point, value in foreign_values(theirs[at.address]):
            assert ours.get(point) == (value if value is None else pytest.approx(value)), (at.model, point)
            compared += 1
    assert compared > 50


def test_an_inverter_at_night_tells_nothing_instead_of_numbers():
    image = registers_of(load_dump(SMA_NIGHT))
    chain, _ = walk_image(image)
    values = decoded(image, next(at for at in chain if at.model == 101))
    for point in ("W", "Hz", "A", "AphA", "PhVphA", "VA", "VAr", "PF", "DCA", "DCV", "DCW", "TmpCab", "St"):
        assert values[point] is None, point
    assert values["WH"] == 30_847_780


def test_an_inverter_in_the_sun_tells_its_power():
    image = registers_of(load_dump(SMA_DAY))
    chain, _ = walk_image(image)
    values = decoded(image, next(at for at in chain if at.model == 101))
    assert (values["W"], values["Hz"], values["PhVphA"]) == (3680, 49.99, 244.0)


def test_models_that_share_a_layout_really_do():
    for model in (101, 111, 201, 211):
        file = DUMPS / f"sunspec_models/model_{model}.json"
        if not file.is_file():
            pytest.skip("official definitions are not here")
        mine = definition(SAME_LAYOUT[model])["group"]["points"]
        its = json.loads(file.read_text())["group"]["points"]
        assert [(p["type"], p["size"], p.get("sf")) for p in mine] == [
            (p["type"], p["size"], p.get("sf")) for p in its
        ]


@pytest.mark.parametrize("base", [0, 40000, 50000])
def test_the_chain_is_found_at_each_base(base):
    chain, _ = walk_image(chained((1, [0] * 66), (713, [0] * 7), base=base))
    assert [(at.model, at.address - base) for at in chain] == [(1, 2), (713, 70)]


def test_a_chain_ends_with_its_single_end_register_or_with_the_map():
    image = chained((1, [0] * 66), end=False)
    assert len(walk_image(image | {40070: 0xFFFF})[0]) == 1
    assert len(walk_image(image)[0]) == 1


def test_unknown_and_repeated_models_are_walked_over():
    chain, _ = walk_image(
        chained((1, [0] * 66), (64204, [7] * 31), (160, [0] * 8), (160, [0] * 8), (1, [0] * 65))
    )
    assert [at.model for at in chain] == [1, 64204, 160, 160, 1]


def test_a_model_without_length_stops_the_walk():
    assert [at.model for at in walk_image(chained((1, [0] * 66), (103, []), (713, [0] * 7)))[0]] == [1]


def test_no_marker_and_no_model_are_malformed():
    for image in ({}, {40000: 1, 40001: 2}, dict(enumerate([*SUNSPEC, 0xFFFF, 0], 40000))):
        with pytest.raises(Malformed):
            walk_image(image)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60))
def test_the_walk_ends_for_any_registers(seed, pattern):
    class Image(dict):
        def __contains__(self, address):
            return address <= 0xFFFF and (address * 31 + seed) % 97 != 0

        def __getitem__(self, address):
            if address in (40000, 40001):
                return SUNSPEC[address - 40000]
            return pattern[(address * 2654435761 + seed) % len(pattern)]

    try:
        chain, reads = walk_image(Image())
    except Malformed:
        return
    assert reads <= MODELS_MAX + 4
    for before, after in pairwise(chain):
        assert after.address == before.address + before.length + 2
    assert chain[-1].address + chain[-1].length + 2 <= 0x10000


@given(
    st.sampled_from([1, 103, 113, 203, 213, 701, 702, 703, 704, 713, 714]),
    st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=200),
)
def test_any_block_decodes_to_finite_numbers_or_to_nothing(model, block):
    values = decode(layout(definition(model), block), block)
    for name, value in values.items():
        assert value is None or isinstance(value, str | int) or abs(value) < float("inf"), name


@given(st.integers(-30_000, 30_000), st.integers(0, 4))
def test_what_is_encoded_decodes_to_itself(tens_w, scale):
    block = [0] * 67
    block[55] = scale
    points = layout(definition(704), block)
    wset = next(p for p in points if p.name == "WSet")
    value = tens_w * 10**scale
    block[24:26] = encode(wset, value, decode(points, block))
    assert decode(points, block)["WSet"] == value


@pytest.mark.parametrize("factor", [11, -11, 0x8000, 300])
def test_an_impossible_scale_factor_spoils_its_values_only(factor):
    block = [713, 7, 10_000, 5_000, 550, 990, 0, factor & 0xFFFF, 0xFFFF]
    values = decode(layout(definition(713), block), block)
    assert values["WHRtg"] is None
    assert values["SoC"] == 55.0


def test_a_shorter_and_a_longer_block_are_read_as_far_as_they_are_known():
    short = [713, 4, 10_000, 5_000, 55, 99]
    values = decode(layout(definition(713), short), short)
    assert (number(values, "WHRtg"), number(values, "Sta")) == (None, None)  # its scale factor is missing
    full = [713, 7, 10_000, 5_000, 55, 99, 0, 0, 0, 4711]
    assert decode(layout(definition(713), full), full)["WHRtg"] == 10_000


def test_a_number_that_a_point_cannot_hold_is_not_written():
    block = [0] * 67
    points = {p.name: p for p in layout(definition(704), block)}
    with pytest.raises(Refused):
        encode(points["WSetPct"], 40_000, {"WSetPct_SF": 0})
    with pytest.raises(Malformed):
        encode(points["WSetPct"], 40, {"WSetPct_SF": None})


@pytest.mark.parametrize("model", [1, 103, 113, 203, 213, 701, 702, 703, 704, 713, 714])
def test_how_often_a_group_repeats_stands_before_all_groups(model):
    def counts(group):
        for inner in group.get("groups", ()):
            yield from (name for name in [inner.get("count")] if isinstance(name, str))
            yield from counts(inner)

    points = {p.offset: p.name for p in layout(definition(model), [0] * 250)}
    assert [points[offset] for offset in counters(model)] == list(counts(definition(model)["group"]))


@pytest.fixture
async def device():
    name = [ord("A") << 8] + [0] * 65
    image = chained(
        (1, name), (64204, [0] * 5), (704, [0] * 65), (1, [ord("B") << 8] + [0] * 65), (713, [0] * 7)
    )
    async with ModbusDevice(holding=image) as device:
        yield device


@pytest.fixture
async def over(device):
    bus = ModbusBus("127.0.0.1", device.port, 1)
    await bus.connect()
    over = SunSpecMap(bus)
    await over.scan()
    yield over
    bus.close()


async def test_a_part_is_named_by_the_common_model_before_it(over):
    assert text(await over.identity(704), "Mn") == "A"
    assert text(await over.identity(713), "Mn") == "B"


async def test_points_are_written_by_name_in_one_request(over, device):
    await over.read(704)
    await over.write(704, {"WSetMod": 1, "WSet": -3000, "WSetRvrt": 0})
    assert device.written == [(40077 + 23, (1, 0xFFFF, 0x10000 - 3000, 0, 0))]
    values = await over.read(704)
    assert (values["WSetMod"], values["WSet"]) == (1, -3000)


@pytest.mark.parametrize(
    ("wanted", "error"), [({"WSetEna": 1, "WSet": 0}, Misuse), ({"WSetEna": 1, "NoSuchPoint": 1}, Malformed)]
)
async def test_points_that_are_missing_or_do_not_adjoin_are_not_written(over, device, wanted, error):
    await over.read(704)
    with pytest.raises(error):
        await over.write(704, wanted)
    assert device.written == []


async def test_a_map_that_moved_is_found_again(over, device):
    assert (await over.read(713))["SoC"] == 0
    device.holding = chained((1, [0] * 66), (713, [10_000, 5_000, 55, 99, 0, 0, 0]))
    device.holding |= dict.fromkeys(range(40079, 40400), 0)
    assert (await over.read(713))["SoC"] == 55


async def test_a_block_that_counts_more_groups_has_their_points(over, device):
    device.holding = chained((1, [0] * 66), (714, [0] * 43))
    device.holding |= dict.fromkeys(range(40118, 40400), 0)
    await over.scan()
    assert "Prt[0].PrtTyp" not in await over.read(714)
    ports = 40070 + counters(714)[0]
    device.holding[ports] = 1
    assert "Prt[0].PrtTyp" in await over.read(714)
    device.holding[ports] = 0
    assert "Prt[0].PrtTyp" not in await over.read(714)


async def test_a_model_that_is_gone_is_malformed(over, device):
    device.holding = chained((1, [0] * 66)) | dict.fromkeys(range(40072, 40400), 0)
    with pytest.raises(Malformed):
        await over.read(713)
