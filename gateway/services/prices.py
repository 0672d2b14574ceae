"""The price series of the site: read from its file, called by a utility, handed in by a client; the later over the earlier."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from gateway.config import PricesTable
from gateway.faults import Theirs
from gateway.model import PriceSlot
from gateway.planning.prices import read_prices

LOGGER = logging.getLogger(__name__)


class Prices:
    """The price series of the site; ``version`` grows with every change of ``slots``.

    The file is read again when it changes. What a utility calls (``called``) stands in place of what the file says of the same
    time, and what a client hands in, in place of both.
    """

    def __init__(
        self,
        table: PricesTable | None,
        handed: tuple[PriceSlot, ...] = (),
        called: Callable[[], tuple[PriceSlot, ...]] = tuple,
    ) -> None:
        self._table = table
        self._read_at = 0.0
        self._lost = False
        self._filed: tuple[PriceSlot, ...] = ()
        self._handed, self._ask, self._called = handed, called, called()
        self.version = 0
        self.slots = _laid_over(self._called, handed)

    @property
    def wanted(self) -> bool:
        """Tell whether somebody is to tell prices here."""
        return self._table is not None or bool(self._handed or self._called)

    def refresh(self) -> None:
        """Read the file if it is newer, and ask for what is called. A bad file leaves the old series."""
        if (called := self._ask()) != self._called:
            self._called = called
            self._join()
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
        self.slots = _laid_over(_laid_over(self._filed, self._called), self._handed)


def _laid_over(under: tuple[PriceSlot, ...], over: tuple[PriceSlot, ...]) -> tuple[PriceSlot, ...]:
    if not over:
        return under
    begin, end = over[0].starts_at, max(s.ends_at for s in over)
    before = (replace(s, ends_at=min(s.ends_at, begin)) for s in under if s.starts_at < begin)
    after = (replace(s, starts_at=max(s.starts_at, end)) for s in under if s.ends_at > end)
    return tuple(sorted((*before, *over, *after), key=lambda s: s.starts_at))
