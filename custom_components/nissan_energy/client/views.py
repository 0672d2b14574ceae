"""What the gateway tells, as frozen values, and the tolerant reading of its JSON.

Unknown fields are ignored and a field with a default may be missing; a required field that is missing or of the wrong
type raises InvalidResponse, so that an outage never looks like an empty house. Ages and monotonic stamps are left out:
two equal readings compare equal.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import datetime, time
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from .errors import InvalidResponse


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """What the gateway tells to everybody."""

    serial: str
    name: str
    sw_version: str
    api_version: int
    api_min_version: int
    fingerprint: str
    paired: bool = False
    pairing_open: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of a stream."""

    api_version: int
    api_min_version: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """The answer to the right pairing code."""

    token: str
    serial: str
    fingerprint: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed power interval in W."""

    min_w: float
    max_w: float


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Identity and nameplate of a device; ``kind`` is meter, storage or evse, ``role`` grid or pv for a meter."""

    id: str
    kind: str
    name: str
    role: str | None = None
    maker: str = ""
    model: str = ""
    serial: str = ""
    version: str = ""
    rated: Interval = Interval(0.0, 0.0)
    capacity_wh: float | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The car as the charger knows it."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    soh_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest reading of a meter, storage or EVSE; None where this kind of device does not measure."""

    power_w: float
    phase_power_w: tuple[float, ...] = ()
    phase_voltage_v: tuple[float, ...] = ()
    phase_current_a: tuple[float, ...] = ()
    frequency_hz: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None
    charged_wh: float | None = None
    discharged_wh: float | None = None
    soc_pct: float | None = None
    soh_pct: float | None = None
    capacity_wh: float | None = None
    state: str | None = None
    charge_max_w: float | None = None
    discharge_max_w: float | None = None
    plugged: bool | None = None
    voltage_v: float | None = None
    current_a: float | None = None
    vehicle: Vehicle | None = None
    stop_cause: str = ""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device and its newest reading, which is None when it is older than it may be."""

    info: DeviceInfo
    sample: Sample | None
    available: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """The rung of the ladder that spoke, its code, and whose wish it was."""

    rung: str
    code: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one device, and the wish before a higher rung held it back."""

    wanted_w: float
    power_w: float
    interval: Interval
    reason: Reason
    limited_by: Reason | None = None


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The owner's standing wishes for one storage or EVSE; ``departure`` is local time."""

    floor_soc_pct: float | None = None
    target_soc_pct: float | None = None
    departure: time | None = None
    discharge_allowed: bool | None = None


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """The owner's standing wishes for the site."""

    control_on: bool
    stopped: bool = False
    grid_events_allowed: bool = True
    devices: Mapping[str, DeviceSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """An owner's lease on one device; ``power_w`` is a magnitude."""

    id: str
    device: str
    mode: str
    expires_at: datetime
    power_w: float | None = None
    until_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A raised fault, its text, and what the owner can do about it."""

    code: str
    device: str
    since: datetime
    detail: str = ""
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PriceSlot:
    """Prices per kWh for one stretch of time."""

    starts_at: datetime
    ends_at: datetime
    import_per_kwh: float
    export_per_kwh: float


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """The planned grid exchange, each device's share of it, and why."""

    starts_at: datetime
    ends_at: datetime
    grid_power_w: float | None = None
    device_power_w: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the gateway means to do."""

    id: str
    made_at: datetime
    expires_at: datetime
    because: str
    slots: tuple[PlanSlot, ...]


@dataclass(frozen=True, slots=True)
class GridEvent:
    """A utility's call as the owner sees it."""

    id: str
    status: str
    utility: str = ""
    program: str = ""
    name: str = ""
    kinds: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the site may exchange now, an active call included."""

    import_limit_w: float | None = None
    export_limit_w: float | None = None
    main_fuse_a: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """The gateway itself. While ``observing`` it measures and decides, and commands nothing."""

    serial: str
    name: str
    sw_version: str
    observing: bool
    time_zone: str = ""
    fast_path_alive: bool = True


@dataclass(frozen=True, slots=True)
class SiteView:
    """All that the gateway shows, at one moment."""

    seq: int
    at: datetime
    site: Site
    devices: Mapping[str, DeviceView]
    owner: OwnerSettings
    limits: Limits = Limits()
    requests: tuple[Request, ...] = ()
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    plan: Plan | None = None
    prices: tuple[PriceSlot, ...] = ()
    price_now: PriceSlot | None = None
    grid_events: tuple[GridEvent, ...] = ()


UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, OverflowError)


def read[T](kind: type[T], value: object) -> T:
    """Return parsed JSON as ``kind``. Raises InvalidResponse."""
    try:
        result: T = _reader(kind)(value)
    except UNREADABLE as err:
        raise InvalidResponse(f"this is no {kind.__name__}: {err!r}") from err
    return result


def changed(view: SiteView, change: Mapping[str, Any]) -> SiteView:
    """Return ``view`` after one change frame; parts that this client does not know are skipped. Raises InvalidResponse."""
    parts = _parts()
    new: dict[str, Any] = {}
    try:
        for path, value in change.get("set", {}).items():
            part, _, item = path.partition(".")
            if part not in parts:
                continue
            if item:
                new[part] = {**new.get(part, getattr(view, part)), item: _item_reader(part)(value)}
            else:
                new[part] = parts[part](value)
        for path in change.get("removed", ()):
            part, _, item = path.partition(".")
            if part not in parts:
                continue
            new[part] = _without(new.get(part, getattr(view, part)), item) if item else _default(part)
        return replace(view, **new, seq=_integer(change["seq"]), at=datetime.fromisoformat(change["at"]))
    except UNREADABLE as err:
        raise InvalidResponse(f"this is no change: {err!r}") from err


def _without(items: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return {k: v for k, v in items.items() if k != key}


def _default(part: str) -> Any:
    spec = next(f for f in fields(SiteView) if f.name == part)
    if spec.default is not MISSING:
        return spec.default
    if spec.default_factory is not MISSING:
        return spec.default_factory()
    raise KeyError(part)


@cache
def _parts() -> Mapping[str, Callable[[Any], Any]]:
    return {f.name: _reader(f.type) for f in fields(SiteView) if f.name not in {"seq", "at"}}


@cache
def _item_reader(part: str) -> Callable[[Any], Any]:
    kind = next(f.type for f in fields(SiteView) if f.name == part)
    return _reader(get_args(kind)[1])


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no boolean")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


_SCALARS: Mapping[Any, Callable[[Any], Any]] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: _text,
    datetime: datetime.fromisoformat,
    time: time.fromisoformat,
}


def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that makes a ``kind`` of parsed JSON."""
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if isinstance(kind, UnionType):
        inner = _reader(next(arg for arg in get_args(kind) if arg is not NoneType))
        return lambda value: None if value is None else inner(value)
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _tuple_reader(_reader(args[0]))
    if origin is Mapping:
        item = _reader(args[1])
        return lambda value: {_text(k): item(v) for k, v in value.items()}
    return _SCALARS[kind]


def _tuple_reader(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read_tuple(value: Iterable[Any]) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{value!r} is no list")
        return tuple(map(item, value))

    return read_tuple


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    readers = {f.name: _reader(f.type) for f in fields(kind)}

    def read_fields(value: Mapping[str, Any]) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} is no object")
        return kind(**{name: reader(value[name]) for name, reader in readers.items() if name in value})

    return read_fields
