"""Arguments → config → run until a signal."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.commissioning import command as commissioning
from gateway.config import load
from gateway.devices.chademo import alone_wish
from gateway.faults import ConfigError, GatewayError, Refused
from gateway.year import options as year

EXIT_CONFIG = 2

DESCRIPTION = "Runs a Leaf, its charger and a home battery as one power plant."

EXAMPLES = """\
first steps:
  python -m gateway house --run-dir house           # terminal 1: the house, and house/site.toml to match
  python -m gateway check --connect house/site.toml # terminal 2: does everything answer?
  python -m gateway run house/site.toml             # then: pair Home Assistant with the code it prints
"""


def _run(arguments: argparse.Namespace) -> int:
    from gateway import supervisor

    config = load(arguments.site)
    asyncio.run(supervisor.run(arguments.site, config.lock_path))
    return 0


def _fastpath(arguments: argparse.Namespace) -> int:
    from gateway import fastpath

    asyncio.run(_while_supervised(fastpath.run(load(arguments.site))))
    return 0


def _services(arguments: argparse.Namespace) -> int:
    from gateway import services

    asyncio.run(_while_supervised(services.run(load(arguments.site))))
    return 0


async def _while_supervised(work: Awaitable[None]) -> None:
    """Run ``work``; when the supervisor is gone, which ends our standard input, stop as if it had asked to."""

    def look() -> None:
        if not os.read(0, 1):
            asyncio.get_running_loop().remove_reader(0)
            os.kill(os.getpid(), signal.SIGTERM)

    with contextlib.suppress(OSError):  # a standard input that cannot be watched is nobody's
        asyncio.get_running_loop().add_reader(0, look)
    await work


def _house(arguments: argparse.Namespace) -> int:
    house = [sys.executable, "-m", "gateway.simulator", "--run-dir", str(arguments.run_dir)]
    os.execv(sys.executable, [*house, *arguments.options])  # noqa: S606  # a fixed list, no shell


def _simulate(arguments: argparse.Namespace) -> int:
    from gateway.year import command

    return command.run(arguments, print)


def _drill(arguments: argparse.Namespace) -> int:
    from gateway.rehearsal import drill_command

    print(drill_command.answer(arguments))
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from gateway.planning import plan_command

    plan_command.show(arguments)
    return 0


def _pair(arguments: argparse.Namespace) -> int:
    from gateway.services import open_pairing

    print(f"Pairing code, good for 10 minutes: {open_pairing(load(arguments.site))}")
    return 0


def _evse(arguments: argparse.Namespace) -> int:
    from gateway.devices.chademo.alone import run

    def tell(line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise

    return asyncio.run(run(alone_wish.wish_of(arguments), tell))


def _record(arguments: argparse.Namespace) -> int:
    from gateway.devices.recording import commands

    def progress(line: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{line}\033[K", end="", flush=True)

    files = commands.record_site(arguments, print, progress)
    print("\nwritten:", *files, sep="\n  ")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from gateway.devices.recording import commands

    commands.replay_files(arguments, print)
    return 0


def _ledger(arguments: argparse.Namespace) -> int:
    from gateway.ledger.reserve_export import export

    kind, to = ("csv", arguments.csv) if arguments.csv else ("parquet", arguments.parquet)
    if to is None:
        raise Refused("say where to write: --csv FILE or --parquet FILE")
    sums = export(load(arguments.site).state_dir, arguments.start, arguments.end, to, kind)
    print(f"{to}: {sum(s.witnessed for s in sums)} seconds")
    for one in sums:
        span = f"{one.first:%Y-%m-%d %H:%M:%S} to {one.last:%Y-%m-%d %H:%M:%S} UTC"
        print(f"  {one.window_id}: {span}, available {one.available_pct:.3f} % of the time")
    return 0


def _moment(text: str) -> datetime:
    """Read a time as RFC 3339, UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command; ``site`` asks for the path of site.toml, ``options`` are (flags, keywords) of argparse.

    ``logs`` from this level on; the other commands tell by their own lines what goes on.
    """

    name: str
    action: Callable[[argparse.Namespace], int]
    text: str
    more: str = ""
    site: bool = True
    listed: bool = True
    logs: int = logging.INFO
    options: tuple[tuple[str, Mapping[str, Any]], ...] = ()


COMMANDS = (
    Command(
        "run",
        _run,
        "run the gateway (it only observes until the owner turns control on)",
        "Until Ctrl-C. Two processes: the fast path, which moves current and opens no port,\n"
        "and the services, which plan and listen. Either may die without the other.",
    ),
    Command(
        "house",
        _house,
        "a house in a box on the wire, to try everything without hardware",
        "CAN, Modbus TCP and a control port on 127.0.0.1; only physics is simulated.\n"
        "Writes RUN_DIR/site.toml, ready for `run`. Options after -- go to the house\n"
        "(`python -m gateway.simulator --help`).",
        site=False,
        options=(
            (
                "--run-dir",
                {"type": Path, "default": Path("house"), "help": "folder of its files (default: house)"},
            ),
            ("options", {"nargs": "*", "help": "options of the house, after --"}),
        ),
    ),
    Command(
        "simulate",
        _simulate,
        "what would a year bring? Your site on a virtual clock, against charging at once, by timer and smartly",
        year.ABOUT,
        site=False,
        logs=logging.WARNING,
        options=year.OPTIONS,
    ),
    Command(
        "check",
        commissioning.run,
        "read site.toml, with --connect every device, with --prove try them; say what is wrong",
        commissioning.ABOUT,
        logs=logging.ERROR,
        options=commissioning.OPTIONS,
    ),
    Command("pair", _pair, "open pairing for ten minutes and show the code for Home Assistant"),
    Command(
        "drill",
        _drill,
        "play a blackout on paper: how long would the house run, what would be off, could the car leave?",
        "The site's own control on a virtual clock, without sun, from the newest charge in its journal.\n"
        "What the journal does not know is assumed, and said; the options say it better.",
        logs=logging.ERROR,
        options=(
            ("--load-w", {"type": float, "help": "what the house draws (default: its last day)"}),
            ("--battery-pct", {"type": float, "help": "charge of the battery (default: the newest known)"}),
            ("--car-pct", {"type": float, "help": "charge of the car (default: the newest known)"}),
            ("--json", {"action": "store_true", "help": "one JSON object instead of words"}),
        ),
    ),
    Command(
        "plan",
        _plan,
        "solve a plan problem from a file, to see what would be done and why, and to compare",
        "A home with a battery and a car, in the JSON format that docs/planning_optimizer.md describes.",
        site=False,
        logs=logging.ERROR,
        options=(
            ("--problem", {"type": Path, "required": True, "help": "the file"}),
            ("--json", {"action": "store_true", "help": "one JSON object instead of a table"}),
            ("--within-s", {"type": float, "default": 5.0, "help": "at most so long (default: 5)"}),
        ),
    ),
    Command(
        "record",
        _record,
        "write down everything that goes over the wires, to look into a problem or to send it",
        "Listens to the gateway that runs on this site; where none does, starts one that only observes.\n"
        "One line an event; CAN frames as `candump -L` writes them. Ends with Ctrl-C.",
        options=(
            (
                "--out",
                {"type": Path, "default": Path("recordings"), "help": "folder (default: recordings)"},
            ),
            (
                "--max-mib",
                {
                    "type": int,
                    "default": 200,
                    "help": "keep the newest so many MiB, in eight files (default: 200)",
                },
            ),
            ("--seconds", {"type": float, "help": "how long (default: until Ctrl-C)"}),
            (
                "--with-serials",
                {"action": "store_true", "help": "leave the car's VIN and the pack's serial number in"},
            ),
        ),
    ),
    Command(
        "replay",
        _replay,
        "play a recording through the real drivers, on a virtual clock",
        "Reads what `record` wrote, and candump, SavvyCAN CSV, OVMS crtd and tab-separated CAN logs.\n"
        "Prints what the drivers decide. A CHAdeMO session is played to our\n"
        "charger with a converter and pilot lines made of what the recorded charger said of itself.",
        site=False,
        options=(
            (
                "files",
                {"type": Path, "nargs": "+", "help": "the recording, one file or all files of one run"},
            ),
            (
                "--site",
                {"type": Path, "help": "use the devices of this site.toml instead of the recorded ones"},
            ),
            (
                "--as-recorded",
                {"action": "store_true", "help": "tell what was decided then, without the drivers"},
            ),
            (
                "--current-a",
                {
                    "type": float,
                    "default": 15.0,
                    "help": "asked of a car without a recorded wish, out of it negative (default: 15)",
                },
            ),
        ),
    ),
    Command(
        "evse",
        _evse,
        "run the CHAdeMO charger alone, against a vehicle program of yours over UDP",
        alone_wish.ABOUT,
        site=False,
        logs=logging.WARNING,
        options=alone_wish.OPTIONS,
    ),
    Command(
        "ledger",
        _ledger,
        "write what the ledger has: the second-by-second proof of sold frequency reserve",
        "One row a second inside each window: frequency, baseline, what was asked and delivered, charge, availability.\n"
        "docs/frequency.md explains the columns. May run beside the gateway.",
        options=(
            ("what", {"choices": ("reserve",), "help": "reserve: frequency reserve"}),
            (
                "--from",
                {
                    "dest": "start",
                    "type": _moment,
                    "default": datetime(2020, 1, 1, tzinfo=UTC),
                    "help": "RFC 3339, UTC unless it names a zone (default: all)",
                },
            ),
            (
                "--to",
                {
                    "dest": "end",
                    "type": _moment,
                    "default": datetime(2100, 1, 1, tzinfo=UTC),
                    "help": "the same, itself not included",
                },
            ),
            ("--csv", {"type": Path, "metavar": "FILE", "help": "write CSV"}),
            ("--parquet", {"type": Path, "metavar": "FILE", "help": "write Parquet (needs pyarrow)"}),
        ),
    ),
    Command("fastpath", _fastpath, "the process that moves current, started by run", listed=False),
    Command("services", _services, "the process that plans and listens, started by run", listed=False),
)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        "python -m gateway", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=raw
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        about = f"{command.text}\n\n{command.more}"
        shown: dict[str, Any] = {"help": command.text} if command.listed else {}
        added = commands.add_parser(command.name, description=about, formatter_class=raw, **shown)
        added.set_defaults(action=command.action, logs=command.logs)
        added.add_argument("-v", "--verbose", action="store_true", help="log in detail")
        for flag, keywords in command.options:
            added.add_argument(flag, **keywords)
        if command.site:
            added.add_argument("site", type=Path, help="path of site.toml")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. Errors are one line on stderr, never a traceback."""
    chosen = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if chosen.verbose else chosen.logs,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    try:
        return int(chosen.action(chosen))
    except GatewayError as error:
        return _say([error])
    except BaseExceptionGroup as group:
        if (ours := list(_leaves(group))) and all(isinstance(e, GatewayError) for e in ours):
            return _say(ours)
        raise
    except KeyboardInterrupt:
        return 130


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that a tree of task groups has gathered."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _say(errors: Sequence[BaseException]) -> int:
    for error in errors:
        print(
            f"site.toml cannot be run: {error}" if isinstance(error, ConfigError) else error, file=sys.stderr
        )
    return EXIT_CONFIG if any(isinstance(e, ConfigError) for e in errors) else 1


if __name__ == "__main__":
    sys.exit(main())
