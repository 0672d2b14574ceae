"""What nobody may ask of the house's connection for long, timed where physics knows it. No wire and no clock.

It looks at the true powers and knows nothing of meters, so that no lie of theirs deceives it.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.simulator.house import House

FUSE_A = 25.0
IMPORT_W, EXPORT_W = 9000.0, 4000.0
INVERTER_W = 5000.0
TOLERANCE = 1.01
"""The class of the meter that control sees it by."""


class Limit(StrEnum):
    FUSE_L1 = "fuse_l1"
    FUSE_L2 = "fuse_l2"
    FUSE_L3 = "fuse_l3"
    IMPORT = "import"
    EXPORT = "export"
    INVERTER = "inverter"


@dataclass(slots=True)
class Breach:
    """How far and how long in one piece a limit was passed, since the last ``clear``; ``share`` is of the limit."""

    share: float = 0.0
    longest_s: float = 0.0
    lasting_s: float = field(default=0.0, repr=False)

    def note(self, share: float, dt_s: float) -> None:
        """Take one step of physics."""
        self.share = max(self.share, share)
        self.lasting_s = self.lasting_s + dt_s if share > TOLERANCE else 0.0
        self.longest_s = max(self.longest_s, self.lasting_s)


class ConnectionReferee:
    """``look`` at each step of the physics."""

    def __init__(self) -> None:
        self.breaches: dict[Limit, Breach] = {}
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.breaches = {limit: Breach() for limit in Limit}

    def look(self, house: House, dt_s: float) -> None:
        """Judge this instant; the inverter's own limit counts while it carries the house alone."""
        amps = [abs(w) / v if v else 0.0 for w, v in zip(house.phase_w, house.phase_v, strict=True)]
        carried_w = abs(house.battery.power_w) if house.mains.carried else 0.0
        shares = (
            *(a / FUSE_A for a in amps),
            house.grid_w / IMPORT_W,
            -house.grid_w / EXPORT_W,
            carried_w / INVERTER_W,
        )
        for limit, share in zip(Limit, shares, strict=True):
            self.breaches[limit].note(share, dt_s)
