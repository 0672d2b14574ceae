"""Recordings of three kinds are read, remarks are passed over, and the replay follows the recorded session."""

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.devices.chademo.recording import read_recording
from gateway.faults import Malformed, Unreachable

CAN = Path(__file__).parents[4] / "../shared/data/can"
recorded = pytest.mark.skipif(not CAN.exists(), reason="recorded data of ../shared/data is not here")


@pytest.mark.parametrize(
    "text",
    [
        "Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n1000000,00000100,false,Rx,0,2,0A,FF,,,,,,,\n",
        "a remark\n (2022-06-02 22:49:58.125771)  can1  100   [2]  0A FF\n",
        "(14.471000) can0 100#0AFF\n(14.5) can0 10X#00\n",
    ],
)
def test_every_form_gives_the_same_frame(tmp_path, text):
    file = tmp_path / "log"
    file.write_text(text)
    (frame,) = read_recording(file)
    assert (frame.at_s, frame.can_id, frame.data) == (0.0, 0x100, b"\x0a\xff")


def test_a_file_without_frames_says_what_is_understood(tmp_path):
    file = tmp_path / "log"
    file.write_text("nothing\n")
    with pytest.raises(Malformed, match="candump"):
        read_recording(file)
    with pytest.raises(Unreachable):
        read_recording(tmp_path / "none")


@recorded
def test_the_command_line_replays_the_recorded_v2h_session(capsys):
    assert main(["replay", str(CAN / "chademo-24kwh-v2h-start-stop.csv")]) == 0
    told = capsys.readouterr().out
    states = [line.split()[2] for line in told.splitlines()]
    passed = list(dict.fromkeys(states))
    assert passed[:8] == [
        "waking", "negotiating", "locking", "testing", "bleeding", "closing", "precharging", "energised",
    ]  # fmt: skip
    assert passed[8:] == ["stopping", "opening", "releasing", "unlocking", "done", "idle"]
    assert "status 05   +14 A" in told
