"""pymodbus is the second opinion on each frame; however a stream is cut, the same answers come out of it."""

import asyncio
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from gateway.devices.modbus_tcp import Answer, Connection, Function, Question, decode, encode
from tests.gateway.devices.modbus_device import frame

words = st.integers(0, 0xFFFF)
READS = (Function.READ_COILS, Function.READ_DISCRETE, Function.READ_HOLDING, Function.READ_INPUT)


@st.composite
def questions(draw):
    function, address = draw(st.sampled_from(Function)), draw(words)
    match function:
        case Function.WRITE_COIL:
            return Question(function, address, 1, (draw(st.integers(0, 1)),))
        case Function.WRITE_REGISTER:
            return Question(function, address, 1, (draw(words),))
        case Function.WRITE_REGISTERS:
            values = tuple(draw(st.lists(words, min_size=1, max_size=123)))
            return Question(function, address, len(values), values)
    return Question(function, address, draw(st.integers(1, 125)))


@given(questions(), words, st.integers(0, 255))
def test_pymodbus_understands_each_question(question, transaction, unit):
    sent = encode(question, transaction, unit)
    used, _, tid, _ = (framer := FramerSocket(DecodePDU(True))).decode(sent)
    _, heard = framer.handleFrame(sent, 0, 0)
    assert (used, tid, heard.dev_id) == (len(sent), transaction, unit)
    assert (heard.function_code, heard.address) == (question.function, question.address)
    told = heard.registers or tuple(map(int, heard.bits))
    assert tuple(told) == question.values if question.values else heard.count == question.count


@given(
    st.sampled_from((ReadHoldingRegistersResponse, ReadInputRegistersResponse)), st.lists(words, max_size=125)
)
def test_registers_are_read_as_pymodbus_writes_them(response, registers):
    said = response(registers=registers)
    assert decode(bytes([said.function_code]) + said.encode()) == Answer(said.function_code, tuple(registers))


@given(
    st.sampled_from((ReadCoilsResponse, ReadDiscreteInputsResponse)),
    st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_bits_are_read_as_pymodbus_writes_them(response, bits):
    said = response(bits=bits)
    told = decode(bytes([said.function_code]) + said.encode())
    assert told.values[: len(bits)] == tuple(map(int, bits))
    assert len(told.values) == (len(bits) + 7) // 8 * 8


@given(st.binary(min_size=1, max_size=253))
def test_any_answer_is_understood_or_has_no_values(pdu):
    answer = decode(pdu)
    assert answer.function == pdu[0] & 0x7F
    assert bool(answer.exception) == (pdu[0] >= 0x80)
    assert answer.exception == 0 or answer.values == ()


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, data):
        self.sent.append(data)


async def heard(pieces, unit=1):
    """Return the answer to a first question, None while the pieces hold none."""
    connection = Connection("", 0, unit, lambda: None)
    connection.connection_made(Wire())
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(connection.ask(Question(Function.READ_HOLDING, 0, 2)))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.data_received(piece)
        await asyncio.sleep(0)
        return asking.result() if asking.done() else asking.cancel() and None


RIGHT = bytes([3, 4]) + struct.pack(">2H", 7, 8)
ANSWER = Answer(3, (7, 8))


@given(st.lists(st.integers(0, 60), max_size=6))
def test_an_answer_is_found_however_the_stream_is_cut(cuts):
    stream = (
        frame(7, 1, RIGHT) + frame(1, 9, RIGHT) + frame(1, 1, b"") + frame(1, 1, RIGHT) + frame(2, 1, RIGHT)
    )
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert asyncio.run(heard(pieces)) == ANSWER


@pytest.mark.parametrize(
    ("piece", "unit", "answer"),
    [
        (frame(0, 1, RIGHT), 1, ANSWER),
        (frame(1, 5, RIGHT), 0, ANSWER),
        (frame(2, 1, RIGHT), 1, None),
        (frame(1, 2, RIGHT), 1, None),
        (frame(1, 1, bytes([0x83, 6])), 1, Answer(3, exception=6)),
        (frame(1, 1, bytes([0x83, 0])), 1, Answer(3, exception=0xFF)),
        (b"\0\1\0\0\0\2\1\x83\6", 1, Answer(3, exception=6)),
        (frame(1, 1, bytes(254)), 1, None),
    ],
    ids=[
        "transactions of 0",
        "any unit",
        "another transaction",
        "another unit",
        "refused",
        "refused for nothing",
        "a refusal counted short",
        "too long",
    ],
)
async def test_only_what_answers_the_question_is_its_answer(piece, unit, answer):
    assert await heard([piece], unit) == answer


async def test_what_cannot_be_a_frame_does_not_hide_what_comes_after_it():
    assert await heard([b"\xff" * 300, frame(1, 1, RIGHT)]) == ANSWER
