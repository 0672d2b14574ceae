"""Pure: the reserve products as a table, and what share of the sold power a frequency asks for.

Sources. Continental FCR: Regulation (EU) 2017/1485 annex V (10 mHz accuracy, at most 10 mHz insensitivity and dead band,
full within 30 s at ±200 mHz) and article 154 (half of it within 15 s); dead band 49.99-50.01 Hz and linear: regelleistung.net; the
2 s rule and the reservoir: reference/optimize.md 5. Nordic FCR-N within ±0.1 Hz, FCR-D beyond, full at ±0.5 Hz: "Technical
Requirements for FCR Provision in the Nordic Synchronous Area" (ENTSO-E, 2023), its step times from secondary sources.
FFR levels, times and durations: fingrid.fi, Fast Frequency Reserve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from gateway.model import ReserveProduct

NOMINAL_HZ = 50.0


@dataclass(frozen=True, slots=True)
class Product:
    """``begins_hz`` and ``full_hz`` are deviations from 50 Hz; ``up`` answers a low frequency, ``down`` a high one.

    ``start_s``: how late a response may begin, None where no rule says. ``steps``: after a step to full activation, which
    share must be there within how many s. ``reservoir_min`` None: the site's own. An ``event_hz`` deviation is an event.
    ``levels`` of a triggered product: (frequency, full within s), the highest first; then ``hold_s`` at full power.
    """

    begins_hz: float
    full_hz: float
    up: bool
    down: bool
    start_s: float | None
    steps: tuple[tuple[float, float], ...]
    reservoir_min: float | None
    event_hz: float
    levels: tuple[tuple[float, float], ...] = ()
    hold_s: float = 0.0


_FCR_D_STEPS = ((0.86, 7.5), (1.0, 30.0))

PRODUCTS: Mapping[ReserveProduct, Product] = {
    ReserveProduct.FCR: Product(0.0, 0.2, True, True, 2.0, ((0.5, 15.0), (1.0, 30.0)), None, 0.1),
    ReserveProduct.FCR_N: Product(0.0, 0.1, True, True, None, ((0.63, 60.0), (1.0, 180.0)), 30.0, 0.1),
    ReserveProduct.FCR_D_UP: Product(0.1, 0.5, True, False, None, _FCR_D_STEPS, 20.0, 0.2),
    ReserveProduct.FCR_D_DOWN: Product(0.1, 0.5, False, True, None, _FCR_D_STEPS, 20.0, 0.2),
    ReserveProduct.FFR: Product(
        0.3,
        0.3,
        True,
        False,
        None,
        (),
        0.5,
        0.3,
        levels=((49.7, 1.3), (49.6, 1.0), (49.5, 0.7)),
        hold_s=30.0,
    ),
}

DEAD_BAND_HZ = 0.01
"""Within it a symmetric product need not deliver; what it then does may help its own reservoir."""
FFR_RELEASE_PER_S = 0.2
"""Share of the sold power by which a triggered response is taken back each second."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A triggered response: since when (monotonic s) it is held, and the share it has now."""

    since: float = -inf
    share: float = 0.0
    at: float = -inf


def share_of(product: Product, frequency_hz: float) -> float:
    """Return the share of the sold power that a linear product asks for, -1 (all out of the devices) to 1."""
    deviation_hz = frequency_hz - NOMINAL_HZ
    if (deviation_hz < 0 and not product.up) or (deviation_hz > 0 and not product.down):
        return 0.0
    # A float's rounding at the band's edge is no activation.
    beyond_hz = max(0.0, abs(deviation_hz) - product.begins_hz - 1e-9)
    share = min(1.0, beyond_hz / (product.full_hz - product.begins_hz))
    return share if deviation_hz > 0 else -share


def in_dead_band(product: Product, frequency_hz: float) -> bool:
    """Tell whether a symmetric product need not deliver anything."""
    return product.begins_hz == 0.0 and abs(frequency_hz - NOMINAL_HZ) <= DEAD_BAND_HZ + 1e-9


def triggered(product: Product, level_hz: float, trigger: Trigger, frequency_hz: float, at: float) -> Trigger:
    """Return the trigger after one more look: full at once below the level, held, then taken back slowly."""
    if frequency_hz < level_hz:
        return Trigger(since=at, share=-1.0, at=at)
    if at - trigger.since <= product.hold_s:
        return Trigger(trigger.since, -1.0, at)
    released = FFR_RELEASE_PER_S * max(0.0, at - trigger.at) if trigger.share else 0.0
    return Trigger(trigger.since, min(0.0, trigger.share + released), at)
