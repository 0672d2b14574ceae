"""Home Assistant with the integration, and a gateway without a socket."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

# Imported before the plugin mounts its own custom_components in the place of ours.
import custom_components.nissan_energy  # noqa: F401
from custom_components.nissan_energy.const import CONF_FINGERPRINT, DOMAIN
from tests.nissan_energy.fake_gateway import FINGERPRINT, HOST, PORT, SERIAL, TOKEN, FakeGateway


@pytest.fixture(autouse=True)
def _custom_integrations(enable_custom_integrations: None) -> None:
    """Let Home Assistant find the integration."""


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    with (
        patch("custom_components.nissan_energy.GatewayClient", fake),
        patch("custom_components.nissan_energy.config_flow.GatewayClient", fake),
    ):
        yield fake


@pytest.fixture
def entry(hass: HomeAssistant) -> MockConfigEntry:
    data = {CONF_HOST: HOST, CONF_PORT: PORT, CONF_TOKEN: TOKEN, CONF_FINGERPRINT: FINGERPRINT}
    added = MockConfigEntry(domain=DOMAIN, title="House", unique_id=SERIAL, data=data)
    added.add_to_hass(hass)
    return added


@pytest.fixture
async def loaded(hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry) -> MockConfigEntry:
    """Return the entry, set up and following its gateway."""
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    return entry
