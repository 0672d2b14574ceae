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
    sections = [_now(page), _car(page), _battery(page), _rules(page), _today(page)]
    return {"views": [{
        "title": "Energy now", "path": "now", "icon": "mdi:home-lightning-bolt", "type": "sections", "max_columns": 3,
        "badges": _badges(page), "sections": [s for s in sections if s["cards"]],
    }]}  # fmt: skip


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

    def gauge(self, key: Key, name: str) -> Iterable[Card]:
        if entity_id := self.id(key):
            yield {
                "type": "gauge", "entity": entity_id, "name": name, "min": 0, "max": 100, "needle": False,
                "severity": {"red": 0, "yellow": 20, "green": 40}, "grid_options": {"columns": 6, "rows": 4},
            }  # fmt: skip

    def graph(self, title: str, hours: float, series: Iterable[tuple[Key, str]]) -> Iterable[Card]:
        rows = [{"entity": entity_id, "name": name} for key, name in series if (entity_id := self.id(key))]
        if rows:
            yield {
                "type": "history-graph", "title": title, "hours_to_show": hours, "entities": rows,
                "grid_options": {"columns": "full"},
            }  # fmt: skip


def _heading(text: str, icon: str) -> Card:
    return {"type": "heading", "heading": text, "icon": icon}


def _section(heading: Card, cards: Iterable[Card], columns: int = 1) -> Card:
    listed = list(cards)
    return {"type": "grid", "column_span": columns, "cards": [heading, *listed] if listed else []}


_TREND = {"type": "trend-graph", "hours_to_show": 1}
_WIDE = {"grid_options": {"columns": 12}}


def _badges(page: _Page) -> list[Card]:
    wanted: tuple[tuple[Key, str, str], ...] = (
        (("switch", "control", SITE), "mdi:robot", "green"),
        (("binary_sensor", "grid_event", SITE), "mdi:transmission-tower-export", "orange"),
        (("sensor", "import_price", SITE), "mdi:cash", "blue"),
        (("binary_sensor", "plugged", CAR), "mdi:ev-plug-chademo", "green"),
    )
    return [
        {"type": "entity", "entity": entity_id, "icon": icon, "color": color, "show_name": True}
        for key, icon, color in wanted
        if (entity_id := page.id(key))
    ]


def _now(page: _Page) -> Card:
    return _section(
        _heading("Power now", "mdi:flash"),
        [
            {"type": "power-sankey", "grid_options": {"columns": "full", "rows": 6}},
            *page.tile(("sensor", "grid_power", GRID), "Grid", "mdi:transmission-tower", "blue", _TREND),
            *page.tile(("sensor", "house_power", SITE), "House", "mdi:home", "purple", _TREND),
            *page.tile(("sensor", "solar_power", SUN), "Sun", "mdi:solar-power", "amber", _TREND),
            *page.tile(("sensor", "battery_power", CAR), "Car gives", "mdi:car-electric", "teal", _TREND),
            *page.tile(
                ("sensor", "battery_power", BATTERY), "Battery gives", "mdi:home-battery", "pink", _TREND
            ),
        ],
        2,
    )


def _car(page: _Page) -> Card:
    return _section(
        _heading("Leaf in the garage", "mdi:car-electric"),
        [
            *page.gauge(("sensor", "car_state_of_charge", CAR), "Charge"),
            *page.tile(("sensor", "charger_state", CAR), "Charger", "mdi:ev-station", "teal"),
            *page.tile(("sensor", "battery_power", CAR), "Gives to the house", "mdi:flash", "teal"),
            *page.tile(
                ("select", "charge_mode", CAR),
                "What to do",
                "mdi:tune",
                "teal",
                {"type": "select-options"},
                **_WIDE,
            ),
            *page.tile(("number", "target_soc", CAR), "Charge to", "mdi:battery-arrow-up", "green", _SLIDER),
            *page.tile(
                ("number", "floor_soc", CAR), "Keep for driving", "mdi:battery-lock", "orange", _SLIDER
            ),
            *page.tile(("sensor", "reason", CAR), "Why", "mdi:comment-question", "grey", **_WIDE),
            *page.tile(
                ("sensor", "limiter", CAR), "Held back by", "mdi:arrow-collapse-down", "grey", **_WIDE
            ),
        ],
    )


