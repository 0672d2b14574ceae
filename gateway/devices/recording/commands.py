"""What `gateway record` and `gateway replay` do with their arguments."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.config import load
from gateway.devices.recording import loaders
from gateway.devices.recording.record import Order, record
from gateway.devices.recording.replay import cast_of, replay
from gateway.devices.recording.story import retell


def record_site(
    arguments: argparse.Namespace, tell: Callable[[str], None], progress: Callable[[str], None]
) -> tuple[Path, ...]:
    """Record until told to stop; return the files written."""
    config = load(arguments.site)
    order = Order(
        arguments.site,
        config.state_dir,
        config.lock_path,
        arguments.out,
        arguments.max_mib,
        arguments.seconds,
        arguments.with_serials,
    )
    return asyncio.run(record(order, tell, progress))


def replay_files(arguments: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Play the files through the real drivers, or tell what was decided then."""
    site = load(arguments.site).devices.values() if arguments.site else ()
    recording = loaders.joined(loaders.load(file) for file in arguments.files)
    if arguments.as_recorded:
        tell(f"{recording}\n")
        retell(recording.events, tell)
        return
    cast = cast_of(recording, {device.id: (device.driver, device.rest) for device in site})
    players = (f"  {name}: {driver}" for name, (driver, _) in cast.devices.items())
    tell("\n".join([str(recording), *players, ""]))
    tell(f"\n{replay(recording, cast, arguments.current_a, tell)}")
