"""The [tariff] table of site.toml: what the owner pays and is paid."""

from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from itertools import pairwise

from gateway.decoding import within
from gateway.faults import ConfigError

_EXTRAS = ("markup_per_kwh", "taxed_markup_per_kwh", "export_fee_per_kwh")


class TariffKind(StrEnum):
    FIXED = "fixed"
    TIME_OF_USE = "time_of_use"
    DYNAMIC = "dynamic"


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True)
class TariffWindow:
    """Prices of part of the day by the local clock, past midnight where it ends before it begins; every day and month unless said."""

    begins: time
    ends: time
    import_per_kwh: float
    export_per_kwh: float | None = None
    days: tuple[Weekday, ...] = tuple(Weekday)
    months: tuple[int, ...] = tuple(range(1, 13))

    def check(self, where: str) -> None:
        """Refuse a window that no quarter hour can tell, and months that are none."""
        for key in ("begins", "ends"):
            at = getattr(self, key)
            if at.minute % 15 or at.second or at.microsecond:
                raise ConfigError(f"{where}.{key}: {at} is not possible; write a whole quarter of an hour")
        _price(self.import_per_kwh, f"{where}.import_per_kwh")
        _price(self.export_per_kwh, f"{where}.export_per_kwh")
        if not set(self.months) <= set(range(1, 13)):
            raise ConfigError(f"{where}.months: {list(self.months)} is not possible; write 1 to 12")


@dataclass(frozen=True, slots=True)
class TariffTier:
    """Above ``from_kwh`` of import in a calendar month each kWh costs ``extra_per_kwh`` more."""

    from_kwh: float
    extra_per_kwh: float

    def check(self, where: str) -> None:
        """Refuse a tier that no household reaches."""
        within(self.from_kwh, 0, 1_000_000, f"{where}.from_kwh")
        within(self.extra_per_kwh, 0, 1000, f"{where}.extra_per_kwh")


@dataclass(frozen=True, slots=True)
class TariffTable:
    """What the owner pays and is paid.

    ``fixed`` and ``time_of_use`` go by ``import_per_kwh`` and ``export_per_kwh``, the latter outside its windows, of which the
    first that fits holds; nothing is paid for export unless said. ``dynamic`` makes prices of the spot prices of [prices] or those handed in: import is
    (spot + ``taxed_markup_per_kwh``) x (1 + VAT) + ``markup_per_kwh``, export is ``export_per_kwh`` where given, else
    spot - ``export_fee_per_kwh``.
    ``demand_per_kw`` is paid for the highest mean import of ``demand_interval_min`` in a calendar month.
    """

    kind: TariffKind
    import_per_kwh: float | None = None
    export_per_kwh: float | None = None
    windows: tuple[TariffWindow, ...] = ()
    vat_pct: float = 0.0
    markup_per_kwh: float = 0.0
    taxed_markup_per_kwh: float = 0.0
    export_fee_per_kwh: float = 0.0
    tiers: tuple[TariffTier, ...] = ()
    demand_per_kw: float = 0.0
    demand_interval_min: float = 15.0

    def check(self, where: str) -> None:
        """Refuse a kind without what it needs, and what the other kinds alone know."""
        dynamic = self.kind is TariffKind.DYNAMIC
        if not dynamic and self.import_per_kwh is None:
            raise ConfigError(f"{where}.import_per_kwh: missing; a {self.kind} tariff has a price")
        if dynamic and self.import_per_kwh is not None:
            raise ConfigError(f"{where}.import_per_kwh: a dynamic tariff has none; write markup_per_kwh")
        if (self.kind is TariffKind.TIME_OF_USE) != bool(self.windows):
            raise ConfigError(f"{where}.windows: a time_of_use tariff has some, and no other kind has any")
        for key in ("import_per_kwh", "export_per_kwh", *_EXTRAS):
            _price(getattr(self, key), f"{where}.{key}")
        within(self.vat_pct, 0, 100, f"{where}.vat_pct")
        within(self.demand_per_kw, 0, 1000, f"{where}.demand_per_kw")
        if self.demand_interval_min not in (15, 30, 60):
            raise ConfigError(
                f"{where}.demand_interval_min: {self.demand_interval_min:g} is not possible; write 15, 30 or 60"
            )
        for number, (tier, after) in enumerate(pairwise(self.tiers), start=1):
            if after.from_kwh <= tier.from_kwh or after.extra_per_kwh < tier.extra_per_kwh:
                raise ConfigError(
                    f"{where}.tiers[{number}]: tiers rise; write from_kwh and extra_per_kwh above those before"
                )


def _price(value: float | None, where: str) -> None:
    if value is not None:
        within(value, -1000, 1000, where)
