"""The cars that the house can have, by generation, each as one frozen profile (reference/can.md 3.2, 3.4, 3.6 and 4).

Recorded: the AZE0 24 and 30 kWh (logs A, J) and the ZE1 40 kWh (logs B, C). The ZE1 62 kWh differs by its 110 and its
pack. Nothing of CHAdeMO was recorded of the ZE0 and the 40 kWh e-NV200: the former speaks 0.9, the latter as an AZE0
whose levels do not fit into their byte and stay unsaid.
"""

from dataclasses import dataclass

_TALK_OF_AZE0 = (0x100, 0x101, 0x102, 0x200)
_TALK_OF_ZE1 = (0x100, 0x101, 0x102, 0x200, 0x110, 0x201, 0x700, 0x202)


@dataclass(frozen=True, slots=True)
class LeafModel:
    """``burst`` is what the car sends, in order; ``functions`` is 110.0; capacity is what 101.5-6 tells.

    ``window_pct`` bounds a session in which the charger can discharge. ``reports_contactor``: 102.5.3 is used at all.
    ``voltage_scale`` fits the open-circuit curve to a recorded voltage of that car.
    """

    name: str
    capacity_wh: float
    resistance_ohm: float
    voltage_scale: float = 1.0
    burst: tuple[int, ...] = _TALK_OF_AZE0
    protocol: int = 2
    min_charge_a: int = 0
    charge_time_min: int = 60
    permits_after_s: float = 3.92
    discharges: bool = True
    window_pct: tuple[float, float] = (30.0, 80.0)
    tells_levels: bool = True
    reports_contactor: bool = True
    wakes_with_a_lie: bool = False
    claims_full_until_s: float = 0.0
    old_dynamic_bit: bool = True
    functions: int = 0
    v2h_sequence: int = 0
    unknown_capacity: int = 0xF0

    @property
    def dynamic(self) -> bool:
        """The car follows an available current that changes while it is charged."""
        return self.old_dynamic_bit or bool(self.functions & 1)

    @property
    def levels_in_pct(self) -> bool:
        """200.6-7 are on the scale of the charge where the car sends 201, else 0.1 kWh."""
        return 0x201 in self.burst


def _ze1(name: str, capacity_wh: float, resistance_ohm: float, scale: float, functions: int) -> LeafModel:
    return LeafModel(
        name,
        capacity_wh,
        resistance_ohm,
        scale,
        burst=_TALK_OF_ZE1,
        min_charge_a=6,
        charge_time_min=80,
        permits_after_s=3.42,
        window_pct=(10.0, 100.0),
        wakes_with_a_lie=True,
        old_dynamic_bit=False,
        functions=functions,
        v2h_sequence=2,
        unknown_capacity=0x1F4,
    )


ZE1_40 = _ze1("ze1-40", 35_400.0, 0.09, 1.0, functions=0b01)

_ALL = (
    LeafModel(
        "ze0-24",
        22_200.0,
        0.12,
        burst=_TALK_OF_AZE0[:3],
        protocol=1,
        discharges=False,
        window_pct=(0.0, 100.0),
        reports_contactor=False,
        old_dynamic_bit=False,
    ),
    LeafModel("aze0-24", 22_200.0, 0.11, 0.986),
    LeafModel("aze0-30", 17_800.0, 0.10, 0.986, permits_after_s=3.93, claims_full_until_s=3.2),
    LeafModel("env200-40", 35_400.0, 0.09, 0.982, window_pct=(10.0, 100.0), tells_levels=False),
    ZE1_40,
    _ze1("ze1-62", 55_000.0, 0.06, 0.997, functions=0b11),
)

MODELS: dict[str, LeafModel] = {model.name: model for model in _ALL}
