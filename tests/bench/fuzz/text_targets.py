"""What comes as text or as messages: recordings, vehicle programs, site.toml, OpenADR, the joint, ECHONET Lite."""

import csv
import io
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from gateway import link
from gateway.api import wishes
from gateway.api.problems import ProblemError
from gateway.config import parse as parse_site
from gateway.demand_response.openadr3 import objects
from gateway.demand_response.openadr3.schedule import expand
from gateway.devices import open_device
from gateway.devices.echonet import frames as echonet_frames
from gateway.devices.echonet.properties import maker, reading
from gateway.devices.recording import lines, loaders
from gateway.devices.recording.events import Frame
from gateway.faults import Malformed
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    GridWindow,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Plan,
    PlanSlot,
    PriceSlot,
    Request,
    RequestMode,
    WindowKind,
    Wishes,
)
from gateway.planning.price_lists import understood
from gateway.planning.prices import parse_prices
from gateway.simulator.echonet_unit import EchonetUnit
from gateway.simulator.site_file import SitePorts, site_toml
from gateway.simulator.vehicle_inlet import BenchBattery, VehicleInlet
from gateway.simulator.vehicle_lines import CanLine, frame_text, read_datagram, read_line
from gateway.state import SiteState

from .engine import ROOT, Breach, Feed, Target
from .register_targets import finite

# ── recordings ──

ZERO_S = 2e9

RECORDINGS = (
    b"(1764039600.123456) can0 102#029A010000C93E00 R\n(1764039600.223456) can0 109#0200000001200000 T\n",
    b"  can0  102   [8]  02 9A 01 00 00 C9 3E 00\n  can0  1DB   [8]  EE C0 C3 EA 00 F7 61 9B\n",
    b" (2022-06-02 22:49:58.125771)  can1  100   [8]  06 00 00 00 B3 01 F0 00\n remark\n",
    b"Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n3016672,00000100,false,Rx,0,8,00,00,00,00,B3,01,F0,00,\n",
    b"1632426775.935928 CXX OVMS CRTD\n1632426775.937399 1R11 1DB EE C0 C3 EA 00 F7 61 9B\n1632426775.937399 1R29 18DAF110 00\n",
    b"ParserFlags\tCh\tCounter\tT/R\tTime\tFlags\tCAN ID\tLen\tData\t\n1\t0\t1\tRX\t565214935\t\t0x00000603\t1\t0x00 \n",
    (b'# {"gateway": "0.1.0", "devices": {}}\n1764039600.125000 mb0 read 4 0 3 = 3 0 3751 (4.2 ms)\n'
    b'1764039600.126000 mb0 write 16 0 = 2 4100 150 ! exception 2 (3.1 ms)\n1764039600.127000 garage wants {"power_w": 3000.0}\n'
    b"1764039600.128000 en0 from 192.0.2.1 108100010EF00105FF0152018000\n1764039600.129000 garage raises device_fault it is hot\n"
    b"1764039600.130000 mb0 down it is gone\n1764039600.131000 - dropped 12\n1764039600.132000 garage says EvseSample {}\n"),
)  # fmt: skip


def recording_seeds() -> list[bytes]:
    data = ROOT / "../shared/data/can"
    heads = [path.read_bytes()[:1500] for path in sorted(data.glob("*"))] if data.is_dir() else []
    return [*RECORDINGS, *heads]


def recording() -> Feed:
    def feed(given: bytes) -> bool:
        read = loaders.parse(given)
        for event in read.events:
            if not math.isfinite(event.at_s):
                raise Breach(f"{event} at no time")
            if isinstance(event, Frame) and not (0 <= event.can_id < 0x800 and len(event.data) <= 8):
                raise Breach(f"{event} is no frame")
        str(read)
        _written_and_read(read.events)
        return True

    return feed


