"""Pairing with a gateway: found on the network or named by the user, then the code that the gateway shows."""

from collections.abc import Mapping
from typing import Any, override

import probatio as vol
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    OptionsFlowWithReload,
)
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN
from homeassistant.core import callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import EntitySelector, EntitySelectorConfig
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from .client import (
    DEFAULT_PORT,
    AuthFailed,
    FingerprintMismatch,
    GatewayClient,
    GatewayClientError,
    GatewayInfo,
    InvalidRequest,
    InvalidResponse,
    Pairing,
    VersionTooOld,
)
from .const import CONF_CALENDAR, CONF_FINGERPRINT, CONF_PRICES, CONF_SOLAR, DOMAIN

CONF_CODE = "code"

ADDRESS_SCHEMA = vol.Schema(
    {vol.Required(CONF_HOST): cv.string, vol.Required(CONF_PORT, default=DEFAULT_PORT): cv.port}
)
CODE_SCHEMA = vol.Schema({vol.Required(CONF_CODE): cv.string})
OPTIONS_SCHEMA = vol.Schema(
    {
        vol.Optional(CONF_PRICES): EntitySelector(EntitySelectorConfig(domain=["sensor", "event"])),
        vol.Optional(CONF_SOLAR): EntitySelector(EntitySelectorConfig(domain="sensor", multiple=True)),
        vol.Optional(CONF_CALENDAR): EntitySelector(EntitySelectorConfig(domain="calendar")),
    }
)

PAIRING_ERRORS = {"wrong_code", "too_many_attempts", "pairing_closed"}


class NissanEnergyConfigFlow(ConfigFlow, domain=DOMAIN):
    """One way in: address → identity → code → token. Reauth starts at the code, reconfigure at the address."""

    VERSION = 1

    _host: str
    _port: int
    _info: GatewayInfo

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> SourcesFlow:
        """Ask what Home Assistant should tell the gateway."""
        return SourcesFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the address."""
        errors: dict[str, str] = {}
        if user_input is not None and not (errors := await self._async_contact(**user_input)):
            await self.async_set_unique_id(self._info.serial, raise_on_progress=False)
            self._abort_if_unique_id_configured(updates=user_input)
            return await self.async_step_pair()
        return self._show_address("user", user_input, errors)

    @override
    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> ConfigFlowResult:
        """Take a gateway that announced itself; a known one has moved."""
        properties = discovery_info.properties
        if not (serial := properties.get("serial")) or not (fingerprint := properties.get("fp")):
            return self.async_abort(reason="not_a_gateway")
        host, port = discovery_info.host, discovery_info.port or DEFAULT_PORT
        await self.async_set_unique_id(serial)
        self._abort_if_unique_id_configured(updates={CONF_HOST: host, CONF_PORT: port})
        if errors := await self._async_contact(host, port, fingerprint):
            return self.async_abort(reason=errors["base"])
        if self._info.serial != serial:
            return self.async_abort(reason="not_a_gateway")
        self.context["title_placeholders"] = {"name": self._info.name}
        return await self.async_step_pair()

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Pair again with a gateway that no longer accepts the token."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Say what happened, then find the gateway where it was, with the identity that it had."""
        errors: dict[str, str] = {}
        entry = self._get_reauth_entry()
        if user_input is not None:
            errors = await self._async_contact(
                entry.data[CONF_HOST], entry.data[CONF_PORT], fingerprint=entry.data[CONF_FINGERPRINT]
            )
            if not errors:
                return await self.async_step_pair()
        return self.async_show_form(
            step_id="reauth_confirm", description_placeholders={"name": entry.title}, errors=errors
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Move to another address of the same gateway; pair again when its identity is new or the token is refused."""
        errors: dict[str, str] = {}
        entry = self._get_reconfigure_entry()
        if user_input is not None and not (errors := await self._async_contact(**user_input)):
            await self.async_set_unique_id(self._info.serial)
            self._abort_if_unique_id_mismatch(reason="another_gateway")
            try:
                known = self._info.fingerprint == entry.data[CONF_FINGERPRINT]
                if known:
                    await self._client(entry.data[CONF_TOKEN]).state()
            except AuthFailed:
                known = False
            except GatewayClientError as err:
                errors = _explain(err)
            if known and not errors:
                return self.async_update_reload_and_abort(entry, data_updates=user_input)
            if not errors:
                return await self.async_step_pair()
        return self._show_address("reconfigure", user_input or dict(entry.data), errors)

    async def async_step_pair(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the code that the gateway shows."""
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                pairing = await self._client().pair(
                    user_input[CONF_CODE].strip(), f"Home Assistant ({self.hass.config.location_name})"[:64]
                )
            except GatewayClientError as err:
                errors = _explain(err)
            else:
                return self._finish(pairing)
        return self.async_show_form(
            step_id="pair",
            data_schema=CODE_SCHEMA,
            description_placeholders={
                "name": self._info.name,
                "fingerprint": _readable(self._info.fingerprint),
            },
            errors=errors,
        )

    def _finish(self, pairing: Pairing) -> ConfigFlowResult:
        data = {
            CONF_HOST: self._host,
            CONF_PORT: self._port,
            CONF_TOKEN: pairing.token,
            CONF_FINGERPRINT: self._info.fingerprint,
        }
        if self.source == SOURCE_REAUTH:
            return self.async_update_reload_and_abort(self._get_reauth_entry(), data_updates=data)
        if self.source == SOURCE_RECONFIGURE:
            return self.async_update_reload_and_abort(self._get_reconfigure_entry(), data_updates=data)
        return self.async_create_entry(title=self._info.name, data=data)

    async def _async_contact(self, host: str, port: int, fingerprint: str | None = None) -> dict[str, str]:
        """Learn who answers there, over a connection that shows the ``fingerprint``, or else the one that it claims."""
        session = async_get_clientsession(self.hass)
        client = GatewayClient(session, host, port, fingerprint=fingerprint)
        try:
            info = await client.info()
            if fingerprint is None:
                info = await client.pinned(info.fingerprint).info()
        except GatewayClientError as err:
            return _explain(err)
        self._host, self._port, self._info = host, port, info
        return {}

    def _client(self, token: str | None = None) -> GatewayClient:
        session = async_get_clientsession(self.hass)
        return GatewayClient(session, self._host, self._port, token, self._info.fingerprint)

    def _show_address(
        self, step: str, suggested: Mapping[str, Any] | None, errors: dict[str, str]
    ) -> ConfigFlowResult:
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(ADDRESS_SCHEMA, suggested),
            errors=errors,
        )


class SourcesFlow(OptionsFlowWithReload):
    """Which entities know the prices, the sun and the journeys of the coming days."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the entities; a field left empty is none."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        schema = self.add_suggested_values_to_schema(OPTIONS_SCHEMA, self.config_entry.options)
        return self.async_show_form(step_id="init", data_schema=schema)


def _explain(error: GatewayClientError) -> dict[str, str]:
    """Return the form error that tells ``error``."""
    match error:
        case InvalidRequest(code=code) if code in PAIRING_ERRORS:
            return {"base": code}
        case InvalidRequest():
            return {"base": "refused"}
        case FingerprintMismatch():
            return {"base": "fingerprint_mismatch"}
        case VersionTooOld(older=older):
            return {"base": f"{older}_too_old"}
        case InvalidResponse():
            return {"base": "not_a_gateway"}
    return {"base": "cannot_connect"}


def _readable(fingerprint: str) -> str:
    """Return the first eight bytes in pairs, as people compare them."""
    return ":".join(fingerprint[i : i + 2].upper() for i in range(0, 16, 2))
