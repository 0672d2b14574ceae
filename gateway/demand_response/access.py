"""Who may call: tokens of the client-credentials grant, signed so that they survive a restart, and a limit on guessing."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt

TOKEN_LIFE_S = 3600
SCOPES = ("read_all", "read_targets", "read_ven_objects", "write_programs", "write_events")
"""What a utility may be granted; reports and subscriptions are not its to write (OpenADR 3.1, scopes)."""

_ALGORITHM = "HS256"
_AUDIENCE = "openadr3"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token understood: whose it is, and what it allows."""

    client_id: str
    scopes: frozenset[str]


def scopes_granted(asked: str) -> tuple[str, ...]:
    """Return what of the asked scopes is granted: all when none is named, none when none is known."""
    named = set(asked.replace(",", " ").split())
    return tuple(scope for scope in SCOPES if not named or scope in named)


def make_token(key: bytes, client_id: str, scopes: tuple[str, ...]) -> str:
    """Return a bearer token that is good for ``TOKEN_LIFE_S``."""
    now = int(time.time())
    claims = {
        "sub": client_id,
        "aud": _AUDIENCE,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + TOKEN_LIFE_S,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def read_token(key: bytes, token: str) -> Grant | None:
    """Return what the token grants, None when it is forged, expired or no token."""
    try:
        claims = jwt.decode(
            token, key, algorithms=[_ALGORITHM], audience=_AUDIENCE, options={"require": ["exp", "sub"]}
        )
    except jwt.PyJWTError, UnicodeError:
        return None
    return Grant(str(claims["sub"]), frozenset(str(claims.get("scope", "")).split()))


class TokenBucket:
    """Lets ``burst`` attempts through per source, then one every ``period_s``; remembers the latest sources only."""

    def __init__(self, burst: int, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._period_s = period_s
        self._clock = clock
        self._free_at: dict[str, float] = {}

    def admits(self, source: str) -> bool:
        """Take one attempt; False when the source must wait."""
        now = self._clock()
        free_at = max(self._free_at.pop(source, now), now)
        if admitted := free_at - now <= (self._burst - 1) * self._period_s:
            free_at += self._period_s
        self._free_at[source] = free_at
        if len(self._free_at) > 1000:
            self._free_at.pop(next(iter(self._free_at)))
        return admitted
