"""What clients may say, parsed strictly, and what it makes of the owner's wishes.

An unknown field, a wrong type or a value out of range raises ProblemError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.problems import ProblemError
from gateway.api.schema import Role
from gateway.model import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    Need,
    OwnerSettings,
    Request,
    RequestMode,
    ReserveProduct,
    ReserveWindow,
)

Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Aware = Annotated[datetime, Meta(tz=True)]

MOST_RESERVES = 96
LONGEST_RESERVE = timedelta(days=7)
FARTHEST_RESERVE = timedelta(days=31)
FARTHEST_NEED = timedelta(days=7)
LONGEST_STORM = timedelta(days=7)


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class PairBody(_Strict):
    """The code that the gateway shows, and what the new client calls itself."""

    code: Annotated[str, Meta(pattern="^[0-9]{6}$")]
    client_name: Name


class TokenBody(_Strict):
    """A further client, and what it may do."""

    name: Name
    role: Role


class UtilityBody(_Strict):
    """The utility that the owner lets in."""

    name: Name


class DevicePatch(_Strict):
    """A part of DeviceSettings; ``departure`` is local time, null for none."""

    floor_soc_pct: Percent | UnsetType = UNSET
    target_soc_pct: Percent | UnsetType = UNSET
    departure: time | UnsetType | None = UNSET
    discharge_allowed: bool | UnsetType = UNSET
    drive_away_soc_pct: Percent | UnsetType = UNSET


class OwnerPatch(_Strict):
    """A part of OwnerSettings; what is left out stays. ``storm_until`` null ends a storm."""

    control_on: bool | UnsetType = UNSET
    stopped: bool | UnsetType = UNSET
    grid_events_allowed: bool | UnsetType = UNSET
    storm_until: Aware | UnsetType | None = UNSET
    battery_may_charge_car: bool | UnsetType = UNSET
    devices: dict[str, DevicePatch] = {}


class RequestBody(_Strict):
    """An owner's lease: ``power_w`` is a magnitude, ``until_soc_pct`` ends it early."""

    mode: RequestMode
    power_w: Annotated[float, Meta(gt=0.0, le=1e6)] | None = None
    until_soc_pct: Percent | None = None
    duration_s: Annotated[float, Meta(ge=1.0, le=7 * 86400.0)] = 4 * 3600.0


class InspectedBody(_Strict):
    """The fault whose cause was inspected on the spot."""

    code: str


class ReserveBody(_Strict):
    """A frequency reserve to be sold: ``power_w`` is a magnitude; without ``devices`` whoever proves able carries it."""

    product: ReserveProduct
    power_w: Annotated[float, Meta(gt=0.0, le=1e6)]
    starts_at: Aware
    ends_at: Aware
    devices: Annotated[list[str], Meta(max_length=1000)] = []


class NeedBody(_Strict):
    """What the car still has to take before it leaves, as AC energy."""

    energy_wh: Annotated[float, Meta(gt=0.0, le=1e6)]
    departs_at: Aware


class NewestQuery(_Strict):
    """The newest entries, of one device or of all."""

    device: DeviceId | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class HistoryQuery(_Strict, rename={"start": "from", "end": "to"}):
    """A stretch of a device's past; the last 24 h unless told otherwise."""

    device: DeviceId
    start: Aware | None = None
    end: Aware | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 2000


