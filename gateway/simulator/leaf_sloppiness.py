"""What real cars do beside the book (reference/can.md 3.4, 3.5, 3.9, 3.10, 4 and 6.3)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Sloppiness:
    """A car by the book has none of it.

    ``refusals``: so many sessions end with 102.5.4 when the car should permit. ``uncharged_patience_s``: the session
    ends after so long without a reported charging current (109.3 = 0); 0 is endless.
    """

    slow_frames: bool = False
    half_filled: bool = False
    early_request: bool = False
    clings_to_permission: bool = False
    silent_once_open: bool = False
    never_permits: bool = False
    never_closes: bool = False
    never_requests: bool = False
    needs_700_v: bool = False
    refusals: int = 0
    uncharged_patience_s: float = 0.0


NAMES = tuple(field.name for field in fields(Sloppiness))


def sloppiness(wishes: Mapping[str, Any]) -> Sloppiness:
    """Return what ``wishes`` names and nothing else. Raises ValueError or TypeError."""
    usual = asdict(Sloppiness())
    for name, value in wishes.items():
        if name not in usual:
            raise ValueError(f"{name!r} is none of: {', '.join(NAMES)}")
        kind = type(usual[name])
        told = isinstance(value, bool)
        fits = told if kind is bool else not told and isinstance(value, int | float) and value >= 0
        if not fits:
            raise TypeError(f"{name} is a {kind.__name__}")
        usual[name] = kind(value)
    return Sloppiness(**usual)


def sloppiness_in_words(text: str) -> Sloppiness:
    """Read ``slow_frames,refusals=2`` of the command line. Raises ValueError."""
    wishes: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        wishes[name] = float(value) if value else True
    try:
        return sloppiness(wishes)
    except TypeError as error:
        raise ValueError(str(error)) from error
