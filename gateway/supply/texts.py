"""The sentences of findings: what was found, and what to do next; filled in from a finding's ``detail``."""

from collections.abc import Mapping

from gateway.supply.findings import Check, Finding

CHECKS: Mapping[Check, str] = {
    Check.ANSWERS: "Answers",
    Check.CAR: "Car",
    Check.PROTOCOL: "CHAdeMO version",
    Check.DISCHARGE: "Discharge",
    Check.VOLTAGE_WINDOW: "Voltage",
    Check.CURRENT_WINDOW: "Current",
    Check.SOC_WINDOW: "Charge window",
    Check.SESSION_TIME: "Session time",
    Check.MODEL: "Known of this model",
    Check.METER_RATE: "Speed of the meter",
    Check.FUSE: "Main fuse",
    Check.FUSE_GUARD: "Who guards the fuse",
    Check.SOLE_MASTER: "Only master",
    Check.FAIL_SAFE_CARD: "Fail-safe by design",
    Check.WIRING_PROOF: "Sign and phase, proven",
    Check.FAIL_SAFE_PROOF: "Fail-safe, proven",
    Check.TIMER_PROOF: "Own timer, proven",
    Check.LINES_PROOF: "Pilot lines, proven",
}

TEXTS: Mapping[str, str] = {
    "answers": "{what}, firmware {firmware}.",
    "silent": "It says nothing.",
    "asleep": "It says nothing now, as a sleeping car does.",
    "no_car_yet": "No car has told of itself here yet.",
    "protocol_fits": "The car speaks version {version:g}, as every Leaf does.",
    "protocol_old": "The car speaks version {version:g}, from before CHAdeMO 1.0: charging alone can be relied on.",
    "protocol_new": "The car speaks version {version:g}, which is newer than this charger was tried with.",
    "charger_charges_only": "The charger charges only; the car is never asked to give.",
    "discharge_fits": "Car and charger both let energy out of the car.",
    "discharge_fits_older": "Car and charger both let energy out of the car (it follows the older V2H guideline).",
    "discharge_fits_sequence": "Car and charger both let energy out of the car (V2H sequence {sequence:g}).",
    "discharge_unknown": "Whether the car lets energy out is told in its first session.",
    "car_charges_only": "The car says that it cannot be discharged.",
    "voltage_fits": "The car's {car_v:.0f} V is inside the converter's {low_v:.0f} to {high_v:.0f} V.",
    "voltage_clipped": "The car may reach {car_v:.0f} V, the converter ends at {high_v:.0f} V: it never gets quite full.",
    "voltage_floor_high": "The converter needs {low_v:.0f} V: a discharge ends before the car is at its own floor.",
    "voltage_apart": "The car asks for {target_v:.0f} V of at most {car_v:.0f} V, the converter makes {low_v:.0f} to {high_v:.0f} V.",
    "current_fits": "The charger gives {charge_a:.0f} A and takes {discharge_a:.0f} A; the car needs at least {car_a:.0f} A.",
    "current_too_small": "The car needs at least {car_a:.0f} A, the charger gives {charge_a:.0f} A.",
    "current_not_dynamic": "This car leaves when it gets 20 A less than it asked for; the charger offers {charge_a:.0f} A.",
    "soc_window_wide": "The car lets itself be used from {low_pct} to {high_pct} %.",
    "soc_window_narrow": "The car lets itself be used from {low_pct} to {high_pct} % only, while V2X is on.",
    "target_above_window": "You want {target_pct} % at departure; in a V2X session the car stops charging at {high_pct} %.",
    "session_renewed": "The car ends a session after {minutes:g} minutes; the gateway begins a new one by itself.",
    "session_long": "The car allows sessions of {minutes:g} minutes.",
    "ze0_discharge": "A ZE0 (2011-12) was not made for discharge: its contactors open after a few seconds of it.",
    "ze0_charge": "A ZE0 (2011-12) charges well as long as its current is not cut by more than 20 A at once.",
    "aze0_refuses": "This model refuses a session now and then, mostly when nearly full; the gateway asks again later.",
    "pack_swapped": "The car speaks like an AZE0 and has {capacity_kwh} kWh: a swapped pack or an e-NV200 with 40 kWh.",
    "ze1_best": "A ZE1 is the best known car for V2X: 10 to 100 %, and its current may change at any time.",
    "meter_follows_load": "Fast enough for load following (a value is used for {age_s} s); "
    "not fit for a frequency reserve: {frequency}.",
    "meter_slow": "A value is used for up to {age_s} s: load following will be coarse.",
    "meter_agrees": "Steps of the devices show on it with the right sign, on the right phase.",
    "meter_disagrees": "Steps of {devices} do not show on it as they should.",
    "rating_unknown": "Its rated power is not known.",
    "fuse_fits": "{power_kw} kW on {phases} are {phase_a} A; the main fuse is {fuse_a:g} A.",
    "fuse_throttles": "{power_kw} kW on {phases} are {phase_a} A, the main fuse is {fuse_a:g} A: full power is never reached.",
    "fuse_too_small": "{power_kw} kW on {phases} are {phase_a} A, the main fuse is {fuse_a:g} A, and no grid meter watches it.",
    "guard_gateway": "The gateway, by {meter}.",
    "guard_charger": "The charger's own load balancing, as was said at commissioning.",
    "guard_installation": "The installation: the circuit is sized for full power, as was said at commissioning.",
    "guard_missing": "Nobody: there is no grid meter.",
    "guard_slow": "The gateway, but {meter} is too slow for it.",
    "guard_unproven": "The gateway must, since the charger's own load balancing is off while it is steered: it is "
    "discharged only while {meter} is heard. That {meter} sees it has not been proven.",
    "guard_dropped": "Nobody: the charger was named, but its own load balancing is off while it is steered.",
    "sole_master": "No sign of a second controller.",
    "second_master": "Orders are not kept: {sign}.",
    "card_good": "It ends an order by itself after {lease_s:g} s; discharging at most {at_most_s:g} s after our death.",
    "card_good_charging": "It ends an order by itself after {lease_s:g} s.",
    "card_holds_charge": "It goes on charging with the last order for ever when the gateway is gone.",
    "card_endless": "It could go on discharging after the gateway is gone, so it is not allowed to discharge.",
    "never_proven": "Not proven on this unit yet.",
    "device_changed": "It was proven at {proven_at}, on another device, firmware or wiring.",
    "wiring_right": "{steps:g} steps of {step_w:.0f} W showed as {seen_w:.0f} W on {seen_phases}.",
    "wiring_flipped": "Steps of {step_w:.0f} W showed as {seen_w:.0f} W: the wrong sign.",
    "wiring_phase_flipped": "Steps of {step_w:.0f} W showed on {seen_phases}, with the wrong sign on {flipped_phases}.",
    "wiring_wrong_phase": "Steps of {step_w:.0f} W showed on {seen_phases}, configured is {phases}.",
    "wiring_wrong_size": "Steps of {step_w:.0f} W showed as {seen_w:.0f} W, {ratio:.2f} times as much.",
    "wiring_not_seen": "Steps of {step_w:.0f} W did not stand out of the house's own changes ({seen_w:.0f} W).",
    "wiring_no_meter": "There is no fresh grid meter to see it on.",
    "not_following": "It was ordered {step_w:.0f} W and did {did_w:.0f} W.",
    "no_session": "No session came about: {cause}.",
    "no_room": "It could not be tried: {why}.",
    "fail_safe_holds": "Silent, it was at 0 W after {silence_s:.1f} s; with its connection closed after {close_s:.1f} s "
    "(allowed {allowed_s:.0f} s).",
    "fail_safe_late": "Silent, it was at 0 W after {silence_s:.1f} s, its connection closed after {close_s:.1f} s; "
    "its card allows {allowed_s:.0f} s.",
    "fail_safe_none": "Without us it went on with its order: not at 0 W within {waited_s:.0f} s after {how}.",
    "lease_dead": "Silent, the car left and power was at 0 W after {silence_s:.1f} s, but the converter still held its order: "
    "its lease does nothing.",
    "timer_works": "Its own timer ended an order that was not renewed.",
    "timer_dead": "Its own timer does not end an order.",
    "lines_right": "The car woke on d1, pulled k, closed on d2; the lock was felt; the emergency stop ended it in {stop_s:.1f} s.",
    "lines_no_stop": "The car woke on d1, pulled k, closed on d2 and the lock was felt; the emergency stop was not tried.",
    "lines_stop_dead": "The emergency stop was pressed and nothing was seen of it within {waited_s:.0f} s.",
    "line_d1": "The car did not wake: d1, ground or CAN do not reach it.",
    "line_k": "The car woke and gave no permission: k is not seen.",
    "line_lock": "The lock was ordered and not felt.",
    "line_d2": "The car did not close its contactor on d2.",
    "line_proximity": "The connector is not seen as inserted.",
}
"""By ``Finding.text_key``."""

