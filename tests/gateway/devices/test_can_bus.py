"""One CAN bus: a serial adapter on a pseudo terminal, python-can's virtual bus, and a kernel that keeps the rhythm."""

import asyncio
import contextlib
import errno
import os
import signal
import struct
import tty

import can
import pytest
from can.interfaces.socketcan import socketcan

from gateway.devices import can_bus
from gateway.devices.can_bus import CanBus
from gateway.devices.recording.events import Frame
from gateway.devices.recording.wires import WIRES, Wires
from gateway.devices.slcan import MOST_REFUSALS, SlcanBus
from gateway.faults import Misuse

WAIT_S = 5.0


class Adapter:
    """The far side of a serial CAN adapter."""

    def __init__(self, path) -> None:
        self.path = path
        self.lines: list[str] = []
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        os.close(self.master)
        os.close(self.slave)
        self.path.unlink()

    def say(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\r")

    def heard(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            self.lines += os.read(self.master, 4096).decode().split("\r")
        return self.lines


async def until(holds) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(bus: CanBus, receive):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bus.run(receive))
        yield
        task.cancel()


@pytest.fixture
def adapter(tmp_path):
    adapter = Adapter(tmp_path / "can0")
    yield adapter
    with contextlib.suppress(OSError):
        adapter.unplug()


async def test_frames_go_both_ways_over_a_serial_adapter_in_the_order_given(adapter):
    heard = []
    bus = CanBus("slcan", str(adapter.path))
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        adapter.say("t10280200000000C80300")
        adapter.say("z")
        adapter.say("t1008000000B301640000")
        await until(lambda: len(heard) == 2)
        bus.publish([(0x108, bytes.fromhex("01F4010FB3010000")), (0x109, bytes(8))], 0.1)
        await until(lambda: "t10980000000000000000" in adapter.heard())
    assert heard[0] == (0x102, bytes.fromhex("0200000000C80300"))
    assert "S6" in adapter.lines
    sent = [line for line in adapter.lines if line.startswith("t")]
    assert sent == ["t108801F4010FB3010000", "t10980000000000000000"]


async def test_one_frame_goes_once(adapter):
    bus = CanBus("slcan", str(adapter.path))
    bus.send(0x79B, b"\x02\x21\x01")  # while the bus is down: lost
    async with running(bus, lambda *_: None):
        await until(lambda: bus.up)
        bus.send(0x79B, b"\x02\x21\x02")
        await until(lambda: "t79B3022102" in adapter.heard())
    assert [line for line in adapter.lines if line.startswith("t")] == ["t79B3022102"]


async def test_who_only_listens_opens_the_adapter_so_and_sends_nothing(adapter):
    heard = []
    bus = CanBus("slcan", str(adapter.path), listen_only=True)
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        adapter.say("t1021AB")
        await until(lambda: heard)
        for forbidden in (lambda: bus.send(0x79B, b"\x02"), lambda: bus.publish([(0x108, b"a")], 0.1)):
            with pytest.raises(Misuse, match="only listens"):
                forbidden()
    assert "L" in adapter.heard()
    assert [line for line in adapter.lines if line.startswith(("t", "O"))] == []


async def test_garbage_on_the_line_is_passed_over(adapter):
    heard = []
    bus = CanBus("slcan", str(adapter.path))
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        for line in ("tzzz", "t1029", "t102200", "\xff", "", "t1021AB"):
            adapter.say(line)
        await until(lambda: heard)
    assert heard[-1] == (0x102, b"\xab")


async def test_a_mistake_in_a_receiver_does_not_leave_the_bus_deaf(adapter):
    heard, told = [], []

    def receive(can_id, data):
        heard.append(can_id)
        if len(heard) == 1:
            raise KeyError(can_id)

    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    bus = CanBus("slcan", str(adapter.path))
    async with running(bus, receive):
        await until(lambda: bus.up)
        adapter.say("t1021AB")
        await until(lambda: told)
        adapter.say("t1021AC")
        await until(lambda: len(heard) == 2)
    assert [type(error) for error in told] == [KeyError]


async def test_a_second_program_on_one_adapter_is_refused(adapter):
    bus = CanBus("slcan", str(adapter.path))
    async with running(bus, lambda *_: None):
        await until(lambda: bus.up)
        with pytest.raises(can.CanInitializationError, match=r"exclusively lock|busy"):
            SlcanBus(str(adapter.path), bitrate=500_000)


async def test_of_a_busy_bus_only_the_wanted_frames_are_looked_at(adapter):
    heard = []
    bus = CanBus("slcan", str(adapter.path), ids=frozenset({0x102, 0x1DB}))
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        for line in ("t1001AA", "t1db1BB", "t1DC1CC", "t1021DD"):
            adapter.say(line)
        await until(lambda: len(heard) == 2)
    assert heard == [(0x1DB, b"\xbb"), (0x102, b"\xdd")]


async def test_who_records_hears_every_frame_from_then_on(adapter):
    class Recorder(Wires):
        def tell(self, event):
            told.append(event)

    heard, told, recorder = [], [], Recorder()
    token = WIRES.set(recorder)
    bus = CanBus("slcan", str(adapter.path), ids=frozenset({0x102}))
    WIRES.reset(token)
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        adapter.say("t1001AA")
        adapter.say("t1021BB")
        await until(lambda: heard)
        recorder.observed = True
        adapter.say("t1001CC")
        await until(lambda: len(heard) == 2)
    assert heard == [(0x102, b"\xbb"), (0x100, b"\xcc")]
    assert [event.data for event in told if isinstance(event, Frame)] == [b"\xcc"]


async def test_the_kernel_drops_what_is_not_wanted(monkeypatch):
    kernel, filters = Kernel(), []
    monkeypatch.setattr(can, "Bus", lambda **_: kernel)
    monkeypatch.setattr(kernel, "set_filters", filters.append)
    bus = CanBus("socketcan", "can0", ids=frozenset({0x102}))
    async with running(bus, lambda *_: None):
        await until(lambda: bus.up)
        os.write(kernel._writer, b"x")
        await until(lambda: filters)
    assert filters == [[{"can_id": 0x102, "can_mask": 0x7FF, "extended": False}]]


async def test_an_adapter_that_refuses_frame_after_frame_is_opened_anew(adapter, monkeypatch):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.05)
    bus, heard = CanBus("slcan", str(adapter.path)), []
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        os.write(adapter.master, MOST_REFUSALS * b"\a")
        adapter.say("t1021AB")
        await until(lambda: heard)
        assert bus.up
        os.write(adapter.master, (MOST_REFUSALS + 1) * b"\a")
        await until(lambda: "refuses" in bus.problem)
        await until(lambda: bus.up and adapter.heard().count("O") == 2)