def parse_body[T](body: bytes, kind: type[T]) -> T:
    """Decode a JSON body. Raises ProblemError malformed_json or invalid_request."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except ValueError, RecursionError:  # DecodeError and UnicodeDecodeError are ValueErrors
        raise ProblemError("malformed_json") from None


def parse_query[T](query: Mapping[str, str], kind: type[T]) -> T:
    """Decode a query string. Raises ProblemError invalid_request."""
    try:
        return msgspec.convert(dict(query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def patched(
    owner: OwnerSettings, patch: OwnerPatch, devices: Mapping[DeviceId, DeviceInfo], utc: datetime
) -> OwnerSettings:
    """Return ``owner`` with ``patch`` laid over it. Raises ProblemError unknown_device or invalid_request."""
    if isinstance(patch.storm_until, datetime) and patch.storm_until > utc + LONGEST_STORM:
        raise _invalid(f"storm_until must be within {LONGEST_STORM.days} days")
    settings = dict(owner.devices)
    for device, part in patch.devices.items():
        actuator(device, devices)
        settings[device] = replace(owner.of(device), **_given(part))
        if settings[device].floor_soc_pct > settings[device].target_soc_pct:
            raise _invalid(f"devices.{device}: floor_soc_pct must not be above target_soc_pct")
    return replace(owner, **(_given(patch) | {"devices": settings}))


def new_request(request_id: str, device: DeviceId, body: RequestBody, utc: datetime) -> Request:
    """Return the lease that ``body`` asks for. Raises ProblemError invalid_request for a pause with a goal."""
    if body.mode is RequestMode.PAUSE and (body.power_w is not None or body.until_soc_pct is not None):
        raise _invalid("a pause takes neither power_w nor until_soc_pct")
    expires_at = utc + timedelta(seconds=body.duration_s)
    return Request(request_id, device, body.mode, expires_at, body.power_w, body.until_soc_pct)


def new_reserve(
    window_id: str,
    source: str,
    body: ReserveBody,
    devices: Mapping[DeviceId, DeviceInfo],
    sold: Sequence[ReserveWindow],
    utc: datetime,
) -> ReserveWindow:
    """Return the window that ``body`` sells. Raises ProblemError invalid_request, unknown_device, or refused beside others."""
    if not body.starts_at < body.ends_at <= body.starts_at + LONGEST_RESERVE:
        raise _invalid(f"ends_at must be after starts_at, by {LONGEST_RESERVE.days} days at most")
    if not utc < body.ends_at <= utc + FARTHEST_RESERVE:
        raise _invalid(f"the window must end in the next {FARTHEST_RESERVE.days} days")
    for device in body.devices:
        actuator(device, devices)
    overlapped = next((w for w in sold if w.starts_at < body.ends_at and body.starts_at < w.ends_at), None)
    if overlapped is not None:
        raise ProblemError(
            "refused",
            f"From {overlapped.starts_at:%Y-%m-%d %H:%M} to {overlapped.ends_at:%Y-%m-%d %H:%M} UTC the reserve is sold"
            f" already ({overlapped.id}).",
        )
    if len(sold) >= MOST_RESERVES:
        raise ProblemError("refused", f"No more than {MOST_RESERVES} windows can be sold ahead.")
    carriers = tuple(dict.fromkeys(body.devices))
    return ReserveWindow(
        window_id,
        body.product,
        body.power_w,
        body.starts_at.astimezone(UTC),
        body.ends_at.astimezone(UTC),
        source,
        carriers,
    )


def new_need(device: DeviceId, body: NeedBody, devices: Mapping[DeviceId, DeviceInfo], utc: datetime) -> Need:
    """Return what the car at ``device`` needs. Raises ProblemError unknown_device or invalid_request."""
    if known(device, devices).kind is not DeviceKind.EVSE:
        raise _invalid(f"{device} is no charger")
    if not utc < body.departs_at <= utc + FARTHEST_NEED:
        raise _invalid(f"departs_at must be in the next {FARTHEST_NEED.days} days")
    return Need(device, body.energy_wh, body.departs_at.astimezone(UTC))


def known(device: DeviceId, devices: Mapping[DeviceId, DeviceInfo]) -> DeviceInfo:
    """Return the device. Raises ProblemError unknown_device."""
    if device not in devices:
        raise ProblemError("unknown_device", f"There is no device {device!r}.")
    return devices[device]


def actuator(device: DeviceId, devices: Mapping[DeviceId, DeviceInfo]) -> DeviceInfo:
    """Return the device, if it takes orders. Raises ProblemError unknown_device or invalid_request."""
    info = known(device, devices)
    if not info.kind.steered:
        raise _invalid(f"{device} takes no power as an order")
    return info


def _given(patch: msgspec.Struct) -> dict[str, Any]:
    return {k: v for k, v in msgspec.structs.asdict(patch).items() if v is not UNSET}


def _invalid(detail: str) -> ProblemError:
    return ProblemError("invalid_request", detail)
