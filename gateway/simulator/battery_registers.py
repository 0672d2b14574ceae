"""Registers of the battery inverter: SunSpec 1, a maker's model, 701 to 704, 713 and 714.

The inverter counts discharge as positive (IEEE 1547), the house counts power into the battery as positive.
"""

from collections.abc import Sequence

from gateway.simulator.battery_inverter import CAPACITY_WH, RATED_W, BatteryInverter
from gateway.simulator.house import House
from gateway.simulator.mains import Mains
from gateway.simulator.modbus_servers import Illegal, Registers, Table, window
from gateway.simulator.sunspec_image import BASE, SunSpecImage, Value

_SINGLE_PHASE, _THREE_PHASES = 0, 2
_OFF, _RUNNING, _FAULT, _STANDBY = 0, 3, 6, 7
_OVER_TEMPERATURE = 1 << 7
_FOLLOWS_GRID, _FORMS_GRID = 0b01, 0b10
_ISLANDS = 0b0110
_ESS, _DC_ON = 1, 1

_IDENTITY: dict[str, Value] = {
    "Mn": "Nissan Energy",
    "Md": "xStorage simulator",
    "Vr": "1.0",
    "SN": "SIM-BAT-0001",
    "DA": 1,
}
_MEASUREMENT: dict[str, Value] = {
    "St": 1,
    "ConnSt": 1,
    "Alrm": 0,
    "DERMode": 1,
    "A_SF": -2,
    "V_SF": -1,
    "Hz_SF": -3,
    "W_SF": 0,
    "PF_SF": -3,
    "VA_SF": 0,
    "Var_SF": 0,
    "TotWh_SF": 0,
    "Tmp_SF": -1,
}
_CAPACITY: dict[str, Value] = {
    **dict.fromkeys(("WMaxRtg", "VAMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg"), RATED_W),
    **dict.fromkeys(("WMax", "VAMax", "WChaRteMax", "WDisChaRteMax"), RATED_W),
    **dict.fromkeys(("VNomRtg", "VNom"), 230),
    "CtrlModes": 0b11,
    "W_SF": 0,
    "PF_SF": -2,
    "VA_SF": 0,
    "Var_SF": 0,
    "V_SF": 0,
    "A_SF": 0,
    "S_SF": 0,
}
_ENTER_SERVICE: dict[str, Value] = {"ES": 1, "V_SF": 0, "Hz_SF": -2}
_CONTROLS: dict[str, Value] = {
    **dict.fromkeys(("WSetEna", "WSet", "WSetRvrt", "WSetPct", "WSetPctRvrt", "WSetEnaRvrt"), 0),
    **dict.fromkeys(("WSetRvrtTms", "WSetRvrtRem"), 0),
    "WSetMod": 1,
    "PF_SF": -3,
    "WMaxLimPct_SF": 0,
    "WSet_SF": 0,
    "WSetPct_SF": 0,
    "VarSet_SF": 0,
    "VarSetPct_SF": 0,
}
_STORAGE: dict[str, Value] = {"WHRtg": CAPACITY_WH, "SoH": 92, "Sta": 0, "WH_SF": 0, "Pct_SF": -1}
_DC: dict[str, Value] = {
    "PrtAlrms": 0,
    "NPrt": 1,
    "DCA_SF": -1,
    "DCV_SF": -1,
    "DCW_SF": 0,
    "DCWH_SF": 0,
    "Tmp_SF": -1,
    "Prt.PrtTyp": _ESS,
    "Prt.ID": 1,
    "Prt.IDStr": "pack",
    "Prt.DCSta": _DC_ON,
    "Prt.DCAlrm": 0,
}