async def test_one_wild_byte_costs_one_line_and_not_the_bus(adapter):
    heard = []
    bus = CanBus("slcan", str(adapter.path))
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        os.write(adapter.master, b"\xff\xfe\r" + b"t10\r" + 500 * b"t")
        adapter.say("")
        adapter.say("t1021AB")
        await until(lambda: heard)
        assert bus.up
    assert heard == [(0x102, b"\xab")]


async def test_an_adapter_that_takes_nothing_is_a_lost_bus_and_never_a_wait(adapter, monkeypatch):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.05)
    bus = CanBus("slcan", str(adapter.path))
    signal.setitimer(signal.ITIMER_REAL, WAIT_S)  # a loop that waits could not time out by itself
    try:
        async with running(bus, lambda *_: None):
            await until(lambda: bus.up)
            for _ in range(4000):
                bus.publish([(0x108, bytes(8))], 0.1)
            await until(lambda: not bus.up and "takes nothing" in bus.problem)
            os.read(adapter.master, 1_000_000)
            await until(lambda: bus.up)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


async def test_a_pulled_adapter_is_logged_once_and_comes_back(adapter, monkeypatch, caplog):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.05)
    caplog.set_level("INFO", "gateway.devices.can_bus")
    bus = CanBus("slcan", str(adapter.path))
    heard = []
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        adapter.unplug()
        await until(lambda: not bus.up and bus.problem)
        bus.publish([(0x108, bytes(8))], 0.1)
        await asyncio.sleep(0.2)
        adapter.plug()
        await until(lambda: bus.up)
        adapter.say("t1021AB")
        await until(lambda: heard)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_bus_without_a_file_descriptor_is_read_in_a_thread():
    heard = []
    bus = CanBus("virtual", "test_can_bus")
    with can.Bus(interface="virtual", channel="test_can_bus") as other:
        async with running(bus, lambda *frame: heard.append(frame)):
            await until(lambda: bus.up)
            other.send(can.Message(arbitration_id=0x100, data=b"\x01", is_extended_id=False))
            other.send(can.Message(arbitration_id=0x18DAF110, data=b"\x01", is_extended_id=True))
            other.send(can.Message(arbitration_id=0x101, data=b"\x02", is_extended_id=False))
            await until(lambda: len(heard) == 2)
            bus.publish([(0x109, b"\x03")], 0.1)
            assert other.recv(1).arbitration_id == 0x109
    assert heard == [(0x100, b"\x01"), (0x101, b"\x02")]


