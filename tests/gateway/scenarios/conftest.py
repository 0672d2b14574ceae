"""One house and one gateway for a story."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.scenarios.scene import Scene, scene_of


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene_of(tmp_path) as built:
        yield built
