"""The price series of the site: read from its file, handed in by a client, or both."""

import logging
from datetime import datetime

from gateway.config import PricesTable
from gateway.faults import Theirs
from gateway.model import PriceSlot
from gateway.planning.prices import read_prices

LOGGER = logging.getLogger(__name__)


class Prices:
    """The price series of the site; ``version`` grows with every change of ``slots``.

    The file is read again when it changes. What a client hands in stands in place of what the file says of the same time.
    """

    def __init__(self, table: PricesTable | None, handed: tuple[PriceSlot, ...] = ()) -> None:
        self._table = table
        self._read_at = 0.0
        self._lost = False
        self._filed: tuple[PriceSlot, ...] = ()
        self._handed = handed
        self.version = 0
        self.slots: tuple[PriceSlot, ...] = handed

    @property
    def wanted(self) -> bool:
        """Tell whether somebody is to tell prices here."""
        return self._table is not None or bool(self._handed)

    def refresh(self) -> None:
        """Read the file if it is newer. A bad file leaves the old series."""
        if self._table is None:
            return
        try:
            changed_at = self._table.file.stat().st_mtime
            if changed_at == self._read_at:
                return
            self._filed = read_prices(self._table.file)
            self._read_at = changed_at
        except (OSError, Theirs) as error:
            if not self._lost:
                LOGGER.warning("prices: %s; keeping the old ones", error)
            self._lost = True
            return
        if self._lost:
            LOGGER.info("prices: readable again")
        self._lost = False
        self._join()

    def hand_in(self, slots: tuple[PriceSlot, ...]) -> None:
        """Take all prices that clients have told."""
        self._handed = slots
        self._join()

    def window(self, start: datetime, end: datetime) -> tuple[PriceSlot, ...]:
        """Return the slots that overlap ``[start, end)``."""
        return tuple(s for s in self.slots if s.starts_at < end and s.ends_at > start)

    def _join(self) -> None:
        self.version += 1
        told = self._handed
        if told:
            begin, end = told[0].starts_at, max(s.ends_at for s in told)
            kept = (s for s in self._filed if s.ends_at <= begin or s.starts_at >= end)
            self.slots = tuple(sorted((*kept, *told), key=lambda s: s.starts_at))
        else:
            self.slots = self._filed
