"""Pure: what a tariff makes of a record of spot prices."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import time, timedelta

import numpy as np

from gateway.faults import Refused
from gateway.model import PriceSlot
from gateway.planning.tariffs import priced
from gateway.tariff_tables import TariffKind, TariffTable, TariffWindow
from gateway.year.record import Record

TARIFFS: Mapping[str, TariffTable] = {
    "dynamic": TariffTable(
        TariffKind.DYNAMIC, taxed_markup_per_kwh=0.1288, vat_pct=21.0, export_fee_per_kwh=0.01
    ),
    "fixed": TariffTable(TariffKind.FIXED, import_per_kwh=0.30, export_per_kwh=0.07),
    "night": TariffTable(
        TariffKind.TIME_OF_USE,
        import_per_kwh=0.29,
        export_per_kwh=0.15,
        windows=(TariffWindow(time(0, 30), time(5, 30), import_per_kwh=0.085),),
    ),
    "two_way": TariffTable(
        TariffKind.TIME_OF_USE,
        import_per_kwh=0.24,
        export_per_kwh=0.24,
        windows=(TariffWindow(time(0, 30), time(5, 30), import_per_kwh=0.085, export_per_kwh=0.085),),
    ),
}
"""Ready ones: Dutch day-ahead with tax; one price; a British night rate; the same night rate with a day price paid for export."""


def under(record: Record, tariff: TariffTable) -> Record:
    """Return the year at the prices of ``tariff``; a dynamic one makes them of the record's, which then are the market's."""
    spot = []
    if tariff.kind is TariffKind.DYNAMIC:
        for at in range(0, len(record.load_w), 4):
            starts_at = record.starts_at + timedelta(minutes=15 * at)
            price = float(record.import_per_kwh[at])
            spot.append(PriceSlot(starts_at, starts_at + timedelta(hours=1), price, price))
    ends_at = record.starts_at + timedelta(minutes=15 * len(record.load_w))
    bought, sold = np.full(len(record.load_w), np.nan), np.full(len(record.load_w), np.nan)
    for slot in priced(tariff, spot, record.starts_at, ends_at, record.zone):
        first, end = (
            round((moment - record.starts_at) / timedelta(minutes=15))
            for moment in (slot.starts_at, slot.ends_at)
        )
        bought[max(first, 0) : end] = slot.import_per_kwh
        sold[max(first, 0) : end] = slot.export_per_kwh
    if np.isnan(bought).any():
        raise Refused("the tariff does not say the price of every hour")
    return replace(record, import_per_kwh=bought, export_per_kwh=sold)
