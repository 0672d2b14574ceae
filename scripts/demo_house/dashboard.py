"""The owner's dashboard and the energy page, as Home Assistant stores them; entities come from the registry. Pure."""

from collections.abc import Iterable
from typing import Any

from .entities import SITE, Catalog

URL_PATH = "nissan-energy"
GRID, SUN, BATTERY, CAR = "grid", "pv", "battery", "garage"
"""The devices in site.toml."""

type Card = dict[str, Any]
type Key = tuple[str, str, str]
"""Domain, key and device of an entity."""


def dashboard(catalog: Catalog) -> dict[str, Any]:
    """Return the whole dashboard: one view to see the house at a glance and to say what it shall do."""
    page = _Page(catalog)
    sections = [
        _now(page),
        _car(page),
        _control(page),
        _battery(page),
        _plan(page),
        _rules(page),
        _lately(page),
    ]
    view = {
        "title": "Energy now",
        "path": "now",
        "icon": "mdi:home-lightning-bolt",
        "type": "sections",
        "max_columns": 4,
        "badges": _badges(page),
        "sections": [section for section in sections if section["cards"]],
    }
    return {"views": [view]}


class _Page:
    """Makes cards of the entities that are there; a card without its entity is left out."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def id(self, key: Key) -> str | None:
        entity = self._catalog.find(*key)
        return entity.entity_id if entity else None

    def tile(
        self, key: Key, name: str, icon: str, color: str, *features: Card, **more: Any
    ) -> Iterable[Card]:
        if entity_id := self.id(key):
            card = {"type": "tile", "entity": entity_id, "name": name, "icon": icon, "color": color, **more}
            yield {**card, "features": list(features)} if features else card

    def button_when_useful(self, key: str, name: str, icon: str, color: str) -> Iterable[Card]:
        if entity_id := self.id(("button", key, SITE)):
            there = [{"condition": "state", "entity": entity_id, "state_not": "unavailable"}]
            yield from self.tile(("button", key, SITE), name, icon, color, hide_state=True, visibility=there)

    def tile_when_known(self, key: Key, name: str, icon: str, color: str, **more: Any) -> Iterable[Card]:
        if entity_id := self.id(key):
            known = [{"condition": "state", "entity": entity_id, "state_not": ["unknown", "unavailable"]}]
            yield from self.tile(key, name, icon, color, visibility=known, **more)

    def gauge(self, key: Key) -> Iterable[Card]:
        if entity_id := self.id(key):
            yield {
                "type": "gauge",
                "entity": entity_id,
                "name": " ",
                "severity": {"red": 0, "yellow": 20, "green": 40},
                "grid_options": {"columns": 6, "rows": 3},
            }

    def graph(self, hours: float, series: Iterable[tuple[Key, str]], **more: Any) -> Iterable[Card]:
        if rows := [
            {"entity": entity_id, "name": name} for key, name in series if (entity_id := self.id(key))
        ]:
            yield {"type": "history-graph", "hours_to_show": hours, "entities": rows, **more}

    def log(self, hours: float, keys: Iterable[Key]) -> Iterable[Card]:
        if ids := [entity_id for key in keys if (entity_id := self.id(key))]:
            yield {
                "type": "logbook",
                "target": {"entity_id": ids},
                "hours_to_show": hours,
                "grid_options": {"columns": "full", "rows": 5},
            }


def _heading(text: str, icon: str) -> Card:
    return {"type": "heading", "heading": text, "icon": icon}


def _section(heading: Card, cards: Iterable[Card], columns: int = 1) -> Card:
    listed = list(cards)
    return {"type": "grid", "column_span": columns, "cards": [heading, *listed] if listed else []}


_TREND = {"type": "trend-graph", "hours_to_show": 0.5}
_SLIDER = {"type": "numeric-input", "style": "slider"}
_CHOICE = {"type": "select-options"}
_TOGGLE = {"type": "toggle"}
_WIDE = _HALF = {"grid_options": {"columns": 12}}
"""The whole width of a plain section, half of one that spans two columns."""
_THIRD = {"grid_options": {"columns": 8}}


def _badges(page: _Page) -> list[Card]:
    wanted: tuple[tuple[Key, str, str, str], ...] = (
        (("switch", "control", SITE), "Control", "mdi:robot", "green"),
        (("binary_sensor", "plugged", CAR), "Car", "mdi:ev-plug-chademo", "teal"),
        (("binary_sensor", "grid_event", SITE), "Utility's call", "mdi:bullhorn", "orange"),
        (("sensor", "import_price", SITE), "Price now", "mdi:cash", "blue"),
        (("sensor", "cheapest_start", SITE), "Cheapest", "mdi:clock-star-four-points", "blue"),
    )
    return [
        {"type": "entity", "entity": entity_id, "name": name, "icon": icon, "color": color, "show_name": True}
        for key, name, icon, color in wanted
        if (entity_id := page.id(key))
    ]


GRID_POWER: Key = ("sensor", "grid_power", GRID)
SUN_POWER: Key = ("sensor", "solar_power", SUN)
CAR_POWER: Key = ("sensor", "battery_power", CAR)
BATTERY_POWER: Key = ("sensor", "battery_power", BATTERY)
CAR_CHARGE: Key = ("sensor", "car_state_of_charge", CAR)
BATTERY_CHARGE: Key = ("sensor", "state_of_charge", BATTERY)


def _now(page: _Page) -> Card:
    powers = ((GRID_POWER, "Grid"), (SUN_POWER, "Sun"), (CAR_POWER, "Car"), (BATTERY_POWER, "Battery"))
    return _section(
        _heading("Power now", "mdi:flash"),
        [
            *page.tile(GRID_POWER, "From the grid", "mdi:transmission-tower", "blue", _TREND, **_HALF),
            *page.tile(("sensor", "house_power", SITE), "House", "mdi:home", "purple", _TREND, **_HALF),
            *page.tile(SUN_POWER, "From the sun", "mdi:solar-power", "amber", _TREND, **_THIRD),
            *page.tile(CAR_POWER, "From the car", "mdi:car-electric", "teal", _TREND, **_THIRD),
            *page.tile(BATTERY_POWER, "From the battery", "mdi:home-battery", "pink", _TREND, **_THIRD),
            {"type": "power-sankey", "grid_options": {"columns": "full", "rows": 4}},
            *page.graph(0.5, powers, grid_options={"columns": "full", "rows": 4}),
        ],
        2,
    )


def _plan(page: _Page) -> Card:
    """Return what comes: the plan as a picture, which opens on a touch."""
    picture = page.id(("image", "plan", SITE))
    bare = {"type": "picture-entity", "show_name": False, "show_state": False}
    cards = [{**bare, "entity": picture, "grid_options": {"columns": "full"}}] if picture else []
    return _section(_heading("The plan", "mdi:chart-timeline"), cards, 2)


def _store(
    page: _Page,
    title: Card,
    device: str,
    charge: Key,
    state: Iterable[Card],
    told: Iterable[Card],
    color: str,
) -> Card:
    """Return the section of the car or of the battery: what it does, what it shall do, why, and how it is."""
    health = "car_state_of_health" if device == CAR else "state_of_health"
    floor, width = ("Keep for driving", {}) if device == CAR else ("Keep in reserve", _WIDE)
    return _section(
        title,
        [
            *page.gauge(charge),
            *state,
            *page.tile(("sensor", "battery_power", device), "Gives", "mdi:flash", color),
            *page.tile(("switch", "discharge_allowed", device), "May give", "mdi:home-export-outline", color),
            *page.tile(("select", "charge_mode", device), "What to do", "mdi:tune", color, _CHOICE, **_WIDE),
            *page.tile(
                ("number", "target_soc", device), "Charge to", "mdi:battery-arrow-up", "green", _SLIDER
            ),
            *page.tile(
                ("number", "floor_soc", device), floor, "mdi:battery-lock", "orange", _SLIDER, **width
            ),
            *page.tile(("sensor", "reason", device), "Why", "mdi:comment-question", "grey", **_WIDE),
            *page.tile(
                ("sensor", "limiter", device), "Held back by", "mdi:arrow-collapse-down", "grey", **_WIDE
            ),
            *page.tile(("time", "departure", device), "Leaves at", "mdi:clock-out", color, **_WIDE),
            *told,
            *page.tile(("sensor", health, device), "Battery health", "mdi:heart-pulse", color),
            *page.tile(("sensor", "equipment_check", device), "Equipment", "mdi:clipboard-check", color),
        ],
    )


def _car(page: _Page) -> Card:
    state = page.tile(("sensor", "charger_state", CAR), "Charger", "mdi:ev-station", "teal")
    told = [
        *page.tile(("sensor", "car_charge_source", CAR), "Known from", "mdi:help-network", "grey"),
        *page.tile(("sensor", "car_temperature", CAR), "Battery", "mdi:thermometer", "teal"),
    ]
    title = _heading("Leaf in the garage", "mdi:car-electric")
    return _store(page, title, CAR, CAR_CHARGE, state, told, "teal")


def _battery(page: _Page) -> Card:
    state = page.tile(("sensor", "battery_state", BATTERY), "Battery", "mdi:home-battery", "pink")
    title = _heading("xStorage battery", "mdi:home-battery")
    return _store(page, title, BATTERY, BATTERY_CHARGE, state, (), "pink")


def _rules(page: _Page) -> Card:
    return _section(
        _heading("House rules", "mdi:shield-home"),
        [
            *page.tile(("switch", "control", SITE), "Control", "mdi:robot", "green", _TOGGLE),
            *page.tile(("switch", "grid_events", SITE), "Answer calls", "mdi:handshake", "orange", _TOGGLE),
            *page.tile(
                ("button", "stop", SITE), "Stop everything", "mdi:stop-circle", "red", hide_state=True
            ),
            *page.button_when_useful("resume", "Go on", "mdi:play-circle", "green"),
            *page.tile(
                ("sensor", "import_limit", SITE), "Import limit", "mdi:transmission-tower-import", "blue"
            ),
            *page.tile(
                ("sensor", "export_limit", SITE), "Export limit", "mdi:transmission-tower-export", "blue"
            ),
            *page.tile(("binary_sensor", "grid_event", SITE), "Utility's call", "mdi:bullhorn", "orange"),
            *page.button_when_useful("opt_out", "Leave the call", "mdi:exit-run", "orange"),
            *page.tile(("sensor", "export_price", SITE), "Paid for export", "mdi:cash-plus", "blue"),
        ],
    )


def _control(page: _Page) -> Card:
    """Return the section of how well it works, and of what happens without a grid."""
    return _section(
        _heading("Control", "mdi:target"),
        [
            *page.tile(("sensor", "control_quality", SITE), "Quality", "mdi:target", "green"),
            *page.tile(("sensor", "control_error", SITE), "Deviation", "mdi:chart-bell-curve", "grey"),
            *page.tile(("sensor", "backup_state", SITE), "Backup", "mdi:home-lightning-bolt", "amber"),
            *page.tile(("sensor", "reserve_state", SITE), "Reserve", "mdi:sine-wave", "blue"),
            *page.tile_when_known(
                ("sensor", "autonomy", SITE), "Lasts without grid", "mdi:timer-sand", "amber", **_WIDE
            ),
            *page.tile(("sensor", "demand_peak", SITE), "Peak of the month", "mdi:summit", "blue", **_WIDE),
            *page.tile(("switch", "storm", SITE), "Storm mode", "mdi:weather-lightning", "purple", _TOGGLE),
            *page.tile(
                ("switch", "battery_may_charge_car", SITE),
                "Battery to car",
                "mdi:battery-arrow-down",
                "pink",
                _TOGGLE,
            ),
            *page.tile(
                ("number", "drive_away_soc", CAR),
                "Drive away with",
                "mdi:car-arrow-right",
                "teal",
                _SLIDER,
                **_WIDE,
            ),
        ],
    )


def _lately(page: _Page) -> Card:
    told = [
        (domain, key, device)
        for device in (CAR, BATTERY)
        for domain, key in (("sensor", "reason"), ("select", "charge_mode"))
    ]
    return _section(
        _heading("Lately", "mdi:history"),
        [
            *page.graph(
                1,
                ((CAR_CHARGE, "Car"), (BATTERY_CHARGE, "Battery")),
                grid_options={"columns": "full", "rows": 4},
            ),
            *page.log(1, [*told, ("binary_sensor", "plugged", CAR), ("binary_sensor", "grid_event", SITE)]),
        ],
        2,
    )


def energy_sources(catalog: Catalog) -> list[dict[str, Any]]:
    """Return what the energy page shows: grid with price, sun, and car and battery as two stores. Raises DemoError."""
    grid = {
        "type": "grid",
        "stat_energy_from": catalog.entity_id("sensor", "import_energy", GRID),
        "stat_energy_to": catalog.entity_id("sensor", "export_energy", GRID),
        "stat_cost": None,
        "entity_energy_price": catalog.entity_id("sensor", "import_price"),
        "number_energy_price": None,
        "stat_compensation": None,
        "entity_energy_price_export": catalog.entity_id("sensor", "export_price"),
        "number_energy_price_export": None,
        "power_config": {"stat_rate": catalog.entity_id("sensor", "grid_power", GRID)},
        "cost_adjustment_day": 0,
    }
    sun = {
        "type": "solar",
        "stat_energy_from": catalog.entity_id("sensor", "solar_energy", SUN),
        "stat_rate": catalog.entity_id("sensor", "solar_power", SUN),
        "config_entry_solar_forecast": None,
    }
    stores = ((BATTERY, "state_of_charge", "xStorage"), (CAR, "car_state_of_charge", "Leaf"))
    return [grid, sun, *(_energy_store(catalog, device, soc, name) for device, soc, name in stores)]


def _energy_store(catalog: Catalog, device: str, soc: str, name: str) -> dict[str, Any]:
    return {
        "type": "battery",
        "name": name,
        "stat_energy_from": catalog.entity_id("sensor", "discharged_energy", device),
        "stat_energy_to": catalog.entity_id("sensor", "charged_energy", device),
        "stat_soc": catalog.entity_id("sensor", soc, device),
        "power_config": {"stat_rate": catalog.entity_id("sensor", "battery_power", device)},
    }
