"""From single values to the car as a whole, unjudged: what is not told stays None. Pure."""

from collections.abc import Mapping

from gateway.devices.leaf.quantities import Quantity
from gateway.devices.leaf.recognition import NEW_AH
from gateway.model import Charging, EvSample

WH_PER_GID = 80.0
KM_PER_MILE = 1.609344
KM, MILES = 0x40, 0x60
UNIT_BITS = 0x60

REQUEST_AC, REQUEST_QUICK = 1, 2
OBC_EXPORTING = 9
OBC_PLUGGED = {2, 4, 12}
ZE0_AC, ZE0_QUICK = 0x60, 0xB0
ZE0_PLUGGED = {0x30, 0x40, ZE0_AC, ZE0_QUICK}
"""Not 0x18: a car that only wakes up passes through it."""
PLUGGED, UNPLUGGED = 2, 0
PARK = {0, 1}
"""A car that charges at home was recorded with 1, in 11A as in 421."""
MOVABLE = {2, 3, 4}
SHIFTED = {2, 3, 4, 7}
ROLLING_KMH = 1.0
KEY_OFF = 0
EVSE_CHARGING = 1
CHARGE_MODES = {0: Charging.NONE, 1: Charging.AC, 2: Charging.AC, 3: Charging.QUICK}

type Values = Mapping[Quantity, float]


def of(
    values: Values,
    *,
    at: float,
    awake: bool,
    generation: str,
    pack_kwh: int | None,
    pack_serial: str,
    wakes_today: int,
) -> EvSample:
    """Return the sample of one instant."""
    get = values.get
    return EvSample(
        at=at,
        awake=awake,
        generation=generation,
        dash_soc_pct=get(Quantity.DASH_SOC_PCT),
        lbc_soc_pct=get(Quantity.LBC_SOC_PCT),
        energy_wh=_energy_wh(values, pack_kwh),
        capacity_wh=_capacity_wh(values),
        capacity_ah=get(Quantity.CAPACITY_AH),
        soh_pct=_soh_pct(values, pack_kwh),
        hx_pct=get(Quantity.HX_PCT),
        voltage_v=get(Quantity.PACK_VOLTAGE_V, get(Quantity.LBC_VOLTAGE_V)),
        current_a=get(Quantity.PACK_CURRENT_A, get(Quantity.LBC_CURRENT_A)),
        charge_max_w=_charge_max_w(values),
        discharge_max_w=get(Quantity.DISCHARGE_LIMIT_W),
        temperature_c=get(Quantity.AVERAGE_C),
        coldest_c=get(Quantity.COLDEST_C),
        warmest_c=get(Quantity.WARMEST_C),
        cell_min_v=get(Quantity.CELL_MIN_V),
        cell_max_v=get(Quantity.CELL_MAX_V),
        shunts_active=_whole(get(Quantity.SHUNTS_ACTIVE)),
        insulation_raw=_whole(get(Quantity.INSULATION_RAW)),
        aux_voltage_v=get(Quantity.AUX_VOLTAGE_V),
        plugged=plugged(values),
        charging=charging(values),
        parked=parked(values),
        odometer_km=_odometer_km(values),
        range_km=get(Quantity.RANGE_KM),
        outside_c=get(Quantity.OUTSIDE_C),
        quick_charges=_whole(get(Quantity.QUICK_CHARGES, get(Quantity.LBC_QUICK_CHARGES))),
        ac_charges=_whole(get(Quantity.AC_CHARGES, get(Quantity.LBC_AC_CHARGES))),
        pack_serial=pack_serial,
        wakes_today=wakes_today,
    )


