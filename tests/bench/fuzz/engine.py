"""Feed a parser with golden inputs, broken in every way, as fast as it goes, and keep what reaches new lines of it.

What counts: an input is *taken* or *refused* (an error of gateway.faults); anything else is a finding.
"""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType

from gateway.faults import GatewayError

ROOT = Path(__file__).resolve().parents[3]
STUCK_S = 5.0
LONGEST_INPUT = 8192
MOST_KEPT = 2000
MOST_FINDINGS = 20
_TOOL = 4

type Feed = Callable[[bytes], bool]
"""Returns whether the input was taken; raises GatewayError when it is refused, Breach when it was taken wrongly."""


class Breach(Exception):
    """The parser took what it must not take, or made of it what cannot be."""


class Stuck(Exception):
    """One input took longer than STUCK_S."""


@dataclass(frozen=True)
class Target:
    """A parser. ``begin`` builds it anew and returns its feed; ``paths`` are the modules whose lines guide the search."""

    name: str
    paths: tuple[str, ...]
    seeds: Callable[[], Sequence[bytes]]
    begin: Callable[[], Feed]
    text: bool = False
    unit_bytes: int = 0
    """Length of one frame or patch where an input is a row of them; they are counted as well."""


@dataclass
class Result:
    """Counts of one run; ``findings`` maps where it broke to the first input that did it, and how."""

    name: str
    seconds: float = 0.0
    inputs: int = 0
    taken: int = 0
    refused: int = 0
    units: int = 0
    lines: int = 0
    kept: int = 0
    findings: dict[str, tuple[str, str]] = field(default_factory=dict)


class Lines:
    """The lines of some modules that were reached, each reported once; free of cost afterwards."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(str(ROOT / path) for path in paths)
        self.fresh = self.seen = 0

    def _reached(self, code: CodeType, line: int) -> object:
        if code.co_filename.startswith(self._paths):
            self.fresh += 1
        return sys.monitoring.DISABLE

    @contextmanager
    def watched(self) -> Iterator[None]:
        monitoring = sys.monitoring
        monitoring.use_tool_id(_TOOL, "fuzz")
        monitoring.register_callback(_TOOL, monitoring.events.LINE, self._reached)
        monitoring.set_events(_TOOL, monitoring.events.LINE)
        monitoring.restart_events()
        try:
            yield
        finally:
            monitoring.set_events(_TOOL, 0)
            monitoring.free_tool_id(_TOOL)

    def news(self) -> bool:
        fresh, self.fresh = self.fresh, 0
        self.seen += fresh
        return fresh > 0


def fuzz(target: Target, seed: int, seconds: float, most_inputs: int | None = None) -> Result:
    """Run ``target`` for ``seconds``, or ``most_inputs`` broken ones; the order of inputs depends on ``seed`` alone."""
    chance = Random(f"{seed} {target.name}")
    result = Result(target.name)
    kept = [bytes(s) for s in target.seeds()]
    lines = Lines(target.paths)
    started = time.monotonic()
    with lines.watched(), _alarm():
        feed = target.begin()
        for given in kept:
            _give(feed, given, result)
        lines.news()
        golden = result.inputs
        while time.monotonic() - started < seconds and (
            most_inputs is None or result.inputs - golden < most_inputs
        ):
            given = broken(kept, chance, text=target.text)
            result.units += len(given) // target.unit_bytes if target.unit_bytes else 0
            if not _give(feed, given, result):
                feed = target.begin()
            if lines.news() and len(kept) < MOST_KEPT:
                kept.append(given)
    result.seconds = time.monotonic() - started
    result.lines, result.kept = lines.seen, len(kept)
    return result


def _give(feed: Feed, given: bytes, result: Result) -> bool:
    """Feed one input; return whether the parser may go on."""
    result.inputs += 1
    signal.setitimer(signal.ITIMER_REAL, STUCK_S)
    try:
        if feed(given):
            result.taken += 1
        else:
            result.refused += 1
    except GatewayError:
        result.refused += 1
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        signal.setitimer(signal.ITIMER_REAL, 0)
        _note(error, given, result)
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True


def _note(error: Exception, given: bytes, result: Result) -> None:
    steps = [s for s in traceback.extract_tb(error.__traceback__) if "/gateway/" in s.filename] or (
        traceback.extract_tb(error.__traceback__)
    )
    last = steps[-1]
    place = f"{type(error).__name__} at {last.filename.rpartition('/gateway/')[2]}:{last.lineno} {last.name}"
    if place not in result.findings and len(result.findings) < MOST_FINDINGS:
        result.findings[place] = (given.hex(), str(error)[:300])


@contextmanager
def _alarm() -> Iterator[None]:
    def stuck(number: int, frame: FrameType | None) -> None:
        raise Stuck(f"longer than {STUCK_S:g} s")

    before = signal.signal(signal.SIGALRM, stuck)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


TELLING = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0x10, 0x20, 0x40)
TELLING_TEXTS = (
    b"0", b"-1", b"nan", b"inf", b"1e999", b"-0.0", b"99999999999999999999", b"null", b"true", b"[]", b"{}", b'""', b'"', b"\\", b"\n", b"\r",
    b"\t", b",", b"#", b"=", b"[", b"]", b"(", b")", b" ", b"_", b"+", b"0x", b"\xc3\xa9", b"\xff", b"\xef\xbb\xbf", "٣".encode(), "\u2028".encode(),
    b"PT0S", b"P9999Y", b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00Z",
)  # fmt: skip


def broken(kept: Sequence[bytes], chance: Random, *, text: bool) -> bytes:
    """Return a golden input with some mishaps, or, now and then, mere noise."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(64))
    data = bytearray(chance.choice(kept))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        _mishap(data, kept, chance, text=text)
    return bytes(data[:LONGEST_INPUT])


def _mishap(data: bytearray, kept: Sequence[bytes], chance: Random, *, text: bool) -> None:
    at = chance.randrange(len(data) + 1)
    to = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 10, 32)))
    match chance.randrange(9 if text else 8):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(data):
            data[at] = chance.choice(TELLING)
        case 2 if at < len(data):
            data[at] = chance.randrange(256)
        case 3:
            del data[at:to]
        case 4:
            data[at:at] = chance.randbytes(chance.choice((1, 1, 2, 8)))
        case 5:
            data[at:at] = data[at:to] * chance.choice((1, 1, 1, 3))
        case 6:
            other = chance.choice(kept)
            begin = chance.randrange(len(other) + 1)
            data[at:to] = other[begin : begin + chance.choice((1, 8, 10, 40, 200))]
        case 7:
            del data[at:]
        case 8:
            data[at : chance.choice((at, to))] = chance.choice(TELLING_TEXTS)
        case _:
            pass
