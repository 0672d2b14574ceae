"""Pure: where the sun stands."""

import numpy as np

from gateway.planning.forecast.history import DAY, Quarters
from gateway.planning.problem import Series

EPOCH_TO_2000_D = 10957.5


def height(quarters: Quarters, latitude: float, longitude: float) -> Series:
    """Return the sine of the sun's elevation in the middle of each quarter hour since 1970, 0 at night.

    Low-precision formulas of the Astronomical Almanac, good to 0.02 degrees; degrees north and east are positive.
    """
    days = (quarters + 0.5) / DAY - EPOCH_TO_2000_D
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = np.radians(357.528 + 0.9856003 * days)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal = np.radians((280.46062 + 360.985647 * days + longitude) % 360.0)
    north = np.radians(latitude)
    sine: Series = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(
        sidereal - ascension
    )
    return sine.clip(0.0)
