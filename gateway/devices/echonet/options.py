"""The unit's table in site.toml, and its fail-safe cards."""

import ipaddress
from dataclasses import dataclass

from gateway.config import within
from gateway.devices.echonet.bound import BOUND_S, RENEW_S
from gateway.devices.echonet.node import PORT
from gateway.faults import ConfigError
from gateway.model import FailSafeCard

AT_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """A V2H unit. Limits narrow what it tells.

    ``bounded = true`` says that a trial has proven that this unit ends an order by itself when its energy bound (0xE7,
    0xEA) is used up (docs/devices.md); without it the unit is never discharged. ``listen`` and ``listen_port`` are where
    this machine hears the unit: units answer to 3610.
    """

    name: str
    host: str
    port: int = PORT
    instance: int = 1
    listen: str = "0.0.0.0"  # noqa: S104 - the unit's network is not known beforehand
    listen_port: int = PORT
    phases: tuple[int, ...] = (1,)
    poll_s: float = 1.0
    bounded: bool = False
    max_charge_w: float | None = None
    max_discharge_w: float | None = None

    def check(self, where: str) -> None:
        """Refuse what no unit can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.listen_port, 0, 65535, f"{where}.listen_port")
        within(self.instance, 1, 127, f"{where}.instance")
        within(self.poll_s, 0.2, 4, f"{where}.poll_s")
        try:
            ipaddress.IPv4Address(self.listen)
        except ValueError:
            raise ConfigError(
                f'{where}.listen: {self.listen!r} is no address; write one like "0.0.0.0"'
            ) from None
        for key in ("max_charge_w", "max_discharge_w"):
            if (watts := getattr(self, key)) is not None:
                within(watts, 0, 150_000, f"{where}.{key}")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [1]"
            )


def card(*, bounded: bool) -> FailSafeCard:
    """Return what the unit does when we vanish; ECHONET Lite knows no lease, so nothing ends an order without a bound."""
    end = (
        f"goes to standby when its energy bound is used up: what {BOUND_S:g} s at its least power (0xC9) take, "
        f"renewed every {RENEW_S:g} s"
        if bounded
        else "goes on for ever"
    )
    return FailSafeCard(
        lease_s=BOUND_S if bounded else None,
        on_silence=end,
        on_tcp_close=f"there is no connection (UDP); it {end}",
        on_our_death=f"{end}; a restarted gateway sets standby first",
        on_device_reboot="its own mode; the order is written anew after a look",
        discharging_at_most_s=AT_MOST_S if bounded else None,
        proven_by="tests/gateway/devices/echonet/test_echonet_wire.py",
    )
