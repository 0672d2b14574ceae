"""The planner's own process, as the services ask it: started on first need, killed when late, ended when long idle."""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process

import msgspec

from gateway.faults import Malformed, Unreachable
from gateway.link import plain
from gateway.planning.question import Answer, Question

LOGGER = logging.getLogger(__name__)

START_S = 45.0
"""A busy machine may need so long to start it; what the solving takes comes on top."""
IDLE_S = 60.0
MAX_ANSWER_BYTES = 64 << 20


class SolverProcess:
    """One question at a time. Between two that follow each other soon it stays up, for it then solves from the last answer."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "gateway.planning.worker")) -> None:
        self._command = command
        self._process: Process | None = None
        self._encoder = msgspec.msgpack.Encoder(enc_hook=plain)
        self._decoder = msgspec.msgpack.Decoder(Answer)

    @property
    def running(self) -> bool:
        """Tell whether the process is up."""
        return self._process is not None and self._process.returncode is None

    async def ask(self, question: Question, patience_s: float = START_S) -> Answer:
        """Return the answer. Raises Unreachable when the process cannot be started, dies, or is late; the next call starts anew."""
        try:
            async with asyncio.timeout(question.within_s + patience_s):
                return await self._asked(self._encoder.encode(question))
        except TimeoutError:
            raise Unreachable(
                f"the optimiser gave no answer in {question.within_s + patience_s:g} s"
            ) from None
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError, Malformed) as error:
            raise Unreachable(f"the optimiser failed: {error!r}") from None

    async def _asked(self, body: bytes) -> Answer:
        """Ask; whatever ends this early ends the process as well, for its answer would belong to no question."""
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        answered = False
        try:
            process.stdin.write(len(body).to_bytes(4, "big") + body)
            await process.stdin.drain()
            size = int.from_bytes(await process.stdout.readexactly(4), "big")
            if size > MAX_ANSWER_BYTES:
                raise Malformed(f"an answer of {size} bytes")
            answer = self._decoder.decode(await process.stdout.readexactly(size))
            answered = True
        finally:
            if not answered:
                await self.close()
        return answer

    async def _started(self) -> Process:
        if not self.running or self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, process_group=0
            )
            LOGGER.debug("optimiser started, pid %d", self._process.pid)
        return self._process

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
