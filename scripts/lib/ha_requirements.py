"""Print what Home Assistant would install by itself at its first start, for the integrations named as arguments.

Run with the python that has that Home Assistant. DEFAULT stands for those that it sets up unasked.
"""

import json
import sys
from pathlib import Path

import homeassistant
from homeassistant import bootstrap


def requirements(domains: set[str]) -> set[str]:
    """Return the requirements of these integrations and of those they depend on."""
    components = Path(homeassistant.__file__).parent / "components"
    found: set[str] = set()
    seen: set[str] = set()
    while domains:
        seen.add(domain := domains.pop())
        if (manifest := components / domain / "manifest.json").exists():
            content = json.loads(manifest.read_text(encoding="utf8"))
            found |= set(content.get("requirements", []))
            domains |= set(content.get("dependencies", [])) - seen
    return found


named = set(sys.argv[1:])
if "DEFAULT" in named:
    named |= {
        *bootstrap.DEFAULT_INTEGRATIONS,
        *bootstrap.FRONTEND_INTEGRATIONS,
        *bootstrap.LOGGING_AND_HTTP_DEPS_INTEGRATIONS,
    } - {"sentry"}
print(*sorted(requirements(named)), sep="\n")
