"""Every mishap in every mode, on the wire: no limit broken for more than 6 s, the safe state reached, one line in the log
when it comes and one when it goes, and a ledger that is whole.

The judge of the limits sits in the simulator and reads its physics. What was measured goes to the file that
FAULT_MATRIX_FIGURES names, for `scripts/bench matrix`.
"""

import asyncio
import json
import os
import re
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from gateway.nonvolatile import Nonvolatile
from tests.bench.house_and_gateway import house
from tests.gateway.scenarios.hardware import undisturbed
from tests.gateway.scenarios.mishap_table import MISHAPS
from tests.gateway.scenarios.mode_table import MODES
from tests.gateway.scenarios.scene import Scene
from tests.gateway.scenarios.side_by_side import side_by_side

pytestmark = [pytest.mark.slow, pytest.mark.many_houses]

LONGEST_BREACH_S = 6.0
WATCHED_S = 2.0
"""How long the safe state is watched before the fault is healed."""
LOGGED_S = 3.0
MODES_TOLD = "FAULT_MATRIX_MODES"
"""Names of the only modes to tell of, for whoever looks into one."""
CASTS = {
    "charger": [m for m in MISHAPS if m.of_charger],
    "others": [m for m in MISHAPS if not m.of_charger],
}
BUSY = "control tick late"
"""A busy machine may have that said more than once."""
SHIM = Path(__file__).parent / "mishaps"
LINE = re.compile(r"^\S+ \S+ (?P<level>[A-Z]+) +(?P<said>.*)$", re.MULTILINE)


async def piped(log: Path, stack: AsyncExitStack) -> None:
    """Let a pipe take the log, for a file would share the fate of the full disk."""
    pipe = log.with_name("gateway.log")
    os.mkfifo(pipe)
    program = f"cat < {pipe} >> {log}; while true; do cat < {pipe} >> {log}; done"
    reader = await asyncio.create_subprocess_exec("bash", "-c", program, process_group=0)
    stack.callback(os.killpg, reader.pid, 9)


class Trial:
    """One scene in one mode, through all mishaps; ``results`` is what each came to."""

    def __init__(self, scene, mode):
        self.scene, self.mode = scene, mode
        self.results = {}

    async def holds(self):
        return self.mode.holds(await self.scene.physics())

    def lines(self, since):
        text = self.scene.told.read_bytes()[since:].decode()
        return [(m["level"], m["said"]) for m in LINE.finditer(text)]

    def told(self, pattern, since):
        """How many lines say it; ``@charger`` stands for its address."""
        charger = "{host}:{port}".format(**self.scene.endpoints["charger"])
        wanted = pattern.replace("@charger", charger)
        return sum(bool(re.search(wanted, said)) for _, said in self.lines(since))

    async def undergo(self, mishap):
        scene = self.scene
        await scene.until(self.holds, mishap.back_s)
        await scene.ask("breaches_clear")
        since = scene.told.stat().st_size
        noticed = self.mode.name not in mishap.quiet_in
        began_s = unsafe_s = safe_s = (await scene.physics())["house"]["second"]

        async def safe():
            nonlocal unsafe_s, safe_s
            physics = await scene.physics()
            if not noticed:
                return self.mode.holds(physics)
            raised = not mishap.codes or mishap.codes & await scene.faults()
            unsafe_s, safe_s = safe_s, physics["house"]["second"]
            return mishap.safe(physics) and raised and self.told(mishap.lost, since)

        try:
            await mishap.strike(scene)
            if mishap.stirred:
                await scene.ask("set_load", w=self.mode.load_w + self.mode.stir_w)
            await scene.until(safe, mishap.within_s)
            assert unsafe_s - began_s <= mishap.within_s
            await asyncio.sleep(WATCHED_S)
        finally:
            await mishap.heal(scene)
            await scene.ask("set_load", w=self.mode.load_w)
            if mishap.spoils_wish:
                await scene.owner.ask("DELETE", "devices/garage/request")
                await self.mode.wish(scene)

        async def back():
            if not noticed:
                return await self.holds()
            raised = mishap.codes & await scene.faults()
            return await self.holds() and not raised and self.told(mishap.back, since)

        await scene.until(scene.owner_is_back, mishap.back_s)
        await scene.until(back, mishap.back_s)
        await asyncio.sleep(LOGGED_S)
        breach = await self.judge(mishap, since, noticed=noticed)
        self.results[mishap.name] = (round(safe_s - began_s, 1), breach) if noticed else None

    async def judge(self, mishap, since, *, noticed):
        lines = self.lines(since)
        told = "\n".join(f"{level} {said}" for level, said in lines)
        if noticed:
            for pattern in (mishap.lost, mishap.back):
                assert self.told(pattern, since) == 1, f"{pattern}\n{told}"
        warnings = [said for level, said in lines if level in {"WARNING", "ERROR"} and BUSY not in said]
        often = Counter(re.sub(r"[\d.]+", "#", said) for said in warnings)
        assert not [said for said, times in often.items() if times > 1], told
        self.check_ledger()
        breaches = (await self.scene.physics())["breaches"]
        name, worst = max(breaches.items(), key=lambda item: item[1]["longest_s"])
        assert worst["longest_s"] <= LONGEST_BREACH_S, f"{name}: {worst}\n{told}"
        return round(worst["longest_s"], 1)

    def check_ledger(self):
        path = self.scene.folder / "state/journal.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = "SELECT in_wh - LAG(in_wh) OVER w AS i, out_wh - LAG(out_wh) OVER w AS o FROM samples"
            window = "WINDOW w AS (PARTITION BY device ORDER BY rowid)"
            fell = f"SELECT COUNT(*) FROM ({rows} {window}) WHERE i < -0.001 OR o < -0.001"
            assert ledger.execute(fell).fetchone() == (0,), "a total fell"


