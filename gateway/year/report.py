"""Pure: the results in words, as a table, CSV and JSON. It says so where lending the car does not pay."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from gateway.year.result import Result
from gateway.year.strategy import Strategy

NAMES: Mapping[Strategy, str] = {
    Strategy.UNMANAGED: "B0 unmanaged: charges at once, no battery",
    Strategy.TIMER: "B1 timer: cheapest night window",
    Strategy.SMART: "B2 smart: cheapest hours, battery for the house",
    Strategy.V1G: "ours, V1G: car only charges",
    Strategy.V2H: "ours, V2H: car runs the house",
    Strategy.V2G: "ours, V2G: car sells too",
    Strategy.FCR: "ours, V2G and frequency reserve",
}
WORTH_TELLING = 5.0
"""Less than this in a year is no reason to buy a charger."""


def table(results: Sequence[Result], currency: str) -> str:
    """Return a table in Markdown, which is readable as text too."""
    head = (
        f"| way | bill {currency} | wear {currency} | reserve {currency} | net {currency} | bought kWh | sold kWh | "
        "lent by car kWh | cycles car / battery | fade % | departures met | CO2 kg |"
    )
    rows = [
        f"| {NAMES[r.strategy]} | {r.bill:.0f} | {r.wear:.0f} | {r.reserve:.0f} | **{r.net:.0f}** | {r.import_kwh:.0f} | "
        f"{r.export_kwh:.0f} | {r.car_out_kwh:.0f} | {r.car_cycles:.0f} / {r.battery_cycles:.0f} | {r.car_fade_pct:.2f} | "
        f"{r.departures_met_pct:.1f} % of {r.departures} | {'-' if r.co2_kg is None else f'{r.co2_kg:.0f}'} |"
        for r in results
    ]
    return "\n".join([head, "|" + "---|" * 12, *rows])


def verdict(results: Sequence[Result], currency: str) -> str:
    """Return in a few sentences what pays and what does not, per year."""
    by = {r.strategy: r for r in results}
    said: list[str] = []
    ours = [r for r in results if r.strategy.planned]
    if not ours:
        return "Nothing of ours was simulated."
    best = min(ours, key=lambda r: r.net)
    said.extend(
        f"Against {NAMES[name].split(':')[0]}, {best.strategy.value} brings {_yearly(by[name], best):.0f} {currency} a year."
        for name in (Strategy.UNMANAGED, Strategy.TIMER, Strategy.SMART)
        if name in by
    )
    if Strategy.V1G in by:
        for name in (Strategy.V2H, Strategy.V2G, Strategy.FCR):
            if name not in by:
                continue
            gain = _yearly(by[Strategy.V1G], by[name])
            lent = NAMES[name].split(":")[0].removeprefix("ours, ")
            said.append(
                f"{lent} over V1G: {gain:+.0f} {currency} a year"
                + (
                    "."
                    if gain >= WORTH_TELLING
                    else ": it does not pay on this tariff, after wear and losses."
                )
            )
    said.append(f"The car was plugged in {best.plugged_pct:.0f} % of all hours.")
    return " ".join(said)


def _yearly(before: Result, after: Result) -> float:
    return (before.net - after.net) * 365 / max(after.days, 1e-9)


def as_csv(results: Sequence[Result]) -> str:
    """Return one row per strategy."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*(f.name for f in fields(Result)), "bill", "net"])
    writer.writeheader()
    writer.writerows(as_json(results))
    return out.getvalue()


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return plain objects, money rounded to the thousandth."""
    return [
        {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in {**asdict(r), "bill": r.bill, "net": r.net}.items()
        }
        for r in results
    ]
