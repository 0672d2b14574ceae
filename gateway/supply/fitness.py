"""All rules of fitness, applied to one site; pure."""

from collections.abc import Iterator

from gateway.model import DeviceInfo, DeviceKind, MeterRole
from gateway.supply.car_and_charger import judge_pair
from gateway.supply.findings import Check, Finding, Verdict
from gateway.supply.site import Equipment, silent
from gateway.supply.wiring import judge_guard, judge_meter

_ORDER = {check: place for place, check in enumerate(Check)}


def assess(site: Equipment) -> tuple[Finding, ...]:
    """Return every finding, device by device in the order of site.toml, each in the order of ``Check``."""
    return tuple(
        finding
        for info in site.snapshot.devices.values()
        for finding in sorted(_judge(site, info), key=lambda f: _ORDER[f.check])
    )


def _judge(site: Equipment, info: DeviceInfo) -> Iterator[Finding]:
    if silent(site, info):
        yield Finding(Check.ANSWERS, info.id, Verdict.UNKNOWN, "silent", {}, "connect")
    elif info.kind is DeviceKind.VEHICLE and site.snapshot.evs.get(info.id) is None:
        yield Finding(Check.ANSWERS, info.id, Verdict.PASS, "asleep")
    else:
        yield Finding(Check.ANSWERS, info.id, Verdict.PASS, "answers", _nameplate(info))
    if info.role is MeterRole.GRID:
        yield from judge_meter(site, info)
    if info.kind.steered:
        yield from judge_guard(site, info)
    if info.kind is DeviceKind.EVSE:
        yield from judge_pair(site, info)


def _nameplate(info: DeviceInfo) -> dict[str, str | float | None]:
    told = " ".join(t for t in (info.maker, info.model) if t)
    return {"what": told or info.driver, "firmware": info.version or "not told"}
