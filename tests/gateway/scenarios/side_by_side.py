"""Several stories at once: each of them waits most of the time."""

import asyncio
from collections.abc import Coroutine, Mapping


async def side_by_side(stories: Mapping[str, Coroutine[None, None, None]], at_once: int = 6) -> None:
    """Tell all ``stories`` to their end; raise an ExceptionGroup of those that failed, each with its name."""
    turns = asyncio.Semaphore(at_once)

    async def told(name: str, story: Coroutine[None, None, None]) -> None:
        try:
            async with turns:
                await story
        except Exception as wrong:
            wrong.add_note(f"it was: {name}")
            raise

    ends = await asyncio.gather(*(told(*named) for named in stories.items()), return_exceptions=True)
    if failed := [end for end in ends if isinstance(end, Exception)]:
        raise ExceptionGroup("not every story came to its good end", failed)