async def tell(folder, mode, mishaps, starts, figures):
    folder.mkdir()
    log = folder / "told.log"
    log.touch()
    async with AsyncExitStack() as stack:
        async with starts:
            options = ("--time-of-day", "12:00", "--charger", "quasar", "--battery-soc", "60", *mode.options)
            endpoints = await stack.enter_async_context(house(folder, *options))
            stack.enter_context(undisturbed(endpoints["pid"]))
            quicken(folder / "site.toml")
            if mode.remembered is not None:
                (folder / "state").mkdir(exist_ok=True)
                assert not Nonvolatile(folder / "state").save(mode.remembered, 0.0)
            await piped(log, stack)
            scene = Scene(endpoints, folder, stack)
            scene.told = log
            await scene.start_gateway()
        await scene.ask("set_load", w=mode.load_w)
        await mode.enter(scene)
        await mode.wish(scene)
        trial = Trial(scene, mode)
        wrong = []
        only = os.environ.get("FAULT_MATRIX_ONLY", "")
        for mishap in (m for m in mishaps if only in m.name):
            try:
                await trial.undergo(mishap)
            except AssertionError as error:
                error.add_note(f"it was: {mishap.name}, {mode.name}")
                wrong.append(error)
        figures[mode.name] |= trial.results
        if wrong:
            raise ExceptionGroup(mode.name, wrong)


def quicken(site: Path) -> None:
    """Let the charger's own lease be the shortest, for the matrix waits for its end."""
    text = site.read_text()
    site.write_text(text.replace('driver = "evse.quasar"\n', 'driver = "evse.quasar"\nlease_s = 15\n'))


async def test_no_mishap_in_any_mode_breaks_a_limit_or_the_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SHIM))
    only = os.environ.get(MODES_TOLD)
    starts, modes = asyncio.Semaphore(1), [m for m in MODES if only is None or m.name in only.split(",")]
    figures = {mode.name: {} for mode in modes}
    stories = {
        f"{mode.name}, {who}": tell(
            tmp_path / f"{mode.name}-{who}".replace(" ", "-"), mode, mishaps, starts, figures
        )
        for mode in modes
        for who, mishaps in CASTS.items()
    }
    try:
        await side_by_side(stories, at_once=len(stories))
    finally:
        if file := os.environ.get("FAULT_MATRIX_FIGURES"):
            Path(file).write_text(json.dumps(figures))
