"""Check who imports whom, by the contracts in pyproject.toml, leaving out modules that are not written yet.

import-linter refuses a contract that names a module which is not there; the house's plan names them all.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OURS = ("gateway", "custom_components")
MODULE_LISTS = ("source_modules", "forbidden_modules", "modules")

DECORATION = re.compile("^-*$|^Contracts$|[═║╝└◀]")


def exists(module: str) -> bool:
    """Tell whether a module of ours is written; anyone else's is taken for granted."""
    if not module.startswith(OURS):
        return True
    parent = module.rpartition(".")[0]
    if parent and parent != "custom_components" and not exists(parent):
        return False
    path = ROOT.joinpath(*module.split("."))
    return (path / "__init__.py").exists() or path.with_suffix(".py").exists()


def narrow(contract: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the contract over the modules that exist, and the names of those that do not."""
    kept = dict(contract)
    missing: list[str] = []
    for key in MODULE_LISTS:
        if key in kept:
            missing += [name for name in kept[key] if not exists(name)]
            kept[key] = [name for name in kept[key] if exists(name)]
    if "layers" in kept:
        floors = [[name.strip() for name in floor.split("|")] for floor in kept["layers"]]
        prefix = kept["containers"][0]
        missing += [
            f"{prefix}.{name}" for floor in floors for name in floor if not exists(f"{prefix}.{name}")
        ]
        floors = [[name for name in floor if exists(f"{prefix}.{name}")] for floor in floors]
        kept["layers"] = [" | ".join(floor) for floor in floors if floor]
    return kept, missing


def says_something(contract: dict[str, Any]) -> bool:
    """Tell whether enough modules are left for the contract to be checked."""
    if contract["type"] == "independence":
        return len(contract["modules"]) > 1
    if contract["type"] == "layers":
        return len(contract["layers"]) > 1
    return bool(contract["source_modules"] and contract["forbidden_modules"])


def toml(value: object) -> str:
    """Write a value of the kinds that contracts have."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return '"' + str(value) + '"'


def main() -> int:
    """Run import-linter on the narrowed contracts."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["tool"]["importlinter"]
    contracts = [narrow(contract) for contract in settings.pop("contracts")]
    settings["root_packages"] = [name for name in settings["root_packages"] if exists(name)]
    if not settings["root_packages"]:
        print("nothing to check yet")
        return 0
    missing = sorted({name for _, names in contracts for name in names})
    lines = ["[tool.importlinter]", *(f"{key} = {toml(value)}" for key, value in settings.items())]
    for contract, _ in contracts:
        if says_something(contract):
            lines += [
                "[[tool.importlinter.contracts]]",
                *(f"{key} = {toml(value)}" for key, value in contract.items()),
            ]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "contracts.toml"
        config.write_text("\n".join(lines), encoding="utf8")
        linter = Path(sys.executable).with_name("lint-imports")
        command = [str(linter), str(config), "--cache-dir", str(ROOT / ".import_linter_cache")]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", answer.stdout + answer.stderr)
    print(*(line for line in text.splitlines() if not DECORATION.search(line)), sep="\n")
    if missing:
        print("Not written yet:", *missing)
    return answer.returncode


if __name__ == "__main__":
    sys.exit(main())
