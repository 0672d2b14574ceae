"""What commissioning has proven, on disk: ``state_dir/commissioning.json``.

A proof holds for one device as it was: another serial number, firmware or wiring in site.toml, and it no longer counts.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway.faults import Malformed
from gateway.model import DeviceId, DeviceInfo, VehicleSample
from gateway.supply.findings import Check, Finding, Verdict
from gateway.supply.texts import remedy, text

VERSION = 1
FILE = "commissioning.json"
_SAYS_NOTHING_OF_WIRING = {
    "name", "host", "port", "poll_s", "frozen_after_s", "can_interface", "can_channel",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """One active proof on one unit: ``figures`` are what was measured, and fill in the sentence ``text_key``."""

    device: DeviceId
    check: Check
    verdict: Verdict
    text_key: str
    at: datetime
    identity: str
    figures: Mapping[str, str | float | None] = field(default_factory=dict)
    remedy_key: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """All proofs of a site, the newest of each kind, and each car as it last told of itself to its charger."""

    version: int = VERSION
    site: str = ""
    proofs: tuple[Proof, ...] = ()
    cars: Mapping[DeviceId, VehicleSample] = field(default_factory=dict)

    def proof(self, device: DeviceId, check: Check) -> Proof | None:
        """Return the newest proof, whether it still counts or not."""
        return next((p for p in self.proofs if (p.device, p.check) == (device, check)), None)

    def proven(self, proof: Proof) -> Record:
        """Return the record with ``proof`` in place of any earlier one of its kind.

        What could not be tried takes nothing away from what was found on the same unit before.
        """
        before = self.proof(proof.device, proof.check)
        if before and proof.verdict is Verdict.UNKNOWN and same(before.identity, proof.identity):
            return self
        kept = (p for p in self.proofs if (p.device, p.check) != (proof.device, proof.check))
        return replace(self, proofs=(*kept, proof))


def identity(info: DeviceInfo, table: Mapping[str, Any]) -> str:
    """Return what a proof of this device hangs on: driver, serial number, firmware, and its wiring in site.toml."""
    wiring = json.dumps(_wiring(table), sort_keys=True, default=str)
    digest = hashlib.sha256(wiring.encode()).hexdigest()[:12]
    return f"{info.driver} serial={info.serial or '?'} firmware={info.version or '?'} wiring={digest}"


def hangs_on(check: Check, device: str, meter: str) -> str:
    """Return what one proof hangs on, by the identities of the device and of the grid meter, which sees its wiring."""
    return f"{device}, seen by {meter}" if check is Check.WIRING_PROOF and meter else device


def same(then: str, now: str) -> bool:
    """Tell whether it is still what it was; what a device has not told now (``?``) speaks against nothing."""
    return re.fullmatch(re.escape(now).replace(r"=\?", "=.*"), then) is not None


def _wiring(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _wiring(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if key not in _SAYS_NOTHING_OF_WIRING
    }


def encode(record: Record) -> bytes:
    """Return the record as JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def load(folder: Path) -> Record:
    """Read the record of a site, an empty one where none was kept. Raises Malformed for one that cannot be read."""
    try:
        record = msgspec.json.decode((folder / FILE).read_bytes(), type=Record)
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Malformed(f"{FILE}: {error}") from None
    if record.version != VERSION:
        raise Malformed(f"{FILE}: version {record.version}, this is {VERSION}")
    for proof in record.proofs:
        _check_words(proof)
    return record


def _check_words(proof: Proof) -> None:
    """Refuse a proof without a sentence, or without the figures that it needs. Raises Malformed."""
    said = {**proof.figures, "proven_at": ""}
    finding = Finding(proof.check, proof.device, proof.verdict, proof.text_key, said, proof.remedy_key)
    try:
        text(finding), remedy(finding)
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed(f"{FILE}: {proof.check} of {proof.device}: {error!r}") from None
