"""Events of a calendar → the journeys of the cars. Plain: no Home Assistant in it."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

WH_PER_KM = 180.0
_DISTANCE = re.compile(r"\bkm\s*(\d{1,4})\b|\b(\d{1,4})\s*km\b", re.IGNORECASE)
_CHARGE = re.compile(r"\b(\d{1,3})\s*%")


def journeys(events: Iterable[Mapping[str, Any]], chargers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the journeys that ``events`` announce: the car leaves when one begins and is back when it ends.

    ``chargers`` is id → name. Of several, an event names the one it means, or tells nothing. An event of whole days is no journey.
    """
    return [
        trip for event in events if (device := _device(event, chargers)) and (trip := _trip(event, device))
    ]


def _trip(event: Mapping[str, Any], device: str) -> dict[str, Any] | None:
    try:
        begin, end = (datetime.fromisoformat(str(event[key])) for key in ("start", "end"))
    except KeyError, ValueError:
        return None
    if begin.tzinfo is None or end.tzinfo is None or end <= begin:
        return None
    trip: dict[str, Any] = {
        "device": device,
        "leaves_at": begin.isoformat(),
        "returns_at": end.isoformat(),
    }
    text = _text(event)
    if distance := _DISTANCE.search(text):
        trip["energy_wh"] = WH_PER_KM * float(distance[1] or distance[2])
    if (charge := _CHARGE.search(text)) and float(charge[1]) <= 100:
        trip["target_soc_pct"] = float(charge[1])
    return trip


def _device(event: Mapping[str, Any], chargers: Mapping[str, str]) -> str | None:
    if len(chargers) == 1:
        return next(iter(chargers))
    text = _text(event).casefold()
    return next((d for d, name in chargers.items() if name.casefold() in text or d in text), None)


def _text(event: Mapping[str, Any]) -> str:
    return " ".join(str(event.get(key) or "") for key in ("summary", "description", "location"))
