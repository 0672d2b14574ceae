"""The tolerant reading of the gateway's JSON.

Unknown fields are ignored and a field with a default may be missing; a required field that is missing or of the wrong
type raises InvalidResponse, so that an outage never looks like an empty house.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import datetime, time
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from .errors import InvalidResponse
from .views import SiteView

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
                new[part] = _with(new.get(part, getattr(view, part)), part, item, value)
            else:
                new[part] = parts[part](value)
        for path in change.get("removed", ()):
            part, _, item = path.partition(".")
            if part not in parts:
                continue
            if not item:
                new[part] = _default(part)
            elif isinstance(before := new.get(part, getattr(view, part)), Mapping):
                new[part] = _without(before, item)
        return replace(view, **new, seq=_integer(change["seq"]), at=datetime.fromisoformat(change["at"]))
    except UNREADABLE as err:
        raise InvalidResponse(f"this is no change: {err!r}") from err


def _with(before: Any, part: str, item: str, value: object) -> Any:
    """Return a map, or a group of fixed entries, with one entry replaced; entries unknown to a group are skipped."""
    if isinstance(before, Mapping):
        return {**before, item: _item_reader(part)(value)}
    kind = next((f.type for f in fields(before) if f.name == item), None)
    return before if kind is None else replace(before, **{item: _reader(kind)(value)})


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
