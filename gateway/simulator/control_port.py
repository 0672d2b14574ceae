"""The fault port: one JSON object per line asks, one answers. It does to the house what people and bad luck do."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gateway.simulator.can_mishaps import Noise
from gateway.simulator.echonet_unit import EchonetUnit
from gateway.simulator.house import House
from gateway.simulator.leaf_sloppiness import sloppiness
from gateway.simulator.modbus_servers import Registers
from gateway.simulator.referee import Violation
from gateway.simulator.wall_units import WallUnit
from gateway.simulator.wired_house import WiredHouse

type Request = Mapping[str, Any]
_LONGEST_LINE = 65_536


def _status(wired: WiredHouse, _: Request) -> dict[str, Any]:
    house, car, pilot, converter = wired.house, wired.car, wired.pilot, wired.house.converter
    return {
        "house": {
            "second": house.second,
            "load_w": house.load_w,
            "pv_w": house.pv_w,
            "grid_w": house.grid_w,
            "phase_w": list(house.phase_w),
            "frequency_hz": house.frequency_hz,
            "import_wh": house.import_wh,
            "export_wh": house.export_wh,
        },
        **_supply(house),
        "car": {
            "plugged": pilot.plugged,
            "model": car.model.name,
            "state": car.state,
            "soc_pct": house.pack.soc_pct,
            "contactor": car.contactor_closed,
            "current_a": house.charger.current_a,
            "can_silent": car.silent,
            "faults": car.face.faults,
            "awake": wired.ev_can.awake,
            "wakes": wired.ev_can.wakes,
            "hot_openings": wired.referee.counts[Violation.HOT_OPENING],
        },
        "battery": {"soc_pct": house.battery.soc_pct, "power_w": house.battery.power_w},
        "charger": {
            "ac_w": house.charger.ac_w,
            "current_a": house.charger.current_a,
            "engaged": car.contactor_closed if wired.wall is None else wired.wall.charger.engaged,
        },
        "converter": {
            "current_a": converter.current_a,
            "voltage_v": converter.voltage_v,
            "ac_w": converter.ac_w,
            "command": int(converter.orders.command),
            "faults": int(converter.faults),
        },
        "pilot": {"d1": pilot.coils[0], "d2": pilot.coils[1], "k": pilot.inputs[0], "lock": pilot.locked},
        "violations": dict(wired.referee.counts),
        "breaches": {
            name: {"share": breach.share, "longest_s": breach.longest_s}
            for name, breach in wired.connection.breaches.items()
        },
    }


def _supply(house: House) -> dict[str, Any]:
    mains = house.mains
    return {
        "mains": {"present": mains.present, "carried": mains.carried, "tripped": mains.tripped},
        "loads": {load.name: load.power_w for load in mains.loads},
    }


def _plug(wired: WiredHouse, _: Request) -> None:
    wired.pilot.plugged = True


def _unplug(wired: WiredHouse, _: Request) -> None:
    wired.pilot.plugged = False


def _away(wired: WiredHouse, request: Request) -> None:
    """Drive off, or come home after a trip that took ``trip_pct`` of the pack."""
    away = wired.away = _switch(request)
    wired.pilot.plugged = not away
    if not away:
        pack = wired.house.pack
        pack.soc_pct = max(0.0, pack.soc_pct - _finite(request.get("trip_pct", 0.0)))


def _car_on(wired: WiredHouse, request: Request) -> None:
    """Switch the car on at home: it is awake on its own bus, parked and ready."""
    wired.switched_on = _switch(request)


def _car_silent(wired: WiredHouse, request: Request) -> None:
    wired.car.silent = _switch(request)


def _car_stop(wired: WiredHouse, _: Request) -> None:
    wired.car.wants_stop = wired.car.pose.talks


def _car_fault(wired: WiredHouse, request: Request) -> None:
    wired.car.injected_faults = int(request["bits"]) & 0x1F


def _car_weld(wired: WiredHouse, request: Request) -> None:
    """Weld the contactor at its next opening, or with ``now`` at once; ``on`` false repairs it."""
    on = _switch(request)
    wired.car.weak_contactor = on
    wired.car.welded = on and (wired.car.welded or bool(request.get("now", False)))


def _car_sloppy(wired: WiredHouse, request: Request) -> None:
    """Let the car behave as named and in no other way."""
    wired.car.behave(sloppiness({name: value for name, value in request.items() if name != "do"}))


def _can_noise(wired: WiredHouse, request: Request) -> None:
    """Replace the noise on the car's CAN; a chance that is not named is 0."""
    chances = {field.name: request[field.name] for field in fields(Noise) if field.name in request}
    if unknown := request.keys() - chances.keys() - {"do"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    wired.can.strike(Noise(**{name: _finite(value) for name, value in chances.items()}))


def _can_bus_off(wired: WiredHouse, request: Request) -> None:
    wired.can.bus_off_s = max(0.0, _finite(request["seconds"]))


def _can_pulled(wired: WiredHouse, request: Request) -> None:
    """Pull the CAN adapter out of its socket, or put it back."""
    wired.can.pulled = _switch(request)


def _refuse_discharge(wired: WiredHouse, request: Request) -> None:
    wired.car.refuses_discharge = _switch(request)
    if wired.wall is not None:
        wired.wall.refuses_discharge = _switch(request)


def _charger_silent(wired: WiredHouse, request: Request) -> None:
    """Let its interface hang while the charger goes on."""
    _wall(wired).silent = _switch(request)


def _charger_error(wired: WiredHouse, request: Request) -> None:
    _wall(wired).errors = int(request["bits"]) & 0xFFFF


def _charger_reboot(wired: WiredHouse, _: Request) -> None:
    _wall(wired).reboot()


def _charger_app(wired: WiredHouse, request: Request) -> None:
    """Let the owner take control in the maker's app, or give it back."""
    _wall(wired).app(_switch(request))


def _charger_refuses(wired: WiredHouse, request: Request) -> None:
    """Let the charger say no to every write, or take them again."""
    wall = _wall(wired)
    if not isinstance(wall, Registers):
        raise TypeError("this charger is not on Modbus")
    wall.refuses = _switch(request)


def _battery_trip(wired: WiredHouse, request: Request) -> None:
    """Let the battery's inverter trip, also while it carries the house, or be well again."""
    wired.battery.tripped = _switch(request)
    if wired.battery.tripped:
        wired.house.mains.give_up()


def _breaches_clear(wired: WiredHouse, _: Request) -> None:
    """Forget for how long limits of the connection were passed."""
    wired.connection.clear()


def _unit_order(wired: WiredHouse, request: Request) -> None:
    """Let another controller order a V2H unit's property ``epc`` to ``value``."""
    _v2h(wired).meddle(int(request["epc"]), int(request["value"]))


def _unit_mood(wired: WiredHouse, request: Request) -> None:
    """Let a V2H unit ignore or refuse orders (lists of EPCs), lose datagrams, forget its energy bound."""
    unit = _v2h(wired)
    unit.ignores = {int(epc) for epc in request.get("ignores", [])}
    unit.says_no = {int(epc) for epc in request.get("says_no", [])}
    unit.loss = _finite(request.get("loss", 0.0))
    unit.bound_works = bool(request.get("bound_works", True))


def _v2h(wired: WiredHouse) -> EchonetUnit:
    if not isinstance(wired.wall, EchonetUnit):
        raise ValueError("this house has no V2H unit; start it with --charger echonet")  # noqa: TRY004 - no type is wrong
    return wired.wall


def _wall(wired: WiredHouse) -> WallUnit:
    if wired.wall is None:
        raise ValueError("this house has no charger in one box; start it with --charger")
    return wired.wall


def _insulation(wired: WiredHouse, request: Request) -> None:
    wired.house.converter.insulation_kohm = min(max(int(request["kohm"]), 0), 0xFFFF)


def _meter_silent(wired: WiredHouse, request: Request) -> None:
    wired.grid_meter.silent = _switch(request)


def _meter_freeze(wired: WiredHouse, request: Request) -> None:
    wired.grid_meter.frozen = _switch(request)


def _meter_scale(wired: WiredHouse, request: Request) -> None:
    wired.grid_meter.scale = _finite(request["factor"])


def _meter_flip(wired: WiredHouse, request: Request) -> None:
    """Mount the grid meter the wrong way round."""
    wired.grid_meter.scale = -1.0 if _switch(request) else 1.0


def _converter_lease(wired: WiredHouse, request: Request) -> None:
    """Let the converter's lease do nothing, or work again."""
    wired.house.converter.lease_works = _switch(request)


def _pv_silent(wired: WiredHouse, request: Request) -> None:
    wired.pv_meter.silent = _switch(request)


def _battery_silent(wired: WiredHouse, request: Request) -> None:
    wired.battery.silent = _switch(request)


def _converter_silent(wired: WiredHouse, request: Request) -> None:
    wired.converter.silent = _switch(request)


def _pilot_silent(wired: WiredHouse, request: Request) -> None:
    wired.pilot_io.silent = _switch(request)


def _revert_works(wired: WiredHouse, request: Request) -> None:
    wired.battery.reverts = _switch(request)


def _set_load(wired: WiredHouse, request: Request) -> None:
    wired.house.overrides.load_w = _number_or_none(request, "w")


def _set_pv(wired: WiredHouse, request: Request) -> None:
    wired.house.overrides.pv_w = _number_or_none(request, "w")


def _set_frequency(wired: WiredHouse, request: Request) -> None:
    wired.house.overrides.frequency_hz = _number_or_none(request, "hz")


def _set_soc(wired: WiredHouse, request: Request) -> None:
    if "car" in request:
        wired.house.pack.soc_pct = min(max(_finite(request["car"]), 0.0), 100.0)
    if "battery" in request:
        wired.house.battery.soc_pct = min(max(_finite(request["battery"]), 0.0), 100.0)


def _grid_lost(wired: WiredHouse, request: Request) -> None:
    """Take the grid away. The grid meter then shows 0 V, or with ``meter`` "silent" has no supply of its own."""
    wired.grid_meter.silent = request.get("meter", "dark") == "silent"
    wired.house.mains.lose()


def _grid_back(wired: WiredHouse, _: Request) -> None:
    wired.grid_meter.silent = False
    wired.house.mains.restore()


def _e_stop(wired: WiredHouse, request: Request) -> None:
    wired.pilot.emergency_stop = _switch(request)


def _switch(request: Request) -> bool:
    on = request.get("on", True)
    if not isinstance(on, bool):
        raise TypeError('"on" is true or false')
    return on


def _number_or_none(request: Request, name: str) -> float | None:
    value = request[name]
    return None if value is None else _finite(value)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a finite number is wanted")
    return number


DEEDS: dict[str, Callable[[WiredHouse, Request], dict[str, Any] | None]] = {
    "status": _status,
    "plug": _plug,
    "unplug": _unplug,
    "away": _away,
    "car_on": _car_on,
    "car_silent": _car_silent,
    "car_stop": _car_stop,
    "car_fault": _car_fault,
    "car_weld": _car_weld,
    "car_sloppy": _car_sloppy,
    "can_noise": _can_noise,
    "can_bus_off": _can_bus_off,
    "can_pulled": _can_pulled,
    "refuse_discharge": _refuse_discharge,
    "charger_silent": _charger_silent,
    "charger_error": _charger_error,
    "charger_reboot": _charger_reboot,
    "charger_app": _charger_app,
    "charger_refuses": _charger_refuses,
    "battery_trip": _battery_trip,
    "breaches_clear": _breaches_clear,
    "unit_order": _unit_order,
    "unit_mood": _unit_mood,
    "insulation": _insulation,
    "meter_silent": _meter_silent,
    "meter_freeze": _meter_freeze,
    "meter_scale": _meter_scale,
    "meter_flip": _meter_flip,
    "converter_lease": _converter_lease,
    "pv_silent": _pv_silent,
    "battery_silent": _battery_silent,
    "converter_silent": _converter_silent,
    "pilot_silent": _pilot_silent,
    "revert_works": _revert_works,
    "set_load": _set_load,
    "set_pv": _set_pv,
    "set_frequency": _set_frequency,
    "set_soc": _set_soc,
    "grid_lost": _grid_lost,
    "grid_back": _grid_back,
    "e_stop": _e_stop,
}


def carry_out[Site](
    site: Site, line: bytes, deeds: Mapping[str, Callable[[Site, Request], dict[str, Any] | None]]
) -> dict[str, Any]:
    """Do what ``line`` asks; return the answer, with ``ok`` false and a reason when it cannot be done."""
    try:
        request = json.loads(line)
        deed = deeds[request["do"]]
    except ValueError, KeyError, TypeError:
        return {"ok": False, "error": f'write {{"do": NAME}} with one of: {", ".join(deeds)}'}
    try:
        return {"ok": True, **(deed(site, request) or {})}
    except (KeyError, TypeError, ValueError) as error:
        return {"ok": False, "error": f"{request['do']}: {error!r}"}


class ControlConnection[Site](asyncio.Protocol):
    """One client of the fault port of a site, which knows ``deeds``."""

    def __init__(
        self, site: Site, deeds: Mapping[str, Callable[[Site, Request], dict[str, Any] | None]]
    ) -> None:
        self._site, self._deeds = site, deeds
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole line."""
        assert self._transport is not None
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            answer = carry_out(self._site, bytes(line), self._deeds)
            self._transport.write(json.dumps(answer).encode() + b"\n")
        if len(self._buffer) > _LONGEST_LINE:
            self._transport.close()
