"""What a check found, for a person at a terminal, for a program, and for the installer's file; pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from textwrap import wrap
from typing import Any

from gateway.config import SiteConfig
from gateway.model import DeviceId, DeviceInfo
from gateway.supply.findings import WORST_FIRST, Finding, Verdict, worst
from gateway.supply.record import Record
from gateway.supply.texts import CHECKS, remedy, text

MARKS = {Verdict.PASS: "✓", Verdict.ATTENTION: "!", Verdict.FAIL: "✗", Verdict.UNKNOWN: "?"}
WORDS = {
    Verdict.PASS: "passed",
    Verdict.ATTENTION: "needs attention",
    Verdict.FAIL: "failed",
    Verdict.UNKNOWN: "not proven",
}
SAID_ONCE = frozenset({"", "prove"})
"""Remedies that stand at the end of the report alone."""
COLUMNS, NAME_COLUMNS = 110, 24


@dataclass(frozen=True, slots=True)
class Result:
    """All that a check knows in the end; ``lines`` is what each device said and how it fails safe."""

    config: SiteConfig
    at: datetime
    software: str
    devices: Mapping[DeviceId, DeviceInfo]
    findings: Sequence[Finding]
    record: Record
    lines: Mapping[DeviceId, Sequence[str]]

    def of(self, device: DeviceId) -> list[Finding]:
        """Return the findings of one device."""
        return [f for f in self.findings if f.device == device]

    def next_steps(self) -> list[str]:
        """Return what to do, the most pressing first, each once."""
        ordered = sorted(self.findings, key=lambda f: WORST_FIRST.index(f.verdict))
        steps = [remedy(f) for f in ordered if f.verdict is not Verdict.PASS and f.remedy_key]
        return list(dict.fromkeys(steps))


def as_text(result: Result) -> Iterator[str]:
    """Yield the lines for a person: what was found, what it means, what to do next."""
    for device, info in result.devices.items():
        found = result.of(device)
        yield ""
        yield f"{info.name} ({device}): {WORDS[worst(found)] if found else 'nothing to judge'}"
        for line in result.lines.get(device, ()):
            yield from _hang("    ", line, 6)
        for finding in found:
            name = f"  {MARKS[finding.verdict]} {CHECKS[finding.check]}"
            yield from _hang(f"{name:<{NAME_COLUMNS + 5}} ", text(finding), NAME_COLUMNS + 6)
            if finding.verdict is not Verdict.PASS and finding.remedy_key not in SAID_ONCE:
                yield from _hang(" " * (NAME_COLUMNS + 6) + "→ ", remedy(finding), NAME_COLUMNS + 8)
    yield ""
    steps = result.next_steps()
    yield "What to do next" if steps else "Nothing is left to do."
    for number, step in enumerate(steps, 1):
        yield from _hang(f"  {number}. ", step, 5)


def as_json(result: Result) -> dict[str, Any]:
    """Return the same for a program."""
    return {
        "site": result.config.site.serial,
        "at": result.at.isoformat(),
        "software": result.software,
        "devices": {
            device: {
                "name": info.name,
                "verdict": WORDS[worst(result.of(device))].replace(" ", "_"),
                "findings": [_plain(f) for f in result.of(device)],
            }
            for device, info in result.devices.items()
        },
        "next": result.next_steps(),
    }


def as_markdown(result: Result) -> str:
    """Return the commissioning pack: nameplates, settings, results with figures, and what the installer adds by hand."""
    config, grid = result.config, result.config.grid
    limits = f"{_watts(grid.import_limit_w)} | {_watts(grid.export_limit_w)}"
    lines = [
        f"# Commissioning of {config.site.name}",
        "",
        f"Site {config.site.serial} · {result.at:%Y-%m-%d %H:%M} UTC · gateway {result.software}",
        "",
        "## Grid connection, as configured",
        "",
        "| main fuse | phases | voltage | import limit | export limit |",
        "|---|---|---|---|---|",
        f"| {grid.main_fuse_a:g} A | {grid.phases} | {grid.nominal_voltage_v:g} V | {limits} |",
        "",
        "## Devices",
        "",
        "| device | driver | maker and model | serial number | firmware | phases | rated |",
        "|---|---|---|---|---|---|---|",
        *(_device_row(device, info) for device, info in result.devices.items()),
        "",
    ]
    for device, info in result.devices.items():
        lines += [
            f"## {info.name}: {WORDS[worst(result.of(device))]}",
            "",
            "| check | result | found |",
            "|---|---|---|",
        ]
        lines += [f"| {CHECKS[f.check]} | {WORDS[f.verdict]} | {text(f)} |" for f in result.of(device)]
        lines += [""]
    return "\n".join([*lines, *_proofs(result.record), *_by_hand(result)]) + "\n"


def _proofs(record: Record) -> Iterator[str]:
    yield from (
        "## Measured",
        "",
        "| device | proof | at (UTC) | result | figures |",
        "|---|---|---|---|---|",
    )
    for proof in record.proofs:
        figures = ", ".join(f"{name} {value}" for name, value in proof.figures.items() if value is not None)
        yield f"| {proof.device} | {CHECKS[proof.check]} | {proof.at:%Y-%m-%d %H:%M} | {WORDS[proof.verdict]} | {figures} |"
    yield ""


def _by_hand(result: Result) -> Iterator[str]:
    yield from ("## To be added by the installer", "")
    yield from (f"- [ ] {step}" for step in result.next_steps())
    yield from (
        f"- [ ] certificate of {info.name}: no." for info in result.devices.values() if info.kind.steered
    )
    yield from (
        "- [ ] interface protection: settings read back, printed and enclosed",
        "- [ ] import and export limit tried at the connection: date, figures",
        "- [ ] photographs: nameplates, grid meter with clamps, fuse box, earthing, connector",
        "- [ ] registration with the grid operator: number, date",
        "",
        "Name, company, signature:",
    )


def _device_row(device: DeviceId, info: DeviceInfo) -> str:
    phases = ", ".join(f"L{p}" for p in info.phases)
    rated = f"{info.rated.min_w:.0f} to {info.rated.max_w:.0f} W" if info.kind.steered else "–"
    return (
        f"| {info.name} ({device}) | {info.driver} | {info.maker} {info.model} | {info.serial or '–'} "
        f"| {info.version or '–'} | {phases} | {rated} |"
    )


def _watts(value: float | None) -> str:
    return "–" if value is None else f"{value:g} W"


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        **asdict(finding),
        "detail": dict(finding.detail),
        "text": text(finding),
        "remedy": remedy(finding),
    }


def _hang(start: str, words: str, indent: int) -> Iterable[str]:
    return wrap(start + words, COLUMNS, subsequent_indent=" " * indent, drop_whitespace=True) or [start]
