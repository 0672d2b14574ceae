"""The owner's standing wishes and leases on disk: written before they are answered, replaced in one piece."""

import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.api.access import write_private
from gateway.model import Need, OwnerSettings, Request, ReserveWindow

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What survives a restart."""

    owner: OwnerSettings = field(default_factory=OwnerSettings)
    requests: tuple[Request, ...] = ()
    reserves: tuple[ReserveWindow, ...] = ()
    needs: tuple[Need, ...] = ()


class OwnerStore:
    """One JSON file. What cannot be read is set aside, and the site falls back to observing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept = self._load()

    def save(self, kept: Kept) -> None:
        """Replace what is kept; on disk when this returns. Raises ConfigError, and then nothing has changed."""
        write_private(self._path, msgspec.json.format(msgspec.json.encode(kept), indent=2))
        self.kept = kept

    def _load(self) -> Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            aside = self._path.with_suffix(".unreadable")
            LOGGER.error(
                "%s: %s; set aside as %s, the site only observes", self._path.name, error, aside.name
            )
            with contextlib.suppress(OSError):
                self._path.replace(aside)
            return Kept()
