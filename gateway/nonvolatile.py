"""What control keeps over its own restart and a power cut: one small file in ``state_dir``, replaced as a whole.

A site that cannot tell any more what it kept fails closed: it takes its export for locked out (reference/needs.md 2.3).
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.faults import FaultCode
from gateway.model import LOCK_OUT, Excursions, Remembered

LOGGER = logging.getLogger(__name__)

FILE = "remembered.json"
SEEN = "remembered.once"
"""Stands beside the file from its first writing on, so that a file that went missing is told from a new site."""
PERIOD_S = 60.0


class Faults(Protocol):
    """Who is told when the file cannot be written, and when it can again."""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault."""

    def clear(self, code: FaultCode) -> None:
        """Clear a fault."""


class Nonvolatile:
    """The file of one site; ``load`` once, then ``due`` and ``save``. The disk's errors never leave here."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = folder / FILE
        self._seen = folder / SEEN
        self._clock = clock
        self._kept: Remembered | None = None
        self._tried_at: float | None = None
        self._lost = False

    def load(self) -> Remembered:
        """Return what was kept; of a file that is damaged or gone, nothing but an export that is locked out."""
        try:
            self._kept = _zoned(msgspec.json.decode(self._path.read_bytes(), type=Remembered))
        except FileNotFoundError:
            if not self._seen.exists():
                return Remembered()
            LOGGER.error("%s is gone: what it counted is lost", FILE)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            LOGGER.error("%s: %s; set aside: what it counted is lost", FILE, error)
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".unreadable"))
        else:
            return self._kept
        utc = self._clock()
        return Remembered(excursions=Excursions(locked_until=utc + LOCK_OUT), as_of=utc)

    def due(self, remembered: Remembered, now: float) -> bool:
        """Tell whether it is time to save: at once for what a power cut must not undo, every minute for the rest.

        A disk that refused is asked again every minute.
        """
        kept = self._kept
        rested = self._tried_at is None or now - self._tried_at >= PERIOD_S
        if kept is None or self._lost:
            return rested and (self._lost or _differs(remembered, Remembered()))
        if (remembered.excursions, remembered.backup_phase) != (kept.excursions, kept.backup_phase):
            return True
        return rested and (_differs(remembered, kept) or remembered.excursions != Excursions())

    def save(self, remembered: Remembered, now: float) -> str:
        """Replace the file; on disk when this returns "", else what the disk said. It blocks for one fsync."""
        self._tried_at = now
        draft = self._path.with_suffix(".new")
        try:
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(remembered))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            _sync_folder(self._path.parent)
            self._seen.touch(mode=0o600)
        except OSError as error:
            return error.strerror or repr(error)
        self._kept = remembered
        return ""

    def tell(self, problem: str, faults: Faults) -> None:
        """Raise or clear the fault for the outcome of a save; log when the disk is lost and when it is back."""
        if problem:
            faults.fault(FaultCode.NONVOLATILE_UNWRITABLE, problem)
            if not self._lost:
                LOGGER.warning("%s cannot be written: %s", FILE, problem)
        elif self._lost:
            faults.clear(FaultCode.NONVOLATILE_UNWRITABLE)
            LOGGER.info("%s is written again", FILE)
        self._lost = bool(problem)


def _zoned(remembered: Remembered) -> Remembered:
    """Return it. Raises msgspec.ValidationError for a time without a zone, as only an editor writes it."""
    excursions, peak = remembered.excursions, remembered.peak
    times = (remembered.as_of, excursions.locked_until, peak.month, *excursions.began)
    if naive := [t.isoformat() for t in times if t is not None and t.tzinfo is None]:
        raise msgspec.ValidationError(f"{naive[0]} has no time zone")
    return remembered


def _differs(one: Remembered, other: Remembered) -> bool:
    return replace(one, as_of=None) != replace(other, as_of=None)


def _sync_folder(folder: Path) -> None:
    """Let a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
