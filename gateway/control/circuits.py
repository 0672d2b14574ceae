"""Pure: nested circuits (sub-boards, groups of chargers) → limits of the devices behind each fuse.

A circuit holds the devices of the circuits within it too. What else it feeds is measured by its own meter, or declared.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.config import CircuitTable, GridTable
from gateway.control.site_limits import FUSE_MARGIN, GroupLimit, grace_w
from gateway.faults import ConfigError
from gateway.model import ZERO, DeviceId, DeviceInfo, DeviceKind, Interval, Reason, Rung, Snapshot


@dataclass(frozen=True, slots=True)
class Circuit:
    """``members`` are all devices behind the fuse, by phase with the share of their power that flows there."""

    name: str
    table: CircuitTable
    members: Mapping[DeviceId, float]
    by_phase: Mapping[int, Mapping[DeviceId, float]]


def expanded(
    tables: Mapping[str, CircuitTable], devices: Mapping[DeviceId, DeviceInfo]
) -> tuple[Circuit, ...]:
    """Return the circuits, the outermost first. Raises ConfigError for a table that cannot be."""
    own = {name: _own(name, table, devices) for name, table in tables.items()}
    seen: dict[DeviceId, str] = {}
    for name, members in own.items():
        for device in members:
            if device in seen:
                raise ConfigError(
                    f"circuits.{name}.devices: {device} is in circuits.{seen[device]} already; name it once"
                )
            seen[device] = name
    _check_nesting(tables)
    circuits = []
    for name in sorted(tables, key=lambda n: len(_above(n, tables))):
        inside = [n for n in tables if name in (n, *_above(n, tables))]
        members = sorted(device for n in inside for device in own[n])
        shares = {
            p: {d: 1 / len(devices[d].phases) for d in members if p in devices[d].phases} for p in (1, 2, 3)
        }
        circuits.append(
            Circuit(
                name,
                tables[name],
                dict.fromkeys(members, 1.0),
                {p: shares[p] for p in tables[name].phases if shares[p]},
            )
        )
    return tuple(circuits)


def _own(name: str, table: CircuitTable, devices: Mapping[DeviceId, DeviceInfo]) -> list[DeviceId]:
    found: list[DeviceId] = []
    for pattern in table.devices:
        hits = [d for d, info in devices.items() if info.kind.steered and fnmatchcase(d, pattern)]
        if not hits:
            raise ConfigError(f"circuits.{name}.devices: no charger or battery {pattern!r} here")
        for device in hits:
            if outside := set(devices[device].phases) - set(table.phases):
                raise ConfigError(
                    f"circuits.{name}.phases: {device} is wired to phase {min(outside)}; write it there too"
                )
        found += hits
    if table.meter and table.meter not in devices:
        raise ConfigError(f"circuits.{name}.meter: no device {table.meter!r} here")
    if table.meter and devices[table.meter].kind is not DeviceKind.METER:
        raise ConfigError(f"circuits.{name}.meter: {table.meter} is no meter")
    return list(dict.fromkeys(found))


def _check_nesting(tables: Mapping[str, CircuitTable]) -> None:
    """Refuse a circuit that has more than the one around it: one of the two was meant otherwise."""
    for name, table in tables.items():
        for around in _above(name, tables)[:1]:
            outer = tables[around]
            if strange := set(table.phases) - set(outer.phases):
                raise ConfigError(f"circuits.{name}.phases: phase {min(strange)} is not in circuits.{around}")
            if table.fuse_a > outer.fuse_a:
                raise ConfigError(
                    f"circuits.{name}.fuse_a: {table.fuse_a:g} is above the {outer.fuse_a:g} of circuits.{around}"
                )


def _above(name: str, tables: Mapping[str, CircuitTable]) -> list[str]:
    """Return the circuits around one, the nearest first."""
    chain: list[str] = []
    while within := tables[name].within:
        if within not in tables:
            raise ConfigError(f"circuits.{name}.within: no circuit {within!r} here")
        if within in chain or within == name:
            raise ConfigError(f"circuits.{name}.within: {within} lies within itself")
        chain.append(within)
        name = within
    return chain


def circuit_limits(circuits: Sequence[Circuit], grid: GridTable, snapshot: Snapshot) -> Iterator[GroupLimit]:
    """Yield a limit for each phase of each circuit."""
    for circuit in circuits:
        table = circuit.table
        meter = snapshot.meters.get(table.meter) if table.meter else None
        for phase, weights in circuit.by_phase.items():
            reason = Reason(Rung.GRID_CONNECTION, f"circuit_l{phase}", circuit.name)
            if table.meter and meter is None:
                yield GroupLimit(reason, weights, ZERO)
                continue
            room_w = table.fuse_a * grid.nominal_voltage_v * FUSE_MARGIN
            others_w = table.other_load_a * grid.nominal_voltage_v
            low_w = high_w = others_w
            if meter is not None:
                drawn_w = sum(_power_w(snapshot, d) * share for d, share in weights.items())
                low_w = high_w = meter.phase_power_w[phase - 1] - drawn_w
            elif others_w:
                low_w = 0.0
            allowed = Interval(-room_w - low_w, room_w - high_w)
            yield GroupLimit(reason, weights, allowed, grace_w=grace_w(room_w))


def _power_w(snapshot: Snapshot, device: DeviceId) -> float:
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return sample.power_w if sample else 0.0
