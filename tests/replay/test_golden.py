"""Recordings through the real drivers: what these decide is kept in golden/, so that another behaviour shows as a diff.

To accept a new behaviour, look at the diff and run ``ACCEPT_REPLAYS=1 scripts/test gateway tests/replay``.
"""

import difflib
import os
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.devices.recording.loaders import load
from gateway.devices.recording.replay import Outcome, cast_of, replay

CAN = Path(__file__).parents[2] / "../shared/data/can"
GOLDEN = Path(__file__).parent / "golden"
pytestmark = pytest.mark.skipif(not CAN.exists(), reason="recorded data of ../shared/data is not here")

SESSION = "chademo-24kwh-v2h-start-stop.csv"
REPLAYS = {
    "session-24kwh-charging": (SESSION, 15.0),
    "session-24kwh-discharging": (SESSION, -15.0),
    "session-24kwh-idle": (SESSION, 0.0),
    "start-ze1": ("chademo-ze1-start-annotated.candump", 15.0),
    "silent-charger-30kwh": ("chademo-aze0-30kwh-excerpt.candump", 15.0),
    "ev-can-ze0": ("evcan-ze0-24kwh-stock-first6000.tsv", 0.0),
    "ev-can-and-car-can-env200": ("evcan-carcan-env200-40kwh-ac-charge-first9000.crtd", 0.0),
    "ev-can-ze1-quick-charge": ("evcan-ze1-62kwh-quick-charge.txt", 0.0),
}


def replayed(file: str, current_a: float) -> tuple[list[str], Outcome]:
    """Return the story of a replay, and how it ended."""
    story: list[str] = []
    recording = load(CAN / file)
    outcome = replay(recording, cast_of(recording), current_a, story.append)
    return "\n".join(story).splitlines(), outcome


@pytest.mark.parametrize("name", REPLAYS)
def test_a_replay_decides_what_it_decided_before(name):
    story, _ = replayed(*REPLAYS[name])
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("ACCEPT_REPLAYS"):
        golden.write_text("\n".join(story) + "\n", encoding="utf-8")
    accepted = golden.read_text(encoding="utf-8").splitlines()
    diff = "\n".join(difflib.unified_diff(accepted, story, "accepted", "now", lineterm="", n=2))
    assert not diff, f"\n{diff}\n\nACCEPT_REPLAYS=1 accepts it"


def test_the_command_line_tells_the_same(capsys):
    assert main(["replay", str(CAN / "chademo-ze1-start-annotated.candump")]) == 0
    told = capsys.readouterr().out
    assert "candump: 548 events in 5.5 s, 6 lines not understood" in told
    assert (GOLDEN / "start-ze1.txt").read_text(encoding="utf-8") in told
    assert "× real time" in told


def test_a_replay_is_the_same_at_every_run():
    assert replayed(*REPLAYS["start-ze1"])[0] == replayed(*REPLAYS["start-ze1"])[0]


@pytest.mark.parametrize("current_a", [15.0, -15.0])
def test_the_recorded_session_passes_the_recorded_checkpoints(current_a):
    story, outcome = replayed(SESSION, current_a)
    ours, recorded = outcome.statuses.ours, outcome.statuses.recorded
    assert [status for _, status in ours] == ["20", "24", "05", "25", "24", "20"]
    assert [status for _, status in ours] == [status for _, status in recorded]
    later_s = [mine[0] - theirs[0] for mine, theirs in zip(ours, recorded, strict=True)]
    assert max(later_s) < 0.2  # two cycles of frames
    assert min(later_s) > -0.6  # we need less time for the same
    offers = [line for line in story if " offers 108" in line]
    assert all(line.split("108 ")[1][12:17] == "B3 01" for line in offers)  # 435 V
    first = next(line for line in story if " discharge 208" in line)
    assert first.endswith("FF F4 01 F0 00 00 FA 00")


def test_the_recorded_start_of_another_car_takes_over_its_limits():
    story, outcome = replayed("chademo-ze1-start-annotated.candump", 15.0)
    assert [status for _, status in outcome.statuses.ours] == ["20"]
    assert outcome.statuses.recorded[0][1] == "20"
    assert any(" offers 108" in line and "B3 01" in line for line in story)
    assert any("negotiating → locking" in line for line in story)


def test_a_car_that_falls_silent_is_left_at_once():
    story, _ = replayed("chademo-aze0-30kwh-excerpt.candump", 15.0)
    assert any("vehicle_silent" in line for line in story)
