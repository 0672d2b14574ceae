"""The ways to run a site; free of numpy, so that the command line may know them."""

from enum import StrEnum


class Strategy(StrEnum):
    """How the site is run; the first three are what it is measured against."""

    UNMANAGED = "unmanaged"
    TIMER = "timer"
    SMART = "smart"
    V1G = "v1g"
    V2H = "v2h"
    V2G = "v2g"
    FCR = "fcr"

    @property
    def planned(self) -> bool:
        """Tell whether a plan of ours runs it."""
        return self in (Strategy.V1G, Strategy.V2H, Strategy.V2G, Strategy.FCR)
