"""The simulator as its users start it: a process, files, ports."""

import asyncio
import csv
import json
import signal
import struct
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.simulator.wall_units import WALL_UNITS

ROOT = Path(__file__).parents[3]


async def start(run_dir: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.simulator", "--run-dir", str(run_dir), *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
async def running(tmp_path):
    process = await start(tmp_path / "run", "--time-of-day", "12:00", "--api-port", "18555")
    yield process, tmp_path / "run"
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def ask(endpoint: dict[str, object], *requests: dict[str, object]) -> list[dict[str, object]]:
    reader, writer = await asyncio.open_connection(endpoint["host"], endpoint["port"])
    writer.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
    answers = [json.loads(await reader.readline()) for _ in requests]
    writer.close()
    return answers


async def test_it_says_where_everything_is_and_leaves_cleanly(running):
    process, folder = running
    async with asyncio.timeout(20.0):
        told = json.loads(await process.stdout.readline())
        assert told == json.loads((folder / "endpoints.json").read_text())
        assert set(told) == {
            "grid_meter", "pv_meter", "battery", "converter", "pilot_io", "control", "can", "ev_can", "prices", "utility",
        }  # fmt: skip

        site = tomllib.loads((folder / "site.toml").read_text())
        assert site["api"]["port"] == 18555
        assert site["devices"]["grid"]["port"] == told["grid_meter"]["port"]
        assert site["devices"]["garage"]["pilot"]["port"] == told["pilot_io"]["port"]
        assert (folder / site["devices"]["garage"]["can_channel"]).exists()
        prices = list(csv.DictReader(Path(told["prices"]).read_text().splitlines()))
        assert 95 <= len(prices) <= 97

        await asyncio.sleep(0.3)
        first, unplugged = await ask(told["control"], {"do": "status"}, {"do": "unplug"})
        assert first["house"]["pv_w"] > 100.0
        assert unplugged == {"ok": True}

        reader, writer = await asyncio.open_connection(told["grid_meter"]["host"], told["grid_meter"]["port"])
        writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 52, 2))
        assert len(await reader.readexactly(13)) == 13

        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert process.returncode == 0
        assert errors == b""
        assert not (folder / "can0").exists()
        assert not (folder / "endpoints.json").exists()
        writer.close()


@pytest.mark.parametrize("charger", WALL_UNITS)
async def test_another_charger_stands_in_for_converter_pilot_lines_and_can(tmp_path, charger):
    process = await start(tmp_path, "--charger", charger)
    try:
        async with asyncio.timeout(20.0):
            told = json.loads(await process.stdout.readline())
        garage = tomllib.loads((tmp_path / "site.toml").read_text())["devices"]["garage"]
        assert garage["driver"] == f"evse.{charger}"
        assert (garage["host"], garage["port"]) == (told["charger"]["host"], told["charger"]["port"])
        assert not {"converter", "pilot_io", "can"} & told.keys()
        assert not (tmp_path / "can0").exists()
    finally:
        process.terminate()
        await process.communicate()


async def test_help_teaches_and_a_wrong_time_is_refused_with_a_reason(tmp_path):
    helping, wrong = await asyncio.gather(
        start(tmp_path, "--help"), start(tmp_path, "--time-of-day", "25 o'clock")
    )
    out, _ = await helping.communicate()
    assert b'{"do": "status"}' in out
    assert b"endpoints.json" in out
    _, errors = await wrong.communicate()
    assert wrong.returncode == 2
    assert b"25 o'clock" in errors
