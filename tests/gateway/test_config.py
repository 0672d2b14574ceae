"""Whatever is wrong in site.toml is one line that says where and what to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.__main__ import main
from gateway.config import load, parse
from gateway.faults import ConfigError

SITE = {"name": "House", "serial": "NE-1", "time_zone": "Europe/Amsterdam"}
GRID = {"main_fuse_a": 25.0}
GOOD = {"site": SITE, "grid": GRID, "devices": {"grid": {"driver": "meter.eastron_sdm630", "role": "grid"}}}


def test_a_good_site_is_read_and_its_folder_is_beside_the_file(tmp_path):
    site = parse(GOOD, tmp_path / "site.toml")
    assert site.state_dir == tmp_path / "state"
    assert site.devices["grid"].name == "grid"
    assert site.devices["grid"].rest["role"] == "grid"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"backup": {"continuous_w": 5000, "shed_order": ["grid"]}},
            "backup.shed_order: 'grid' is no load and no charger here",
        ),
        ({"gird": {}}, "[gird]: unknown table; did you mean 'grid'?"),
        ({"grid": {"main_fuse": 25}}, "grid.main_fuse: unknown key; did you mean 'main_fuse_a'?"),
        (
            {"grid": {"main_fuse_a": "25 A"}},
            "grid.main_fuse_a: '25 A' does not fit; write a number (amperes)",
        ),
        ({"grid": {"main_fuse_a": 25000}}, "grid.main_fuse_a: 25000 is impossible; write 6 to 6300"),
        ({"grid": {"main_fuse_a": True}}, "grid.main_fuse_a: True does not fit; write a number (amperes)"),
        ({"grid": {"main_fuse_a": float("nan")}}, "grid.main_fuse_a: nan is impossible; write 6 to 6300"),
        ({"grid": {"main_fuse_a": 25, "phases": 2}}, "grid.phases: 2 is not possible; write 1 or 3"),
        ({"grid": {}}, "grid.main_fuse_a: missing; write a number (amperes)"),
        ({"site": {**SITE, "time_zone": "Mars"}}, "site.time_zone: 'Mars' is no time zone; write one like"),
        ({"site": {**SITE, "time_zone": "M" * 300}}, "site.time_zone: 'MM"),
        ({"grid": {"main_fuse_a": 10**400}}, "grid.main_fuse_a: 1000"),
        ({"api": {"port": 99999}}, "api.port: 99999 is impossible; write 0 to 65535"),
        ({"devices": {"grid": {}}}, "devices.grid.driver: missing; write the driver's name"),
        ({"devices": {"My Meter": {"driver": "x"}}}, "[devices.My Meter]: write the name in small letters"),
        (
            {"planning": {"car": {"cell": "lead"}}},
            "planning.car.cell: 'lead' is unknown; write one of: lmo_leaf_aged",
        ),
        (
            {"planning": {"battery": {"health_pct": 0}}},
            "planning.battery.health_pct: 0 is impossible; write 1 to 100",
        ),
        ({"devices": 5}, "devices: 5 does not fit; write a table [devices]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_its_cure(change, says):
    with pytest.raises(ConfigError) as caught:
        parse({**GOOD, **change})
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


@given(
    st.dictionaries(st.sampled_from(["site", "grid", "devices", "api", "prices", "utility", "x"]), anything)
)
def test_nonsense_is_never_more_than_a_config_error(tables):
    try:
        parse(tables)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_the_command_line_says_one_line_and_no_traceback(tmp_path, capsys):
    broken = tmp_path / "site.toml"
    broken.write_text("[site\nname = ")
    assert main(["check", str(broken)]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "not valid TOML" in errors[0]


def test_a_missing_file_tells_how_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match="gateway house"):
        load(tmp_path / "none.toml")


def test_an_unknown_driver_names_the_known_ones(tmp_path, capsys):
    site = tmp_path / "site.toml"
    site.write_text(
        '[site]\nname="H"\nserial="1"\ntime_zone="UTC"\n[grid]\nmain_fuse_a=25\n[devices.grid]\ndriver="meter.eastorn"\n'
    )
    assert main(["check", str(site)]) == 2
    assert "meter.eastron_sdm630" in capsys.readouterr().err
