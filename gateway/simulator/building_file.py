"""The gateway's configuration of the simulated building, as site.toml."""

from collections.abc import Sequence

_SITE = """\
# The simulated building. Exchange the addresses for those of real devices and this is a real one.

[site]
name = "Car park"
serial = "NE-DEMO-0002"
time_zone = "Europe/Amsterdam"
state_dir = "state"

[grid]
phases = 3
main_fuse_a = {fuse_a:.0f}
peak_target_w = {peak_w:.0f}

[api]
bind = "127.0.0.1"
port = {api_port}

[devices.grid]
driver = "meter.eastron_sdm630"
role = "grid"
name = "Building meter"
host = "127.0.0.1"
port = {meter_port}
unit = 1
"""

_BOARD = """
[circuits.board{number}]
fuse_a = 63
devices = [{devices}]
"""

_BAY = """
[devices.bay{number:03d}]
driver = "evse.quasar"
name = "Bay {number}"
phases = [{phase}]
host = "127.0.0.1"
port = {port}
unit = 1
"""


def building_toml(
    meter_port: int, bays: Sequence[tuple[int, int]], *, per_board: int, peak_w: float, api_port: int
) -> str:
    """Return the text of site.toml; ``bays`` are (port, phase) of each charger, the main fuse fits a third of them."""
    fuse_a = min(6300.0, max(63.0, 16.0 * len(bays)))
    text = _SITE.format(fuse_a=fuse_a, peak_w=peak_w, api_port=api_port, meter_port=meter_port)
    for first in range(0, len(bays), per_board):
        names = [f'"bay{n:03d}"' for n in range(first, min(first + per_board, len(bays)))]
        text += _BOARD.format(number=first // per_board, devices=", ".join(names))
    return text + "".join(
        _BAY.format(number=n, phase=phase, port=port) for n, (port, phase) in enumerate(bays)
    )
