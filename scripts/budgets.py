"""Check that files and functions stay small and that no module has a name that means nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 400
FUNCTION_LINES = 50
FOLDERS = ("gateway", "custom_components", "scripts")
# Such a module takes in whatever has no place, until nobody knows what it is for.
EMPTY_NAMES = {
    "base", "common", "core", "handler", "handlers", "helper", "helpers", "manager", "misc", "util", "utils",
}  # fmt: skip


def python_files() -> list[Path]:
    """Return the product's files, committed or not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({path for name in listed if (path := ROOT / name).suffix == ".py" and path.exists()})


def complaints(path: Path) -> Iterator[str]:
    """Yield what is wrong with one file."""
    name = path.relative_to(ROOT)
    text = path.read_text(encoding="utf8")
    if (lines := text.count("\n")) > FILE_LINES:
        yield f"{name}: {lines} lines, {FILE_LINES} allowed: split it by purpose"
    for part in (*name.parts[1:-1], path.stem):
        if part in EMPTY_NAMES:
            yield f"{name}: {part!r} says nothing: name the module for what it does"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, {FUNCTION_LINES} allowed"


def main() -> int:
    """Print every complaint; fail if there is one."""
    files = python_files()
    found = [complaint for path in files for complaint in complaints(path)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(files)} files, {len(found)} over budget")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