def _written_and_read(events: Sequence[object]) -> None:
    """Our own form must give back what it was given."""
    for event in islice(events, 20):
        if isinstance(event, Frame) or not 0 <= ZERO_S + event.at_s < 1e12:
            continue
        again = lines.decode(lines.encode(event, ZERO_S))
        if again is None:
            raise Breach(f"{event} cannot be read back")


# ── vehicle programs ──


def vehicle_seeds() -> list[bytes]:
    return [
        b"102#029A010000C83E00",
        b"(1436509052.249713) can0 102#029a010000c83e00\r\n!k=1\r\n",
        b"can0  102   [8]  02 9A 01 00 00 C8 3E 00\n!estop=off",
        b"0x102#02.9A.01\n;remark\n!lock",
    ]


def vehicle() -> Feed:
    inlet = VehicleInlet(BenchBattery(380.0))
    inlet.pilot.coils[:] = [True, True, True]

    def feed(given: bytes) -> bool:
        read, complaints = read_datagram(given)
        for line in read:
            if isinstance(line, CanLine) and read_line(frame_text(line.can_id, line.data)) != line:
                raise Breach(f"{line} is not what it says")
            inlet.hear(line)
        inlet.step(0.1)
        if inlet.linked and not (inlet.pilot.plugged and inlet.pilot.d2):
            raise Breach("a battery without a connector, or without d2")
        return not complaints

    return feed


# ── site.toml ──


def site_seeds() -> list[bytes]:
    at = ("127.0.0.1", 5020)
    ports = SitePorts(at, at, at, 8443, 8444, converter=at, pilot_io=at, charger=at)
    seeds = [
        site_toml(
            ports, charger=charger, time_zone="Europe/Amsterdam", charger_phase=1, battery_phase=2
        ).encode()
        for charger in ("chademo", "quasar", "bidipro", "echonet")
    ]
    leaf = b'\n[devices.leaf]\ndriver = "vehicle.leaf"\ncharger = "garage"\ncan_interface = "slcan"\ncan_channel = "can1"\nbus = "ev_can"\npolls = true\n'
    return [*seeds, seeds[0] + leaf]


def site() -> Feed:
    def feed(given: bytes) -> bool:
        try:
            tables = tomllib.loads(given.decode())
        except tomllib.TOMLDecodeError, UnicodeDecodeError:
            return False
        config = parse_site(tables)
        for name, table in config.devices.items():
            open_device(name, table.driver, {"name": table.name, **table.rest})
        return True

    return feed


