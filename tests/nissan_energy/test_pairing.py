"""The config flow: every way in, and every error on the way recovers."""

from ipaddress import ip_address
from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_USER, SOURCE_ZEROCONF, ConfigFlowResult
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.client import (
    AuthFailed,
    CannotConnect,
    FingerprintMismatch,
    InvalidRequest,
    InvalidResponse,
    VersionTooOld,
)
from custom_components.nissan_energy.const import CONF_FINGERPRINT, DOMAIN
from tests.nissan_energy.fake_gateway import FINGERPRINT, HOST, PORT, SERIAL, TOKEN, FakeGateway

ADDRESS = {CONF_HOST: HOST, CONF_PORT: PORT}
CODE = {"code": "123456"}
CONTACT_ERRORS = [
    (CannotConnect("no"), "cannot_connect"),
    (InvalidResponse("html"), "not_a_gateway"),
    (FingerprintMismatch("x"), "fingerprint_mismatch"),
    (VersionTooOld("gateway"), "gateway_too_old"),
    (VersionTooOld("integration"), "integration_too_old"),
    (InvalidRequest("too_many_requests", "slow down"), "refused"),
]


def announcement(**change: Any) -> ZeroconfServiceInfo:
    told = {"serial": SERIAL, "name": "House", "api": "1", "fp": FINGERPRINT} | change
    return ZeroconfServiceInfo(
        ip_address=ip_address("192.0.2.7"),
        ip_addresses=[ip_address("192.0.2.7")],
        port=PORT,
        hostname="gateway.local.",
        type="_nissan-energy._tcp.local.",
        name="House._nissan-energy._tcp.local.",
        properties={k: v for k, v in told.items() if v is not None},
    )


async def start(hass: HomeAssistant, source: str = SOURCE_USER, data: Any = None) -> ConfigFlowResult:
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": source}, data=data)


async def answer(hass: HomeAssistant, result: ConfigFlowResult, form: dict[str, Any]) -> ConfigFlowResult:
    return await hass.config_entries.flow.async_configure(result["flow_id"], form)


async def test_a_user_names_the_gateway_and_types_its_code(hass: HomeAssistant, gateway: FakeGateway) -> None:
    result = await answer(hass, await start(hass), ADDRESS)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "pair")
    assert result["description_placeholders"] == {"name": "House", "fingerprint": "AB:AB:AB:AB:AB:AB:AB:AB"}
    result = await answer(hass, result, CODE)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "House"
    assert result["data"] == {**ADDRESS, CONF_TOKEN: TOKEN, CONF_FINGERPRINT: FINGERPRINT}
    assert result["result"].unique_id == SERIAL
    assert ("pair", "123456", "Home Assistant (test home)") in gateway.calls
    assert (HOST, PORT, None, FINGERPRINT) in gateway.opened


@pytest.mark.parametrize(("error", "text"), CONTACT_ERRORS)
async def test_an_address_that_fails_is_asked_for_again(
    hass: HomeAssistant, gateway: FakeGateway, error: Exception, text: str
) -> None:
    gateway.broken = error
    result = await answer(hass, await start(hass), ADDRESS)
    assert (result["step_id"], result["errors"]) == ("user", {"base": text})
    gateway.broken = None
    result = await answer(hass, await answer(hass, result, ADDRESS), CODE)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("code", ["wrong_code", "too_many_attempts", "pairing_closed"])
