"""Pages under docs/ whose sections are written by a bench, each its own and no other."""

import re
from pathlib import Path


def put_section(page: Path, heading: str, body: str) -> None:
    """Replace the section ``heading`` ("## Rivals") of a page up to the next heading of its level, or append it."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    section = f"{heading}\n\n{body.strip()}\n"
    level = heading.split(" ", 1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n.*?(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if found is None:
        text = f"{text.rstrip()}\n\n{section}" if text else section
    else:
        rest = text[found.end() :]
        text = text[: found.start()] + section + (f"\n{rest}" if rest else "")
    page.write_text(text, encoding="utf-8")
