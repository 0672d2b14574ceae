"""The charger's table in site.toml, and its fail-safe card."""

from dataclasses import dataclass

from gateway.config import within
from gateway.devices.chademo.converter import PROFILES
from gateway.faults import ConfigError
from gateway.model import FailSafeCard

CONVERTER_LEASE_S = 2
"""Our death at full power must be 0 A before the car opens its contactor, 3.6 s later at the latest."""
PILOT_WATCHDOG_S = 5
RAMP_DOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class ModbusAddress:
    """Where a Modbus TCP device answers."""

    host: str
    port: int = 502
    unit: int = 1

    def check(self, where: str) -> None:
        """Refuse what no Modbus device can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")


@dataclass(frozen=True, slots=True)
class ConverterTable:
    """Where the DC converter answers, and in which registers."""

    host: str
    port: int = 502
    unit: int = 1
    profile: str = "ne_dc_v1"

    def check(self, where: str) -> None:
        """Refuse an unknown profile."""
        ModbusAddress(self.host, self.port, self.unit).check(where)
        if self.profile not in PROFILES:
            raise ConfigError(
                f"{where}.profile: {self.profile!r} is unknown; write one of: {', '.join(PROFILES)}"
            )


@dataclass(frozen=True, slots=True)
class Options:
    """A CHAdeMO charger. Limits narrow what the converter's nameplate says; ``max_discharge_a = 0`` makes it charge only.

    ``report_current_workaround``: tell the car 1 A of charge once a minute while discharging (reference/can.md 3.10).
    ``answer_functions``: answer a car's 110 with our 118, which no recorded charger does (reference/can.md 3.3).
    """

    name: str
    can_interface: str
    can_channel: str
    converter: ConverterTable
    pilot: ModbusAddress
    phases: tuple[int, ...] = (1,)
    max_charge_a: float | None = None
    max_discharge_a: float | None = None
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    report_current_workaround: bool = False
    answer_functions: bool = False

    def check(self, where: str) -> None:
        """Refuse what no charger can have."""
        for key in ("max_charge_a", "max_discharge_a"):
            if (amperes := getattr(self, key)) is not None:
                within(amperes, 0, 255, f"{where}.{key}")
        for key in ("max_charge_w", "max_discharge_w"):
            if (watts := getattr(self, key)) is not None:
                within(watts, 0, 150_000, f"{where}.{key}")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [1]"
            )


CARD = FailSafeCard(
    lease_s=float(CONVERTER_LEASE_S),
    on_silence=(
        f"the converter goes to 0 A {CONVERTER_LEASE_S} s after the last write; the car leaves after about 1.1 s "
        f"without CAN frames; the pilot module drops d1, d2 and the lock after {PILOT_WATCHDOG_S} s"
    ),
    on_tcp_close="the same as silence; the gateway itself ends the session when one of the two connections is lost for 1 s",
    on_our_death="the same as silence; a restarted gateway ends what is left before it writes anything else",
    on_device_reboot="converter and pilot module start switched off; the gateway ends the session and starts a new one",
    discharging_at_most_s=CONVERTER_LEASE_S + RAMP_DOWN_S,
    proven_by="tests/gateway/scenarios/test_death_in_every_state.py",
)
