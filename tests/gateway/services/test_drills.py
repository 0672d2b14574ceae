"""The drill that plays itself: monthly, daily until it is well, kept over restarts, and of no consequence when it fails."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.site import DrillProblem
from gateway.config import BackupTable, parse
from gateway.faults import Unreachable
from gateway.services import Services
from gateway.services.drills import DAY, FILE, MONTH, Drills, play_child

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = {
    "autonomy_h": 9.0,
    "reserve_h": 8.5,
    "dark_h": 9.5,
    "shed_s": {"garage": 0.1},
    "cars_pct": {"garage": 30.0},
    "can_leave": {"garage": True},
    "load_w": 500,
    "assumed": ["garage holds 36 kWh"],
}


class Stage:
    """A drill whose child is a word, on a clock that we move."""

    def __init__(self, folder):
        self.folder, self.utc, self.answer = folder, START, json.dumps(WELL).encode()
        self.played, self.shown = [], []
        self.start()

    def start(self):
        backup = BackupTable(continuous_w=5000.0)
        self.drills = Drills(
            backup, self.folder / "site.toml", self.folder, self.shown.append, lambda: self.utc, self.play
        )

    async def play(self, command):
        self.played.append(self.utc)
        self.command = command
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def answers(self, **parts):
        self.answer = json.dumps(WELL | parts).encode()

    async def pass_time(self, span):
        end = self.utc + span
        while self.utc < end:
            await self.drills.look()
            self.utc += HOUR


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


async def test_a_drill_that_is_well_is_played_once_a_month(stage):
    await stage.pass_time(2 * MONTH + DAY)
    assert stage.played == [START, START + MONTH, START + 2 * MONTH]
    assert stage.command[1:] == ("-m", "gateway", "drill", "--json", str(stage.folder / "site.toml"))
    newest = stage.drills.newest
    assert stage.shown[-1] == newest
    assert (newest.played_at, newest.dark_h, newest.can_leave) == (START + 2 * MONTH, 9.5, {"garage": True})
    assert newest.problems == ()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [({"dark_h": 3.9}, DrillProblem.SHORT), ({"can_leave": {"garage": False}}, DrillProblem.CAR_STAYS)],
)
async def test_a_problem_is_told_and_looked_at_again_the_next_day(stage, parts, problem):
    stage.answers(**parts)
    await stage.pass_time(DAY)
    assert stage.drills.newest.problems == (problem,)
    stage.answers(dark_h=None)
    await stage.pass_time(DAY)
    assert stage.drills.newest.problems == ()
    await stage.pass_time(DAY)
    assert stage.played == [START, START + DAY]


@pytest.mark.parametrize(
    "answer",
    [
        Unreachable("it was not done after 900 s"),
        b"",
        b"Traceback",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps(WELL | {"dark_h": -1.0}).encode(),
        json.dumps(WELL | {"dark_h": float("inf")}).encode(),
        json.dumps(WELL | {"can_leave": {"garage": "yes"}}).encode(),
        json.dumps(WELL | {"weather": 1}).encode(),
    ],
)
async def test_a_failed_drill_is_tried_daily_said_once_and_leaves_the_last_one(stage, answer, caplog):
    await stage.drills.look()
    before = stage.drills.newest
    stage.utc, stage.answer = START + MONTH, answer
    await stage.pass_time(3 * DAY)
    assert stage.played[1:] == [START + MONTH + n * DAY for n in range(3)]
    assert stage.drills.newest is before
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_the_newest_and_the_time_of_the_try_survive_a_restart(stage):
    stage.answer = Unreachable("no")
    await stage.drills.look()
    stage.start()
    await stage.pass_time(DAY)
    assert stage.played == [START]
    stage.answers()
    await stage.drills.look()
    newest = stage.drills.newest
    stage.start()
    assert stage.drills.newest == newest
    await stage.pass_time(MONTH)
    assert len(stage.played) == 2


@pytest.mark.parametrize(
    "content", ["", "{", '{"tried_at": "2026-11-25T12:00:00"}', '{"newest": 5}', "\0" * 90]
)
async def test_a_damaged_file_is_a_first_start(stage, content):
    (stage.folder / FILE).write_text(content)
    stage.start()
    assert stage.drills.newest is None
    await stage.drills.look()
    assert stage.drills.newest.played_at == START


async def test_a_try_in_the_future_was_written_by_a_wrong_clock(stage):
    stage.utc = START + 900 * DAY
    await stage.drills.look()
    stage.utc = START
    await stage.drills.look()
    assert stage.drills.newest.played_at == START


async def test_a_disk_that_takes_nothing_stops_no_drill_and_repeats_none(stage):
    stage.drills._path = stage.folder / "gone" / FILE
    await stage.pass_time(DAY)
    assert stage.played == [START]
    assert stage.shown[-1].dark_h == 9.5


async def test_a_child_is_heard_at_the_lowest_priority():
    told = "import os, time; time.sleep(0.3); print(os.getpriority(os.PRIO_PROCESS, 0))"
    assert await play_child((sys.executable, "-c", told), 30.0) == b"19\n"


@pytest.mark.parametrize(
    ("program", "limit_s", "says"),
    [
        ("raise SystemExit('no [backup]')", 30.0, "ended with 1: no .backup."),
        ("raise SystemExit(3)", 30.0, "ended with 3: no word of it"),
        ("import time; time.sleep(60)", 0.2, "not done after"),
    ],
)
async def test_a_child_that_fails_or_hangs_is_told_in_a_line(program, limit_s, says):
    with pytest.raises(Unreachable, match=says):
        await play_child((sys.executable, "-c", program), limit_s)


async def test_a_program_that_is_not_there_is_told():
    with pytest.raises(Unreachable, match="could not be started"):
        await play_child(("/nowhere/python",))


async def test_a_cancelled_drill_leaves_no_child(tmp_path):
    note = tmp_path / "pid"
    program = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(play_child((sys.executable, "-c", program)))
        while not (note.exists() and note.read_text()):
            await asyncio.sleep(0.02)
        playing.cancel()
    assert playing.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.parametrize("able", [True, False])
async def test_only_a_site_with_backup_drills_and_shows_what_it_kept(stage, able):
    stage.answers(dark_h=1.0)
    await stage.drills.look()
    tables = {
        "site": {"name": "House", "serial": "NE-1", "time_zone": "UTC", "state_dir": str(stage.folder)},
        "grid": {"main_fuse_a": 25.0},
        "devices": {},
    }
    services = Services(parse(tables | ({"backup": {"continuous_w": 5000.0}} if able else {})))
    shown = services._site.view().drill
    assert shown == (stage.drills.newest if able else None)
    assert (services._drills is not None) == able
    services._journal.close()
    services._proof.close()