class BatteryRegisters(Registers):
    """704.WSet with its reversion timer drives the inverter; ``reverts`` off is a device whose timer does nothing.

    ``tripped``: the inverter has switched itself off with an alarm.
    """

    def __init__(self, battery: BatteryInverter, phases: tuple[int, ...], mains: Mains) -> None:
        super().__init__()
        self.reverts = True
        self.tripped = False
        self._mains = mains
        self._battery = battery
        self._phases = phases
        self._left_s = 0.0
        measurement = _MEASUREMENT | {"ACType": _SINGLE_PHASE if len(phases) == 1 else _THREE_PHASES}
        self._image = SunSpecImage(
            [
                (1, _IDENTITY),
                (64204, {"Secret": "not yours"}),
                (701, measurement),
                (702, _CAPACITY | {"IntIslandCatRtg": _ISLANDS if mains.islands else 0}),
                (703, _ENTER_SERVICE),
                (704, _CONTROLS),
                (713, _STORAGE),
                (714, _DC),
            ]
        )
        span = self._image.span
        self._block = span(704, "WSetEna", "WSetRvrtTms")
        self._enter_service = span(703, "ES", "ES")
        self._writable = {*self._block, *self._enter_service}

    @property
    def target_w(self) -> float:
        """Power into the battery that the controls ask for."""
        get = self._image.get
        if self.tripped or not get(703, "ES") or not get(704, "WSetEna"):
            return 0.0
        if get(704, "WSetMod"):
            return -get(704, "WSet")
        return -get(704, "WSetPct") / 100.0 * RATED_W

    def step(self, dt_s: float) -> None:
        """Run the reversion timer."""
        if not self._left_s:
            return
        self._left_s = max(0.0, self._left_s - dt_s)
        if not self._left_s and self.reverts:
            get = self._image.get
            self._image.put(
                704,
                {
                    "WSet": get(704, "WSetRvrt"),
                    "WSetPct": get(704, "WSetPctRvrt"),
                    "WSetEna": get(704, "WSetEnaRvrt"),
                },
            )

    def refresh(self, house: House) -> None:
        """Measure anew."""
        battery = self._battery
        self._image.put(701, self._ac_values(house))
        self._image.put(704, {"WSetRvrtRem": self._left_s})
        self._image.put(713, {"WHAvail": battery.stored_wh, "SoC": battery.soc_pct})
        dc_a = -battery.dc_w / battery.cell_v
        self._image.put(714, {"DCA": dc_a, "DCW": -battery.dc_w})
        self._image.put(
            714, {"Prt.DCA": dc_a, "Prt.DCV": battery.cell_v, "Prt.DCW": -battery.dc_w, "Prt.Tmp": 24}
        )

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the last measurement and the controls as they are."""
        if table is not Table.HOLDING:
            raise Illegal(2)
        return window(self._image.words, BASE, address, count)

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Set controls, all or none; anything written to the WSet block starts its timer anew."""
        first = address - BASE
        touched = range(first, first + len(words))
        if not self._writable.issuperset(touched):
            raise Illegal(2)
        before = self._image.words[first : first + len(words)]
        self._image.words[first : first + len(words)] = words
        switches = ((703, "ES"), (704, "WSetEna"), (704, "WSetMod"), (704, "WSetEnaRvrt"))
        if any(self._image.get(model, name) > 1 for model, name in switches):
            self._image.words[first : first + len(words)] = before
            raise Illegal(3)
        if touched[0] in self._enter_service and self._image.get(703, "ES") and not self.tripped:
            self._mains.start_again()
        if touched[0] in self._block:
            self._left_s = self._image.get(704, "WSetRvrtTms")

    def _ac_values(self, house: House) -> dict[str, Value | None]:
        battery = self._battery
        power_w = -battery.power_w
        mains = self._mains
        state = _RUNNING if battery.dc_w else _STANDBY
        on = self._image.get(703, "ES") and mains.powered
        values: dict[str, Value | None] = {
            "InvSt": _FAULT if self.tripped else state if on else _OFF,
            "Alrm": _OVER_TEMPERATURE if self.tripped else 0,
            "ConnSt": int(mains.present and not mains.carried),
            "DERMode": _FORMS_GRID if mains.carried else _FOLLOWS_GRID,
            "W": power_w,
            "VA": abs(power_w),
            "Var": 0,
            "PF": 1,
            "Hz": house.frequency_hz,
            "TotWhInj": battery.discharged_wh,
            "TotWhAbs": battery.charged_wh,
            "TmpCab": 26,
        }
        volts = [house.phase_v[phase - 1] for phase in self._phases]
        amps = [power_w / len(volts) / volt for volt in volts]
        values |= {"LNV": sum(volts) / len(volts), "A": sum(amps)}
        for line, (volt, amp) in enumerate(zip(volts, amps, strict=True), start=1):
            values |= {f"WL{line}": volt * amp, f"AL{line}": amp, f"VL{line}": volt}
        return values
