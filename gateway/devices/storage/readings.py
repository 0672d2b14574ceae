"""Pure: what a battery inverter tells in SunSpec 701, 702 and 713, as ratings and samples of ours.

The device counts injection (discharge) as positive; the sign changes here.
"""

from collections.abc import Mapping

from gateway.devices.sunspec import Value, Values, number
from gateway.faults import Malformed
from gateway.model import DeviceInfo, Interval, StorageSample, StorageState

CHARGE_RATINGS = ("WChaRteMax", "WChaRteMaxRtg", "WMax", "WMaxRtg")
DISCHARGE_RATINGS = ("WDisChaRteMax", "WDisChaRteMaxRtg", "WMax", "WMaxRtg")
POWER_MARGIN_W = 500.0
STORAGE_ERROR = 2
FORMS_GRID = 0b10
"""701.DERMode, bit 1."""
CONNECTED = 1
"""701.ConnSt."""
ISLANDS = 0b1110
"""702.IntIslandCatRtg: able to island, to start black, to keep the frequency."""
STATES: Mapping[Value, StorageState] = {
    0: StorageState.OFF,
    3: StorageState.RUNNING,
    4: StorageState.RUNNING,
    6: StorageState.FAULT,
}
"""701.InvSt; sleeping, starting, shutting down and standby are all standby to us."""


def ratings(capacity: Values, max_charge_w: float | None, max_discharge_w: float | None) -> Interval:
    """Return what the device may do, from 702 and the owner's limits; zero in a direction that neither tells."""
    return Interval(
        -_limit(capacity, DISCHARGE_RATINGS, max_discharge_w), _limit(capacity, CHARGE_RATINGS, max_charge_w)
    )


def islands(capacity: Values) -> bool:
    """Tell whether an inverter says of itself, in 702, that it can carry a house without grid."""
    return bool(int(number(capacity, "IntIslandCatRtg") or 0) & ISLANDS)


def islanded(ac: Values) -> bool | None:
    """Tell whether it carries the house alone: grid-forming and off the grid. None while it does neither, or does not tell."""
    connected, mode = number(ac, "ConnSt"), number(ac, "DERMode")
    if mode is not None and int(mode) & FORMS_GRID and connected != CONNECTED:
        return True
    return False if connected == CONNECTED else None


def sample_of(
    ac: Values, pack: Values, info: DeviceInfo, at: float, applied_w: float | None
) -> StorageSample:
    """Turn decoded 701 and 713 into a sample. Raises Malformed for what cannot be true."""
    injected_w, soc_pct = number(ac, "W"), number(pack, "SoC")
    if injected_w is None or soc_pct is None:
        raise Malformed("tells no power" if injected_w is None else "tells no state of charge")
    if not 0 <= soc_pct <= 100:
        raise Malformed(f"state of charge of {soc_pct:g} %")
    if abs(injected_w) > 2 * max(info.rated.max_w, -info.rated.min_w) + POWER_MARGIN_W:
        raise Malformed(f"power of {-injected_w:.0f} W")
    state = STATES.get(ac.get("InvSt"), StorageState.STANDBY)
    if pack.get("Sta") == STORAGE_ERROR:
        state = StorageState.FAULT
    able = state is not StorageState.FAULT
    return StorageSample(
        at=at,
        power_w=-injected_w,
        soc_pct=soc_pct,
        state=state,
        charge_max_w=info.rated.max_w if able and soc_pct < 100 else 0.0,
        discharge_max_w=-info.rated.min_w if able and soc_pct > 0 else 0.0,
        soh_pct=number(pack, "SoH"),
        capacity_wh=info.capacity_wh,
        charged_wh=number(ac, "TotWhAbs"),
        discharged_wh=number(ac, "TotWhInj"),
        applied_w=applied_w,
        islanded=islanded(ac),
    )


def _limit(capacity: Values, names: tuple[str, ...], configured_w: float | None) -> float:
    """Return the first rating that is told and not zero, and the owner's limit where that is lower or alone."""
    told_w = next((w for name in names if (w := number(capacity, name))), None)
    if told_w is None:
        return configured_w or 0.0
    return told_w if configured_w is None else min(configured_w, told_w)
