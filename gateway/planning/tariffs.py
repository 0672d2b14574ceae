"""Pure: the tariff of site.toml → prices of quarter hours, right on the days on which the clocks change.

Knows no numpy, as the services that show a price do without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from gateway.model import PriceSlot
from gateway.tariff_tables import TariffKind, TariffTable, TariffWindow, Weekday

QUARTER = timedelta(minutes=15)
WEEK = tuple(Weekday)


def priced(
    tariff: TariffTable | None,
    spot: Sequence[PriceSlot],
    starts_at: datetime,
    ends_at: datetime,
    zone: tzinfo,
) -> tuple[PriceSlot, ...]:
    """Return what a kWh costs and earns from ``starts_at`` to ``ends_at``.

    A fixed or time-of-use tariff knows it throughout, in slots as long as the price holds. A dynamic one, and a site without
    a tariff, know it where ``spot`` does.
    """
    if tariff is None or tariff.kind is TariffKind.DYNAMIC:
        within = (s for s in spot if s.starts_at < ends_at and s.ends_at > starts_at)
        return tuple(within if tariff is None else (_marked_up(tariff, s) for s in within))
    return tuple(_by_the_clock(tariff, starts_at, ends_at, zone))


def _marked_up(tariff: TariffTable, slot: PriceSlot) -> PriceSlot:
    """The import price of a slot of spot prices is the market's."""
    spot, sold = slot.import_per_kwh, tariff.export_per_kwh
    bought = (spot + tariff.taxed_markup_per_kwh) * (1 + tariff.vat_pct / 100) + tariff.markup_per_kwh
    return replace(
        slot, import_per_kwh=bought, export_per_kwh=spot - tariff.export_fee_per_kwh if sold is None else sold
    )


def _by_the_clock(
    tariff: TariffTable, starts_at: datetime, ends_at: datetime, zone: tzinfo
) -> Iterator[PriceSlot]:
    begun, price = starts_at, _price_at(tariff, starts_at.astimezone(zone))
    at = starts_at.replace(minute=starts_at.minute // 15 * 15, second=0, microsecond=0) + QUARTER
    while at < ends_at:
        then = _price_at(tariff, at.astimezone(zone))
        if then != price:
            yield PriceSlot(begun, at, *price)
            begun, price = at, then
        at += QUARTER
    if begun < ends_at:
        yield PriceSlot(begun, ends_at, *price)


def _price_at(tariff: TariffTable, local: datetime) -> tuple[float, float]:
    bought, sold = tariff.import_per_kwh, tariff.export_per_kwh
    if (window := next((w for w in tariff.windows if _holds(w, local)), None)) is not None:
        bought = window.import_per_kwh
        sold = sold if window.export_per_kwh is None else window.export_per_kwh
    return bought or 0.0, sold or 0.0


def _holds(window: TariffWindow, local: datetime) -> bool:
    """A window that goes past midnight is of the day on which it begins; one that ends when it begins lasts all day."""
    at, begun_on = local.time(), local
    if window.begins < window.ends:
        inside = window.begins <= at < window.ends
    else:
        inside = at >= window.begins or at < window.ends
        if at < window.begins:
            begun_on = local - timedelta(days=1)
    return inside and WEEK[begun_on.weekday()] in window.days and local.month in window.months
