"""Homes planned by EMHASS, run with the Python that has it: `emhass_home.py RUNS FILE…`.

It knows neither the bench nor the gateway. Ways to say what the car is, which EMHASS has no word for:
``loads``: each stay is a load that may be put off, by what the car lacks for its next departure; ``batteries``: a second
battery that never leaves, and ends with what its journeys take beside what is wanted in it.
"""

import json
import logging
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

import emhass
import pandas as pd
from emhass.optimization import Optimization

LOAD, SUN, BUY, SELL = "sensor.load", "sensor.sun", "buy", "sell"
UNBOUND_W = 1e5
RUNS = {"loads": None, "batteries": 1}
"""The second way ends in schedules that cannot be done: its time is of no interest."""


def stays(given):
    """Return (first step, step after the last, AC kWh) of each stay of the car that has to be charged in."""
    car, steps = given["v"], given["T"]
    found, level, first = [], car["e0"], 0
    for step in range(steps + 1):
        ends = step == steps
        if ends or car["dep"][step]:
            wanted = car["eT"] if ends else car["dep_req"]
            if wanted > level:
                found.append((first, step, (wanted - level) / car["eta"]))
                level = wanted
        if not ends and car["ret"][step]:
            level, first = level - car["trip"], step
    return found


def settings(given, way):
    """Return EMHASS's own defaults, changed to what the file says; gap 0, as it is to be compared with an optimum."""
    conf = json.loads((Path(emhass.__file__).parent / "data" / "config_defaults.json").read_text("utf8"))
    conf |= {
        "optimization_time_step": timedelta(hours=given["dt"]),
        "delta_forecast_daily": timedelta(hours=given["dt"] * given["T"]),
        "time_zone": "UTC",
        "sensor_power_photovoltaics": SUN,
        "sensor_power_load_no_var_loads": LOAD,
        "lp_solver_mip_rel_gap": 0.0,
        "set_nodischarge_to_grid": False,
        "maximum_power_from_grid": given["imp_max"] * 1e3,
        "maximum_power_to_grid": UNBOUND_W,
    }
    return conf | deferrable(given, stays(given) if way == "loads" else []) | batteries(packs(given, way))


def packs(given, way):
    """Return the packs that are told as batteries."""
    return [given["b"]] if way == "loads" else [given["b"], given["v"]]


def deferrable(given, stays):
    """Return the car's stays as loads of its power, each for the hours that its charging takes."""
    car, count = given["v"], len(stays)
    return {
        "number_of_deferrable_loads": count,
        "nominal_power_of_deferrable_loads": [car["p"] * 1e3] * count,
        "minimum_power_of_deferrable_loads": [0.0] * count,
        "operating_hours_of_each_deferrable_load": [kwh / car["p"] for _, _, kwh in stays],
        "start_timesteps_of_each_deferrable_load": [first for first, _, _ in stays],
        "end_timesteps_of_each_deferrable_load": [end for _, end, _ in stays],
        "treat_deferrable_load_as_semi_cont": [False] * count,
        "set_deferrable_load_single_constant": [False] * count,
        "set_deferrable_startup_penalty": [0.0] * count,
        "set_deferrable_max_startups": [0] * count,
        "def_minimum_on_time": [0] * count,
        "def_minimum_off_time": [0] * count,
        "deferrable_load_max_cost": [0.0] * count,
        "cost_forecast_per_deferrable_load": [None] * count,
        "is_electric_load": [True] * count,
    }


def batteries(packs):
    """Return the batteries; EMHASS limits what leaves the cell, the file what leaves the inverter."""
    return {
        "set_use_battery": True,
        "number_of_batteries": len(packs),
        "battery_nominal_energy_capacity": [p["cap"] * 1e3 for p in packs],
        "battery_minimum_state_of_charge": [p["emin"] / p["cap"] for p in packs],
        "battery_maximum_state_of_charge": [1.0 for _ in packs],
        "battery_target_state_of_charge": [p["eT"] / p["cap"] for p in packs],
        "battery_charge_power_max": [p["p"] * 1e3 for p in packs],
        "battery_discharge_power_max": [p["p"] / p["eta"] * 1e3 for p in packs],
        "battery_charge_efficiency": [p["eta"] for p in packs],
        "battery_discharge_efficiency": [p["eta"] for p in packs],
    }


def planned(given, way, solves):
    """Return how it ended, the powers per device in kW, and the seconds of building and solving, and of solving once more."""
    conf = settings(given, way)
    at = pd.date_range("2024-01-01", periods=given["T"], freq=conf["optimization_time_step"], tz="UTC")
    sun, load = (pd.Series(given[key], index=at) * 1e3 for key in ("pv", "load"))
    data = pd.DataFrame({BUY: given["p_imp"], SELL: given["p_exp"], SUN: sun, LOAD: load}, index=at)
    told = packs(given, way)
    begin = [p["e0"] / p["cap"] for p in told]
    end = [min(1.0, (p["eT"] + p.get("trip", 0.0) * sum(p.get("ret", ()))) / p["cap"]) for p in told]
    seconds, result = [(perf_counter(), process_time())], None
    optimization = Optimization(conf, conf, conf, BUY, SELL, "profit", {}, logging.getLogger("emhass"))
    for _ in range(solves):
        result = optimization.perform_dayahead_forecast_optim(data, sun, load, soc_init=begin, soc_final=end)
        seconds.append((perf_counter(), process_time()))
    return {
        "status": optimization.optim_status,
        "power_kw": powers(result, way),
        "solve_s": seconds[1][0] - seconds[0][0],
        "cpu_s": seconds[1][1] - seconds[0][1],
        "again_s": seconds[-1][0] - seconds[-2][0],
    }


def powers(result, way):
    """Return what each device draws in kW; EMHASS counts what a battery gives as positive."""
    if way == "batteries":
        return {"battery": kw(-result["P_batt_0"]), "car": kw(-result["P_batt_1"])}
    loads = [result[name] for name in result.columns if name.startswith("P_deferrable")]
    return {"battery": kw(-result["P_batt"]), "car": kw(sum(loads, 0.0 * result["P_batt"]))}


def kw(watts):
    """Return the series in kW as a plain list."""
    return [round(float(value) / 1e3, 6) for value in watts]


def main():
    """Plan each file in both ways, so many times each; the least seconds count. One line of JSON for each."""
    runs, files = int(sys.argv[1]), sys.argv[2:]
    logging.basicConfig(level=logging.ERROR)
    warnings.simplefilter("ignore")
    for file in files:
        given = json.loads(Path(file).read_text("utf8"))
        for way, most in RUNS.items():
            answers = [planned(given, way, 1 if most else 2) for _ in range(most or runs)]
            least = {key: min(a[key] for a in answers) for key in ("solve_s", "cpu_s", "again_s")}
            print(json.dumps({"file": Path(file).name, "way": way} | answers[-1] | least), flush=True)


if __name__ == "__main__":
    main()
