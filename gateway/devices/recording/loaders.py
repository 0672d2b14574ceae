"""Recorded traffic → events with seconds from the first. Pure but for ``load``.

Understood are candump (``-L``, on screen, and without time), SavvyCAN CSV, OVMS crtd, the tab-separated form of
CANHacker, and our own (lines.py). Remarks between the lines disturb nothing and are counted.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from gateway.devices.recording import lines
from gateway.devices.recording.events import Event, Frame
from gateway.faults import Malformed, Unreachable

LARGEST_BYTES = 1 << 30
STANDARD_IDS = 0x800
ASSUMED_PERIOD_S = 0.01
"""Where no line tells a time, the most frequent id is taken to come this often (the Leaf's fastest, reference/can.md 1.3)."""


class Form(StrEnum):
    CANDUMP_LOG = "candump -L"
    CANDUMP = "candump"
    CANDUMP_UNTIMED = "candump without time"
    SAVVYCAN = "SavvyCAN CSV"
    CRTD = "OVMS crtd"
    TABS = "tab-separated"
    OWN = "recording of this gateway"


@dataclass(frozen=True, slots=True)
class Recording:
    """``left_out`` counts frames that no bus of ours carries: 29-bit ids, remote and error frames.

    ``header`` is what our own form says of itself. ``started_at`` is the time of the first event in seconds of its own clock.
    """

    form: Form
    events: tuple[Event, ...]
    not_understood: int = 0
    left_out: int = 0
    started_at: float = 0.0
    header: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return what was read, in words."""
        left_out = f", {self.left_out} frames that our buses do not carry" if self.left_out else ""
        return (
            f"{self.form}: {len(self.events)} events in {self.lasts_s:.1f} s"
            f"{left_out}, {self.not_understood} lines not understood"
        )

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The CAN frames of all buses, in order."""
        return tuple(event for event in self.events if isinstance(event, Frame))

    @property
    def buses(self) -> tuple[str, ...]:
        """The names of the CAN buses, sorted."""
        return tuple(sorted({frame.bus for frame in self.frames}))

    @property
    def lasts_s(self) -> float:
        """The time of the last event."""
        return max((event.at_s for event in self.events), default=0.0)

    def bus(self, name: str) -> tuple[Frame, ...]:
        """Return the frames of one bus."""
        return tuple(frame for frame in self.frames if frame.bus == name)


_LEFT_OUT, _REMARK = object(), object()
type _Found = Event | object | None

_DATA = r"(?:\s+[0-9A-Fa-f]{2}){0,8}"
_LOG = re.compile(r"\((\d{1,12}\.\d{1,9})\)\s+(\S+)\s+([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#(\S*)(?:\s+([RT]))?")
_SCREEN = re.compile(
    r"(?:\(([^)]{1,40})\)\s+)?([A-Za-z]\S*)\s+(?:([RT])X\s+(?:\S\s+\S\s+)?)?"
    rf"([0-9A-Fa-f]{{3}}|[0-9A-Fa-f]{{8}})\s+\[(\d)\](\s+remote request|{_DATA})(?:\s+'.*')?"
)
_CSV = re.compile(
    r"(\d{1,18}),(?:0x)?([0-9A-Fa-f]{1,8}),(true|false|0|1),(?:(Rx|Tx),)?(\d{1,3}),(\d),((?:[0-9A-Fa-f]{2},?){0,8}),*",
    re.IGNORECASE,
)
_CRTD = re.compile(rf"(\d{{1,12}}\.\d{{1,9}})\s+(\d{{0,2}})([RT])(11|29)\s+([0-9A-Fa-f]{{1,8}})({_DATA})")
_CRTD_REMARK = re.compile(r"\d{1,12}\.\d{1,9}\s+\d{0,2}C[A-Z]{2}\b.*")
_TABS = re.compile(
    rf"\d*\t(\d{{1,3}})\t\d*\t([RT])X\t(\d{{1,15}})\t([^\t]*)\t0x([0-9A-Fa-f]{{1,8}})\t(\d)\t(?:0x([0-9A-Fa-f]{{2}}{_DATA}))?"
)


def load(path: Path) -> Recording:
    """Read a recording from a file, which gzip may have packed. Raises Unreachable, or what ``parse`` raises."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Malformed(f"{path}: {error}") from None
    except OSError as error:
        raise Unreachable(f"{path}: {error.strerror}") from None
    if len(content) > LARGEST_BYTES:
        raise Malformed(f"{path}: larger than {LARGEST_BYTES >> 20} MiB; cut it")
    try:
        return parse(content)
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def parse(content: bytes) -> Recording:
    """Read a recording; the first line that is understood decides the form. Raises Malformed when there is none."""
    header: dict[str, Any] = {}
    events: list[Event] = []
    not_understood = left_out = 0
    form: Form | None = None
    for raw in content.decode("utf-8", "replace").split("\n"):
        line = raw.strip(" \r")
        if not line:
            continue
        if line.startswith(lines.HEADER):
            form, header = Form.OWN if (told := _header(line)) else form, {**header, **told}
            continue
        if form is None:
            form, found = _recognised(line)
        else:
            found = _FORMS[form](line)
        if found is None:
            not_understood += 1
        elif found is _LEFT_OUT:
            left_out += 1
        elif found is not _REMARK:
            events.append(found)  # type: ignore[arg-type]  # the two marks are dealt with
    if form is None or not events:
        raise Malformed(f"nothing recorded in it; understood are {', '.join(Form)}")
    events, started_at = _from_zero(events, timed=form is not Form.CANDUMP_UNTIMED)
    return Recording(form, tuple(events), not_understood, left_out, started_at, header)


def _recognised(line: str) -> tuple[Form | None, _Found]:
    for form, read in _FORMS.items():
        if (found := read(line)) is not None:
            return form, found
    return None, None


def _from_zero(events: list[Event], *, timed: bool) -> tuple[list[Event], float]:
    if timed:
        start = events[0].at_s
        return [replace(event, at_s=event.at_s - start) for event in events], start
    ids = Counter(event.can_id for event in events if isinstance(event, Frame))
    gap_s = ASSUMED_PERIOD_S * ids.most_common(1)[0][1] / len(events)
    return [replace(event, at_s=n * gap_s) for n, event in enumerate(events)], 0.0


def _frame(
    at_s: float, bus: str, can_id: str, data: str, *, length: int | None = None, sent: bool = False
) -> _Found:
    try:
        content = bytes.fromhex(data)
    except ValueError:
        return None
    if len(content) > 8 or length not in {None, len(content)}:
        return None
    number = int(can_id, 16)
    return Frame(at_s, bus, number, content, sent) if number < STANDARD_IDS and len(can_id) < 8 else _LEFT_OUT


def _log(line: str) -> _Found:
    if (found := _LOG.fullmatch(line)) is None:
        return None
    at, bus, can_id, data, direction = found.groups()
    if data.startswith(("R", "#")):
        return _LEFT_OUT
    return _frame(float(at), bus, can_id, data, sent=direction == "T")


def _timed(line: str) -> _Found:
    found = _SCREEN.fullmatch(line)
    if found is None or found[1] is None:
        return None
    at_s = _seconds(found[1])
    return None if at_s is None else _screen(found, at_s)


def _untimed(line: str) -> _Found:
    found = _SCREEN.fullmatch(line)
    return None if found is None or found[1] is not None else _screen(found, 0.0)


def _screen(found: re.Match[str], at_s: float) -> _Found:
    _, bus, direction, can_id, length, data = found.groups()
    if data.endswith("request"):
        return _LEFT_OUT
    return _frame(at_s, bus, can_id, data, length=int(length), sent=direction == "T")


def _seconds(text: str) -> float | None:
    """Read what candump writes in brackets: seconds, or a date taken as UTC."""
    try:
        return float(text) if re.fullmatch(r"\d{1,12}\.\d{1,9}", text) else _date(text)
    except ValueError, OverflowError:
        return None


def _date(text: str) -> float:
    return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()


def _savvycan(line: str) -> _Found:
    if line.startswith("Time Stamp,"):
        return _REMARK
    if (found := _CSV.fullmatch(line)) is None:
        return None
    at_us, can_id, extended, direction, bus, length, data = found.groups()
    if extended.lower() in {"true", "1"}:
        return _LEFT_OUT
    sent = (direction or "").lower() == "tx"
    return _frame(
        int(at_us) / 1e6, bus, f"{int(can_id, 16):X}", data.replace(",", ""), length=int(length), sent=sent
    )


def _crtd(line: str) -> _Found:
    if _CRTD_REMARK.fullmatch(line):
        return _REMARK
    if (found := _CRTD.fullmatch(line)) is None:
        return None
    at, bus, direction, width, can_id, data = found.groups()
    return _LEFT_OUT if width == "29" else _frame(float(at), bus or "1", can_id, data, sent=direction == "T")


def _tabs(line: str) -> _Found:
    if line.startswith("ParserFlags\t"):
        return _REMARK
    if (found := _TABS.fullmatch(line.rstrip())) is None:
        return None
    channel, direction, at_ms, flags, can_id, length, data = found.groups()
    if flags:
        return _LEFT_OUT
    number = f"{int(can_id, 16):X}"
    return _frame(int(at_ms) / 1e3, channel, number, data or "", length=int(length), sent=direction == "T")


def _own(line: str) -> _Found:
    return _log(line) if line.startswith("(") else lines.decode(line)


def _header(line: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line.removeprefix(lines.HEADER), type=dict[str, Any])
    except msgspec.MsgspecError, ValueError:
        return {}


_FORMS: dict[Form, Callable[[str], _Found]] = {
    Form.CANDUMP_LOG: _log,
    Form.CANDUMP: _timed,
    Form.CANDUMP_UNTIMED: _untimed,
    Form.SAVVYCAN: _savvycan,
    Form.CRTD: _crtd,
    Form.TABS: _tabs,
    Form.OWN: _own,
}


def joined(recordings: Iterable[Recording]) -> Recording:
    """Return one recording of several files of one run, in their order of time."""
    parts = sorted(recordings, key=lambda part: part.started_at)
    first = parts[0]
    events = tuple(
        replace(event, at_s=event.at_s + part.started_at - first.started_at)
        for part in parts
        for event in part.events
    )
    return replace(
        first,
        events=events,
        not_understood=sum(part.not_understood for part in parts),
        left_out=sum(part.left_out for part in parts),
    )