REMEDIES: Mapping[str, str] = {
    "": "",
    "plug_in": "Plug the car in and let one session begin, then look again.",
    "connect": "Check its power, its cable and its address in site.toml.",
    "charge_only": "Set max_discharge_a = 0 for this charger, or try discharge under supervision.",
    "other_charger": "This charger cannot serve this car; use one whose converter covers the car's voltage.",
    "raise_current": "Raise max_charge_a of the charger.",
    "lower_current": "Set max_charge_a = 20 for this charger.",
    "lower_target": "Lower the charge target, or set max_discharge_a = 0 to charge outside V2X.",
    "check_capacity": "Compare capacity and range with the dashboard; what the car tells of them may be wrong.",
    "poll_faster": "Lower poll_s of the grid meter, so that a value is at most 5 s old.",
    "limit_power": "Set max_charge_w to what the fuse carries, or have the connection enlarged.",
    "guard_by_gateway": "Run the check with `--prove` and name the gateway as the guard, with a grid meter in place.",
    "add_meter": "Add a grid meter, or have a protective device sized for full power confirmed at commissioning.",
    "one_master": "Let nothing else command the device: its app, its schedule, another energy manager.",
    "set_timeout": "Set the device's own communication timeout to 60 s or less.",
    "prove": "Stop the gateway and run `python -m gateway check --prove site.toml`.",
    "mend_meter": "See the device whose proof failed; then run the check with `--prove` again.",
    "invert": "Set invert = true for the grid meter when every device shows the wrong sign; "
    "for one device alone, its driver has the sign wrong: report it.",
    "turn_clamp": "Turn the current clamp of that phase round.",
    "mend_phases": "Correct the device's phases in site.toml, or swap the meter's clamps.",
    "mend_ratio": "Correct the current-transformer ratio in the meter.",
    "calm_house": "Run it again while the house is quiet, or with a larger `--watts`.",
    "mend_following": "Look for a second controller, a limit in the device itself, or a full or empty battery.",
    "mend_wire": "Check that wire at the connector and at the I/O module.",
    "mend_stop": "Do not use the charger before the emergency stop works.",
    "no_unattended": "Do not let it run unattended; ask its maker for a working communication timeout.",
    "try_stop": "Run the check with `--prove` once more and press the emergency stop when asked.",
}
"""By ``Finding.remedy_key``."""


def text(finding: Finding) -> str:
    """Return what was found."""
    return TEXTS[finding.text_key].format_map(finding.detail)


def remedy(finding: Finding) -> str:
    """Return what to do next; empty when nothing is to be done."""
    return REMEDIES[finding.remedy_key]
