"""Is the equipment fit, and what of it is proven: judged anew every few seconds, for the API."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.api.site import EquipmentFinding, EquipmentState, EquipmentVerdict
from gateway.config import SiteConfig
from gateway.faults import Malformed
from gateway.model import DeviceId, Snapshot, VehicleSample
from gateway.supply.findings import Finding, Verdict, worst
from gateway.supply.fitness import assess
from gateway.supply.record import FILE, Record, identity, load
from gateway.supply.site import Equipment
from gateway.supply.texts import remedy, text

LOGGER = logging.getLogger(__name__)

LOOK_S = 10.0
SHOWN = {
    Verdict.PASS: EquipmentVerdict.PASSED,
    Verdict.ATTENTION: EquipmentVerdict.ATTENTION,
    Verdict.FAIL: EquipmentVerdict.FAILED,
    Verdict.UNKNOWN: EquipmentVerdict.NOT_PROVEN,
}


class EquipmentBoard:
    """``states`` is by device. A car that has left is judged as it was last seen."""

    def __init__(self, config: SiteConfig) -> None:
        self._config = config
        self._cars: dict[DeviceId, VehicleSample] = {}
        self._looked_at: float | None = None
        self._read_at: int | None = None
        self._record = Record()
        self.states: Mapping[DeviceId, EquipmentState] = {}

    def look(self, snapshot: Snapshot) -> None:
        """Judge the equipment by a report of the fast path, unless that was done a moment ago."""
        if self._looked_at is not None and 0 <= snapshot.at - self._looked_at < LOOK_S:
            return
        self._looked_at = snapshot.at
        self._refresh()
        self._cars |= {i: s.vehicle for i, s in snapshot.evses.items() if s is not None and s.vehicle}
        tables = self._config.devices
        identities = {i: identity(d, tables[i].rest) for i, d in snapshot.devices.items() if i in tables}
        findings = assess(Equipment(snapshot, self._config.grid, self._record, identities, self._cars))
        self.states = {
            device: self._state(device, tuple(f for f in findings if f.device == device))
            for device in snapshot.devices
        }

    def _state(self, device: DeviceId, findings: Sequence[Finding]) -> EquipmentState:
        shown = tuple(_shown(f) for f in findings)
        return EquipmentState(SHOWN[worst(findings)], self._proven_at(device), shown)

    def _proven_at(self, device: DeviceId) -> datetime | None:
        return max((p.at for p in self._record.proofs if p.device == device), default=None)

    def _refresh(self) -> None:
        """Read what commissioning has proven when its file has changed; one that cannot be read proves nothing."""
        try:
            changed_at: int | None = (self._config.state_dir / FILE).stat().st_mtime_ns
        except OSError:
            changed_at = None
        if changed_at == self._read_at:
            return
        self._read_at = changed_at
        try:
            self._record = load(self._config.state_dir)
        except Malformed as error:
            LOGGER.warning("%s; nothing counts as proven", error)
            self._record = Record()


def _shown(finding: Finding) -> EquipmentFinding:
    return EquipmentFinding(
        check=finding.check,
        verdict=SHOWN[finding.verdict],
        text=text(finding),
        remedy=remedy(finding),
        text_key=finding.text_key,
        remedy_key=finding.remedy_key,
        detail=dict(finding.detail),
    )
