"""The command line of `check` that touches no wire."""

import asyncio
import json

import pytest

from gateway.__main__ import main

SITE = """
[site]
name = "House"
serial = "NE-1"
time_zone = "UTC"

[grid]
main_fuse_a = 16.0

[devices.grid]
driver = "meter.eastron_sdm630"
role = "grid"
name = "Grid meter"
host = "192.0.2.1"

[devices.battery]
driver = "storage.sunspec"
name = "Battery"
host = "192.0.2.2"
phases = [2]
max_charge_w = 5000.0
{more}
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(more=""))
    return path


def test_the_file_alone_is_judged_and_nothing_is_touched(site, capsys):
    assert main(["check", str(site)]) == 0
    said = capsys.readouterr().out
    assert "5.0 kW on L2 are 21.7 A, the main fuse is 16 A" in said
    assert "python -m gateway check --prove" in said
    assert not (site.parent / "state").exists()


def test_what_fails_is_told_by_the_exit_status(site, capsys):
    site.write_text(SITE.format(more="max_discharge_w = 5000.0\nrevert_proven = false"))
    assert main(["check", "--json", str(site)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["devices"]["battery"]["verdict"] == "failed"
    assert told["next"][0] == "Set the device's own communication timeout to 60 s or less."


def test_ended_from_outside_it_says_so_by_its_status(site, capsys, monkeypatch):
    async def ended(_question):
        raise asyncio.CancelledError

    monkeypatch.setattr("gateway.commissioning.check.ask_at_terminal", ended)
    assert main(["check", "--prove", str(site)]) == 130


def test_a_report_that_cannot_be_written_is_one_line(site, capsys):
    assert main(["check", "--report", str(site.parent / "nowhere" / "pack.md"), str(site)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_proven(site, capsys, monkeypatch, tmp_path):
    nobody = (tmp_path / "nobody").open("w+")
    monkeypatch.setattr("sys.stdin", nobody)
    assert main(["check", "--prove", str(site)]) == 3
    assert "Nothing was touched." in capsys.readouterr().out
    nobody.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prove", "--watts", "-1500"], "--watts"),
        (["--prove", "--watts", "nan"], "--watts"),
        (["--prove", "--watts", "50"], "--watts"),
        (["--connect", "--seconds", "0"], "--seconds"),
        (["--device", "battery"], "--prove"),
        (["--yes", "--connect"], "--prove"),
        (["--fuse-guard", "charger"], "--prove"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_touched(site, capsys, arguments, said):
    with pytest.raises(SystemExit) as refused:
        main(["check", *arguments, str(site)])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
    assert not (site.parent / "state").exists()
