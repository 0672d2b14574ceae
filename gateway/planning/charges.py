"""Pure: what a tariff asks beyond the price of each kWh, as a problem counts it: the month's peak, and tiers of its import."""

from datetime import datetime, timedelta, tzinfo

from gateway.planning.problem import DemandCharge, Horizon, Tier
from gateway.tariff_tables import TariffTable


def demand(
    tariff: TariffTable | None, horizon: Horizon, zone: tzinfo, peak_so_far_w: float
) -> DemandCharge | None:
    """Return the demand charge of the local month that the horizon begins in; steps of the month after are not of it."""
    if tariff is None or tariff.demand_per_kw <= 0:
        return None
    ends_at = next_month(horizon.starts_at, zone)
    until = next((step for step in range(horizon.steps) if horizon.at(step) >= ends_at), None)
    interval_steps = max(1, round(tariff.demand_interval_min / 60.0 / float(horizon.hours[0])))
    return DemandCharge(tariff.demand_per_kw, peak_so_far_w, interval_steps, until)


def tiers(tariff: TariffTable | None, imported_wh: float) -> tuple[Tier, ...]:
    """Return the tiers as the horizon sees them when ``imported_wh`` were imported this month already."""
    if tariff is None:
        return ()
    rising = [Tier(max(0.0, t.from_kwh * 1000.0 - imported_wh), t.extra_per_kwh) for t in tariff.tiers]
    passed = sum(1 for t in rising if t.from_wh == 0.0)
    return tuple(rising[max(0, passed - 1) :])


def next_month(at: datetime, zone: tzinfo) -> datetime:
    """Return the first instant of the local calendar month after ``at``, in UTC."""
    local = at.astimezone(zone)
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return (first + timedelta(days=31)).replace(day=1).astimezone(at.tzinfo)
