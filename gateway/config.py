"""site.toml → frozen dataclasses, strictly: an unknown key, a wrong type or an impossible value is one line that says
where it stands and what to write instead. Units are in the keys; secrets are given by file path."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.decoding import decode, meant, table_of, within
from gateway.faults import ConfigError
from gateway.tariff_tables import TariffTable

__all__ = ["decode", "within"]  # drivers decode tables of their own


@dataclass(frozen=True, slots=True)
class SiteTable:
    name: str
    serial: str
    time_zone: str
    state_dir: Path = Path("state")

    def check(self, where: str) -> None:
        """Refuse a time zone that does not exist."""
        try:
            ZoneInfo(self.time_zone)
        except ZoneInfoNotFoundError, ValueError, OSError:
            raise ConfigError(
                f'{where}.time_zone: {self.time_zone!r} is no time zone; write one like "Europe/Amsterdam"'
            ) from None


@dataclass(frozen=True, slots=True)
class GridTable:
    """The grid connection. ``blind_draw_w`` is what may be drawn by all DERs together while the grid meter is silent.

    ``imbalance_limit_w`` bounds how far the DERs may part two phases (VDE-AR-N 4105: 4600). ``peak_target_w`` is what the
    mean import of a demand interval of ``peak_interval_s`` should not exceed. ``dimmed_w`` is the least that a dimming
    grid operator must leave to one device (§14a EnWG: 4200); without it a utility's limit may be 0. ``exports_locked_out``: G100's counter of excursions locks the export.
    """

    main_fuse_a: float
    phases: int = 3
    nominal_voltage_v: float = 230.0
    import_limit_w: float | None = None
    export_limit_w: float | None = None
    blind_draw_w: float = 1400.0
    imbalance_limit_w: float | None = None
    peak_target_w: float | None = None
    peak_interval_s: float = 900.0
    dimmed_w: float | None = None
    exports_locked_out: bool = False

    def check(self, where: str) -> None:
        """Refuse limits that no site has."""
        if self.phases not in (1, 3):
            raise ConfigError(f"{where}.phases: {self.phases} is not possible; write 1 or 3")
        within(self.main_fuse_a, 6, 6300, f"{where}.main_fuse_a")
        within(self.nominal_voltage_v, 90, 260, f"{where}.nominal_voltage_v")
        within(self.peak_interval_s, 60, 3600, f"{where}.peak_interval_s")
        for key in ("import_limit_w", "export_limit_w", "imbalance_limit_w", "peak_target_w", "dimmed_w"):
            if (value := getattr(self, key)) is not None:
                within(value, 0, 5_000_000, f"{where}.{key}")
        within(self.blind_draw_w, 0, 100_000, f"{where}.blind_draw_w")


@dataclass(frozen=True, slots=True)
class CircuitTable:
    """A sub-board or a group of chargers behind its own fuse. ``devices`` may use ``*``; ``within`` names the circuit above.

    ``meter`` measures the whole circuit, other loads included; without it ``other_load_a`` is taken as drawn by them.
    """

    fuse_a: float
    devices: tuple[str, ...] = ()
    within: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    meter: str = ""
    other_load_a: float = 0.0

    def check(self, where: str) -> None:
        """Refuse a fuse that no board has."""
        within(self.fuse_a, 1, 6300, f"{where}.fuse_a")
        within(self.other_load_a, 0, self.fuse_a, f"{where}.other_load_a")
        if not self.phases or not set(self.phases) <= {1, 2, 3}:
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is not possible; write [1], [1, 2, 3] or the like"
            )


@dataclass(frozen=True, slots=True)
class ReserveTable:
    """Frequency reserve. ``reservoir_min`` is how long full activation must be sustained (sources differ: 15 or 30).

    ``start_s`` is how late a response may begin where the grid operator accepted more than its product says.
    ``quiet_min``: so long the frequency must have been calm before what an event took is put back.
    """

    reservoir_min: float = 30.0
    recharge_share: float = 0.1
    start_s: float | None = None
    quiet_min: float = 10.0

    def check(self, where: str) -> None:
        """Refuse what no product asks."""
        within(self.reservoir_min, 1, 240, f"{where}.reservoir_min")
        within(self.recharge_share, 0, 1, f"{where}.recharge_share")
        within(self.quiet_min, 1, 240, f"{where}.quiet_min")
        if self.start_s is not None:
            within(self.start_s, 0.1, 30, f"{where}.start_s")


@dataclass(frozen=True, slots=True)
class BackupTable:
    """A house that can run without the grid. ``continuous_w`` and ``leg_w`` are what the islanding inverter can carry.

    ``shed_order`` names loads and chargers, the first to go first. A drill warns where the house would be dark before
    ``should_last_h``.
    """

    continuous_w: float
    leg_w: float | None = None
    black_start_soc_pct: float = 5.0
    reconnect_s: float = 300.0
    shed_order: tuple[str, ...] = ()
    should_last_h: float = 4.0

    def check(self, where: str) -> None:
        """Refuse an inverter that carries nothing."""
        within(self.continuous_w, 100, 1_000_000, f"{where}.continuous_w")
        within(self.black_start_soc_pct, 0, 50, f"{where}.black_start_soc_pct")
        within(self.reconnect_s, 10, 3600, f"{where}.reconnect_s")
        within(self.should_last_h, 0, 96, f"{where}.should_last_h")


@dataclass(frozen=True, slots=True)
class ControlTables:
    """What control must know of the site."""

    grid: GridTable
    circuits: Mapping[str, CircuitTable] = field(default_factory=dict)
    reserve: ReserveTable = field(default_factory=ReserveTable)
    backup: BackupTable | None = None
    time_zone: str = "UTC"
    serial: str = ""


@dataclass(frozen=True, slots=True)
class ListenTable:
    bind: str = "127.0.0.1"
    port: int = 0
    advertise: bool = True

    def check(self, where: str) -> None:
        """Refuse a port that does not exist."""
        within(self.port, 0, 65535, f"{where}.port")


@dataclass(frozen=True, slots=True)
class PricesTable:
    """``file`` is a CSV of starts_at (RFC 3339), import_per_kwh, export_per_kwh, reread when it changes."""

    file: Path
    currency: str = "EUR"


class Cell(StrEnum):
    """LMO: aged Leaf modules of 24/30 kWh (Braco et al. 2020-22). NMC622: DENSO 50 Ah (Smith et al. 2021), the middle of
    the range for a Leaf of 40/62 kWh. NMC111: Sanyo 2 Ah (Schmalstieg et al. 2014), its pessimistic end.
    """

    LMO = "lmo_leaf_aged"
    NMC622 = "nmc622_denso"
    NMC111 = "nmc111_sanyo"


@dataclass(frozen=True, slots=True)
class PackTable:
    """What is to be known of a pack to price its ageing: what a kWh of a new one costs, its cells (None: as the car's generation
    says, else NMC622), and its health where no device tells it.
    """

    price_per_kwh: float = 170.0
    cell: Cell | None = None
    health_pct: float = 100.0

    def check(self, where: str) -> None:
        """Refuse what no pack costs, and a health that none has."""
        within(self.price_per_kwh, 0, 1_000_000, f"{where}.price_per_kwh")
        within(self.health_pct, 1, 100, f"{where}.health_pct")


@dataclass(frozen=True, slots=True)
class PlanningTable:
    """What planning counts with, in the currency of the prices per kWh: a car that lacks energy charges on the road, what
    goes through a pack wears it (by a model of ``battery`` and ``car`` where no price of the owner stands), and a kg of CO2 costs
    ``carbon_per_kg``. A plan that is not ``followed`` is made and shown all the same; the site then lives of its own energy, and
    cars are charged in time to leave.
    """

    public_charging_per_kwh: float = 0.6
    battery_wear_per_kwh: float | None = None
    car_wear_per_kwh: float | None = None
    battery: PackTable = field(default_factory=PackTable)
    car: PackTable = field(default_factory=PackTable)
    carbon_per_kg: float = 0.0
    step_min: float = 15.0
    horizon_h: float = 48.0
    followed: bool = True

    def check(self, where: str) -> None:
        """Refuse what no site pays."""
        for key in ("public_charging_per_kwh", "battery_wear_per_kwh", "car_wear_per_kwh", "carbon_per_kg"):
            if (price := getattr(self, key)) is not None:
                within(price, 0, 1000, f"{where}.{key}")
        within(self.horizon_h, 12, 72, f"{where}.horizon_h")
        if self.step_min not in (5, 15, 30):
            raise ConfigError(f"{where}.step_min: {self.step_min:g} is not possible; write 5, 15 or 30")


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """One ``[devices.<id>]`` table: what every room may know; ``rest`` is decoded by the driver."""

    id: str
    driver: str
    name: str
    rest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SiteConfig:
    site: SiteTable
    grid: GridTable
    devices: Mapping[str, DeviceTable]
    api: ListenTable = field(default_factory=lambda: ListenTable(port=8443))
    utility: ListenTable | None = None
    prices: PricesTable | None = None
    tariff: TariffTable | None = None
    planning: PlanningTable = field(default_factory=PlanningTable)
    circuits: Mapping[str, CircuitTable] = field(default_factory=dict)
    reserve: ReserveTable = field(default_factory=ReserveTable)
    backup: BackupTable | None = None
    path: Path = Path("site.toml")

    @property
    def control(self) -> ControlTables:
        """What control must know of the site."""
        site = self.site
        return ControlTables(self.grid, self.circuits, self.reserve, self.backup, site.time_zone, site.serial)

    @property
    def state_dir(self) -> Path:
        """Absolute folder of everything the gateway keeps."""
        return self.path.parent.resolve() / self.site.state_dir

    @property
    def lock_path(self) -> Path:
        """The file that the one fast path of a site locks, and touches while its loop ticks."""
        return self.state_dir / "fastpath.lock"


def load(path: Path) -> SiteConfig:
    """Read and check the whole of site.toml. Raises ConfigError with one line per first thing wrong."""
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `python -m gateway house` writes an example") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse(tables, path)


def parse(tables: Mapping[str, Any], path: Path = Path("site.toml")) -> SiteConfig:
    """Check the tables of a site; relative paths are relative to the file. Raises ConfigError."""
    known = [f.name for f in dataclasses.fields(SiteConfig) if f.name != "path"]
    for key in tables:
        if key not in known:
            raise ConfigError(f"[{key}]: unknown table{meant(key, known)}")
    for key in ("site", "grid", "devices"):
        if key not in tables:
            raise ConfigError(f"[{key}]: missing; every site has it (docs/operations.md shows one)")
    devices = {
        name: _device(name, table, path.parent)
        for name, table in table_of(tables["devices"], "devices").items()
    }
    prices = decode(PricesTable, tables["prices"], "prices") if "prices" in tables else None
    backup = decode(BackupTable, tables["backup"], "backup") if "backup" in tables else None
    _check_shed_order(backup, devices)
    return SiteConfig(
        site=decode(SiteTable, tables["site"], "site"),
        grid=decode(GridTable, tables["grid"], "grid"),
        devices=devices,
        api=decode(ListenTable, tables["api"], "api") if "api" in tables else ListenTable(port=8443),
        utility=decode(ListenTable, tables["utility"], "utility") if "utility" in tables else None,
        circuits={
            name: decode(CircuitTable, table, f"circuits.{name}")
            for name, table in table_of(tables.get("circuits", {}), "circuits").items()
        },
        reserve=decode(ReserveTable, tables.get("reserve", {}), "reserve"),
        backup=backup,
        planning=decode(PlanningTable, tables.get("planning", {}), "planning"),
        tariff=decode(TariffTable, tables["tariff"], "tariff") if "tariff" in tables else None,
        prices=dataclasses.replace(prices, file=path.parent.resolve() / prices.file) if prices else None,
        path=path,
    )


def _check_shed_order(backup: BackupTable | None, devices: Mapping[str, DeviceTable]) -> None:
    """Refuse to shed what is no load and no charger of this site."""
    able = [name for name, d in devices.items() if d.driver.partition(".")[0] in ("load", "evse")]
    for name in backup.shed_order if backup else ():
        if name not in able:
            raise ConfigError(
                f"backup.shed_order: {name!r} is no load and no charger here{meant(name, able)}"
            )


def _device(name: str, table: Any, folder: Path) -> DeviceTable:
    where = f"devices.{name}"
    if not name.isidentifier() or not name.islower():
        raise ConfigError(f"[{where}]: write the name in small letters, digits and underscores")
    rest = dict(table_of(table, where))
    driver = rest.pop("driver", None)
    if not isinstance(driver, str):
        raise ConfigError(
            f'{where}.driver: missing; write the driver\'s name, for example "meter.eastron_sdm630"'
        )
    if rest.get("can_interface") == "slcan" and isinstance(rest.get("can_channel"), str):
        rest["can_channel"] = str(folder.resolve() / rest["can_channel"])
    title = rest.setdefault("name", name)
    if not isinstance(title, str):
        raise ConfigError(f"{where}.name: write a text in quotes")
    return DeviceTable(id=name, driver=driver, name=title, rest=rest)
