"""Pure: the results in words, as a table, CSV and JSON. It says so where lending the car does not pay."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
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


def what_if(found: Mapping[str, Sequence[Result]], currency: str) -> str:
    """Return one row per change: what a year costs under each way, and what planning and lending bring; then where lending pays."""
    ways = list(dict.fromkeys(r.strategy for results in found.values() for r in results))
    short = [NAMES[way].split(":")[0].removeprefix("ours, ") for way in ways]
    head = [
        "changed",
        *(f"{name} {currency}" for name in short),
        "V1G over B2",
        "V2G over V1G",
        "lent kWh",
        "plugged in",
    ]
    rows, pays = [], []
    for name, results in found.items():
        by = {r.strategy: r for r in results}
        planned, lent = gains(results)
        last = results[-1]
        year = 365 / max(last.days, 1e-9)
        nets = [f"{by[way].net * year:.0f}" if way in by else "-" for way in ways]
        rows.append(
            [
                name,
                *nets,
                f"{planned:+.0f}",
                f"**{lent:+.0f}**",
                f"{last.car_out_kwh * year:.0f}",
                f"{last.plugged_pct:.0f} %",
            ]
        )
        if lent >= WORTH_TELLING:
            pays.append(name)
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(head) - 1))
    where = (
        f"Lending the car (V2G over V1G) pays with: {', '.join(pays)}."
        if pays
        else "Lending the car pays in none of these."
    )
    return "\n".join(
        [
            *lines,
            "",
            f"{currency} a year, after wear. {where}",
            *_by_rule(r for rs in found.values() for r in rs),
        ]
    )


def gains(results: Sequence[Result]) -> tuple[float, float]:
    """Return what V1G brings over B2, and V2G over V1G, a year."""
    by = {r.strategy: r for r in results}
    return _yearly(by[Strategy.SMART], by[Strategy.V1G]), _yearly(by[Strategy.V1G], by[Strategy.V2G])


def _by_rule(results: Iterable[Result]) -> list[str]:
    """Say where plans were none of the optimizer's."""
    count = sum(r.plans_by_rule for r in results)
    return [f"{count} plans were made by rule, for want of time or by a fault."] if count else []


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
    return " ".join([*said, *_by_rule(results)])


def _yearly(before: Result, after: Result) -> float:
    return (before.net - after.net) * 365 / max(after.days, 1e-9)


def as_csv(found: Mapping[str, Sequence[Result]]) -> str:
    """Return one row per change and strategy."""
    out = io.StringIO()
    writer = csv.DictWriter(out, ["changed", *(f.name for f in fields(Result)), "bill", "net"])
    writer.writeheader()
    for name, results in found.items():
        writer.writerows({"changed": name, **row} for row in as_json(results))
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
