"""The process image: the latest value of every slot with its age; ``snapshot()`` freezes it, ``changes`` tells of it.

No lock: one event loop, and one writer per slot. Samples and identities are written by that device's driver, wishes by
the link, decisions by the control loop, faults by whoever owns them.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from operator import attrgetter
from types import MappingProxyType, NoneType

from gateway.faults import FaultCode, Misuse
from gateway.model import (
    ActiveFault,
    ControlStatus,
    Decision,
    DeviceId,
    DeviceInfo,
    DeviceKind,
    EvSample,
    EvseSample,
    LoadSample,
    MeterRole,
    MeterSample,
    Snapshot,
    StorageSample,
    Wishes,
)

type Sample = MeterSample | StorageSample | EvseSample | EvSample | LoadSample
_SAMPLE_OF = {
    DeviceKind.METER: MeterSample,
    DeviceKind.STORAGE: StorageSample,
    DeviceKind.EVSE: EvseSample,
    DeviceKind.VEHICLE: EvSample,
    DeviceKind.LOAD: LoadSample,
}

SITE: DeviceId = ""
"""Owner of the faults that belong to no device."""


class SiteState:
    """All slots of one site. ``clock`` gives aware UTC and exists so that tests can own it."""

    def __init__(
        self, devices: Iterable[DeviceInfo], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock = clock
        self._infos = {d.id: d for d in devices}
        self._samples: dict[DeviceId, Sample] = {}
        self._unread: set[DeviceId] = set()
        self._faults: dict[tuple[DeviceId, FaultCode], ActiveFault] = {}
        self._decisions: dict[DeviceId, Decision] = {}
        self.wishes = Wishes()
        self.control = ControlStatus()
        self.fresh_grid = asyncio.Event()
        """Set on each new sample of the grid meter, or of the frequency's; the control loop clears it."""

    def slot(self, device: DeviceId) -> Slot:
        """Return the writer of one device's slot. Raises Misuse for a device that the site does not have."""
        if device not in self._infos:
            raise Misuse(f"no device {device!r} on this site")
        return Slot(self, device)

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Replace the decisions of the devices named; the control loop's slot."""
        self._decisions |= {d.device: d for d in decisions}

    def fault(self, code: FaultCode, detail: str, device: DeviceId = SITE) -> None:
        """Raise a fault of the site or of a device; again only updates its detail."""
        known = self._faults.get((device, code))
        since = known.since if known else self._clock()
        self._faults[device, code] = ActiveFault(code, device, since, detail)

    def clear(self, code: FaultCode, device: DeviceId = SITE) -> None:
        """Clear a fault; clearing what is not raised is no error."""
        self._faults.pop((device, code), None)

    def raised(self, code: FaultCode, device: DeviceId = SITE) -> bool:
        """Tell whether a fault is raised."""
        return (device, code) in self._faults

    def put(self, device: DeviceId, sample: Sample) -> None:
        """Store the newest sample of a device, unless a value in it is no number: comparisons would let that pass.

        Raises Misuse when it is not of the device's kind.
        """
        info = self._infos[device]
        if not isinstance(sample, _SAMPLE_OF[info.kind]):
            raise Misuse(f"{device} is a {info.kind}, it cannot publish a {type(sample).__name__}")
        if _no_number(sample):
            self._unread.add(device)
            self.fault(FaultCode.IMPLAUSIBLE_READING, "a value that is no number", device)
            return
        if device in self._unread:
            self._unread.discard(device)
            self.clear(FaultCode.IMPLAUSIBLE_READING, device)
        self._samples[device] = sample
        if info.role in (MeterRole.GRID, MeterRole.FREQUENCY):
            self.fresh_grid.set()

    def identify(self, info: DeviceInfo) -> None:
        """Replace a device's identity and nameplate."""
        self._infos[info.id] = info

    def snapshot(self, now: float, utc: datetime | None = None) -> Snapshot:
        """Freeze the image at monotonic ``now``; a sample older than its device's ``max_age_s`` is None in it."""
        meters: dict[DeviceId, MeterSample | None] = {}
        storages: dict[DeviceId, StorageSample | None] = {}
        evses: dict[DeviceId, EvseSample | None] = {}
        evs: dict[DeviceId, EvSample | None] = {}
        loads: dict[DeviceId, LoadSample | None] = {}
        kinds = {
            DeviceKind.METER: meters,
            DeviceKind.STORAGE: storages,
            DeviceKind.EVSE: evses,
            DeviceKind.VEHICLE: evs,
            DeviceKind.LOAD: loads,
        }
        for device, info in self._infos.items():
            sample = self._samples.get(device)
            fresh = sample if sample is not None and now - sample.at <= info.max_age_s else None
            kinds[info.kind][device] = fresh  # type: ignore[index]  # put() admits only the kind's own samples
        return Snapshot(
            at=now,
            utc=utc or self._clock(),
            devices=MappingProxyType(dict(self._infos)),
            meters=MappingProxyType(meters),
            storages=MappingProxyType(storages),
            evses=MappingProxyType(evses),
            wishes=self.wishes,
            decisions=MappingProxyType(dict(self._decisions)),
            faults=tuple(self._faults.values()),
            evs=MappingProxyType(evs),
            loads=MappingProxyType(loads),
            control=self.control,
        )


class Slot:
    """One device's writer, handed to its driver (the ``Sink`` of gateway.devices)."""

    def __init__(self, state: SiteState, device: DeviceId) -> None:
        self._state = state
        self._device = device

    def sample(self, sample: Sample) -> None:
        """Publish the newest sample."""
        self._state.put(self._device, sample)

    def identity(self, info: DeviceInfo) -> None:
        """Publish identity and nameplate."""
        self._state.identify(replace(info, id=self._device))

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault of this device."""
        self._state.fault(code, detail, self._device)

    def clear(self, code: FaultCode) -> None:
        """Clear a fault of this device."""
        self._state.clear(code, self._device)


def _no_number(value: object) -> bool:
    """Tell whether NaN or infinity is anywhere in a sample. Told hundreds of times a second, so it looks at types alone."""
    kind = type(value)
    if kind is float:
        return not isfinite(value)  # type: ignore[arg-type]
    if kind is tuple:
        return any(map(_no_number, value))  # type: ignore[call-overload]
    values = _values_of(kind)
    return values is not None and any(
        not isfinite(v) if type(v) is float else type(v) not in _HARMLESS and _no_number(v)
        for v in values(value)
    )


_HARMLESS = frozenset({int, str, bool, NoneType})


_VALUES_OF: dict[type, Callable[[object], tuple[object, ...]] | None] = {}


def _values_of(kind: type) -> Callable[[object], tuple[object, ...]] | None:
    """Return what reads all fields of a dataclass at once, None for another type."""
    if kind not in _VALUES_OF:
        _VALUES_OF[kind] = attrgetter(*(f.name for f in fields(kind))) if is_dataclass(kind) else None
    return _VALUES_OF[kind]
