"""TOML tables → frozen dataclasses, strictly: what does not fit is one line that says where it stands and what to write instead."""

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.faults import ConfigError

_UNITS = {
    "_w": "watts", "_a": "amperes", "_v": "volts", "_wh": "watt-hours", "_s": "seconds", "_pct": "percent, 0 to 100",
    "_hz": "hertz", "_kw": "kilowatts",
}  # fmt: skip


def within(value: float, low: float, high: float, where: str) -> None:
    """Raise ConfigError unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise ConfigError(f"{where}: {value:g} is impossible; write {low:g} to {high:g}")


def decode[T](cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Decode a TOML table into the frozen dataclass ``cls``; calls its ``check(where)`` if it has one. Raises ConfigError."""
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table_of(table, where).items():
        if key not in fields:
            raise ConfigError(f"{where}.{key}: unknown key{meant(key, list(fields))}")
        values[key] = _value(hints[key], value, f"{where}.{key}")
    for name, f in fields.items():
        if (
            name not in values
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ):
            raise ConfigError(f"{where}.{name}: missing; write {_wanted(hints[name], name)}")
    decoded = cls(**values)
    check = getattr(decoded, "check", None)
    if check is not None:
        check(where)
    return decoded


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        if len(kinds := [a for a in arguments if a is not types.NoneType]) == 1:
            return _value(kinds[0], value, where)
    elif origin is tuple:
        if isinstance(value, list) and len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if isinstance(value, list) and len(arguments) == len(value):
            return tuple(
                _value(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True))
            )
    elif origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {k: _value(arguments[1], v, f"{where}.{k}") for k, v in table_of(value, where).items()}
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value, where)
    elif isinstance(hint, type):
        return _scalar(hint, value, where)
    raise ConfigError(f"{where}: {value!r} does not fit; write {_wanted(hint, where)}")


def _scalar(hint: type, value: Any, where: str) -> Any:
    if issubclass(hint, StrEnum) and isinstance(value, str):
        if value in [member.value for member in hint]:
            return hint(value)
        raise ConfigError(f"{where}: {value!r} is unknown; write one of: {', '.join(hint)}")
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint in (str, bool, time) and isinstance(value, hint):
        return value
    raise ConfigError(f"{where}: {value!r} does not fit; write {_wanted(hint, where)}")


def _wanted(hint: Any, where: str) -> str:
    unit = next((text for suffix, text in _UNITS.items() if where.endswith(suffix)), "")
    kinds = [a for a in typing.get_args(hint) if a is not types.NoneType] or [hint]
    if typing.get_origin(hint) is tuple:
        return "a list in brackets"
    names = {
        int: "a whole number",
        float: "a number",
        str: "a text in quotes",
        bool: "true or false",
        Path: "a path in quotes",
        time: "a time like 07:30:00",
    }
    kind = kinds[0]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of: {', '.join(kind)}"
    return names.get(kind, "a table") + (f" ({unit})" if unit else "")


def table_of(value: Any, where: str) -> Mapping[str, Any]:
    """Return ``value`` as a table. Raises ConfigError."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {value!r} does not fit; write a table [{where}]")
    return value


def meant(key: str, known: list[str]) -> str:
    """Return the end of a sentence that names what was likely meant."""
    if close := difflib.get_close_matches(key, known, 1, 0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}"