async def test_a_code_that_fails_is_asked_for_again(
    hass: HomeAssistant, gateway: FakeGateway, code: str
) -> None:
    result = await answer(hass, await start(hass), ADDRESS)
    gateway.broken = InvalidRequest(code, "no")
    result = await answer(hass, result, CODE)
    assert (result["step_id"], result["errors"]) == ("pair", {"base": code})
    gateway.broken = None
    result = await answer(hass, result, CODE)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_a_known_gateway_is_not_added_twice(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    result = await answer(hass, await start(hass), {CONF_HOST: "elsewhere", CONF_PORT: 1234})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert entry.data[CONF_HOST] == "elsewhere"


async def test_a_gateway_that_announces_itself_is_paired_over_the_certificate_it_announced(
    hass: HomeAssistant, gateway: FakeGateway
) -> None:
    result = await start(hass, SOURCE_ZEROCONF, announcement())
    assert result["step_id"] == "pair"
    assert gateway.opened[0] == ("192.0.2.7", PORT, None, FINGERPRINT)
    result = await answer(hass, result, CODE)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"][CONF_HOST] == "192.0.2.7"


async def test_an_announcement_at_a_new_address_moves_the_known_gateway_and_keeps_its_pin(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    result = await start(hass, SOURCE_ZEROCONF, announcement(fp="cd" * 32))
    assert result["reason"] == "already_configured"
    assert entry.data[CONF_HOST] == "192.0.2.7"
    assert entry.data[CONF_FINGERPRINT] == FINGERPRINT


@pytest.mark.parametrize("missing", ["serial", "fp"])
async def test_an_announcement_without_identity_is_ignored(
    hass: HomeAssistant, gateway: FakeGateway, missing: str
) -> None:
    result = await start(hass, SOURCE_ZEROCONF, announcement(**{missing: None}))
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "not_a_gateway")


async def test_an_announcement_in_anothers_name_is_ignored(hass: HomeAssistant, gateway: FakeGateway) -> None:
    result = await start(hass, SOURCE_ZEROCONF, announcement(serial="NE-9999"))
    assert result["reason"] == "not_a_gateway"


@pytest.mark.parametrize(("error", "reason"), CONTACT_ERRORS)
async def test_an_announced_gateway_that_fails_is_let_go(
    hass: HomeAssistant, gateway: FakeGateway, error: Exception, reason: str
) -> None:
    gateway.broken = error
    result = await start(hass, SOURCE_ZEROCONF, announcement())
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, reason)


async def test_reauth_pairs_again_with_the_same_identity(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_TOKEN: "old"})
    result = await entry.start_reauth_flow(hass)
    assert result["step_id"] == "reauth_confirm"
    gateway.broken = CannotConnect("no")
    result = await answer(hass, result, {})
    assert (result["step_id"], result["errors"]) == ("reauth_confirm", {"base": "cannot_connect"})
    gateway.broken = None
    result = await answer(hass, await answer(hass, result, {}), CODE)
    await hass.async_block_till_done()
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    assert entry.data[CONF_TOKEN] == TOKEN
    assert (HOST, PORT, None, FINGERPRINT) in gateway.opened


async def test_reconfigure_moves_to_another_address_without_pairing(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    result = await entry.start_reconfigure_flow(hass)
    assert result["step_id"] == "reconfigure"
    result = await answer(hass, result, {CONF_HOST: "elsewhere", CONF_PORT: PORT})
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert (entry.data[CONF_HOST], entry.data[CONF_TOKEN]) == ("elsewhere", TOKEN)


@pytest.mark.parametrize(("error", "text"), CONTACT_ERRORS)
async def test_reconfigure_asks_again_for_an_address_that_fails(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry, error: Exception, text: str
) -> None:
    gateway.broken = error
    result = await answer(hass, await entry.start_reconfigure_flow(hass), ADDRESS)
    assert (result["step_id"], result["errors"]) == ("reconfigure", {"base": text})
    gateway.broken = None
    result = await answer(hass, result, ADDRESS)
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"


async def test_reconfigure_refuses_another_gateway(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    gateway.serial = "NE-9999"
    result = await answer(hass, await entry.start_reconfigure_flow(hass), ADDRESS)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "another_gateway")


@pytest.mark.parametrize("cause", ["new certificate", "refused token"])
async def test_reconfigure_pairs_again_when_the_gateway_was_set_up_anew(
    hass: HomeAssistant,
    gateway: FakeGateway,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    cause: str,
) -> None:
    async def refused() -> None:
        raise AuthFailed("no")

    if cause == "new certificate":
        gateway.fingerprint = "cd" * 32
    else:
        monkeypatch.setattr(gateway, "state", refused)
    result = await answer(hass, await entry.start_reconfigure_flow(hass), ADDRESS)
    assert result["step_id"] == "pair"
    monkeypatch.undo()
    result = await answer(hass, result, CODE)
    await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert entry.data[CONF_FINGERPRINT] == gateway.fingerprint


async def test_reconfigure_asks_again_when_the_token_cannot_be_tried(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> None:
        raise CannotConnect("gone")

    monkeypatch.setattr(gateway, "state", gone)
    result = await answer(hass, await entry.start_reconfigure_flow(hass), ADDRESS)
    assert (result["step_id"], result["errors"]) == ("reconfigure", {"base": "cannot_connect"})
