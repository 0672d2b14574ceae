"""Run the whole product on this machine: a simulated house on the wire, the gateway, and Home Assistant with a dashboard.

Only the physics is simulated: the gateway drives a Leaf over real CAN frames and battery, meters and charger over real
Modbus TCP. Everything listens on 127.0.0.1 and keeps its state in .demo/. Ctrl-C ends all of it.
"""

import argparse
import asyncio
import shutil
import signal
import sys
from pathlib import Path

from demo_house.live import watch
from demo_house.processes import ROOT, DemoError
from demo_house.start import started


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "scripts/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget earlier runs: new owner, new pairing, new history"
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
    return parser.parse_args()


async def show() -> None:
    """Run the demo for a person, until Ctrl-C."""
    async with started(ROOT / ".demo/home") as demo:
        print(
            f"\n  Home Assistant   {demo.home_assistant.url}/nissan-energy"
            f"\n  login            {demo.login.username}   {demo.login.password}"
            f"\n  gateway          {demo.house.site_toml.relative_to(ROOT)}, logs in .demo/home/logs"
            f"\n  control is on: the gateway steers car and battery. Ctrl-C ends everything.\n"
        )
        await watch(demo)


async def main(options: argparse.Namespace) -> int:
    """Show or check; a termination signal ends it in order."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if options.check:
        from demo_house.check import check

        return await check(ROOT / ".demo/check", options.seconds, options.screenshots)
    if options.fresh:
        shutil.rmtree(ROOT / ".demo/home", ignore_errors=True)
    await show()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(arguments())))
    except KeyboardInterrupt, asyncio.CancelledError:
        print("\nended")
    except DemoError as error:
        sys.exit(f"\n{error}")
    except ExceptionGroup as errors:
        sys.exit("\n".join(str(error) for error in errors.exceptions))
