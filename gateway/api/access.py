"""Who may talk to the gateway: pairing by a one-time code, and tokens with roles.

Both live in ``state_dir`` as files of mode 0600 that are replaced whole. A token is stored as its SHA-256 only. The code
is stored in plain text for the owner to read: who can read that directory owns the gateway anyway.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.api.problems import ProblemError
from gateway.api.schema import Role, TokenView
from gateway.faults import ConfigError

PAIRING_FILE = "pairing_code"
PAIRING_WINDOW = timedelta(minutes=10)
PAIRING_ATTEMPTS = 5


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` as a whole, readable by its owner only; after a power cut it holds the old or the new content.

    Raises ConfigError when the folder cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def open_pairing(state_dir: Path) -> str:
    """Show a fresh six-digit code in ``state_dir`` and return it; works beside a running gateway as well."""
    code = f"{secrets.randbelow(10**6):06d}"
    write_private(state_dir / PAIRING_FILE, f"{code}\n".encode())
    return code


@dataclass(frozen=True, slots=True)
class Token:
    """A paired client; ``sha256`` is the digest of its secret in hex."""

    id: str
    name: str
    role: Role
    created_at: datetime
    sha256: str


class Tokens:
    """The paired clients."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens = _load(path)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def views(self) -> list[TokenView]:
        """Return all clients, without anything secret."""
        return [TokenView(t.id, t.name, t.role, t.created_at) for t in self._tokens.values()]

    def add(self, name: str, role: Role, utc: datetime) -> tuple[Token, str]:
        """Make and store a client; return it with its secret, which is not kept."""
        secret = secrets.token_urlsafe(32)
        token = Token(secrets.token_hex(8), name, role, utc, _digest(secret))
        self._replace(self._tokens | {token.id: token})
        return token, secret

    def remove(self, token_id: str) -> bool:
        """Forget a client; False when there is no such one."""
        if token_id not in self._tokens:
            return False
        self._replace({i: t for i, t in self._tokens.items() if i != token_id})
        return True

    def get(self, token_id: str) -> Token | None:
        """Return a client that still has access."""
        return self._tokens.get(token_id)

    def find(self, secret: str) -> Token | None:
        """Return the client whose secret this is."""
        digest = _digest(secret)
        return next((t for t in self._tokens.values() if hmac.compare_digest(t.sha256, digest)), None)

    def _replace(self, tokens: dict[str, Token]) -> None:
        write_private(self._path, msgspec.json.encode(list(tokens.values())))
        self._tokens = tokens


class Pairing:
    """Lets the holder of the shown code in, once. While nobody is paired the code does not expire.

    ``utc`` is compared with the time at which the code was written; five wrong codes close the window.
    """

    def __init__(self, state_dir: Path, tokens: Tokens) -> None:
        self._path = state_dir / PAIRING_FILE
        self._tokens = tokens
        self._wrong = 0
        self._counted_for = ""
        self._locked = False

    def is_open(self, utc: datetime) -> bool:
        """Tell whether a code is shown that would be accepted."""
        return self._code(utc) is not None

    def redeem(self, attempt: str, utc: datetime) -> None:
        """Accept the shown code and close. Raises ProblemError wrong_code, too_many_attempts or pairing_closed."""
        code = self._code(utc)
        if code is None:
            raise ProblemError("too_many_attempts" if self._locked else "pairing_closed")
        if code != self._counted_for:
            self._counted_for, self._wrong, self._locked = code, 0, False
        if not hmac.compare_digest(code.encode(), attempt.encode()):
            self._wrong += 1
            if self._wrong >= PAIRING_ATTEMPTS:
                self._locked = True
                self._path.unlink(missing_ok=True)
            raise ProblemError("wrong_code")
        self._path.unlink(missing_ok=True)

    def _code(self, utc: datetime) -> str | None:
        try:
            code = self._path.read_text().strip()
            shown_at = datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        except OSError:
            return None
        expired = bool(self._tokens) and not shown_at - PAIRING_WINDOW < utc < shown_at + PAIRING_WINDOW
        return None if expired or not code else code


def _load(path: Path) -> dict[str, Token]:
    try:
        tokens = msgspec.json.decode(path.read_bytes(), type=list[Token])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # rather no service than the wrong guests
        raise ConfigError(f"{path}: cannot be read ({error}); delete it and pair again") from error
    return {t.id: t for t in tokens}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
