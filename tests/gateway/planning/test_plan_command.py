"""`gateway plan` on a small home."""

import json

import pytest

from gateway.__main__ import main
from gateway.faults import Malformed
from gateway.planning import problem_file

HOME = {
    "T": 4, "dt": 1.0, "load": [0.0, 0.0, 1.5, 0.0], "pv": [0.0] * 4, "p_imp": [0.3, 0.1, 0.5, 0.3],
    "p_exp": [0.05] * 4, "imp_max": 9.0,
    "b": {"cap": 10.0, "p": 2.0, "eta": 1.0, "e0": 5.0, "emin": 0.0, "eT": 5.0},
    "v": {
        "cap": 20.0, "p": 6.0, "eta": 1.0, "e0": 10.0, "emin": 0.0, "eT": 8.0, "dep_req": 11.0, "trip": 3.0,
        "avail": [1.0, 1.0, 0.0, 1.0], "dep": [0.0, 0.0, 1.0, 0.0], "ret": [0.0, 0.0, 0.0, 1.0],
    },
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "home.json"
    path.write_text(json.dumps(HOME))
    return path


def test_json_holds_the_schedule_of_every_device_alone_on_the_standard_output(file, capfd):
    assert main(["plan", "--problem", str(file), "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["made"] == "optimal"
    assert plan["cost"] == pytest.approx(0.25)
    assert plan["devices"]["car"]["power_w"] == pytest.approx([0, 1_000, 0, 0], abs=0.01)
    assert plan["devices"]["car"]["soc_pct"] == pytest.approx([50, 50, 55, 40], abs=0.01)
    assert plan["devices"]["battery"]["reason"][1] == "cheap_hours"
    assert plan["shortfalls"] == []


def test_the_table_tells_times_powers_and_reasons(file, capfd):
    assert main(["plan", "--problem", str(file)]) == 0
    out = capfd.readouterr().out
    assert out.startswith("optimal: 0.2500 (no plan is below 0.2500)")
    assert "1:00   0.100" in out
    assert "self use" in out
    assert "0.10 to  0.50" in out
    assert out.endswith("Nothing falls short.\n")


def test_a_file_that_is_no_problem_is_said_to_be_none(tmp_path):
    path = tmp_path / "broken.json"
    for text in ("", "[]", '{"T": 3}', json.dumps(HOME | {"load": [1.0]})):
        path.write_text(text)
        with pytest.raises(Malformed, match="not a plan problem"):
            problem_file.read(path)
