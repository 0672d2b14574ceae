"""A simulated house on the wire, its site.toml, and the check run on it as a person would."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.commissioning.check import Request, check
from gateway.commissioning.prove import Wanted
from gateway.commissioning.stepping import Pace
from gateway.config import load
from tests.bench.house_and_gateway import ask_house, house

QUICK = Pace(step_w=1500.0, settle_s=0.9, measure_s=0.8, repeats=1)


@dataclass
class Bench:
    """``check`` runs one and keeps what was said; ``ask`` answers what is asked in order."""

    endpoints: dict[str, Any]
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def site(self) -> Path:
        return self.folder / "site.toml"

    async def do(self, deed: str, **more: Any) -> dict[str, Any]:
        answer = await ask_house(self.endpoints, do=deed, **more)
        assert answer["ok"], answer
        return answer

    def rewrite(self, old: str, new: str) -> None:
        text = self.site.read_text()
        assert old in text
        self.site.write_text(text.replace(old, new))

    async def prove(self, *devices: str, ask: Any = None, agreed: bool = True) -> int:
        request = Request(listen_s=1.5, prove=Wanted(devices, pace=QUICK), agreed=agreed)
        return await check(load(self.site), request, self.said.append, ask)

    def proof(self, device: str, check: str) -> tuple[str, str]:
        """What is on disk: (verdict, text key)."""
        record = json.loads((self.folder / "state/commissioning.json").read_text())
        (found,) = [p for p in record["proofs"] if (p["device"], p["check"]) == (device, check)]
        return found["verdict"], found["text_key"]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with house(tmp_path, "--time-of-day", "02:00") as endpoints:
        built = Bench(endpoints, tmp_path)
        await built.do("set_load", w=600.0)
        await built.do("set_pv", w=0.0)
        text = built.site.read_text().replace("lease_s = 30", "lease_s = 3")
        built.site.write_text(text)
        yield built
        print(*built.said, sep="\n")
