"""Everything that a Leaf tells of itself, with its unit and its physical range; and the kinds of Leaf. Pure."""

from enum import StrEnum
from typing import Self


class Car(StrEnum):
    """The kinds that pack their frames differently. The 40 kWh e-NV200 packs them as an AZE0."""

    ZE0 = "ZE0"
    AZE0 = "AZE0"
    ZE1_40 = "ZE1"
    ZE1_62 = "ZE1 62 kWh"

    @property
    def generation(self) -> str:
        """Return "ZE0", "AZE0" or "ZE1"."""
        return self.value.partition(" ")[0]


class Quantity(StrEnum):
    """Name, least and greatest possible value; what lies outside was never true. Sources of different scale have
    names of their own: no two states of charge are the same quantity (reference/can.md 1.6)."""

    low: float
    high: float

    def __new__(cls, name: str, low: float = 0, high: float = 1) -> Self:
        """Keep the range beside the name."""
        member = str.__new__(cls, name)
        member._value_, member.low, member.high = name, low, high
        return member

    def judged(self, value: float) -> float | None:
        """Return the value, None where it is impossible."""
        return value if self.low <= value <= self.high else None

    # The pack
    PACK_CURRENT_A = "pack_current_a", -512, 511
    PACK_CURRENT_COPY_A = "pack_current_copy_a", -1024, 1023
    PACK_VOLTAGE_V = "pack_voltage_v", 150, 450
    RELAY_CUT_REQUEST = "relay_cut_request", 0, 3
    LBC_STATUS = "lbc_status", 0, 7
    RELAY_PERMITTED = "relay_permitted"
    FULLY_CHARGED = "fully_charged"
    INTERLOCK_CLOSED = "interlock_closed"
    DISCHARGE_STATUS = "discharge_status", 1, 3
    CHARGE_STATUS = "charge_status", 1, 3
    DASH_SOC_PCT = "dash_soc_pct", 0, 100
    LBC_SOC_PCT = "lbc_soc_pct", 0, 100
    DISCHARGE_LIMIT_W = "discharge_limit_w", 0, 255_500
    REGEN_LIMIT_W = "regen_limit_w", 0, 255_500
    CHARGER_LIMIT_W = "charger_limit_w", -10_000, 194_600
    CHARGER_LIMIT_WIDE_W = "charger_limit_wide_w", -10_000, 194_600
    CHARGER_RAMP = "charger_ramp", 0, 7
    VCM_ANSWER = "vcm_answer", 0, 255
    INSULATION_MV = "insulation_mv", 0, 5000
    INSULATION_RAW = "insulation_raw", 0, 1023
    INSULATION_FAULT = "insulation_fault"
    LBC_SLEEP = "lbc_sleep", 0, 3
    BATTERY_EMPTY = "battery_empty"
    GIDS = "gids", 0, 900
    FULL_GIDS = "full_gids", 0, 900
    CAR_CAN_GIDS = "car_can_gids", 0, 900
    NOMINAL_CAPACITY_WH = "nominal_capacity_wh", 20_000, 80_000
    CAPACITY_WH = "capacity_wh", 1000, 80_000
    REMAINING_WH = "remaining_wh", 0, 80_000
    CHARGE_BARS = "charge_bars", 0, 15
    CAPACITY_BARS = "capacity_bars", 0, 15
    SOH_PCT = "soh_pct", 1, 127
    POWER_LIMIT_REASON = "power_limit_reason", 0, 7
    BALANCED = "balanced"
    QUICK_CHARGE_MIN = "quick_charge_min", 0, 8190
    FULL_6KW_MIN = "full_6kw_min", 0, 8190
    FULL_3KW_MIN = "full_3kw_min", 0, 8190
    FULL_100V_MIN = "full_100v_min", 0, 8190
    AVERAGE_C = "average_c", -40, 85
    COLDEST_C = "coldest_c", -40, 85
    WARMEST_C = "warmest_c", -40, 85
    AT_WAKE_C = "at_wake_c", -40, 85
    TEMPERATURE_GAUGE_PCT = "temperature_gauge_pct", 0, 106.3
    HEATER_FITTED = "heater_fitted"
    HEATER_START = "heater_start"
    HEATER_STOP = "heater_stop"
    LBC_TROUBLE = "lbc_trouble", 0, 255

    # Car and chargers
    CHARGEABLE_W = "chargeable_w", -10_000, 92_300
    TARGET_80_PCT = "target_80_pct"
    KEEP_SOC = "keep_soc"
    V2H_CONNECTOR = "v2h_connector"
    LBC_REQUEST = "lbc_request", 0, 3
    OBC_MODE = "obc_mode", 0, 15
    OBC_STATE = "obc_state", 0, 63
    OBC_STATE_ZE0 = "obc_state_ze0", 0, 255
    OBC_POWER_W = "obc_power_w", 0, 51_100
    OBC_POWER_MAX_W = "obc_power_max_w", 0, 51_100
    OBC_POWER_ZE0_W = "obc_power_ze0_w", 0, 51_100
    AC_LINE = "ac_line", 0, 3
    AC_VOLTAGE_V = "ac_voltage_v", 70, 326
    AC_RELAY = "ac_relay"
    QUICK_RELAY = "quick_relay"
    QUICK_VOLTAGE_V = "quick_voltage_v", 257, 512
    PILOT_LIMIT_A = "pilot_limit_a", 0, 127.5
    WAKE_COMMAND = "wake_command", 0, 3
    READY_STATE = "ready_state", 0, 3
    DIAGNOSIS_ENABLED = "diagnosis_enabled"
    VCM_QUESTION = "vcm_question", 0, 255
    HV_SUPPLIED = "hv_supplied"
    MAIN_RELAY = "main_relay"
    CHARGE_COMMAND = "charge_command", 0, 255
    GEAR = "gear", 0, 15
    SHIFTER = "shifter", 0, 7
    POWER_STATE = "power_state", 0, 3
    KEY_STATE = "key_state", 0, 3
    SPEED_KMH = "speed_kmh", 0, 250
    RANGE_KM = "range_km", 0, 800
    FULL_RANGE_KM = "full_range_km", 0, 800
    FUEL_BARS = "fuel_bars", 0, 31
    MINUTES_TO_FULL = "minutes_to_full", 0, 2046
    ODOMETER_RAW = "odometer_raw", 0, 2_000_000
    ODOMETER_UNIT = "odometer_unit", 0, 255
    OUTSIDE_C = "outside_c", -40, 85

    # What only answers tell
    LBC_CURRENT_A = "lbc_current_a", -600, 600
    LBC_VOLTAGE_V = "lbc_voltage_v", 150, 450
    AUX_VOLTAGE_V = "aux_voltage_v", 5, 20
    HX_PCT = "hx_pct", 0, 150
    CAPACITY_AH = "capacity_ah", 1, 250
    CELL_MIN_V = "cell_min_v", 1, 5
    CELL_MAX_V = "cell_max_v", 1, 5
    SHUNTS_ACTIVE = "shunts_active", 0, 96
    QUICK_CHARGES = "quick_charges", 0, 65_534
    AC_CHARGES = "ac_charges", 0, 65_534
    LBC_QUICK_CHARGES = "lbc_quick_charges", 0, 65_534
    LBC_AC_CHARGES = "lbc_ac_charges", 0, 65_534
    PLUG = "plug", 0, 2
    CHARGE_MODE = "charge_mode", 0, 3
    ODOMETER_KM = "odometer_km", 0, 2_000_000

    # A ZE1 copies its DC session (reference/can.md 1.9 and 3)
    DC_MAX_VOLTAGE_V = "dc_max_voltage_v", 0, 1000
    DC_SOC_REFERENCE = "dc_soc_reference", 0, 255
    DC_CAPACITY_WH = "dc_capacity_wh", 0, 6_553_500
    DC_TARGET_V = "dc_target_v", 0, 1000
    DC_REQUEST_A = "dc_request_a", 0, 255
    DC_CAR_FAULTS = "dc_car_faults", 0, 255
    DC_CAR_STATUS = "dc_car_status", 0, 255
    DC_SOC_RAW = "dc_soc_raw", 0, 255
    DC_CAR_FUNCTIONS = "dc_car_functions", 0, 255
    DC_AVAILABLE_V = "dc_available_v", 0, 1000
    DC_AVAILABLE_A = "dc_available_a", 0, 255
    DC_THRESHOLD_V = "dc_threshold_v", 0, 1000
    DC_VOLTAGE_V = "dc_voltage_v", 0, 1000
    DC_CURRENT_A = "dc_current_a", 0, 255
    DC_EVSE_STATUS = "dc_evse_status", 0, 255
    DC_REMAINING_MIN = "dc_remaining_min", 0, 255
    DC_DISCHARGE_LIMIT_A = "dc_discharge_limit_a", 0, 255
    DC_DISCHARGE_MIN_V = "dc_discharge_min_v", 0, 1000
    DC_LEAST_LEVEL_RAW = "dc_least_level_raw", 0, 255
    DC_MOST_LEVEL_RAW = "dc_most_level_raw", 0, 255
    DC_SEQUENCE = "dc_sequence", 0, 255
    DC_MAKER = "dc_maker", 0, 255