def _battery(page: _Page) -> Card:
    return _section(
        _heading("xStorage battery", "mdi:home-battery"),
        [
            *page.gauge(("sensor", "state_of_charge", BATTERY), "Charge"),
            *page.tile(("sensor", "battery_state", BATTERY), "Battery", "mdi:home-battery", "pink"),
            *page.tile(("sensor", "battery_power", BATTERY), "Gives to the house", "mdi:flash", "pink"),
            *page.tile(
                ("select", "charge_mode", BATTERY),
                "What to do",
                "mdi:tune",
                "pink",
                {"type": "select-options"},
                **_WIDE,
            ),
            *page.tile(
                ("number", "floor_soc", BATTERY),
                "Keep in reserve",
                "mdi:battery-lock",
                "orange",
                _SLIDER,
                **_WIDE,
            ),
            *page.tile(("sensor", "reason", BATTERY), "Why", "mdi:comment-question", "grey", **_WIDE),
            *page.tile(
                ("sensor", "limiter", BATTERY), "Held back by", "mdi:arrow-collapse-down", "grey", **_WIDE
            ),
        ],
    )


_SLIDER = {"type": "numeric-input", "style": "slider"}


def _rules(page: _Page) -> Card:
    return _section(
        _heading("House rules", "mdi:shield-home"),
        [
            *page.tile(("switch", "control", SITE), "Control", "mdi:robot", "green", {"type": "toggle"}),
            *page.tile(("button", "stop", SITE), "Stop everything", "mdi:stop-circle", "red"),
            *page.tile(("binary_sensor", "grid_event", SITE), "Utility's call", "mdi:bullhorn", "orange"),
            *page.tile(
                ("switch", "grid_events", SITE), "Answer calls", "mdi:handshake", "orange", {"type": "toggle"}
            ),
            *page.tile(
                ("sensor", "import_limit", SITE), "Import limit", "mdi:transmission-tower-import", "blue"
            ),
            *page.tile(
                ("sensor", "export_limit", SITE), "Export limit", "mdi:transmission-tower-export", "blue"
            ),
            *page.tile(("sensor", "import_price", SITE), "Price now", "mdi:cash", "blue"),
            *page.tile(
                ("sensor", "cheapest_start", SITE), "Cheapest hour", "mdi:clock-star-four-points", "blue"
            ),
        ],
    )


def _today(page: _Page) -> Card:
    return _section(
        _heading("Last hour", "mdi:chart-line"),
        [
            *page.graph("Power", 1, [
                (("sensor", "grid_power", GRID), "Grid"), (("sensor", "solar_power", SUN), "Sun"),
                (("sensor", "battery_power", CAR), "Car"), (("sensor", "battery_power", BATTERY), "Battery"),
            ]),
            *page.graph("State of charge", 1, [
                (("sensor", "car_state_of_charge", CAR), "Car"), (("sensor", "state_of_charge", BATTERY), "Battery"),
            ]),
        ],
        2,
    )  # fmt: skip


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
    return [grid, sun, *(_store(catalog, device, soc, name) for device, soc, name in stores)]


def _store(catalog: Catalog, device: str, soc: str, name: str) -> dict[str, Any]:
    return {
        "type": "battery",
        "name": name,
        "stat_energy_from": catalog.entity_id("sensor", "discharged_energy", device),
        "stat_energy_to": catalog.entity_id("sensor", "charged_energy", device),
        "stat_soc": catalog.entity_id("sensor", soc, device),
        "power_config": {"stat_rate": catalog.entity_id("sensor", "battery_power", device)},
    }