@contextlib.asynccontextmanager
async def told(bus: CanBus, heard: list):
    with can.Bus(interface="virtual", channel=bus.name.split()[1]) as other:
        async with running(bus, lambda *frame: heard.append(frame)):
            await until(lambda: bus.up)
            yield other


async def test_an_error_on_the_bus_heals_by_itself_and_a_bus_off_is_its_loss(monkeypatch):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.05)
    heard, bus = [], CanBus("virtual", "test_bus_off")
    async with told(bus, heard) as other:
        other.send(can.Message(arbitration_id=0x04, is_error_frame=True, dlc=8))  # error passive
        other.send(can.Message(arbitration_id=0x102, data=b"\x01", is_extended_id=False))
        await until(lambda: heard)
        assert bus.up
        other.send(can.Message(arbitration_id=can_bus.BUS_OFF_BIT, is_error_frame=True, dlc=8))
        await until(lambda: "bus-off" in bus.problem)
        await until(lambda: bus.up)
    assert heard == [(0x102, b"\x01")]


async def test_an_interface_that_stays_bus_off_is_not_taken_for_up(monkeypatch, tmp_path):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(can_bus, "NET_CLASS", tmp_path)
    monkeypatch.setattr(can, "Bus", lambda **_: Kernel())
    carrier = tmp_path / "can0" / "carrier"
    carrier.parent.mkdir()
    carrier.write_text("0\n")
    bus = CanBus("socketcan", "can0")
    async with running(bus, lambda *_: None):
        await until(lambda: "restart-ms" in bus.problem)
        await asyncio.sleep(0.1)
        assert not bus.up
        carrier.write_text("1\n")
        await until(lambda: bus.up and not bus.problem)