def charging(values: Values) -> Charging | None:
    """Say what the battery is doing, None when nobody tells (reference/can.md 1.5, 1.8)."""
    request, old_state = values.get(Quantity.LBC_REQUEST), values.get(Quantity.OBC_STATE_ZE0)
    energised = int(values.get(Quantity.DC_EVSE_STATUS, 0)) & EVSE_CHARGING
    if values.get(Quantity.OBC_MODE) == OBC_EXPORTING:
        return Charging.V2X
    if request == REQUEST_QUICK or old_state == ZE0_QUICK or energised:
        return Charging.V2X if values.get(Quantity.V2H_CONNECTOR) else Charging.QUICK
    if request == REQUEST_AC or old_state == ZE0_AC:
        return Charging.AC
    if request is not None:
        return Charging.NONE
    return CHARGE_MODES.get(int(values.get(Quantity.CHARGE_MODE, -1)))


def plugged(values: Values) -> bool | None:
    """Tell whether something is plugged in. A connector without power is not seen, so its absence is seldom known."""
    signs = (
        charging(values) not in {None, Charging.NONE},
        values.get(Quantity.V2H_CONNECTOR, 0) > 0,
        values.get(Quantity.AC_LINE, 0) > 0,
        values.get(Quantity.OBC_STATE) in OBC_PLUGGED,
        values.get(Quantity.PILOT_LIMIT_A, 0) > 0,
        values.get(Quantity.OBC_STATE_ZE0) in ZE0_PLUGGED,
        Quantity.DC_CAR_STATUS in values,
        values.get(Quantity.PLUG) == PLUGGED,
    )
    if any(signs):
        return True
    return False if parked(values) is False or values.get(Quantity.PLUG) == UNPLUGGED else None


def parked(values: Values) -> bool | None:
    """Tell whether the car stands in P; neutral is not parked."""
    gear, shifter = values.get(Quantity.GEAR), values.get(Quantity.SHIFTER)
    if values.get(Quantity.SPEED_KMH, 0) > ROLLING_KMH or gear in MOVABLE or shifter in SHIFTED:
        return False
    if gear in PARK or shifter in PARK or values.get(Quantity.KEY_STATE) == KEY_OFF:
        return True
    return None


def _charge_max_w(values: Values) -> float | None:
    """Return the lowest of the limits told. The charger's own is missing while it means "no limit"."""
    names = (Quantity.REGEN_LIMIT_W, Quantity.CHARGER_LIMIT_W, Quantity.CHARGER_LIMIT_WIDE_W)
    limits = [values[name] for name in names if name in values]
    return max(0.0, min(limits)) if limits else None


def _energy_wh(values: Values, pack_kwh: int | None) -> float | None:
    """Return the energy left. On CAR-CAN the larger packs tell their maximum in the same field, unmarked."""
    gids = values.get(Quantity.GIDS)
    if gids is None and pack_kwh == min(NEW_AH):
        gids = values.get(Quantity.CAR_CAN_GIDS)
    return gids * WH_PER_GID if gids is not None else values.get(Quantity.REMAINING_WH)


def _capacity_wh(values: Values) -> float | None:
    """Return the full energy. A ZE0 tells what its pack once had; of a worn one recorded, SoH makes it fit its GIDs."""
    nominal_wh, soh_pct = values.get(Quantity.NOMINAL_CAPACITY_WH), values.get(Quantity.SOH_PCT)
    if nominal_wh is not None and soh_pct is not None:
        return nominal_wh * soh_pct / 100
    return values.get(Quantity.CAPACITY_WH)


def _soh_pct(values: Values, pack_kwh: int | None) -> float | None:
    told, capacity_ah = values.get(Quantity.SOH_PCT), values.get(Quantity.CAPACITY_AH)
    if told is not None or capacity_ah is None or pack_kwh is None:
        return told
    return 100 * capacity_ah / NEW_AH[pack_kwh]


def _odometer_km(values: Values) -> float | None:
    """Return the odometer; without its unit the broadcast one says nothing."""
    raw, unit = values.get(Quantity.ODOMETER_RAW), int(values.get(Quantity.ODOMETER_UNIT, 0)) & UNIT_BITS
    if raw is not None and unit in {KM, MILES}:
        return raw * KM_PER_MILE if unit == MILES else raw
    return values.get(Quantity.ODOMETER_KM)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
