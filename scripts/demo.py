"""Run the whole product on this machine: a simulated house on the wire, the gateway, and Home Assistant with a dashboard.

Only the physics is simulated: the gateway drives a Leaf over real CAN frames and battery, meters and charger over real
Modbus TCP. Everything listens on 127.0.0.1 and keeps its state in .demo/. Ctrl-C ends all of it.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from demo_house.dashboard import URL_PATH
from demo_house.live import watch
from demo_house.processes import ROOT, DemoError
from demo_house.start import started

ENDED_EARLY = 130
"""Exit status of a check that somebody interrupted."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "scripts/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget earlier runs: new login, pairing and history"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run headless, use it as an owner would, print figures, exit 0 or 1",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        help="with --check: how long to watch the grid power (default: 20)",
    )
    parser.add_argument(
        "--screenshots", type=Path, metavar="DIR", help="with --check: put pictures of the pages there"
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="keep everything there (default: .demo/home or .demo/check)"
    )
    return parser.parse_args()


async def show(folder: Path, *, fresh: bool) -> None:
    """Run the demo for a person, until Ctrl-C."""
    async with started(folder, fresh=fresh) as demo:
        print(
            f"\n  Home Assistant   {demo.home_assistant.url}/{URL_PATH}"
            f"\n  login            {demo.login.username}   {demo.login.password}"
            f"\n  gateway          {demo.house.site_toml}"
            f"\n  logs             {folder / 'logs'}"
            f"\n  Control is on: the gateway steers car and battery. Ctrl-C ends everything.\n"
        )
        await watch(demo)


async def main(options: argparse.Namespace) -> int:
    """Show or check; Ctrl-C, a termination signal or a closed terminal ends it in order, in the background as well."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    folder: Path = options.state or ROOT / ".demo" / ("check" if options.check else "home")
    if options.check:
        from demo_house.check import check

        return await check(folder, options.seconds, options.screenshots)
    await show(folder, fresh=options.fresh)
    return 0


def run(options: argparse.Namespace) -> int:
    """Return the exit status; what a person can mend is told in one line."""
    try:
        return asyncio.run(main(options))
    except KeyboardInterrupt, asyncio.CancelledError:
        print("\nended")
        return ENDED_EARLY if options.check else 0
    except (DemoError, ExceptionGroup) as error:
        mendable, bug = ExceptionGroup("", [error]).split(DemoError)
        if bug is not None:
            raise
        print(f"\n!!! {_first(mendable)}", file=sys.stderr)
        return 1


def _first(error: BaseException | None) -> BaseException | None:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


if __name__ == "__main__":
    sys.exit(run(arguments()))
