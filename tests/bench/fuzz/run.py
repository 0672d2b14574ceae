"""Run the fuzzer over all parsers, or some; tell what came of it, and write docs/reliability.md."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from ..page import put_section
from . import can_targets, register_targets, text_targets
from .engine import ROOT, Result, Target, fuzz

TARGETS: dict[str, Target] = {
    target.name: target
    for group in (can_targets.TARGETS, register_targets.TARGETS, text_targets.TARGETS)
    for target in group
}
PAGE = ROOT / "docs/reliability.md"

WHAT = {
    "chademo": "CHAdeMO frames of a car, whole sessions: decoder, memory, state machine, orders; a converter that follows at once",
    "leaf": "EV-CAN frames with checksums and counters, and the polling of the car's controllers, up to the sample",
    "isotp": "ISO-TP reassembly, against a second implementation",
    "slcan": "lines of a serial CAN adapter, against a strict pattern",
    "converter": "registers of the DC converter: connect, nameplate, reading, order",
    "pilot": "bits of the pilot-line module: connect, lines, order",
    "quasar": "registers of a Quasar: connect, look, take control, order",
    "bidipro": "registers of a BiDiPro: the same",
    "eastron": "registers of an SDM630 up to what is believed",
    "sunspec_meter": "SunSpec chain and meter model up to what is believed",
    "storage": "SunSpec chain and models 701 to 704, 713 up to the sample",
    "sunspec_sma": "all models of a recorded SMA inverter",
    "sunspec_agate": "all models of a recorded FranklinWH aGate",
    "recording": "recordings in all forms; our own form read back",
    "vehicle": "text lines of vehicle programs over UDP, up to the contactor",
    "site": "site.toml, and every driver built from it",
    "openadr": "OpenADR 3 programs, events, reports; a day of each event expanded",
    "wishes": "what a client of the API may ask: settings, requests, pairing",
    "prices": "price tables",
    "price_lists": "price lists of suppliers and of Home Assistant, in every shape that is understood",
    "link": "messages between the two processes, written and read back",
    "echonet": "ECHONET Lite frames, written back byte by byte; property maps and contents",
}


def run(names: Sequence[str], seed: int, minutes: float, jobs: int) -> list[Result]:
    """Fuzz each target for ``minutes``, ``jobs`` at a time."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = []
        for result in pool.map(_one, names, [seed] * len(names), [60 * minutes] * len(names)):
            print(line(result), file=sys.stderr, flush=True)
            results.append(result)
    return results


def _one(name: str, seed: int, seconds: float) -> Result:
    return fuzz(TARGETS[name], seed, seconds)


def line(result: Result) -> str:
    """Return a result in words, its findings below it."""
    told = (
        f"{result.name:14} {result.inputs:>10,} inputs, {result.inputs / result.seconds:>9,.0f}/s, "
        f"{result.taken:,} taken, {result.refused:,} refused, {len(result.findings)} findings"
    )
    found = [
        f"  {place}: {said}\n    --only {result.name} --replay {given}"
        for place, (given, said) in result.findings.items()
    ]
    return "\n".join((told, *found))


def replay(name: str, given: bytes) -> int:
    """Feed one input and show what happens."""
    try:
        print("taken" if TARGETS[name].begin()(given) else "taken in part")
    except Exception:  # noqa: BLE001 - it is to be seen
        traceback.print_exc()
        return 1
    return 0


def page(results: Sequence[Result], command: str, seed: int) -> str:
    """Return the section of docs/reliability.md on fuzzing."""
    rows = [
        f"| `{r.name}` | {WHAT[r.name]} | {r.inputs:,}{f' ({r.units:,})' if r.units else ''} | {r.inputs / r.seconds:,.0f} "
        f"| {r.taken:,} | {r.refused:,} | {len(r.findings) or 'none'} |"
        for r in results
    ]
    minutes = sum(r.seconds for r in results) / 60 / len(results)
    return "\n".join((
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores with `{command}`: seed {seed}, {minutes:.1f} min for each parser.",
        "",
        "Golden inputs (recordings, registers of simulated and recorded devices, whole sessions) are broken by flipped bits, telling values,",
        "cuts, insertions, repetitions and splices, up to eight mishaps an input; one in twenty is noise. An input that reaches a line of",
        "the parser that none had reached is kept and broken further. The order of inputs depends on the seed alone.",
        "",
        "A *finding* is an exception that is none of `gateway.faults`, an input that takes more than 5 s, a number that is none, or a corrupt",
        "input that was taken: a frame whose checksum does not hold (computed once more in `tests/bench/fuzz/checksums.py`), a message",
        "that a second implementation reads otherwise, a current ordered beyond what car and charger allow.",
        "",
        "| parser | what is fed | inputs (frames or patches) | per second | taken | refused | findings |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "*Taken* counts inputs of which every part was good; of a session or a row of frames the bad parts alone are refused.",
        "",
    ))  # fmt: skip


def main(arguments: argparse.Namespace) -> int:
    """Run what the command line asks for; return 1 when something was found."""
    names = arguments.only or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if arguments.replay is not None:
        return replay(names[0], bytes.fromhex(arguments.replay))
    results = run(names, arguments.seed, arguments.minutes, arguments.jobs)
    command = (
        f"scripts/bench fuzz --minutes {arguments.minutes:g} --seed {arguments.seed} --jobs {arguments.jobs}"
    )
    if arguments.only:
        command += "".join(f" --only {name}" for name in names)
    if arguments.docs:
        put_section(PAGE, "## Fuzzing", page(results, command, arguments.seed))
    told = json.dumps({"fuzz": [asdict(result) for result in results]})
    if arguments.json:
        Path(arguments.json).write_text(told + "\n", encoding="utf-8")
    print(told)
    return 1 if any(result.findings for result in results) else 0
