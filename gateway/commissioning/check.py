"""The `check` command: what the equipment is and says, whether it fits, and with --prove what it does."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway import __version__
from gateway.commissioning.prove import Wanted, announcement, chosen, prove
from gateway.commissioning.report import Result, as_json, as_markdown, as_text
from gateway.commissioning.rig import Ask, Say
from gateway.config import SiteConfig
from gateway.devices import Device
from gateway.devices.clock import monotonic
from gateway.fastpath import open_devices, sole_master
from gateway.faults import FAULTS, ConfigError, FaultCode, Malformed
from gateway.model import DeviceId, MeterRole, Snapshot
from gateway.state import SiteState
from gateway.supply.findings import Check, Verdict
from gateway.supply.fitness import assess
from gateway.supply.record import Record, identity, load
from gateway.supply.site import Equipment
from gateway.supply.wiring import proofs_of

FAILED, NOT_PROVEN = 1, 3
"""Exit statuses: something fails or is silent; nothing does, but what was to be proven is not."""

FLOWS = {
    MeterRole.GRID: ("from the grid", "into the grid"),
    MeterRole.PV: ("drawn", "generated"),
    None: ("into it", "out of it"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What to do: ``listen_s`` 0 touches nothing; ``prove`` None commands nothing; ``agreed`` asks nobody."""

    listen_s: float = 0.0
    prove: Wanted | None = None
    agreed: bool = False
    as_json: bool = False
    report: Path | None = None


async def check(config: SiteConfig, request: Request, say: Say, ask: Ask | None) -> int:
    """Do what is requested and say what was found; return the exit status."""
    tell: Say = (lambda line: print(line, file=sys.stderr)) if request.as_json else say  # noqa: T201
    with _interruptible():
        if request.prove is not None:
            tell(announcement(chosen(config, request.prove), request.prove.pace))
            if not request.agreed and (ask is None or (await ask("\nType yes to begin: ")).strip() != "yes"):
                tell("Nothing was touched.")
                return NOT_PROVEN
            await prove(config, request.prove, tell, None if request.agreed else ask)
        snapshot, devices = await _listen(config, request, tell)
    result = _result(config, request, snapshot, devices, tell)
    if request.as_json:
        say(json.dumps(as_json(result), indent=2, ensure_ascii=False))
    else:
        for line in as_text(result):
            say(line)
    if request.report is not None:
        _write(request.report, as_markdown(result))
        tell(f"\nThe commissioning pack is in {request.report}")
    return _status(config, request, result)


def _status(config: SiteConfig, request: Request, result: Result) -> int:
    silent = any(f.check is Check.ANSWERS and f.verdict is not Verdict.PASS for f in result.findings)
    if silent or any(f.verdict is Verdict.FAIL for f in result.findings):
        return FAILED
    asked = {info.id: proofs_of(info) for info in chosen(config, request.prove)} if request.prove else {}
    unproven = any(
        f.check in asked.get(f.device, ()) and f.verdict is Verdict.UNKNOWN for f in result.findings
    )
    return NOT_PROVEN if unproven else 0


async def _listen(
    config: SiteConfig, request: Request, tell: Say
) -> tuple[Snapshot, Mapping[DeviceId, Device]]:
    """Let every device tell of itself, none is commanded; a snapshot of nothing when nothing is to be touched."""
    devices = open_devices(config)
    state = SiteState(d.info for d in devices.values())
    tell(
        f"\n{config.path}: {config.site.name}, {len(devices)} devices, keeps its state in {config.state_dir}"
    )
    listen_s = request.listen_s or (5.0 if request.prove else 0.0)
    if listen_s > 0:
        async with sole_master(config, patience_s=0.0):
            tell(f"listening for {listen_s:g} s …")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(listen_s), asyncio.TaskGroup() as tasks:
                    for name, device in devices.items():
                        tasks.create_task(device.run(state.slot(name)))
    cards = {name: d.card for name, d in devices.items()}
    return replace(state.snapshot(monotonic()), cards=cards), devices


def _result(
    config: SiteConfig, request: Request, snapshot: Snapshot, devices: Mapping[DeviceId, Device], tell: Say
) -> Result:
    try:
        record = load(config.state_dir)
    except Malformed as error:
        tell(f"\n{error}: nothing counts as proven")
        record = Record()
    identities = {i: identity(info, config.devices[i].rest) for i, info in snapshot.devices.items()}
    findings = assess(Equipment(snapshot, config.grid, record, identities))
    touched = bool(request.listen_s or request.prove)
    return Result(
        config=config,
        at=datetime.now(UTC),
        software=__version__,
        devices=snapshot.devices,
        findings=[f for f in findings if touched or not _needs_wires(f.remedy_key, f.check)],
        record=record,
        lines={i: _said(snapshot, i, devices[i]) for i in snapshot.devices} if touched else {},
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--report {path}: cannot be written ({error.strerror})") from None


def _needs_wires(remedy_key: str, check: Check) -> bool:
    return remedy_key == "connect" or check is Check.ANSWERS


def _said(snapshot: Snapshot, name: DeviceId, device: Device) -> Sequence[str]:
    """Return what a device said, its card, and its faults."""
    sample = snapshot.meters.get(name) or snapshot.storages.get(name) or snapshot.evses.get(name)
    lines = [f"without the gateway: {device.card.on_silence}"] if device.info.kind.steered else []
    if sample is not None:
        into, out_of = FLOWS.get(device.info.role, FLOWS[None])
        lines.append(f"now {abs(sample.power_w):.0f} W {into if sample.power_w >= 0 else out_of}")
    for fault in (f for f in snapshot.faults if f.device == name):
        known = FAULTS[FaultCode(fault.code)]
        lines.append(f"fault: {known.text} {fault.detail}. {known.remedy}")
    return lines


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end it once: nothing that comes later disturbs the release."""
    loop, task, ends = asyncio.get_running_loop(), asyncio.current_task(), [True]

    def end() -> None:
        if task is not None and ends:
            ends.clear()
            task.cancel()

    heard = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    numbers = (signal.SIGTERM, signal.SIGHUP, *((signal.SIGINT,) if heard else ()))
    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def ask_at_terminal(question: str) -> str:
    """Ask on the terminal without blocking the loop; an empty answer where nobody can answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()
    print(question, end="", file=sys.stderr, flush=True)  # noqa: T201 - it is a terminal

    def take() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    try:
        loop.add_reader(sys.stdin.fileno(), take)
    except OSError, ValueError:  # a file, or none at all
        return ""
    try:
        return (await answer).strip()
    finally:
        loop.remove_reader(sys.stdin.fileno())
