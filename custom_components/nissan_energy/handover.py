"""What Home Assistant knows of the coming days, handed to the gateway: prices, sun and journeys, from entities of the owner's choice.

A source that fails is logged once, and the gateway goes on with what it was told before.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from homeassistant.const import ATTR_ENTITY_ID, Platform
from homeassistant.core import CALLBACK_TYPE, Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.event import async_track_state_change_event, async_track_time_interval
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util

from .client import GatewayClientError
from .const import CONF_CALENDAR, CONF_PRICES, CONF_SOLAR
from .coordinator import LOGGER as FEED_LOGGER
from .coordinator import NissanEnergyConfigEntry
from .entity import is_evse
from .journeys import journeys
from .solar import joined, solar_slots

LOGGER = logging.getLogger(__name__)

EVERY = timedelta(minutes=30)
AHEAD = timedelta(days=3)
SETTLE_S = 5.0
PRICE_ACTIONS = {"nordpool": "get_prices_for_date", "tibber": "get_prices"}
"""Integrations whose entities list no prices, and the actions that do."""
PER_MWH = {"nordpool"}
TODAY, TOMORROW = "_current_day_rates", "_next_day_rates"
"""Octopus Energy tells each day in an entity of its own."""


class Handover:
    """Follows the chosen entities of one entry for as long as it is loaded."""

    def __init__(self, hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> None:
        """Take the options of ``entry``; nothing is sent yet."""
        self._hass = hass
        self._entry = entry
        self._lost: set[str] = set()
        self._debounced = Debouncer[Any](
            hass, FEED_LOGGER, cooldown=SETTLE_S, immediate=False, function=self.async_hand_over
        )

    @callback
    def async_start(self) -> CALLBACK_TYPE:
        """Hand over now, whenever a chosen entity changes, and each half hour; return what ends that."""
        options = self._entry.options
        chosen = [*_listed(options.get(CONF_PRICES)), *_listed(options.get(CONF_SOLAR))]
        chosen += _listed(options.get(CONF_CALENDAR))
        if not chosen:
            return lambda: None

        @callback
        def changed(_event: Event[EventStateChangedData] | datetime) -> None:
            self._debounced.async_schedule_call()

        stops = [
            async_track_state_change_event(self._hass, chosen, changed),
            async_track_time_interval(self._hass, changed, EVERY),
            self._debounced.async_shutdown,
        ]
        self._debounced.async_schedule_call()

        @callback
        def stop() -> None:
            for one in stops:
                one()

        return stop

    async def async_hand_over(self) -> None:
        """Read every chosen source and tell the gateway what it says."""
        options = self._entry.options
        for kind, read, chosen in (
            ("prices", self._async_prices, _listed(options.get(CONF_PRICES))),
            ("solar", self._async_solar, _listed(options.get(CONF_SOLAR))),
            ("trips", self._async_trips, _listed(options.get(CONF_CALENDAR))),
        ):
            if not chosen:
                continue
            try:
                body = await read(chosen)
                if body is not None:
                    await self._entry.runtime_data.client.put_forecast(kind, body)
            except (HomeAssistantError, GatewayClientError, ValueError, KeyError, TypeError) as err:
                if kind not in self._lost:
                    LOGGER.warning("%s of %s could not be handed over: %s", kind, ", ".join(chosen), err)
                self._lost.add(kind)
            else:
                if kind in self._lost:
                    LOGGER.info("%s of %s are handed over again", kind, ", ".join(chosen))
                self._lost.discard(kind)

    async def _async_prices(self, chosen: Sequence[str]) -> Mapping[str, Any] | None:
        """Return the lists of the entity, else what its integration's own action tells."""
        entity, known = chosen[0], er.async_get(self._hass).async_get(chosen[0])
        entities = (entity, entity.removesuffix(TODAY) + TOMORROW) if entity.endswith(TODAY) else (entity,)
        states = [state for each in entities if (state := self._hass.states.get(each)) is not None]
        if lists := [found for state in states if (found := _lists(state))]:
            return {"lists": lists[0] if len(lists) == 1 else lists}
        if known is not None and known.platform in PRICE_ACTIONS and known.config_entry_id:
            return {"lists": await self._async_asked(known, known.config_entry_id)}
        return None

    async def _async_asked(self, known: er.RegistryEntry, entry_id: str) -> Any:
        """Return what the integration's own action tells of today and tomorrow."""
        answers: list[Any] = []
        today, platform = dt_util.now().date(), known.platform
        for day in (today, today + timedelta(days=1)):
            data: dict[str, Any] = {"config_entry": entry_id, "date": day.isoformat()}
            if platform == "tibber":
                midnight = dt_util.start_of_local_day(day)
                data = {"start": midnight.isoformat(), "end": (midnight + timedelta(days=1)).isoformat()}
            try:
                answer = await self._hass.services.async_call(
                    platform, PRICE_ACTIONS[platform], data, blocking=True, return_response=True
                )
            except HomeAssistantError:
                if day == today:
                    raise  # tomorrow's are published in the afternoon
            else:
                answers.append(self._of_entity(answer, known))
        unit = "MWh" if platform in PER_MWH else "kWh"
        return _plain({"unit_of_measurement": f"{self._hass.config.currency}/{unit}", "prices": answers})

    def _of_entity(self, answer: Any, known: er.RegistryEntry) -> Any:
        """Return, of an answer for several areas or homes, the part of the chosen entity. Raises ValueError where none is."""
        told = answer.get("prices", answer)
        if len(told) < 2:
            return told
        device = dr.async_get(self._hass).async_get(known.device_id) if known.device_id else None
        names = {*known.unique_id.split("-"), device.name if device else None}
        mine = [prices for name, prices in told.items() if name in names]
        if not mine:
            raise ValueError(f"which of {', '.join(told)} is meant is not known")
        return mine[0]

    async def _async_solar(self, chosen: Sequence[str]) -> Mapping[str, Any] | None:
        roofs = [slots for entity in chosen if (slots := await self._async_roof(entity))]
        return {"slots": joined(roofs)} if len(roofs) == len(chosen) else None

    async def _async_roof(self, entity: str) -> list[dict[str, Any]]:
        """Return the forecast of one roof: of the entity's attributes, else what its integration tells the energy dashboard."""
        state, known = self._hass.states.get(entity), er.async_get(self._hass).async_get(entity)
        if state is not None and (slots := solar_slots(state.attributes)):
            return slots
        if known is None or not known.config_entry_id:
            return []
        integration = await async_get_integration(self._hass, known.platform)
        try:
            platform = await integration.async_get_platform("energy")
        except ImportError:
            return []
        told = await platform.async_get_solar_forecast(self._hass, known.config_entry_id)
        return solar_slots(told or {})

    async def _async_trips(self, chosen: Sequence[str]) -> Mapping[str, Any] | None:
        now = dt_util.utcnow()
        answer = await self._hass.services.async_call(
            Platform.CALENDAR,
            "get_events",
            {
                ATTR_ENTITY_ID: list(chosen),
                "start_date_time": now.isoformat(),
                "end_date_time": (now + AHEAD).isoformat(),
            },
            blocking=True,
            return_response=True,
        )
        chargers = {
            device: view.info.name
            for device, view in self._entry.runtime_data.live.data.devices.items()
            if is_evse(view)
        }
        events = [event for told in _values(answer) for event in told.get("events", ())]
        return {"trips": journeys(events, chargers)}


def _values(answer: Any) -> list[Mapping[str, Any]]:
    return [v for v in answer.values() if isinstance(v, Mapping)] if isinstance(answer, Mapping) else []


def _listed(chosen: str | Sequence[str] | None) -> list[str]:
    return [chosen] if isinstance(chosen, str) else list(chosen or ())


def _lists(state: State) -> dict[str, Any]:
    """Return the attributes that list prices, and the unit; where raw lists are told, not the integration's guess of later days."""
    found = {k: _plain(v) for k, v in state.attributes.items() if _is_list(v)}
    found = {k: v for k, v in found.items() if k.startswith("raw_")} or found
    unit = state.attributes.get("unit_of_measurement") or state.attributes.get("unit")
    return found | ({"unit_of_measurement": unit} if unit and found else {})


def _is_list(value: Any) -> bool:
    """Tell whether there is an entry in it, however deep."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(isinstance(each, Mapping) or _is_list(each) for each in inner)


def _plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, datetime | date) else value
