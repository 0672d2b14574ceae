"""What is asked of the charger alone: the options of ``gateway evse``; pure."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.faults import Misuse

ABOUT = """\
The real driver, on a simulated CAN adapter, converter and pilot-line module; the car is a program of yours. Text over
UDP on loopback, one line a datagram: frames ID#HEX, pilot lines !name=0/1. Whoever is there first takes the port.

  charger   !d1=1                    "I want to start": the car wakes
  car       102#029A010000C83E00     100, 101, 102 (200, 110, 201) every 100 ms
  charger   109#0200000001200000     108, 109, 208, 209 every 100 ms
  car       !k=1                     permission, together with 102.5.0
  charger   !lock=1, !d2=1           insulation is good: the car closes its contactor, 102.5.3 = 0
  car       102#029A010F00C13E00     and asks for current; the battery counts as connected
  charger   109#027C01080105FF3C     109.5 = 05: current flows

Ctrl-C ends the session in its proper order. Exit status: 0 when the session ended as sessions should, else 1.
All of it: docs/devices.md, "The EVSE alone"."""

OPTIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "--can",
        {"required": True, "metavar": "udp://127.0.0.1:PORT", "help": "?from=PORT2 fixes our own port"},
    ),
    (
        "--power-w",
        {
            "default": "3000",
            "metavar": "W",
            "help": "AC power, negative out of the car (default: 3000); in turn: =W:S,W:S,W",
        },
    ),
    (
        "--stop-after",
        {"type": float, "metavar": "S", "help": "end the session after S seconds with current allowed"},
    ),
    ("--seconds", {"type": float, "metavar": "S", "help": "end it all after S seconds"}),
    ("--keep", {"action": "store_true", "help": "wait for the next car when a session has ended"}),
    (
        "--battery-v",
        {"type": float, "default": 380.0, "metavar": "V", "help": "the car's battery (default: 380)"},
    ),
    ("--max-charge-a", {"type": float, "metavar": "A", "help": "offer less than the converter's 20 A"}),
    (
        "--max-discharge-a",
        {"type": float, "metavar": "A", "help": "the same for discharging; 0: charge only"},
    ),
    (
        "--report-current-workaround",
        {"action": "store_true", "help": "tell 1 A once a minute while discharging"},
    ),
    ("--json", {"action": "store_true", "help": "one JSON object a line"}),
)


@dataclass(frozen=True, slots=True)
class Leg:
    """So much power, into the car positive, for so long while current may flow; None: to the end."""

    power_w: float
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """``keep``: wait for another car when a session has ended."""

    can: str
    legs: tuple[Leg, ...] = (Leg(3000.0),)
    stop_after_s: float | None = None
    seconds: float | None = None
    battery_v: float = 380.0
    max_charge_a: float | None = None
    max_discharge_a: float | None = None
    report_current_workaround: bool = False
    keep: bool = False
    as_json: bool = False

    def power_w(self, energised_s: float) -> float:
        """Return the power wished for after so long with current allowed."""
        for leg in self.legs:
            if leg.for_s is None or energised_s < leg.for_s:
                return leg.power_w
            energised_s -= leg.for_s
        return self.legs[-1].power_w


def wish_of(arguments: argparse.Namespace) -> Wish:
    """Return what the command line asks for. Raises Misuse."""
    return Wish(
        arguments.can,
        read_legs(arguments.power_w),
        stop_after_s=arguments.stop_after,
        seconds=arguments.seconds,
        battery_v=arguments.battery_v,
        max_charge_a=arguments.max_charge_a,
        max_discharge_a=arguments.max_discharge_a,
        report_current_workaround=arguments.report_current_workaround,
        keep=arguments.keep,
        as_json=arguments.json,
    )


def read_legs(text: str) -> tuple[Leg, ...]:
    """Read ``3000`` or ``3000:10,-3000:10``, W for s. Raises Misuse."""
    legs = []
    try:
        for part in text.split(","):
            power, colon, seconds = part.partition(":")
            legs.append(Leg(float(power), float(seconds) if colon else None))
    except ValueError as error:
        raise Misuse(f"--power-w {text}: {error}; write for example 3000 or 3000:20,-3000") from None
    return tuple(legs)