class BroadcastManager:
    """The far side of python-can's socket to the kernel's broadcast manager."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []

    def send(self, call: bytes) -> int:
        if call[0] == TX_READ:
            raise OSError(errno.EINVAL, "no such task")
        self.calls.append(call)
        return len(call)


TX_SETUP, TX_DELETE, TX_READ = 1, 2, 3
SETTIMER_STARTTIMER = 0x3


def test_a_change_goes_to_the_kernel_whole_in_one_call_and_leaves_the_timer_alone():
    kernel = BroadcastManager()
    message = can.Message(arbitration_id=0x109, data=bytes(8), is_extended_id=False)
    task = socketcan.CyclicSendTask(kernel, 1, message, 0.1)
    task.modify_data(can.Message(arbitration_id=0x109, data=b"12345678", is_extended_id=False))
    task.stop()
    setup, change, end = kernel.calls
    opcodes, flags = zip(*(struct.unpack_from("<II", call) for call in kernel.calls), strict=True)
    assert opcodes == (TX_SETUP, TX_SETUP, TX_DELETE)
    assert flags[0] & SETTIMER_STARTTIMER == SETTIMER_STARTTIMER
    assert flags[1] & SETTIMER_STARTTIMER == 0
    assert len(setup) == len(change) > len(end)
    assert change.endswith(b"12345678")


class Kernel(can.BusABC):
    """A bus whose cyclic tasks are only written down."""

    def __init__(self) -> None:
        super().__init__("kernel")
        self.log: list[tuple] = []
        self.full = False
        self._reader, self._writer = os.pipe()

    def fileno(self) -> int:
        return self._reader

    def _recv_internal(self, timeout):
        return None, False

    def send(self, msg, timeout=None):
        raise can.CanOperationError("full", errno.ENOBUFS if self.full else errno.ENETDOWN)

    def send_periodic(self, msgs, period, *args, **kwargs):
        self.log.append(("start", msgs.arbitration_id, period))
        if self.full:
            raise can.CanOperationError("full", errno.ENOBUFS)
        return Task(self, msgs.arbitration_id)

    def shutdown(self) -> None:
        super().shutdown()
        os.close(self._reader)
        os.close(self._writer)


class Task:
    def __init__(self, kernel: Kernel, can_id: int) -> None:
        self.kernel, self.can_id = kernel, can_id

    def modify_data(self, message) -> None:
        self.kernel.log.append(("modify", self.can_id, bytes(message.data)))

    def stop(self) -> None:
        self.kernel.log.append(("stop", self.can_id))


async def test_the_kernel_is_told_of_changes_only(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(can, "Bus", lambda **_: kernel)
    bus = CanBus("socketcan", "can0")
    async with running(bus, lambda *_: None):
        await until(lambda: bus.up)
        bus.publish([(0x108, b"a"), (0x109, b"a")], 0.1)
        bus.publish([(0x108, b"a"), (0x109, b"b")], 0.1)
        bus.publish([(0x109, b"b")], 0.1)
        bus.publish([], 0.1)
    assert kernel.log == [
        ("start", 0x108, 0.1),
        ("start", 0x109, 0.1),
        ("modify", 0x109, b"b"),
        ("stop", 0x108),
        ("stop", 0x109),
    ]


@pytest.mark.parametrize(("full", "up"), [(True, True), (False, False)])
async def test_a_full_queue_is_no_loss_but_a_dead_interface_is(monkeypatch, full, up):
    kernel = Kernel()
    kernel.full = full
    monkeypatch.setattr(can, "Bus", lambda **_: kernel)
    bus = CanBus("other", "can0")
    async with running(bus, lambda *_: None):
        await until(lambda: bus.up)
        bus.publish([(0x108, b"a")], 0.1)
        assert bus.up is up


async def test_an_impossible_channel_is_tried_again_and_again(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(can_bus, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(can_bus, "LONGEST_PAUSE_S", 0.02)
    bus = CanBus("slcan", str(tmp_path / "nothing"))
    async with running(bus, lambda *_: None):
        await until(lambda: bus.problem)
        await asyncio.sleep(0.2)
    assert not bus.up
    assert len(caplog.records) == 1


async def test_a_busy_bus_wakes_nobody_for_each_of_its_frames(adapter, monkeypatch):
    looks = []
    drain = CanBus._drain
    monkeypatch.setattr(CanBus, "_drain", lambda *args: (looks.append(args), drain(*args))[1])
    heard = []
    bus = CanBus("slcan", str(adapter.path), ids=frozenset({0x102}), gather_s=0.2)
    async with running(bus, lambda *frame: heard.append(frame)):
        await until(lambda: bus.up)
        began = asyncio.get_running_loop().time()
        for n in range(40):  # 0x300 is nobody's business, and still one traffic
            adapter.say(f"t{'102' if n == 39 else '300'}1AB")
            await asyncio.sleep(0.005)
        await until(lambda: heard)
        took_s = asyncio.get_running_loop().time() - began
    assert len(looks) <= 4 + took_s / 0.2
