"""Solve one plan after another, without a pause: a home's battery and car over 48 h, with whole-number switches."""

from random import Random

import highspy

STEPS, STEP_H, EFFICIENCY = 192, 0.25, 0.95
STORES = ((10.0, 5.0), (36.0, 6.0))
"""Capacity in kWh and power in kW of each."""


def solve(chance: Random) -> float:
    """Return the cost of the cheapest schedule for random prices."""
    model = highspy.Highs()
    model.silent()
    prices = [chance.uniform(0.02, 0.45) for _ in range(STEPS)]
    cost = model.expr()
    for capacity_kwh, power_kw in STORES:
        stored = model.expr(capacity_kwh / 2)
        for price in prices:
            into = model.addVariable(0, power_kw)
            out = model.addVariable(0, power_kw)
            charging = model.addBinary()
            model.addConstr(into - power_kw * charging <= 0)
            model.addConstr(out + power_kw * charging <= power_kw)
            level = model.addVariable(0, capacity_kwh)
            model.addConstr(level - stored - EFFICIENCY * STEP_H * into + STEP_H / EFFICIENCY * out == 0)
            stored = 1.0 * level
            cost += price * STEP_H * into - 0.9 * price * STEP_H * out
        model.addConstr(stored >= capacity_kwh / 2)
    model.minimize(cost)
    return float(model.getObjectiveValue())


if __name__ == "__main__":
    seeded = Random(1)
    while True:
        solve(seeded)
