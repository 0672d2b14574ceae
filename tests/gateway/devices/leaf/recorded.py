"""Recorded logs E, G and H of reference/can.md 6, heard by our own ears."""

from functools import cache
from pathlib import Path

import pytest

from gateway.devices.leaf.frames import CAR_CAN, EV_CAN
from gateway.devices.leaf.traffic import Traffic
from gateway.devices.recording.loaders import load

FOLDER = Path(__file__).parents[4] / "../shared/data/can"
QUICK_62 = "evcan-ze1-62kwh-quick-charge.txt"
ZE0_24 = "evcan-ze0-24kwh-stock-first6000.tsv"
ENV200 = "evcan-carcan-env200-40kwh-ac-charge-first9000.crtd"

needs_logs = pytest.mark.skipif(not FOLDER.exists(), reason="recorded data of ../shared/data is not here")


@cache
def frames(name, bus=None):
    """Return (seconds, id, data) of one bus, or of the only one there is."""
    recording = load(FOLDER / name)
    return tuple((f.at_s, f.can_id, f.data) for f in recording.bus(bus or recording.buses[0]))


def heard(name, bus=None, until=None):
    """Return the traffic after the log, and its last moment."""
    told = [frame for frame in frames(name, bus) if until is None or frame[0] <= until]
    traffic = Traffic(CAR_CAN if bus == "2" else EV_CAN, recognises=bus != "2")
    for at, can_id, data in told:
        traffic.heard(can_id, data, at)
    return traffic, told[-1][0]
