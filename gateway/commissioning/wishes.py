"""What the owner has told the gateway, as it lies on disk: proofs keep to it as well."""

from pathlib import Path

import msgspec

from gateway.model import OwnerSettings
from gateway.services.store import Kept

FILE = "owner.json"


def read(folder: Path) -> OwnerSettings | None:
    """Return the owner's standing wishes, the defaults where nothing was said; None when they cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Kept).owner
    except FileNotFoundError:
        return OwnerSettings()
    except OSError, msgspec.DecodeError, msgspec.ValidationError:
        return None
