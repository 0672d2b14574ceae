"""Prepare a configuration folder so that Home Assistant starts on 127.0.0.1:PORT and only misses its owner.

Runs in Home Assistant's own environment, as both stores carry that version's numbers: seed_storage.py CONFIG_DIR PORT
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homeassistant.components import onboarding
from homeassistant.components.http import config as http_config


def write_store(storage: Path, key: str, version: int, minor_version: int, data: dict[str, Any]) -> None:
    """Write one file of Home Assistant's storage."""
    store = {"version": version, "minor_version": minor_version, "key": key, "data": data}
    (storage / key).write_text(json.dumps(store), encoding="utf8")


def main(config_dir: Path, port: int) -> None:
    """Mark onboarding as done but for the owner, and set the address to listen on."""
    storage = config_dir / ".storage"
    storage.mkdir(parents=True, exist_ok=True)
    # With core_config done, weather and radio stations of the internet are not set up.
    if not (storage / onboarding.STORAGE_KEY).exists():
        done = [step for step in onboarding.STEPS if step != onboarding.STEP_USER]
        write_store(storage, onboarding.STORAGE_KEY, onboarding.STORAGE_VERSION, 1, {"done": done})
    # An http: block in YAML is a trial that goes back to port 8123 after five minutes, so the confirmed half is written.
    settings = http_config.HTTP_STORAGE_SCHEMA({"server_port": port, "server_host": ["127.0.0.1"]})
    stable = {**settings, "created_at": datetime.now(UTC).isoformat(), "error": None, "error_message": None}
    data = {"stable": stable, "pending": None, "yaml_migration_done": True}
    write_store(storage, "http", http_config.STORAGE_VERSION, http_config.STORAGE_MINOR_VERSION, data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
