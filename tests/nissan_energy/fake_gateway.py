"""A gateway without a socket: a small house, and the interface of GatewayClient."""

import asyncio
import copy
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Self

from custom_components.nissan_energy.client import (
    SILENCE_S,
    CannotConnect,
    GatewayInfo,
    OwnerSettings,
    Pairing,
    Plan,
    Request,
    ReserveWindow,
    SiteView,
    read,
)

SERIAL = "NE-0001"
FINGERPRINT = "ab" * 32
TOKEN = "a-very-secret-token"
HOST = "gateway.example"
PORT = 8443
AT = "2026-11-25T10:00:00Z"


def device(kind: str, name: str, sample: dict[str, Any] | None, **info: Any) -> dict[str, Any]:
    told = {
        "kind": kind,
        "name": name,
        "driver": "x",
        "maker": "Maker",
        "model": "Model",
        "serial": "S1",
        **info,
    }
    return {"info": told, "sample": sample, "age_s": 0.4, "available": sample is not None}


def decision(
    power_w: float, rung: str, code: str, limited_by: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "device": "x",
        "at": 1.0,
        "utc": AT,
        "wanted_w": power_w,
        "power_w": power_w,
        "interval": {"min_w": -5000.0, "max_w": 5000.0},
        "reason": {"rung": rung, "code": code, "source": ""},
        "limited_by": limited_by,
        "engage": True,
    }


def finding(check: str, verdict: str) -> dict[str, Any]:
    return {
        "check": check,
        "verdict": verdict,
        "text": f"Text of {check}.",
        "remedy": "" if verdict == "passed" else f"Remedy of {check}.",
        "text_key": check,
        "remedy_key": "",
        "detail": {"phase_a": 26.1},
    }


