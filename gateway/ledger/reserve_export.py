"""The proof of reserve as a file for the grid operator: CSV, or Parquet where pyarrow is installed."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.faults import Refused
from gateway.ledger.reserve_proof import FILE, connected, stored
from gateway.model import ReserveSecond

COLUMNS = (
    "utc", "window_id", "product", "phase", "sold_w", "frequency_hz", "baseline_w", "response_w", "asked_w", "delivered_w",
    "soc_pct", "available", "devices", "refusals",
)  # fmt: skip
DIGITS = {"frequency_hz": 4, "soc_pct": 2}
PARQUET_ROWS = 50_000


@dataclass(slots=True)
class WindowSum:
    """What the rows say of one window: its first and last second, how many were witnessed, and in how many it was available."""

    window_id: str
    first: datetime
    last: datetime
    witnessed: int = 0
    available: int = 0

    @property
    def available_pct(self) -> float:
        """Share of the seconds from the first to the last in which the reserve was available; a missing one was not."""
        return 100 * self.available / (int((self.last - self.first).total_seconds()) + 1)


def export(folder: Path, start: datetime, end: datetime, to: Path, kind: str) -> list[WindowSum]:
    """Write the seconds of [start, end) to ``to`` as "csv" or "parquet", and return what they say of each window.

    Raises Refused where there is no proof, or no pyarrow for Parquet.
    """
    path = folder / FILE
    if not path.exists():
        raise Refused(f"{path}: no such file; no reserve was sold on this site yet")
    write = {"csv": _csv, "parquet": _parquet}[kind]
    sums: dict[str, WindowSum] = {}
    db = connected(path)
    try:
        write(to, _summed(stored(db, start, end), sums))
    finally:
        db.close()
    return list(sums.values())


def _summed(seconds: Iterable[ReserveSecond], sums: dict[str, WindowSum]) -> Iterator[ReserveSecond]:
    for second in seconds:
        total = sums.setdefault(second.window_id, WindowSum(second.window_id, second.utc, second.utc))
        total.last = second.utc
        total.witnessed += 1
        total.available += second.available
        yield second


def _cells(second: ReserveSecond) -> list[object]:
    cells: list[object] = []
    for name in COLUMNS:
        value = getattr(second, name)
        if isinstance(value, float):
            value = round(value, DIGITS.get(name, 1))
        elif isinstance(value, tuple):
            value = " ".join(value)
        elif isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, bool):
            value = int(value)
        cells.append("" if value is None else value)
    return cells


def _csv(to: Path, seconds: Iterable[ReserveSecond]) -> None:
    with to.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_cells, seconds))


def _parquet(to: Path, seconds: Iterable[ReserveSecond]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise Refused(
            "Parquet needs pyarrow: pip install 'nissan-energy[parquet]', or write --csv instead"
        ) from None
    texts = {"window_id", "product", "phase", "devices", "refusals"}
    kinds = {"utc": pa.timestamp("s", tz="UTC"), "available": pa.bool_(), **dict.fromkeys(texts, pa.string())}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
    with parquet.ParquetWriter(to, schema) as writer:
        batch: list[ReserveSecond] = []
        for second in seconds:
            batch.append(second)
            if len(batch) >= PARQUET_ROWS:
                writer.write_table(_table(pa, schema, batch))
                batch.clear()
        writer.write_table(_table(pa, schema, batch))


def _table(pa: object, schema: object, batch: list[ReserveSecond]) -> object:
    columns = {
        name: [" ".join(v) if isinstance(v := getattr(s, name), tuple) else v for s in batch]
        for name in COLUMNS
    }
    return pa.table(columns, schema=schema)  # type: ignore[attr-defined]  # carries no types
