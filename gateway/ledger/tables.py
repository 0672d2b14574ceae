"""The journal's tables, and how long each remembers."""

from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (
  device TEXT, utc REAL, power_w REAL, soc_pct REAL, in_wh REAL, out_wh REAL, PRIMARY KEY (device, utc)
);
CREATE TABLE IF NOT EXISTS decisions (utc REAL, device TEXT, body BLOB);
CREATE TABLE IF NOT EXISTS plans (id TEXT PRIMARY KEY, utc REAL, body BLOB);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, utc REAL, body BLOB);
CREATE TABLE IF NOT EXISTS grid_events (utc REAL, id TEXT, body BLOB);
CREATE TABLE IF NOT EXISTS faults (
  code TEXT, device TEXT, utc REAL, until REAL, detail TEXT, PRIMARY KEY (code, device, utc)
);
CREATE TABLE IF NOT EXISTS trips (device TEXT, utc REAL, body BLOB, PRIMARY KEY (device, utc));
CREATE TABLE IF NOT EXISTS means (utc REAL PRIMARY KEY, load_w REAL, pv_w REAL);
CREATE TABLE IF NOT EXISTS energy (device TEXT PRIMARY KEY, body BLOB);
CREATE INDEX IF NOT EXISTS samples_utc ON samples (utc);
CREATE INDEX IF NOT EXISTS decisions_utc ON decisions (utc);
CREATE INDEX IF NOT EXISTS plans_utc ON plans (utc);
CREATE INDEX IF NOT EXISTS requests_utc ON requests (utc);
CREATE INDEX IF NOT EXISTS grid_events_utc ON grid_events (utc);
CREATE INDEX IF NOT EXISTS grid_events_id ON grid_events (id, utc);
CREATE INDEX IF NOT EXISTS faults_utc ON faults (utc);
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that each table remembers; energy totals are for life."""

    samples: int = 62
    decisions: int = 30
    plans: int = 30
    requests: int = 365
    grid_events: int = 730
    faults: int = 365
    trips: int = 1100
    means: int = 400