def equipment(verdict: str, *findings: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": verdict, "proven_at": AT, "findings": list(findings)}


def control(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return what control says when all is well, with some parts changed."""
    reason = {"rung": "capability", "code": "device_limit", "source": ""}
    usual: dict[str, dict[str, Any]] = {
        "backup": {"phase": "grid", "since": None, "autonomy_h": 9.5, "shed": [], "storm": False},
        "quality": {"verdict": "limited", "rms_w": 45.0, "reversals_per_h": 12.0, "by": reason},
        "reserve": {"phase": "off", "window_id": "", "product": None, "band_w": 0.0, "response_w": 0.0},
        "excursions": {"count": 1, "last_at": AT, "locked_until": None},
        "peak": {"month": AT, "peak_w": 6200.0, "mean_w": 1000.0, "cap_w": None},
    }
    return {key: part | parts.get(key, {}) for key, part in usual.items()}


def house() -> dict[str, Any]:
    """Return a SiteView as JSON: 300 W from the grid, the battery gives 1.5 kW, the car takes 2 kW, the roof makes 800 W."""
    meter = {"at": 1.0, "phase_power_w": [100.0, 150.0, 50.0], "phase_voltage_v": [230.0, 231.0, 229.0]}
    maxima = {"charge_max_w": 5000.0, "discharge_max_w": 4000.0}
    grid = {**meter, "power_w": 300.0, "frequency_hz": 50.01, "import_wh": 123456.0, "export_wh": 7890.0}
    roof = {**meter, "power_w": -800.0, "frequency_hz": None, "import_wh": 0.0, "export_wh": 55000.0}
    battery = {
        "at": 1.0,
        "power_w": -1500.0,
        "soc_pct": 62.34,
        "state": "running",
        "soh_pct": 97.0,
        "charged_wh": 1000.0,
        "discharged_wh": 2500.0,
        **maxima,
    }
    car = {
        "at": 1.0,
        "power_w": 2000.0,
        "state": "ready",
        "plugged": True,
        "stop_cause": "",
        "wakes_today": 2,
        "vehicle": {"soc_pct": 55.0, "soh_pct": 91.0, "capacity_wh": 40000.0},
        "charged_wh": 8000.0,
        "discharged_wh": 3000.0,
        **maxima,
    }
    wishes = {
        "floor_soc_pct": 30.0,
        "target_soc_pct": 80.0,
        "departure": "07:30:00",
        "discharge_allowed": True,
    }
    price = {"starts_at": "2026-11-25T10:00:00Z", "ends_at": "2026-11-25T11:00:00Z"}
    later = {"starts_at": "2126-11-25T02:00:00Z", "ends_at": "2126-11-25T03:00:00Z"}
    return {
        "api_version": 1,
        "seq": 1,
        "at": AT,
        "site": {
            "serial": SERIAL,
            "name": "House",
            "sw_version": "0.1.0",
            "time_zone": "Europe/Berlin",
            "observing": False,
            "services_uptime_s": 5.0,
            "fast_path_alive": True,
        },
        "devices": {
            "grid": device("meter", "Grid meter", grid, id="grid", role="grid"),
            "roof": device("meter", "Roof", roof, id="roof", role="pv"),
            "battery": device("storage", "Battery", battery, id="battery"),
            "garage": device("evse", "Garage", car, id="garage"),
        },
        "vehicles": {
            "garage": {
                "plugged": True,
                "soc_pct": 55.0,
                "soc_doubt": "",
                "soh_pct": 91.0,
                "capacity_wh": 40000.0,
                "temperature_c": 18.0,
                "aux_voltage_v": 12.63,
                "odometer_km": 48123.0,
                "sources": {"soc_pct": {"source": "chademo", "age_s": 1.0}},
                "last_trip": {"left_at": AT, "left_soc_pct": 80.0, "returned_at": AT, "energy_wh": 9100.0},
            }
        },
        "control": control(),
        "limits": {"import_limit_w": 8000.0, "export_limit_w": None, "main_fuse_a": 35.0},
        "owner": {
            "control_on": True,
            "stopped": False,
            "grid_events_allowed": True,
            "devices": {"battery": {**wishes, "departure": None}, "garage": wishes},
        },
        "requests": [],
        "decisions": {
            "battery": decision(-1500.0, "self_consumption", "self_consumption"),
            "garage": decision(2000.0, "plan", "cheap_hours", {"rung": "grid_connection", "code": "fuse_l1"}),
        },
        "faults": [],
        "equipment": {
            "grid": equipment("passed", finding("meter_rate", "passed")),
            "roof": equipment("passed", finding("answers", "passed")),
            "battery": equipment("not_proven", finding("fail_safe_proof", "not_proven")),
            "garage": equipment("attention", finding("model", "passed"), finding("fuse", "attention")),
        },
        "plan": None,
        "prices": [
            {**price, "import_per_kwh": 0.31, "export_per_kwh": 0.08},
            {**later, "import_per_kwh": 0.12, "export_per_kwh": 0.05},
        ],
        "price_now": {**price, "import_per_kwh": 0.31, "export_per_kwh": 0.08},
        "grid_events": [],
        "utilities": [],
    }


def fault(code: str, of: str = "grid") -> dict[str, Any]:
    return {
        "code": code,
        "device": of,
        "since": AT,
        "detail": "why",
        "text": f"Text of {code}.",
        "remedy": f"Remedy of {code}.",
    }


def grid_event(status: str, **change: Any) -> dict[str, Any]:
    told = {"id": "e1", "program": "p", "utility": "Utility", "name": "Peak", "kinds": ["import_limit"]}
    times = {"starts_at": "2026-11-25T10:00:00Z", "ends_at": "2026-11-25T11:00:00Z"}
    return {**told, **times, "status": status, "priority": 1, "problem": "", **change}


class FakeGateway:
    """Answers as a gateway does: what was asked is in ``calls``; ``broken`` is what every call meets while it is set."""

    def __init__(self) -> None:
        self.document = house()
        self.calls: list[tuple[Any, ...]] = []
        self.broken: Exception | None = None
        self.told_plan: dict[str, Any] | None = None
        self.forecasts: dict[str, Any] = {}
        self.forecast_error: Exception | None = None
        self.fingerprint = FINGERPRINT
        self.serial = SERIAL
        self.opened: list[tuple[Any, ...]] = []
        self.connections = 0
        self._frames: asyncio.Queue[SiteView | Exception] = asyncio.Queue()

    def __call__(
        self, session: object, host: str, port: int, token: str | None = None, fingerprint: str | None = None
    ) -> Self:
        self.opened.append((host, port, token, fingerprint))
        return self

    def pinned(self, fingerprint: str) -> Self:
        return self

    def say(self, **parts: Any) -> None:
        """Change the house and tell it."""
        self.document = copy.deepcopy(self.document) | parts
        self.document["seq"] += 1
        self._frames.put_nowait(read(SiteView, self.document))

    def measure(self, of: str, **values: Any) -> None:
        """Change a reading and tell it."""
        devices = copy.deepcopy(self.document["devices"])
        devices[of]["sample"] |= values
        self.say(devices=devices)

    def beat(self) -> None:
        """Send a heartbeat."""
        self._frames.put_nowait(read(SiteView, self.document))

    def die(self, error: Exception | None = None) -> None:
        """Close the stream and answer nothing until ``broken`` is None again."""
        self.broken = error or CannotConnect("gone")
        self._frames.put_nowait(self.broken)

    async def _answer(self, *call: Any) -> None:
        self.calls.append(call)
        if self.broken:
            raise self.broken

    async def info(self) -> GatewayInfo:
        await self._answer("info")
        return GatewayInfo(self.serial, "House", "0.1.0", 1, 1, self.fingerprint)

    async def pair(self, code: str, name: str) -> Pairing:
        await self._answer("pair", code, name)
        return Pairing(TOKEN, self.serial, self.fingerprint)

    async def state(self) -> SiteView:
        await self._answer("state")
        return read(SiteView, self.document)

    async def plan(self) -> Plan | None:
        await self._answer("plan")
        return read(Plan, self.told_plan) if self.told_plan else None

    async def put_forecast(self, kind: str, body: dict[str, Any]) -> None:
        if self.forecast_error:
            raise self.forecast_error
        self.forecasts[kind] = copy.deepcopy(body)

    async def patch_owner(self, changes: dict[str, Any]) -> OwnerSettings:
        await self._answer("patch_owner", changes)
        return read(OwnerSettings, self.document["owner"])

    async def request(self, of: str, mode: str, **wish: Any) -> Request:
        await self._answer("request", of, mode, wish)
        return read(Request, {"id": "r1", "device": of, "mode": mode, "expires_at": AT})

    async def clear_request(self, of: str) -> None:
        await self._answer("clear_request", of)

    async def offer_reserve(
        self, product: str, power_w: float, starts_at: datetime, ends_at: datetime
    ) -> ReserveWindow:
        await self._answer("offer_reserve", product, power_w, starts_at, ends_at)
        window = {"id": "w1", "product": product, "power_w": power_w, "phase": "refused"}
        times = {"starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
        refusals = [{"code": "reservoir", "text": "Too little."}]
        return read(ReserveWindow, {**window, **times, "refusals": refusals})

    async def withdraw_reserve(self, window: str) -> None:
        await self._answer("withdraw_reserve", window)

    async def set_need(self, of: str, energy_wh: float, departs_at: datetime) -> None:
        await self._answer("set_need", of, energy_wh, departs_at)

    async def clear_need(self, of: str) -> None:
        await self._answer("clear_need", of)

    async def inspected(self, device: str, code: str) -> None:
        await self._answer("inspected", device, code)

    async def stop(self) -> None:
        await self._answer("stop")

    async def resume(self) -> None:
        await self._answer("resume")

    async def opt_out(self, event: str) -> None:
        await self._answer("opt_out", event)

    async def listen(self) -> AsyncGenerator[SiteView]:
        self.connections += 1
        if self.broken:
            raise self.broken
        yield read(SiteView, self.document)
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    frame = await self._frames.get()
            except TimeoutError as err:
                raise CannotConnect("silent") from err
            if isinstance(frame, Exception):
                raise frame
            yield frame
