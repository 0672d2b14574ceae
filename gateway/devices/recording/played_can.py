"""A CAN bus that hears a recording, in the shape of python-can."""

import contextlib
import os
from collections import deque
from typing import Any, override

import can

from gateway.devices.recording.events import Frame


class PlayedCan(can.BusABC):
    """A bus that hears what is put on it; what is sent on it goes nowhere."""

    def __init__(self, wire: str) -> None:
        super().__init__(wire)
        self._frames: deque[can.Message] = deque()
        self._why = ""
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, frame: Frame) -> None:
        """Let the bus hear a frame."""
        if self._ready >= 0:
            self._frames.append(
                can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False, check=False)
            )
            os.eventfd_write(self._ready, 1)

    def fail(self, why: str) -> None:
        """Let the next look at the bus fail."""
        if self._ready >= 0:
            self._why = why
            os.eventfd_write(self._ready, 1)

    @override
    def fileno(self) -> int:
        return self._ready

    @override
    def recv(self, timeout: float | None = None) -> can.Message | None:
        if self._why:
            raise can.CanOperationError(self._why)
        if self._frames:
            return self._frames.popleft()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ready)
        return None

    @override
    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Nobody listens."""

    @override
    def send_periodic(self, *arguments: Any, **more: Any) -> Any:
        """Begin nothing: the caller tells each frame by itself."""
        return _Periodic()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1


class _Periodic:
    def modify_data(self, message: can.Message) -> None:
        """Nobody listens."""

    def stop(self) -> None:
        """Nothing was begun."""