# ── OpenADR ──

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
EVENT = {
    "programID": "p", "eventName": "Peak", "priority": 1, "targets": ["house"],
    "intervalPeriod": {"start": "2026-11-25T12:00:00Z", "duration": "PT1H", "randomizeStart": "PT5M"},
    "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
    "reportDescriptors": [{"payloadType": "USAGE", "units": "KWH"}],
    "intervals": [
        {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [3.5]}]},
        {"id": 1, "intervalPeriod": {"start": "2026-11-25T14:00:00+01:00", "duration": "PT15M"},
         "payloads": [{"type": "PRICE", "values": [0.1, 0.2, 0.3, 0.4]}]},
    ],
}  # fmt: skip
ENDLESS = {"programID": "p", "intervalPeriod": {"start": "0001-01-01", "duration": "P9999Y"},
           "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}]}], "duration": "P1Y"}  # fmt: skip
PROGRAM = {"programName": "Peak", "payloadDescriptors": [{"payloadType": "PRICE", "units": "KWH"}]}
REPORT = {
    "eventID": "e",
    "clientName": "c",
    "resources": [{"resourceName": "r", "intervals": EVENT["intervals"]}],
}


def openadr_seeds() -> list[bytes]:
    return [json.dumps(body).encode() for body in (EVENT, ENDLESS, PROGRAM, REPORT)]


def openadr() -> Feed:
    def feed(given: bytes) -> bool:
        raw = objects.decode(given)
        taken = False
        for parse in (objects.parse_event, objects.parse_program, objects.parse_report):
            told = parse(raw)
            taken |= not isinstance(told, objects.Problem)
            if isinstance(told, objects.Event):
                _follow(told)
        return taken

    return feed


def _follow(event: objects.Event) -> None:
    """Place the event in time and ask for a day of it."""
    try:
        schedule = expand(event, "e")
    except Malformed:
        return
    until = NOON + timedelta(days=1)
    for kind in ("IMPORT_CAPACITY_LIMIT", "PRICE", "SIMPLE"):
        for span in islice(schedule.spans(kind, NOON, until), 2000):
            if not (span.ends_at > NOON and span.starts_at < until and span.starts_at <= span.ends_at):
                raise Breach(f"{span} is outside of what was asked for")


# ── the owner's wishes, and prices ──

BODIES = (
    b'{"control_on": true, "devices": {"garage": {"floor_soc_pct": 20.0, "departure": "07:30:00", "discharge_allowed": false}}}',
    b'{"mode": "boost", "power_w": 3000.0, "until_soc_pct": 90.0, "duration_s": 3600.0}',
    b'{"mode": "pause"}',
    b'{"code": "123456", "client_name": "Home Assistant"}',
    b'{"name": "Tablet", "role": "viewer"}',
)
CHARGER = {"garage": DeviceInfo("garage", DeviceKind.EVSE, "Charger", "evse.chademo")}


def wishes_seeds() -> list[bytes]:
    return list(BODIES)


def owner_wishes() -> Feed:
    kinds = (
        wishes.OwnerPatch,
        wishes.RequestBody,
        wishes.PairBody,
        wishes.TokenBody,
        wishes.InspectedBody,
        wishes.ReserveBody,
        wishes.NeedBody,
    )

    def feed(given: bytes) -> bool:
        taken = False
        for kind in kinds:
            try:
                body = wishes.parse_body(given, kind)
                if isinstance(body, wishes.OwnerPatch):
                    owner = wishes.patched(OwnerSettings(), body, CHARGER, NOON)
                    finite(tuple(owner.devices.values()))
                if isinstance(body, wishes.RequestBody):
                    finite(wishes.new_request("r", "garage", body, NOON))
            except ProblemError:
                continue
            taken = True
        return taken

    return feed


def prices_seeds() -> list[bytes]:
    head = b"starts_at,import_per_kwh,export_per_kwh\n"
    rows = b"2026-11-25T00:00:00+01:00,0.21,0.05\n2026-11-25T01:00:00+01:00,-0.02,-0.01\n2026-11-25T01:15:00+01:00,0.3,0.1\n"
    return [head + rows, head + b"9999-12-31T23:59:59Z,1,1\n", head]


def prices() -> Feed:
    def feed(given: bytes) -> bool:
        try:
            text = io.StringIO(given.decode(), newline="")
            slots = parse_prices(csv.DictReader(text))
        except csv.Error, UnicodeDecodeError:
            return False
        return apart(slots)

    return feed


def apart(slots: tuple[PriceSlot, ...]) -> bool:
    finite(slots)
    if any(after.starts_at < slot.ends_at for slot, after in pairwise(slots)):
        raise Breach(f"slots overlap: {slots[:4]}")
    return True


def price_list_seeds() -> list[bytes]:
    return [
        b'{"unit":"EUR/MWh","raw_today":[{"start":"2026-10-25T02:45:00","end":"2026-10-25T03:00:00","value":81.5}]}',
        b'{"rates":[{"valid_from":"2026-06-01T00:00:00Z","valid_to":null,"value_inc_vat":0.2},{"hour":1780272000000,"price":"0.3"}]}',
        b'{"records":[{"HourUTC":"2026-06-01T00:00:00","SpotPriceDKK":746.0,"SpotPriceEUR":100.0}]}',
    ]


def price_lists() -> Feed:
    def feed(given: bytes) -> bool:
        try:
            return apart(understood(json.loads(given), ZoneInfo("Europe/Amsterdam")))
        except ValueError, RecursionError:
            return False

    return feed


# ── the joint ──

HOUR = timedelta(hours=1)


def link_seeds() -> list[bytes]:
    state = SiteState([DeviceInfo("grid", DeviceKind.METER, "Grid", "m", MeterRole.GRID)], lambda: NOON)
    state.slot("grid").sample(MeterSample(1.0, 5.0, (5.0, 0.0, 0.0), (230.0,) * 3, (0.0,) * 3))
    wanted = Wishes(
        OwnerSettings(control_on=True, devices={"garage": DeviceSettings(floor_soc_pct=20.0)}),
        (Request("r", "garage", RequestMode.BOOST, NOON + HOUR, until_soc_pct=90.0),),
        (GridWindow(WindowKind.IMPORT_LIMIT, 3000.0, NOON, NOON + HOUR, "e", "utility"),),
        Plan("p", NOON, NOON + HOUR, "test", (PlanSlot(NOON, NOON + HOUR, None, {"garage": 1.0}, {}),)),
    )
    messages = (link.Hello(link.VERSION), link.Report(state.snapshot(1.0), (0.1, 0.2)), link.Order(wanted))
    return [link.encode(message)[4:] for message in messages]


def joint() -> Feed:
    def feed(given: bytes) -> bool:
        message = link.decode(given)
        link.decode(link.encode(message)[4:])
        return True

    return feed


# ── ECHONET Lite ──


def echonet_seeds() -> list[bytes]:
    unit = EchonetUnit()
    ask = bytes.fromhex("1081000105FF01027E016201")
    answers = [unit.answer(ask + bytes((epc, 0))) for epc in range(0x80, 0x100)]
    return [ask + b"\x80\x00", *(answer for answer in answers if answer), unit.inform()]


def echonet() -> Feed:
    told: dict[int, bytes] = {}

    def feed(given: bytes) -> bool:
        frame = echonet_frames.decode(given)
        if frame.encode() != given:
            raise Breach(f"took {given.hex()} for {frame}")
        for one in frame.properties:
            told[one.epc] = one.edt
            if one.epc in {0x9D, 0x9E, 0x9F}:
                _map(one.edt)
        _look(told)
        return True

    return feed


def _map(edt: bytes) -> None:
    try:
        echonet_frames.property_map(edt)
    except Malformed:
        return


def _look(told: dict[int, bytes]) -> None:
    """Read all that was told so far; what cannot be is forgotten, as the next poll would."""
    maker(told)
    try:
        look = reading(told)
    except Malformed:
        for epc in list(told)[:8]:
            del told[epc]
        return
    for value in _numbers(look.__class__.__dataclass_fields__, look):
        if not math.isfinite(value) or abs(value) > 1e9:
            raise Breach(f"{value} in {look}")


def _numbers(names: Mapping[str, object], look: object) -> Iterator[float]:
    for name in names:
        value = getattr(look, name)
        if isinstance(value, float):
            yield value


TARGETS: Sequence[Target] = (
    Target("recording", ("gateway/devices/recording/",), recording_seeds, recording, text=True),
    Target(
        "vehicle",
        ("gateway/simulator/vehicle_lines", "gateway/simulator/vehicle_inlet"),
        vehicle_seeds,
        vehicle,
        text=True,
    ),
    Target("site", ("gateway/config", "gateway/devices/"), site_seeds, site, text=True),
    Target("openadr", ("gateway/demand_response/openadr3/",), openadr_seeds, openadr, text=True),
    Target("wishes", ("gateway/api/",), wishes_seeds, owner_wishes, text=True),
    Target("prices", ("gateway/planning/prices",), prices_seeds, prices, text=True),
    Target("price_lists", ("gateway/planning/price",), price_list_seeds, price_lists, text=True),
    Target("link", ("gateway/link", "gateway/model/"), link_seeds, joint),
    Target("echonet", ("gateway/devices/echonet/",), echonet_seeds, echonet),
)
