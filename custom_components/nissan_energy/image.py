"""The plan as a picture."""

from datetime import datetime
from typing import Final, override

from homeassistant.components.image import ImageEntity, ImageEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers import translation
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .coordinator import GatewayFeed, NissanEnergyConfigEntry
from .entity import SiteEntity, is_evse
from .plan_picture import Words, draw

PARALLEL_UPDATES = 0

PLAN: Final = ImageEntityDescription(key="plan")


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the picture."""
    async_add_entities([PlanPicture(hass, entry.runtime_data)])


class PlanPicture(SiteEntity, ImageEntity):
    """What is intended until the end of the plan; its state is when that was decided."""

    _attr_content_type = "image/svg+xml"

    def __init__(self, hass: HomeAssistant, feed: GatewayFeed) -> None:
        """Follow the plan."""
        SiteEntity.__init__(self, feed, PLAN)
        ImageEntity.__init__(self, hass)

    @property
    @override
    def image_last_updated(self) -> datetime | None:
        plan = self.site.plan
        return plan.made_at if plan and plan.slots else None

    @override
    async def async_image(self) -> bytes | None:
        plan = self.site.plan
        if plan is None or not plan.slots:
            return None
        devices = self.feed.live.data.devices
        cars = frozenset(device for device, view in devices.items() if is_evse(view))
        zone = dt_util.get_default_time_zone()
        return draw(plan, self.site.prices, cars, await self._words(), zone).encode()

    async def _words(self) -> Words:
        language = self.hass.config.language
        texts = await translation.async_get_translations(self.hass, language, "entity", [DOMAIN])

        def name(sensor: str) -> str:
            return texts[f"component.{DOMAIN}.entity.sensor.{sensor}.name"]

        devices = {device: view.info.name for device, view in self.feed.live.data.devices.items()}
        unit = f"{self.hass.config.currency}/kWh"
        return Words(name("import_price"), unit, name("planned_grid_power"), devices)
