"""What the simulated car knows of itself: the values behind its own bus, and what tells the generations apart."""

from dataclasses import dataclass
from enum import StrEnum

DASH_TO_LBC_SLOPE, DASH_TO_LBC_OFFSET = 0.826, 14.6
"""From the dash scale to the controller's own: fits 53 and 58.4 %, 66 and 69.2 %, 95 and 93.1 % of three recorded cars."""


class Generation(StrEnum):
    ZE0 = "ZE0"
    AZE0 = "AZE0"
    ZE1 = "ZE1"


class Session(StrEnum):
    """What the car's battery is doing at the DC inlet."""

    NONE = "none"
    STARTING = "starting"
    QUICK = "quick"
    V2X = "v2x"


@dataclass(frozen=True, slots=True)
class Breed:
    """What a model's battery says beside its values. ``group_01`` is the length by which testers know a pack."""

    generation: Generation
    new_ah: float
    group_01: int
    group_04: int
    most_gids: int
    big: bool = False
    three_sensors: bool = False


BREEDS: dict[str, Breed] = {
    "ze0-24": Breed(Generation.ZE0, 66.0, 39, 14, 281),
    "aze0-24": Breed(Generation.AZE0, 66.0, 39, 14, 281, three_sensors=True),
    "aze0-30": Breed(Generation.AZE0, 80.0, 41, 14, 363, three_sensors=True),
    "env200-40": Breed(Generation.AZE0, 115.0, 51, 35, 500),
    "ze1-40": Breed(Generation.ZE1, 115.0, 51, 29, 500),
    "ze1-62": Breed(Generation.ZE1, 176.0, 51, 29, 750, big=True),
}


@dataclass(frozen=True, slots=True)
class CarNow:
    """One moment. Current into the pack is positive; ``capacity_wh`` is what the pack holds when full, as it is now."""

    breed: Breed
    soc_pct: float
    stored_wh: float
    capacity_wh: float
    voltage_v: float
    current_a: float
    session: Session = Session.NONE
    can_discharge: bool = False
    switched_on: bool = False
    awake_s: float = 60.0
    soh_pct: float = 91.0
    hx_pct: float = 84.5
    temperature_c: float = 17.0
    outside_c: float = 11.0
    aux_v: float = 12.9
    odometer_km: int = 48_213
    quick_charges: int = 214
    ac_charges: int = 1_630

    @property
    def lbc_soc_pct(self) -> float:
        """The battery controller's own state of charge."""
        return DASH_TO_LBC_OFFSET + DASH_TO_LBC_SLOPE * self.soc_pct

    @property
    def gids(self) -> int:
        """Energy in units of 80 Wh."""
        return round(self.stored_wh / 80.0)

    @property
    def capacity_ah(self) -> float:
        """Capacity as it is now."""
        return self.breed.new_ah * self.soh_pct / 100.0

    @property
    def power_kw(self) -> float:
        """Power into the pack."""
        return self.voltage_v * self.current_a / 1000.0

    @property
    def charging(self) -> bool:
        """Whether a DC session stands."""
        return self.session in {Session.QUICK, Session.V2X}

    def cell_mv(self, cell: int) -> int:
        """Return the voltage of one of 96 cells; they differ by up to 12 mV."""
        return round(self.voltage_v * 1000.0 / 96.0) + (cell * 37 % 13) - 6
