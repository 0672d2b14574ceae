"""The main job of the product, from the wire to a click in the browser: one run of ``scripts/demo --check``, told in stories."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome-stable"))), None
)
HOME_ASSISTANT = ROOT / ".venv-ha/bin/python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: scripts/setup browser"),
    pytest.mark.skipif(not HOME_ASSISTANT.exists(), reason="Home Assistant is missing: scripts/setup ha"),
]


def demo(*arguments: object, **options) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts/demo.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all living processes that name ``folder``."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and "scripts/demo.py" not in line:
            lines.append(line)
    return lines


def gone(folder: Path, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while processes_of(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class Run:
    """What one ``scripts/demo --check`` told."""

    def __init__(self, output: str, status: int, pictures: Path) -> None:
        self.output, self.status, self.pictures = output, status, pictures
        last = output.rstrip().splitlines()[-1]
        told = json.loads(last) if last.startswith("{") else {"checks": {}, "figures": {}}
        self.checks, self.figures = told["checks"], told["figures"]

    def passed(self, check: str) -> bool:
        assert self.checks.get(check) == "ok", self.checks.get(check) or self.output
        return True


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo")
    pictures = folder / "pictures"
    with demo("--check", "--seconds", 5, "--screenshots", pictures, "--state", folder / "state") as process:
        try:
            output, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
    assert gone(folder, 5), processes_of(folder)
    return Run(output, process.returncode, pictures)


def test_home_assistant_pairs_with_the_gateway_through_its_config_flow(run: Run) -> None:
    assert run.passed("pairing")


def test_every_expected_entity_is_there_and_has_a_number_where_it_should(run: Run) -> None:
    assert run.passed("entities")


def test_car_and_battery_carry_the_house_after_a_jump_of_the_load(run: Run) -> None:
    assert run.passed("vehicle_to_home")
    assert run.figures["v2h_car_w"] > 300
    assert run.figures["v2h_battery_w"] > 300


def test_the_grid_power_stays_near_zero_under_the_recorded_load(run: Run) -> None:
    assert run.passed("grid_near_zero")


def test_a_click_on_the_dashboard_changes_the_current_on_the_wire_and_the_measured_power(run: Run) -> None:
    assert run.passed("click")


def test_a_utilitys_call_lowers_the_import_and_is_shown(run: Run) -> None:
    assert run.passed("utility_call")
    assert run.figures["import_after_call_w"] < run.figures["import_before_call_w"]


def test_an_unplugged_car_is_shown_and_comes_back(run: Run) -> None:
    assert run.passed("unplugging")


def test_the_pages_are_drawn_and_pictured_without_an_error_in_the_browser(run: Run) -> None:
    assert run.passed("pages")
    assert {p.stem for p in run.pictures.glob("*.png")} >= {"dashboard", "device", "integration", "energy"}


def test_home_assistants_log_has_no_complaint_about_the_integration(run: Run) -> None:
    assert run.passed("quiet_log")


def test_the_check_ends_with_success(run: Run) -> None:
    assert run.status == 0, run.output


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("owner")


@pytest.mark.parametrize("start", ["first", "second"])
def test_ctrl_c_ends_everything_and_the_next_start_finds_all_as_it_was(state: Path, start: str) -> None:
    with demo("--state", state, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if " grid " in line:
                break
        assert process.poll() is None, "".join(lines)
        assert processes_of(state)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert gone(state, 5), processes_of(state)


def test_a_killed_demo_leaves_nothing_running(state: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("util-linux's setpriv is missing, so children outlive a killed demo")
    with demo("--state", state) as process:
        deadline = time.monotonic() + 30
        while len(processes_of(state)) < 5 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
    assert gone(state, 30), processes_of(state)
