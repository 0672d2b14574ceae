"""Makes a started Home Assistant the owner's: paired with the gateway, energy page filled, dashboard laid out, control on."""

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .dashboard import URL_PATH, dashboard, energy_sources
from .entities import Catalog
from .home_assistant import DOMAIN, Login, Session
from .house import ApiAddress, House
from .processes import DemoError


def keep_login(path: Path) -> Login:
    """Return the login kept in ``path``, made with a random password at the first start."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(
            json.dumps({"username": "owner", "password": secrets.token_urlsafe(9)}), encoding="utf8"
        )
    return Login(**json.loads(path.read_text(encoding="utf8")))


async def pair(session: Session, house: House, api: ApiAddress) -> bool:
    """Walk through the integration's config flow unless it was done before; tell whether it was done now."""
    if await session.rest("GET", f"config/config_entries/entry?domain={DOMAIN}"):
        return False
    answers: Mapping[str, Callable[[], Any]] = {
        "host": lambda: api.host, "port": lambda: api.port, "code": lambda: house.pairing_code,
    }  # fmt: skip
    step = await session.rest("POST", "config/config_entries/flow", {"handler": DOMAIN})
    while step["type"] == "form":
        if step.get("errors"):
            raise DemoError(f"pairing, step {step['step_id']}: {step['errors']}")
        fields = [field["name"] for field in step["data_schema"] or []]
        form = {name: answers[name]() for name in fields if name in answers}
        step = await session.rest("POST", f"config/config_entries/flow/{step['flow_id']}", form)
    if step["type"] != "create_entry":
        raise DemoError(f"pairing ended with {step}")
    return True


async def furnish(session: Session, catalog: Catalog) -> None:
    """Save the energy preferences and the dashboard, and open the latter first; the owner's own changes to them are kept."""
    boards = await session.ask("lovelace/dashboards/list")
    if any(board["url_path"] == URL_PATH for board in boards):
        return
    await session.ask("energy/save_prefs", energy_sources=energy_sources(catalog), device_consumption=[])
    await session.ask(
        "lovelace/dashboards/create", url_path=URL_PATH, title="Nissan Energy", icon="mdi:home-lightning-bolt",
        show_in_sidebar=True, require_admin=False,
    )  # fmt: skip
    await session.ask("lovelace/config/save", url_path=URL_PATH, config=dashboard(catalog))
    await session.ask("frontend/set_system_data", key="core", value={"default_panel": URL_PATH})
    sidebar = {
        "panelOrder": [URL_PATH, "energy", "history", "logbook"],
        "hiddenPanels": ["map", "media-browser"],
    }
    await session.ask("frontend/set_user_data", key="sidebar", value=sidebar)


async def turn_control_on(session: Session, catalog: Catalog) -> None:
    """Let the gateway act, as the owner does with the switch in Home Assistant. Raises DemoError when it stays off."""
    switch = catalog.entity_id("switch", "control")
    await session.until(switch, lambda state: state in {"on", "off"}, 20)
    await session.act("switch.turn_on", switch)
    await session.until(switch, lambda state: state == "on", 10)
