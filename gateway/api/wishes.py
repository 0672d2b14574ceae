"""What clients may say, parsed strictly, and what it makes of the owner's wishes.

An unknown field, a wrong type or a value out of range raises ProblemError.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.problems import ProblemError
from gateway.api.schema import Role
from gateway.model import DeviceId, DeviceInfo, OwnerSettings, Request, RequestMode

Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Aware = Annotated[datetime, Meta(tz=True)]


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


class OwnerPatch(_Strict):
    """A part of OwnerSettings; what is left out stays."""

    control_on: bool | UnsetType = UNSET
    stopped: bool | UnsetType = UNSET
    grid_events_allowed: bool | UnsetType = UNSET
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


def patched(owner: OwnerSettings, patch: OwnerPatch, devices: Mapping[DeviceId, DeviceInfo]) -> OwnerSettings:
    """Return ``owner`` with ``patch`` laid over it. Raises ProblemError unknown_device or invalid_request."""
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


def known(device: DeviceId, devices: Mapping[DeviceId, DeviceInfo]) -> DeviceInfo:
    """Return the device. Raises ProblemError unknown_device."""
    if device not in devices:
        raise ProblemError("unknown_device", f"There is no device {device!r}.")
    return devices[device]


def actuator(device: DeviceId, devices: Mapping[DeviceId, DeviceInfo]) -> DeviceInfo:
    """Return the device, if it takes orders. Raises ProblemError unknown_device or invalid_request."""
    info = known(device, devices)
    if not info.kind.steered:
        raise _invalid(f"{device} is a meter and takes no orders")
    return info


def _given(patch: msgspec.Struct) -> dict[str, Any]:
    return {k: v for k, v in msgspec.structs.asdict(patch).items() if v is not UNSET}


def _invalid(detail: str) -> ProblemError:
    return ProblemError("invalid_request", detail)
