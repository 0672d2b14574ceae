"""Names of the integration."""

from typing import Final

from homeassistant.const import Platform

DOMAIN: Final = "nissan_energy"
CONF_FINGERPRINT: Final = "fingerprint"
CONF_PRICES: Final = "price_entity"
CONF_SOLAR: Final = "solar_entities"
CONF_CALENDAR: Final = "calendar_entity"

PLATFORMS: Final = [
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.IMAGE,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TIME,
]
