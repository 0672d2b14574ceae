"""The ``drill`` command: a blackout on paper, from what the site's journal knows."""

import argparse
import dataclasses
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import SiteConfig, load
from gateway.fastpath import open_devices
from gateway.faults import ConfigError
from gateway.model import DeviceId, DeviceInfo, DeviceKind, Interval, MeterRole, OwnerSettings
from gateway.rehearsal.drill import Outcome, Site, drill
from gateway.services.store import Kept

ASSUMED_LOAD_W, ASSUMED_PCT, ASSUMED_W = 500.0, 50.0, 5000.0
ASSUMED_WH = {DeviceKind.STORAGE: 10_000.0, DeviceKind.EVSE: 36_000.0}
DAY_S = 86_400.0


def answer(arguments: argparse.Namespace) -> str:
    """Play, and return what to print. Raises ConfigError."""
    config = load(arguments.site)
    if config.backup is None:
        raise ConfigError("[backup]: missing; this site does not say what its inverter can carry")
    given = {DeviceKind.STORAGE: arguments.battery_pct, DeviceKind.EVSE: arguments.car_pct}
    site, assumed = site_of(config, given, arguments.load_w)
    outcome = drill(site)
    if arguments.json:
        return json.dumps({**dataclasses.asdict(outcome), "load_w": round(site.load_w), "assumed": assumed})
    return "\n".join(told(outcome, site, assumed))


def told(outcome: Outcome, site: Site, assumed: list[str]) -> list[str]:
    """Return the outcome in words."""
    hours = "unknown" if outcome.autonomy_h is None else f"about {outcome.autonomy_h:.1f} h"
    lines = [
        f"If the grid were lost now, the house would run for {hours} without sun, at {site.load_w:.0f} W."
    ]
    if outcome.reserve_h is not None:
        lines.append(f"  after {outcome.reserve_h:.1f} h only the reserve for a restart would be left")
    if outcome.dark_h is not None:
        lines.append(f"  after {outcome.dark_h:.1f} h it would be dark")
    lines += [f"  {device}: off {s:.1f} s after the loss" for device, s in outcome.shed_s.items()]
    for car, left_pct in outcome.cars_pct.items():
        can = "can" if outcome.can_leave[car] else "CANNOT"
        lines.append(f"  {car}: the car {can} still leave, with {left_pct:.0f} %")
    return lines + [f"  assumed: {a}" for a in assumed]


def site_of(
    config: SiteConfig, given: Mapping[DeviceKind, float | None], load_w: float | None
) -> tuple[Site, list[str]]:
    """Return the site as the drill needs it, and in words what of it had to be assumed."""
    assumed: list[str] = []
    devices, soc_pct, capacity_wh = {}, {}, {}
    for name, device in open_devices(config).items():
        devices[name] = info = _able(device.info, assumed)
        if info.kind.steered:
            known = given.get(info.kind)
            soc_pct[name] = _soc_pct(config, name, assumed) if known is None else known
            capacity_wh[name] = info.capacity_wh or ASSUMED_WH[info.kind]
            if not info.capacity_wh:
                assumed.append(f"{name} holds {capacity_wh[name] / 1000:.0f} kWh")
    measured_w = _load_w(config, devices) if load_w is None else load_w
    if measured_w is None:
        measured_w = ASSUMED_LOAD_W
        assumed.append(f"the house draws {measured_w:.0f} W")
    return Site(config.control, devices, _owner(config), soc_pct, capacity_wh, measured_w), assumed


def _able(info: DeviceInfo, assumed: list[str]) -> DeviceInfo:
    """Fill in what a device tells only once it is connected: a site with [backup] has a battery that islands."""
    if info.kind is DeviceKind.STORAGE and not info.islands:
        info = replace(info, islands=True)
    if info.kind.steered and info.rated.max_w <= info.rated.min_w:
        assumed.append(f"{info.id} can do {ASSUMED_W / 1000:.0f} kW")
        info = replace(info, rated=Interval(-ASSUMED_W, ASSUMED_W))
    return info


def _owner(config: SiteConfig) -> OwnerSettings:
    try:
        kept = msgspec.json.decode((config.state_dir / "owner.json").read_bytes(), type=Kept)
    except OSError, msgspec.DecodeError, msgspec.ValidationError:
        kept = Kept()
    return replace(kept.owner, control_on=True, stopped=False)


def _rows(config: SiteConfig, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Read the journal beside the gateway that writes it; nothing where there is none."""
    path: Path = config.state_dir / "journal.sqlite"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(sql, arguments).fetchall()
    except sqlite3.Error:
        return []


def _soc_pct(config: SiteConfig, device: DeviceId, assumed: list[str]) -> float:
    newest = "SELECT soc_pct FROM samples WHERE device = ? AND soc_pct IS NOT NULL ORDER BY utc DESC LIMIT 1"
    if rows := _rows(config, newest, device):
        return float(rows[0][0])
    assumed.append(f"{device} has {ASSUMED_PCT:.0f} %")
    return ASSUMED_PCT


def _load_w(config: SiteConfig, devices: Mapping[DeviceId, DeviceInfo]) -> float | None:
    """Return what the house drew on average over the last recorded day, besides batteries and cars."""
    span = "SELECT utc, in_wh - out_wh FROM samples WHERE device = ?1 AND utc >= (SELECT max(utc) FROM samples) - ?2"
    moved_wh, hours = 0.0, 0.0
    for name, info in devices.items():
        if not info.kind.steered and info.role not in (MeterRole.GRID, MeterRole.PV):
            continue
        rows = sorted(_rows(config, span, name, DAY_S))
        if len(rows) < 2:
            if info.role is MeterRole.GRID:
                return None
            continue
        sign = 1 if info.role is MeterRole.GRID else -1
        moved_wh += sign * (rows[-1][1] - rows[0][1])
        if info.role is MeterRole.GRID:
            hours = (rows[-1][0] - rows[0][0]) / 3600
    return max(0.0, moved_wh / hours) if hours > 0 else None
